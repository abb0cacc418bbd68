/*
 * Rights that what was made has from the target's ALTER DEFAULT PRIVILEGES.
 *
 * The archive's rights are meant for objects as the server makes them without any: what the target
 * adds would stay, and give a restored table to somebody who never had it. It is taken back before
 * the archive's own rights are given.
 */

#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/sql.h"
#include "drivers/postgres/toc.h"

#include <string.h>

/*
 * Statements that undo them for an object $2 of kind $1, as acldefault() calls it; $3: what they take
 * away, too. For a table its identity's sequence as well, and for a range type its multirange. An
 * aggregate without arguments is tagged with a star.
 */
static const char undo_sql[] =
	"WITH made AS ("
	" SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, c.oid::pg_catalog.regclass::text AS name,"
	"  c.relacl AS acl, pg_catalog.acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", c.relowner) AS initial"
	"  FROM pg_catalog.pg_class AS c WHERE $1 = 'r' AND (c.oid = pg_catalog.to_regclass($2) OR c.oid IN"
	"  (SELECT objid FROM pg_catalog.pg_depend WHERE classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND deptype = 'i'"
	"  AND refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND refobjid = pg_catalog.to_regclass($2)))"
	" UNION ALL SELECT 'ROUTINE', oid::pg_catalog.regprocedure::text, proacl, pg_catalog.acldefault('f', proowner)"
	"  FROM pg_catalog.pg_proc WHERE $1 = 'f' AND oid = pg_catalog.to_regprocedure(pg_catalog.replace($2, '(*)', '()'))"
	" UNION ALL SELECT 'TYPE', oid::pg_catalog.regtype::text, typacl, pg_catalog.acldefault('T', typowner)"
	"  FROM pg_catalog.pg_type WHERE $1 = 'T' AND (oid = pg_catalog.to_regtype($2) OR typtype = 'm' AND oid IN"
	"  (SELECT objid FROM pg_catalog.pg_depend WHERE classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND deptype = 'i'"
	"  AND refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND refobjid = pg_catalog.to_regtype($2)))"
	" UNION ALL SELECT 'SCHEMA', oid::pg_catalog.regnamespace::text, nspacl, pg_catalog.acldefault('n', nspowner)"
	"  FROM pg_catalog.pg_namespace WHERE $1 = 'n' AND oid = pg_catalog.to_regnamespace($2)),"
	" undo AS (SELECT 1 AS step, 'REVOKE ' || privilege_type AS action, ' FROM ' AS direction, kind, name, grantee FROM"
	"  (SELECT m.kind, m.name, a.grantee, a.privilege_type FROM made AS m, pg_catalog.aclexplode(m.acl) AS a EXCEPT"
	"  SELECT m.kind, m.name, a.grantee, a.privilege_type FROM made AS m, pg_catalog.aclexplode(m.initial) AS a) AS added"
	" UNION SELECT 2, 'GRANT ' || privilege_type, ' TO ', kind, name, grantee FROM"
	"  (SELECT m.kind, m.name, a.grantee, a.privilege_type FROM made AS m, pg_catalog.aclexplode(m.initial) AS a"
	"  WHERE m.acl IS NOT NULL AND $3::boolean EXCEPT"
	"  SELECT m.kind, m.name, a.grantee, a.privilege_type FROM made AS m, pg_catalog.aclexplode(m.acl) AS a) AS missing)"
	" SELECT action || ' ON ' || kind || ' ' || name || direction ||"
	"  CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::pg_catalog.regrole::text END FROM undo ORDER BY step";

/* As acldefault() calls it; NULL for what knows no default privileges. */
static const char *kind_of(const struct cf_pg_toc_entry *entry)
{
	static const struct {
		const char *desc, *kind;
	} kinds[] = {{"SEQUENCE", "r"}, {"FUNCTION", "f"}, {"PROCEDURE", "f"}, {"AGGREGATE", "f"},
		     {"TYPE", "T"},	{"DOMAIN", "T"},   {"SCHEMA", "n"}};

	if (cf_pg_is_relation(entry))
		return "r";
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(entry->desc, kinds[i].desc) == 0)
			return kinds[i].kind;
	return NULL;
}

