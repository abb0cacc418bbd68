#ifndef CF_REPO_KEYRING_H
#define CF_REPO_KEYRING_H

/* Keyrings in memory: making them and what is derived from them. The record is in repo/format/keyring.h. */

#include "base/secret.h"
#include "repo/format/keyring.h"

#include <stdbool.h>

/* A new full keyring with random keys and one epoch. */
int cf_keyring_new(struct cf_secret **ring_out, struct cf_err *err);
static inline struct cf_keyring *cf_keyring_of(struct cf_secret *ring)
{
	return (struct cf_keyring *)(void *)cf_secret_data(ring);
}

/* The same keyring for a role: without the secret keys of epochs when that is write. */
int cf_keyring_for(struct cf_secret *full, enum cf_key_role role, struct cf_secret **ring_out,
		   struct cf_err *err);

/* A copy with one more epoch, the newest. Its number is random beyond the last: two rotations at once make
 * two epochs. */
int cf_keyring_extend(struct cf_secret *full, struct cf_secret **ring_out, struct cf_err *err);

/* All epochs of both, which are keyrings of one repository and role. CF_ERR_DAMAGED when they contradict each
 * other. */
int cf_keyring_merge(struct cf_secret *a, struct cf_secret *b, struct cf_secret **ring_out,
		     struct cf_err *err);

/* Whether the keyring has all these epochs; numbers ascend. */
bool cf_keyring_knows(const struct cf_keyring *ring, const uint32_t *epochs, uint32_t n);

/* With the key pair that signs key slots, removals of them, and snapshots: who has a full keyring has it. */
int cf_keyring_sign(struct cf_secret *full, struct cf_span bytes, uint8_t signature_out[CF_SIGNATURE_LEN], struct cf_err *err);
/* What verifies that. */
int cf_keyring_verify_key(struct cf_secret *full, uint8_t public_out[CF_KEY_LEN], struct cf_err *err);

/* What the config's tag is made with. */
int cf_keyring_config_tag(const struct cf_keyring *ring, struct cf_span body, uint8_t tag_out[32],
			  struct cf_err *err);

#endif
