/*
 * PRF16: cut points from a block cipher, for repositories whose storage may see chunk sizes.
 *
 * Position n (the chunk's length) is a cut if and only if min <= n < max, the 16 bytes before it
 * are not all the same, and
 *
 *     the first 8 bytes, little-endian, of AES-128(key, bytes n-16 to n-1)  <  floor(p * 2^64)
 *     p = 1 / (4 * nominal) for n < nominal, 4 / nominal from there on
 *
 * The window is the cipher's block, so cuts tell no more about the key than AES does. Nothing may
 * be tested before the cipher to save work: a filter shows through the cuts that pass it. That
 * equal bytes never cut is no such filter (it holds for every key), and keeps a key from cutting
 * blank areas into minimum-size chunks.
 */

#include "chunker/rules.h"

#include <string.h>

#define BLOCK_LEN 16
#define N_BATCH 512

/* Little-endian. Spelt out, for compilers make one load of this and eight of a loop. */
static inline uint64_t first_word(const uint8_t *b)
{
	return (uint64_t)b[0] | (uint64_t)b[1] << 8 | (uint64_t)b[2] << 16 | (uint64_t)b[3] << 24 |
	       (uint64_t)b[4] << 32 | (uint64_t)b[5] << 40 | (uint64_t)b[6] << 48 |
	       (uint64_t)b[7] << 56;
}

static bool is_uniform(const uint8_t *window)
{
	return memcmp(window, window + 1, BLOCK_LEN - 1) == 0;
}

/* The first cut among n_blocks positions, whose windows start at consecutive bytes; n_blocks when
 * none is. */
static size_t scan_batch(const struct cf_chunker *chunker, const uint8_t *windows, size_t n_blocks,
			 uint64_t below)
{
	uint8_t blocks[N_BATCH * BLOCK_LEN];

	for (size_t i = 0; i < n_blocks; i++)
		memcpy(blocks + i * BLOCK_LEN, windows + i, BLOCK_LEN);
	chunker->prf(chunker->prf_user, blocks, blocks, n_blocks);
	for (size_t i = 0; i < n_blocks; i++) {
		if (first_word(blocks + i * BLOCK_LEN) < below && !is_uniform(windows + i))
			return i;
	}
	return n_blocks;
}

/* The first cut in positions [from, to), or to. */
static size_t scan(const struct cf_chunker *chunker, const uint8_t *data, size_t from, size_t to,
		   uint64_t below)
{
	while (from < to) {
		const size_t n = to - from < N_BATCH ? to - from : N_BATCH;
		const size_t hit = scan_batch(chunker, data + from - BLOCK_LEN, n, below);

		from += hit;
		if (hit < n)
			break;
	}
	return from;
}

size_t cf_prf16_cut(const struct cf_chunker *chunker, const uint8_t *data, size_t len)
{
	const uint32_t nominal = chunker->nominal;
	const size_t middle = len < nominal ? len : nominal;
	size_t cut = scan(chunker, data, chunker->min, middle, (UINT64_C(1) << 62) / nominal);

	if (cut == middle)
		cut = scan(chunker, data, middle, len, cf_rules_quotient(66, nominal));
	return cut;
}
