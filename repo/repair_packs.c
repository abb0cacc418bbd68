#include "repo/repair_parts.h"

#include "base/err.h"
#include "repo/blob.h"
#include "repo/catalog.h"
#include "repo/chunks.h"
#include "repo/pack_reader.h"
#include "repo/packer.h"
#include "repo/segments.h"

#include <stdlib.h>

/* What is intact in damaged packs. */

enum {
	PART_LEN = 256 * 1024, /* read at once around what cannot be read */
	SECTOR_LEN = 4096
};

/* A delta whose own blob is intact: as good as its bases. */
struct kept_delta {
	struct cf_id id;
	struct cf_bases bases;
};

struct salvage {
	struct cf_repair *repair;
	struct cf_packer *packer; /* NULL in a dry run */
	struct cf_coder_slot *slot;
	struct kept_delta *deltas; /* in a dry run */
	size_t n_deltas, capacity;
};

/* A damaged pack, as far as it can be opened. */
struct wreck {
	struct cf_buf bytes;
	struct cf_segment_pack pack; /* the table its own, or the index's */
	struct cf_seal_place place;
	struct cf_secret *key;
	bool is_open;
	uint64_t n_saved, n_lost; /* chunks; those that are elsewhere count in neither */
};

static void release_wreck(struct wreck *w)
{
	cf_buf_release(&w->bytes);
	cf_pack_table_release(&w->pack.table);
	cf_secret_free(w->key);
}

/* What the segment that lists the pack says is in it: nothing when none does. */
static int take_indexed_table(struct cf_repair *repair, size_t i, struct cf_segment_pack *pack_out, struct cf_err *err)
{
	const struct cf_id *name = &repair->check.packs[i].name;
	struct cf_segment segment = {0};
	int rc;

	if (!repair->segment_of[i])
		return 0;
	rc = cf_segment_read(repair->repo, &repair->segments[repair->segment_of[i] - 1].id, &segment, err);
	for (size_t k = 0; rc == 0 && k < segment.n_packs; k++)
		if (cf_id_equal(&segment.packs[k].name, name)) {
			*pack_out = segment.packs[k];
			segment.packs[k].table = (struct cf_pack_table){0};
		}
	cf_segment_release(&segment);
	return rc;
}

/* The next bytes of a pack, at most `len`. What cannot be read is zeros, which no tag fits. */
static int read_part(struct cf_repair *repair, const char *name, size_t len, struct cf_buf *bytes, struct cf_err *err)
{
	struct cf_backend *store = repair->repo->backend;
	size_t off = bytes->len;
	int rc = store->ops->get(store, name, off, len, bytes, err);

	if (rc != CF_ERR_DAMAGED)
		return rc;
	cf_err_clear(err);
	if (len <= SECTOR_LEN) {
		rc = cf_buf_resize(bytes, off + len, err);
		if (rc == 0)
			memset(bytes->data + off, 0, len);
		return rc;
	}
	rc = 0;
	for (size_t end = off + len; rc == 0 && bytes->len < end;) {
		size_t left = end - bytes->len;

		rc = cf_ctx_check(repair->repo->ctx, err);
		if (rc == 0)
			rc = read_part(repair, name, left < SECTOR_LEN ? left : SECTOR_LEN, bytes, err);
	}
	return rc;
}

/* As far as it can be read: nothing of one that is longer than any pack. */
static int read_wreck(struct cf_repair *repair, const char *name, struct cf_buf *bytes, struct cf_err *err)
{
	struct cf_backend *store = repair->repo->backend;
	uint64_t size = 0;
	int rc = cf_backend_get_all(store, name, CF_PACK_LEN_MAX, bytes, err);

	if (rc != CF_ERR_DAMAGED)
		return rc;
	cf_err_clear(err);
	rc = store->ops->size(store, name, &size, err);
	if (rc == CF_ERR_DAMAGED) {
		cf_err_clear(err);
		return 0;
	}
	while (rc == 0 && size <= CF_PACK_LEN_MAX && bytes->len < size) {
		size_t left = (size_t)size - bytes->len;

		rc = read_part(repair, name, left < PART_LEN ? left : PART_LEN, bytes, err);
	}
	return rc;
}

