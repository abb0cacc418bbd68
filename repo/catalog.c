#include "repo/catalog.h"

#include "base/err.h"
#include "repo/handle.h"
#include "repo/id_set.h"
#include "repo/object.h"
#include "repo/pack_reader.h"
#include "repo/quarantine.h"
#include "repo/recent.h"
#include "repo/segments.h"
#include "repo/tomb.h"

#include <stdlib.h>

enum {
	PASSED_MAX = 8, /* copies of one chunk */
	PUBLISH_PACKS = 16,
	PUBLISH_CHUNKS = 100000,
	PUBLISH_PACKS_BLIND = 4 /* of a host that reads no packs: a run that ends early is lost up to the last segment */
};

struct cf_catalog {
	struct cf_repo *repo;
	pthread_mutex_t lock;	      /* everything below */
	pthread_mutex_t publish_lock; /* one segment at a time; taken before lock */
	struct cf_index *index;
	struct cf_recent *recent;
	bool is_muted;
	bool is_surveyed;
	struct cf_id_set present;   /* packs in the store at the last survey, and those stored by this handle since */
	struct cf_id_set condemned; /* packs that are to be removed, at the last survey */
	struct cf_id_set missing;   /* packs that readers did not find */
	struct cf_id found_bases[2]; /* since the last survey, the latest first: neighbours share them */
	bool synced;
	bool adopted; /* the packs were listed and nothing is unknown since */
	bool searched; /* the index was built anew for a chunk it did not have */
};

/* The local index is a cache: without a place for its file it is made in memory, for this run. */
static void note_memory(struct cf_catalog *catalog, struct cf_err *err)
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
	rc = cf_index_open(path, repo->config.repo_id, &catalog->index, err);
	if (rc < 0 && path && rc != CF_ERR_NOMEM && rc != CF_ERR_BUSY) {
		note_memory(catalog, err);
		rc = cf_index_open(NULL, repo->config.repo_id, &catalog->index, err);
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
	cf_id_set_release(&catalog->missing);
	pthread_mutex_destroy(&catalog->lock);
	pthread_mutex_destroy(&catalog->publish_lock);
	free(catalog);
}

/* Without role full the tables of packs stay shut, and only index segments tell what is there. */
static bool reads_packs(const struct cf_catalog *catalog)
{
	return cf_keyring_of(catalog->repo->ring)->role == CF_ROLE_FULL;
}

static int compare_ids(const void *a, const void *b)
{
	return cf_id_compare(a, b);
}

static bool contains(const struct cf_id *sorted, size_t n, const struct cf_id *id)
{
	return n && bsearch(id, sorted, n, sizeof(*id), compare_ids) != NULL;
}

/* Load what is listed and not loaded. bad_out: room for those that could not be read. */
static int load_missing(struct cf_catalog *catalog, const struct cf_id *listed, size_t n_listed,
			const struct cf_id *loaded, size_t n_loaded, struct cf_id *bad_out, size_t *n_bad_out,
			struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n_listed; i++) {
		struct cf_segment segment = {0};

		if (contains(loaded, n_loaded, &listed[i]))
			continue;
		rc = cf_ctx_check(catalog->repo->ctx, err);
		if (rc == 0)
			rc = cf_segment_read(catalog->repo, &listed[i], &segment, err);
		if (rc == 0)
			rc = cf_index_load(catalog->index, &listed[i], &segment, err);
		else if (rc == CF_ERR_DAMAGED) {
			cf_err_clear(err);
			bad_out[(*n_bad_out)++] = listed[i];
			rc = 0;
		} else if (rc == CF_ERR_NOT_FOUND) {
			cf_err_clear(err); /* replaced since it was listed */
			rc = 0;
		}
		cf_segment_release(&segment);
	}
	return rc;
}

