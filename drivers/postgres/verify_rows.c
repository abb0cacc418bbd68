/*
 * Rows that may stand otherwise in the restored database than they did, without a difference that
 * matters: compared as a set, by the sum of their hashes. A lot is what is compared at once:
 *
 *     all partitions below one root, when their rows find their place by the root;
 *     a table whose columns are there in another order: a parent that got a column when it had
 *     children gives them that column last, and pg_dump makes them with it before their own.
 */

#include "base/digest.h"
#include "base/err.h"
#include "base/tree.h"
#include "drivers/postgres/catalog.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/session.h"
#include "drivers/postgres/sql.h"
#include "drivers/postgres/verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* --- lots --- */

static bool is_same_root(const struct cf_pg_root *a, const struct cf_pg_root *b)
{
	return strcmp(a->root_schema, b->root_schema) == 0 &&
	       strcmp(a->root_name, b->root_name) == 0;
}

/* NULL for a table that is a lot of its own, or in none. */
static const struct cf_pg_root *root_of(const struct cf_pg_verify *verify, size_t table)
{
	const struct cf_pg_table *at = &verify->manifest->tables[table];

	return at->file ? cf_pg_roots_find(&verify->roots, at->schema, at->name) : NULL;
}

/* The restored relations, in the order of the bytes that we see of their names. */
struct restored {
	struct cf_pg_catalog catalog;
	const struct cf_pg_relation **by_name;
};

static int compare_relations(const void *a, const void *b)
{
	const struct cf_pg_relation *const *x = a, *const *y = b;
	int order = strcmp((*x)->schema, (*y)->schema);

	return order ? order : strcmp((*x)->name, (*y)->name);
}

static int read_restored(struct cf_pg *pg, struct restored *restored, struct cf_err *err)
{
	int rc = cf_pg_catalog_read(pg, &restored->catalog, err);

	if (rc == 0)
		rc = cf_pg_catalog_read_columns(pg, &restored->catalog, err);
	if (rc < 0)
		return rc;
	restored->by_name = calloc(restored->catalog.n + 1, sizeof(*restored->by_name));
	if (!restored->by_name)
		return cf_err_nomem(err);
	for (size_t i = 0; i < restored->catalog.n; i++)
		restored->by_name[i] = &restored->catalog.relations[i];
	qsort(restored->by_name, restored->catalog.n, sizeof(*restored->by_name),
	      compare_relations);
	return 0;
}

static void release_restored(struct restored *restored)
{
	free(restored->by_name);
	cf_pg_catalog_release(&restored->catalog);
}

static size_t find_column(const struct cf_pg_table *table, const char *name)
{
	size_t i = 0;

	while (i < table->n_columns && strcmp(table->columns[i], name) != 0)
		i++;
	return i;
}

/* Whether the restored table has the same columns in another order. */
static bool is_reordered(const struct restored *restored, const struct cf_pg_table *table)
{
	const struct cf_pg_relation name = {.schema = table->schema, .name = table->name};
	const struct cf_pg_relation *key = &name, *const *found =
		bsearch(&key, restored->by_name, restored->catalog.n, sizeof(key),
			compare_relations);
	bool same_order = true;

	if (!table->file || !found || (*found)->n_columns != table->n_columns)
		return false;
	for (size_t i = 0; i < table->n_columns; i++) {
		if (same_order && strcmp((*found)->columns[i], table->columns[i]) == 0)
			continue;
		same_order = false;
		if (find_column(table, (*found)->columns[i]) == table->n_columns)
			return false;
	}
	return !same_order;
}

/* The first table of the lot that it belongs to. */
static size_t find_lot(const struct cf_pg_verify *verify, const struct restored *restored,
		       size_t table)
{
	const struct cf_pg_root *root = root_of(verify, table), *other;

	if (!root)
		return is_reordered(restored, &verify->manifest->tables[table]) ? table
										: CF_PG_NO_LOT;
	for (size_t i = 0; i < table; i++)
		if (verify->lots[i] == i && (other = root_of(verify, i)) &&
		    is_same_root(other, root))
			return i;
	return table;
}

