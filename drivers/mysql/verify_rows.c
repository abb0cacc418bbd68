#include "base/err.h"
#include "drivers/mysql/catalog.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/row_reader.h"
#include "drivers/mysql/verify.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE_LEN = 256 << 10 };

/* A table of the snapshot; name: its database on the scratch server. */
typedef int table_fn(struct cf_mysql_verify *verify, const struct cf_mysql_load_source *source,
		     const char *name, const struct cf_mysql_table *table, struct cf_err *err);

static int each_table(struct cf_mysql_verify *verify, table_fn *check, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; i < verify->n_sources; i++) {
		const struct cf_mysql_load_source *source = &verify->sources[i];

		for (size_t j = 0; rc == 0 && j < source->manifest.n_tables; j++) {
			rc = cf_ctx_check(verify->ctx, err);
			if (rc == 0)
				rc = check(verify, source, verify->names[i],
					   &source->manifest.tables[j], err);
		}
	}
	return rc;
}

/* check: what they were counted in. */
static int tell_count(struct cf_mysql_verify *verify, const char *check,
		      const struct cf_mysql_load_source *source, const struct cf_mysql_table *table,
		      uint64_t found, struct cf_err *err)
{
	char *label = cf_mysql_verify_label(source, table->name);

	if (!label)
		return cf_err_nomem(err);
	if (found == table->rows)
		cf_mysql_verify_tell(verify, check, label, true, "%llu", (unsigned long long)found);
	else
		cf_mysql_verify_tell(verify, check, label, false, "%llu, not %llu",
				     (unsigned long long)found, (unsigned long long)table->rows);
	free(label);
	return 0;
}

static int read_all(struct cf_mysql_verify *verify, const char *path,
		    const struct cf_mysql_table *table, uint64_t *rows_out, struct cf_err *err)
{
	uint8_t *piece = malloc(PIECE_LEN);
	struct cf_mysql_row_reader reader;
	int64_t n = 1;

	if (!piece)
		return cf_err_nomem(err);
	cf_mysql_row_reader_init(&reader, verify->tree, path, table, table->data_off,
				 table->data_off + table->data_len);
	reader.ctx = verify->ctx;
	while (n > 0)
		n = cf_mysql_row_reader_read(&reader, piece, PIECE_LEN, err);
	*rows_out = reader.n_rows;
	cf_mysql_row_reader_release(&reader);
	free(piece);
	return (int)n;
}

static int read_table(struct cf_mysql_verify *verify, const struct cf_mysql_load_source *source,
		      const char *name, const struct cf_mysql_table *table, struct cf_err *err)
{
	struct cf_err failure = CF_ERR_INIT;
	char *path = NULL, *label;
	uint64_t rows = 0;
	int rc = 0;

	if (table->data_len > 0) {
		path = cf_mysql_source_path(source, "tables", table->file);
		rc = path ? read_all(verify, path, table, &rows, &failure) : cf_err_nomem(&failure);
		free(path);
	}
	if (rc == 0)
		return tell_count(verify, "stored_rows", source, table, rows, err);
	if (rc != CF_ERR_DAMAGED && rc != CF_ERR_NOT_FOUND)
		return cf_err_set(err, rc, "%s", failure.text);
	label = cf_mysql_verify_label(source, table->name);
	if (!label)
		return cf_err_nomem(err);
	cf_mysql_verify_tell(verify, "data", label, false, "%s", failure.text);
	free(label);
	return 0;
}

int cf_mysql_verify_read(struct cf_mysql_verify *verify, struct cf_err *err)
{
	return each_table(verify, read_table, err);
}

/* head `name`.`table` tail, ended by NUL. */
static int statement(const char *head, const char *name, const char *table, const char *tail,
		     struct cf_buf *sql, struct cf_err *err)
{
	int rc = cf_buf_append_str(sql, head, err);

	if (rc == 0)
		rc = cf_mysql_quote_name(name, sql, err);
	if (rc == 0)
		rc = cf_buf_append_str(sql, ".", err);
	if (rc == 0)
		rc = cf_mysql_quote_name(table, sql, err);
	return rc == 0 ? cf_buf_append(sql, tail, strlen(tail) + 1, err) : rc;
}

/* Those it has are those of others, and none were saved. */
static bool shows_rows_of_others(const struct cf_mysql_table *table)
{
	return table->engine && !cf_mysql_engine_holds_rows(table->engine);
}

static int count_table(struct cf_mysql_verify *verify, const struct cf_mysql_load_source *source,
		       const char *name, const struct cf_mysql_table *table, struct cf_err *err)
{
	struct cf_buf sql = CF_BUF_INIT;
	char *value = NULL, *label;
	struct cf_err failure = CF_ERR_INIT;
	int rc;

	if (shows_rows_of_others(table))
		return 0;
	rc = statement("SELECT COUNT(*) FROM ", name, table->name,
		       table->has_history ? " FOR SYSTEM_TIME ALL" : "", &sql, &failure);
	if (rc == 0)
		rc = cf_mysql_value(verify->my, (const char *)sql.data, &value, &failure);
	cf_buf_release(&sql);
	if (rc == 0) {
		rc = tell_count(verify, "row_count", source, table,
				value ? strtoull(value, NULL, 10) : 0, err);
		free(value);
		return rc;
	}
	if (rc != CF_ERR_NOT_FOUND)
		return cf_err_set(err, rc, "%s", failure.text);
	label = cf_mysql_verify_label(source, table->name);
	if (!label)
		return cf_err_nomem(err);
	cf_mysql_verify_tell(verify, "row_count", label, false, "%s", failure.text);
	free(label);
	return 0;
}

int cf_mysql_verify_count(struct cf_mysql_verify *verify, struct cf_err *err)
{
	return each_table(verify, count_table, err);
}

/* The last row of CHECK TABLE is its verdict; a note before it is none. */
static int check_table(struct cf_mysql_verify *verify, const struct cf_mysql_load_source *source,
		       const char *name, const struct cf_mysql_table *table, struct cf_err *err)
{
	struct cf_buf sql = CF_BUF_INIT;
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	char *label = cf_mysql_verify_label(source, table->name);
	bool passed = true;
	int rc = label ? statement("CHECK TABLE ", name, table->name, "", &sql, err)
		       : cf_err_nomem(err);

	if (rc == 0)
		rc = cf_mysql_query(verify->my, (const char *)sql.data, &result, err);
	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) == 1) {
		bool is_bad = row.values[2] &&
			      (!strcmp(row.values[2], "Error") || !strcmp(row.values[2], "error"));

		rc = 0;
		if (!is_bad)
			continue;
		passed = false;
		cf_mysql_verify_tell(verify, "check_table", label, false, "%s",
				     row.values[3] ? row.values[3] : "");
	}
	if (rc == 0 && passed)
		cf_mysql_verify_tell(verify, "check_table", label, true, NULL);
	cf_mysql_result_free(result);
	cf_buf_release(&sql);
	free(label);
	return rc;
}

int cf_mysql_verify_tables(struct cf_mysql_verify *verify, struct cf_err *err)
{
	return each_table(verify, check_table, err);
}
