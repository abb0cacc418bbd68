#include "repo/catalog.h"

#include "base/err.h"
#include "repo/handle.h"
#include "repo/object.h"
#include "repo/pack_reader.h"
#include "repo/recent.h"

#include <stdlib.h>
#include <zstd.h>

enum {
	PUBLISH_PACKS = 16,
	PUBLISH_CHUNKS = 100000,
	PUBLISH_PACKS_BLIND = 4, /* of a host that reads no packs: a run that ends early is lost up to the last segment */
	SEGMENT_LEVEL = 3
};

struct cf_catalog {
	struct cf_repo *repo;
	pthread_mutex_t lock;	      /* everything below */
	pthread_mutex_t publish_lock; /* one segment at a time; taken before lock */
	struct cf_index *index;
	struct cf_recent *recent;
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
	pthread_mutex_destroy(&catalog->lock);
	pthread_mutex_destroy(&catalog->publish_lock);
	free(catalog);
}

/* Without role full the tables of packs stay shut, and only index segments tell what is there. */
static bool reads_packs(const struct cf_catalog *catalog)
{
	return cf_keyring_of(catalog->repo->ring)->role == CF_ROLE_FULL;
}

static int unpack_segment(struct cf_span packed, struct cf_segment *segment_out, struct cf_err *err)
{
	unsigned long long len = ZSTD_getFrameContentSize(packed.data, packed.len);
	struct cf_buf plain = CF_BUF_INIT;
	size_t got;
	int rc;

	if (len > CF_OBJECT_LEN_MAX)
		return cf_err_set(err, CF_ERR_DAMAGED, "is damaged inside");
	rc = cf_buf_resize(&plain, (size_t)len, err);
	if (rc == 0) {
		got = ZSTD_decompress(plain.data, plain.len, packed.data, packed.len);
		rc = got == len ? cf_segment_decode(cf_buf_span(&plain), segment_out, err)
				: cf_err_set(err, CF_ERR_DAMAGED, "is damaged inside");
	}
	cf_buf_release(&plain);
	return rc;
}

int cf_segment_read(struct cf_repo *repo, const struct cf_id *id, struct cf_segment *segment_out,
		    struct cf_err *err)
{
	struct cf_buf packed = CF_BUF_INIT;
	int rc = cf_object_get(repo, CF_OBJECT_INDEX, id, &packed, err);

	if (rc == 0) {
		rc = unpack_segment(cf_buf_span(&packed), segment_out, err);
		if (rc < 0)
			cf_err_wrap(err, "%s", cf_object_name(CF_OBJECT_INDEX, id).s);
	}
	cf_buf_release(&packed);
	return rc;
}

static int compare_ids(const void *a, const void *b)
{
	return cf_id_compare(a, b);
}

static bool contains(const struct cf_id *sorted, size_t n, const struct cf_id *id)
{
	return n && bsearch(id, sorted, n, sizeof(*id), compare_ids) != NULL;
}

/* Load what is listed and not loaded. *n_bad_out: segments that could not be read. */
static int load_missing(struct cf_catalog *catalog, const struct cf_id *listed, size_t n_listed,
			const struct cf_id *loaded, size_t n_loaded, size_t *n_bad_out, struct cf_err *err)
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
			cf_ctx_warn(catalog->repo->ctx, "index.damaged",
				    cf_object_name(CF_OBJECT_INDEX, &listed[i]).s,
				    reads_packs(catalog) ? "%s; reading the tables of the packs instead"
							 : "%s; what it lists is stored again",
				    err ? err->text : "damaged");
			cf_err_clear(err);
			(*n_bad_out)++;
			rc = 0;
		} else if (rc == CF_ERR_NOT_FOUND) {
			cf_err_clear(err); /* replaced since it was listed */
			rc = 0;
		}
		cf_segment_release(&segment);
	}
	return rc;
}

static bool all_listed(const struct cf_id *loaded, size_t n_loaded, const struct cf_id *listed,
		       size_t n_listed)
{
	for (size_t i = 0; i < n_loaded; i++)
		if (!contains(listed, n_listed, &loaded[i]))
			return false;
	return true;
}

static int sync_once(struct cf_catalog *catalog, size_t *n_bad_out, struct cf_err *err)
{
	struct cf_id *listed = NULL, *loaded = NULL;
	size_t n_listed = 0, n_loaded = 0;
	int rc = cf_object_list(catalog->repo, CF_OBJECT_INDEX, &listed, &n_listed, err);

	if (rc == 0)
		rc = cf_index_segments(catalog->index, &loaded, &n_loaded, err);
	if (rc < 0)
		goto out;
	if (n_listed)
		qsort(listed, n_listed, sizeof(*listed), compare_ids);
	if (n_loaded)
		qsort(loaded, n_loaded, sizeof(*loaded), compare_ids);
	if (!all_listed(loaded, n_loaded, listed, n_listed)) {
		/* Packs may have gone with the segments that are gone. */
		rc = cf_index_reset(catalog->index, err);
		n_loaded = 0;
	}
	if (rc == 0)
		rc = load_missing(catalog, listed, n_listed, loaded, n_loaded, n_bad_out, err);
out:
	free(listed);
	free(loaded);
	return rc;
}

