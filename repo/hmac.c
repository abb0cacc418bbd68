#include "repo/crypto.h"

#include "base/err.h"
#include "base/secret.h"
#include "repo/sha256_lanes.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum {
	SHA_BLOCK = 64
};

static int broken(struct cf_err *err)
{
	return cf_err_set(err, CF_ERR_FAILED, "OpenSSL refuses HMAC-SHA-256");
}

/* HMAC is two hashes whose first block depends on the key only: both are kept begun, and copied for each use. */
struct cf_hmac {
	EVP_MD_CTX *inner, *outer;
	/* The same as bare states, for several messages at once. */
	bool has_lanes;
	uint32_t inner_state[8], outer_state[8];
};

static EVP_MD_CTX *begun_hash(const uint8_t block[SHA_BLOCK])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
	    EVP_DigestUpdate(ctx, block, SHA_BLOCK) == 1)
		return ctx;
	EVP_MD_CTX_free(ctx);
	return NULL;
}

static const uint32_t initial_state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
					  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static void put_be32(uint8_t *out, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* One message being hashed: whole blocks where they lie, then the end, padded, in `tail`. */
struct lane {
	const uint8_t *at;
	size_t n_blocks; /* left at `at` */
	size_t n_tail_blocks; /* to come behind them */
	uint8_t tail[2 * SHA_BLOCK];
	size_t message;	/* its number; SIZE_MAX: the lane is idle */
};

/* FIPS 180-4, 5.1.1. before: bytes hashed already, a multiple of the block. */
static void set_message(struct lane *lane, struct cf_span data, uint64_t before)
{
	size_t rest = data.len % SHA_BLOCK;
	uint64_t bits = (before + data.len) * 8;

	lane->at = data.data;
	lane->n_blocks = data.len / SHA_BLOCK;
	lane->n_tail_blocks = rest + 9 > SHA_BLOCK ? 2 : 1;
	memset(lane->tail, 0, sizeof(lane->tail));
	if (rest)
		memcpy(lane->tail, data.data + data.len - rest, rest);
	lane->tail[rest] = 0x80;
	put_be32(lane->tail + lane->n_tail_blocks * SHA_BLOCK - 8, (uint32_t)(bits >> 32));
	put_be32(lane->tail + lane->n_tail_blocks * SHA_BLOCK - 4, (uint32_t)bits);
}

/* Give every idle lane its next message or part. The lane with the fewest blocks before it needs attention again, or NULL. */
static const struct lane *feed_lanes(struct lane lanes[CF_SHA256_LANES], uint32_t states[CF_SHA256_LANES][8],
				     const uint32_t start[8], const struct cf_span *data, size_t n,
				     size_t *n_begun)
{
	const struct lane *first = NULL;

	for (size_t l = 0; l < CF_SHA256_LANES; l++) {
		struct lane *lane = &lanes[l];

		if (lane->message == SIZE_MAX && *n_begun < n) {
			lane->message = (*n_begun)++;
			memcpy(states[l], start, sizeof(states[l]));
			set_message(lane, data[lane->message], SHA_BLOCK);
		}
		if (lane->message == SIZE_MAX)
			continue;
		if (lane->n_blocks == 0) {
			lane->at = lane->tail;
			lane->n_blocks = lane->n_tail_blocks;
			lane->n_tail_blocks = 0;
		}
		if (!first || lane->n_blocks < first->n_blocks)
			first = lane;
	}
	return first;
}

/* Hash every message from the same state on, which has seen one block. */
static void hash_many(const uint32_t start[8], const struct cf_span *data, size_t n, struct cf_id *out)
{
	uint32_t states[CF_SHA256_LANES][8] = {{0}};
	struct lane lanes[CF_SHA256_LANES];
	const struct lane *first;
	size_t n_begun = 0;

	for (size_t l = 0; l < CF_SHA256_LANES; l++)
		lanes[l] = (struct lane){.message = SIZE_MAX};
	while ((first = feed_lanes(lanes, states, start, data, n, &n_begun))) {
		const uint8_t *at[CF_SHA256_LANES];
		size_t n_blocks = first->n_blocks;

		/* A lane without a message hashes another's, for nothing. */
		for (size_t l = 0; l < CF_SHA256_LANES; l++)
			at[l] = lanes[l].message != SIZE_MAX ? lanes[l].at : first->at;
		cf_sha256_lanes_compress(states, at, n_blocks);
		for (size_t l = 0; l < CF_SHA256_LANES; l++) {
			struct lane *lane = &lanes[l];

			if (lane->message == SIZE_MAX)
				continue;
			lane->at += n_blocks * SHA_BLOCK;
			lane->n_blocks -= n_blocks;
			if (lane->n_blocks > 0 || lane->n_tail_blocks > 0)
				continue;
			for (int i = 0; i < 8; i++)
				put_be32(out[lane->message].bytes + 4 * i, states[l][i]);
			lane->message = SIZE_MAX;
		}
	}
}

/* The state after the one block that a key makes. */
static void state_after(const uint8_t block[SHA_BLOCK], uint32_t state_out[8])
{
	uint32_t states[CF_SHA256_LANES][8];
	const uint8_t *at[CF_SHA256_LANES];

	for (size_t l = 0; l < CF_SHA256_LANES; l++) {
		memcpy(states[l], initial_state, sizeof(states[l]));
		at[l] = block;
	}
	cf_sha256_lanes_compress(states, at, 1);
	memcpy(state_out, states[0], sizeof(states[0]));
	cf_wipe(states, sizeof(states));
}

/* Own code is trusted only while it agrees with OpenSSL, on this processor, with this key. */
static bool lanes_agree(const struct cf_hmac *hmac)
{
	uint8_t bytes[600];
	struct cf_span spans[6];
	struct cf_id many[6], one;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < 6; i++)
		spans[i] = cf_span_of(bytes + i, i * 119);
	if (cf_hmac_run_many(hmac, spans, 6, many, NULL) < 0)
		return false;
	for (size_t i = 0; i < 6; i++)
		if (cf_hmac_run(hmac, spans[i], &one, NULL) < 0 || !cf_id_equal(&one, &many[i]))
			return false;
	return true;
}

