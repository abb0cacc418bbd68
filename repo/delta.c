#include "repo/pipeline.h"

#include "base/err.h"
#include "repo/catalog.h"
#include "repo/chunks.h"

#include <stdlib.h>

/*
 * Which chunk is the best base for a new one, and whether the delta is worth it.
 *
 * By position: the parent snapshot has the same file; `shift` says how far its bytes stand from ours, learned anew at every chunk
 * that is known or finds a base there. By likeness: among those nearby, and in the whole index, the sketch decides.
 */

enum {
	REACH = 160 << 10,	 /* how far from the expected place the old content is searched */
	CANDIDATES = 12,	 /* old chunks looked at */
	ENOUGH = 3,		 /* shared super-features that end the search */
	DELTA_LEVEL = 1,
	DELTA_OVERHEAD = 120 /* bytes a delta costs in table and index */
};

struct cf_old_content {
	struct cf_repo *repo;
	pthread_mutex_t lock;
	struct cf_content_cursor *cursor;
	uint64_t size;
	int64_t shift; /* old offset - new offset */
	bool is_broken; /* the old content cannot be read: no bases from it */
};

int cf_old_content_new(struct cf_repo *repo, const struct cf_content *content, struct cf_old_content **old_out,
		       struct cf_err *err)
{
	struct cf_old_content *old = calloc(1, sizeof(*old));
	int rc;

	if (!old)
		return cf_err_nomem(err);
	old->repo = repo;
	old->size = content->size;
	rc = cf_content_cursor_new(repo, content, &old->cursor, err);
	if (rc < 0) {
		free(old);
		return rc;
	}
	pthread_mutex_init(&old->lock, NULL);
	*old_out = old;
	return 0;
}

void cf_old_content_free(struct cf_old_content *old)
{
	if (!old)
		return;
	cf_content_cursor_free(old->cursor);
	pthread_mutex_destroy(&old->lock);
	free(old);
}

/* The old extents around the place where off .. off+len is expected, nearest start first. */
static size_t nearby(struct cf_old_content *old, uint64_t off, uint64_t len, struct cf_extent found[CANDIDATES])
{
	size_t n = 0;
	int64_t expected;
	uint64_t from, to;
	int rc;

	pthread_mutex_lock(&old->lock);
	expected = (int64_t)off + old->shift;
	from = expected > REACH ? (uint64_t)(expected - REACH) : 0;
	to = expected + (int64_t)len > 0 ? (uint64_t)(expected + (int64_t)len) : 0;
	if (old->is_broken || from >= old->size) {
		pthread_mutex_unlock(&old->lock);
		return 0;
	}
	rc = cf_content_cursor_seek(old->cursor, from, NULL);
	while (rc >= 0 && n < CANDIDATES) {
		rc = cf_content_cursor_next(old->cursor, &found[n], NULL);
		if (rc != 1 || found[n].off >= to + REACH)
			break;
		if (!cf_id_is_zero(&found[n].id))
			n++;
	}
	old->is_broken = rc < 0;
	pthread_mutex_unlock(&old->lock);
	for (size_t i = 1; i < n; i++) { /* few: insertion sort by distance of the starts */
		struct cf_extent e = found[i];
		size_t j = i;

		while (j > 0 && llabs((int64_t)found[j - 1].off - expected) > llabs((int64_t)e.off - expected)) {
			found[j] = found[j - 1];
			j--;
		}
		found[j] = e;
	}
	return n;
}

static void set_shift(struct cf_old_content *old, uint64_t off, uint64_t old_off)
{
	pthread_mutex_lock(&old->lock);
	old->shift = (int64_t)old_off - (int64_t)off;
	pthread_mutex_unlock(&old->lock);
}

void cf_old_content_sync(struct cf_old_content *old, uint64_t off, const struct cf_id *id)
{
	struct cf_extent found[CANDIDATES];
	size_t n = nearby(old, off, 0, found);

	for (size_t i = 0; i < n; i++) {
		if (!cf_id_equal(&found[i].id, id))
			continue;
		set_shift(old, off, found[i].off);
		return;
	}
}

struct base {
	struct cf_id id;
	struct cf_location place;
	bool was_delta; /* the chunk at that place was a delta against this base */
};

/* The chunk itself, or the base it is a delta against: a base is never a delta. 1, or 0 when it is not to be had. */
static int find_base(struct cf_repo *repo, const struct cf_id *id, struct base *base, struct cf_err *err)
{
	int rc = cf_catalog_find(repo->catalog, id, &base->place, err);

	if (rc != 1)
		return rc;
	base->id = *id;
	base->was_delta = !cf_id_is_zero(&base->place.base);
	if (!base->was_delta)
		return 1;
	base->id = base->place.base;
	rc = cf_catalog_find(repo->catalog, &base->id, &base->place, err);
	return rc == 1 && !cf_id_is_zero(&base->place.base) ? 0 : rc;
}

