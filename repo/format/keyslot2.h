#ifndef CF_REPO_FORMAT_KEYSLOT2_H
#define CF_REPO_FORMAT_KEYSLOT2_H

/*
 * A key slot object of version 2 (docs/format.md, "Key slots"): a key pair of the slot's own, whose secret
 * half is wrapped under what the user holds, and the keyring in a sealed box to its public half. So whoever
 * has a full keyring can give the slot a new keyring without what opens it; the signature says that it was
 * somebody with a full keyring.
 */

#include "repo/format/keyslot.h"
#include "repo/format/limits.h"

#define CF_SLOT_ID_LEN 16
/* The slot's secret key, and the public key that verifies signatures. */
#define CF_SLOT_SECRET_LEN (2 * CF_KEY_LEN)

/* The fixed part is all that a slot keeps for its life; the rest is new with each keyring. */
struct cf_keyslot2 {
	uint8_t id[CF_SLOT_ID_LEN]; /* random; the same through all keyrings */
	enum cf_key_role role;
	enum cf_slot_kind kind;
	int64_t created_ns;
	uint64_t ops, memory;
	uint8_t salt[CF_SLOT_SALT_LEN];
	struct cf_buf wrapped; /* kind command: what it made of the wrapping key */
	uint8_t public_key[CF_KEY_LEN];
	/* up to here the fixed part */
	uint8_t secret_nonce[CF_SLOT_NONCE_LEN];
	uint8_t secret[CF_SLOT_SECRET_LEN + CF_TAG_LEN]; /* sealed under the key-encryption key */
	uint8_t about_nonce[CF_SLOT_NONCE_LEN];
	struct cf_buf about; /* sealed struct cf_slot_about */
	uint32_t *epochs;    /* numbers of those in the keyring, ascending */
	uint32_t n_epochs;
	struct cf_buf keyring; /* in a sealed box */
	uint8_t signature[CF_SIGNATURE_LEN];
};

/* Who made a slot, where, and what for: UTF-8, never NULL. */
struct cf_slot_about {
	const char *host, *user, *comment;
	char *owned; /* what the texts lie in; NULL when they are borrowed */
};

/* The additional data of the sealed secret key. */
int cf_keyslot2_encode_fixed(const struct cf_keyslot2 *slot, struct cf_buf *out, struct cf_err *err);
/* What is signed: everything but the signature. */
int cf_keyslot2_encode_unsigned(const struct cf_keyslot2 *slot, struct cf_buf *out, struct cf_err *err);
int cf_keyslot2_encode(const struct cf_keyslot2 *slot, struct cf_buf *out, struct cf_err *err);
/* CF_ERR_DAMAGED, CF_ERR_UNSUPPORTED. A slot of version 1 is damaged here. */
int cf_keyslot2_decode(struct cf_span in, struct cf_keyslot2 *slot_out, struct cf_err *err);
void cf_keyslot2_release(struct cf_keyslot2 *slot);

/* The version a key slot object claims; 0 when it cannot be told. */
unsigned cf_keyslot_version(struct cf_span in);

int cf_slot_about_encode(const struct cf_slot_about *about, struct cf_buf *out, struct cf_err *err);
/* Release it. */
int cf_slot_about_decode(struct cf_span in, struct cf_slot_about *about_out, struct cf_err *err);
void cf_slot_about_release(struct cf_slot_about *about);

#endif
