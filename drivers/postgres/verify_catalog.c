/* What stands in a restored database, against the manifest and the archive. */

#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/graph.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/sql.h"
#include "drivers/postgres/toc.h"
#include "drivers/postgres/verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define USER_SCHEMAS                                                                               \
	" n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"                       \
	" AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = "                   \
	"'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')"

static int query_number(struct cf_pg *pg, const char *sql, uint64_t *number_out, struct cf_err *err)
{
	char *text = NULL;
	int rc = cf_pg_query_text(pg, sql, NULL, 0, &text, err);

	*number_out = rc == 0 && text ? strtoull(text, NULL, 10) : 0;
	free(text);
	return rc;
}

static int check_table_count(struct cf_pg_verify *verify, struct cf_pg *pg, struct cf_err *err)
{
	uint64_t found, wanted = 0;
	int rc = query_number(pg,
			      "SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c"
			      " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
			      " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND" USER_SCHEMAS,
			      &found, err);

	for (size_t i = 0; i < verify->manifest->n_tables; i++)
		wanted += !verify->manifest->tables[i].extension;
	if (rc == 0)
		cf_pg_verify_report(verify, "table_count", NULL, found == wanted,
				    "%" PRIu64 " tables and views, should be %" PRIu64, found,
				    wanted);
	return rc;
}

struct count {
	struct cf_pg *pg;
	uint64_t rows;
};

static int count_rows(void *user, const char *schema, const char *name, struct cf_err *err)
{
	struct count *count = user;
	struct cf_buf sql = CF_BUF_INIT;
	uint64_t found = 0;
	int rc = cf_buf_append_str(&sql, "SELECT pg_catalog.count(*) FROM ONLY ", err);

	if (rc == 0)
		rc = cf_sql_append_qualified(schema, name, &sql, err);
	if (rc == 0)
		rc = cf_buf_append(&sql, "", 1, err);
	if (rc == 0)
		rc = query_number(count->pg, (const char *)sql.data, &found, err);
	count->rows += found;
	cf_buf_release(&sql);
	return rc;
}

static int check_rows(struct cf_pg_verify *verify, struct cf_pg *pg, size_t index,
		      struct cf_err *err)
{
	const struct cf_pg_table *table = &verify->manifest->tables[index];
	struct cf_buf object = CF_BUF_INIT;
	struct count found = {.pg = pg};
	uint64_t wanted = 0;
	int rc;

	if (verify->lots[index] == CF_PG_NO_LOT) {
		wanted = table->rows;
		rc = cf_buf_printf(&object, err, "%s.%s%c", table->schema, table->name, 0);
		if (rc == 0)
			rc = count_rows(&found, table->schema, table->name, err);
	} else {
		for (size_t i = index; i < verify->manifest->n_tables; i++)
			if (verify->lots[i] == index)
				wanted += verify->manifest->tables[i].rows;
		rc = cf_pg_verify_lot_name(verify, index, &object, err);
		if (rc == 0)
			rc = cf_pg_verify_each_restored(verify, index, count_rows, &found, err);
	}
	if (rc == 0)
		cf_pg_verify_report(verify, "row_count", (const char *)object.data,
				    found.rows == wanted, "%" PRIu64 " rows, should be %" PRIu64,
				    found.rows, wanted);
	cf_buf_release(&object);
	return rc;
}

static int check_value(struct cf_pg_verify *verify, struct cf_pg *pg,
		       const struct cf_pg_sequence *sequence, bool *right_out, struct cf_err *err)
{
	struct cf_buf sql = CF_BUF_INIT;
	struct cf_pg_rows *rows = NULL;
	int rc = cf_buf_append_str(&sql, "SELECT last_value, is_called FROM ", err);

	if (rc == 0)
		rc = cf_sql_append_qualified(sequence->schema, sequence->name, &sql, err);
	if (rc == 0)
		rc = cf_buf_append(&sql, "", 1, err);
	if (rc == 0)
		rc = cf_pg_query(pg, (const char *)sql.data, NULL, 0, &rows, err);
	*right_out = rc == 0 && cf_pg_rows_count(rows) == 1 &&
		     strtoll(cf_pg_value(rows, 0, 0), NULL, 10) == sequence->last_value &&
		     cf_pg_value_bool(rows, 0, 1) == sequence->is_called;
	cf_pg_rows_free(rows);
	cf_buf_release(&sql);
	return rc;
}

static int check_sequences(struct cf_pg_verify *verify, struct cf_pg *pg, struct cf_err *err)
{
	const struct cf_pg_manifest *manifest = verify->manifest;
	size_t n_right = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < manifest->n_sequences; i++) {
		const struct cf_pg_sequence *sequence = &manifest->sequences[i];
		struct cf_buf object = CF_BUF_INIT;
		bool right;

		rc = check_value(verify, pg, sequence, &right, err);
		n_right += rc == 0 && right;
		if (rc == 0 && !right &&
		    cf_buf_printf(&object, NULL, "%s.%s%c", sequence->schema, sequence->name, 0) ==
			    0)
			cf_pg_verify_report(verify, "sequences", (const char *)object.data, false,
					    "does not stand at %" PRId64, sequence->last_value);
		cf_buf_release(&object);
	}
	if (rc == 0 && n_right == manifest->n_sequences)
		cf_pg_verify_report(verify, "sequences", NULL, true, "%zu", n_right);
	return rc;
}

