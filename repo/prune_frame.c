#include "repo/prune_parts.h"

#include "base/array.h"
#include "repo/blob.h"

#include <stdlib.h>

/* New blobs for whole chunks. Everything is decoded again before it is stored. */

enum {
	FRAME_LEN = 1 << 20
};

/* Written once: a higher level than that of a backup in a hurry takes up to a tenth off. Rows with hexadecimal digits it makes half as long
 * again, so both are tried. */
static const int levels[] = {1, 3};

/* The shortest of the payloads, in slot->payload: its length, 0 when plain is shorter, or an error. */
static ssize_t compress_best(struct cf_coder_slot *slot, struct cf_span plain, struct cf_err *err)
{
	size_t best = 0;

	cf_buf_clear(&slot->payload);
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		ssize_t len;

		cf_buf_clear(&slot->raw);
		len = cf_codec_encode(&slot->coder, CF_CODEC_ZSTD, levels[i], plain, &slot->raw, err);
		if (len < 0)
			return len;
		if (len > 0 && (best == 0 || (size_t)len < best)) {
			struct cf_buf shorter = slot->raw;

			slot->raw = slot->payload;
			slot->payload = shorter;
			best = (size_t)len;
		}
	}
	return (ssize_t)best;
}

int cf_prune_frame_store(struct cf_packer *packer, struct cf_prune_frame *frame, struct cf_coder_slot *slot, struct cf_err *err)
{
	struct cf_span plain = cf_buf_span(&frame->plain), payload = plain;
	enum cf_codec codec = CF_CODEC_RAW;
	ssize_t len;
	int rc;

	if (frame->n == 0)
		return 0;
	len = compress_best(slot, plain, err);
	if (len < 0)
		return (int)len;
	if (len > 0) {
		codec = CF_CODEC_ZSTD;
		payload = cf_buf_span(&slot->payload);
	}
	rc = cf_blob_store(packer, slot, frame->type, codec, payload, cf_span_of(NULL, 0), plain, frame->chunks, frame->n, err);
	cf_buf_clear(&frame->plain);
	frame->n = 0;
	return rc;
}

int cf_prune_frame_add(struct cf_prune *p, struct cf_packer *packer, struct cf_prune_frame *frame,
		       const struct cf_table_chunk *chunk, struct cf_span plain, struct cf_coder_slot *slot, struct cf_err *err)
{
	struct cf_table_chunk *added;
	int rc = 0;

	/* Chunks of trees have a blob each: they are read one by one. */
	if (frame->n && (frame->type == CF_OBJECT_TREE_PACK || frame->plain.len + plain.len > FRAME_LEN))
		rc = cf_prune_frame_store(packer, frame, slot, err);
	if (rc == 0)
		rc = cf_array_grow(&frame->chunks, &frame->capacity, frame->n, sizeof(*frame->chunks), err);
	if (rc == 0)
		rc = cf_buf_append(&frame->plain, plain.data, plain.len, err);
	if (rc < 0)
		return rc;
	added = &frame->chunks[frame->n++];
	*added = *chunk;
	/* What was a delta may become a base. */
	if (chunk->bases.n)
		cf_sketch_compute(&p->repo->gear, plain.data, plain.len, &added->sketch);
	added->bases = (struct cf_bases){0};
	return 0;
}

void cf_prune_frame_release(struct cf_prune_frame *frame)
{
	cf_buf_release(&frame->plain);
	free(frame->chunks);
}
