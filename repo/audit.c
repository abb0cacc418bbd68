#include "repo/audit.h"

#include "base/err.h"
#include "repo/handle.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	FOLDERS = 2, /* a record of the newest folder may leave one of the folder before to be
			joined */
	FOLDER_DIGITS = 8,
	NUMBER_SLACK = 1024
};

static const char prefix[] = "audit/";

struct folder_name {
	char s[24];
};

static struct folder_name folder_name(uint32_t folder)
{
	struct folder_name name;

	snprintf(name.s, sizeof(name.s), "%s%0*lx", prefix, FOLDER_DIGITS, (unsigned long)folder);
	return name;
}

static uint32_t folder_of(int64_t number)
{
	return (uint32_t)(number / CF_AUDIT_FOLDER_LEN);
}

struct cf_object_name cf_audit_name(const struct cf_audit_ref *ref)
{
	return cf_object_name_in(folder_name(folder_of(ref->number)).s, &ref->id);
}

int64_t cf_audit_number_limit(size_t n)
{
	return 2 * (int64_t)n + NUMBER_SLACK;
}

struct listing {
	struct cf_audit_place *places;
	size_t n, capacity;
	bool nomem;
};

/* "audit/0000000c/<id>". Other names are passed over. */
static bool parse_place(const char *name, struct cf_audit_place *place_out)
{
	size_t at = sizeof(prefix) - 1;

	if (strncmp(name, prefix, at) != 0 ||
	    strspn(name + at, "0123456789abcdef") != FOLDER_DIGITS ||
	    name[at + FOLDER_DIGITS] != '/')
		return false;
	place_out->folder = (uint32_t)strtoul(name + at, NULL, 16);
	return cf_id_parse(name + at + FOLDER_DIGITS + 1, &place_out->id);
}

static int note_place(void *user, const char *name, uint64_t size)
{
	struct listing *listing = user;
	struct cf_audit_place place;

	(void)size;
	if (!parse_place(name, &place))
		return 0;
	if (listing->n == listing->capacity) {
		size_t capacity = listing->capacity ? 2 * listing->capacity : 64;
		struct cf_audit_place *places =
			realloc(listing->places, capacity * sizeof(*places));

		if (!places) {
			listing->nomem = true;
			return 1;
		}
		listing->places = places;
		listing->capacity = capacity;
	}
	listing->places[listing->n++] = place;
	return 0;
}

static int compare_places(const void *a, const void *b)
{
	const struct cf_audit_place *x = a, *y = b;

	if (x->folder != y->folder)
		return x->folder > y->folder ? -1 : 1;
	return cf_id_compare(&x->id, &y->id);
}

/* Every object of the log, the newest folder first. */
static int list_places(struct cf_repo *repo, struct listing *listing, struct cf_err *err)
{
	int rc = repo->backend->ops->list(repo->backend, "audit", note_place, listing, err);

	if (listing->nomem)
		rc = cf_err_nomem(err);
	if (rc == 0 && listing->n)
		qsort(listing->places, listing->n, sizeof(*listing->places), compare_places);
	return rc;
}

static int load_record(struct cf_repo *repo, const struct cf_audit_place *place,
		       struct cf_audit_record *record_out, struct cf_err *err)
{
	struct folder_name folder = folder_name(place->folder);
	struct cf_buf doc = CF_BUF_INIT;
	int rc = cf_object_get_in(repo, CF_OBJECT_AUDIT, folder.s, &place->id, &doc, err);

	if (rc == 0) {
		rc = cf_audit_decode(cf_buf_span(&doc), record_out, err);
		if (rc < 0)
			cf_err_wrap(err, "%s", cf_object_name_in(folder.s, &place->id).s);
	}
	if (rc == 0)
		record_out->id = place->id;
	cf_buf_release(&doc);
	return rc;
}

