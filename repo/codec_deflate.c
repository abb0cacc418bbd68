#include "repo/codec_parts.h"

#include "base/err.h"

#include <string.h>
#include <zlib.h>

enum {
	WINDOW_BITS = -15, /* below 0: without head and checksum */
	MEMORY_LEVEL = 8
};

static Bytef *bytes_of(struct cf_span span)
{
	return (Bytef *)(uintptr_t)span.data; /* zlib does not write to its input */
}

ssize_t cf_deflate_compress(int level, struct cf_span raw, struct cf_buf *out, struct cf_err *err)
{
	z_stream stream = {.next_in = bytes_of(raw), .avail_in = (uInt)raw.len};
	int rc;

	if (cf_buf_reserve(out, raw.len, err) < 0)
		return CF_ERR_NOMEM;
	if (deflateInit2(&stream, level, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
		return cf_err_nomem(err);
	stream.next_out = out->data + out->len;
	stream.avail_out = (uInt)raw.len;
	rc = deflate(&stream, Z_FINISH);
	deflateEnd(&stream);
	if (rc != Z_STREAM_END)
		return 0;
	out->len += stream.total_out;
	return (ssize_t)stream.total_out;
}

int cf_deflate_decode(struct cf_span payload, struct cf_buf *out, struct cf_err *err)
{
	z_stream stream = {.next_in = bytes_of(payload), .avail_in = (uInt)payload.len};
	int rc;

	if (inflateInit2(&stream, WINDOW_BITS) != Z_OK)
		return cf_err_nomem(err);
	stream.next_out = out->data;
	stream.avail_out = (uInt)out->len;
	rc = inflate(&stream, Z_FINISH);
	inflateEnd(&stream);
	if (rc == Z_MEM_ERROR)
		return cf_err_nomem(err);
	if (rc != Z_STREAM_END || stream.avail_out > 0 || stream.avail_in > 0)
		return cf_err_set(err, CF_ERR_DAMAGED, "a blob does not decompress");
	return 0;
}
