#ifndef CF_REPO_TREE_H
#define CF_REPO_TREE_H

/* The tree of a snapshot: nodes, and walking directories. */

#include "base/stream.h"
#include "repo/content.h"

struct cf_err;
struct cf_repo;
struct cf_snapshot;

/* An entry and, for files and directories, its content. */
struct cf_node {
	struct cf_entry entry;
	struct cf_content content;
};

/* A node of its own in one allocation; free() it. */
struct cf_node *cf_node_dup(const struct cf_node *node);

/* The node at a path below the snapshot's root ("", "/", "a/b", "/a/b/"). CF_ERR_NOT_FOUND. free() it. */
int cf_tree_find(struct cf_repo *repo, const struct cf_snapshot *snapshot, const char *path,
		 struct cf_node **node_out, struct cf_err *err);

/* The entries of a directory in ascending order of names (bytes). One thread per iterator. */
struct cf_dir_iter;

int cf_dir_iter_new(struct cf_repo *repo, const struct cf_node *dir, struct cf_dir_iter **iter_out,
		    struct cf_err *err);
void cf_dir_iter_free(struct cf_dir_iter *iter);
/* 1 and *node_out, borrowed until the next call; 0 at the end; or an error. */
int cf_dir_iter_next(struct cf_dir_iter *iter, const struct cf_node **node_out, struct cf_err *err);
/* One entry by name: 1 and *node_out as above, 0 when it is not there. Reads the block it left off at, the next, and
 * then looks for the right one by halves. After it next() must not be called. */
int cf_dir_iter_find(struct cf_dir_iter *iter, const char *name, const struct cf_node **node_out,
		     struct cf_err *err);

#endif
