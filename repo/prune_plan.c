#include "repo/prune_parts.h"

#include "base/array.h"
#include "repo/quarantine.h"

#include <stdlib.h>

/*
 * Where each needed chunk has its home: a copy in a pack that is there and that nobody has condemned, whole before delta, and a delta
 * against what is needed anyway before others. The bases of a home that is a delta are needed whole. What has no such copy makes
 * every pack with a copy of it, or of its bases, wanted.
 */

enum {
	RANK_WHOLE = 1 << 30,
	RANK_BASE = 1 << 26 /* more than any blob is long */
};

struct scan {
	struct cf_prune *p;
	struct cf_err *err;
	/* The copies of one chunk, as they come. */
	struct cf_id id;
	struct cf_location *copies;
	size_t n, capacity;
	struct cf_id_set bases; /* of all deltas that may be homes */
	int (*chunk)(struct scan *s);
	cf_prune_home_fn *each;
	void *each_user;
};

static int compare_packs(const void *a, const void *b)
{
	return cf_id_compare(&((const struct cf_prune_pack *)a)->name, &((const struct cf_prune_pack *)b)->name);
}

struct cf_prune_pack *cf_prune_find_pack(const struct cf_prune *p, const struct cf_id *name)
{
	const struct cf_prune_pack key = {.name = *name};

	return p->n_packs ? bsearch(&key, p->packs, p->n_packs, sizeof(key), compare_packs) : NULL;
}

uint64_t cf_prune_unused_limit(const struct cf_prune *p)
{
	double percent = p->options->max_unused_percent;
	uint64_t needed = 0;

	if (percent < 0)
		return p->options->max_unused;
	for (size_t i = 0; i < p->n_packs; i++)
		needed += p->packs[i].needed;
	return (uint64_t)((double)needed * percent / 100.0);
}

static int note_pack(void *user, const char *object, uint64_t size)
{
	struct cf_prune *p = user;
	const char *slash = strrchr(object, '/');
	struct cf_id name;

	if (!slash || !cf_id_parse(slash + 1, &name))
		return 0;
	if (cf_array_grow(&p->packs, &p->packs_capacity, p->n_packs, sizeof(*p->packs), NULL) < 0)
		return CF_ERR_NOMEM;
	p->packs[p->n_packs++] = (struct cf_prune_pack){.name = name, .size = size};
	return 0;
}

/* The catalog is not to rely on them either. */
static int mark_damaged(struct cf_prune *p, struct cf_err *err)
{
	struct cf_id_set damaged = {0};
	int rc = cf_quarantine_add_packs(p->repo, &damaged, err);

	for (size_t i = 0; rc == 0 && i < p->n_packs; i++) {
		struct cf_prune_pack *pack = &p->packs[i];

		pack->is_damaged = cf_id_set_has(&damaged, &pack->name) || cf_id_set_has(&p->bad, &pack->name);
		if (pack->is_damaged)
			rc = cf_catalog_note_damaged(p->repo->catalog, &pack->name, err);
	}
	cf_id_set_release(&damaged);
	return rc;
}

static int list_packs(struct cf_prune *p, struct cf_err *err)
{
	struct cf_backend *store = p->repo->backend;
	int rc;

	p->n_packs = 0;
	rc = store->ops->list(store, "packs", note_pack, p, err);
	if (rc == CF_ERR_NOMEM)
		return cf_err_nomem(err);
	if (p->n_packs)
		qsort(p->packs, p->n_packs, sizeof(*p->packs), compare_packs);
	for (size_t i = 0; i < p->tombs.n; i++)
		for (size_t k = 0; k < p->tombs.items[i].doc.n_packs; k++) {
			struct cf_prune_pack *pack = cf_prune_find_pack(p, &p->tombs.items[i].doc.packs[k]);

			if (pack)
				pack->is_condemned = true;
		}
	return rc < 0 ? rc : mark_damaged(p, err);
}

static bool is_good(const struct cf_prune_pack *pack)
{
	return pack && !pack->is_condemned && !pack->is_damaged;
}

/* How well a copy serves as home; negative: not at all. A delta does only when its bases are there to stay. */
static int rank_home(const void *user, const struct cf_location *copy)
{
	const struct cf_prune *p = user;
	int rank = RANK_WHOLE;

	if (!is_good(cf_prune_find_pack(p, &copy->pack)))
		return -1;
	for (unsigned i = 0; i < copy->bases.n; i++) {
		if (!cf_id_set_has(&p->good_bases, &copy->bases.ids[i]))
			return -1;
		rank -= cf_live_has(&p->live, false, &copy->bases.ids[i]) ? RANK_BASE : 2 * RANK_BASE;
	}
	return copy->bases.n == 0 ? rank : rank - (copy->len < RANK_BASE ? (int)copy->len : RANK_BASE);
}

/* The home among the copies, or NULL. The first of the best, as cf_index_find() takes it. */
static const struct cf_location *choose_home(const struct scan *s)
{
	const struct cf_location *home = NULL;
	int best = -1;

	for (size_t i = 0; i < s->n; i++) {
		int rank = rank_home(s->p, &s->copies[i]);

		if (rank > best) {
			best = rank;
			home = &s->copies[i];
		}
	}
	return home;
}

static bool is_needed(const struct scan *s)
{
	return cf_live_has(&s->p->live, s->copies[0].pack_type == CF_OBJECT_TREE_PACK, &s->id);
}

/* The bases of the home, or of all copies when there is none. */
static int add_bases(struct scan *s, const struct cf_location *home, struct cf_id_set *bases)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct cf_location *copy = &s->copies[i];

		for (unsigned k = 0; (!home || copy == home) && k < copy->bases.n; k++)
			if (cf_id_set_add(bases, &copy->bases.ids[k]) < 0)
				return cf_err_nomem(s->err);
	}
	return 0;
}

