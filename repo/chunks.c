#include "repo/chunks.h"

#include "base/array.h"
#include "base/err.h"
#include "base/le.h"
#include "repo/catalog.h"
#include "repo/handle.h"
#include "repo/pack_reader.h"

#include <stdlib.h>

enum {
	N_BUCKETS = 512,
	CHECKED_MAX = 16 /* chunks of a frame that are remembered to be right */
};

enum frame_state {
	FRAME_LOADING,
	FRAME_READY,
	FRAME_FAILED
};

/* A chunk of a frame that is what its id says. */
struct checked {
	struct cf_id id;
	uint32_t off, len;
};

/* A decoded blob, shared by its readers. */
struct cf_frame {
	uint64_t pack; /* key: start of the pack's name, and the offset in it */
	uint32_t off;
	enum frame_state state;
	unsigned n_users;
	struct cf_buf plain;
	struct checked checked[CHECKED_MAX];
	unsigned n_checked; /* ever; the oldest are overwritten */
	struct cf_frame *chain;	    /* in its bucket */
	struct cf_frame *newer, *older; /* by last use */
};

struct cf_blob_cache {
	pthread_mutex_t lock;
	pthread_cond_t loaded;
	struct cf_frame *buckets[N_BUCKETS];
	struct cf_frame *newest, *oldest;
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

static struct cf_frame **bucket_of(struct cf_blob_cache *cache, uint64_t pack, uint32_t off)
{
	return &cache->buckets[(pack ^ (off * 0x9e3779b1u)) % N_BUCKETS];
}

static void unlink_use(struct cf_blob_cache *cache, struct cf_frame *f)
{
	*(f->newer ? &f->newer->older : &cache->newest) = f->older;
	*(f->older ? &f->older->newer : &cache->oldest) = f->newer;
}

static void link_newest(struct cf_blob_cache *cache, struct cf_frame *f)
{
	f->newer = NULL;
	f->older = cache->newest;
	*(cache->newest ? &cache->newest->newer : &cache->oldest) = f;
	cache->newest = f;
}

static void remove_frame(struct cf_blob_cache *cache, struct cf_frame *f)
{
	struct cf_frame **at = bucket_of(cache, f->pack, f->off);

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
	struct cf_frame *f = cache->oldest;

	while (f && cache->bytes > cache->budget) {
		struct cf_frame *newer = f->newer;

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
static struct cf_frame *find_frame(struct cf_blob_cache *cache, uint64_t pack, uint32_t off)
{
	struct cf_frame *f = *bucket_of(cache, pack, off);

	while (f && (f->pack != pack || f->off != off || f->state == FRAME_FAILED))
		f = f->chain;
	return f;
}

static void release_frame(struct cf_blob_cache *cache, struct cf_frame *f)
{
	pthread_mutex_lock(&cache->lock);
	f->n_users--;
	if (f->n_users == 0 && f->state == FRAME_FAILED)
		remove_frame(cache, f);
	evict(cache);
	pthread_mutex_unlock(&cache->lock);
}

static struct cf_frame *insert_frame(struct cf_blob_cache *cache, uint64_t pack, uint32_t off)
{
	struct cf_frame *f = calloc(1, sizeof(*f)), **bucket = bucket_of(cache, pack, off);

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
static int wait_for_frame(struct cf_blob_cache *cache, struct cf_frame *f)
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
static int acquire_frame(struct cf_repo *repo, const struct cf_location *place, struct cf_frame **frame_out,
			 struct cf_err *err)
{
	struct cf_blob_cache *cache = repo->blobs;
	uint64_t pack = cf_le64_get(place->pack.bytes);
	struct cf_buf plain = CF_BUF_INIT;
	struct cf_frame *f;
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

/* Where a chunk lies in the blob of whole chunks that holds it; release_frame() that. Its id is not checked. */
static int acquire_chunk(struct cf_repo *repo, const struct cf_id *id, const struct cf_location *place,
			 struct cf_frame **frame_out, struct cf_span *plain_out, struct cf_err *err)
{
	struct cf_frame *f = NULL;
	int rc = acquire_frame(repo, place, &f, err);

	if (rc < 0)
		return rc;
	if (place->frame_off > f->plain.len || place->raw_len > f->plain.len - place->frame_off) {
		release_frame(repo->blobs, f);
		return cf_err_set(err, CF_ERR_DAMAGED, "%s: chunk %.16s lies outside its blob",
				  cf_pack_name(&place->pack).s, cf_id_text(id).s);
	}
	*plain_out = cf_span_of(f->plain.data + place->frame_off, place->raw_len);
	*frame_out = f;
	return 0;
}

static int copy_from_frame(struct cf_repo *repo, const struct cf_id *id, const struct cf_location *place,
			   struct cf_buf *out, struct cf_err *err)
{
	struct cf_frame *f = NULL;
	struct cf_span plain;
	int rc = acquire_chunk(repo, id, place, &f, &plain, err);

	if (rc < 0)
		return rc;
	rc = cf_buf_append(out, plain.data, plain.len, err);
	release_frame(repo->blobs, f);
	return rc;
}

/* Packs from which one chunk could not be read, and the first failure. free() packs. */
struct attempts {
	struct cf_id *packs;
	size_t n, capacity;
	struct cf_err err;
};

/*
 * A pack that is not there may have been removed since the index was read, its chunks being elsewhere now; what was lost in a
 * damaged one, or with the base of a delta, may have been stored again; and whoever may write can store false copies, as many as he
 * likes. 1: look for another copy, after rc was the outcome of reading from this pack.
 */
static int look_again(struct cf_repo *repo, struct attempts *attempts, const struct cf_id *pack, int rc, struct cf_err *err)
{
	struct cf_err failure = err ? *err : (struct cf_err){.code = rc};

	if (rc != CF_ERR_DAMAGED)
		return rc;
	rc = cf_catalog_note_missing(repo->catalog, pack, err);
	if (rc >= 0)
		rc = cf_array_grow(&attempts->packs, &attempts->capacity, attempts->n, sizeof(*attempts->packs), err);
	if (rc < 0)
		return rc;
	if (attempts->n == 0)
		attempts->err = failure;
	attempts->packs[attempts->n++] = *pack;
	cf_err_clear(err);
	return 1;
}

static bool was_tried(const struct attempts *attempts, const struct cf_id *pack)
{
	for (size_t i = 0; i < attempts->n; i++)
		if (cf_id_equal(&attempts->packs[i], pack))
			return true;
	return false;
}

/* Where the chunk is, but where it could not be read from before. */
static int find_next(struct cf_repo *repo, const struct attempts *attempts, const struct cf_id *id, bool as_base,
		     struct cf_location *place_out, struct cf_err *err)
{
	int rc = cf_catalog_require(repo->catalog, id, as_base, place_out, err);

	/* False segments can take the place of true ones: packs that none covers are looked into before this fails. */
	if (rc == 0 && was_tried(attempts, &place_out->pack)) {
		rc = cf_catalog_search(repo->catalog, err);
		if (rc == 0)
			rc = cf_catalog_require(repo->catalog, id, as_base, place_out, err);
	}
	if (rc == 0 && was_tried(attempts, &place_out->pack))
		rc = cf_err_set(err, attempts->err.code, "%s", attempts->err.text);
	return rc;
}

static bool is_checked(struct cf_blob_cache *cache, struct cf_frame *frame, const struct checked *wanted)
{
	bool found = false;

	pthread_mutex_lock(&cache->lock);
	for (unsigned i = 0; !found && i < frame->n_checked && i < CHECKED_MAX; i++) {
		const struct checked *c = &frame->checked[i];

		found = c->off == wanted->off && c->len == wanted->len && cf_id_equal(&c->id, &wanted->id);
	}
	pthread_mutex_unlock(&cache->lock);
	return found;
}

static void note_checked(struct cf_blob_cache *cache, struct cf_frame *frame, const struct checked *c)
{
	pthread_mutex_lock(&cache->lock);
	frame->checked[frame->n_checked++ % CHECKED_MAX] = *c;
	pthread_mutex_unlock(&cache->lock);
}

static struct checked checked_of(const struct cf_id *id, const struct cf_location *place)
{
	return (struct checked){.id = *id, .off = place->frame_off, .len = place->raw_len};
}

/* Neighbouring chunks try the same bases, so what was found right is remembered while its frame is. */
static int check_base(struct cf_repo *repo, struct cf_frame *frame, const struct cf_id *id,
		      const struct cf_location *place, struct cf_err *err)
{
	const struct checked c = checked_of(id, place);
	int rc;

	if (is_checked(repo->blobs, frame, &c))
		return 0;
	rc = check_run(repo, id, place, 1, frame->plain.data + c.off, err);
	if (rc == 0)
		note_checked(repo->blobs, frame, &c);
	return rc;
}

/* A base, whose id is checked or still to be. */
static int acquire_base(struct cf_repo *repo, const struct cf_id *id, bool check, struct cf_location *place_out,
			struct cf_frame **frame_out, struct cf_span *plain_out, struct cf_err *err)
{
	struct attempts attempts = {.n = 0};
	int rc;

	do {
		rc = find_next(repo, &attempts, id, true, place_out, err);
		if (rc == 0 && place_out->bases.n)
			rc = cf_err_set(err, CF_ERR_DAMAGED, "chunk %.16s, the base of another, is itself a delta",
					cf_id_text(id).s);
		if (rc < 0)
			break;
		rc = acquire_chunk(repo, id, place_out, frame_out, plain_out, err);
		if (rc == 0 && check) {
			rc = check_base(repo, *frame_out, id, place_out, err);
			if (rc < 0)
				release_frame(repo->blobs, *frame_out);
		}
		rc = look_again(repo, &attempts, &place_out->pack, rc, err);
	} while (rc == 1);
	free(attempts.packs);
	return rc;
}

/* Bases in use, and those of them that are still to be checked. */
struct base_check {
	struct cf_frame *frames[CF_CHUNKS_AT_ONCE];
	struct checked wanted[CF_CHUNKS_AT_ONCE];
	struct cf_span plain[CF_CHUNKS_AT_ONCE];
	size_t n;
};

static int add_base(struct cf_repo *repo, struct base_check *check, const struct cf_id *id, struct cf_err *err)
{
	struct cf_location place;
	size_t i = check->n;
	int rc = acquire_base(repo, id, false, &place, &check->frames[i], &check->plain[i], err);

	if (rc == CF_ERR_DAMAGED || rc == CF_ERR_KEY) {
		cf_err_clear(err);
		return 0;
	}
	if (rc < 0)
		return rc;
	check->wanted[i] = checked_of(id, &place);
	if (place.pack_type == CF_OBJECT_DATA_PACK && !is_checked(repo->blobs, check->frames[i], &check->wanted[i]))
		check->n++;
	else
		release_frame(repo->blobs, check->frames[i]);
	return 0;
}

int cf_bases_check(struct cf_repo *repo, const struct cf_id *ids, size_t n, struct cf_err *err)
{
	struct cf_id found[CF_CHUNKS_AT_ONCE];
	struct base_check check = {.n = 0};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = add_base(repo, &check, &ids[i], err);
	if (rc == 0 && check.n)
		rc = cf_hmac_run_many(repo->data_id_hmac, check.plain, check.n, found, err);
	for (size_t i = 0; i < check.n; i++) {
		if (rc == 0 && cf_id_equal(&found[i], &check.wanted[i].id))
			note_checked(repo->blobs, check.frames[i], &check.wanted[i]);
		release_frame(repo->blobs, check.frames[i]);
	}
	return rc;
}

/* Put a base behind what the prefix has. The frame becomes the prefix's or is let go. */
static int extend_prefix(struct cf_repo *repo, struct cf_prefix *prefix, struct cf_frame *frame, struct cf_span plain,
			 struct cf_err *err)
{
	struct cf_span before = prefix->bytes;
	int rc = 0;

	if (before.len == 0) {
		prefix->frame = frame;
		prefix->bytes = plain;
		return 0;
	}
	if (prefix->frame == frame && before.data + before.len == plain.data) {
		prefix->bytes.len += plain.len;
	} else {
		cf_buf_clear(&prefix->copy);
		rc = cf_buf_reserve(&prefix->copy, before.len + plain.len, err);
		if (rc == 0) {
			cf_buf_append(&prefix->copy, before.data, before.len, NULL);
			cf_buf_append(&prefix->copy, plain.data, plain.len, NULL);
			release_frame(repo->blobs, prefix->frame);
			prefix->frame = NULL;
			prefix->bytes = cf_buf_span(&prefix->copy);
		}
	}
	release_frame(repo->blobs, frame);
	return rc;
}

static void drop_prefix(struct cf_repo *repo, struct cf_prefix *prefix)
{
	if (prefix->frame)
		release_frame(repo->blobs, prefix->frame);
	prefix->frame = NULL;
	prefix->bytes = cf_span_of(NULL, 0);
}

static int read_prefix(struct cf_repo *repo, const struct cf_bases *bases, bool check, struct cf_prefix *prefix,
		       struct cf_err *err)
{
	int rc = 0;

	drop_prefix(repo, prefix);
	for (unsigned i = 0; rc == 0 && i < bases->n; i++) {
		struct cf_frame *frame = NULL;
		struct cf_location place;
		struct cf_span plain;

		rc = acquire_base(repo, &bases->ids[i], check, &place, &frame, &plain, err);
		if (rc == 0)
			rc = extend_prefix(repo, prefix, frame, plain, err);
	}
	if (rc < 0)
		drop_prefix(repo, prefix);
	return rc;
}

/* Append a chunk that is a delta. A base need not be checked by itself, but to tell which pack is at fault: the chunk's own id tells
 * whether it was right. */
static int copy_delta(struct cf_repo *repo, const struct cf_location *place, bool check_bases, struct cf_buf *out,
		      struct cf_err *err)
{
	struct cf_prefix prefix = {0};
	struct cf_buf plain = CF_BUF_INIT;
	int rc = read_prefix(repo, &place->bases, check_bases, &prefix, err);

	if (rc == 0)
		rc = decode_blob(repo, place, prefix.bytes, &plain, err);
	if (rc == 0)
		rc = cf_buf_append(out, plain.data, plain.len, err);
	cf_prefix_release(repo, &prefix);
	cf_buf_release(&plain);
	return rc;
}

/* Append one chunk. Its id is checked, and its bases' ids, or still to be. A length that is listed wrongly is no fault of the pack. */
static int copy_chunk(struct cf_repo *repo, const struct cf_id *id, const uint64_t *len, bool check,
		      struct cf_location *place_out, struct cf_buf *out, struct cf_err *err)
{
	struct attempts attempts = {.n = 0};
	size_t start = out->len;
	int rc;

	do {
		cf_buf_resize(out, start, NULL);
		rc = find_next(repo, &attempts, id, false, place_out, err);
		if (rc < 0)
			break;
		rc = place_out->bases.n ? copy_delta(repo, place_out, check, out, err)
					: copy_from_frame(repo, id, place_out, out, err);
		if (rc == 0 && check)
			rc = check_run(repo, id, place_out, 1, out->data + start, err);
		rc = look_again(repo, &attempts, &place_out->pack, rc, err);
	} while (rc == 1);
	free(attempts.packs);
	if (rc == 0 && len && place_out->raw_len != *len)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "chunk %.16s has another length than listed", cf_id_text(id).s);
	return rc;
}

static int copy_all(struct cf_repo *repo, const struct cf_id *ids, const uint64_t *lens, size_t n, bool check,
		    struct cf_location *places, struct cf_buf *out, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = copy_chunk(repo, &ids[i], lens ? &lens[i] : NULL, check, &places[i], out, err);
	return rc;
}

/* Many ids are checked faster at once. When one of them is not right each chunk is looked for in other packs, by itself. */
int cf_chunks_read(struct cf_repo *repo, const struct cf_id *ids, const uint64_t *lens, size_t n,
		   struct cf_buf *out, struct cf_err *err)
{
	struct cf_location places[CF_CHUNKS_AT_ONCE];
	size_t start = out->len;
	int rc = copy_all(repo, ids, lens, n, false, places, out, err);

	if (rc == 0 && n)
		rc = check_run(repo, ids, places, n, out->data + start, err);
	if (rc == CF_ERR_DAMAGED) {
		cf_err_clear(err);
		cf_buf_resize(out, start, NULL);
		rc = copy_all(repo, ids, lens, n, true, places, out, err);
	}
	if (rc < 0)
		cf_buf_resize(out, start, NULL);
	return rc;
}

static int copy_apart(struct cf_repo *repo, const struct cf_id *ids, const uint64_t *lens, size_t n, bool check,
		      struct cf_location *places, struct cf_buf *outs, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		cf_buf_clear(&outs[i]);
		rc = copy_chunk(repo, &ids[i], &lens[i], check, &places[i], &outs[i], err);
	}
	return rc;
}

int cf_chunks_read_apart(struct cf_repo *repo, const struct cf_id *ids, const uint64_t *lens, size_t n,
			 struct cf_buf *outs, struct cf_err *err)
{
	struct cf_location places[CF_CHUNKS_AT_ONCE];
	struct cf_span spans[CF_CHUNKS_AT_ONCE];
	int rc = copy_apart(repo, ids, lens, n, false, places, outs, err);

	for (size_t i = 0; rc == 0 && i < n; i++)
		spans[i] = cf_buf_span(&outs[i]);
	if (rc == 0 && n)
		rc = check_ids(repo, ids, places, n, spans, err);
	if (rc != CF_ERR_DAMAGED)
		return rc;
	cf_err_clear(err);
	return copy_apart(repo, ids, lens, n, true, places, outs, err);
}

int cf_chunk_read(struct cf_repo *repo, const struct cf_id *id, struct cf_buf *out, struct cf_err *err)
{
	return cf_chunks_read(repo, id, NULL, 1, out, err);
}

int cf_prefix_read(struct cf_repo *repo, const struct cf_bases *bases, struct cf_prefix *prefix, struct cf_err *err)
{
	return read_prefix(repo, bases, true, prefix, err);
}

void cf_prefix_release(struct cf_repo *repo, struct cf_prefix *prefix)
{
	drop_prefix(repo, prefix);
	cf_buf_release(&prefix->copy);
}
