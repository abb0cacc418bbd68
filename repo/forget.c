#include "repo/forget.h"

#include "base/err.h"
#include "repo/check.h"
#include "repo/handle.h"
#include "repo/object.h"
#include "repo/snapshot.h"

#include <stdlib.h>

struct id_array {
	struct cf_id *ids;
	size_t n, capacity;
};

struct forget {
	struct cf_repo *repo;
	const struct cf_id *named;
	size_t n_named;
	struct cf_snapshot_list list;
	struct cf_forget_record record; /* snapshots in the order of removal */
	size_t capacity;
	struct id_array seen; /* history of those that go */
	struct cf_id *missing; /* sorted */
	size_t n_missing;
	bool knows_missing;
	struct cf_id begun;   /* the record that was stored first */
};

static int append_id(struct id_array *array, const struct cf_id *id, struct cf_err *err)
{
	if (array->n == array->capacity) {
		size_t capacity = array->capacity ? 2 * array->capacity : 64;
		struct cf_id *ids = realloc(array->ids, capacity * sizeof(*ids));

		if (!ids)
			return cf_err_nomem(err);
		array->ids = ids;
		array->capacity = capacity;
	}
	array->ids[array->n++] = *id;
	return 0;
}

int cf_forget_record_load(struct cf_repo *repo, const struct cf_id *id, struct cf_forget_record *record_out,
			  struct cf_err *err)
{
	struct cf_buf doc = CF_BUF_INIT;
	int rc = cf_object_get(repo, CF_OBJECT_FORGET, id, &doc, err);

	if (rc == 0) {
		rc = cf_forget_decode(cf_buf_span(&doc), record_out, err);
		if (rc < 0)
			cf_err_wrap(err, "%s", cf_object_name(CF_OBJECT_FORGET, id).s);
	}
	cf_buf_release(&doc);
	return rc;
}

static int check_store(const struct cf_backend *store, struct cf_err *err)
{
	if (store->ops->remove && (store->caps & CF_BACKEND_CAN_REMOVE))
		return 0;
	return cf_err_set(err, CF_ERR_UNSUPPORTED,
			  "%s cannot delete, so nothing was done: run it where deleting is allowed",
			  store->url);
}

static bool is_named(const struct forget *f, const struct cf_id *id)
{
	for (size_t i = 0; i < f->n_named; i++)
		if (cf_id_equal(id, &f->named[i]))
			return true;
	return false;
}

static bool is_damaged(const struct forget *f, const struct cf_id *id)
{
	struct cf_id damaged;

	return cf_snapshot_find_damaged(&f->list, cf_id_text(id).s, &damaged);
}

static const struct cf_snapshot *find_snapshot(const struct forget *f, const struct cf_id *id)
{
	for (size_t i = 0; i < f->list.n; i++)
		if (cf_id_equal(id, &f->list.items[i]->id))
			return f->list.items[i];
	return NULL;
}

/* 1 when it is gone and nothing says why. */
static int is_missing(struct forget *f, const struct cf_id *id, struct cf_err *err)
{
	const struct cf_check_missing_options options = {0};
	int rc = f->knows_missing ? 0 : cf_check_missing(f->repo, &options, &f->missing, &f->n_missing, err);

	f->knows_missing = rc == 0;
	return rc < 0 ? rc : cf_id_among(f->missing, f->n_missing, id);
}

/* Whether this one may go, by what the repository says now. */
static int check_named(struct forget *f, const struct cf_id *id, struct cf_err *err)
{
	const struct cf_snapshot *snapshot = find_snapshot(f, id);

	if (is_damaged(f, id))
		return 0;
	if (!snapshot) {
		int rc = is_missing(f, id, err);

		if (rc != 0)
			return rc < 0 ? rc : 0;
		return cf_err_set(err, CF_ERR_BUSY, "snapshot %.8s was changed or forgotten meanwhile: run forget again",
				  cf_id_text(id).s);
	}
	if (snapshot->hold)
		return cf_err_set(err, CF_ERR_BUSY, "snapshot %.8s is held%s%s: coffer hold remove it first",
				  cf_id_text(id).s, snapshot->hold->reason[0] ? ", " : "", snapshot->hold->reason);
	if (f->list.n_damaged)
		return cf_err_set(err, CF_ERR_DAMAGED,
				  "%s is damaged and may be a newer, held version of a snapshot that would go: "
				  "forget it first, alone, by its id",
				  cf_object_name(CF_OBJECT_SNAPSHOT, &f->list.damaged[0]).s);
	return 0;
}

