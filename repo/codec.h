#ifndef CF_REPO_CODEC_H
#define CF_REPO_CODEC_H

/*
 * The plain text of a blob: u8 codec, u32 raw length, payload. zstd frames are written without
 * magic number, checksum and content size: the seal and the raw length say more.
 */

#include "base/buf.h"
#include "repo/format/pack_table.h"

#include <zstd.h>

struct cf_err;

#define CF_BLOB_HEAD_LEN 5

/* Contexts one thread uses at a time. */
struct cf_coder {
	ZSTD_CCtx *compress;
	ZSTD_DCtx *decompress;
};

int cf_coder_init(struct cf_coder *coder, struct cf_err *err);
void cf_coder_release(struct cf_coder *coder);

void cf_blob_head_encode(enum cf_codec kind, uint32_t raw_len, uint8_t out[CF_BLOB_HEAD_LEN]);

/* Append the payload of raw, by any codec but raw and delta, to out. level: of zstd and deflate. Returns its length, or 0 when
 * that is not less than raw's, or an error. */
ssize_t cf_codec_encode(struct cf_coder *coder, enum cf_codec codec, int level, struct cf_span raw,
			struct cf_buf *out, struct cf_err *err);

/* Append the zstd payload of raw to out; base is empty or the prefix of a delta. Returns its length, or an error. */
ssize_t cf_codec_compress(struct cf_coder *coder, int level, struct cf_span base, struct cf_span raw,
			  struct cf_buf *out, struct cf_err *err);

/*
 * Decode the plain text of a blob into out (replaced). base: the plain base chunk of a delta, else empty.
 * expected_len: what the index says. CF_ERR_DAMAGED.
 */
int cf_codec_decode(struct cf_coder *coder, struct cf_span blob, struct cf_span base, size_t expected_len,
		    struct cf_buf *out, struct cf_err *err);

/* True when data looks too random to compress: order-0 entropy of samples, then a trial. */
bool cf_codec_looks_random(struct cf_coder *coder, struct cf_span data);

#endif