static int check_large_objects(struct cf_pg_verify *verify, struct cf_pg *pg, struct cf_err *err)
{
	uint64_t found;
	int rc;

	if (verify->manifest->n_large_objects == 0)
		return 0;
	rc = query_number(pg, "SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata",
			  &found, err);
	if (rc == 0)
		cf_pg_verify_report(verify, "large_objects", NULL,
				    found == verify->manifest->n_large_objects,
				    "%" PRIu64 " large objects, should be %zu", found,
				    verify->manifest->n_large_objects);
	return rc;
}

/* --- what the archive makes by name --- */

/* Finds text in the first column, which is sorted by bytes. */
static bool is_listed(const struct cf_pg_rows *rows, const char *text)
{
	size_t low = 0, high = cf_pg_rows_count(rows);

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(cf_pg_value(rows, middle, 0), text);

		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* A foreign key to rows that were never saved: the restore warned of it where it does not hold. */
static bool may_be_left_out(const struct cf_pg_verify *verify, const struct cf_pg_toc_entry *entry)
{
	for (size_t i = 0; strcmp(entry->desc, "FK CONSTRAINT") == 0 && i < verify->manifest->n_tables;
	     i++) {
		const struct cf_pg_table *table = &verify->manifest->tables[i];

		if (table->kind == 'r' && !table->file &&
		    cf_pg_graph_depends(verify->graph, entry, table->oid))
			return true;
	}
	return false;
}

/* "schema.tag" of every entry of these kinds must be in the list. */
static int check_listed(struct cf_pg_verify *verify, const struct cf_pg_rows *rows,
			const char *check, const char *const *kinds, struct cf_err *err)
{
	struct cf_buf name = CF_BUF_INIT;
	size_t n = 0, n_missing = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < verify->toc->n_entries; i++) {
		const struct cf_pg_toc_entry *entry = &verify->toc->entries[i];
		const char *const *kind = kinds;

		while (*kind && strcmp(*kind, entry->desc) != 0)
			kind++;
		if (!*kind || !entry->nspname)
			continue;
		cf_buf_clear(&name);
		rc = cf_buf_printf(&name, err, "%s.%s%c", entry->nspname, entry->tag, 0);
		n++;
		if (rc < 0 || is_listed(rows, (const char *)name.data) ||
		    may_be_left_out(verify, entry))
			continue;
		n_missing++;
		cf_pg_verify_report(verify, check, (const char *)name.data, false,
				    "is missing, or not valid");
	}
	if (rc == 0 && n_missing == 0)
		cf_pg_verify_report(verify, check, NULL, true, "%zu", n);
	cf_buf_release(&name);
	return rc;
}

static int check_list(struct cf_pg_verify *verify, struct cf_pg *pg, const char *sql,
		      const char *check, const char *const *kinds, struct cf_err *err)
{
	struct cf_pg_rows *rows = NULL;
	int rc = cf_pg_query(pg, sql, NULL, 0, &rows, err);

	if (rc == 0)
		rc = check_listed(verify, rows, check, kinds, err);
	cf_pg_rows_free(rows);
	return rc;
}

static int check_indexes(struct cf_pg_verify *verify, struct cf_pg *pg, struct cf_err *err)
{
	static const char *const kinds[] = {"INDEX", NULL};

	return check_list(
		verify, pg,
		"SELECT pg_catalog.concat(n.nspname, '.', c.relname) COLLATE \"C\" FROM "
		"pg_catalog.pg_index i"
		" JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
		" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
		/* A partitioned index without all its parts was like that at the source. */
		" WHERE i.indisready AND (i.indisvalid OR c.relkind = 'I') ORDER BY 1",
		"indexes", kinds, err);
}

static int check_constraints(struct cf_pg_verify *verify, struct cf_pg *pg, struct cf_err *err)
{
	static const char *const kinds[] = {"CONSTRAINT", "FK CONSTRAINT", "CHECK CONSTRAINT",
					    NULL};

	return check_list(verify, pg,
			  "SELECT pg_catalog.concat(n.nspname, '.', coalesce(c.relname, "
			  "t.typname), ' ', k.conname) COLLATE \"C\""
			  " FROM pg_catalog.pg_constraint k LEFT JOIN pg_catalog.pg_class c ON "
			  "c.oid = k.conrelid"
			  " LEFT JOIN pg_catalog.pg_type t ON t.oid = k.contypid"
			  " JOIN pg_catalog.pg_namespace n ON n.oid = coalesce(c.relnamespace, "
			  "t.typnamespace)"
			  " ORDER BY 1",
			  "constraints", kinds, err);
}

/* Names in another encoding would not be found: then schema.sql alone speaks for them. */
static bool has_names(const struct cf_pg_verify *verify)
{
	const char *setting = cf_pg_toc_encoding(verify->toc);

	return setting && strstr(setting, "'UTF8'");
}

int cf_pg_verify_catalog(struct cf_pg_verify *verify, struct cf_pg *pg, struct cf_err *err)
{
	int rc = check_table_count(verify, pg, err);

	for (size_t i = 0; rc == 0 && i < verify->manifest->n_tables; i++) {
		const struct cf_pg_table *table = &verify->manifest->tables[i];

		if (table->file && !table->extension &&
		    (verify->lots[i] == CF_PG_NO_LOT || verify->lots[i] == i))
			rc = check_rows(verify, pg, i, err);
	}
	if (rc == 0)
		rc = check_sequences(verify, pg, err);
	if (rc == 0 && has_names(verify))
		rc = check_indexes(verify, pg, err);
	if (rc == 0 && has_names(verify))
		rc = check_constraints(verify, pg, err);
	return rc < 0 ? rc : check_large_objects(verify, pg, err);
}
