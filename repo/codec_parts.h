#ifndef CF_REPO_CODEC_PARTS_H
#define CF_REPO_CODEC_PARTS_H

/*
 * The codecs beside zstd, for repo/codec.c only: whole frames, from one buffer into another.
 *
 * compress appends the payload of raw to out and returns its length; 0: it would be longer than raw, which is then stored as it
 * is; or an error. decode fills out, whose length is the one expected; what does not decode to that is CF_ERR_DAMAGED.
 */

#include "base/buf.h"

struct cf_err;

/* A block of LZ4. */
ssize_t cf_lz4_compress(struct cf_span raw, struct cf_buf *out, struct cf_err *err);
int cf_lz4_decode(struct cf_span payload, struct cf_buf *out, struct cf_err *err);

/* Deflate (RFC 1951), what gzip makes but for its head and checksum. level: 1 to 9. */
ssize_t cf_deflate_compress(int level, struct cf_span raw, struct cf_buf *out, struct cf_err *err);
int cf_deflate_decode(struct cf_span payload, struct cf_buf *out, struct cf_err *err);

/* A bzip2 stream of blocks of 900 kB. */
ssize_t cf_bzip2_compress(struct cf_span raw, struct cf_buf *out, struct cf_err *err);
int cf_bzip2_decode(struct cf_span payload, struct cf_buf *out, struct cf_err *err);

/* An xz stream of LZMA2 without checksum, preset 6 with a dictionary no larger than the frame. */
ssize_t cf_xz_compress(struct cf_span raw, struct cf_buf *out, struct cf_err *err);
int cf_xz_decode(struct cf_span payload, struct cf_buf *out, struct cf_err *err);

#endif
