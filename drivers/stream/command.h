#ifndef CF_DRIVERS_STREAM_COMMAND_H
#define CF_DRIVERS_STREAM_COMMAND_H

/* A child process whose standard output is read through a pipe. */

#include <sys/types.h>

struct cf_ctx;
struct cf_err;

struct cf_command {
	const char *name; /* argv[0], borrowed */
	pid_t pid;	  /* also its process group; 0 when there is none to reap */
	int fd;		  /* its standard output, or -1 */
};

/* clang-format off */
#define CF_COMMAND_INIT { .name = NULL, .pid = 0, .fd = -1 }
/* clang-format on */

/* Run argv (ended by NULL) without a shell: standard input is empty, standard error is ours. */
int cf_command_start(const char *const *argv, struct cf_command *command, struct cf_err *err);

/* Wait for the end of a command whose output was read; anything but exit status 0 is CF_ERR_FAILED.
 */
int cf_command_finish(struct cf_command *command, const struct cf_ctx *ctx, struct cf_err *err);

/* Kill the process group if the command still runs, reap it, close the pipe. Safe at any time. */
void cf_command_release(struct cf_command *command);

#endif
