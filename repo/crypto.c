#include "repo/crypto.h"

#include "base/err.h"
#include "base/le.h"
#include "base/secret.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>

enum {
	AD_LEN = 1 + CF_REPO_ID_LEN + 1 + CF_KEY_ID_LEN + 8,
	NONCE_LEN = 12
};

static int broken(struct cf_err *err, const char *what)
{
	return cf_err_set(err, CF_ERR_FAILED, "OpenSSL refuses %s", what);
}

int cf_derive(struct cf_span key, const char *label, struct cf_span data, uint8_t out[32],
	      struct cf_err *err)
{
	struct cf_hmac *hmac = NULL;
	struct cf_buf text = CF_BUF_INIT;
	struct cf_id id;
	int rc = cf_hmac_new(key, &hmac, err);

	if (rc == 0)
		rc = cf_buf_append(&text, label, strlen(label) + 1, err);
	if (rc == 0)
		rc = cf_buf_append(&text, data.data, data.len, err);
	if (rc == 0)
		rc = cf_hmac_run(hmac, cf_buf_span(&text), &id, err);
	if (rc == 0)
		memcpy(out, id.bytes, 32);
	cf_wipe(&id, sizeof(id));
	cf_buf_release(&text);
	cf_hmac_free(hmac);
	return rc;
}

int cf_sha256(const struct cf_span *parts, size_t n_parts, struct cf_id *out, struct cf_err *err)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;

	for (size_t i = 0; ok && i < n_parts; i++)
		ok = EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) == 1;
	ok = ok && EVP_DigestFinal_ex(ctx, out->bytes, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : broken(err, "SHA-256");
}

static void additional_data(const struct cf_seal_place *place, uint64_t number, uint8_t ad[AD_LEN])
{
	ad[0] = CF_FORMAT_VERSION;
	memcpy(ad + 1, place->repo_id, CF_REPO_ID_LEN);
	ad[17] = (uint8_t)place->type;
	memcpy(ad + 18, place->key_id, CF_KEY_ID_LEN);
	cf_le64_put(ad + 34, number);
}

/* Begins a cipher with nonce and additional data in; with CF_CIPHER_NONE, AES-GCM that is given no text (GMAC). */
static EVP_CIPHER_CTX *begun_cipher(const struct cf_seal_place *place, struct cf_span key, uint64_t number,
				    int encrypt)
{
	const EVP_CIPHER *cipher = place->cipher == CF_CIPHER_CHACHA20_POLY1305 ? EVP_chacha20_poly1305()
										: EVP_aes_256_gcm();
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t nonce[NONCE_LEN] = {0}, ad[AD_LEN];
	int n;

	cf_le64_put(nonce, number);
	additional_data(place, number, ad);
	if (ctx && EVP_CipherInit_ex(ctx, cipher, NULL, key.data, nonce, encrypt) == 1 &&
	    EVP_CipherUpdate(ctx, NULL, &n, ad, sizeof(ad)) == 1)
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

/* One part through the cipher; plain text mode copies it and authenticates it. */
static bool run_part(EVP_CIPHER_CTX *ctx, enum cf_cipher cipher, struct cf_span part, uint8_t *out)
{
	int n;

	if (part.len > INT32_MAX)
		return false;
	if (part.len == 0)
		return true;
	if (cipher == CF_CIPHER_NONE) {
		memcpy(out, part.data, part.len);
		return EVP_CipherUpdate(ctx, NULL, &n, part.data, (int)part.len) == 1;
	}
	return EVP_CipherUpdate(ctx, out, &n, part.data, (int)part.len) == 1 && (size_t)n == part.len;
}

int cf_seal(const struct cf_seal_place *place, struct cf_span key, uint64_t number,
	    const struct cf_span *parts, size_t n_parts, struct cf_buf *out, struct cf_err *err)
{
	EVP_CIPHER_CTX *ctx;
	size_t len = CF_TAG_LEN;
	uint8_t *at;
	bool ok;
	int n, rc;

	for (size_t i = 0; i < n_parts; i++)
		len += parts[i].len;
	rc = cf_buf_reserve(out, len, err);
	if (rc < 0)
		return rc;
	at = out->data + out->len;
	ctx = begun_cipher(place, key, number, 1);
	ok = ctx != NULL;
	for (size_t i = 0; ok && i < n_parts; i++) {
		ok = run_part(ctx, place->cipher, parts[i], at);
		at += parts[i].len;
	}
	ok = ok && EVP_CipherFinal_ex(ctx, at, &n) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, CF_TAG_LEN, at) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!ok)
		return broken(err, "to encrypt");
	out->len += len;
	return 0;
}

