/*
 * The rows of one database. Several connections take tables from one list, the longest first, so that none is left alone with
 * a long one at the end; meanwhile the leader looks out for who wants to lock a table that is still to come.
 */

#include "base/ctx.h"
#include "base/err.h"
#include "base/pool.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/dump.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	LOOK_OUT_S = 1,
	PATIENCE = 3 /* times that the same one is seen waiting: it may give up by itself */
};

struct data {
	struct cf_pg_database *database;
	struct cf_pg_task *tasks; /* the longest first */
	size_t n_tasks;
	atomic_size_t next; /* tasks before this one are begun */
	atomic_int stop;    /* one has failed: the others give up */
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t ended;
	unsigned n_running;
	struct cf_err *err;
	int rc;
	uint32_t busy_oid; /* of the table whose lock was refused */
	/* Only the leader's: who waits for which lock, and how often it was seen to. */
	uint64_t waiter;
	unsigned n_seen;
};

struct worker {
	struct cf_job job;
	struct data *data;
};

/* --- workers --- */

/* The first error counts: those of workers that are stopped follow from it. */
static void note_failure(struct data *data, int rc, const struct cf_err *err, const struct cf_pg_task *task)
{
	pthread_mutex_lock(&data->lock);
	if (data->rc == 0) {
		data->rc = rc;
		*data->err = *err;
		if (rc == CF_ERR_BUSY && task && task->relation)
			data->busy_oid = task->relation->oid;
	}
	atomic_store(&data->stop, 1);
	pthread_mutex_unlock(&data->lock);
}

/* *task_out: the last one begun. */
static int work(struct data *data, struct cf_pg *pg, const struct cf_pg_task **task_out, struct cf_err *err)
{
	struct cf_pg_database *database = data->database;
	int rc = cf_pg_session_follow(pg, database->snapshot.id, err);

	while (rc == 0) {
		size_t i = atomic_fetch_add(&data->next, 1);

		if (i >= data->n_tasks)
			return cf_pg_exec(pg, "COMMIT", err);
		*task_out = &data->tasks[i];
		rc = data->tasks[i].relation ? cf_pg_dump_table(database, pg, &data->tasks[i], err)
					     : cf_pg_dump_objects(database, pg, err);
	}
	return rc;
}

static void run_worker(struct cf_job *job, unsigned number)
{
	struct data *data = ((struct worker *)job)->data;
	struct cf_pg_dump *dump = data->database->dump;
	const struct cf_pg_task *task = NULL;
	struct cf_err err = CF_ERR_INIT;
	struct cf_pg *pg = NULL;
	/* By the connection that nobody uses now: the leader is looking out. */
	int rc = cf_pg_session_open(dump->server, data->database->name, 0, &data->stop, dump->ctx, &pg, &err);

	if (rc == 0)
		rc = work(data, pg, &task, &err);
	if (rc < 0)
		note_failure(data, rc, &err, task);
	cf_pg_close(pg);
	pthread_mutex_lock(&data->lock);
	data->n_running--;
	pthread_cond_signal(&data->ended);
	pthread_mutex_unlock(&data->lock);
}

/* --- the leader meanwhile --- */

static bool is_to_come(struct data *data, uint32_t oid)
{
	for (size_t i = atomic_load(&data->next); i < data->n_tasks; i++)
		if (data->tasks[i].relation && data->tasks[i].relation->oid == oid)
			return true;
	return false;
}

/* Somebody has waited to lock a table that is still to be read: the dump would fail there, and until then both would wait. */
static int refuse_waiter(struct data *data, uint32_t oid, struct cf_err *err)
{
	data->busy_oid = oid;
	return cf_err_set(err, CF_ERR_BUSY, "it could not be read any more");
}

