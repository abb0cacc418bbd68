#include "repo/format/pack_table.h"

#include "base/err.h"
#include "base/le.h"
#include "repo/format/seal.h"

#include <stdlib.h>

enum {
	TABLE_VERSION = 1,
	FLAG_SKETCHES = 1,
	BLOB_LEN_MIN = 12, /* bytes of a blob record without chunks */
	CHUNK_LEN_MIN = CF_ID_LEN + 4
};

static bool has_sketch(const struct cf_table_chunk *chunk)
{
	for (int i = 0; i < CF_SKETCH_FEATURES; i++)
		if (chunk->sketch.super[i])
			return true;
	return false;
}

static uint8_t flags_of(const struct cf_pack_table *table, const struct cf_table_blob *blob)
{
	if (blob->codec == CF_CODEC_ZSTD_DELTA)
		return 0;
	for (uint32_t i = 0; i < blob->n_chunks; i++)
		if (has_sketch(&table->chunks[blob->first_chunk + i]))
			return FLAG_SKETCHES;
	return 0;
}

static size_t encoded_len(const struct cf_pack_table *table)
{
	return 5 + table->n_blobs * BLOB_LEN_MIN +
	       table->n_chunks * (CHUNK_LEN_MIN + 1 + CF_BASES_MAX * CF_ID_LEN + 4 * CF_SKETCH_FEATURES);
}

static void encode_chunk(const struct cf_table_chunk *chunk, enum cf_codec codec, uint8_t flags,
			 struct cf_buf *out)
{
	cf_buf_append(out, chunk->id.bytes, CF_ID_LEN, NULL);
	cf_buf_put_u32(out, chunk->raw_len, NULL);
	if (codec == CF_CODEC_ZSTD_DELTA) {
		cf_buf_put_u8(out, (uint8_t)chunk->bases.n, NULL);
		for (unsigned i = 0; i < chunk->bases.n; i++)
			cf_buf_append(out, chunk->bases.ids[i].bytes, CF_ID_LEN, NULL);
	}
	for (int i = 0; (flags & FLAG_SKETCHES) && i < CF_SKETCH_FEATURES; i++)
		cf_buf_put_u32(out, chunk->sketch.super[i], NULL);
}

int cf_pack_table_encode(const struct cf_pack_table *table, struct cf_buf *out, struct cf_err *err)
{
	/* Room for the longest form first: nothing below can then fail. */
	int rc = cf_buf_reserve(out, encoded_len(table), err);

	if (rc < 0)
		return rc;
	cf_buf_put_u8(out, TABLE_VERSION, NULL);
	cf_buf_put_u32(out, (uint32_t)table->n_blobs, NULL);
	for (size_t b = 0; b < table->n_blobs; b++) {
		const struct cf_table_blob *blob = &table->blobs[b];
		uint8_t flags = flags_of(table, blob);

		cf_buf_put_u32(out, blob->number, NULL);
		cf_buf_put_u32(out, blob->len, NULL);
		cf_buf_put_u8(out, (uint8_t)blob->codec, NULL);
		cf_buf_put_u8(out, flags, NULL);
		cf_buf_put_u16(out, (uint16_t)blob->n_chunks, NULL);
		for (uint32_t i = 0; i < blob->n_chunks; i++)
			encode_chunk(&table->chunks[blob->first_chunk + i], blob->codec, flags, out);
	}
	return 0;
}

static int damaged(struct cf_err *err)
{
	return cf_err_set(err, CF_ERR_DAMAGED, "has a damaged table of contents");
}

/* The bases of a delta: at least one, none of them the chunk itself. */
static bool decode_bases(struct cf_cursor *c, struct cf_table_chunk *chunk)
{
	chunk->bases.n = cf_cursor_u8(c);
	if (chunk->bases.n == 0 || chunk->bases.n > CF_BASES_MAX)
		return false;
	for (unsigned i = 0; i < chunk->bases.n; i++) {
		cf_cursor_copy(c, chunk->bases.ids[i].bytes, CF_ID_LEN);
		if (cf_id_is_zero(&chunk->bases.ids[i]) || cf_id_equal(&chunk->bases.ids[i], &chunk->id))
			return false;
	}
	return true;
}

static bool decode_chunk(struct cf_cursor *c, enum cf_codec codec, uint8_t flags,
			 struct cf_table_chunk *chunk)
{
	cf_cursor_copy(c, chunk->id.bytes, CF_ID_LEN);
	chunk->raw_len = cf_cursor_u32(c);
	if (codec == CF_CODEC_ZSTD_DELTA && !decode_bases(c, chunk))
		return false;
	for (int i = 0; (flags & FLAG_SKETCHES) && i < CF_SKETCH_FEATURES; i++)
		chunk->sketch.super[i] = cf_cursor_u32(c);
	return cf_cursor_ok(c) && chunk->raw_len > 0 && chunk->raw_len <= CF_CHUNK_LEN_MAX &&
	       !cf_id_is_zero(&chunk->id);
}

