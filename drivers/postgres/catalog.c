#include "drivers/postgres/catalog.h"

#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/selector.h"

#include <stdlib.h>
#include <string.h>

enum {
	PATTERN_LEN = 4 * 1024 /* about: pg_dump makes one regular expression of each */
};

/* In the order of read_relation(). Names are of type name, which sorts by bytes. */
static const char relations_sql[] =
	"SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence = 'u', c.relispopulated,"
	" CASE WHEN c.relispartition THEN (SELECT i.inhparent FROM pg_inherits AS i"
	"   WHERE i.inhrelid = c.oid LIMIT 1) END,"
	" CASE WHEN c.relkind = 'S' THEN (SELECT o.refobjid FROM pg_depend AS o"
	"   WHERE o.classid = 'pg_class'::regclass AND o.objid = c.oid AND o.objsubid = 0"
	"   AND o.refclassid = 'pg_class'::regclass AND o.deptype IN ('a', 'i') LIMIT 1) END,"
	" config.extname, config.condition,"
	" EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid"
	"   AND d.objsubid = 0 AND d.deptype = 'e'),"
	" has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),"
	" CASE WHEN c.relkind IN ('r', 'p') THEN row_security_active(c.oid) END,"
	" l.relation IS NOT NULL,"
	" CASE WHEN c.relkind = 'r' AND l.relation IS NOT NULL THEN pg_table_size(c.oid) END,"
	" c.relkind = 'r' AND l.relation IS NOT NULL AND pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode"
	" FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
	" LEFT JOIN (SELECT e.extname, x.relation, x.condition FROM pg_extension AS e,"
	"   unnest(e.extconfig, e.extcondition) AS x(relation, condition)) AS config ON config.relation = c.oid"
	" LEFT JOIN (SELECT DISTINCT relation FROM pg_locks WHERE locktype = 'relation' AND granted"
	"   AND pid = pg_backend_pid() AND mode = 'AccessShareLock' AND database ="
	"   (SELECT oid FROM pg_database WHERE datname = current_database())) AS l ON l.relation = c.oid"
	" WHERE c.relkind IN ('r', 'p', 'f', 'm', 'v', 'S') AND c.relpersistence <> 't'"
	" AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
	" ORDER BY n.nspname, c.relname";

static const char columns_12_sql[] =
	"SELECT a.attrelid, a.attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid"
	" WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''"
	" ORDER BY a.attrelid, a.attnum";
/* There were no generated columns. */
static const char columns_sql[] =
	"SELECT a.attrelid, a.attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid"
	" WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped"
	" ORDER BY a.attrelid, a.attnum";

static struct cf_pg_relation read_relation(const struct cf_pg_rows *rows, size_t row)
{
	const char *condition = cf_pg_value(rows, row, 9);

	return (struct cf_pg_relation){
		.oid = (uint32_t)cf_pg_value_number(rows, row, 0),
		.schema = cf_pg_value(rows, row, 1),
		.name = cf_pg_value(rows, row, 2),
		.kind = cf_pg_value(rows, row, 3)[0],
		.is_unlogged = cf_pg_value_bool(rows, row, 4),
		.is_populated = cf_pg_value_bool(rows, row, 5),
		.parent = (uint32_t)cf_pg_value_number(rows, row, 6),
		.owned_by = (uint32_t)cf_pg_value_number(rows, row, 7),
		.extension = cf_pg_value(rows, row, 8),
		.condition = condition && condition[0] ? condition : NULL,
		.is_member = cf_pg_value_bool(rows, row, 10) && !cf_pg_value(rows, row, 8),
		/* Null when it was dropped a moment ago, which locking it finds out. */
		.may_read = !cf_pg_value(rows, row, 11) || cf_pg_value_bool(rows, row, 11),
		.has_row_security = cf_pg_value_bool(rows, row, 12),
		.is_locked = cf_pg_value_bool(rows, row, 13),
		.len = cf_pg_value_number(rows, row, 14),
		.is_rewritten = cf_pg_value_bool(rows, row, 15),
	};
}

static int compare_oids(const void *a, const void *b, void *relations)
{
	const struct cf_pg_relation *all = (const struct cf_pg_relation *)relations;
	uint32_t oid_a = all[*(const size_t *)a].oid, oid_b = all[*(const size_t *)b].oid;

	return (oid_a > oid_b) - (oid_a < oid_b);
}

