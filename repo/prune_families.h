#ifndef CF_REPO_PRUNE_FAMILIES_H
#define CF_REPO_PRUNE_FAMILIES_H

/* Bases that no snapshot has any more, and what it would save to replace them. For repo/prune_families.c and prune_rebase.c only. */

#include "repo/prune_parts.h"

enum {
	CF_DELTA_LEN_MIN = 200 /* with its row in table and index */
};

/*
 * An old base and the needed deltas against it. Families go by the first 8 bytes of the base's id: should two begin alike, their
 * deltas become longer than need be.
 */
struct cf_family {
	uint64_t name;
	uint64_t gain, cost; /* bytes: saved when it is moved to a new base, and stored now of what is stored anew for that */
	uint32_t base_len;   /* sealed */
	uint32_t n_deltas;
	/* The new base: a chunk that is whole already, or else one of the deltas, which is to be. Found by the beginning of its id. */
	bool has_centre;
	uint64_t centre_name;
	struct cf_id centre;
};

/* By name. free() items. */
struct cf_families {
	struct cf_family *items;
	size_t n;
};

static inline uint64_t cf_family_name(const struct cf_id *id)
{
	return cf_le64_get(id->bytes);
}

/* The family of an old base, if it is among them. */
struct cf_family *cf_families_find(const struct cf_families *families, const struct cf_id *base);

/* Those that are to be moved: with the most gain for their cost, until what old bases cost is within half the limit of waste, and at
 * most n_max deltas. Release them on failure too. */
int cf_families_choose(struct cf_prune *p, size_t n_max, struct cf_families *families_out, struct cf_err *err);

#endif
