#include "repo/catalog_parts.h"

#include "repo/pack_keys.h"
#include "repo/pack_reader.h"

#include <stdlib.h>

/* Where a chunk is, and which of its copies to rely on. */

enum {
	PASSED_MAX = 8, /* copies of one chunk */
	RANK_LENS = 1 << 26 /* more than any blob is long */
};

/* The local index is a cache: without a place for its file it is made in memory, for this run. */
void cf_catalog_note_memory(struct cf_catalog *catalog, struct cf_err *err)
{
	cf_ctx_note(catalog->repo->ctx, "index.unusable", NULL, "%s; the index is kept in memory this time",
		    err ? err->text : "the local index cannot be used");
	cf_err_clear(err);
}

int cf_catalog_new(struct cf_repo *repo, const char *path, struct cf_catalog **catalog_out,
		   struct cf_err *err)
{
	struct cf_catalog *catalog = calloc(1, sizeof(*catalog));
	int rc;

	if (!catalog)
		return cf_err_nomem(err);
	catalog->repo = repo;
	pthread_mutex_init(&catalog->lock, NULL);
	pthread_mutex_init(&catalog->publish_lock, NULL);
	rc = cf_index_open(path, repo->config.repo_id, repo->ctx, &catalog->index, err);
	if (rc < 0 && path && rc != CF_ERR_NOMEM && rc != CF_ERR_BUSY) {
		cf_catalog_note_memory(catalog, err);
		rc = cf_index_open(NULL, repo->config.repo_id, repo->ctx, &catalog->index, err);
	}
	if (rc == 0)
		rc = cf_recent_new(&catalog->recent, err);
	if (rc < 0) {
		cf_catalog_free(catalog);
		return rc;
	}
	*catalog_out = catalog;
	return 0;
}

void cf_catalog_free(struct cf_catalog *catalog)
{
	if (!catalog)
		return;
	cf_index_close(catalog->index);
	cf_recent_free(catalog->recent);
	cf_id_set_release(&catalog->present);
	cf_id_set_release(&catalog->condemned);
	cf_id_set_release(&catalog->damaged);
	cf_id_set_release(&catalog->missing);
	pthread_mutex_destroy(&catalog->lock);
	pthread_mutex_destroy(&catalog->publish_lock);
	free(catalog);
}

bool cf_catalog_reads_packs(const struct cf_catalog *catalog)
{
	return cf_keyring_of(catalog->repo->ring)->role == CF_ROLE_FULL || catalog->repo->pack_keys;
}

void cf_catalog_mute(struct cf_catalog *catalog)
{
	catalog->is_muted = true;
}

void cf_catalog_refresh(struct cf_catalog *catalog)
{
	pthread_mutex_lock(&catalog->lock);
	catalog->synced = false;
	pthread_mutex_unlock(&catalog->lock);
}