int cf_pg_verify_find_lots(struct cf_pg_verify *verify, struct cf_pg *pg, struct cf_err *err)
{
	struct restored restored = {.by_name = NULL};
	int rc = cf_pg_roots_read(pg, false, &verify->roots, err);

	if (rc == 0)
		rc = read_restored(pg, &restored, err);
	if (rc == 0) {
		verify->lots = calloc(verify->manifest->n_tables + 1, sizeof(*verify->lots));
		rc = verify->lots ? 0 : cf_err_nomem(err);
	}
	for (size_t i = 0; rc == 0 && i < verify->manifest->n_tables; i++)
		verify->lots[i] = find_lot(verify, &restored, i);
	release_restored(&restored);
	return rc;
}

void cf_pg_verify_release_lots(struct cf_pg_verify *verify)
{
	cf_pg_roots_release(&verify->roots);
	free(verify->lots);
}

int cf_pg_verify_each_restored(const struct cf_pg_verify *verify, size_t lot,
			       cf_pg_restored_fn *each, void *user, struct cf_err *err)
{
	const struct cf_pg_table *table = &verify->manifest->tables[lot];
	const struct cf_pg_root *root = root_of(verify, lot);
	int rc = root ? 0 : each(user, table->schema, table->name, err);

	for (size_t i = 0; root && rc == 0 && i < verify->roots.n; i++)
		if (is_same_root(&verify->roots.items[i], root))
			rc = each(user, verify->roots.items[i].schema, verify->roots.items[i].name,
				  err);
	return rc;
}

int cf_pg_verify_lot_name(const struct cf_pg_verify *verify, size_t lot, struct cf_buf *out,
			  struct cf_err *err)
{
	const struct cf_pg_table *table = &verify->manifest->tables[lot];
	const struct cf_pg_root *root = root_of(verify, lot);

	return cf_buf_printf(out, err, "%s.%s%c", root ? root->root_schema : table->schema,
			     root ? root->root_name : table->name, 0);
}

/* "tables/shop.orders.copy" or the script beside it. */
static bool is_of_table(const struct cf_pg_table *table, const char *path)
{
	size_t len = strlen(table->file) - strlen("copy");

	return strncmp(table->file, path, len) == 0 &&
	       (strcmp(path + len, "copy") == 0 || strcmp(path + len, "sql") == 0);
}

bool cf_pg_verify_is_of_lot(const struct cf_pg_verify *verify, const char *path)
{
	for (size_t i = 0; i < verify->manifest->n_tables; i++)
		if (verify->lots[i] != CF_PG_NO_LOT &&
		    is_of_table(&verify->manifest->tables[i], path))
			return true;
	return false;
}

/* --- sets of rows --- */

struct row_set {
	uint64_t sums[4], n;
	struct cf_buf rest; /* of a row whose end is still to come */
	/* Of what has its columns in another order than wanted: where each of them is. */
	size_t *order;
	struct cf_span *fields;
	size_t n_columns;
	struct cf_buf ordered;
};

static void release_set(struct row_set *set)
{
	cf_buf_release(&set->rest);
	cf_buf_release(&set->ordered);
	free(set->order);
	free(set->fields);
}

/* A tab within a value is escaped. What has too few fields differs by its hash. */
static int put_in_order(struct row_set *set, struct cf_span row, struct cf_err *err)
{
	const uint8_t *at = row.data, *end = at + row.len;
	int rc = 0;

	for (size_t i = 0; i < set->n_columns; i++) {
		const uint8_t *tab = at < end ? memchr(at, '\t', (size_t)(end - at)) : NULL;

		set->fields[i] = cf_span_of(at, (size_t)((tab ? tab : end) - at));
		at = tab ? tab + 1 : end;
	}
	cf_buf_clear(&set->ordered);
	for (size_t i = 0; rc == 0 && i < set->n_columns; i++) {
		const struct cf_span *field = &set->fields[set->order[i]];

		rc = cf_buf_append(&set->ordered, "\t", i > 0, err);
		if (rc == 0)
			rc = cf_buf_append(&set->ordered, field->data, field->len, err);
	}
	return rc;
}