/* What the check reports, and a log goes on without. Not found: a store that lists late. */
static bool is_unusable(int rc)
{
	return rc == CF_ERR_DAMAGED || rc == CF_ERR_UNSUPPORTED || rc == CF_ERR_NOT_FOUND;
}

/* Whether its number is what those that it names make it. */
static bool is_in_order(const struct cf_audit_record *record, const struct cf_audit_place *place)
{
	int64_t number = 1;

	for (size_t i = 0; i < record->n_previous; i++)
		if (number <= record->previous[i].number)
			number = record->previous[i].number + 1;
	return record->number == number && folder_of(number) == place->folder;
}

/* The records of the newest folders that hold any. */
static int load_newest(struct cf_repo *repo, const struct listing *listing, struct cf_audit_log *newest,
		       struct cf_err *err)
{
	unsigned n_folders = 0;
	uint32_t folder = 0;
	int rc = 0;

	newest->items = calloc(listing->n + 1, sizeof(*newest->items));
	if (!newest->items)
		return cf_err_nomem(err);
	for (size_t i = 0; rc == 0 && i < listing->n; i++) {
		const struct cf_audit_place *place = &listing->places[i];
		bool is_other = n_folders == 0 || place->folder != folder;

		if (place->folder > folder_of(cf_audit_number_limit(listing->n)))
			continue;
		if (is_other && n_folders == FOLDERS)
			break;
		rc = load_record(repo, place, &newest->items[newest->n], err);
		if (is_unusable(rc)) {
			cf_err_clear(err);
			rc = 0;
			continue;
		}
		if (rc < 0)
			break;
		if (!is_in_order(&newest->items[newest->n], place)) {
			cf_audit_record_release(&newest->items[newest->n]);
			newest->items[newest->n] = (struct cf_audit_record){0};
			continue;
		}
		newest->n++;
		n_folders += is_other;
		folder = place->folder;
	}
	return rc;
}

static bool is_named(const struct cf_audit_log *newest, const struct cf_id *id)
{
	for (size_t i = 0; i < newest->n; i++)
		for (size_t j = 0; j < newest->items[i].n_previous; j++)
			if (cf_id_equal(id, &newest->items[i].previous[j].id))
				return true;
	return false;
}

static int collect_heads(const struct cf_audit_log *newest, struct cf_audit_ref **refs_out, size_t *n_out,
			 struct cf_err *err)
{
	struct cf_audit_ref *refs = calloc(newest->n + 1, sizeof(*refs));
	size_t n = 0;

	if (!refs)
		return cf_err_nomem(err);
	for (size_t i = 0; i < newest->n; i++) {
		const struct cf_audit_record *record = &newest->items[i];

		if (!is_named(newest, &record->id))
			refs[n++] =
				(struct cf_audit_ref){.id = record->id, .number = record->number};
	}
	*refs_out = refs;
	*n_out = n;
	return 0;
}

int cf_audit_load_newest(struct cf_repo *repo, struct cf_audit_log *log_out, struct cf_err *err)
{
	struct cf_audit_log newest = {0};
	struct listing listing = {0};
	int rc = list_places(repo, &listing, err);

	if (rc == 0)
		rc = load_newest(repo, &listing, &newest, err);
	free(listing.places);
	if (rc < 0)
		cf_audit_log_release(&newest);
	*log_out = newest;
	return rc;
}

int cf_audit_heads(struct cf_repo *repo, struct cf_audit_ref **refs_out, size_t *n_out,
		   struct cf_err *err)
{
	struct cf_audit_log newest = {0};
	int rc = cf_audit_load_newest(repo, &newest, err);

	if (rc == 0)
		rc = collect_heads(&newest, refs_out, n_out, err);
	cf_audit_log_release(&newest);
	return rc;
}

