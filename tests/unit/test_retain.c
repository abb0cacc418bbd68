/* Retention: rules against a slow reference of their own, and days on which clocks do odd things.
 */

#include "base/err.h"
#include "repo/retain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#define S_NS	 INT64_C(1000000000)
#define DAY_NS	 (86400 * S_NS)
#define N_MAX	 48
#define RANDOM_N 6000

#define BERLIN	"CET-1CEST,M3.5.0,M10.5.0/3"
#define NEWYORK "EST5EDT,M3.2.0,M11.1.0"
/* Clocks go back over midnight, and by half an hour. */
#define ST_JOHNS  "NST3:30NDT,M3.2.0/0:01,M11.1.0/0:01"
#define LORD_HOWE "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"

static const char *const zones[] = {"UTC0", BERLIN, NEWYORK, ST_JOHNS, LORD_HOWE, "<+14>-14"};

struct world {
	struct cf_snapshot snapshots[N_MAX];
	struct cf_snapshot *list[N_MAX];
	size_t n;
	int64_t now_ns;
};

static struct cf_hold some_hold = {.reason = (char *)(uintptr_t) ""};

static void set_zone(const char *zone)
{
	assert_int_equal(setenv("TZ", zone, 1), 0);
	tzset();
}

/* "2026-03-29 02:30:00" as the zone has it; of two such hours the first. */
static int64_t local_time(const char *text)
{
	struct tm tm = {.tm_isdst = -1};
	time_t at;

	assert_int_equal(sscanf(text, "%d-%d-%d %d:%d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
				&tm.tm_hour, &tm.tm_min, &tm.tm_sec),
			 6);
	tm.tm_year -= 1900;
	tm.tm_mon--;
	at = mktime(&tm);
	return at * S_NS;
}

static struct cf_snapshot *add(struct world *w, int64_t time_ns)
{
	struct cf_snapshot *s = &w->snapshots[w->n];

	assert_true(w->n < N_MAX);
	*s = (struct cf_snapshot){.time_ns = time_ns,
				  .host = (char *)(uintptr_t) "h",
				  .source = (char *)(uintptr_t) "files:/x"};
	memset(s->id.bytes, (int)w->n + 1, CF_ID_LEN);
	w->list[w->n++] = s;
	return s;
}

static struct cf_retain_plan plan_of(const struct world *w, unsigned group_by,
				     const struct cf_retain_rules *rules)
{
	struct cf_retain_plan plan = {0};
	struct cf_err err = CF_ERR_INIT;

	if (cf_retain_plan(w->list, w->n, group_by, rules, w->now_ns, &plan, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(plan.n, w->n);
	return plan;
}

static const struct cf_retained *verdict(const struct cf_retain_plan *plan,
					 const struct cf_snapshot *s)
{
	for (size_t i = 0; i < plan->n; i++)
		if (plan->items[i].snapshot == s)
			return &plan->items[i];
	fail_msg("a snapshot is not in the plan");
	return NULL;
}

/* ---- the reference: every snapshot is asked about every other one ---- */

static struct tm wall(int64_t time_ns)
{
	int64_t s = time_ns / S_NS - (time_ns % S_NS < 0);
	time_t at = (time_t)s;
	struct tm tm;

	localtime_r(&at, &tm);
	return tm;
}

/* A text that sorts like time, and is the same all through a period. */
static void name_period(enum cf_keep keep, const struct cf_snapshot *s, char *out, size_t size)
{
	struct tm tm = wall(s->time_ns);

	switch (keep) {
	case CF_KEEP_HOURLY:
		strftime(out, size, "%Y-%m-%d %H", &tm);
		break;
	case CF_KEEP_DAILY:
		strftime(out, size, "%Y-%m-%d", &tm);
		break;
	case CF_KEEP_WEEKLY:
		strftime(out, size, "%G-%V", &tm);
		break;
	case CF_KEEP_MONTHLY:
		strftime(out, size, "%Y-%m", &tm);
		break;
	case CF_KEEP_QUARTERLY:
		snprintf(out, size, "%04d-Q%d", tm.tm_year + 1900, tm.tm_mon / 3 + 1);
		break;
	case CF_KEEP_YEARLY:
		strftime(out, size, "%Y", &tm);
		break;
	default:
		snprintf(out, size, "%020llu %02x", (unsigned long long)s->time_ns ^ 1ull << 63,
			 s->id.bytes[0]);
	}
}

static bool is_newer(const struct cf_snapshot *a, const struct cf_snapshot *b)
{
	return a->time_ns != b->time_ns ? a->time_ns > b->time_ns : a->id.bytes[0] > b->id.bytes[0];
}

static bool same_tags(const struct cf_snapshot *a, const struct cf_snapshot *b)
{
	bool same = a->n_tags == b->n_tags;

	for (size_t i = 0; same && i < a->n_tags; i++)
		same = strcmp(a->tags[i], b->tags[i]) == 0;
	return same;
}

static bool same_group(const struct cf_snapshot *a, const struct cf_snapshot *b, unsigned group_by)
{
	return (!(group_by & CF_GROUP_HOST) || strcmp(a->host, b->host) == 0) &&
	       (!(group_by & CF_GROUP_SOURCE) || strcmp(a->source, b->source) == 0) &&
	       (!(group_by & CF_GROUP_TAGS) || same_tags(a, b));
}

/* Those of the group that rules count. */
static size_t peers_of(const struct world *w, const struct cf_snapshot *s, unsigned group_by,
		       const struct cf_snapshot *peers[])
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		if (same_group(s, w->list[i], group_by) && w->list[i]->time_ns <= w->now_ns)
			peers[n++] = w->list[i];
	return n;
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month] + (month == 1 && leap);
}

