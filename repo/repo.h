#ifndef CF_REPO_REPO_H
#define CF_REPO_REPO_H

/*
 * A repository: opening and creating one.
 *
 * A handle may be used by several threads unless a function says otherwise. Everything returned is read from
 * objects whose tags verified.
 */

#include "base/buf.h"
#include "base/ctx.h"
#include "base/id.h"

#include <stdbool.h>
#include <stdint.h>

struct cf_backend;
struct cf_err;
struct cf_repo;
struct cf_secret;

enum cf_cipher {
	CF_CIPHER_AES_256_GCM = 1,
	CF_CIPHER_CHACHA20_POLY1305 = 2,
	CF_CIPHER_NONE = 3 /* plain text with a keyed tag */
};

/* "aes-256-gcm", "chacha20-poly1305", "none"; and the reverse, false when unknown. */
const char *cf_cipher_name(enum cf_cipher cipher);
bool cf_cipher_parse(const char *name, enum cf_cipher *cipher_out);

/* "vg16", "prf16", "fixed" for enum cf_chunker_kind. */
const char *cf_chunker_name(unsigned kind);
bool cf_chunker_parse(const char *name, unsigned *kind_out);

/*
 * A secret manager that keeps keys for others: a command, and later key management services.
 *
 * wrap turns 32 bytes into what only the manager can turn back, at most 64 KiB; unwrap turns it back, into whatever length it
 * says. CF_ERR_KEY when the manager refuses.
 */
struct cf_key_wrapper {
	int (*wrap)(void *user, struct cf_span key, struct cf_buf *wrapped_out, struct cf_err *err);
	int (*unwrap)(void *user, struct cf_span wrapped, struct cf_secret **key_out, struct cf_err *err);
	void *user;
};

/* What opens a key slot: one of the three is set. Borrowed. */
struct cf_credentials {
	const struct cf_secret *passphrase;
	const struct cf_secret *key_file; /* its bytes, at least 32 */
	const struct cf_key_wrapper *wrapper;
};

struct cf_repo_init_options {
	enum cf_cipher cipher;	/* 0: aes-256-gcm */
	unsigned chunker;	/* enum cf_chunker_kind; 0: vg16 */
	const char *host, *user; /* who made the first key slot, in UTF-8; NULL: not said */
};

/* Create a repository in an empty store. CF_ERR_EXISTS when the store has one or holds anything else. */
int cf_repo_init(struct cf_backend *backend, const struct cf_credentials *credentials,
		 const struct cf_repo_init_options *options, const struct cf_ctx *ctx, struct cf_id *repo_id_out,
		 struct cf_err *err);

struct cf_repo_open_options {
	const char *cache_dir; /* the folder for local indexes; NULL keeps the index in memory */
	unsigned n_threads;    /* 0: one per processor */
	size_t blob_cache_len; /* bytes of decoded blobs kept; 0: 64 MiB */
};

/*
 * Open a repository. The handle takes the backend over when this succeeds.
 * CF_ERR_NOT_FOUND: no repository there. CF_ERR_KEY: no slot opens with these credentials.
 * CF_ERR_UNSUPPORTED: a newer format. CF_ERR_DAMAGED: config or keys are damaged.
 */
int cf_repo_open(struct cf_backend *backend, const struct cf_credentials *credentials,
		 const struct cf_repo_open_options *options, const struct cf_ctx *ctx,
		 struct cf_repo **repo_out, struct cf_err *err);
void cf_repo_close(struct cf_repo *repo);

/* 16 random bytes as 32 hexadecimal digits. */
/*
 * For those who stay: look whether the repository is still there, and where it was removed and put back, go on with what is there
 * now. CF_ERR_NOT_FOUND: it is gone, or another one is in its place.
 */
int cf_repo_find_again(struct cf_repo *repo, struct cf_err *err);

const char *cf_repo_id_text(const struct cf_repo *repo);
enum cf_cipher cf_repo_cipher(const struct cf_repo *repo);
unsigned cf_repo_chunker_kind(const struct cf_repo *repo);

/*
 * For a backup whose key may only write: keep, in the cache folder, the keys of the packs that it stores, so that this host reads its
 * own packs when it compares. Keys that no backup has used for keep_ns go; with 0 all go and none are kept. Does nothing for
 * role full.
 */
int cf_repo_keep_pack_keys(struct cf_repo *repo, int64_t keep_ns, struct cf_err *err);

/* CF_ERR_KEY, naming the role, unless the key in use reads backups (role full). */
int cf_repo_require_full(const struct cf_repo *repo, struct cf_err *err);

#endif