static int look_out(struct data *data, struct cf_err *err)
{
	static const char sql[] = "SELECT relation, pid FROM pg_locks WHERE locktype = 'relation' AND NOT granted"
				  " AND mode = 'AccessExclusiveLock' AND database ="
				  " (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY pid";
	struct cf_pg_rows *rows = NULL;
	uint64_t waiter = 0;
	uint32_t waiter_oid = 0;
	int rc = cf_pg_query(data->database->leader, sql, NULL, 0, &rows, err);

	for (size_t i = 0; rc == 0 && i < cf_pg_rows_count(rows); i++) {
		uint64_t pid = cf_pg_value_number(rows, i, 1);
		uint32_t oid = (uint32_t)cf_pg_value_number(rows, i, 0);

		if (is_to_come(data, oid) && (waiter == 0 || pid == data->waiter)) {
			waiter = pid;
			waiter_oid = oid;
		}
	}
	cf_pg_rows_free(rows);
	data->n_seen = waiter && waiter == data->waiter ? data->n_seen + 1 : 1;
	data->waiter = waiter;
	return rc == 0 && waiter && data->n_seen >= PATIENCE ? refuse_waiter(data, waiter_oid, err) : rc;
}

/* Until all workers have ended. A leader that is lost is noticed here, too, and its locks with it. */
static void watch(struct data *data)
{
	pthread_mutex_lock(&data->lock);
	while (data->n_running > 0) {
		struct cf_err err = CF_ERR_INIT;
		struct timespec until;
		int rc;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += LOOK_OUT_S;
		if (pthread_cond_timedwait(&data->ended, &data->lock, &until) == 0 || data->rc < 0)
			continue;
		pthread_mutex_unlock(&data->lock);
		rc = look_out(data, &err);
		if (rc < 0)
			note_failure(data, rc, &err, NULL);
		pthread_mutex_lock(&data->lock);
	}
	pthread_mutex_unlock(&data->lock);
}

static int run_workers(struct data *data, unsigned n, struct cf_err *err)
{
	struct worker *workers = calloc(n, sizeof(*workers));
	struct cf_pool *pool = NULL;
	int rc = workers ? cf_pool_new(n, n, &pool, err) : cf_err_nomem(err);

	for (unsigned i = 0; rc == 0 && i < n; i++) {
		pthread_mutex_lock(&data->lock);
		data->n_running++;
		pthread_mutex_unlock(&data->lock);
		workers[i] = (struct worker){.job = {.run = run_worker}, .data = data};
		cf_pool_submit(pool, &workers[i].job);
	}
	if (rc == 0) {
		watch(data);
		rc = data->rc;
	}
	cf_pool_free(pool);
	free(workers);
	return rc;
}

/* --- the list --- */

static int longer_first(const void *a, const void *b)
{
	const struct cf_pg_task *task_a = (const struct cf_pg_task *)a, *task_b = (const struct cf_pg_task *)b;

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
				(struct cf_pg_task){.relation = relation, .table = table, .len = table->file ? relation->len : 0};
	}
	if (manifest->n_large_objects > 0)
		data->tasks[data->n_tasks++] = (struct cf_pg_task){.len = data->database->objects_len};
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

static void init_data(struct data *data)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&data->ended, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&data->lock, NULL);
}

static void release_data(struct data *data)
{
	pthread_cond_destroy(&data->ended);
	pthread_mutex_destroy(&data->lock);
	free(data->tasks);
}

static void blame(struct data *data, struct cf_err *err)
{
	char oids[16];

	snprintf(oids, sizeof(oids), "{%u}", data->busy_oid);
	cf_pg_session_blame(data->database->leader, oids, err);
}

int cf_pg_dump_data(struct cf_pg_database *database, struct cf_err *err)
{
	struct data data = {.database = database, .err = err};
	struct cf_pg_dump *dump = database->dump;
	struct cf_entry entry = cf_pg_entry(dump, CF_ENTRY_DIR, "tables");
	int rc = make_tasks(&data, err);

	init_data(&data);
	if (rc == 0) {
		tell_expected(&data);
		rc = dump->sink->ops->dir_begin(dump->sink, database->dir, &entry, 0, &database->tables_dir, err);
	}
	if (rc == 0 && data.n_tasks > 0)
		rc = run_workers(&data, data.n_tasks < dump->jobs ? (unsigned)data.n_tasks : dump->jobs, err);
	if (rc == CF_ERR_BUSY)
		blame(&data, err);
	if (rc == 0)
		rc = dump->sink->ops->dir_end(dump->sink, database->tables_dir, NULL, err);
	release_data(&data);
	return rc;
}
