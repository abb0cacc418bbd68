#ifndef CF_REPO_RESTORE_PARTS_H
#define CF_REPO_RESTORE_PARTS_H

/*
 * The inside of the restore (repo/restore.h), for repo/restore*.c only.
 *
 * The caller's thread walks the tree, begins large files, and hands their contents out in runs of chunks. Workers decode the runs
 * and write them at their place, one worker at a time to one file; the last ends it. Small files go out in batches, and a worker does
 * all there is to do for them. A directory ends, in the caller's thread, when the walk and all that is in it have left it.
 *
 * A sink without file_write_at is served by the caller's thread alone, in the order of the tree.
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
	struct cf_file *file; /* the sink's; NULL before it is begun, and when the sink wants no content */
	struct cf_restore_link *link;    /* NULL, or later names wait for this one */
	unsigned n_under_way; /* jobs, and one while the walk still hands out */
	struct cf_restore_job *decoded; /* runs to be written by the worker that is writing */
	bool is_written_to;
	int rc;
	struct cf_err err;
};

/* A run of one file's extents, or a batch of whole files of one extent or none. */
struct cf_restore_job {
	struct cf_job job;
	struct cf_restore *run;
	struct cf_restored_file *files[CF_RESTORE_RUN_EXTENTS];
	struct cf_extent extents[CF_RESTORE_RUN_EXTENTS];
	unsigned n_files, n_extents;
	uint64_t len;
	struct cf_buf plain;
	struct cf_restore_job *next;
};

/* A directory that has not ended. */
struct cf_restore_level {
	struct cf_node *node;
	struct cf_dir_iter *iter;
	struct cf_dir *dir; /* the sink's */
	size_t path_len;
	unsigned n_inside; /* files under way, directories that have not ended, and the walk */
	struct cf_restore_level *parent;
	struct cf_restore_level *next; /* of those to be ended */
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
	struct cf_restore_level *level; /* where the walk is */
	unsigned n_levels;
	struct cf_restore_job *batch;	/* NULL, or small files not handed out yet */
	struct cf_buf path;
	struct cf_restore_link *links[CF_RESTORE_LINK_BUCKETS];
	bool found_damage;

	pthread_mutex_t lock; /* below, and the counts in files and levels */
	pthread_cond_t changed;
	struct cf_restore_job *free_jobs;
	unsigned n_jobs, n_jobs_max, n_jobs_taken;
	unsigned n_files; /* under way */
	struct cf_restore_level *left; /* nothing is inside them any more */
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
/* Something in the directory has ended. Called with the lock held. */
void cf_restore_leave_level(struct cf_restore *run, struct cf_restore_level *level);

/* restore_files.c: contents */
int cf_restore_file(struct cf_restore *run, const struct cf_node *node, struct cf_err *err);

/* restore_small.c: files that are one chunk or none */
bool cf_restore_is_small(const struct cf_restore *run, const struct cf_node *node);
int cf_restore_add_small(struct cf_restore *run, const struct cf_node *node, struct cf_restore_link *link,
			 struct cf_err *err);
/* Hand out those added so far. */
void cf_restore_flush_small(struct cf_restore *run);

/* restore_jobs.c: what is under way */
struct cf_restore_job *cf_restore_take_job(struct cf_restore *run); /* NULL: no memory */
void cf_restore_give_job(struct cf_restore *run, struct cf_restore_job *job);
/* Waits for the workers, which let go of the files of a job before they give it back. */
void cf_restore_free_jobs(struct cf_restore *run);
/* A file that is under way from now on. NULL: no memory. */
struct cf_restored_file *cf_restore_new_file(struct cf_restore *run, const struct cf_node *node,
					     struct cf_restore_link *link);
/* Nothing writes to the file any more: end it, or give it up when its rc says so. */
void cf_restore_end_file(struct cf_restored_file *file);
/* Hand out what the walk still holds, and wait until no file is under way. */
void cf_restore_drain(struct cf_restore *run);

/* restore_links.c: several names of one file */
/* 1: restored as another name of a file that is there. 0: *link_out is to be its first name, or NULL. */
int cf_restore_try_link(struct cf_restore *run, const struct cf_node *node, struct cf_restore_link **link_out,
			struct cf_err *err);
/* A node that has no content: symbolic link, fifo, socket, device. */
int cf_restore_other(struct cf_restore *run, const struct cf_node *node, struct cf_err *err);
void cf_restore_free_links(struct cf_restore *run);

#endif
