#ifndef CF_DRIVERS_SCRATCH_FOLDER_H
#define CF_DRIVERS_SCRATCH_FOLDER_H

/*
 * A temporary folder for a verification, and the end of those that others left:
 *
 *     TMPDIR/coffer-verify-0123456789ab/owner    locked (flock) as long as its verification runs
 *     TMPDIR/coffer-verify-0123456789ab/work/    what is in it is the verification's
 *
 * A folder of this name and user whose lock is free is nobody's any more: programs that still run
 * in it are ended and it is removed, by whoever makes the next one. The owner goes last, so that
 * what is removed halfway is known again.
 */

#include "drivers/keeper.h"

#include <pwd.h>

struct cf_ctx;
struct cf_err;
struct cf_verify_options;

struct cf_scratch_folder {
	char *path;  /* .../work; NULL before it is made */
	char *outer; /* the folder itself */
	int lock_fd;
	struct cf_keeper keeper;
};

/* clang-format off */
#define CF_SCRATCH_FOLDER_INIT { .lock_fd = -1, .keeper = CF_KEEPER_INIT }
/* clang-format on */

/* owner: NULL, or the user to whom work/ belongs. A leftover that was removed is told as a check,
 * one that could not be as a warning. Remove it also after a failure. */
int cf_scratch_folder_make(struct cf_scratch_folder *folder, const struct passwd *owner,
			   const struct cf_verify_options *options, const struct cf_ctx *ctx,
			   struct cf_err *err);

/* From now on it is removed also when we are killed, and before that a process group ended: see
 * cf_keeper_start(), and cf_keeper_watch() for whose. */
int cf_scratch_folder_keep(struct cf_scratch_folder *folder, const char *signal_name,
			   struct cf_err *err);

/* Once its programs have ended. */
void cf_scratch_folder_remove(struct cf_scratch_folder *folder);

#endif
