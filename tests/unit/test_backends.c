/* The shared suite on each backend, and what each promises beyond it. */

#include "backends/delay.h"
#include "backends/fault.h"
#include "backends/memory.h"
#include "backends/trace.h"
#include "base/err.h"
#include "tests/suite/backend_suite.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static char folder[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void make_folder(void)
{
	strcpy(folder, "/tmp/coffer-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
}

static void remove_folder(void)
{
	assert_int_equal(nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static struct cf_backend *open_folder(void)
{
	struct cf_backend *backend = NULL;
	struct cf_err err = CF_ERR_INIT;

	if (cf_backend_open(folder, false, &backend, &err) != 0)
		fail_msg("%s", err.text);
	return backend;
}

static int put_text(struct cf_backend *backend, const char *name, const char *text, struct cf_err *err)
{
	return cf_backend_put(backend, name, cf_span_str(text), err);
}

/* 0 when the object has this text, else the code, or 1 when it has another. */
static int get_text(struct cf_backend *backend, const char *name, const char *want, struct cf_err *err)
{
	struct cf_buf out = CF_BUF_INIT;
	int rc = cf_backend_get_all(backend, name, 1000, &out, err);

	if (rc == 0)
		rc = out.len != strlen(want) || memcmp(out.data, want, out.len) != 0;
	cf_buf_release(&out);
	return rc;
}

static int count_one(void *user, const char *name, uint64_t size)
{
	++*(size_t *)user;
	return 0;
}

static size_t count_objects(struct cf_backend *backend)
{
	size_t n = 0;

	assert_int_equal(backend->ops->list(backend, "", count_one, &n, NULL), 0);
	return n;
}

/* Memory: damage and copies. */

static int begin_memory(void **state)
{
	struct cf_backend *backend;

	assert_int_equal(cf_memory_new(&backend, NULL), 0);
	*state = backend;
	return put_text(backend, "a", "12345", NULL);
}

static int end_backend(void **state)
{
	cf_backend_close(*state);
	return 0;
}

static void a_copy_lives_by_itself(void **state)
{
	struct cf_backend *copy;

	assert_int_equal(cf_memory_copy(*state, &copy, NULL), 0);
	assert_int_equal(put_text(*state, "b", "later", NULL), 0);
	assert_int_equal(cf_memory_flip(*state, "a", 0, 1, NULL), 0);
	assert_int_equal(get_text(copy, "a", "12345", NULL), 0);
	assert_int_equal(count_objects(copy), 1);
	assert_int_equal(get_text(*state, "a", "02345", NULL), 0);
	cf_backend_close(copy);
}

static void damage_does_what_it_says(void **state)
{
	assert_int_equal(cf_memory_truncate(*state, "a", 2, NULL), 0);
	assert_int_equal(get_text(*state, "a", "12", NULL), 0);
	assert_int_equal(cf_memory_replace(*state, "a", cf_span_str("other"), NULL), 0);
	assert_int_equal(get_text(*state, "a", "other", NULL), 0);
	assert_int_equal(cf_memory_replace(*state, "new", cf_span_str("made"), NULL), 0);
	assert_int_equal(get_text(*state, "new", "made", NULL), 0);
	assert_int_equal(cf_memory_flip(*state, "none", 0, 1, NULL), CF_ERR_NOT_FOUND);
	assert_int_equal(cf_memory_truncate(*state, "none", 0, NULL), CF_ERR_NOT_FOUND);
}

/* Faults. */

static int begin_fault(void **state)
{
	struct cf_backend *inner, *backend;

	assert_int_equal(cf_memory_new(&inner, NULL), 0);
	assert_int_equal(cf_fault_new(inner, &backend, NULL), 0);
	*state = backend;
	return 0;
}

static void the_nth_call_fails_and_no_other(void **state)
{
	struct cf_fault_rule rule = {.call = CF_CALL_PUT, .nth = 2, .code = CF_ERR_FULL};
	struct cf_err err = CF_ERR_INIT;

	cf_fault_set(*state, &rule);
	assert_int_equal(put_text(*state, "a", "1", NULL), 0);
	assert_int_equal(get_text(*state, "a", "1", NULL), 0);
	assert_int_equal(put_text(*state, "b", "1", &err), CF_ERR_FULL);
	assert_non_null(strstr(err.text, "memory/b"));
	assert_int_equal(get_text(*state, "b", "1", NULL), CF_ERR_NOT_FOUND);
	assert_int_equal(put_text(*state, "b", "1", NULL), 0);
	assert_int_equal(cf_fault_counted(*state), 3);
	assert_int_equal(cf_fault_failed(*state), 1);
}

static void every_nth_call_fails(void **state)
{
	struct cf_fault_rule rule = {.call = CF_CALL_GET, .nth = 3, .is_repeated = true,
				     .code = CF_ERR_DAMAGED};

	assert_int_equal(put_text(*state, "a", "1", NULL), 0);
	cf_fault_set(*state, &rule);
	for (int i = 1; i <= 9; i++)
		assert_int_equal(get_text(*state, "a", "1", NULL), i % 3 ? 0 : CF_ERR_DAMAGED);
}

static void a_rule_may_be_for_some_names_only(void **state)
{
	struct cf_fault_rule rule = {.call = CF_CALL_ANY, .prefix = "snapshots/", .nth = 1};

	cf_fault_set(*state, &rule);
	assert_int_equal(put_text(*state, "packs/a", "1", NULL), 0);
	assert_int_equal(put_text(*state, "snapshots/a", "1", NULL), CF_ERR_FAILED);
	assert_int_equal(put_text(*state, "snapshots/a", "1", NULL), 0);
}

static void a_lost_reply_has_stored_the_object(void **state)
{
	struct cf_fault_rule rule = {.call = CF_CALL_PUT, .nth = 1, .kind = CF_FAULT_LOST_REPLY};

	cf_fault_set(*state, &rule);
	assert_int_equal(put_text(*state, "a", "1", NULL), CF_ERR_FAILED);
	assert_int_equal(get_text(*state, "a", "1", NULL), 0);
	assert_int_equal(put_text(*state, "a", "1", NULL), CF_ERR_EXISTS);
}

static void only_gets_that_touch_a_range_fail(void **state)
{
	struct cf_fault_rule rule = {.call = CF_CALL_GET, .off = 4, .len = 2, .nth = 1, .is_repeated = true};
	static const struct {
		uint64_t off;
		size_t len;
		int code;
	} gets[] = {{0, 4, 0}, {0, 5, CF_ERR_FAILED}, {5, 1, CF_ERR_FAILED}, {6, 2, 0}, {4, 0, 0}, {0, 8, CF_ERR_FAILED}};
	struct cf_backend *backend = *state;
	struct cf_buf out = CF_BUF_INIT;

	cf_fault_set(backend, &rule);
	assert_int_equal(put_text(backend, "a", "12345678", NULL), 0);
	for (size_t i = 0; i < sizeof(gets) / sizeof(gets[0]); i++)
		assert_int_equal(backend->ops->get(backend, "a", gets[i].off, gets[i].len, &out, NULL), gets[i].code);
	cf_buf_release(&out);
}

static void after_a_stop_nothing_works_until_reset(void **state)
{
	struct cf_backend *backend = *state;
	struct cf_fault_rule rule = {.call = CF_CALL_PUT, .nth = 2, .kind = CF_FAULT_STOP_AFTER};
	size_t n = 0;

	cf_fault_set(backend, &rule);
	assert_int_equal(put_text(backend, "a", "1", NULL), 0);
	assert_int_equal(put_text(backend, "b", "1", NULL), 0);
	assert_int_equal(put_text(backend, "c", "1", NULL), CF_ERR_FAILED);
	assert_int_equal(get_text(backend, "a", "1", NULL), CF_ERR_FAILED);
	assert_int_equal(backend->ops->list(backend, "", count_one, &n, NULL), CF_ERR_FAILED);
	assert_int_equal(backend->ops->remove(backend, "a", NULL), CF_ERR_FAILED);
	cf_fault_set(backend, NULL);
	assert_int_equal(count_objects(backend), 2);
	rule.kind = CF_FAULT_STOP;
	rule.nth = 1;
	cf_fault_set(backend, &rule);
	assert_int_equal(put_text(backend, "c", "1", NULL), CF_ERR_FAILED);
	assert_int_equal(get_text(backend, "a", "1", NULL), CF_ERR_FAILED);
	cf_fault_set(backend, NULL);
	assert_int_equal(count_objects(backend), 2);
}

/* Delay and trace. */

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void a_slow_store_takes_its_time(void **state)
{
	struct cf_delay_options options = {.call_ns = 20000000, .bytes_per_second = 100, .is_remote = true};
	struct cf_backend *inner, *backend;
	double begun = seconds_now();

	assert_int_equal(cf_memory_new(&inner, NULL), 0);
	assert_int_equal(cf_delay_new(inner, &options, &backend, NULL), 0);
	assert_true(backend->caps & CF_BACKEND_REMOTE);
	assert_int_equal(put_text(backend, "a", "12345", NULL), 0);
	assert_true(seconds_now() - begun >= 0.07);
	assert_int_equal(backend->ops->remove(backend, "a", NULL), 0);
	assert_true(seconds_now() - begun >= 0.09);
	cf_backend_close(backend);
}

static void keep_line(void *user, const char *line)
{
	snprintf(user, 200, "%s", line);
}

static void a_trace_counts_calls_and_bytes(void **state)
{
	struct cf_backend *inner, *backend;
	struct cf_trace_counts counts;
	struct cf_buf out = CF_BUF_INIT;
	char line[200] = "";

	assert_int_equal(cf_memory_new(&inner, NULL), 0);
	assert_int_equal(cf_trace_new(inner, keep_line, line, &backend, NULL), 0);
	assert_int_equal(put_text(backend, "a/b", "12345", NULL), 0);
	assert_int_equal(strncmp(line, "put a/b 0+5: ok, ", 17), 0);
	assert_int_equal(backend->ops->get(backend, "a/b", 2, 3, &out, NULL), 0);
	assert_int_equal(strncmp(line, "get a/b 2+3: ok, ", 17), 0);
	assert_int_equal(backend->ops->get(backend, "a/c", 0, 3, &out, NULL), CF_ERR_NOT_FOUND);
	assert_int_equal(count_objects(backend), 1);
	counts = cf_trace_counts(backend);
	assert_int_equal(counts.of[CF_CALL_PUT].n_calls, 1);
	assert_int_equal(counts.of[CF_CALL_PUT].bytes, 5);
	assert_int_equal(counts.of[CF_CALL_GET].n_calls, 2);
	assert_int_equal(counts.of[CF_CALL_GET].n_failed, 1);
	assert_int_equal(counts.of[CF_CALL_GET].bytes, 3);
	assert_int_equal(counts.of[CF_CALL_LIST].n_calls, 1);
	cf_trace_reset(backend);
	assert_int_equal(cf_trace_counts(backend).of[CF_CALL_GET].n_calls, 0);
	cf_buf_release(&out);
	cf_backend_close(backend);
}

/* The suite's stores. */

enum wrapping {
	PLAIN,
	FAULT,
	DELAY,
	TRACE
};

static struct cf_backend *wrap(struct cf_backend *inner, enum wrapping wrapping)
{
	const struct cf_delay_options no_delay = {.call_ns = 0};
	struct cf_backend *backend = inner;

	if (wrapping == FAULT)
		assert_int_equal(cf_fault_new(inner, &backend, NULL), 0);
	if (wrapping == DELAY)
		assert_int_equal(cf_delay_new(inner, &no_delay, &backend, NULL), 0);
	if (wrapping == TRACE)
		assert_int_equal(cf_trace_new(inner, NULL, NULL, &backend, NULL), 0);
	return backend;
}

static struct cf_backend *fresh_local(void *user)
{
	make_folder();
	return wrap(open_folder(), *(enum wrapping *)user);
}

static struct cf_backend *reopen_local(void *user, struct cf_backend *backend)
{
	cf_backend_close(backend);
	return wrap(open_folder(), *(enum wrapping *)user);
}

static void discard_local(void *user)
{
	remove_folder();
}

static struct cf_backend *fresh_memory(void *user)
{
	struct cf_backend *backend;

	assert_int_equal(cf_memory_new(&backend, NULL), 0);
	return backend;
}

static struct cf_backend *reopen_memory(void *user, struct cf_backend *backend)
{
	struct cf_backend *copy;

	assert_int_equal(cf_memory_copy(backend, &copy, NULL), 0);
	cf_backend_close(backend);
	return copy;
}

static int run_suites(void)
{
	enum wrapping wrappings[] = {PLAIN, FAULT, DELAY, TRACE};
	static const char *const labels[] = {"local", "fault", "delay", "trace"};
	const struct cf_backend_factory memory = {
		.label = "memory", .fresh = fresh_memory, .reopen = reopen_memory};
	int n_failed = cf_backend_suite_run(&memory);

	for (size_t i = 0; i < 4; i++) {
		struct cf_backend_factory factory = {.label = labels[i], .fresh = fresh_local,
						     .reopen = reopen_local, .discard = discard_local,
						     .user = &wrappings[i]};

		n_failed += cf_backend_suite_run(&factory);
	}
	return n_failed;
}

#define MEMORY(function) cmocka_unit_test_setup_teardown(function, begin_memory, end_backend)
#define FAULTY(function) cmocka_unit_test_setup_teardown(function, begin_fault, end_backend)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MEMORY(a_copy_lives_by_itself),
		MEMORY(damage_does_what_it_says),
		FAULTY(the_nth_call_fails_and_no_other),
		FAULTY(every_nth_call_fails),
		FAULTY(a_rule_may_be_for_some_names_only),
		FAULTY(a_lost_reply_has_stored_the_object),
		FAULTY(only_gets_that_touch_a_range_fail),
		FAULTY(after_a_stop_nothing_works_until_reset),
		cmocka_unit_test(a_slow_store_takes_its_time),
		cmocka_unit_test(a_trace_counts_calls_and_bytes),
	};
	int n_failed = cmocka_run_group_tests_name("backends", tests, NULL, NULL);

	return n_failed + run_suites();
}
