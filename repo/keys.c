#include "repo/keys.h"

#include "backends/backend.h"
#include "base/err.h"
#include "base/secret.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	ARGON_OPS = 3,
	ARGON_MEMORY = 128 << 20,
	SLOT_LEN_MAX = 4 << 20,
	KEY_FILE_LEN_MIN = 32
};

int cf_keyring_new(struct cf_secret **ring_out, struct cf_err *err)
{
	struct cf_keyring *ring;
	int rc = cf_secret_new(sizeof(*ring) + sizeof(ring->epochs[0]), ring_out, err);

	if (rc < 0)
		return rc;
	ring = cf_keyring_of(*ring_out);
	ring->role = CF_ROLE_FULL;
	cf_random(ring->id_key, CF_KEY_LEN);
	cf_random(ring->chunker_key, CF_KEY_LEN);
	cf_random(ring->metadata_key, CF_KEY_LEN);
	ring->n_epochs = 1;
	ring->epochs[0].number = 1;
	crypto_box_keypair(ring->epochs[0].public_key, ring->epochs[0].secret_key);
	return 0;
}

/* The key-encryption key of a slot. */
static int slot_key(const struct cf_keyslot *slot, const struct cf_credentials *credentials,
		    struct cf_secret **kek_out, struct cf_err *err)
{
	struct cf_span secret = cf_secret_span(slot->kind == CF_SLOT_PASSPHRASE ? credentials->passphrase
										: credentials->key_file);
	int rc = cf_secret_new(CF_KEY_LEN, kek_out, err);
	int failed;

	if (rc < 0)
		return rc;
	if (slot->kind == CF_SLOT_KEY_FILE)
		failed = crypto_generichash(cf_secret_data(*kek_out), CF_KEY_LEN, secret.data, secret.len,
					    slot->salt, sizeof(slot->salt));
	else
		failed = crypto_pwhash(cf_secret_data(*kek_out), CF_KEY_LEN, (const char *)secret.data,
				       secret.len, slot->salt, slot->ops, slot->memory,
				       crypto_pwhash_ALG_ARGON2ID13);
	if (failed) {
		cf_secret_free(*kek_out);
		*kek_out = NULL;
		return cf_err_set(err, CF_ERR_NOMEM, "not enough memory to derive the key (%llu MiB needed)",
				  (unsigned long long)(slot->memory >> 20));
	}
	return 0;
}

static int wrap(struct cf_keyslot *slot, struct cf_span plain, const struct cf_credentials *credentials,
		struct cf_err *err)
{
	struct cf_secret *kek = NULL;
	struct cf_buf open_part = CF_BUF_INIT;
	int rc = cf_keyslot_encode_open_part(slot, &open_part, err);

	if (rc == 0)
		rc = slot_key(slot, credentials, &kek, err);
	if (rc == 0)
		rc = cf_buf_resize(&slot->wrapped, plain.len + CF_TAG_LEN, err);
	if (rc == 0)
		crypto_aead_xchacha20poly1305_ietf_encrypt(slot->wrapped.data, NULL, plain.data, plain.len,
							   open_part.data, open_part.len, NULL, slot->nonce,
							   cf_secret_data(kek));
	cf_secret_free(kek);
	cf_buf_release(&open_part);
	return rc;
}

int cf_keys_add_slot(struct cf_backend *backend, struct cf_keyring *ring,
		     const struct cf_credentials *credentials, int64_t now_ns, struct cf_err *err)
{
	bool passphrase = credentials->passphrase != NULL;
	struct cf_keyslot slot = {
		.role = ring->role,
		.kind = passphrase ? CF_SLOT_PASSPHRASE : CF_SLOT_KEY_FILE,
		.created_ns = now_ns,
		.ops = passphrase ? ARGON_OPS : 0,
		.memory = passphrase ? ARGON_MEMORY : 0,
	};
	struct cf_secret *plain = NULL;
	struct cf_buf doc = CF_BUF_INIT;
	struct cf_span span;
	struct cf_id id;
	char name[80];
	int rc;

	if (!passphrase && cf_secret_span(credentials->key_file).len < KEY_FILE_LEN_MIN)
		return cf_err_set(err, CF_ERR_KEY, "a key file needs at least %d bytes", KEY_FILE_LEN_MIN);
	cf_random(slot.salt, sizeof(slot.salt));
	cf_random(slot.nonce, sizeof(slot.nonce));
	rc = cf_keyring_encode(ring, &plain, err);
	if (rc == 0)
		rc = wrap(&slot, cf_secret_span(plain), credentials, err);
	if (rc == 0)
		rc = cf_keyslot_encode(&slot, &doc, err);
	span = cf_buf_span(&doc);
	if (rc == 0)
		rc = cf_sha256(&span, 1, &id, err);
	if (rc == 0) {
		snprintf(name, sizeof(name), "keys/%s", cf_id_text(&id).s);
		rc = cf_backend_put(backend, name, span, err);
	}
	cf_secret_free(plain);
	cf_keyslot_release(&slot);
	cf_buf_release(&doc);
	return rc;
}

