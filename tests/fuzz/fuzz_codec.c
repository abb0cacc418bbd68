/*
 * Input: u8 mode, u8 length of the base, u16 expected length, the base, then a blob's plain text.
 * It is decoded; what comes out has the expected length. With mode bit 0 the rest is compressed
 * instead, by the codec that the other bits choose, and must come back.
 */

#include "base/le.h"
#include "repo/codec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { HEAD_LEN = 4, RAW_LEN_MAX = 1 << 16 };

/*
 * Not checked: that a blob decodes the same twice. For a frame that no encoder makes, libzstd may
 * copy bytes of the output buffer that it has not written yet. Such a chunk fails the comparison
 * with its id.
 */
static void check_decode(struct cf_coder *coder, struct cf_span blob, struct cf_span base,
			 size_t expected)
{
	struct cf_buf out = CF_BUF_INIT;

	if (cf_codec_decode(coder, blob, base, expected, &out, NULL) == 0 && out.len != expected)
		abort();
	cf_buf_release(&out);
}

/* With a base a delta; without, the codec, unless that finds nothing to save. */
static bool encode(struct cf_coder *coder, enum cf_codec kind, struct cf_span raw,
		   struct cf_span base, struct cf_buf *blob)
{
	ssize_t len = base.len ? cf_codec_compress(coder, 1, base, raw, blob, NULL)
			       : cf_codec_encode(coder, kind, 1, raw, blob, NULL);

	if (len < 0)
		abort();
	return len > 0;
}

static void check_round_trip(struct cf_coder *coder, enum cf_codec kind, struct cf_span raw,
			     struct cf_span base)
{
	struct cf_buf blob = CF_BUF_INIT, back = CF_BUF_INIT;

	if (raw.len == 0 || cf_buf_resize(&blob, CF_BLOB_HEAD_LEN, NULL) < 0)
		return;
	cf_blob_head_encode(base.len ? CF_CODEC_ZSTD_DELTA : kind, (uint32_t)raw.len, blob.data);
	if (!encode(coder, kind, raw, base, &blob)) {
		cf_buf_release(&blob);
		return;
	}
	if (cf_codec_decode(coder, cf_buf_span(&blob), base, raw.len, &back, NULL) < 0 ||
	    back.len != raw.len || memcmp(back.data, raw.data, raw.len) != 0)
		abort();
	if (cf_codec_decode(coder, cf_buf_span(&blob), base, raw.len + 1, &back, NULL) == 0)
		abort();
	cf_buf_release(&blob);
	cf_buf_release(&back);
}

static enum cf_codec codec_of(uint8_t choice)
{
	static const enum cf_codec codecs[] = {CF_CODEC_ZSTD, CF_CODEC_LZ4, CF_CODEC_DEFLATE,
					       CF_CODEC_BZIP2, CF_CODEC_XZ};

	return codecs[choice % (sizeof(codecs) / sizeof(*codecs))];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	/* One pair of contexts for all inputs, as in the program. */
	static struct cf_coder coder;
	struct cf_span base, rest;

	if (!coder.compress && cf_coder_init(&coder, NULL) < 0)
		exit(1);
	if (len < HEAD_LEN || len > RAW_LEN_MAX || data[1] > len - HEAD_LEN)
		return 0;
	base = cf_span_of(data + HEAD_LEN, data[1]);
	rest = cf_span_of(data + HEAD_LEN + base.len, len - HEAD_LEN - base.len);
	if (data[0] & 1)
		check_round_trip(&coder, codec_of(data[0] >> 1), rest, base);
	else
		check_decode(&coder, rest, base, cf_le16_get(data + 2));
	return 0;
}
