#include "repo/segments.h"

#include "base/err.h"
#include "repo/handle.h"
#include "repo/object.h"

#include <zstd.h>

enum {
	SEGMENT_LEVEL = 3
};

static int unpack_segment(struct cf_span packed, struct cf_segment *segment_out, struct cf_err *err)
{
	unsigned long long len = ZSTD_getFrameContentSize(packed.data, packed.len);
	struct cf_buf plain = CF_BUF_INIT;
	size_t got;
	int rc;

	if (len > CF_OBJECT_LEN_MAX)
		return cf_err_set(err, CF_ERR_DAMAGED, "is damaged inside");
	rc = cf_buf_resize(&plain, (size_t)len, err);
	if (rc == 0) {
		got = ZSTD_decompress(plain.data, plain.len, packed.data, packed.len);
		rc = got == len ? cf_segment_decode(cf_buf_span(&plain), segment_out, err)
				: cf_err_set(err, CF_ERR_DAMAGED, "is damaged inside");
	}
	cf_buf_release(&plain);
	return rc;
}

int cf_segment_read(struct cf_repo *repo, const struct cf_id *id, struct cf_segment *segment_out,
		    struct cf_err *err)
{
	struct cf_buf packed = CF_BUF_INIT;
	int rc = cf_object_get(repo, CF_OBJECT_INDEX, id, &packed, err);

	if (rc == 0) {
		rc = unpack_segment(cf_buf_span(&packed), segment_out, err);
		if (rc < 0)
			cf_err_wrap(err, "%s", cf_object_name(CF_OBJECT_INDEX, id).s);
	}
	cf_buf_release(&packed);
	return rc;
}

int cf_segment_put(struct cf_repo *repo, const struct cf_segment *segment, struct cf_id *id_out,
		   uint64_t *stored_out, struct cf_err *err)
{
	struct cf_buf plain = CF_BUF_INIT, packed = CF_BUF_INIT;
	size_t len;
	int rc = cf_segment_encode(segment, &plain, err);

	if (rc == 0)
		rc = cf_buf_resize(&packed, ZSTD_compressBound(plain.len), err);
	if (rc == 0) {
		len = ZSTD_compress(packed.data, packed.len, plain.data, plain.len, SEGMENT_LEVEL);
		rc = ZSTD_isError(len) ? cf_err_set(err, CF_ERR_FAILED, "zstd: %s", ZSTD_getErrorName(len)) : 0;
		packed.len = ZSTD_isError(len) ? 0 : len;
	}
	if (rc == 0)
		rc = cf_object_put(repo, CF_OBJECT_INDEX, cf_buf_span(&packed), id_out, stored_out, err);
	cf_buf_release(&plain);
	cf_buf_release(&packed);
	return rc;
}


int cf_segment_put_verified(struct cf_repo *repo, const struct cf_segment *segment, struct cf_id *id_out,
			    uint64_t *stored_out, struct cf_err *err)
{
	struct cf_buf wanted = CF_BUF_INIT, found = CF_BUF_INIT;
	struct cf_segment again = {0};
	int rc = cf_segment_put(repo, segment, id_out, stored_out, err);

	if (rc == 0)
		rc = cf_segment_read(repo, id_out, &again, err);
	if (rc == 0)
		rc = cf_segment_encode(segment, &wanted, err);
	if (rc == 0)
		rc = cf_segment_encode(&again, &found, err);
	if (rc == 0 && (wanted.len != found.len || memcmp(wanted.data, found.data, wanted.len) != 0))
		rc = cf_err_set(err, CF_ERR_FAILED, "%s does not read back as it was written",
				cf_object_name(CF_OBJECT_INDEX, id_out).s);
	cf_segment_release(&again);
	cf_buf_release(&wanted);
	cf_buf_release(&found);
	return rc;
}
