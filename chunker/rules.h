#ifndef CF_CHUNKER_RULES_H
#define CF_CHUNKER_RULES_H

/*
 * Inside the chunker: what the content-defined cut rules share.
 *
 * A position n is a chunk length: cutting at n is cutting after byte n - 1. Positions below min are
 * never tested, max is cut always, and in between two probabilities ("normalized chunking", level
 * 2) pull the lengths towards nominal: 1 / (4 * nominal) in [min, nominal) and 4 / nominal in
 * [nominal, max).
 */

#include "chunker/chunker.h"

/* floor(2^exponent / nominal) for exponent 63 to 94, which must come out below 2^64. */
static inline uint64_t cf_rules_quotient(unsigned exponent, uint32_t nominal)
{
	const uint64_t high = (UINT64_C(1) << 63) / nominal;
	const uint64_t rest = (UINT64_C(1) << 63) % nominal;
	const unsigned more = exponent - 63;

	return (high << more) + (rest << more) / nominal;
}

/* The first cut in data, or len when there is none. The caller has clipped len to max. */
size_t cf_vg16_cut(const struct cf_chunker *chunker, const uint8_t *data, size_t len);
size_t cf_prf16_cut(const struct cf_chunker *chunker, const uint8_t *data, size_t len);

#endif
