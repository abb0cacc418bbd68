#include "base/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void entry_names_are_one_component(void **state)
{
	static const char *const good[] = {"a", "...", "..a", ".a", " ", "a\nb", "\xff", "-"};
	static const char *const bad[] = {"", ".", "..", "/", "a/b", "/a", "a/"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(cf_entry_name_valid(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(cf_entry_name_valid(bad[i]));
}

static void a_duplicate_shares_nothing(void **state)
{
	char name[] = "name", target[] = "target", user[] = "u", group[] = "g";
	char key[] = "key", value[] = "value", xname[] = "user.x";
	uint8_t xvalue[] = {1, 0, 2};
	struct cf_xattr xattrs[2] = {{.name = xname, .value = {.data = xvalue, .len = 3}},
				     {.name = "user.empty", .value = {.data = NULL, .len = 0}}};
	struct cf_fact fact = {.key = key, .value = value};
	struct cf_entry entry = {.type = CF_ENTRY_SYMLINK, .name = name, .target = target, .user = user,
				 .group = group, .mode = 0644, .size = 77, .mtime_ns = -5,
				 .xattrs = xattrs, .n_xattrs = 2, .facts = &fact, .n_facts = 1};
	struct cf_entry *copy = cf_entry_dup(&entry);

	assert_non_null(copy);
	memset(name, 'x', 4);
	memset(target, 'x', 6);
	user[0] = group[0] = key[0] = value[0] = xname[0] = 'x';
	xvalue[0] = 9;
	xattrs[1].name = "other";
	assert_string_equal(copy->name, "name");
	assert_string_equal(copy->target, "target");
	assert_string_equal(copy->user, "u");
	assert_string_equal(copy->group, "g");
	assert_int_equal(copy->mtime_ns, -5);
	assert_int_equal(copy->size, 77);
	assert_string_equal(copy->xattrs[0].name, "user.x");
	assert_int_equal(copy->xattrs[0].value.len, 3);
	assert_memory_equal(copy->xattrs[0].value.data, "\1\0\2", 3);
	assert_string_equal(copy->xattrs[1].name, "user.empty");
	assert_int_equal(copy->xattrs[1].value.len, 0);
	assert_string_equal(copy->facts[0].key, "key");
	assert_string_equal(copy->facts[0].value, "value");
	free(copy);
}

static void absent_texts_stay_absent(void **state)
{
	struct cf_entry entry = {.type = CF_ENTRY_FILE, .name = ""};
	struct cf_entry *copy = cf_entry_dup(&entry);

	assert_non_null(copy);
	assert_string_equal(copy->name, "");
	assert_null(copy->user);
	assert_null(copy->group);
	assert_null(copy->target);
	assert_int_equal(copy->n_xattrs + copy->n_facts, 0);
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entry_names_are_one_component),
		cmocka_unit_test(a_duplicate_shares_nothing),
		cmocka_unit_test(absent_texts_stay_absent),
	};

	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
