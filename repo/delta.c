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
	NEAR = 8 << 10,		  /* from the expected place: tried first, without a look at the others */
	REACH = 320 << 10,	  /* how far from the expected place the old content is searched */
	CANDIDATES = 12,	  /* old chunks looked at */
	EXPECTED_MAX = 16,	  /* bases checked together; their blobs are in memory at once */
	DELTA_OVERHEAD = 150,	  /* bytes a delta costs in table and index */
	PATIENCE = 4,		  /* failures in a row at unlike places before most such trials are left out */
	RETRY_EVERY = 8
};

struct cf_old_content {
	struct cf_repo *repo;
	pthread_mutex_t lock;
	struct cf_content_cursor *cursor;
	uint64_t size;
	int64_t shift; /* old offset - new offset */
	bool is_broken; /* the old content cannot be read: no bases from it */
	unsigned n_failures; /* of trials at places whose sketches are unlike, in a row */
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

/* The old extents around the place where off .. off+len is expected, in their order. *expected_out: that place. */
static size_t nearby(struct cf_old_content *old, uint64_t off, uint64_t len, struct cf_extent found[CANDIDATES],
		     int64_t *expected_out)
{
	size_t n = 0;
	int64_t expected;
	uint64_t from, to;
	int rc;

	pthread_mutex_lock(&old->lock);
	expected = (int64_t)off + old->shift;
	*expected_out = expected;
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
	return n;
}

static void set_shift(struct cf_old_content *old, uint64_t off, uint64_t old_off)
{
	pthread_mutex_lock(&old->lock);
	old->shift = (int64_t)old_off - (int64_t)off;
	pthread_mutex_unlock(&old->lock);
}

/* Trials at unlike places pay off only while the content still resembles its parent. */
static bool may_try_unlike(struct cf_old_content *old)
{
	bool may;

	pthread_mutex_lock(&old->lock);
	may = old->n_failures < PATIENCE || old->n_failures % RETRY_EVERY == 0;
	if (!may)
		old->n_failures++;
	pthread_mutex_unlock(&old->lock);
	return may;
}

static void note_trial(struct cf_old_content *old, bool succeeded)
{
	pthread_mutex_lock(&old->lock);
	old->n_failures = succeeded ? 0 : old->n_failures + 1;
	pthread_mutex_unlock(&old->lock);
}

void cf_old_content_sync(struct cf_old_content *old, uint64_t off, const struct cf_id *id)
{
	struct cf_extent found[CANDIDATES];
	int64_t expected;
	size_t n = nearby(old, off, 0, found, &expected);

	for (size_t i = 0; i < n; i++) {
		if (!cf_id_equal(&found[i].id, id))
			continue;
		set_shift(old, off, found[i].off);
		return;
	}
}

/* An old chunk that may serve as base: itself or, when it is a delta, what it is a delta against. */
struct candidate {
	struct cf_bases bases;
	struct cf_location place; /* of the first base */
	uint64_t off, len;	  /* of the old chunk */
	unsigned likeness;
	bool was_delta;
	bool is_known; /* it was looked up, and can be used */
};

/* 1 when it can be used. */
static int look_up(struct cf_repo *repo, const struct cf_extent *extent, struct candidate *c, struct cf_err *err)
{
	struct cf_location place;
	int rc = cf_catalog_find_complete(repo->catalog, &extent->id, &place, err);

	*c = (struct candidate){.off = extent->off, .len = extent->len};
	if (rc != 1)
		return rc;
	c->was_delta = place.bases.n > 0;
	c->bases = place.bases;
	c->place = place;
	if (c->was_delta)
		rc = cf_catalog_find(repo->catalog, &place.bases.ids[0], &c->place, err);
	else
		c->bases = (struct cf_bases){.ids = {extent->id}, .n = 1};
	c->is_known = rc == 1;
	return rc;
}

static uint64_t distance(const struct candidate *c, int64_t expected)
{
	return (uint64_t)llabs((int64_t)c->off - expected);
}

/* The likest of the old chunks nearby; among equals the nearest. Returns its place in the array, or n. */
static size_t choose(struct candidate *all, size_t n, int64_t expected)
{
	size_t best = n;

	for (size_t i = 0; i < n; i++) {
		if (!all[i].is_known)
			continue;
		if (best == n || all[i].likeness > all[best].likeness ||
		    (all[i].likeness == all[best].likeness &&
		     distance(&all[i], expected) < distance(&all[best], expected)))
			best = i;
	}
	return best;
}

/* What the chunk would take by itself, told from how well its base compressed. */
static double plain_estimate(const struct candidate *c, size_t plain_len)
{
	return (double)c->place.len / c->place.frame_len * (double)plain_len;
}

/* Worth it: clearly smaller than the chunk by itself. When deltas at a place have grown, it is time for a new base. */
static bool is_worth(const struct candidate *c, size_t delta_len, size_t plain_len)
{
	double limit = c->was_delta ? 0.25 : 0.5;

	return (double)delta_len + DELTA_OVERHEAD < limit * plain_estimate(c, plain_len);
}

/* So small that another base cannot make it much smaller. */
static bool is_excellent(const struct candidate *c, size_t delta_len, size_t plain_len)
{
	return (double)delta_len < plain_estimate(c, plain_len) / 16 + DELTA_OVERHEAD;
}

/* A delta under trial. */
struct trial {
	struct cf_bases bases;
	struct cf_prefix prefix;
	struct cf_buf *payload;
	size_t len; /* 0: none was made */
};

/* A chunk for which bases are tried: the best trial so far, and room for the next one. */
struct search {
	struct cf_writer *writer;
	struct cf_coder_slot *slot;
	const struct cf_batch_chunk *chunk;
	struct cf_span plain;
	struct trial best, next;
};

/* Compress against the bases; the shortest result so far stays. 1: done. 0: they cannot be read, and are no bases. */
static int try_bases(struct search *s, const struct cf_bases *bases, struct cf_err *err)
{
	struct trial last_best = s->best;
	ssize_t len;
	int rc = cf_prefix_read(s->writer->repo, bases, &s->next.prefix, err);

	/* Check and restore will say what is wrong with it; or it is of a data epoch that this key lacks. */
	if (rc == CF_ERR_DAMAGED || rc == CF_ERR_KEY) {
		cf_err_clear(err);
		return 0;
	}
	if (rc < 0)
		return rc;
	cf_buf_clear(s->next.payload);
	len = cf_codec_compress(&s->slot->coder, CF_DELTA_LEVEL, s->next.prefix.bytes, s->plain, s->next.payload, err);
	if (len < 0)
		return (int)len;
	s->next.bases = *bases;
	s->next.len = (size_t)len;
	if (s->best.len == 0 || s->next.len < s->best.len) {
		s->best = s->next;
		s->next = last_best;
	}
	return 1;
}

static int store_best(struct search *s, struct cf_err *err)
{
	struct cf_table_chunk entry = {.id = s->chunk->id, .bases = s->best.bases, .raw_len = s->chunk->len};
	int rc = cf_blob_store(s->writer->packer, s->slot, CF_OBJECT_DATA_PACK, CF_CODEC_ZSTD_DELTA,
			       cf_buf_span(s->best.payload), s->best.prefix.bytes, s->plain, &entry, 1, err);

	if (rc < 0)
		return rc;
	atomic_fetch_add(&s->writer->counters.chunks_delta, 1);
	return 1;
}

/* One base of each of two neighbours, for a chunk that lies over the border between them. */
static bool join_bases(const struct candidate *a, const struct candidate *b, struct cf_bases *joined)
{
	if (!a->is_known || !b->is_known || cf_id_equal(&a->bases.ids[a->bases.n - 1], &b->bases.ids[0]))
		return false;
	*joined = (struct cf_bases){.ids = {a->bases.ids[a->bases.n - 1], b->bases.ids[0]}, .n = 2};
	return true;
}

/* The old chunks around a new one's place. */
struct place {
	struct cf_extent extents[CANDIDATES];
	struct candidate all[CANDIDATES];
	size_t n;
	int64_t expected;
	size_t tried; /* all[tried] was looked up and tried already; n: none was */
};

/* A chunk that one base explains in part: its cut moved, so it has bytes of a neighbour. Try both sides. */
static int try_neighbours(struct search *s, const struct place *p, size_t best, struct cf_err *err)
{
	struct cf_bases joined;
	int rc = 1;

	if (best + 1 < p->n && join_bases(&p->all[best], &p->all[best + 1], &joined))
		rc = try_bases(s, &joined, err);
	if (rc == 1 && best > 0 && !is_excellent(&p->all[best], s->best.len, s->plain.len) &&
	    join_bases(&p->all[best - 1], &p->all[best], &joined))
		rc = try_bases(s, &joined, err);
	return rc < 0 ? rc : 1;
}

/* The old chunk that begins where the new one should, or n. */
static size_t find_nearest(const struct place *p)
{
	uint64_t least = NEAR;
	size_t nearest = p->n;

	for (size_t i = 0; i < p->n; i++) {
		uint64_t away = (uint64_t)llabs((int64_t)p->extents[i].off - p->expected);

		if (away < least) {
			least = away;
			nearest = i;
		}
	}
	return nearest;
}

/*
 * Against the old chunk that begins at the expected place: when that is excellent, neither a sketch nor the chunks around it are
 * needed. 1: stored. 0: look on.
 */
static int store_in_place(struct search *s, struct place *p, struct cf_err *err)
{
	size_t i = find_nearest(p);
	struct candidate *c = &p->all[i];
	int rc;

	p->tried = p->n;
	if (i == p->n)
		return 0;
	rc = look_up(s->writer->repo, &p->extents[i], c, err);
	if (rc == 1)
		rc = try_bases(s, &c->bases, err);
	if (rc != 1)
		return rc;
	p->tried = i;
	if (!is_excellent(c, s->best.len, s->plain.len) || !is_worth(c, s->best.len, s->plain.len))
		return 0;
	note_trial(s->chunk->file->old, true);
	if (s->best.bases.n == 1)
		set_shift(s->chunk->file->old, s->chunk->file_off, c->off);
	return store_best(s, err);
}

/* Against the likest of what the parent snapshot has around that place. 1: stored. 0: not worth it. */
static int store_by_position(struct search *s, struct place *p, const struct cf_sketch *sketch, struct cf_err *err)
{
	struct cf_old_content *old = s->chunk->file->old;
	size_t best;
	int rc = 1;

	for (size_t i = 0; i < p->n; i++) {
		if (i != p->tried)
			rc = look_up(s->writer->repo, &p->extents[i], &p->all[i], err);
		if (rc < 0)
			return rc;
		p->all[i].likeness = cf_sketch_likeness(sketch, &p->all[i].place.sketch);
	}
	best = choose(p->all, p->n, p->expected);
	if (best == p->n)
		return 0;
	if (best != p->tried) {
		if (p->all[best].likeness == 0 && !may_try_unlike(old))
			return 0;
		rc = try_bases(s, &p->all[best].bases, err);
	}
	if (rc == 1 && !is_excellent(&p->all[best], s->best.len, s->plain.len))
		rc = try_neighbours(s, p, best, err);
	if (rc != 1)
		return rc;
	if (!is_worth(&p->all[best], s->best.len, s->plain.len)) {
		note_trial(old, false);
		return 0;
	}
	note_trial(old, true);
	if (is_excellent(&p->all[best], s->best.len, s->plain.len) && s->best.bases.n == 1)
		set_shift(old, s->chunk->file_off, p->all[best].off);
	return store_best(s, err);
}

/* Against a chunk anywhere that looks alike. */
static int store_by_likeness(struct search *s, const struct cf_sketch *sketch, struct cf_err *err)
{
	struct candidate c = {.bases = {.n = 1}};
	int rc;

	if (sketch->super[0] == 0)
		return 0;
	rc = cf_catalog_find_similar(s->writer->repo->catalog, sketch, &c.bases.ids[0], &c.place, err);
	if (rc != 1 || c.place.bases.n)
		return rc < 0 ? rc : 0;
	s->best.len = 0;
	rc = try_bases(s, &c.bases, err);
	if (rc != 1 || !is_worth(&c, s->best.len, s->plain.len))
		return rc < 0 ? rc : 0;
	return store_best(s, err);
}

/* The bases that the chunk will probably be tried against first: up to CF_BASES_MAX more ids. */
static int expect_bases(struct cf_repo *repo, const struct cf_batch_chunk *chunk, struct cf_id *ids, size_t *n,
			struct cf_err *err)
{
	struct place p = {.n = 0};
	struct candidate c;
	size_t i;
	int rc;

