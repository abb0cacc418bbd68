#ifndef CF_BASE_ID_H
#define CF_BASE_ID_H

/* 32-byte ids (chunk ids, SHA-256 object names) and their lower-case hexadecimal text. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CF_ID_LEN 32

struct cf_id {
	uint8_t bytes[CF_ID_LEN];
};

struct cf_id_text {
	char s[2 * CF_ID_LEN + 1];
};

struct cf_id_text cf_id_text(const struct cf_id *id);

/* True and *out set when text is exactly 64 lower-case hexadecimal digits. */
bool cf_id_parse(const char *text, struct cf_id *out);

/* `len` bytes as 2 * len digits and a NUL. */
void cf_hex_encode(const uint8_t *data, size_t len, char *out);
/* The reverse: false unless text is exactly 2 * len lower-case digits. */
bool cf_hex_decode(const char *text, uint8_t *out, size_t len);

static inline bool cf_id_equal(const struct cf_id *a, const struct cf_id *b)
{
	return memcmp(a->bytes, b->bytes, CF_ID_LEN) == 0;
}

static inline int cf_id_compare(const struct cf_id *a, const struct cf_id *b)
{
	return memcmp(a->bytes, b->bytes, CF_ID_LEN);
}

/* Arrays of ids: sorted by bytes, and whether a sorted one has an id. */
void cf_id_sort(struct cf_id *ids, size_t n);
bool cf_id_among(const struct cf_id *sorted, size_t n, const struct cf_id *id);

/* The all-zero id: no chunk has it. */
static inline bool cf_id_is_zero(const struct cf_id *id)
{
	static const struct cf_id zero;

	return cf_id_equal(id, &zero);
}

#endif
