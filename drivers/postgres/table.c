/*
 * The rows of one table: one COPY straight into the sink. NAME.copy holds the rows alone, NAME.sql the same rows between what
 * makes the table before and what completes it after.
 */

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/names.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/dump.h"
#include "drivers/postgres/script.h"

#include <string.h>

struct table_files {
	struct cf_pg_dump *dump;
	struct cf_file *copy, *script;
	uint64_t len;
};

static int begin_file(struct cf_pg_database *database, const struct cf_pg_task *task, const char *suffix,
		      struct cf_file **file_out, struct cf_err *err)
{
	struct cf_pg_dump *dump = database->dump;
	const char *const parts[] = {task->relation->schema, task->relation->name};
	const struct cf_profile profile = {.kind = CF_PROFILE_TEXT};
	struct cf_buf name = CF_BUF_INIT;
	struct cf_entry entry;
	int rc = cf_file_name_of(parts, 2, suffix, &name, err);

	if (rc == 0) {
		entry = cf_pg_entry(dump, CF_ENTRY_FILE, (const char *)name.data);
		entry.size = task->len;
		rc = dump->sink->ops->file_begin(dump->sink, database->tables_dir, &entry, &profile, file_out, err);
	}
	cf_buf_release(&name);
	return rc;
}

static int take_rows(void *user, struct cf_span data, struct cf_err *err)
{
	struct table_files *files = (struct table_files *)user;

	files->len += data.len;
	return files->dump->sink->ops->file_write(files->dump->sink, files->copy, data, err);
}

static int end_file(struct table_files *files, struct cf_file **file, struct cf_err *err)
{
	struct cf_file *ending = *file;

	*file = NULL;
	return ending ? files->dump->sink->ops->file_end(files->dump->sink, ending, NULL, err) : 0;
}

static void abort_file(struct table_files *files, struct cf_file *file)
{
	if (file)
		files->dump->sink->ops->file_abort(files->dump->sink, file);
}

/* "schema"."table" ("a", "b"), or without columns when it has none. */
static int append_target(struct cf_pg *pg, const struct cf_pg_relation *relation, struct cf_buf *out,
			 struct cf_err *err)
{
	int rc = cf_pg_append_qualified(pg, relation->schema, relation->name, out, err);

	for (size_t i = 0; rc == 0 && i < relation->n_columns; i++) {
		rc = cf_buf_append_str(out, i ? ", " : " (", err);
		if (rc == 0)
			rc = cf_pg_append_identifier(pg, relation->columns[i], out, err);
	}
	return rc == 0 && relation->n_columns ? cf_buf_append_str(out, ")", err) : rc;
}

/* The rows that an extension's configuration table holds beyond what CREATE EXTENSION puts there. */
static int append_query(struct cf_pg *pg, const struct cf_pg_relation *relation, struct cf_buf *out,
			struct cf_err *err)
{
	int rc = cf_buf_append_str(out, "(SELECT ", err);

	for (size_t i = 0; rc == 0 && i < relation->n_columns; i++) {
		if (i > 0)
			rc = cf_buf_append_str(out, ", ", err);
		if (rc == 0)
			rc = cf_pg_append_identifier(pg, relation->columns[i], out, err);
	}
	if (rc == 0)
		rc = cf_buf_append_str(out, " FROM ONLY ", err);
	if (rc == 0)
		rc = cf_pg_append_qualified(pg, relation->schema, relation->name, out, err);
	if (rc == 0)
		rc = cf_buf_append_str(out, " ", err);
	if (rc == 0)
		rc = cf_buf_append_str(out, relation->condition, err);
	return rc == 0 ? cf_buf_append_str(out, ")", err) : rc;
}

static int make_copy(struct cf_pg *pg, const struct cf_pg_database *database,
		     const struct cf_pg_relation *relation, struct cf_buf *sql, struct cf_err *err)
{
	int rc = cf_buf_append_str(sql, "COPY ", err);

	if (rc == 0)
		rc = relation->condition ? append_query(pg, relation, sql, err)
					 : append_target(pg, relation, sql, err);
	if (rc == 0)
		rc = cf_buf_append_str(sql, " TO STDOUT (ENCODING ", err);
	if (rc == 0)
		rc = cf_pg_append_literal(pg, database->manifest.data_encoding, sql, err);
	return rc == 0 ? cf_buf_append(sql, ")", 2, err) : rc;
}

/*
 * For whoever loads the rows into partitions again, in the words of pg_dump. A name's newline would end the comment.
 */
static int append_root(struct cf_pg *pg, const struct cf_pg_root *root, struct cf_buf *out, struct cf_err *err)
{
	size_t begin = out->len;
	int rc = cf_buf_append_str(out, "-- load via partition root ", err);

	if (rc == 0)
		rc = cf_pg_append_qualified(pg, root->root_schema, root->root_name, out, err);
	for (size_t i = begin; i < out->len; i++)
		if (out->data[i] == '\n' || out->data[i] == '\r')
			out->data[i] = ' ';
	return rc == 0 ? cf_buf_append_str(out, "\n", err) : rc;
}

/* Of rows that are in another encoding than the text around them. */
static int append_encoding(struct cf_pg *pg, const struct cf_pg_database *database, struct cf_buf *out,
			   struct cf_err *err)
{
	const char *encoding = database->manifest.data_encoding;
	int rc;

