#include "base/ctx.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

struct seen {
	unsigned n;
	enum cf_event_kind kind;
	char line[CF_ERR_TEXT_MAX + 100];
	uint64_t bytes_done;
};

static void keep_event(void *user, const struct cf_event *event)
{
	struct seen *seen = user;

	seen->n++;
	seen->kind = event->kind;
	snprintf(seen->line, sizeof(seen->line), "%s|%s|%s", event->name,
		 event->object ? event->object : "none", event->text ? event->text : "none");
	seen->bytes_done = event->progress ? event->progress->bytes_done : 0;
}

static int64_t fixed_time(void *user)
{
	return *(int64_t *)user;
}

static void the_clock_can_be_set(void **state)
{
	int64_t when = 1234567890123456789;
	struct cf_ctx fixed = {.now_ns = fixed_time, .clock_user = &when}, real = {.now_ns = NULL};
	int64_t before = (int64_t)time(NULL) * 1000000000;

	assert_true(cf_ctx_now_ns(&fixed) == when);
	assert_true(cf_ctx_now_ns(&real) >= before);
}

static void cancel_is_an_error_once_asked_for(void **state)
{
	atomic_int cancel = 0;
	struct cf_ctx ctx = {.cancel = &cancel}, never = {.cancel = NULL};
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(cf_ctx_check(&never, &err), 0);
	assert_int_equal(cf_ctx_check(&ctx, &err), 0);
	cancel = 1;
	assert_int_equal(cf_ctx_check(&ctx, &err), CF_ERR_CANCELED);
	assert_int_equal(err.code, CF_ERR_CANCELED);
	assert_int_equal(cf_ctx_check(&ctx, NULL), CF_ERR_CANCELED);
}

static void events_reach_the_reporter(void **state)
{
	struct seen seen = {.n = 0};
	const struct cf_reporter reporter = {.event = keep_event, .user = &seen};
	atomic_uint_least64_t n_warnings = 0;
	struct cf_ctx ctx = {.reporter = &reporter, .n_warnings = &n_warnings};
	const struct cf_progress progress = {.bytes_done = 42};

	cf_ctx_warn(&ctx, "file.unreadable", "/x", "cannot %s", "read");
	assert_int_equal(seen.kind, CF_EVENT_WARNING);
	assert_string_equal(seen.line, "file.unreadable|/x|cannot read");
	assert_int_equal(n_warnings, 1);
	cf_ctx_note(&ctx, "pack.stored", NULL, "%d", 7);
	assert_int_equal(seen.kind, CF_EVENT_NOTE);
	assert_string_equal(seen.line, "pack.stored|none|7");
	cf_ctx_progress(&ctx, "backup.progress", &progress);
	assert_int_equal(seen.kind, CF_EVENT_PROGRESS);
	assert_string_equal(seen.line, "backup.progress|none|none");
	assert_int_equal(seen.bytes_done, 42);
	assert_int_equal(n_warnings, 1);
	assert_int_equal(seen.n, 3);
}

static void silence_still_counts_warnings(void **state)
{
	atomic_uint_least64_t n_warnings = 0;
	struct cf_ctx ctx = {.n_warnings = &n_warnings}, bare = {.reporter = NULL};

	cf_ctx_warn(&ctx, "a.b", "x", "text");
	assert_int_equal(n_warnings, 1);
	cf_ctx_warn(&bare, "a.b", "x", "text");
	cf_ctx_note(&bare, "a.b", "x", "text");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_clock_can_be_set),
		cmocka_unit_test(cancel_is_an_error_once_asked_for),
		cmocka_unit_test(events_reach_the_reporter),
		cmocka_unit_test(silence_still_counts_warnings),
	};

	return cmocka_run_group_tests_name("ctx", tests, NULL, NULL);
}
