#include "base/le.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void integers_are_little_endian(void **state)
{
	static const uint8_t want[15] = {0xfe, 0x02, 0x01, 0x06, 0x05, 0x04, 0x83, 0xf8,
					 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x81};
	struct cf_buf buf = CF_BUF_INIT;
	struct cf_cursor c;

	assert_int_equal(cf_buf_put_u8(&buf, 0xfe, NULL), 0);
	assert_int_equal(cf_buf_put_u16(&buf, 0x0102, NULL), 0);
	assert_int_equal(cf_buf_put_u32(&buf, 0x83040506u, NULL), 0);
	assert_int_equal(cf_buf_put_u64(&buf, 0x81020304050607f8u, NULL), 0);
	assert_int_equal(buf.len, sizeof(want));
	assert_memory_equal(buf.data, want, sizeof(want));
	c = cf_cursor_of(cf_buf_span(&buf));
	assert_int_equal(cf_cursor_u8(&c), 0xfe);
	assert_int_equal(cf_cursor_u16(&c), 0x0102);
	assert_int_equal(cf_cursor_u32(&c), 0x83040506u);
	assert_true(cf_cursor_u64(&c) == 0x81020304050607f8u);
	assert_true(cf_cursor_ok(&c));
	assert_int_equal(cf_cursor_left(&c), 0);
	cf_buf_release(&buf);
}

static void a_cursor_never_passes_the_end(void **state)
{
	static const uint8_t bytes[7] = {1, 2, 3, 4, 5, 6, 7};
	struct cf_cursor c = cf_cursor_of(cf_span_of(bytes, sizeof(bytes)));

	assert_true(cf_cursor_u64(&c) == 0);
	assert_false(cf_cursor_ok(&c));
	/* Zeros from then on, even where bytes would be left. */
	assert_int_equal(cf_cursor_u8(&c), 0);
	assert_null(cf_cursor_bytes(&c, 0));
	assert_false(cf_cursor_ok(&c));
}

static void a_huge_length_fails(void **state)
{
	static const uint8_t bytes[2] = {1, 2};
	struct cf_cursor c = cf_cursor_of(cf_span_of(bytes, sizeof(bytes)));

	assert_null(cf_cursor_bytes(&c, SIZE_MAX));
	assert_false(cf_cursor_ok(&c));
}

static void an_empty_span_has_no_bytes_and_no_trouble(void **state)
{
	struct cf_cursor c = cf_cursor_of((struct cf_span){.data = NULL, .len = 0});
	uint8_t out = 9;

	assert_int_equal(cf_cursor_left(&c), 0);
	cf_cursor_copy(&c, &out, 0);
	assert_true(cf_cursor_ok(&c));
	cf_cursor_copy(&c, &out, 1);
	assert_int_equal(out, 0);
	assert_false(cf_cursor_ok(&c));
}

static void bytes_are_borrowed(void **state)
{
	static const uint8_t bytes[4] = {1, 2, 3, 4};
	struct cf_cursor c = cf_cursor_of(cf_span_of(bytes, sizeof(bytes)));
	uint8_t out[3];

	assert_ptr_equal(cf_cursor_bytes(&c, 1), bytes);
	cf_cursor_copy(&c, out, 3);
	assert_memory_equal(out, bytes + 1, 3);
	assert_true(cf_cursor_ok(&c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_are_little_endian),
		cmocka_unit_test(a_cursor_never_passes_the_end),
		cmocka_unit_test(a_huge_length_fails),
		cmocka_unit_test(an_empty_span_has_no_bytes_and_no_trouble),
		cmocka_unit_test(bytes_are_borrowed),
	};

	return cmocka_run_group_tests_name("le", tests, NULL, NULL);
}
