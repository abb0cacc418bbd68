/*
 * VG16: cut points from a gear hash, by a rule that SIMD can evaluate on 16-bit lanes.
 *
 * Every implementation must give the same cuts as this definition. b(0) is the first byte of the
 * chunk, G is struct cf_gear, M is nominal:
 *
 *     h(i) = 2 * h(i-1) + G[b(i)] mod 2^64
 *     w(i) = (h(i) >> 8) & 255
 *
 *     Position n, the chunk's length (cut after byte i with i = n - 1), is a cut if and only if
 *         min <= n < max  and  w(i) == 0  and  w(i-16) < t  and  h(i) < H.
 *     If none is, the chunk is max bytes long, or what is left of the stream.
 *
 *     p = 1 / (4M) for n < M, 4 / M for n >= M
 *     p >= 2^-16:  t = floor(p * 2^16), H = 2^64 (nothing to test)
 *     p <  2^-16:  t = 1, H = floor(p * 2^80)
 *
 * So a position is a cut with probability p = 2^-8 * t/256 * H/2^64, or 2^-8 where t is above 256.
 *
 * h(i) is taken over exactly the 64 bytes up to i (older ones are shifted out): hashing starts from
 * 0 with the 63 bytes before byte min - 1, and is a pure function of content. Bits 0 to 15 of h(i),
 * hence w(i), depend on bytes i-15 to i only; so the first two tests need 32 bytes and no 64-bit
 * arithmetic.
 *
 * Scalar speed comes from three things: the chain from hash to hash is one addition for two bytes;
 * w(i) == 0, one position of 256, is the only branch per byte; w(i-16) is worked out anew from its
 * 16 bytes when it is asked for.
 */

#include "chunker/rules.h"

struct rule {
	uint32_t low; /* t << 8: the low 16 bits of h(i-16) must be below */
	uint64_t all; /* h(i) must be below. UINT64_MAX for 2^64: h(i) has zero bits by then */
};

/* p = 2^exponent / nominal; exponent is -2 or 2. */
static struct rule rule_for(int exponent, uint32_t nominal)
{
	const uint32_t t = (UINT32_C(1) << (16 + exponent)) / nominal;

	if (t >= 1)
		return (struct rule){.low = t << 8, .all = UINT64_MAX};
	return (struct rule){
		.low = 1 << 8,
		.all = cf_rules_quotient((unsigned)(80 + exponent), nominal),
	};
}

/* Bits 0 to 15 of the hash at `at`. */
static inline uint32_t low_bits(const uint64_t *value, const uint8_t *at)
{
	uint32_t h = 0;

	for (int k = 15; k >= 0; k--)
		h = 2 * h + (uint32_t)value[at[-k]];
	return h & 0xffff;
}

static inline bool is_candidate(uint64_t h)
{
	return __builtin_expect((h & 0xff00) == 0, 0);
}

/* Out of line, so that the loop stays short. */
__attribute__((noinline)) static bool is_cut(const uint64_t *value, const uint8_t *at, uint64_t h,
					     const struct rule *rule)
{
	return h < rule->all && low_bits(value, at - 16) < rule->low;
}

/* A pair of bytes' share of the hash. The compiler must not see through it: it would find the
 * cheaper sum 2 * odd + value, which puts back the dependency that pairs avoid. */
static inline uint64_t join(uint64_t first, uint64_t second)
{
	uint64_t sum = 2 * first + second;

	__asm__("" : "+r"(sum));
	return sum;
}

/* The first byte in [at, end) to cut after, or end. *hash is that of the byte before and moves to
 * end. */
static const uint8_t *scan(const uint64_t *value, const uint8_t *at, const uint8_t *end,
			   const struct rule *rule, uint64_t *hash)
{
	uint64_t h = *hash;

	for (; end - at >= 8; at += 8) {
#pragma GCC unroll 4
		for (int k = 0; k < 8; k += 2) {
			const uint64_t g = value[at[k]];
			const uint64_t odd = 2 * h + g;

			h = 4 * h + join(g, value[at[k + 1]]);
			if (is_candidate(odd) && is_cut(value, at + k, odd, rule))
				return at + k;
			if (is_candidate(h) && is_cut(value, at + k + 1, h, rule))
				return at + k + 1;
		}
	}
	for (; at < end; at++) {
		h = 2 * h + value[*at];
		if (is_candidate(h) && is_cut(value, at, h, rule))
			return at;
	}
	*hash = h;
	return end;
}

size_t cf_vg16_cut(const struct cf_chunker *chunker, const uint8_t *data, size_t len)
{
	const uint64_t *value = chunker->gear->value;
	const uint8_t *first = data + chunker->min - 1;
	const uint8_t *last = data + len - 1;
	const uint8_t *middle = len < chunker->nominal ? last : data + chunker->nominal - 1;
	uint64_t h = 0;

	for (const uint8_t *at = first - 63; at < first; at++)
		h = 2 * h + value[*at];

	const struct rule early = rule_for(-2, chunker->nominal);
	const struct rule late = rule_for(2, chunker->nominal);
	const uint8_t *cut = scan(value, first, middle, &early, &h);

	if (cut == middle)
		cut = scan(value, middle, last, &late, &h);
	return (size_t)(cut - data) + 1;
}
