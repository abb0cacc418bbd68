#ifndef CF_REPO_FORMAT_PACK_TABLE_H
#define CF_REPO_FORMAT_PACK_TABLE_H

/*
 * The table of contents of a pack: its blobs in the order of the file, each with its chunks
 * (docs/format.md, "Pack table"). The same bytes stand, sealed, at the end of the pack and in an index segment.
 *
 *   u8 table version (1), u32 number of blobs, then per blob
 *     u32 blob number (its nonce), u32 sealed length, u8 codec, u8 flags (1: sketches), u16 number of chunks, then per chunk
 *       id, u32 plain length, codec delta: u8 number of bases and their ids, flag 1: four u32 of sketch
 *
 * The first blob begins behind the pack header; each other where its forerunner ends.
 */

#include "base/id.h"
#include "base/buf.h"
#include "chunker/chunker.h"
#include "repo/format/limits.h"

struct cf_err;

enum cf_codec {
	CF_CODEC_RAW = 0,
	CF_CODEC_ZSTD = 1,
	CF_CODEC_ZSTD_DELTA = 2, /* one chunk, zstd with its bases, one behind the other, as prefix */
	CF_CODEC_LZ4 = 3,
	CF_CODEC_DEFLATE = 4,
	CF_CODEC_BZIP2 = 5,
	CF_CODEC_XZ = 6,
	CF_CODEC_MAX = CF_CODEC_XZ
};

/* The chunks that a delta is against, in the order of the prefix. None of them is a delta. */
struct cf_bases {
	struct cf_id ids[CF_BASES_MAX];
	unsigned n; /* 0: not a delta */
};

struct cf_table_chunk {
	struct cf_id id;
	struct cf_bases bases;
	uint32_t raw_len;
	struct cf_sketch sketch; /* zero when it has none */
};

struct cf_table_blob {
	uint32_t number;
	uint32_t off; /* in the pack; not stored, see above */
	uint32_t len; /* sealed */
	enum cf_codec codec;
	uint32_t first_chunk, n_chunks; /* in the table's array of chunks */
};

struct cf_pack_table {
	struct cf_table_blob *blobs;
	size_t n_blobs;
	struct cf_table_chunk *chunks;
	size_t n_chunks;
};

/* Appends to out. The blobs' `off` is not looked at. */
int cf_pack_table_encode(const struct cf_pack_table *table, struct cf_buf *out, struct cf_err *err);

/* *used_out: the bytes of the table; what follows is the caller's. CF_ERR_DAMAGED. Release the table. */
int cf_pack_table_decode(struct cf_span in, struct cf_pack_table *table_out, size_t *used_out,
			 struct cf_err *err);
void cf_pack_table_release(struct cf_pack_table *table);

/* The smallest length >= len that hides it among few others: PADME (Nikitin et al., PETS 2019), at most 12 % more. */
uint64_t cf_padme(uint64_t len);

#endif
