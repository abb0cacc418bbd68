#ifndef CF_REPO_CHUNKS_H
#define CF_REPO_CHUNKS_H

/*
 * Reading chunks: find, fetch, unseal, decode, verify. Decoded blobs are kept in a bounded cache, because neighbours in
 * a stream share one. Any thread.
 */

#include "base/buf.h"
#include "repo/index.h"

struct cf_blob_cache;
struct cf_err;
struct cf_repo;

/* budget: bytes of decoded blobs kept. */
int cf_blob_cache_new(size_t budget, struct cf_blob_cache **cache_out, struct cf_err *err);
void cf_blob_cache_free(struct cf_blob_cache *cache);

#define CF_CHUNKS_AT_ONCE 64

/* Append the plain bytes of up to CF_CHUNKS_AT_ONCE chunks, in order. lens: what each must have, or NULL. CF_ERR_DAMAGED, naming
 * the pack, when one is not what its id says; out is then as before. */
int cf_chunks_read(struct cf_repo *repo, const struct cf_id *ids, const uint64_t *lens, size_t n,
		   struct cf_buf *out, struct cf_err *err);
/* The same into a buffer each (replaced): what they hold after a failure is not to be used. */
int cf_chunks_read_apart(struct cf_repo *repo, const struct cf_id *ids, const uint64_t *lens, size_t n,
			 struct cf_buf *outs, struct cf_err *err);
int cf_chunk_read(struct cf_repo *repo, const struct cf_id *id, struct cf_buf *out, struct cf_err *err);

/* The plain bytes of a delta's bases, one behind the other: where they lie in the cache, or a copy. Starts as {0}. */
struct cf_prefix {
	struct cf_span bytes;
	struct cf_frame *frame; /* NULL: bytes are those of copy */
	struct cf_buf copy;
};

/* Check bases that are going to be read, up to CF_CHUNKS_AT_ONCE, against their ids: together that takes half the time. Those that
 * cannot be read are passed over. */
int cf_bases_check(struct cf_repo *repo, const struct cf_id *ids, size_t n, struct cf_err *err);

/* Each base is checked against its id. Whatever the prefix held is let go, on failure too. */
int cf_prefix_read(struct cf_repo *repo, const struct cf_bases *bases, struct cf_prefix *prefix, struct cf_err *err);
void cf_prefix_release(struct cf_repo *repo, struct cf_prefix *prefix);

/* The id of plain bytes, as data or as part of a tree. */
int cf_chunk_id(struct cf_repo *repo, enum cf_object_type pack_type, struct cf_span plain,
		struct cf_id *id_out, struct cf_err *err);

#endif