static bool decode_blob(struct cf_cursor *c, struct cf_table_blob *blob, uint8_t *flags_out)
{
	uint8_t codec;

	blob->number = cf_cursor_u32(c);
	blob->len = cf_cursor_u32(c);
	codec = cf_cursor_u8(c);
	blob->codec = (enum cf_codec)codec;
	*flags_out = cf_cursor_u8(c);
	blob->n_chunks = cf_cursor_u16(c);
	return cf_cursor_ok(c) && codec <= CF_CODEC_MAX && blob->n_chunks > 0 &&
	       blob->len > CF_TAG_LEN && blob->len <= CF_BLOB_LEN_MAX && *flags_out <= FLAG_SKETCHES &&
	       (codec != CF_CODEC_ZSTD_DELTA || (blob->n_chunks == 1 && *flags_out == 0)) &&
	       cf_cursor_left(c) / CHUNK_LEN_MIN >= blob->n_chunks;
}

static int grow_chunks(struct cf_pack_table *table, size_t *capacity, size_t more, struct cf_err *err)
{
	struct cf_table_chunk *chunks;
	size_t want = table->n_chunks + more;

	if (want <= *capacity)
		return 0;
	want += want / 2;
	chunks = realloc(table->chunks, want * sizeof(*chunks));
	if (!chunks)
		return cf_err_nomem(err);
	table->chunks = chunks;
	*capacity = want;
	return 0;
}

static int decode_blobs(struct cf_cursor *c, uint32_t n_blobs, struct cf_pack_table *table,
			struct cf_err *err)
{
	uint64_t off = CF_PACK_HEADER_LEN;
	size_t capacity = 0;

	for (; table->n_blobs < n_blobs; table->n_blobs++) {
		struct cf_table_blob *blob = &table->blobs[table->n_blobs];
		uint64_t raw_len = 0;
		uint8_t flags;
		int rc;

		if (!decode_blob(c, blob, &flags))
			return damaged(err);
		rc = grow_chunks(table, &capacity, blob->n_chunks, err);
		if (rc < 0)
			return rc;
		blob->off = (uint32_t)off;
		off += blob->len;
		blob->first_chunk = (uint32_t)table->n_chunks;
		for (uint32_t i = 0; i < blob->n_chunks; i++) {
			struct cf_table_chunk *chunk = &table->chunks[table->n_chunks];

			memset(chunk, 0, sizeof(*chunk));
			if (!decode_chunk(c, blob->codec, flags, chunk))
				return damaged(err);
			table->n_chunks++;
			raw_len += chunk->raw_len;
		}
		/* One table has one form: no flag without a sketch. */
		if (off > CF_PACK_LEN_MAX || raw_len > CF_FRAME_LEN_MAX || flags != flags_of(table, blob))
			return damaged(err);
	}
	return 0;
}

int cf_pack_table_decode(struct cf_span in, struct cf_pack_table *table_out, size_t *used_out,
			 struct cf_err *err)
{
	struct cf_cursor c = cf_cursor_of(in);
	struct cf_pack_table table = {0};
	uint8_t version = cf_cursor_u8(&c);
	uint32_t n_blobs = cf_cursor_u32(&c);
	int rc = 0;

	if (!cf_cursor_ok(&c) || version != TABLE_VERSION || n_blobs > cf_cursor_left(&c) / BLOB_LEN_MIN)
		return damaged(err);
	table.blobs = calloc(n_blobs ? n_blobs : 1, sizeof(*table.blobs));
	if (!table.blobs)
		return cf_err_nomem(err);
	rc = decode_blobs(&c, n_blobs, &table, err);
	if (rc < 0) {
		cf_pack_table_release(&table);
		return rc;
	}
	*used_out = in.len - cf_cursor_left(&c);
	*table_out = table;
	return 0;
}

void cf_pack_table_release(struct cf_pack_table *table)
{
	free(table->blobs);
	free(table->chunks);
	*table = (struct cf_pack_table){0};
}

uint64_t cf_padme(uint64_t len)
{
	unsigned exponent, bits, low;
	uint64_t mask;

	if (len < 2)
		return len;
	exponent = 63 - (unsigned)__builtin_clzll(len);
	bits = exponent ? 64 - (unsigned)__builtin_clzll(exponent) : 1;
	if (bits >= exponent)
		return len;
	low = exponent - bits;
	mask = ((uint64_t)1 << low) - 1;
	return (len + mask) & ~mask;
}
