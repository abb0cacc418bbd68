/* Dropping a database: what is a template or has subscriptions, a server does not drop. */

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/load.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WRONG_OBJECT_TYPE "42809"

enum { NAP_NS = 50 * 1000000, UNUSED_NAPS = 20 };

/* A statement with %I where the name belongs. */
static int exec_of(struct cf_pg *pg, const char *statement, const char *name, struct cf_err *err)
{
	const char *values[] = {statement, name};
	char *sql = NULL;
	int rc = cf_pg_query_text(pg, "SELECT pg_catalog.format($1, $2::text)", values, 2, &sql, err);

	if (rc == 0)
		rc = cf_pg_exec(pg, sql, err);
	free(sql);
	return rc;
}

/* The same for each row of a query. 1 when there were any. */
static int exec_of_each(struct cf_pg *pg, const char *query, const char *const *statements, size_t n,
			struct cf_err *err)
{
	struct cf_pg_rows *rows = NULL;
	size_t n_rows = 0;
	int rc = cf_pg_query(pg, query, NULL, 0, &rows, err);

	if (rc == 0)
		n_rows = cf_pg_rows_count(rows);
	for (size_t i = 0; i < n_rows; i++)
		for (size_t k = 0; rc == 0 && k < n; k++)
			rc = exec_of(pg, statements[k], cf_pg_value(rows, i, 0), err);
	cf_pg_rows_free(rows);
	return rc < 0 ? rc : n_rows > 0;
}

/* force: ends the sessions that are in it, where the server can do that. */
static int drop_database(struct cf_pg *pg, const char *name, bool force, struct cf_err *err)
{
	bool can_force = force && cf_pg_server_version(pg) >= 130000;

	return exec_of(pg, can_force ? "DROP DATABASE IF EXISTS %I WITH (FORCE)" : "DROP DATABASE IF EXISTS %I",
		       name, err);
}

/* 1 when there were any. What is in the database, or is set for it, may be against that. */
static int drop_subscriptions(struct cf_pg *pg, const char *name, const struct cf_ctx *ctx,
			      struct cf_err *err)
{
	static const struct cf_pg_setting writable = {"default_transaction_read_only", "off"};
	static const char triggers[] = "SELECT evtname FROM pg_catalog.pg_event_trigger"
				       " WHERE evtenabled <> 'D'";
	static const char *const disable[] = {"ALTER EVENT TRIGGER %I DISABLE"};
	static const char subscriptions[] =
		"SELECT s.subname FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d"
		" ON d.oid = s.subdbid WHERE d.datname = pg_catalog.current_database()";
	/* The slot at the publisher is somebody else's. */
	static const char *const drop[] = {"ALTER SUBSCRIPTION %I DISABLE",
					   "ALTER SUBSCRIPTION %I SET (slot_name = NONE)",
					   "DROP SUBSCRIPTION %I"};
	struct cf_pg_options options = {.application = "coffer restore", .database = name, .encoding = "UTF8"};
	struct cf_pg *there = NULL;
	int rc = cf_pg_connect_again(pg, &options, ctx, &there, err);

	if (rc == 0)
		rc = cf_pg_configure(there, &writable, 1, err);
	if (rc == 0)
		rc = exec_of_each(there, triggers, disable, 1, err);
	if (rc >= 0)
		rc = exec_of_each(there, subscriptions, drop, sizeof(drop) / sizeof(drop[0]), err);
	cf_pg_close(there);
	return rc;
}

int cf_pg_load_drop_present(struct cf_pg *pg, const char *name, struct cf_err *err)
{
	struct cf_pg_rows *rows = NULL;
	bool template = false;
	int rc = cf_pg_query(pg, "SELECT FROM pg_catalog.pg_database WHERE datname = $1 AND datistemplate", &name,
			     1, &rows, err);

	if (rc == 0)
		template = cf_pg_rows_count(rows) > 0;
	cf_pg_rows_free(rows);
	if (template)
		rc = exec_of(pg, "ALTER DATABASE %I IS_TEMPLATE false", name, err);
	if (rc == 0)
		rc = drop_database(pg, name, false, err);
	if (rc < 0 && template)
		exec_of(pg, "ALTER DATABASE %I IS_TEMPLATE true", name, NULL);
	return rc;
}

static int count_users(struct cf_pg *pg, const char *name, uint64_t *n_out, struct cf_err *err)
{
	/* The server ends its own workers, which are nobody's. */
	static const char sql[] =
		"SELECT (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = $1 AND usesysid IS NOT NULL)"
		" + (SELECT count(*) FROM pg_catalog.pg_prepared_xacts WHERE database = $1)";
	struct cf_pg_rows *rows = NULL;
	int rc = cf_pg_query(pg, sql, &name, 1, &rows, err);

	*n_out = rc == 0 ? cf_pg_value_number(rows, 0, 0) : 0;
	cf_pg_rows_free(rows);
	return rc;
}

int cf_pg_load_check_unused(struct cf_pg_load *load, struct cf_pg *pg, struct cf_err *err)
{
	uint64_t n = 1;
	int rc = 0;

	/* Who has just gone may still be listed. */
	for (int naps = 0; rc == 0 && n > 0 && naps < UNUSED_NAPS; naps++) {
		if (naps > 0)
			nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
		rc = count_users(pg, load->database, &n, err);
	}
	if (rc == 0 && n > 0)
		rc = cf_err_set(err, CF_ERR_BUSY, "database %s cannot be dropped while it is used: %llu sessions or "
				"prepared transactions are in it", load->database, (unsigned long long)n);
	return rc;
}

int cf_pg_load_drop_made(struct cf_pg *pg, const char *name, bool force, const struct cf_ctx *ctx,
			 struct cf_err *err)
{
	struct cf_err refusal = CF_ERR_INIT;
	int rc = 0, removed = 1;

	/* The source may have been a template, and have had subscriptions. */
	for (size_t n = 0; removed > 0 && n < 3; n++) {
		rc = drop_database(pg, name, force, &refusal);
		if (rc == 0)
			return 0;
		if (strcmp(cf_pg_sqlstate(pg), WRONG_OBJECT_TYPE) == 0)
			removed = exec_of(pg, "ALTER DATABASE %I IS_TEMPLATE false", name, NULL) == 0;
		else
			removed = drop_subscriptions(pg, name, ctx, NULL);
	}
	if (err)
		*err = refusal;
	return rc;
}

int cf_pg_load_drop_by_hand(struct cf_pg *pg, const char *name, char **command_out, struct cf_err *err)
{
	static const char sql[] =
		"SELECT CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_subscription s WHERE s.subdbid = d.oid)"
		" THEN 'another verification as a superuser, which drops the subscriptions in it, too'"
		" ELSE CASE WHEN datistemplate THEN pg_catalog.format('ALTER DATABASE %I IS_TEMPLATE false; ', datname)"
		" ELSE '' END || pg_catalog.format('DROP DATABASE %I', datname) END"
		" FROM pg_catalog.pg_database d WHERE datname = $1";

	return cf_pg_query_text(pg, sql, &name, 1, command_out, err);
}
