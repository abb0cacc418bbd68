/* Any bytes as the manifest of a database: what is decoded is encoded to the same bytes again and again. */

#include "drivers/postgres/manifest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cf_pg_manifest *manifest = NULL, *again = NULL;
	struct cf_buf first = CF_BUF_INIT, second = CF_BUF_INIT;

	if (cf_pg_manifest_decode(cf_span_of(data, len), &manifest, NULL) < 0)
		return 0;
	for (size_t i = 0; i < manifest->n_tables; i++)
		require(!manifest->tables[i].file || manifest->tables[i].file[0] != '/');
	require(cf_pg_manifest_encode(manifest, &first, NULL) == 0);
	require(cf_pg_manifest_decode(cf_buf_span(&first), &again, NULL) == 0);
	require(cf_pg_manifest_encode(again, &second, NULL) == 0);
	require(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
	cf_pg_manifest_free(manifest);
	cf_pg_manifest_free(again);
	cf_buf_release(&first);
	cf_buf_release(&second);
	return 0;
}
