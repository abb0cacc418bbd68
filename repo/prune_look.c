#include "repo/prune_parts.h"

#include "repo/check.h"
#include "repo/object.h"
#include "repo/snapshot.h"

#include <stdlib.h>

/* What is needed: all that snapshots have, and what backups are about to commit. */

/* A run that was shut out between looking for its fence and storing its snapshot may still store it: so long its intent counts. */
#define INTENT_NS (INT64_C(7) * 86400 * 1000000000)

/* Its run has long ended, or was shut out so long ago that it cannot be about to commit. */
static int is_outdated(struct cf_prune *p, const struct cf_intent *intent, struct cf_err *err)
{
	struct cf_backend *store = p->repo->backend;
	int64_t stored_ns;
	int rc = store->ops->time(store, cf_object_name(CF_OBJECT_INTENT, &intent->id).s, &stored_ns, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < p->runs.n; i++) {
		const struct cf_run *run = &p->runs.items[i];

		if (memcmp(run->id, intent->doc.run, CF_RUN_ID_LEN) != 0)
			continue;
		/* Also of one that has ended: whoever may write could say so of another that is about to commit. */
		if (cf_prune_age(p, run->heard_ns) < CF_PRUNE_STALE_NS)
			return 0;
		if (run->is_ended)
			return 1;
	}
	return cf_prune_age(p, stored_ns) >= INTENT_NS;
}

static int remove_intent(struct cf_prune *p, const struct cf_id *id, struct cf_err *err)
{
	struct cf_backend *store = p->repo->backend;

	if (p->options->dry_run || !cf_prune_can_remove(p))
		return 0;
	return store->ops->remove(store, cf_object_name(CF_OBJECT_INTENT, id).s, err);
}

/* What backups are about to commit counts as needed. Ones that were shut out may name what is gone: it is passed over. */
static int walk_intents(struct cf_prune *p, const struct cf_intent *intents, size_t n, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		const struct cf_content root = {.id = intents[i].doc.root,
						.size = intents[i].doc.root_size,
						.level = intents[i].doc.root_level};

		if (cf_id_set_has(&p->walked, &intents[i].id))
			continue;
		rc = is_outdated(p, &intents[i], err);
		if (rc == 1)
			rc = remove_intent(p, &intents[i].id, err);
		else if (rc == 0 && cf_id_set_add(&p->walked, &intents[i].id) < 0)
			rc = cf_err_nomem(err);
		else if (rc == 0)
			rc = cf_live_add_root(&p->live, p->repo, &root, false, err);
		if (rc == CF_ERR_NOT_FOUND) { /* it has ended meanwhile, and its snapshot is listed next */
			cf_err_clear(err);
			rc = 0;
		}
	}
	return rc;
}

/* Of a snapshot that was forgotten meanwhile nothing need be there. */
static int walk_snapshot(struct cf_prune *p, const struct cf_snapshot *snapshot, struct cf_err *err)
{
	struct cf_backend *store = p->repo->backend;
	uint64_t size;
	int rc = cf_live_add_root(&p->live, p->repo, &snapshot->root, true, err);

	if (rc != CF_ERR_DAMAGED)
		return rc;
	if (store->ops->size(store, cf_object_name(CF_OBJECT_SNAPSHOT, &snapshot->id).s, &size, NULL) == CF_ERR_NOT_FOUND) {
		cf_err_clear(err);
		return 0;
	}
	cf_err_wrap(err, "snapshot %.8s cannot be read, so nothing is removed (coffer check tells more)",
		    cf_id_text(&snapshot->id).s);
	return rc;
}

/* One that repair has set aside may get a good copy, too. */
static int refuse_damaged(const struct cf_snapshot_list *list, struct cf_err *err)
{
	const struct cf_id *damaged = list->n_damaged ? list->damaged : list->quarantined;

	if (list->n_damaged == 0 && list->n_quarantined == 0)
		return 0;
	return cf_err_set(err, CF_ERR_DAMAGED,
			  "%s is damaged, and what it needs is not known, so nothing is removed: forget it by its id, or "
			  "put a good copy of it back",
			  cf_object_name(CF_OBJECT_SNAPSHOT, &damaged[0]).s);
}

