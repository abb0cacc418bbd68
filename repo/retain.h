#ifndef CF_REPO_RETAIN_H
#define CF_REPO_RETAIN_H

/*
 * Retention: which snapshots a policy keeps, and why. Nothing is read or removed here.
 *
 * Rules add up: what any of them keeps, stays. They are applied to each group of snapshots alone, and mean what restic's of the same
 * names mean:
 *
 * - A period rule with a count N keeps the newest snapshot of each of the N newest hours, days, ISO weeks, months, quarters or years that
 *   have one; while some of the N are unused, the oldest snapshot of the group stays too. With a duration it keeps the newest of each such
 *   period among the snapshots within that time of the group's newest.
 * - Periods and durations are those of the process's time zone (TZ); an hour that a clock change repeats is one hour.
 * - Snapshots dated after now are kept. They count in no rule and are nobody's newest, so a clock that ran ahead pushes nothing out.
 * - So are snapshots that say falsely that they replace another one: whoever stored them is to push nothing out.
 * - Held snapshots are kept, and count like others.
 */

#include "repo/snapshot.h"

enum cf_keep {
	/* rules of periods */
	CF_KEEP_LAST, /* each snapshot is a period of its own */
	CF_KEEP_HOURLY,
	CF_KEEP_DAILY,
	CF_KEEP_WEEKLY,
	CF_KEEP_MONTHLY,
	CF_KEEP_QUARTERLY,
	CF_KEEP_YEARLY,
	CF_N_KEEP_PERIODS,
	/* other reasons */
	CF_KEEP_WITHIN = CF_N_KEEP_PERIODS,
	CF_KEEP_TAG,
	CF_KEEP_HELD,
	CF_KEEP_FUTURE,
	CF_KEEP_PRETENDER,
	CF_KEEP_UNNAMED, /* others were named to go */
	CF_N_KEEPS
};

/* Years, months and days of the calendar, then hours. All 0: none. */
struct cf_duration {
	uint32_t years, months, days, hours;
};

/* At most one of the two is set. */
struct cf_keep_rule {
	uint64_t count; /* CF_KEEP_ALL: no end */
	struct cf_duration within;
};

#define CF_KEEP_ALL UINT64_MAX

struct cf_retain_rules {
	struct cf_keep_rule periods[CF_N_KEEP_PERIODS];
	struct cf_duration within;
	const char *const *tags; /* each keeps what has it */
	size_t n_tags;
	/* Instead of rules: these go, and everything else stays. */
	const struct cf_id *named;
	size_t n_named;
};

enum cf_group_by {
	CF_GROUP_HOST = 1,
	CF_GROUP_SOURCE = 2,
	CF_GROUP_TAGS = 4
};

struct cf_retained {
	const struct cf_snapshot *snapshot;
	unsigned reasons; /* 1 << enum cf_keep, each that keeps it; 0: it goes */
	unsigned oldest;  /* those of them that keep it only as the oldest */
};

struct cf_retain_group {
	const struct cf_retained *items; /* oldest first */
	size_t n, n_kept;
	bool is_emptied; /* something goes, and no rule keeps anything: what stays is held, dated in the future, or a pretender */
};

struct cf_retain_plan {
	struct cf_retained *items;
	size_t n, n_kept;
	struct cf_retain_group *groups; /* by host, source, tags */
	size_t n_groups;
};

/* group_by: enum cf_group_by, or'ed; 0: one group. The snapshots are borrowed, in any order. */
int cf_retain_plan(struct cf_snapshot *const *snapshots, size_t n, unsigned group_by,
		   const struct cf_retain_rules *rules, int64_t now_ns, struct cf_retain_plan *plan_out,
		   struct cf_err *err);
void cf_retain_plan_release(struct cf_retain_plan *plan);

/* The moment a duration before another, by the local calendar. */
int64_t cf_duration_before(int64_t time_ns, const struct cf_duration *duration);
bool cf_duration_is_none(const struct cf_duration *duration);
/* Whether there is no rule at all, nor a name. */
bool cf_retain_is_empty(const struct cf_retain_rules *rules);

/* How rules are written (retain_text.c). "30d", "1y6m", "2w", "36h": false when it is none, or no time at all. */
bool cf_duration_parse(const char *text, struct cf_duration *duration_out);
struct cf_duration_text {
	char s[48];
} cf_duration_text(const struct cf_duration *duration);
/* "7", "unlimited" or a duration. */
bool cf_keep_rule_parse(const char *text, struct cf_keep_rule *rule_out);
/* "d=7,w=4,m=12": the rules of these periods (h, d, w, m, q, y). CF_ERR_USAGE, also when a rule is there already. */
int cf_retain_parse_gfs(const char *text, struct cf_retain_rules *rules, struct cf_err *err);
/* "host,source,tags" in any combination, or "none". */
int cf_retain_parse_groups(const char *text, unsigned *group_by_out, struct cf_err *err);
/* "hourly"; "last" */
const char *cf_keep_name(enum cf_keep keep);

#endif
