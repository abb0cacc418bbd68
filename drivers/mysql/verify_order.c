/*
 * Tables whose rows lie where the server put them when they came, so that no restore has them in
 * the order of the snapshot: those that begin another partition for their history after a number of
 * rows. Their rows are compared by the sum of what each hashes to.
 */

#include "base/err.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/columns.h"
#include "drivers/mysql/row_reader.h"
#include "drivers/mysql/sql.h"
#include "drivers/mysql/verify.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { PIECE_LEN = 256 << 10 };

struct sum {
	uint64_t low, high;
	struct cf_buf line; /* the one that has not ended yet */
};

bool cf_mysql_verify_is_unordered(const struct cf_mysql_table *table)
{
	return strstr(table->create, " PARTITION BY SYSTEM_TIME LIMIT ") != NULL;
}

/* Without the comma between rows; what ends a statement is no row. */
static void add_line(struct sum *sum, const uint8_t *line, size_t len)
{
	XXH128_hash_t hash;

	if (len > 0 && *line == ',') {
		line++;
		len--;
	}
	if (len == 0 || *line != '(')
		return;
	hash = XXH3_128bits(line, len);
	sum->low += hash.low64;
	sum->high += hash.high64;
}

static int add_bytes(struct sum *sum, const uint8_t *data, size_t len, struct cf_err *err)
{
	int rc = 0;

	while (rc == 0 && len > 0) {
		const uint8_t *end = memchr(data, '\n', len);
		size_t n = end ? (size_t)(end - data) : len;

		rc = cf_buf_append(&sum->line, data, n, err);
		if (rc == 0 && end) {
			add_line(sum, sum->line.data, sum->line.len);
			cf_buf_clear(&sum->line);
			n++;
		}
		data += n;
		len -= n;
	}
	return rc;
}

static int sum_saved(struct cf_mysql_verify *verify, const struct cf_mysql_load_source *source,
		     const struct cf_mysql_table *table, struct sum *sum, struct cf_err *err)
{
	char *path = cf_mysql_source_path(source, "tables", table->file);
	uint8_t *piece = malloc(PIECE_LEN);
	struct cf_mysql_row_reader reader;
	int64_t n = path && piece ? 1 : cf_err_nomem(err);
	int rc = 0;

	cf_mysql_row_reader_init(&reader, verify->tree, path, table, table->data_off,
				 table->data_off + table->data_len);
	reader.ctx = verify->ctx;
	while (rc == 0 && n > 0) {
		n = cf_mysql_row_reader_read(&reader, piece, PIECE_LEN, err);
		if (n > 0)
			rc = add_bytes(sum, piece, (size_t)n, err);
	}
	cf_mysql_row_reader_release(&reader);
	free(piece);
	free(path);
	return n < 0 ? (int)n : rc;
}

static int sum_rows(struct cf_mysql *my, const struct cf_mysql_columns *columns, size_t n_columns,
		    struct sum *sum, struct cf_err *err)
{
	struct cf_mysql_row_writer rows = {.forms = columns->forms, .n_columns = n_columns};
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_stream(my, (const char *)columns->select.data, &result, err);

	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0) {
		rc = cf_mysql_row_writer_add(&rows, row.values, row.lengths, err);
		if (rc == 0)
			rc = add_bytes(sum, rows.out.data, rows.out.len, err);
		cf_buf_clear(&rows.out);
	}
	cf_mysql_result_free(result);
	cf_mysql_row_writer_release(&rows);
	return rc;
}

/* database: on the scratch server. */
static int sum_restored(struct cf_mysql_verify *verify, const char *database,
			const struct cf_mysql_table *saved, struct sum *sum, struct cf_err *err)
{
	const struct cf_mysql_connect_options options = {.program = "coffer verify"};
	struct cf_mysql_manifest manifest = CF_MYSQL_MANIFEST_INIT;
	struct cf_mysql_columns columns = {.forms = NULL};
	struct cf_mysql_table *table = NULL;
	struct cf_mysql *my = NULL;
	int rc = cf_mysql_manifest_add_table(&manifest, &table, err);

	if (rc == 0)
		rc = cf_mysql_copy(saved->name, &table->name, err);
	if (rc == 0)
		rc = cf_mysql_connect(&verify->url, &options, verify->ctx, &my, err);
	/* Like a dump's. */
	if (rc == 0)
		rc = cf_mysql_run(my, "SET SESSION character_set_results = binary", err);
	if (rc == 0)
		rc = cf_mysql_columns_read(my, database, saved->has_history, table, &columns, err);
	if (rc == 0)
		rc = sum_rows(my, &columns, table->n_columns, sum, err);
	cf_mysql_close(my);
	cf_mysql_columns_release(&columns);
	cf_mysql_manifest_release(&manifest);
	return rc;
}

int cf_mysql_verify_unordered(struct cf_mysql_verify *verify, size_t source,
			      const struct cf_mysql_table *table, struct cf_err *err)
{
	struct sum saved = {.line = CF_BUF_INIT}, restored = {.line = CF_BUF_INIT};
	char *label = cf_mysql_verify_label(&verify->sources[source], table->name);
	int rc = label ? 0 : cf_err_nomem(err);

	if (rc == 0 && table->data_len > 0)
		rc = sum_saved(verify, &verify->sources[source], table, &saved, err);
	if (rc == 0)
		rc = sum_restored(verify, verify->names[source], table, &restored, err);
	if (rc == 0) {
		bool same = saved.low == restored.low && saved.high == restored.high;

		cf_mysql_verify_tell(verify, "checksum", label, same,
				     same ? "in another order" : "other rows");
	}
	cf_buf_release(&saved.line);
	cf_buf_release(&restored.line);
	free(label);
	return rc;
}
