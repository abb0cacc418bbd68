#include "repo/format/segment.h"

#include "base/err.h"
#include "base/le.h"

#include <stdlib.h>

enum {
	SEGMENT_VERSION = 1,
	PACK_LEN_MIN = CF_ID_LEN + 8 + 1 + 5
};

static int encode_pack(const struct cf_segment_pack *pack, struct cf_buf *out, struct cf_err *err)
{
	int rc = cf_buf_append(out, pack->name.bytes, CF_ID_LEN, err);

	if (rc == 0)
		rc = cf_buf_put_u64(out, pack->size, err);
	if (rc == 0)
		rc = cf_buf_put_u8(out, (uint8_t)pack->type, err);
	return rc < 0 ? rc : cf_pack_table_encode(&pack->table, out, err);
}

int cf_segment_encode(const struct cf_segment *segment, struct cf_buf *out, struct cf_err *err)
{
	int rc = cf_buf_put_u8(out, SEGMENT_VERSION, err);

	if (rc == 0)
		rc = cf_buf_put_u32(out, (uint32_t)segment->n_supersedes, err);
	for (size_t i = 0; rc == 0 && i < segment->n_supersedes; i++)
		rc = cf_buf_append(out, segment->supersedes[i].bytes, CF_ID_LEN, err);
	if (rc == 0)
		rc = cf_buf_put_u32(out, (uint32_t)segment->n_packs, err);
	for (size_t i = 0; rc == 0 && i < segment->n_packs; i++)
		rc = encode_pack(&segment->packs[i], out, err);
	return rc;
}

static int damaged(struct cf_err *err)
{
	return cf_err_set(err, CF_ERR_DAMAGED, "is damaged inside");
}

static int decode_supersedes(struct cf_cursor *c, struct cf_segment *segment, struct cf_err *err)
{
	uint32_t n = cf_cursor_u32(c);

	if (!cf_cursor_ok(c) || n > cf_cursor_left(c) / CF_ID_LEN)
		return damaged(err);
	segment->supersedes = calloc(n ? n : 1, sizeof(*segment->supersedes));
	if (!segment->supersedes)
		return cf_err_nomem(err);
	segment->n_supersedes = n;
	for (uint32_t i = 0; i < n; i++)
		cf_cursor_copy(c, segment->supersedes[i].bytes, CF_ID_LEN);
	return 0;
}

static int decode_pack(struct cf_cursor *c, struct cf_segment_pack *pack, struct cf_err *err)
{
	const struct cf_table_blob *last;
	uint8_t type;
	size_t used;
	int rc;

	cf_cursor_copy(c, pack->name.bytes, CF_ID_LEN);
	pack->size = cf_cursor_u64(c);
	type = cf_cursor_u8(c);
	pack->type = (enum cf_object_type)type;
	if (!cf_cursor_ok(c) || pack->size > CF_PACK_LEN_MAX ||
	    (type != CF_OBJECT_DATA_PACK && type != CF_OBJECT_TREE_PACK))
		return damaged(err);
	rc = cf_pack_table_decode(cf_span_of(c->at, cf_cursor_left(c)), &pack->table, &used, err);
	if (rc < 0)
		return rc;
	cf_cursor_bytes(c, used);
	if (pack->table.n_blobs == 0)
		return 0;
	last = &pack->table.blobs[pack->table.n_blobs - 1];
	return (uint64_t)last->off + last->len <= pack->size ? 0 : damaged(err);
}

static int decode_packs(struct cf_cursor *c, struct cf_segment *segment, struct cf_err *err)
{
	uint32_t n = cf_cursor_u32(c);
	int rc = 0;

	if (!cf_cursor_ok(c) || n > cf_cursor_left(c) / PACK_LEN_MIN)
		return damaged(err);
	segment->packs = calloc(n ? n : 1, sizeof(*segment->packs));
	if (!segment->packs)
		return cf_err_nomem(err);
	while (rc == 0 && segment->n_packs < n)
		rc = decode_pack(c, &segment->packs[segment->n_packs++], err);
	if (rc == 0 && cf_cursor_left(c) != 0)
		rc = damaged(err);
	return rc;
}

int cf_segment_decode(struct cf_span in, struct cf_segment *segment_out, struct cf_err *err)
{
	struct cf_cursor c = cf_cursor_of(in);
	struct cf_segment segment = {0};
	int rc;

	if (cf_cursor_u8(&c) != SEGMENT_VERSION)
		return damaged(err);
	rc = decode_supersedes(&c, &segment, err);
	if (rc == 0)
		rc = decode_packs(&c, &segment, err);
	if (rc < 0) {
		cf_segment_release(&segment);
		return rc;
	}
	*segment_out = segment;
	return 0;
}

void cf_segment_release(struct cf_segment *segment)
{
	for (size_t i = 0; i < segment->n_packs; i++)
		cf_pack_table_release(&segment->packs[i].table);
	free(segment->packs);
	free(segment->supersedes);
	*segment = (struct cf_segment){0};
}
