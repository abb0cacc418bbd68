#include "drivers/stream/command.h"

#include "base/ctx.h"
#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PIPE_LEN      (1 << 20)
#define NS_PER_MS     1000000
#define NAP_MS	      5
#define TERM_GRACE_MS 2000

extern char **environ;

/* The child must not inherit what the parent ignores (SIGPIPE, say) or blocks. */
static int set_attributes(posix_spawnattr_t *attr)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	sigdelset(&all, SIGKILL);
	sigdelset(&all, SIGSTOP);
	if (posix_spawnattr_setsigmask(attr, &none) != 0 ||
	    posix_spawnattr_setsigdefault(attr, &all) != 0 ||
	    posix_spawnattr_setpgroup(attr, 0) != 0)
		return -1;
	return posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
						      POSIX_SPAWN_SETSIGDEF);
}

/* 0 or an errno value. */
static int spawn(const char *const *argv, int write_fd, pid_t *pid_out)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	union {
		const char *const *in;
		char *const *out; /* posix_spawnp takes what it does not change as not const */
	} args = {.in = argv};
	int rc;

	rc = posix_spawn_file_actions_init(&actions);
	if (rc != 0)
		return rc;
	rc = posix_spawnattr_init(&attr);
	if (rc != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return rc;
	}
	if (posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) !=
		    0 ||
	    posix_spawn_file_actions_adddup2(&actions, write_fd, STDOUT_FILENO) != 0 ||
	    set_attributes(&attr) != 0)
		rc = ENOMEM;
	else
		rc = posix_spawnp(pid_out, argv[0], &actions, &attr, args.out, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

int cf_command_start(const char *const *argv, struct cf_command *command, struct cf_err *err)
{
	int fds[2];
	int rc;

	if (!argv[0] || !argv[0][0])
		return cf_err_set(err, CF_ERR_USAGE, "the command is empty");
	if (pipe2(fds, O_CLOEXEC) < 0)
		return cf_err_errno(err, errno, "cannot make a pipe");
	/* Only a matter of speed, and refused beyond the user's pipe quota. */
	fcntl(fds[0], F_SETPIPE_SZ, PIPE_LEN);
	rc = spawn(argv, fds[1], &command->pid);
	close(fds[1]);
	if (rc != 0) {
		close(fds[0]);
		command->pid = 0;
		cf_err_errno(err, rc, "cannot run %s", argv[0]);
		/* "Not found" would speak of the source: to the caller this is a failed backup. */
		if (err)
			err->code = CF_ERR_FAILED;
		return CF_ERR_FAILED;
	}
	command->name = argv[0];
	command->fd = fds[0];
	return 0;
}

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = NAP_MS * NS_PER_MS}, NULL);
}

/* 1 when the child is reaped, 0 when it still runs, -1 when nothing can be learned about it. */
static int try_reap(struct cf_command *command, int *status_out)
{
	pid_t got = waitpid(command->pid, status_out, WNOHANG);

	if (got == 0 || (got < 0 && errno == EINTR))
		return 0;
	command->pid = 0;
	return got > 0 ? 1 : -1;
}

static int judge(const char *name, int status, struct cf_err *err)
{
	if (WIFSIGNALED(status))
		return cf_err_set(err, CF_ERR_FAILED, "command %s was killed by signal %d", name,
				  WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return cf_err_set(err, CF_ERR_FAILED, "command %s exited with status %d", name,
				  WEXITSTATUS(status));
	return 0;
}

int cf_command_finish(struct cf_command *command, const struct cf_ctx *ctx, struct cf_err *err)
{
	int status = 0;
	int got;

	while ((got = try_reap(command, &status)) == 0) {
		int rc = cf_ctx_check(ctx, err);

		if (rc < 0)
			return rc;
		nap();
	}
	if (got < 0)
		return cf_err_set(err, CF_ERR_FAILED, "cannot learn the exit status of command %s",
				  command->name);
	return judge(command->name, status, err);
}

/* True once the child ended; it stays a zombie, so that its group's number cannot be given away. */
static bool has_ended(pid_t pid)
{
	siginfo_t info = {.si_pid = 0};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
	       info.si_pid == pid;
}

static void kill_group(struct cf_command *command)
{
	int status;

	kill(-command->pid, SIGTERM);
	for (int waited = 0; waited < TERM_GRACE_MS && !has_ended(command->pid); waited += NAP_MS)
		nap();
	/* Also what the command started and left behind in its group. */
	kill(-command->pid, SIGKILL);
	while (command->pid && try_reap(command, &status) == 0)
		nap();
}

void cf_command_release(struct cf_command *command)
{
	if (command->fd >= 0)
		close(command->fd);
	command->fd = -1;
	if (command->pid)
		kill_group(command);
}
