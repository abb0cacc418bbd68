/*
 * Rows by several sessions at once. The largest table goes first; a session takes the next part of
 * the first table that may have one more session, and whoever brings in a table's last part makes
 * its keys. Each part is a transaction: the server's undo and binary log caches stay small.
 */

#include "base/err.h"
#include "base/pool.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/ddl.h"
#include "drivers/mysql/load.h"
#include "drivers/mysql/row_reader.h"
#include "drivers/mysql/sql.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum {
	PART_LEN = 16 << 20,
	JOBS_MAX = 64,
	POLL_NS = 50 * 1000 * 1000,
	PROGRESS_NS = 250 * 1000 * 1000
};

struct run {
	struct cf_mysql_load *load;
	struct cf_ctx ctx; /* the caller's, but canceled also when a session failed */
	atomic_int cancel;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned n_running;
	struct cf_err err; /* the first failure */
	uint64_t bytes_done, bytes_total;
	int64_t reported_ns;
};

struct worker {
	struct cf_job job;
	struct run *run;
	struct cf_mysql *my;
	size_t target; /* the session's database; SIZE_MAX: none */
};

static uint64_t data_end(const struct cf_mysql_load_table *table)
{
	return table->from->data_off + table->from->data_len;
}

static uint64_t part_end(const struct cf_mysql_load_table *table)
{
	uint64_t end = data_end(table), left = end - table->next_off;

	return left > PART_LEN && cf_mysql_row_reader_cuts(table->from) ? table->next_off + PART_LEN
									: end;
}

static bool has_rows_left(const struct cf_mysql_load_table *table)
{
	return table->path && !table->is_left_out && table->next_off < data_end(table);
}

static void note_failure(struct run *run, const struct cf_err *err)
{
	pthread_mutex_lock(&run->mutex);
	if (run->err.code == 0)
		run->err = *err;
	atomic_store(&run->cancel, 1);
	pthread_cond_broadcast(&run->changed);
	pthread_mutex_unlock(&run->mutex);
}

/* The next part; waits while only tables are left that others must finish alone. False: nothing is
 * left. */
static bool take_part(struct run *run, struct cf_mysql_load_part *part)
{
	struct cf_mysql_load *load = run->load;
	bool taken = false, is_more = true;

	pthread_mutex_lock(&run->mutex);
	while (!taken && is_more && !atomic_load(&run->cancel)) {
		is_more = false;
		for (size_t i = 0; !taken && i < load->n_tables; i++) {
			struct cf_mysql_load_table *table = &load->tables[i];

			if (!has_rows_left(table))
				continue;
			is_more = true;
			if (table->n_active >= table->max_active)
				continue;
			part->table = table;
			part->from = table->next_off;
			part->to = part_end(table);
			table->next_off = part->to;
			table->n_active++;
			taken = true;
		}
		if (!taken && is_more)
			pthread_cond_wait(&run->changed, &run->mutex);
	}
	pthread_mutex_unlock(&run->mutex);
	return taken;
}

/* True when all rows of the table are in. */
static bool finish_part(struct run *run, const struct cf_mysql_load_part *part, uint64_t rows)
{
	struct cf_mysql_load_table *table = part->table;
	bool is_last;

	pthread_mutex_lock(&run->mutex);
	table->rows_done += rows;
	table->n_active--;
	run->bytes_done += part->to - part->from;
	is_last = table->n_active == 0 && !has_rows_left(table);
	pthread_cond_broadcast(&run->changed);
	pthread_mutex_unlock(&run->mutex);
	return is_last;
}

static int use_target(struct worker *worker, size_t target, struct cf_err *err)
{
	int rc;

	if (worker->target == target)
		return 0;
	rc = cf_mysql_load_use(worker->run->load, worker->my, target, err);
	worker->target = rc == 0 ? target : SIZE_MAX;
	return rc;
}

