#include "drivers/keeper.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Groups come as lines; their end is ours. Whoever removes a scratch folder takes work/ first. */
static const char script[] = "g=\n"
			     "while read -r line; do g=$line; done\n"
			     "if [ -n \"$g\" ]; then\n"
			     "	kill -s \"$1\" -- \"-$g\"\n"
			     "	n=0\n"
			     "	while [ $n -lt 100 ] && kill -s 0 -- \"-$g\"; do\n"
			     "		sleep 0.1\n"
			     "		n=$((n + 1))\n"
			     "	done\n"
			     "	kill -s KILL -- \"-$g\"\n"
			     "fi\n"
			     "rm -rf -- \"$0/work\"\n"
			     "exec rm -rf -- \"$0\"\n";

/* In the child: only calls that are safe there, up to exec. */
static _Noreturn void become(char *const *argv, int in)
{
	int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	/* Signals of the terminal are for us, not for it. */
	setsid();
	if (dup2(in, 0) < 0 || dup2(null_fd, 1) < 0 || dup2(null_fd, 2) < 0)
		_exit(126);
	execv(argv[0], argv);
	_exit(127);
}

int cf_keeper_start(struct cf_keeper *keeper, const char *dir, const char *signal_name,
		    struct cf_err *err)
{
	char *const argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"},	strdup(script),
			      strdup(dir),	   strdup(signal_name), NULL};
	int ends[2], rc = 0;

	if (!argv[2] || !argv[3] || !argv[4])
		rc = cf_err_nomem(err);
	else if (pipe2(ends, O_CLOEXEC) < 0)
		rc = cf_err_errno(err, errno, "cannot make a pipe");
	if (rc == 0) {
		keeper->pid = fork();
		if (keeper->pid == 0)
			become(argv, ends[0]);
		if (keeper->pid < 0) {
			rc = cf_err_errno(err, errno, "cannot start %s", argv[0]);
			keeper->pid = 0;
			close(ends[1]);
		} else {
			keeper->fd = ends[1];
		}
		close(ends[0]);
	}
	free(argv[2]);
	free(argv[3]);
	free(argv[4]);
	return rc;
}

void cf_keeper_watch(struct cf_keeper *keeper, pid_t group)
{
	char line[32];
	int len = group > 0 ? snprintf(line, sizeof(line), "%ld\n", (long)group)
			    : snprintf(line, sizeof(line), "\n");

	/* A keeper that somebody killed cleans up nothing: we still do. */
	if (keeper->fd >= 0 && write(keeper->fd, line, (size_t)len) < 0)
		cf_keeper_stop(keeper);
}

void cf_keeper_stop(struct cf_keeper *keeper)
{
	if (keeper->pid > 0) {
		kill(keeper->pid, SIGKILL);
		while (waitpid(keeper->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (keeper->fd >= 0)
		close(keeper->fd);
	*keeper = (struct cf_keeper)CF_KEEPER_INIT;
}
