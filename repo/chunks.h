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

/* Append the plain bytes of a delta's bases, in order: its prefix. Each is checked against its id. */
int cf_bases_read(struct cf_repo *repo, const struct cf_bases *bases, struct cf_buf *out, struct cf_err *err);

/* The id of plain bytes, as data or as part of a tree. */
int cf_chunk_id(struct cf_repo *repo, enum cf_object_type pack_type, struct cf_span plain,
		struct cf_id *id_out, struct cf_err *err);

#endif
