/*
 * Input: a statement as from SHOW CREATE. Whatever it is, nothing is read beyond it; a table's that
 * is accepted comes out of a second round as of the first, and a database that was renamed away is
 * not named any more.
 */

#include "drivers/mysql/ddl.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void write_twice(const char *text)
{
	const struct cf_mysql_create_options options = {.name = "n"};
	struct cf_buf once = CF_BUF_INIT, twice = CF_BUF_INIT, keys = CF_BUF_INIT,
		      foreign = CF_BUF_INIT;
	struct cf_mysql_create_table table;

	if (cf_mysql_create_table_parse(text, &table, NULL) < 0)
		return;
	if (cf_mysql_create_table_write(&table, &options, &once, &keys, &foreign, NULL) < 0)
		abort();
	cf_mysql_create_table_release(&table);
	if (cf_mysql_create_table_parse((const char *)once.data, &table, NULL) < 0 ||
	    cf_mysql_create_table_write(&table, &options, &twice, &keys, &foreign, NULL) < 0 ||
	    once.len != twice.len || memcmp(once.data, twice.data, once.len) != 0)
		abort();
	cf_mysql_create_table_release(&table);
	cf_buf_release(&once);
	cf_buf_release(&twice);
	cf_buf_release(&keys);
	cf_buf_release(&foreign);
}

static int check_name(void *user, const char *db, const char *sequence, struct cf_err *err)
{
	return strlen(db) + strlen(sequence) > *(const size_t *)user ? abort(), -1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1);
	struct cf_buf out = CF_BUF_INIT, again = CF_BUF_INIT;

	if (!text)
		return 0;
	memcpy(text, data, len);
	text[len] = '\0';
	write_twice(text);
	cf_mysql_ddl_set_name(text, "VIEW", "v", &out, NULL);
	if (cf_mysql_ddl_set_database(text, "shop", "other", &out, NULL) < 0 ||
	    cf_mysql_ddl_set_database((const char *)out.data, "shop", "third", &again, NULL) < 0 ||
	    strcmp((const char *)out.data, (const char *)again.data) != 0)
		abort();
	if (cf_mysql_ddl_drop_definer(text, &out, NULL) < 0)
		abort();
	if (cf_mysql_ddl_disable_event(text, &out, NULL) < 0)
		abort();
	if (cf_mysql_ddl_drop_directories(text, &out, NULL) < 0 || out.len > len)
		abort();
	cf_mysql_ddl_is_ambiguous(text, "shop");
	cf_mysql_ddl_mentions(text, "shop");
	cf_mysql_ddl_sequences(text, check_name, &len, NULL);
	cf_mysql_ddl_references(text, check_name, &len, NULL);
	cf_buf_release(&out);
	cf_buf_release(&again);
	free(text);
	return 0;
}