/* Damage leaves it less open, and is no failure. */
static int open_wreck(struct cf_repair *repair, size_t i, struct wreck *w, struct cf_err *err)
{
	const struct cf_id *name = &repair->check.packs[i].name;
	struct cf_span whole;
	int rc = cf_secret_new(CF_KEY_LEN, &w->key, err);

	if (rc == 0)
		rc = read_wreck(repair, cf_pack_name(name).s, &w->bytes, err);
	whole = cf_buf_span(&w->bytes);
	if (rc == 0) {
		rc = cf_pack_open_whole(repair->repo, name, whole, &w->pack, &w->place, cf_secret_data(w->key), err);
		w->is_open = rc == 0;
	}
	if (rc == CF_ERR_DAMAGED) {
		cf_err_clear(err);
		rc = cf_pack_open_header(repair->repo, whole, &w->place, cf_secret_data(w->key), err);
		w->is_open = rc == 0;
		if (rc == 0 || rc == CF_ERR_DAMAGED) {
			cf_err_clear(err);
			rc = take_indexed_table(repair, i, &w->pack, err);
		}
	}
	if (rc == CF_ERR_NOT_FOUND || rc == CF_ERR_DAMAGED) { /* gone since it was listed */
		cf_err_clear(err);
		rc = 0;
	}
	return rc;
}

/* 1 when every chunk of the blob can be read from packs that are good. */
static int is_elsewhere(struct cf_repair *repair, const struct cf_table_chunk *chunks, size_t n, struct cf_err *err)
{
	int rc = 1;

	for (size_t i = 0; rc == 1 && i < n; i++) {
		struct cf_location place;

		rc = cf_catalog_find_complete(repair->repo->catalog, &chunks[i].id, &place, err);
		if (rc == 0)
			rc = cf_catalog_find_readable(repair->repo->catalog, &chunks[i].id, &place, err);
	}
	return rc;
}

/*
 * The blob, unsealed in the slot, decodes to what its ids say. A delta whose bases cannot be read now is taken at its tag's
 * word: they may come back.
 */
static int verify_blob(struct salvage *s, enum cf_object_type type, const struct cf_table_blob *blob,
		       const struct cf_table_chunk *chunks, struct cf_err *err)
{
	struct cf_prefix prefix = {0};
	int rc = 0;

	if (blob->codec == CF_CODEC_ZSTD_DELTA)
		rc = cf_prefix_read(s->repair->repo, &chunks[0].bases, &prefix, err);
	if (rc == CF_ERR_DAMAGED) {
		cf_err_clear(err);
		return 0;
	}
	if (rc == 0)
		rc = cf_codec_decode(&s->slot->coder, cf_buf_span(&s->slot->sealed), prefix.bytes,
				     cf_blob_raw_len(chunks, blob->n_chunks), &s->slot->raw, err);
	if (rc == 0)
		rc = cf_blob_check_ids(s->repair->repo, type, chunks, blob->n_chunks, s->slot->raw.data, err);
	cf_prefix_release(s->repair->repo, &prefix);
	return rc;
}

static int keep_delta(struct salvage *s, const struct cf_table_chunk *chunk, struct cf_err *err)
{
	if (s->n_deltas == s->capacity) {
		size_t capacity = s->capacity ? 2 * s->capacity : 64;
		struct kept_delta *deltas = realloc(s->deltas, capacity * sizeof(*deltas));

		if (!deltas)
			return cf_err_nomem(err);
		s->deltas = deltas;
		s->capacity = capacity;
	}
	s->deltas[s->n_deltas++] = (struct kept_delta){.id = chunk->id, .bases = chunk->bases};
	return 0;
}

static int keep_blob(struct salvage *s, enum cf_object_type type, const struct cf_table_blob *blob,
		     const struct cf_table_chunk *chunks, struct cf_err *err)
{
	struct cf_span plain = cf_buf_span(&s->slot->sealed);

	if (s->packer)
		return cf_packer_add(s->packer, type, blob->codec, &plain, 1, chunks, blob->n_chunks, err);
	if (chunks[0].bases.n)
		return keep_delta(s, &chunks[0], err);
	for (uint32_t i = 0; i < blob->n_chunks; i++)
		if (cf_id_set_add(&s->repair->recovered, &chunks[i].id) < 0)
			return cf_err_nomem(err);
	return 0;
}

