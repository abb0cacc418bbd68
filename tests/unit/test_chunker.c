/* Cut points, against references that follow the written definitions one position at a time. */

#include "chunker/chunker.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

__extension__ typedef unsigned __int128 u128;

#define DATA_LEN (4u << 20)

struct fixture {
	uint8_t *data; /* DATA_LEN random bytes */
	struct cf_gear gear;
	EVP_CIPHER_CTX *aes;
};

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void fill_random(uint8_t *data, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(next_random(&seed) >> 56);
}

static void make_gear(struct cf_gear *gear, uint64_t seed)
{
	uint64_t draws[CF_GEAR_DRAWS];

	for (size_t i = 0; i < CF_GEAR_DRAWS; i++)
		draws[i] = next_random(&seed);
	assert_true(cf_gear_init(gear, draws));
}

static void encrypt_blocks(void *user, const uint8_t *in, uint8_t *out, size_t n_blocks)
{
	int n;

	assert_int_equal(EVP_EncryptUpdate(user, out, &n, in, (int)(16 * n_blocks)), 1);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->data = malloc(DATA_LEN);
	f->aes = EVP_CIPHER_CTX_new();
	assert_non_null(f->data);
	assert_non_null(f->aes);
	fill_random(f->data, DATA_LEN, 1);
	make_gear(&f->gear, 2);
	assert_int_equal(EVP_EncryptInit_ex(f->aes, EVP_aes_128_ecb(), NULL,
					    (const uint8_t *)"0123456789abcdef", NULL),
			 1);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	EVP_CIPHER_CTX_free(f->aes);
	free(f->data);
	free(f);
	return 0;
}

static struct cf_chunker chunker_of(struct fixture *f, enum cf_chunker_kind kind, uint32_t min,
				    uint32_t nominal, uint32_t max)
{
	return (struct cf_chunker){.kind = kind,
				   .min = min,
				   .nominal = nominal,
				   .max = max,
				   .gear = &f->gear,
				   .prf = encrypt_blocks,
				   .prf_user = f->aes};
}

/* The hash of the 64 bytes that end with byte i, from nothing. */
static uint64_t hash_at(const struct cf_gear *gear, const uint8_t *data, size_t i)
{
	uint64_t h = 0;

	for (size_t k = 0; k < 64 && k <= i; k++)
		h += gear->value[data[i - k]] << k;
	return h;
}

static unsigned w_at(const struct cf_gear *gear, const uint8_t *data, size_t i)
{
	return (unsigned)(hash_at(gear, data, i) >> 8) & 255;
}

/* floor(p * 2^scale), with p = 1 / (4 * nominal) before nominal and 4 / nominal from there. */
static u128 odds(const struct cf_chunker *c, size_t n, unsigned scale)
{
	return n < c->nominal ? ((u128)1 << scale) / ((u128)4 * c->nominal)
			      : ((u128)4 << scale) / c->nominal;
}

static bool vg16_cuts_at(const struct cf_chunker *c, const uint8_t *data, size_t n)
{
	const size_t i = n - 1;
	const u128 t = odds(c, n, 16);

	if (w_at(c->gear, data, i) != 0)
		return false;
	if (t >= 1)
		return w_at(c->gear, data, i - 16) < t;
	return w_at(c->gear, data, i - 16) < 1 && hash_at(c->gear, data, i) < odds(c, n, 80);
}

static bool prf16_cuts_at(const struct cf_chunker *c, const uint8_t *data, size_t n)
{
	const uint8_t *window = data + n - 16;
	uint8_t block[16];
	uint64_t v = 0;
	bool same = true;

	for (int i = 1; i < 16; i++)
		same = same && window[i] == window[0];
	c->prf(c->prf_user, window, block, 1);
	for (int i = 0; i < 8; i++)
		v += (uint64_t)block[i] << (8 * i);
	return !same && v < odds(c, n, 64);
}

