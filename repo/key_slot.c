#include "repo/key_slot.h"

#include "backends/backend.h"
#include "base/err.h"
#include "repo/crypto.h"
#include "repo/key_provider.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

/* Before what is signed, so that no signature of a slot passes for one of anything else. */
static const char signature_label[] = "coffer key slot";

static int seal(struct cf_span plain, struct cf_span covered, const uint8_t nonce[CF_SLOT_NONCE_LEN],
		const uint8_t *key, uint8_t *out)
{
	return crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, plain.data, plain.len, covered.data,
							  covered.len, NULL, nonce, key);
}

static int unseal(struct cf_span sealed, struct cf_span covered, const uint8_t nonce[CF_SLOT_NONCE_LEN],
		  const uint8_t *key, uint8_t *out)
{
	return crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed.data, sealed.len,
							  covered.data, covered.len, nonce, key);
}

static int about_key(const struct cf_keyring *ring, const struct cf_keyslot2 *slot, uint8_t out[CF_KEY_LEN],
		     struct cf_err *err)
{
	return cf_derive(cf_span_of(ring->metadata_key, CF_KEY_LEN), "coffer slot about",
			 cf_span_of(slot->id, sizeof(slot->id)), out, err);
}

/* Names of hosts and people are nothing for the storage to read. */
static int seal_about(const struct cf_keyring *ring, const struct cf_slot_about *about,
		      struct cf_keyslot2 *slot, struct cf_err *err)
{
	uint8_t key[CF_KEY_LEN];
	struct cf_buf plain = CF_BUF_INIT;
	int rc = about_key(ring, slot, key, err);

	if (rc == 0)
		rc = cf_slot_about_encode(about, &plain, err);
	if (rc == 0)
		rc = cf_buf_resize(&slot->about, plain.len + CF_TAG_LEN, err);
	if (rc == 0)
		seal(cf_buf_span(&plain), cf_span_of(NULL, 0), slot->about_nonce, key, slot->about.data);
	cf_wipe(key, sizeof(key));
	cf_buf_release(&plain);
	return rc;
}

int cf_slot_about_open(const struct cf_keyring *ring, const struct cf_keyslot2 *slot,
		       struct cf_slot_about *about_out, struct cf_err *err)
{
	uint8_t key[CF_KEY_LEN];
	struct cf_buf plain = CF_BUF_INIT;
	int rc = about_key(ring, slot, key, err);

	if (rc == 0)
		rc = cf_buf_resize(&plain, slot->about.len - CF_TAG_LEN, err);
	if (rc == 0 &&
	    unseal(cf_buf_span(&slot->about), cf_span_of(NULL, 0), slot->about_nonce, key, plain.data) != 0)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "says nothing of who made it");
	if (rc == 0)
		rc = cf_slot_about_decode(cf_buf_span(&plain), about_out, err);
	cf_wipe(key, sizeof(key));
	cf_buf_release(&plain);
	return rc;
}

/* The secret key and the verifying key, under what the provider gives. */
static int seal_secret(struct cf_keyslot2 *slot, struct cf_span secret, const struct cf_secret *kek,
		       struct cf_err *err)
{
	struct cf_buf fixed = CF_BUF_INIT;
	int rc = cf_keyslot2_encode_fixed(slot, &fixed, err);

	if (rc == 0)
		seal(secret, cf_buf_span(&fixed), slot->secret_nonce, cf_secret_span(kek).data, slot->secret);
	cf_buf_release(&fixed);
	return rc;
}

static int make_kek(struct cf_keyslot2 *slot, const struct cf_credentials *credentials,
		    struct cf_secret **kek_out, struct cf_err *err)
{
	const struct cf_key_provider *provider = cf_key_provider_of(credentials);
	struct cf_key_params params = {.wrapped = CF_BUF_INIT};
	int rc;

	slot->kind = provider->kind;
	cf_random(params.salt, sizeof(params.salt));
	rc = provider->make(credentials, &params, kek_out, err);
	slot->ops = params.ops;
	slot->memory = params.memory;
	memcpy(slot->salt, params.salt, sizeof(slot->salt));
	slot->wrapped = params.wrapped;
	return rc;
}

