#include "base/err.h"
#include "drivers/stream/stream.h"
#include "tests/suite/sink_recorder.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static int64_t fixed_clock(void *user)
{
	return INT64_C(1700000000123456789);
}

/* Runs stream:NAME over a command, or over standard input. */
static int run(const char *name, const char *const *command, const struct cf_ctx *ctx,
	       struct cf_sink_recorder *recorder, struct cf_err *err)
{
	struct cf_source_options options = {.command = command};
	struct cf_source *source = NULL;
	int rc = cf_stream_driver.open(name, &options, ctx, &source, err);

	if (rc == 0) {
		rc = cf_stream_driver.run(source, &recorder->sink, err);
		cf_stream_driver.close(source);
	}
	return rc;
}

static void output_of_a_command_becomes_a_file(void **state)
{
	static const char *const command[] = {"seq", "1", "500000", NULL};
	struct cf_ctx ctx = {.now_ns = fixed_clock};
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();
	struct cf_err err = CF_ERR_INIT;
	struct cf_recorded *r;

	assert_int_equal(run("numbers.txt", command, &ctx, recorder, &err), 0);
	assert_true(recorder->root->ended);
	r = cf_sink_recorder_find(recorder, "numbers.txt");
	assert_non_null(r);
	assert_int_equal(r->content.len, 3388895);
	assert_int_equal(r->entry->size, 3388895);
	assert_int_equal(r->entry->mode, 0600);
	assert_int_equal(r->entry->uid, geteuid());
	assert_int_equal(r->entry->mtime_ns, INT64_C(1700000000123456789));
	assert_int_equal(r->profile.kind, CF_PROFILE_BULK);
	assert_memory_equal(r->content.data + r->content.len - 7, "500000\n", 7);
	cf_sink_recorder_free(recorder);
}

static void arguments_reach_no_shell(void **state)
{
	static const char *const command[] = {"printf", "%s|", "$HOME", "a b;c", "`id`", NULL};
	struct cf_ctx ctx = {0};
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(run("out", command, &ctx, recorder, &err), 0);
	assert_string_equal(cf_sink_recorder_text(cf_sink_recorder_find(recorder, "out")),
			    "$HOME|a b;c|`id`|");
	cf_sink_recorder_free(recorder);
}

static void command_has_empty_input(void **state)
{
	static const char *const command[] = {"wc", "-c", NULL};
	struct cf_ctx ctx = {0};
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(run("out", command, &ctx, recorder, &err), 0);
	assert_string_equal(cf_sink_recorder_text(cf_sink_recorder_find(recorder, "out")), "0\n");
	cf_sink_recorder_free(recorder);
}

static void failing_command_fails_the_backup(void **state)
{
	static const struct {
		const char *command[4], *text;
	} cases[] = {
		{{"sh", "-c", "echo half; exit 3", NULL}, "command sh exited with status 3"},
		{{"sh", "-c", "echo half; kill -9 $$", NULL}, "command sh was killed by signal 9"},
		{{"false", NULL}, "command false exited with status 1"},
		{{"/no/such/program", NULL},
		 "cannot run /no/such/program: No such file or directory"},
		{{"/etc/passwd", NULL}, "cannot run /etc/passwd: Permission denied"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cf_ctx ctx = {0};
		struct cf_sink_recorder *recorder = cf_sink_recorder_new();
		struct cf_err err = CF_ERR_INIT;

		assert_int_equal(run("out", cases[i].command, &ctx, recorder, &err), CF_ERR_FAILED);
		assert_string_equal(err.text, cases[i].text);
		assert_null(cf_sink_recorder_find(recorder, "out"));
		assert_int_equal(recorder->n_aborted, 1);
		assert_false(recorder->root->ended);
		cf_sink_recorder_free(recorder);
	}
}

static void *cancel_soon(void *user)
{
	nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	atomic_store((atomic_int *)user, 1);
	return NULL;
}

/* The command and what it started write nothing and never end. */
static void cancel_kills_the_process_group(void **state)
{
	char file[] = "/tmp/coffer-stream-XXXXXX";
	char script[128];
	const char *const command[] = {"sh", "-c", script, NULL};
	atomic_int cancel = 0;
	struct cf_ctx ctx = {.cancel = &cancel};
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();
	struct cf_err err = CF_ERR_INIT;
	struct timespec begin, end;
	int group, child;
	pthread_t thread;
	FILE *pids;

	close(mkstemp(file));
	snprintf(script, sizeof(script), "sleep 1000 & echo $$ $! > %s; wait", file);
	pthread_create(&thread, NULL, cancel_soon, &cancel);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	assert_int_equal(run("out", command, &ctx, recorder, &err), CF_ERR_CANCELED);
	clock_gettime(CLOCK_MONOTONIC, &end);
	pthread_join(thread, NULL);
	assert_true(end.tv_sec - begin.tv_sec <= 2);
	pids = fopen(file, "r");
	assert_int_equal(fscanf(pids, "%d %d", &group, &child), 2);
	fclose(pids);
	unlink(file);
	assert_int_equal(kill(group, 0), -1); /* reaped */
	/* The grandchild is init's to reap, or whoever's: it only must not run on. */
	for (int i = 0; i < 200 && kill(-group, 0) == 0; i++)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	snprintf(script, sizeof(script), "ps -o stat= -p %d | grep -qv Z", child);
	assert_true(system(script) != 0);
	cf_sink_recorder_free(recorder);
}

static int fail_write(void *user, enum cf_recorder_step step, const struct cf_entry *entry,
		      struct cf_err *err)
{
	return step == CF_RECORDER_FILE_WRITE ? cf_err_set(err, CF_ERR_FULL, "the sink is full")
					      : 0;
}

static void failing_sink_ends_an_endless_command(void **state)
{
	static const char *const command[] = {"yes", NULL};
	struct cf_ctx ctx = {0};
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();
	struct cf_err err = CF_ERR_INIT;

	recorder->hook = fail_write;
	assert_int_equal(run("out", command, &ctx, recorder, &err), CF_ERR_FULL);
	assert_int_equal(recorder->n_aborted, 1);
	cf_sink_recorder_free(recorder);
}

static void standard_input_is_stored(void **state)
{
	struct cf_ctx ctx = {0};
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();
	struct cf_err err = CF_ERR_INIT;
	int saved = dup(STDIN_FILENO);
	int fds[2];
	int rc;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "piped", 5), 5);
	close(fds[1]);
	dup2(fds[0], STDIN_FILENO);
	close(fds[0]);
	rc = run("in", NULL, &ctx, recorder, &err);
	dup2(saved, STDIN_FILENO);
	close(saved);
	assert_int_equal(rc, 0);
	assert_string_equal(cf_sink_recorder_text(cf_sink_recorder_find(recorder, "in")), "piped");
	cf_sink_recorder_free(recorder);
}

