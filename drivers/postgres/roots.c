#include "drivers/postgres/roots.h"

#include "base/err.h"
#include "drivers/postgres/client.h"

#include <stdlib.h>
#include <string.h>

/*
 * What moves rows. Hashes: of operator classes that look at the numbers of objects, or of others
 * than the server's own, which may do anything; of texts by a collation for which equal texts are
 * not equal bytes; of any texts once they are encoded otherwise. Ranges: of texts in any order but
 * that of bytes. Lists: only such a collation.
 */
static const char roots_sql[] =
	"WITH RECURSIVE keys AS ("
	"SELECT p.partrelid, p.partstrat, o.opcname, o.opcnamespace <> 'pg_catalog'::regnamespace AS foreign_class,"
	" k.coll <> 0 AS has_collation,"
	" k.coll <> 0 AND coalesce(to_jsonb(l)->>'collisdeterministic', 'true') = 'false' AS loose,"
	" k.coll <> 0 AND CASE WHEN k.coll = 100 THEN"
	"   coalesce(to_jsonb(d)->>'datlocprovider', 'c') <> 'c' OR d.datcollate NOT IN ('C', 'POSIX')"
	"   ELSE l.collname NOT IN ('C', 'POSIX') OR l.collnamespace <> 'pg_catalog'::regnamespace END AS sorted"
	" FROM pg_catalog.pg_partitioned_table AS p"
	" CROSS JOIN LATERAL unnest(p.partclass::oid[], p.partcollation::oid[]) AS k(class, coll)"
	" JOIN pg_catalog.pg_opclass AS o ON o.oid = k.class"
	" JOIN pg_catalog.pg_database AS d ON d.datname = current_database()"
	" LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = k.coll),"
	" moving AS (SELECT partrelid FROM keys WHERE loose"
	"   OR (partstrat = 'r' AND sorted)"
	"   OR (partstrat = 'h' AND (foreign_class OR (has_collation AND $1::boolean) OR opcname IN ('enum_ops',"
	"     'array_ops', 'record_ops', 'range_ops', 'multirange_ops', 'oid_ops')))),"
	" up AS (SELECT i.inhrelid AS leaf, i.inhparent AS at FROM pg_catalog.pg_inherits AS i"
	"   JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid WHERE c.relispartition AND c.relkind = 'r'"
	"   UNION ALL SELECT up.leaf, i.inhparent FROM up JOIN pg_catalog.pg_inherits AS i ON i.inhrelid = up.at)"
	" SELECT n.nspname, c.relname, rn.nspname, r.relname FROM up"
	" JOIN pg_catalog.pg_class AS c ON c.oid = up.leaf JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
	" JOIN pg_catalog.pg_class AS r ON r.oid = up.at JOIN pg_catalog.pg_namespace AS rn ON rn.oid = r.relnamespace"
	" WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = up.at)"
	" AND up.leaf IN (SELECT u.leaf FROM up AS u JOIN moving ON moving.partrelid = u.at)";

static int compare_names(const void *a, const void *b)
{
	const struct cf_pg_root *x = a, *y = b;
	int order = strcmp(x->schema, y->schema);

	return order ? order : strcmp(x->name, y->name);
}

int cf_pg_roots_read(struct cf_pg *pg, bool other_encoding, struct cf_pg_roots *roots_out,
		     struct cf_err *err)
{
	const char *values[] = {other_encoding ? "true" : "false"};
	struct cf_pg_roots roots = {0};
	int rc = cf_pg_query(pg, roots_sql, values, 1, &roots.rows, err);

	if (rc < 0)
		return rc;
	roots.n = cf_pg_rows_count(roots.rows);
	roots.items = calloc(roots.n + 1, sizeof(*roots.items));
	if (!roots.items) {
		cf_pg_roots_release(&roots);
		return cf_err_nomem(err);
	}
	for (size_t i = 0; i < roots.n; i++)
		roots.items[i] = (struct cf_pg_root){.schema = cf_pg_value(roots.rows, i, 0),
						     .name = cf_pg_value(roots.rows, i, 1),
						     .root_schema = cf_pg_value(roots.rows, i, 2),
						     .root_name = cf_pg_value(roots.rows, i, 3)};
	/* A server sorts names in its encoding; they come in UTF-8. An array of none is not sorted. */
	if (roots.n > 1)
		qsort(roots.items, roots.n, sizeof(*roots.items), compare_names);
	*roots_out = roots;
	return 0;
}

void cf_pg_roots_release(struct cf_pg_roots *roots)
{
	free(roots->items);
	cf_pg_rows_free(roots->rows);
	*roots = (struct cf_pg_roots){0};
}

const struct cf_pg_root *cf_pg_roots_find(const struct cf_pg_roots *roots, const char *schema,
					  const char *name)
{
	const struct cf_pg_root key = {.schema = schema, .name = name};

	return roots->n == 0 ? NULL
			     : bsearch(&key, roots->items, roots->n, sizeof(key), compare_names);
}
