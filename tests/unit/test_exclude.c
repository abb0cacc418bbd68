#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "drivers/files/exclude.h"

#include <string.h>

struct match_case {
	const char *patterns[4];
	const char *path;
	bool is_dir;
	bool excluded;
};

static const struct match_case cases[] = {
	/* no slash: the name anywhere */
	{{"*.o"}, "a.o", false, true},
	{{"*.o"}, "x/y/a.o", false, true},
	{{"*.o"}, "x.o/y", false, false},
	{{"*.o"}, "a.oo", false, false},
	{{"*"}, ".hidden", false, true},
	{{"cache"}, "a/cache", true, true},
	{{"cache"}, "a/cache", false, true},
	{{"?"}, "ab", false, false},
	{{"?"}, "a", false, true},
	{{"[a-c]x"}, "bx", false, true},
	{{"[!a-c]x"}, "bx", false, false},
	{{"[!a-c]x"}, "dx", false, true},
	{{"\\*"}, "*", false, true},
	{{"\\*"}, "a", false, false},
	{{"\\!x"}, "!x", false, true},
	{{"na\nme"}, "na\nme", false, true},
	{{"\xff*"}, "d/\xff\xfe", false, true},
	/* folders only */
	{{"tmp/"}, "tmp", true, true},
	{{"tmp/"}, "tmp", false, false},
	{{"tmp/"}, "a/b/tmp", true, true},
	{{"tmp//"}, "tmp", true, true},
	/* anchored by a slash in front or inside */
	{{"/build"}, "build", true, true},
	{{"/build"}, "a/build", true, false},
	{{"a/b"}, "a/b", false, true},
	{{"a/b"}, "x/a/b", false, false},
	{{"a/b"}, "a/b/c", false, false},
	{{"a//b"}, "a/b", false, true},
	{{"./a/b"}, "a/b", false, true},
	{{"a/*"}, "a/b", false, true},
	{{"a/*"}, "a/b/c", false, false},
	{{"a/*/c"}, "a/b/c", false, true},
	{{"a/*/c"}, "a/c", false, false},
	/* any number of folders */
	{{"**/c"}, "c", false, true},
	{{"**/c"}, "a/b/c", false, true},
	{{"**/c"}, "a/b/cc", false, false},
	{{"a/**"}, "a", true, false},
	{{"a/**"}, "a/b", false, true},
	{{"a/**"}, "a/b/c", false, true},
	{{"a/**/d"}, "a/d", false, true},
	{{"a/**/d"}, "a/b/c/d", false, true},
	{{"a/**/d"}, "a/b/c/de", false, false},
	{{"a/**/**/d"}, "a/d", false, true},
	{{"a/**/b/c"}, "a/b/b/c", false, true},
	{{"a/**/b/**/c"}, "a/x/b/b/y/z/c", false, true},
	{{"a/**/b/**/c"}, "a/x/b/y/z/d", false, false},
	{{"**/b/c"}, "b/b/b/c", false, true},
	{{"a/x**y/b"}, "a/xzzy/b", false, true},
	{{"/a/**/"}, "a/b", true, true},
	{{"/a/**/"}, "a/b", false, false},
	/* the last that matches decides */
	{{"*.o", "!keep.o"}, "keep.o", false, false},
	{{"*.o", "!keep.o"}, "x.o", false, true},
	{{"!keep.o", "*.o"}, "keep.o", false, true},
	{{"*.o", "!keep.o", "/d/keep.o"}, "d/keep.o", false, true},
	{{"!x"}, "x", false, false},
};

static void patterns_match_as_in_gitignore(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct match_case *c = &cases[i];
		struct cf_exclude *exclude = NULL;
		size_t n = 0;

		while (n < 4 && c->patterns[n])
			n++;
		assert_int_equal(cf_exclude_new(c->patterns, n, &exclude, NULL), 0);
		if (cf_exclude_match(exclude, c->path, c->is_dir) != c->excluded)
			fail_msg("%s (%zu patterns) on %s: not %d", c->patterns[0], n, c->path,
				 c->excluded);
		cf_exclude_free(exclude);
	}
}

static void no_patterns_exclude_nothing(void **state)
{
	struct cf_exclude *exclude = NULL;

	assert_int_equal(cf_exclude_new(NULL, 0, &exclude, NULL), 0);
	assert_false(cf_exclude_match(exclude, "a", false));
	cf_exclude_free(exclude);
}

static void empty_patterns_are_refused(void **state)
{
	static const char *const empty[] = {"", "/", "!", "!/", "//", "."};

	for (size_t i = 0; i < sizeof(empty) / sizeof(*empty); i++) {
		struct cf_exclude *exclude = NULL;
		struct cf_err err = CF_ERR_INIT;
		const char *patterns[] = {"fine", empty[i]};

		assert_int_equal(cf_exclude_new(patterns, 2, &exclude, &err), CF_ERR_USAGE);
		assert_null(exclude);
		assert_non_null(strstr(err.text, "empty"));
	}
}

static void long_names_match_nothing_and_do_no_harm(void **state)
{
	const char *patterns[] = {"*"};
	struct cf_exclude *exclude = NULL;
	char name[3000];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(cf_exclude_new(patterns, 1, &exclude, NULL), 0);
	assert_false(cf_exclude_match(exclude, name, false));
	cf_exclude_free(exclude);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_match_as_in_gitignore),
		cmocka_unit_test(no_patterns_exclude_nothing),
		cmocka_unit_test(empty_patterns_are_refused),
		cmocka_unit_test(long_names_match_nothing_and_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