static int put_record(struct cf_repo *repo, struct cf_audit_record *record, struct cf_err *err)
{
	struct folder_name folder = folder_name(folder_of(record->number));
	struct cf_buf doc = CF_BUF_INIT;
	int rc = cf_audit_encode(record, &doc, err);

	if (rc == 0)
		rc = cf_object_put_in(repo, CF_OBJECT_AUDIT, folder.s, cf_buf_span(&doc),
				      &record->id, NULL, err);
	cf_buf_release(&doc);
	return rc;
}

int cf_audit_append(struct cf_repo *repo, struct cf_audit_record *record, struct cf_err *err)
{
	int rc = cf_audit_heads(repo, &record->previous, &record->n_previous, err);

	if (rc < 0)
		return rc;
	record->number = 1;
	for (size_t i = 0; i < record->n_previous; i++)
		if (record->number <= record->previous[i].number)
			record->number = record->previous[i].number + 1;
	record->time_ns = cf_ctx_now_ns(repo->ctx);
	record->program = strdup("coffer " CF_VERSION);
	record->slot = malloc(2 * CF_SLOT_ID_LEN + 1);
	if (!record->program || !record->slot)
		return cf_err_nomem(err);
	cf_hex_encode(repo->key.slot_id, CF_SLOT_ID_LEN, record->slot);
	return put_record(repo, record, err);
}

static int compare_records(const void *a, const void *b)
{
	const struct cf_audit_record *x = a, *y = b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return cf_id_compare(&x->id, &y->id);
}

static int compare_place_ids(const void *a, const void *b)
{
	return cf_id_compare(&((const struct cf_audit_place *)a)->id,
			     &((const struct cf_audit_place *)b)->id);
}

static int note_bad(struct cf_audit_log *log, const struct cf_audit_place *place,
		    struct cf_err *err)
{
	struct cf_audit_bad *bad = &log->bad[log->n_bad];

	bad->name = cf_object_name_in(folder_name(place->folder).s, &place->id);
	bad->problem = strdup(err ? err->text : "is damaged");
	if (!bad->problem)
		return cf_err_nomem(err);
	log->n_bad++;
	cf_err_clear(err);
	return 0;
}

static int load_all(struct cf_repo *repo, struct cf_audit_log *log, struct cf_err *err)
{
	struct cf_err local = CF_ERR_INIT, *own = err ? err : &local;
	int rc = 0;

	log->items = calloc(log->n_places + 1, sizeof(*log->items));
	log->bad = calloc(log->n_places + 1, sizeof(*log->bad));
	if (!log->items || !log->bad)
		return cf_err_nomem(own);
	for (size_t i = 0; rc == 0 && i < log->n_places; i++) {
		rc = cf_ctx_check(repo->ctx, own);
		if (rc == 0)
			rc = load_record(repo, &log->places[i], &log->items[log->n], own);
		if (rc == 0)
			log->n++;
		else if (is_unusable(rc))
			rc = note_bad(log, &log->places[i], own);
	}
	return rc;
}

int cf_audit_load(struct cf_repo *repo, struct cf_audit_log *log_out, struct cf_err *err)
{
	struct cf_audit_log log = {0};
	struct listing listing = {0};
	int rc = list_places(repo, &listing, err);

	log.places = listing.places;
	log.n_places = listing.n;
	if (rc == 0)
		rc = load_all(repo, &log, err);
	if (rc < 0) {
		cf_audit_log_release(&log);
		return rc;
	}
	qsort(log.items, log.n, sizeof(*log.items), compare_records);
	if (log.n_places)
		qsort(log.places, log.n_places, sizeof(*log.places), compare_place_ids);
	*log_out = log;
	return 0;
}

void cf_audit_log_release(struct cf_audit_log *log)
{
	for (size_t i = 0; i < log->n; i++)
		cf_audit_record_release(&log->items[i]);
	for (size_t i = 0; i < log->n_bad; i++)
		free(log->bad[i].problem);
	free(log->items);
	free(log->bad);
	free(log->places);
	*log = (struct cf_audit_log){0};
}