static bool fits(const struct cf_keyslot *slot, const struct cf_credentials *credentials)
{
	return slot->kind == CF_SLOT_PASSPHRASE ? credentials->passphrase != NULL
						: credentials->key_file != NULL;
}

static int unwrap(const struct cf_keyslot *slot, const struct cf_credentials *credentials,
		  struct cf_secret **ring_out, struct cf_err *err)
{
	struct cf_secret *kek = NULL, *plain = NULL;
	struct cf_buf open_part = CF_BUF_INIT;
	int rc = cf_keyslot_encode_open_part(slot, &open_part, err);

	if (rc == 0)
		rc = slot_key(slot, credentials, &kek, err);
	if (rc == 0)
		rc = cf_secret_new(slot->wrapped.len - CF_TAG_LEN, &plain, err);
	if (rc == 0 && crypto_aead_xchacha20poly1305_ietf_decrypt(
			       cf_secret_data(plain), NULL, NULL, slot->wrapped.data, slot->wrapped.len,
			       open_part.data, open_part.len, slot->nonce, cf_secret_data(kek)) != 0)
		rc = cf_err_set(err, CF_ERR_KEY, "wrong key");
	if (rc == 0)
		rc = cf_keyring_decode(cf_secret_span(plain), ring_out, err);
	cf_secret_free(kek);
	cf_secret_free(plain);
	cf_buf_release(&open_part);
	return rc;
}

/* 1: *ring_out is open. 0: this slot is of another kind. Negative: it did not open, or is damaged. */
static int try_slot(struct cf_backend *backend, const char *name, const struct cf_credentials *credentials,
		    struct cf_secret **ring_out, struct cf_err *err)
{
	struct cf_buf doc = CF_BUF_INIT;
	struct cf_keyslot slot = {.wrapped = CF_BUF_INIT};
	struct cf_id id;
	struct cf_span span;
	int rc = cf_backend_get_all(backend, name, SLOT_LEN_MAX, &doc, err);

	span = cf_buf_span(&doc);
	if (rc == 0)
		rc = cf_sha256(&span, 1, &id, err);
	if (rc == 0 && strcmp(name + strlen("keys/"), cf_id_text(&id).s) != 0)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "does not fit its name");
	if (rc == 0)
		rc = cf_keyslot_decode(span, &slot, err);
	if (rc == 0 && fits(&slot, credentials)) {
		rc = unwrap(&slot, credentials, ring_out, err);
		rc = rc < 0 ? rc : 1;
	}
	if (rc < 0)
		cf_err_wrap(err, "%s", name);
	cf_keyslot_release(&slot);
	cf_buf_release(&doc);
	return rc;
}

struct slot_names {
	char (*names)[80];
	size_t n;
	bool nomem;
};

static int collect_name(void *user, const char *name, uint64_t size)
{
	struct slot_names *slots = user;
	char(*names)[80] = realloc(slots->names, (slots->n + 1) * sizeof(*names));

	(void)size;
	if (!names) {
		slots->nomem = true;
		return 1;
	}
	slots->names = names;
	snprintf(names[slots->n++], sizeof(*names), "%s", name);
	return 0;
}

int cf_keys_open(struct cf_backend *backend, const struct cf_credentials *credentials,
		 struct cf_secret **ring_out, struct cf_err *err)
{
	struct slot_names slots = {0};
	struct cf_err why = CF_ERR_INIT, damage = CF_ERR_INIT;
	size_t n_tried = 0;
	int rc = backend->ops->list(backend, "keys", collect_name, &slots, err);

	if (slots.nomem)
		rc = cf_err_nomem(err);
	if (rc == 0 && slots.n == 0)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "keys: every key slot is missing from the repository");
	if (rc < 0)
		goto out;
	for (size_t i = 0; i < slots.n; i++) {
		cf_err_clear(&why);
		rc = try_slot(backend, slots.names[i], credentials, ring_out, &why);
		if (rc == 1)
			break;
		if (rc == CF_ERR_KEY)
			n_tried++;
		else if (rc < 0)
			damage = why;
	}
	if (rc == 1)
		rc = 0;
	else if (damage.code && n_tried == 0)
		rc = cf_err_set(err, damage.code, "%s", damage.text);
	else if (n_tried == 0)
		rc = cf_err_set(err, CF_ERR_KEY, "no key slot of the repository opens with a %s",
				credentials->passphrase ? "password" : "key file");
	else
		rc = cf_err_set(err, CF_ERR_KEY, "wrong %s", credentials->passphrase ? "password" : "key file");
out:
	free(slots.names);
	return rc;
}

int cf_keys_config_tag(const struct cf_keyring *ring, struct cf_span body, uint8_t tag_out[32],
		       struct cf_err *err)
{
	return cf_derive(cf_span_of(ring->metadata_key, CF_KEY_LEN), "coffer config", body, tag_out, err);
}