/* Go back on the calendar one day at a time, then find the moment by trying. False: that wall clock
 * time is not, or twice. */
static bool go_back(int64_t time_ns, const struct cf_duration *d, int64_t *out)
{
	struct tm tm = wall(time_ns);
	int year = tm.tm_year + 1900 - (int)d->years, month = tm.tm_mon, day = tm.tm_mday;
	int64_t second;
	size_t n = 0;

	for (uint32_t i = 0; i < d->months; i++)
		if (--month < 0) {
			month = 11;
			year--;
		}
	while (day > days_in_month(year, month)) {
		day -= days_in_month(year, month);
		if (++month > 11) {
			month = 0;
			year++;
		}
	}
	for (uint32_t i = 0; i < d->days; i++)
		if (--day < 1) {
			if (--month < 0) {
				month = 11;
				year--;
			}
			day = days_in_month(year, month);
		}
	tm = (struct tm){.tm_year = year - 1900,
			 .tm_mon = month,
			 .tm_mday = day,
			 .tm_hour = tm.tm_hour,
			 .tm_min = tm.tm_min,
			 .tm_sec = tm.tm_sec};
	second = timegm(&tm);
	for (int64_t offset = -16 * 3600; offset <= 16 * 3600; offset += 1800) {
		struct tm there = wall((second + offset) * S_NS);

		if (there.tm_mday == day && there.tm_hour == tm.tm_hour &&
		    there.tm_min == tm.tm_min) {
			*out = (second + offset - (int64_t)d->hours * 3600) * S_NS +
			       (time_ns % S_NS + S_NS) % S_NS;
			n++;
		}
	}
	return n == 1;
}

static const struct cf_snapshot *newest_of(const struct cf_snapshot *const peers[], size_t n)
{
	const struct cf_snapshot *newest = peers[0];

	for (size_t i = 1; i < n; i++)
		if (is_newer(peers[i], newest))
			newest = peers[i];
	return newest;
}

/* Whether the period rule keeps s: no newer snapshot in its period, and fewer than count periods
 * after it. */
static bool period_keeps(enum cf_keep keep, uint64_t count, const struct cf_snapshot *s,
			 const struct cf_snapshot *const peers[], size_t n, bool *as_oldest)
{
	char own[40], other[40], seen[N_MAX][40];
	size_t n_later = 0, n_periods = 0;
	bool is_first = true, is_oldest = true;

	name_period(keep, s, own, sizeof(own));
	for (size_t i = 0; i < n; i++) {
		bool known = false;

		name_period(keep, peers[i], other, sizeof(other));
		if (is_newer(peers[i], s) && strcmp(own, other) == 0)
			is_first = false;
		if (is_newer(s, peers[i]))
			is_oldest = false;
		for (size_t j = 0; j < n_periods; j++)
			known |= strcmp(seen[j], other) == 0;
		if (known)
			continue;
		strcpy(seen[n_periods++], other);
		n_later += strcmp(other, own) > 0;
	}
	*as_oldest = !(is_first && n_later < count) && is_oldest && n_periods < count;
	return (is_first && n_later < count) || *as_oldest;
}

