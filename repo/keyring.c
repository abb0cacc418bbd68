#include "repo/keyring.h"

#include "base/err.h"
#include "repo/crypto.h"

#include <assert.h>
#include <sodium.h>

enum { EPOCH_STEP_MAX = 1 << 16 };

static int new_ring(uint32_t n_epochs, struct cf_secret **ring_out, struct cf_err *err)
{
	int rc = cf_secret_new(sizeof(struct cf_keyring) + n_epochs * sizeof(struct cf_epoch), ring_out, err);

	if (rc == 0)
		cf_keyring_of(*ring_out)->n_epochs = n_epochs;
	return rc;
}

int cf_keyring_new(struct cf_secret **ring_out, struct cf_err *err)
{
	struct cf_keyring *ring;
	int rc = new_ring(1, ring_out, err);

	if (rc < 0)
		return rc;
	ring = cf_keyring_of(*ring_out);
	ring->role = CF_ROLE_FULL;
	cf_random(ring->id_key, CF_KEY_LEN);
	cf_random(ring->chunker_key, CF_KEY_LEN);
	cf_random(ring->metadata_key, CF_KEY_LEN);
	ring->epochs[0].number = 1;
	crypto_box_keypair(ring->epochs[0].public_key, ring->epochs[0].secret_key);
	return 0;
}

/* The ring's keys and epochs, with room for more behind them. */
static int copy_ring(const struct cf_keyring *ring, uint32_t n_more, struct cf_secret **copy_out,
		     struct cf_err *err)
{
	int rc = new_ring(ring->n_epochs + n_more, copy_out, err);

	if (rc < 0)
		return rc;
	memcpy(cf_secret_data(*copy_out), ring, sizeof(*ring) + ring->n_epochs * sizeof(ring->epochs[0]));
	cf_keyring_of(*copy_out)->n_epochs += n_more;
	return 0;
}

int cf_keyring_for(struct cf_secret *full, enum cf_key_role role, struct cf_secret **ring_out,
		   struct cf_err *err)
{
	struct cf_keyring *ring;
	int rc = copy_ring(cf_keyring_of(full), 0, ring_out, err);

	if (rc < 0 || role == CF_ROLE_FULL)
		return rc;
	ring = cf_keyring_of(*ring_out);
	ring->role = role;
	for (uint32_t i = 0; i < ring->n_epochs; i++)
		cf_wipe(ring->epochs[i].secret_key, CF_KEY_LEN);
	return 0;
}

int cf_keyring_extend(struct cf_secret *full, struct cf_secret **ring_out, struct cf_err *err)
{
	const struct cf_keyring *ring = cf_keyring_of(full);
	uint32_t last = ring->epochs[ring->n_epochs - 1].number;
	struct cf_epoch *epoch;
	int rc;

	if (ring->n_epochs >= CF_EPOCHS_MAX || last > UINT32_MAX - EPOCH_STEP_MAX)
		return cf_err_set(err, CF_ERR_FAILED, "the repository has had as many data epochs as it can");
	rc = copy_ring(ring, 1, ring_out, err);
	if (rc < 0)
		return rc;
	epoch = &cf_keyring_of(*ring_out)->epochs[ring->n_epochs];
	epoch->number = last + 1 + randombytes_uniform(EPOCH_STEP_MAX);
	crypto_box_keypair(epoch->public_key, epoch->secret_key);
	return 0;
}

static bool same_keys(const struct cf_keyring *a, const struct cf_keyring *b)
{
	return a->role == b->role && sodium_memcmp(a->id_key, b->id_key, CF_KEY_LEN) == 0 &&
	       sodium_memcmp(a->chunker_key, b->chunker_key, CF_KEY_LEN) == 0 &&
	       sodium_memcmp(a->metadata_key, b->metadata_key, CF_KEY_LEN) == 0;
}

