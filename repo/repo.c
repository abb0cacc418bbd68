#include "repo/repo.h"

#include "base/err.h"
#include "base/file.h"
#include "base/le.h"
#include "repo/catalog.h"
#include "repo/chunks.h"
#include "repo/handle.h"
#include "repo/key_slot.h"
#include "repo/pack_keys.h"
#include "repo/pack_reader.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	CONFIG_LEN_MAX = 1 << 20,
	BLOB_CACHE_LEN = 64 << 20,
	POOL_QUEUE = 4,
	CHUNK_MIN = 32 << 10,
	CHUNK_NOMINAL = 128 << 10,
	CHUNK_MAX = 512 << 10
};

static const char *const cipher_names[] = {[CF_CIPHER_AES_256_GCM] = "aes-256-gcm",
					   [CF_CIPHER_CHACHA20_POLY1305] = "chacha20-poly1305",
					   [CF_CIPHER_NONE] = "none"};

static const char *const chunker_names[] = {
	[CF_CHUNKER_FIXED] = "fixed", [CF_CHUNKER_VG16] = "vg16", [CF_CHUNKER_PRF16] = "prf16"};

const char *cf_cipher_name(enum cf_cipher cipher)
{
	return cipher_names[cipher];
}

const char *cf_chunker_name(unsigned kind)
{
	return chunker_names[kind];
}

