/*
 * What a database that every server has is itself (owner, rights, settings, connection limit, comment), when it
 * is restored among others: it is there, and not made. As a server is made they are replaced; what somebody has
 * changed since stays, unless --clean was given or it is the same.
 *
 * It is done in a transaction, and looked at before and after: what differs is known then, and nothing is said
 * where nothing does. A dry run does it as well, and takes it back.
 */

#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/manifest.h"

#include <stdlib.h>
#include <string.h>

/* Columns: what is compared, and whether it is as initdb leaves it. The rights of all are written out, as they may be
 * stored as nothing. */
static const char state_sql[] =
	"SELECT d.datdba::pg_catalog.regrole, r.granted, s.set, d.datconnlimit, d.datistemplate,"
	" pg_catalog.shobj_description(d.oid, 'pg_database'),"
	" d.datdba = 10 AND r.granted = r.initial AND s.set IS NULL AND d.datconnlimit = -1"
	" AND d.datistemplate = (d.datname = 'template1')"
	" AND coalesce(pg_catalog.shobj_description(d.oid, 'pg_database'), '') IN ('',"
	" 'default administrative connection database', 'default template for new databases')"
	" FROM pg_catalog.pg_database d,"
	" LATERAL (SELECT"
	"  (SELECT pg_catalog.string_agg(a::pg_catalog.text, ' ' ORDER BY a::pg_catalog.text)"
	"   FROM pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a) AS granted,"
	"  (SELECT pg_catalog.string_agg(a::pg_catalog.text, ' ' ORDER BY a::pg_catalog.text)"
	"   FROM pg_catalog.aclexplode(pg_catalog.acldefault('d', d.datdba)) a"
	"   WHERE NOT (d.datname = 'template1' AND a.grantee = 0 AND a.privilege_type = 'TEMPORARY')) AS initial) r,"
	" LATERAL (SELECT pg_catalog.string_agg(t.setrole || ' ' || c, ' ' ORDER BY t.setrole, c) AS set"
	"  FROM pg_catalog.pg_db_role_setting t, pg_catalog.unnest(t.setconfig) c WHERE t.setdatabase = d.oid) s"
	" WHERE d.datname = pg_catalog.current_database()";

static const char *const column_names[] = {"owner",	      "rights",	      "settings",
					   "connection limit", "template mark", "comment"};

enum {
	N_COLUMNS = sizeof(column_names) / sizeof(column_names[0]),
	IS_INITIAL = N_COLUMNS
};

/* Statements that make it as CREATE DATABASE does. */
static const char reset_sql[] =
	"SELECT s.sql FROM pg_catalog.pg_database d, LATERAL ("
	"SELECT 1, CASE WHEN t.setrole = 0 THEN pg_catalog.format('ALTER DATABASE %I RESET ALL', d.datname)"
	"  ELSE pg_catalog.format('ALTER ROLE %I IN DATABASE %I RESET ALL', pg_catalog.pg_get_userbyid(t.setrole),"
	"  d.datname) END FROM pg_catalog.pg_db_role_setting t WHERE t.setdatabase = d.oid"
	" UNION SELECT 2, pg_catalog.format('REVOKE ALL ON DATABASE %I FROM %s CASCADE', d.datname,"
	"  CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::pg_catalog.regrole::pg_catalog.text END)"
	"  FROM pg_catalog.aclexplode(d.datacl) a WHERE $1::boolean"
	" UNION ALL SELECT 3, pg_catalog.format('GRANT ALL ON DATABASE %I TO %I', d.datname,"
	"  pg_catalog.pg_get_userbyid(d.datdba)) WHERE d.datacl IS NOT NULL AND $1::boolean"
	" UNION ALL SELECT 4, pg_catalog.format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO PUBLIC', d.datname)"
	"  WHERE d.datacl IS NOT NULL AND $1::boolean"
	" UNION ALL SELECT 5, pg_catalog.format('ALTER DATABASE %I WITH IS_TEMPLATE false CONNECTION LIMIT -1',"
	"  d.datname)"
	" UNION ALL SELECT 6, pg_catalog.format('COMMENT ON DATABASE %I IS NULL', d.datname)"
	") s(place, sql) WHERE d.datname = pg_catalog.current_database() ORDER BY s.place";

static int reset(struct cf_pg_load *load, struct cf_err *err)
{
	const char *values[] = {load->options->no_privileges ? "false" : "true"};
	struct cf_pg_rows *rows = NULL;
	int rc = cf_pg_load_own_database(load, err);

	if (rc == 0)
		rc = cf_pg_query(load->pg, reset_sql, values, 1, &rows, err);
	for (size_t i = 0; rc == 0 && i < cf_pg_rows_count(rows); i++)
		rc = cf_pg_exec(load->pg, cf_pg_value(rows, i, 0), err);
	cf_pg_rows_free(rows);
	return rc;
}

