#ifndef CF_DRIVERS_FILES_TARGET_H
#define CF_DRIVERS_FILES_TARGET_H

/*
 * The directories of a running restore: cheap to keep open by the thousand, safe to come back to.
 *
 * Only some have a descriptor; the least recently used ones are closed. One is opened again as ".."
 * of its child, or name by name from a parent that is open, and must be the same device and inode
 * as when it was begun: a link or another directory planted meanwhile is an error. Any thread.
 */

#include "base/stream.h"

#include <pthread.h>
#include <sys/types.h>

struct cf_target_dir {
	struct cf_target_dir *parent;
	struct cf_entry *entry; /* a copy */
	bool made;		/* by this restore, so that nothing else is in it */
	bool inherits_acl;	/* it has a default ACL that new entries take over */
	bool skipped;		/* it is not there, and never pinned */

	/* the target's own */
	int fd;
	unsigned n_pins;
	dev_t dev;
	ino_t ino;
	struct cf_target_dir *newer, *older;   /* of those with a descriptor */
	struct cf_target_dir *next, *previous; /* of all */
};

struct cf_target {
	char *folder; /* for messages */
	int root_fd;
	pthread_mutex_t lock;
	struct cf_target_dir *newest, *oldest, *all;
	unsigned n_open;
};

/* root_fd passes to the target, also on failure. */
int cf_target_init(struct cf_target *target, const char *folder, int root_fd, struct cf_err *err);
void cf_target_release(struct cf_target *target);

/* Take an open directory in; fd passes to the target, also on failure. parent NULL: the root. fd
 * -1: a directory that is skipped. */
int cf_target_dir_new(struct cf_target *target, struct cf_target_dir *parent,
		      const struct cf_entry *entry, int fd, struct cf_target_dir **dir_out,
		      struct cf_err *err);
/* Its parent is left open, so that going up a deep tree costs one step a level. */
void cf_target_dir_free(struct cf_target *target, struct cf_target_dir *dir);

/* A descriptor that stays open until unpinned. */
int cf_target_dir_pin(struct cf_target *target, struct cf_target_dir *dir, int *fd_out,
		      struct cf_err *err);
void cf_target_dir_unpin(struct cf_target *target, struct cf_target_dir *dir);

/* The path of `name` in dir, for messages; cut short in the middle of very deep trees. */
struct cf_target_path {
	char s[1024];
};
struct cf_target_path cf_target_path(const struct cf_target *target,
				     const struct cf_target_dir *dir, const char *name);

#endif
