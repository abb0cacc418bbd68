#ifndef CF_REPO_PIPELINE_H
#define CF_REPO_PIPELINE_H

/*
 * From bytes to packs: the inside of the writer (repo/writer.h), for repo/writer*.c, repo/batch.c and repo/delta.c only.
 *
 * Whoever writes a file cuts its bytes into chunks, in a batch: up to one frame of consecutive chunks. Workers take
 * batches: ids, what is known, deltas, one compressed frame of the rest, verify, seal. A batch's results go back to its
 * files in any order; a file puts them in order and feeds its content list. When the last is in, the file's entry is
 * complete; when all entries of an ended directory are, so is the directory.
 */

#include "base/err.h"
#include "base/pool.h"
#include "repo/blob.h"
#include "repo/content.h"
#include "repo/handle.h"
#include "repo/lease.h"
#include "repo/lists.h"
#include "repo/packer.h"
#include "repo/tree.h"
#include "repo/writer.h"

#include <stdatomic.h>

struct cf_old_content;

enum {
	CF_BATCH_CHUNKS_MAX = 2048
};

struct cf_batch_chunk {
	uint32_t off, len; /* in the batch */
	struct cf_file *file;
	uint64_t file_off; /* of the chunk in its content */
	struct cf_id id;
	bool is_stored; /* known, or stored as a delta: not for the frame */
};

/* Consecutive chunks of one file in a batch. */
struct cf_batch_run {
	struct cf_file *file;
	uint64_t first_seq;
	uint32_t first_chunk, n;
};

struct cf_batch {
	struct cf_job job;
	struct cf_writer *writer;
	struct cf_batch *next_free;
	uint8_t *data;
	size_t len, capacity;
	struct cf_batch_chunk *chunks;
	struct cf_batch_run *runs;
	size_t n_chunks, n_runs;
};

/* A content that several entries share: hard links. Guarded by the writer's link lock. */
struct cf_origin {
	uint64_t dev, ino;
	bool is_done;
	struct cf_content content;
	struct cf_waiter {
		struct cf_dir *dir;
		struct cf_slot *slot;
		struct cf_waiter *next;
	} *waiters;
	struct cf_origin *next; /* in its bucket */
};

/* A place in a directory for an entry that may not be complete yet. */
struct cf_slot {
	struct cf_node *node;
	bool is_done, is_dropped;
	struct cf_origin *origin; /* NULL, or other entries may want this one's content. Under the link lock */
	bool has_content;	  /* node->content is set. Under the link lock */
	struct cf_slot *next;
};

struct cf_dir {
	struct cf_writer *writer;
	struct cf_dir *parent;
	struct cf_slot *slot; /* in the parent; NULL for the root */
	struct cf_node *node; /* the root's; others stand in their slot */
	bool is_sorted;

	pthread_mutex_t old_lock;
	struct cf_dir_iter *old; /* the same directory in the parent snapshot, or NULL. Under old_lock */

	pthread_mutex_t lock; /* everything below, and the entries of the slots */
	struct cf_slot *first, **last;
	size_t n_open; /* entries not complete */
	bool has_ended;
	struct cf_buf block;
	size_t n_in_block;
	struct cf_list_builder list;
	struct cf_dir *newer, *older; /* all that live. Under the live lock */
};

/* Results that came before their turn. */
struct cf_early {
	uint64_t seq;
	size_t n;
	struct cf_early *next;
	struct cf_list_entry entries[];
};

struct cf_file {
	struct cf_writer *writer;
	struct cf_dir *dir;
	struct cf_slot *slot;
	struct cf_chunker chunker;
	struct cf_batch *batch; /* being filled. Producer's thread only */
	uint64_t off;		/* of the next byte to cut. Producer's thread only */
	uint64_t n_seq;		/* chunks and holes handed out. Producer's thread only until has_ended */
	struct cf_old_content *old; /* the same file in the parent snapshot, or NULL */
	bool is_compressed; /* by the source: stored as it is */

