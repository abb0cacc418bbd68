#include "repo/quarantine.h"

#include "base/err.h"
#include "repo/handle.h"
#include "repo/object.h"
#include "repo/pack_reader.h"

#include <stdlib.h>

static int load_record(struct cf_repo *repo, const struct cf_id *id, struct cf_quarantine_record *record_out,
		       struct cf_err *err)
{
	struct cf_buf doc = CF_BUF_INIT;
	int rc = cf_object_get(repo, CF_OBJECT_QUARANTINE, id, &doc, err);

	if (rc == 0) {
		rc = cf_quarantine_decode(cf_buf_span(&doc), record_out, err);
		if (rc < 0)
			cf_err_wrap(err, "%s", cf_object_name(CF_OBJECT_QUARANTINE, id).s);
	}
	cf_buf_release(&doc);
	return rc;
}

static int add_ids(struct cf_id_set *set, const struct cf_quarantined *items, size_t n, struct cf_err *err)
{
	for (size_t i = 0; i < n; i++)
		if (cf_id_set_add(set, &items[i].id) < 0)
			return cf_err_nomem(err);
	return 0;
}

/* Without a damaged record its packs count as any other: what is wrong with them is found again. */
static int judge_record(struct cf_repo *repo, const struct cf_id *id, int rc, struct cf_err *err)
{
	if (rc != CF_ERR_DAMAGED && rc != CF_ERR_NOT_FOUND)
		return rc;
	if (rc == CF_ERR_DAMAGED)
		cf_ctx_warn(repo->ctx, "quarantine.damaged", cf_object_name(CF_OBJECT_QUARANTINE, id).s, "%s",
			    err ? err->text : "damaged");
	cf_err_clear(err);
	return 0;
}

/* Each record that can be read. */
typedef int record_fn(void *user, const struct cf_id *id, struct cf_quarantine_record *record, struct cf_err *err);

static int each_record(struct cf_repo *repo, record_fn *fn, void *user, struct cf_err *err)
{
	struct cf_err local = CF_ERR_INIT, *own = err ? err : &local;
	struct cf_id *ids = NULL;
	size_t n = 0;
	int rc = cf_object_list(repo, CF_OBJECT_QUARANTINE, &ids, &n, own);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct cf_quarantine_record record = {0};

		rc = load_record(repo, &ids[i], &record, own);
		if (rc == 0)
			rc = fn(user, &ids[i], &record, own);
		else
			rc = judge_record(repo, &ids[i], rc, own);
		cf_quarantine_record_release(&record);
	}
	free(ids);
	return rc;
}

static int add_record(void *user, const struct cf_id *id, struct cf_quarantine_record *record, struct cf_err *err)
{
	struct cf_quarantine *quarantine = user;
	int rc = add_ids(&quarantine->packs, record->packs, record->n_packs, err);

	(void)id;
	return rc < 0 ? rc : add_ids(&quarantine->snapshots, record->snapshots, record->n_snapshots, err);
}

static int add_packs(void *user, const struct cf_id *id, struct cf_quarantine_record *record, struct cf_err *err)
{
	(void)id;
	return add_ids(user, record->packs, record->n_packs, err);
}

int cf_quarantine_add_packs(struct cf_repo *repo, struct cf_id_set *packs, struct cf_err *err)
{
	return each_record(repo, add_packs, packs, err);
}

int cf_quarantine_load(struct cf_repo *repo, struct cf_quarantine *quarantine_out, struct cf_err *err)
{
	struct cf_quarantine quarantine = {0};
	int rc = each_record(repo, add_record, &quarantine, err);

	if (rc < 0) {
		cf_quarantine_release(&quarantine);
		return rc;
	}
	*quarantine_out = quarantine;
	return 0;
}

void cf_quarantine_release(struct cf_quarantine *quarantine)
{
	cf_id_set_release(&quarantine->packs);
	cf_id_set_release(&quarantine->snapshots);
}

int cf_quarantine_put(struct cf_repo *repo, const struct cf_quarantine_record *record, struct cf_err *err)
{
	struct cf_buf doc = CF_BUF_INIT;
	struct cf_id id;
	int rc = cf_quarantine_encode(record, &doc, err);

	if (rc == 0)
		rc = cf_object_put(repo, CF_OBJECT_QUARANTINE, cf_buf_span(&doc), &id, NULL, err);
	cf_buf_release(&doc);
	return rc;
}

struct lift {
	struct cf_repo *repo;
	const struct cf_id_set *packs;
};

/* The new record first: what is quarantined and stays so is at no moment in none. */
static int lift_record(void *user, const struct cf_id *id, struct cf_quarantine_record *record, struct cf_err *err)
{
	const struct lift *lift = user;
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; i < record->n_packs; i++) {
		if (cf_id_set_has(lift->packs, &record->packs[i].id))
			free(record->packs[i].why);
		else
			record->packs[n++] = record->packs[i];
	}
	if (n == record->n_packs)
		return 0;
	record->n_packs = n;
	if (n || record->n_snapshots)
		rc = cf_quarantine_put(lift->repo, record, err);
	return rc < 0 ? rc : cf_object_remove(lift->repo, CF_OBJECT_QUARANTINE, id, err);
}

int cf_quarantine_lift(struct cf_repo *repo, const struct cf_id_set *packs, struct cf_err *err)
{
	struct lift lift = {.repo = repo, .packs = packs};
	struct cf_backend *store = repo->backend;

	if (packs->n == 0)
		return 0;
	if (!store->ops->remove || !(store->caps & CF_BACKEND_CAN_REMOVE))
		return cf_err_set(err, CF_ERR_UNSUPPORTED,
				  "%s cannot delete, so packs that are good again stay in quarantine", store->url);
	return each_record(repo, lift_record, &lift, err);
}

/* 1, 0, or an error. */
static int is_there(struct cf_repo *repo, const char *name, struct cf_err *err)
{
	uint64_t size;
	int rc = repo->backend->ops->size(repo->backend, name, &size, err);

	if (rc != CF_ERR_NOT_FOUND)
		return rc < 0 ? rc : 1;
	cf_err_clear(err);
	return 0;
}

/*
 * Looked for after the record was read: what is set aside meanwhile was there before its record. A repair that was held up may
 * still store one of packs that are gone by then; it goes the next time.
 */
static int drop_gone(void *user, const struct cf_id *id, struct cf_quarantine_record *record, struct cf_err *err)
{
	struct cf_repo *repo = user;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < record->n_packs; i++)
		rc = is_there(repo, cf_pack_name(&record->packs[i].id).s, err);
	for (size_t i = 0; rc == 0 && i < record->n_snapshots; i++)
		rc = is_there(repo, cf_object_name(CF_OBJECT_SNAPSHOT, &record->snapshots[i].id).s, err);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	return cf_object_remove(repo, CF_OBJECT_QUARANTINE, id, err);
}

int cf_quarantine_drop_gone(struct cf_repo *repo, struct cf_err *err)
{
	return each_record(repo, drop_gone, repo, err);
}