/* The best of the old chunks nearby: the likest; of those without sketches the nearest. 1 and *best, or 0. */
static int base_by_position(struct cf_writer *writer, const struct cf_batch_chunk *chunk,
			    const struct cf_sketch *sketch, struct base *best, struct cf_err *err)
{
	struct cf_old_content *old = chunk->file->old;
	bool has_sketch = sketch->super[0] != 0, is_fixed = chunk->file->chunker.kind == CF_CHUNKER_FIXED;
	struct cf_extent found[CANDIDATES];
	size_t n = nearby(old, chunk->file_off, chunk->len, found);
	unsigned best_likeness = 0;
	uint64_t best_off = 0;
	int have = 0;

	for (size_t i = 0; i < n && best_likeness < ENOUGH; i++) {
		struct base base;
		unsigned likeness;
		int rc = find_base(writer->repo, &found[i].id, &base, err);

		if (rc < 0)
			return rc;
		if (rc == 0)
			continue;
		likeness = cf_sketch_likeness(sketch, &base.place.sketch);
		/* Fixed blocks stay in place, so the nearest is worth a try whatever the sketches say. */
		if (likeness > best_likeness || (!have && i == 0 && (is_fixed || !has_sketch))) {
			*best = base;
			best_likeness = likeness;
			best_off = found[i].off;
			have = 1;
		}
	}
	if (best_likeness > 0)
		set_shift(old, chunk->file_off, best_off);
	return have;
}

static int base_by_likeness(struct cf_writer *writer, const struct cf_sketch *sketch, struct base *best,
			    struct cf_err *err)
{
	int rc;

	if (sketch->super[0] == 0)
		return 0;
	rc = cf_catalog_find_similar(writer->repo->catalog, sketch, &best->id, &best->place, err);
	best->was_delta = false;
	return rc == 1 && !cf_id_is_zero(&best->place.base) ? 0 : rc;
}

/* Worth it: clearly smaller than the chunk would be by itself. When deltas at a place have grown, it is time for a new base. */
static bool is_worth(const struct base *base, size_t delta_len, size_t plain_len)
{
	double ratio = (double)base->place.len / base->place.frame_len;
	double plain_estimate = ratio * (double)plain_len;
	double limit = base->was_delta ? 0.25 : 0.5;

	return (double)delta_len + DELTA_OVERHEAD < limit * plain_estimate;
}

static int verify_delta(struct cf_coder_slot *slot, const uint8_t *head, struct cf_span base,
			struct cf_span plain, struct cf_err *err)
{
	struct cf_buf decoded = CF_BUF_INIT;
	int rc;

	cf_buf_clear(&slot->sealed);
	rc = cf_buf_append(&slot->sealed, head, CF_BLOB_HEAD_LEN, err);
	if (rc == 0)
		rc = cf_buf_append(&slot->sealed, slot->payload.data, slot->payload.len, err);
	if (rc == 0)
		rc = cf_codec_decode(&slot->coder, cf_buf_span(&slot->sealed), base, plain.len, &decoded, err);
	if (rc == 0 && memcmp(decoded.data, plain.data, plain.len) != 0)
		rc = cf_err_set(err, CF_ERR_FAILED,
				"a delta does not decode to the same bytes: this machine's memory or processor is faulty");
	cf_buf_release(&decoded);
	return rc;
}

static int store_against(struct cf_writer *writer, struct cf_coder_slot *slot,
			 const struct cf_batch_chunk *chunk, struct cf_span plain, const struct base *base,
			 struct cf_err *err)
{
	struct cf_table_chunk entry = {.id = chunk->id, .base = base->id, .raw_len = chunk->len};
	uint8_t head[CF_BLOB_HEAD_LEN];
	struct cf_span parts[2];
	ssize_t len;
	int rc;

	cf_buf_clear(&slot->raw);
	rc = cf_chunk_read_at(writer->repo, &base->id, &base->place, &slot->raw, err);
	if (rc == CF_ERR_DAMAGED) {
		/* A base that cannot be read is no base; check and restore will say what is wrong with it. */
		cf_err_clear(err);
		return 0;
	}
	if (rc < 0)
		return rc;
	cf_buf_clear(&slot->payload);
	len = cf_codec_compress(&slot->coder, DELTA_LEVEL, cf_buf_span(&slot->raw), plain, &slot->payload, err);
	if (len < 0)
		return (int)len;
	if (!is_worth(base, (size_t)len, plain.len))
		return 0;
	cf_blob_head_encode(CF_CODEC_ZSTD_DELTA, chunk->len, head);
	rc = verify_delta(slot, head, cf_buf_span(&slot->raw), plain, err);
	if (rc < 0)
		return rc;
	parts[0] = cf_span_of(head, sizeof(head));
	parts[1] = cf_buf_span(&slot->payload);
	rc = cf_packer_add(writer->packer, CF_OBJECT_DATA_PACK, CF_CODEC_ZSTD_DELTA, parts, 2, &entry, 1, err);
	if (rc < 0)
		return rc;
	atomic_fetch_add(&writer->counters.chunks_delta, 1);
	return 1;
}

int cf_delta_store(struct cf_writer *writer, struct cf_coder_slot *slot, const struct cf_batch_chunk *chunk,
		   struct cf_span plain, const struct cf_sketch *sketch, struct cf_err *err)
{
	struct base base;
	int rc = 0;

	if (chunk->file->old)
		rc = base_by_position(writer, chunk, sketch, &base, err);
	if (rc == 0)
		rc = base_by_likeness(writer, sketch, &base, err);
	return rc == 1 ? store_against(writer, slot, chunk, plain, &base, err) : rc;
}
