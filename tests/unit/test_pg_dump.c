/* What of a PostgreSQL backup needs no server. */

#include "base/ctx.h"
#include "base/digest.h"
#include "base/err.h"
#include "drivers/driver.h"
#include "drivers/pattern.h"
#include "drivers/postgres/catalog.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/program.h"
#include "drivers/postgres/restrict.h"
#include "drivers/selector.h"
#include "tests/suite/temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- what a target may say --- */

static void target_with_a_password_is_refused_unquoted(void **state)
{
	static const char *const targets[] = {
		"//user:secret@host/db",      "//user:secret@host:5432,other/db?sslmode=require",
		"//host/db?password=secret",  "host=h password=secret",
		"host=h password = 'secret'", "//host/db?sslpassword=secret",
	};

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		struct cf_err err = CF_ERR_INIT;

		assert_int_equal(cf_pg_check_target(targets[i], &err), CF_ERR_USAGE);
		assert_non_null(strstr(err.text, "PGPASSWORD"));
		assert_null(strstr(err.text, "secret"));
	}
}

static void targets_are_uris_and_connection_strings(void **state)
{
	static const char *const good[] = {"",	 "//",	"//host/db", "//user@[::1]:5433/db?sslmode=disable",
					   "host=/run dbname=x", "service=nightly", "//host/a:b@c"};
	static const char *const bad[] = {"db", "//%zz/", "nonsense=1", "//host/db?nonsense=1"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(cf_pg_check_target(good[i], NULL), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(cf_pg_check_target(bad[i], NULL), CF_ERR_USAGE);
}

/* --- client programs --- */

struct programs {
	struct cf_temp_folder folder;
	char *path; /* of the environment, before */
	struct cf_ctx ctx;
};

/* A name of their own, so that what is installed does not count. */
static void put_program(struct programs *programs, const char *major, const char *output)
{
	char command[512], file[64], path[2048];

	snprintf(file, sizeof(file), "%s/pg_pretend", major);
	snprintf(command, sizeof(command), "mkdir %s && printf '#!/bin/sh\\n%s\\n' > %s && chmod 755 %s", major,
		 output, file, file);
	assert_true(cf_temp_folder_run(&programs->folder, command));
	snprintf(path, sizeof(path), "%s:%s", cf_temp_folder_at(&programs->folder, major).s, getenv("PATH"));
	setenv("PATH", path, 1);
}

static int set_up(void **state)
{
	struct programs *programs = calloc(1, sizeof(*programs));

	assert_non_null(programs);
	cf_temp_folder_make(&programs->folder);
	programs->path = strdup(getenv("PATH"));
	*state = programs;
	return 0;
}

static int tear_down(void **state)
{
	struct programs *programs = (struct programs *)*state;

	setenv("PATH", programs->path, 1);
	cf_temp_folder_remove(&programs->folder);
	free(programs->path);
	free(programs);
	return 0;
}

#define SAYS(version) "echo \"pg_pretend (PostgreSQL) " version "\""

static void the_nearest_program_that_is_not_older_is_chosen(void **state)
{
	struct programs *programs = (struct programs *)*state;
	static const struct {
		int server, chosen;
		bool allow_old;
	} cases[] = {
		{160000, 160016, false}, /* 15 is older */
		{160019, 160016, false}, /* the minor version does not matter */
		{170002, 180009, false}, /* 17.11 has known holes */
		{170002, 170011, true},	 {100000, 150020, false},
	};

	put_program(programs, "a", SAYS("15.20 (Debian 15.20-0)"));
	put_program(programs, "b", SAYS("16.16"));
	put_program(programs, "c", SAYS("17.11"));
	put_program(programs, "d", SAYS("18.9"));
	put_program(programs, "e", "echo something else");
	put_program(programs, "f", "exit 1");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cf_pg_program program = {.path = NULL};

		assert_int_equal(cf_pg_program_find("pg_pretend", cases[i].server, cases[i].allow_old,
						    &programs->ctx, &program, NULL),
				 0);
		assert_int_equal(program.version, cases[i].chosen);
		assert_true(program.has_restrict_key);
		cf_pg_program_release(&program);
	}
}

static void the_newest_program_is_told(void **state)
{
	struct programs *programs = (struct programs *)*state;
	struct cf_pg_program program = {.path = NULL};

	put_program(programs, "a", SAYS("15.20"));
	put_program(programs, "b", SAYS("18.9"));
	put_program(programs, "c", SAYS("16.16"));
	put_program(programs, "d", SAYS("18.2")); /* has known holes */
	assert_int_equal(cf_pg_program_newest("pg_pretend", 100000, &programs->ctx, &program, NULL), 0);
	assert_int_equal(program.version, 180009);
	cf_pg_program_release(&program);
}

static void programs_that_do_not_fit_are_named(void **state)
{
	struct programs *programs = (struct programs *)*state;
	struct cf_pg_program program = {.path = NULL};
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(cf_pg_program_find("pg_pretend", 150000, false, &programs->ctx, &program, &err),
			 CF_ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "postgresql-client-15"));
	put_program(programs, "a", SAYS("15.7"));
	assert_int_equal(cf_pg_program_find("pg_pretend", 160000, true, &programs->ctx, &program, &err),
			 CF_ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "a/pg_pretend is 15.7"));
	assert_int_equal(cf_pg_program_find("pg_pretend", 150000, false, &programs->ctx, &program, &err),
			 CF_ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "--allow-old-client"));
	assert_null(program.path);
}

