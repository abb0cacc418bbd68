/* Any bytes as an index segment: what is accepted fits its packs and is written again the same. */

#include "repo/format/segment.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_pack(const struct cf_segment_pack *pack)
{
	for (size_t i = 0; i < pack->table.n_blobs; i++) {
		const struct cf_table_blob *blob = &pack->table.blobs[i];

		if ((uint64_t)blob->off + blob->len > pack->size)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cf_segment segment;
	struct cf_buf again = CF_BUF_INIT;

	if (cf_segment_decode(cf_span_of(data, len), &segment, NULL) < 0)
		return 0;
	for (size_t i = 0; i < segment.n_packs; i++)
		check_pack(&segment.packs[i]);
	if (cf_segment_encode(&segment, &again, NULL) == 0 &&
	    (again.len != len || memcmp(again.data, data, len) != 0))
		abort();
	cf_buf_release(&again);
	cf_segment_release(&segment);
	return 0;
}