static size_t reference_cut(const struct cf_chunker *c, const uint8_t *data, size_t len)
{
	for (size_t n = 1; n < len; n++) {
		bool cut = n == c->max;

		if (n >= c->min && c->kind == CF_CHUNKER_VG16)
			cut = cut || vg16_cuts_at(c, data, n);
		if (n >= c->min && c->kind == CF_CHUNKER_PRF16)
			cut = cut || prf16_cuts_at(c, data, n);
		if (cut)
			return n;
	}
	return len;
}

static void check_all_cuts(const struct cf_chunker *c, const uint8_t *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		const size_t cut = cf_chunker_cut(c, data + at, len - at, true);

		assert_int_equal(cut, reference_cut(c, data + at, len - at));
		at += cut;
	}
}

static const struct {
	uint32_t min, nominal, max;
	size_t len;
} limits[] = {
	{64, 64, 64, 5000},
	{64, 64, 65, 5000},
	{64, 64, 4096, 50000},
	{64, 65, 300, 50000},
	{64, 1023, 1024, 100000},
	{65, 1000, 7001, 300000},
	{500, 1024, 8192, 300000},
	{512, 16383, 100000, 500000},
	{512, 16384, 100000, 500000},
	{512, 16385, 100000, 500000},
	{16384, 65536, 262144, 1500000},
	{100, 100000, 400000, 1500000},
	{1000, 262143, 1000000, 2000000},
	{1000, 262144, 1000000, 2000000},
	{1000, 262145, 4000000, 2000000},
	{1000, 500000, 4000000, 2000000},
	{4096, UINT32_MAX, UINT32_MAX, 1000000},
};

static void cuts_follow_the_definition(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct cf_chunker c = chunker_of(f, CF_CHUNKER_VG16, limits[i].min,
						 limits[i].nominal, limits[i].max);

		check_all_cuts(&c, f->data, limits[i].len);
		c.kind = CF_CHUNKER_PRF16;
		check_all_cuts(&c, f->data, limits[i].len / 2);
	}
}

static void cuts_follow_the_definition_for_random_limits_and_tables(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = 7;

	for (int i = 0; i < 100; i++) {
		const uint32_t min = 64 + (uint32_t)(next_random(&seed) % 1000);
		const uint32_t nominal = min + (uint32_t)(next_random(&seed) % 5000);
		const uint32_t max = nominal + (uint32_t)(next_random(&seed) % 20000);
		const size_t start = next_random(&seed) % (DATA_LEN / 2);
		struct cf_chunker c = chunker_of(f, CF_CHUNKER_VG16, min, nominal, max);
		struct cf_gear gear;

		make_gear(&gear, next_random(&seed));
		c.gear = &gear;
		check_all_cuts(&c, f->data + start, 40000);
		c.kind = CF_CHUNKER_PRF16;
		check_all_cuts(&c, f->data + start, 40000);
	}
}

static void cuts_follow_the_definition_in_text_with_few_letters(void **state)
{
	struct fixture *f = *state;
	const size_t len = 400000;
	uint8_t *text = malloc(len);

	assert_non_null(text);
	for (size_t i = 0; i < len; i++)
		text[i] = (uint8_t)('a' + f->data[i] % 3);
	for (size_t i = 20000; i < 60000; i++)
		text[i] = 'b';

	struct cf_chunker c = chunker_of(f, CF_CHUNKER_VG16, 256, 1024, 8192);

	check_all_cuts(&c, text, len);
	c.kind = CF_CHUNKER_PRF16;
	check_all_cuts(&c, text, len);
	free(text);
}

