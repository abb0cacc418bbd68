#ifndef CF_BASE_LE_H
#define CF_BASE_LE_H

/*
 * Little-endian integers in bytes, and a bounded cursor for decoding untrusted bytes.
 *
 * A cursor that runs out of bytes sets `failed`, gives zeros from then on, and never reads past the end:
 * decode a whole record, then test cf_cursor_ok() once before believing any of it.
 */

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline void cf_le16_put(uint8_t *out, uint16_t v)
{
	out[0] = (uint8_t)v;
	out[1] = (uint8_t)(v >> 8);
}

static inline void cf_le32_put(uint8_t *out, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(v >> (8 * i));
}

static inline void cf_le64_put(uint8_t *out, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(v >> (8 * i));
}

static inline uint16_t cf_le16_get(const uint8_t *in)
{
	return (uint16_t)(in[0] | in[1] << 8);
}

static inline uint32_t cf_le32_get(const uint8_t *in)
{
	return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

static inline uint64_t cf_le64_get(const uint8_t *in)
{
	return (uint64_t)cf_le32_get(in) | (uint64_t)cf_le32_get(in + 4) << 32;
}

struct cf_cursor {
	const uint8_t *at;
	const uint8_t *end;
	bool failed;
};

static inline struct cf_cursor cf_cursor_of(struct cf_span span)
{
	/* Adding even 0 to NULL is undefined. */
	const uint8_t *end = span.len ? span.data + span.len : span.data;

	return (struct cf_cursor){.at = span.data, .end = end, .failed = false};
}

static inline size_t cf_cursor_left(const struct cf_cursor *c)
{
	return (size_t)(c->end - c->at);
}

static inline bool cf_cursor_ok(const struct cf_cursor *c)
{
	return !c->failed;
}

/* `len` bytes, borrowed from the input; NULL when there are not as many. */
static inline const uint8_t *cf_cursor_bytes(struct cf_cursor *c, size_t len)
{
	const uint8_t *p = c->at;

	if (c->failed || cf_cursor_left(c) < len) {
		c->failed = true;
		return NULL;
	}
	if (len)
		c->at += len;
	return p;
}

static inline void cf_cursor_copy(struct cf_cursor *c, void *out, size_t len)
{
	const uint8_t *p = cf_cursor_bytes(c, len);

	if (p)
		memcpy(out, p, len);
	else
		memset(out, 0, len);
}

static inline uint8_t cf_cursor_u8(struct cf_cursor *c)
{
	const uint8_t *p = cf_cursor_bytes(c, 1);

	return p ? *p : 0;
}

static inline uint16_t cf_cursor_u16(struct cf_cursor *c)
{
	const uint8_t *p = cf_cursor_bytes(c, 2);

	return p ? cf_le16_get(p) : 0;
}

static inline uint32_t cf_cursor_u32(struct cf_cursor *c)
{
	const uint8_t *p = cf_cursor_bytes(c, 4);

	return p ? cf_le32_get(p) : 0;
}

static inline uint64_t cf_cursor_u64(struct cf_cursor *c)
{
	const uint8_t *p = cf_cursor_bytes(c, 8);

	return p ? cf_le64_get(p) : 0;
}

/* Appending; each returns 0 or CF_ERR_NOMEM. */
static inline int cf_buf_put_u8(struct cf_buf *buf, uint8_t v, struct cf_err *err)
{
	return cf_buf_append(buf, &v, 1, err);
}

static inline int cf_buf_put_u16(struct cf_buf *buf, uint16_t v, struct cf_err *err)
{
	uint8_t b[2];

	cf_le16_put(b, v);
	return cf_buf_append(buf, b, sizeof(b), err);
}

static inline int cf_buf_put_u32(struct cf_buf *buf, uint32_t v, struct cf_err *err)
{
	uint8_t b[4];

	cf_le32_put(b, v);
	return cf_buf_append(buf, b, sizeof(b), err);
}

static inline int cf_buf_put_u64(struct cf_buf *buf, uint64_t v, struct cf_err *err)
{
	uint8_t b[8];

	cf_le64_put(b, v);
	return cf_buf_append(buf, b, sizeof(b), err);
}

#endif