int cf_catalog_reset(struct cf_catalog *catalog, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = cf_index_reset(catalog->index, err);
	catalog->synced = false;
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

int cf_catalog_sync(struct cf_catalog *catalog, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = cf_catalog_sync_locked(catalog, err);
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

/* Nobody knows that it could not be read. */
static bool is_readable(const struct cf_catalog *catalog, const struct cf_id *pack)
{
	return !cf_id_set_has(&catalog->damaged, pack) && !cf_id_set_has(&catalog->missing, pack);
}

/* The pack will stay where it is, as far as is known. */
static bool is_reliable(const struct cf_catalog *catalog, const struct cf_id *pack)
{
	return !cf_id_set_has(&catalog->condemned, pack) && is_readable(catalog, pack) &&
	       (!catalog->is_surveyed || cf_id_set_has(&catalog->present, pack));
}

/*
 * Of two copies the one that is no delta, for others may be deltas against it; then one that this host can read. Of two deltas the
 * shorter one: prune gives a chunk that has moved away from its base a nearer one, and who goes on from the chunk does so from there.
 */
static int rank_copy(const struct cf_catalog *catalog, const struct cf_location *copy)
{
	int rank = ((copy->bases.n == 0 ? 2 : 0) + cf_pack_may_open(catalog->repo, &copy->pack)) * RANK_LENS;

	return copy->bases.n && copy->len < RANK_LENS ? rank + RANK_LENS - 1 - (int)copy->len : rank;
}

static int rank_reliable(const void *user, const struct cf_location *copy)
{
	return is_reliable(user, &copy->pack) ? rank_copy(user, copy) : -1;
}

/* The same, but anything is better than nothing. What is to be removed is whole as long as it is there. */
static int rank_any(const void *user, const struct cf_location *copy)
{
	const struct cf_catalog *catalog = user;
	int tier = is_reliable(catalog, &copy->pack) ? 2 : is_readable(catalog, &copy->pack);

	return tier * 4 * RANK_LENS + rank_copy(catalog, copy);
}

static int rank_readable(const void *user, const struct cf_location *copy)
{
	const struct cf_catalog *catalog = user;

	if (!is_readable(catalog, &copy->pack) || (catalog->is_surveyed && !cf_id_set_has(&catalog->present, &copy->pack)))
		return -1;
	return rank_any(catalog, copy);
}

/* For readers of a delta, whose base is not to be one. */
static int rank_whole(const void *user, const struct cf_location *copy)
{
	return copy->bases.n ? -1 : rank_any(user, copy);
}

/* What a delta can be made against. */
static int rank_base(const void *user, const struct cf_location *copy)
{
	const struct cf_catalog *catalog = user;

	return cf_pack_may_open(catalog->repo, &copy->pack) ? rank_reliable(catalog, copy) : -1;
}

static int find_in_index(struct cf_catalog *catalog, const struct cf_id *id, cf_index_rank_fn *rank, const void *user,
			 struct cf_location *location_out, struct cf_err *err)
{
	int rc = cf_index_find(catalog->index, id, rank, user, location_out, err);

	if (cf_catalog_index_failed(rc)) {
		rc = cf_catalog_rebuild_locked(catalog, rc, err);
		if (rc == 0)
			rc = cf_index_find(catalog->index, id, rank, user, location_out, err);
	}
	return rc;
}

static int find_ranked(struct cf_catalog *catalog, const struct cf_id *id, cf_index_rank_fn *rank, const void *user,
		       struct cf_location *location_out, struct cf_err *err)
{
	struct cf_location recent;
	int rc = cf_catalog_sync_locked(catalog, err), recent_rank = -1;

	if (rc < 0)
		return rc;
	if (cf_recent_find(catalog->recent, id, &recent))
		recent_rank = rank(user, &recent);
	if (recent_rank > 0 && recent.bases.n == 0 && rank == rank_reliable) {
		*location_out = recent;
		return 1;
	}
	rc = find_in_index(catalog, id, rank, user, location_out, err);
	if (rc < 0 || recent_rank < 0)
		return rc;
	if (rc == 0 || recent_rank > rank(user, location_out))
		*location_out = recent;
	return 1;
}

static int find_locked(struct cf_catalog *catalog, const struct cf_id *id, cf_index_rank_fn *rank,
		       struct cf_location *location_out, struct cf_err *err)
{
	return find_ranked(catalog, id, rank, catalog, location_out, err);
}

static void note_use(struct cf_catalog *catalog, const struct cf_location *place)
{
	if (catalog->repo->pack_keys)
		cf_pack_keys_use(catalog->repo->pack_keys, &place->pack);
}

/* 1 when all bases of a chunk can be relied on. */
static int has_bases(struct cf_catalog *catalog, const struct cf_bases *bases, struct cf_err *err)
{
	struct cf_location base;
	int rc = 1;

	for (unsigned i = 0; rc == 1 && i < bases->n; i++) {
		const struct cf_id *id = &bases->ids[i];
		bool was_found = cf_id_equal(id, &catalog->found_bases[0]) || cf_id_equal(id, &catalog->found_bases[1]);

		if (was_found)
			continue;
		rc = find_locked(catalog, id, rank_reliable, &base, err);
		rc = rc == 1 ? base.bases.n == 0 : rc;
		if (rc == 1) {
			note_use(catalog, &base);
			catalog->found_bases[1] = catalog->found_bases[0];
			catalog->found_bases[0] = *id;
		}
	}
	return rc;
}

/* Copies that turned out to be deltas without their bases. */
struct passed_over {
	const struct cf_catalog *catalog;
	struct cf_id packs[PASSED_MAX];
	unsigned n;
};

static int rank_others(const void *user, const struct cf_location *copy)
{
	const struct passed_over *passed = user;

	for (unsigned i = 0; i < passed->n; i++)
		if (cf_id_equal(&passed->packs[i], &copy->pack))
			return -1;
	return rank_reliable(passed->catalog, copy);
}

/* A chunk that lost its base and was stored again, or got a new one from prune, has two copies, and both may be deltas. */
static int find_complete_locked(struct cf_catalog *catalog, const struct cf_id *id, struct cf_location *location_out,
				struct cf_err *err)
{
	struct passed_over passed = {.catalog = catalog};
	int rc;

	do {
		rc = find_ranked(catalog, id, rank_others, &passed, location_out, err);
		if (rc == 0)
			return 0;
		if (rc == 1 && location_out->bases.n)
			rc = has_bases(catalog, &location_out->bases, err);
		if (rc == 1)
			note_use(catalog, location_out);
		if (rc != 0)
			return rc;
		passed.packs[passed.n++] = location_out->pack;
	} while (passed.n < PASSED_MAX);
	return 0;
}

int cf_catalog_find_ranked(struct cf_catalog *catalog, const struct cf_id *id, cf_index_rank_fn *rank, const void *user,
			   struct cf_location *location_out, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = find_ranked(catalog, id, rank, user, location_out, err);
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

int cf_catalog_find(struct cf_catalog *catalog, const struct cf_id *id, struct cf_location *location_out,
		    struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = find_locked(catalog, id, rank_reliable, location_out, err);
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

int cf_catalog_find_readable(struct cf_catalog *catalog, const struct cf_id *id, struct cf_location *location_out,
			     struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = find_locked(catalog, id, rank_readable, location_out, err);
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

int cf_catalog_find_complete(struct cf_catalog *catalog, const struct cf_id *id, struct cf_location *location_out,
			     struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = find_complete_locked(catalog, id, location_out, err);
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

int cf_catalog_note_missing(struct cf_catalog *catalog, const struct cf_id *pack, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = cf_id_set_add(&catalog->missing, pack);
	memset(catalog->found_bases, 0, sizeof(catalog->found_bases));
	if (rc < 0)
		cf_err_nomem(err);
	else if (rc == 1) /* it may have been replaced by another one */
		catalog->synced = false;
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

/* The copy that a reader tries first. */
static int find_readable_locked(struct cf_catalog *catalog, const struct cf_id *id, bool as_base, struct cf_location *location_out,
				struct cf_err *err)
{
	int rc = as_base ? find_locked(catalog, id, rank_whole, location_out, err)
			 : find_complete_locked(catalog, id, location_out, err);

	return rc == 0 ? find_locked(catalog, id, rank_any, location_out, err) : rc;
}

int cf_catalog_require(struct cf_catalog *catalog, const struct cf_id *id, bool as_base, struct cf_location *location_out,
		       struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = find_readable_locked(catalog, id, as_base, location_out, err);
	if (rc == 0 && !catalog->adopted_all) {
		rc = cf_catalog_adopt_locked(catalog, true, err);
		if (rc == 0)
			rc = find_readable_locked(catalog, id, as_base, location_out, err);
	}
	/* A damaged b-tree hides rows without a word, and the repository may have grown. Once is enough. */
	if (rc == 0 && !catalog->searched) {
		catalog->searched = true;
		cf_err_set(err, CF_ERR_DAMAGED, "the local index lacks a chunk");
		rc = cf_catalog_rebuild_locked(catalog, CF_ERR_DAMAGED, err);
		if (rc == 0)
			rc = find_readable_locked(catalog, id, as_base, location_out, err);
	}
	pthread_mutex_unlock(&catalog->lock);
	if (rc == 0)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "chunk %.16s is in no pack of the repository",
				cf_id_text(id).s);
	return rc < 0 ? rc : 0;
}

int cf_catalog_search(struct cf_catalog *catalog, struct cf_err *err)
{
	int rc = 0;

	pthread_mutex_lock(&catalog->lock);
	if (!catalog->adopted_all)
		rc = cf_catalog_adopt_locked(catalog, true, err);
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

int cf_catalog_find_similar(struct cf_catalog *catalog, const struct cf_sketch *sketch, struct cf_id *id_out,
			    struct cf_location *location_out, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = cf_recent_find_similar(catalog->recent, sketch, id_out, location_out);
	if (rc == 0)
		rc = cf_index_find_similar(catalog->index, sketch, rank_base, catalog, id_out, location_out,
					   err);
	if (cf_catalog_index_failed(rc))
		rc = cf_catalog_rebuild_locked(catalog, rc, err); /* 0: nothing similar this time */
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

/* Found where a host that keeps keys, and can keep more, has none. */
static bool is_out_of_reach(struct cf_catalog *catalog, const struct cf_location *place)
{
	struct cf_pack_keys *keys = catalog->repo->pack_keys;

	return keys && place->pack_type == CF_OBJECT_TREE_PACK && !cf_pack_keys_has(keys, &place->pack) &&
	       cf_pack_keys_adds(keys);
}

int cf_catalog_claim(struct cf_catalog *catalog, const struct cf_id *id, struct cf_err *err)
{
	struct cf_location place;
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = find_complete_locked(catalog, id, &place, err);
	if (rc == 1 && is_out_of_reach(catalog, &place))
		rc = 0;
	if (rc == 0) {
		/* Adopted from a run whose bases, or whose pack, are of no use any more. */
		cf_recent_disown(catalog->recent, id);
		rc = cf_recent_claim(catalog->recent, id, err);
	}
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

void cf_catalog_drop_claims(struct cf_catalog *catalog)
{
	pthread_mutex_lock(&catalog->lock);
	cf_recent_disown_claims(catalog->recent);
	pthread_mutex_unlock(&catalog->lock);
}

int cf_catalog_add_pack(struct cf_catalog *catalog, struct cf_segment_pack *pack, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = cf_catalog_add_pack_locked(catalog, pack, err);
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

int cf_catalog_lists(struct cf_catalog *catalog, const struct cf_id *pack, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = cf_catalog_sync_locked(catalog, err);
	if (rc == 0)
		rc = cf_index_find_pack(catalog->index, pack, err);
	if (cf_catalog_index_failed(rc)) {
		rc = cf_catalog_rebuild_locked(catalog, rc, err);
		if (rc == 0)
			rc = cf_index_find_pack(catalog->index, pack, err);
	}
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

int cf_catalog_each(struct cf_catalog *catalog, cf_index_fn *fn, void *user, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = cf_catalog_sync_locked(catalog, err);
	if (rc == 0)
		rc = cf_index_each(catalog->index, fn, user, err);
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}
