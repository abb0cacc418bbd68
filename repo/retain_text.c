/* How rules of retention are written. */

#include "base/err.h"
#include "repo/retain.h"

#include <stdio.h>

enum {
	NUMBER_MAX = 100000 /* years, and so on: beyond any use, and below what calendar arithmetic stands */
};

static const char *const keep_names[CF_N_KEEPS] = {
	[CF_KEEP_LAST] = "last",      [CF_KEEP_HOURLY] = "hourly",     [CF_KEEP_DAILY] = "daily",
	[CF_KEEP_WEEKLY] = "weekly",  [CF_KEEP_MONTHLY] = "monthly",   [CF_KEEP_QUARTERLY] = "quarterly",
	[CF_KEEP_YEARLY] = "yearly",  [CF_KEEP_WITHIN] = "within",     [CF_KEEP_TAG] = "tag",
	[CF_KEEP_HELD] = "held",      [CF_KEEP_FUTURE] = "future",     [CF_KEEP_UNNAMED] = "unnamed",
	[CF_KEEP_PRETENDER] = "pretender",
};

const char *cf_keep_name(enum cf_keep keep)
{
	return keep_names[keep];
}

/* Digits up to NUMBER_MAX; *text is behind them. */
static bool take_number(const char **text, uint32_t *out)
{
	const char *at = *text;
	uint32_t number = 0;

	for (; *at >= '0' && *at <= '9'; at++) {
		number = 10 * number + (uint32_t)(*at - '0');
		if (number > NUMBER_MAX)
			return false;
	}
	if (at == *text)
		return false;
	*text = at;
	*out = number;
	return true;
}

bool cf_duration_parse(const char *text, struct cf_duration *duration_out)
{
	struct cf_duration d = {0};
	uint32_t number;

	while (*text) {
		if (!take_number(&text, &number))
			return false;
		switch (*text++) {
		case 'y':
			d.years += number;
			break;
		case 'm':
			d.months += number;
			break;
		case 'w':
			d.days += 7 * number;
			break;
		case 'd':
			d.days += number;
			break;
		case 'h':
			d.hours += number;
			break;
		default:
			return false;
		}
		if (d.years > NUMBER_MAX || d.months > NUMBER_MAX || d.days > 7 * NUMBER_MAX ||
		    d.hours > NUMBER_MAX)
			return false;
	}
	if (cf_duration_is_none(&d))
		return false;
	*duration_out = d;
	return true;
}

struct cf_duration_text cf_duration_text(const struct cf_duration *d)
{
	const struct {
		uint32_t number;
		char unit;
	} parts[] = {{d->years, 'y'}, {d->months, 'm'}, {d->days, 'd'}, {d->hours, 'h'}};
	struct cf_duration_text text = {""};
	size_t len = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (parts[i].number)
			len += (size_t)snprintf(text.s + len, sizeof(text.s) - len, "%u%c", parts[i].number,
						parts[i].unit);
	return text;
}

bool cf_keep_rule_parse(const char *text, struct cf_keep_rule *rule_out)
{
	struct cf_keep_rule rule = {0};
	const char *at = text;
	uint32_t count = 0;

	if (strcmp(text, "unlimited") == 0)
		rule.count = CF_KEEP_ALL;
	else if (take_number(&at, &count) && *at == '\0')
		rule.count = count;
	else if (!cf_duration_parse(text, &rule.within))
		return false;
	*rule_out = rule;
	return rule.count > 0 || !cf_duration_is_none(&rule.within);
}

/* The period that a letter of --gfs stands for; CF_N_KEEP_PERIODS: none. */
static enum cf_keep period_of_letter(char letter)
{
	static const char letters[CF_N_KEEP_PERIODS] = {
		[CF_KEEP_HOURLY] = 'h',	 [CF_KEEP_DAILY] = 'd',	    [CF_KEEP_WEEKLY] = 'w',
		[CF_KEEP_MONTHLY] = 'm', [CF_KEEP_QUARTERLY] = 'q', [CF_KEEP_YEARLY] = 'y'};
	size_t keep = CF_KEEP_HOURLY;

	while (keep < CF_N_KEEP_PERIODS && letters[keep] != letter)
		keep++;
	return (enum cf_keep)keep;
}

int cf_retain_parse_gfs(const char *text, struct cf_retain_rules *rules, struct cf_err *err)
{
	for (const char *at = text;; at += strcspn(at, ",") + 1) {
		size_t len = strcspn(at, ",");
		enum cf_keep keep = period_of_letter(*at);
		struct cf_keep_rule rule;
		char value[24];

		if (len < 3 || len - 2 >= sizeof(value) || keep == CF_N_KEEP_PERIODS || at[1] != '=')
			return cf_err_set(err, CF_ERR_USAGE,
					  "--gfs: '%.*s' is no part like d=7: h, d, w, m, q or y, and how many to keep",
					  (int)len, at);
		memcpy(value, at + 2, len - 2);
		value[len - 2] = '\0';
		if (!cf_keep_rule_parse(value, &rule))
			return cf_err_set(err, CF_ERR_USAGE,
					  "--gfs: '%s' is neither a number from 1 nor a duration like 30d", value);
		if (rules->periods[keep].count || !cf_duration_is_none(&rules->periods[keep].within))
			return cf_err_set(err, CF_ERR_USAGE, "the %s rule is given twice: leave one out",
					  cf_keep_name(keep));
		rules->periods[keep] = rule;
		if (at[len] == '\0')
			return 0;
	}
}

int cf_retain_parse_groups(const char *text, unsigned *group_by_out, struct cf_err *err)
{
	static const struct {
		const char *name;
		unsigned bit;
	} keys[] = {{"host", CF_GROUP_HOST}, {"source", CF_GROUP_SOURCE}, {"tags", CF_GROUP_TAGS}};
	unsigned group_by = 0;

	if (strcmp(text, "none") == 0) {
		*group_by_out = 0;
		return 0;
	}
	for (const char *at = text;; at += strcspn(at, ",") + 1) {
		size_t len = strcspn(at, ","), i = 0;

		while (i < 3 && (strlen(keys[i].name) != len || memcmp(keys[i].name, at, len) != 0))
			i++;
		if (i == 3)
			return cf_err_set(err, CF_ERR_USAGE,
					  "--group-by: '%s' is neither none nor a list of host, source, tags", text);
		group_by |= keys[i].bit;
		if (at[len] == '\0')
			break;
	}
	*group_by_out = group_by;
	return 0;
}
