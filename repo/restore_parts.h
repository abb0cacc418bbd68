#ifndef CF_REPO_RESTORE_PARTS_H
#define CF_REPO_RESTORE_PARTS_H

/*
 * The inside of the restore (repo/restore.h), for repo/restore*.c only.
 *
 * The caller's thread walks the tree and begins files; workers decode runs of chunks, write them at their place, and end the file with
 * its last run. A directory ends when its files have.
 */

#include "base/err.h"
#include "repo/handle.h"
#include "repo/restore.h"
#include "repo/tree.h"

enum {
	CF_RESTORE_RUN_LEN = 2 << 20,
	CF_RESTORE_RUN_EXTENTS = 64,
	CF_RESTORE_LINK_BUCKETS = 4096
};

struct cf_restored_file {
	struct cf_restore *run;
	struct cf_restore_level *level;
	struct cf_node *node;
	char *path; /* for messages */
	struct cf_file *file; /* the sink's */
	struct cf_restore_link *link;    /* NULL, or later names wait for this one */
	unsigned n_under_way; /* jobs, and one while the walk still hands out */
	int rc;
	struct cf_err err;
};

struct cf_restore_job {
	struct cf_job job;
	struct cf_restored_file *file;
	struct cf_extent extents[CF_RESTORE_RUN_EXTENTS];
	unsigned n;
	struct cf_buf plain;
	struct cf_restore_job *next;
};

/* A directory on the way from the root to where the walk is. */
struct cf_restore_level {
	struct cf_node *node;
	struct cf_dir_iter *iter;
	struct cf_dir *dir; /* the sink's */
	size_t path_len;
	unsigned n_files; /* under way */
	struct cf_restore_level *parent;
};

/* The first restored name of a file that has several. */
struct cf_restore_link {
	uint64_t dev, ino;
	char *path;
	bool is_whole;
	struct cf_restore_link *next;
};

struct cf_restore {
	struct cf_repo *repo;
	struct cf_sink *sink;
	const struct cf_restore_run_options *options;
	struct cf_restore_figures figures;
	uint64_t expected_bytes;
	int64_t reported_ns;
	struct cf_restore_level *level;
	struct cf_buf path;
	struct cf_restore_link *links[CF_RESTORE_LINK_BUCKETS];
	bool found_damage;

	pthread_mutex_t lock; /* below, and the counts in files and levels */
	pthread_cond_t changed;
	struct cf_restore_job *free_jobs;
	unsigned n_jobs, n_jobs_max;
	uint64_t bytes_done;
	int rc; /* of the first failure that ends the restore */
	struct cf_err err;
};

/* restore.c: the walk */
/* Where it is, for messages. */
const char *cf_restore_path(struct cf_restore *run);
/* 0, or what ended the restore, in whatever thread. */
int cf_restore_check(struct cf_restore *run, struct cf_err *err);
void cf_restore_report(struct cf_restore *run);

/* restore_files.c: contents */
int cf_restore_file(struct cf_restore *run, const struct cf_node *node, struct cf_err *err);
/* A node that has no content: symbolic link, fifo, socket, device. */
int cf_restore_other(struct cf_restore *run, const struct cf_node *node, struct cf_err *err);
/* Wait until no file is under way. */
void cf_restore_drain(struct cf_restore *run);

#endif