/* text may be NULL: "". */
static char *copy_text(const char *text)
{
	return strdup(text ? text : "");
}

static int append_object(struct forget *f, const struct cf_id *id, const struct cf_snapshot *snapshot,
			 struct cf_err *err)
{
	struct cf_forget_record *record = &f->record;
	struct cf_forgotten *s;

	if (record->n_snapshots == f->capacity) {
		size_t capacity = f->capacity ? 2 * f->capacity : 16;
		struct cf_forgotten *snapshots = realloc(record->snapshots, capacity * sizeof(*snapshots));

		if (!snapshots)
			return cf_err_nomem(err);
		record->snapshots = snapshots;
		f->capacity = capacity;
	}
	s = &record->snapshots[record->n_snapshots++];
	*s = (struct cf_forgotten){.id = *id,
				   .time_ns = snapshot ? snapshot->time_ns : 0,
				   .host = copy_text(snapshot ? snapshot->host : NULL),
				   .source = copy_text(snapshot ? snapshot->source : NULL)};
	return s->host && s->source ? 0 : cf_err_nomem(err);
}

/* The versions that a snapshot replaced, oldest first, then itself. */
static int append_versions(struct forget *f, const struct cf_snapshot *snapshot, struct cf_err *err)
{
	size_t first = f->record.n_snapshots;
	struct cf_snapshot *older = NULL;
	int rc = 0;

	while (rc == 0 && snapshot) {
		struct cf_snapshot *next = NULL;

		for (size_t i = 0; rc == 0 && i < snapshot->n_history; i++)
			rc = append_id(&f->seen, &snapshot->history[i], err);
		if (rc == 0)
			rc = append_object(f, &snapshot->id, snapshot, err);
		if (rc == 0 && !cf_id_is_zero(&snapshot->replaces))
			rc = cf_snapshot_load(f->repo, &snapshot->replaces, &next, err);
		if (rc == CF_ERR_NOT_FOUND) { /* an interrupted forget got as far */
			cf_err_clear(err);
			rc = 0;
		}
		if (rc == 0 && next)
			rc = cf_snapshot_is_version_of(snapshot, next, err);
		if (rc == 0) { /* what it does not replace stays, whatever it says */
			cf_snapshot_free(next);
			next = NULL;
		}
		rc = rc < 0 ? rc : 0;
		cf_snapshot_free(older);
		snapshot = older = next;
	}
	cf_snapshot_free(older);
	for (size_t i = first, j = f->record.n_snapshots; rc == 0 && i + 1 < j; i++) {
		struct cf_forgotten newer = f->record.snapshots[i];

		f->record.snapshots[i] = f->record.snapshots[--j];
		f->record.snapshots[j] = newer;
	}
	return rc;
}

static int collect(struct forget *f, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < f->n_named; i++)
		rc = check_named(f, &f->named[i], err);
	for (size_t i = 0; rc == 0 && i < f->n_named; i++)
		if (is_damaged(f, &f->named[i]) || cf_id_among(f->missing, f->n_missing, &f->named[i]))
			rc = append_object(f, &f->named[i], NULL, err);
	for (size_t i = 0; rc == 0 && i < f->list.n; i++)
		if (is_named(f, &f->list.items[i]->id))
			rc = append_versions(f, f->list.items[i], err);
	return rc;
}

/* What earlier records say is forgotten. A damaged record is left to the check, which names it; without it, more is remembered. */
static int collect_forgotten(struct forget *f, struct id_array *gone, struct cf_err *err)
{
	struct cf_id *ids = NULL;
	size_t n = 0;
	int rc = cf_object_list(f->repo, CF_OBJECT_FORGET, &ids, &n, err);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct cf_forget_record record = {0};

		rc = cf_forget_record_load(f->repo, &ids[i], &record, err);
		for (size_t j = 0; rc == 0 && j < record.n_snapshots; j++)
			rc = append_id(gone, &record.snapshots[j].id, err);
		cf_forget_record_release(&record);
		if (rc == CF_ERR_DAMAGED) {
			cf_err_clear(err);
			rc = 0;
		}
	}
	free(ids);
	return rc;
}

