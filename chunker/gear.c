/*
 * The gear table: 256 random words, one per byte value.
 *
 * The hash is h_i = 2 * h_{i-1} + G[b_i] mod 2^64, so byte i-k counts with G[b] << k and the last
 * 64 bytes decide all of it. In a run of one byte value b it settles at G[b] * (2^64 - 1) = -G[b].
 * A word whose negative has zero bits 8 to 15 would make such runs candidates for a cut everywhere,
 * hence refused.
 */

#include "chunker/chunker.h"

bool cf_gear_init(struct cf_gear *gear, const uint64_t draws[CF_GEAR_DRAWS])
{
	size_t n = 0;

	for (size_t i = 0; i < CF_GEAR_DRAWS && n < 256; i++) {
		if (((UINT64_C(0) - draws[i]) & 0xff00) != 0)
			gear->value[n++] = draws[i];
	}
	return n == 256;
}
