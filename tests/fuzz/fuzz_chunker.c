/*
 * Cutting and sketching any bytes within any limits: the chunks cover the data, keep to the limits,
 * do not depend on buffering, and vg16 cuts where its definition says.
 *
 * Input: kind (1), min, nominal - min and max - nominal (2 each, little-endian), then the data.
 */

#include "chunker/chunker.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

#define HEAD_LEN 7

static void check(bool good)
{
	if (!good)
		abort();
}

static void fill_gear(struct cf_gear *gear)
{
	uint64_t draws[CF_GEAR_DRAWS], state = 1;

	for (size_t i = 0; i < CF_GEAR_DRAWS; i++) {
		state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		draws[i] = state ^ state >> 32;
	}
	check(cf_gear_init(gear, draws));
}

/* Not AES, but as even: multiplied and folded. */
static void scramble_blocks(void *user, const uint8_t *in, uint8_t *out, size_t n_blocks)
{
	for (size_t i = 0; i < n_blocks; i++) {
		uint64_t v[2];

		memcpy(v, in + 16 * i, 16);
		v[0] = (v[0] ^ v[0] >> 29) * UINT64_C(0x9e3779b97f4a7c15) + v[1];
		v[1] = (v[1] ^ v[0] >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
		v[0] ^= v[1] << 32 | v[1] >> 32;
		memcpy(out + 16 * i, v, 16);
	}
}

static uint64_t hash_at(const struct cf_gear *gear, const uint8_t *data, size_t i)
{
	uint64_t h = 0;

	for (size_t k = 0; k < 64 && k <= i; k++)
		h += gear->value[data[i - k]] << k;
	return h;
}

static bool vg16_cuts_at(const struct cf_chunker *c, const uint8_t *data, size_t n)
{
	const uint64_t p = n < c->nominal ? UINT64_C(1) << 62 : UINT64_C(1) << 63;
	const uint64_t scaled = n < c->nominal ? p / c->nominal : p / c->nominal << 3;
	const uint64_t t = scaled >> 48, rest = p % c->nominal;
	const uint64_t h = hash_at(c->gear, data, n - 1);
	const uint64_t before = hash_at(c->gear, data, n - 17);

	if ((h & 0xff00) != 0)
		return false;
	/* 2^80 * p in the second case; the limits here keep nominal below 2^18. */
	if (t >= 1)
		return (before >> 8 & 255) < t;
	return (before & 0xff00) == 0 && h < (p / c->nominal << 16) + (rest << 16) / c->nominal;
}

/* Where the definition puts the only cut: nowhere before `cut`, and there unless a limit made it.
 * */
static void check_vg16(const struct cf_chunker *c, const uint8_t *data, size_t len, size_t cut)
{
	for (size_t n = c->min; n < cut; n++)
		check(!vg16_cuts_at(c, data, n));
	check(cut == len || cut == c->max || vg16_cuts_at(c, data, cut));
}

static void check_cuts(const struct cf_chunker *c, const uint8_t *data, size_t len)
{
	while (len > 0) {
		const size_t cut = cf_chunker_cut(c, data, len, true);

		check(cut >= 1 && cut <= len && cut <= c->max && (cut >= c->min || cut == len));
		if (len >= c->max) {
			check(cf_chunker_cut(c, data, len, false) == cut);
			check(cf_chunker_cut(c, data, c->max, false) == cut);
		}
		if (c->kind == CF_CHUNKER_VG16)
			check_vg16(c, data, len, cut);
		data += cut;
		len -= cut;
	}
	check(cf_chunker_cut(c, data, 0, true) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	struct cf_gear gear;
	struct cf_sketch sketch;

	if (len < HEAD_LEN)
		return 0;
	fill_gear(&gear);

	struct cf_chunker c = {
		.kind = (enum cf_chunker_kind)(CF_CHUNKER_FIXED + input[0] % 3),
		.min = 64 + (uint32_t)(input[1] | input[2] << 8),
		.gear = &gear,
		.prf = scramble_blocks,
	};

	c.nominal = c.min + (uint32_t)(input[3] | input[4] << 8);
	c.max = c.nominal + (uint32_t)(input[5] | input[6] << 8);
	if (c.kind == CF_CHUNKER_FIXED)
		c.nominal = c.max = c.min;
	check_cuts(&c, input + HEAD_LEN, len - HEAD_LEN);

	cf_sketch_compute(&gear, input + HEAD_LEN, len - HEAD_LEN, &sketch);
	check(sketch.super[0] != 0 || cf_sketch_likeness(&sketch, &sketch) == 0);
	return 0;
}
