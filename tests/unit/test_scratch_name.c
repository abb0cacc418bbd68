#include "drivers/scratch_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void a_name_is_known_again(void **state)
{
	struct cf_scratch_tag tag, found;
	char name[CF_SCRATCH_NAME_MAX];

	for (size_t number = 1; number < 1000000; number = number * 10 + 3) {
		cf_scratch_tag_new("here:3306:1", &tag);
		cf_scratch_name(&tag, number, name);
		assert_int_equal(cf_scratch_name_parse(name, "here:3306:1", &found),
				 CF_SCRATCH_HERE);
		assert_string_equal(found.text, tag.text);
		assert_true(cf_scratch_tag_key(&found) == cf_scratch_tag_key(&tag));
		assert_int_equal(cf_scratch_name_parse(name, "there:3306:1", &found),
				 CF_SCRATCH_ELSEWHERE);
	}
}

static void tags_differ(void **state)
{
	struct cf_scratch_tag one, other;

	cf_scratch_tag_new("", &one);
	cf_scratch_tag_new("", &other);
	assert_string_not_equal(one.text, other.text);
	assert_true(cf_scratch_tag_key(&one) != cf_scratch_tag_key(&other));
}

static void what_differs_by_a_character_is_foreign(void **state)
{
	struct cf_scratch_tag tag, found;
	char name[CF_SCRATCH_NAME_MAX], changed[CF_SCRATCH_NAME_MAX];

	cf_scratch_tag_new("", &tag);
	cf_scratch_name(&tag, 1, name);
	for (size_t i = 0; i < strlen(name) - 1; i++) {
		strcpy(changed, name);
		changed[i] = changed[i] == 'a' ? 'b' : 'a';
		assert_int_equal(cf_scratch_name_parse(changed, "", &found), CF_SCRATCH_FOREIGN);
		changed[i] = 0;
		assert_int_equal(cf_scratch_name_parse(changed, "", &found), CF_SCRATCH_FOREIGN);
	}
}

static void other_ends_are_foreign(void **state)
{
	static const char *const ends[] = {"",   "_",	"_0",	    "_01", "_x",
					   "_1x", "_-1", "_1234567", "1",   "__1"};
	struct cf_scratch_tag tag, found;
	char name[CF_SCRATCH_NAME_MAX];

	cf_scratch_tag_new("", &tag);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(name, sizeof(name), "coffer_verify_%s%s", tag.text, ends[i]);
		assert_int_equal(cf_scratch_name_parse(name, "", &found), CF_SCRATCH_FOREIGN);
	}
	assert_int_equal(cf_scratch_name_parse("", "", &found), CF_SCRATCH_FOREIGN);
	assert_int_equal(cf_scratch_name_parse("coffer_verify_", "", &found), CF_SCRATCH_FOREIGN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_known_again),
		cmocka_unit_test(tags_differ),
		cmocka_unit_test(what_differs_by_a_character_is_foreign),
		cmocka_unit_test(other_ends_are_foreign),
	};

	return cmocka_run_group_tests_name("scratch_name", tests, NULL, NULL);
}
