#include "drivers/postgres/scratch.h"

#include "base/ctx.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/program.h"
#include "drivers/scratch_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	NAP_NS = 20 * 1000000,
	START_NAPS = 3000, /* a minute */
	STOP_NAPS = 500,   /* ten seconds, then harder */
	LOG_SHOWN = 600
};

struct cf_pg_scratch {
	const struct cf_ctx *ctx;
	struct cf_scratch_folder folder;
	char target[PATH_MAX + 64];
	bool other_user;
	struct passwd user; /* its numbers alone are of use later */
	pid_t pid;	    /* of the server; 0: none */
	unsigned n_folders;
};

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
}

/* Whom a server may run as. */
static int choose_user(struct cf_pg_scratch *scratch, struct cf_err *err)
{
	static const char *const names[] = {"postgres", "nobody"};

	if (geteuid() != 0)
		return 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct passwd *user = getpwnam(names[i]);

		if (!user)
			continue;
		scratch->other_user = true;
		scratch->user = *user;
		return 0;
	}
	return cf_err_set(err, CF_ERR_UNSUPPORTED,
			  "a PostgreSQL server does not run as root, and there is no user postgres "
			  "or nobody");
}

static int make_folder(struct cf_pg_scratch *scratch, const struct cf_verify_options *options,
		       struct cf_err *err)
{
	int rc = cf_scratch_folder_make(&scratch->folder,
					scratch->other_user ? &scratch->user : NULL, options,
					scratch->ctx, err);

	if (rc < 0)
		return rc;
	/* libpq reads a quote and a backslash in a value only behind a backslash: such a TMPDIR is
	 * refused instead. */
	if (strpbrk(scratch->folder.path, "'\\"))
		return cf_err_set(err, CF_ERR_FAILED,
				  "TMPDIR has a quote or backslash in its name");
	snprintf(scratch->target, sizeof(scratch->target), "host='%s' port=5432 user=postgres",
		 scratch->folder.path);
	/* A server that is killed leaves shared memory behind. */
	return cf_scratch_folder_keep(&scratch->folder, "QUIT", err);
}

/* In the child. The order counts: who becomes another user is no longer told of the parent's death.
 */
