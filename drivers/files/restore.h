#ifndef CF_DRIVERS_FILES_RESTORE_H
#define CF_DRIVERS_FILES_RESTORE_H

/*
 * A sink that restores into a folder.
 *
 * Nothing is ever written outside the folder: every step is opened relative to its parent's descriptor without
 * following symbolic links. A file is written under a temporary name in its folder and renamed when whole, so that a
 * failed restore never leaves a wrong file under a right name. Attributes of a directory are set when it ends.
 * Ownership is set when running as root; when it, an attribute or a device node is refused, that is a
 * warning.
 */

#include "base/ctx.h"
#include "base/stream.h"

struct cf_restore_options {
	bool overwrite; /* replace existing files; else an existing entry is CF_ERR_EXISTS */
	bool no_owner;  /* leave ownership to the system */
};

/* The folder is created when missing. Free with cf_files_restore_free(). file_write_at is supported. */
int cf_files_restore_new(const char *folder, const struct cf_restore_options *options,
			 const struct cf_ctx *ctx, struct cf_sink **sink_out, struct cf_err *err);
void cf_files_restore_free(struct cf_sink *sink);

#endif