static void known_data_is_cut_where_it_always_was(void **state)
{
	static const size_t vg16_cuts[] = {92342, 36455, 67965, 17838, 70903, 53156};
	static const size_t prf16_cuts[] = {71729, 121279, 94626, 93244, 111051, 48794};
	static const size_t fixed_cuts[] = {65536, 65536};
	const struct {
		struct cf_chunker chunker;
		const size_t *cuts;
		size_t n_cuts;
	} cases[] = {
		{chunker_of(*state, CF_CHUNKER_VG16, 16384, 65536, 262144), vg16_cuts,
		 sizeof(vg16_cuts) / sizeof(vg16_cuts[0])},
		{chunker_of(*state, CF_CHUNKER_PRF16, 32768, 65536, 262144), prf16_cuts,
		 sizeof(prf16_cuts) / sizeof(prf16_cuts[0])},
		{chunker_of(*state, CF_CHUNKER_FIXED, 65536, 65536, 65536), fixed_cuts, 2},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t at = 0;

		for (size_t k = 0; k < cases[i].n_cuts; k++) {
			const size_t cut = cf_chunker_cut(&cases[i].chunker, f->data + at,
							  DATA_LEN - at, false);

			assert_int_equal(cut, cases[i].cuts[k]);
			at += cut;
		}
	}
}

static void cuts_do_not_depend_on_how_much_is_buffered(void **state)
{
	struct fixture *f = *state;
	struct cf_chunker c = chunker_of(f, CF_CHUNKER_VG16, 200, 1000, 4000);
	uint64_t seed = 3;

	for (int kind = CF_CHUNKER_VG16; kind <= CF_CHUNKER_PRF16; kind++) {
		c.kind = (enum cf_chunker_kind)kind;
		for (size_t at = 0; at < 500000;) {
			const size_t cut = cf_chunker_cut(&c, f->data + at, c.max, false);
			const size_t more = c.max + next_random(&seed) % 10000;

			assert_int_equal(cf_chunker_cut(&c, f->data + at, more, false), cut);
			assert_int_equal(cf_chunker_cut(&c, f->data + at, more, true), cut);
			at += cut;
		}
	}
}

static void end_of_stream_gives_the_same_cuts_and_a_tail(void **state)
{
	struct fixture *f = *state;
	struct cf_chunker c = chunker_of(f, CF_CHUNKER_FIXED, 1500, 1500, 1500);

	for (int kind = CF_CHUNKER_FIXED; kind <= CF_CHUNKER_PRF16; kind++) {
		c.kind = (enum cf_chunker_kind)kind;
		if (kind != CF_CHUNKER_FIXED)
			c.min = 100;

		const size_t cut = cf_chunker_cut(&c, f->data, DATA_LEN, true);

		for (size_t len = 0; len < 3000; len++)
			assert_int_equal(cf_chunker_cut(&c, f->data, len, true),
					 len < cut ? len : cut);
	}
}

static void an_inserted_byte_moves_few_cuts(void **state)
{
	struct fixture *f = *state;
	const struct cf_chunker c = chunker_of(f, CF_CHUNKER_VG16, 16384, 65536, 262144);
	size_t a = 0, b = 1;

	/* The second stream starts one byte later; once both cut at the same byte they stay
	 * together. */
	for (int steps = 0; a != b; steps++) {
		assert_true(steps < 30);
		if (a < b)
			a += cf_chunker_cut(&c, f->data + a, DATA_LEN - a, true);
		else
			b += cf_chunker_cut(&c, f->data + b, DATA_LEN - b, true);
	}
	assert_true(a < DATA_LEN);
}

static void runs_of_equal_bytes_give_chunks_of_max(void **state)
{
	struct cf_chunker c = chunker_of(*state, CF_CHUNKER_VG16, 64, 256, 20000);
	uint8_t *run = malloc(c.max + 1);

	assert_non_null(run);
	for (int byte = 0; byte < 256; byte++) {
		memset(run, byte, c.max + 1);
		c.kind = CF_CHUNKER_VG16;
		assert_int_equal(cf_chunker_cut(&c, run, c.max + 1, false), c.max);
		c.kind = CF_CHUNKER_PRF16;
		assert_int_equal(cf_chunker_cut(&c, run, c.max + 1, false), c.max);
	}
	free(run);
}

static void zero_blocks(void *user, const uint8_t *in, uint8_t *out, size_t n_blocks)
{
	*(size_t *)user += n_blocks;
	memset(out, 0, 16 * n_blocks);
}

