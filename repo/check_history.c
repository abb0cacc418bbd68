#include "repo/check_parts.h"

#include "base/err.h"
#include "repo/forget.h"
#include "repo/object.h"
#include "repo/snapshot.h"
#include "repo/verified.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * Whether snapshots vanished, or came back. Snapshots, and records of forgetting, vouch for others that were there; the records say
 * which of them coffer itself removes, and which it has removed.
 */

static int compare_forgotten(const void *x, const void *y)
{
	const struct cf_check_forgotten *a = x, *b = y;
	int order = cf_id_compare(&a->id, &b->id);

	return order ? order : (int)b->is_done - (int)a->is_done;
}

/* Sorted by id, each once; of two records the one that says it is done counts. */
static void sort_forgotten(struct cf_check_records *records)
{
	struct cf_check_forgotten *list = records->forgotten;
	size_t n = 0;

	if (records->n_forgotten)
		qsort(list, records->n_forgotten, sizeof(*list), compare_forgotten);
	for (size_t i = 0; i < records->n_forgotten; i++)
		if (n == 0 || !cf_id_equal(&list[n - 1].id, &list[i].id))
			list[n++] = list[i];
	records->n_forgotten = n;
}

static int note_record(struct cf_check_records *records, const struct cf_id *id,
		       const struct cf_forget_record *record, struct cf_err *err)
{
	size_t n_forgotten = records->n_forgotten + record->n_snapshots;
	size_t n_vouched = records->n_vouched + record->n_history;
	struct cf_check_forgotten *forgotten = realloc(records->forgotten, (n_forgotten + 1) * sizeof(*forgotten));
	struct cf_check_vouched *vouched;

	if (forgotten)
		records->forgotten = forgotten;
	vouched = realloc(records->vouched, (n_vouched + 1) * sizeof(*vouched));
	if (vouched)
		records->vouched = vouched;
	if (!forgotten || !vouched)
		return cf_err_nomem(err);
	for (size_t i = 0; i < record->n_snapshots; i++)
		forgotten[records->n_forgotten++] =
			(struct cf_check_forgotten){record->snapshots[i].id, *id, record->is_done};
	for (size_t i = 0; i < record->n_history; i++)
		vouched[records->n_vouched++] = (struct cf_check_vouched){record->history[i], *id};
	return 0;
}

void cf_check_records_release(struct cf_check_records *records)
{
	free(records->forgotten);
	free(records->vouched);
	free(records->ids);
	*records = (struct cf_check_records){0};
}

int cf_check_records_load(struct cf_check *check, struct cf_err *err)
{
	struct cf_id *ids = NULL;
	size_t n = 0;
	int rc = cf_object_list(check->repo, CF_OBJECT_FORGET, &ids, &n, err);

	cf_check_records_release(&check->records);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct cf_forget_record record = {0};

		rc = cf_forget_record_load(check->repo, &ids[i], &record, err);
		if (rc == 0)
			rc = note_record(&check->records, &ids[i], &record, err);
		/* Read a second time, it is not reported a second time. */
		if (rc == CF_ERR_DAMAGED && cf_id_set_add(&check->reported, &ids[i]) != 1)
			rc = 0;
		rc = cf_check_judge(check, cf_object_name(CF_OBJECT_FORGET, &ids[i]).s, rc, err);
		cf_forget_record_release(&record);
	}
	cf_id_sort(ids, n);
	check->records.ids = ids;
	check->records.n_ids = n;
	sort_forgotten(&check->records);
	return rc;
}

static int compare_to_forgotten(const void *id, const void *item)
{
	return cf_id_compare(id, &((const struct cf_check_forgotten *)item)->id);
}

/* The record that a snapshot was forgotten, or NULL. */
static const struct cf_check_forgotten *find_forgotten(const struct cf_check *check, const struct cf_id *id)
{
	const struct cf_check_records *records = &check->records;

	return records->n_forgotten ? bsearch(id, records->forgotten, records->n_forgotten,
					      sizeof(*records->forgotten), compare_to_forgotten)
				    : NULL;
}

static bool is_there(const struct cf_check *check, const struct cf_id *id)
{
	struct cf_backend *store = check->repo->backend;
	uint64_t size;

	return store->ops->size(store, cf_object_name(CF_OBJECT_SNAPSHOT, id).s, &size, NULL) == 0;
}

bool cf_check_is_forgotten(const struct cf_check *check, const struct cf_id *id)
{
	return find_forgotten(check, id) != NULL;
}

/* One that was not listed may have been stored since. That a store gives by its name what it does not list is not enough: prune walks what
 * is listed. */