int cf_unseal(const struct cf_seal_place *place, struct cf_span key, uint64_t number, struct cf_span sealed,
	      struct cf_buf *out, struct cf_err *err)
{
	uint8_t tag[CF_TAG_LEN], scratch[16], *at;
	EVP_CIPHER_CTX *ctx;
	struct cf_span text;
	bool ok;
	int n, rc;

	if (sealed.len < CF_TAG_LEN)
		return cf_err_set(err, CF_ERR_DAMAGED, "a sealed part is too short");
	text = cf_span_of(sealed.data, sealed.len - CF_TAG_LEN);
	memcpy(tag, sealed.data + text.len, CF_TAG_LEN);
	rc = cf_buf_reserve(out, text.len ? text.len : 1, err);
	if (rc < 0)
		return rc;
	at = out->data + out->len;
	ctx = begun_cipher(place, key, number, 0);
	if (!ctx)
		return broken(err, "to decrypt");
	ok = run_part(ctx, place->cipher, text, at) &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, CF_TAG_LEN, tag) == 1 &&
	     EVP_CipherFinal_ex(ctx, scratch, &n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!ok)
		return cf_err_set(err, CF_ERR_DAMAGED, "a sealed part fails authentication");
	out->len += text.len;
	return 0;
}

int cf_commitment(const struct cf_seal_header *header, struct cf_span key, uint8_t out[CF_COMMITMENT_LEN],
		  struct cf_err *err)
{
	uint8_t bytes[CF_PACK_HEADER_LEN];
	struct cf_seal_header blank = *header;

	memset(blank.commitment, 0, sizeof(blank.commitment));
	cf_seal_header_encode(&blank, bytes);
	return cf_derive(key, "coffer commitment", cf_span_of(bytes, cf_seal_header_len(header->type)), out,
			 err);
}

struct cf_prf {
	EVP_CIPHER_CTX *keyed; /* copied for each use */
};

int cf_prf_new(const uint8_t key[16], struct cf_prf **prf_out, struct cf_err *err)
{
	struct cf_prf *prf = calloc(1, sizeof(*prf));

	if (!prf)
		return cf_err_nomem(err);
	prf->keyed = EVP_CIPHER_CTX_new();
	if (!prf->keyed || EVP_EncryptInit_ex(prf->keyed, EVP_aes_128_ecb(), NULL, key, NULL) != 1 ||
	    EVP_CIPHER_CTX_set_padding(prf->keyed, 0) != 1) {
		cf_prf_free(prf);
		return broken(err, "AES-128");
	}
	*prf_out = prf;
	return 0;
}

void cf_prf_free(struct cf_prf *prf)
{
	if (!prf)
		return;
	EVP_CIPHER_CTX_free(prf->keyed);
	free(prf);
}

void cf_prf_run(void *user, const uint8_t *in, uint8_t *out, size_t n_blocks)
{
	const struct cf_prf *prf = user;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	/* The chunker cannot fail. If memory is out, abort is better than cuts that would never be found again. */
	if (!ctx || EVP_CIPHER_CTX_copy(ctx, prf->keyed) != 1 ||
	    EVP_EncryptUpdate(ctx, out, &n, in, (int)(n_blocks * 16)) != 1)
		abort();
	EVP_CIPHER_CTX_free(ctx);
}
