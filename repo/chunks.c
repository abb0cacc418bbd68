#include "repo/chunks.h"

#include "base/err.h"
#include "base/le.h"
#include "repo/catalog.h"
#include "repo/handle.h"
#include "repo/pack_reader.h"

#include <stdlib.h>

enum {
	N_BUCKETS = 512
};

enum frame_state {
	FRAME_LOADING,
	FRAME_READY,
	FRAME_FAILED
};

/* A decoded blob, shared by its readers. */
struct frame {
	uint64_t pack; /* key: start of the pack's name, and the offset in it */
	uint32_t off;
	enum frame_state state;
	unsigned n_users;
	struct cf_buf plain;
	struct frame *chain;	    /* in its bucket */
	struct frame *newer, *older; /* by last use */
};

struct cf_blob_cache {
	pthread_mutex_t lock;
	pthread_cond_t loaded;
	struct frame *buckets[N_BUCKETS];
	struct frame *newest, *oldest;
	size_t bytes, budget;
};

int cf_blob_cache_new(size_t budget, struct cf_blob_cache **cache_out, struct cf_err *err)
{
	struct cf_blob_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return cf_err_nomem(err);
	pthread_mutex_init(&cache->lock, NULL);
	pthread_cond_init(&cache->loaded, NULL);
	cache->budget = budget;
	*cache_out = cache;
	return 0;
}

static struct frame **bucket_of(struct cf_blob_cache *cache, uint64_t pack, uint32_t off)
{
	return &cache->buckets[(pack ^ (off * 0x9e3779b1u)) % N_BUCKETS];
}

static void unlink_use(struct cf_blob_cache *cache, struct frame *f)
{
	*(f->newer ? &f->newer->older : &cache->newest) = f->older;
	*(f->older ? &f->older->newer : &cache->oldest) = f->newer;
}

static void link_newest(struct cf_blob_cache *cache, struct frame *f)
{
	f->newer = NULL;
	f->older = cache->newest;
	*(cache->newest ? &cache->newest->newer : &cache->oldest) = f;
	cache->newest = f;
}

static void remove_frame(struct cf_blob_cache *cache, struct frame *f)
{
	struct frame **at = bucket_of(cache, f->pack, f->off);

	while (*at != f)
		at = &(*at)->chain;
	*at = f->chain;
	unlink_use(cache, f);
	cache->bytes -= f->plain.len;
	cf_buf_release(&f->plain);
	free(f);
}

static void evict(struct cf_blob_cache *cache)
{
	struct frame *f = cache->oldest;

	while (f && cache->bytes > cache->budget) {
		struct frame *newer = f->newer;

		if (f->n_users == 0)
			remove_frame(cache, f);
		f = newer;
	}
}

void cf_blob_cache_free(struct cf_blob_cache *cache)
{
	if (!cache)
		return;
	while (cache->oldest)
		remove_frame(cache, cache->oldest);
	pthread_mutex_destroy(&cache->lock);
	pthread_cond_destroy(&cache->loaded);
	free(cache);
}

/* Decode a blob into out. base is the prefix of a delta, else empty. */
static int decode_blob(struct cf_repo *repo, const struct cf_location *place, struct cf_span base,
		       struct cf_buf *out, struct cf_err *err)
{
	struct cf_coder_slot *slot = NULL;
	int rc = cf_repo_take_coder(repo, &slot, err);

	if (rc < 0)
		return rc;
	cf_buf_clear(&slot->sealed);
	rc = cf_pack_read_blob(repo, &place->pack, place->off, place->len, place->number, &slot->sealed, err);
	if (rc == 0) {
		rc = cf_codec_decode(&slot->coder, cf_buf_span(&slot->sealed), base, place->frame_len, out, err);
		if (rc < 0)
			cf_err_wrap(err, "%s", cf_pack_name(&place->pack).s);
	}
	cf_repo_give_coder(repo, slot);
	return rc;
}

