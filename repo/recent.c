#include "repo/recent.h"

#include "base/err.h"
#include "base/le.h"

#include <stdlib.h>

/*
 * Two open-addressing tables, linear probing, at most 3/4 full: ids, and super-features of finished chunks. Nothing is
 * deleted but by building the tables anew in cf_recent_drop.
 */

struct id_slot {
	struct cf_id id; /* zero: empty */
	struct cf_segment_pack *pack; /* NULL: claimed, not stored yet */
	uint32_t blob, chunk;
	bool is_disowned; /* and not claimed either */
};

struct feature_slot {
	uint32_t feature; /* 0: empty */
	uint32_t blob, chunk;
	struct cf_segment_pack *pack;
};

struct cf_recent {
	struct id_slot *ids;
	size_t id_mask, n_ids;
	struct feature_slot *features;
	size_t feature_mask, n_features;
	struct cf_segment_pack **packs;
	size_t n_packs, pack_capacity;
	size_t n_chunks; /* in packs */
};

enum {
	FIRST_SLOTS = 4096,
	N_FEATURES = 2
};

static struct id_slot *id_place(struct id_slot *slots, size_t mask, const struct cf_id *id)
{
	size_t i = (size_t)cf_le64_get(id->bytes + 8) & mask;

	while (!cf_id_is_zero(&slots[i].id) && !cf_id_equal(&slots[i].id, id))
		i = (i + 1) & mask;
	return &slots[i];
}

static struct feature_slot *feature_place(struct feature_slot *slots, size_t mask, uint32_t feature)
{
	size_t i = (feature * 0x9e3779b1u) & mask;

	while (slots[i].feature && slots[i].feature != feature)
		i = (i + 1) & mask;
	return &slots[i];
}

int cf_recent_new(struct cf_recent **recent_out, struct cf_err *err)
{
	struct cf_recent *recent = calloc(1, sizeof(*recent));

	if (!recent)
		return cf_err_nomem(err);
	recent->ids = calloc(FIRST_SLOTS, sizeof(*recent->ids));
	recent->features = calloc(FIRST_SLOTS, sizeof(*recent->features));
	recent->id_mask = recent->feature_mask = FIRST_SLOTS - 1;
	if (!recent->ids || !recent->features) {
		cf_recent_free(recent);
		return cf_err_nomem(err);
	}
	*recent_out = recent;
	return 0;
}

static void free_pack(struct cf_segment_pack *pack)
{
	cf_pack_table_release(&pack->table);
	free(pack);
}

void cf_recent_free(struct cf_recent *recent)
{
	if (!recent)
		return;
	for (size_t i = 0; i < recent->n_packs; i++)
		free_pack(recent->packs[i]);
	free(recent->packs);
	free(recent->ids);
	free(recent->features);
	free(recent);
}

/* Build the id table anew with room for `want` ids, keeping claims and what is in a pack. */
static int rebuild_ids(struct cf_recent *recent, size_t want, struct cf_err *err)
{
	size_t size = FIRST_SLOTS, n = 0;
	struct id_slot *slots;

	while (size - size / 4 < want)
		size *= 2;
	slots = calloc(size, sizeof(*slots));
	if (!slots)
		return cf_err_nomem(err);
	for (size_t i = 0; i <= recent->id_mask; i++) {
		const struct id_slot *old = &recent->ids[i];

		/* A pack whose table is gone was dropped. */
		if (cf_id_is_zero(&old->id) || (old->pack && old->pack->size == 0))
			continue;
		*id_place(slots, size - 1, &old->id) = *old;
		n++;
	}
	free(recent->ids);
	recent->ids = slots;
	recent->id_mask = size - 1;
	recent->n_ids = n;
	return 0;
}

static int rebuild_features(struct cf_recent *recent, size_t want, struct cf_err *err)
{
	size_t size = FIRST_SLOTS, n = 0;
	struct feature_slot *slots;

	while (size - size / 4 < want)
		size *= 2;
	slots = calloc(size, sizeof(*slots));
	if (!slots)
		return cf_err_nomem(err);
	for (size_t i = 0; i <= recent->feature_mask; i++) {
		const struct feature_slot *old = &recent->features[i];

		if (!old->feature || old->pack->size == 0)
			continue;
		*feature_place(slots, size - 1, old->feature) = *old;
		n++;
	}
	free(recent->features);
	recent->features = slots;
	recent->feature_mask = size - 1;
	recent->n_features = n;
	return 0;
}

static int make_room(struct cf_recent *recent, size_t more_ids, size_t more_features, struct cf_err *err)
{
	size_t ids = recent->n_ids + more_ids, features = recent->n_features + more_features;
	int rc = 0;

	if (ids > recent->id_mask - recent->id_mask / 4)
		rc = rebuild_ids(recent, 2 * ids, err);
	if (rc == 0 && features > recent->feature_mask - recent->feature_mask / 4)
		rc = rebuild_features(recent, 2 * features, err);
	return rc;
}

int cf_recent_claim(struct cf_recent *recent, const struct cf_id *id, struct cf_err *err)
{
	struct id_slot *slot;
	int rc = make_room(recent, 1, 0, err);

	if (rc < 0)
		return rc;
	slot = id_place(recent->ids, recent->id_mask, id);
	if (!cf_id_is_zero(&slot->id)) {
		if (!slot->is_disowned)
			return 1;
		slot->is_disowned = false;
		return 0;
	}
	slot->id = *id;
	recent->n_ids++;
	return 0;
}

