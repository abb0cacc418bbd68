#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "drivers/driver.h"
#include "drivers/pattern.h"
#include "drivers/rename.h"
#include "drivers/selector.h"

#include <string.h>

enum {
	PG = CF_PATTERN_POSTGRES,
	MY = CF_PATTERN_MYSQL,
	ANY = CF_PATTERN_MYSQL | CF_PATTERN_ANY_CASE,
	PG_SCHEMA = CF_PATTERN_POSTGRES | CF_PATTERN_SCHEMA,
	MY_SCHEMA = CF_PATTERN_MYSQL | CF_PATTERN_SCHEMA
};

struct match_case {
	const char *pattern;
	unsigned flags;
	const char *schema, *table;
	bool matches;
};

static const struct match_case cases[] = {
	/* a name is whole */
	{"orders", PG, "public", "orders", true},
	{"orders", PG, "shop", "orders", true},
	{"orders", PG, "public", "orders2", false},
	{"orders", PG, "public", "my_orders", false},
	{"public.orders", PG, "public", "orders", true},
	{"public.orders", PG, "shop", "orders", false},
	{"*.orders", PG, "shop", "orders", true},
	{"shop.*", PG, "shop", "any\nthing", true},
	{"shop.*", PG, "shops", "x", false},
	{"*", PG, "public", "\xff", true},
	{"?", PG, "public", "\xff", true},
	{"db.shop.orders", PG, "shop", "orders", true},
	{"other.shop.orders", PG, "shop", "orders", false},
	/* wildcards, and what looks like them */
	{"log_202?", PG, "public", "log_2024", true},
	{"log_202?", PG, "public", "log_202", false},
	{"log_202?", PG, "public", "log_202\xc3\xa4", true},
	{"??", PG, "public", "\xc3\xa4", false},
	{"l*g", PG, "public", "lg", true},
	{"a_b", PG, "public", "axb", false},
	{"a%", PG, "public", "ab", false},
	{"a$b", PG, "public", "a$b", true},
	{"a$", PG, "public", "a", false},
	{"\"a*b\"", PG, "public", "a*b", true},
	{"\"a*b\"", PG, "public", "axb", false},
	{"\"a.b\"", PG, "public", "a.b", true},
	{"\"a.b\"", PG, "a", "b", false},
	{"\"a\\(b)|{}[^c]+\"", PG, "public", "a\\(b)|{}[^c]+", true},
	{"\"a\"\"b\"", PG, "public", "a\"b", true},
	{"a\"*\"*", PG, "public", "a*xyz", true},
	{"a[]", PG, "public", "a[]", true},
	/* regular expressions */
	{"t[0-9]", PG, "public", "t7", true},
	{"t[0-9]", PG, "public", "tx", false},
	{"t[^0-9]", PG, "public", "tx", true},
	{"t[\xc3\xa4\xc3\xb6]", PG, "public", "t\xc3\xb6", true},
	{"t[\xc3\xa4\xc3\xb6]", PG, "public", "t\xc3\xbc", false},
	{"t[^\xc3\xa4]", PG, "public", "t\xff", true},
	{"(a|b)c", PG, "public", "bc", true},
	{"a|b", PG, "public", "b", true},
	{"a|b", PG, "public", "bx", false},
	{"ab+", PG, "public", "abbb", true},
	{"a(b+|)c", PG, "public", "ac", true},
	{"a{2}", PG, "public", "aa", true},
	/* letters */
	{"Orders", PG, "public", "orders", true},
	{"Orders", PG, "public", "Orders", false},
	{"\"Orders\"", PG, "public", "Orders", true},
	{"\"Orders\"", PG, "public", "orders", false},
	{"Orders", MY, "shop", "Orders", true},
	{"Orders", MY, "shop", "orders", false},
	{"ORDERS", ANY, "shop", "orders", true},
	{"Shop.`Order.s`", MY, "Shop", "Order.s", true},
	{"Shop.\"Order.s\"", MY, "Shop", "Order.s", true},
	{"`", PG, "public", "`", true},
	/* schemas */
	{"shop", PG_SCHEMA, "shop", NULL, true},
	{"shop", PG_SCHEMA, "shop2", NULL, false},
	{"s*", PG_SCHEMA, "shop", NULL, true},
	{"db.s*", PG_SCHEMA, "shop", NULL, true},
	{"dc.s*", PG_SCHEMA, "shop", NULL, false},
	{"Shop*", MY_SCHEMA, "Shop1", NULL, true},
};

