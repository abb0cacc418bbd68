/* A database as the archive describes it, under whatever name. */

#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/sql.h"
#include "drivers/postgres/toc.h"

#include <stdlib.h>
#include <string.h>

/* Stands for a name that only the server can write. */
#define THIS "this database, whatever it is called"

static bool is_ascii(const char *text)
{
	while (*text && !(*text & 0x80))
		text++;
	return !*text;
}

/* Whether the name is other characters, or none, within the database, which is in another encoding. */
static bool is_named_otherwise(const struct cf_pg_load *load, struct cf_pg *pg)
{
	const char *encoding = cf_pg_parameter(pg, "server_encoding");

	return pg == load->pg && !is_ascii(load->database) && encoding && strcmp(encoding, "UTF8") != 0 &&
	       strcmp(encoding, "SQL_ASCII") != 0;
}

/* A block that runs sql about THIS. */
static int append_block(const char *sql, struct cf_buf *out, struct cf_err *err)
{
	struct cf_buf block = CF_BUF_INIT;
	int rc = cf_buf_append_str(&block, "BEGIN EXECUTE pg_catalog.replace(", err);

	if (rc == 0)
		rc = cf_sql_append_literal(sql, &block, err);
	if (rc == 0)
		rc = cf_buf_append_str(&block, ", '\"" THIS "\"', pg_catalog.quote_ident(pg_catalog.current_database())); END", err);
	if (rc == 0)
		rc = cf_buf_append(&block, "", 1, err);
	if (rc == 0)
		rc = cf_buf_append_str(out, "DO ", err);
	if (rc == 0)
		rc = cf_sql_append_literal((const char *)block.data, out, err);
	cf_buf_release(&block);
	return rc < 0 ? rc : cf_buf_append(out, "", 1, err);
}

/* sql for the database of that name and the server of pg, ended by NUL. */
static int append_named(const struct cf_pg_load *load, struct cf_pg *pg, const char *name, const char *sql,
			struct cf_buf *out, struct cf_err *err)
{
	const struct cf_sql_database database = {.name = name,
						 .version = cf_pg_server_version(pg),
						 .no_tablespaces = load->no_tablespaces};
	int rc = cf_sql_append_for_database(sql, &database, out, err);

	return rc < 0 ? rc : cf_buf_append(out, "", 1, err);
}

/* sql for this one. */
static int append_for_database(const struct cf_pg_load *load, struct cf_pg *pg, const char *sql,
			       struct cf_buf *out, struct cf_err *err)
{
	struct cf_buf text = CF_BUF_INIT;
	int rc;

	if (!is_named_otherwise(load, pg))
		return append_named(load, pg, load->database, sql, out, err);
	rc = append_named(load, pg, THIS, sql, &text, err);
	if (rc == 0)
		rc = append_block((const char *)text.data, out, err);
	cf_buf_release(&text);
	return rc;
}

static int exec_for_database(const struct cf_pg_load *load, struct cf_pg *pg, const char *sql,
			     struct cf_err *err)
{
	struct cf_buf text = CF_BUF_INIT;
	int rc = append_for_database(load, pg, sql, &text, err);

	if (rc == 0)
		rc = cf_pg_exec(pg, (const char *)text.data, err);
	cf_buf_release(&text);
	return rc;
}

/* By the database itself, which reads names as the one that was saved did. */
int cf_pg_load_own_database(struct cf_pg_load *load, struct cf_err *err)
{
	struct cf_buf sql = CF_BUF_INIT;
	int rc;

	if (!load->manifest->owner || load->options->no_owner)
		return 0;
	rc = cf_buf_append_str(&sql, "ALTER DATABASE x OWNER TO ", err);
	if (rc == 0)
		rc = cf_sql_append_name(load->manifest->owner, &sql, err);
	if (rc == 0)
		rc = cf_buf_append(&sql, "", 1, err);
	if (rc == 0)
		rc = exec_for_database(load, load->pg, (const char *)sql.data, err);
	if (rc < 0)
		cf_err_wrap(err, "database %s", load->database);
	cf_buf_release(&sql);
	return rc;
}

static const char *create_statement(const struct cf_pg_load *load)
{
	for (size_t i = 0; i < load->toc->n_entries; i++)
		if (strcmp(load->toc->entries[i].desc, "DATABASE") == 0)
			return load->toc->entries[i].defn;
	return NULL;
}

bool cf_pg_load_is_of_server(const char *name)
{
	return strcmp(name, "postgres") == 0 || strcmp(name, "template1") == 0 ||
	       strcmp(name, "template0") == 0;
}

static int check_present(struct cf_pg_load *load, struct cf_pg *pg, struct cf_err *err)
{
	int rc;

	if (cf_pg_load_is_of_server(load->database))
		return cf_err_set(err, CF_ERR_EXISTS,
				  "database %s is one that every server has and is not made anew: leave "
				  "--create away (--clean then replaces what is in it)",
				  load->database);
	if (!load->options->clean)
		return cf_err_set(err, CF_ERR_EXISTS,
				  "database %s exists: leave --create away, name another one, or "
				  "replace it with --clean",
				  load->database);
	rc = cf_pg_load_check_replaced(load, pg, err);
	return rc == 0 && load->options->dry_run ? cf_pg_load_check_unused(load, pg, err) : rc;
}

static int replace_database(struct cf_pg_load *load, struct cf_pg *pg, bool exists, const char *sql,
			    struct cf_err *err)
{
	int rc = exists ? cf_pg_load_drop_present(pg, load->database, err) : 0;

