#ifndef CF_REPO_CRYPTO_H
#define CF_REPO_CRYPTO_H

/*
 * The primitives, over OpenSSL (bulk) and libsodium (randomness, sealed boxes, key wrapping).
 *
 *   chunk id      HMAC-SHA-256 (RFC 2104) of the plain bytes
 *   blobs         AES-256-GCM (NIST SP 800-38D) or ChaCha20-Poly1305 (RFC 8439), or GMAC over plain text
 *   derived keys  HMAC-SHA-256 of a label under a key
 */

#include "base/buf.h"
#include "base/digest.h"
#include "base/id.h"
#include "repo/format/seal.h"
#include "repo/repo.h"

struct cf_err;

/* A keyed HMAC-SHA-256, ready to be used by any number of threads. Holds key material: free it. */
struct cf_hmac;

/* key: at most 64 bytes. */
int cf_hmac_new(struct cf_span key, struct cf_hmac **hmac_out, struct cf_err *err);
void cf_hmac_free(struct cf_hmac *hmac);
int cf_hmac_run(const struct cf_hmac *hmac, struct cf_span data, struct cf_id *out, struct cf_err *err);
/* n messages at once, several at a time where the processor can: the same results, in less time. */
int cf_hmac_run_many(const struct cf_hmac *hmac, const struct cf_span *data, size_t n, struct cf_id *out,
		     struct cf_err *err);

/* HMAC-SHA-256(key, label || 0 || data), once. */
int cf_derive(struct cf_span key, const char *label, struct cf_span data, uint8_t out[32],
	      struct cf_err *err);

int cf_sha256(const struct cf_span *parts, size_t n_parts, struct cf_id *out, struct cf_err *err);

/* What a blob is bound to besides its key: nothing sealed can be replayed as another type, in another place. */
struct cf_seal_place {
	uint8_t repo_id[CF_REPO_ID_LEN];
	uint8_t key_id[CF_KEY_ID_LEN];
	enum cf_object_type type;
	enum cf_cipher cipher;
};

/*
 * Seal plain (its parts in order) as blob `number` of an object: appends the sealed bytes and the tag to out. number makes
 * the nonce: it must never repeat under one key.
 */
int cf_seal(const struct cf_seal_place *place, struct cf_span key, uint64_t number,
	    const struct cf_span *parts, size_t n_parts, struct cf_buf *out, struct cf_err *err);

/* The reverse; appends the plain bytes. CF_ERR_DAMAGED when the tag does not fit. */
int cf_unseal(const struct cf_seal_place *place, struct cf_span key, uint64_t number, struct cf_span sealed,
	      struct cf_buf *out, struct cf_err *err);

/* The commitment of a header (see repo/format/seal.h): HMAC under the object key of all its other fields. */
int cf_commitment(const struct cf_seal_header *header, struct cf_span key, uint8_t out[CF_COMMITMENT_LEN],
		  struct cf_err *err);

/* AES-128 in ECB mode for the prf16 chunker: see cf_prf16_fn. Thread-safe. */
struct cf_prf;
int cf_prf_new(const uint8_t key[16], struct cf_prf **prf_out, struct cf_err *err);
void cf_prf_free(struct cf_prf *prf);
void cf_prf_run(void *prf, const uint8_t *in, uint8_t *out, size_t n_blocks);

#endif
