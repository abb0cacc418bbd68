#include "repo/blob.h"

#include "base/err.h"
#include "repo/chunks.h"

static int verify(struct cf_coder_slot *slot, const uint8_t head[CF_BLOB_HEAD_LEN], struct cf_span payload, struct cf_span base,
		  struct cf_span plain, struct cf_err *err)
{
	int rc;

	cf_buf_clear(&slot->sealed);
	rc = cf_buf_append(&slot->sealed, head, CF_BLOB_HEAD_LEN, err);
	if (rc == 0)
		rc = cf_buf_append(&slot->sealed, payload.data, payload.len, err);
	if (rc == 0)
		rc = cf_codec_decode(&slot->coder, cf_buf_span(&slot->sealed), base, plain.len, &slot->decoded, err);
	if (rc == 0 && memcmp(slot->decoded.data, plain.data, plain.len) != 0)
		rc = cf_err_set(err, CF_ERR_FAILED,
				"compressed data does not decompress to the same bytes: this machine's memory or processor is faulty");
	return rc;
}

int cf_blob_store(struct cf_packer *packer, struct cf_coder_slot *slot, enum cf_object_type type, enum cf_codec codec,
		  struct cf_span payload, struct cf_span base, struct cf_span plain, const struct cf_table_chunk *chunks, size_t n,
		  struct cf_err *err)
{
	uint8_t head[CF_BLOB_HEAD_LEN];
	const struct cf_span parts[] = {cf_span_of(head, sizeof(head)), payload};
	int rc = 0;

	cf_blob_head_encode(codec, (uint32_t)plain.len, head);
	if (codec != CF_CODEC_RAW)
		rc = verify(slot, head, payload, base, plain, err);
	return rc < 0 ? rc : cf_packer_add(packer, type, codec, parts, 2, chunks, n, err);
}

size_t cf_blob_raw_len(const struct cf_table_chunk *chunks, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		len += chunks[i].raw_len;
	return len;
}

int cf_blob_check_ids(struct cf_repo *repo, enum cf_object_type type, const struct cf_table_chunk *chunks, size_t n,
		      const uint8_t *plain, struct cf_err *err)
{
	for (size_t i = 0; i < n; plain += chunks[i++].raw_len) {
		struct cf_id found;
		int rc = cf_chunk_id(repo, type, cf_span_of(plain, chunks[i].raw_len), &found, err);

		if (rc < 0)
			return rc;
		if (!cf_id_equal(&found, &chunks[i].id))
			return cf_err_set(err, CF_ERR_DAMAGED, "chunk %.16s is not what its id says", cf_id_text(&chunks[i].id).s);
	}
	return 0;
}