static void terminal_is_refused_as_input(void **state)
{
	struct cf_ctx ctx = {0};
	struct cf_err err = CF_ERR_INIT;
	int saved = dup(STDIN_FILENO);
	int terminal = posix_openpt(O_RDWR | O_NOCTTY);
	int rc;

	if (terminal < 0)
		skip();
	dup2(terminal, STDIN_FILENO);
	rc = run("in", NULL, &ctx, NULL, &err);
	dup2(saved, STDIN_FILENO);
	close(saved);
	close(terminal);
	assert_int_equal(rc, CF_ERR_USAGE);
	assert_non_null(strstr(err.text, "is a terminal"));
}

static void bad_names_are_usage_errors(void **state)
{
	static const char *const command[] = {"true", NULL};
	static const char *const empty[] = {NULL};
	char longest[257] = "";
	const char *const names[] = {"", "a/b", ".", "..", longest};
	struct cf_ctx ctx = {0};
	struct cf_err err = CF_ERR_INIT;
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();

	memset(longest, 'n', 256);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(run(names[i], command, &ctx, NULL, &err), CF_ERR_USAGE);
	longest[255] = '\0';
	assert_int_equal(run(longest, command, &ctx, recorder, &err), 0);
	cf_sink_recorder_free(recorder);
	recorder = cf_sink_recorder_new();
	assert_int_equal(run("name", empty, &ctx, recorder, &err), CF_ERR_USAGE);
	cf_sink_recorder_free(recorder);
}

static void closed_standard_input_is_refused(void **state)
{
	int saved = dup(STDIN_FILENO);
	struct cf_ctx ctx = {0};

	for (int written_only = 0; written_only < 2; written_only++) {
		struct cf_err err = CF_ERR_INIT;

		close(STDIN_FILENO);
		if (written_only)
			assert_int_equal(open("/dev/null", O_WRONLY), STDIN_FILENO);
		assert_int_equal(run("name", NULL, &ctx, NULL, &err), CF_ERR_USAGE);
		assert_non_null(strstr(err.text, "stream:name: standard input is closed"));
	}
	assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
	close(saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_of_a_command_becomes_a_file),
		cmocka_unit_test(arguments_reach_no_shell),
		cmocka_unit_test(command_has_empty_input),
		cmocka_unit_test(failing_command_fails_the_backup),
		cmocka_unit_test(cancel_kills_the_process_group),
		cmocka_unit_test(failing_sink_ends_an_endless_command),
		cmocka_unit_test(standard_input_is_stored),
		cmocka_unit_test(terminal_is_refused_as_input),
		cmocka_unit_test(closed_standard_input_is_refused),
		cmocka_unit_test(bad_names_are_usage_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