static void exec_child(const struct cf_pg_scratch *scratch, const char *log, char *const *args,
		       pid_t parent)
{
	const struct passwd *user = &scratch->user;
	sigset_t none;
	int log_fd, null_fd;

	if (scratch->other_user &&
	    (setgroups(0, NULL) < 0 || setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0))
		_exit(127);
	prctl(PR_SET_PDEATHSIG, SIGQUIT);
	if (getppid() != parent)
		_exit(127);
	setpgid(0, 0);
	for (int signal_no = 1; signal_no < NSIG; signal_no++)
		signal(signal_no, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	null_fd = open("/dev/null", O_RDONLY);
	if (log_fd < 0 || null_fd < 0 || chdir("/") < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
	    dup2(log_fd, STDOUT_FILENO) < 0 || dup2(log_fd, STDERR_FILENO) < 0)
		_exit(127);
	execv(args[0], args);
	_exit(127);
}

static int start_program(struct cf_pg_scratch *scratch, const char *const *args, pid_t *pid_out,
			 struct cf_err *err)
{
	/* execv() takes what it does not change as not const. */
	union {
		const char *const *in;
		char *const *out;
	} list = {.in = args};
	char log[PATH_MAX + 8];
	pid_t parent = getpid();

	snprintf(log, sizeof(log), "%s/log", scratch->folder.path);
	*pid_out = fork();
	if (*pid_out == 0)
		exec_child(scratch, log, list.out, parent);
	if (*pid_out < 0) {
		*pid_out = 0;
		return cf_err_errno(err, errno, "cannot run %s", args[0]);
	}
	setpgid(*pid_out, *pid_out);
	cf_keeper_watch(&scratch->folder.keeper, *pid_out);
	return 0;
}

/* 1 once it ended, 0 while it runs. */
static int has_ended(pid_t *pid, int *status)
{
	pid_t got = waitpid(*pid, status, WNOHANG);

	if (got == 0 || (got < 0 && errno == EINTR))
		return 0;
	*pid = 0;
	return 1;
}

static void end_program(pid_t *pid, int first_signal)
{
	const int signals[] = {first_signal, SIGQUIT, SIGKILL};
	int status;

	for (size_t i = 0; *pid && i < sizeof(signals) / sizeof(signals[0]); i++) {
		kill(signals[i] == SIGKILL ? -*pid : *pid, signals[i]);
		for (int naps = 0; naps < STOP_NAPS && !has_ended(pid, &status); naps++)
			nap();
	}
}

/* An error with the end of what the programs said. */
static int refuse(const struct cf_pg_scratch *scratch, const char *what, struct cf_err *err)
{
	struct cf_buf log = CF_BUF_INIT;
	char path[PATH_MAX + 8];
	const char *text = "";
	int rc;

	snprintf(path, sizeof(path), "%s/log", scratch->folder.path);
	if (cf_file_read(AT_FDCWD, path, 1 << 20, &log, NULL) == 0 &&
	    cf_buf_append(&log, "", 1, NULL) == 0)
		text = (const char *)log.data + (log.len > LOG_SHOWN ? log.len - LOG_SHOWN : 0);
	rc = cf_err_set(err, CF_ERR_FAILED, "%s: %s", what, text);
	cf_buf_release(&log);
	return rc;
}

static int run_initdb(struct cf_pg_scratch *scratch, const char *path, struct cf_err *err)
{
	char data[PATH_MAX + 8];
	const char *const args[] = {path,	"--pgdata", data,	 "--username", "postgres",
				    "--auth",	"trust",    "--no-sync", "--encoding", "UTF8",
				    "--locale", "C",	    NULL};
	pid_t pid = 0;
	int status = 0;
	int rc;

	snprintf(data, sizeof(data), "%s/data", scratch->folder.path);
	rc = start_program(scratch, args, &pid, err);
	if (rc < 0)
		return rc;
	while (!has_ended(&pid, &status)) {
		rc = cf_ctx_check(scratch->ctx, err);
		if (rc < 0) {
			end_program(&pid, SIGTERM);
			return rc;
		}
		nap();
	}
	cf_keeper_watch(&scratch->folder.keeper, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0
		       ? 0
		       : refuse(scratch, "cannot make a server to verify with", err);
}

static int run_server(struct cf_pg_scratch *scratch, const char *path, struct cf_err *err)
{
	char data[PATH_MAX + 8];
	const char *const args[] = {
		path, "-D", data, "-k", scratch->folder.path,
		/* Not what PGPORT says. */
		"-p", "5432", "-c", "listen_addresses=", "-c", "unix_socket_permissions=0700", "-c",
		"fsync=off", "-c", "full_page_writes=off", "-c", "wal_level=minimal", "-c",
		"max_wal_senders=0", "-c", "autovacuum=off", "-c", "max_wal_size=4GB", "-c",
		"max_locks_per_transaction=1024", NULL};

	snprintf(data, sizeof(data), "%s/data", scratch->folder.path);
	return start_program(scratch, args, &scratch->pid, err);
}

static int wait_for_server(struct cf_pg_scratch *scratch, struct cf_err *err)
{
	struct cf_pg_options options = {.application = "coffer verify", .database = "postgres"};
	int status;

	for (int naps = 0; naps < START_NAPS; naps++) {
		struct cf_pg *pg = NULL;
		int rc = cf_pg_connect(scratch->target, &options, scratch->ctx, &pg, err);

		cf_pg_close(pg);
		if (rc == 0 || rc == CF_ERR_CANCELED)
			return rc;
		cf_err_clear(err);
		if (has_ended(&scratch->pid, &status))
			break;
		nap();
	}
	return refuse(scratch, "the server to verify with does not start", err);
}

/* The server is beside initdb. */
static int start_programs(struct cf_pg_scratch *scratch, const struct cf_pg_program *initdb,
			  struct cf_err *err)
{
	const char *slash = strrchr(initdb->path, '/');
	char *server = NULL;
	int rc;

	if (asprintf(&server, "%.*s/postgres", (int)(slash - initdb->path), initdb->path) < 0)
		return cf_err_nomem(err);
	rc = run_initdb(scratch, initdb->path, err);
	if (rc == 0)
		rc = run_server(scratch, server, err);
	if (rc == 0)
		rc = wait_for_server(scratch, err);
	free(server);
	return rc;
}

int cf_pg_scratch_start(int server_version, const struct cf_verify_options *options,
			const struct cf_ctx *ctx, struct cf_pg_scratch **scratch_out,
			struct cf_err *err)
{
	struct cf_pg_scratch *scratch = calloc(1, sizeof(*scratch));
	struct cf_pg_program initdb = {0};
	int rc;

	if (!scratch)
		return cf_err_nomem(err);
	scratch->ctx = ctx;
	scratch->folder = (struct cf_scratch_folder)CF_SCRATCH_FOLDER_INIT;
	/* Holes of client programs do not concern a server. */
	rc = cf_pg_program_find("initdb", server_version, true, ctx, &initdb, err);
	if (rc < 0)
		cf_err_wrap(err, "no server to verify with (--against names one)");
	if (rc == 0)
		rc = choose_user(scratch, err);
	if (rc == 0)
		rc = make_folder(scratch, options, err);
	if (rc == 0)
		rc = start_programs(scratch, &initdb, err);
	cf_pg_program_release(&initdb);
	if (rc < 0)
		cf_pg_scratch_stop(scratch);
	else
		*scratch_out = scratch;
	return rc;
}

const char *cf_pg_scratch_target(const struct cf_pg_scratch *scratch)
{
	return scratch->target;
}

int cf_pg_scratch_folder(struct cf_pg_scratch *scratch, char **path_out, struct cf_err *err)
{
	char *path = NULL;
	int rc;

	if (asprintf(&path, "%s/tablespace-%u", scratch->folder.path, ++scratch->n_folders) < 0)
		return cf_err_nomem(err);
	rc = mkdir(path, 0700) < 0 ? cf_err_errno(err, errno, "cannot make the folder %s", path)
				   : 0;
	if (rc == 0 && scratch->other_user &&
	    chown(path, scratch->user.pw_uid, scratch->user.pw_gid) < 0)
		rc = cf_err_errno(err, errno, "cannot hand %s over", path);
	if (rc < 0)
		free(path);
	else
		*path_out = path;
	return rc;
}

void cf_pg_scratch_stop(struct cf_pg_scratch *scratch)
{
	if (!scratch)
		return;
	/* Its data is not wanted: no orderly shutdown, which would write it all. */
	if (scratch->pid)
		end_program(&scratch->pid, SIGQUIT);
	cf_scratch_folder_remove(&scratch->folder);
	free(scratch);
}
