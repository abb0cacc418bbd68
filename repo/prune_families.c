#include "repo/prune_families.h"

#include "base/array.h"
#include "repo/blob.h"
#include "repo/chunks.h"

#include <stdlib.h>

/*
 * A base that no snapshot has any more, an old base, stays for the deltas against it. They form its family, which can be moved:
 *
 * - One of the deltas is stored whole, and the others as deltas against that one: what it took as a delta is saved, and where the data
 *   have moved on from the base, most of what the others take. The longer a delta, the further its chunk has moved, so the one with the
 *   middle length is taken, and the difference of two lengths tells what a delta between the two would take. A chunk that is only a part
 *   of the base, or lies over the border of two, would lack most of what the others are made of.
 * - Another chunk is whole anyway and resembles the old base: all become deltas against that one, and the old base is saved. A whole
 *   chunk comes about when the deltas at a place have grown, beside the family that ends there.
 */

enum {
	WORTH = 32 /* times the gain must make up for what is stored anew */
};

enum role {
	OLD_BASE,
	NEW_BASE, /* whole, and a delta in another copy: the run that was to move the family's deltas was cut short */
	DELTA
};

struct member {
	uint64_t family, chunk; /* see cf_family_name() */
	uint32_t len, raw_len;	/* of a delta against two bases, half of it */
	unsigned char role, n_bases;
};

/* An old base, and the whole chunk that resembles it most. */
struct old_base {
	struct cf_id id;
	struct cf_sketch sketch;
	unsigned likeness;
	struct cf_id similar;
};

/* By which old bases are found. */
struct feature {
	unsigned which;
	uint32_t value;
	size_t base;
};

struct judging {
	struct cf_prune *p;
	struct cf_err *err;
	bool has_homeless;
	struct member *members;
	size_t n_members, members_capacity;
	struct old_base *bases;
	size_t n_bases, bases_capacity;
	struct feature *features;
	size_t n_features;
	struct cf_families families;
};

static int compare_names(const void *a, const void *b)
{
	const struct cf_family *x = a, *y = b;

	return x->name < y->name ? -1 : x->name > y->name;
}

struct cf_family *cf_families_find(const struct cf_families *families, const struct cf_id *base)
{
	const struct cf_family key = {.name = cf_family_name(base)};

	return families->n ? bsearch(&key, families->items, families->n, sizeof(key), compare_names) : NULL;
}

static int add_member(struct judging *j, const struct cf_id *base, const struct cf_id *id, const struct cf_location *copy,
		      enum role role)
{
	uint32_t len = (uint32_t)cf_prune_share_of(copy), n_bases = copy->bases.n, n = n_bases ? n_bases : 1;
	int rc = cf_array_grow(&j->members, &j->members_capacity, j->n_members, sizeof(*j->members), j->err);

	if (rc == 0)
		j->members[j->n_members++] = (struct member){.family = cf_family_name(base),
							     .chunk = cf_family_name(id),
							     .len = len / n,
							     .raw_len = copy->raw_len / n,
							     .role = role,
							     .n_bases = n_bases};
	return rc;
}

static int add_old_base(struct judging *j, const struct cf_id *id, const struct cf_location *home)
{
	int rc = cf_array_grow(&j->bases, &j->bases_capacity, j->n_bases, sizeof(*j->bases), j->err);

	if (rc < 0)
		return rc;
	j->bases[j->n_bases++] = (struct old_base){.id = *id, .sketch = home->sketch};
	return add_member(j, id, id, home, OLD_BASE);
}

/* A copy as a delta makes a member of each family whose old base it is against. */
static int add_to_families(struct judging *j, const struct cf_id *id, const struct cf_location *copy, enum role role)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < copy->bases.n; i++)
		if (cf_prune_is_old_base(j->p, &copy->bases.ids[i]))
			rc = add_member(j, &copy->bases.ids[i], id, copy, role);
	return rc;
}

