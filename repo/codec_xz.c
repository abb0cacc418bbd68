#include "repo/codec_parts.h"

#include "base/err.h"

#include <lzma.h>

enum {
	PRESET = 6,
	DICTIONARY_MIN = 4096,
	DECODER_MEMORY = 64 << 20
};

ssize_t cf_xz_compress(struct cf_span raw, struct cf_buf *out, struct cf_err *err)
{
	lzma_options_lzma options;
	const lzma_filter filters[] = {{.id = LZMA_FILTER_LZMA2, .options = &options},
				       {.id = LZMA_VLI_UNKNOWN}};
	size_t len = 0;
	lzma_ret rc;

	if (cf_buf_reserve(out, raw.len, err) < 0)
		return CF_ERR_NOMEM;
	lzma_lzma_preset(&options, PRESET);
	/* The preset's 8 MiB would take 94 MiB to fill, in each worker. */
	if (options.dict_size > raw.len)
		options.dict_size = raw.len < DICTIONARY_MIN ? DICTIONARY_MIN : (uint32_t)raw.len;
	rc = lzma_stream_buffer_encode((lzma_filter *)(uintptr_t)filters, LZMA_CHECK_NONE, NULL, raw.data,
				       raw.len, out->data + out->len, &len, raw.len);
	if (rc == LZMA_BUF_ERROR)
		return 0;
	if (rc != LZMA_OK)
		return cf_err_nomem(err);
	out->len += len;
	return (ssize_t)len;
}

int cf_xz_decode(struct cf_span payload, struct cf_buf *out, struct cf_err *err)
{
	uint64_t memory = DECODER_MEMORY;
	size_t in = 0, len = 0;
	lzma_ret rc = lzma_stream_buffer_decode(&memory, 0, NULL, payload.data, &in, payload.len, out->data,
						&len, out->len);

	if (rc == LZMA_MEM_ERROR)
		return cf_err_nomem(err);
	if (rc != LZMA_OK || in != payload.len || len != out->len)
		return cf_err_set(err, CF_ERR_DAMAGED, "a blob does not decompress");
	return 0;
}
