#include "repo/packer.h"

#include "base/err.h"
#include "base/le.h"
#include "repo/catalog.h"
#include "repo/handle.h"
#include "repo/pack_keys.h"
#include "repo/pack_reader.h"

#include <sodium.h>
#include <stdlib.h>

enum {
	TARGET_LEN = 32 << 20,
	BLOBS_MAX = 60000, /* of a pack: bounds its table */
	TABLE_BLOB_LEN = 12 /* of a blob's record in the table, without its chunks */
};

struct sealed_blob {
	struct cf_buf bytes;
	uint32_t number;
	enum cf_codec codec;
	struct cf_table_chunk *chunks;
	uint32_t n_chunks;
};

struct open_pack {
	struct cf_seal_header header;
	struct cf_seal_place place;
	struct cf_secret *key;
	uint64_t reserved; /* bytes, of blobs handed in and under way */
	uint32_t n_numbers, n_under_way;
	bool full;
	struct sealed_blob *blobs;
	size_t n_blobs, capacity;
};

struct cf_packer {
	struct cf_repo *repo;
	uint64_t target_len;
	bool dry_run;
	pthread_mutex_t lock;
	struct open_pack *open[2]; /* data, tree */
	atomic_uint_least64_t stored;
};

int cf_packer_new(struct cf_repo *repo, const struct cf_packer_options *options,
		  struct cf_packer **packer_out, struct cf_err *err)
{
	struct cf_packer *packer = calloc(1, sizeof(*packer));

	if (!packer)
		return cf_err_nomem(err);
	packer->repo = repo;
	packer->target_len = options->target_len ? options->target_len : TARGET_LEN;
	packer->dry_run = options->dry_run;
	pthread_mutex_init(&packer->lock, NULL);
	*packer_out = packer;
	return 0;
}

uint64_t cf_packer_stored(const struct cf_packer *packer)
{
	return atomic_load(&packer->stored);
}

static void free_pack(struct open_pack *pack)
{
	if (!pack)
		return;
	for (size_t i = 0; i < pack->n_blobs; i++) {
		cf_buf_release(&pack->blobs[i].bytes);
		free(pack->blobs[i].chunks);
	}
	free(pack->blobs);
	cf_secret_free(pack->key);
	free(pack);
}

void cf_packer_free(struct cf_packer *packer)
{
	if (!packer)
		return;
	free_pack(packer->open[0]);
	free_pack(packer->open[1]);
	pthread_mutex_destroy(&packer->lock);
	free(packer);
}

/* A pack key of its own, sealed to the newest epoch. */
static int begin_pack(struct cf_packer *packer, enum cf_object_type type, struct open_pack **pack_out,
		      struct cf_err *err)
{
	const struct cf_keyring *ring = cf_keyring_of(packer->repo->ring);
	const struct cf_epoch *epoch = &ring->epochs[ring->n_epochs - 1];
	struct open_pack *pack = calloc(1, sizeof(*pack));
	int rc;

	if (!pack)
		return cf_err_nomem(err);
	pack->header = (struct cf_seal_header){.type = type,
					       .cipher = (uint8_t)packer->repo->config.cipher,
					       .epoch = epoch->number};
	pack->reserved = CF_PACK_HEADER_LEN + CF_TRAILER_LEN + CF_TAG_LEN + 5;
	cf_random(pack->header.key_id, CF_KEY_ID_LEN);
	rc = cf_secret_new(CF_KEY_LEN, &pack->key, err);
	if (rc == 0) {
		cf_random(cf_secret_data(pack->key), CF_KEY_LEN);
		if (crypto_box_seal(pack->header.sealed_key, cf_secret_data(pack->key), CF_KEY_LEN,
				    epoch->public_key) != 0)
			rc = cf_err_set(err, CF_ERR_FAILED, "libsodium refuses to seal a pack key");
	}
	if (rc == 0)
		rc = cf_commitment(&pack->header, cf_secret_span(pack->key), pack->header.commitment, err);
	if (rc < 0) {
		free_pack(pack);
		return rc;
	}
	pack->place = cf_repo_place(packer->repo, &pack->header);
	*pack_out = pack;
	return 0;
}

