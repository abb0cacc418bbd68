#ifndef CF_REPO_RESTORE_H
#define CF_REPO_RESTORE_H

/*
 * Push a snapshot, or the part of it below a path, into a sink.
 *
 * A directory at path becomes the sink's root. Any other node becomes the one entry of a plain root.
 * Damage stops the restore with CF_ERR_DAMAGED unless keep_going: then each damaged file is a warning,
 * the file is aborted in the sink, and the function returns CF_ERR_DAMAGED at the end.
 */

#include "base/stream.h"

struct cf_err;
struct cf_repo;
struct cf_snapshot;

struct cf_restore_figures {
	uint64_t files, dirs, others, bytes;
};

struct cf_restore_run_options {
	bool keep_going;
	bool no_content; /* walk and verify nothing but the tree: for dry runs; files are not begun */
};

int cf_restore_run(struct cf_repo *repo, const struct cf_snapshot *snapshot, const char *path,
		   const struct cf_restore_run_options *options, struct cf_sink *sink,
		   struct cf_restore_figures *figures_out, struct cf_err *err);

#endif