/* One that failed is only waiting for its last user to let go: whoever comes later tries for itself. */
static struct frame *find_frame(struct cf_blob_cache *cache, uint64_t pack, uint32_t off)
{
	struct frame *f = *bucket_of(cache, pack, off);

	while (f && (f->pack != pack || f->off != off || f->state == FRAME_FAILED))
		f = f->chain;
	return f;
}

static void release_frame(struct cf_blob_cache *cache, struct frame *f)
{
	pthread_mutex_lock(&cache->lock);
	f->n_users--;
	if (f->n_users == 0 && f->state == FRAME_FAILED)
		remove_frame(cache, f);
	evict(cache);
	pthread_mutex_unlock(&cache->lock);
}

static struct frame *insert_frame(struct cf_blob_cache *cache, uint64_t pack, uint32_t off)
{
	struct frame *f = calloc(1, sizeof(*f)), **bucket = bucket_of(cache, pack, off);

	if (!f)
		return NULL;
	f->pack = pack;
	f->off = off;
	f->n_users = 1;
	f->chain = *bucket;
	*bucket = f;
	link_newest(cache, f);
	return f;
}

/* Wait for a frame that another thread decodes. 1: it is ready; 0: that thread failed. Called with the lock held. */
static int wait_for_frame(struct cf_blob_cache *cache, struct frame *f)
{
	f->n_users++;
	while (f->state == FRAME_LOADING)
		pthread_cond_wait(&cache->loaded, &cache->lock);
	if (f->state == FRAME_READY) {
		unlink_use(cache, f);
		link_newest(cache, f);
		return 1;
	}
	if (--f->n_users == 0)
		remove_frame(cache, f);
	return 0;
}

/* The decoded blob of a place that is no delta; release_frame() it. */
static int acquire_frame(struct cf_repo *repo, const struct cf_location *place, struct frame **frame_out,
			 struct cf_err *err)
{
	struct cf_blob_cache *cache = repo->blobs;
	uint64_t pack = cf_le64_get(place->pack.bytes);
	struct cf_buf plain = CF_BUF_INIT;
	struct frame *f;
	int rc;

	pthread_mutex_lock(&cache->lock);
	while ((f = find_frame(cache, pack, place->off))) {
		if (!wait_for_frame(cache, f))
			continue;
		pthread_mutex_unlock(&cache->lock);
		*frame_out = f;
		return 0;
	}
	f = insert_frame(cache, pack, place->off);
	pthread_mutex_unlock(&cache->lock);
	if (!f)
		return cf_err_nomem(err);
	rc = decode_blob(repo, place, cf_span_of(NULL, 0), &plain, err);
	pthread_mutex_lock(&cache->lock);
	f->plain = plain;
	cache->bytes += plain.len;
	f->state = rc == 0 ? FRAME_READY : FRAME_FAILED;
	pthread_cond_broadcast(&cache->loaded);
	pthread_mutex_unlock(&cache->lock);
	if (rc < 0) {
		release_frame(cache, f);
		return rc;
	}
	*frame_out = f;
	return 0;
}

int cf_chunk_id(struct cf_repo *repo, enum cf_object_type pack_type, struct cf_span plain,
		struct cf_id *id_out, struct cf_err *err)
{
	return cf_hmac_run(pack_type == CF_OBJECT_TREE_PACK ? repo->tree_id_hmac : repo->data_id_hmac, plain,
			   id_out, err);
}

/* One id against one chunk of a message's bytes. */
static int compare_id(const struct cf_id *id, const struct cf_id *found, const struct cf_location *place,
		      struct cf_err *err)
{
	if (cf_id_equal(found, id))
		return 0;
	return cf_err_set(err, CF_ERR_DAMAGED, "%s: chunk %.16s is not what its id says",
			  cf_pack_name(&place->pack).s, cf_id_text(id).s);
}

