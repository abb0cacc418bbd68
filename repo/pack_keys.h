#ifndef CF_REPO_PACK_KEYS_H
#define CF_REPO_PACK_KEYS_H

/*
 * Keys of the packs that this host stored itself: with them a host whose key may only write reads what it compares new data
 * with, and nothing else. Its keyring opens no pack.
 *
 * A folder beside the local index with one small file per pack: the pack's key, sealed under a key that the keyring gives.
 * A cache like that one: a pack whose file is missing or damaged is one that cannot be read. Several runs may use it at
 * once. Any thread.
 */

#include "base/id.h"
#include "repo/format/limits.h"

#include <stdbool.h>
#include <stdint.h>

struct cf_err;
struct cf_pack_keys;
struct cf_repo;

/* *keys_out stays NULL where there is no place for them, with a note. Only CF_ERR_NOMEM fails. */
int cf_pack_keys_open(struct cf_repo *repo, int64_t keep_ns, struct cf_pack_keys **keys_out, struct cf_err *err);
void cf_pack_keys_free(struct cf_pack_keys *keys);

/* Remove all that the folder has. */
void cf_pack_keys_remove(const struct cf_repo *repo);

/* Keep the key of a pack that is about to be stored. From the first failure on, of which there is a note, nothing is kept. */
void cf_pack_keys_add(struct cf_pack_keys *keys, const struct cf_id *pack, const uint8_t key[CF_KEY_LEN]);
/* False once keys cannot be kept. */
bool cf_pack_keys_adds(struct cf_pack_keys *keys);

bool cf_pack_keys_has(struct cf_pack_keys *keys, const struct cf_id *pack);
/* 1 and the key, 0 when it is not there, or CF_ERR_NOMEM. A damaged file is removed. */
int cf_pack_keys_get(struct cf_pack_keys *keys, const struct cf_id *pack, uint8_t key_out[CF_KEY_LEN],
		     struct cf_err *err);

/* What is backed up now has something in this pack. */
void cf_pack_keys_use(struct cf_pack_keys *keys, const struct cf_id *pack);
/* A backup has ended well: remove the keys of packs that none has used for keep_ns. */
void cf_pack_keys_sweep(struct cf_pack_keys *keys);

#endif
