#ifndef CF_REPO_FORMAT_KEYSLOT_H
#define CF_REPO_FORMAT_KEYSLOT_H

/*
 * A key slot object (docs/format.md, "keys/"): canonical JSON
 *   {version, role: "full"|"write", kind: "passphrase"|"key-file", created, kdf: {name, ops, memory, salt}, wrapped: {nonce, data}}
 * The keyring in `data` is sealed with XChaCha20-Poly1305; everything else in the document is its additional data.
 */

#include "base/buf.h"

struct cf_err;

enum cf_slot_kind {
	CF_SLOT_PASSPHRASE = 1, /* KEK = Argon2id(passphrase, salt) */
	CF_SLOT_KEY_FILE = 2,	/* KEK = keyed BLAKE2b of the file's bytes, key = salt */
	CF_SLOT_COMMAND = 3	/* the same of a key that a command keeps; not in version 1 */
};

enum cf_key_role {
	CF_ROLE_FULL = 1,
	CF_ROLE_WRITE = 2
};

#define CF_SLOT_SALT_LEN  16
#define CF_SLOT_NONCE_LEN 24
#define CF_SLOT_BOX_LEN	  48 /* what a sealed box adds: a public key and a tag */
/* What Argon2id may ask for: a damaged slot must not take all memory or time. */
#define CF_SLOT_OPS_MAX	   64
#define CF_SLOT_MEMORY_MAX (4ull << 30)

struct cf_keyslot {
	enum cf_key_role role;
	enum cf_slot_kind kind;
	int64_t created_ns;
	uint64_t ops, memory; /* passphrase: Argon2id passes and bytes */
	uint8_t salt[CF_SLOT_SALT_LEN];
	uint8_t nonce[CF_SLOT_NONCE_LEN];
	struct cf_buf wrapped; /* sealed keyring; released by cf_keyslot_release */
};

/* The additional data: the document without its "wrapped" part. */
int cf_keyslot_encode_open_part(const struct cf_keyslot *slot, struct cf_buf *out, struct cf_err *err);
int cf_keyslot_encode(const struct cf_keyslot *slot, struct cf_buf *out, struct cf_err *err);
/* CF_ERR_DAMAGED, CF_ERR_UNSUPPORTED. */
int cf_keyslot_decode(struct cf_span in, struct cf_keyslot *slot_out, struct cf_err *err);
void cf_keyslot_release(struct cf_keyslot *slot);

#endif
