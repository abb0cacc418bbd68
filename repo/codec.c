#define ZSTD_STATIC_LINKING_ONLY /* the magicless frame format */
#include "repo/codec.h"

#include "base/err.h"
#include "base/le.h"
#include "repo/codec_parts.h"

#include <math.h>
#include <zstd_errors.h>

enum {
	SAMPLE_LEN = 1024,
	N_SAMPLES = 4,
	TRIAL_LEN = 4096
};

int cf_coder_init(struct cf_coder *coder, struct cf_err *err)
{
	coder->compress = ZSTD_createCCtx();
	coder->decompress = ZSTD_createDCtx();
	if (!coder->compress || !coder->decompress) {
		cf_coder_release(coder);
		return cf_err_nomem(err);
	}
	return 0;
}

void cf_coder_release(struct cf_coder *coder)
{
	ZSTD_freeCCtx(coder->compress);
	ZSTD_freeDCtx(coder->decompress);
	coder->compress = NULL;
	coder->decompress = NULL;
}

void cf_blob_head_encode(enum cf_codec kind, uint32_t raw_len, uint8_t out[CF_BLOB_HEAD_LEN])
{
	out[0] = (uint8_t)kind;
	cf_le32_put(out + 1, raw_len);
}

static size_t set_up_compress(ZSTD_CCtx *ctx, int level, struct cf_span base, size_t raw_len)
{
	size_t rc = ZSTD_CCtx_reset(ctx, ZSTD_reset_session_and_parameters);

	if (!ZSTD_isError(rc))
		rc = ZSTD_CCtx_setParameter(ctx, ZSTD_c_format, ZSTD_f_zstd1_magicless);
	if (!ZSTD_isError(rc))
		rc = ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, level);
	if (!ZSTD_isError(rc))
		rc = ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, 0);
	if (!ZSTD_isError(rc) && base.len) {
		/* The window must reach from the end of the chunk back to the start of the base. */
		int bits = 32 - __builtin_clz((unsigned)(base.len + raw_len));

		rc = ZSTD_CCtx_setParameter(ctx, ZSTD_c_windowLog, bits < 10 ? 10 : bits);
		if (!ZSTD_isError(rc))
			rc = ZSTD_CCtx_refPrefix(ctx, base.data, base.len);
	}
	return rc;
}

ssize_t cf_codec_compress(struct cf_coder *coder, int level, struct cf_span base, struct cf_span raw,
			  struct cf_buf *out, struct cf_err *err)
{
	size_t rc = set_up_compress(coder->compress, level, base, raw.len);
	size_t bound = ZSTD_compressBound(raw.len);

	if (!ZSTD_isError(rc)) {
		if (cf_buf_reserve(out, bound, err) < 0)
			return CF_ERR_NOMEM;
		rc = ZSTD_compress2(coder->compress, out->data + out->len, bound, raw.data, raw.len);
	}
	if (ZSTD_isError(rc))
		return cf_err_set(err, CF_ERR_FAILED, "zstd: %s", ZSTD_getErrorName(rc));
	out->len += rc;
	return (ssize_t)rc;
}

ssize_t cf_codec_encode(struct cf_coder *coder, enum cf_codec codec, int level, struct cf_span raw,
			struct cf_buf *out, struct cf_err *err)
{
	size_t before = out->len;
	ssize_t len = 0;

	switch (codec) {
	case CF_CODEC_RAW:
	case CF_CODEC_ZSTD_DELTA:
		break;
	case CF_CODEC_ZSTD:
		len = cf_codec_compress(coder, level, cf_span_of(NULL, 0), raw, out, err);
		break;
	case CF_CODEC_LZ4:
		len = cf_lz4_compress(raw, out, err);
		break;
	case CF_CODEC_DEFLATE:
		len = cf_deflate_compress(level, raw, out, err);
		break;
	case CF_CODEC_BZIP2:
		len = cf_bzip2_compress(raw, out, err);
		break;
	case CF_CODEC_XZ:
		len = cf_xz_compress(raw, out, err);
		break;
	}
	if (len >= 0 && (size_t)len < raw.len)
		return len;
	out->len = before;
	return len < 0 ? len : 0;
}

