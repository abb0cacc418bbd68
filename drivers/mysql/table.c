#include "drivers/mysql/table.h"

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/mysql/catalog.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/columns.h"
#include "drivers/mysql/manifest.h"
#include "drivers/mysql/row_writer.h"
#include "drivers/mysql/script.h"
#include "drivers/mysql/sql.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	WRITE_LEN = 256 << 10,
	KEEP_LEN = 8 << 20, /* a buffer that a large row has made larger is given back */
	CANCEL_ROWS = 64
};

static int changed(const char *how, struct cf_err *err)
{
	return cf_err_set(err, CF_ERR_CHANGED,
			  "it was %s while the backup ran: run the backup again", how);
}

/* What went wrong with a table that was there when the snapshot was taken. */
static int explain(struct cf_mysql *my, int rc, struct cf_err *err)
{
	switch (cf_mysql_errno(my)) {
	case CF_MYSQL_NO_SUCH_TABLE:
	case CF_MYSQL_UNKNOWN_DATABASE:
		return changed("dropped or renamed", err);
	case CF_MYSQL_TABLE_DEF_CHANGED:
		return changed("altered", err);
	case CF_MYSQL_LOCK_WAIT_TIMEOUT:
		return cf_err_set(
			err, CF_ERR_BUSY,
			"another session keeps it locked (--lock-wait says how long to wait)");
	default:
		return rc;
	}
}

/* The definition stays until the savepoint is rolled back to, or the table unlocked. */
static int hold_definition(const struct cf_mysql_table_dump *dump, struct cf_err *err)
{
	char *create = NULL;
	int rc = dump->is_locked ? 0 : cf_mysql_run(dump->my, "SAVEPOINT coffer_table", err);

	/* Of another server's table not even that. */
	if (rc == 0 && !dump->is_locked && dump->plan->takes_rows)
		rc = cf_mysql_do(dump->my, err, "SELECT * FROM %n.%n LIMIT 0",
				 dump->database->database, dump->table->name);
	if (rc == 0)
		rc = cf_mysql_show_table(dump->my, dump->database->database, dump->table->name,
					 &create, err);
	if (rc == 0 && !cf_mysql_definition_equal(create, dump->table->create)) {
		free(create);
		return changed("altered", err);
	}
	if (rc < 0)
		return explain(dump->my, rc, err);
	free(dump->table->create);
	dump->table->create = create;
	return 0;
}

static int release_definition(const struct cf_mysql_table_dump *dump, struct cf_err *err)
{
	return dump->is_locked ? 0
			       : cf_mysql_run(dump->my, "ROLLBACK TO SAVEPOINT coffer_table", err);
}

struct output {
	const struct cf_mysql_table_dump *dump;
	struct cf_file *file;
	uint64_t len; /* written so far */
};

static int write_out(struct output *output, struct cf_buf *text, struct cf_err *err)
{
	struct cf_sink *sink = output->dump->sink;
	int rc = 0;

	if (text->len)
		rc = sink->ops->file_write(sink, output->file, cf_buf_span(text), err);
	output->len += text->len;
	if (text->capacity > KEEP_LEN)
		cf_buf_release(text);
	else
		cf_buf_clear(text);
	return rc;
}

static int write_rows(struct output *output, struct cf_mysql_result *result,
		      struct cf_mysql_row_writer *rows, struct cf_err *err)
{
	struct cf_mysql_row row;
	int rc = 0;

	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0) {
		rc = cf_mysql_row_writer_add(rows, row.values, row.lengths, err);
		if (rc == 0 && rows->out.len >= WRITE_LEN)
			rc = write_out(output, &rows->out, err);
		if (rc == 0 && rows->n_rows % CANCEL_ROWS == 0)
			rc = cf_ctx_check(output->dump->ctx, err);
	}
	if (rc == 0)
		rc = cf_mysql_row_writer_end(rows, err);
	return rc == 0 ? write_out(output, &rows->out, err) : rc;
}

static int read_rows(struct output *output, const struct cf_mysql_columns *columns,
		     struct cf_err *err)
{
	struct cf_mysql_table *table = output->dump->table;
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row_writer rows = {.head = cf_buf_span(&columns->insert),
					   .forms = columns->forms,
					   .n_columns = table->n_columns};
	int rc =
		cf_mysql_stream(output->dump->my, (const char *)columns->select.data, &result, err);

	table->data_off = output->len;
	if (rc == 0)
		rc = write_rows(output, result, &rows, err);
	if (rc < 0 && rc != CF_ERR_CANCELED)
		rc = explain(output->dump->my, rc, err);
	table->data_len = output->len - table->data_off;
	table->rows = rows.n_rows;
	cf_mysql_result_free(result);
	cf_mysql_row_writer_release(&rows);
	return rc;
}

static int write_file(struct output *output, const struct cf_mysql_columns *columns,
		      struct cf_err *err)
{
	const struct cf_mysql_table_dump *dump = output->dump;
	struct cf_buf text = CF_BUF_INIT;
	int rc = cf_mysql_script_table_head(dump->table, dump->database, &text, err);

	if (rc == 0)
		rc = write_out(output, &text, err);
	if (rc == 0 && dump->plan->takes_rows)
		rc = read_rows(output, columns, err);
	if (rc == 0)
		rc = cf_mysql_script_table_tail(dump->table, &text, err);
	if (rc == 0)
		rc = write_out(output, &text, err);
	cf_buf_release(&text);
	return rc;
}

static int store(const struct cf_mysql_table_dump *dump, const struct cf_mysql_columns *columns,
		 struct cf_err *err)
{
	static const struct cf_profile profile = {.kind = CF_PROFILE_TEXT};
	struct output output = {.dump = dump};
	struct cf_sink *sink = dump->sink;
	int rc;

	pthread_mutex_lock(dump->sink_lock);
	rc = sink->ops->file_begin(sink, dump->dir, dump->entry, &profile, &output.file, err);
	pthread_mutex_unlock(dump->sink_lock);
	if (rc < 0)
		return rc;
	rc = write_file(&output, columns, err);
	if (rc == 0)
		return sink->ops->file_end(sink, output.file, NULL, err);
	sink->ops->file_abort(sink, output.file);
	return rc;
}

static void warn_of_history(const struct cf_mysql_table_dump *dump)
{
	char name[512];

	snprintf(name, sizeof(name), "%s.%s", dump->database->database, dump->table->name);
	cf_ctx_warn(dump->ctx, "table.history", name,
		    "only its current rows are saved: the server takes no earlier versions of "
		    "them back");
}

int cf_mysql_table_dump(const struct cf_mysql_table_dump *dump, struct cf_err *err)
{
	struct cf_mysql_columns columns = {.forms = NULL};
	int rc = hold_definition(dump, err);

	if (rc == 0)
		rc = cf_mysql_columns_read(dump->my, dump->database->database,
					   dump->plan->is_versioned, dump->table, &columns, err);
	if (rc == 0 && columns.loses_history && dump->plan->takes_rows)
		warn_of_history(dump);
	if (rc == 0)
		rc = store(dump, &columns, err);
	if (rc == 0)
		rc = release_definition(dump, err);
	else if (rc != CF_ERR_CANCELED)
		cf_err_wrap(err, "table %s.%s", dump->database->database, dump->table->name);
	cf_mysql_columns_release(&columns);
	return rc;
}
