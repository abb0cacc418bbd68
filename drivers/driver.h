#ifndef CF_DRIVERS_DRIVER_H
#define CF_DRIVERS_DRIVER_H

/*
 * What backs up one kind of source. A driver reads its source and pushes entries into a sink
 * (base/stream.h); it knows no repository.
 *
 * Something that cannot be read while the rest can (an unreadable file, one that changes while read) is a
 * warning through ctx (the command then ends with exit status 3), never silence. What leaves nothing to
 * save (the file that is the source) or makes the whole backup worthless (no such source, not a database, a
 * failing command) is an error, and no snapshot is made.
 */

#include "base/ctx.h"
#include "base/stream.h"

struct cf_err;
struct cf_source;

/* What the user asked for. All pointers are borrowed until the source is closed. */
struct cf_source_options {
	const char *const *excludes; /* globs, as gitignore: see drivers/files/exclude.h */
	size_t n_excludes;
	bool one_file_system;
	bool exclude_caches;        /* skip folders tagged by CACHEDIR.TAG */
	/* files: folders that are kept empty, with a note (folder.skipped): the repository and the cache, by
	 * absolute path. As the source itself they are an error. */
	const char *const *skip_folders;
	size_t n_skip_folders;
	const char *const *command; /* stream: NULL, or arguments ended by NULL, run without a shell */
};

struct cf_driver {
	const char *scheme; /* "files" for files:/etc */
	const char *usage;  /* "files:PATH" */
	const char *about;  /* one line for help */

	/*
	 * Look at the source enough to name it. rest is the text behind the scheme and its colon.
	 * CF_ERR_USAGE when it makes no sense, CF_ERR_NOT_FOUND when there is no such source.
	 */
	int (*open)(const char *rest, const struct cf_source_options *options, const struct cf_ctx *ctx,
		    struct cf_source **source_out, struct cf_err *err);

	/* Push everything into sink, from the root's dir_begin to its dir_end. Called once. */
	int (*run)(struct cf_source *source, struct cf_sink *sink, struct cf_err *err);

	void (*close)(struct cf_source *source);
};

/* The first member of every source. */
struct cf_source {
	const struct cf_driver *driver;
	char *name; /* canonical, what snapshots are grouped by: "files:/etc"; freed by close */
};

/* The drivers of this build, ended by NULL. */
extern const struct cf_driver *const cf_drivers[];

/* The driver for a source and the text behind its colon. A source without a known scheme that is a path
 * ("/etc", "./x") is files:. CF_ERR_USAGE otherwise. */
int cf_driver_find(const char *source, const struct cf_driver **driver_out, const char **rest_out,
		   struct cf_err *err);

#endif