int cf_pg_catalog_read(struct cf_pg *pg, struct cf_pg_catalog *catalog_out, struct cf_err *err)
{
	struct cf_pg_catalog catalog = {.n = 0};
	int rc = cf_pg_query(pg, relations_sql, NULL, 0, &catalog.rows, err);

	if (rc < 0)
		return rc;
	catalog.n = cf_pg_rows_count(catalog.rows);
	catalog.relations = calloc(catalog.n + 1, sizeof(*catalog.relations));
	catalog.by_oid = calloc(catalog.n + 1, sizeof(*catalog.by_oid));
	if (!catalog.relations || !catalog.by_oid) {
		cf_pg_catalog_release(&catalog);
		return cf_err_nomem(err);
	}
	for (size_t i = 0; i < catalog.n; i++) {
		catalog.relations[i] = read_relation(catalog.rows, i);
		catalog.by_oid[i] = i;
	}
	qsort_r(catalog.by_oid, catalog.n, sizeof(*catalog.by_oid), compare_oids, catalog.relations);
	*catalog_out = catalog;
	return 0;
}

int cf_pg_catalog_read_columns(struct cf_pg *pg, struct cf_pg_catalog *catalog, struct cf_err *err)
{
	const char *sql = cf_pg_server_version(pg) >= 120000 ? columns_12_sql : columns_sql;
	int rc = cf_pg_query(pg, sql, NULL, 0, &catalog->column_rows, err);
	size_t n;

	if (rc < 0)
		return rc;
	n = cf_pg_rows_count(catalog->column_rows);
	catalog->columns = calloc(n + 1, sizeof(*catalog->columns));
	if (!catalog->columns)
		return cf_err_nomem(err);
	for (size_t i = 0; i < n;) {
		uint32_t oid = (uint32_t)cf_pg_value_number(catalog->column_rows, i, 0);
		struct cf_pg_relation *relation = cf_pg_catalog_find(catalog, oid);
		size_t first = i;

		for (; i < n && cf_pg_value_number(catalog->column_rows, i, 0) == oid; i++)
			catalog->columns[i] = cf_pg_value(catalog->column_rows, i, 1);
		if (relation) {
			relation->columns = &catalog->columns[first];
			relation->n_columns = i - first;
		}
	}
	return 0;
}

void cf_pg_catalog_release(struct cf_pg_catalog *catalog)
{
	free(catalog->relations);
	free(catalog->by_oid);
	free(catalog->columns);
	cf_pg_rows_free(catalog->rows);
	cf_pg_rows_free(catalog->column_rows);
	*catalog = (struct cf_pg_catalog){.n = 0};
}

struct cf_pg_relation *cf_pg_catalog_find(const struct cf_pg_catalog *catalog, uint32_t oid)
{
	size_t low = 0, high = catalog->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct cf_pg_relation *relation = &catalog->relations[catalog->by_oid[middle]];

		if (relation->oid == oid)
			return relation;
		if (relation->oid < oid)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* --- selection --- */

/* Of a table and those it is a partition of; of a sequence, and the table it belongs to. */
static void select_relation(struct cf_pg_catalog *catalog, struct cf_pg_relation *relation,
			    struct cf_selector *selector, const char *database, bool of_schemas)
{
	const struct cf_pg_relation *at = relation;
	bool excluded = false, taken = false, data = true;

