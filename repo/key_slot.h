#ifndef CF_REPO_KEY_SLOT_H
#define CF_REPO_KEY_SLOT_H

/* One key slot of version 2: making, filling, opening it. Its objects. */

#include "repo/format/keyslot2.h"
#include "repo/keyring.h"
#include "repo/repo.h"

/* A new slot for the credentials, of a role, holding the full keyring or its write part. It was opened once
 * before it is given. Release it, also after a failure. */
int cf_slot_make(struct cf_secret *full, enum cf_key_role role, const struct cf_credentials *credentials,
		 const struct cf_slot_about *about, int64_t now_ns, struct cf_keyslot2 *slot_out,
		 struct cf_err *err);

enum {
	CF_SLOT_NAME_LEN = 80
};

/* Give a slot the full keyring, or its write part, and sign it anew. */
int cf_slot_fill(struct cf_keyslot2 *slot, struct cf_secret *full, struct cf_err *err);

/* Store it as keys/<SHA-256 of the object>. name_out (may be NULL): that. */
int cf_slot_put(struct cf_backend *backend, const struct cf_keyslot2 *slot, char name_out[CF_SLOT_NAME_LEN],
		struct cf_err *err);

/* Remove one object below keys/; one that is gone is no failure. CF_ERR_BUSY when the store cannot. */
int cf_slot_remove_object(struct cf_backend *backend, const char *name, struct cf_err *err);

/* The slot's secret key and behind it the key that verifies its signature. CF_ERR_KEY: the credentials are
 * wrong. */
int cf_slot_unlock(const struct cf_keyslot2 *slot, const struct cf_credentials *credentials,
		   struct cf_secret **secret_out, struct cf_err *err);

/* CF_ERR_DAMAGED unless somebody with a full keyring wrote the slot as it is. */
int cf_slot_verify(const struct cf_keyslot2 *slot, const uint8_t verify_key[CF_KEY_LEN], struct cf_err *err);

/* The keyring, once verified, by what cf_slot_unlock gave. CF_ERR_DAMAGED. */
int cf_slot_keyring(const struct cf_keyslot2 *slot, struct cf_secret *secret, struct cf_secret **ring_out,
		    struct cf_err *err);

/* Who made it, for any keyring of the repository. Release it. CF_ERR_DAMAGED. */
int cf_slot_about_open(const struct cf_keyring *ring, const struct cf_keyslot2 *slot,
		       struct cf_slot_about *about_out, struct cf_err *err);

#endif
