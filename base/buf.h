#ifndef CF_BASE_BUF_H
#define CF_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cf_err;

/* Bytes somebody else owns. */
struct cf_span {
	const uint8_t *data;
	size_t len;
};

/* Bytes owned by this buffer. Start with CF_BUF_INIT, end with cf_buf_release(). */
struct cf_buf {
	uint8_t *data;
	size_t len;
	size_t capacity;
};

/* clang-format off */
#define CF_BUF_INIT { .data = NULL, .len = 0, .capacity = 0 }
/* clang-format on */

static inline struct cf_span cf_span_of(const void *data, size_t len)
{
	return (struct cf_span){.data = (const uint8_t *)data, .len = len};
}

struct cf_span cf_span_str(const char *text);

static inline struct cf_span cf_buf_span(const struct cf_buf *buf)
{
	return (struct cf_span){.data = buf->data, .len = buf->len};
}

/* All return 0 or CF_ERR_NOMEM. */

/* Room for at least `more` further bytes. */
int cf_buf_reserve(struct cf_buf *buf, size_t more, struct cf_err *err);
int cf_buf_append(struct cf_buf *buf, const void *data, size_t len, struct cf_err *err);
int cf_buf_append_str(struct cf_buf *buf, const char *text, struct cf_err *err);
int cf_buf_printf(struct cf_buf *buf, struct cf_err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Set the length; new bytes are zero. */
int cf_buf_resize(struct cf_buf *buf, size_t len, struct cf_err *err);

/* Length 0, memory kept. */
void cf_buf_clear(struct cf_buf *buf);
void cf_buf_release(struct cf_buf *buf);

#endif
