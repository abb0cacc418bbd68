#include "cli/doctor.h"

#include "base/err.h"
#include "cli/output.h"
#include "repo/audit.h"
#include "repo/key_list.h"
#include "repo/repo.h"
#include "repo/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
	RHYTHM = 8,	 /* newest snapshots that tell how often a source is backed up */
	LATE_FACTOR = 3, /* a backup is late after so many of its intervals */
	FIRST_DAYS = 7,	 /* or this, while there is only one */
	CHECK_DAYS = 35,
	DATA_DAYS = 190,
	SHOWN_LATE = 10
};

#define NS_PER_S   INT64_C(1000000000)
#define NS_PER_DAY (86400 * NS_PER_S)
#define SKEW_NS	   (300 * NS_PER_S)

/* "3 days", "5 hours", "2 minutes". */
static struct cf_text age_text(int64_t ns)
{
	int64_t minutes = ns > 0 ? ns / (60 * NS_PER_S) : 0;

	if (minutes >= 2 * 24 * 60)
		return cf_text_count((uint64_t)(minutes / (24 * 60)), "day", "days");
	if (minutes >= 60)
		return cf_text_count((uint64_t)(minutes / 60), "hour", "hours");
	return cf_text_count((uint64_t)minutes, "minute", "minutes");
}

/* Opening the repository has made it, if it could. */
static void say_index(struct cf_doctor *doctor, struct cf_repo *repo)
{
	char *folder = cf_cli_cache_dir(doctor->cli), *path = NULL;
	struct stat st;

	if (folder && asprintf(&path, "%s/%s.index", folder, cf_repo_id_text(repo)) < 0)
		path = NULL;
	if (path && stat(path, &st) == 0)
		cf_doctor_say(doctor, CF_DOCTOR_OK, "index",
			      "%s, %s; what it lacks is fetched when needed", path,
			      cf_text_size((uint64_t)st.st_size).s);
	else if (path)
		cf_doctor_say(doctor, CF_DOCTOR_WARN, "index",
			      "%s cannot be kept, so each command fetches it anew: look at the "
			      "cache folder",
			      path);
	free(folder);
	free(path);
}

struct key_counts {
	size_t complete, write, untrusted, removed, behind, unusable, weak;
};

static struct key_counts count_keys(const struct cf_key_list *list)
{
	struct key_counts n = {0};

	for (size_t i = 0; i < list->n; i++) {
		const struct cf_key_info *info = &list->items[i];

		n.unusable += info->version == 0;
		n.untrusted += info->version != 0 && !info->is_trusted;
		n.removed += info->version != 0 && info->is_trusted && info->is_removed;
		n.behind += info->version != 0 && info->is_trusted && !info->is_removed && info->is_behind;
		n.complete += cf_key_is_complete(info);
		n.write += info->version != 0 && info->role == CF_ROLE_WRITE && !info->is_removed;
		n.weak += info->is_weak;
	}
	return n;
}

static void say_slots(struct cf_doctor *doctor, const struct cf_key_list *list)
{
	const struct key_counts n = count_keys(list);
	bool all_well = n.complete >= 2;

	cf_doctor_say(
		doctor, all_well ? CF_DOCTOR_OK : CF_DOCTOR_WARN, "keys",
		"%s everything, %zu only add%s",
		cf_text_count(n.complete, "key slot opens", "key slots open").s, n.write,
		all_well
			? ""
			: ": whoever loses the only secret loses all backups; coffer key add makes "
			  "another one, to be kept elsewhere");
	if (n.untrusted)
		cf_doctor_say(doctor, CF_DOCTOR_FAIL, "keys",
			      "%s that nobody with a full key made: look at coffer key list, then "
			      "coffer key "
			      "remove",
			      cf_text_count(n.untrusted, "key slot", "key slots").s);
	if (n.removed)
		cf_doctor_say(doctor, CF_DOCTOR_FAIL, "keys",
			      "%s removed and is back in the store: look at coffer key list, then coffer key remove",
			      cf_text_count(n.removed, "key slot was", "key slots were").s);
	if (n.unusable)
		cf_doctor_say(doctor, CF_DOCTOR_FAIL, "keys",
			      "%s cannot be used: look at coffer key list, then coffer key remove",
			      cf_text_count(n.unusable, "key slot", "key slots").s);
	if (n.behind)
		cf_doctor_say(doctor, CF_DOCTOR_WARN, "keys",
			      "%s not given the newest data epoch: coffer key rotate, or with that "
			      "secret "
			      "coffer key passwd",
			      cf_text_count(n.behind, "key slot was", "key slots were").s);
	if (n.weak)
		cf_doctor_say(doctor, CF_DOCTOR_WARN, "keys",
			      "the password of %s is stretched less than a new one would be: "
			      "coffer key passwd",
			      cf_text_count(n.weak, "key slot", "key slots").s);
}

