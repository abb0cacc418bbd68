#ifndef CF_TESTS_SUITE_SINK_RECORDER_H
#define CF_TESTS_SUITE_SINK_RECORDER_H

/*
 * A sink that keeps what a driver pushes, in memory, for tests.
 *
 * It also watches the contract of base/stream.h: a call out of order, an invalid name, or a name
 * out of order in a CF_DIR_SORTED directory fails an assert. In other directories the later entry of
 * a name wins. Files may be pushed from several threads. Build it by putting sink_recorder among a
 * test's dependencies (tests/unit/meson.build).
 */

#include "base/stream.h"

#include <pthread.h>

struct cf_recorded_hole {
	uint64_t off, len;
};

/* One entry, with its content or children. All of it belongs to the recorder. */
struct cf_recorded {
	struct cf_entry *entry;      /* the final attributes, with facts and extended attributes */
	struct cf_recorded *parent;  /* NULL for the root */
	struct cf_recorded *next;    /* the directory's next child, in the order they came; */
	struct cf_recorded *first_child, *last_child;
	size_t n_children;           /* those given up by file_abort are not among them */
	unsigned dir_flags;
	struct cf_profile profile;
	struct cf_buf content;       /* holes are zeros here too, unless drop_content is set */
	uint64_t content_len;
	struct cf_recorded_hole *holes; /* as pushed, adjacent ones not joined */
	size_t n_holes;
	struct cf_recorded *sharer;  /* gets this file's content too (file_share) */
	bool is_sharing;             /* the file it shares from has not ended */
	bool ended;
	bool wanted;                 /* false: file_begin said that no content is needed */
	char *linked_from;           /* made by link(): the path it was given, else NULL */
	struct cf_recorded *all_next; /* the recorder's */
};

enum cf_recorder_step {
	CF_RECORDER_DIR_BEGIN,
	CF_RECORDER_DIR_END,
	CF_RECORDER_NODE,
	CF_RECORDER_FILE_BEGIN,
	CF_RECORDER_FILE_WRITE,
	CF_RECORDER_FILE_HOLE,
	CF_RECORDER_FILE_END,
	CF_RECORDER_FILE_ABORT,
	CF_RECORDER_LINK,
	CF_RECORDER_FACT,
	CF_RECORDER_FILE_SHARE
};

/* Set any of these after cf_sink_recorder_new() and before the driver runs. */
struct cf_sink_recorder {
	struct cf_sink sink; /* pass &recorder->sink to the driver */

	/* NULL, or called at the start of every step, entry NULL for FACT: a test's chance to change the
	 * source meanwhile. What it returns below 0 (with err set) fails the step. */
	int (*hook)(void *user, enum cf_recorder_step step, const struct cf_entry *entry,
		    struct cf_err *err);
	/* NULL, or says whether a file's content is wanted, as a writer does for unchanged files. */
	bool (*wants)(void *user, const struct cf_entry *entry);
	void *user;
	bool drop_content; /* count bytes only, for big sources */

	struct cf_recorded *root; /* NULL until dir_begin */
	struct cf_recorded *all;
	struct cf_fact *facts; /* of the source, in order */
	size_t n_facts;
	size_t n_files, n_dirs, n_nodes, n_links, n_aborted; /* files: ended ones and unwanted ones */
	uint64_t expected_bytes, expected_items;             /* the last expect() */
	pthread_mutex_t lock;
};

/* NULL when memory is out. */
struct cf_sink_recorder *cf_sink_recorder_new(void);
void cf_sink_recorder_free(struct cf_sink_recorder *recorder);

/* "a/b/c" from the root; "" is the root. NULL when there is no such entry (or it was given up). */
struct cf_recorded *cf_sink_recorder_find(const struct cf_sink_recorder *recorder, const char *path);

/* The content as text, with a NUL behind it. */
const char *cf_sink_recorder_text(struct cf_recorded *recorded);

/* A fact of the source, or of an entry; NULL when absent. The last one given wins. */
const char *cf_sink_recorder_fact(const struct cf_sink_recorder *recorder, const char *key);
const char *cf_sink_recorder_entry_fact(const struct cf_recorded *recorded, const char *key);

/* An extended attribute's value; NULL when absent. */
const struct cf_span *cf_sink_recorder_xattr(const struct cf_recorded *recorded, const char *name);

#endif