static unsigned find_name(const char *const *names, size_t n, const char *name)
{
	for (unsigned i = 1; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return 0;
}

bool cf_cipher_parse(const char *name, enum cf_cipher *cipher_out)
{
	*cipher_out = (enum cf_cipher)find_name(cipher_names, 4, name);
	return *cipher_out != 0;
}

bool cf_chunker_parse(const char *name, unsigned *kind_out)
{
	*kind_out = find_name(chunker_names, 4, name);
	return *kind_out != 0;
}

static int first_object(void *user, const char *name, uint64_t size)
{
	(void)size;
	snprintf(user, 256, "%s", name);
	return 1;
}

/* config is written last, so a store with key slots alone is an init that did not end: still not empty, and not ours to reuse. */
static int check_empty(struct cf_backend *backend, struct cf_err *err)
{
	char found[256] = "";
	int rc = backend->ops->list(backend, "", first_object, found, err);

	if (rc < 0)
		return rc;
	if (strcmp(found, "config") == 0 || backend->ops->size(backend, "config", &(uint64_t){0}, NULL) == 0)
		return cf_err_set(err, CF_ERR_EXISTS, "%s is a repository already", backend->url);
	if (found[0])
		return cf_err_set(err, CF_ERR_EXISTS, "%s is not empty (it holds %s): choose another place",
				  backend->url, found);
	return 0;
}

static void fill_config(struct cf_config *config, const struct cf_repo_init_options *options,
			const struct cf_ctx *ctx)
{
	cf_random(config->repo_id, sizeof(config->repo_id));
	config->created_ns = cf_ctx_now_ns(ctx);
	config->cipher = options->cipher ? options->cipher : CF_CIPHER_AES_256_GCM;
	config->chunker = options->chunker ? options->chunker : CF_CHUNKER_VG16;
	config->has_signed_versions = true;
	config->nominal = CHUNK_NOMINAL;
	config->max = CHUNK_MAX;
	config->min = CHUNK_MIN;
	if (config->chunker == CF_CHUNKER_PRF16)
		config->min = CHUNK_NOMINAL / 2; /* its price is per byte past the minimum */
	if (config->chunker == CF_CHUNKER_FIXED)
		config->min = config->max = CHUNK_NOMINAL;
}

/* The one slot that a repository begins with. */
static int put_first_slot(struct cf_backend *backend, struct cf_secret *ring,
			  const struct cf_credentials *credentials, const struct cf_repo_init_options *options,
			  int64_t now_ns, struct cf_err *err)
{
	const struct cf_slot_about about = {.host = options->host ? options->host : "",
					    .user = options->user ? options->user : "",
					    .comment = ""};
	struct cf_keyslot2 slot;
	int rc = cf_slot_make(ring, CF_ROLE_FULL, credentials, &about, now_ns, &slot, err);

	if (rc == 0)
		rc = cf_slot_put(backend, &slot, NULL, err);
	cf_keyslot2_release(&slot);
	return rc;
}

int cf_repo_init(struct cf_backend *backend, const struct cf_credentials *credentials,
		 const struct cf_repo_init_options *options, const struct cf_ctx *ctx, struct cf_id *repo_id_out,
		 struct cf_err *err)
{
	struct cf_config config = {.body = CF_BUF_INIT};
	struct cf_secret *ring = NULL;
	struct cf_buf object = CF_BUF_INIT;
	int rc = check_empty(backend, err);

	if (rc == 0)
		rc = cf_keyring_new(&ring, err);
	if (rc < 0)
		goto out;
	fill_config(&config, options, ctx);
	rc = cf_config_encode_body(&config, err);
	if (rc == 0)
		rc = cf_keyring_config_tag(cf_keyring_of(ring), cf_buf_span(&config.body), config.tag, err);
	if (rc == 0)
		rc = cf_config_encode(&config, &object, err);
	if (rc == 0)
		rc = put_first_slot(backend, ring, credentials, options, config.created_ns, err);
	if (rc == 0)
		rc = cf_backend_put(backend, "config", cf_buf_span(&object), err);
	memset(repo_id_out, 0, sizeof(*repo_id_out));
	memcpy(repo_id_out->bytes, config.repo_id, sizeof(config.repo_id));
out:
	cf_secret_free(ring);
	cf_config_release(&config);
	cf_buf_release(&object);
	return rc;
}

static bool holds(struct cf_backend *backend, const char *prefix)
{
	char found[256] = "";

	return backend->ops->list(backend, prefix, first_object, found, NULL) > 0;
}

/* What is left of a repository needs help; anything else is another's folder, or nothing. */
static int report_no_config(struct cf_backend *backend, struct cf_err *err)
{
	if (holds(backend, "packs") || holds(backend, "keys") || holds(backend, "snapshots"))
		return cf_err_set(err, CF_ERR_DAMAGED,
				  "config is missing from the repository %s: restore it from a copy of the repository",
				  backend->url);
	if (holds(backend, ""))
		return cf_err_set(err, CF_ERR_NOT_FOUND,
				  "there is no repository in %s (the folder holds other things)", backend->url);
	return cf_err_set(err, CF_ERR_NOT_FOUND, "there is no repository in %s; make one with: coffer -r %s init",
			  backend->url, backend->url);
}

static void append_advice(struct cf_err *err)
{
	const struct cf_err why = err ? *err : (struct cf_err)CF_ERR_INIT;

	cf_err_set(err, CF_ERR_DAMAGED, "%s: restore it from a copy of the repository", why.text);
}

static int read_config(struct cf_repo *repo, struct cf_err *err)
{
	struct cf_buf object = CF_BUF_INIT;
	int rc = cf_backend_get_all(repo->backend, "config", CONFIG_LEN_MAX, &object, err);

	if (rc == CF_ERR_NOT_FOUND) {
		rc = report_no_config(repo->backend, err);
	} else if (rc == 0) {
		rc = cf_config_decode(cf_buf_span(&object), &repo->config, err);
		if (rc < 0)
			cf_err_wrap(err, "config");
		if (rc == CF_ERR_DAMAGED)
			append_advice(err);
	}
	cf_buf_release(&object);
	return rc;
}

static int check_config_tag(struct cf_repo *repo, struct cf_err *err)
{
	uint8_t tag[32];
	int rc = cf_keyring_config_tag(cf_keyring_of(repo->ring), cf_buf_span(&repo->config.body), tag, err);

	if (rc == 0 && sodium_memcmp(tag, repo->config.tag, sizeof(tag)) != 0)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "config is damaged: its tag does not fit");
	return rc;
}