/* Of `loaded` those that are not listed any more or that a loaded one supersedes, to the front. Their number. */
static size_t select_stale(struct cf_id *loaded, size_t n_loaded, const struct cf_id *listed, size_t n_listed,
			   const struct cf_id *superseded, size_t n_superseded)
{
	size_t n = 0;

	for (size_t i = 0; i < n_loaded; i++)
		if (!contains(listed, n_listed, &loaded[i]) || contains(superseded, n_superseded, &loaded[i]))
			loaded[n++] = loaded[i];
	return n;
}

static void sort_ids(struct cf_id *ids, size_t n)
{
	if (n)
		qsort(ids, n, sizeof(*ids), compare_ids);
}

/* The packs of segments that are gone may be gone with them; packs that a newer segment lists as well stay. */
static int unload_stale(struct cf_catalog *catalog, const struct cf_id *listed, size_t n_listed, struct cf_err *err)
{
	struct cf_id *loaded = NULL, *superseded = NULL;
	size_t n_loaded = 0, n_superseded = 0, n_stale;
	int rc = cf_index_segments(catalog->index, &loaded, &n_loaded, err);

	if (rc == 0)
		rc = cf_index_superseded(catalog->index, &superseded, &n_superseded, err);
	if (rc == 0) {
		sort_ids(superseded, n_superseded);
		n_stale = select_stale(loaded, n_loaded, listed, n_listed, superseded, n_superseded);
		if (n_stale)
			rc = cf_index_unload(catalog->index, loaded, n_stale, err);
	}
	free(loaded);
	free(superseded);
	return rc;
}

/* The ids of loaded segments and of those that they supersede, sorted: none of them is to be loaded. */
static int known_segments(struct cf_catalog *catalog, struct cf_id **ids_out, size_t *n_out, struct cf_err *err)
{
	struct cf_id *loaded = NULL, *superseded = NULL, *all = NULL;
	size_t n_loaded = 0, n_superseded = 0;
	int rc = cf_index_segments(catalog->index, &loaded, &n_loaded, err);

	if (rc == 0)
		rc = cf_index_superseded(catalog->index, &superseded, &n_superseded, err);
	if (rc == 0 && !(all = calloc(n_loaded + n_superseded + 1, sizeof(*all))))
		rc = cf_err_nomem(err);
	if (rc == 0) {
		if (n_loaded)
			memcpy(all, loaded, n_loaded * sizeof(*all));
		if (n_superseded)
			memcpy(all + n_loaded, superseded, n_superseded * sizeof(*all));
		*n_out = n_loaded + n_superseded;
		sort_ids(all, *n_out);
		*ids_out = all;
	}
	free(loaded);
	free(superseded);
	return rc;
}

/* One that is superseded by another is of no use, damaged or not. *n_out: how many are left. */
static int warn_of_bad(struct cf_catalog *catalog, const struct cf_id *bad, size_t n_bad, size_t *n_out, struct cf_err *err)
{
	struct cf_id *superseded = NULL;
	size_t n_superseded = 0;
	int rc = n_bad ? cf_index_superseded(catalog->index, &superseded, &n_superseded, err) : 0;

	sort_ids(superseded, n_superseded);
	for (size_t i = 0; rc == 0 && i < n_bad; i++) {
		struct cf_object_name name = cf_object_name(CF_OBJECT_INDEX, &bad[i]);

		if (contains(superseded, n_superseded, &bad[i]))
			continue;
		if (!catalog->is_muted)
			cf_ctx_warn(catalog->repo->ctx, "index.damaged", name.s,
				    reads_packs(catalog) ? "%s is damaged; reading the tables of the packs instead"
							 : "%s is damaged; what it lists is stored again",
				    name.s);
		(*n_out)++;
	}
	free(superseded);
	return rc;
}

