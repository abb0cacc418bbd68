#ifndef CF_REPO_WRITER_H
#define CF_REPO_WRITER_H

/*
 * The writer: a sink that turns one source into one snapshot.
 *
 *     cf_writer_open -> push entries into cf_writer_sink() -> cf_writer_commit -> cf_writer_close
 *
 * The snapshot exists when commit returns 0, and not before. Closing without a commit leaves the
 * repository as it was, but for packs that the next run finds and uses. Errors of background work come up in
 * the next sink call or in commit.
 */

#include "base/stream.h"
#include "repo/snapshot.h"

struct cf_err;
struct cf_repo;
struct cf_writer;

/* How new chunks are compressed. Differences from chunks that the repository holds are zstd whatever is chosen. */
enum cf_compression {
	CF_COMPRESSION_DEFAULT = 0, /* zstd */
	CF_COMPRESSION_ZSTD,
	CF_COMPRESSION_LZ4,
	CF_COMPRESSION_GZIP,
	CF_COMPRESSION_BZIP2,
	CF_COMPRESSION_XZ,
	CF_COMPRESSION_NONE
};

enum {
	CF_ZSTD_LEVEL_MAX = 19,
	CF_GZIP_LEVEL_MAX = 9
};

struct cf_writer_options {
	const char *source, *driver; /* required */
	const char *host, *user;     /* required */
	const char *const *tags;
	size_t n_tags;
	const struct cf_id *parent; /* NULL: the newest snapshot of the same host and source */
	bool no_parent;             /* do not look for one: read everything, no bases by position */
	bool ignore_times;          /* read files although size, times and inode equal the parent's */
	bool dry_run;               /* store nothing */
	enum cf_compression compression;
	int compression_level;      /* of zstd and gzip, from 1; 0: the default */
	uint32_t frame_len;         /* bytes compressed together; 0: the default */
	bool no_delta;
};

int cf_writer_open(struct cf_repo *repo, const struct cf_writer_options *options,
		   struct cf_writer **writer_out, struct cf_err *err);
struct cf_sink *cf_writer_sink(struct cf_writer *writer);

/* *snapshot_out: what was stored; free it. A dry run's has a zero id. */
int cf_writer_commit(struct cf_writer *writer, struct cf_snapshot **snapshot_out, struct cf_err *err);
void cf_writer_close(struct cf_writer *writer);

#endif
