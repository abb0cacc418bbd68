/* What the server does not show to every user, and pg_dump saves without it and without a word. */

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/dump.h"
#include "drivers/postgres/toc.h"

#include <stdbool.h>
#include <string.h>

/* Mappings of the database, but for those whose options the view pg_user_mappings would show, if they had any. */
static const char mappings_sql[] =
	"SELECT m.usename, m.srvname, current_user FROM pg_user_mappings AS m JOIN pg_foreign_server AS s ON s.oid = m.srvid"
	" WHERE m.umoptions IS NULL AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)"
	" AND NOT CASE WHEN m.umuser = 0 THEN pg_has_role(s.srvowner, 'USAGE') ELSE m.usename = current_user"
	" AND (pg_has_role(s.srvowner, 'USAGE') OR has_server_privilege(s.oid, 'USAGE')) END ORDER BY 2, 1";

static bool has_mapping_without_options(const struct cf_pg_toc *toc)
{
	for (size_t i = 0; i < toc->n_entries; i++) {
		const struct cf_pg_toc_entry *entry = &toc->entries[i];

		if (strcmp(entry->desc, "USER MAPPING") == 0 && entry->defn && !strstr(entry->defn, " OPTIONS ("))
			return true;
	}
	return false;
}

int cf_pg_tell_hidden(struct cf_pg_database *database, struct cf_err *err)
{
	struct cf_pg_rows *rows = NULL;
	int rc;

	if (database->manifest.of_tables || !has_mapping_without_options(database->toc))
		return 0;
	rc = cf_pg_query(database->leader, mappings_sql, NULL, 0, &rows, err);
	for (size_t i = 0; rc == 0 && i < cf_pg_rows_count(rows); i++)
		cf_ctx_warn(database->dump->ctx, "postgres.hidden", cf_pg_value(rows, i, 1),
			    "the options of the user mapping for %s at server %s, as its password, are not shown to %s: it is "
			    "saved without",
			    cf_pg_value(rows, i, 0), cf_pg_value(rows, i, 1), cf_pg_value(rows, i, 2));
	cf_pg_rows_free(rows);
	return rc;
}
