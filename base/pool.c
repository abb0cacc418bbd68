#include "base/pool.h"

#include "base/err.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

struct worker {
	struct cf_pool *pool;
	unsigned number;
	pthread_t thread;
};

struct cf_pool {
	pthread_mutex_t lock;
	pthread_cond_t job_ready;  /* a job was queued, or the end was asked for */
	pthread_cond_t room_ready; /* the queue shrank */
	pthread_cond_t idle;       /* nothing is queued or running */
	struct cf_job *first, **last;
	unsigned n_queued, max_queued, n_running;
	bool ending;
	unsigned n_threads;
	struct worker workers[];
};

static struct cf_job *take_job(struct cf_pool *pool)
{
	struct cf_job *job;

	while (!pool->first && !pool->ending)
		pthread_cond_wait(&pool->job_ready, &pool->lock);
	job = pool->first;
	if (!job)
		return NULL;
	pool->first = job->next;
	if (!pool->first)
		pool->last = &pool->first;
	pool->n_queued--;
	pool->n_running++;
	pthread_cond_signal(&pool->room_ready);
	return job;
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct cf_pool *pool = worker->pool;
	struct cf_job *job;

	pthread_mutex_lock(&pool->lock);
	while ((job = take_job(pool))) {
		pthread_mutex_unlock(&pool->lock);
		job->run(job, worker->number);
		pthread_mutex_lock(&pool->lock);
		pool->n_running--;
		if (!pool->first && pool->n_running == 0)
			pthread_cond_broadcast(&pool->idle);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

static unsigned available_processors(void)
{
	cpu_set_t set;
	int n;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	n = CPU_COUNT(&set);
	return n > 0 ? (unsigned)n : 1;
}

int cf_pool_new(unsigned n_threads, unsigned max_queued, struct cf_pool **pool_out, struct cf_err *err)
{
	struct cf_pool *pool;

	if (n_threads == 0)
		n_threads = available_processors();
	pool = calloc(1, sizeof(*pool) + n_threads * sizeof(pool->workers[0]));
	if (!pool)
		return cf_err_nomem(err);
	pool->last = &pool->first;
	pool->max_queued = max_queued ? max_queued : 1;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->job_ready, NULL);
	pthread_cond_init(&pool->room_ready, NULL);
	pthread_cond_init(&pool->idle, NULL);
	for (; pool->n_threads < n_threads; pool->n_threads++) {
		struct worker *worker = &pool->workers[pool->n_threads];
		int rc;

		worker->pool = pool;
		worker->number = pool->n_threads;
		rc = pthread_create(&worker->thread, NULL, worker_main, worker);
		if (rc != 0) {
			cf_pool_free(pool);
			return cf_err_errno(err, rc, "start a worker thread");
		}
	}
	*pool_out = pool;
	return 0;
}

unsigned cf_pool_threads(const struct cf_pool *pool)
{
	return pool->n_threads;
}

void cf_pool_submit(struct cf_pool *pool, struct cf_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&pool->lock);
	while (pool->n_queued >= pool->max_queued)
		pthread_cond_wait(&pool->room_ready, &pool->lock);
	*pool->last = job;
	pool->last = &job->next;
	pool->n_queued++;
	pthread_cond_signal(&pool->job_ready);
	pthread_mutex_unlock(&pool->lock);
}

void cf_pool_wait(struct cf_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	while (pool->first || pool->n_running > 0)
		pthread_cond_wait(&pool->idle, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}

void cf_pool_free(struct cf_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->job_ready);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->n_threads; i++)
		pthread_join(pool->workers[i].thread, NULL);
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->job_ready);
	pthread_cond_destroy(&pool->room_ready);
	pthread_cond_destroy(&pool->idle);
	free(pool);
}
