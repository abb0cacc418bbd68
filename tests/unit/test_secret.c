#include "base/secret.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void a_new_secret_is_zero(void **state)
{
	static const uint8_t zero[32];
	struct cf_secret *secret;

	assert_int_equal(cf_secret_new(32, &secret, NULL), 0);
	assert_int_equal(cf_secret_span(secret).len, 32);
	assert_memory_equal(cf_secret_data(secret), zero, 32);
	cf_secret_free(secret);
}

static void a_copy_outlives_its_source(void **state)
{
	struct cf_secret *secret;
	char source[] = "passphrase";

	assert_int_equal(cf_secret_copy(cf_span_str(source), &secret, NULL), 0);
	cf_wipe(source, sizeof(source));
	assert_int_equal(source[0], 0);
	assert_int_equal(cf_secret_span(secret).len, 10);
	assert_memory_equal(cf_secret_span(secret).data, "passphrase", 10);
	cf_secret_free(secret);
}

static void an_empty_secret_is_one(void **state)
{
	struct cf_secret *secret;

	assert_int_equal(cf_secret_copy((struct cf_span){.data = NULL}, &secret, NULL), 0);
	assert_int_equal(cf_secret_span(secret).len, 0);
	cf_secret_free(secret);
	cf_secret_free(NULL);
}

static void a_size_that_cannot_be_is_out_of_memory(void **state)
{
	struct cf_secret *secret;
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(cf_secret_new(SIZE_MAX, &secret, &err), CF_ERR_NOMEM);
	assert_int_equal(err.code, CF_ERR_NOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_secret_is_zero),
		cmocka_unit_test(a_copy_outlives_its_source),
		cmocka_unit_test(an_empty_secret_is_one),
		cmocka_unit_test(a_size_that_cannot_be_is_out_of_memory),
	};

	return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