static bool is_listed_now(const struct cf_check *check, const struct cf_id *id)
{
	struct cf_id *ids = NULL;
	size_t n = 0;
	bool found = is_there(check, id) && cf_object_list(check->repo, CF_OBJECT_SNAPSHOT, &ids, &n, NULL) == 0;

	cf_id_sort(ids, n);
	found = found && cf_id_among(ids, n, id);
	free(ids);
	return found;
}

static bool is_unexplained(struct cf_check *check, const struct cf_id *seen, const struct cf_id *ids, size_t n)
{
	return !cf_id_among(ids, n, seen) && !cf_check_is_forgotten(check, seen) && !cf_id_set_has(&check->reported, seen) &&
	       !is_listed_now(check, seen) && cf_id_set_add(&check->reported, seen) == 1;
}

void cf_check_found_missing(struct cf_check *check, const struct cf_id *id, const struct cf_id *ids, size_t n, const char *fmt, ...)
{
	char why[CF_ERR_TEXT_MAX];
	va_list args;

	if (!is_unexplained(check, id, ids, n))
		return;
	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	cf_check_found(check, cf_object_name(CF_OBJECT_SNAPSHOT, id).s,
		       "is missing: %s; put it back, or accept that it is gone with coffer forget %.8s --yes", why,
		       cf_id_text(id).s);
}

void cf_check_history(struct cf_check *check, const struct cf_snapshot *snapshot, const struct cf_id *ids, size_t n)
{
	for (size_t i = 0; i < snapshot->n_history; i++)
		cf_check_found_missing(check, &snapshot->history[i], ids, n, "snapshot %.8s, made later, saw it",
				       cf_id_text(&snapshot->id).s);
}

int cf_check_version(struct cf_check *check, const struct cf_snapshot *snapshot, const struct cf_id *ids, size_t n,
		     struct cf_err *err)
{
	struct cf_snapshot *older = NULL;
	int rc;

	if (!cf_id_among(ids, n, &snapshot->replaces))
		return 0;
	rc = cf_snapshot_load(check->repo, &snapshot->replaces, &older, err);
	if (rc == 0)
		rc = cf_snapshot_is_version_of(snapshot, older, err);
	if (older && rc == 0)
		cf_check_found(check, cf_object_name(CF_OBJECT_SNAPSHOT, &snapshot->id).s,
			       "says that it replaces snapshot %.8s, and is no version of it that a full key made: somebody forged it; "
			       "coffer forget %.8s",
			       cf_id_text(&snapshot->replaces).s, cf_id_text(&snapshot->id).s);
	cf_snapshot_free(older);
	if (rc == CF_ERR_DAMAGED || rc == CF_ERR_NOT_FOUND) { /* damaged: it is reported itself */
		cf_err_clear(err);
		rc = 0;
	}
	return rc < 0 ? rc : 0;
}

void cf_check_records(struct cf_check *check, const struct cf_id *ids, size_t n)
{
	const struct cf_check_records *records = &check->records;

	for (size_t i = 0; i < records->n_vouched; i++)
		cf_check_found_missing(check, &records->vouched[i].id, ids, n, "%s says that it was there",
				       cf_object_name(CF_OBJECT_FORGET, &records->vouched[i].record).s);
	for (size_t i = 0; i < n; i++) {
		const struct cf_check_forgotten *f = find_forgotten(check, &ids[i]);

		/* It may have been forgotten since it was listed. */
		if (f && f->is_done && is_there(check, &ids[i]))
			cf_check_found(check, cf_object_name(CF_OBJECT_SNAPSHOT, &ids[i]).s,
				       "is there, and %s says that it was forgotten: either it was put back since, or that record is "
				       "false, as anybody who may write can store one (see coffer audit)",
				       cf_object_name(CF_OBJECT_FORGET, &f->record).s);
	}
}

struct seen {
	struct cf_check *check;
	const struct cf_id *ids;
	size_t n;
	struct cf_id *forgotten; /* need not be remembered any more */
	size_t n_forgotten, capacity;
	bool nomem;
};

static int note_forgotten(struct seen *seen, const struct cf_id *id)
{
	if (seen->n_forgotten == seen->capacity) {
		size_t capacity = seen->capacity ? 2 * seen->capacity : 64;
		struct cf_id *ids = realloc(seen->forgotten, capacity * sizeof(*ids));

		if (!ids) {
			seen->nomem = true;
			return 1;
		}
		seen->forgotten = ids;
		seen->capacity = capacity;
	}
	seen->forgotten[seen->n_forgotten++] = *id;
	return 0;
}

