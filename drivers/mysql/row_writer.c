#include "drivers/mysql/row_writer.h"

#include "base/err.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { BLOCK_LEN = 16, FLOAT_LEN_MAX = 32 };

typedef uint8_t block __attribute__((vector_size(BLOCK_LEN)));

/* What stands behind the backslash; 0: the byte is itself. LOAD DATA and INSERT read these alike.
 */
static const char escapes[256] = {
	['\0'] = '0', ['\n'] = 'n', ['\r'] = 'r', [0x1a] = 'Z', ['\''] = '\'', ['\\'] = '\\',
};

static uint8_t *put_escaped(uint8_t *out, const uint8_t *from, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char escape = escapes[from[i]];

		if (escape) {
			*out++ = '\\';
			*out++ = (uint8_t)escape;
		} else {
			*out++ = from[i];
		}
	}
	return out;
}

/* Control characters are taken for suspects, to need three comparisons only. */
static bool needs_escapes(block bytes)
{
	block suspects = (block)(bytes < 0x20) | (block)(bytes == '\'') | (block)(bytes == '\\');
	uint64_t halves[2];

	memcpy(halves, &suspects, sizeof(halves));
	return (halves[0] | halves[1]) != 0;
}

static uint8_t *put_quoted(uint8_t *out, const uint8_t *from, size_t len)
{
	*out++ = '\'';
	for (; len >= BLOCK_LEN; from += BLOCK_LEN, len -= BLOCK_LEN) {
		block bytes;

		memcpy(&bytes, from, BLOCK_LEN);
		if (needs_escapes(bytes)) {
			out = put_escaped(out, from, BLOCK_LEN);
		} else {
			memcpy(out, &bytes, BLOCK_LEN);
			out += BLOCK_LEN;
		}
	}
	out = put_escaped(out, from, len);
	*out++ = '\'';
	return out;
}

static uint8_t *put_hex(uint8_t *out, const uint8_t *from, size_t len)
{
	static const char digits[] = "0123456789ABCDEF";

	*out++ = len ? '0' : '\'';
	*out++ = len ? 'x' : '\'';
	for (size_t i = 0; i < len; i++) {
		*out++ = (uint8_t)digits[from[i] >> 4];
		*out++ = (uint8_t)digits[from[i] & 15];
	}
	return out;
}

/* The server reads a double and rounds it; one beyond the largest float is out of range even if it
 * rounds to it. */
static bool reads_as(const char *text, float value)
{
	double read = strtod(text, NULL);

	return (float)read == value && fabs(read) <= (double)FLT_MAX;
}

/* The server shows six digits of a float, which are not always the same float again. */
static uint8_t *put_float(uint8_t *out, const char *text)
{
	float value = strtof(text, NULL);

	for (int digits = 6; digits <= 9; digits++) {
		int len = snprintf((char *)out, FLOAT_LEN_MAX, "%.*g", digits, (double)value);
		if (reads_as((const char *)out, value))
			return out + len;
	}
	return out + snprintf((char *)out, FLOAT_LEN_MAX, "%.17g", (double)value);
}

/* A number, for INSERT; a text that is no value but a number, for LOAD DATA, unless one is "+0". */
static uint8_t *put_enum(uint8_t *out, const char *value, size_t len, size_t mark_len)
{
	if (len > 0)
		return put_quoted(out, (const uint8_t *)value + mark_len, len - mark_len);
	*out++ = '+';
	*out++ = '0';
	return out;
}

static const char introducer[] = "_utf8mb4";

static uint8_t *put_value(uint8_t *out, enum cf_mysql_form form, const char *value, size_t len)
{
	if (!value) {
		memcpy(out, "NULL", 4);
		return out + 4;
	}
	switch (form) {
	case CF_MYSQL_QUOTED:
		return put_quoted(out, (const uint8_t *)value, len);
	case CF_MYSQL_HEX:
		return put_hex(out, (const uint8_t *)value, len);
	case CF_MYSQL_FLOAT:
		return put_float(out, value);
	case CF_MYSQL_ENUM:
		return put_enum(out, value, len, 0);
	case CF_MYSQL_MARKED_ENUM:
		return put_enum(out, value, len, 1);
	case CF_MYSQL_UTF8:
		memcpy(out, introducer, sizeof(introducer) - 1);
		return put_quoted(out + sizeof(introducer) - 1, (const uint8_t *)value, len);
	case CF_MYSQL_AS_IS:
		break;
	}
	memcpy(out, value, len);
	return out + len;
}

/* Beyond the least length, by a chance in proportion to the row's length, that the row alone
 * decides. */
static bool ends_statement(const struct cf_mysql_row_writer *writer, const uint8_t *row, size_t len)
{
	const uint64_t span = CF_MYSQL_STATEMENT_MEAN - CF_MYSQL_STATEMENT_MIN;

	if (writer->statement_len < CF_MYSQL_STATEMENT_MIN)
		return false;
	if (writer->statement_len >= CF_MYSQL_STATEMENT_MAX || len >= span)
		return true;
	return (uint32_t)XXH3_64bits(row, len) < len * (UINT32_MAX / span);
}

static int begin_row(struct cf_mysql_row_writer *writer, size_t row_len_max, struct cf_err *err)
{
	int rc = 0;

	if (writer->statement_len == 0) {
		rc = cf_buf_append(&writer->out, writer->head.data, writer->head.len, err);
		writer->statement_len = writer->head.len;
	} else {
		rc = cf_buf_append(&writer->out, ",", 1, err);
		writer->statement_len++;
	}
	return rc == 0 ? cf_buf_reserve(&writer->out, row_len_max, err) : rc;
}

int cf_mysql_row_writer_add(struct cf_mysql_row_writer *writer, const char *const *values,
			    const unsigned long *lengths, struct cf_err *err)
{
	size_t len_max = 4, row_len;
	uint8_t *row, *out;
	int rc;

	/* Every byte may need two, and quotes or 0x, and a comma; a float is as long as it is, and
	 * longer than an introducer. */
	for (size_t i = 0; i < writer->n_columns; i++)
		len_max += 2 * (size_t)lengths[i] + FLOAT_LEN_MAX + 1;
	rc = begin_row(writer, len_max, err);
	if (rc < 0)
		return rc;
	row = writer->out.data + writer->out.len;
	out = row;
	*out++ = '(';
	for (size_t i = 0; i < writer->n_columns; i++) {
		if (i > 0)
			*out++ = ',';
		out = put_value(out, writer->forms[i], values[i], lengths[i]);
	}
	*out++ = ')';
	*out++ = '\n';
	row_len = (size_t)(out - row);
	writer->out.len += row_len;
	writer->statement_len += row_len;
	writer->n_rows++;
	return ends_statement(writer, row, row_len) ? cf_mysql_row_writer_end(writer, err) : 0;
}

int cf_mysql_row_writer_end(struct cf_mysql_row_writer *writer, struct cf_err *err)
{
	if (writer->statement_len == 0)
		return 0;
	writer->statement_len = 0;
	return cf_buf_append(&writer->out, ";\n", 2, err);
}

void cf_mysql_row_writer_release(struct cf_mysql_row_writer *writer)
{
	cf_buf_release(&writer->out);
}