/* Both lists are in ascending order. False when they give one number to two epochs. */
static bool merge_epochs(const struct cf_keyring *a, const struct cf_keyring *b, struct cf_keyring *merged)
{
	uint32_t i = 0, j = 0;

	merged->n_epochs = 0;
	while (i < a->n_epochs || j < b->n_epochs) {
		const struct cf_epoch *x = i < a->n_epochs ? &a->epochs[i] : NULL;
		const struct cf_epoch *y = j < b->n_epochs ? &b->epochs[j] : NULL;

		if (x && y && x->number == y->number && memcmp(x->public_key, y->public_key, CF_KEY_LEN) != 0)
			return false;
		merged->epochs[merged->n_epochs++] = !y || (x && x->number <= y->number) ? *x : *y;
		i += x && (!y || x->number <= y->number);
		j += y && (!x || y->number <= x->number);
	}
	return true;
}

int cf_keyring_merge(struct cf_secret *a, struct cf_secret *b, struct cf_secret **ring_out,
		     struct cf_err *err)
{
	const struct cf_keyring *x = cf_keyring_of(a), *y = cf_keyring_of(b);
	int rc;

	if (!same_keys(x, y))
		return cf_err_set(err, CF_ERR_DAMAGED, "the key slot holds keyrings of two repositories");
	rc = copy_ring(x, y->n_epochs, ring_out, err);
	if (rc == 0 && !merge_epochs(x, y, cf_keyring_of(*ring_out))) {
		cf_secret_free(*ring_out);
		*ring_out = NULL;
		rc = cf_err_set(err, CF_ERR_DAMAGED,
				"the key slot holds keyrings that contradict each other");
	}
	return rc;
}

bool cf_keyring_knows(const struct cf_keyring *ring, const uint32_t *epochs, uint32_t n)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < n; i++) {
		while (at < ring->n_epochs && ring->epochs[at].number < epochs[i])
			at++;
		if (at == ring->n_epochs || ring->epochs[at].number != epochs[i])
			return false;
	}
	return true;
}

/* The Ed25519 pair; secret_out: 64 bytes. */
static int make_signer(struct cf_secret *full, uint8_t public_out[CF_KEY_LEN], struct cf_secret **secret_out, struct cf_err *err)
{
	const struct cf_keyring *ring = cf_keyring_of(full);
	struct cf_secret *seed = NULL, *secret = NULL;
	int rc = cf_secret_new(crypto_sign_SEEDBYTES, &seed, err);

	assert(ring->role == CF_ROLE_FULL);
	if (rc == 0)
		rc = cf_secret_new(crypto_sign_SECRETKEYBYTES, &secret, err);
	/* The first epoch stays in every full keyring, so that the pair stays the same. */
	if (rc == 0)
		rc = cf_derive(cf_span_of(ring->epochs[0].secret_key, CF_KEY_LEN), "coffer slot signature",
			       cf_span_of(NULL, 0), cf_secret_data(seed), err);
	if (rc == 0) {
		crypto_sign_seed_keypair(public_out, cf_secret_data(secret), cf_secret_data(seed));
		*secret_out = secret;
	} else {
		cf_secret_free(secret);
	}
	cf_secret_free(seed);
	return rc;
}

int cf_keyring_sign(struct cf_secret *full, struct cf_span bytes, uint8_t signature_out[CF_SIGNATURE_LEN], struct cf_err *err)
{
	uint8_t public_key[CF_KEY_LEN];
	struct cf_secret *signer = NULL;
	int rc = make_signer(full, public_key, &signer, err);

	if (rc == 0)
		crypto_sign_detached(signature_out, NULL, bytes.data, bytes.len, cf_secret_data(signer));
	cf_secret_free(signer);
	return rc;
}

int cf_keyring_verify_key(struct cf_secret *full, uint8_t public_out[CF_KEY_LEN], struct cf_err *err)
{
	struct cf_secret *signer = NULL;
	int rc = make_signer(full, public_out, &signer, err);

	cf_secret_free(signer);
	return rc;
}

int cf_keyring_config_tag(const struct cf_keyring *ring, struct cf_span body, uint8_t tag_out[32],
			  struct cf_err *err)
{
	return cf_derive(cf_span_of(ring->metadata_key, CF_KEY_LEN), "coffer config", body, tag_out, err);
}
