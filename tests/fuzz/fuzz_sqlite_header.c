/* Any bytes as the first page of a database. */

#include "drivers/sqlite/header.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cf_sqlite_header header;

	if (!cf_sqlite_header_decode(cf_span_of(data, len), &header))
		return 0;
	if (header.page_len < CF_SQLITE_PAGE_LEN_MIN || header.page_len > CF_SQLITE_PAGE_LEN_MAX ||
	    (header.page_len & (header.page_len - 1)) != 0)
		abort();
	if (header.page_len <= len && !cf_sqlite_header_same_page(data, data, header.page_len))
		abort();
	return 0;
}
