#include "repo/catalog_parts.h"

#include "repo/object.h"
#include "repo/pack_keys.h"
#include "repo/quarantine.h"
#include "repo/segments.h"
#include "repo/tomb.h"

#include <stdlib.h>

/* What a backup or a prune needs: what may be relied on at its start, and publishing what it stored. */

enum {
	PUBLISH_PACKS = 16,
	PUBLISH_CHUNKS = 100000,
	PUBLISH_PACKS_BLIND = 4 /* where a run that ends early is lost up to the last segment */
};

/* A segment that borrows the tables of the recent packs: they stay put until this publisher drops them. */
static int borrow_recent(struct cf_catalog *catalog, struct cf_segment *segment, struct cf_err *err)
{
	size_t n = cf_recent_packs(catalog->recent);

	segment->packs = calloc(n + 1, sizeof(*segment->packs));
	if (!segment->packs)
		return cf_err_nomem(err);
	segment->n_packs = n;
	for (size_t i = 0; i < n; i++)
		segment->packs[i] = *cf_recent_pack(catalog->recent, i);
	return 0;
}

/* The next run can read what this one stores and take it up. */
static bool is_taken_up(const struct cf_catalog *catalog)
{
	struct cf_pack_keys *keys = catalog->repo->pack_keys;

	return cf_catalog_reads_packs(catalog) && (!keys || cf_pack_keys_adds(keys));
}

static bool is_due(const struct cf_catalog *catalog, bool all)
{
	size_t n = cf_recent_packs(catalog->recent);
	size_t many = is_taken_up(catalog) ? PUBLISH_PACKS : PUBLISH_PACKS_BLIND;

	return all ? n > 0 : n >= many || cf_recent_chunks(catalog->recent) >= PUBLISH_CHUNKS;
}

static int publish_recent(struct cf_catalog *catalog, bool all, uint64_t *stored_out, struct cf_err *err)
{
	struct cf_segment segment = {0};
	struct cf_id id;
	bool due;
	int rc = 0;

	pthread_mutex_lock(&catalog->lock);
	due = is_due(catalog, all);
	if (due)
		rc = borrow_recent(catalog, &segment, err);
	pthread_mutex_unlock(&catalog->lock);
	if (!due || rc < 0)
		return rc;
	rc = cf_segment_put(catalog->repo, &segment, &id, stored_out, err);
	if (rc == 0) {
		pthread_mutex_lock(&catalog->lock);
		rc = cf_index_load(catalog->index, &id, &segment, err);
		if (cf_catalog_index_failed(rc))
			rc = cf_catalog_rebuild_locked(catalog, rc, err); /* which loads the new segment too */
		if (rc == 0)
			rc = cf_recent_drop(catalog->recent, segment.n_packs, err);
		pthread_mutex_unlock(&catalog->lock);
	}
	free(segment.packs);
	return rc;
}

int cf_catalog_publish(struct cf_catalog *catalog, bool all, uint64_t *stored_out, struct cf_err *err)
{
	int rc;

	*stored_out = 0;
	pthread_mutex_lock(&catalog->publish_lock);
	rc = publish_recent(catalog, all, stored_out, err);
	pthread_mutex_unlock(&catalog->publish_lock);
	return rc;
}

static int set_unclean(struct cf_catalog *catalog, int64_t value, struct cf_err *err)
{
	int rc = cf_index_set_flag(catalog->index, "unclean", value, err);

	if (cf_catalog_index_failed(rc)) {
		rc = cf_catalog_rebuild_locked(catalog, rc, err);
		if (rc == 0)
			rc = cf_index_set_flag(catalog->index, "unclean", value, err);
	}
	return rc;
}

static int note_present(void *user, const struct cf_id *name, uint64_t size, struct cf_err *err)
{
	struct cf_catalog *catalog = user;

	(void)size;
	return cf_id_set_add(&catalog->present, name) < 0 ? cf_err_nomem(err) : 0;
}

/* Condemned packs were listed before those that are there: what is removed in between is among the former. */
static int survey_locked(struct cf_catalog *catalog, const struct cf_tombs *tombs, struct cf_err *err)
{
	int rc;

	cf_id_set_release(&catalog->present);
	cf_id_set_release(&catalog->condemned);
	cf_id_set_release(&catalog->damaged);
	memset(catalog->found_bases, 0, sizeof(catalog->found_bases));
	catalog->is_surveyed = false;
	rc = cf_tombs_add_packs(tombs, &catalog->condemned, err);
	if (rc == 0)
		rc = cf_quarantine_add_packs(catalog->repo, &catalog->damaged, err);
	if (rc == 0)
		rc = cf_catalog_sync_locked(catalog, err);
	if (rc == 0)
		rc = cf_object_each_pack(catalog->repo, note_present, catalog, err);
	catalog->is_surveyed = rc == 0;
	return rc;
}

int cf_catalog_note_damaged(struct cf_catalog *catalog, const struct cf_id *pack, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = cf_id_set_add(&catalog->damaged, pack);
	memset(catalog->found_bases, 0, sizeof(catalog->found_bases));
	pthread_mutex_unlock(&catalog->lock);
	return rc < 0 ? cf_err_nomem(err) : 0;
}

int cf_catalog_adopt(struct cf_catalog *catalog, bool condemned_too, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = cf_catalog_sync_locked(catalog, err);
	if (rc == 0)
		rc = cf_catalog_adopt_locked(catalog, condemned_too, err);
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

int cf_catalog_survey(struct cf_catalog *catalog, const struct cf_tombs *tombs, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = survey_locked(catalog, tombs, err);
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

int cf_catalog_begin_run(struct cf_catalog *catalog, const struct cf_tombs *tombs, struct cf_err *err)
{
	int64_t unclean = 0;
	struct cf_id *loaded = NULL;
	size_t n_loaded = 0;
	int rc;

	pthread_mutex_lock(&catalog->lock);
	/* A new local index cannot know of interrupted runs, so it looks as well. */
	rc = cf_index_segments(catalog->index, &loaded, &n_loaded, err);
	if (rc == 0)
		rc = cf_index_get_flag(catalog->index, "unclean", &unclean, err);
	if (cf_catalog_index_failed(rc))
		rc = cf_catalog_rebuild_locked(catalog, rc, err);
	if (rc == 0)
		rc = survey_locked(catalog, tombs, err);
	if (rc == 0 && (unclean || n_loaded == 0))
		rc = cf_catalog_adopt_locked(catalog, false, err);
	if (rc == 0)
		rc = set_unclean(catalog, 1, err);
	pthread_mutex_unlock(&catalog->lock);
	free(loaded);
	return rc;
}

int cf_catalog_end_run(struct cf_catalog *catalog, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = set_unclean(catalog, 0, err);
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}
