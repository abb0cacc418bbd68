/* What a user may type for a source. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "cli/source.h"
#include "drivers/driver.h"
#include "tests/suite/temp_folder.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534

static int set_up(void **state)
{
	static struct cf_temp_folder folder;

	cf_temp_folder_make(&folder);
	assert_int_equal(chmod(folder.path, 0755), 0);
	assert_int_equal(chdir(folder.path), 0);
	*state = &folder;
	return 0;
}

static int tear_down(void **state)
{
	assert_int_equal(chdir("/"), 0);
	cf_temp_folder_remove(*state);
	return 0;
}

static void a_bare_name_that_exists_is_a_path(void **state)
{
	const struct cf_driver *driver = NULL;
	const char *rest = NULL;

	cf_temp_folder_put(*state, "documents", "");
	assert_int_equal(cf_source_find("documents", &driver, &rest, NULL), 0);
	assert_string_equal(driver->scheme, "files");
	assert_string_equal(rest, "documents");
	assert_int_equal(cf_source_find("nothing", &driver, &rest, NULL), CF_ERR_USAGE);
}

static void a_name_that_one_may_not_see_is_no_usage_error(void **state)
{
	const struct cf_driver *driver = NULL;
	const char *rest = NULL;
	struct cf_err err = CF_ERR_INIT;
	int rc;

	if (geteuid() != 0)
		skip();
	cf_temp_folder_mkdir(*state, "private");
	cf_temp_folder_chmod(*state, "private", 0700);
	cf_temp_folder_put(*state, "private/file", "");
	assert_int_equal(seteuid(NOBODY), 0);
	rc = cf_source_find("private/file", &driver, &rest, &err);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(rc, CF_ERR_ACCESS);
	assert_string_equal(err.text, "private/file: Permission denied");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_bare_name_that_exists_is_a_path, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_name_that_one_may_not_see_is_no_usage_error,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