static int note_members(void *user, const struct cf_id *id, const struct cf_location *home, const struct cf_location *copies,
			size_t n)
{
	struct judging *j = user;
	int rc = 0;

	j->has_homeless |= !home;
	if (!home || home->pack_type != CF_OBJECT_DATA_PACK)
		return 0;
	if (home->bases.n)
		return add_to_families(j, id, home, DELTA);
	if (cf_prune_is_old_base(j->p, id))
		return add_old_base(j, id, home);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = add_to_families(j, id, &copies[i], NEW_BASE);
	return rc;
}

/* By family, its bases first, then its deltas by length. */
static int compare_members(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	if (x->family != y->family)
		return x->family < y->family ? -1 : 1;
	if (x->role != y->role)
		return x->role < y->role ? -1 : 1;
	return x->len < y->len ? -1 : x->len > y->len;
}

/* About as large as the old base, and against it alone. */
static bool is_fit_as_base(const struct member *delta, const struct member *old_base)
{
	return delta->n_bases == 1 && delta->raw_len >= old_base->raw_len / 4 * 3;
}

/* The middle one of those that are fit, or of all. */
static const struct member *choose_centre(const struct member *deltas, size_t n, const struct member *old_base)
{
	size_t n_fit = 0, nth = 0;

	for (size_t i = 0; i < n; i++)
		n_fit += is_fit_as_base(&deltas[i], old_base);
	for (size_t i = 0; i < n && n_fit; i++)
		if (is_fit_as_base(&deltas[i], old_base) && nth++ == n_fit / 2)
			return &deltas[i];
	return &deltas[n / 2];
}

/* What so many bytes more of the same kind would take. */
static uint64_t sealed_len(const struct member *old_base, uint64_t raw_len)
{
	return raw_len * old_base->len / (old_base->raw_len ? old_base->raw_len : 1);
}

/* What one would take as a delta against another: what the two have moved apart, and what the other lacks. */
static uint64_t delta_between(const struct member *delta, const struct member *base, const struct member *old_base)
{
	uint32_t between = delta->len > base->len ? delta->len - base->len : base->len - delta->len;
	uint32_t lacking = delta->raw_len > base->raw_len ? delta->raw_len - base->raw_len : 0;

	return (between > CF_DELTA_LEN_MIN ? between : CF_DELTA_LEN_MIN) + sealed_len(old_base, lacking);
}

/* What the family takes now less what it would take with one of its own as the new base. */
static struct cf_family judge_family(const struct member *members, size_t n)
{
	struct cf_family family = {.name = members[0].family};
	const struct member *old_base = members, *deltas = members + 1, *end = members + n, *centre = NULL;
	uint64_t before = old_base->len, after = 0;

	if (old_base->role != OLD_BASE)
		return family;
	for (; deltas < end && deltas->role == NEW_BASE; deltas++)
		centre = deltas;
	family.base_len = old_base->len;
	family.n_deltas = (uint32_t)(end - deltas);
	if (family.n_deltas == 0)
		return family;
	family.has_centre = centre != NULL;
	if (!centre) {
		centre = choose_centre(deltas, family.n_deltas, old_base);
		after = sealed_len(old_base, (uint64_t)centre->raw_len * centre->n_bases);
	}
	family.centre_name = centre->chunk;
	family.cost = after;
	for (const struct member *delta = deltas; delta < end; delta++) {
		before += delta->len;
		family.cost += delta->len;
		if (delta != centre)
			after += delta_between(delta, centre, old_base);
	}
	family.gain = before > after ? before - after : 0;
	return family;
}

static int make_families(struct judging *j, struct cf_err *err)
{
	struct cf_families *families = &j->families;

	qsort(j->members, j->n_members, sizeof(*j->members), compare_members);
	families->items = calloc(j->n_members, sizeof(*families->items));
	if (!families->items)
		return cf_err_nomem(err);
	for (size_t i = 0, n; i < j->n_members; i += n) {
		for (n = 1; i + n < j->n_members && j->members[i + n].family == j->members[i].family; n++)
			;
		families->items[families->n++] = judge_family(&j->members[i], n);
	}
	return 0;
}