int cf_slot_unlock(const struct cf_keyslot2 *slot, const struct cf_credentials *credentials,
		   struct cf_secret **secret_out, struct cf_err *err)
{
	const struct cf_key_provider *provider = cf_key_provider(slot->kind);
	struct cf_key_params params = {.ops = slot->ops, .memory = slot->memory, .wrapped = slot->wrapped};
	struct cf_secret *kek = NULL, *secret = NULL;
	struct cf_buf fixed = CF_BUF_INIT;
	int rc = cf_keyslot2_encode_fixed(slot, &fixed, err);

	memcpy(params.salt, slot->salt, sizeof(params.salt));
	if (rc == 0)
		rc = provider->open(credentials, &params, &kek, err);
	if (rc == 0)
		rc = cf_secret_new(CF_SLOT_SECRET_LEN, &secret, err);
	if (rc == 0 && unseal(cf_span_of(slot->secret, sizeof(slot->secret)), cf_buf_span(&fixed),
			      slot->secret_nonce, cf_secret_data(kek), cf_secret_data(secret)) != 0)
		rc = cf_err_set(err, CF_ERR_KEY, "wrong %s", provider->what);
	cf_secret_free(kek);
	cf_buf_release(&fixed);
	if (rc < 0)
		cf_secret_free(secret);
	else
		*secret_out = secret;
	return rc;
}

/* What is signed: a label, a zero byte, and the document without its signature. */
static int signed_bytes(const struct cf_keyslot2 *slot, struct cf_buf *out, struct cf_err *err)
{
	int rc = cf_buf_append(out, signature_label, sizeof(signature_label), err);

	return rc == 0 ? cf_keyslot2_encode_unsigned(slot, out, err) : rc;
}

static int sign(struct cf_keyslot2 *slot, struct cf_secret *full, struct cf_err *err)
{
	struct cf_buf bytes = CF_BUF_INIT;
	int rc = signed_bytes(slot, &bytes, err);

	if (rc == 0)
		rc = cf_keyring_sign(full, cf_buf_span(&bytes), slot->signature, err);
	cf_buf_release(&bytes);
	return rc;
}

int cf_slot_verify(const struct cf_keyslot2 *slot, const uint8_t verify_key[CF_KEY_LEN], struct cf_err *err)
{
	struct cf_buf bytes = CF_BUF_INIT;
	int rc = signed_bytes(slot, &bytes, err);

	if (rc == 0 && crypto_sign_verify_detached(slot->signature, bytes.data, bytes.len, verify_key) != 0)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "was not written by anybody with a full key");
	cf_buf_release(&bytes);
	return rc;
}

static int list_epochs(struct cf_keyslot2 *slot, const struct cf_keyring *ring, struct cf_err *err)
{
	uint32_t *epochs = calloc(ring->n_epochs, sizeof(*epochs));

	if (!epochs)
		return cf_err_nomem(err);
	for (uint32_t i = 0; i < ring->n_epochs; i++)
		epochs[i] = ring->epochs[i].number;
	free(slot->epochs);
	slot->epochs = epochs;
	slot->n_epochs = ring->n_epochs;
	return 0;
}

int cf_slot_fill(struct cf_keyslot2 *slot, struct cf_secret *full, struct cf_err *err)
{
	struct cf_secret *ring = NULL, *plain = NULL;
	struct cf_span span;
	int rc = cf_keyring_for(full, slot->role, &ring, err);

	if (rc == 0)
		rc = cf_keyring_encode(cf_keyring_of(ring), &plain, err);
	if (rc == 0)
		rc = list_epochs(slot, cf_keyring_of(ring), err);
	span = plain ? cf_secret_span(plain) : cf_span_of(NULL, 0);
	if (rc == 0)
		rc = cf_buf_resize(&slot->keyring, span.len + CF_SLOT_BOX_LEN, err);
	if (rc == 0 && crypto_box_seal(slot->keyring.data, span.data, span.len, slot->public_key) != 0)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "has a public key that is none");
	if (rc == 0)
		rc = sign(slot, full, err);
	cf_secret_free(ring);
	cf_secret_free(plain);
	return rc;
}

int cf_slot_keyring(const struct cf_keyslot2 *slot, struct cf_secret *secret, struct cf_secret **ring_out,
		    struct cf_err *err)
{
	const uint8_t *secret_key = cf_secret_data(secret);
	struct cf_secret *plain = NULL;
	int rc = cf_slot_verify(slot, secret_key + CF_KEY_LEN, err);