	if (strcmp(encoding, cf_pg_archive_encoding(database)) == 0)
		return 0;
	rc = cf_buf_append_str(out, " WITH (ENCODING ", err);
	if (rc == 0)
		rc = cf_pg_append_literal(pg, encoding, out, err);
	return rc == 0 ? cf_buf_append_str(out, ")", err) : rc;
}

/* What goes around the rows. CF_ERR_NOT_FOUND when the archive does not make the table, as that of an extension. */
static int make_script(struct cf_pg *pg, const struct cf_pg_database *database, const struct cf_pg_task *task,
		       struct cf_buf *before, struct cf_buf *after, struct cf_err *err)
{
	const struct cf_pg_root *root =
		cf_pg_roots_find(&database->roots, task->relation->schema, task->relation->name);
	struct cf_buf copy = CF_BUF_INIT;
	int rc = 0;

	if (task->table->file) {
		if (root)
			rc = append_root(pg, root, &copy, err);
		if (rc == 0)
			rc = cf_buf_append_str(&copy, "COPY ", err);
		if (rc == 0)
			rc = append_target(pg, task->relation, &copy, err);
		if (rc == 0)
			rc = cf_buf_append_str(&copy, " FROM stdin", err);
		if (rc == 0)
			rc = append_encoding(pg, database, &copy, err);
		if (rc == 0)
			rc = cf_buf_append(&copy, ";", 2, err);
		if (rc == 0)
			rc = cf_pg_recode(database, pg, &copy, err);
	}
	if (rc == 0)
		rc = cf_pg_script_table(database->script, task->relation->oid, (const char *)copy.data, before,
					after, err);
	cf_buf_release(&copy);
	return rc;
}

static int begin_script(struct cf_pg *pg, struct cf_pg_database *database, const struct cf_pg_task *task,
			struct table_files *files, struct cf_buf *after, struct cf_err *err)
{
	const struct cf_sink_ops *ops = files->dump->sink->ops;
	struct cf_buf before = CF_BUF_INIT;
	int rc = make_script(pg, database, task, &before, after, err);

	if (rc == CF_ERR_NOT_FOUND && task->relation->extension) {
		cf_err_clear(err);
		cf_buf_release(&before);
		return 0;
	}
	if (rc == 0)
		rc = begin_file(database, task, ".sql", &files->script, err);
	if (rc == 0 && files->script)
		rc = ops->file_write(files->dump->sink, files->script, cf_buf_span(&before), err);
	cf_buf_release(&before);
	return rc;
}

/* Refused at once, should somebody wait to lock it exclusively: our leader has it locked, so waiting would never end. */
static int lock_table(struct cf_pg *pg, const struct cf_pg_relation *relation, struct cf_err *err)
{
	struct cf_buf sql = CF_BUF_INIT;
	int rc = cf_buf_append_str(&sql, "LOCK TABLE ONLY ", err);

	if (rc == 0)
		rc = cf_pg_append_qualified(pg, relation->schema, relation->name, &sql, err);
	if (rc == 0)
		rc = cf_buf_append(&sql, " IN ACCESS SHARE MODE NOWAIT", sizeof(" IN ACCESS SHARE MODE NOWAIT"), err);
	if (rc == 0)
		rc = cf_pg_exec(pg, (const char *)sql.data, err);
	cf_buf_release(&sql);
	return rc;
}

static int copy_rows(struct cf_pg *pg, struct cf_pg_database *database, const struct cf_pg_task *task,
		     struct table_files *files, struct cf_err *err)
{
	struct cf_buf sql = CF_BUF_INIT;
	int rc = make_copy(pg, database, task->relation, &sql, err);

	if (rc == 0)
		rc = begin_file(database, task, ".copy", &files->copy, err);
	if (rc == 0 && files->script)
		rc = files->dump->sink->ops->file_share(files->dump->sink, files->script, files->copy, err);
	if (rc == 0)
		rc = cf_pg_copy_out(pg, (const char *)sql.data, take_rows, files, &task->table->rows, err);
	if (rc == 0)
		rc = end_file(files, &files->copy, err);
	task->table->bytes = files->len;
	cf_buf_release(&sql);
	return rc;
}

int cf_pg_dump_table(struct cf_pg_database *database, struct cf_pg *pg, const struct cf_pg_task *task,
		      struct cf_err *err)
{
	struct table_files files = {.dump = database->dump};
	struct cf_buf after = CF_BUF_INIT;
	int rc = 0;

	cf_ctx_note(database->dump->ctx, "postgres.table", task->table->file, "table %s.%s",
		    task->relation->schema, task->relation->name);
	if (task->table->file)
		rc = lock_table(pg, task->relation, err);
	if (rc == 0)
		rc = begin_script(pg, database, task, &files, &after, err);
	if (rc == 0 && task->table->file)
		rc = copy_rows(pg, database, task, &files, err);
	if (rc == 0 && files.script)
		rc = database->dump->sink->ops->file_write(database->dump->sink, files.script,
							   cf_buf_span(&after), err);
	if (rc == 0)
		rc = end_file(&files, &files.script, err);
	abort_file(&files, files.copy);
	abort_file(&files, files.script);
	cf_buf_release(&after);
	if (rc < 0 && rc != CF_ERR_CANCELED)
		cf_err_wrap(err, "table %s.%s", task->relation->schema, task->relation->name);
	return rc;
}