static void prf16_window_of_one_byte_value_never_cuts(void **state)
{
	struct cf_chunker c = chunker_of(*state, CF_CHUNKER_PRF16, 64, 1000, 5000);
	uint8_t data[6000] = {0};
	size_t n_blocks = 0;

	/* With a cipher that always says yes. */
	c.prf = zero_blocks;
	c.prf_user = &n_blocks;
	assert_int_equal(cf_chunker_cut(&c, data, sizeof(data), false), 5000);
	assert_int_equal(n_blocks, 5000 - 64);
	data[2999] = 1;
	assert_int_equal(cf_chunker_cut(&c, data, sizeof(data), false), 3000);
	data[63 - 15] = 1;
	assert_int_equal(cf_chunker_cut(&c, data, sizeof(data), false), 64);
	data[63 - 15] = 0;
	data[63 - 16] = 1;
	assert_int_equal(cf_chunker_cut(&c, data, sizeof(data), false), 3000);
}

static void mean_is_near_nominal_for_random_data(void **state)
{
	struct fixture *f = *state;
	struct cf_chunker c = chunker_of(f, CF_CHUNKER_VG16, 16384, 65536, 262144);
	const size_t len = 16 * DATA_LEN;
	uint8_t *data = malloc(len);

	assert_non_null(data);
	fill_random(data, len, 11);
	for (int kind = CF_CHUNKER_VG16; kind <= CF_CHUNKER_PRF16; kind++) {
		size_t n_chunks = 0;

		c.kind = (enum cf_chunker_kind)kind;
		for (size_t at = 0; at < len; n_chunks++)
			at += cf_chunker_cut(&c, data + at, len - at, true);
		assert_in_range(len / n_chunks, 64 << 10, 90 << 10);
	}
	free(data);
}

static void gear_takes_draws_in_order_but_for_those_it_refuses(void **state)
{
	uint64_t draws[CF_GEAR_DRAWS];
	struct cf_gear gear;

	for (size_t i = 0; i < CF_GEAR_DRAWS; i++)
		draws[i] = 0x8000 + i;
	draws[0] = 0;
	draws[3] = UINT64_C(0) - 0x12340055;
	draws[5] = UINT64_C(0) - 0x12340100;
	assert_true(cf_gear_init(&gear, draws));
	assert_int_equal(gear.value[0], 0x8001);
	assert_int_equal(gear.value[1], 0x8002);
	assert_int_equal(gear.value[2], 0x8004);
	assert_int_equal(gear.value[3], draws[5]);
	assert_int_equal(gear.value[255], 0x8000 + 257);
}

static void gear_fails_when_draws_run_out(void **state)
{
	uint64_t draws[CF_GEAR_DRAWS] = {0};
	struct cf_gear gear;

	assert_false(cf_gear_init(&gear, draws));
	for (size_t i = 0; i < 255; i++)
		draws[2 * i] = 0x8000;
	assert_false(cf_gear_init(&gear, draws));
	draws[CF_GEAR_DRAWS - 1] = 0x8000;
	assert_true(cf_gear_init(&gear, draws));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cuts_follow_the_definition),
		cmocka_unit_test(cuts_follow_the_definition_for_random_limits_and_tables),
		cmocka_unit_test(cuts_follow_the_definition_in_text_with_few_letters),
		cmocka_unit_test(known_data_is_cut_where_it_always_was),
		cmocka_unit_test(cuts_do_not_depend_on_how_much_is_buffered),
		cmocka_unit_test(end_of_stream_gives_the_same_cuts_and_a_tail),
		cmocka_unit_test(an_inserted_byte_moves_few_cuts),
		cmocka_unit_test(runs_of_equal_bytes_give_chunks_of_max),
		cmocka_unit_test(prf16_window_of_one_byte_value_never_cuts),
		cmocka_unit_test(mean_is_near_nominal_for_random_data),
		cmocka_unit_test(gear_takes_draws_in_order_but_for_those_it_refuses),
		cmocka_unit_test(gear_fails_when_draws_run_out),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