	p.n = nearby(chunk->file->old, chunk->file_off, chunk->len, p.extents, &p.expected);
	i = find_nearest(&p);
	if (i == p.n)
		return 0;
	rc = look_up(repo, &p.extents[i], &c, err);
	for (unsigned b = 0; rc == 1 && b < c.bases.n; b++) {
		bool is_new = true;

		for (size_t k = 0; is_new && k < *n; k++)
			is_new = !cf_id_equal(&ids[k], &c.bases.ids[b]);
		if (is_new)
			ids[(*n)++] = c.bases.ids[b];
	}
	return rc < 0 ? rc : 0;
}

int cf_delta_expect(struct cf_writer *writer, const struct cf_batch_chunk *chunks, size_t n, struct cf_err *err)
{
	struct cf_id ids[CF_CHUNKS_AT_ONCE];
	size_t n_ids = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n && n_ids + CF_BASES_MAX <= EXPECTED_MAX; i++)
		if (!chunks[i].is_stored && chunks[i].file->old)
			rc = expect_bases(writer->repo, &chunks[i], ids, &n_ids, err);
	return rc == 0 && n_ids ? cf_bases_check(writer->repo, ids, n_ids, err) : rc;
}

int cf_delta_store(struct cf_writer *writer, struct cf_coder_slot *slot, const struct cf_batch_chunk *chunk,
		   struct cf_span plain, struct cf_sketch *sketch_out, struct cf_err *err)
{
	struct search s = {
		.writer = writer,
		.slot = slot,
		.chunk = chunk,
		.plain = plain,
		.best = {.payload = &slot->payload},
		.next = {.payload = &slot->raw},
	};
	struct cf_old_content *old = chunk->file->old; /* NULL without deltas */
	struct place place = {.n = 0};
	int rc = 0;

	if (old) {
		place.n = nearby(old, chunk->file_off, chunk->len, place.extents, &place.expected);
		rc = store_in_place(&s, &place, err);
	}
	if (rc == 0)
		cf_sketch_compute(&writer->repo->gear, plain.data, plain.len, sketch_out);
	if (rc == 0 && old)
		rc = store_by_position(&s, &place, sketch_out, err);
	if (rc == 0 && !writer->no_delta)
		rc = store_by_likeness(&s, sketch_out, err);
	cf_prefix_release(writer->repo, &s.best.prefix);
	cf_prefix_release(writer->repo, &s.next.prefix);
	return rc;
}