/* Its name at the target, as the casts to regclass and its like read it. */
static int append_name(struct cf_pg_load *load, const struct cf_pg_toc_entry *entry, const char *kind,
		       struct cf_buf *out, struct cf_err *err)
{
	const char *arguments = *kind == 'f' ? strrchr(entry->tag, '(') : NULL, *schema, *unused;
	size_t len = arguments ? (size_t)(arguments - entry->tag) : strlen(entry->tag);
	struct cf_buf name = CF_BUF_INIT, sql = CF_BUF_INIT;
	int rc;

	if (*kind == 'n') {
		cf_renames_apply(&load->renames, entry->tag, NULL, &schema, &unused);
		rc = cf_sql_append_name(schema, out, err);
		return rc < 0 ? rc : cf_buf_append(out, "", 1, err);
	}
	rc = cf_buf_printf(&name, err, "%.*s%c", (int)len, entry->tag, 0);
	if (rc == 0)
		rc = cf_sql_append_qualified(entry->nspname, (const char *)name.data, &sql, err);
	if (rc == 0)
		rc = cf_buf_printf(&sql, err, "%s%c", arguments ? arguments : "", 0);
	if (rc == 0)
		rc = cf_pg_load_rename_sql(load, entry, (const char *)sql.data, out, err);
	cf_buf_release(&name);
	cf_buf_release(&sql);
	return rc < 0 ? rc : cf_buf_append(out, "", 1, err);
}

static int undo(struct cf_pg_load *load, const struct cf_pg_toc_entry *entry, const char *kind, struct cf_err *err)
{
	struct cf_buf name = CF_BUF_INIT;
	struct cf_pg_rows *rows = NULL;
	int rc = append_name(load, entry, kind, &name, err);

	if (rc == 0) {
		/* --no-privileges gives nothing, also not back. */
		const char *values[] = {kind, (const char *)name.data, load->options->no_privileges ? "f" : "t"};

		rc = cf_pg_query(load->pg, undo_sql, values, 3, &rows, err);
	}
	for (size_t i = 0; rc == 0 && i < cf_pg_rows_count(rows); i++)
		rc = cf_pg_exec(load->pg, cf_pg_value(rows, i, 0), err);
	cf_pg_rows_free(rows);
	cf_buf_release(&name);
	return rc;
}

static int target_adds_rights(struct cf_pg_load *load, bool *adds_out, struct cf_err *err)
{
	struct cf_pg_rows *rows = NULL;
	int rc = cf_pg_query(load->pg, "SELECT FROM pg_catalog.pg_default_acl LIMIT 1", NULL, 0, &rows, err);

	*adds_out = rc == 0 && cf_pg_rows_count(rows) > 0;
	cf_pg_rows_free(rows);
	return rc;
}

int cf_pg_load_undo_default_rights(struct cf_pg_load *load, struct cf_err *err)
{
	bool adds;
	int rc = target_adds_rights(load, &adds, err);

	for (size_t i = 0; rc == 0 && adds && i < load->set.n; i++) {
		size_t index = load->set.list[i];
		const struct cf_pg_toc_entry *entry = &load->toc->entries[index];
		const char *kind = kind_of(entry);

		if (!kind || load->kept[index] || load->found[index] || cf_pg_load_makes_by_itself(entry) ||
		    cf_pg_load_comes_after(load, index))
			continue;
		rc = undo(load, entry, kind, err);
		if (rc < 0 && rc != CF_ERR_CANCELED)
			cf_err_wrap(err, "rights of %s %s", entry->desc, entry->tag);
	}
	return rc;
}