int cf_hmac_new(struct cf_span key, struct cf_hmac **hmac_out, struct cf_err *err)
{
	struct cf_hmac *hmac = calloc(1, sizeof(*hmac));
	uint8_t inner[SHA_BLOCK], outer[SHA_BLOCK];

	if (!hmac)
		return cf_err_nomem(err);
	for (size_t i = 0; i < SHA_BLOCK; i++) {
		uint8_t k = i < key.len ? key.data[i] : 0;

		inner[i] = k ^ 0x36;
		outer[i] = k ^ 0x5c;
	}
	hmac->inner = begun_hash(inner);
	hmac->outer = begun_hash(outer);
	hmac->has_lanes = cf_sha256_lanes_available();
	if (hmac->has_lanes) {
		state_after(inner, hmac->inner_state);
		state_after(outer, hmac->outer_state);
	}
	cf_wipe(inner, sizeof(inner));
	cf_wipe(outer, sizeof(outer));
	if (key.len > SHA_BLOCK || !hmac->inner || !hmac->outer) {
		cf_hmac_free(hmac);
		return broken(err);
	}
	hmac->has_lanes = hmac->has_lanes && lanes_agree(hmac);
	*hmac_out = hmac;
	return 0;
}

void cf_hmac_free(struct cf_hmac *hmac)
{
	if (!hmac)
		return;
	EVP_MD_CTX_free(hmac->inner);
	EVP_MD_CTX_free(hmac->outer);
	cf_wipe(hmac, sizeof(*hmac));
	free(hmac);
}

int cf_hmac_run(const struct cf_hmac *hmac, struct cf_span data, struct cf_id *out, struct cf_err *err)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t digest[32];
	int rc = 0;

	if (!ctx)
		return cf_err_nomem(err);
	if (EVP_MD_CTX_copy_ex(ctx, hmac->inner) != 1 || EVP_DigestUpdate(ctx, data.data, data.len) != 1 ||
	    EVP_DigestFinal_ex(ctx, digest, NULL) != 1 || EVP_MD_CTX_copy_ex(ctx, hmac->outer) != 1 ||
	    EVP_DigestUpdate(ctx, digest, sizeof(digest)) != 1 ||
	    EVP_DigestFinal_ex(ctx, out->bytes, NULL) != 1)
		rc = broken(err);
	EVP_MD_CTX_free(ctx);
	return rc;
}

int cf_hmac_run_many(const struct cf_hmac *hmac, const struct cf_span *data, size_t n, struct cf_id *out,
		     struct cf_err *err)
{
	struct cf_span *inner;

	if (!hmac->has_lanes || n < 2) {
		int rc = 0;

		for (size_t i = 0; rc == 0 && i < n; i++)
			rc = cf_hmac_run(hmac, data[i], &out[i], err);
		return rc;
	}
	inner = malloc(n * sizeof(*inner));
	if (!inner)
		return cf_err_nomem(err);
	hash_many(hmac->inner_state, data, n, out);
	for (size_t i = 0; i < n; i++)
		inner[i] = cf_span_of(out[i].bytes, CF_ID_LEN);
	/* A message is copied into its lane before its digest is written, so the places may be the same. */
	hash_many(hmac->outer_state, inner, n, out);
	free(inner);
	return 0;
}