	if (rc == 0)
		rc = exec_for_database(load, pg, sql, err);
	/* Whoever stops waiting for it does not know whether it was made. */
	load->made_database = rc == 0 || rc == CF_ERR_CANCELED;
	if (rc < 0)
		cf_err_wrap(err, "database %s", load->database);
	return rc;
}

int cf_pg_load_find_database(struct cf_pg *pg, const char *name, bool *found_out, struct cf_err *err)
{
	struct cf_pg_rows *rows = NULL;
	int rc = cf_pg_query(pg, "SELECT FROM pg_catalog.pg_database WHERE datname = $1", &name, 1, &rows, err);

	*found_out = rc == 0 && cf_pg_rows_count(rows) > 0;
	cf_pg_rows_free(rows);
	return rc;
}

int cf_pg_load_make_database(struct cf_pg_load *load, struct cf_pg *pg, struct cf_err *err)
{
	const char *sql = create_statement(load);
	bool exists;
	int rc = cf_pg_load_find_database(pg, load->database, &exists, err);

	if (rc == 0 && !sql)
		rc = cf_err_set(err, CF_ERR_UNSUPPORTED,
				"the snapshot does not say how its database was made: make %s "
				"and leave --create away",
				load->database);
	if (rc == 0 && exists)
		rc = check_present(load, pg, err);
	if (rc < 0)
		return rc;
	if (exists)
		cf_pg_load_step(load, 0, "drop", "database %s", load->database);
	cf_pg_load_step(load, 0, "create", "database %s", load->database);
	return load->options->dry_run ? 0 : replace_database(load, pg, exists, sql, err);
}

bool cf_pg_load_finishes(const struct cf_pg_load *load, const struct cf_pg_toc_entry *entry)
{
	static const char prefix[] = "DATABASE ";

	if (!entry->defn || !entry->defn[0])
		return false;
	if (strcmp(entry->desc, "DATABASE PROPERTIES") == 0)
		return true;
	if (strcmp(entry->desc, "ACL") == 0 && load->options->no_privileges)
		return false;
	return entry->section == CF_PG_SECTION_NONE && !entry->nspname &&
	       strncmp(entry->tag, prefix, strlen(prefix)) == 0;
}

/* Of "ALTER DATABASE d SET work_mem TO '8MB';" what is before the value, which may be nobody's business. */
static int name_setting(const char *statement, struct cf_buf *out, struct cf_err *err)
{
	const char *at = statement, *end = statement;
	struct cf_sql_token token;

	while ((token = cf_sql_next_token(&at)).kind != CF_SQL_END && !cf_sql_is_word(&token, "TO") &&
	       !(token.kind == CF_SQL_OTHER && strchr("=;", token.text[0])))
		end = token.text + token.len;
	return cf_buf_printf(out, err, "%.*s%c", (int)(end - statement), statement, 0);
}

/* Behind the statement's semicolon. */
static const char *end_of_statement(const char *sql)
{
	struct cf_sql_token token;

	while ((token = cf_sql_next(&sql)).kind != CF_SQL_END)
		if (token.kind == CF_SQL_OTHER && token.text[0] == ';')
			break;
	return sql;
}

/* ALTER ROLE ... IN DATABASE, where roles need not be there: the restore can do without it. */
static bool may_lack_role(const struct cf_pg_load *load, const char *sql)
{
	static const char of_role[] = "ALTER ROLE ";

	return load->options->no_privileges && strncmp(sql, of_role, strlen(of_role)) == 0;
}

static int apply_statement(struct cf_pg_load *load, const char *sql, const struct cf_pg_step *of_all,
			   struct cf_err *err)
{
	const struct cf_pg_step step = {.inside = of_all->inside,
					.dispensable = of_all->dispensable || may_lack_role(load, sql)};
	struct cf_buf shown = CF_BUF_INIT, text = CF_BUF_INIT, object = CF_BUF_INIT;
	int rc = append_named(load, load->pg, load->database, sql, &shown, err);

	if (rc == 0)
		rc = name_setting((const char *)shown.data, &object, err);
	if (rc == 0)
		rc = append_for_database(load, load->pg, sql, &text, err);
	if (rc == 0)
		rc = cf_pg_load_begin_step(load, load->pg, &step, err);
	if (rc == 0)
		rc = cf_pg_load_end_step(load, load->pg, &step, cf_pg_exec(load->pg, (const char *)text.data, err),
					 (const char *)object.data, err);
	if (rc < 0 && rc != CF_ERR_CANCELED && object.len > 0)
		cf_err_wrap(err, "%s", (const char *)object.data);
	cf_buf_release(&object);
	cf_buf_release(&text);
	cf_buf_release(&shown);
	return rc;
}

/* One by one: a setting that may not be made here takes no other along. */
static int apply_entry(struct cf_pg_load *load, const char *sql, const struct cf_pg_step *step, struct cf_err *err)
{
	struct cf_buf statement = CF_BUF_INIT;
	int rc = 0;

	while (rc == 0 && *(sql += strspn(sql, " \n"))) {
		const char *end = end_of_statement(sql);

		cf_buf_clear(&statement);
		rc = cf_buf_printf(&statement, err, "%.*s%c", (int)(end - sql), sql, 0);
		if (rc == 0)
			rc = apply_statement(load, (const char *)statement.data, step, err);
		sql = end;
	}
	cf_buf_release(&statement);
	return rc;
}

int cf_pg_load_finish_database(struct cf_pg_load *load, const struct cf_pg_step *step, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < load->toc->n_entries; i++)
		if (cf_pg_load_finishes(load, &load->toc->entries[i]))
			rc = apply_entry(load, load->toc->entries[i].defn, step, err);
	if (rc < 0)
		cf_err_wrap(err, "settings of database %s", load->database);
	return rc;
}