static int decode_zstd(struct cf_coder *coder, struct cf_span payload, struct cf_span base,
		       struct cf_buf *out, struct cf_err *err)
{
	ZSTD_DCtx *ctx = coder->decompress;
	size_t rc = ZSTD_DCtx_reset(ctx, ZSTD_reset_session_and_parameters);

	if (!ZSTD_isError(rc))
		rc = ZSTD_DCtx_setParameter(ctx, ZSTD_d_format, ZSTD_f_zstd1_magicless);
	if (!ZSTD_isError(rc))
		rc = ZSTD_DCtx_setParameter(ctx, ZSTD_d_windowLogMax, 27);
	if (!ZSTD_isError(rc) && base.len)
		rc = ZSTD_DCtx_refPrefix(ctx, base.data, base.len);
	if (!ZSTD_isError(rc))
		rc = ZSTD_decompressDCtx(ctx, out->data, out->len, payload.data, payload.len);
	if (ZSTD_isError(rc))
		return ZSTD_getErrorCode(rc) == ZSTD_error_memory_allocation
			       ? cf_err_nomem(err)
			       : cf_err_set(err, CF_ERR_DAMAGED, "a blob does not decompress");
	if (rc != out->len)
		return cf_err_set(err, CF_ERR_DAMAGED, "a blob decompresses to another length");
	return 0;
}

int cf_codec_decode(struct cf_coder *coder, struct cf_span blob, struct cf_span base, size_t expected_len,
		    struct cf_buf *out, struct cf_err *err)
{
	struct cf_cursor c = cf_cursor_of(blob);
	uint8_t kind = cf_cursor_u8(&c);
	uint32_t raw_len = cf_cursor_u32(&c);
	struct cf_span payload = cf_span_of(c.at, cf_cursor_left(&c));
	int rc;

	if (!cf_cursor_ok(&c) || raw_len == 0 || raw_len > CF_FRAME_LEN_MAX || raw_len != expected_len ||
	    (kind == CF_CODEC_ZSTD_DELTA) != (base.len > 0))
		return cf_err_set(err, CF_ERR_DAMAGED, "a blob is not what the index says");
	cf_buf_clear(out);
	rc = cf_buf_reserve(out, raw_len, err);
	if (rc < 0)
		return rc;
	out->len = raw_len;
	switch (kind) {
	case CF_CODEC_RAW:
		if (payload.len != raw_len)
			return cf_err_set(err, CF_ERR_DAMAGED, "a blob is not what the index says");
		memcpy(out->data, payload.data, raw_len);
		return 0;
	case CF_CODEC_ZSTD:
	case CF_CODEC_ZSTD_DELTA:
		return decode_zstd(coder, payload, base, out, err);
	case CF_CODEC_LZ4:
		return cf_lz4_decode(payload, out, err);
	case CF_CODEC_DEFLATE:
		return cf_deflate_decode(payload, out, err);
	case CF_CODEC_BZIP2:
		return cf_bzip2_decode(payload, out, err);
	case CF_CODEC_XZ:
		return cf_xz_decode(payload, out, err);
	default:
		return cf_err_set(err, CF_ERR_UNSUPPORTED, "a blob has codec %u: use a newer coffer", kind);
	}
}

static double sample_entropy(struct cf_span data)
{
	unsigned counts[256] = {0};
	double bits = 0;

	for (unsigned s = 0; s < N_SAMPLES; s++) {
		const uint8_t *at = data.data + (data.len - SAMPLE_LEN) / (N_SAMPLES - 1) * s;

		for (unsigned i = 0; i < SAMPLE_LEN; i++)
			counts[at[i]]++;
	}
	for (unsigned i = 0; i < 256; i++) {
		double share = counts[i] / (double)(N_SAMPLES * SAMPLE_LEN);

		if (counts[i])
			bits -= share * log2(share);
	}
	return bits;
}

bool cf_codec_looks_random(struct cf_coder *coder, struct cf_span data)
{
	uint8_t out[TRIAL_LEN + 1024];
	size_t len;

	if (data.len < 2 * (size_t)TRIAL_LEN || sample_entropy(data) < 7.8)
		return false;
	len = ZSTD_compressCCtx(coder->compress, out, sizeof(out), data.data, TRIAL_LEN, -5);
	return ZSTD_isError(len) || len * 100 > (size_t)TRIAL_LEN * 97;
}
