/* Whether there is room in the target for what is loaded besides definitions: rows, and large objects. */

#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/sql.h"

#include <stdlib.h>

/* Of an extension's table: the rows that a backup takes. */
static int has_rows(struct cf_pg_load *load, const struct cf_pg_load_table *table, bool *has_out,
		    struct cf_err *err)
{
	const char *condition = table->table->condition;
	struct cf_pg_rows *rows = NULL;
	struct cf_buf sql = CF_BUF_INIT;
	int rc = cf_buf_append_str(&sql, "SELECT FROM ONLY ", err);

	if (rc == 0)
		rc = cf_sql_append_qualified(table->schema, table->name, &sql, err);
	if (rc == 0)
		rc = cf_buf_printf(&sql, err, " %s LIMIT 1%c", condition ? condition : "", 0);
	if (rc == 0)
		rc = cf_pg_query(load->pg, (const char *)sql.data, NULL, 0, &rows, err);
	*has_out = rc == 0 && cf_pg_rows_count(rows) > 0;
	cf_pg_rows_free(rows);
	cf_buf_release(&sql);
	return rc;
}

/* A second copy of rows that are there: only a key would keep it out, and not every table has one. */
static int check_empty(struct cf_pg_load *load, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < load->n_tables; i++) {
		const struct cf_pg_load_table *table = &load->tables[i];
		bool has = false;

		if (table->table->rows > 0)
			rc = has_rows(load, table, &has, err);
		if (has)
			rc = cf_err_set(err, CF_ERR_EXISTS,
					"table %s.%s holds rows already: empty it first (TRUNCATE), leave "
					"it out with --exclude-table-data, or restore it beside itself "
					"with --rename",
					table->schema, table->name);
		else if (rc < 0 && rc != CF_ERR_CANCELED)
			cf_err_wrap(err, "table %s.%s", table->schema, table->name);
	}
	return rc;
}

/* "{1,2}" */
static int append_oids(const struct cf_pg_manifest *manifest, struct cf_buf *out, struct cf_err *err)
{
	int rc = cf_buf_append_str(out, "{", err);

	for (size_t i = 0; rc == 0 && i < manifest->n_large_objects; i++)
		rc = cf_buf_printf(out, err, "%s%u", i ? "," : "", manifest->large_objects[i].oid);
	return rc < 0 ? rc : cf_buf_append(out, "}", 2, err);
}

/* With --keep-going one that is in the way stays as it is, and is named in a warning. */
static int check_large_objects(struct cf_pg_load *load, struct cf_err *err)
{
	static const char sql[] = "SELECT pg_catalog.min(oid) FROM pg_catalog.pg_largeobject_metadata"
				  " WHERE oid OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.oid[])";
	struct cf_buf oids = CF_BUF_INIT;
	char *found = NULL;
	int rc;

	if (!load->everything || load->manifest->n_large_objects == 0 || load->options->clean ||
	    load->options->keep_going || !cf_pg_load_wants_data(load))
		return 0;
	rc = append_oids(load->manifest, &oids, err);
	if (rc == 0)
		rc = cf_pg_query_text(load->pg, sql, (const char *const[]){(const char *)oids.data}, 1, &found,
				      err);
	if (rc == 0 && found)
		rc = cf_err_set(err, CF_ERR_EXISTS,
				"large object %s is in the way in database %s: drop it (SELECT lo_unlink(%s)), or "
				"leave it as it is with --keep-going",
				found, load->database, found);
	free(found);
	cf_buf_release(&oids);
	return rc;
}

int cf_pg_load_check_rows(struct cf_pg_load *load, struct cf_err *err)
{
	int rc = cf_pg_load_wants_schema(load) ? 0 : check_empty(load, err);

	return rc < 0 ? rc : check_large_objects(load, err);
}