static int judge_seen(void *user, const char *object)
{
	const char *snapshots = "snapshots/", *slash = strrchr(object, '/');
	struct seen *seen = user;
	struct cf_check *check = seen->check;
	bool is_snapshot = strncmp(object, snapshots, strlen(snapshots)) == 0;
	struct cf_id id;

	if (!slash || !cf_id_parse(slash + 1, &id))
		return 0;
	if (is_snapshot && !cf_id_among(seen->ids, seen->n, &id) && cf_check_is_forgotten(check, &id))
		return note_forgotten(seen, &id);
	if (is_snapshot)
		cf_check_found_missing(check, &id, seen->ids, seen->n, "this host saw it, or stored it");
	else if (!cf_id_among(check->records.ids, check->records.n_ids, &id) && cf_id_set_add(&check->reported, &id) == 1)
		cf_check_found(check, object,
			       "is missing: an earlier check on this host saw it; if the store was set back on purpose, remove %s, "
			       "by which this host remembers",
			       cf_verified_path(check->verified));
	return 0;
}

int cf_check_seen(struct cf_check *check, const struct cf_id *ids, size_t n, struct cf_err *err)
{
	struct seen seen = {.check = check, .ids = ids, .n = n};

	cf_verified_each_seen(check->verified, judge_seen, &seen);
	cf_verified_begin(check->verified);
	for (size_t i = 0; i < seen.n_forgotten; i++)
		cf_verified_unsee(check->verified, cf_object_name(CF_OBJECT_SNAPSHOT, &seen.forgotten[i]).s);
	for (size_t i = 0; i < n; i++)
		cf_verified_saw(check->verified, cf_object_name(CF_OBJECT_SNAPSHOT, &ids[i]).s);
	for (size_t i = 0; i < check->records.n_ids; i++)
		cf_verified_saw(check->verified, cf_object_name(CF_OBJECT_FORGET, &check->records.ids[i]).s);
	cf_verified_end(check->verified);
	free(seen.forgotten);
	return seen.nomem ? cf_err_nomem(err) : 0;
}

int cf_check_forgotten_since(struct cf_check *check, const struct cf_id *id, struct cf_err *err)
{
	int rc = cf_check_records_load(check, err);

	return rc < 0 ? rc : cf_check_is_forgotten(check, id);
}

struct missing {
	struct cf_check check;
	struct cf_id *ids;
	size_t n, capacity;
	bool nomem;
};

static void note_missing(void *user, const char *object, const char *problem)
{
	const char *snapshots = "snapshots/";
	struct missing *m = user;
	struct cf_id id;

	(void)problem;
	if (strncmp(object, snapshots, strlen(snapshots)) != 0 || !cf_id_parse(object + strlen(snapshots), &id) ||
	    is_there(&m->check, &id))
		return;
	if (m->n == m->capacity) {
		size_t capacity = m->capacity ? 2 * m->capacity : 16;
		struct cf_id *ids = realloc(m->ids, capacity * sizeof(*ids));

		if (!ids) {
			m->nomem = true;
			return;
		}
		m->ids = ids;
		m->capacity = capacity;
	}
	m->ids[m->n++] = id;
}

/* What cannot be read vouches for nothing. */
static int ask_snapshot(struct cf_check *check, const struct cf_id *id, const struct cf_id *ids, size_t n, struct cf_err *err)
{
	struct cf_snapshot *snapshot = NULL;
	int rc = cf_snapshot_load(check->repo, id, &snapshot, err);

	if (rc == 0) {
		cf_check_history(check, snapshot, ids, n);
		rc = cf_check_version(check, snapshot, ids, n, err);
	}
	if (rc == 0)
		rc = cf_audit_anchors_add(&check->anchors, snapshot, err);
	cf_snapshot_free(snapshot);
	if (rc == CF_ERR_DAMAGED || rc == CF_ERR_NOT_FOUND) {
		cf_err_clear(err);
		rc = 0;
	}
	return rc;
}

static int ask_snapshots(struct cf_check *check, const struct cf_snapshot_list *known, const struct cf_id *ids, size_t n,
			 struct cf_err *err)
{
	struct cf_id_set asked = {0};
	int rc = 0;

	for (size_t i = 0; rc == 0 && known && i < known->n; i++) {
		cf_check_history(check, known->items[i], ids, n);
		rc = cf_id_set_add(&asked, &known->items[i]->id) < 0 ? cf_err_nomem(err) : 0;
	}
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (!cf_id_set_has(&asked, &ids[i]))
			rc = ask_snapshot(check, &ids[i], ids, n, err);
	cf_id_set_release(&asked);
	return rc;
}

