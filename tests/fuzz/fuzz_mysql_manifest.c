/* Input: database.json or, after an 's', server.json. What is accepted comes out the same when
 * written and read again. */

#include "drivers/mysql/manifest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool database_again(struct cf_span in, struct cf_buf *out)
{
	struct cf_mysql_manifest manifest = CF_MYSQL_MANIFEST_INIT;

	if (cf_mysql_manifest_decode(in, &manifest, NULL) < 0)
		return false;
	for (size_t i = 0; i < manifest.n_tables; i++)
		if (manifest.tables[i].file && strchr(manifest.tables[i].file, '/'))
			abort();
	if (cf_mysql_manifest_encode(&manifest, out, NULL) < 0)
		abort();
	cf_mysql_manifest_release(&manifest);
	return true;
}

static bool server_again(struct cf_span in, struct cf_buf *out)
{
	struct cf_mysql_server server = CF_MYSQL_SERVER_INIT;

	if (cf_mysql_server_decode(in, &server, NULL) < 0)
		return false;
	if (cf_mysql_server_encode(&server, out, NULL) < 0)
		abort();
	cf_mysql_server_release(&server);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cf_buf once = CF_BUF_INIT, twice = CF_BUF_INIT;
	bool is_server = len > 0 && data[0] == 's';
	struct cf_span in = cf_span_of(data + is_server, len - is_server);

	if ((is_server ? server_again : database_again)(in, &once) &&
	    (!(is_server ? server_again : database_again)(cf_buf_span(&once), &twice) ||
	     once.len != twice.len || memcmp(once.data, twice.data, once.len) != 0))
		abort();
	cf_buf_release(&once);
	cf_buf_release(&twice);
	return 0;
}
