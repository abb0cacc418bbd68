#ifndef CF_REPO_FORMAT_KEYRING_H
#define CF_REPO_FORMAT_KEYRING_H

/*
 * The keyring inside a key slot (docs/format.md, "Keyring"):
 *   u8 version (1), u8 role, u16 zero, id key, chunker key, metadata key, u32 number of epochs (newest last),
 *   then per epoch: u32 number, public key, secret key (zeros in a write keyring)
 */

#include "base/buf.h"
#include "repo/format/keyslot.h"
#include "repo/format/limits.h"

struct cf_err;
struct cf_secret;

struct cf_epoch {
	uint32_t number;
	uint8_t public_key[CF_KEY_LEN];
	uint8_t secret_key[CF_KEY_LEN];
};

/* Lives in secret memory: see repo/keys.h. */
struct cf_keyring {
	enum cf_key_role role;
	uint8_t id_key[CF_KEY_LEN];
	uint8_t chunker_key[CF_KEY_LEN];
	uint8_t metadata_key[CF_KEY_LEN];
	uint32_t n_epochs;
	struct cf_epoch epochs[];
};

/* A new secret of the encoded bytes. */
int cf_keyring_encode(const struct cf_keyring *ring, struct cf_secret **out, struct cf_err *err);
/* A new secret holding a struct cf_keyring. CF_ERR_DAMAGED. */
int cf_keyring_decode(struct cf_span in, struct cf_secret **ring_out, struct cf_err *err);

#endif