static int compare_features(const void *a, const void *b)
{
	const struct feature *x = a, *y = b;

	if (x->which != y->which)
		return x->which < y->which ? -1 : 1;
	return x->value < y->value ? -1 : x->value > y->value;
}

static int list_features(struct judging *j, struct cf_err *err)
{
	j->features = calloc(j->n_bases * CF_SKETCH_FEATURES, sizeof(*j->features));
	if (!j->features)
		return cf_err_nomem(err);
	for (size_t i = 0; i < j->n_bases; i++)
		for (unsigned which = 0; which < CF_SKETCH_FEATURES; which++)
			if (j->bases[i].sketch.super[which])
				j->features[j->n_features++] = (struct feature){
					.which = which, .value = j->bases[i].sketch.super[which], .base = i};
	if (j->n_features)
		qsort(j->features, j->n_features, sizeof(*j->features), compare_features);
	return 0;
}

static void compare_with(struct old_base *base, const struct cf_id *id, const struct cf_sketch *sketch)
{
	unsigned likeness = cf_sketch_likeness(&base->sketch, sketch);

	if (likeness > base->likeness) {
		base->likeness = likeness;
		base->similar = *id;
	}
}

/* A whole chunk that stays: whichever old bases it resembles. */
static int note_similar(void *user, const struct cf_id *id, const struct cf_location *home, const struct cf_location *copies,
			size_t n)
{
	struct judging *j = user;

	(void)copies;
	(void)n;
	if (!home || home->bases.n || home->pack_type != CF_OBJECT_DATA_PACK || cf_prune_is_old_base(j->p, id))
		return 0;
	for (unsigned which = 0; which < CF_SKETCH_FEATURES; which++) {
		const struct feature key = {.which = which, .value = home->sketch.super[which]};
		const struct feature *f = bsearch(&key, j->features, j->n_features, sizeof(key), compare_features);

		if (!f)
			continue;
		while (f > j->features && compare_features(f - 1, &key) == 0)
			f--;
		for (; f < j->features + j->n_features && compare_features(f, &key) == 0; f++)
			compare_with(&j->bases[f->base], id, &home->sketch);
	}
	return 0;
}

/* What the family takes now less what it would take with the similar chunk as the new base: that is tried with the old base. */
static int try_similar(struct judging *j, const struct old_base *base, struct cf_family *family, struct cf_coder_slot *slot,
		       struct cf_err *err)
{
	const struct cf_bases similar = {.ids = {base->similar}, .n = 1};
	struct cf_prefix prefix = {0};
	struct cf_buf plain = CF_BUF_INIT;
	ssize_t len = 0;
	int rc = cf_chunk_read(j->p->repo, &base->id, &plain, err);

	if (rc == 0)
		rc = cf_prefix_read(j->p->repo, &similar, &prefix, err);
	cf_buf_clear(&slot->payload);
	if (rc == 0)
		len = cf_codec_compress(&slot->coder, CF_DELTA_LEVEL, prefix.bytes, cf_buf_span(&plain), &slot->payload, err);
	if (rc == 0 && len < 0)
		rc = (int)len;
	if (rc == 0) {
		uint64_t more = family->n_deltas * (uint64_t)len, gain = family->base_len > more ? family->base_len - more : 0;

		if (gain > family->gain) {
			family->gain = gain;
			family->cost -= family->base_len;
			family->has_centre = true;
			family->centre = base->similar;
			family->centre_name = cf_family_name(&base->similar);
		}
	}
	cf_prefix_release(j->p->repo, &prefix);
	cf_buf_release(&plain);
	return rc;
}

