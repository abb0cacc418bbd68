#include "base/buf.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void appended_bytes_are_there_in_order(void **state)
{
	struct cf_buf buf = CF_BUF_INIT;

	assert_int_equal(cf_buf_append(&buf, NULL, 0, NULL), 0);
	assert_int_equal(cf_buf_append_str(&buf, "", NULL), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(cf_buf_append(&buf, "abc", 3, NULL), 0);
	assert_int_equal(buf.len, 3000);
	assert_true(buf.capacity >= buf.len);
	for (size_t i = 0; i < buf.len; i++)
		assert_int_equal(buf.data[i], 'a' + i % 3);
	assert_int_equal(cf_buf_span(&buf).len, 3000);
	cf_buf_release(&buf);
	assert_null(buf.data);
	assert_int_equal(buf.capacity, 0);
	cf_buf_release(&buf);
}

static void reserve_keeps_the_length(void **state)
{
	struct cf_buf buf = CF_BUF_INIT;
	uint8_t *data;

	assert_int_equal(cf_buf_reserve(&buf, 1000, NULL), 0);
	assert_int_equal(buf.len, 0);
	data = buf.data;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(cf_buf_append(&buf, "x", 1, NULL), 0);
	assert_ptr_equal(buf.data, data);
	cf_buf_release(&buf);
}

static void a_size_that_cannot_be_is_out_of_memory(void **state)
{
	struct cf_buf buf = CF_BUF_INIT;
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(cf_buf_append_str(&buf, "kept", NULL), 0);
	assert_int_equal(cf_buf_reserve(&buf, SIZE_MAX, &err), CF_ERR_NOMEM);
	assert_int_equal(err.code, CF_ERR_NOMEM);
	assert_int_equal(cf_buf_reserve(&buf, SIZE_MAX - 4, NULL), CF_ERR_NOMEM);
	assert_int_equal(cf_buf_resize(&buf, SIZE_MAX / 2 + 10, NULL), CF_ERR_NOMEM);
	assert_int_equal(buf.len, 4);
	assert_memory_equal(buf.data, "kept", 4);
	cf_buf_release(&buf);
}

static void resize_fills_with_zeros(void **state)
{
	static const uint8_t want[6] = {'a', 'b', 0, 0, 0, 0};
	struct cf_buf buf = CF_BUF_INIT;

	assert_int_equal(cf_buf_append_str(&buf, "abcdef", NULL), 0);
	assert_int_equal(cf_buf_resize(&buf, 2, NULL), 0);
	assert_int_equal(cf_buf_resize(&buf, 6, NULL), 0);
	assert_int_equal(buf.len, 6);
	assert_memory_equal(buf.data, want, 6);
	cf_buf_clear(&buf);
	assert_int_equal(buf.len, 0);
	assert_true(buf.capacity >= 6);
	cf_buf_release(&buf);
}

static void printf_appends_without_the_nul(void **state)
{
	struct cf_buf buf = CF_BUF_INIT;

	assert_int_equal(cf_buf_printf(&buf, NULL, "%d-%s", 12, "ab"), 0);
	assert_int_equal(cf_buf_printf(&buf, NULL, "%0200d", 1), 0);
	assert_int_equal(buf.len, 205);
	assert_memory_equal(buf.data, "12-ab000", 8);
	assert_int_equal(buf.data[204], '1');
	cf_buf_release(&buf);
}

static void spans_borrow(void **state)
{
	const char *text = "hello";
	struct cf_span span = cf_span_str(text);

	assert_ptr_equal(span.data, text);
	assert_int_equal(span.len, 5);
	assert_int_equal(cf_span_str("").len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appended_bytes_are_there_in_order),
		cmocka_unit_test(reserve_keeps_the_length),
		cmocka_unit_test(a_size_that_cannot_be_is_out_of_memory),
		cmocka_unit_test(resize_fills_with_zeros),
		cmocka_unit_test(printf_appends_without_the_nul),
		cmocka_unit_test(spans_borrow),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
