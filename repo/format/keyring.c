#include "repo/format/keyring.h"

#include "base/err.h"
#include "base/le.h"
#include "base/secret.h"

enum {
	KEYRING_VERSION = 1,
	HEAD_LEN = 4 + 3 * CF_KEY_LEN + 4,
	EPOCH_LEN = 4 + 2 * CF_KEY_LEN
};

static uint8_t *put_key(uint8_t *at, const uint8_t *key)
{
	memcpy(at, key, CF_KEY_LEN);
	return at + CF_KEY_LEN;
}

int cf_keyring_encode(const struct cf_keyring *ring, struct cf_secret **out, struct cf_err *err)
{
	uint8_t *at;
	int rc = cf_secret_new(HEAD_LEN + (size_t)ring->n_epochs * EPOCH_LEN, out, err);

	if (rc < 0)
		return rc;
	at = cf_secret_data(*out);
	at[0] = KEYRING_VERSION;
	at[1] = (uint8_t)ring->role;
	at = put_key(at + 4, ring->id_key);
	at = put_key(at, ring->chunker_key);
	at = put_key(at, ring->metadata_key);
	cf_le32_put(at, ring->n_epochs);
	at += 4;
	for (uint32_t i = 0; i < ring->n_epochs; i++) {
		cf_le32_put(at, ring->epochs[i].number);
		at = put_key(at + 4, ring->epochs[i].public_key);
		at = put_key(at, ring->epochs[i].secret_key);
	}
	return 0;
}

static void decode_keys(struct cf_cursor *c, struct cf_keyring *ring)
{
	cf_cursor_copy(c, ring->id_key, CF_KEY_LEN);
	cf_cursor_copy(c, ring->chunker_key, CF_KEY_LEN);
	cf_cursor_copy(c, ring->metadata_key, CF_KEY_LEN);
	ring->n_epochs = cf_cursor_u32(c);
	for (uint32_t i = 0; i < ring->n_epochs; i++) {
		ring->epochs[i].number = cf_cursor_u32(c);
		cf_cursor_copy(c, ring->epochs[i].public_key, CF_KEY_LEN);
		cf_cursor_copy(c, ring->epochs[i].secret_key, CF_KEY_LEN);
	}
}

int cf_keyring_decode(struct cf_span in, struct cf_secret **ring_out, struct cf_err *err)
{
	struct cf_cursor c = cf_cursor_of(in);
	uint8_t version = cf_cursor_u8(&c), role = cf_cursor_u8(&c);
	uint16_t zero = cf_cursor_u16(&c);
	struct cf_keyring *ring;
	uint32_t n_epochs;
	int rc;

	if (in.len < HEAD_LEN || version != KEYRING_VERSION || zero != 0 ||
	    (role != CF_ROLE_FULL && role != CF_ROLE_WRITE))
		return cf_err_set(err, CF_ERR_DAMAGED, "holds a damaged keyring");
	n_epochs = cf_le32_get(in.data + HEAD_LEN - 4);
	if (n_epochs == 0 || n_epochs > CF_EPOCHS_MAX || in.len != HEAD_LEN + (size_t)n_epochs * EPOCH_LEN)
		return cf_err_set(err, CF_ERR_DAMAGED, "holds a damaged keyring");
	rc = cf_secret_new(sizeof(*ring) + n_epochs * sizeof(ring->epochs[0]), ring_out, err);
	if (rc < 0)
		return rc;
	/* sodium_malloc aligns the end of the memory, so the struct's size (a multiple of 4) keeps it aligned. */
	ring = (struct cf_keyring *)(void *)cf_secret_data(*ring_out);
	ring->role = (enum cf_key_role)role;
	decode_keys(&c, ring);
	return 0;
}