/* False when the time zone leaves open what the answer is. */
static bool reference(const struct world *w, const struct cf_snapshot *s, unsigned group_by,
		      const struct cf_retain_rules *rules, unsigned *reasons, unsigned *oldest)
{
	const struct cf_snapshot *peers[N_MAX], *recent[N_MAX];
	size_t n = peers_of(w, s, group_by, peers);
	int64_t after;

	*reasons = s->hold ? 1u << CF_KEEP_HELD : 0;
	*oldest = 0;
	for (size_t i = 0; i < s->n_tags; i++)
		for (size_t j = 0; j < rules->n_tags; j++)
			if (strcmp(s->tags[i], rules->tags[j]) == 0)
				*reasons |= 1u << CF_KEEP_TAG;
	if (s->time_ns > w->now_ns) {
		*reasons |= 1u << CF_KEEP_FUTURE;
		return true;
	}
	if (!cf_duration_is_none(&rules->within)) {
		if (!go_back(newest_of(peers, n)->time_ns, &rules->within, &after))
			return false;
		if (s->time_ns > after)
			*reasons |= 1u << CF_KEEP_WITHIN;
	}
	for (unsigned keep = 0; keep < CF_N_KEEP_PERIODS; keep++) {
		const struct cf_keep_rule *rule = &rules->periods[keep];
		size_t n_recent = 0;
		bool as_oldest;

		if (rule->count) {
			if (period_keeps((enum cf_keep)keep, rule->count, s, peers, n,
					 &as_oldest)) {
				*reasons |= 1u << keep;
				*oldest |= as_oldest ? 1u << keep : 0;
			}
			continue;
		}
		if (cf_duration_is_none(&rule->within))
			continue;
		if (!go_back(newest_of(peers, n)->time_ns, &rule->within, &after))
			return false;
		for (size_t i = 0; i < n; i++)
			if (peers[i]->time_ns > after)
				recent[n_recent++] = peers[i];
		if (s->time_ns > after &&
		    period_keeps((enum cf_keep)keep, UINT64_MAX, s, recent, n_recent, &as_oldest) &&
		    !as_oldest)
			*reasons |= 1u << keep;
	}
	return true;
}

/* ---- random worlds ---- */

static uint64_t random_state = 88172645463325252u;

static uint64_t roll(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % below;
}

static const char *const some_tags[] = {"a", "b", "c"};
static const char *tag_lists[8][3];

static void random_world(struct world *w)
{
	static const char *const dates[] = {"2024-02-29 12:00:00", "2026-03-29 02:00:00",
					    "2026-10-25 02:30:00", "2026-11-01 00:01:00",
					    "2027-01-01 00:00:00", "2026-04-05 01:45:00",
					    "2021-01-03 23:59:59", "1970-01-01 00:00:00"};
	static const int64_t steps[] = {1, 600, 3600, 86400, 7 * 86400, 30 * 86400, 100 * 86400};
	static const char *const hosts[] = {"h", "i"}, *const sources[] = {"files:/x", "files:/y"};
	int64_t middle = local_time(dates[roll(8)]), step = steps[roll(7)];
	size_t n = roll(N_MAX);

	w->n = 0;
	for (size_t i = 0; i < n; i++) {
		int64_t off = ((int64_t)roll(60) - 30) * step + (int64_t)roll((uint64_t)step);
		struct cf_snapshot *s = add(w, (middle + off * S_NS) + (int64_t)roll(3));
		size_t tags = roll(8);

		s->host = (char *)(uintptr_t)hosts[roll(2)];
		s->source = (char *)(uintptr_t)sources[roll(2)];
		s->hold = roll(12) == 0 ? &some_hold : NULL;
		for (size_t bit = 0; bit < 3; bit++)
			if (tags & (1u << bit))
				tag_lists[tags][s->n_tags++] = some_tags[bit];
		s->tags = (char **)(uintptr_t)tag_lists[tags];
	}
	w->now_ns = middle + ((int64_t)roll(60) - 5) * step * S_NS;
}

