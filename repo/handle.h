#ifndef CF_REPO_HANDLE_H
#define CF_REPO_HANDLE_H

/* The inside of an open repository, for the modules of this folder only. */

#include "backends/backend.h"
#include "base/ctx.h"
#include "base/pool.h"
#include "chunker/chunker.h"
#include "repo/codec.h"
#include "repo/crypto.h"
#include "repo/format/config.h"
#include "repo/keys.h"
#include "repo/repo.h"

#include <pthread.h>

struct cf_blob_cache;
struct cf_catalog;
struct cf_key_cache;
struct cf_pack_keys;

struct cf_repo {
	struct cf_backend *backend;
	const struct cf_ctx *ctx;
	struct cf_config config;
	struct cf_secret *ring;
	struct cf_key_session key; /* the slot that gave the ring */
	char id_text[2 * CF_REPO_ID_LEN + 1];

	struct cf_hmac *data_id_hmac, *tree_id_hmac; /* chunk ids */
	struct cf_gear gear;
	struct cf_prf *prf;
	struct cf_chunker chunker; /* as configured: for content of unknown nature */

	struct cf_catalog *catalog;
	char *index_path; /* of the catalog's SQLite file; NULL: in memory */
	struct cf_key_cache *keys;
	struct cf_pack_keys *pack_keys; /* of a host that may only write, while it backs up; or NULL */
	struct cf_blob_cache *blobs;
	struct cf_pool *pool;

	/* Compression contexts, taken by whatever thread needs one. */
	pthread_mutex_t coder_lock;
	struct cf_coder_slot *coders;
};

/* A coder and buffers for one thread's use. */
struct cf_coder_slot {
	struct cf_coder coder;
	struct cf_buf payload, sealed, raw, decoded;
	struct cf_coder_slot *next;
};

int cf_repo_take_coder(struct cf_repo *repo, struct cf_coder_slot **slot_out, struct cf_err *err);
void cf_repo_give_coder(struct cf_repo *repo, struct cf_coder_slot *slot);

/* Where blobs of an object with this header belong. */
struct cf_seal_place cf_repo_place(const struct cf_repo *repo, const struct cf_seal_header *header);

#endif
