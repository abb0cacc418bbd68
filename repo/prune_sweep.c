#include "repo/prune_parts.h"

#include "base/array.h"
#include "repo/object.h"
#include "repo/pack_reader.h"
#include "repo/segments.h"

#include <stdlib.h>

/*
 * Removing packs. First the index: segments that name packs which go, or are gone, are superseded by ones that do not; then the packs;
 * then tombs none of whose packs are left. A tomb with a pack that is still wanted stays, and the pack condemned: nobody may come to
 * rely on it, since a prune that was held up may remove it at any time.
 */

enum {
	SEGMENT_CHUNKS_MAX = 100000, /* of a new segment, about */
	SMALL_SEGMENT_CHUNKS = 20000,
	SMALL_SEGMENTS_MAX = 32 /* above this many they are joined */
};

struct sweep {
	struct cf_prune *p;
	struct cf_id_set going;	    /* packs */
	struct cf_id_set there;	    /* packs, listed after the segments: what one of those names is here unless it is gone */
	struct cf_segment segment;  /* being filled; owns its packs */
	size_t packs_capacity, supersedes_capacity, n_chunks;
	bool join_small;
};

static void count_removed(struct cf_prune *p, const struct cf_prune_pack *pack)
{
	p->figures->packs_removed++;
	p->figures->bytes_removed += pack->size;
}

/* Packs of ripe tombs that are there, not wanted, and all of which is known to be good elsewhere. */
static int choose_going(struct sweep *s, struct cf_err *err)
{
	struct cf_prune *p = s->p;
	int rc;

	for (size_t i = 0; i < p->n_packs; i++)
		p->packs[i].is_going = false;
	for (size_t t = 0; t < p->tombs.n; t++) {
		const struct cf_tomb_doc *doc = &p->tombs.items[t].doc;

		for (size_t i = 0; p->is_ripe[t] && i < doc->n_packs; i++) {
			struct cf_prune_pack *pack = cf_prune_find_pack(p, &doc->packs[i]);

			if (pack)
				pack->is_going = !pack->is_wanted;
		}
	}
	rc = cf_prune_verify(p, err);
	for (size_t i = 0; rc == 0 && i < p->n_packs; i++) {
		const struct cf_prune_pack *pack = &p->packs[i];

		if (!pack->is_going)
			continue;
		rc = cf_id_set_add(&s->going, &pack->name) < 0 ? cf_err_nomem(err) : 0;
		if (rc == 0 && p->options->dry_run)
			count_removed(p, pack);
	}
	return rc;
}

static bool is_stale_entry(const struct sweep *s, const struct cf_id *pack)
{
	return cf_id_set_has(&s->going, pack) || !cf_id_set_has(&s->there, pack);
}

static size_t chunks_of(const struct cf_segment *segment)
{
	size_t n = 0;

	for (size_t i = 0; i < segment->n_packs; i++)
		n += segment->packs[i].table.n_chunks;
	return n;
}

static bool needs_rewrite(const struct sweep *s, const struct cf_segment *segment)
{
	for (size_t i = 0; i < segment->n_packs; i++)
		if (is_stale_entry(s, &segment->packs[i].name))
			return true;
	return s->join_small && chunks_of(segment) < SMALL_SEGMENT_CHUNKS;
}

/* Store the segment that was filled, read it back, and only then remove what it supersedes. */
static int flush_segment(struct sweep *s, struct cf_err *err)
{
	struct cf_repo *repo = s->p->repo;
	uint64_t stored = 0;
	struct cf_id id;
	int rc = 0;

	if (s->segment.n_supersedes == 0)
		return 0;
	if (s->segment.n_packs)
		rc = cf_segment_put_verified(repo, &s->segment, &id, &stored, err);
	s->p->figures->bytes_written += stored;
	for (size_t i = 0; rc == 0 && i < s->segment.n_supersedes; i++) {
		rc = cf_object_remove(repo, CF_OBJECT_INDEX, &s->segment.supersedes[i], err);
		s->p->figures->segments_removed += rc == 0;
	}
	cf_segment_release(&s->segment);
	s->packs_capacity = s->supersedes_capacity = s->n_chunks = 0;
	return rc;
}

/* Take the packs that stay over from a segment, which the new one then supersedes. */
static int take_over(struct sweep *s, const struct cf_id *id, struct cf_segment *old, struct cf_err *err)
{
	struct cf_segment *segment = &s->segment;
	int rc = cf_array_grow(&segment->supersedes, &s->supersedes_capacity, segment->n_supersedes, sizeof(*id), err);

	for (size_t i = 0; rc == 0 && i < old->n_packs; i++) {
		if (is_stale_entry(s, &old->packs[i].name))
			continue;
		rc = cf_array_grow(&segment->packs, &s->packs_capacity, segment->n_packs, sizeof(*segment->packs), err);
		if (rc < 0)
			break;
		s->n_chunks += old->packs[i].table.n_chunks;
		segment->packs[segment->n_packs++] = old->packs[i];
		old->packs[i].table = (struct cf_pack_table){0};
	}
	if (rc == 0)
		segment->supersedes[segment->n_supersedes++] = *id;
	return rc < 0 ? rc : s->n_chunks >= SEGMENT_CHUNKS_MAX ? flush_segment(s, err) : 0;
}