/* Look for whole chunks that could take the place of old bases. */
static int join_similar(struct judging *j, struct cf_err *err)
{
	struct cf_coder_slot *slot = NULL;
	int rc = list_features(j, err);

	if (rc == 0 && j->n_features)
		rc = cf_prune_each_home(j->p, note_similar, j, err);
	if (rc == 0)
		rc = cf_repo_take_coder(j->p->repo, &slot, err);
	for (size_t i = 0; rc == 0 && i < j->n_bases; i++) {
		struct cf_family *family = cf_families_find(&j->families, &j->bases[i].id);

		if (j->bases[i].likeness && family && family->n_deltas && !family->has_centre)
			rc = try_similar(j, &j->bases[i], family, slot, err);
		if (rc == 0)
			rc = cf_ctx_check(j->p->repo->ctx, err);
		if (j->p->lease)
			cf_lease_renew(j->p->lease);
	}
	if (slot)
		cf_repo_give_coder(j->p->repo, slot);
	return rc;
}

static uint64_t base_bytes(const struct cf_families *families)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < families->n; i++)
		bytes += families->items[i].base_len;
	return bytes;
}

static int compare_worth(const void *a, const void *b)
{
	const struct cf_family *x = a, *y = b;
	double p = (double)x->gain / (double)(x->cost + 1), q = (double)y->gain / (double)(y->cost + 1);

	return p > q ? -1 : p < q;
}

/* Little gained for much that is stored anew stays as it is. */
static void drop_unworthy(struct cf_families *families)
{
	size_t n = 0;

	for (size_t i = 0; i < families->n; i++)
		if (families->items[i].gain && families->items[i].gain * WORTH >= families->items[i].cost)
			families->items[n++] = families->items[i];
	families->n = n;
}

static void keep_best(struct judging *j, uint64_t limit, size_t n_max)
{
	struct cf_families *families = &j->families;
	uint64_t gain = 0, max = j->p->options->max_repack, *cost = &j->p->figures->bytes_rebased;
	size_t n = 0, n_deltas = 0;

	for (size_t i = 0; i < families->n; i++)
		gain += families->items[i].gain;
	qsort(families->items, families->n, sizeof(*families->items), compare_worth);
	for (size_t i = 0; i < families->n && gain > limit; i++) {
		const struct cf_family family = families->items[i];

		if (n_deltas + family.n_deltas > n_max || (max && *cost + family.cost > max))
			continue;
		families->items[n++] = family;
		n_deltas += family.n_deltas;
		gain -= family.gain;
		*cost += family.cost;
	}
	families->n = n;
	j->p->bytes_in_old_bases = gain;
	if (n)
		qsort(families->items, n, sizeof(*families->items), compare_names);
}

/* Whether there is any base that no snapshot has. */
static bool has_old_bases(const struct cf_prune *p)
{
	for (size_t i = 0; p->bases.n && i <= p->bases.mask; i++)
		if (!cf_id_is_zero(&p->bases.slots[i]) && cf_prune_is_old_base(p, &p->bases.slots[i]))
			return true;
	return false;
}

int cf_families_choose(struct cf_prune *p, size_t n_max, struct cf_families *families_out, struct cf_err *err)
{
	struct judging j = {.p = p, .err = err};
	/* The other half is for waste in packs. */
	uint64_t limit = cf_prune_unused_limit(p) / 2;
	int rc = 0;

	*families_out = (struct cf_families){0};
	if (!has_old_bases(p))
		return 0;
	rc = cf_prune_each_home(p, note_members, &j, err);
	/* What has no home is copied first: the next run comes back to this. */
	if (rc == 0 && !j.has_homeless && j.n_members)
		rc = make_families(&j, err);
	free(j.members);
	if (rc == 0 && base_bytes(&j.families) > limit)
		rc = join_similar(&j, err);
	drop_unworthy(&j.families);
	if (rc == 0 && j.families.n)
		keep_best(&j, limit, n_max);
	free(j.bases);
	free(j.features);
	*families_out = j.families;
	return rc;
}
