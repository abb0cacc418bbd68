#ifndef CF_FUSE_DIRS_H
#define CF_FUSE_DIRS_H

/*
 * Directories for a mount: a name is found by binary search over the directory's blocks, and a listing goes on from
 * any position. Decoded blocks are shared through a cache. Any thread.
 */

#include "fuse/cache.h"
#include "repo/tree.h"

struct cf_dirs;
struct cf_dir_reader;

/* budget: bytes of decoded blocks kept. */
int cf_dirs_new(struct cf_repo *repo, size_t budget, struct cf_dirs **dirs_out, struct cf_err *err);
void cf_dirs_free(struct cf_dirs *dirs);

int cf_dir_reader_open(struct cf_dirs *dirs, const struct cf_content *content,
		       struct cf_dir_reader **reader_out, struct cf_err *err);
void cf_dir_reader_close(struct cf_dir_reader *reader);

/* Called with a borrowed node. Below 0: an error; above 0: stop. */
typedef int cf_dir_node_fn(void *user, const struct cf_node *node, uint64_t next, struct cf_err *err);

/* 1 when fn was called with the entry of this name (next is 0), 0 when there is none, or an error. */
int cf_dir_reader_find(struct cf_dir_reader *reader, const char *name, cf_dir_node_fn *fn, void *user,
		       struct cf_err *err);

/* The entries from a position on: 0, or a `next` that fn was given. 0 at the end, 1 when fn stopped it, or an error. */
int cf_dir_reader_each(struct cf_dir_reader *reader, uint64_t position, cf_dir_node_fn *fn, void *user,
		       struct cf_err *err);

#endif
