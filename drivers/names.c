#include "drivers/names.h"

#include <stdbool.h>
#include <string.h>
#include <xxhash.h>

enum {
	NAME_LEN_MAX = 200
};

static bool needs_escape(char c, bool is_first)
{
	unsigned char byte = (unsigned char)c;

	/* '~' anywhere: unescaped it marks a name that was cut. */
	return byte < 0x20 || byte == 0x7f || strchr("%/\\.~", c) || (is_first && c == '-');
}

static int append_part(struct cf_buf *out, const char *part, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && part[i]; i++)
		rc = needs_escape(part[i], i == 0) ? cf_buf_printf(out, err, "%%%02X", (unsigned char)part[i])
						   : cf_buf_append(out, &part[i], 1, err);
	return rc;
}

/* Cut at a character, so that what is left is UTF-8 when the name was, and not inside an escape. */
static size_t cut_at_character(const struct cf_buf *name, size_t len)
{
	while (len > 0 && (name->data[len] & 0xc0) == 0x80)
		len--;
	for (size_t back = 1; back <= 2 && back <= len; back++)
		if (name->data[len - back] == '%')
			return len - back;
	return len;
}

int cf_file_name_of(const char *const *parts, size_t n_parts, const char *suffix, struct cf_buf *out,
		    struct cf_err *err)
{
	int rc = 0;

	cf_buf_clear(out);
	for (size_t i = 0; rc == 0 && i < n_parts; i++) {
		if (i > 0)
			rc = cf_buf_append(out, ".", 1, err);
		if (rc == 0)
			rc = append_part(out, parts[i], err);
	}
	if (rc == 0 && out->len + strlen(suffix) > NAME_LEN_MAX) {
		XXH64_hash_t hash = XXH3_64bits(out->data, out->len);

		out->len = cut_at_character(out, NAME_LEN_MAX - 17 - strlen(suffix));
		rc = cf_buf_printf(out, err, "~%016llx", (unsigned long long)hash);
	}
	if (rc == 0)
		rc = cf_buf_append(out, suffix, strlen(suffix) + 1, err);
	if (rc == 0)
		out->len--;
	return rc;
}
