/*
 * The rows of one database. Several connections take tables from one list, the longest first, so that none is left alone with
 * a long one at the end. A table that somebody waits to lock exclusively only the leader can still read, which has it locked.
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

enum { LOOK_OUT_S = 1 };

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
	const struct cf_pg_task **refused; /* left to the leader */
	size_t n_refused, n_read;
};

struct worker {
	struct cf_job job;
	struct data *data;
};

/* --- workers --- */

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

/* Nothing of the table was stored yet. */
static int leave_to_leader(struct data *data, struct cf_pg *pg, const struct cf_pg_task *task, struct cf_err *err)
{
	int rc;

	cf_err_clear(err);
	pthread_mutex_lock(&data->lock);
	data->refused[data->n_refused++] = task;
	pthread_cond_signal(&data->ended);
	pthread_mutex_unlock(&data->lock);
	rc = cf_pg_exec(pg, "ROLLBACK", err);
	return rc == 0 ? cf_pg_session_follow(pg, data->database->snapshot.id, err) : rc;
}

static int work(struct data *data, struct cf_pg *pg, struct cf_err *err)
{
	struct cf_pg_database *database = data->database;
	int rc = cf_pg_session_follow(pg, database->snapshot.id, err);

	while (rc == 0) {
		size_t i = atomic_fetch_add(&data->next, 1);
		const struct cf_pg_task *task = &data->tasks[i];

		if (i >= data->n_tasks)
			return cf_pg_exec(pg, "COMMIT", err);
		rc = task->relation ? cf_pg_dump_table(database, pg, task, err) : cf_pg_dump_objects(database, pg, err);
		if (rc == CF_ERR_BUSY && task->relation)
			rc = leave_to_leader(data, pg, task, err);
	}
	return rc;
}

static void run_worker(struct cf_job *job, unsigned number)
{
	struct data *data = ((struct worker *)job)->data;
	struct cf_pg_dump *dump = data->database->dump;
	struct cf_err err = CF_ERR_INIT;
	struct cf_pg *pg = NULL;
	const struct cf_pg_options options = {.database = data->database->name,
					      .stop = &data->stop,
					      .encoding = data->database->manifest.text_encoding};
	/* By the connection that nobody uses now: the leader is looking out. */
	int rc = cf_pg_session_open(dump->server, &options, 0, dump->ctx, &pg, &err);

	if (rc == 0)
		rc = work(data, pg, &err);
	if (rc < 0)
		note_failure(data, rc, &err);
	cf_pg_close(pg);
	pthread_mutex_lock(&data->lock);
	data->n_running--;
	pthread_cond_signal(&data->ended);
	pthread_mutex_unlock(&data->lock);
}

/* --- the leader meanwhile --- */

/* The next table that a worker was refused, or NULL. */
static const struct cf_pg_task *next_refused(struct data *data)
{
	return data->rc == 0 && data->n_read < data->n_refused ? data->refused[data->n_read++] : NULL;
}

/* A leader that is lost is noticed here, and its locks with it. */
static int lead_on(struct data *data, const struct cf_pg_task *task, struct cf_err *err)
{
	struct cf_pg_database *database = data->database;

	return task ? cf_pg_dump_table(database, database->leader, task, err)
		    : cf_pg_exec(database->leader, "SELECT", err);
}

/* Until all workers have ended, and what they were refused is read. */
static void watch(struct data *data)
{
	const struct cf_pg_task *task;

	pthread_mutex_lock(&data->lock);
	while ((task = next_refused(data)) || data->n_running > 0) {
		struct cf_err err = CF_ERR_INIT;
		struct timespec until;
		int rc;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += LOOK_OUT_S;
		if (!task && (pthread_cond_timedwait(&data->ended, &data->lock, &until) == 0 || data->rc < 0))
			continue;
		pthread_mutex_unlock(&data->lock);
		rc = lead_on(data, task, &err);
		if (rc < 0)
			note_failure(data, rc, &err);
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
	data->refused = calloc(manifest->n_tables + 1, sizeof(*data->refused));
	if (!data->tasks || !data->refused)
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
	free(data->refused);
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
	if (rc == 0)
		rc = dump->sink->ops->dir_end(dump->sink, database->tables_dir, NULL, err);
	release_data(&data);
	return rc;
}
