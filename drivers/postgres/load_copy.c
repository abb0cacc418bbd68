/*
 * Rows, straight from the snapshot into COPY.
 *
 * The largest tables start first, so that no connection is left alone with one at the end. A table
 * that this restore made is emptied in the transaction that fills it: the server may then write its
 * rows as already frozen, which saves a later VACUUM from writing them once more, and with
 * wal_level=minimal writes no log for them. Not so a partition whose rows may belong elsewhere now:
 * they are given to the table at the top (drivers/postgres/roots.h), beside what others put there.
 */

#include "base/err.h"
#include "base/pool.h"
#include "base/tree.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PROGRESS_NS    200000000
#define NAME_SHOWN_MAX 256

int cf_pg_load_configure(struct cf_pg_load *load, struct cf_pg *pg, struct cf_err *err)
{
	static const struct cf_pg_setting settings[] = {
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"transaction_timeout", "0"},
		{"synchronous_commit", "off"},
		{"check_function_bodies", "off"},
		{"standard_conforming_strings", "on"},
		/* What a role or a database may have set otherwise, and what texts are read by. */
		{"array_nulls", "on"},
		{"transform_null_equals", "off"},
		{"datestyle", "ISO"},
		{"intervalstyle", "postgres"},
		{"default_transaction_read_only", "off"},
		{"xmloption", "content"},
		{"row_security", "off"},
		{"client_min_messages", "warning"},
	};

	return cf_pg_configure(pg, settings, sizeof(settings) / sizeof(settings[0]), err);
}

struct feed {
	struct cf_pg_load *load;
	struct cf_pg *pg;
	uint64_t bytes;
	bool refused; /* by the server, which says at the end why */
};

static void report_progress(struct cf_pg_load *load, bool last)
{
	struct cf_progress progress = {.bytes_done = load->bytes_loaded,
				       .bytes_total = load->bytes,
				       .items_done = load->n_loaded,
				       .items_total = load->n_tables};
	uint_least64_t seen = load->reported_ns;
	struct timespec now;
	uint64_t now_ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	if (last || (now_ns - seen > PROGRESS_NS &&
		     atomic_compare_exchange_strong(&load->reported_ns, &seen, now_ns)))
		cf_ctx_progress(load->ctx, "restore.progress", &progress);
}

static int feed_piece(void *user, struct cf_span data, struct cf_err *err)
{
	struct feed *feed = user;
	int rc = cf_pg_copy_in_put(feed->pg, data, err);

	feed->refused = rc < 0;
	feed->bytes += data.len;
	atomic_fetch_add(&feed->load->bytes_loaded, data.len);
	report_progress(feed->load, false);
	return rc;
}

static int copy_statement(struct cf_pg_load *load, const struct cf_pg_load_table *table,
			  struct cf_buf *sql, struct cf_err *err)
{
	const struct cf_pg_root *root = table->root;
	const struct cf_pg_table *from = table->table;
	int rc = cf_buf_append_str(sql, "COPY ", err);

	if (rc == 0)
		rc = cf_sql_append_qualified(root ? root->root_schema : table->schema,
					     root ? root->root_name : table->name, sql, err);
	for (size_t i = 0; rc == 0 && i < from->n_columns; i++) {
		rc = cf_buf_append_str(sql, i ? ", " : " (", err);
		if (rc == 0)
			rc = cf_sql_append_name(from->columns[i], sql, err);
	}
	if (rc == 0)
		rc = cf_buf_append_str(sql,
				       from->n_columns ? ") FROM STDIN WITH (ENCODING "
						       : " FROM STDIN WITH (ENCODING ",
				       err);
	if (rc == 0)
		rc = cf_sql_append_literal(load->manifest->data_encoding, sql, err);
	return rc < 0 ? rc
		      : cf_buf_printf(sql, err, "%s)%c", table->is_new && !root ? ", FREEZE" : "",
				      0);
}

