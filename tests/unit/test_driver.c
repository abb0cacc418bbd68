#include "base/err.h"
#include "drivers/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void source_names_its_driver(void **state)
{
	static const struct {
		const char *source, *scheme, *rest;
	} cases[] = {
		{"files:/etc", "files", "/etc"},
		{"files:relative", "files", "relative"},
		{"stream:dump.sql", "stream", "dump.sql"},
		{"tar:-", "tar", "-"},
		{"tar:", "tar", ""},
		{"sqlite:/srv/a:b.db", "sqlite", "/srv/a:b.db"},
		{"/etc", "files", "/etc"},
		{"./x", "files", "./x"},
		{"../x", "files", "../x"},
		{".", "files", "."},
		{"..", "files", ".."},
		{"/odd:name", "files", "/odd:name"},
		{"./sqlite:x", "files", "./sqlite:x"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct cf_driver *driver = NULL;
		const char *rest = NULL;

		assert_int_equal(cf_driver_find(cases[i].source, &driver, &rest, NULL), 0);
		assert_string_equal(driver->scheme, cases[i].scheme);
		assert_string_equal(rest, cases[i].rest);
	}
}

static void source_of_no_driver_is_a_usage_error(void **state)
{
	static const char *const sources[] = {"",   "etc",	 "ftp:x",   "SQLITE:x",
					      ":x", "file:/etc", ".hidden", "-"};

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		struct cf_err err = CF_ERR_INIT;
		const struct cf_driver *driver = NULL;
		const char *rest = NULL;

		assert_int_equal(cf_driver_find(sources[i], &driver, &rest, &err), CF_ERR_USAGE);
		assert_non_null(strstr(err.text, "files: stream: tar: sqlite:"));
	}
}

static void every_driver_is_complete(void **state)
{
	size_t n = 0;

	for (; cf_drivers[n]; n++) {
		const struct cf_driver *driver = cf_drivers[n];

		assert_non_null(driver->open);
		assert_non_null(driver->names);
		assert_non_null(driver->run);
		assert_non_null(driver->close);
		assert_true(strlen(driver->about) > 0);
		assert_memory_equal(driver->usage, driver->scheme, strlen(driver->scheme));
		assert_int_equal(driver->usage[strlen(driver->scheme)], ':');
	}
	assert_true(n >= 4); /* those of database servers depend on the build */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(source_names_its_driver),
		cmocka_unit_test(source_of_no_driver_is_a_usage_error),
		cmocka_unit_test(every_driver_is_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
