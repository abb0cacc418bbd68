#include "drivers/mysql/sql.h"

#include "base/err.h"
#include "drivers/mysql/client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* In the columns' own character set, or the server would not look the name up but read all. */
static int append_identifier(struct cf_buf *out, const char *name, struct cf_err *err)
{
	int rc = cf_buf_append_str(out, "CONVERT(", err);

	if (rc == 0)
		rc = cf_mysql_quote_text(name, out, err);
	return rc == 0 ? cf_buf_append_str(out, " USING utf8) COLLATE utf8_bin", err) : rc;
}

static int append_argument(struct cf_buf *out, char kind, va_list *args, struct cf_err *err)
{
	switch (kind) {
	case 'n':
		return cf_mysql_quote_name(va_arg(*args, const char *), out, err);
	case 't':
		return cf_mysql_quote_text(va_arg(*args, const char *), out, err);
	case 'i':
		return append_identifier(out, va_arg(*args, const char *), err);
	case 's':
		return cf_buf_append_str(out, va_arg(*args, const char *), err);
	case 'u':
		return cf_buf_printf(out, err, "%u", va_arg(*args, unsigned));
	default:
		assert(kind == '%');
		return cf_buf_append(out, "%", 1, err);
	}
}

int cf_mysql_sql_args(struct cf_buf *out, struct cf_err *err, const char *fmt, va_list args)
{
	va_list rest;
	int rc = 0;

	va_copy(rest, args);
	while (rc == 0 && *fmt) {
		size_t len = strcspn(fmt, "%");

		rc = cf_buf_append(out, fmt, len, err);
		fmt += len;
		if (rc == 0 && *fmt) {
			rc = append_argument(out, fmt[1], &rest, err);
			fmt += 2;
		}
	}
	va_end(rest);
	if (rc == 0)
		rc = cf_buf_append(out, "", 1, err);
	if (rc == 0)
		out->len--;
	return rc;
}

int cf_mysql_sql(struct cf_buf *out, struct cf_err *err, const char *fmt, ...)
{
	va_list args;
	int rc;

	va_start(args, fmt);
	rc = cf_mysql_sql_args(out, err, fmt, args);
	va_end(args);
	return rc;
}

int cf_mysql_do(struct cf_mysql *my, struct cf_err *err, const char *fmt, ...)
{
	struct cf_buf sql = CF_BUF_INIT;
	va_list args;
	int rc;

	va_start(args, fmt);
	rc = cf_mysql_sql_args(&sql, err, fmt, args);
	va_end(args);
	if (rc == 0)
		rc = cf_mysql_run_span(my, cf_buf_span(&sql), err);
	cf_buf_release(&sql);
	return rc;
}

int cf_mysql_ask(struct cf_mysql *my, struct cf_mysql_result **result_out, struct cf_err *err,
		 const char *fmt, ...)
{
	struct cf_buf sql = CF_BUF_INIT;
	va_list args;
	int rc;

	va_start(args, fmt);
	rc = cf_mysql_sql_args(&sql, err, fmt, args);
	va_end(args);
	if (rc == 0)
		rc = cf_mysql_query(my, (const char *)sql.data, result_out, err);
	cf_buf_release(&sql);
	return rc;
}

int cf_mysql_ask_value(struct cf_mysql *my, char **value_out, struct cf_err *err, const char *fmt,
		       ...)
{
	struct cf_buf sql = CF_BUF_INIT;
	va_list args;
	int rc;

	*value_out = NULL;
	va_start(args, fmt);
	rc = cf_mysql_sql_args(&sql, err, fmt, args);
	va_end(args);
	if (rc == 0)
		rc = cf_mysql_value(my, (const char *)sql.data, value_out, err);
	cf_buf_release(&sql);
	return rc;
}

int cf_mysql_copy(const char *value, char **copy_out, struct cf_err *err)
{
	*copy_out = value ? strdup(value) : NULL;
	return value && !*copy_out ? cf_err_nomem(err) : 0;
}

int cf_mysql_fetch_one(struct cf_mysql_result *result, struct cf_mysql_row *row_out,
		       struct cf_err *err)
{
	int rc = cf_mysql_fetch(result, row_out, err);

	if (rc == 0)
		return cf_err_set(err, CF_ERR_FAILED, "the server says nothing of it");
	return rc < 0 ? rc : 0;
}
