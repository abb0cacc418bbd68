#include "repo/tree.h"

#include "base/err.h"
#include "repo/chunks.h"
#include "repo/format/dir_block.h"
#include "repo/handle.h"
#include "repo/snapshot.h"

#include <stdlib.h>

struct cf_dir_iter {
	struct cf_repo *repo;
	struct cf_content_cursor *cursor;
	uint64_t size; /* of the directory's content */
	struct cf_dir_block block;
	uint64_t block_off, block_end; /* of the block in it */
	size_t next; /* in the block */
};

int cf_dir_iter_new(struct cf_repo *repo, const struct cf_node *dir, struct cf_dir_iter **iter_out,
		    struct cf_err *err)
{
	struct cf_dir_iter *iter;
	int rc;

	if (dir->entry.type != CF_ENTRY_DIR)
		return cf_err_set(err, CF_ERR_NOT_FOUND, "%s is not a directory", dir->entry.name);
	iter = calloc(1, sizeof(*iter));
	if (!iter)
		return cf_err_nomem(err);
	iter->repo = repo;
	iter->size = dir->content.size;
	rc = cf_content_cursor_new(repo, &dir->content, &iter->cursor, err);
	if (rc < 0) {
		free(iter);
		return rc;
	}
	*iter_out = iter;
	return 0;
}

void cf_dir_iter_free(struct cf_dir_iter *iter)
{
	if (!iter)
		return;
	cf_content_cursor_free(iter->cursor);
	cf_dir_block_release(&iter->block);
	free(iter);
}

/* 1: the next block is there; 0: the end. */
static int load_block(struct cf_dir_iter *iter, struct cf_err *err)
{
	struct cf_buf bytes = CF_BUF_INIT;
	struct cf_extent extent;
	int rc = cf_content_cursor_next(iter->cursor, &extent, err);

	if (rc <= 0)
		return rc;
	cf_dir_block_release(&iter->block);
	iter->next = 0;
	iter->block_off = extent.off;
	iter->block_end = extent.off + extent.len;
	rc = cf_id_is_zero(&extent.id) ? cf_err_set(err, CF_ERR_DAMAGED, "a directory is damaged")
				       : cf_chunk_read(iter->repo, &extent.id, &bytes, err);
	if (rc == 0)
		rc = cf_dir_block_decode(&bytes, &iter->block, err);
	cf_buf_release(&bytes);
	return rc < 0 ? rc : 1;
}

int cf_dir_iter_next(struct cf_dir_iter *iter, const struct cf_node **node_out, struct cf_err *err)
{
	while (iter->next == iter->block.n) {
		int rc = load_block(iter, err);

		if (rc <= 0)
			return rc;
	}
	*node_out = &iter->block.nodes[iter->next++];
	return 1;
}

static int find_in_block(struct cf_dir_iter *iter, const char *name, const struct cf_node **node_out)
{
	size_t low = 0, high = iter->block.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(iter->block.nodes[middle].entry.name, name);

		if (order == 0) {
			*node_out = &iter->block.nodes[middle];
			return 1;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}

/* Less than 0 when the name lies before the block, 0 when in it, more when behind it. */
static int compare_block(const struct cf_dir_block *block, const char *name)
{
	if (block->n == 0 || strcmp(block->nodes[block->n - 1].entry.name, name) < 0)
		return 1;
	return strcmp(block->nodes[0].entry.name, name) > 0 ? -1 : 0;
}

int cf_dir_iter_find(struct cf_dir_iter *iter, const char *name, const struct cf_node **node_out,
		     struct cf_err *err)
{
	uint64_t low = 0, high = iter->size; /* where a block that may have it begins */
	bool try_next = false;

	if (iter->block.n) {
		int order = compare_block(&iter->block, name);

		if (order == 0)
			return find_in_block(iter, name, node_out);
		/* Names are mostly asked for in ascending order: the next block is likeliest. */
		try_next = order > 0;
		*(order < 0 ? &high : &low) = order < 0 ? iter->block_off : iter->block_end;
	}
	for (; low < high; try_next = false) {
		uint64_t middle = try_next ? low : low + (high - low) / 2;
		int order, rc = cf_content_cursor_seek(iter->cursor, middle, err);

		if (rc == 0)
			rc = load_block(iter, err);
		if (rc <= 0)
			return rc;
		order = compare_block(&iter->block, name);
		if (order == 0)
			return find_in_block(iter, name, node_out);
		if (order < 0)
			high = iter->block_off;
		else
			low = iter->block_end;
	}
	return 0;
}

struct cf_node *cf_node_dup(const struct cf_node *node)
{
	struct cf_node *copy = cf_entry_dup_in(&node->entry, sizeof(*copy));

	if (copy)
		copy->content = node->content;
	return copy;
}

/* The root's own entry is the one in the block that the snapshot names. */
static int find_root(struct cf_repo *repo, const struct cf_snapshot *snapshot, struct cf_node **node_out,
		     struct cf_err *err)
{
	const struct cf_node above = {.entry = {.type = CF_ENTRY_DIR, .name = ""}, .content = snapshot->root};
	struct cf_dir_iter *iter = NULL;
	const struct cf_node *root = NULL;
	struct cf_node node;
	int rc = cf_dir_iter_new(repo, &above, &iter, err);

	if (rc == 0)
		rc = cf_dir_iter_next(iter, &root, err);
	if (rc == 1 && root->entry.type == CF_ENTRY_DIR) {
		node = *root;
		node.entry.name = "";
		*node_out = cf_node_dup(&node);
		rc = *node_out ? 0 : cf_err_nomem(err);
	} else if (rc >= 0) {
		rc = cf_err_set(err, CF_ERR_DAMAGED, "it has no root directory");
	}
	cf_dir_iter_free(iter);
	if (rc < 0)
		cf_err_wrap(err, "snapshot %.8s", cf_id_text(&snapshot->id).s);
	return rc;
}

/* Replace *node, a directory, by its entry of this name. */
static int descend(struct cf_repo *repo, struct cf_node **node, const char *name, const char *path,
		   struct cf_err *err)
{
	struct cf_dir_iter *iter = NULL;
	const struct cf_node *found = NULL;
	struct cf_node *next = NULL;
	int rc = 0;

	if ((*node)->entry.type == CF_ENTRY_DIR) {
		rc = cf_dir_iter_new(repo, *node, &iter, err);
		if (rc == 0)
			rc = cf_dir_iter_find(iter, name, &found, err);
	}
	if (rc == 0)
		rc = cf_err_set(err, CF_ERR_NOT_FOUND, "there is no %s in the snapshot", path);
	if (rc == 1) {
		next = cf_node_dup(found);
		rc = next ? 0 : cf_err_nomem(err);
	}
	cf_dir_iter_free(iter);
	if (rc == 0) {
		free(*node);
		*node = next;
	}
	return rc;
}

int cf_tree_find(struct cf_repo *repo, const struct cf_snapshot *snapshot, const char *path,
		 struct cf_node **node_out, struct cf_err *err)
{
	char *parts = strdup(path), *save = NULL;
	struct cf_node *node = NULL;
	int rc = parts ? find_root(repo, snapshot, &node, err) : cf_err_nomem(err);

	if (rc == 0)
		for (char *name = strtok_r(parts, "/", &save); rc == 0 && name; name = strtok_r(NULL, "/", &save))
			rc = descend(repo, &node, name, path, err);
	free(parts);
	if (rc < 0) {
		free(node);
		return rc;
	}
	*node_out = node;
	return 0;
}