static int make_keys(struct worker *worker, struct cf_mysql_load_table *table, struct cf_err *err)
{
	if (table->rows_done != table->from->rows)
		return cf_err_set(err, CF_ERR_DAMAGED,
				  "%s has %llu rows in the snapshot, where there should be %llu",
				  table->label, (unsigned long long)table->rows_done,
				  (unsigned long long)table->from->rows);
	if (table->keys.len > 0) {
		int rc = cf_mysql_run_span(worker->my, cf_buf_span(&table->keys), err);

		if (rc < 0) {
			cf_err_wrap(err, "indexes of %s", table->label);
			return rc;
		}
	}
	pthread_mutex_lock(&worker->run->mutex);
	table->is_done = true;
	pthread_mutex_unlock(&worker->run->mutex);
	return 0;
}

static int connect(struct worker *worker, struct cf_err *err)
{
	cf_mysql_close(worker->my);
	worker->my = NULL;
	worker->target = SIZE_MAX;
	return cf_mysql_load_connect(worker->run->load, &worker->run->ctx, &worker->my, err);
}

/* No half of a table looks like all of it. */
static int empty_table(struct worker *worker, const struct cf_mysql_load_table *table,
		       struct cf_err *err)
{
	int rc = use_target(worker, table->target, err);

	if (rc == 0)
		rc = cf_mysql_do(worker->my, err, "TRUNCATE TABLE %n", table->name);
	if (rc < 0)
		cf_err_wrap(err, "%s holds a part of its rows, and is not emptied", table->label);
	return cf_mysql_load_forgive(worker->run->load, worker->my, table->label, rc, err);
}

/* What the data or the server says of a table's rows; the session was ended with them. */
static int forgive_rows(struct worker *worker, struct cf_mysql_load_table *table, int rc,
			struct cf_err *err)
{
	const struct cf_mysql_load *load = worker->run->load;
	bool is_of_rows = load->options->keep_going && rc == CF_ERR_DAMAGED;

	if (!is_of_rows && !cf_mysql_load_forgives(load, worker->my, rc))
		return rc;
	pthread_mutex_lock(&worker->run->mutex);
	if (!table->is_left_out)
		cf_ctx_warn(load->ctx, "restore.failed", table->label, "rows left out: %s",
			    err->text);
	table->is_left_out = true;
	pthread_mutex_unlock(&worker->run->mutex);
	cf_err_clear(err);
	return connect(worker, err);
}

static int end_table(struct worker *worker, struct cf_mysql_load_table *table, struct cf_err *err)
{
	int rc;

	if (table->is_left_out)
		return empty_table(worker, table, err);
	rc = make_keys(worker, table, err);
	return cf_mysql_load_forgive(worker->run->load, worker->my, table->label, rc, err);
}

static int load_part(struct worker *worker, const struct cf_mysql_load_part *part,
		     struct cf_err *err)
{
	struct run *run = worker->run;
	uint64_t rows = 0;
	bool is_last;
	int rc = use_target(worker, part->table->target, err);

	if (rc == 0)
		rc = cf_mysql_load_rows(run->load, worker->my, part, &run->ctx, &rows, err);
	if (rc < 0) {
		cf_err_wrap(err, "%s", part->table->label);
		rc = forgive_rows(worker, part->table, rc, err);
	}
	is_last = finish_part(run, part, rows);
	return rc == 0 && is_last ? end_table(worker, part->table, err) : rc;
}

static void run_worker(struct cf_job *job, unsigned index)
{
	struct worker *worker = (struct worker *)job;
	struct run *run = worker->run;
	struct cf_err err = CF_ERR_INIT;
	struct cf_mysql_load_part part;
	int rc = connect(worker, &err);

	while (rc == 0 && take_part(run, &part))
		rc = load_part(worker, &part, &err);
	cf_mysql_close(worker->my);
	if (rc < 0)
		note_failure(run, &err);
	pthread_mutex_lock(&run->mutex);
	run->n_running--;
	pthread_cond_broadcast(&run->changed);
	pthread_mutex_unlock(&run->mutex);
}

static void report(struct run *run)
{
	struct cf_progress progress = {.bytes_done = run->bytes_done,
				       .bytes_total = run->bytes_total};
	int64_t now = cf_ctx_now_ns(run->load->ctx);

	if (now - run->reported_ns < PROGRESS_NS)
		return;
	run->reported_ns = now;
	for (size_t i = 0; i < run->load->n_tables; i++)
		progress.items_done += run->load->tables[i].is_done;
	progress.items_total = run->load->n_tables;
	cf_ctx_progress(run->load->ctx, "restore.progress", &progress);
}

