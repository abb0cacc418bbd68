#include "base/pool.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>
#include <cmocka.h>

#define N_JOBS 1000

struct counted {
	struct cf_job job;
	atomic_uint *n_done;
	unsigned number, n_threads;
	unsigned started_as; /* n_done at the start, with one thread the order */
	bool has_bad_worker;
	useconds_t sleep_us;
};

static void run_counted(struct cf_job *job, unsigned worker)
{
	struct counted *counted = (struct counted *)job;

	counted->started_as = atomic_load(counted->n_done);
	counted->has_bad_worker = worker >= counted->n_threads;
	if (counted->sleep_us)
		usleep(counted->sleep_us);
	atomic_fetch_add(counted->n_done, 1);
}

static void submit_all(struct cf_pool *pool, struct counted *jobs, unsigned n, atomic_uint *n_done,
		       useconds_t sleep_us)
{
	for (unsigned i = 0; i < n; i++) {
		jobs[i] = (struct counted){.job.run = run_counted, .n_done = n_done, .number = i,
					   .n_threads = cf_pool_threads(pool), .sleep_us = sleep_us};
		cf_pool_submit(pool, &jobs[i].job);
	}
}

static void every_job_runs_once(void **state)
{
	static struct counted jobs[N_JOBS];
	struct cf_pool *pool;
	atomic_uint n_done = 0;

	assert_int_equal(cf_pool_new(4, 3, &pool, NULL), 0);
	assert_int_equal(cf_pool_threads(pool), 4);
	for (int round = 1; round <= 3; round++) {
		submit_all(pool, jobs, N_JOBS, &n_done, 0);
		cf_pool_wait(pool);
		assert_int_equal(n_done, round * N_JOBS);
		for (unsigned i = 0; i < N_JOBS; i++)
			assert_false(jobs[i].has_bad_worker);
	}
	cf_pool_free(pool);
}

static void one_thread_keeps_the_order(void **state)
{
	static struct counted jobs[N_JOBS];
	struct cf_pool *pool;
	atomic_uint n_done = 0;

	assert_int_equal(cf_pool_new(1, 0, &pool, NULL), 0);
	submit_all(pool, jobs, N_JOBS, &n_done, 0);
	cf_pool_wait(pool);
	for (unsigned i = 0; i < N_JOBS; i++)
		assert_int_equal(jobs[i].started_as, i);
	cf_pool_free(pool);
}

static void free_runs_what_is_queued(void **state)
{
	static struct counted jobs[20];
	struct cf_pool *pool;
	atomic_uint n_done = 0;

	assert_int_equal(cf_pool_new(2, 100, &pool, NULL), 0);
	submit_all(pool, jobs, 20, &n_done, 1000);
	cf_pool_free(pool);
	assert_int_equal(n_done, 20);
}

static void an_idle_pool_waits_for_nothing(void **state)
{
	struct cf_pool *pool;

	assert_int_equal(cf_pool_new(0, 1, &pool, NULL), 0);
	assert_true(cf_pool_threads(pool) >= 1);
	cf_pool_wait(pool);
	cf_pool_free(pool);
	cf_pool_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_job_runs_once),
		cmocka_unit_test(one_thread_keeps_the_order),
		cmocka_unit_test(free_runs_what_is_queued),
		cmocka_unit_test(an_idle_pool_waits_for_nothing),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