static int salvage_blob(struct salvage *s, struct wreck *w, const struct cf_table_blob *blob, struct cf_err *err)
{
	const struct cf_table_chunk *chunks = &w->pack.table.chunks[blob->first_chunk];
	bool is_there = w->is_open && blob->off <= w->bytes.len && blob->len <= w->bytes.len - blob->off;
	int rc = is_elsewhere(s->repair, chunks, blob->n_chunks, err);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	cf_buf_clear(&s->slot->sealed);
	rc = is_there ? cf_unseal(&w->place, cf_secret_span(w->key), blob->number,
				  cf_span_of(w->bytes.data + blob->off, blob->len), &s->slot->sealed, err)
		      : CF_ERR_DAMAGED;
	if (rc == 0)
		rc = verify_blob(s, w->pack.type, blob, chunks, err);
	if (rc == CF_ERR_DAMAGED) {
		cf_err_clear(err);
		w->n_lost += blob->n_chunks;
		return 0;
	}
	if (rc == 0)
		rc = keep_blob(s, w->pack.type, blob, chunks, err);
	w->n_saved += blob->n_chunks;
	return rc;
}

static void say_saved(struct cf_repair *repair, size_t i, const struct wreck *w)
{
	const char *name = cf_pack_name(&repair->check.packs[i].name).s;

	repair->figures.chunks_saved += w->n_saved;
	repair->figures.chunks_lost += w->n_lost;
	repair->figures.packs_quarantined++;
	if (!w->pack.table.n_blobs)
		cf_repair_say(repair, CF_REPAIR_STEP, name, "%s; what was in it is not known",
			      cf_repair_tense(repair, "set aside", "would be set aside"));
	else
		cf_repair_say(repair, CF_REPAIR_STEP, name, "%s: of its chunks %llu %s, %llu are lost, the rest is elsewhere",
			      cf_repair_tense(repair, "set aside", "would be set aside"), (unsigned long long)w->n_saved,
			      cf_repair_tense(repair, "were saved", "would be saved"), (unsigned long long)w->n_lost);
}

static int salvage_pack(struct salvage *s, size_t i, struct cf_err *err)
{
	struct wreck w = {0};
	int rc = open_wreck(s->repair, i, &w, err);

	for (size_t b = 0; rc == 0 && b < w.pack.table.n_blobs; b++) {
		rc = cf_ctx_check(s->repair->repo->ctx, err);
		if (rc == 0)
			rc = salvage_blob(s, &w, &w.pack.table.blobs[b], err);
	}
	if (rc == 0)
		say_saved(s->repair, i, &w);
	release_wreck(&w);
	return rc;
}

/* 1 when the chunk is whole somewhere. */
static int has_base(struct cf_repair *repair, const struct cf_id *id, struct cf_err *err)
{
	struct cf_location place;

	return cf_id_set_has(&repair->recovered, id) ? 1 : cf_catalog_find_readable(repair->repo->catalog, id, &place, err);
}

static int recover_deltas(struct salvage *s, struct cf_err *err)
{
	struct cf_repair *repair = s->repair;

	for (size_t i = 0; i < s->n_deltas; i++) {
		const struct kept_delta *delta = &s->deltas[i];
		int rc = 1;

		for (unsigned k = 0; rc == 1 && k < delta->bases.n; k++)
			rc = has_base(repair, &delta->bases.ids[k], err);
		if (rc == 1 && cf_id_set_add(&repair->recovered, &delta->id) < 0)
			rc = cf_err_nomem(err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int cf_repair_salvage(struct cf_repair *repair, struct cf_err *err)
{
	const struct cf_packer_options packing = {0};
	struct salvage s = {.repair = repair};
	struct cf_check *check = &repair->check;
	int rc = cf_repo_take_coder(repair->repo, &s.slot, err);

	if (rc == 0 && !repair->options->is_dry_run)
		rc = cf_packer_new(repair->repo, &packing, &s.packer, err);
	for (size_t i = 0; rc == 0 && i < check->n_packs; i++)
		if (check->packs[i].is_bad && !check->packs[i].is_quarantined)
			rc = salvage_pack(&s, i, err);
	if (rc == 0 && s.packer)
		rc = cf_packer_finish(s.packer, err);
	if (rc == 0)
		rc = recover_deltas(&s, err);
	cf_packer_free(s.packer);
	if (s.slot)
		cf_repo_give_coder(repair->repo, s.slot);
	free(s.deltas);
	return rc;
}