/* A blob that does not fit ends the pack before it, so that a full pack is just short of its target: a length that
 * PADME leaves alone. */
static bool is_full_for(const struct cf_packer *packer, const struct open_pack *pack, uint64_t len)
{
	return pack->n_numbers > 0 &&
	       (pack->reserved + len > packer->target_len || pack->n_numbers >= BLOBS_MAX);
}

/* A number in the open pack. *ripe_out: NULL, or a full pack that the caller must store. */
static int reserve(struct cf_packer *packer, enum cf_object_type type, uint64_t len,
		   struct open_pack **pack_out, uint32_t *number_out, struct open_pack **ripe_out,
		   struct cf_err *err)
{
	struct open_pack **open = &packer->open[type == CF_OBJECT_TREE_PACK];
	int rc = 0;

	pthread_mutex_lock(&packer->lock);
	if (*open && is_full_for(packer, *open, len)) {
		(*open)->full = true;
		if ((*open)->n_under_way == 0)
			*ripe_out = *open;
		*open = NULL;
	}
	if (!*open)
		rc = begin_pack(packer, type, open, err);
	if (rc == 0) {
		struct open_pack *pack = *open;

		*pack_out = pack;
		*number_out = pack->n_numbers++;
		pack->n_under_way++;
		pack->reserved += len;
	}
	pthread_mutex_unlock(&packer->lock);
	return rc;
}

/* Hand a sealed blob in, or give its number up when blob is NULL. *last_out: the caller must store the pack. */
static int hand_in(struct cf_packer *packer, struct open_pack *pack, const struct sealed_blob *blob,
		   bool *last_out, struct cf_err *err)
{
	int rc = 0;

	pthread_mutex_lock(&packer->lock);
	if (blob && pack->n_blobs == pack->capacity) {
		size_t capacity = pack->capacity ? 2 * pack->capacity : 64;
		struct sealed_blob *blobs = realloc(pack->blobs, capacity * sizeof(*blobs));

		if (blobs) {
			pack->blobs = blobs;
			pack->capacity = capacity;
		} else {
			rc = cf_err_nomem(err);
		}
	}
	if (blob && rc == 0)
		pack->blobs[pack->n_blobs++] = *blob;
	pack->n_under_way--;
	*last_out = pack->full && pack->n_under_way == 0;
	pthread_mutex_unlock(&packer->lock);
	return rc;
}

/* The order in the file says nothing of the order in the source. */
static void shuffle(struct open_pack *pack)
{
	for (size_t i = pack->n_blobs; i > 1; i--) {
		size_t j = randombytes_uniform((uint32_t)i);
		struct sealed_blob swap = pack->blobs[i - 1];

		pack->blobs[i - 1] = pack->blobs[j];
		pack->blobs[j] = swap;
	}
}

static int make_table(const struct open_pack *pack, struct cf_pack_table *table, struct cf_err *err)
{
	uint32_t off = CF_PACK_HEADER_LEN;
	size_t n_chunks = 0;

	for (size_t i = 0; i < pack->n_blobs; i++)
		n_chunks += pack->blobs[i].n_chunks;
	table->blobs = calloc(pack->n_blobs + 1, sizeof(*table->blobs));
	table->chunks = calloc(n_chunks + 1, sizeof(*table->chunks));
	if (!table->blobs || !table->chunks)
		return cf_err_nomem(err);
	for (size_t i = 0; i < pack->n_blobs; i++) {
		const struct sealed_blob *blob = &pack->blobs[i];

		table->blobs[i] = (struct cf_table_blob){.number = blob->number,
							 .off = off,
							 .len = (uint32_t)blob->bytes.len,
							 .codec = blob->codec,
							 .first_chunk = (uint32_t)table->n_chunks,
							 .n_chunks = blob->n_chunks};
		memcpy(table->chunks + table->n_chunks, blob->chunks, blob->n_chunks * sizeof(*blob->chunks));
		table->n_chunks += blob->n_chunks;
		off += (uint32_t)blob->bytes.len;
	}
	table->n_blobs = pack->n_blobs;
	return 0;
}