static int add_row(struct row_set *set, struct cf_span row, struct cf_err *err)
{
	struct cf_id digest;
	int rc = set->order ? put_in_order(set, row, err) : 0;

	if (rc < 0)
		return rc;
	cf_digest(set->order ? cf_buf_span(&set->ordered) : row, &digest);
	for (size_t i = 0; i < 4; i++) {
		uint64_t part;

		memcpy(&part, (const uint8_t *)&digest + 8 * i, sizeof(part));
		set->sums[i] += part;
	}
	set->n++;
	return 0;
}

static int add_piece(void *user, struct cf_span data, struct cf_err *err)
{
	struct row_set *set = user;
	const uint8_t *at = data.data, *end = at + data.len, *line;
	int rc = 0;

	for (; rc == 0 && at < end && (line = memchr(at, '\n', (size_t)(end - at))); at = line + 1) {
		if (set->rest.len == 0) {
			rc = add_row(set, cf_span_of(at, (size_t)(line - at)), err);
			continue;
		}
		rc = cf_buf_append(&set->rest, at, (size_t)(line - at), err);
		if (rc == 0)
			rc = add_row(set, cf_buf_span(&set->rest), err);
		cf_buf_clear(&set->rest);
	}
	return rc < 0 ? rc : cf_buf_append(&set->rest, at, (size_t)(end - at), err);
}

/* --- one lot --- */

struct lot {
	struct cf_pg_verify *verify;
	struct cf_pg *pg;
	const struct cf_pg_table *first; /* whose order of columns counts */
	struct row_set stored, restored;
};

/* False when table has other columns than the first. */
static bool order_columns(struct lot *lot, const struct cf_pg_table *table)
{
	if (table->n_columns != lot->first->n_columns)
		return false;
	for (size_t i = 0; i < table->n_columns; i++) {
		lot->stored.order[i] = find_column(table, lot->first->columns[i]);
		if (lot->stored.order[i] == table->n_columns)
			return false;
	}
	return true;
}

static int add_stored(struct lot *lot, const struct cf_pg_table *table, struct cf_err *err)
{
	struct cf_tree *tree = lot->verify->tree;
	struct cf_buf path = CF_BUF_INIT;
	int rc;

	if (!order_columns(lot, table))
		return cf_err_set(err, CF_ERR_DAMAGED, "table %s.%s has other columns",
				  table->schema, table->name);
	rc = cf_buf_printf(&path, err, "%s%s%c", lot->verify->folder, table->file, 0);
	if (rc == 0)
		rc = tree->ops->read(tree, (const char *)path.data, 0, UINT64_MAX, add_piece,
				     &lot->stored, err);
	cf_buf_release(&path);
	return rc;
}

/* (SELECT "a", "b" FROM ONLY "schema"."name" WHERE ...): of an extension's configuration table the
 * snapshot has only some rows. */
static int append_query(const struct lot *lot, const char *schema, const char *name,
			struct cf_buf *sql, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < lot->first->n_columns; i++) {
		rc = cf_buf_append_str(sql, i ? ", " : "(SELECT ", err);
		if (rc == 0)
			rc = cf_sql_append_name(lot->first->columns[i], sql, err);
	}
	if (rc == 0)
		rc = cf_buf_append_str(sql, " FROM ONLY ", err);
	if (rc == 0)
		rc = cf_sql_append_qualified(schema, name, sql, err);
	return rc < 0 ? rc
		      : cf_buf_printf(sql, err, " %s)",
				      lot->first->condition ? lot->first->condition : "");
}

