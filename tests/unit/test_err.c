#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void set_keeps_code_and_text(void **state)
{
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(cf_err_set(&err, CF_ERR_BUSY, "%s is %d", "x", 7), CF_ERR_BUSY);
	assert_int_equal(err.code, CF_ERR_BUSY);
	assert_string_equal(err.text, "x is 7");
	cf_err_clear(&err);
	assert_int_equal(err.code, 0);
	assert_string_equal(err.text, "");
}

static void a_message_is_always_one_line(void **state)
{
	struct cf_err err = CF_ERR_INIT;

	cf_err_set(&err, CF_ERR_FAILED, "%s", "a\nb\rc\x1b[1m\x7f\td");
	assert_string_equal(err.text, "a?b?c?[1m??d");
	cf_err_wrap(&err, "%s", "x\ny");
	assert_string_equal(err.text, "x?y: a?b?c?[1m??d");
	cf_err_errno(&err, EIO, "%s", "p\nq");
	assert_string_equal(err.text, "p?q: Input/output error");
}

static void long_text_is_cut_not_overrun(void **state)
{
	struct cf_err err = CF_ERR_INIT;
	char text[3000];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	cf_err_set(&err, CF_ERR_FAILED, "%s", text);
	assert_int_equal(strlen(err.text), CF_ERR_TEXT_MAX - 1);
	cf_err_wrap(&err, "%s", "context");
	assert_int_equal(strlen(err.text), CF_ERR_TEXT_MAX - 1);
	assert_int_equal(strncmp(err.text, "context: aaa", 12), 0);
	cf_err_wrap(&err, "%s", text);
	cf_err_errno(&err, EIO, "%s", text);
	assert_int_equal(strlen(err.text), CF_ERR_TEXT_MAX - 1);
}

static void errno_maps_to_codes(void **state)
{
	static const struct {
		int errno_value, code;
	} cases[] = {
		{ENOSPC, CF_ERR_FULL},	 {EDQUOT, CF_ERR_FULL},	 {ENOENT, CF_ERR_NOT_FOUND},
		{EEXIST, CF_ERR_EXISTS}, {ENOMEM, CF_ERR_NOMEM}, {EACCES, CF_ERR_ACCESS},
		{EPERM, CF_ERR_ACCESS},	 {EIO, CF_ERR_FAILED},	 {0, CF_ERR_FAILED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cf_err err = CF_ERR_INIT;

		assert_int_equal(cf_err_errno(&err, cases[i].errno_value, "open %s", "f"), cases[i].code);
		assert_int_equal(err.code, cases[i].code);
		assert_int_equal(strncmp(err.text, "open f: ", 8), 0);
	}
}

static void wrap_keeps_the_code(void **state)
{
	struct cf_err err = CF_ERR_INIT;

	cf_err_nomem(&err);
	cf_err_wrap(&err, "pack %d", 3);
	assert_int_equal(err.code, CF_ERR_NOMEM);
	assert_string_equal(err.text, "pack 3: out of memory");
}

static void no_struct_is_fine(void **state)
{
	assert_int_equal(cf_err_set(NULL, CF_ERR_KEY, "x"), CF_ERR_KEY);
	assert_int_equal(cf_err_errno(NULL, ENOSPC, "x"), CF_ERR_FULL);
	assert_int_equal(cf_err_nomem(NULL), CF_ERR_NOMEM);
	cf_err_wrap(NULL, "x");
	cf_err_clear(NULL);
}

static void every_code_has_a_status_and_a_meaning(void **state)
{
	static const int codes[] = {
#define CF_ERR(name, number, status, text) name,
#include "base/err.def"
#undef CF_ERR
	};

	assert_int_equal(cf_err_exit_status(0), 0);
	assert_string_equal(cf_err_meaning(0), "done");
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		assert_true(codes[i] < 0);
		assert_in_range(cf_err_exit_status(codes[i]), 1, 6);
		assert_true(strlen(cf_err_meaning(codes[i])) > 0);
		assert_string_not_equal(cf_err_meaning(codes[i]), "unknown error");
	}
	assert_int_equal(cf_err_exit_status(CF_ERR_KEY), 5);
	assert_int_equal(cf_err_exit_status(-9999), 1);
	assert_string_equal(cf_err_meaning(-9999), "unknown error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_keeps_code_and_text),
		cmocka_unit_test(a_message_is_always_one_line),
		cmocka_unit_test(long_text_is_cut_not_overrun),
		cmocka_unit_test(errno_maps_to_codes),
		cmocka_unit_test(wrap_keeps_the_code),
		cmocka_unit_test(no_struct_is_fine),
		cmocka_unit_test(every_code_has_a_status_and_a_meaning),
	};

	return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