static struct cf_duration random_duration(void)
{
	struct cf_duration d = {.years = (uint32_t)(roll(4) == 0 ? roll(3) : 0),
				.months = (uint32_t)(roll(3) == 0 ? roll(14) : 0),
				.days = (uint32_t)(roll(2) == 0 ? roll(60) : 0),
				.hours = (uint32_t)(roll(2) == 0 ? roll(50) : 0)};

	if (cf_duration_is_none(&d))
		d.days = 1;
	return d;
}

static void random_rules(struct cf_retain_rules *rules)
{
	*rules = (struct cf_retain_rules){.tags = some_tags, .n_tags = roll(4) == 0 ? roll(3) : 0};
	for (size_t keep = 0; keep < CF_N_KEEP_PERIODS; keep++) {
		if (roll(3) == 0)
			rules->periods[keep].count = roll(10) == 0 ? CF_KEEP_ALL : 1 + roll(9);
		else if (keep != CF_KEEP_LAST && roll(4) == 0)
			rules->periods[keep].within = random_duration();
	}
	if (roll(5) == 0)
		rules->within = random_duration();
}

static size_t compare_with_reference(const struct world *w, unsigned group_by,
				     const struct cf_retain_rules *rules, const char *zone)
{
	struct cf_retain_plan plan = plan_of(w, group_by, rules);
	size_t n_compared = 0;

	for (size_t i = 0; i < w->n; i++) {
		const struct cf_retained *found = verdict(&plan, w->list[i]);
		unsigned reasons, oldest;

		if (!reference(w, w->list[i], group_by, rules, &reasons, &oldest))
			continue;
		if (found->reasons != reasons || found->oldest != oldest)
			fail_msg("%s, snapshot %zu at %lld: found %x (oldest %x), want %x (oldest "
				 "%x)",
				 zone, i, (long long)w->list[i]->time_ns, found->reasons,
				 found->oldest, reasons, oldest);
		n_compared++;
	}
	cf_retain_plan_release(&plan);
	return n_compared;
}

static void any_rules_keep_what_the_reference_keeps(void **state)
{
	size_t n_compared = 0;

	for (size_t i = 0; i < RANDOM_N; i++) {
		const char *zone = zones[roll(sizeof(zones) / sizeof(*zones))];
		struct cf_retain_rules rules;
		struct world w = {.n = 0};

		set_zone(zone);
		random_world(&w);
		random_rules(&rules);
		n_compared += compare_with_reference(&w, (unsigned)roll(8), &rules, zone);
	}
	assert_true(n_compared > 15 * RANDOM_N);
}

static void groups_are_whole_and_in_order(void **state)
{
	set_zone("UTC0");
	for (size_t i = 0; i < 300; i++) {
		struct cf_retain_rules rules;
		struct cf_retain_plan plan;
		struct world w = {.n = 0};
		unsigned group_by = (unsigned)roll(8);
		size_t n = 0, n_kept = 0;

		random_world(&w);
		random_rules(&rules);
		plan = plan_of(&w, group_by, &rules);
		for (size_t g = 0; g < plan.n_groups; g++) {
			const struct cf_retain_group *group = &plan.groups[g];

			for (size_t j = 0; j + 1 < group->n; j++)
				assert_true(is_newer(group->items[j + 1].snapshot,
						     group->items[j].snapshot));
			for (size_t j = 0; j < w.n; j++)
				n += same_group(group->items[0].snapshot, w.list[j], group_by);
			for (size_t j = 0; j < group->n; j++)
				n_kept += group->items[j].reasons != 0;
		}
		assert_int_equal(n, w.n);
		assert_int_equal(n_kept, plan.n_kept);
		cf_retain_plan_release(&plan);
	}
}

/* ---- examples ---- */

/* Whether snapshot i is kept, as a text like "x-x". */
static void assert_kept(const struct world *w, const struct cf_retain_rules *rules,
			const char *want)
{
	struct cf_retain_plan plan = plan_of(w, 0, rules);
	char found[N_MAX + 1] = "";

	for (size_t i = 0; i < w->n; i++)
		found[i] = verdict(&plan, w->list[i])->reasons ? 'x' : '-';
	assert_string_equal(found, want);
	cf_retain_plan_release(&plan);
}

static void fill(struct world *w, const char *const times[])
{
	w->n = 0;
	for (size_t i = 0; times[i]; i++)
		add(w, local_time(times[i]));
	w->now_ns = w->snapshots[w->n - 1].time_ns + 1;
}

