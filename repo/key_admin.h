#ifndef CF_REPO_KEY_ADMIN_H
#define CF_REPO_KEY_ADMIN_H

/*
 * Changing the key slots of an open repository. All of it needs a full key (else CF_ERR_KEY), holds no lock,
 * and leaves a slot that opens at every step: what is new is stored before what is old goes.
 */

#include "repo/key_list.h"
#include "repo/repo.h"

/* Add a slot for the credentials. id_text_out: 33 bytes, filled once it may be in the store, and else left alone. */
int cf_key_add(struct cf_repo *repo, enum cf_key_role role, const struct cf_credentials *credentials,
	       const struct cf_slot_about *about, char *id_text_out, struct cf_err *err);

/*
 * Remove a slot, with a record of it (repo/key_removal.h). CF_ERR_BUSY: it is the last that opens everything, or it is in use and that was not allowed.
 * dry_run: only say whether it could be removed.
 */
int cf_key_remove(struct cf_repo *repo, const struct cf_key_info *info, bool even_in_use, bool dry_run,
		  struct cf_err *err);

/* Another secret for the slot in use: a new slot takes its place. */
int cf_key_replace(struct cf_repo *repo, const struct cf_credentials *credentials,
		   const struct cf_slot_about *about, char *id_text_out, struct cf_err *err);

/* Whether a rotation gives the slot the new epoch: the one in use, and none else that is of version 1, that nobody can trust, or that
 * was removed and is back. */
bool cf_key_is_carried(const struct cf_key_info *info);

struct cf_key_rotation {
	bool is_new; /* false: an earlier rotation that was interrupted was brought to its end, and no epoch
			made */
	size_t n_slots; /* that were given the newest epoch */
	uint32_t n_epochs;
};

/*
 * Make a new data epoch and give it to every slot that cf_key_is_carried() admits, with a warning for each that was removed. Handles that are open go
 * on with the epochs they know. credentials: what opened this handle, for a slot of version 1 is replaced by
 * one of version 2. When it fails midway, slots that have the new epoch keep it, and the next rotation gives
 * it to the others.
 */
int cf_key_rotate(struct cf_repo *repo, const struct cf_credentials *credentials,
		  const struct cf_slot_about *about, struct cf_key_rotation *rotation_out,
		  struct cf_err *err);

#endif
