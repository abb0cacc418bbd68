#include "repo/retain.h"

#include "base/err.h"

#include <stdlib.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)

enum {
	HOUR_S = 3600,
	DAY_S = 24 * HOUR_S,
	MONDAY = 3 /* days from the Monday before 1970-01-01 to that day */
};

bool cf_duration_is_none(const struct cf_duration *d)
{
	return d->years == 0 && d->months == 0 && d->days == 0 && d->hours == 0;
}

static bool is_no_rule(const struct cf_keep_rule *rule)
{
	return rule->count == 0 && cf_duration_is_none(&rule->within);
}

bool cf_retain_is_empty(const struct cf_retain_rules *rules)
{
	for (size_t i = 0; i < CF_N_KEEP_PERIODS; i++)
		if (!is_no_rule(&rules->periods[i]))
			return false;
	return cf_duration_is_none(&rules->within) && rules->n_tags == 0 && rules->n_named == 0;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Which hour, day, week ... a time is in: equal in one, and greater in a later one. */
static int64_t period_of(enum cf_keep keep, int64_t time_ns)
{
	time_t seconds = (time_t)floor_div(time_ns, NS_PER_S);
	struct tm local = {0};
	int64_t wall, day;

	localtime_r(&seconds, &local);
	wall = (int64_t)seconds + local.tm_gmtoff;
	day = floor_div(wall, DAY_S);
	switch (keep) {
	case CF_KEEP_HOURLY:
		return floor_div(wall, HOUR_S);
	case CF_KEEP_DAILY:
		return day;
	case CF_KEEP_WEEKLY:
		return floor_div(day + MONDAY, 7);
	case CF_KEEP_MONTHLY:
		return 12 * (int64_t)local.tm_year + local.tm_mon;
	case CF_KEEP_QUARTERLY:
		return 4 * (int64_t)local.tm_year + local.tm_mon / 3;
	default:
		return local.tm_year;
	}
}

int64_t cf_duration_before(int64_t time_ns, const struct cf_duration *duration)
{
	int64_t seconds = floor_div(time_ns, NS_PER_S);
	time_t at = (time_t)seconds;
	struct tm local = {0};

	localtime_r(&at, &local);
	local.tm_year -= (int)duration->years;
	local.tm_mon -= (int)duration->months;
	local.tm_mday -= (int)duration->days;
	local.tm_isdst = -1;
	at = mktime(&local) - (time_t)duration->hours * HOUR_S;
	if (at <= INT64_MIN / NS_PER_S)
		return INT64_MIN;
	return (int64_t)at * NS_PER_S + (time_ns - seconds * NS_PER_S);
}

static int compare_tags(const struct cf_snapshot *a, const struct cf_snapshot *b)
{
	for (size_t i = 0; i < a->n_tags && i < b->n_tags; i++) {
		int order = strcmp(a->tags[i], b->tags[i]);

		if (order)
			return order;
	}
	return (a->n_tags > b->n_tags) - (a->n_tags < b->n_tags);
}

static int compare_groups(const struct cf_snapshot *a, const struct cf_snapshot *b, unsigned group_by)
{
	int order = 0;

	if (group_by & CF_GROUP_HOST)
		order = strcmp(a->host, b->host);
	if (!order && (group_by & CF_GROUP_SOURCE))
		order = strcmp(a->source, b->source);
	if (!order && (group_by & CF_GROUP_TAGS))
		order = compare_tags(a, b);
	return order;
}

static int compare_items(const void *x, const void *y, void *group_by)
{
	const struct cf_snapshot *a = ((const struct cf_retained *)x)->snapshot;
	const struct cf_snapshot *b = ((const struct cf_retained *)y)->snapshot;
	int order = compare_groups(a, b, *(const unsigned *)group_by);

	if (!order) /* what counts in no rule last */
		order = (int)a->is_pretender - (int)b->is_pretender;
	if (!order)
		order = (a->time_ns > b->time_ns) - (a->time_ns < b->time_ns);
	return order ? order : cf_id_compare(&a->id, &b->id);
}

static bool has_kept_tag(const struct cf_snapshot *snapshot, const struct cf_retain_rules *rules)
{
	for (size_t i = 0; i < snapshot->n_tags; i++)
		for (size_t j = 0; j < rules->n_tags; j++)
			if (strcmp(snapshot->tags[i], rules->tags[j]) == 0)
				return true;
	return false;
}

static bool is_named(const struct cf_snapshot *snapshot, const struct cf_retain_rules *rules)
{
	for (size_t i = 0; i < rules->n_named; i++)
		if (cf_id_equal(&snapshot->id, &rules->named[i]))
			return true;
	return false;
}

/* A snapshot that rules count, by its period: newest periods first, and in each the newest snapshot first. */
struct place {
	int64_t period;
	size_t item;
};

static int compare_places(const void *x, const void *y)
{
	const struct place *a = x, *b = y;

	if (a->period != b->period)
		return a->period < b->period ? 1 : -1;
	return (a->item < b->item) - (a->item > b->item);
}

/* The n oldest of a group are those not in the future; there is at least one. places has room for n. */
static void apply_period(struct cf_retained *items, size_t n, enum cf_keep keep,
			 const struct cf_keep_rule *rule, struct place *places)
{
	unsigned bit = 1u << keep;
	int64_t after = INT64_MIN;
	uint64_t left = rule->count;
	size_t n_places = 0;

	if (is_no_rule(rule))
		return;
	if (left == 0) {
		left = CF_KEEP_ALL;
		after = cf_duration_before(items[n - 1].snapshot->time_ns, &rule->within);
	}
	for (size_t i = 0; i < n; i++)
		if (rule->count || items[i].snapshot->time_ns > after)
			places[n_places++] = (struct place){
				.item = i,
				.period = keep == CF_KEEP_LAST ? (int64_t)i
							       : period_of(keep, items[i].snapshot->time_ns)};
	qsort(places, n_places, sizeof(*places), compare_places);
	for (size_t i = 0; i < n_places && left > 0; i++) {
		if (i > 0 && places[i].period == places[i - 1].period)
			continue;
		items[places[i].item].reasons |= bit;
		left--;
	}
	if (rule->count && left > 0 && !(items[0].reasons & bit)) {
		items[0].reasons |= bit;
		items[0].oldest |= bit;
	}
}

static void apply_rules(struct cf_retained *items, size_t n, const struct cf_retain_rules *rules, int64_t now_ns,
			struct place *places)
{
	bool has_within = !cf_duration_is_none(&rules->within);
	size_t n_past = n;
	int64_t after;

	while (n_past > 0 && items[n_past - 1].snapshot->is_pretender)
		items[--n_past].reasons |= 1u << CF_KEEP_PRETENDER;
	while (n_past > 0 && items[n_past - 1].snapshot->time_ns > now_ns)
		items[--n_past].reasons |= 1u << CF_KEEP_FUTURE;
	for (size_t i = 0; i < n; i++)
		if (has_kept_tag(items[i].snapshot, rules))
			items[i].reasons |= 1u << CF_KEEP_TAG;
	if (n_past == 0)
		return;
	after = cf_duration_before(items[n_past - 1].snapshot->time_ns, &rules->within);
	for (size_t i = 0; has_within && i < n_past; i++)
		if (items[i].snapshot->time_ns > after)
			items[i].reasons |= 1u << CF_KEEP_WITHIN;
	for (size_t keep = 0; keep < CF_N_KEEP_PERIODS; keep++)
		apply_period(items, n_past, (enum cf_keep)keep, &rules->periods[keep], places);
}

static void decide_group(struct cf_retained *items, size_t n, const struct cf_retain_rules *rules, int64_t now_ns,
			 struct place *places)
{
	for (size_t i = 0; i < n; i++) {
		if (items[i].snapshot->hold)
			items[i].reasons |= 1u << CF_KEEP_HELD;
		if (rules->n_named && !is_named(items[i].snapshot, rules))
			items[i].reasons |= 1u << CF_KEEP_UNNAMED;
	}
	if (!rules->n_named)
		apply_rules(items, n, rules, now_ns, places);
}

static void note_group(struct cf_retain_plan *plan, size_t first, size_t n)
{
	struct cf_retain_group *group = &plan->groups[plan->n_groups++];
	unsigned all = 0;

	*group = (struct cf_retain_group){.items = plan->items + first, .n = n};
	for (size_t i = 0; i < n; i++) {
		group->n_kept += group->items[i].reasons != 0;
		all |= group->items[i].reasons;
	}
	group->is_emptied = group->n_kept < n && (all & ~(1u << CF_KEEP_HELD | 1u << CF_KEEP_FUTURE | 1u << CF_KEEP_PRETENDER)) == 0;
	plan->n_kept += group->n_kept;
}

int cf_retain_plan(struct cf_snapshot *const *snapshots, size_t n, unsigned group_by,
		   const struct cf_retain_rules *rules, int64_t now_ns, struct cf_retain_plan *plan_out,
		   struct cf_err *err)
{
	struct cf_retain_plan plan = {.n = n};
	struct place *places = calloc(n + 1, sizeof(*places));

	plan.items = calloc(n + 1, sizeof(*plan.items));
	plan.groups = calloc(n + 1, sizeof(*plan.groups));
	if (!places || !plan.items || !plan.groups) {
		free(places);
		cf_retain_plan_release(&plan);
		return cf_err_nomem(err);
	}
	tzset();
	for (size_t i = 0; i < n; i++)
		plan.items[i].snapshot = snapshots[i];
	qsort_r(plan.items, n, sizeof(*plan.items), compare_items, &group_by);
	for (size_t first = 0, end; first < n; first = end) {
		end = first + 1;
		while (end < n &&
		       compare_groups(plan.items[first].snapshot, plan.items[end].snapshot, group_by) == 0)
			end++;
		decide_group(plan.items + first, end - first, rules, now_ns, places);
		note_group(&plan, first, end - first);
	}
	free(places);
	*plan_out = plan;
	return 0;
}

void cf_retain_plan_release(struct cf_retain_plan *plan)
{
	free(plan->items);
	free(plan->groups);
	*plan = (struct cf_retain_plan){0};
}