/* What is at hand, or takes few objects to read. */
static int ask_others(struct cf_check *check, const struct cf_snapshot_list *known, const struct cf_id *ids, size_t n,
		      struct cf_err *err)
{
	struct seen seen = {.check = check, .ids = ids, .n = n};
	/* After snapshots were listed: what is not in that list because it was forgotten is in a record. */
	int rc = cf_check_records_load(check, err);

	if (rc == 0)
		rc = ask_snapshots(check, known, ids, n, err);
	if (rc < 0)
		return rc;
	cf_check_records(check, ids, n);
	cf_verified_each_seen(check->verified, judge_seen, &seen);
	free(seen.forgotten);
	return seen.nomem ? cf_err_nomem(err) : 0;
}

static int ask_log(struct cf_check *check, bool is_whole, const struct cf_id *ids, size_t n, struct cf_err *err)
{
	struct cf_audit_log log = {0};
	int rc = is_whole ? cf_audit_load(check->repo, &log, err) : cf_audit_load_newest(check->repo, &log, err);

	if (rc == 0)
		rc = cf_check_logged(check, &log, ids, n, err);
	cf_audit_log_release(&log);
	return rc;
}

static int ask_all(struct missing *m, const struct cf_check_missing_options *options, struct cf_err *err)
{
	struct cf_id *own = NULL;
	size_t n = options->n_listed;
	int rc = options->listed ? 0 : cf_object_list(m->check.repo, CF_OBJECT_SNAPSHOT, &own, &n, err);
	const struct cf_id *ids = options->listed ? options->listed : own;

	cf_id_sort(own, own ? n : 0);
	if (rc == 0)
		rc = ask_others(&m->check, options->known, ids, n, err);
	if (rc == 0 && (options->log != CF_CHECK_LOG_LAST || m->n == 0))
		rc = ask_log(&m->check, options->log != CF_CHECK_LOG_NEWEST, ids, n, err);
	free(own);
	return rc;
}

/* A record of forgetting is stored before the snapshot goes. */
static int drop_forgotten(struct missing *m, struct cf_err *err)
{
	size_t n = 0;
	int rc = m->n ? cf_check_records_load(&m->check, err) : 0;

	for (size_t i = 0; rc == 0 && i < m->n; i++)
		if (!cf_check_is_forgotten(&m->check, &m->ids[i]))
			m->ids[n++] = m->ids[i];
	m->n = n;
	return rc;
}

int cf_check_missing(struct cf_repo *repo, const struct cf_check_missing_options *options, struct cf_id **ids_out, size_t *n_out,
		     struct cf_err *err)
{
	struct missing m = {.check = {.repo = repo, .fn = note_missing, .user = &m}};
	struct cf_err local = CF_ERR_INIT, *own = err ? err : &local;
	int rc = cf_verified_open(repo, &m.check.verified, own);

	pthread_mutex_init(&m.check.lock, NULL);
	if (rc == 0)
		rc = ask_all(&m, options, own);
	if (rc == 0 && m.nomem)
		rc = cf_err_nomem(own);
	if (rc == 0)
		rc = drop_forgotten(&m, own);
	cf_check_release(&m.check);
	if (rc < 0) {
		free(m.ids);
		return rc;
	}
	cf_id_sort(m.ids, m.n);
	*ids_out = m.ids;
	*n_out = m.n;
	return 0;
}

static int find_unmended(struct cf_check *check, struct cf_err *err)
{
	struct cf_id *ids = NULL;
	size_t n = 0;
	int rc = cf_check_keys(check, err);

	if (rc == 0)
		rc = cf_object_list(check->repo, CF_OBJECT_SNAPSHOT, &ids, &n, err);
	cf_id_sort(ids, n);
	if (rc == 0)
		rc = ask_others(check, NULL, ids, n, err);
	if (rc == 0)
		rc = cf_check_audit(check, ids, n, err);
	free(ids);
	return rc;
}

int cf_check_unmended(struct cf_repo *repo, cf_check_fn *fn, void *user, struct cf_err *err)
{
	struct cf_check check = {.repo = repo, .fn = fn, .user = user};
	struct cf_err local = CF_ERR_INIT, *own = err ? err : &local;
	int rc = cf_verified_open(repo, &check.verified, own);

	pthread_mutex_init(&check.lock, NULL);
	if (rc == 0)
		rc = find_unmended(&check, own);
	cf_check_release(&check);
	return rc;
}