	if (rc == 0)
		rc = cf_secret_new(slot->keyring.len - CF_SLOT_BOX_LEN, &plain, err);
	if (rc == 0 && crypto_box_seal_open(cf_secret_data(plain), slot->keyring.data, slot->keyring.len,
					    slot->public_key, secret_key) != 0)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "holds a damaged keyring");
	if (rc == 0)
		rc = cf_keyring_decode(cf_secret_span(plain), ring_out, err);
	if (rc == 0 && cf_keyring_of(*ring_out)->role != slot->role) {
		cf_secret_free(*ring_out);
		*ring_out = NULL;
		rc = cf_err_set(err, CF_ERR_DAMAGED, "holds a keyring of another role");
	}
	cf_secret_free(plain);
	return rc;
}

/* A key pair for the slot. secret: its secret half, and the verifying key behind it. */
static int make_secret(struct cf_keyslot2 *slot, struct cf_secret *full, struct cf_secret **secret_out,
		       struct cf_err *err)
{
	int rc = cf_secret_new(CF_SLOT_SECRET_LEN, secret_out, err);

	if (rc < 0)
		return rc;
	crypto_box_keypair(slot->public_key, cf_secret_data(*secret_out));
	return cf_keyring_verify_key(full, cf_secret_data(*secret_out) + CF_KEY_LEN, err);
}

/* A slot that cannot be opened is worth nothing: a secret manager may give back another key than it took. */
static int try_slot(const struct cf_keyslot2 *slot, const struct cf_credentials *credentials,
		    struct cf_err *err)
{
	struct cf_secret *secret = NULL, *ring = NULL;
	int rc = cf_slot_unlock(slot, credentials, &secret, err);

	if (rc == 0)
		rc = cf_slot_keyring(slot, secret, &ring, err);
	if (rc < 0)
		cf_err_wrap(err, "the new key slot does not open again");
	cf_secret_free(secret);
	cf_secret_free(ring);
	return rc;
}

int cf_slot_make(struct cf_secret *full, enum cf_key_role role, const struct cf_credentials *credentials,
		 const struct cf_slot_about *about, int64_t now_ns, struct cf_keyslot2 *slot_out,
		 struct cf_err *err)
{
	struct cf_keyslot2 *slot = slot_out;
	struct cf_secret *kek = NULL, *secret = NULL;
	int rc;

	*slot = (struct cf_keyslot2){.role = role, .created_ns = now_ns};
	cf_random(slot->id, sizeof(slot->id));
	cf_random(slot->secret_nonce, sizeof(slot->secret_nonce));
	cf_random(slot->about_nonce, sizeof(slot->about_nonce));
	rc = make_kek(slot, credentials, &kek, err);
	if (rc == 0)
		rc = make_secret(slot, full, &secret, err);
	if (rc == 0)
		rc = seal_secret(slot, cf_secret_span(secret), kek, err);
	if (rc == 0)
		rc = seal_about(cf_keyring_of(full), about, slot, err);
	if (rc == 0)
		rc = cf_slot_fill(slot, full, err);
	if (rc == 0)
		rc = try_slot(slot, credentials, err);
	cf_secret_free(kek);
	cf_secret_free(secret);
	return rc;
}

int cf_slot_put(struct cf_backend *backend, const struct cf_keyslot2 *slot, char name_out[CF_SLOT_NAME_LEN],
		struct cf_err *err)
{
	struct cf_buf doc = CF_BUF_INIT;
	struct cf_span span;
	struct cf_id id;
	char name[CF_SLOT_NAME_LEN];
	int rc = cf_keyslot2_encode(slot, &doc, err);

	span = cf_buf_span(&doc);
	if (rc == 0)
		rc = cf_sha256(&span, 1, &id, err);
	if (rc == 0) {
		snprintf(name, sizeof(name), "keys/%s", cf_id_text(&id).s);
		rc = cf_backend_put(backend, name, span, err);
		if (name_out)
			memcpy(name_out, name, sizeof(name));
	}
	cf_buf_release(&doc);
	return rc;
}

int cf_slot_remove_object(struct cf_backend *backend, const char *name, struct cf_err *err)
{
	int rc;

	if (!backend->ops->remove)
		return cf_err_set(err, CF_ERR_BUSY, "%s cannot be removed: the store deletes nothing", name);
	rc = backend->ops->remove(backend, name, err);
	if (rc == CF_ERR_NOT_FOUND) {
		cf_err_clear(err);
		rc = 0;
	}
	return rc;
}
