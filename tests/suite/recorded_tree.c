#include "tests/suite/recorded_tree.h"

#include "base/err.h"
#include "tests/suite/sink_recorder.h"

#include <stdlib.h>
#include <string.h>

static int find_recorded(struct cf_tree *tree, const char *path, struct cf_recorded **out,
			 struct cf_err *err)
{
	*out = cf_sink_recorder_find(((struct cf_recorded_tree *)tree)->recorder, path);
	return *out ? 0 : cf_err_set(err, CF_ERR_NOT_FOUND, "there is no %s", path);
}

/* The size that was pushed may have been a hint. */
static struct cf_entry exact_entry(const struct cf_recorded *recorded)
{
	struct cf_entry entry = *recorded->entry;

	entry.size = entry.type == CF_ENTRY_FILE ? recorded->content_len : 0;
	return entry;
}

static int find(struct cf_tree *tree, const char *path, struct cf_entry **entry_out,
		struct cf_err *err)
{
	struct cf_recorded *recorded;
	struct cf_entry entry;
	int rc = find_recorded(tree, path, &recorded, err);

	if (rc < 0)
		return rc;
	entry = exact_entry(recorded);
	*entry_out = cf_entry_dup(&entry);
	return *entry_out ? 0 : cf_err_nomem(err);
}

static int by_name(const void *a, const void *b)
{
	const struct cf_recorded *first = *(struct cf_recorded *const *)a,
				 *second = *(struct cf_recorded *const *)b;

	return strcmp(first->entry->name, second->entry->name);
}

static int list(struct cf_tree *tree, const char *path, cf_tree_entry_fn *each, void *user,
		struct cf_err *err)
{
	struct cf_recorded *dir, **children;
	size_t n = 0;
	int rc = find_recorded(tree, path, &dir, err);

	if (rc < 0)
		return rc;
	children = calloc(dir->n_children + 1, sizeof(struct cf_recorded *));
	if (!children)
		return cf_err_nomem(err);
	for (struct cf_recorded *child = dir->first_child; child; child = child->next)
		children[n++] = child;
	qsort(children, n, sizeof(struct cf_recorded *), by_name);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct cf_entry entry = exact_entry(children[i]);

		rc = each(user, &entry, err);
	}
	free(children);
	return rc;
}

static int read_content(struct cf_tree *tree, const char *path, uint64_t off, uint64_t len,
			cf_tree_piece_fn *take, void *user, struct cf_err *err)
{
	const struct cf_recorded_tree *recorded_tree = (struct cf_recorded_tree *)tree;
	size_t max = recorded_tree->piece_len ? recorded_tree->piece_len : 64 * 1024;
	struct cf_recorded *file;
	uint64_t end;
	int rc = find_recorded(tree, path, &file, err);

	if (rc == 0 && recorded_tree->damaged && strcmp(recorded_tree->damaged, path) == 0)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "%s is damaged", path);
	if (rc < 0)
		return rc;
	end = off > file->content.len || len > file->content.len - off ? file->content.len
								       : off + len;
	while (rc == 0 && off < end) {
		size_t n = end - off < max ? (size_t)(end - off) : max;

		rc = take(user, cf_span_of(file->content.data + off, n), err);
		off += n;
	}
	return rc;
}

static const char *fact(struct cf_tree *tree, const char *key)
{
	return cf_sink_recorder_fact(((struct cf_recorded_tree *)tree)->recorder, key);
}

struct cf_recorded_tree cf_recorded_tree_of(const struct cf_sink_recorder *recorder)
{
	static const struct cf_tree_ops ops = {
		.find = find, .list = list, .read = read_content, .fact = fact};

	return (struct cf_recorded_tree){.tree.ops = &ops, .recorder = recorder};
}
