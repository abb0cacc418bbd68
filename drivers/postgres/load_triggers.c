/*
 * Rows alone go into tables whose triggers and foreign keys are there already, and which must not
 * act on rows that they have seen before.
 *
 * session_replication_role keeps most of them quiet. What was made to fire even then (ENABLE ALWAYS,
 * ENABLE REPLICA) is disabled in the transaction that loads the rows and put back at its end, so that
 * no failure leaves it disabled. The one trigger that has to fire is the server's own that checks a
 * deferrable unique key: without it rows could be there twice.
 *
 * A CHECK that is NOT VALID may not hold for rows that were there before it was made, and these are such rows: it is dropped
 * meanwhile, in the same way. Not one that tables inherit, which would have to be dropped from all of them.
 */

#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/sql.h"

#include <inttypes.h>
#include <string.h>

/* $1 and the partitions below it. */
#define TABLES                                                                                     \
	"WITH RECURSIVE tables AS (SELECT $1::regclass::oid AS oid, 0 AS depth UNION"              \
	" SELECT i.inhrelid, depth + 1 FROM pg_inherits AS i JOIN tables ON i.inhparent = tables.oid"  \
	" JOIN pg_class AS c ON c.oid = i.inhrelid AND c.relispartition)"

int cf_pg_load_silence_session(struct cf_pg_load *load, struct cf_pg *pg, struct cf_err *err)
{
	int rc;

	if (cf_pg_load_wants_schema(load))
		return 0;
	rc = cf_pg_exec(pg, "SET session_replication_role = replica", err);
	if (rc < 0)
		cf_err_wrap(err, "rows alone would set off triggers and foreign keys, which cannot "
				 "be switched off");
	return rc;
}

static int append_target(const struct cf_pg_load_table *table, struct cf_buf *out,
			 struct cf_err *err)
{
	const struct cf_pg_root *root = table->root;
	int rc = cf_sql_append_qualified(root ? root->root_schema : table->schema,
					 root ? root->root_name : table->name, out, err);

	return rc < 0 ? rc : cf_buf_append(out, "", 1, err);
}

/* sql with the table as its parameter. */
static int query_table(struct cf_pg *pg, const char *sql, const struct cf_pg_load_table *table,
		       struct cf_pg_rows **rows_out, struct cf_err *err)
{
	struct cf_buf name = CF_BUF_INIT;
	int rc = append_target(table, &name, err);

	if (rc == 0) {
		const char *values[] = {(const char *)name.data};

		rc = cf_pg_query(pg, sql, values, 1, rows_out, err);
	}
	cf_buf_release(&name);
	return rc;
}

int cf_pg_load_silence(struct cf_pg_load *load, struct cf_pg *pg,
		       const struct cf_pg_load_table *table, struct cf_pg_silence *silence,
		       struct cf_err *err)
{
	static const char sql[] =
		TABLES
		", noisy AS (SELECT depth, format('ALTER TABLE ONLY %s %%s TRIGGER %I', tables.oid::regclass, tgname) AS sql,"
		" tgenabled, tgfoid = 'pg_catalog.unique_key_recheck'::regproc AS checks"
		" FROM pg_trigger JOIN tables ON tables.oid = tgrelid)"
		", quiet AS (SELECT depth, format(sql, CASE WHEN checks THEN 'ENABLE ALWAYS' ELSE 'DISABLE' END) AS sql,"
		" format(sql, CASE tgenabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE' END) AS undo"
		" FROM noisy WHERE CASE WHEN checks THEN tgenabled = 'O' ELSE tgenabled IN ('A', 'R') END"
		" UNION ALL SELECT depth, format('ALTER TABLE ONLY %s DROP CONSTRAINT %I', conrelid::regclass, conname),"
		" format('ALTER TABLE ONLY %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(k.oid))"
		" || coalesce(format('; COMMENT ON CONSTRAINT %I ON %s IS %L', conname, conrelid::regclass,"
		" obj_description(k.oid, 'pg_constraint')), '')"
		" FROM pg_constraint AS k JOIN tables ON tables.oid = conrelid WHERE contype = 'c' AND NOT convalidated"
		" AND coninhcount = 0 AND (connoinherit OR NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = conrelid)))"
		" SELECT sql, undo FROM quiet ORDER BY depth, sql";
	struct cf_pg_rows *rows = NULL;
	int rc;

	if (cf_pg_load_wants_schema(load))
		return 0;
	rc = query_table(pg, sql, table, &rows, err);
	for (size_t i = 0; rc == 0 && i < cf_pg_rows_count(rows); i++) {
		rc = cf_pg_exec(pg, cf_pg_value(rows, i, 0), err);
		if (rc == 0)
			rc = cf_buf_printf(&silence->undo, err, "%s;\n", cf_pg_value(rows, i, 1));
	}
	if (rc < 0 && rc != CF_ERR_CANCELED)
		cf_err_wrap(err, "triggers and constraints of table %s.%s", table->schema, table->name);
	cf_pg_rows_free(rows);
	return rc;
}

