#include "base/err.h"
#include "drivers/mysql/row_writer.h"

#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static const char head[] = "INSERT INTO `t` VALUES\n";

static struct cf_mysql_row_writer writer_of(const enum cf_mysql_form *forms, size_t n)
{
	return (struct cf_mysql_row_writer){
		.head = cf_span_of(head, sizeof(head) - 1), .forms = forms, .n_columns = n};
}

static void add(struct cf_mysql_row_writer *writer, const char *value, size_t len)
{
	struct cf_err err = CF_ERR_INIT;
	unsigned long length = len;

	assert_int_equal(cf_mysql_row_writer_add(writer, &value, &length, &err), 0);
}

/* What one value of one column looks like, without the parentheses. */
static void assert_value(enum cf_mysql_form form, const char *value, size_t len,
			 const char *expected)
{
	struct cf_mysql_row_writer writer = writer_of(&form, 1);
	size_t head_len = sizeof(head) - 1, expected_len = strlen(expected);

	add(&writer, value, len);
	assert_int_equal(writer.out.len, head_len + expected_len + 3);
	assert_memory_equal(writer.out.data + head_len + 1, expected, expected_len);
	assert_memory_equal(writer.out.data + head_len + 1 + expected_len, ")\n", 2);
	cf_mysql_row_writer_release(&writer);
}

static void values_are_written_as_their_form_says(void **state)
{
	assert_value(CF_MYSQL_AS_IS, "-12.50", 6, "-12.50");
	assert_value(CF_MYSQL_AS_IS, NULL, 0, "NULL");
	assert_value(CF_MYSQL_QUOTED, NULL, 0, "NULL");
	assert_value(CF_MYSQL_HEX, NULL, 0, "NULL");
	assert_value(CF_MYSQL_QUOTED, "", 0, "''");
	assert_value(CF_MYSQL_QUOTED, "NULL", 4, "'NULL'");
	assert_value(CF_MYSQL_HEX, "", 0, "''");
	assert_value(CF_MYSQL_HEX, "\0\xff'\n", 4, "0x00FF270A");
}

static void special_bytes_are_escaped_wherever_they_stand(void **state)
{
	static const struct {
		char byte;
		const char *escaped;
	} specials[] = {{'\0', "\\0"}, {'\n', "\\n"}, {'\r', "\\r"},
			{0x1a, "\\Z"}, {'\'', "\\'"}, {'\\', "\\\\"}};

	for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++)
		for (size_t at = 0; at < 40; at++) {
			char value[40], expected[128];

			memset(value, 'x', sizeof(value));
			value[at] = specials[i].byte;
			snprintf(expected, sizeof(expected), "'%.*s%s%.*s'", (int)at,
				 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", specials[i].escaped,
				 (int)(39 - at), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
			assert_value(CF_MYSQL_QUOTED, value, sizeof(value), expected);
		}
}

static void other_bytes_are_themselves(void **state)
{
	char value[256], expected[260];
	size_t n = 0, len = 1;

	expected[0] = '\'';
	for (int byte = 1; byte < 256; byte++)
		if (!strchr("\n\r\x1a'\\", byte))
			expected[len++] = value[n++] = (char)byte;
	expected[len++] = '\'';
	expected[len] = '\0';
	assert_value(CF_MYSQL_QUOTED, value, n, expected);
}

static void floats_have_the_fewest_digits_that_are_the_same_float(void **state)
{
	assert_value(CF_MYSQL_FLOAT, "0.10000000149011612", 19, "0.1");
	assert_value(CF_MYSQL_FLOAT, "16777216", 8, "16777216");
	assert_value(CF_MYSQL_FLOAT, "-0", 2, "-0");
	assert_value(CF_MYSQL_FLOAT, "3.4028234663852886e38", 21, "3.4028234663852886e+38");
	assert_value(CF_MYSQL_FLOAT, "1.401298464324817e-45", 21, "1.4013e-45");
}

static void what_is_no_member_of_an_enum_is_a_number(void **state)
{
	assert_value(CF_MYSQL_ENUM, "", 0, "+0");
	assert_value(CF_MYSQL_ENUM, "it's", 4, "'it\\'s'");
	assert_value(CF_MYSQL_MARKED_ENUM, "", 0, "+0");
	assert_value(CF_MYSQL_MARKED_ENUM, "=", 1, "''");
	assert_value(CF_MYSQL_MARKED_ENUM, "=a", 2, "'a'");
}

static void json_says_what_its_bytes_mean(void **state)
{
	assert_value(CF_MYSQL_UTF8, NULL, 0, "NULL");
	assert_value(CF_MYSQL_UTF8, "{\"a\": \"it's\\n\"}", 15, "_utf8mb4'{\"a\": \"it\\'s\\\\n\"}'");
}

static void every_float_reads_back_as_itself(void **state)
{
	const enum cf_mysql_form form = CF_MYSQL_FLOAT;
	uint32_t bits = 1;

	for (int i = 0; i < 20000; i++) {
		struct cf_mysql_row_writer writer = writer_of(&form, 1);
		char text[64];
		float value;
		double read;

		bits = bits * 1664525 + 1013904223;
		memcpy(&value, &bits, sizeof(value));
		if (!(value - value == 0)) /* the servers know neither infinity nor NaN */
			continue;
		snprintf(text, sizeof(text), "%.17g", (double)value);
		add(&writer, text, strlen(text));
		read = strtod((const char *)writer.out.data + sizeof(head), NULL);
		assert_true((float)read == value);
		assert_true(read <= (double)FLT_MAX && read >= -(double)FLT_MAX);
		cf_mysql_row_writer_release(&writer);
	}
}