static int check_rows(const struct cf_pg_table *from, uint64_t rows, uint64_t bytes,
		      struct cf_err *err)
{
	if (bytes != from->bytes)
		return cf_err_set(err, CF_ERR_DAMAGED,
				  "the snapshot has %llu bytes of data and should have %llu",
				  (unsigned long long)bytes, (unsigned long long)from->bytes);
	if (rows != from->rows)
		return cf_err_set(err, CF_ERR_FAILED, "the server took %llu rows of %llu",
				  (unsigned long long)rows, (unsigned long long)from->rows);
	return 0;
}

/* The COPY that a begun one ends in, well or not. */
static int feed_file(struct feed *feed, const char *path, uint64_t *rows_out, struct cf_err *err)
{
	struct cf_tree *tree = feed->load->tree;
	struct cf_err late = CF_ERR_INIT;
	int rc = tree->ops->read(tree, path, 0, UINT64_MAX, feed_piece, feed, err);

	if (rc == 0)
		return cf_pg_copy_in_end(feed->pg, NULL, rows_out, err);
	if (rc == CF_ERR_CANCELED)
		return rc;
	if (!feed->refused) {
		cf_pg_copy_in_end(feed->pg, "the snapshot cannot be read", rows_out, NULL);
	} else if (cf_pg_copy_in_end(feed->pg, NULL, rows_out, &late) < 0 && err) {
		rc = late.code;
		*err = late;
	}
	return rc;
}

static int copy_rows(struct cf_pg_load *load, struct cf_pg *pg,
		     const struct cf_pg_load_table *table, struct cf_err *err)
{
	struct feed feed = {.load = load, .pg = pg};
	struct cf_buf text = CF_BUF_INIT;
	uint64_t rows = 0;
	int rc = copy_statement(load, table, &text, err);

	if (rc == 0)
		rc = cf_pg_copy_in_begin(pg, (const char *)text.data, err);
	cf_buf_clear(&text);
	if (rc == 0)
		rc = cf_buf_printf(&text, err, "%s%s%c", load->folder, table->table->file, 0);
	if (rc == 0)
		rc = feed_file(&feed, (const char *)text.data, &rows, err);
	if (rc == 0)
		rc = check_rows(table->table, rows, feed.bytes, err);
	if (rc == 0) {
		atomic_fetch_add(&load->rows_loaded, rows);
		atomic_fetch_add(&load->n_loaded, 1);
	}
	cf_buf_release(&text);
	return rc;
}

/* FREEZE is for tables that were made or emptied within the same transaction or savepoint. */
static int prepare_rows(struct cf_pg_load *load, struct cf_pg *pg,
			const struct cf_pg_load_table *table, struct cf_err *err)
{
	bool made_here = load->single && !load->options->keep_going;
	struct cf_buf sql = CF_BUF_INIT;
	int rc;

	if (!table->is_new || made_here || table->root)
		return 0;
	rc = cf_buf_append_str(&sql, "TRUNCATE ONLY ", err);
	if (rc == 0)
		rc = cf_sql_append_qualified(table->schema, table->name, &sql, err);
	if (rc == 0)
		rc = cf_buf_append(&sql, "", 1, err);
	if (rc == 0)
		rc = cf_pg_exec(pg, (const char *)sql.data, err);
	cf_buf_release(&sql);
	return rc;
}

static int fill_table(struct cf_pg_load *load, struct cf_pg *pg,
		      const struct cf_pg_load_table *table, struct cf_err *err)
{
	int rc = cf_ctx_check(load->ctx, err);

	if (rc < 0)
		return rc;
	cf_pg_load_step(load, table->table->bytes, "load", "table %s.%s", table->schema,
			table->name);
	rc = prepare_rows(load, pg, table, err);
	if (rc == 0)
		rc = copy_rows(load, pg, table, err);
	if (rc < 0 && rc != CF_ERR_CANCELED)
		cf_err_wrap(err, "table %s.%s", table->schema, table->name);
	return rc;
}

