#include "drivers/mysql/quote.h"

#include "base/err.h"

#include <stdbool.h>
#include <string.h>

static int append_quoted(const char *text, char quote, bool escapes_backslash, struct cf_buf *out,
			 struct cf_err *err)
{
	size_t len = strlen(text);
	int rc = cf_buf_reserve(out, 2 * len + 3, err);

	if (rc < 0)
		return rc;
	out->data[out->len++] = (uint8_t)quote;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == quote)
			out->data[out->len++] = (uint8_t)quote;
		else if (escapes_backslash && text[i] == '\\')
			out->data[out->len++] = '\\';
		out->data[out->len++] = (uint8_t)text[i];
	}
	out->data[out->len++] = (uint8_t)quote;
	out->data[out->len] = '\0';
	return 0;
}

int cf_mysql_quote_name(const char *name, struct cf_buf *out, struct cf_err *err)
{
	return append_quoted(name, '`', false, out, err);
}

int cf_mysql_quote_text(const char *text, struct cf_buf *out, struct cf_err *err)
{
	return append_quoted(text, '\'', true, out, err);
}
