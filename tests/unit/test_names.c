#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/stream.h"
#include "drivers/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *name_of(const char *schema, const char *table, const char *suffix)
{
	const char *parts[] = {schema, table};
	struct cf_buf out = CF_BUF_INIT;
	char *name;

	assert_int_equal(cf_file_name_of(parts, table ? 2 : 1, suffix, &out, NULL), 0);
	assert_int_equal(strlen((const char *)out.data), out.len);
	name = strdup((const char *)out.data);
	cf_buf_release(&out);
	return name;
}

static char *repeated(const char *piece, size_t n)
{
	char *text = calloc(n + 1, strlen(piece));

	for (size_t i = 0; i < n; i++)
		strcat(text, piece);
	return text;
}

struct name_case {
	const char *schema, *table, *suffix, *name;
};

static const struct name_case cases[] = {
	{"public", "orders", ".copy", "public.orders.copy"},
	{"Order Items", NULL, "", "Order Items"},
	{"b\xc3\xa4r", "\xf0\x9f\x90\x98", ".sql", "b\xc3\xa4r.\xf0\x9f\x90\x98.sql"},
	{"a.b", "c", ".sql", "a%2Eb.c.sql"},
	{"a", "b.c", ".sql", "a.b%2Ec.sql"},
	{".", "..", "", "%2E.%2E%2E"},
	{"a/b", "c\\d", "", "a%2Fb.c%5Cd"},
	{"we\"ird\nname", "\x7f\x01", "", "we\"ird%0Aname.%7F%01"},
	{"-rf", "-", "", "%2Drf.%2D"},
	{"a-b", "c%2E", "", "a-b.c%252E"},
	{"~root", "a~b", "", "%7Eroot.a%7Eb"},
	{"\xff\xfe", NULL, "", "\xff\xfe"},
};

static void names_are_recognised_and_harmless(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *name = name_of(cases[i].schema, cases[i].table, cases[i].suffix);

		assert_string_equal(name, cases[i].name);
		assert_true(cf_entry_name_valid(name));
		free(name);
	}
}

static void no_two_identifiers_share_a_name(void **state)
{
	static const char *const parts[] = {
		"",	 ".",	   "..",       "a",	    "b",   "a.b",   "a%2Eb", "%2E",
		"%",	 "a/b",	   "a%2Fb",    "a\\b",	    "-a",  "%2Da",  "~a",    "a~",
		"a\n",	 "a%0A",   "a ",       " a",	    "A",   "\"a\"", "a.b.c", "a.copy",
		"a.sql", "a%copy", "\xc3\xa4", "a\xcc\x88", "\xff"};
	enum { N = sizeof(parts) / sizeof(parts[0]) };
	char *names[N * N];

	for (size_t i = 0; i < N; i++)
		for (size_t k = 0; k < N; k++)
			names[i * N + k] = name_of(parts[i], parts[k], ".sql");
	for (size_t i = 0; i < N * N; i++)
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(names[i], names[k]);
	for (size_t i = 0; i < N * N; i++)
		free(names[i]);
}

static void long_names_are_cut_at_a_character_and_stay_apart(void **state)
{
	static const struct {
		const char *text, *encoded;
	} characters[] = {{"\xf0\x9f\x90\x98", "\xf0\x9f\x90\x98"},
			  {"\xe2\x82\xac", "\xe2\x82\xac"},
			  {"\xc3\xa4", "\xc3\xa4"},
			  {"x", "x"},
			  {".", "%2E"},
			  {"%", "%25"}};

	for (size_t i = 0; i < sizeof(characters) / sizeof(characters[0]); i++) {
		for (size_t n = 40; n < 64; n++) {
			char *schema = repeated(characters[i].text, 63),
			     *table = repeated(characters[i].text, n);
			char *other = repeated(characters[i].text, n + 1);
			char *name = name_of(schema, table, ".copy"),
			     *again = name_of(schema, table, ".copy");
			char *longer = name_of(schema, other, ".copy");
			const char *hash = strrchr(name, '~');
			size_t len = strlen(characters[i].encoded);

			assert_true(strlen(name) <= 200);
			assert_string_equal(name, again);
			assert_string_not_equal(name, longer);
			assert_string_equal(name + strlen(name) - 5, ".copy");
			if (hash) {
				assert_int_equal(strlen(hash), 17 + 5);
				/* What is left ends with a whole character or escape, or with the
				 * dot. */
				if (hash[-1] != '.')
					assert_memory_equal(hash - len, characters[i].encoded, len);
			}
			free(schema), free(table), free(other), free(name), free(again),
				free(longer);
		}
	}
}

static void sixty_four_characters_of_four_bytes_fit(void **state)
{
	char *table = repeated("\xf0\x9f\x90\x98", 64), *name = name_of(table, NULL, ".sql");

	assert_true(strlen(name) <= 200);
	assert_true(cf_entry_name_valid(name));
	free(table);
	free(name);
}

/* A cut name, taken as the name of another table, is escaped and so not the same. */
static void a_cut_name_cannot_be_taken(void **state)
{
	char *dots = repeated(".", 50), *xs = repeated("x", 63);
	char *cut = name_of(dots, xs, ".copy");
	char *forged = strdup(strrchr(cut, 'E') + 2), *name;

	assert_non_null(strchr(forged, '~'));
	*strrchr(forged, '.') = '\0';
	name = name_of(dots, forged, ".copy");
	assert_string_not_equal(cut, name);
	free(dots), free(xs), free(cut), free(forged), free(name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_recognised_and_harmless),
		cmocka_unit_test(no_two_identifiers_share_a_name),
		cmocka_unit_test(long_names_are_cut_at_a_character_and_stay_apart),
		cmocka_unit_test(sixty_four_characters_of_four_bytes_fit),
		cmocka_unit_test(a_cut_name_cannot_be_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