/* Superseded by one that is there: left by a prune that was killed. */
static int remove_superseded(struct sweep *s, const struct cf_id *id, struct cf_err *err)
{
	int rc = cf_object_remove(s->p->repo, CF_OBJECT_INDEX, id, err);

	s->p->figures->segments_removed += rc == 0;
	return rc;
}

static int visit_segment(struct sweep *s, const struct cf_id *id, const struct cf_id_set *superseded, struct cf_err *err)
{
	struct cf_segment segment = {0};
	int rc;

	if (cf_id_set_has(superseded, id))
		return remove_superseded(s, id, err);
	rc = cf_segment_read(s->p->repo, id, &segment, err);
	if (rc == CF_ERR_NOT_FOUND || rc == CF_ERR_DAMAGED) { /* damaged: repair's business, and its packs were adopted */
		cf_err_clear(err);
		rc = 0;
	} else if (rc == 0 && needs_rewrite(s, &segment)) {
		rc = take_over(s, id, &segment, err);
	}
	cf_segment_release(&segment);
	return rc;
}

/* Of the segments listed those that listed ones supersede, and how many are small. */
static int look_at_segments(struct sweep *s, const struct cf_id *ids, size_t n, struct cf_id_set *superseded,
			    struct cf_err *err)
{
	size_t n_small = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct cf_segment segment = {0};

		rc = cf_segment_read(s->p->repo, &ids[i], &segment, err);
		n_small += rc == 0 && chunks_of(&segment) < SMALL_SEGMENT_CHUNKS;
		for (size_t k = 0; rc == 0 && k < segment.n_supersedes; k++)
			if (cf_id_set_add(superseded, &segment.supersedes[k]) < 0)
				rc = cf_err_nomem(err);
		cf_segment_release(&segment);
		if (rc == CF_ERR_NOT_FOUND || rc == CF_ERR_DAMAGED) {
			cf_err_clear(err);
			rc = 0;
		}
	}
	s->join_small = n_small > SMALL_SEGMENTS_MAX;
	return rc;
}

static int note_there(void *user, const struct cf_id *name, uint64_t size, struct cf_err *err)
{
	struct sweep *s = user;

	(void)size;
	return cf_id_set_add(&s->there, name) < 0 ? cf_err_nomem(err) : 0;
}

static int rewrite_index(struct sweep *s, struct cf_err *err)
{
	struct cf_id_set superseded = {0};
	struct cf_id *ids = NULL;
	size_t n = 0;
	int rc = cf_object_list(s->p->repo, CF_OBJECT_INDEX, &ids, &n, err);

	if (rc == 0)
		rc = cf_object_each_pack(s->p->repo, note_there, s, err);
	if (rc == 0)
		rc = look_at_segments(s, ids, n, &superseded, err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		rc = cf_ctx_check(s->p->repo->ctx, err);
		if (rc == 0)
			rc = visit_segment(s, &ids[i], &superseded, err);
	}
	if (rc == 0)
		rc = flush_segment(s, err);
	cf_id_set_release(&superseded);
	free(ids);
	return rc;
}

static int remove_packs(struct sweep *s, struct cf_err *err)
{
	struct cf_backend *store = s->p->repo->backend;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < s->p->n_packs; i++) {
		const struct cf_id *name = &s->p->packs[i].name;

		if (!cf_id_set_has(&s->going, name))
			continue;
		rc = cf_ctx_check(s->p->repo->ctx, err);
		if (rc == 0)
			rc = store->ops->remove(store, cf_pack_name(name).s, err);
		if (rc == CF_ERR_NOT_FOUND) {
			cf_err_clear(err);
			rc = 0;
		}
		if (rc == 0)
			count_removed(s->p, &s->p->packs[i]);
	}
	return rc;
}

/* All its packs are gone. */
static bool is_empty(const struct sweep *s, const struct cf_tomb_doc *tomb)
{
	for (size_t i = 0; i < tomb->n_packs; i++)
		if (cf_id_set_has(&s->there, &tomb->packs[i]) && !cf_id_set_has(&s->going, &tomb->packs[i]))
			return false;
	return true;
}

static int remove_tombs(struct sweep *s, struct cf_err *err)
{
	struct cf_tombs *tombs = &s->p->tombs;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < tombs->n; i++)
		if (s->p->is_ripe[i] && is_empty(s, &tombs->items[i].doc))
			rc = cf_object_remove(s->p->repo, CF_OBJECT_TOMB, &tombs->items[i].id, err);
	/* Another prune may have read it while it was whole, and be removing its packs: only when nothing else works they may be used. */
	for (size_t i = 0; rc == 0 && s->p->options->now && i < tombs->n_damaged; i++)
		rc = cf_object_remove(s->p->repo, CF_OBJECT_TOMB, &tombs->damaged[i], err);
	return rc;
}

int cf_prune_sweep(struct cf_prune *p, struct cf_err *err)
{
	struct sweep s = {.p = p};
	int rc = choose_going(&s, err);

	if (rc == 0 && !p->options->dry_run) {
		rc = rewrite_index(&s, err);
		if (rc == 0)
			rc = remove_packs(&s, err);
		if (rc == 0)
			rc = remove_tombs(&s, err);
	}
	cf_segment_release(&s.segment);
	cf_id_set_release(&s.going);
	cf_id_set_release(&s.there);
	return cf_prune_note_refusal(p, rc, err);
}