/* First: the bases of all copies of what has no whole one. No base is known yet, so only whole copies can be homes. */
static int collect_bases(struct scan *s)
{
	return is_needed(s) ? add_bases(s, choose_home(s), &s->bases) : 0;
}

/* Second: which of them are there to stay. */
static int judge_base(struct scan *s)
{
	const struct cf_location *home;

	if (!cf_id_set_has(&s->bases, &s->id))
		return 0;
	home = choose_home(s);
	return home && home->bases.n == 0 && cf_id_set_add(&s->p->good_bases, &s->id) < 0 ? cf_err_nomem(s->err) : 0;
}

/* Third: the bases that the homes need. */
static int choose_bases(struct scan *s)
{
	return is_needed(s) ? add_bases(s, choose_home(s), &s->p->bases) : 0;
}

/* Only a whole chunk serves as base. */
static const struct cf_location *choose_whole_home(const struct scan *s, bool is_base)
{
	const struct cf_location *home = choose_home(s);

	return is_base && home && home->bases.n ? NULL : home;
}

/* A chunk is whole, and was a delta against what no snapshot has any more: see prune_families.c. */
static bool is_trace(const struct cf_prune *p, const struct cf_location *copy, const struct cf_location *home)
{
	return home && home->bases.n == 0 && copy->bases.n && cf_prune_is_old_base(p, &copy->bases.ids[0]);
}

/* Fourth: what each pack holds. */
static int count_copies(struct scan *s)
{
	bool is_base = cf_id_set_has(&s->p->bases, &s->id), needed = is_needed(s) || is_base;
	const struct cf_location *home = needed ? choose_whole_home(s, is_base) : NULL;

	for (size_t i = 0; i < s->n; i++) {
		const struct cf_location *copy = &s->copies[i];
		struct cf_prune_pack *pack = cf_prune_find_pack(s->p, &copy->pack);

		if (!pack)
			continue;
		/* The index may list packs that are gone. */
		if (copy->pack_type != CF_OBJECT_TREE_PACK)
			cf_live_note_found(&s->p->live, &s->id);
		pack->is_indexed = true;
		pack->type = copy->pack_type;
		if (copy == home) {
			pack->needed += cf_prune_share_of(copy);
			pack->n_needed++;
			pack->is_short |= (uint64_t)copy->off + copy->len > pack->size;
		} else {
			pack->unused += cf_prune_share_of(copy);
			pack->is_wanted |= needed && !home;
			pack->has_trace |= is_trace(s->p, copy, home);
		}
	}
	return 0;
}

static int end_chunk(struct scan *s)
{
	int rc = s->n ? s->chunk(s) : 0;

	s->n = 0;
	return rc;
}

static int note_copy(void *user, const struct cf_id *id, const struct cf_location *place)
{
	struct scan *s = user;
	int rc = 0;

	if (s->n && !cf_id_equal(&s->id, id))
		rc = end_chunk(s);
	if (rc == 0)
		rc = cf_array_grow(&s->copies, &s->capacity, s->n, sizeof(*s->copies), s->err);
	if (rc < 0)
		return rc;
	s->id = *id;
	s->copies[s->n++] = *place;
	return 0;
}

static int scan_index(struct scan *s, int (*chunk)(struct scan *s), struct cf_err *err)
{
	int rc;

	s->chunk = chunk;
	s->n = 0;
	rc = cf_catalog_each(s->p->repo->catalog, note_copy, s, err);
	return rc == 0 ? end_chunk(s) : rc;
}

static int show_home(struct scan *s)
{
	bool is_base = cf_id_set_has(&s->p->bases, &s->id);

	return is_base || is_needed(s) ? s->each(s->each_user, &s->id, choose_whole_home(s, is_base), s->copies, s->n) : 0;
}

int cf_prune_each_home(struct cf_prune *p, cf_prune_home_fn *fn, void *user, struct cf_err *err)
{
	struct scan s = {.p = p, .err = err, .each = fn, .each_user = user};
	int rc = scan_index(&s, show_home, err);

	free(s.copies);
	return rc;
}

int cf_prune_find_home(struct cf_prune *p, const struct cf_id *id, struct cf_location *home_out, struct cf_err *err)
{
	int rc = cf_catalog_find_ranked(p->repo->catalog, id, rank_home, p, home_out, err);

	return rc == 1 && home_out->bases.n && cf_id_set_has(&p->bases, id) ? 0 : rc;
}

static int judge_missing(struct cf_prune *p, struct cf_err *err)
{
	if (p->live.n_unfound == 0)
		return 0;
	return cf_err_set(err, CF_ERR_DAMAGED,
			  "%zu chunk%s that snapshots need %s in no pack, so nothing is removed: coffer check tells which files "
			  "they are of, coffer repair what can be done",
			  p->live.n_unfound, p->live.n_unfound == 1 ? "" : "s", p->live.n_unfound == 1 ? "is" : "are");
}

int cf_prune_plan(struct cf_prune *p, struct cf_err *err)
{
	struct scan s = {.p = p, .err = err};
	int rc = list_packs(p, err);

	cf_id_set_release(&p->bases);
	cf_id_set_release(&p->good_bases);
	if (rc == 0)
		rc = scan_index(&s, collect_bases, err);
	if (rc == 0 && s.bases.n)
		rc = scan_index(&s, judge_base, err);
	if (rc == 0 && s.bases.n)
		rc = scan_index(&s, choose_bases, err);
	if (rc == 0)
		rc = scan_index(&s, count_copies, err);
	if (rc == 0)
		rc = judge_missing(p, err);
	free(s.copies);
	cf_id_set_release(&s.bases);
	return rc;
}
