/*
 * Floating-point numbers that an old server wrote. Up to version 11 they have more digits than they need, from 12 on as few as
 * give the same number back. So the rows of such tables are others to the byte, though the numbers are the same.
 */

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/verify.h"

#include <string.h>

enum {
	SHORTEST_SINCE = 120000
};

/* Of what holds such numbers: arrays, domains, ranges, composites. */
static const char floats_sql[] =
	"WITH RECURSIVE floats(id) AS (SELECT unnest('{float4,float8,point,lseg,path,box,polygon,line,circle}'::regtype[])::oid"
	" UNION SELECT y.oid FROM floats JOIN pg_catalog.pg_type AS y ON y.typelem = id OR y.typbasetype = id"
	"  OR EXISTS (SELECT FROM pg_catalog.pg_range WHERE rngtypid = y.oid AND rngsubtype = id)"
	"  OR (y.typtype = 'c' AND EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = y.typrelid AND atttypid = id"
	"   AND attnum > 0)))"
	" SELECT n.nspname, c.relname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
	" WHERE c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = c.oid AND attnum > 0"
	"  AND atttypid IN (SELECT id FROM floats))";

int cf_pg_verify_find_floats(struct cf_pg_verify *verify, struct cf_pg *pg, struct cf_err *err)
{
	if (verify->manifest->server_version >= SHORTEST_SINCE || cf_pg_server_version(pg) < SHORTEST_SINCE)
		return 0;
	return cf_pg_query(pg, floats_sql, NULL, 0, &verify->floats, err);
}

static bool has_floats(const struct cf_pg_verify *verify, const struct cf_pg_table *table)
{
	for (size_t i = 0; verify->floats && i < cf_pg_rows_count(verify->floats); i++)
		if (strcmp(cf_pg_value(verify->floats, i, 0), table->schema) == 0 &&
		    strcmp(cf_pg_value(verify->floats, i, 1), table->name) == 0)
			return true;
	return false;
}

void cf_pg_verify_report_rows(const struct cf_pg_verify *verify, const struct cf_pg_table *table, const char *object,
			      bool same, const char *detail)
{
	if (same || !has_floats(verify, table))
		cf_pg_verify_report(verify, "checksum", object, same, "%s", detail);
	else
		cf_ctx_warn(verify->ctx, "verify.not_compared", object,
			    "table %s has floating-point numbers, which PostgreSQL before 12 writes with other digits: its rows "
			    "were counted, but not compared (--against a server of version %d does that)",
			    object, verify->manifest->server_version / 10000);
}
