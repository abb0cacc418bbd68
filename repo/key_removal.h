#ifndef CF_REPO_KEY_REMOVAL_H
#define CF_REPO_KEY_REMOVAL_H

/*
 * Which key slots were removed. Whoever kept a copy of a slot's object can put it back, as its name is free then; so its removal is
 * recorded, with a signature that only full keyrings can make, and no rotation gives such a slot a new epoch.
 */

#include "repo/format/keyslot2.h"

#include <stdbool.h>
#include <stddef.h>

struct cf_id;
struct cf_repo;

struct cf_key_removals {
	uint8_t (*slots)[CF_SLOT_ID_LEN]; /* of records that somebody with a full key signed */
	size_t n;
	struct cf_id *damaged; /* other records: which slot they mean is not known */
	size_t n_damaged;
};

/* With any role; for a key of role write from a slot of version 1, which cannot tell what is signed, there are none. */
int cf_key_removals_load(struct cf_repo *repo, struct cf_key_removals *removals_out, struct cf_err *err);
void cf_key_removals_release(struct cf_key_removals *removals);
bool cf_key_was_removed(const struct cf_key_removals *removals, const uint8_t slot[CF_SLOT_ID_LEN]);

/* Before the slot goes. Needs a full key. */
int cf_key_removal_put(struct cf_repo *repo, const uint8_t slot[CF_SLOT_ID_LEN], struct cf_err *err);
/* The slot stays after all. The store must be able to remove. */
int cf_key_removal_take_back(struct cf_repo *repo, const uint8_t slot[CF_SLOT_ID_LEN], struct cf_err *err);

#endif