/* Who may not do that is told once, and not of each statement. */
static int apply(struct cf_pg_load *load, struct cf_err *err)
{
	const struct cf_pg_step step = {.inside = true, .dispensable = true};
	struct cf_buf object = CF_BUF_INIT;
	bool may = false;
	int rc = cf_buf_printf(&object, err, "owner, rights and settings of database %s%c", load->database, 0);

	if (rc == 0)
		rc = cf_pg_load_begin_step(load, load->pg, &step, err);
	if (rc == 0) {
		rc = reset(load, err);
		may = rc == 0;
		rc = cf_pg_load_end_step(load, load->pg, &step, rc, (const char *)object.data, err);
	}
	cf_buf_release(&object);
	return rc == 0 && may ? cf_pg_load_finish_database(load, &step, err) : rc;
}

static bool differs(const struct cf_pg_rows *before, const struct cf_pg_rows *after, size_t column)
{
	const char *a = cf_pg_value(before, 0, column), *b = cf_pg_value(after, 0, column);

	return strcmp(a ? a : "", b ? b : "") != 0;
}

/* What differs, by its name; empty when nothing does. */
static int name_differences(const struct cf_pg_rows *before, const struct cf_pg_rows *after, struct cf_buf *out,
			    struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < N_COLUMNS; i++)
		if (differs(before, after, i))
			rc = cf_buf_printf(out, err, "%s%s", out->len ? ", " : "", column_names[i]);
	return rc < 0 ? rc : cf_buf_append(out, "", 1, err);
}

/* End the transaction the one way or the other. */
static int decide(struct cf_pg_load *load, const struct cf_pg_rows *before, const struct cf_pg_rows *after,
		  struct cf_err *err)
{
	bool may = cf_pg_value_bool(before, 0, IS_INITIAL) || load->options->clean;
	struct cf_buf names = CF_BUF_INIT;
	int rc = name_differences(before, after, &names, err);

	if (rc == 0 && names.len > 1 && !may)
		cf_ctx_warn(load->ctx, "restore.kept", load->database,
			    "database %s keeps its %s: the snapshot has others, but these were changed here; "
			    "--clean replaces them",
			    load->database, (const char *)names.data);
	else if (rc == 0 && names.len > 1)
		cf_pg_load_step(load, 0, "set", "%s of database %s", (const char *)names.data, load->database);
	if (rc == 0)
		rc = cf_pg_exec(load->pg, may && !load->options->dry_run ? "COMMIT" : "ROLLBACK", err);
	cf_buf_release(&names);
	return rc;
}

/* It cannot be moved by a session in it. */
static int tell_tablespace(struct cf_pg_load *load, struct cf_err *err)
{
	static const char sql[] =
		"SELECT spcname FROM pg_catalog.pg_tablespace t JOIN pg_catalog.pg_database d ON t.oid = d.dattablespace"
		" WHERE d.datname = pg_catalog.current_database()";
	const char *wanted = load->manifest->tablespace;
	char *found = NULL;
	int rc = wanted ? cf_pg_query_text(load->pg, sql, NULL, 0, &found, err) : 0;

	if (found && strcmp(found, wanted) != 0)
		cf_ctx_warn(load->ctx, "restore.tablespace", load->database,
			    "database %s stays in tablespace %s, and was in %s: ALTER DATABASE %s SET TABLESPACE moves it",
			    load->database, found, wanted, load->database);
	free(found);
	return rc;
}

int cf_pg_load_adopt_database(struct cf_pg_load *load, struct cf_err *err)
{
	struct cf_pg_rows *before = NULL, *after = NULL;
	/* Nothing was done before in a dry run. */
	int rc = cf_pg_load_configure(load, load->pg, err);

	if (rc == 0)
		rc = tell_tablespace(load, err);
	if (rc == 0)
		rc = cf_pg_exec(load->pg, "BEGIN", err);
	if (rc == 0)
		rc = cf_pg_query(load->pg, state_sql, NULL, 0, &before, err);
	if (rc == 0)
		rc = apply(load, err);
	if (rc == 0)
		rc = cf_pg_query(load->pg, state_sql, NULL, 0, &after, err);
	if (rc == 0)
		rc = decide(load, before, after, err);
	cf_pg_rows_free(before);
	cf_pg_rows_free(after);
	return rc;
}