/*
 * What has to be loaded in one transaction with the table at index: by way of a root whose triggers
 * are silenced, which locks all of its partitions. Several transactions would wait for each other.
 */
static bool goes_with(const struct cf_pg_load *load, size_t index, size_t other)
{
	const struct cf_pg_root *a = load->tables[index].root, *b = load->tables[other].root;

	if (index == other)
		return true;
	return a && b && !cf_pg_load_wants_schema(load) &&
	       strcmp(a->root_schema, b->root_schema) == 0 &&
	       strcmp(a->root_name, b->root_name) == 0;
}

static bool is_first(const struct cf_pg_load *load, size_t index)
{
	size_t first = 0;

	while (load->tables[index].root && first < index && !goes_with(load, first, index))
		first++;
	return !load->tables[index].root || first == index;
}

/* The first of those that go together, and the others. */
static int fill_tables(struct cf_pg_load *load, struct cf_pg *pg, size_t first, struct cf_err *err)
{
	const struct cf_pg_load_table *table = &load->tables[first];
	struct cf_pg_silence silence = {0};
	int rc = cf_pg_load_silence(load, pg, table, &silence, err);

	for (size_t i = first; rc == 0 && i < load->n_tables; i++)
		if (goes_with(load, first, i))
			rc = fill_table(load, pg, &load->tables[i], err);
	if (rc == 0) {
		rc = cf_pg_load_end_silence(pg, &silence, err);
		if (rc < 0 && rc != CF_ERR_CANCELED)
			cf_err_wrap(err, "table %s.%s", table->schema, table->name);
	}
	cf_pg_silence_release(&silence);
	return rc;
}

static int commit_tables(struct cf_pg_load *load, struct cf_pg *pg, size_t first, struct cf_err *err)
{
	int rc = cf_pg_exec(pg, "COMMIT", err);

	if (rc < 0 && rc != CF_ERR_CANCELED)
		cf_err_wrap(err, "table %s.%s", load->tables[first].schema,
			    load->tables[first].name);
	return rc;
}

/* All that went with it, too, is left without rows. */
static void tell_empty(struct cf_pg_load *load, size_t first, const char *text)
{
	for (size_t i = first; i < load->n_tables; i++) {
		char name[NAME_SHOWN_MAX];

		if (!goes_with(load, first, i))
			continue;
		snprintf(name, sizeof(name), "rows of table %s.%s", load->tables[i].schema,
			 load->tables[i].name);
		cf_pg_load_tell_failed(load, name, text);
	}
}

static int load_tables(struct cf_pg_load *load, struct cf_pg *pg, size_t first, struct cf_err *err)
{
	bool keep_going = load->options->keep_going;
	const char *begin = !load->single ? "BEGIN" : keep_going ? "SAVEPOINT step" : "";
	int rc = cf_pg_exec(pg, begin, err);

	if (rc < 0)
		return rc;
	rc = fill_tables(load, pg, first, err);
	if (rc == 0 && !load->single)
		rc = commit_tables(load, pg, first, err);
	if (rc == 0 || !cf_pg_load_forgives(load, pg, rc))
		return rc;
	tell_empty(load, first, err ? err->text : "");
	cf_err_clear(err);
	return cf_pg_exec(pg, load->single ? "ROLLBACK TO SAVEPOINT step" : "ROLLBACK", err);
}

/* --- several connections --- */

struct crew {
	struct cf_pg_load *load;
	struct cf_pg **sessions; /* one for each worker */
	unsigned n_sessions;
	atomic_int stop;
	atomic_flag failed; /* whose error is told */
	struct cf_err *err;
	int rc;
};

struct table_job {
	struct cf_job job;
	struct crew *crew;
	size_t table;
};