static int sync_once(struct cf_catalog *catalog, size_t *n_bad_out, struct cf_err *err)
{
	struct cf_id *listed = NULL, *known = NULL, *bad = NULL;
	size_t n_listed = 0, n_known = 0, n_bad = 0;
	int rc = cf_object_list(catalog->repo, CF_OBJECT_INDEX, &listed, &n_listed, err);

	if (rc == 0)
		rc = known_segments(catalog, &known, &n_known, err);
	if (rc == 0 && !(bad = calloc(n_listed + 1, sizeof(*bad))))
		rc = cf_err_nomem(err);
	if (rc == 0) {
		sort_ids(listed, n_listed);
		rc = load_missing(catalog, listed, n_listed, known, n_known, bad, &n_bad, err);
	}
	if (rc == 0)
		rc = warn_of_bad(catalog, bad, n_bad, n_bad_out, err);
	/* Only now: what new segments list need not be loaded again. */
	if (rc == 0)
		rc = unload_stale(catalog, listed, n_listed, err);
	free(listed);
	free(known);
	free(bad);
	return rc;
}

/* A pack that is in the store and not in the index. */
static int add_pack_locked(struct cf_catalog *catalog, struct cf_segment_pack *pack, struct cf_err *err)
{
	if (cf_id_set_add(&catalog->present, &pack->name) < 0)
		return cf_err_nomem(err);
	return cf_recent_add_pack(catalog->recent, pack, err);
}

struct adoption {
	struct cf_catalog *catalog;
	struct cf_err *err;
	bool condemned_too;
	size_t n;
	int rc;
};

static int adopt_pack(void *user, const char *object, uint64_t size)
{
	struct adoption *a = user;
	struct cf_catalog *catalog = a->catalog;
	struct cf_segment_pack pack = {0};
	const char *slash = strrchr(object, '/');
	struct cf_id name;
	int rc;

	if (!slash || !cf_id_parse(slash + 1, &name) || cf_recent_has_pack(catalog->recent, &name) ||
	    (!a->condemned_too && cf_id_set_has(&catalog->condemned, &name)))
		return 0;
	rc = cf_ctx_check(catalog->repo->ctx, a->err);
	if (rc == 0)
		rc = cf_index_find_pack(catalog->index, &name, a->err);
	if (rc == 0) {
		rc = cf_pack_read_table(catalog->repo, &name, size, &pack, a->err);
		if (rc == CF_ERR_DAMAGED || rc == CF_ERR_KEY) {
			cf_ctx_note(catalog->repo->ctx, "pack.unreadable", object, "%s",
				    a->err ? a->err->text : "damaged");
			cf_err_clear(a->err);
			return 0;
		}
		if (rc == 0)
			rc = add_pack_locked(catalog, &pack, a->err);
		if (rc == 0)
			a->n++;
		cf_pack_table_release(&pack.table);
	}
	a->rc = rc < 0 ? rc : 0;
	return a->rc < 0 ? a->rc : 0;
}

static int adopt_locked(struct cf_catalog *catalog, bool condemned_too, struct cf_err *err)
{
	struct cf_backend *backend = catalog->repo->backend;
	struct adoption a = {.catalog = catalog, .err = err, .condemned_too = condemned_too};
	int rc;

	if (!reads_packs(catalog))
		return 0;
	rc = backend->ops->list(backend, "packs", adopt_pack, &a, err);

	if (a.rc < 0)
		rc = a.rc;
	if (rc == 0) {
		catalog->adopted = true;
		if (a.n)
			cf_ctx_note(catalog->repo->ctx, "packs.adopted", NULL,
				    "%zu packs that no index segment covers are used again", a.n);
	}
	return rc;
}

/* What building the local index anew can help. */
static bool is_index_failure(int rc)
{
	return rc == CF_ERR_DAMAGED || rc == CF_ERR_FULL;
}

/* Begin with an empty index after its file failed: in the file, or in memory when its disk is full. */
static int replace_index(struct cf_catalog *catalog, int why, struct cf_err *err)
{
	if (why != CF_ERR_FULL) {
		cf_err_clear(err);
		return cf_index_reset(catalog->index, err);
	}
	note_memory(catalog, err);
	return cf_index_leave_file(catalog->index, err);
}

static int sync_locked(struct cf_catalog *catalog, struct cf_err *err)
{
	size_t n_bad = 0;
	int rc;

	if (catalog->synced)
		return 0;
	rc = sync_once(catalog, &n_bad, err);
	if (is_index_failure(rc)) {
		n_bad = 0;
		rc = replace_index(catalog, rc, err);
		if (rc == 0)
			rc = sync_once(catalog, &n_bad, err);
	}
	if (rc == 0 && n_bad)
		rc = adopt_locked(catalog, false, err);
	catalog->synced = rc == 0;
	return rc;
}