static void a_row_is_a_line_of_a_statement(void **state)
{
	const enum cf_mysql_form forms[] = {CF_MYSQL_AS_IS, CF_MYSQL_QUOTED};
	struct cf_mysql_row_writer writer = writer_of(forms, 2);
	struct cf_err err = CF_ERR_INIT;
	const char *const rows[][2] = {{"1", "x"}, {"2", NULL}};
	const unsigned long lengths[][2] = {{1, 1}, {1, 0}};
	static const char expected[] = "INSERT INTO `t` VALUES\n(1,'x')\n,(2,NULL)\n;\n";

	for (int i = 0; i < 2; i++)
		assert_int_equal(cf_mysql_row_writer_add(&writer, rows[i], lengths[i], &err), 0);
	assert_int_equal(cf_mysql_row_writer_end(&writer, &err), 0);
	assert_int_equal(cf_mysql_row_writer_end(&writer, &err), 0);
	assert_int_equal(writer.out.len, sizeof(expected) - 1);
	assert_memory_equal(writer.out.data, expected, sizeof(expected) - 1);
	assert_int_equal(writer.n_rows, 2);
	cf_mysql_row_writer_release(&writer);
}

static void no_rows_are_no_statement(void **state)
{
	const enum cf_mysql_form form = CF_MYSQL_AS_IS;
	struct cf_mysql_row_writer writer = writer_of(&form, 1);
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(cf_mysql_row_writer_end(&writer, &err), 0);
	assert_int_equal(writer.out.len, 0);
}

enum { N_ROWS = 100000 };

/* The rows 0 .. N_ROWS, of about 100 bytes each, but for the changed one, as a text ended by NUL.
 */
static char *text_of_rows(int changed)
{
	const enum cf_mysql_form form = CF_MYSQL_QUOTED;
	struct cf_mysql_row_writer writer = writer_of(&form, 1);
	struct cf_err err = CF_ERR_INIT;
	char value[128];

	for (int i = 0; i < N_ROWS; i++) {
		int len = snprintf(value, sizeof(value), "%08d %s %080d", i,
				   i == changed ? "changed" : "as it was", i);

		add(&writer, value, (size_t)len);
	}
	assert_int_equal(cf_mysql_row_writer_end(&writer, &err), 0);
	assert_int_equal(cf_buf_append(&writer.out, "", 1, &err), 0);
	return (char *)writer.out.data;
}

static void statements_have_a_bounded_length(void **state)
{
	char *text = text_of_rows(-1), *at = text;
	size_t n = 0;

	while (*at) {
		char *end = strstr(at, "\n;\n");
		size_t len;

		assert_non_null(end);
		len = (size_t)(end - at);
		assert_memory_equal(at, head, sizeof(head) - 1);
		assert_true(len <= CF_MYSQL_STATEMENT_MAX + 200);
		assert_true(len >= CF_MYSQL_STATEMENT_MIN - 200 || end[3] == '\0');
		at = end + 3;
		n++;
	}
	/* 10 MB in pieces of 256 KiB on average. */
	assert_in_range(n, 15, 100);
	free(text);
}

static void a_changed_row_leaves_other_statements_alone(void **state)
{
	char *before = text_of_rows(-1), *after = text_of_rows(N_ROWS / 2);
	size_t before_len = strlen(before), after_len = strlen(after);
	size_t prefix = 0, suffix = 0;

	while (before[prefix] == after[prefix])
		prefix++;
	while (suffix < after_len - prefix &&
	       before[before_len - 1 - suffix] == after[after_len - 1 - suffix])
		suffix++;
	assert_true(prefix > before_len / 3);
	/* At worst the row ended its statement or now does, and the next end differs with it. */
	assert_true(after_len - prefix - suffix < 2 * CF_MYSQL_STATEMENT_MAX);
	free(before);
	free(after);
}

static void a_row_longer_than_a_statement_is_one(void **state)
{
	const enum cf_mysql_form form = CF_MYSQL_HEX;
	struct cf_mysql_row_writer writer = writer_of(&form, 1);
	size_t len = 3 << 20;
	char *value = calloc(1, len);

	assert_non_null(value);
	add(&writer, value, len);
	assert_int_equal(writer.statement_len, 0);
	assert_int_equal(writer.out.len, sizeof(head) - 1 + 2 * len + 2 + 3 + 2);
	assert_memory_equal(writer.out.data + writer.out.len - 5, "0)\n;\n", 5);
	cf_mysql_row_writer_release(&writer);
	free(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_written_as_their_form_says),
		cmocka_unit_test(what_is_no_member_of_an_enum_is_a_number),
		cmocka_unit_test(special_bytes_are_escaped_wherever_they_stand),
		cmocka_unit_test(other_bytes_are_themselves),
		cmocka_unit_test(floats_have_the_fewest_digits_that_are_the_same_float),
		cmocka_unit_test(json_says_what_its_bytes_mean),
		cmocka_unit_test(every_float_reads_back_as_itself),
		cmocka_unit_test(a_row_is_a_line_of_a_statement),
		cmocka_unit_test(no_rows_are_no_statement),
		cmocka_unit_test(statements_have_a_bounded_length),
		cmocka_unit_test(a_changed_row_leaves_other_statements_alone),
		cmocka_unit_test(a_row_longer_than_a_statement_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
