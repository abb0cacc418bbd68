#ifndef CF_BASE_TREE_H
#define CF_BASE_TREE_H

/*
 * Read access to the tree of one snapshot, for whoever needs it in an order of its own: a database's restore reads
 * the schema first and then many tables at once. Where every entry is wanted in the tree's order, the stream interface
 * (base/stream.h) is simpler and faster.
 *
 * Paths are relative to the root: "db/schema.sql"; "" is the root. Threads: all functions may be called from several
 * threads at once. Content is verified before it is handed out: CF_ERR_DAMAGED, never wrong bytes.
 */

#include "base/stream.h"

struct cf_err;
struct cf_tree;

/* Called with consecutive pieces in order, borrowed for the call. Return non-zero to stop: the caller gets it back. */
typedef int cf_tree_piece_fn(void *user, struct cf_span data, struct cf_err *err);

/* Called for each entry of a directory, in ascending byte order of names; entry is borrowed for the call. */
typedef int cf_tree_entry_fn(void *user, const struct cf_entry *entry, struct cf_err *err);

struct cf_tree_ops {
	/* *entry_out: free() it. CF_ERR_NOT_FOUND names the path. */
	int (*find)(struct cf_tree *tree, const char *path, struct cf_entry **entry_out, struct cf_err *err);

	int (*list)(struct cf_tree *tree, const char *path, cf_tree_entry_fn *each, void *user,
		    struct cf_err *err);

	/* Bytes off .. off+len of a file (cut at its end; UINT64_MAX: to the end), decoding ahead. */
	int (*read)(struct cf_tree *tree, const char *path, uint64_t off, uint64_t len,
		    cf_tree_piece_fn *take, void *user, struct cf_err *err);

	/* A fact of the whole snapshot (cf_sink_ops.fact), or NULL. Valid until the tree is closed. */
	const char *(*fact)(struct cf_tree *tree, const char *key);
};

/* The first member of every tree. */
struct cf_tree {
	const struct cf_tree_ops *ops;
};

/* The whole file into out (replaced), ended by a NUL that its length does not count. Longer than max_len is
 * CF_ERR_FAILED. */
int cf_tree_read_file(struct cf_tree *tree, const char *path, size_t max_len, struct cf_buf *out,
		      struct cf_err *err);

#endif
