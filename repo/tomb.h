#ifndef CF_REPO_TOMB_H
#define CF_REPO_TOMB_H

/*
 * Tombs: records of packs that a prune has condemned and a later one will remove. Until then they are whole and can be read, but nothing
 * new may rely on them.
 */

#include "repo/format/gc_doc.h"
#include "repo/id_set.h"

struct cf_repo;

struct cf_tomb {
	struct cf_id id;
	struct cf_tomb_doc doc;
};

struct cf_tombs {
	struct cf_tomb *items;
	size_t n;
	struct cf_id *damaged; /* what they condemn is not known, so nobody removes it either */
	size_t n_damaged;
};

/* All there are, with a warning for each that is damaged. */
int cf_tombs_load(struct cf_repo *repo, struct cf_tombs *tombs_out, struct cf_err *err);
void cf_tombs_release(struct cf_tombs *tombs);

/* Add the packs of all tombs to the set. */
int cf_tombs_add_packs(const struct cf_tombs *tombs, struct cf_id_set *packs, struct cf_err *err);

#endif