/* Everything behind the blobs: the sealed table, whose padding brings the pack to a length that says little, and the trailer. */
static int make_tail(const struct open_pack *pack, const struct cf_pack_table *table, uint64_t table_off,
		     struct cf_buf *tail, struct cf_err *err)
{
	struct cf_span key = cf_secret_span(pack->key), span;
	struct cf_buf plain = CF_BUF_INIT;
	uint8_t trailer[CF_TRAILER_PLAIN];
	uint64_t total;
	int rc = cf_pack_table_encode(table, &plain, err);

	if (rc == 0) {
		total = table_off + plain.len + CF_TAG_LEN + CF_TRAILER_LEN;
		rc = cf_buf_resize(&plain, plain.len + (size_t)(cf_padme(total) - total), err);
	}
	span = cf_buf_span(&plain);
	if (rc == 0)
		rc = cf_seal(&pack->place, key, CF_TABLE_NUMBER, &span, 1, tail, err);
	if (rc == 0) {
		cf_le64_put(trailer, table_off);
		cf_le64_put(trailer + 8, tail->len);
		span = cf_span_of(trailer, sizeof(trailer));
		rc = cf_seal(&pack->place, key, CF_TRAILER_NUMBER, &span, 1, tail, err);
	}
	cf_buf_release(&plain);
	return rc;
}

static int put_pack(struct cf_packer *packer, const struct open_pack *pack, const uint8_t *header,
		    const struct cf_buf *tail, struct cf_segment_pack *entry, struct cf_err *err)
{
	size_t n_parts = pack->n_blobs + 2;
	struct cf_span *parts = malloc(n_parts * sizeof(*parts));
	int rc;

	if (!parts)
		return cf_err_nomem(err);
	parts[0] = cf_span_of(header, CF_PACK_HEADER_LEN);
	for (size_t i = 0; i < pack->n_blobs; i++)
		parts[i + 1] = cf_buf_span(&pack->blobs[i].bytes);
	parts[n_parts - 1] = cf_buf_span(tail);
	for (size_t i = 0; i < n_parts; i++)
		entry->size += parts[i].len;
	rc = cf_sha256(parts, n_parts, &entry->name, err);
	if (rc == 0 && !packer->dry_run) {
		struct cf_backend *backend = packer->repo->backend;

		/* Before the pack, so that none is there that the next run could not take up. */
		if (packer->repo->pack_keys)
			cf_pack_keys_add(packer->repo->pack_keys, &entry->name, cf_secret_data(pack->key));
		rc = backend->ops->put(backend, cf_pack_name(&entry->name).s, parts, n_parts, err);
	}
	free(parts);
	return rc;
}

/* Store a pack that nobody adds to any more, enter it in the catalog, publish a segment when due. Frees it. */
static int store_pack(struct cf_packer *packer, struct open_pack *pack, struct cf_err *err)
{
	struct cf_segment_pack entry = {.type = pack->header.type};
	uint8_t header[CF_PACK_HEADER_LEN];
	struct cf_buf tail = CF_BUF_INIT;
	uint64_t table_off = CF_PACK_HEADER_LEN, segment_len = 0;
	int rc = 0;

	if (pack->n_blobs == 0)
		goto out;
	shuffle(pack);
	for (size_t i = 0; i < pack->n_blobs; i++)
		table_off += pack->blobs[i].bytes.len;
	cf_seal_header_encode(&pack->header, header);
	rc = make_table(pack, &entry.table, err);
	if (rc == 0)
		rc = make_tail(pack, &entry.table, table_off, &tail, err);
	if (rc == 0)
		rc = put_pack(packer, pack, header, &tail, &entry, err);
	if (rc < 0)
		goto out;
	atomic_fetch_add(&packer->stored, entry.size);
	if (packer->dry_run)
		goto out;
	rc = cf_catalog_add_pack(packer->repo->catalog, &entry, err);
	if (rc == 0)
		rc = cf_catalog_publish(packer->repo->catalog, false, &segment_len, err);
	atomic_fetch_add(&packer->stored, segment_len);
out:
	cf_pack_table_release(&entry.table);
	cf_buf_release(&tail);
	free_pack(pack);
	return rc;
}

