/*
 * What of a selection cannot be restored by itself: pg_dump takes a view of a schema, and not the table of another one that it
 * reads. The archive no longer says so, because it has only what was dumped; the catalog does.
 */

#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/dump.h"
#include "drivers/postgres/graph.h"
#include "drivers/postgres/toc.h"

#include <inttypes.h>
#include <stdio.h>

/*
 * $1 and $2: catalogs and oids of what the archive makes; $3: the same of what is restored of it. An object's parts are what ends with
 * it: the rule of a view, a default, the type of a row. A foreign key is left out where it refers to nothing.
 */
static const char needs_sql[] =
	"WITH RECURSIVE made AS (SELECT * FROM unnest($1::oid[], $2::oid[], $3::bool[]) AS m(class, id, is_restored)),"
	" parts AS (SELECT class, id, class AS of_class, id AS of_id, is_restored FROM made"
	"  UNION SELECT d.classid, d.objid, of_class, of_id, is_restored FROM parts JOIN pg_depend AS d"
	"  ON d.refclassid = parts.class AND d.refobjid = parts.id AND d.deptype IN ('i', 'a')"
	"  WHERE (d.classid, d.objid) NOT IN (SELECT class, id FROM made)),"
	" needs AS (SELECT of_class, of_id, coalesce(e.refclassid, d.refclassid) AS class, coalesce(e.refobjid, d.refobjid) AS id"
	"  FROM parts JOIN pg_depend AS d ON d.classid = parts.class AND d.objid = parts.id AND d.deptype = 'n'"
	"  LEFT JOIN pg_depend AS e ON e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e'"
	"  WHERE is_restored AND d.refobjid >= 16384"
	"  AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE d.classid = 'pg_constraint'::regclass AND k.oid = d.objid"
	"   AND k.contype = 'f'))"
	" SELECT DISTINCT pg_describe_object(of_class, of_id, 0), pg_describe_object(class, id, 0),"
	" class = 'pg_extension'::regclass FROM needs"
	" WHERE (class, id) NOT IN (SELECT class, id FROM parts) AND class <> 'pg_namespace'::regclass ORDER BY 1, 2";

static int append_item(struct cf_buf *out, bool is_first, const char *text, struct cf_err *err)
{
	int rc = cf_buf_append_str(out, is_first ? "{" : ",", err);

	return rc < 0 ? rc : cf_buf_append_str(out, text, err);
}

/* Of tables all is restored that these need; of other selections all. */
static int choose(const struct cf_pg_database *database, const struct cf_pg_graph *graph, struct cf_pg_set *set,
		  struct cf_err *err)
{
	const struct cf_pg_manifest *manifest = &database->manifest;
	int rc = cf_pg_set_init(graph, set, err);

	for (size_t i = 0; rc == 0 && !manifest->of_tables && i < database->toc->n_entries; i++)
		cf_pg_set_choose(set, i);
	for (size_t i = 0; rc == 0 && manifest->of_tables && i < manifest->n_tables; i++) {
		size_t index = cf_pg_graph_relation(graph, manifest->tables[i].oid);

		if (index != CF_PG_NO_ENTRY)
			cf_pg_set_choose(set, index);
	}
	if (rc == 0)
		cf_pg_set_close(graph, set);
	return rc;
}

static int list_made(const struct cf_pg_database *database, const struct cf_pg_set *set, struct cf_buf lists[3],
		     struct cf_err *err)
{
	bool is_first = true;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < database->toc->n_entries; i++) {
		const struct cf_pg_toc_entry *entry = &database->toc->entries[i];
		char text[16];

		if (!entry->table_oid || !entry->oid)
			continue;
		snprintf(text, sizeof(text), "%" PRIu32, entry->table_oid);
		rc = append_item(&lists[0], is_first, text, err);
		snprintf(text, sizeof(text), "%" PRIu32, entry->oid);
		if (rc == 0)
			rc = append_item(&lists[1], is_first, text, err);
		if (rc == 0)
			rc = append_item(&lists[2], is_first, set->marks[i] != CF_PG_OUT ? "t" : "f", err);
		is_first = false;
	}
	for (size_t i = 0; rc == 0 && i < 3; i++)
		rc = cf_buf_append_str(&lists[i], is_first ? "{}" : "}", err);
	for (size_t i = 0; rc == 0 && i < 3; i++)
		rc = cf_buf_append(&lists[i], "", 1, err);
	return rc;
}

static int tell(const struct cf_pg_database *database, struct cf_buf lists[3], struct cf_err *err)
{
	const char *values[] = {(const char *)lists[0].data, (const char *)lists[1].data, (const char *)lists[2].data};
	struct cf_pg_rows *rows = NULL;
	int rc = cf_pg_query(database->leader, needs_sql, values, 3, &rows, err);

	for (size_t i = 0; rc == 0 && i < cf_pg_rows_count(rows); i++) {
		const char *object = cf_pg_value(rows, i, 0), *needed = cf_pg_value(rows, i, 1);
		const char *is_extension = cf_pg_value(rows, i, 2);

		if (!object || !needed)
			continue;
		/* Extensions are the business of the server: no part has them, and most servers do. */
		if (is_extension && is_extension[0] == 't')
			cf_ctx_note(database->dump->ctx, "postgres.needs", object, "%s needs %s where it is restored", object,
				    needed);
		else
			cf_ctx_warn(database->dump->ctx, "postgres.needs", object,
				    "%s needs %s, which is not in this backup: by itself it cannot be restored", object, needed);
	}
	cf_pg_rows_free(rows);
	return rc;
}

int cf_pg_tell_needs(struct cf_pg_database *database, struct cf_err *err)
{
	struct cf_buf lists[3] = {CF_BUF_INIT, CF_BUF_INIT, CF_BUF_INIT};
	struct cf_pg_graph *graph = NULL;
	struct cf_pg_set set = {0};
	int rc = cf_pg_graph_new(database->toc, &graph, err);

	if (rc == 0)
		rc = choose(database, graph, &set, err);
	if (rc == 0)
		rc = list_made(database, &set, lists, err);
	if (rc == 0)
		rc = tell(database, lists, err);
	for (size_t i = 0; i < 3; i++)
		cf_buf_release(&lists[i]);
	cf_pg_set_release(&set);
	cf_pg_graph_free(graph);
	return rc;
}