/* The local index failed: build it anew, so that the caller can ask again. why: how it failed. */
static int rebuild_locked(struct cf_catalog *catalog, int why, struct cf_err *err)
{
	int rc;

	if (why != CF_ERR_FULL)
		cf_ctx_note(catalog->repo->ctx, "index.rebuilt", NULL,
			    "%s; it is built anew from the repository",
			    err ? err->text : "the local index is damaged");
	rc = replace_index(catalog, why, err);
	catalog->synced = false;
	return rc < 0 ? rc : sync_locked(catalog, err);
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

int cf_catalog_sync(struct cf_catalog *catalog, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = sync_locked(catalog, err);
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

/* The pack will stay where it is, as far as is known. */
static bool is_reliable(const struct cf_catalog *catalog, const struct cf_id *pack)
{
	return !cf_id_set_has(&catalog->condemned, pack) && !cf_id_set_has(&catalog->missing, pack) &&
	       (!catalog->is_surveyed || cf_id_set_has(&catalog->present, pack));
}

/* Of two copies the one that is no delta: others may be deltas against it. */
static int rank_reliable(const void *user, const struct cf_location *copy)
{
	return is_reliable(user, &copy->pack) ? copy->bases.n == 0 : -1;
}

/* The same, but anything is better than nothing. */
static int rank_any(const void *user, const struct cf_location *copy)
{
	return (is_reliable(user, &copy->pack) ? 2 : 0) + (copy->bases.n == 0);
}

static int find_in_index(struct cf_catalog *catalog, const struct cf_id *id, cf_index_rank_fn *rank, const void *user,
			 struct cf_location *location_out, struct cf_err *err)
{
	int rc = cf_index_find(catalog->index, id, rank, user, location_out, err);

	if (is_index_failure(rc)) {
		rc = rebuild_locked(catalog, rc, err);
		if (rc == 0)
			rc = cf_index_find(catalog->index, id, rank, user, location_out, err);
	}
	return rc;
}

static int find_ranked(struct cf_catalog *catalog, const struct cf_id *id, cf_index_rank_fn *rank, const void *user,
		       struct cf_location *location_out, struct cf_err *err)
{
	struct cf_location recent;
	int rc = sync_locked(catalog, err), recent_rank = -1;

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

/* A chunk that lost its base and was stored again has two copies, and both may be deltas. */
static int find_complete_locked(struct cf_catalog *catalog, const struct cf_id *id, struct cf_location *location_out,
				struct cf_err *err)
{
	struct passed_over passed = {.catalog = catalog};
	int rc;

	do {
		rc = find_ranked(catalog, id, rank_others, &passed, location_out, err);
		if (rc != 1 || location_out->bases.n == 0)
			return rc;
		rc = has_bases(catalog, &location_out->bases, err);
		if (rc != 0)
			return rc;
		passed.packs[passed.n++] = location_out->pack;
	} while (passed.n < PASSED_MAX);
	return 0;
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

int cf_catalog_require(struct cf_catalog *catalog, const struct cf_id *id, struct cf_location *location_out,
		       struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = find_locked(catalog, id, rank_any, location_out, err);
	if (rc == 0 && !catalog->adopted) {
		rc = adopt_locked(catalog, false, err);
		if (rc == 0)
			rc = find_locked(catalog, id, rank_any, location_out, err);
	}
	/* A damaged b-tree hides rows without a word, and the repository may have grown. Once is enough. */
	if (rc == 0 && !catalog->searched) {
		catalog->searched = true;
		cf_err_set(err, CF_ERR_DAMAGED, "the local index lacks a chunk");
		rc = rebuild_locked(catalog, CF_ERR_DAMAGED, err);
		if (rc == 0)
			rc = find_locked(catalog, id, rank_any, location_out, err);
	}
	pthread_mutex_unlock(&catalog->lock);
	if (rc == 0)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "chunk %.16s is in no pack of the repository",
				cf_id_text(id).s);
	return rc < 0 ? rc : 0;
}

int cf_catalog_find_similar(struct cf_catalog *catalog, const struct cf_sketch *sketch, struct cf_id *id_out,
			    struct cf_location *location_out, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = cf_recent_find_similar(catalog->recent, sketch, id_out, location_out);
	if (rc == 0)
		rc = cf_index_find_similar(catalog->index, sketch, rank_reliable, catalog, id_out, location_out,
					   err);
	if (is_index_failure(rc))
		rc = rebuild_locked(catalog, rc, err); /* 0: nothing similar this time */
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

int cf_catalog_claim(struct cf_catalog *catalog, const struct cf_id *id, struct cf_err *err)
{
	struct cf_location place;
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = find_complete_locked(catalog, id, &place, err);
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
	rc = add_pack_locked(catalog, pack, err);
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

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

static bool is_due(const struct cf_catalog *catalog, bool all)
{
	size_t n = cf_recent_packs(catalog->recent);

	size_t many = reads_packs(catalog) ? PUBLISH_PACKS : PUBLISH_PACKS_BLIND;

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
		if (is_index_failure(rc))
			rc = rebuild_locked(catalog, rc, err); /* which loads the new segment too */
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

	if (is_index_failure(rc)) {
		rc = rebuild_locked(catalog, rc, err);
		if (rc == 0)
			rc = cf_index_set_flag(catalog->index, "unclean", value, err);
	}
	return rc;
}

static int note_present(void *user, const char *object, uint64_t size)
{
	struct cf_catalog *catalog = user;
	const char *slash = strrchr(object, '/');
	struct cf_id name;

	(void)size;
	return slash && cf_id_parse(slash + 1, &name) && cf_id_set_add(&catalog->present, &name) < 0 ? CF_ERR_NOMEM : 0;
}

/* Condemned packs were listed before those that are there: what is removed in between is among the former. */
static int survey_locked(struct cf_catalog *catalog, const struct cf_tombs *tombs, struct cf_err *err)
{
	struct cf_backend *backend = catalog->repo->backend;
	int rc;

	cf_id_set_release(&catalog->present);
	cf_id_set_release(&catalog->condemned);
	memset(catalog->found_bases, 0, sizeof(catalog->found_bases));
	catalog->is_surveyed = false;
	rc = cf_tombs_add_packs(tombs, &catalog->condemned, err);
	if (rc == 0)
		rc = cf_quarantine_add_packs(catalog->repo, &catalog->condemned, err);
	if (rc == 0)
		rc = sync_locked(catalog, err);
	if (rc == 0)
		rc = backend->ops->list(backend, "packs", note_present, catalog, err);
	if (rc == CF_ERR_NOMEM)
		cf_err_nomem(err);
	catalog->is_surveyed = rc == 0;
	return rc;
}

int cf_catalog_condemn(struct cf_catalog *catalog, const struct cf_id *pack, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = cf_id_set_add(&catalog->condemned, pack);
	memset(catalog->found_bases, 0, sizeof(catalog->found_bases));
	pthread_mutex_unlock(&catalog->lock);
	return rc < 0 ? cf_err_nomem(err) : 0;
}

int cf_catalog_adopt(struct cf_catalog *catalog, bool condemned_too, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = sync_locked(catalog, err);
	if (rc == 0)
		rc = adopt_locked(catalog, condemned_too, err);
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
	if (is_index_failure(rc))
		rc = rebuild_locked(catalog, rc, err);
	if (rc == 0)
		rc = survey_locked(catalog, tombs, err);
	if (rc == 0 && (unclean || n_loaded == 0))
		rc = adopt_locked(catalog, false, err);
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

int cf_catalog_each(struct cf_catalog *catalog, cf_index_fn *fn, void *user, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = sync_locked(catalog, err);
	if (rc == 0)
		rc = cf_index_each(catalog->index, fn, user, err);
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}