/* What those that go had seen, each once, without what is forgotten: the record vouches for it in their place. */
static int take_over_history(struct forget *f, struct cf_err *err)
{
	struct id_array gone = {0};
	struct cf_id *seen = f->seen.ids;
	size_t n = 0;
	int rc = collect_forgotten(f, &gone, err);

	for (size_t i = 0; rc == 0 && i < f->record.n_snapshots; i++)
		rc = append_id(&gone, &f->record.snapshots[i].id, err);
	if (rc == 0 && f->seen.n) {
		cf_id_sort(seen, f->seen.n);
		cf_id_sort(gone.ids, gone.n);
		for (size_t i = 0; i < f->seen.n; i++)
			if ((n == 0 || !cf_id_equal(&seen[i], &seen[n - 1])) &&
			    !cf_id_among(gone.ids, gone.n, &seen[i]))
				seen[n++] = seen[i];
		f->record.history = seen;
		f->record.n_history = n;
		f->seen = (struct id_array){0};
	}
	free(gone.ids);
	return rc;
}

static int put_record(struct forget *f, bool is_done, struct cf_id *id_out, struct cf_err *err)
{
	struct cf_buf doc = CF_BUF_INIT;
	int rc;

	f->record.is_done = is_done;
	f->record.time_ns = cf_ctx_now_ns(f->repo->ctx);
	rc = cf_forget_encode(&f->record, &doc, err);
	if (rc == 0)
		rc = cf_object_put(f->repo, CF_OBJECT_FORGET, cf_buf_span(&doc), id_out, NULL, err);
	cf_buf_release(&doc);
	return rc;
}

static int remove_objects(struct forget *f, struct cf_forget_figures *figures, struct cf_err *err)
{
	struct cf_backend *store = f->repo->backend;

	for (size_t i = 0; i < f->record.n_snapshots; i++) {
		const struct cf_id *id = &f->record.snapshots[i].id;
		int rc = cf_ctx_check(f->repo->ctx, err);

		if (rc == 0)
			rc = store->ops->remove(store, cf_object_name(CF_OBJECT_SNAPSHOT, id).s, err);
		if (rc == CF_ERR_NOT_FOUND) { /* somebody else forgets it, too */
			cf_err_clear(err);
			rc = 0;
		}
		if (rc == CF_ERR_ACCESS || rc == CF_ERR_UNSUPPORTED)
			cf_err_wrap(err,
				    "the store does not let snapshot %.8s be deleted (%llu forgotten before it): "
				    "run forget with an account that may delete",
				    cf_id_text(id).s, (unsigned long long)figures->snapshots);
		else if (rc < 0 && rc != CF_ERR_CANCELED)
			cf_err_wrap(err, "forget snapshot %.8s", cf_id_text(id).s);
		if (rc < 0)
			return rc;
		figures->objects++;
		figures->snapshots += is_named(f, id);
	}
	return 0;
}

static int begin_record(struct forget *f, const struct cf_forget_options *options, struct cf_err *err)
{
	f->record.host = copy_text(options->host);
	f->record.user = copy_text(options->user);
	f->record.program = strdup("coffer " CF_VERSION);
	return f->record.host && f->record.user && f->record.program ? put_record(f, false, &f->begun, err)
								     : cf_err_nomem(err);
}

static bool is_going(const struct forget *f, const struct cf_id *id)
{
	for (size_t i = 0; i < f->record.n_snapshots; i++)
		if (cf_id_equal(id, &f->record.snapshots[i].id))
			return true;
	return false;
}

/* 1 when a snapshot is a newer version of one that goes. */
static int is_version_of_going(struct forget *f, const struct cf_snapshot *snapshot, struct cf_err *err)
{
	struct cf_snapshot *older = NULL;
	int rc;

	if (!is_going(f, &snapshot->replaces) || is_damaged(f, &snapshot->replaces))
		return 0;
	rc = cf_snapshot_load(f->repo, &snapshot->replaces, &older, err);
	if (rc == 0)
		rc = cf_snapshot_is_version_of(snapshot, older, err);
	cf_snapshot_free(older);
	return rc;
}

