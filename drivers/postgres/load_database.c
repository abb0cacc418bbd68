/* A database as the archive describes it, under whatever name. */

#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/sql.h"
#include "drivers/postgres/toc.h"

#include <stdlib.h>
#include <string.h>

#define WRONG_OBJECT_TYPE "42809"

/* Behind "TABLESPACE = name". */
static void skip_tablespace(const char **sql)
{
	for (size_t n = 0; n < 2; n++)
		while (cf_sql_next(sql).kind == CF_SQL_SPACE)
			;
}

/* sql with the name behind each word DATABASE replaced, and without a tablespace where some are
 * missing. */
static int append_for_database(const struct cf_pg_load *load, const char *sql, struct cf_buf *out,
			       struct cf_err *err)
{
	bool follows = false;
	struct cf_sql_token token;
	int rc = 0;

	while (rc == 0 && (token = cf_sql_next(&sql)).kind != CF_SQL_END) {
		if (load->no_tablespaces && cf_sql_is_word(&token, "TABLESPACE")) {
			skip_tablespace(&sql);
			continue;
		}
		if (follows && (token.kind == CF_SQL_WORD || token.kind == CF_SQL_QUOTED))
			rc = cf_sql_append_name(load->database, out, err);
		else
			rc = cf_buf_append(out, token.text, token.len, err);
		if (token.kind != CF_SQL_SPACE)
			follows = cf_sql_is_word(&token, "DATABASE");
	}
	return rc;
}

static int exec_for_database(const struct cf_pg_load *load, struct cf_pg *pg, const char *sql,
			     struct cf_err *err)
{
	struct cf_buf text = CF_BUF_INIT;
	int rc = append_for_database(load, sql, &text, err);

	if (rc == 0)
		rc = cf_buf_append(&text, "", 1, err);
	if (rc == 0)
		rc = cf_pg_exec(pg, (const char *)text.data, err);
	cf_buf_release(&text);
	return rc;
}

/* By the database itself, which reads names as the one that was saved did. */
int cf_pg_load_own_database(struct cf_pg_load *load, struct cf_err *err)
{
	static const char statement[] = "SELECT pg_catalog.format('ALTER DATABASE %I OWNER TO %I',"
					" pg_catalog.current_database(), $1::text)";
	const char *values[] = {load->manifest->owner};
	char *sql = NULL;
	int rc;

	if (!load->manifest->owner || load->options->no_owner)
		return 0;
	rc = cf_pg_query_text(load->pg, statement, values, 1, &sql, err);
	if (rc == 0)
		rc = cf_pg_exec(load->pg, sql, err);
	if (rc < 0)
		cf_err_wrap(err, "database %s", load->database);
	free(sql);
	return rc;
}

static const char *create_statement(const struct cf_pg_load *load)
{
	for (size_t i = 0; i < load->toc->n_entries; i++)
		if (strcmp(load->toc->entries[i].desc, "DATABASE") == 0)
			return load->toc->entries[i].defn;
	return NULL;
}

/* force: ends the sessions that are in it, where the server can do that. */
static int drop_database(struct cf_pg *pg, const char *name, bool force, struct cf_err *err)
{
	bool can_force = cf_pg_server_version(pg) >= 130000;
	struct cf_buf sql = CF_BUF_INIT;
	int rc = cf_buf_append_str(&sql, "DROP DATABASE IF EXISTS ", err);

	if (rc == 0)
		rc = cf_sql_append_name(name, &sql, err);
	if (rc == 0)
		rc = cf_buf_printf(&sql, err, "%s%c", force && can_force ? " WITH (FORCE)" : "", 0);
	if (rc == 0)
		rc = cf_pg_exec(pg, (const char *)sql.data, err);
	cf_buf_release(&sql);
	return rc;
}

static int drop_subscription(struct cf_pg *pg, const char *name, struct cf_err *err)
{
	struct cf_buf quoted = CF_BUF_INIT;
	int rc = cf_sql_append_name(name, &quoted, err);

	if (rc == 0)
		rc = cf_buf_append(&quoted, "", 1, err);
	if (rc == 0)
		rc = cf_pg_execf(pg, err, "ALTER SUBSCRIPTION %s DISABLE",
				 (const char *)quoted.data);
	/* Its slot at the publisher is somebody else's. */
	if (rc == 0)
		rc = cf_pg_execf(pg, err, "ALTER SUBSCRIPTION %s SET (slot_name = NONE)",
				 (const char *)quoted.data);
	if (rc == 0)
		rc = cf_pg_execf(pg, err, "DROP SUBSCRIPTION %s", (const char *)quoted.data);
	cf_buf_release(&quoted);
	return rc;
}

