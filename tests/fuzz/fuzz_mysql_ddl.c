/*
 * Input: a statement as from SHOW CREATE. Whatever it is, nothing is read beyond it; a table's that
 * is accepted comes out of a second round as of the first, and databases and sequences that
 * swap their names twice have their own again.
 */

#include "drivers/mysql/ddl.h"
#include "drivers/mysql/users_scan.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

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
	cf_mysql_create_table_has_bare_timestamp(&table);
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

static int check_step(void *user, const struct cf_mysql_user_step *step, struct cf_err *err)
{
	static const char *const words[] = {"CREATE", "GRANT", "SET"};

	for (size_t i = 0; i < 3; i++)
		if (!strncasecmp(step->sql, words[i], strlen(words[i])))
			return 0;
	abort();
}

static const char *swap(void *user, const char *db)
{
	return !strcmp(db, "shop") ? "other" : !strcmp(db, "other") ? "shop" : NULL;
}

static bool swap_sequence(void *user, struct cf_mysql_qualified from,
			  struct cf_mysql_qualified *to_out)
{
	*to_out = (struct cf_mysql_qualified){"shop", !strcmp(from.name, "a")	? "b"
						      : !strcmp(from.name, "b") ? "a"
										: "s"};
	return !strcmp(from.db, "shop");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1);
	struct cf_buf out = CF_BUF_INIT, again = CF_BUF_INIT, third = CF_BUF_INIT;

	if (!text)
		return 0;
	memcpy(text, data, len);
	text[len] = '\0';
	write_twice(text);
	cf_mysql_ddl_set_name(text, "VIEW", "v", &out, NULL);
	cf_mysql_ddl_set_name(text, "VIEW", NULL, &out, NULL);
	cf_mysql_ddl_qualifies_foreign(text);
	if (cf_mysql_ddl_set_databases(text, swap, NULL, &out, NULL) < 0 ||
	    cf_mysql_ddl_set_databases((const char *)out.data, swap, NULL, &again, NULL) < 0 ||
	    cf_mysql_ddl_set_databases((const char *)again.data, swap, NULL, &third, NULL) < 0 ||
	    strcmp((const char *)out.data, (const char *)third.data) != 0)
		abort();
	if (cf_mysql_ddl_set_sequences(text, swap_sequence, NULL, &out, NULL) < 0 ||
	    cf_mysql_ddl_set_sequences((const char *)out.data, swap_sequence, NULL, &again, NULL) <
		    0 ||
	    cf_mysql_ddl_set_sequences((const char *)again.data, swap_sequence, NULL, &third,
				       NULL) < 0 ||
	    strcmp((const char *)out.data, (const char *)third.data) != 0)
		abort();
	if (cf_mysql_ddl_set_references(text, swap_sequence, NULL, &out, NULL) < 0)
		abort();
	cf_mysql_ddl_mentions_table(text, "t");
	cf_mysql_ddl_view_reads(text, (struct cf_mysql_qualified){"shop", "t"}, true);
	if (cf_mysql_ddl_drop_definer(text, &out, NULL) < 0)
		abort();
	if (cf_mysql_ddl_disable_event(text, &out, NULL) < 0)
		abort();
	if (cf_mysql_ddl_plain_strings(text, &out, NULL) < 0 || out.len > len)
		abort();
	if (cf_mysql_ddl_reveal_options(text, &out, NULL) < 0 || out.len > len)
		abort();
	if (cf_mysql_ddl_drop_directories(text, &out, NULL) < 0 || out.len > len)
		abort();
	if (cf_mysql_ddl_drop_numbering(text, &out, NULL) < 0 || out.len > len)
		abort();
	cf_mysql_ddl_is_encrypted(text);
	if (cf_mysql_ddl_set_engine(text, "FEDERATED", "InnoDB", &out, NULL) < 0 || out.len > len)
		abort();
	cf_mysql_ddl_is_ambiguous(text, "shop");
	cf_mysql_ddl_mentions(text, "shop");
	cf_mysql_ddl_sequences(text, check_name, &len, NULL);
	cf_mysql_ddl_references(text, check_name, &len, NULL);
	cf_mysql_users_scan(text, check_step, NULL, NULL);
	cf_buf_release(&out);
	cf_buf_release(&again);
	cf_buf_release(&third);
	free(text);
	return 0;
}
