#include "repo/codec_parts.h"

#include "base/err.h"

#include <lz4.h>

ssize_t cf_lz4_compress(struct cf_span raw, struct cf_buf *out, struct cf_err *err)
{
	int len;

	if (cf_buf_reserve(out, raw.len, err) < 0)
		return CF_ERR_NOMEM;
	len = LZ4_compress_default((const char *)raw.data, (char *)out->data + out->len, (int)raw.len,
				   (int)raw.len);
	out->len += (size_t)len;
	return len;
}

int cf_lz4_decode(struct cf_span payload, struct cf_buf *out, struct cf_err *err)
{
	int len = LZ4_decompress_safe((const char *)payload.data, (char *)out->data, (int)payload.len,
				      (int)out->len);

	if (len < 0 || (size_t)len != out->len)
		return cf_err_set(err, CF_ERR_DAMAGED, "a blob does not decompress");
	return 0;
}