/* Append a chunk that lies in a blob of whole chunks. Its id is not checked. */
static int copy_from_frame(struct cf_repo *repo, const struct cf_id *id, const struct cf_location *place,
			   struct cf_buf *out, struct cf_err *err)
{
	struct frame *f = NULL;
	int rc = acquire_frame(repo, place, &f, err);

	if (rc < 0)
		return rc;
	if (place->frame_off > f->plain.len || place->raw_len > f->plain.len - place->frame_off)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "%s: chunk %.16s lies outside its blob",
				cf_pack_name(&place->pack).s, cf_id_text(id).s);
	else
		rc = cf_buf_append(out, f->plain.data + place->frame_off, place->raw_len, err);
	release_frame(repo->blobs, f);
	return rc;
}

/* A pack that is not there may have been removed since the index was read, its chunks being elsewhere now. 1: look again. */
static int look_again(struct cf_repo *repo, const struct cf_id *pack, struct cf_err *err)
{
	struct cf_err before = err ? *err : (struct cf_err)CF_ERR_INIT;
	int rc = cf_catalog_note_missing(repo->catalog, pack, err);

	if (rc == 1)
		cf_err_clear(err);
	else if (rc == 0)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "%s is missing (%s)", cf_pack_name(pack).s, before.text);
	return rc;
}

static int copy_base(struct cf_repo *repo, const struct cf_id *id, struct cf_location *place_out,
		     struct cf_buf *out, struct cf_err *err)
{
	int rc;

	do {
		rc = cf_catalog_require(repo->catalog, id, place_out, err);
		if (rc == 0 && place_out->bases.n)
			rc = cf_err_set(err, CF_ERR_DAMAGED, "chunk %.16s, the base of another, is itself a delta",
					cf_id_text(id).s);
		if (rc == 0)
			rc = copy_from_frame(repo, id, place_out, out, err);
		if (rc == CF_ERR_NOT_FOUND)
			rc = look_again(repo, &place_out->pack, err);
	} while (rc == 1);
	return rc;
}

/* Append a chunk that is a delta. A base need not be checked by itself: the chunk's own id tells whether it was right. */
static int copy_delta(struct cf_repo *repo, const struct cf_location *place, struct cf_buf *out,
		      struct cf_err *err)
{
	struct cf_buf base = CF_BUF_INIT, plain = CF_BUF_INIT;
	struct cf_location base_place;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < place->bases.n; i++)
		rc = copy_base(repo, &place->bases.ids[i], &base_place, &base, err);
	if (rc == 0)
		rc = decode_blob(repo, place, cf_buf_span(&base), &plain, err);
	if (rc == 0)
		rc = cf_buf_append(out, plain.data, plain.len, err);
	cf_buf_release(&base);
	cf_buf_release(&plain);
	return rc;
}

/* A delta that cannot be read, for its bases are gone: there may be a whole copy yet. Else the failure stands. */
static int copy_whole_instead(struct cf_repo *repo, const struct cf_id *id, struct cf_location *place_out, int failure,
			      struct cf_buf *out, struct cf_err *err)
{
	struct cf_location whole;

	if (cf_catalog_find_whole(repo->catalog, id, &whole, NULL) != 1 ||
	    copy_from_frame(repo, id, &whole, out, NULL) < 0)
		return failure;
	*place_out = whole;
	cf_err_clear(err);
	return 0;
}

/* Append one chunk whose id is still to be checked. */
static int copy_chunk(struct cf_repo *repo, const struct cf_id *id, struct cf_location *place_out,
		      struct cf_buf *out, struct cf_err *err)
{
	int rc;

	do {
		rc = cf_catalog_require(repo->catalog, id, place_out, err);
		if (rc < 0)
			return rc;
		rc = place_out->bases.n ? copy_delta(repo, place_out, out, err)
					: copy_from_frame(repo, id, place_out, out, err);
		if (rc == CF_ERR_NOT_FOUND)
			rc = look_again(repo, &place_out->pack, err);
	} while (rc == 1);
	if (rc == CF_ERR_DAMAGED && place_out->bases.n)
		rc = copy_whole_instead(repo, id, place_out, rc, out, err);
	return rc;
}

