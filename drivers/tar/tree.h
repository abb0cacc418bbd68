#ifndef CF_DRIVERS_TAR_TREE_H
#define CF_DRIVERS_TAR_TREE_H

/*
 * The directories of an archive, which names its members in any order and a directory's attributes
 * before or after what is in it, or never. Every directory stays open in the sink until the end.
 */

#include "base/stream.h"

struct cf_err;
struct cf_tar_dir;

struct cf_tar_tree {
	struct cf_sink *sink;
	int64_t now_ns; /* for directories the archive does not tell about */
	struct cf_tar_dir *root;
	struct cf_tar_dir *last; /* of all, by age, newest first */
	void *by_name;		 /* tsearch tree */
};

/* Start with {0}; begins the root in the sink. */
int cf_tar_tree_begin(struct cf_tar_tree *tree, struct cf_sink *sink, int64_t now_ns,
		      struct cf_err *err);

/* The sink's directory at a clean path ("" is the root), begun if need be, and its parents. */
int cf_tar_tree_dir(struct cf_tar_tree *tree, const char *path, struct cf_dir **dir_out,
		    struct cf_err *err);

/* The directory at path has these attributes; entry->name is its last component. */
int cf_tar_tree_set(struct cf_tar_tree *tree, const char *path, const struct cf_entry *entry,
		    struct cf_err *err);

/* True when the path was opened as a directory. */
bool cf_tar_tree_has(struct cf_tar_tree *tree, const char *path);

/* End all directories in the sink, children first. */
int cf_tar_tree_end(struct cf_tar_tree *tree, struct cf_err *err);

void cf_tar_tree_release(struct cf_tar_tree *tree);

/* An archive's path as "a/b/c" in out (appended with a NUL): without a leading "/" or "./", without
 * empty or "." components. False for a path with "..", or one that is too long. CF_ERR_NOMEM
 * through err. */
int cf_tar_path_clean(const char *path, struct cf_buf *out, bool *ok_out, struct cf_err *err);

/* True when a file system takes each component of a clean path as a name. */
bool cf_tar_path_restorable(const char *path);

#endif
