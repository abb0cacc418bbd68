#include "repo/check_parts.h"

#include "base/err.h"
#include "repo/audit.h"
#include "repo/object.h"

#include <string.h>

static void on_finding(void *user, const char *object, const char *problem)
{
	cf_check_found(user, object, "%s", problem);
}

static bool stores_snapshots(const struct cf_audit_record *record)
{
	return strcmp(record->command, "backup") == 0 || strcmp(record->command, "tag") == 0 ||
	       strncmp(record->command, "hold ", strlen("hold ")) == 0;
}

/* It may have been stored, or forgotten, since it was listed. */
static int judge_logged(struct cf_check *check, const struct cf_audit_record *record, const struct cf_id *id,
			const struct cf_id *ids, size_t n, struct cf_err *err)
{
	struct cf_backend *store = check->repo->backend;
	uint64_t size;
	int rc;

	if (cf_id_among(ids, n, id) || cf_check_is_forgotten(check, id) || cf_id_set_has(&check->reported, id))
		return 0;
	rc = store->ops->size(store, cf_object_name(CF_OBJECT_SNAPSHOT, id).s, &size, err);
	if (rc != CF_ERR_NOT_FOUND)
		return rc == CF_ERR_DAMAGED ? 0 : rc;
	cf_err_clear(err);
	rc = cf_check_forgotten_since(check, id, err);
	if (rc == 0)
		cf_check_found_missing(check, id, ids, n, "the audit log of %s has it (record %lld)", record->host,
				       (long long)record->number);
	return rc < 0 ? rc : 0;
}

int cf_check_logged(struct cf_check *check, const struct cf_audit_log *log, const struct cf_id *ids, size_t n, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < log->n; i++) {
		const struct cf_audit_record *record = &log->items[i];

		for (size_t k = 0; rc == 0 && stores_snapshots(record) && k < record->n_about; k++) {
			struct cf_id id;

			if (strcmp(record->about[k].key, "snapshot") == 0 && cf_id_parse(record->about[k].value, &id))
				rc = judge_logged(check, record, &id, ids, n, err);
		}
	}
	return rc;
}

int cf_check_audit(struct cf_check *check, const struct cf_id *ids, size_t n, struct cf_err *err)
{
	struct cf_audit_log log = {0};
	int rc = cf_audit_load(check->repo, &log, err);

	if (rc == 0)
		rc = cf_audit_verify(check->repo, &log, &check->anchors, on_finding, check, err);
	if (rc == 0)
		rc = cf_check_logged(check, &log, ids, n, err);
	check->figures.audit_records = log.n;
	cf_audit_log_release(&log);
	return rc;
}
