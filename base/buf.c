#include "base/buf.h"

#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cf_span cf_span_str(const char *text)
{
	return cf_span_of(text, strlen(text));
}

int cf_buf_reserve(struct cf_buf *buf, size_t more, struct cf_err *err)
{
	size_t need, capacity;
	uint8_t *data;

	if (more > SIZE_MAX / 2 - buf->len)
		return cf_err_nomem(err);
	need = buf->len + more;
	if (need <= buf->capacity)
		return 0;
	capacity = buf->capacity + buf->capacity / 2;
	if (capacity < need)
		capacity = need;
	if (capacity < 64)
		capacity = 64;
	data = realloc(buf->data, capacity);
	if (!data)
		return cf_err_nomem(err);
	buf->data = data;
	buf->capacity = capacity;
	return 0;
}

int cf_buf_append(struct cf_buf *buf, const void *data, size_t len, struct cf_err *err)
{
	int rc = cf_buf_reserve(buf, len, err);

	if (rc < 0)
		return rc;
	if (len)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	return 0;
}

int cf_buf_append_str(struct cf_buf *buf, const char *text, struct cf_err *err)
{
	return cf_buf_append(buf, text, strlen(text), err);
}

int cf_buf_printf(struct cf_buf *buf, struct cf_err *err, const char *fmt, ...)
{
	va_list args, again;
	int len, rc;

	va_start(args, fmt);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0)
		rc = cf_err_nomem(err); /* 2 GiB of text */
	else
		rc = cf_buf_reserve(buf, (size_t)len + 1, err);
	if (rc == 0) {
		vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, fmt, again);
		buf->len += (size_t)len;
	}
	va_end(again);
	return rc;
}

int cf_buf_resize(struct cf_buf *buf, size_t len, struct cf_err *err)
{
	if (len > buf->len) {
		int rc = cf_buf_reserve(buf, len - buf->len, err);

		if (rc < 0)
			return rc;
		memset(buf->data + buf->len, 0, len - buf->len);
	}
	buf->len = len;
	return 0;
}

void cf_buf_clear(struct cf_buf *buf)
{
	buf->len = 0;
}

void cf_buf_release(struct cf_buf *buf)
{
	free(buf->data);
	*buf = (struct cf_buf)CF_BUF_INIT;
}