static void run_table(struct cf_job *job, unsigned worker)
{
	struct table_job *table = (struct table_job *)job;
	struct crew *crew = table->crew;
	struct cf_err err = CF_ERR_INIT;
	int rc;

	if (crew->stop)
		return;
	rc = load_tables(crew->load, crew->sessions[worker], table->table, &err);
	if (rc == 0)
		return;
	if (!atomic_flag_test_and_set(&crew->failed)) {
		crew->rc = rc;
		if (crew->err)
			*crew->err = err;
	}
	crew->stop = 1;
}

static int open_sessions(struct crew *crew, struct cf_err *err)
{
	struct cf_pg_options options = {.application = "coffer restore", .stop = &crew->stop};
	unsigned n = crew->load->options->jobs;
	int rc = 0;

	if (n > crew->load->n_tables)
		n = (unsigned)crew->load->n_tables;
	crew->sessions = calloc(n + 1, sizeof(struct cf_pg *));
	if (!crew->sessions)
		return cf_err_nomem(err);
	for (; rc == 0 && crew->n_sessions < n; crew->n_sessions++) {
		struct cf_pg **session = &crew->sessions[crew->n_sessions];

		rc = cf_pg_connect_again(crew->load->pg, &options, crew->load->ctx, session, err);
		if (rc < 0)
			return rc;
		rc = cf_pg_load_configure(crew->load, *session, err);
		if (rc == 0)
			rc = cf_pg_load_silence_session(crew->load, *session, err);
	}
	return rc;
}

static int run_crew(struct crew *crew, struct cf_err *err)
{
	struct table_job *jobs = calloc(crew->load->n_tables, sizeof(*jobs));
	struct cf_pool *pool = NULL;
	int rc = jobs ? cf_pool_new(crew->n_sessions, crew->n_sessions, &pool, err)
		      : cf_err_nomem(err);

	for (size_t i = 0; rc == 0 && i < crew->load->n_tables; i++) {
		if (!is_first(crew->load, i))
			continue;
		jobs[i] = (struct table_job){
			.job = {.run = run_table}, .crew = crew, .table = i};
		cf_pool_submit(pool, &jobs[i].job);
	}
	cf_pool_free(pool);
	free(jobs);
	return rc < 0 ? rc : crew->rc;
}

static int load_parallel(struct cf_pg_load *load, struct cf_err *err)
{
	struct crew crew = {.load = load, .err = err, .failed = ATOMIC_FLAG_INIT};
	int rc = open_sessions(&crew, err);

	if (rc == 0)
		rc = run_crew(&crew, err);
	for (unsigned i = 0; i <= crew.n_sessions && crew.sessions; i++)
		cf_pg_close(crew.sessions[i]);
	free(crew.sessions);
	return rc;
}

static int load_in_turn(struct cf_pg_load *load, struct cf_err *err)
{
	int rc = cf_pg_load_silence_session(load, load->pg, err);

	for (size_t i = 0; rc == 0 && i < load->n_tables; i++)
		if (is_first(load, i))
			rc = load_tables(load, load->pg, i, err);
	return rc;
}

static int read_roots(struct cf_pg_load *load, struct cf_err *err)
{
	const char *encoding = cf_pg_parameter(load->pg, "server_encoding");
	bool other = !encoding || strcmp(encoding, load->manifest->encoding) != 0;

	int rc = cf_pg_roots_read(load->pg, other, &load->roots, err);

	for (size_t i = 0; rc == 0 && i < load->n_tables; i++)
		load->tables[i].root = cf_pg_roots_find(&load->roots, load->tables[i].schema,
							load->tables[i].name);
	return rc;
}

int cf_pg_load_rows(struct cf_pg_load *load, struct cf_err *err)
{
	int rc;

	if (load->n_tables == 0)
		return 0;
	rc = read_roots(load, err);
	if (rc < 0)
		return rc;
	rc = load->single ? load_in_turn(load, err) : load_parallel(load, err);
	report_progress(load, true);
	for (size_t i = 0; rc == 0 && i < load->n_tables; i++)
		if (is_first(load, i))
			rc = cf_pg_load_check_keys(load, &load->tables[i], err);
	return rc;
}