static int check_ids(struct cf_repo *repo, const struct cf_id *ids, const struct cf_location *places, size_t n,
		     const struct cf_span *plain, struct cf_err *err)
{
	struct cf_id found[CF_CHUNKS_AT_ONCE];
	enum cf_object_type type = places[0].pack_type;
	int rc;

	for (size_t i = 0; i < n; i++)
		if (places[i].pack_type != type)
			return cf_err_set(err, CF_ERR_DAMAGED, "%s: chunk %.16s is of another kind than expected",
					  cf_pack_name(&places[i].pack).s, cf_id_text(&ids[i]).s);
	rc = cf_hmac_run_many(type == CF_OBJECT_TREE_PACK ? repo->tree_id_hmac : repo->data_id_hmac, plain, n,
			      found, err);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = compare_id(&ids[i], &found[i], &places[i], err);
	return rc;
}

/* The same for chunks that lie one behind the other. */
static int check_run(struct cf_repo *repo, const struct cf_id *ids, const struct cf_location *places, size_t n,
		     const uint8_t *plain, struct cf_err *err)
{
	struct cf_span spans[CF_CHUNKS_AT_ONCE] = {{0}};

	for (size_t i = 0; i < n; i++) {
		spans[i] = cf_span_of(plain, places[i].raw_len);
		plain += places[i].raw_len;
	}
	return check_ids(repo, ids, places, n, spans, err);
}

static int copy_listed(struct cf_repo *repo, const struct cf_id *id, const uint64_t *len,
		       struct cf_location *place_out, struct cf_buf *out, struct cf_err *err)
{
	int rc = copy_chunk(repo, id, place_out, out, err);

	if (rc == 0 && len && place_out->raw_len != *len)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "chunk %.16s has another length than listed",
				cf_id_text(id).s);
	return rc;
}

int cf_chunks_read(struct cf_repo *repo, const struct cf_id *ids, const uint64_t *lens, size_t n,
		   struct cf_buf *out, struct cf_err *err)
{
	struct cf_location places[CF_CHUNKS_AT_ONCE];
	size_t start = out->len;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = copy_listed(repo, &ids[i], lens ? &lens[i] : NULL, &places[i], out, err);
	if (rc == 0 && n)
		rc = check_run(repo, ids, places, n, out->data + start, err);
	if (rc < 0)
		cf_buf_resize(out, start, NULL);
	return rc;
}

int cf_chunks_read_apart(struct cf_repo *repo, const struct cf_id *ids, const uint64_t *lens, size_t n,
			 struct cf_buf *outs, struct cf_err *err)
{
	struct cf_location places[CF_CHUNKS_AT_ONCE];
	struct cf_span spans[CF_CHUNKS_AT_ONCE];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		cf_buf_clear(&outs[i]);
		rc = copy_listed(repo, &ids[i], &lens[i], &places[i], &outs[i], err);
		spans[i] = cf_buf_span(&outs[i]);
	}
	return rc == 0 && n ? check_ids(repo, ids, places, n, spans, err) : rc;
}

int cf_chunk_read(struct cf_repo *repo, const struct cf_id *id, struct cf_buf *out, struct cf_err *err)
{
	return cf_chunks_read(repo, id, NULL, 1, out, err);
}

int cf_bases_read(struct cf_repo *repo, const struct cf_bases *bases, struct cf_buf *out, struct cf_err *err)
{
	struct cf_location places[CF_BASES_MAX];
	size_t start = out->len;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < bases->n; i++)
		rc = copy_base(repo, &bases->ids[i], &places[i], out, err);
	if (rc == 0)
		rc = check_run(repo, bases->ids, places, bases->n, out->data + start, err);
	return rc;
}
