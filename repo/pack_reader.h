#ifndef CF_REPO_PACK_READER_H
#define CF_REPO_PACK_READER_H

/* Reading packs: their keys, tables and blobs. Any thread. */

#include "repo/crypto.h"
#include "repo/format/segment.h"

struct cf_key_cache;
struct cf_repo;

struct cf_pack_name {
	char s[80];
};
struct cf_pack_name cf_pack_name(const struct cf_id *name);

/* The keys of packs opened lately, in secret memory. */
int cf_key_cache_new(struct cf_key_cache **cache_out, struct cf_err *err);
void cf_key_cache_free(struct cf_key_cache *cache);

/* Whether this host may read the pack: all of them with role full, else those whose keys it kept. */
bool cf_pack_may_open(const struct cf_repo *repo, const struct cf_id *name);

/* Append the plain text of a blob. CF_ERR_DAMAGED naming the pack; CF_ERR_KEY when this host may not read. */
int cf_pack_read_blob(struct cf_repo *repo, const struct cf_id *name, uint32_t off, uint32_t len,
		      uint32_t number, struct cf_buf *plain_out, struct cf_err *err);

/* The table of a pack from its own end. Release pack_out->table. */
int cf_pack_read_table(struct cf_repo *repo, const struct cf_id *name, uint64_t size,
		       struct cf_segment_pack *pack_out, struct cf_err *err);

/* The same from the whole pack in memory, as check reads it; key_out: 32 bytes of secret memory. */
int cf_pack_open_whole(struct cf_repo *repo, const struct cf_id *name, struct cf_span bytes,
		       struct cf_segment_pack *pack_out, struct cf_seal_place *place_out, uint8_t *key_out,
		       struct cf_err *err);

/* Only its key, out of its header. */
int cf_pack_open_header(struct cf_repo *repo, struct cf_span bytes, struct cf_seal_place *place_out, uint8_t *key_out,
			struct cf_err *err);

/* Blob numbers that are not blobs: the table and the trailer that says where it is (u64 offset, u64 sealed length). */
#define CF_TABLE_NUMBER	  ((uint64_t)1 << 32)
#define CF_TRAILER_NUMBER (CF_TABLE_NUMBER + 1)
#define CF_TRAILER_PLAIN  16
#define CF_TRAILER_LEN	  (CF_TRAILER_PLAIN + CF_TAG_LEN)

#endif
