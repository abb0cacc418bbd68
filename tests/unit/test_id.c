#include "base/id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void text_and_back_is_the_same(void **state)
{
	struct cf_id id, back;

	for (int i = 0; i < CF_ID_LEN; i++)
		id.bytes[i] = (uint8_t)(i * 9 + 1);
	assert_int_equal(strlen(cf_id_text(&id).s), 64);
	assert_int_equal(strncmp(cf_id_text(&id).s, "010a131c", 8), 0);
	assert_true(cf_id_parse(cf_id_text(&id).s, &back));
	assert_true(cf_id_equal(&id, &back));
}

static void only_64_lower_case_digits_are_an_id(void **state)
{
	char text[66];
	struct cf_id id;

	memset(text, 'a', sizeof(text));
	text[64] = '\0';
	assert_true(cf_id_parse(text, &id));
	text[63] = '\0';
	assert_false(cf_id_parse(text, &id));
	text[63] = text[64] = 'a';
	text[65] = '\0';
	assert_false(cf_id_parse(text, &id));
	text[64] = '\0';
	for (const char *bad = "AFgG/:`@ \n"; *bad; bad++) {
		text[31] = *bad;
		assert_false(cf_id_parse(text, &id));
	}
	assert_false(cf_id_parse("", &id));
}

static void hex_of_nothing_is_empty(void **state)
{
	char text[1] = {'x'};
	uint8_t out;

	cf_hex_encode(NULL, 0, text);
	assert_string_equal(text, "");
	assert_true(cf_hex_decode("", &out, 0));
	assert_false(cf_hex_decode("a", &out, 0));
}

static void ids_compare_by_bytes(void **state)
{
	struct cf_id a = {{0}}, b = {{0}};

	assert_true(cf_id_is_zero(&a));
	assert_int_equal(cf_id_compare(&a, &b), 0);
	b.bytes[31] = 0x80;
	assert_false(cf_id_is_zero(&b));
	assert_false(cf_id_equal(&a, &b));
	assert_true(cf_id_compare(&a, &b) < 0);
	a.bytes[0] = 1;
	assert_true(cf_id_compare(&a, &b) > 0);
}

static void sorted_ids_are_found(void **state)
{
	struct cf_id ids[4] = {{{3}}, {{1}}, {{4}}, {{1, 5}}};
	const struct cf_id absent = {{2}};

	cf_id_sort(ids, 4);
	for (int i = 0; i < 3; i++)
		assert_true(cf_id_compare(&ids[i], &ids[i + 1]) < 0);
	for (int i = 0; i < 4; i++)
		assert_true(cf_id_among(ids, 4, &ids[i]));
	assert_false(cf_id_among(ids, 4, &absent));
	cf_id_sort(NULL, 0);
	assert_false(cf_id_among(NULL, 0, &absent));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_and_back_is_the_same),
		cmocka_unit_test(only_64_lower_case_digits_are_an_id),
		cmocka_unit_test(hex_of_nothing_is_empty),
		cmocka_unit_test(ids_compare_by_bytes),
		cmocka_unit_test(sorted_ids_are_found),
	};

	return cmocka_run_group_tests_name("id", tests, NULL, NULL);
}
