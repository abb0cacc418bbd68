/* What a backup of what somebody typed is called, without a server, and which listed source is meant by it. */

#include "base/err.h"
#include "cli/select_source.h"
#include "drivers/driver.h"
#include "drivers/source_names.h"
#include "repo/snapshot.h"
#include "tests/suite/temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static struct cf_temp_folder folder;

static int set_up(void **state)
{
	static const char *const variables[] = {"PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE", "PGHOSTADDR",
						"MYSQL_HOST", "MYSQL_TCP_PORT"};

	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
	cf_temp_folder_make(&folder);
	assert_int_equal(chdir(folder.path), 0);
	cf_temp_folder_put(&folder, "services", "[shop]\nhost=db2\nport=5444\ndbname=orders\n");
	setenv("PGSERVICEFILE", "services", 1);
	setenv("PGUSER", "anna", 1);
	return 0;
}

static int tear_down(void **state)
{
	assert_int_equal(chdir("/"), 0);
	cf_temp_folder_remove(&folder);
	return 0;
}

/* The listed source that is meant, "?" for none, "!" for several. To free(). */
static char *meant(const char *text, const char *const *listed, size_t n, char **hint_out)
{
	struct cf_snapshot snapshots[8] = {{.source = NULL}}, *items[8];
	struct cf_snapshot_list list = {.items = items, .n = n};
	struct cf_err err = CF_ERR_INIT;
	char *source = NULL;
	int rc;

	*hint_out = NULL;
	for (size_t i = 0; i < n; i++) {
		snapshots[i].source = (char *)(uintptr_t)listed[i];
		items[i] = &snapshots[i];
	}
	rc = cf_select_source(&list, text, &source, hint_out, &err);
	if (rc == CF_ERR_USAGE)
		return strdup("!");
	assert_int_equal(rc, 0);
	if (!*hint_out)
		return source;
	free(source);
	return strdup("?");
}

static bool has_driver(const char *listed)
{
	char scheme[16];

	snprintf(scheme, sizeof(scheme), "%.*s", (int)strcspn(listed, ":"), listed);
	return cf_driver_named(scheme) != NULL;
}

