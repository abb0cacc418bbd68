#include "repo/pack_reader.h"

#include "base/err.h"
#include "base/le.h"
#include "repo/handle.h"
#include "repo/pack_keys.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	CACHED_KEYS = 1024
};

struct cached_key {
	struct cf_id pack; /* zero: empty */
	struct cf_seal_place place;
};

/* Direct-mapped by pack name; the keys themselves lie in one block of secret memory. */
struct cf_key_cache {
	pthread_mutex_t lock;
	struct cf_secret *keys;
	struct cached_key slots[CACHED_KEYS];
};

struct cf_pack_name cf_pack_name(const struct cf_id *name)
{
	struct cf_id_text text = cf_id_text(name);
	struct cf_pack_name out;

	snprintf(out.s, sizeof(out.s), "packs/%.2s/%s", text.s, text.s);
	return out;
}

int cf_key_cache_new(struct cf_key_cache **cache_out, struct cf_err *err)
{
	struct cf_key_cache *cache = calloc(1, sizeof(*cache));
	int rc = cache ? cf_secret_new((size_t)CACHED_KEYS * CF_KEY_LEN, &cache->keys, err) : cf_err_nomem(err);

	if (rc < 0) {
		free(cache);
		return rc;
	}
	pthread_mutex_init(&cache->lock, NULL);
	*cache_out = cache;
	return 0;
}

void cf_key_cache_free(struct cf_key_cache *cache)
{
	if (!cache)
		return;
	cf_secret_free(cache->keys);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

static size_t key_slot(const struct cf_id *pack)
{
	return cf_le32_get(pack->bytes) % CACHED_KEYS;
}

static bool cached_key(struct cf_key_cache *cache, const struct cf_id *pack, struct cf_seal_place *place_out,
		       uint8_t key_out[CF_KEY_LEN])
{
	size_t i = key_slot(pack);
	bool found;

	pthread_mutex_lock(&cache->lock);
	found = cf_id_equal(&cache->slots[i].pack, pack);
	if (found) {
		*place_out = cache->slots[i].place;
		memcpy(key_out, cf_secret_data(cache->keys) + i * CF_KEY_LEN, CF_KEY_LEN);
	}
	pthread_mutex_unlock(&cache->lock);
	return found;
}

static void remember_key(struct cf_key_cache *cache, const struct cf_id *pack,
			 const struct cf_seal_place *place, const uint8_t key[CF_KEY_LEN])
{
	size_t i = key_slot(pack);

	pthread_mutex_lock(&cache->lock);
	cache->slots[i].pack = *pack;
	cache->slots[i].place = *place;
	memcpy(cf_secret_data(cache->keys) + i * CF_KEY_LEN, key, CF_KEY_LEN);
	pthread_mutex_unlock(&cache->lock);
}

static const struct cf_epoch *find_epoch(const struct cf_keyring *ring, uint32_t number)
{
	for (uint32_t i = 0; i < ring->n_epochs; i++)
		if (ring->epochs[i].number == number)
			return &ring->epochs[i];
	return NULL;
}

bool cf_pack_may_open(const struct cf_repo *repo, const struct cf_id *name)
{
	return cf_keyring_of(repo->ring)->role == CF_ROLE_FULL ||
	       (repo->pack_keys && cf_pack_keys_has(repo->pack_keys, name));
}

/* By the secret key of its epoch. */
static int unseal_key(struct cf_repo *repo, const struct cf_seal_header *header, uint8_t key_out[CF_KEY_LEN],
		      struct cf_err *err)
{
	const struct cf_epoch *epoch = find_epoch(cf_keyring_of(repo->ring), header->epoch);

	if (!epoch && repo->key.is_behind)
		return cf_err_set(err, CF_ERR_KEY,
				  "is of data epoch %u, which the key slot in use was not given: run coffer key rotate with "
				  "another key",
				  header->epoch);
	if (!epoch)
		return cf_err_set(err, CF_ERR_DAMAGED,
				  "has a damaged header, or is of data epoch %u, which this key does not know",
				  header->epoch);
	if (crypto_box_seal_open(key_out, header->sealed_key, CF_SEALED_KEY_LEN, epoch->public_key,
				 epoch->secret_key) != 0)
		return cf_err_set(err, CF_ERR_DAMAGED, "has a damaged header");
	return 0;
}

/* The key of a pack of this name (NULL: of one that only role full opens). */
static int find_key(struct cf_repo *repo, const struct cf_id *name, const struct cf_seal_header *header,
		    uint8_t key_out[CF_KEY_LEN], struct cf_err *err)
{
	int rc = 0;

	if (cf_keyring_of(repo->ring)->role == CF_ROLE_FULL)
		return unseal_key(repo, header, key_out, err);
	if (name && repo->pack_keys)
		rc = cf_pack_keys_get(repo->pack_keys, name, key_out, err);
	if (rc == 0)
		rc = cf_repo_require_full(repo, err);
	return rc < 0 ? rc : 0;
}

/* The pack key by its header. */
static int open_header(struct cf_repo *repo, const struct cf_id *name, struct cf_span bytes,
		       struct cf_seal_header *header, struct cf_seal_place *place_out, uint8_t key_out[CF_KEY_LEN],
		       struct cf_err *err)
{
	uint8_t commitment[CF_COMMITMENT_LEN];
	int rc = cf_seal_header_decode(bytes, header, err);

	if (rc < 0)
		return rc;
	if (header->type != CF_OBJECT_DATA_PACK && header->type != CF_OBJECT_TREE_PACK)
		return cf_err_set(err, CF_ERR_DAMAGED, "is no pack");
	if (header->cipher != repo->config.cipher)
		return cf_err_set(err, CF_ERR_DAMAGED, "has another cipher than the repository");
	rc = find_key(repo, name, header, key_out, err);
	if (rc < 0)
		return rc;
	rc = cf_commitment(header, cf_span_of(key_out, CF_KEY_LEN), commitment, err);
	if (rc == 0 && memcmp(commitment, header->commitment, sizeof(commitment)) != 0)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "has a damaged header");
	*place_out = cf_repo_place(repo, header);
	return rc;
}

