#include "repo/lists.h"

#include "base/err.h"
#include "base/le.h"

#include <stdlib.h>

enum {
	ENTRIES_MIN = 128,
	ENTRIES_MAX = 2048,
	CUT_MASK = 511
};

void cf_list_builder_init(struct cf_list_builder *builder, cf_list_store_fn *store, void *user)
{
	*builder = (struct cf_list_builder){.store = store, .user = user};
}

void cf_list_builder_release(struct cf_list_builder *builder)
{
	for (size_t i = 0; i < CF_CONTENT_LEVELS; i++)
		free(builder->levels[i].entries);
	*builder = (struct cf_list_builder){.store = builder->store, .user = builder->user};
}

static int append(struct cf_list_builder *builder, size_t level, const struct cf_id *id, uint64_t len,
		  struct cf_err *err);

/* Store a level's entries as one list and note it a level up. */
static int flush(struct cf_list_builder *builder, size_t level, struct cf_err *err)
{
	struct cf_list_level *l = &builder->levels[level];
	struct cf_buf list = CF_BUF_INIT;
	struct cf_id id;
	uint64_t covered = l->covered;
	int rc = cf_list_encode((unsigned)level + 1, l->entries, l->n, &list, err);

	if (rc == 0)
		rc = builder->store(builder->user, cf_buf_span(&list), &id, err);
	cf_buf_release(&list);
	if (rc < 0)
		return rc;
	l->n = 0;
	l->covered = 0;
	return append(builder, level + 1, &id, covered, err);
}

static int append(struct cf_list_builder *builder, size_t level, const struct cf_id *id, uint64_t len,
		  struct cf_err *err)
{
	struct cf_list_level *l = &builder->levels[level];

	if (level >= CF_CONTENT_LEVELS - 1)
		return cf_err_set(err, CF_ERR_FAILED, "the content is too long");
	if (l->n == l->capacity) {
		size_t capacity = l->capacity ? 2 * l->capacity : 8;
		struct cf_list_entry *entries = realloc(l->entries, capacity * sizeof(*entries));

		if (!entries)
			return cf_err_nomem(err);
		l->entries = entries;
		l->capacity = capacity;
	}
	l->entries[l->n++] = (struct cf_list_entry){.id = *id, .len = len};
	l->covered += len;
	if (l->n >= ENTRIES_MAX || (l->n >= ENTRIES_MIN && (cf_le16_get(id->bytes + 16) & CUT_MASK) == 1))
		return flush(builder, level, err);
	return 0;
}

int cf_list_builder_add(struct cf_list_builder *builder, const struct cf_id *id, uint64_t len,
			struct cf_err *err)
{
	return len ? append(builder, 0, id, len, err) : 0;
}

static bool has_above(const struct cf_list_builder *builder, size_t level)
{
	for (size_t i = level + 1; i < CF_CONTENT_LEVELS; i++)
		if (builder->levels[i].n)
			return true;
	return false;
}

int cf_list_builder_finish(struct cf_list_builder *builder, struct cf_content *content_out,
			   struct cf_err *err)
{
	size_t level = 0;

	*content_out = (struct cf_content){0};
	if (builder->levels[0].n == 0 && !has_above(builder, 0))
		return 0;
	/* A single entry with nothing above is the content itself; but a hole can only be named by the content or a list of
	 * level 1, which level 0 with one entry is. */
	while (builder->levels[level].n != 1 || has_above(builder, level)) {
		if (builder->levels[level].n) {
			int rc = flush(builder, level, err);

			if (rc < 0)
				return rc;
		}
		level++;
	}
	content_out->id = builder->levels[level].entries[0].id;
	content_out->size = builder->levels[level].covered;
	content_out->level = (uint8_t)level;
	return 0;
}