static void say_keys(struct cf_doctor *doctor, struct cf_repo *repo)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_key_list list = {0};

	if (cf_key_list_load(repo, &list, &err) < 0)
		cf_doctor_say(doctor, CF_DOCTOR_FAIL, "keys", "%s", err.text);
	else
		say_slots(doctor, &list);
	cf_key_list_release(&list);
}

static int compare_sources(const void *a, const void *b)
{
	const struct cf_snapshot *x = *(struct cf_snapshot *const *)a,
				 *y = *(struct cf_snapshot *const *)b;
	int order = strcmp(x->host, y->host);

	if (!order)
		order = strcmp(x->source, y->source);
	if (!order)
		order = (x->time_ns > y->time_ns) - (x->time_ns < y->time_ns);
	return order;
}

struct freshness {
	size_t n, n_late;
	const struct cf_snapshot *stalest;
};

/* The snapshots of one source, oldest first. */
static void judge_source(struct cf_doctor *doctor, struct cf_snapshot *const *items, size_t n,
			 struct freshness *sum)
{
	const struct cf_snapshot *newest = items[n - 1];
	size_t used = n < RHYTHM ? n : RHYTHM;
	int64_t age = doctor->now_ns - newest->time_ns;
	int64_t interval =
		used > 1 ? (newest->time_ns - items[n - used]->time_ns) / (int64_t)(used - 1) : 0;
	int64_t late = used > 1 ? LATE_FACTOR * interval : FIRST_DAYS * NS_PER_DAY;

	/* Trying out a few times in an hour is no rhythm. */
	if (late < 2 * NS_PER_DAY)
		late = 2 * NS_PER_DAY;
	sum->n++;
	if (!sum->stalest || newest->time_ns < sum->stalest->time_ns)
		sum->stalest = newest;
	if (age <= late)
		return;
	sum->n_late++;
	if (sum->n_late <= SHOWN_LATE && used > 1)
		cf_doctor_say(doctor, CF_DOCTOR_WARN, "backups",
			      "none for %s of %s on host %s, which used to have one about every "
			      "%s: look why",
			      age_text(age).s, newest->source, newest->host, age_text(interval).s);
	else if (sum->n_late <= SHOWN_LATE)
		cf_doctor_say(doctor, CF_DOCTOR_WARN, "backups",
			      "the only one of %s on host %s is %s old", newest->source,
			      newest->host, age_text(age).s);
}

static void say_sources(struct cf_doctor *doctor, const struct cf_snapshot_list *list)
{
	struct freshness sum = {0};
	size_t first = 0;

	qsort(list->items, list->n, sizeof(struct cf_snapshot *), compare_sources);
	for (size_t i = 1; i <= list->n; i++) {
		if (i < list->n && strcmp(list->items[i]->host, list->items[first]->host) == 0 &&
		    strcmp(list->items[i]->source, list->items[first]->source) == 0)
			continue;
		judge_source(doctor, list->items + first, i - first, &sum);
		first = i;
	}
	if (sum.n_late > SHOWN_LATE)
		cf_doctor_say(doctor, CF_DOCTOR_WARN, "backups",
			      "and none lately of %zu more sources", sum.n_late - SHOWN_LATE);
	if (sum.n == 0)
		cf_doctor_say(doctor, CF_DOCTOR_WARN, "backups",
			      "there are none yet: coffer backup");
	else if (sum.n_late == 0)
		cf_doctor_say(doctor, CF_DOCTOR_OK, "backups",
			      "the newest of each of %s is at most %s old",
			      cf_text_count(sum.n, "source", "sources").s,
			      age_text(doctor->now_ns - sum.stalest->time_ns).s);
}

static void say_future(struct cf_doctor *doctor, const struct cf_snapshot_list *list)
{
	const struct cf_snapshot *newest = list->n ? list->items[list->n - 1] : NULL;

	if (newest && newest->time_ns > doctor->now_ns + SKEW_NS)
		cf_doctor_say(doctor, CF_DOCTOR_FAIL, "clock",
			      "snapshot %.8s of host %s is dated %s, in the future: the clock here "
			      "or there is "
			      "wrong",
			      cf_id_text(&newest->id).s, newest->host,
			      cf_text_time(newest->time_ns).s);
}

