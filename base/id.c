#include "base/id.h"

#include <stdlib.h>

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

void cf_hex_encode(const uint8_t *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[data[i] >> 4];
		out[2 * i + 1] = digits[data[i] & 15];
	}
	out[2 * len] = '\0';
}

bool cf_hex_decode(const char *text, uint8_t *out, size_t len)
{
	if (strlen(text) != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int hi = digit_value(text[2 * i]), lo = digit_value(text[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

struct cf_id_text cf_id_text(const struct cf_id *id)
{
	struct cf_id_text text;

	cf_hex_encode(id->bytes, CF_ID_LEN, text.s);
	return text;
}

bool cf_id_parse(const char *text, struct cf_id *out)
{
	return cf_hex_decode(text, out->bytes, CF_ID_LEN);
}

static int compare_ids(const void *a, const void *b)
{
	return cf_id_compare(a, b);
}

/* An array of none may be NULL, which the library must not be given. */
void cf_id_sort(struct cf_id *ids, size_t n)
{
	if (n)
		qsort(ids, n, sizeof(*ids), compare_ids);
}

bool cf_id_among(const struct cf_id *sorted, size_t n, const struct cf_id *id)
{
	return n && bsearch(id, sorted, n, sizeof(*id), compare_ids);
}
