/*
 * The rows of one database. Each table is one COPY straight into the sink: NAME.copy holds the rows alone, NAME.sql the same rows
 * between what makes the table before and what completes it after. Several connections take tables from one list, the
 * longest first, so that none is left alone with a long one at the end.
 */

#include "base/ctx.h"
#include "base/err.h"
#include "base/pool.h"
#include "drivers/names.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/dump.h"
#include "drivers/postgres/script.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One table, or (relation NULL) all large objects. */
struct task {
	struct cf_pg_relation *relation;
	struct cf_pg_table *table;
	uint64_t len;
};

struct data {
	struct cf_pg_database *database;
	struct task *tasks; /* the longest first */
	size_t n_tasks;
	atomic_size_t next;
	atomic_int stop; /* one has failed: the others give up */
	pthread_mutex_t lock; /* of the error */
	struct cf_err *err;
	int rc;
};

struct worker {
	struct cf_job job;
	struct data *data;
};

/* --- one table --- */

struct table_files {
	struct cf_pg_dump *dump;
	struct cf_file *copy, *script;
	uint64_t len;
};

static int begin_file(struct cf_pg_database *database, const struct task *task, const char *suffix,
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

/* The script is in the encoding of the archive, which is the data's; we speak UTF-8 with the server. */
static int recode(struct cf_pg *pg, const char *encoding, struct cf_buf *text, struct cf_err *err)
{
	const char *values[] = {(const char *)text->data, encoding};
	struct cf_pg_rows *rows = NULL;
	int rc;

	if (strcmp(encoding, "UTF8") == 0 || strcmp(encoding, "SQL_ASCII") == 0)
		return 0;
	rc = cf_pg_query_binary(pg, "SELECT convert_to($1, $2)", values, 2, &rows, err);
	if (rc == 0) {
		cf_buf_clear(text);
		rc = cf_buf_append(text, cf_pg_value(rows, 0, 0), cf_pg_value_len(rows, 0, 0), err);
	}
	cf_pg_rows_free(rows);
	return rc == 0 ? cf_buf_append(text, "", 1, err) : rc;
}

/* What goes around the rows. CF_ERR_NOT_FOUND when the archive does not make the table, as that of an extension. */
static int make_script(struct cf_pg *pg, const struct cf_pg_database *database, const struct task *task,
		       struct cf_buf *before, struct cf_buf *after, struct cf_err *err)
{
	struct cf_buf copy = CF_BUF_INIT;
	int rc = 0;

	if (task->table->file) {
		rc = cf_buf_append_str(&copy, "COPY ", err);
		if (rc == 0)
			rc = append_target(pg, task->relation, &copy, err);
		if (rc == 0)
			rc = cf_buf_append(&copy, " FROM stdin;", sizeof(" FROM stdin;"), err);
		if (rc == 0)
			rc = recode(pg, database->manifest.data_encoding, &copy, err);
	}
	if (rc == 0)
		rc = cf_pg_script_table(database->script, task->relation->oid, (const char *)copy.data, before,
					after, err);
	cf_buf_release(&copy);
	return rc;
}

static int begin_script(struct cf_pg *pg, struct cf_pg_database *database, const struct task *task,
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

static int copy_rows(struct cf_pg *pg, struct cf_pg_database *database, const struct task *task,
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

static int dump_table(struct cf_pg *pg, struct cf_pg_database *database, const struct task *task,
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

/* --- several at once --- */

static int work(struct data *data, struct cf_pg *pg, struct cf_err *err)
{
	struct cf_pg_database *database = data->database;
	int rc = cf_pg_session_follow(pg, database->snapshot.id, err);

	while (rc == 0) {
		size_t i = atomic_fetch_add(&data->next, 1);

		if (i >= data->n_tasks)
			return cf_pg_exec(pg, "COMMIT", err);
		rc = data->tasks[i].relation ? dump_table(pg, database, &data->tasks[i], err)
					     : cf_pg_dump_objects(database, pg, err);
	}
	return rc;
}

/* The first error counts: those of workers that are stopped follow from it. */
static void note_failure(struct data *data, int rc, const struct cf_err *err)
{
	pthread_mutex_lock(&data->lock);
	if (data->rc == 0) {
		data->rc = rc;
		*data->err = *err;
	}
	atomic_store(&data->stop, 1);
	pthread_mutex_unlock(&data->lock);
}

static void run_worker(struct cf_job *job, unsigned number)
{
	struct data *data = ((struct worker *)job)->data;
	struct cf_pg_dump *dump = data->database->dump;
	struct cf_err err = CF_ERR_INIT;
	struct cf_pg *pg = NULL;
	int rc = cf_pg_session_open(data->database->leader, NULL, 0, &data->stop, dump->ctx, &pg, &err);

	if (rc == 0)
		rc = work(data, pg, &err);
	if (rc < 0)
		note_failure(data, rc, &err);
	cf_pg_close(pg);
}

static int run_workers(struct data *data, unsigned n, struct cf_err *err)
{
	struct worker *workers = calloc(n, sizeof(*workers));
	struct cf_pool *pool = NULL;
	int rc = workers ? cf_pool_new(n, n, &pool, err) : cf_err_nomem(err);

	for (unsigned i = 0; rc == 0 && i < n; i++) {
		workers[i] = (struct worker){.job = {.run = run_worker}, .data = data};
		cf_pool_submit(pool, &workers[i].job);
	}
	if (rc == 0) {
		cf_pool_wait(pool);
		rc = data->rc;
	}
	cf_pool_free(pool);
	free(workers);
	return rc;
}

/* --- the list --- */

static int longer_first(const void *a, const void *b)
{
	const struct task *task_a = (const struct task *)a, *task_b = (const struct task *)b;

	return (task_a->len < task_b->len) - (task_a->len > task_b->len);
}

static int make_tasks(struct data *data, struct cf_err *err)
{
	struct cf_pg_manifest *manifest = &data->database->manifest;

	data->tasks = calloc(manifest->n_tables + 1, sizeof(*data->tasks));
	if (!data->tasks)
		return cf_err_nomem(err);
	for (size_t i = 0; i < manifest->n_tables; i++) {
		struct cf_pg_table *table = &manifest->tables[i];
		struct cf_pg_relation *relation = cf_pg_catalog_find(&data->database->catalog, table->oid);

		/* Of the others the archive is all there is to keep. */
		if (table->kind == 'r')
			data->tasks[data->n_tasks++] =
				(struct task){.relation = relation, .table = table, .len = table->file ? relation->len : 0};
	}
	if (manifest->n_large_objects > 0)
		data->tasks[data->n_tasks++] = (struct task){.len = data->database->objects_len};
	qsort(data->tasks, data->n_tasks, sizeof(*data->tasks), longer_first);
	return 0;
}

static void tell_expected(struct data *data)
{
	struct cf_pg_dump *dump = data->database->dump;

	for (size_t i = 0; i < data->n_tasks; i++)
		dump->expected_bytes += data->tasks[i].len;
	dump->expected_items += data->n_tasks;
	if (dump->sink->ops->expect)
		dump->sink->ops->expect(dump->sink, dump->expected_bytes, dump->expected_items);
}

int cf_pg_dump_data(struct cf_pg_database *database, struct cf_err *err)
{
	struct data data = {.database = database, .err = err};
	struct cf_pg_dump *dump = database->dump;
	struct cf_entry entry = cf_pg_entry(dump, CF_ENTRY_DIR, "tables");
	struct cf_buf oids = CF_BUF_INIT;
	int rc = make_tasks(&data, err);

	pthread_mutex_init(&data.lock, NULL);
	if (rc == 0) {
		tell_expected(&data);
		rc = dump->sink->ops->dir_begin(dump->sink, database->dir, &entry, 0, &database->tables_dir, err);
	}
	if (rc == 0 && data.n_tasks > 0)
		rc = run_workers(&data, data.n_tasks < dump->jobs ? (unsigned)data.n_tasks : dump->jobs, err);
	if (rc == CF_ERR_BUSY && cf_pg_catalog_lock_oids(&database->catalog, &oids, NULL) == 0)
		cf_pg_session_blame(database->leader, (const char *)oids.data, err);
	if (rc == 0)
		rc = dump->sink->ops->dir_end(dump->sink, database->tables_dir, NULL, err);
	cf_buf_release(&oids);
	pthread_mutex_destroy(&data.lock);
	free(data.tasks);
	return rc;
}