static int add_restored(void *user, const char *schema, const char *name, struct cf_err *err)
{
	struct lot *lot = user;
	struct cf_buf sql = CF_BUF_INIT;
	uint64_t rows;
	int rc = cf_buf_append_str(&sql, "COPY ", err);

	if (rc == 0)
		rc = append_query(lot, schema, name, &sql, err);
	if (rc == 0)
		rc = cf_buf_append_str(&sql, " TO STDOUT (ENCODING ", err);
	if (rc == 0)
		rc = cf_sql_append_literal(lot->verify->manifest->data_encoding, &sql, err);
	if (rc == 0)
		rc = cf_buf_append(&sql, ")", 2, err);
	if (rc == 0)
		rc = cf_pg_copy_out(lot->pg, (const char *)sql.data, add_piece, &lot->restored,
				    &rows, err);
	cf_buf_release(&sql);
	return rc;
}

static int add_all(struct lot *lot, size_t first, struct cf_err *err)
{
	const struct cf_pg_manifest *manifest = lot->verify->manifest;
	int rc = 0;

	for (size_t i = first; rc == 0 && i < manifest->n_tables; i++)
		if (lot->verify->lots[i] == first)
			rc = add_stored(lot, &manifest->tables[i], err);
	return rc < 0 ? rc
		      : cf_pg_verify_each_restored(lot->verify, first, add_restored, lot, err);
}

static int report_lot(struct lot *lot, const char *object, int rc, struct cf_err *failure,
		      struct cf_err *err)
{
	bool same = lot->stored.n == lot->restored.n &&
		    memcmp(lot->stored.sums, lot->restored.sums, sizeof(lot->stored.sums)) == 0;

	if (rc == 0) {
		cf_pg_verify_report_rows(lot->verify, lot->first, object, same,
					 same ? "the same rows" : "has other rows");
		return 0;
	}
	/* Damage, or a column that is not there, is an outcome. */
	if (rc == CF_ERR_DAMAGED || rc == CF_ERR_NOT_FOUND) {
		cf_pg_verify_report(lot->verify, "checksum", object, false, "%s", failure->text);
		return 0;
	}
	if (err)
		*err = *failure;
	return rc;
}

static int compare_lot(struct cf_pg_verify *verify, struct cf_pg *pg, size_t first,
		       struct cf_err *err)
{
	const struct cf_pg_table *table = &verify->manifest->tables[first];
	struct lot lot = {.verify = verify, .pg = pg, .first = table};
	struct cf_buf object = CF_BUF_INIT;
	struct cf_err failure = CF_ERR_INIT;
	int rc = cf_pg_verify_lot_name(verify, first, &object, err);

	lot.stored.n_columns = table->n_columns;
	lot.stored.order = calloc(table->n_columns + 1, sizeof(*lot.stored.order));
	lot.stored.fields = calloc(table->n_columns + 1, sizeof(*lot.stored.fields));
	if (rc == 0 && (!lot.stored.order || !lot.stored.fields))
		rc = cf_err_nomem(err);
	if (rc == 0) {
		rc = add_all(&lot, first, &failure);
		rc = report_lot(&lot, (const char *)object.data, rc, &failure, err);
	}
	release_set(&lot.stored);
	release_set(&lot.restored);
	cf_buf_release(&object);
	return rc;
}

int cf_pg_verify_rows(struct cf_pg_verify *verify, struct cf_pg *pg, struct cf_err *err)
{
	struct cf_pg_options options = {.application = "coffer verify"};
	struct cf_pg *reader = NULL;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < verify->manifest->n_tables; i++) {
		if (verify->lots[i] != i)
			continue;
		if (!reader)
			rc = cf_pg_connect_again(pg, &options, verify->ctx, &reader, err);
		/* Text as the snapshot has it. */
		if (rc == 0)
			rc = cf_pg_session_configure(reader, 0, err);
		if (rc == 0)
			rc = compare_lot(verify, reader, i, err);
	}
	cf_pg_close(reader);
	return rc;
}