static void patterns_mean_what_psql_takes_them_for(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct match_case *c = &cases[i];
		struct cf_pattern *pattern = NULL;
		struct cf_err err = CF_ERR_INIT;

		if (cf_pattern_new(c->pattern, c->flags, &pattern, &err) < 0)
			fail_msg("%s: %s", c->pattern, err.text);
		if (cf_pattern_matches(pattern, "db", c->schema, c->table) != c->matches)
			fail_msg("%s and %s.%s", c->pattern, c->schema, c->table ? c->table : "");
		cf_pattern_free(pattern);
	}
}

static void no_database_admits_every_one(void **state)
{
	struct cf_pattern *pattern = NULL;

	assert_int_equal(cf_pattern_new("db.shop.orders", PG, &pattern, NULL), 0);
	assert_true(cf_pattern_matches(pattern, NULL, "shop", "orders"));
	assert_false(cf_pattern_matches(pattern, NULL, "shop", "x"));
	cf_pattern_free(pattern);
}

static void what_is_no_pattern_is_refused_by_its_name(void **state)
{
	static const struct {
		const char *pattern;
		unsigned flags;
		const char *why;
	} bad[] = {
		{"", PG, "a name is missing"},
		{"a.", PG, "a name is missing"},
		{".a", PG, "a name is missing"},
		{"a..b", PG, "a name is missing"},
		{"\"\"", PG, "a name is missing"},
		{"\"a", PG, "the quote is not closed"},
		{"`a", MY, "the quote is not closed"},
		{"a.b.c.d", PG, "DATABASE.SCHEMA.TABLE at most"},
		{"a.b.c", MY, "DATABASE.TABLE at most"},
		{"a.b.c", PG_SCHEMA, "DATABASE.SCHEMA at most"},
		{"a.b", MY_SCHEMA, "a database has one name"},
		{"a\\d", PG, "a backslash stands within double quotes only"},
		{"a[b", PG, ""},
		{"(a", PG, ""},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cf_pattern *pattern = NULL;
		struct cf_err err = CF_ERR_INIT;

		if (cf_pattern_new(bad[i].pattern, bad[i].flags, &pattern, &err) != CF_ERR_USAGE)
			fail_msg("%s is taken", bad[i].pattern);
		assert_non_null(strstr(err.text, bad[i].pattern));
		assert_non_null(strstr(err.text, bad[i].why));
		assert_null(pattern);
	}
}

static const char *const shop[] = {"shop"};
static const char *const two[] = {"public.orders", "log_*"};
static const char *const logs[] = {"log_*"};

static struct cf_selector *selector_of(const struct cf_selection *selection)
{
	struct cf_selector *selector = NULL;

	assert_int_equal(cf_selector_new(selection, PG, &selector, NULL), 0);
	return selector;
}

static void an_empty_selection_takes_everything(void **state)
{
	struct cf_selection selection = {0};
	struct cf_selector *selector = selector_of(&selection);

	assert_true(cf_selector_takes_all(selector));
	assert_true(cf_selector_takes(selector, "db", "any", "thing"));
	assert_true(cf_selector_takes_data(selector, "db", "any", "thing"));
	assert_true(cf_selector_takes_schema(selector, "db", "any"));
	assert_int_equal(cf_selector_check(selector, NULL), 0);
	cf_selector_free(selector);
}

static void tables_and_schemas_add_up_and_excludes_win(void **state)
{
	struct cf_selection selection = {.tables = two,
					 .n_tables = 2,
					 .schemas = shop,
					 .n_schemas = 1,
					 .exclude_tables = (const char *const[]){"*_old"},
					 .n_exclude_tables = 1,
					 .exclude_data = logs,
					 .n_exclude_data = 1};
	struct cf_selector *selector = selector_of(&selection);

	assert_false(cf_selector_takes_all(selector));
	assert_true(cf_selector_takes(selector, "db", "public", "orders"));
	assert_true(cf_selector_takes(selector, "db", "shop", "orders"));
	assert_false(cf_selector_takes(selector, "db", "x", "orders"));
	assert_true(cf_selector_takes(selector, "db", "x", "log_1"));
	assert_false(cf_selector_takes(selector, "db", "x", "log_old"));
	assert_false(cf_selector_takes(selector, "db", "shop", "t_old"));
	assert_false(cf_selector_takes_data(selector, "db", "x", "log_1"));
	assert_true(cf_selector_takes_data(selector, "db", "shop", "orders"));
	assert_true(cf_selector_takes_schema(selector, "db", "shop"));
	assert_false(cf_selector_takes_schema(selector, "db", "public"));
	cf_selector_free(selector);
}

