/* Any bytes as the header of a sealed object: what is accepted is written again the same. */

#include "repo/format/seal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cf_seal_header header;
	uint8_t again[CF_PACK_HEADER_LEN];
	size_t header_len;

	if (cf_seal_header_decode(cf_span_of(data, len), &header, NULL) < 0)
		return 0;
	header_len = cf_seal_header_len(header.type);
	if (header_len > len)
		abort();
	cf_seal_header_encode(&header, again);
	if (memcmp(again, data, header_len) != 0)
		abort();
	return 0;
}