/* 1 when this object, which was not known, replaces one that goes. */
static int replaces_going(struct forget *f, const struct cf_id *id, struct cf_err *err)
{
	struct cf_snapshot *snapshot = NULL;
	int rc;

	if (find_snapshot(f, id) || is_going(f, id) || is_damaged(f, id))
		return 0;
	rc = cf_snapshot_load(f->repo, id, &snapshot, err);
	if (rc == 0)
		rc = is_version_of_going(f, snapshot, err);
	cf_snapshot_free(snapshot);
	if (rc == CF_ERR_DAMAGED || rc == CF_ERR_NOT_FOUND) {
		cf_err_clear(err);
		rc = 0;
	}
	return rc;
}

/*
 * The record is there, and whoever changes a snapshot from now on sees it. One that was changed since it was listed stays: all objects
 * are looked at, for what replaces one that goes may itself be replaced.
 */
static int look_for_replacements(struct forget *f, struct cf_err *err)
{
	struct cf_backend *store = f->repo->backend;
	struct cf_id *ids = NULL;
	size_t n = 0;
	int rc = cf_object_list(f->repo, CF_OBJECT_SNAPSHOT, &ids, &n, err);

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = replaces_going(f, &ids[i], err);
	free(ids);
	if (rc != 1)
		return rc;
	store->ops->remove(store, cf_object_name(CF_OBJECT_FORGET, &f->begun).s, NULL);
	return cf_err_set(err, CF_ERR_BUSY, "a snapshot was changed or forgotten meanwhile: run forget again");
}

/* What is in the record by now goes. */
static int carry_out(struct forget *f, const struct cf_forget_options *options, struct cf_forget_figures *figures,
		     struct cf_err *err)
{
	struct cf_id done;
	int rc = take_over_history(f, err);

	if (rc == 0)
		rc = begin_record(f, options, err);
	if (rc == 0)
		rc = look_for_replacements(f, err);
	if (rc == 0)
		rc = remove_objects(f, figures, err);
	return rc < 0 ? rc : put_record(f, true, &done, err);
}

static void release(struct forget *f)
{
	cf_snapshot_list_release(&f->list);
	cf_forget_record_release(&f->record);
	free(f->seen.ids);
	free(f->missing);
}

int cf_forget_run(struct cf_repo *repo, const struct cf_id *ids, size_t n, const struct cf_forget_options *options,
		  struct cf_forget_figures *figures_out, struct cf_err *err)
{
	struct forget f = {.repo = repo, .named = ids, .n_named = n};
	int rc;

	*figures_out = (struct cf_forget_figures){0};
	if (n == 0)
		return 0;
	rc = check_store(repo->backend, err);
	if (rc == 0)
		rc = cf_snapshots_load(repo, NULL, &f.list, err);
	if (rc == 0)
		rc = collect(&f, err);
	if (rc == 0)
		rc = carry_out(&f, options, figures_out, err);
	release(&f);
	return rc;
}

/* The versions before this one. */
static int collect_older(struct forget *f, const struct cf_id *id, struct cf_err *err)
{
	const struct cf_snapshot *snapshot = find_snapshot(f, id);
	struct cf_forgotten *newest;
	int rc;

	if (!snapshot)
		return cf_err_set(err, CF_ERR_BUSY, "snapshot %.8s was changed or forgotten meanwhile: look at coffer snapshots",
				  cf_id_text(id).s);
	rc = append_versions(f, snapshot, err);
	if (rc < 0)
		return rc;
	newest = &f->record.snapshots[--f->record.n_snapshots];
	free(newest->host);
	free(newest->source);
	return 0;
}

int cf_forget_hold(struct cf_repo *repo, const struct cf_snapshot *snapshot, const struct cf_forget_options *options,
		   struct cf_id *new_id_out, struct cf_err *err)
{
	struct forget f = {.repo = repo};
	struct cf_forget_figures figures = {0};
	int rc = check_store(repo->backend, err);

	if (rc == 0)
		rc = cf_snapshot_set_hold(repo, snapshot, NULL, new_id_out, err);
	if (rc == 0)
		rc = cf_snapshots_load(repo, NULL, &f.list, err);
	if (rc == 0)
		rc = collect_older(&f, new_id_out, err);
	if (rc == 0)
		rc = carry_out(&f, options, &figures, err);
	release(&f);
	return rc;
}
