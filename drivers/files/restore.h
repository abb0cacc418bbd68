#ifndef CF_DRIVERS_FILES_RESTORE_H
#define CF_DRIVERS_FILES_RESTORE_H

/*
 * A sink that restores into a folder.
 *
 * Nothing is ever written outside the folder: every step is opened relative to its parent's
 * descriptor without following symbolic links. A file is written under a temporary name in its
 * folder and renamed when whole, so that a failed restore never leaves a wrong file under a right
 * name. Attributes of a directory are set when it ends. Ownership is set when running as root; when
 * it, an attribute or a device node is refused, that is a warning (restore.owner, .mode, .xattr,
 * .time, .node). A name longer than the 255 bytes of Linux is left out with a warning
 * (restore.name), a directory with what is in it. What is not given its owner does not get
 * set-user-id and set-group-id bits either, unless it belongs to who restores.
 *
 * Existing directories are merged with. The folder itself keeps its own attributes when it existed
 * before: a restore into /tmp does not change /tmp. With sync, everything is on disk
 * when the root's dir_end returned 0; else when the system gets to it, as with cp and tar.
 */

#include "base/ctx.h"
#include "base/stream.h"

struct cf_restore_options {
	/* Replace what exists: a file, link or node by a new one in one step, an empty directory by
	 * a file, a link in a directory's place by a directory. A directory that is not empty is
	 * never replaced by a file: CF_ERR_EXISTS. Without overwrite any existing entry but a
	 * directory is CF_ERR_EXISTS. */
	bool overwrite;
	bool no_owner; /* leave ownership to the system */
	bool sync;     /* end when everything is on disk (one syncfs of the file system) */
};

/* The folder is created when missing. Free with cf_files_restore_free(), which also removes what an
 * unfinished restore left under temporary names. file_write_at is supported. */
int cf_files_restore_new(const char *folder, const struct cf_restore_options *options,
			 const struct cf_ctx *ctx, struct cf_sink **sink_out, struct cf_err *err);
void cf_files_restore_free(struct cf_sink *sink);

#endif