	/*
	 * Shared content (cf_sink_ops.file_share). What is delivered to this file at seq is delivered to its sharer at
	 * share_seq + seq. Set before anything is handed out; the sharer does not end before this file has, nor is it
	 * complete before all of this file's results are in, so workers may use it without a lock.
	 */
	struct cf_file *sharer;
	uint64_t share_seq;
	/* The sharer's side. Producer's thread only */
	bool is_sharing;   /* the file it shares from has not ended */
	bool has_shared;   /* now or before */
	bool is_given_up; /* while sharing: dropped when that ends */

	pthread_mutex_t lock; /* everything below */
	uint64_t next_seq;
	struct cf_early *early; /* by seq */
	bool has_ended, is_dropped;
	struct cf_list_builder list;
	struct cf_file *newer, *older; /* all that live. Under the live lock */
};

struct cf_counters {
	atomic_uint_least64_t bytes_total, bytes_restored, bytes_read, chunks_new, chunks_delta, chunks_known, files, dirs, others,
		files_unchanged;
};

#define CF_LINK_BUCKETS 4096

struct cf_writer {
	struct cf_sink sink;
	struct cf_repo *repo;
	struct cf_packer *packer;
	struct cf_lease *lease; /* NULL in a dry run */
	enum cf_codec codec; /* of new frames; raw: nothing is compressed */
	int level;
	size_t frame_len;
	bool ignore_times, dry_run, no_delta;
	int64_t begun_ns;
	atomic_int_least64_t reported_ns;
	struct cf_snapshot *draft;  /* becomes the snapshot. Its facts under fact_lock */
	pthread_mutex_t fact_lock;
	struct cf_snapshot *parent; /* or NULL */
	struct cf_counters counters;
	atomic_uint_least64_t expected_bytes, expected_items;

	struct cf_batch *small; /* filled by small files. Under small_lock */
	pthread_mutex_t small_lock;
	pthread_mutex_t batch_lock; /* the free list */
	struct cf_batch *free_batches;

	pthread_mutex_t link_lock;
	struct cf_origin *origins[CF_LINK_BUCKETS];

	/* Directories begun and not ended, the root first. Under the live lock */
	struct cf_dir **open_dirs;
	size_t n_open_dirs, open_dirs_capacity;
	uint64_t n_made_inos;

	pthread_mutex_t error_lock;
	atomic_bool has_failed;
	struct cf_err error; /* the first */

	pthread_mutex_t live_lock;
	struct cf_file *live_files; /* begun and not freed */
	struct cf_dir *live_dirs;

	struct cf_content root; /* once the root directory is complete */
	bool has_root;
};

/* writer.c */
void cf_writer_fail(struct cf_writer *writer, const struct cf_err *err);
/* 0, or the first error of any thread. */
int cf_writer_check(struct cf_writer *writer, struct cf_err *err);
void cf_writer_report(struct cf_writer *writer);

static inline struct cf_writer *cf_writer_of(struct cf_sink *sink)
{
	return (struct cf_writer *)sink;
}

/* writer_files.c: the sink's calls on files */
int cf_writer_file_begin(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
			 const struct cf_profile *profile, struct cf_file **file_out, struct cf_err *err);
int cf_writer_file_write(struct cf_sink *sink, struct cf_file *file, struct cf_span data, struct cf_err *err);
int cf_writer_file_hole(struct cf_sink *sink, struct cf_file *file, uint64_t len, struct cf_err *err);
int cf_writer_file_share(struct cf_sink *sink, struct cf_file *file, struct cf_file *from, struct cf_err *err);
int cf_writer_file_end(struct cf_sink *sink, struct cf_file *file, const struct cf_entry *entry,
		       struct cf_err *err);
void cf_writer_file_abort(struct cf_sink *sink, struct cf_file *file);
/* Hand over what small files have left, so that everything begun can complete. */
void cf_writer_submit_small(struct cf_writer *writer);

