#include "repo/live.h"

#include "base/err.h"
#include "base/le.h"
#include "repo/chunks.h"
#include "repo/format/dir_block.h"
#include "repo/format/list.h"
#include "repo/handle.h"

#include <stdlib.h>

enum {
	FIRST_SLOTS = 4096,
	IS_FIRM = 1,
	IS_FOUND = 2,
	FLAGS = IS_FIRM | IS_FOUND
};

/* A tree chunk that is still to be read: a list of a level, or (level 0) a directory block. */
struct todo {
	struct cf_id id;
	uint64_t size; /* what it covers */
	uint8_t level;
	bool is_dir; /* else the content of a file */
};

struct walk {
	struct cf_live *live;
	struct cf_repo *repo;
	bool is_firm;
	struct todo *stack;
	size_t n, capacity;
};

void cf_live_release(struct cf_live *live)
{
	cf_id_set_release(&live->trees);
	cf_id_set_release(&live->loose_trees);
	free(live->data);
	*live = (struct cf_live){0};
}

/* Ids are hashes, so any 8 bytes of them serve. */
static uint64_t key_of(const struct cf_id *id)
{
	uint64_t key = cf_le64_get(id->bytes) & ~(uint64_t)FLAGS;

	return key ? key : FLAGS + 1;
}

static size_t place_of(const struct cf_live *live, uint64_t key)
{
	size_t i = (size_t)(key >> 16) & live->data_mask;

	while (live->data[i] && (live->data[i] & ~(uint64_t)FLAGS) != key)
		i = (i + 1) & live->data_mask;
	return i;
}

static int grow(struct cf_live *live, struct cf_err *err)
{
	size_t size = live->data ? 2 * (live->data_mask + 1) : FIRST_SLOTS;
	struct cf_live bigger = *live;

	bigger.data = calloc(size, sizeof(*bigger.data));
	if (!bigger.data)
		return cf_err_nomem(err);
	bigger.data_mask = size - 1;
	for (size_t i = 0; live->data && i <= live->data_mask; i++)
		if (live->data[i])
			bigger.data[place_of(&bigger, live->data[i] & ~(uint64_t)FLAGS)] = live->data[i];
	free(live->data);
	*live = bigger;
	return 0;
}

static int add_data(struct cf_live *live, const struct cf_id *id, bool is_firm, struct cf_err *err)
{
	uint64_t key = key_of(id), *slot;

	if ((!live->data || live->n_data >= live->data_mask - live->data_mask / 4) && grow(live, err) < 0)
		return CF_ERR_NOMEM;
	slot = &live->data[place_of(live, key)];
	if (!*slot) {
		*slot = key;
		live->n_data++;
	}
	if (is_firm && !(*slot & IS_FIRM)) {
		*slot |= IS_FIRM;
		live->n_unfound += !(*slot & IS_FOUND);
	}
	return 0;
}

bool cf_live_has(const struct cf_live *live, bool is_tree, const struct cf_id *id)
{
	if (is_tree)
		return cf_id_set_has(&live->trees, id) || cf_id_set_has(&live->loose_trees, id);
	return live->data && live->data[place_of(live, key_of(id))];
}

void cf_live_note_found(struct cf_live *live, const struct cf_id *id)
{
	uint64_t *slot = live->data ? &live->data[place_of(live, key_of(id))] : NULL;

	if (!slot || !*slot || (*slot & IS_FOUND))
		return;
	live->n_unfound -= (*slot & IS_FIRM) != 0;
	*slot |= IS_FOUND;
}

/* A tree chunk, unless it was met before. */
static int push(struct walk *w, const struct cf_id *id, uint64_t size, unsigned level, bool is_dir, struct cf_err *err)
{
	struct cf_live *live = w->live;
	int rc = !w->is_firm && cf_id_set_has(&live->trees, id) ? 0
		 : cf_id_set_add(w->is_firm ? &live->trees : &live->loose_trees, id);

	if (rc <= 0)
		return rc < 0 ? cf_err_nomem(err) : 0;
	if (w->n == w->capacity) {
		size_t capacity = w->capacity ? 2 * w->capacity : 256;
		struct todo *stack = realloc(w->stack, capacity * sizeof(*stack));

		if (!stack)
			return cf_err_nomem(err);
		w->stack = stack;
		w->capacity = capacity;
	}
	w->stack[w->n++] = (struct todo){.id = *id, .size = size, .level = (uint8_t)level, .is_dir = is_dir};
	return 0;
}

static int push_content(struct walk *w, const struct cf_content *content, bool is_dir, struct cf_err *err)
{
	if (cf_id_is_zero(&content->id))
		return 0;
	if (content->level == 0 && !is_dir)
		return add_data(w->live, &content->id, w->is_firm, err);
	return push(w, &content->id, content->size, content->level, is_dir, err);
}

static int visit_list(struct walk *w, const struct todo *todo, struct cf_span bytes, struct cf_err *err)
{
	struct cf_list_entry *entries = NULL;
	size_t n = 0;
	int rc = cf_list_decode(bytes, todo->level, todo->size, &entries, &n, err);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		const struct cf_content below = {
			.id = entries[i].id, .size = entries[i].len, .level = (uint8_t)(todo->level - 1)};

		rc = push_content(w, &below, todo->is_dir, err);
	}
	free(entries);
	return rc;
}

static int visit_block(struct walk *w, struct cf_buf *bytes, struct cf_err *err)
{
	struct cf_dir_block block = {0};
	int rc = cf_dir_block_decode(bytes, &block, err);

	for (size_t i = 0; rc == 0 && i < block.n; i++)
		rc = push_content(w, &block.nodes[i].content, block.nodes[i].entry.type == CF_ENTRY_DIR, err);
	cf_dir_block_release(&block);
	return rc;
}

static int visit(struct walk *w, const struct todo *todo, struct cf_err *err)
{
	struct cf_buf bytes = CF_BUF_INIT;
	int rc = cf_chunk_read(w->repo, &todo->id, &bytes, err);

	if (rc == 0)
		rc = todo->level ? visit_list(w, todo, cf_buf_span(&bytes), err) : visit_block(w, &bytes, err);
	cf_buf_release(&bytes);
	if (rc == CF_ERR_DAMAGED && !w->is_firm) {
		cf_err_clear(err);
		rc = 0;
	}
	return rc;
}

int cf_live_add_root(struct cf_live *live, struct cf_repo *repo, const struct cf_content *root, bool is_firm,
		     struct cf_err *err)
{
	struct walk w = {.live = live, .repo = repo, .is_firm = is_firm};
	int rc = push_content(&w, root, true, err);

	while (rc == 0 && w.n > 0) {
		struct todo todo = w.stack[--w.n];

		rc = cf_ctx_check(repo->ctx, err);
		if (rc == 0)
			rc = visit(&w, &todo, err);
	}
	free(w.stack);
	return rc;
}