/* The random words of the gear table and the prf key, out of the chunker key. */
static int set_up_chunker(struct cf_repo *repo, struct cf_err *err)
{
	const struct cf_keyring *ring = cf_keyring_of(repo->ring);
	struct cf_span chunker_key = cf_span_of(ring->chunker_key, CF_KEY_LEN);
	uint64_t draws[CF_GEAR_DRAWS];
	uint8_t stream[sizeof(draws)], key[32];
	static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
	int rc = cf_derive(chunker_key, "coffer gear", cf_span_of(NULL, 0), key, err);

	if (rc < 0)
		return rc;
	crypto_stream_chacha20(stream, sizeof(stream), nonce, key);
	for (size_t i = 0; i < CF_GEAR_DRAWS; i++)
		draws[i] = cf_le64_get(stream + 8 * i);
	if (!cf_gear_init(&repo->gear, draws))
		rc = cf_err_set(err, CF_ERR_FAILED, "the chunker key gives no gear table");
	if (rc == 0)
		rc = cf_derive(chunker_key, "coffer prf", cf_span_of(NULL, 0), key, err);
	if (rc == 0)
		rc = cf_prf_new(key, &repo->prf, err);
	cf_wipe(key, sizeof(key));
	cf_wipe(draws, sizeof(draws));
	cf_wipe(stream, sizeof(stream));
	repo->chunker = (struct cf_chunker){.kind = (enum cf_chunker_kind)repo->config.chunker,
					    .min = repo->config.min,
					    .nominal = repo->config.nominal,
					    .max = repo->config.max,
					    .gear = &repo->gear,
					    .prf = cf_prf_run,
					    .prf_user = repo->prf};
	return rc;
}

static int set_up_ids(struct cf_repo *repo, struct cf_err *err)
{
	const struct cf_keyring *ring = cf_keyring_of(repo->ring);
	struct cf_span id_key = cf_span_of(ring->id_key, CF_KEY_LEN);
	uint8_t tree_key[32];
	int rc = cf_hmac_new(id_key, &repo->data_id_hmac, err);

	if (rc == 0)
		rc = cf_derive(id_key, "coffer tree", cf_span_of(NULL, 0), tree_key, err);
	if (rc == 0)
		rc = cf_hmac_new(cf_span_of(tree_key, sizeof(tree_key)), &repo->tree_id_hmac, err);
	cf_wipe(tree_key, sizeof(tree_key));
	return rc;
}

static int set_up_catalog(struct cf_repo *repo, const char *cache_dir, struct cf_err *err)
{
	int rc;

	if (!cache_dir)
		return cf_catalog_new(repo, NULL, &repo->catalog, err);
	rc = cf_dir_make(cache_dir, 0700, err);
	if (rc < 0)
		return rc;
	if (asprintf(&repo->index_path, "%s/%s.index", cache_dir, repo->id_text) < 0)
		return cf_err_nomem(err);
	return cf_catalog_new(repo, repo->index_path, &repo->catalog, err);
}

static int read_replacement(struct cf_backend *backend, struct cf_config *config, struct cf_err *err)
{
	struct cf_buf object = CF_BUF_INIT;
	int rc = backend->ops->rebind ? backend->ops->rebind(backend, err) : 0;

	if (rc == 0)
		rc = cf_backend_get_all(backend, "config", CONFIG_LEN_MAX, &object, err);
	if (rc == 0)
		rc = cf_config_decode(cf_buf_span(&object), config, err);
	cf_buf_release(&object);
	return rc;
}

int cf_repo_find_again(struct cf_repo *repo, struct cf_err *err)
{
	struct cf_backend *backend = repo->backend;
	struct cf_config config = {.body = CF_BUF_INIT};
	uint64_t size;
	int rc = backend->ops->size(backend, "config", &size, err);

	if (rc != CF_ERR_NOT_FOUND)
		return rc;
	cf_err_clear(err);
	rc = read_replacement(backend, &config, err);
	if (rc == CF_ERR_NOT_FOUND)
		rc = cf_err_set(err, rc, "the repository %s is gone", backend->url);
	else if (rc == 0 && memcmp(config.repo_id, repo->config.repo_id, CF_REPO_ID_LEN) != 0)
		rc = cf_err_set(err, CF_ERR_NOT_FOUND, "the repository %s is gone: another one is in its place",
				backend->url);
	cf_config_release(&config);
	return rc;
}

int cf_repo_open(struct cf_backend *backend, const struct cf_credentials *credentials,
		 const struct cf_repo_open_options *options, const struct cf_ctx *ctx,
		 struct cf_repo **repo_out, struct cf_err *err)
{
	struct cf_repo *repo = calloc(1, sizeof(*repo));
	int rc;

