#ifndef CF_REPO_BLOB_H
#define CF_REPO_BLOB_H

/* From chunks to a blob in a pack, and what of a blob is to be checked. Any thread, with a coder slot of its own. */

#include "repo/handle.h"
#include "repo/packer.h"

enum {
	CF_DELTA_LEVEL = 2 /* of zstd; see docs/design.md, Bases */
};

/*
 * Store n chunks, whose bytes are `plain`, as one blob. payload: what the codec made of them; plain itself for CF_CODEC_RAW. base: the
 * prefix of a delta, else empty. It is decoded and compared first, in slot->sealed and slot->decoded: nothing is published unread.
 */
int cf_blob_store(struct cf_packer *packer, struct cf_coder_slot *slot, enum cf_object_type type, enum cf_codec codec,
		  struct cf_span payload, struct cf_span base, struct cf_span plain, const struct cf_table_chunk *chunks, size_t n,
		  struct cf_err *err);

/* The plain bytes of a blob's chunks. */
size_t cf_blob_raw_len(const struct cf_table_chunk *chunks, size_t n);

/* Whether the chunks, one behind the other in plain, are what their ids say: 0 or CF_ERR_DAMAGED, which names the chunk. */
int cf_blob_check_ids(struct cf_repo *repo, enum cf_object_type type, const struct cf_table_chunk *chunks, size_t n,
		      const uint8_t *plain, struct cf_err *err);

#endif