/* writer_tree.c: directories */
/* The entry of this name in the parent snapshot's directory, without its texts: 1, or 0. What cannot be read of the
 * parent is simply not used. */
int cf_dir_find_old(struct cf_dir *dir, const char *name, struct cf_node *old_out);
int cf_writer_store_tree(struct cf_writer *writer, struct cf_span plain, struct cf_id *id_out,
			 struct cf_err *err);
int cf_list_store_tree(void *writer, struct cf_span list, struct cf_id *id_out, struct cf_err *err);
int cf_dir_open(struct cf_writer *writer, struct cf_dir *parent, const struct cf_entry *entry, unsigned flags,
		struct cf_dir **dir_out, struct cf_err *err);
int cf_dir_end(struct cf_dir *dir, const struct cf_entry *entry, struct cf_err *err);
void cf_dirs_release(struct cf_writer *writer);
int cf_slot_add(struct cf_dir *dir, const struct cf_entry *entry, struct cf_slot **slot_out,
		struct cf_err *err);
/* Other attributes than it began with. The entry is not complete yet. */
int cf_slot_replace(struct cf_dir *dir, struct cf_slot *slot, const struct cf_entry *entry,
		    struct cf_err *err);
/* The entry is complete; NULL content drops it. May complete the directory and those above. */
int cf_slot_done(struct cf_dir *dir, struct cf_slot *slot, const struct cf_content *content,
		 struct cf_err *err);

/* writer_links.c: hard links */
/* 1: the entry takes the content of the same file met before; it is or will be completed. 0: it is the first. */
int cf_links_take(struct cf_writer *writer, struct cf_dir *dir, struct cf_slot *slot, struct cf_err *err);
int cf_links_join(struct cf_writer *writer, struct cf_dir *dir, const struct cf_entry *entry, const char *from,
		  struct cf_err *err);
/* The slot has its content (NULL: it is dropped): give it to those that wait for it. */
int cf_links_content(struct cf_writer *writer, struct cf_slot *slot, const struct cf_content *content,
		     struct cf_err *err);
/* The file was given up: its next name is read by itself. */
void cf_links_forget(struct cf_writer *writer, struct cf_slot *slot);
void cf_links_release(struct cf_writer *writer);

/* batch.c */
int cf_batch_take(struct cf_writer *writer, struct cf_batch **batch_out, struct cf_err *err);
void cf_batch_give(struct cf_batch *batch);
void cf_batch_free(struct cf_batch *batch);
void cf_batch_submit(struct cf_batch *batch);
/* Results, in file order or not; completes the file with its last. */
int cf_file_deliver(struct cf_file *file, uint64_t seq, const struct cf_list_entry *entries, size_t n,
		    struct cf_err *err);
/* The producer is through with the file. It is freed, and its entry complete, once all results are in. */
int cf_file_end(struct cf_file *file, bool is_dropped, struct cf_err *err);
int cf_file_new(struct cf_writer *writer, struct cf_dir *dir, struct cf_slot *slot, struct cf_file **file_out,
		struct cf_err *err);
/* Those that a failed backup left. */
void cf_files_release(struct cf_writer *writer);

/* delta.c */
int cf_old_content_new(struct cf_repo *repo, const struct cf_content *content, struct cf_old_content **old_out,
		       struct cf_err *err);
void cf_old_content_free(struct cf_old_content *old);
/* The chunk at off was known: if the old content has it nearby, that is where the streams run together. */
void cf_old_content_sync(struct cf_old_content *old, uint64_t off, const struct cf_id *id);
/* Read and check, all at once, what the first of the chunks will probably have as bases. */
int cf_delta_expect(struct cf_writer *writer, const struct cf_batch_chunk *chunks, size_t n, struct cf_err *err);
/* 1: stored as a delta. 0: store it whole, with *sketch_out. */
int cf_delta_store(struct cf_writer *writer, struct cf_coder_slot *slot, const struct cf_batch_chunk *chunk,
		   struct cf_span plain, struct cf_sketch *sketch_out, struct cf_err *err);

#endif
