/* coffer mount, coffer umount */

#include "base/err.h"
#include "cli/cli.h"
#include "cli/escape.h"
#include "cli/report.h"
#include "cli/select.h"

#ifdef CF_WITH_FUSE

#include "fuse/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

enum {
	ARENAS_MAX = 2,
	SPARE_LEN = 32 << 20 /* of free memory kept for what is decoded next */
};

struct mounting {
	struct cf_cli *cli;
	const char *folder;
	int log_fd;	/* -1: none was asked for */
	int parent_fd;	/* where the one who waits for us in the foreground listens; -1: nobody */
};

static const struct cf_reporter syslog_reporter;

static void say_mounted(const struct mounting *mounting, bool in_foreground)
{
	if (mounting->cli->quiet)
		return;
	fputs("mounted on ", stderr);
	cf_escape_print(stderr, mounting->folder, CF_ESCAPE_NAME);
	fputs(in_foreground ? "; end it with Ctrl-C or: coffer umount " : "; end it with: coffer umount ",
	      stderr);
	cf_escape_print(stderr, mounting->folder, CF_ESCAPE_NAME);
	fputc('\n', stderr);
}

static void log_event(void *user, const struct cf_event *event)
{
	(void)user;
	if (event->kind == CF_EVENT_WARNING)
		syslog(LOG_WARNING, "%s%s%s", event->object ? event->object : "", event->object ? ": " : "",
		       event->text ? event->text : event->name);
}

static const struct cf_reporter syslog_reporter = {.event = log_event};

/* From here on nobody looks at our standard streams. */
static void leave_terminal(struct mounting *mounting)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	if (mounting->log_fd < 0) {
		openlog("coffer", LOG_PID, LOG_DAEMON);
		mounting->cli->ctx.reporter = &syslog_reporter;
	}
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(mounting->log_fd < 0 ? null : mounting->log_fd, STDERR_FILENO);
	close(null);
}

static void on_mounted(void *user)
{
	struct mounting *mounting = user;

	if (mounting->parent_fd < 0) {
		say_mounted(mounting, true);
		if (mounting->log_fd >= 0)
			dup2(mounting->log_fd, STDERR_FILENO);
		return;
	}
	leave_terminal(mounting);
	if (write(mounting->parent_fd, "m", 1) != 1)
		cf_ctx_warn(&mounting->cli->ctx, "mount.alone", NULL, "whoever ran the command is gone");
	close(mounting->parent_fd);
}

/*
 * Chunks come and go by the thousand, in many threads. In an arena per thread each would keep its own most ever in use; and memory
 * that is given back to the system for every chunk has to be cleared anew for the next.
 */
static void tune_memory(void)
{
#ifdef M_ARENA_MAX
	mallopt(M_ARENA_MAX, ARENAS_MAX);
	mallopt(M_MMAP_THRESHOLD, SPARE_LEN);
	mallopt(M_TRIM_THRESHOLD, SPARE_LEN);
#endif
}

static int serve(struct mounting *mounting, struct cf_err *err)
{
	const struct cf_args *args = mounting->cli->args;
	const char *snapshot = cf_args_text(args, CF_OPT_SNAPSHOT);
	struct cf_select select = {0};
	struct cf_mount_options options = {.filter = &select.filter,
					   .allow_other = cf_args_has(args, CF_OPT_ALLOW_OTHER),
					   .cache_len = (size_t)cf_args_number(args, CF_OPT_CACHE_SIZE),
					   .n_threads = (unsigned)cf_args_number(args, CF_OPT_THREADS),
					   .mounted = on_mounted,
					   .user = mounting};
	int rc;

	tune_memory();
	rc = cf_select_open(&select, mounting->cli, err);
	if (rc == 0 && snapshot)
		rc = cf_select_snapshot(&select, snapshot, &options.snapshot, err);
	if (rc == 0)
		rc = cf_mount_run(select.repo, mounting->folder, &options, &mounting->cli->ctx, err);
	cf_select_close(&select);
	return rc;
}

/* The code of a child's exit status; it has said itself what was wrong. */
static int code_of(int status)
{
	static const int codes[] = {CF_ERR_FAILED, CF_ERR_USAGE, CF_ERR_PARTIAL,
				    CF_ERR_DAMAGED, CF_ERR_KEY, CF_ERR_BUSY};

	for (size_t i = 0; WIFEXITED(status) && i < sizeof(codes) / sizeof(codes[0]); i++)
		if (cf_err_exit_status(codes[i]) == WEXITSTATUS(status))
			return codes[i];
	return CF_ERR_FAILED;
}

static int wait_for_mount(const struct mounting *mounting, pid_t child, int fd, struct cf_err *err)
{
	char byte;
	int status = 0;
	ssize_t n;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1) {
		say_mounted(mounting, false);
		return 0;
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		return cf_err_set(err, CF_ERR_FAILED, "the mount ended by signal %d", WTERMSIG(status));
	return code_of(status);
}

/* The child opens the repository itself: locked key memory and threads do not survive a fork. */
static int serve_in_background(struct mounting *mounting, struct cf_err *err)
{
	int fds[2];
	pid_t child;
	int rc;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return cf_err_errno(err, errno, "make a pipe");
	child = fork();
	if (child < 0) {
		rc = cf_err_errno(err, errno, "start a process");
		close(fds[0]);
		close(fds[1]);
		return rc;
	}
	if (child == 0) {
		close(fds[0]);
		mounting->parent_fd = fds[1];
		return serve(mounting, err);
	}
	close(fds[1]);
	rc = wait_for_mount(mounting, child, fds[0], err);
	close(fds[0]);
	return rc;
}

int cf_cmd_mount(struct cf_cli *cli, struct cf_err *err)
{
	struct mounting mounting = {
		.cli = cli, .folder = cli->args->operands[0], .log_fd = -1, .parent_fd = -1};
	const char *log = cf_args_text(cli->args, CF_OPT_LOG);
	int rc = cf_mount_check(mounting.folder, err);

	if (rc == 0 && log) {
		mounting.log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (mounting.log_fd < 0)
			rc = cf_err_errno(err, errno, "--log: open %s", log);
	}
	if (rc == 0)
		rc = cf_args_has(cli->args, CF_OPT_FOREGROUND) ? serve(&mounting, err)
							       : serve_in_background(&mounting, err);
	if (mounting.log_fd >= 0)
		close(mounting.log_fd);
	return rc;
}

int cf_cmd_umount(struct cf_cli *cli, struct cf_err *err)
{
	return cf_mount_end(cli->args->operands[0], cf_args_has(cli->args, CF_OPT_LAZY), err);
}

#else

static int refuse(struct cf_err *err)
{
	return cf_err_set(err, CF_ERR_UNSUPPORTED,
			  "this coffer was built without libfuse 3, so it cannot mount");
}

int cf_cmd_mount(struct cf_cli *cli, struct cf_err *err)
{
	return refuse(err);
}

int cf_cmd_umount(struct cf_cli *cli, struct cf_err *err)
{
	return refuse(err);
}

#endif