/* 1 when there were any. */
static int drop_subscriptions(struct cf_pg *pg, const char *name, const struct cf_ctx *ctx,
			      struct cf_err *err)
{
	struct cf_pg_options options = {.application = "coffer restore", .database = name};
	struct cf_pg_rows *rows = NULL;
	struct cf_pg *there = NULL;
	int rc = cf_pg_connect_again(pg, &options, ctx, &there, err);

	if (rc == 0)
		rc = cf_pg_query(
			there,
			"SELECT s.subname FROM pg_catalog.pg_subscription s JOIN "
			"pg_catalog.pg_database d"
			" ON d.oid = s.subdbid WHERE d.datname = pg_catalog.current_database()",
			NULL, 0, &rows, err);
	for (size_t i = 0; rc == 0 && i < cf_pg_rows_count(rows); i++)
		rc = drop_subscription(there, cf_pg_value(rows, i, 0), err);
	if (rc == 0 && cf_pg_rows_count(rows) > 0)
		rc = 1;
	cf_pg_rows_free(rows);
	cf_pg_close(there);
	return rc;
}

/* 1 when that was done. */
static int make_plain(struct cf_pg *pg, const char *name, struct cf_err *err)
{
	struct cf_buf quoted = CF_BUF_INIT;
	int rc = cf_sql_append_name(name, &quoted, err);

	if (rc == 0)
		rc = cf_buf_append(&quoted, "", 1, err);
	if (rc == 0)
		rc = cf_pg_execf(pg, err, "ALTER DATABASE %s IS_TEMPLATE false",
				 (const char *)quoted.data);
	cf_buf_release(&quoted);
	return rc < 0 ? rc : 1;
}

int cf_pg_load_drop_made(struct cf_pg *pg, const char *name, bool force, const struct cf_ctx *ctx,
			 struct cf_err *err)
{
	int rc = drop_database(pg, name, force, err), removed;

	if (rc == 0)
		return 0;
	/* What a server does not drop: a template, as the source may have been one, and a database
	 * with subscriptions. */
	if (strcmp(cf_pg_sqlstate(pg), WRONG_OBJECT_TYPE) == 0)
		removed = make_plain(pg, name, NULL);
	else
		removed = drop_subscriptions(pg, name, ctx, NULL);
	if (removed <= 0)
		return rc;
	cf_err_clear(err);
	return drop_database(pg, name, force, err);
}

int cf_pg_load_make_database(struct cf_pg_load *load, struct cf_pg *pg, struct cf_err *err)
{
	const char *sql = create_statement(load), *values[] = {load->database};
	struct cf_pg_rows *rows = NULL;
	bool exists;
	int rc = cf_pg_query(pg, "SELECT FROM pg_catalog.pg_database WHERE datname = $1", values, 1,
			     &rows, err);

	exists = rc == 0 && cf_pg_rows_count(rows) > 0;
	cf_pg_rows_free(rows);
	if (rc < 0)
		return rc;
	if (!sql)
		return cf_err_set(err, CF_ERR_UNSUPPORTED,
				  "the snapshot does not say how its database was made: make %s "
				  "and leave --create away",
				  load->database);
	if (exists && !load->options->clean)
		return cf_err_set(err, CF_ERR_EXISTS,
				  "database %s exists: leave --create away, name another one, or "
				  "replace it with --clean",
				  load->database);
	if (exists)
		cf_pg_load_step(load, 0, "drop", "database %s", load->database);
	cf_pg_load_step(load, 0, "create", "database %s", load->database);
	if (load->options->dry_run)
		return 0;
	if (exists)
		rc = drop_database(pg, load->database, false, err);
	if (rc == 0)
		rc = exec_for_database(load, pg, sql, err);
	/* Whoever stops waiting for it does not know whether it was made. */
	load->made_database = rc == 0 || rc == CF_ERR_CANCELED;
	if (rc < 0)
		cf_err_wrap(err, "database %s", load->database);
	return rc;
}

/* Of the database itself, not of what is in it. */
static bool is_finish(const struct cf_pg_load *load, const struct cf_pg_toc_entry *entry)
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

int cf_pg_load_finish_database(struct cf_pg_load *load, struct cf_err *err)
{
	const struct cf_pg_step step = {.inside = false};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < load->toc->n_entries; i++) {
		const struct cf_pg_toc_entry *entry = &load->toc->entries[i];

		if (is_finish(load, entry))
			rc = cf_pg_load_end_step(
				load, load->pg, &step,
				exec_for_database(load, load->pg, entry->defn, err), entry->desc,
				err);
	}
	if (rc < 0)
		cf_err_wrap(err, "settings of database %s", load->database);
	return rc;
}