static int pack_key(struct cf_repo *repo, const struct cf_id *name, struct cf_seal_place *place_out,
		    uint8_t key_out[CF_KEY_LEN], struct cf_err *err)
{
	struct cf_buf bytes = CF_BUF_INIT;
	struct cf_seal_header header;
	int rc;

	if (cached_key(repo->keys, name, place_out, key_out))
		return 0;
	if (!cf_pack_may_open(repo, name))
		return cf_repo_require_full(repo, err);
	rc = repo->backend->ops->get(repo->backend, cf_pack_name(name).s, 0, CF_PACK_HEADER_LEN, &bytes, err);
	/* A store may let a host add and not read. */
	if (rc == CF_ERR_ACCESS && repo->pack_keys)
		rc = cf_repo_require_full(repo, err);
	if (rc == 0)
		rc = open_header(repo, name, cf_buf_span(&bytes), &header, place_out, key_out, err);
	if (rc == 0)
		remember_key(repo->keys, name, place_out, key_out);
	cf_buf_release(&bytes);
	return rc;
}

/* A missing pack is damage to the repository; name the pack in every message that lacks it. */
static int say_pack(int rc, const struct cf_id *name, struct cf_err *err)
{
	struct cf_pack_name pack = cf_pack_name(name);

	if (rc == CF_ERR_NOT_FOUND)
		return cf_err_set(err, CF_ERR_DAMAGED, "%s is missing from the repository", pack.s);
	if (rc < 0 && err && !strstr(err->text, pack.s))
		cf_err_wrap(err, "%s", pack.s);
	return rc;
}

int cf_pack_read_blob(struct cf_repo *repo, const struct cf_id *name, uint32_t off, uint32_t len,
		      uint32_t number, struct cf_buf *plain_out, struct cf_err *err)
{
	struct cf_buf sealed = CF_BUF_INIT;
	struct cf_seal_place place;
	uint8_t key[CF_KEY_LEN];
	int rc = pack_key(repo, name, &place, key, err);

	if (rc == 0)
		rc = repo->backend->ops->get(repo->backend, cf_pack_name(name).s, off, len, &sealed, err);
	if (rc == 0)
		rc = cf_unseal(&place, cf_span_of(key, sizeof(key)), number, cf_buf_span(&sealed), plain_out,
			       err);
	cf_wipe(key, sizeof(key));
	cf_buf_release(&sealed);
	return say_pack(rc, name, err);
}

/* Where the sealed table is, out of the sealed trailer. */
static int open_trailer(const struct cf_seal_place *place, const uint8_t *key, struct cf_span sealed,
			uint64_t size, uint64_t *off_out, size_t *len_out, struct cf_err *err)
{
	struct cf_buf plain = CF_BUF_INIT;
	uint64_t off, len;
	int rc = cf_unseal(place, cf_span_of(key, CF_KEY_LEN), CF_TRAILER_NUMBER, sealed, &plain, err);

	if (rc == 0) {
		off = cf_le64_get(plain.data);
		len = cf_le64_get(plain.data + 8);
		if (off < CF_PACK_HEADER_LEN || len > CF_TABLE_LEN_MAX || len < CF_TAG_LEN ||
		    off > size - CF_TRAILER_LEN || len != size - CF_TRAILER_LEN - off)
			rc = cf_err_set(err, CF_ERR_DAMAGED, "has a damaged trailer");
		*off_out = off;
		*len_out = (size_t)len;
	}
	cf_buf_release(&plain);
	return rc;
}