struct adoption {
	struct cf_catalog *catalog;
	struct cf_err *err;
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

	if (!slash || !cf_id_parse(slash + 1, &name) || cf_recent_has_pack(catalog->recent, &name))
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
			rc = cf_recent_add_pack(catalog->recent, &pack, a->err);
		if (rc == 0)
			a->n++;
		cf_pack_table_release(&pack.table);
	}
	a->rc = rc < 0 ? rc : 0;
	return a->rc < 0 ? a->rc : 0;
}

static int adopt_locked(struct cf_catalog *catalog, struct cf_err *err)
{
	struct cf_backend *backend = catalog->repo->backend;
	struct adoption a = {.catalog = catalog, .err = err};
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
		rc = adopt_locked(catalog, err);
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

static int find_in_index(struct cf_catalog *catalog, const struct cf_id *id, struct cf_location *location_out,
			 struct cf_err *err)
{
	int rc = cf_index_find(catalog->index, id, location_out, err);

	if (is_index_failure(rc)) {
		rc = rebuild_locked(catalog, rc, err);
		if (rc == 0)
			rc = cf_index_find(catalog->index, id, location_out, err);
	}
	return rc;
}

/* Of two copies the one that is no delta: others may be deltas against it. */
static int find_locked(struct cf_catalog *catalog, const struct cf_id *id, struct cf_location *location_out,
		       struct cf_err *err)
{
	struct cf_location indexed;
	bool is_recent;
	int rc = sync_locked(catalog, err);

	if (rc < 0)
		return rc;
	is_recent = cf_recent_find(catalog->recent, id, location_out);
	if (is_recent && location_out->bases.n == 0)
		return 1;
	rc = find_in_index(catalog, id, &indexed, err);
	if (rc == 1 && (!is_recent || indexed.bases.n == 0))
		*location_out = indexed;
	return rc == 0 && is_recent ? 1 : rc;
}

int cf_catalog_find(struct cf_catalog *catalog, const struct cf_id *id, struct cf_location *location_out,
		    struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = find_locked(catalog, id, location_out, err);
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

int cf_catalog_require(struct cf_catalog *catalog, const struct cf_id *id, struct cf_location *location_out,
		       struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = find_locked(catalog, id, location_out, err);
	if (rc == 0 && !catalog->adopted) {
		rc = adopt_locked(catalog, err);
		if (rc == 0)
			rc = find_locked(catalog, id, location_out, err);
	}
	/* A damaged b-tree hides rows without a word, and the repository may have grown. Once is enough. */
	if (rc == 0 && !catalog->searched) {
		catalog->searched = true;
		cf_err_set(err, CF_ERR_DAMAGED, "the local index lacks a chunk");
		rc = rebuild_locked(catalog, CF_ERR_DAMAGED, err);
		if (rc == 0)
			rc = find_locked(catalog, id, location_out, err);
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
		rc = cf_index_find_similar(catalog->index, sketch, id_out, location_out, err);
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
	rc = find_locked(catalog, id, &place, err);
	if (rc == 0)
		rc = cf_recent_claim(catalog->recent, id, err);
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

int cf_catalog_add_pack(struct cf_catalog *catalog, struct cf_segment_pack *pack, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&catalog->lock);
	rc = cf_recent_add_pack(catalog->recent, pack, err);
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

static int put_segment(struct cf_repo *repo, const struct cf_segment *segment, struct cf_id *id_out,
		       uint64_t *stored_out, struct cf_err *err)
{
	struct cf_buf plain = CF_BUF_INIT, packed = CF_BUF_INIT;
	size_t len;
	int rc = cf_segment_encode(segment, &plain, err);

	if (rc == 0)
		rc = cf_buf_resize(&packed, ZSTD_compressBound(plain.len), err);
	if (rc == 0) {
		len = ZSTD_compress(packed.data, packed.len, plain.data, plain.len, SEGMENT_LEVEL);
		rc = ZSTD_isError(len) ? cf_err_set(err, CF_ERR_FAILED, "zstd: %s", ZSTD_getErrorName(len)) : 0;
		packed.len = ZSTD_isError(len) ? 0 : len;
	}
	if (rc == 0)
		rc = cf_object_put(repo, CF_OBJECT_INDEX, cf_buf_span(&packed), id_out, stored_out, err);
	cf_buf_release(&plain);
	cf_buf_release(&packed);
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
	rc = put_segment(catalog->repo, &segment, &id, stored_out, err);
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

int cf_catalog_begin_run(struct cf_catalog *catalog, struct cf_err *err)
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
		rc = sync_locked(catalog, err);
	if (rc == 0 && (unclean || n_loaded == 0))
		rc = adopt_locked(catalog, err);
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