static void a_pattern_that_matched_nothing_is_named(void **state)
{
	struct cf_selection selection = {.tables = two,
					 .n_tables = 2,
					 .exclude_tables = (const char *const[]){"nothing"},
					 .n_exclude_tables = 1};
	struct cf_selector *selector = selector_of(&selection);
	struct cf_err err = CF_ERR_INIT;

	cf_selector_takes(selector, NULL, "public", "orders");
	cf_selector_takes(selector, NULL, "public", "users");
	assert_int_equal(cf_selector_check(selector, &err), CF_ERR_NOT_FOUND);
	assert_string_equal(err.text, "--table 'log_*' matches nothing");
	cf_selector_takes(selector, NULL, "public", "log_1");
	assert_int_equal(cf_selector_check(selector, NULL), 0);
	cf_selector_free(selector);
}

static void a_bad_pattern_is_named_with_its_option(void **state)
{
	struct cf_selection selection = {.exclude_data = (const char *const[]){"fine", "\"open"},
					 .n_exclude_data = 2};
	struct cf_selector *selector = NULL;
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(cf_selector_new(&selection, PG, &selector, &err), CF_ERR_USAGE);
	assert_string_equal(err.text, "--exclude-table-data: '\"open': the quote is not closed");
	assert_null(selector);
}

static void a_table_and_a_schema_get_other_names(void **state)
{
	static const char *const texts[] = {"Shop.Orders=shop.\"Old=1\"", "shop=store",
					    "\"a.b\"=c"};
	struct cf_renames renames;
	const char *schema, *table;

	assert_int_equal(cf_renames_parse(texts, 3, PG, &renames, NULL), 0);
	cf_renames_apply(&renames, "shop", "orders", &schema, &table);
	assert_string_equal(schema, "shop");
	assert_string_equal(table, "Old=1");
	cf_renames_apply(&renames, "shop", "users", &schema, &table);
	assert_string_equal(schema, "store");
	assert_string_equal(table, "users");
	cf_renames_apply(&renames, "public", "users", &schema, &table);
	assert_string_equal(schema, "public");
	assert_string_equal(table, "users");
	assert_int_equal(cf_renames_check(&renames, NULL), CF_ERR_NOT_FOUND);
	cf_renames_apply(&renames, "a.b", NULL, &schema, NULL);
	assert_string_equal(schema, "c");
	assert_int_equal(cf_renames_check(&renames, NULL), 0);
	cf_renames_release(&renames);
}

static void bad_renamings_are_refused(void **state)
{
	static const char *const bad[] = {"",	     "a",	    "a=",    "=a",    "a.b=c",
					  "a=b.c",   "a.b.c=d.e.f", "a=b=c", "\"a=b", "a.=b.c",
					  "a=b.c=d", "a.b=c.d.e",   "="};
	static const char *const twice[] = {"a.b=a.c", "a.b=a.d"};
	struct cf_renames renames;
	struct cf_err err = CF_ERR_INIT;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (cf_renames_parse(&bad[i], 1, PG, &renames, &err) != CF_ERR_USAGE)
			fail_msg("'%s' is taken", bad[i]);
		assert_non_null(strstr(err.text, "--rename"));
		cf_renames_release(&renames);
	}
	assert_int_equal(cf_renames_parse(twice, 2, PG, &renames, &err), CF_ERR_USAGE);
	assert_string_equal(err.text, "--rename 'a.b=a.d': it is renamed twice");
	cf_renames_release(&renames);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_mean_what_psql_takes_them_for),
		cmocka_unit_test(no_database_admits_every_one),
		cmocka_unit_test(what_is_no_pattern_is_refused_by_its_name),
		cmocka_unit_test(an_empty_selection_takes_everything),
		cmocka_unit_test(tables_and_schemas_add_up_and_excludes_win),
		cmocka_unit_test(a_pattern_that_matched_nothing_is_named),
		cmocka_unit_test(a_bad_pattern_is_named_with_its_option),
		cmocka_unit_test(a_table_and_a_schema_get_other_names),
		cmocka_unit_test(bad_renamings_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
