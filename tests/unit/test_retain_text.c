/* How rules of retention are written. */

#include "base/err.h"
#include "repo/retain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void durations_are_read_and_written(void **state)
{
	static const char *const none[] = {"",	  "0d",	  "d",	     "5",
					   "5x",  "-5d",  "5d ",     " 5d",
					   "5D",  "1.5d", "100001d", "99999999999999999999d",
					   "5d3", "1y,2m"};
	struct cf_duration d;

	assert_true(cf_duration_parse("1y6m2w3d12h", &d));
	assert_int_equal(d.years, 1);
	assert_int_equal(d.months, 6);
	assert_int_equal(d.days, 17);
	assert_int_equal(d.hours, 12);
	assert_string_equal(cf_duration_text(&d).s, "1y6m17d12h");
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		if (cf_duration_parse(none[i], &d))
			fail_msg("'%s' is taken for a duration", none[i]);
}

static void rules_are_read(void **state)
{
	struct cf_keep_rule rule;

	assert_true(cf_keep_rule_parse("7", &rule));
	assert_int_equal(rule.count, 7);
	assert_true(cf_duration_is_none(&rule.within));
	assert_true(cf_keep_rule_parse("unlimited", &rule));
	assert_true(rule.count == CF_KEEP_ALL);
	assert_true(cf_keep_rule_parse("30d", &rule));
	assert_int_equal(rule.count, 0);
	assert_int_equal(rule.within.days, 30);
	assert_false(cf_keep_rule_parse("0", &rule));
	assert_false(cf_keep_rule_parse("-1", &rule));
	assert_false(cf_keep_rule_parse("", &rule));
	assert_false(cf_keep_rule_parse("many", &rule));
}

static void presets_are_read(void **state)
{
	static const char *const bad[] = {"",
					  "d",
					  "d=",
					  "d=0",
					  "x=1",
					  "d=7,",
					  ",d=7",
					  "d=7,d=8",
					  "d=7;w=4",
					  "d = 7",
					  "D=7",
					  "d=7,w=4,w=30d",
					  "d=123456789012345678901234567890"};
	struct cf_retain_rules rules = {0};
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(cf_retain_parse_gfs("h=24,d=7,w=4,m=12,q=8,y=unlimited", &rules, &err), 0);
	assert_int_equal(rules.periods[CF_KEEP_LAST].count, 0);
	assert_int_equal(rules.periods[CF_KEEP_HOURLY].count, 24);
	assert_int_equal(rules.periods[CF_KEEP_DAILY].count, 7);
	assert_int_equal(rules.periods[CF_KEEP_WEEKLY].count, 4);
	assert_int_equal(rules.periods[CF_KEEP_MONTHLY].count, 12);
	assert_int_equal(rules.periods[CF_KEEP_QUARTERLY].count, 8);
	assert_true(rules.periods[CF_KEEP_YEARLY].count == CF_KEEP_ALL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		rules = (struct cf_retain_rules){0};
		if (cf_retain_parse_gfs(bad[i], &rules, &err) != CF_ERR_USAGE || !err.text[0])
			fail_msg("'%s' is taken", bad[i]);
	}
	rules = (struct cf_retain_rules){.periods[CF_KEEP_DAILY].count = 3};
	assert_int_equal(cf_retain_parse_gfs("d=7", &rules, &err), CF_ERR_USAGE);
}

static void groups_are_read(void **state)
{
	unsigned group_by = 99;
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(cf_retain_parse_groups("tags,host", &group_by, &err), 0);
	assert_int_equal(group_by, CF_GROUP_HOST | CF_GROUP_TAGS);
	assert_int_equal(cf_retain_parse_groups("none", &group_by, &err), 0);
	assert_int_equal(group_by, 0);
	assert_int_equal(cf_retain_parse_groups("", &group_by, &err), CF_ERR_USAGE);
	assert_int_equal(cf_retain_parse_groups("host,", &group_by, &err), CF_ERR_USAGE);
	assert_int_equal(cf_retain_parse_groups("host,none", &group_by, &err), CF_ERR_USAGE);
	assert_int_equal(cf_retain_parse_groups("user", &group_by, &err), CF_ERR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_are_read_and_written),
		cmocka_unit_test(rules_are_read),
		cmocka_unit_test(presets_are_read),
		cmocka_unit_test(groups_are_read),
	};

	return cmocka_run_group_tests_name("retention: texts", tests, NULL, NULL);
}
