/*
 * What --clean would do to replication, found out before anything is changed. A slot is never dropped: that
 * at a publisher is at another server, which cannot be taken back, and who reads one of the database begins
 * anew without it.
 */

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/toc.h"

#include <string.h>

/* --- the whole database is dropped --- */

static int refuse_subscription(struct cf_pg *pg, const char *database, struct cf_err *err)
{
	static const char sql[] = "SELECT s.subname, pg_catalog.format('%I', s.subname)"
				  " FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d"
				  " ON d.oid = s.subdbid WHERE d.datname = $1 ORDER BY 1 LIMIT 1";
	struct cf_pg_rows *rows = NULL;
	int rc = cf_pg_query(pg, sql, &database, 1, &rows, err);

	if (rc == 0 && cf_pg_rows_count(rows) > 0) {
		const char *quoted = cf_pg_value(rows, 0, 1);

		rc = cf_err_set(err, CF_ERR_EXISTS,
				"database %s has the subscription %s and cannot be dropped with it: in "
				"it use ALTER SUBSCRIPTION %s DISABLE, ALTER SUBSCRIPTION %s SET "
				"(slot_name = NONE) and DROP SUBSCRIPTION %s, or the last one alone, "
				"which drops its slot at the publisher, too",
				database, cf_pg_value(rows, 0, 0), quoted, quoted, quoted);
	}
	cf_pg_rows_free(rows);
	return rc;
}

static int refuse_slot(struct cf_pg *pg, const char *database, struct cf_err *err)
{
	struct cf_pg_rows *rows = NULL;
	int rc = cf_pg_query(pg,
			     "SELECT slot_name FROM pg_catalog.pg_replication_slots"
			     " WHERE database = $1 ORDER BY 1 LIMIT 1",
			     &database, 1, &rows, err);

	if (rc == 0 && cf_pg_rows_count(rows) > 0)
		rc = cf_err_set(err, CF_ERR_EXISTS,
				"database %s has the replication slot %s, which would be dropped with "
				"it: leave --create away, or first use "
				"SELECT pg_drop_replication_slot('%s')",
				database, cf_pg_value(rows, 0, 0), cf_pg_value(rows, 0, 0));
	cf_pg_rows_free(rows);
	return rc;
}

int cf_pg_load_check_replaced(struct cf_pg_load *load, struct cf_pg *pg, struct cf_err *err)
{
	int rc = refuse_subscription(pg, load->database, err);

	return rc < 0 ? rc : refuse_slot(pg, load->database, err);
}

/* --- what is in the way is dropped --- */

static int check_subscription(struct cf_pg_load *load, const char *name, struct cf_err *err)
{
	static const char sql[] = "SELECT s.subslotname, pg_catalog.format('%I', s.subname) FROM "
				  "pg_catalog.pg_subscription AS s"
				  " JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid AND "
				  "d.datname = pg_catalog.current_database()"
				  " WHERE s.subname = $1 AND s.subslotname IS NOT NULL";
	struct cf_pg_rows *rows = NULL;
	int rc = cf_pg_query(load->pg, sql, &name, 1, &rows, err);

	if (rc == 0 && cf_pg_rows_count(rows) > 0)
		rc = cf_err_set(err, CF_ERR_EXISTS,
				"subscription %s has the slot %s at its publisher, which cannot be "
				"dropped in a transaction: first use "
				"DROP SUBSCRIPTION %s, or keep the slot with ALTER SUBSCRIPTION %s "
				"DISABLE and ALTER "
				"SUBSCRIPTION %s SET (slot_name = NONE)",
				name, cf_pg_value(rows, 0, 0), cf_pg_value(rows, 0, 1),
				cf_pg_value(rows, 0, 1), cf_pg_value(rows, 0, 1));
	cf_pg_rows_free(rows);
	return rc;
}

static bool has_subscription(const struct cf_pg_load *load, const char *name)
{
	for (size_t i = 0; load->by_archive && i < load->set.n; i++) {
		const struct cf_pg_toc_entry *entry = &load->toc->entries[load->set.list[i]];

		if (strcmp(entry->desc, "SUBSCRIPTION") == 0 && strcmp(entry->tag, name) == 0)
			return true;
	}
	return false;
}

static int check_subscriptions(struct cf_pg_load *load, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && load->by_archive && i < load->set.n; i++) {
		const struct cf_pg_toc_entry *entry = &load->toc->entries[load->set.list[i]];

		if (strcmp(entry->desc, "SUBSCRIPTION") == 0)
			rc = check_subscription(load, entry->tag, err);
	}
	return rc;
}

static bool drops_table(struct cf_pg_load *load, const char *schema, const char *name)
{
	for (size_t i = 0; i < load->manifest->n_tables; i++) {
		const struct cf_pg_table *table = &load->manifest->tables[i];
		size_t index = cf_pg_graph_relation(load->graph, table->oid);
		const char *new_schema, *new_name;

		if (index == CF_PG_NO_ENTRY || load->set.marks[index] != CF_PG_CHOSEN)
			continue;
		cf_renames_apply(&load->renames, table->schema, table->name, &new_schema, &new_name);
		if (strcmp(new_schema, schema) == 0 && strcmp(new_name, name) == 0)
			return true;
	}
	return false;
}

/* Tables that others of the target's subscriptions fill: these forget them. */
static int tell_tables(struct cf_pg_load *load, struct cf_err *err)
{
	static const char sql[] =
		"SELECT n.nspname, c.relname, s.subname, pg_catalog.format('%I', s.subname)"
		" FROM pg_catalog.pg_subscription_rel r JOIN pg_catalog.pg_subscription s ON s.oid = r.srsubid"
		" JOIN pg_catalog.pg_class c ON c.oid = r.srrelid"
		" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
		" WHERE s.subdbid = (SELECT oid FROM pg_catalog.pg_database"
		" WHERE datname = pg_catalog.current_database()) ORDER BY 1, 2, 3";
	struct cf_pg_rows *rows = NULL;
	int rc = cf_pg_query(load->pg, sql, NULL, 0, &rows, err);

	for (size_t i = 0; rc == 0 && i < cf_pg_rows_count(rows); i++) {
		const char *schema = cf_pg_value(rows, i, 0), *name = cf_pg_value(rows, i, 1),
			   *subscription = cf_pg_value(rows, i, 2);

		if (has_subscription(load, subscription) || !drops_table(load, schema, name))
			continue;
		cf_ctx_warn(load->ctx, "restore.subscription", name,
			    "--clean takes table %s.%s out of subscription %s: ALTER SUBSCRIPTION %s "
			    "REFRESH PUBLICATION takes it in again",
			    schema, name, subscription, cf_pg_value(rows, i, 3));
	}
	cf_pg_rows_free(rows);
	return rc;
}

int cf_pg_load_check_cleaned(struct cf_pg_load *load, struct cf_err *err)
{
	int rc = check_subscriptions(load, err);

	return rc < 0 ? rc : tell_tables(load, err);
}