	while (at) {
		excluded |= cf_selector_excludes(selector, database, at->schema, at->name);
		taken |= cf_selector_takes(selector, database, at->schema, at->name);
		/* A sequence keeps its value where the rows of its table are left out. */
		if (at == relation || relation->kind != 'S')
			data &= cf_selector_takes_data(selector, database, at->schema, at->name);
		at = at->parent || at->owned_by
			     ? cf_pg_catalog_find(catalog, at->parent ? at->parent : at->owned_by)
			     : NULL;
	}
	relation->is_taken = taken && !excluded;
	relation->is_elsewhere = relation->is_taken && relation->parent && of_schemas &&
				 !cf_selector_takes_schema(selector, database, relation->schema);
	relation->is_taken &= !relation->is_elsewhere;
	relation->is_data_taken = relation->is_taken && data;
}

void cf_pg_catalog_select(struct cf_pg_catalog *catalog, struct cf_selector *selector, const char *database,
			  bool of_schemas)
{
	for (size_t i = 0; i < catalog->n; i++)
		if (!catalog->relations[i].is_member)
			select_relation(catalog, &catalog->relations[i], selector, database, of_schemas);
}

bool cf_pg_relation_is_locked_kind(const struct cf_pg_relation *relation)
{
	return relation->kind == 'r' || relation->kind == 'p';
}

bool cf_pg_catalog_is_locked(const struct cf_pg_catalog *catalog)
{
	for (size_t i = 0; i < catalog->n; i++) {
		const struct cf_pg_relation *relation = &catalog->relations[i];

		if (relation->is_taken && cf_pg_relation_is_locked_kind(relation) && !relation->is_locked)
			return false;
	}
	return true;
}

bool cf_pg_catalog_is_rewritten(const struct cf_pg_catalog *catalog)
{
	for (size_t i = 0; i < catalog->n; i++)
		if (catalog->relations[i].is_taken && catalog->relations[i].is_rewritten)
			return true;
	return false;
}

int cf_pg_catalog_check_rights(const struct cf_pg_catalog *catalog, const char *user, struct cf_err *err)
{
	for (size_t i = 0; i < catalog->n; i++) {
		const struct cf_pg_relation *relation = &catalog->relations[i];

		/* Of the others only the definition is read, from the catalog. */
		if (!relation->is_taken ||
		    (!cf_pg_relation_is_locked_kind(relation) && relation->kind != 'S'))
			continue;
		if (!relation->may_read)
			return cf_err_set(err, CF_ERR_ACCESS,
					  "%s %s.%s: user %s has no right to read it (grant USAGE on the schema and SELECT, "
					  "or the role pg_read_all_data)",
					  relation->kind == 'S' ? "sequence" : "table", relation->schema,
					  relation->name, user);
		if (relation->has_row_security && relation->is_data_taken)
			return cf_err_set(err, CF_ERR_ACCESS,
					  "table %s.%s: row security would hide rows from user %s: use its owner or a role "
					  "with BYPASSRLS",
					  relation->schema, relation->name, user);
	}
	return 0;
}

/* --- SQL --- */

int cf_pg_catalog_lock_sql(struct cf_pg *pg, const struct cf_pg_catalog *catalog, size_t first, size_t n,
			   struct cf_buf *out, struct cf_err *err)
{
	int rc = 0;

	cf_buf_clear(out);
	for (size_t i = first; rc == 0 && i < first + n; i++) {
		const struct cf_pg_relation *relation = &catalog->relations[i];

		if (!relation->is_taken || relation->is_locked || !cf_pg_relation_is_locked_kind(relation))
			continue;
		rc = cf_buf_append_str(out, out->len == 0 ? "LOCK TABLE ONLY " : ", ONLY ", err);
		if (rc == 0)
			rc = cf_pg_append_qualified(pg, relation->schema, relation->name, out, err);
	}
	if (rc == 0 && out->len > 0)
		rc = cf_buf_append(out, " IN ACCESS SHARE MODE", sizeof(" IN ACCESS SHARE MODE"), err);
	return rc;
}

int cf_pg_catalog_lock_oids(const struct cf_pg_catalog *catalog, struct cf_buf *out, struct cf_err *err)
{
	bool any = false;
	int rc = cf_buf_append_str(out, "{", err);

	for (size_t i = 0; rc == 0 && i < catalog->n; i++) {
		const struct cf_pg_relation *relation = &catalog->relations[i];

		if (!relation->is_taken || !cf_pg_relation_is_locked_kind(relation))
			continue;
		rc = cf_buf_printf(out, err, "%s%u", any ? "," : "", relation->oid);
		any = true;
	}
	return rc == 0 ? cf_buf_append(out, "}", 2, err) : rc;
}

int cf_pg_catalog_append_pattern(const char *name, struct cf_buf *out, struct cf_err *err)
{
	int rc = cf_buf_append_str(out, "\"", err);

	for (; rc == 0 && *name; name++)
		rc = cf_buf_append_str(out, *name == '"' ? "\"\"" : (char[]){*name, '\0'}, err);
	return rc == 0 ? cf_buf_append_str(out, "\"", err) : rc;
}

int cf_pg_catalog_exclude_args(const struct cf_pg_catalog *catalog, struct cf_buf *out, struct cf_err *err)
{
	const char *schema = NULL; /* of the argument that is open */
	size_t begin = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < catalog->n; i++) {
		const struct cf_pg_relation *relation = &catalog->relations[i];
		bool fits = schema && strcmp(schema, relation->schema) == 0 && out->len - begin < PATTERN_LEN;

		if (relation->is_taken || relation->is_member)
			continue;
		if (schema && !fits)
			rc = cf_buf_append(out, ")", 2, err);
		if (rc == 0 && !fits) {
			begin = out->len;
			schema = relation->schema;
			rc = cf_buf_append_str(out, "--exclude-table=", err);
			if (rc == 0)
				rc = cf_pg_catalog_append_pattern(schema, out, err);
		}
		if (rc == 0)
			rc = cf_buf_append_str(out, fits ? "|" : ".(", err);
		if (rc == 0)
			rc = cf_pg_catalog_append_pattern(relation->name, out, err);
	}
	return rc == 0 && schema ? cf_buf_append(out, ")", 2, err) : rc;
}
