#ifndef CF_DRIVERS_FILES_WALK_H
#define CF_DRIVERS_FILES_WALK_H

/* The walk of the files driver: a tree of the file system into a sink. */

#include "base/ctx.h"
#include "base/stream.h"
#include "drivers/files/exclude.h"
#include "drivers/files/skip.h"

struct cf_files_walk_options {
	const struct cf_exclude *exclude;
	const struct cf_files_skip *skip; /* folders kept empty, with a note */
	bool one_file_system;
	bool exclude_caches;
};

/*
 * Everything in the folder root_fd, or the one entry `only` of it. path names the folder in
 * messages. root_fd stays the caller's. What cannot be read is a warning, but an error for `only`.
 */
int cf_files_walk_run(const struct cf_ctx *ctx, const struct cf_files_walk_options *options,
		      int root_fd, const char *path, const char *only, struct cf_sink *sink,
		      struct cf_err *err);

#endif
