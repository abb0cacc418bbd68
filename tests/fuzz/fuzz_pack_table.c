/* Any bytes as the table of a pack: what is accepted keeps the limits and is written again the
 * same. */

#include "repo/format/pack_table.h"
#include "repo/format/seal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_blob(const struct cf_pack_table *table, const struct cf_table_blob *blob)
{
	uint64_t raw_len = 0;

	if (blob->n_chunks == 0 || blob->len <= CF_TAG_LEN || blob->len > CF_BLOB_LEN_MAX ||
	    (size_t)blob->first_chunk + blob->n_chunks > table->n_chunks)
		abort();
	for (uint32_t i = 0; i < blob->n_chunks; i++) {
		const struct cf_table_chunk *chunk = &table->chunks[blob->first_chunk + i];

		raw_len += chunk->raw_len;
		if (chunk->raw_len == 0 || chunk->bases.n > CF_BASES_MAX ||
		    (chunk->bases.n > 0) != (blob->codec == CF_CODEC_ZSTD_DELTA))
			abort();
	}
	if (raw_len > CF_FRAME_LEN_MAX)
		abort();
}

static void check_table(const struct cf_pack_table *table)
{
	uint64_t off = CF_PACK_HEADER_LEN;

	for (size_t i = 0; i < table->n_blobs; i++) {
		if (table->blobs[i].off != off)
			abort();
		off += table->blobs[i].len;
		check_blob(table, &table->blobs[i]);
	}
	if (off > CF_PACK_LEN_MAX)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cf_pack_table table;
	struct cf_buf again = CF_BUF_INIT;
	size_t used;

	if (cf_pack_table_decode(cf_span_of(data, len), &table, &used, NULL) < 0)
		return 0;
	check_table(&table);
	if (cf_pack_table_encode(&table, &again, NULL) == 0 &&
	    (used > len || again.len != used || memcmp(again.data, data, used) != 0))
		abort();
	cf_buf_release(&again);
	cf_pack_table_release(&table);
	return 0;
}
