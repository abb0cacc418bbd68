#include "repo/sha256_lanes.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define LANES	    CF_SHA256_LANES
#define TARGET	    __attribute__((target("sha,sse4.1,ssse3")))
#define EACH_LANE(l) for (int l = 0; l < LANES; l++)

static const uint32_t round_constants[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

bool cf_sha256_lanes_available(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_SHA))
		return false;
	return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_1) && (c & bit_SSSE3);
}

/* The instructions want the words as ABEF and CDGH. */
TARGET static void load_state(const uint32_t state[8], __m128i *abef, __m128i *cdgh)
{
	__m128i abcd = _mm_loadu_si128((const __m128i *)(const void *)state);
	__m128i efgh = _mm_loadu_si128((const __m128i *)(const void *)(state + 4));
	__m128i cdab = _mm_shuffle_epi32(abcd, 0xb1);
	__m128i hgfe = _mm_shuffle_epi32(efgh, 0x1b);

	*abef = _mm_alignr_epi8(cdab, hgfe, 8);
	*cdgh = _mm_blend_epi16(hgfe, cdab, 0xf0);
}

TARGET static void store_state(uint32_t state[8], __m128i abef, __m128i cdgh)
{
	__m128i feba = _mm_shuffle_epi32(abef, 0x1b);
	__m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);

	_mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(feba, dchg, 0xf0));
	_mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

TARGET void cf_sha256_lanes_compress(uint32_t states[LANES][8], const uint8_t *const data[LANES],
				     size_t n_blocks)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bll, 0x0405060700010203ll);
	__m128i abef[LANES], cdgh[LANES], before_abef[LANES], before_cdgh[LANES], words[LANES][4];

	EACH_LANE (l)
		load_state(states[l], &abef[l], &cdgh[l]);
	for (size_t block = 0; block < n_blocks; block++) {
		EACH_LANE (l) {
			before_abef[l] = abef[l];
			before_cdgh[l] = cdgh[l];
		}
		/* Four rounds at a time; words[l][i & 3] holds the schedule's words 4i .. 4i+3. */
#pragma GCC unroll 16
		for (int i = 0; i < 16; i++) {
			const __m128i k = _mm_loadu_si128((const __m128i *)(const void *)&round_constants[4 * i]);

#pragma GCC unroll 4
			EACH_LANE (l) {
				__m128i *w = words[l], sum;

				if (i < 4) {
					w[i] = _mm_shuffle_epi8(
						_mm_loadu_si128((const __m128i *)(const void *)(data[l] + 64 * block +
												16 * i)),
						swap);
				} else {
					sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]),
							    _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4));
					w[i & 3] = _mm_sha256msg2_epu32(sum, w[(i + 3) & 3]);
				}
				sum = _mm_add_epi32(w[i & 3], k);
				cdgh[l] = _mm_sha256rnds2_epu32(cdgh[l], abef[l], sum);
				abef[l] = _mm_sha256rnds2_epu32(abef[l], cdgh[l], _mm_shuffle_epi32(sum, 0x0e));
			}
		}
		EACH_LANE (l) {
			abef[l] = _mm_add_epi32(abef[l], before_abef[l]);
			cdgh[l] = _mm_add_epi32(cdgh[l], before_cdgh[l]);
		}
	}
	EACH_LANE (l)
		store_state(states[l], abef[l], cdgh[l]);
}

#else

bool cf_sha256_lanes_available(void)
{
	return false;
}

void cf_sha256_lanes_compress(uint32_t states[CF_SHA256_LANES][8], const uint8_t *const data[CF_SHA256_LANES],
			      size_t n_blocks)
{
	(void)states;
	(void)data;
	(void)n_blocks;
}

#endif