	if (!repo)
		return cf_err_nomem(err);
	repo->backend = backend;
	repo->ctx = ctx;
	pthread_mutex_init(&repo->coder_lock, NULL);
	rc = read_config(repo, err);
	if (rc == 0)
		rc = cf_keys_open(backend, credentials, &repo->ring, &repo->key, err);
	if (rc == 0)
		rc = check_config_tag(repo, err);
	if (rc == 0) {
		cf_hex_encode(repo->config.repo_id, CF_REPO_ID_LEN, repo->id_text);
		rc = set_up_chunker(repo, err);
	}
	if (rc == 0)
		rc = set_up_ids(repo, err);
	if (rc == 0)
		rc = cf_key_cache_new(&repo->keys, err);
	if (rc == 0)
		rc = cf_blob_cache_new(options->blob_cache_len ? options->blob_cache_len : BLOB_CACHE_LEN,
				       &repo->blobs, err);
	if (rc == 0)
		rc = cf_pool_new(options->n_threads, POOL_QUEUE, &repo->pool, err);
	if (rc == 0)
		rc = set_up_catalog(repo, options->cache_dir, err);
	if (rc < 0) {
		repo->backend = NULL;
		cf_repo_close(repo);
		return rc;
	}
	*repo_out = repo;
	return 0;
}

void cf_repo_close(struct cf_repo *repo)
{
	if (!repo)
		return;
	cf_pool_free(repo->pool);
	cf_catalog_free(repo->catalog);
	free(repo->index_path);
	cf_blob_cache_free(repo->blobs);
	cf_key_cache_free(repo->keys);
	cf_pack_keys_free(repo->pack_keys);
	while (repo->coders) {
		struct cf_coder_slot *slot = repo->coders;

		repo->coders = slot->next;
		cf_coder_release(&slot->coder);
		cf_buf_release(&slot->payload);
		cf_buf_release(&slot->sealed);
		cf_buf_release(&slot->raw);
		cf_buf_release(&slot->decoded);
		free(slot);
	}
	cf_hmac_free(repo->data_id_hmac);
	cf_hmac_free(repo->tree_id_hmac);
	cf_prf_free(repo->prf);
	cf_wipe(&repo->gear, sizeof(repo->gear));
	cf_secret_free(repo->ring);
	cf_config_release(&repo->config);
	cf_backend_close(repo->backend);
	pthread_mutex_destroy(&repo->coder_lock);
	free(repo);
}

const char *cf_repo_id_text(const struct cf_repo *repo)
{
	return repo->id_text;
}

enum cf_cipher cf_repo_cipher(const struct cf_repo *repo)
{
	return (enum cf_cipher)repo->config.cipher;
}

unsigned cf_repo_chunker_kind(const struct cf_repo *repo)
{
	return repo->config.chunker;
}

int cf_repo_keep_pack_keys(struct cf_repo *repo, int64_t keep_ns, struct cf_err *err)
{
	if (cf_keyring_of(repo->ring)->role == CF_ROLE_FULL)
		return 0;
	if (keep_ns)
		return cf_pack_keys_open(repo, keep_ns, &repo->pack_keys, err);
	cf_pack_keys_remove(repo);
	return 0;
}

int cf_repo_require_full(const struct cf_repo *repo, struct cf_err *err)
{
	if (cf_keyring_of(repo->ring)->role == CF_ROLE_FULL)
		return 0;
	return cf_err_set(err, CF_ERR_KEY,
			  "the key in use has role write, which adds backups and reads none: use a key with role full");
}

int cf_repo_take_coder(struct cf_repo *repo, struct cf_coder_slot **slot_out, struct cf_err *err)
{
	struct cf_coder_slot *slot;
	int rc;

	pthread_mutex_lock(&repo->coder_lock);
	slot = repo->coders;
	if (slot)
		repo->coders = slot->next;
	pthread_mutex_unlock(&repo->coder_lock);
	if (!slot) {
		slot = calloc(1, sizeof(*slot));
		rc = slot ? cf_coder_init(&slot->coder, err) : cf_err_nomem(err);
		if (rc < 0) {
			free(slot);
			return rc;
		}
	}
	*slot_out = slot;
	return 0;
}

void cf_repo_give_coder(struct cf_repo *repo, struct cf_coder_slot *slot)
{
	pthread_mutex_lock(&repo->coder_lock);
	slot->next = repo->coders;
	repo->coders = slot;
	pthread_mutex_unlock(&repo->coder_lock);
}

struct cf_seal_place cf_repo_place(const struct cf_repo *repo, const struct cf_seal_header *header)
{
	struct cf_seal_place place = {.type = header->type, .cipher = (enum cf_cipher)header->cipher};

	memcpy(place.repo_id, repo->config.repo_id, CF_REPO_ID_LEN);
	memcpy(place.key_id, header->key_id, CF_KEY_ID_LEN);
	return place;
}