static int seal_blob(const struct open_pack *pack, uint32_t number, enum cf_codec codec,
		     const struct cf_span *parts, size_t n_parts, const struct cf_table_chunk *chunks,
		     size_t n_chunks, struct sealed_blob *blob, struct cf_err *err)
{
	int rc;

	*blob = (struct sealed_blob){.number = number, .codec = codec, .n_chunks = (uint32_t)n_chunks};
	blob->chunks = malloc(n_chunks * sizeof(*chunks));
	if (!blob->chunks)
		return cf_err_nomem(err);
	memcpy(blob->chunks, chunks, n_chunks * sizeof(*chunks));
	rc = cf_seal(&pack->place, cf_secret_span(pack->key), number, parts, n_parts, &blob->bytes, err);
	if (rc < 0)
		free(blob->chunks);
	return rc;
}

/* What the blob will take in the table: so a full pack is seen coming. */
static uint64_t table_share(const struct cf_table_chunk *chunks, size_t n_chunks)
{
	uint64_t len = TABLE_BLOB_LEN;

	for (size_t i = 0; i < n_chunks; i++)
		len += CF_ID_LEN + 4 + (chunks[i].bases.n ? 1 + chunks[i].bases.n * CF_ID_LEN : sizeof(chunks[i].sketch));
	return len;
}

int cf_packer_add(struct cf_packer *packer, enum cf_object_type type, enum cf_codec codec,
		  const struct cf_span *parts, size_t n_parts, const struct cf_table_chunk *chunks,
		  size_t n_chunks, struct cf_err *err)
{
	struct open_pack *pack = NULL, *ripe = NULL;
	struct sealed_blob blob;
	uint64_t len = CF_TAG_LEN;
	uint32_t number = 0;
	bool last = false;
	int rc, sealed;

	for (size_t i = 0; i < n_parts; i++)
		len += parts[i].len;
	rc = reserve(packer, type, len + table_share(chunks, n_chunks), &pack, &number, &ripe, err);
	if (ripe && rc == 0)
		rc = store_pack(packer, ripe, err);
	else
		free_pack(ripe);
	if (!pack)
		return rc;
	sealed = rc < 0 ? rc : seal_blob(pack, number, codec, parts, n_parts, chunks, n_chunks, &blob, err);
	rc = hand_in(packer, pack, sealed == 0 ? &blob : NULL, &last, err);
	if (rc < 0) {
		cf_buf_release(&blob.bytes);
		free(blob.chunks);
	}
	if (sealed < 0)
		rc = sealed;
	if (last && rc == 0)
		return store_pack(packer, pack, err);
	if (last)
		free_pack(pack);
	return rc;
}

int cf_packer_finish(struct cf_packer *packer, struct cf_err *err)
{
	uint64_t segment_len = 0;
	int rc = 0;

	for (int i = 0; i < 2; i++) {
		struct open_pack *pack = packer->open[i];

		packer->open[i] = NULL;
		if (pack && rc == 0)
			rc = store_pack(packer, pack, err);
		else
			free_pack(pack);
	}
	if (rc == 0 && !packer->dry_run)
		rc = cf_catalog_publish(packer->repo->catalog, true, &segment_len, err);
	atomic_fetch_add(&packer->stored, segment_len);
	return rc;
}