static void say_backups(struct cf_doctor *doctor, struct cf_repo *repo)
{
	struct cf_snapshot_list list = {0};
	struct cf_err err = CF_ERR_INIT;
	size_t n_damaged;

	if (cf_snapshots_load(repo, NULL, &list, &err) < 0) {
		cf_doctor_say(doctor, CF_DOCTOR_FAIL, "backups", "%s", err.text);
		return;
	}
	n_damaged = list.n_damaged + list.n_quarantined;
	if (n_damaged)
		cf_doctor_say(doctor, CF_DOCTOR_FAIL, "backups",
			      "%s damaged: coffer check names %s",
			      cf_text_count(n_damaged, "snapshot is", "snapshots are").s,
			      n_damaged == 1 ? "it" : "them");
	say_future(doctor, &list);
	say_sources(doctor, &list);
	cf_snapshot_list_release(&list);
}

static bool reads_data(const struct cf_audit_record *record)
{
	for (size_t i = 0; i < record->n_about; i++)
		if (strcmp(record->about[i].key, "level") == 0 &&
		    strncmp(record->about[i].value, "data", 4) == 0)
			return true;
	return false;
}

/* The newest check that came to an end, of those that read data or of any. NULL when there is none.
 */
static const struct cf_audit_record *find_check(const struct cf_audit_log *log, bool with_data)
{
	for (size_t i = log->n; i > 0; i--) {
		const struct cf_audit_record *record = &log->items[i - 1];

		if (strcmp(record->command, "check") == 0 &&
		    (record->status == 0 || record->status == cf_err_exit_status(CF_ERR_DAMAGED)) &&
		    (!with_data || reads_data(record)))
			return record;
	}
	return NULL;
}

static void say_check(struct cf_doctor *doctor, const struct cf_audit_log *log)
{
	const struct cf_audit_record *any = find_check(log, false), *data = find_check(log, true);
	int64_t age = any ? doctor->now_ns - any->time_ns : 0;
	int64_t data_age = data ? doctor->now_ns - data->time_ns : 0;

	if (!any)
		cf_doctor_say(doctor, CF_DOCTOR_WARN, "check",
			      "the repository was never checked: coffer check --read-data=5%%");
	else if (any->status != 0)
		cf_doctor_say(
			doctor, CF_DOCTOR_FAIL, "check",
			"the last one, %s ago, found damage (%s): run coffer check, which names it",
			age_text(age).s, any->error);
	else if (age > CHECK_DAYS * NS_PER_DAY)
		cf_doctor_say(doctor, CF_DOCTOR_WARN, "check",
			      "the last one was %s ago: coffer check", age_text(age).s);
	else if (!data)
		cf_doctor_say(doctor, CF_DOCTOR_WARN, "check",
			      "%s ago without damage, but data was never read: coffer check "
			      "--read-data=5%%",
			      age_text(age).s);
	else if (data_age > DATA_DAYS * NS_PER_DAY)
		cf_doctor_say(doctor, CF_DOCTOR_WARN, "check",
			      "%s ago without damage, but data was read %s ago: coffer check "
			      "--read-data=5%%",
			      age_text(age).s, age_text(data_age).s);
	else
		cf_doctor_say(doctor, CF_DOCTOR_OK, "check",
			      "%s ago without damage, with data %s ago", age_text(age).s,
			      age_text(data_age).s);
}

static void say_log(struct cf_doctor *doctor, struct cf_repo *repo)
{
	struct cf_audit_log log = {0};
	struct cf_err err = CF_ERR_INIT;

	if (cf_audit_load(repo, &log, &err) < 0) {
		cf_doctor_say(doctor, CF_DOCTOR_FAIL, "audit", "%s", err.text);
		return;
	}
	if (log.n_bad)
		cf_doctor_say(doctor, CF_DOCTOR_FAIL, "audit",
			      "%s: coffer audit --verify tells more", log.bad[0].problem);
	else
		cf_doctor_say(doctor, CF_DOCTOR_OK, "audit", "%s of commands can be read",
			      cf_text_count(log.n, "record", "records").s);
	say_check(doctor, &log);
	cf_audit_log_release(&log);
}

void cf_doctor_repo(struct cf_doctor *doctor, struct cf_repo *repo)
{
	say_index(doctor, repo);
	say_keys(doctor, repo);
	say_backups(doctor, repo);
	say_log(doctor, repo);
}
