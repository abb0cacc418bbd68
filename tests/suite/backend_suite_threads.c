/* Several threads on one store. Threads only count: cmocka's asserts belong to the thread of the test. */

#include "tests/suite/backend_suite.h"

#include "base/err.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define N_THREADS 8
#define RACE_LEN 300000
#define N_ROUNDS 10
#define N_OBJECTS 25

struct racer {
	struct cf_backend *backend;
	pthread_barrier_t *start;
	const char *name;
	unsigned number;
	int rc;
	unsigned n_wrong;
	struct cf_err err;
};

static void start_threads(pthread_t threads[N_THREADS], struct racer racers[N_THREADS], void *(*run)(void *))
{
	for (unsigned i = 0; i < N_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run, &racers[i]), 0);
}

static void join_threads(pthread_t threads[N_THREADS])
{
	for (unsigned i = 0; i < N_THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void *put_own_content(void *arg)
{
	struct racer *racer = arg;
	uint8_t *data = malloc(RACE_LEN);
	struct cf_span halves[2];

	if (data)
		memset(data, 'a' + (int)racer->number, RACE_LEN);
	halves[0] = cf_span_of(data, RACE_LEN / 3);
	halves[1] = cf_span_of(data + RACE_LEN / 3, RACE_LEN - RACE_LEN / 3);
	pthread_barrier_wait(racer->start);
	racer->rc = data ? racer->backend->ops->put(racer->backend, racer->name, halves, 2, &racer->err)
			 : CF_ERR_NOMEM;
	free(data);
	return NULL;
}

static void expect_one_winner(struct cf_backend *backend, const struct racer racers[N_THREADS])
{
	struct cf_buf out = CF_BUF_INIT;
	int winner = -1;

	for (unsigned i = 0; i < N_THREADS; i++) {
		if (racers[i].rc != 0) {
			assert_int_equal(racers[i].rc, CF_ERR_EXISTS);
			continue;
		}
		assert_int_equal(winner, -1);
		winner = (int)i;
	}
	assert_true(winner >= 0);
	assert_int_equal(cf_backend_get_all(backend, racers[0].name, RACE_LEN, &out, NULL), 0);
	assert_int_equal(out.len, RACE_LEN);
	for (size_t i = 0; i < RACE_LEN; i++)
		if (out.data[i] != 'a' + winner)
			fail_msg("byte %zu is of another put", i);
	cf_buf_release(&out);
}

void cf_backend_suite_one_put_of_a_name_wins(void **state)
{
	struct cf_backend *backend = ((struct cf_backend_suite *)*state)->backend;
	pthread_barrier_t start;

	pthread_barrier_init(&start, NULL, N_THREADS);
	for (unsigned round = 0; round < N_ROUNDS; round++) {
		struct racer racers[N_THREADS];
		pthread_t threads[N_THREADS];
		char name[32];

		snprintf(name, sizeof(name), "race/%u/it", round);
		for (unsigned i = 0; i < N_THREADS; i++)
			racers[i] = (struct racer){.backend = backend, .start = &start, .name = name,
						   .number = i};
		start_threads(threads, racers, put_own_content);
		join_threads(threads);
		expect_one_winner(backend, racers);
	}
	pthread_barrier_destroy(&start);
}

/* Content that tells its name: any mix of two objects shows. */
static void make_content(char out[64], unsigned thread, unsigned number)
{
	snprintf(out, 64, "object %u of thread %u", number, thread);
}

static int count_listed(void *user, const char *name, uint64_t size)
{
	if (size == 0 || !cf_backend_name_valid(name))
		return CF_ERR_DAMAGED;
	++*(unsigned *)user;
	return 0;
}

static bool object_is_right(struct cf_backend *backend, const char *name, const char *want)
{
	struct cf_buf out = CF_BUF_INIT;
	bool is_right = cf_backend_get_all(backend, name, 64, &out, NULL) == 0 &&
			out.len == strlen(want) && memcmp(out.data, want, out.len) == 0;

	cf_buf_release(&out);
	return is_right;
}

/* Put, read, list and remove (every other one) objects of one's own among those of the others. */
static void *work_on_own_objects(void *arg)
{
	struct racer *racer = arg;
	struct cf_backend *backend = racer->backend;

	pthread_barrier_wait(racer->start);
	for (unsigned i = 0; i < N_OBJECTS; i++) {
		char name[64], content[64];
		unsigned n_listed = 0;

		snprintf(name, sizeof(name), "packs/%02x/%u-%u", i, racer->number, i);
		make_content(content, racer->number, i);
		if (cf_backend_put(backend, name, cf_span_str(content), &racer->err) != 0 ||
		    !object_is_right(backend, name, content) ||
		    backend->ops->list(backend, i % 2 ? "packs" : "", count_listed, &n_listed,
				       &racer->err) != 0 ||
		    n_listed == 0)
			racer->n_wrong++;
		if (i % 2 && backend->ops->remove &&
		    backend->ops->remove(backend, name, &racer->err) != 0)
			racer->n_wrong++;
	}
	return NULL;
}

void cf_backend_suite_everything_at_once(void **state)
{
	struct cf_backend *backend = ((struct cf_backend_suite *)*state)->backend;
	struct racer racers[N_THREADS];
	pthread_t threads[N_THREADS];
	pthread_barrier_t start;
	unsigned n_listed = 0, n_kept = backend->ops->remove ? (N_OBJECTS + 1) / 2 : N_OBJECTS;

	pthread_barrier_init(&start, NULL, N_THREADS);
	for (unsigned i = 0; i < N_THREADS; i++)
		racers[i] = (struct racer){.backend = backend, .start = &start, .number = i};
	start_threads(threads, racers, work_on_own_objects);
	join_threads(threads);
	for (unsigned i = 0; i < N_THREADS; i++) {
		if (racers[i].n_wrong)
			print_error("thread %u: %s\n", i, racers[i].err.text);
		assert_int_equal(racers[i].n_wrong, 0);
	}
	assert_int_equal(backend->ops->list(backend, "", count_listed, &n_listed, NULL), 0);
	assert_int_equal(n_listed, n_kept * N_THREADS);
	pthread_barrier_destroy(&start);
}
