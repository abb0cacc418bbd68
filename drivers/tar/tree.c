#include "drivers/tar/tree.h"

#include "base/err.h"

#include <limits.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Each component becomes a directory: an archive of a few bytes must not open millions of them. */
#define PATH_LEN_MAX 16384

struct cf_tar_dir {
	struct cf_tar_dir *parent;
	struct cf_tar_dir *older;
	struct cf_dir *handle;
	struct cf_entry *final; /* NULL: the archive has not told */
	const char *name;	/* own bytes behind the struct, or a key's */
	size_t name_len;
};

static int compare(const void *a, const void *b)
{
	const struct cf_tar_dir *x = a, *y = b;
	size_t len = x->name_len < y->name_len ? x->name_len : y->name_len;
	int order;

	if (x->parent != y->parent)
		return (uintptr_t)x->parent < (uintptr_t)y->parent ? -1 : 1;
	order = memcmp(x->name, y->name, len);
	if (order != 0)
		return order;
	return (x->name_len > y->name_len) - (x->name_len < y->name_len);
}

static struct cf_tar_dir *find(struct cf_tar_tree *tree, struct cf_tar_dir *parent,
			       const char *name, size_t len)
{
	struct cf_tar_dir key = {.parent = parent, .name = name, .name_len = len};
	struct cf_tar_dir **node = tfind(&key, &tree->by_name, compare);

	return node ? *node : NULL;
}

static int add(struct cf_tar_tree *tree, struct cf_tar_dir *parent, const char *name, size_t len,
	       struct cf_tar_dir **dir_out, struct cf_err *err)
{
	struct cf_tar_dir *dir = calloc(1, sizeof(*dir) + len + 1);
	struct cf_entry entry = {
		.type = CF_ENTRY_DIR,
		.mode = 0755,
		.uid = geteuid(),
		.gid = getegid(),
		.mtime_ns = tree->now_ns,
		.nlink = 1,
	};
	int rc;

	if (!dir)
		return cf_err_nomem(err);
	memcpy(dir + 1, name, len);
	dir->name = (const char *)(dir + 1);
	dir->name_len = len;
	dir->parent = parent;
	entry.name = dir->name;
	if (!tsearch(dir, &tree->by_name, compare)) {
		free(dir);
		return cf_err_nomem(err);
	}
	dir->older = tree->last;
	tree->last = dir;
	rc = tree->sink->ops->dir_begin(tree->sink, parent ? parent->handle : NULL, &entry, 0,
					&dir->handle, err);
	*dir_out = dir;
	return rc;
}

/* make false: *dir_out is NULL for a directory that is not there. */
static int walk(struct cf_tar_tree *tree, const char *path, bool make, struct cf_tar_dir **dir_out,
		struct cf_err *err)
{
	struct cf_tar_dir *dir = tree->root;
	int rc = 0;

	while (rc == 0 && dir && *path) {
		size_t len = strcspn(path, "/");
		struct cf_tar_dir *child = find(tree, dir, path, len);

		if (!child && make)
			rc = add(tree, dir, path, len, &child, err);
		dir = child;
		path += len;
		path += *path == '/';
	}
	*dir_out = dir;
	return rc;
}

int cf_tar_tree_begin(struct cf_tar_tree *tree, struct cf_sink *sink, int64_t now_ns,
		      struct cf_err *err)
{
	tree->sink = sink;
	tree->now_ns = now_ns;
	return add(tree, NULL, "", 0, &tree->root, err);
}

int cf_tar_tree_dir(struct cf_tar_tree *tree, const char *path, struct cf_dir **dir_out,
		    struct cf_err *err)
{
	struct cf_tar_dir *dir;
	int rc = walk(tree, path, true, &dir, err);

	if (rc == 0)
		*dir_out = dir->handle;
	return rc;
}

int cf_tar_tree_set(struct cf_tar_tree *tree, const char *path, const struct cf_entry *entry,
		    struct cf_err *err)
{
	struct cf_tar_dir *dir;
	int rc = walk(tree, path, true, &dir, err);

	if (rc < 0)
		return rc;
	free(dir->final);
	dir->final = cf_entry_dup(entry);
	return dir->final ? 0 : cf_err_nomem(err);
}

bool cf_tar_tree_has(struct cf_tar_tree *tree, const char *path)
{
	struct cf_tar_dir *dir;

	walk(tree, path, false, &dir, NULL);
	return dir != NULL;
}

/* A directory is younger than its parent: by age is children first. */
int cf_tar_tree_end(struct cf_tar_tree *tree, struct cf_err *err)
{
	for (struct cf_tar_dir *dir = tree->last; dir; dir = dir->older) {
		int rc = tree->sink->ops->dir_end(tree->sink, dir->handle, dir->final, err);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static void free_dir(void *node)
{
	struct cf_tar_dir *dir = node;

	free(dir->final);
	free(dir);
}

void cf_tar_tree_release(struct cf_tar_tree *tree)
{
	tdestroy(tree->by_name, free_dir);
	tree->by_name = NULL;
	tree->root = NULL;
	tree->last = NULL;
}

int cf_tar_path_clean(const char *path, struct cf_buf *out, bool *ok_out, struct cf_err *err)
{
	size_t start = out->len;
	int rc = 0;

	*ok_out = strlen(path) <= PATH_LEN_MAX;
	while (rc == 0 && *ok_out && *path) {
		size_t len = strcspn(path, "/");

		if (len == 2 && memcmp(path, "..", 2) == 0)
			*ok_out = false;
		if (len > 0 && !(len == 1 && path[0] == '.')) {
			if (out->len > start)
				rc = cf_buf_append(out, "/", 1, err);
			if (rc == 0)
				rc = cf_buf_append(out, path, len, err);
		}
		path += len;
		path += *path == '/';
	}
	return rc < 0 ? rc : cf_buf_append(out, "", 1, err);
}

bool cf_tar_path_restorable(const char *path)
{
	while (*path) {
		size_t len = strcspn(path, "/");

		if (len > NAME_MAX)
			return false;
		path += len + (path[len] == '/');
	}
	return true;
}