void cf_recent_disown(struct cf_recent *recent, const struct cf_id *id)
{
	struct id_slot *slot = id_place(recent->ids, recent->id_mask, id);

	/* A slot cannot be emptied, as others lie behind it. */
	if (!cf_id_is_zero(&slot->id) && slot->pack) {
		slot->pack = NULL;
		slot->is_disowned = true;
	}
}

void cf_recent_disown_claims(struct cf_recent *recent)
{
	for (size_t i = 0; i <= recent->id_mask; i++) {
		struct id_slot *slot = &recent->ids[i];

		if (!cf_id_is_zero(&slot->id) && !slot->pack)
			slot->is_disowned = true;
	}
}

int cf_recent_find(struct cf_recent *recent, const struct cf_id *id, struct cf_location *location_out)
{
	const struct id_slot *slot = id_place(recent->ids, recent->id_mask, id);

	if (cf_id_is_zero(&slot->id) || !slot->pack)
		return 0;
	*location_out = cf_location_of(slot->pack, &slot->pack->table.blobs[slot->blob], slot->chunk);
	return 1;
}

int cf_recent_find_similar(struct cf_recent *recent, const struct cf_sketch *sketch, struct cf_id *id_out,
			   struct cf_location *location_out)
{
	for (int i = 0; i < N_FEATURES && sketch->super[i]; i++) {
		const struct feature_slot *slot =
			feature_place(recent->features, recent->feature_mask, sketch->super[i]);
		const struct cf_table_blob *blob;

		if (!slot->feature)
			continue;
		blob = &slot->pack->table.blobs[slot->blob];
		*id_out = slot->pack->table.chunks[blob->first_chunk + slot->chunk].id;
		*location_out = cf_location_of(slot->pack, blob, slot->chunk);
		return 1;
	}
	return 0;
}

bool cf_recent_has_pack(const struct cf_recent *recent, const struct cf_id *name)
{
	for (size_t i = 0; i < recent->n_packs; i++)
		if (cf_id_equal(&recent->packs[i]->name, name))
			return true;
	return false;
}

static bool is_delta(const struct id_slot *slot)
{
	return cf_location_of(slot->pack, &slot->pack->table.blobs[slot->blob], slot->chunk).bases.n > 0;
}

static void enter_chunk(struct cf_recent *recent, struct cf_segment_pack *pack, uint32_t blob, uint32_t chunk)
{
	const struct cf_table_chunk *c = &pack->table.chunks[pack->table.blobs[blob].first_chunk + chunk];
	struct id_slot *slot = id_place(recent->ids, recent->id_mask, &c->id);

	if (cf_id_is_zero(&slot->id))
		recent->n_ids++;
	/* Of two copies the one that is no delta: others may be deltas against it. */
	if (!slot->pack || (c->bases.n == 0 && is_delta(slot)))
		*slot = (struct id_slot){.id = c->id, .pack = pack, .blob = blob, .chunk = chunk};
	for (int i = 0; i < N_FEATURES && c->sketch.super[i]; i++) {
		struct feature_slot *f =
			feature_place(recent->features, recent->feature_mask, c->sketch.super[i]);

		if (!f->feature)
			recent->n_features++;
		*f = (struct feature_slot){c->sketch.super[i], blob, chunk, pack};
	}
}

int cf_recent_add_pack(struct cf_recent *recent, struct cf_segment_pack *pack, struct cf_err *err)
{
	size_t n = pack->table.n_chunks;
	struct cf_segment_pack *own;
	int rc = make_room(recent, n, N_FEATURES * n, err);

	if (rc < 0)
		return rc;
	if (recent->n_packs == recent->pack_capacity) {
		size_t capacity = recent->pack_capacity ? 2 * recent->pack_capacity : 16;
		struct cf_segment_pack **packs = realloc(recent->packs, capacity * sizeof(struct cf_segment_pack *));

		if (!packs)
			return cf_err_nomem(err);
		recent->packs = packs;
		recent->pack_capacity = capacity;
	}
	own = malloc(sizeof(*own));
	if (!own)
		return cf_err_nomem(err);
	*own = *pack;
	*pack = (struct cf_segment_pack){0};
	recent->packs[recent->n_packs++] = own;
	recent->n_chunks += n;
	for (uint32_t b = 0; b < own->table.n_blobs; b++)
		for (uint32_t c = 0; c < own->table.blobs[b].n_chunks; c++)
			enter_chunk(recent, own, b, c);
	return 0;
}

size_t cf_recent_packs(const struct cf_recent *recent)
{
	return recent->n_packs;
}

size_t cf_recent_chunks(const struct cf_recent *recent)
{
	return recent->n_chunks;
}

const struct cf_segment_pack *cf_recent_pack(const struct cf_recent *recent, size_t i)
{
	return recent->packs[i];
}

int cf_recent_drop(struct cf_recent *recent, size_t n, struct cf_err *err)
{
	int rc;

	for (size_t i = 0; i < n; i++) {
		recent->n_chunks -= recent->packs[i]->table.n_chunks;
		recent->packs[i]->size = 0; /* marks it dropped for the rebuilds */
	}
	rc = rebuild_ids(recent, recent->n_ids, err);
	if (rc == 0)
		rc = rebuild_features(recent, recent->n_features, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i++)
		free_pack(recent->packs[i]);
	memmove(recent->packs, recent->packs + n, (recent->n_packs - n) * sizeof(struct cf_segment_pack *));
	recent->n_packs -= n;
	return 0;
}