static int collect(void *user, struct cf_span data, struct cf_err *err)
{
	return cf_buf_append((struct cf_buf *)user, data.data, data.len, err);
}

static int run_forgiving(struct programs *programs, const char *script, const char *harmless, const atomic_int *stop,
			 struct cf_buf *out, struct cf_err *err)
{
	char path[1100];
	struct cf_pg_program program = {.path = path};
	const char *const args[] = {NULL};
	char variable[] = "PGPRETEND=given";
	char *environment[] = {variable, NULL};
	const struct cf_pg_run run = {.program = &program,
				      .args = args,
				      .environment = environment,
				      .input_fd = -1,
				      .stop = stop,
				      .harmless = harmless};

	put_program(programs, "run", script);
	snprintf(path, sizeof(path), "%s", cf_temp_folder_at(&programs->folder, "run/pg_pretend").s);
	return cf_pg_program_run(&run, collect, out, &programs->ctx, err);
}

static int run_program(struct programs *programs, const char *script, const atomic_int *stop, struct cf_buf *out,
		       struct cf_err *err)
{
	return run_forgiving(programs, script, NULL, stop, out, err);
}

static void a_program_s_error_lines_are_the_error(void **state)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_buf out = CF_BUF_INIT;

	assert_int_equal(run_program((struct programs *)*state,
				     "echo out; echo pg_pretend: hint >&2; echo pg_pretend: error: broken >&2;"
				     "echo pg_pretend: detail: badly >&2; exit 1",
				     NULL, &out, &err),
			 CF_ERR_FAILED);
	assert_string_equal(err.text, "pg_pretend: broken; detail: badly");
	assert_int_equal(out.len, 4);
	cf_buf_release(&out);
}

/* What pg_restore 17 says to an older server, and what it says besides. */
#define UNKNOWN                                                                                                       \
	"{ echo pg_pretend: while INITIALIZING:; echo pg_pretend: error: could not execute query: ERROR: unknown;"      \
	" echo Command was: SET new_one = 0\\;; echo; } >&2; "
#define OTHER   "{ echo pg_pretend: error: could not execute query: ERROR: other; echo Command was: CREATE TABLE t; } >&2; "
#define IGNORED "echo pg_pretend: warning: errors ignored on restore: "

