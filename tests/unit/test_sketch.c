/* Sketches: alike for chunks that share most of their bytes, different for others. */

#include "chunker/chunker.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CHUNK_LEN (64u << 10)
#define N_TRIALS  1000

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static int set_up(void **state)
{
	struct cf_gear *gear = malloc(sizeof(*gear));
	uint64_t draws[CF_GEAR_DRAWS], seed = 1;

	assert_non_null(gear);
	for (size_t i = 0; i < CF_GEAR_DRAWS; i++)
		draws[i] = next_random(&seed);
	assert_true(cf_gear_init(gear, draws));
	*state = gear;
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

/* One row of a table; rows of one seed are always the same, of another seed share only the words.
 * */
static size_t make_row(char *row, size_t size, uint64_t id, uint64_t seed)
{
	static const char *const words[] = {"amber", "basil", "cedar", "delta", "ember", "fjord",
					    "grove", "heath", "inlet", "juniper", "kelp", "larch"};
	const uint64_t key = next_random(&seed);
	int n = snprintf(row, size, "%" PRIu64 "\t%016" PRIx64, id, key);

	for (int k = 0; k < 20; k++)
		n += snprintf(row + n, size - (size_t)n, "%c%s", k ? ' ' : '\t',
			      words[next_random(&seed) % 12]);
	row[n++] = '\n';
	return (size_t)n;
}

/* CHUNK_LEN bytes of rows. Of 1000 rows n_changed are not those that the same seed gives with 0. */
static void make_chunk(uint8_t *data, uint64_t seed, unsigned n_changed)
{
	uint64_t choice = ~seed;
	size_t at = 0;

	for (uint64_t id = seed % 1000000; at < CHUNK_LEN; id++) {
		const bool changed = next_random(&choice) % 1000 < n_changed;
		char row[400];
		const size_t n = make_row(row, sizeof(row), id, seed + 1000 * id + changed);
		const size_t take = CHUNK_LEN - at < n ? CHUNK_LEN - at : n;

		memcpy(data + at, row, take);
		at += take;
	}
}

/* In how many trials the likeness of a chunk and a changed one is 0, 1, .. CF_SKETCH_FEATURES. */
static void count_likeness(const struct cf_gear *gear, unsigned n_changed, bool related,
			   unsigned n_with[CF_SKETCH_FEATURES + 1])
{
	uint8_t *data = malloc(CHUNK_LEN);
	uint64_t seed = 5;

	assert_non_null(data);
	memset(n_with, 0, (CF_SKETCH_FEATURES + 1) * sizeof(n_with[0]));
	for (int i = 0; i < N_TRIALS; i++) {
		const uint64_t first = next_random(&seed);
		struct cf_sketch a, b;

		make_chunk(data, first, 0);
		cf_sketch_compute(gear, data, CHUNK_LEN, &a);
		make_chunk(data, related ? first : next_random(&seed), n_changed);
		cf_sketch_compute(gear, data, CHUNK_LEN, &b);
		n_with[cf_sketch_likeness(&a, &b)]++;
	}
	free(data);
	print_message("%u of 1000 rows changed, likeness 0 to 4: %u %u %u %u %u\n", n_changed,
		      n_with[0], n_with[1], n_with[2], n_with[3], n_with[4]);
}

static void one_percent_of_rows_changed_keeps_two_features(void **state)
{
	unsigned n_with[CF_SKETCH_FEATURES + 1];

	count_likeness(*state, 10, true, n_with);
	assert_true(n_with[0] + n_with[1] < N_TRIALS / 50);
}

static void five_percent_of_rows_changed_keeps_one_feature(void **state)
{
	unsigned n_with[CF_SKETCH_FEATURES + 1];

	count_likeness(*state, 50, true, n_with);
	assert_true(n_with[0] < N_TRIALS / 20);
}

static void chunks_of_other_rows_share_nothing(void **state)
{
	unsigned n_with[CF_SKETCH_FEATURES + 1];

	count_likeness(*state, 0, false, n_with);
	assert_int_equal(n_with[0], N_TRIALS);
}

static void equal_chunks_share_everything(void **state)
{
	unsigned n_with[CF_SKETCH_FEATURES + 1];

	count_likeness(*state, 0, true, n_with);
	assert_int_equal(n_with[CF_SKETCH_FEATURES], N_TRIALS);
}

static void shifted_content_is_still_alike(void **state)
{
	uint8_t *data = malloc(2 * CHUNK_LEN);
	struct cf_sketch a, b;

	assert_non_null(data);
	make_chunk(data, 3, 0);
	make_chunk(data + CHUNK_LEN, 4, 0);
	cf_sketch_compute(*state, data, CHUNK_LEN, &a);
	cf_sketch_compute(*state, data + 333, CHUNK_LEN, &b);
	assert_true(cf_sketch_likeness(&a, &b) >= 2);
	free(data);
}

static void chunk_with_few_samples_has_no_sketch(void **state)
{
	uint8_t *data = calloc(1, CHUNK_LEN);
	struct cf_sketch sketch;

	assert_non_null(data);
	/* Blank areas hold no sample, whatever their length. */
	cf_sketch_compute(*state, data, CHUNK_LEN, &sketch);
	for (int k = 0; k < CF_SKETCH_FEATURES; k++)
		assert_int_equal(sketch.super[k], 0);
	assert_int_equal(cf_sketch_likeness(&sketch, &sketch), 0);

	make_chunk(data, 9, 0);
	for (size_t len = 0; len < 512; len++) {
		memset(&sketch, 1, sizeof(sketch));
		cf_sketch_compute(*state, data, len, &sketch);
		assert_int_equal(cf_sketch_likeness(&sketch, &sketch), 0);
	}
	free(data);
}

/* From nothing: the 64 bytes that end with byte i. */
static uint64_t hash_at(const struct cf_gear *gear, const uint8_t *data, size_t i)
{
	uint64_t h = 0;

	for (size_t k = 0; k < 64; k++)
		h += gear->value[data[i - k]] << k;
	return h;
}

static void sketch_exists_from_sixteen_samples_on(void **state)
{
	uint8_t *data = malloc(CHUNK_LEN);
	size_t n_samples = 0;

	assert_non_null(data);
	make_chunk(data, 12, 0);
	for (size_t len = 64; len < 12000; len++) {
		struct cf_sketch sketch;

		n_samples += ((hash_at(*state, data, len - 1) >> 8) & 255) == 0;
		cf_sketch_compute(*state, data, len, &sketch);
		assert_int_equal(cf_sketch_likeness(&sketch, &sketch),
				 n_samples < 16 ? 0 : CF_SKETCH_FEATURES);
	}
	assert_true(n_samples > 16);
	free(data);
}

static void known_chunk_has_the_sketch_it_always_had(void **state)
{
	static const struct cf_sketch known = {
		.super = {0x9b296872, 0x9521d596, 0xef10bc08, 0x1d5128b1},
	};
	uint8_t *data = malloc(CHUNK_LEN);
	struct cf_sketch sketch;

	assert_non_null(data);
	make_chunk(data, 6, 0);
	cf_sketch_compute(*state, data, CHUNK_LEN, &sketch);
	for (int k = 0; k < CF_SKETCH_FEATURES; k++)
		assert_int_equal(sketch.super[k], known.super[k]);
	free(data);
}

static void zero_features_never_match(void **state)
{
	const struct cf_sketch a = {.super = {0, 1, 2, 0}}, b = {.super = {0, 1, 3, 5}};

	assert_int_equal(cf_sketch_likeness(&a, &b), 1);
	assert_int_equal(cf_sketch_likeness(&a, &a), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_percent_of_rows_changed_keeps_two_features),
		cmocka_unit_test(five_percent_of_rows_changed_keeps_one_feature),
		cmocka_unit_test(chunks_of_other_rows_share_nothing),
		cmocka_unit_test(equal_chunks_share_everything),
		cmocka_unit_test(shifted_content_is_still_alike),
		cmocka_unit_test(chunk_with_few_samples_has_no_sketch),
		cmocka_unit_test(sketch_exists_from_sixteen_samples_on),
		cmocka_unit_test(known_chunk_has_the_sketch_it_always_had),
		cmocka_unit_test(zero_features_never_match),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
