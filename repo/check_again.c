#include "repo/check_parts.h"

#include "base/err.h"
#include "repo/catalog.h"
#include "repo/object.h"
#include "repo/tomb.h"

#include <stdlib.h>

/* Others go on working on the repository while it is checked. */

static int list_index(struct cf_check *check, struct cf_id **ids_out, size_t *n_out, struct cf_err *err)
{
	int rc = cf_object_list(check->repo, CF_OBJECT_INDEX, ids_out, n_out, err);

	if (rc == 0)
		cf_id_sort(*ids_out, *n_out);
	return rc;
}

int cf_check_note_index(struct cf_check *check, struct cf_err *err)
{
	free(check->index_ids);
	check->index_ids = NULL;
	check->n_index_ids = 0;
	return list_index(check, &check->index_ids, &check->n_index_ids, err);
}

int cf_check_is_outdated(struct cf_check *check, struct cf_err *err)
{
	struct cf_id *ids = NULL;
	size_t n = 0;
	int rc = list_index(check, &ids, &n, err);

	if (rc == 0)
		rc = n != check->n_index_ids || (n && memcmp(ids, check->index_ids, n * sizeof(*ids)) != 0);
	free(ids);
	return rc;
}

int cf_check_mark_indexed(struct cf_check *check, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < check->n_packs; i++) {
		struct cf_checked_pack *pack = &check->packs[i];

		if (!pack->is_indexed) {
			rc = cf_catalog_lists(check->repo->catalog, &pack->name, err);
			pack->is_indexed = rc == 1;
			rc = rc < 0 ? rc : 0;
		}
	}
	return rc;
}

/* What was lost is not among what was visited any more. */
static int forget_losses(struct cf_check *check, struct cf_err *err)
{
	struct cf_id_set kept = {0};

	for (size_t i = 0; check->lost.n && check->visited.slots && i <= check->visited.mask; i++) {
		const struct cf_id *id = &check->visited.slots[i];

		if (cf_id_is_zero(id) || cf_id_set_has(&check->lost, id))
			continue;
		if (cf_id_set_add(&kept, id) < 0) {
			cf_id_set_release(&kept);
			return cf_err_nomem(err);
		}
	}
	if (check->lost.n) {
		cf_id_set_release(&check->visited);
		cf_id_set_release(&check->lost);
		check->visited = kept;
	}
	check->figures.chunks -= check->n_lost_chunks;
	check->n_lost_chunks = 0;
	return 0;
}

/* Only the catalog of the check itself: others have a view of their own of what may be relied on. */
static int survey(struct cf_check *check, struct cf_err *err)
{
	struct cf_catalog *catalog = check->repo->catalog;
	struct cf_tombs tombs = {0};
	int rc = cf_tombs_load(check->repo, &tombs, err);

	if (rc == 0)
		rc = cf_catalog_survey(catalog, &tombs, err);
	for (size_t i = 0; rc == 0 && i < check->n_packs; i++)
		if (check->packs[i].is_bad)
			rc = cf_catalog_note_damaged(catalog, &check->packs[i].name, err);
	cf_tombs_release(&tombs);
	return rc;
}

int cf_check_renew(struct cf_check *check, struct cf_err *err)
{
	int rc = cf_check_note_index(check, err);

	cf_catalog_refresh(check->repo->catalog);
	if (rc == 0 && check->usual_catalog)
		rc = survey(check, err);
	if (rc == 0)
		rc = cf_check_mark_indexed(check, err);
	return rc < 0 ? rc : forget_losses(check, err);
}