static void a_statement_may_fail_alone(void **state)
{
	static const struct {
		const char *script, *failure;
	} cases[] = {
		{UNKNOWN IGNORED "1 >&2; exit 1", NULL},
		{UNKNOWN UNKNOWN IGNORED "2 >&2; exit 1", NULL},
		{UNKNOWN OTHER IGNORED "2 >&2; exit 1",
		 "pg_pretend: could not execute query: ERROR: other; Command was: CREATE TABLE t"},
		/* Ended at its next error. */
		{UNKNOWN OTHER OTHER "sleep 60", "pg_pretend: could not execute query: ERROR: other; Command was: CREATE TABLE t"},
		{UNKNOWN IGNORED "2 >&2; exit 1", "pg_pretend exited with status 1"},
		{UNKNOWN "exit 1", "pg_pretend exited with status 1"},
		{UNKNOWN "echo pg_pretend: error: no connection >&2; exit 1", "pg_pretend: no connection"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cf_err err = CF_ERR_INIT;
		struct cf_buf out = CF_BUF_INIT;
		int rc;

		tear_down(state);
		set_up(state);
		rc = run_forgiving((struct programs *)*state, cases[i].script, "SET new_one", NULL, &out, &err);
		assert_int_equal(rc, cases[i].failure ? CF_ERR_FAILED : 0);
		if (cases[i].failure)
			assert_string_equal(err.text, cases[i].failure);
		cf_buf_release(&out);
	}
}

static void a_program_sees_only_the_servers_variables_it_is_given(void **state)
{
	struct cf_buf out = CF_BUF_INIT;

	setenv("PGHOST", "elsewhere", 1);
	setenv("PGPASSWORD", "other", 1);
	assert_int_equal(run_program((struct programs *)*state, "echo $PGHOST$PGPASSWORD$PGPRETEND", NULL, &out, NULL),
			 0);
	unsetenv("PGHOST");
	unsetenv("PGPASSWORD");
	assert_int_equal(out.len, 6);
	assert_memory_equal(out.data, "given\n", 6);
	cf_buf_release(&out);
}

static void a_program_that_is_stopped_ends(void **state)
{
	struct cf_buf out = CF_BUF_INIT;
	atomic_int stop = 1;

	assert_int_equal(run_program((struct programs *)*state, "sleep 60", &stop, &out, NULL), CF_ERR_CANCELED);
	cf_buf_release(&out);
}

/* --- restrict keys --- */

static void the_same_script_has_the_same_key(void **state)
{
	struct cf_pg_restrict_key keys[3];

	for (size_t i = 0; i < 3; i++) {
		struct cf_pg_restrict_key random = cf_pg_restrict_random();
		struct cf_buf script = CF_BUF_INIT;

		assert_int_equal(cf_buf_printf(&script, NULL, "\\restrict %s\nSELECT %d;\n\\unrestrict %s\n",
					       random.s, i == 2, random.s),
				 0);
		assert_int_equal(cf_pg_restrict_settle(&script, &random, &keys[i], NULL), 0);
		assert_null(memmem(script.data, script.len, random.s, strlen(random.s)));
		assert_memory_equal(script.data + strlen("\\restrict "), keys[i].s, strlen(keys[i].s));
		assert_memory_equal(script.data + script.len - 1 - strlen(keys[i].s), keys[i].s, strlen(keys[i].s));
		cf_buf_release(&script);
	}
	assert_string_equal(keys[0].s, keys[1].s);
	assert_string_not_equal(keys[0].s, keys[2].s);
}

static void digest_is_blake2b(void **state)
{
	struct cf_id id;

	cf_digest(cf_span_str("abc"), &id);
	assert_string_equal(cf_id_text(&id).s, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

/* --- selection --- */

/* Ordered by schema and name, oids the other way round. */
static struct cf_pg_relation relations[] = {
	{.oid = 90, .schema = "app", .name = "conf", .kind = 'r', .extension = "ext"},
	{.oid = 80, .schema = "app", .name = "member", .kind = 'r', .is_member = true},
	{.oid = 70, .schema = "app", .name = "orders", .kind = 'p'},
	{.oid = 60, .schema = "app", .name = "orders_1", .kind = 'r', .parent = 70},
	{.oid = 50, .schema = "app", .name = "orders_seq", .kind = 'S', .owned_by = 70},
	{.oid = 40, .schema = "we\"ird", .name = "a|b", .kind = 'r'},
	{.oid = 30, .schema = "we\"ird", .name = "view", .kind = 'v'},
};
static size_t by_oid[] = {6, 5, 4, 3, 2, 1, 0};
static struct cf_pg_catalog catalog = {
	.relations = relations, .n = sizeof(relations) / sizeof(relations[0]), .by_oid = by_oid};

static void select_tables(const struct cf_selection *selection)
{
	struct cf_selector *selector = NULL;

	assert_int_equal(cf_selector_new(selection, CF_PATTERN_POSTGRES, &selector, NULL), 0);
	cf_pg_catalog_select(&catalog, selector, "db", false);
	cf_selector_free(selector);
}

/* One letter each: d with its data, t without, - not at all. */
static void check_taken(const char *expected)
{
	for (size_t i = 0; i < catalog.n; i++)
		assert_int_equal(relations[i].is_data_taken ? 'd' : relations[i].is_taken ? 't' : '-', expected[i]);
}

static void what_belongs_to_a_table_is_taken_with_it(void **state)
{
	const char *orders[] = {"orders"}, *all[] = {"*"}, *first[] = {"app.orders_1"};

	select_tables(&(struct cf_selection){.n_tables = 0});
	check_taken("d-ddddd");
	select_tables(&(struct cf_selection){.tables = orders, .n_tables = 1});
	check_taken("--ddd--");
	select_tables(&(struct cf_selection){.tables = first, .n_tables = 1});
	check_taken("---d---");
	select_tables(&(struct cf_selection){.exclude_tables = orders, .n_exclude_tables = 1});
	check_taken("d----dd");
	select_tables(&(struct cf_selection){.exclude_data = orders, .n_exclude_data = 1});
	check_taken("d-ttddd"); /* a sequence is not its table's data */
	select_tables(&(struct cf_selection){
		.tables = all, .n_tables = 1, .exclude_tables = first, .n_exclude_tables = 1});
	check_taken("d-d-ddd");
}

static void what_is_not_taken_is_excluded_from_pg_dump(void **state)
{
	const char *orders[] = {"orders"};
	static const char expected[] = "--exclude-table=\"app\".(\"conf\")\0"
				       "--exclude-table=\"we\"\"ird\".(\"a|b\"|\"view\")";
	struct cf_buf args = CF_BUF_INIT;

	select_tables(&(struct cf_selection){.tables = orders, .n_tables = 1});
	assert_int_equal(cf_pg_catalog_exclude_args(&catalog, &args, NULL), 0);
	assert_int_equal(args.len, sizeof(expected));
	assert_memory_equal(args.data, expected, sizeof(expected));
	cf_buf_clear(&args);
	select_tables(&(struct cf_selection){.n_tables = 0});
	assert_int_equal(cf_pg_catalog_exclude_args(&catalog, &args, NULL), 0);
	assert_int_equal(args.len, 0);
	cf_buf_release(&args);
}

static void a_table_without_rights_is_named(void **state)
{
	struct cf_err err = CF_ERR_INIT;

	select_tables(&(struct cf_selection){.n_tables = 0});
	for (size_t i = 0; i < catalog.n; i++)
		relations[i].may_read = relations[i].kind != 'v';
	assert_int_equal(cf_pg_catalog_check_rights(&catalog, "joe", NULL), 0);
	relations[3].has_row_security = true;
	assert_int_equal(cf_pg_catalog_check_rights(&catalog, "joe", &err), CF_ERR_ACCESS);
	assert_non_null(strstr(err.text, "app.orders_1: row security"));
	relations[3].may_read = false;
	assert_int_equal(cf_pg_catalog_check_rights(&catalog, "joe", &err), CF_ERR_ACCESS);
	assert_non_null(strstr(err.text, "user joe has no right"));
	relations[3].may_read = true;
	relations[3].has_row_security = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(target_with_a_password_is_refused_unquoted),
		cmocka_unit_test(targets_are_uris_and_connection_strings),
		cmocka_unit_test_setup_teardown(the_nearest_program_that_is_not_older_is_chosen, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_newest_program_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(programs_that_do_not_fit_are_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_program_s_error_lines_are_the_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_statement_may_fail_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_program_sees_only_the_servers_variables_it_is_given, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_program_that_is_stopped_ends, set_up, tear_down),
		cmocka_unit_test(the_same_script_has_the_same_key),
		cmocka_unit_test(digest_is_blake2b),
		cmocka_unit_test(what_belongs_to_a_table_is_taken_with_it),
		cmocka_unit_test(what_is_not_taken_is_excluded_from_pg_dump),
		cmocka_unit_test(a_table_without_rights_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
