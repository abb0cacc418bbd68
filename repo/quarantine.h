#ifndef CF_REPO_QUARANTINE_H
#define CF_REPO_QUARANTINE_H

/*
 * Objects that are damaged and known to be: set aside by records, never removed. What is intact in a pack was saved elsewhere
 * before, so nothing new relies on the pack; readers take from it what is nowhere else. A snapshot that is set aside
 * and cannot be read is left out of lists; check names it until it is forgotten, and prune waits for that.
 */

#include "repo/format/quarantine_doc.h"
#include "repo/id_set.h"

struct cf_repo;

struct cf_quarantine {
	struct cf_id_set packs, snapshots;
};

/* What all records name; damaged records are passed over with a warning. */
int cf_quarantine_load(struct cf_repo *repo, struct cf_quarantine *quarantine_out, struct cf_err *err);
/* The packs among it, into a set. */
int cf_quarantine_add_packs(struct cf_repo *repo, struct cf_id_set *packs, struct cf_err *err);
void cf_quarantine_release(struct cf_quarantine *quarantine);

/* Store a record. */
int cf_quarantine_put(struct cf_repo *repo, const struct cf_quarantine_record *record, struct cf_err *err);
/* Remove the records none of whose objects is in the store any more, which prune and forget have removed. The store must be able to. */
int cf_quarantine_drop_gone(struct cf_repo *repo, struct cf_err *err);
/* These packs are good again: put records without them in the place of those that name them. The store must be able to remove. */
int cf_quarantine_lift(struct cf_repo *repo, const struct cf_id_set *packs, struct cf_err *err);

#endif
