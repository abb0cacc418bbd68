#include "fuse/dirs.h"

#include "repo/chunks.h"
#include "repo/format/dir_block.h"

#include <stdlib.h>

struct cf_dirs {
	struct cf_repo *repo;
	struct cf_cache *blocks;
};

struct cf_dir_reader {
	struct cf_dirs *dirs;
	struct cf_id *blocks;
	size_t n;
};

/* A position is a block's number and the entry's place in it. */
enum {
	PLACE_BITS = 24
};

static void free_block(void *value)
{
	cf_dir_block_release(value);
	free(value);
}

int cf_dirs_new(struct cf_repo *repo, size_t budget, struct cf_dirs **dirs_out, struct cf_err *err)
{
	struct cf_dirs *dirs = calloc(1, sizeof(*dirs));
	int rc;

	if (!dirs)
		return cf_err_nomem(err);
	dirs->repo = repo;
	rc = cf_cache_new(budget, free_block, &dirs->blocks, err);
	if (rc < 0) {
		free(dirs);
		return rc;
	}
	*dirs_out = dirs;
	return 0;
}

void cf_dirs_free(struct cf_dirs *dirs)
{
	if (!dirs)
		return;
	cf_cache_free(dirs->blocks);
	free(dirs);
}

static int add_block(struct cf_dir_reader *reader, const struct cf_extent *extent, size_t *capacity,
		     struct cf_err *err)
{
	if (cf_id_is_zero(&extent->id))
		return cf_err_set(err, CF_ERR_DAMAGED, "a directory is damaged");
	if (reader->n == *capacity) {
		size_t wanted = *capacity ? 2 * *capacity : 4;
		struct cf_id *blocks = realloc(reader->blocks, wanted * sizeof(*blocks));

		if (!blocks)
			return cf_err_nomem(err);
		reader->blocks = blocks;
		*capacity = wanted;
	}
	reader->blocks[reader->n++] = extent->id;
	return 0;
}

static int list_blocks(struct cf_dir_reader *reader, const struct cf_content *content, struct cf_err *err)
{
	struct cf_content_cursor *cursor = NULL;
	struct cf_extent extent;
	size_t capacity = 0;
	int rc = cf_content_cursor_new(reader->dirs->repo, content, &cursor, err);

	while (rc == 0) {
		rc = cf_content_cursor_next(cursor, &extent, err);
		if (rc <= 0)
			break;
		rc = add_block(reader, &extent, &capacity, err);
	}
	cf_content_cursor_free(cursor);
	return rc;
}

int cf_dir_reader_open(struct cf_dirs *dirs, const struct cf_content *content,
		       struct cf_dir_reader **reader_out, struct cf_err *err)
{
	struct cf_dir_reader *reader = calloc(1, sizeof(*reader));
	int rc;

	if (!reader)
		return cf_err_nomem(err);
	reader->dirs = dirs;
	rc = list_blocks(reader, content, err);
	if (rc < 0) {
		cf_dir_reader_close(reader);
		return rc;
	}
	*reader_out = reader;
	return 0;
}

void cf_dir_reader_close(struct cf_dir_reader *reader)
{
	if (!reader)
		return;
	free(reader->blocks);
	free(reader);
}

static int load_block(struct cf_dirs *dirs, struct cf_cache_entry *entry, struct cf_err *err)
{
	struct cf_dir_block *block = calloc(1, sizeof(*block));
	struct cf_buf bytes = CF_BUF_INIT;
	size_t weight = 0;
	int rc = block ? cf_chunk_read(dirs->repo, &entry->id, &bytes, err) : cf_err_nomem(err);

	if (rc == 0) {
		weight = bytes.len;
		rc = cf_dir_block_decode(&bytes, block, err);
	}
	cf_buf_release(&bytes);
	if (rc < 0) {
		if (block)
			free_block(block);
		return rc;
	}
	cf_cache_fill(dirs->blocks, entry, block, weight + block->n * sizeof(struct cf_node));
	return 0;
}

/* The block, in use until its entry is released. */
static int acquire_block(struct cf_dir_reader *reader, size_t number, struct cf_cache_entry **entry_out,
			 struct cf_err *err)
{
	struct cf_cache *blocks = reader->dirs->blocks;
	struct cf_err own = CF_ERR_INIT;
	bool claimed;
	struct cf_cache_entry *entry = cf_cache_get(blocks, &reader->blocks[number], &claimed);
	int rc;

	if (!entry)
		return cf_err_nomem(err);
	if (claimed) {
		rc = load_block(reader->dirs, entry, &own);
		if (rc < 0)
			cf_cache_fail(blocks, entry, &own);
	}
	rc = cf_cache_wait(blocks, entry, err);
	if (rc < 0) {
		cf_cache_release(blocks, entry);
		return rc;
	}
	*entry_out = entry;
	return 0;
}

/* 0 and the node; else where the name would be: -1 before this block, 1 behind it, 2 within. */
static int search_block(const struct cf_dir_block *block, const char *name, const struct cf_node **node_out)
{
	size_t low = 0, high = block->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(block->nodes[middle].entry.name, name);

		if (order == 0) {
			*node_out = &block->nodes[middle];
			return 0;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 ? -1 : low == block->n ? 1 : 2;
}

int cf_dir_reader_find(struct cf_dir_reader *reader, const char *name, cf_dir_node_fn *fn, void *user,
		       struct cf_err *err)
{
	size_t low = 0, high = reader->n;
	int rc = 0, found = 0;

	while (rc == 0 && !found && low < high) {
		size_t middle = low + (high - low) / 2;
		struct cf_cache_entry *entry = NULL;
		const struct cf_node *node = NULL;
		int order;

		rc = acquire_block(reader, middle, &entry, err);
		if (rc < 0)
			return rc;
		order = search_block(entry->value, name, &node);
		if (node) {
			found = 1;
			rc = fn(user, node, 0, err);
		} else if (order < 0) {
			high = middle;
		} else if (order == 1) {
			low = middle + 1;
		} else {
			low = high; /* between two names of this block */
		}
		cf_cache_release(reader->dirs->blocks, entry);
	}
	return rc < 0 ? rc : found;
}

static int each_of_block(const struct cf_dir_block *block, size_t number, size_t place, cf_dir_node_fn *fn,
			 void *user, struct cf_err *err)
{
	int rc = 0;

	for (; rc == 0 && place < block->n; place++) {
		uint64_t next = place + 1 < block->n ? (uint64_t)number << PLACE_BITS | (place + 1)
						     : (uint64_t)(number + 1) << PLACE_BITS;

		rc = fn(user, &block->nodes[place], next, err);
	}
	return rc;
}

int cf_dir_reader_each(struct cf_dir_reader *reader, uint64_t position, cf_dir_node_fn *fn, void *user,
		       struct cf_err *err)
{
	size_t place = (size_t)(position & ((1u << PLACE_BITS) - 1));
	int rc = 0;

	for (uint64_t number = position >> PLACE_BITS; rc == 0 && number < reader->n; number++) {
		struct cf_cache_entry *entry = NULL;

		rc = acquire_block(reader, (size_t)number, &entry, err);
		if (rc < 0)
			return rc;
		rc = each_of_block(entry->value, (size_t)number, place, fn, user, err);
		place = 0;
		cf_cache_release(reader->dirs->blocks, entry);
	}
	return rc < 0 ? rc : rc > 0;
}
