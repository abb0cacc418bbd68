/*
 * Sketches: which chunks resemble each other.
 *
 * Sketches are kept in the index, so this definition is a format; a new one is a new function.
 *
 *     samples: h(i) of the gear hash (see vg16.c) for i >= 63 where ((h(i) >> 8) & 255) == 0.
 *     feature j = 0 .. 11: the greatest of h * factor[j] + addend[j] mod 2^64 over the samples.
 *     super-feature k = 0 .. 3: s = 0; for each f of features 3k, 3k+1, 3k+2:
 *         s = (s ^ f) * spread mod 2^64, s = s ^ (s >> 32); then the low 32 bits, 1 instead of 0.
 *
 * From byte 63 on a sample is a function of 64 bytes of content and moves with them. Two chunks
 * share a feature with about the probability that a sample of either belongs to both, and a
 * super-feature when they share all three. Below 16 samples there is no sketch: all zeros.
 */

#include "chunker/chunker.h"

#define N_FEATURES 12
#define N_PER_SUPER (N_FEATURES / CF_SKETCH_FEATURES)
#define MIN_SAMPLES 16

static const uint64_t spread = UINT64_C(0x9e3779b97f4a7c15);

/* The first 8 bytes, little-endian, of SHA-256 of "coffer sketch factor 0" (to 11; lowest bit set)
 * and of "coffer sketch addend 0" (to 11). */
static const uint64_t factor[N_FEATURES] = {
	UINT64_C(0x8c71075b8f899c5f), UINT64_C(0x290d32895e986d49), UINT64_C(0x5804de9aa16b05dd),
	UINT64_C(0x9a42c3a8c7738dc1), UINT64_C(0x8c3b1f554a4aed2b), UINT64_C(0x48f79311f6a1f067),
	UINT64_C(0x00da6ba5657fa32d), UINT64_C(0xc18c910853d46d25), UINT64_C(0x487f6c9fdee4b295),
	UINT64_C(0x8c694dc6650cf2f1), UINT64_C(0x6840c0e3c98430bd), UINT64_C(0x60cfbb06c204af23),
};

static const uint64_t addend[N_FEATURES] = {
	UINT64_C(0x21464ba031581335), UINT64_C(0xc0b8862594de286a), UINT64_C(0xf360845dbb1dde1b),
	UINT64_C(0xf99466335aefff70), UINT64_C(0x7b627ac21444086e), UINT64_C(0xab6c11fd4fa7b018),
	UINT64_C(0x8869202ef7abeb52), UINT64_C(0x942c4b1793cd4a84), UINT64_C(0x73147ce4bd5fd535),
	UINT64_C(0xbcca2e5b049c8e52), UINT64_C(0xc1842c5c86fa401a), UINT64_C(0x9600973dfa0d2428),
};

struct features {
	uint64_t max[N_FEATURES];
	size_t n_samples;
};

/* Out of line, so that the loop stays short. */
__attribute__((noinline)) static void take_sample(struct features *features, uint64_t h)
{
	for (int j = 0; j < N_FEATURES; j++) {
		const uint64_t v = h * factor[j] + addend[j];

		features->max[j] = v > features->max[j] ? v : features->max[j];
	}
	features->n_samples++;
}

static void scan(const uint64_t *value, const uint8_t *data, size_t len, struct features *features)
{
	uint64_t h = 0;

	for (size_t i = 0; i < 63; i++)
		h = 2 * h + value[data[i]];
#pragma GCC unroll 8
	for (size_t i = 63; i < len; i++) {
		h = 2 * h + value[data[i]];
		if (__builtin_expect((h & 0xff00) == 0, 0))
			take_sample(features, h);
	}
}

static uint32_t fold(const uint64_t *max)
{
	uint64_t s = 0;

	for (int k = 0; k < N_PER_SUPER; k++) {
		s = (s ^ max[k]) * spread;
		s ^= s >> 32;
	}
	return (uint32_t)s ? (uint32_t)s : 1;
}

void cf_sketch_compute(const struct cf_gear *gear, const uint8_t *data, size_t len,
		       struct cf_sketch *sketch_out)
{
	struct features features = {.n_samples = 0};

	*sketch_out = (struct cf_sketch){.super = {0}};
	if (len < 64)
		return;
	scan(gear->value, data, len, &features);
	if (features.n_samples < MIN_SAMPLES)
		return;
	for (int k = 0; k < CF_SKETCH_FEATURES; k++)
		sketch_out->super[k] = fold(features.max + k * N_PER_SUPER);
}

unsigned cf_sketch_likeness(const struct cf_sketch *a, const struct cf_sketch *b)
{
	unsigned n = 0;

	for (int k = 0; k < CF_SKETCH_FEATURES; k++)
		n += a->super[k] != 0 && a->super[k] == b->super[k];
	return n;
}
