/* Any bytes as an archive of pg_dump: what is decoded can be written as scripts, and its SQL read token by token. */

#include "base/err.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/script.h"
#include "drivers/postgres/settle.h"
#include "drivers/postgres/sql.h"
#include "drivers/postgres/toc.h"

#include <stdlib.h>
#include <string.h>

#define SCRIPTS_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* Tokens are never empty, and together they are the text. */
static void read_tokens(const char *sql)
{
	const char *at = sql, *end = sql + strlen(sql);
	struct cf_buf name = CF_BUF_INIT;

	for (;;) {
		const char *begin = at;
		struct cf_sql_token token = cf_sql_next(&at);

		require(token.text == begin && at == begin + token.len && at <= end);
		if (token.kind == CF_SQL_END)
			break;
		require(token.len > 0);
		if (token.kind == CF_SQL_WORD || token.kind == CF_SQL_QUOTED)
			require(cf_sql_name_of(&token, &name, NULL) == 0 && name.len <= token.len);
	}
	require(at == end);
	cf_buf_release(&name);
}

static void settle(const char *sql)
{
	struct cf_buf text = CF_BUF_INIT;

	require(cf_pg_settle(sql, &text, NULL) == 0 && text.len > 0 && !text.data[text.len - 1]);
	cf_buf_release(&text);
}

static void write_script(const struct cf_pg_script *script, uint32_t oid)
{
	struct cf_buf before = CF_BUF_INIT, after = CF_BUF_INIT;
	int rc = cf_pg_script_table(script, oid, "COPY t FROM stdin;", &before, &after, NULL);

	require(rc == 0 || rc == CF_ERR_NOT_FOUND);
	if (rc == 0) {
		require(before.len > 0 && memcmp(before.data, "\\restrict ", 10) == 0);
		require(after.len > 3 && memcmp(after.data, "\\.\n", 3) == 0);
	}
	cf_buf_release(&before);
	cf_buf_release(&after);
}

static void write_scripts(const struct cf_pg_toc *toc)
{
	struct cf_pg_sequence sequence = {.schema = "s", .name = "q", .oid = 1, .last_value = -1};
	struct cf_pg_manifest manifest = {.sequences = &sequence, .n_sequences = 1};
	struct cf_pg_script *script = NULL;
	size_t n = 0;

	require(cf_pg_script_new(toc, &manifest, "key", &script, NULL) == 0);
	for (size_t i = 0; i < toc->n_entries && n < SCRIPTS_MAX; i++) {
		if (strcmp(toc->entries[i].desc, "TABLE") != 0)
			continue;
		write_script(script, toc->entries[i].oid);
		n++;
	}
	cf_pg_script_free(script);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cf_pg_toc *toc = NULL;

	if (cf_pg_toc_decode(cf_span_of(data, len), &toc, NULL) < 0)
		return 0;
	for (size_t i = 0; i < toc->n_entries; i++) {
		if (toc->entries[i].defn) {
			read_tokens(toc->entries[i].defn);
			settle(toc->entries[i].defn);
		}
	}
	write_scripts(toc);
	cf_pg_toc_free(toc);
	return 0;
}