/* Decode the sealed table; behind it come zeros, the padding of the pack. */
static int open_table(const struct cf_seal_place *place, const uint8_t *key, struct cf_span sealed,
		      uint64_t table_off, struct cf_pack_table *table_out, struct cf_err *err)
{
	struct cf_buf plain = CF_BUF_INIT;
	uint64_t end = CF_PACK_HEADER_LEN;
	size_t used = 0;
	int rc = cf_unseal(place, cf_span_of(key, CF_KEY_LEN), CF_TABLE_NUMBER, sealed, &plain, err);

	if (rc == 0)
		rc = cf_pack_table_decode(cf_buf_span(&plain), table_out, &used, err);
	for (size_t i = used; rc == 0 && i < plain.len; i++)
		if (plain.data[i] != 0)
			rc = cf_err_set(err, CF_ERR_DAMAGED, "has a damaged table of contents");
	for (size_t i = 0; rc == 0 && i < table_out->n_blobs; i++)
		end += table_out->blobs[i].len;
	if (rc == 0 && end != table_off)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "has a table of contents for other blobs");
	cf_buf_release(&plain);
	return rc;
}

static int check_size(uint64_t size, struct cf_err *err)
{
	if (size < CF_PACK_HEADER_LEN + CF_TRAILER_LEN + CF_TAG_LEN || size > CF_PACK_LEN_MAX)
		return cf_err_set(err, CF_ERR_DAMAGED, "has %llu bytes, which no pack can have",
				  (unsigned long long)size);
	return 0;
}

int cf_pack_read_table(struct cf_repo *repo, const struct cf_id *name, uint64_t size,
		       struct cf_segment_pack *pack_out, struct cf_err *err)
{
	struct cf_segment_pack pack = {.name = *name, .size = size};
	struct cf_buf bytes = CF_BUF_INIT;
	struct cf_seal_place place;
	uint8_t key[CF_KEY_LEN];
	uint64_t off = 0;
	size_t len = 0;
	int rc = check_size(size, err);

	if (rc == 0)
		rc = pack_key(repo, name, &place, key, err);
	if (rc == 0)
		rc = repo->backend->ops->get(repo->backend, cf_pack_name(name).s, size - CF_TRAILER_LEN,
					     CF_TRAILER_LEN, &bytes, err);
	if (rc == 0)
		rc = open_trailer(&place, key, cf_buf_span(&bytes), size, &off, &len, err);
	cf_buf_clear(&bytes);
	if (rc == 0)
		rc = repo->backend->ops->get(repo->backend, cf_pack_name(name).s, off, len, &bytes, err);
	if (rc == 0)
		rc = open_table(&place, key, cf_buf_span(&bytes), off, &pack.table, err);
	cf_wipe(key, sizeof(key));
	cf_buf_release(&bytes);
	if (rc < 0) {
		cf_pack_table_release(&pack.table);
		return say_pack(rc, name, err);
	}
	pack.type = place.type;
	*pack_out = pack;
	return 0;
}

int cf_pack_open_whole(struct cf_repo *repo, const struct cf_id *name, struct cf_span bytes,
		       struct cf_segment_pack *pack_out, struct cf_seal_place *place_out, uint8_t *key_out,
		       struct cf_err *err)
{
	struct cf_segment_pack pack = {.name = *name, .size = bytes.len};
	struct cf_seal_header header;
	uint64_t off = 0;
	size_t len = 0;
	int rc = check_size(bytes.len, err);

	if (rc == 0)
		rc = open_header(repo, name, bytes, &header, place_out, key_out, err);
	if (rc == 0)
		rc = open_trailer(place_out, key_out,
				  cf_span_of(bytes.data + bytes.len - CF_TRAILER_LEN, CF_TRAILER_LEN),
				  bytes.len, &off, &len, err);
	if (rc == 0)
		rc = open_table(place_out, key_out, cf_span_of(bytes.data + off, len), off, &pack.table, err);
	if (rc < 0) {
		cf_pack_table_release(&pack.table);
		return rc;
	}
	pack.type = place_out->type;
	*pack_out = pack;
	return 0;
}

int cf_pack_open_header(struct cf_repo *repo, struct cf_span bytes, struct cf_seal_place *place_out, uint8_t *key_out,
			struct cf_err *err)
{
	struct cf_seal_header header;

	return open_header(repo, NULL, bytes, &header, place_out, key_out, err);
}
