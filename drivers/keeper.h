#ifndef CF_DRIVERS_KEEPER_H
#define CF_DRIVERS_KEEPER_H

/*
 * Cleans up behind this process, whatever that dies of: a shell of its own session that waits until
 * we are gone, then ends a process group and removes a folder.
 */

#include <sys/types.h>

struct cf_err;

struct cf_keeper {
	pid_t pid; /* 0: none */
	int fd;	   /* the end of a pipe that nobody else holds */
};

/* clang-format off */
#define CF_KEEPER_INIT { .fd = -1 }
/* clang-format on */

/* dir: removed when we are gone. signal_name: what asks the group to end ("QUIT"); one that still
 * runs after ten seconds is killed. */
int cf_keeper_start(struct cf_keeper *keeper, const char *dir, const char *signal_name,
		    struct cf_err *err);
/* The process group to end; 0: none any more. */
void cf_keeper_watch(struct cf_keeper *keeper, pid_t group);
/* It goes, and touches nothing: the caller has cleaned up. Harmless when none runs. */
void cf_keeper_stop(struct cf_keeper *keeper);

#endif