static void the_newest_of_a_day_is_kept(void **state)
{
	static const char *const times[] = {"2026-01-01 08:00:00", "2026-01-01 20:00:00",
					    "2026-01-02 08:00:00", "2026-01-02 20:00:00",
					    "2026-01-05 08:00:00", NULL};
	struct cf_retain_rules rules = {0};
	struct world w;

	set_zone("UTC0");
	fill(&w, times);
	rules.periods[CF_KEEP_DAILY].count = 2; /* days without a snapshot do not count */
	assert_kept(&w, &rules, "---xx");
	rules.periods[CF_KEEP_DAILY].count = 3;
	assert_kept(&w, &rules, "-x-xx");
	rules.periods[CF_KEEP_DAILY].count = 4; /* one is left: the oldest stays */
	assert_kept(&w, &rules, "xx-xx");
	rules.periods[CF_KEEP_DAILY] = (struct cf_keep_rule){.within.days = 4};
	assert_kept(&w, &rules, "-x-xx");
}

static void an_hour_that_comes_twice_is_one(void **state)
{
	struct cf_retain_rules rules = {.periods[CF_KEEP_HOURLY].count = 2};
	struct world w = {.n = 0};
	int64_t first;

	set_zone(BERLIN);
	first = local_time("2026-10-25 01:30:00");
	for (int i = 0; i < 4; i++) /* 1:30, 2:30, 2:30, 3:30 */
		add(&w, first + i * 3600 * S_NS);
	w.now_ns = first + DAY_NS;
	assert_kept(&w, &rules, "--xx");
	rules.periods[CF_KEEP_HOURLY].count = 3;
	assert_kept(&w, &rules, "x-xx");
}

static void a_day_is_the_time_zones(void **state)
{
	struct cf_retain_rules rules = {.periods[CF_KEEP_DAILY].count = 2};
	struct world w = {.n = 0};

	set_zone("UTC0");
	add(&w, local_time("2026-01-01 21:00:00"));
	add(&w, local_time("2026-01-01 22:30:00"));
	add(&w, local_time("2026-01-01 23:30:00"));
	w.now_ns = local_time("2026-01-05 00:00:00");
	assert_kept(&w, &rules, "x-x"); /* the oldest, since one of two days is unused */
	set_zone(BERLIN);
	assert_kept(&w, &rules, "-xx");
}

static void leap_days_and_month_ends_are_on_the_calendar(void **state)
{
	static const char *const times[] = {"2027-02-28 12:00:00", "2027-03-01 12:00:00",
					    "2027-03-01 12:00:01", "2028-02-28 12:00:00",
					    "2028-02-29 12:00:00", NULL};
	struct cf_retain_rules rules = {.within.years = 1};
	struct world w;

	set_zone("UTC0");
	fill(&w, times); /* a year before a leap day is the first of March */
	assert_kept(&w, &rules, "--xxx");
	rules.within = (struct cf_duration){.months = 12, .days = 1};
	assert_kept(&w, &rules, "-xxxx");
	rules.within = (struct cf_duration){.hours = 24};
	assert_kept(&w, &rules, "----x");
	rules.within = (struct cf_duration){.hours = 25};
	assert_kept(&w, &rules, "---xx");
}

static void iso_weeks_span_new_year(void **state)
{
	static const char *const times[] = {"2026-12-28 00:00:00", "2026-12-31 12:00:00",
					    "2027-01-03 23:59:59", "2027-01-04 00:00:00", NULL};
	struct cf_retain_rules rules = {.periods[CF_KEEP_WEEKLY].count = 2};
	struct world w;

	set_zone("UTC0");
	fill(&w, times);
	assert_kept(&w, &rules, "--xx");
}

static void a_clock_ahead_pushes_nothing_out(void **state)
{
	struct cf_retain_rules rules = {.periods[CF_KEEP_LAST].count = 2, .within.days = 3};
	struct world w = {.n = 0};

	set_zone("UTC0");
	w.now_ns = local_time("2026-06-01 00:00:00");
	add(&w, w.now_ns - 9 * DAY_NS);
	add(&w, w.now_ns - 2 * DAY_NS);
	add(&w, w.now_ns - DAY_NS);
	add(&w, w.now_ns + 4000 * DAY_NS);
	add(&w, w.now_ns + 4001 * DAY_NS);
	assert_kept(&w, &rules, "-xxxx");
	/* A forgetting host whose clock fell back sees nothing but the future. */
	w.now_ns = 0;
	assert_kept(&w, &rules, "xxxxx");
	/* One whose clock ran ahead forgets no more, for time is counted from the newest snapshot.
	 */
	w.now_ns = w.snapshots[2].time_ns + 3000 * DAY_NS;
	assert_kept(&w, &rules, "-xxxx");
}

