#include "repo/codec_parts.h"

#include "base/err.h"

#include <bzlib.h>

enum {
	BLOCK_100K = 9,
	DEFAULT_WORK = 0
};

static char *chars_of(struct cf_span span)
{
	return (char *)(uintptr_t)span.data; /* libbz2 does not write to its input */
}

ssize_t cf_bzip2_compress(struct cf_span raw, struct cf_buf *out, struct cf_err *err)
{
	unsigned len = (unsigned)raw.len;
	int rc;

	if (cf_buf_reserve(out, raw.len, err) < 0)
		return CF_ERR_NOMEM;
	rc = BZ2_bzBuffToBuffCompress((char *)out->data + out->len, &len, chars_of(raw), (unsigned)raw.len,
				      BLOCK_100K, 0, DEFAULT_WORK);
	if (rc == BZ_OUTBUFF_FULL)
		return 0;
	if (rc != BZ_OK)
		return cf_err_nomem(err);
	out->len += len;
	return (ssize_t)len;
}

int cf_bzip2_decode(struct cf_span payload, struct cf_buf *out, struct cf_err *err)
{
	unsigned len = (unsigned)out->len;
	int rc = BZ2_bzBuffToBuffDecompress((char *)out->data, &len, chars_of(payload), (unsigned)payload.len,
					    0, 0);

	if (rc == BZ_MEM_ERROR)
		return cf_err_nomem(err);
	if (rc != BZ_OK || len != out->len)
		return cf_err_set(err, CF_ERR_DAMAGED, "a blob does not decompress");
	return 0;
}