static int walk_snapshots(struct cf_prune *p, const struct cf_snapshot_list *list, struct cf_err *err)
{
	struct cf_progress progress = {.items_total = list->n};
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < list->n; i++) {
		if (cf_id_set_has(&p->walked, &list->items[i]->id))
			continue;
		rc = walk_snapshot(p, list->items[i], err);
		if (rc == 0 && cf_id_set_add(&p->walked, &list->items[i]->id) < 0)
			rc = cf_err_nomem(err);
		progress.items_done = i + 1;
		cf_ctx_progress(p->repo->ctx, "prune.progress", &progress);
		if (p->lease)
			cf_lease_renew(p->lease);
	}
	return rc;
}

/* What no segment lists may be needed all the same: the index is to say all there is, that of condemned packs as well. */
static int adopt(struct cf_prune *p, struct cf_err *err)
{
	uint64_t stored = 0;
	int rc = cf_catalog_adopt(p->repo->catalog, true, err);

	if (rc == 0)
		rc = cf_catalog_publish(p->repo->catalog, true, &stored, err);
	p->figures->bytes_written += stored;
	return rc;
}

/* The snapshot objects, sorted. */
struct listing {
	struct cf_id *ids;
	size_t n;
};

static int list_snapshots(struct cf_prune *p, struct listing *listing_out, struct cf_err *err)
{
	int rc = cf_object_list(p->repo, CF_OBJECT_SNAPSHOT, &listing_out->ids, &listing_out->n, err);

	if (rc == 0)
		cf_id_sort(listing_out->ids, listing_out->n);
	return rc;
}

/*
 * All snapshots. A listing may miss a version that is put while it runs and the one before, which is removed while it runs; so it is
 * done again until nothing changed meanwhile.
 */
static int load_snapshots(struct cf_prune *p, struct listing *listing, struct cf_snapshot_list *list_out, struct cf_err *err)
{
	struct listing after = {0};
	bool has_changed = true;
	int rc = list_snapshots(p, listing, err);

	while (rc == 0 && has_changed) {
		cf_snapshot_list_release(list_out);
		rc = cf_snapshots_load(p->repo, NULL, list_out, err);
		if (rc == 0)
			rc = list_snapshots(p, &after, err);
		has_changed = rc == 0 && (listing->n != after.n ||
					  (after.n && memcmp(listing->ids, after.ids, after.n * sizeof(*after.ids)) != 0));
		free(listing->ids);
		*listing = after;
		after = (struct listing){0};
		if (rc == 0)
			rc = cf_ctx_check(p->repo->ctx, err);
	}
	return rc;
}

/* Whatever took a snapshot away, it may come back, but not what only it needs. Once is enough: what was walked counts as needed
 * to the end. */
static int refuse_missing(struct cf_prune *p, const struct listing *listing, const struct cf_snapshot_list *list, struct cf_err *err)
{
	const struct cf_check_missing_options options = {
		.log = CF_CHECK_LOG_LAST, .known = list, .listed = listing->ids, .n_listed = listing->n};
	struct cf_id *ids = NULL;
	size_t n = 0;
	int rc = p->knows_none_missing ? 0 : cf_check_missing(p->repo, &options, &ids, &n, err);

	if (rc == 0 && n)
		rc = cf_err_set(err, CF_ERR_DAMAGED,
				"snapshot %.8s%s is missing, and what it needs is not known, so nothing is removed: put it back, or accept "
				"that it is gone with coffer forget %.8s --yes",
				cf_id_text(&ids[0]).s, n > 1 ? " (and others, see coffer check)" : "", cf_id_text(&ids[0]).s);
	free(ids);
	p->knows_none_missing = rc == 0;
	return rc;
}

int cf_prune_look(struct cf_prune *p, struct cf_err *err)
{
	struct cf_snapshot_list list = {0};
	struct listing listing = {0};
	struct cf_intent *intents = NULL;
	size_t n_intents = 0;
	int rc = cf_intents_load(p->repo, &intents, &n_intents, err);

	p->at_look = *p->figures;
	if (rc == 0)
		rc = load_snapshots(p, &listing, &list, err);
	if (rc == 0)
		rc = refuse_damaged(&list, err);
	if (rc == 0)
		rc = refuse_missing(p, &listing, &list, err);
	if (rc == 0)
		rc = cf_catalog_survey(p->repo->catalog, &p->tombs, err);
	if (rc == 0 && !p->options->dry_run)
		rc = adopt(p, err);
	if (rc == 0)
		rc = walk_snapshots(p, &list, err);
	if (rc == 0)
		rc = walk_intents(p, intents, n_intents, err);
	p->figures->snapshots = list.n;
	cf_snapshot_list_release(&list);
	free(listing.ids);
	free(intents);
	return rc < 0 ? rc : cf_prune_plan(p, err);
}