static void extreme_times_are_no_trouble(void **state)
{
	struct cf_retain_rules rules = {.within = {100000, 100000, 700000, 100000}};
	struct world w = {.n = 0};

	set_zone(BERLIN);
	add(&w, INT64_MIN);
	add(&w, INT64_MIN + 1);
	add(&w, -1);
	add(&w, 0);
	add(&w, INT64_MAX);
	w.now_ns = INT64_MAX;
	for (size_t keep = 0; keep < CF_N_KEEP_PERIODS; keep++)
		rules.periods[keep].count = CF_KEEP_ALL;
	assert_kept(&w, &rules, "xxxxx");
	rules = (struct cf_retain_rules){.periods[CF_KEEP_LAST].count = 1};
	w.now_ns = 0;
	assert_kept(&w, &rules, "---xx");
}

static void named_ones_go_and_others_stay(void **state)
{
	struct world w = {.n = 0};
	struct cf_retain_rules rules = {.n_named = 2};
	struct cf_id ids[2];
	struct cf_retain_plan plan;

	for (int i = 0; i < 3; i++)
		add(&w, i)->host = (char *)(uintptr_t)(i == 2 ? "other" : "h");
	w.snapshots[1].hold = &some_hold;
	ids[0] = w.snapshots[1].id;
	ids[1] = w.snapshots[2].id;
	rules.named = ids;
	plan = plan_of(&w, CF_GROUP_HOST, &rules);
	assert_int_equal(verdict(&plan, &w.snapshots[0])->reasons, 1u << CF_KEEP_UNNAMED);
	assert_int_equal(verdict(&plan, &w.snapshots[1])->reasons, 1u << CF_KEEP_HELD);
	assert_int_equal(verdict(&plan, &w.snapshots[2])->reasons, 0);
	assert_int_equal(plan.n_groups, 2);
	assert_int_equal(plan.groups[0].n_kept, 2);
	assert_true(plan.groups[1].is_emptied);
	cf_retain_plan_release(&plan);
}

static void a_group_of_which_no_rule_keeps_anything_is_emptied(void **state)
{
	static const char *const tags[] = {"gone"};
	struct cf_retain_rules rules = {.tags = tags, .n_tags = 1};
	struct world w = {.n = 0};
	struct cf_retain_plan plan;

	w.now_ns = 5;
	add(&w, 1);
	add(&w, 2)->hold = &some_hold;
	add(&w, 9);
	plan = plan_of(&w, 0, &rules);
	assert_int_equal(plan.n_kept, 2);
	assert_true(plan.groups[0].is_emptied);
	cf_retain_plan_release(&plan);
	rules.periods[CF_KEEP_LAST].count = 1;
	plan = plan_of(&w, 0, &rules);
	assert_false(plan.groups[0].is_emptied);
	cf_retain_plan_release(&plan);
	w.list[0] = w.list[1];
	w.n = 1;
	rules.periods[CF_KEEP_LAST].count = 0;
	plan = plan_of(&w, 0, &rules); /* nothing goes */
	assert_false(plan.groups[0].is_emptied);
	cf_retain_plan_release(&plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_rules_keep_what_the_reference_keeps),
		cmocka_unit_test(groups_are_whole_and_in_order),
		cmocka_unit_test(the_newest_of_a_day_is_kept),
		cmocka_unit_test(an_hour_that_comes_twice_is_one),
		cmocka_unit_test(a_day_is_the_time_zones),
		cmocka_unit_test(leap_days_and_month_ends_are_on_the_calendar),
		cmocka_unit_test(iso_weeks_span_new_year),
		cmocka_unit_test(a_clock_ahead_pushes_nothing_out),
		cmocka_unit_test(extreme_times_are_no_trouble),
		cmocka_unit_test(named_ones_go_and_others_stay),
		cmocka_unit_test(a_group_of_which_no_rule_keeps_anything_is_emptied),
	};

	return cmocka_run_group_tests_name("retention", tests, NULL, NULL);
}