/* Until the sessions are done; passes on that the caller wants to stop. */
static void watch(struct run *run)
{
	pthread_mutex_lock(&run->mutex);
	while (run->n_running > 0) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += POLL_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&run->changed, &run->mutex, &until);
		if (run->err.code == 0 && cf_ctx_check(run->load->ctx, &run->err) < 0) {
			atomic_store(&run->cancel, 1);
			pthread_cond_broadcast(&run->changed);
		}
		report(run);
	}
	pthread_mutex_unlock(&run->mutex);
}

/* Without a primary key rows lie in the order in which they came, and what is verified is to be in
 * that of the snapshot. */
static bool keeps_order(const struct cf_mysql_load *load, const struct cf_mysql_load_table *table)
{
	struct cf_mysql_create_table parsed;
	bool has_key;

	if (!load->is_trial)
		return false;
	if (cf_mysql_create_table_parse(table->from->create, &parsed, NULL) < 0)
		return true;
	has_key = cf_mysql_create_table_has_primary_key(&parsed);
	cf_mysql_create_table_release(&parsed);
	return !has_key;
}

/* Several sessions may fill one table where rows have their own locks, and numbers are not given
 * out under one. */
static unsigned sessions_of(const struct cf_mysql_load *load,
			    const struct cf_mysql_load_table *table)
{
	bool locks =
		load->increments_lock && strcasestr(table->from->create, "AUTO_INCREMENT") != NULL;
	bool is_innodb = table->from->engine && !strcasecmp(table->from->engine, "InnoDB");

	return is_innodb && !locks && !keeps_order(load, table) ? JOBS_MAX : 1;
}

/* Parts of the largest table decide how many sessions can be of use. */
static unsigned count_jobs(const struct cf_mysql_load *load, uint64_t *bytes_out)
{
	unsigned jobs =
		load->options->jobs ? load->options->jobs : (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t n_parts = 0;

	*bytes_out = 0;
	for (size_t i = 0; i < load->n_tables; i++) {
		struct cf_mysql_load_table *table = &load->tables[i];

		table->max_active = sessions_of(load, table);
		if (!table->path)
			continue;
		*bytes_out += table->from->data_len;
		n_parts += table->max_active == 1
				   ? 1
				   : (table->from->data_len + PART_LEN - 1) / PART_LEN;
	}
	if (jobs > n_parts)
		jobs = (unsigned)n_parts;
	return jobs > JOBS_MAX ? JOBS_MAX : jobs;
}

static int run_jobs(struct run *run, unsigned jobs, struct cf_err *err)
{
	struct worker *workers = calloc(jobs, sizeof(*workers));
	struct cf_pool *pool = NULL;
	int rc = workers ? cf_pool_new(jobs, jobs, &pool, err) : cf_err_nomem(err);

	if (rc == 0) {
		run->n_running = jobs;
		for (unsigned i = 0; i < jobs; i++) {
			workers[i] = (struct worker){.run = run};
			workers[i].job.run = run_worker;
			cf_pool_submit(pool, &workers[i].job);
		}
		watch(run);
		cf_pool_free(pool);
		if (run->err.code < 0)
			rc = cf_err_set(err, run->err.code, "%s", run->err.text);
	}
	free(workers);
	return rc;
}

int cf_mysql_load_run(struct cf_mysql_load *load, struct cf_err *err)
{
	struct run run = {.load = load, .ctx = *load->ctx, .err = CF_ERR_INIT};
	unsigned jobs = count_jobs(load, &run.bytes_total);
	int rc;

	if (jobs == 0)
		return 0;
	run.ctx.cancel = &run.cancel;
	pthread_mutex_init(&run.mutex, NULL);
	pthread_cond_init(&run.changed, NULL);
	rc = run_jobs(&run, jobs, err);
	pthread_cond_destroy(&run.changed);
	pthread_mutex_destroy(&run.mutex);
	return rc;
}