int cf_pg_load_end_silence(struct cf_pg *pg, struct cf_pg_silence *silence, struct cf_err *err)
{
	int rc;

	if (silence->undo.len == 0)
		return 0;
	rc = cf_buf_append(&silence->undo, "", 1, err);
	/* A table with checks still to be made cannot be altered. */
	if (rc == 0)
		rc = cf_pg_exec(pg, "SET CONSTRAINTS ALL IMMEDIATE", err);
	return rc < 0 ? rc : cf_pg_exec(pg, (const char *)silence->undo.data, err);
}

void cf_pg_silence_release(struct cf_pg_silence *silence)
{
	cf_buf_release(&silence->undo);
}

/*
 * Foreign keys of the table and the partitions below it, each with a statement that counts the rows
 * for which it does not hold. Not those that never had to hold, nor the copies that a key to a
 * partitioned table has for each of its partitions.
 */
static const char keys_sql[] =
	TABLES
	" SELECT k.conname, format('%s.%s', n.nspname, f.relname),"
	" format('SELECT count(*) FROM ONLY %s AS f WHERE (%s) AND NOT EXISTS (SELECT FROM %s%s AS p WHERE %s)', f.oid::regclass,"
	"  string_agg(format('f.%I IS NOT NULL', fa.attname), CASE k.confmatchtype WHEN 'f' THEN ' OR ' ELSE ' AND ' END),"
	"  CASE WHEN p.relkind = 'p' THEN '' ELSE 'ONLY ' END, p.oid::regclass,"
	"  string_agg(format('p.%I OPERATOR(%I.%s) f.%I%s', pa.attname, opn.nspname, o.oprname, fa.attname,"
	"   CASE WHEN pa.attcollation <> fa.attcollation AND pa.attcollation <> 0 AND fa.attcollation <> 0"
	"   THEN format(' COLLATE %I.%I', cn.nspname, c.collname) ELSE '' END), ' AND '))"
	" FROM tables JOIN pg_constraint AS k ON k.conrelid = tables.oid AND k.contype = 'f' AND k.convalidated"
	" JOIN pg_class AS f ON f.oid = k.conrelid AND f.relkind = 'r' JOIN pg_namespace AS n ON n.oid = f.relnamespace"
	" JOIN pg_class AS p ON p.oid = k.confrelid"
	" CROSS JOIN LATERAL unnest(k.conkey, k.confkey, k.conpfeqop) AS part(f_column, p_column, operator)"
	" JOIN pg_attribute AS fa ON fa.attrelid = f.oid AND fa.attnum = part.f_column"
	" JOIN pg_attribute AS pa ON pa.attrelid = p.oid AND pa.attnum = part.p_column"
	" JOIN pg_operator AS o ON o.oid = part.operator JOIN pg_namespace AS opn ON opn.oid = o.oprnamespace"
	" LEFT JOIN pg_collation AS c ON c.oid = pa.attcollation LEFT JOIN pg_namespace AS cn ON cn.oid = c.collnamespace"
	" LEFT JOIN pg_constraint AS up ON up.oid = (to_jsonb(k)->>'conparentid')::oid"
	" WHERE up.conrelid IS DISTINCT FROM k.conrelid AND coalesce(to_jsonb(k)->>'conperiod', 'false') = 'false'"
	" GROUP BY k.oid, k.conname, k.confmatchtype, n.nspname, f.oid, f.relname, p.oid, p.relkind ORDER BY 2, 1";

static int check_key(struct cf_pg_load *load, const struct cf_pg_rows *keys, size_t i,
		     struct cf_err *err)
{
	const char *name = cf_pg_value(keys, i, 0), *table = cf_pg_value(keys, i, 1);
	struct cf_pg_rows *rows = NULL;
	uint64_t n = 0;
	int rc = cf_pg_query(load->pg, cf_pg_value(keys, i, 2), NULL, 0, &rows, err);

	if (rc == 0)
		n = cf_pg_value_number(rows, 0, 0);
	else if (rc != CF_ERR_CANCELED)
		cf_err_wrap(err, "foreign key %s of table %s", name, table);
	if (n > 0)
		cf_ctx_warn(load->ctx, "restore.foreign_key", table,
			    "foreign key %s does not hold: %" PRIu64 " %s of table %s %s to nothing", name, n,
			    n == 1 ? "row" : "rows", table, n == 1 ? "refers" : "refer");
	cf_pg_rows_free(rows);
	return rc;
}

int cf_pg_load_check_keys(struct cf_pg_load *load, const struct cf_pg_load_table *table,
			  struct cf_err *err)
{
	struct cf_pg_rows *keys = NULL;
	int rc;

	/* Those that are made after the rows the server checks. */
	if (cf_pg_load_wants_schema(load))
		return 0;
	rc = query_table(load->pg, keys_sql, table, &keys, err);
	for (size_t i = 0; rc == 0 && i < cf_pg_rows_count(keys); i++)
		rc = check_key(load, keys, i, err);
	cf_pg_rows_free(keys);
	return rc;
}