static void what_was_typed_means_a_listed_source(void **state)
{
	static const struct {
		const char *typed, *listed, *other, *meant; /* meant NULL: listed */
	} cases[] = {
		{"postgres://anna@db1/shop", "postgres://db1:5432/shop", "postgres://db1:5432/other", NULL},
		{"postgresql://db1/shop", "postgres://db1:5432/shop", NULL, NULL},
		{"postgres://db1:5432/shop", "postgres://db1:5432/shop", NULL, NULL},
		{"postgres://db1:5433/shop", "postgres://db1:5432/shop", NULL, "?"},
		{"postgres:host=db1 dbname=shop user=x", "postgres://db1:5432/shop", NULL, NULL},
		{"postgres:service=shop", "postgres://db2:5444/orders", NULL, NULL},
		{"postgres:service=none", "postgres://db2:5444/orders", NULL, "?"},
		{"postgres://db1", "postgres://db1:5432/anna", "postgres://db2:5432/anna", NULL},
		{"postgres://bob@db1", "postgres://db1:5432/bob", "postgres://db1:5432/anna", NULL},
		{"postgres://db1/", "postgres://db1:5432", "postgres://db1:5432/bob", NULL},
		{"postgres://db1", "postgres://db1:5432", "postgres://db1:5432/anna", "!"},
		{"postgres://db1/anna", "postgres://db1:5432/anna", "postgres://db1:5432", NULL},
		{"postgres:///shop", "postgres://[local]:5432/shop", NULL, NULL},
		{"postgres:///shop?host=/tmp&port=9", "postgres://[local]:9/shop", NULL, NULL},
		{"postgres://db1,db2:7/shop", "postgres://db2:7/shop", "postgres://db1:7/shop", NULL},
		{"postgres://db1,db2:7/shop", "postgres://db2:7/shop", "postgres://db1:5432/shop", "!"},
		{"postgres://[::1]/shop", "postgres://[::1]:5432/shop", NULL, NULL},
		{"postgres:", "postgres://[local]:5432/anna", NULL, NULL},
		{"postgres:nonsense", "postgres://db1:5432/nonsense", NULL, "?"},
		{"mysql://root@db1/shop", "mysql://db1:3306/shop", "mysql://db1:3306", NULL},
		{"mariadb://db1:3306/shop", "mysql://db1:3306/shop", NULL, NULL},
		{"mysql://db1:3307/shop", "mysql://db1:3306/shop", NULL, "?"},
		{"mysql://db1/a,b", "mysql://db1:3306/a,b", NULL, NULL},
		{"mysql://db1", "mysql://db1:3306", "mysql://db1:3306/a", NULL},
		{"mysql:///shop", "mysql://[local]:3311/shop", "mysql://[local]:3311", NULL},
		{"mysql://", "mysql://[local]:3311", "mysql://[local]:3311/shop", NULL},
		{"mysql:///shop?socket=/run/x.sock", "mysql://[local]:/run/x.sock/shop", NULL, NULL},
		{"mysql:///shop", "mysql://[local]:3306/shop", "mysql://[local]:3307/shop", "!"},
		{"mysql://localhost:3307/shop", "mysql://localhost:3307/shop", "mysql://[local]:3307/shop", NULL},
		{"stream:x", "stream:x", "stream:y", NULL},
		{"tar:-", "tar:-", NULL, NULL},
		{"nothing", "stream:x", NULL, "?"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const listed[] = {cases[i].listed, cases[i].other};
		char *hint, *found;

		if (!has_driver(cases[i].listed))
			continue;
		found = meant(cases[i].typed, listed, cases[i].other ? 2 : 1, &hint);
		if (strcmp(found, cases[i].meant ? cases[i].meant : cases[i].listed) != 0)
			fail_msg("%s: %s", cases[i].typed, found);
		free(found);
		free(hint);
	}
}

static void a_path_means_what_is_or_was_there(void **state)
{
	static const char *const typed[] = {"data", "./data", "files:data/", "link", "data/../data"};
	static const char *const gone[] = {"gone/deep", "./gone//deep/", "files:gone/deep", "link/../gone/deep"};
	char there[600], was[600], *hint, *found;
	const char *const listed[] = {there, was};

	cf_temp_folder_mkdir(&folder, "data");
	assert_int_equal(symlink("data", "link"), 0);
	snprintf(there, sizeof(there), "files:%s/data", folder.path);
	snprintf(was, sizeof(was), "files:%s/gone/deep", folder.path);
	for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++) {
		found = meant(typed[i], listed, 2, &hint);
		assert_string_equal(found, there);
		free(found);
	}
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		found = meant(gone[i], listed, 2, &hint);
		assert_string_equal(found, was);
		free(found);
	}
	found = meant("gone/..", listed, 2, &hint);
	assert_string_equal(found, "?");
	free(found);
	free(hint);
}

static void what_is_near_is_named(void **state)
{
	static const char *const listed[] = {"stream:orders", "stream:a", "files:/etc", "stream:a", "files:/srv", "tar:/x"};
	char *hint, *found = meant("stream:order", listed, 6, &hint);

	free(found);
	assert_string_equal(hint, "no snapshot is of stream:order; did you mean stream:orders?");
	free(hint);
	found = meant("sqlite:/somewhere/else.db", listed, 6, &hint);
	free(found);
	assert_string_equal(hint, "no snapshot is of sqlite:/somewhere/else.db; there are stream:orders, stream:a, files:/etc and 2 more");
	free(hint);
	found = meant("postgres://u:secret@h/d", listed, 1, &hint);
	free(found);
	assert_null(strstr(hint, "secret"));
	free(hint);
	found = meant("stream:order", listed, 0, &hint);
	assert_string_equal(found, "stream:order");
	assert_null(hint);
	free(found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_typed_means_a_listed_source),
		cmocka_unit_test(a_path_means_what_is_or_was_there),
		cmocka_unit_test(what_is_near_is_named),
	};

	return cmocka_run_group_tests_name("source names", tests, set_up, tear_down);
}
