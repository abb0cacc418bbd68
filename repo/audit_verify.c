#include "repo/audit.h"

#include "base/err.h"
#include "repo/handle.h"
#include "repo/id_set.h"
#include "repo/snapshot.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Whether a record of the log is what its number, its folder and those that name it say. */

struct verification {
	struct cf_repo *repo;
	const struct cf_audit_log *log;
	const struct cf_audit_record **by_id;
	struct cf_id_set missing; /* reported */
	bool nomem;
	cf_audit_fn *fn;
	void *user;
};

static int compare_by_id(const void *a, const void *b)
{
	return cf_id_compare(&(*(const struct cf_audit_record *const *)a)->id,
			     &(*(const struct cf_audit_record *const *)b)->id);
}

static int compare_places(const void *a, const void *b)
{
	return cf_id_compare(&((const struct cf_audit_place *)a)->id,
			     &((const struct cf_audit_place *)b)->id);
}

static const struct cf_audit_record *find_record(const struct verification *v,
						 const struct cf_id *id)
{
	const struct cf_audit_record key = {.id = *id}, *key_at = &key;
	const struct cf_audit_record **found =
		v->log->n ? bsearch(&key_at, v->by_id, v->log->n, sizeof(*v->by_id), compare_by_id)
			  : NULL;

	return found ? *found : NULL;
}

static const struct cf_audit_place *find_place(const struct verification *v, const struct cf_id *id)
{
	const struct cf_audit_place key = {.id = *id};

	return v->log->n_places ? bsearch(&key, v->log->places, v->log->n_places, sizeof(key),
					  compare_places)
				: NULL;
}

static void found(const struct verification *v, const struct cf_audit_ref *ref, const char *fmt,
		  ...) __attribute__((format(printf, 3, 4)));

static void found(const struct verification *v, const struct cf_audit_ref *ref, const char *fmt,
		  ...)
{
	char problem[CF_ERR_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(problem, sizeof(problem), fmt, args);
	va_end(args);
	v->fn(v->user, cf_audit_name(ref).s, problem);
}

/* It may have been stored since the log was listed. */
static bool is_there(const struct verification *v, const struct cf_audit_ref *ref)
{
	struct cf_backend *store = v->repo->backend;
	uint64_t size;

	return store->ops->size(store, cf_audit_name(ref).s, &size, NULL) == 0;
}

/* Whether what somebody vouches for is missing, and was not reported yet. What is damaged is there,
 * and reported as damaged. */
static bool is_news(struct verification *v, const struct cf_audit_ref *ref)
{
	int rc;

	if (find_place(v, &ref->id) || is_there(v, ref))
		return false;
	rc = cf_id_set_add(&v->missing, &ref->id);
	v->nomem |= rc < 0;
	return rc == 1;
}

static void verify_record(struct verification *v, const struct cf_audit_record *record)
{
	const struct cf_audit_ref self = {.id = record->id, .number = record->number};
	const struct cf_audit_place *place = find_place(v, &record->id);
	int64_t number = 1;

	if (record->number > cf_audit_number_limit(v->log->n_places)) {
		found(v, &self, "has the number %lld, which is too high for %zu records: it was forged, or most of the log is lost",
		      (long long)record->number, v->log->n_places);
		return;
	}
	if (place && place->folder != (uint32_t)(record->number / CF_AUDIT_FOLDER_LEN))
		found(v, &self, "lies in the folder %08lx", (unsigned long)place->folder);
	for (size_t i = 0; i < record->n_previous; i++) {
		const struct cf_audit_ref *ref = &record->previous[i];
		const struct cf_audit_record *previous = find_record(v, &ref->id);

		if (is_news(v, ref))
			found(v, ref, "is missing: record %lld (%.8s), made later, names it",
			      (long long)record->number, cf_id_text(&record->id).s);
		if (previous && previous->number != ref->number)
			found(v, &self, "says that record %.8s has the number %lld, which is %lld",
			      cf_id_text(&ref->id).s, (long long)ref->number,
			      (long long)previous->number);
		if (number <= ref->number)
			number = ref->number + 1;
	}
	if (number != record->number)
		found(v, &self, "has the number %lld, by those that it names it is %lld",
		      (long long)record->number, (long long)number);
}

static void verify_all(struct verification *v, const struct cf_audit_anchors *anchors)
{
	for (size_t i = 0; i < v->log->n_bad; i++) {
		const struct cf_audit_bad *bad = &v->log->bad[i];

		v->fn(v->user, bad->name.s, bad->problem);
	}
	for (size_t i = 0; i < v->log->n; i++)
		verify_record(v, &v->log->items[i]);
	for (size_t i = 0; i < anchors->n; i++)
		if (is_news(v, &anchors->items[i].ref))
			found(v, &anchors->items[i].ref,
			      "is missing: snapshot %.8s, made later, saw it",
			      cf_id_text(&anchors->items[i].snapshot).s);
}

int cf_audit_verify(struct cf_repo *repo, const struct cf_audit_log *log,
		    const struct cf_audit_anchors *anchors, cf_audit_fn *fn, void *user,
		    struct cf_err *err)
{
	struct verification v = {.repo = repo, .log = log, .fn = fn, .user = user};

	v.by_id = calloc(log->n + 1, sizeof(*v.by_id));
	if (!v.by_id)
		return cf_err_nomem(err);
	for (size_t i = 0; i < log->n; i++)
		v.by_id[i] = &log->items[i];
	qsort(v.by_id, log->n, sizeof(*v.by_id), compare_by_id);
	verify_all(&v, anchors);
	free(v.by_id);
	cf_id_set_release(&v.missing);
	return v.nomem ? cf_err_nomem(err) : 0;
}

int cf_audit_anchors_add(struct cf_audit_anchors *anchors, const struct cf_snapshot *snapshot,
			 struct cf_err *err)
{
	if (anchors->n + snapshot->n_audit > anchors->capacity) {
		size_t capacity = 2 * (anchors->n + snapshot->n_audit);
		struct cf_audit_anchor *items = realloc(anchors->items, capacity * sizeof(*items));

		if (!items)
			return cf_err_nomem(err);
		anchors->items = items;
		anchors->capacity = capacity;
	}
	for (size_t i = 0; i < snapshot->n_audit; i++)
		anchors->items[anchors->n++] = (struct cf_audit_anchor){.ref = snapshot->audit[i],
									.snapshot = snapshot->id};
	return 0;
}

void cf_audit_anchors_release(struct cf_audit_anchors *anchors)
{
	free(anchors->items);
	*anchors = (struct cf_audit_anchors){0};
}
