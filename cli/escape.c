#include "cli/escape.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

/* How long the sequence that begins with this byte is, and the smallest code it may mean. */
static size_t lead_len(unsigned char lead, uint32_t *min_out)
{
	if (lead < 0x80) {
		*min_out = 0;
		return 1;
	}
	if (lead >= 0xc2 && lead < 0xe0) {
		*min_out = 0x80;
		return 2;
	}
	if (lead >= 0xe0 && lead < 0xf0) {
		*min_out = 0x800;
		return 3;
	}
	if (lead >= 0xf0 && lead < 0xf5) {
		*min_out = 0x10000;
		return 4;
	}
	return 0;
}

size_t cf_utf8_len(const char *text, uint32_t *code_out)
{
	const unsigned char *at = (const unsigned char *)text;
	uint32_t min = 0, code;
	size_t len = lead_len(at[0], &min);

	if (len == 0)
		return 0;
	code = len == 1 ? at[0] : at[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3f);
	}
	if (code < min || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	if (code_out)
		*code_out = code;
	return len;
}

bool cf_utf8_valid(const char *text)
{
	while (*text) {
		size_t len = cf_utf8_len(text, NULL);

		if (len == 0)
			return false;
		text += len;
	}
	return true;
}

size_t cf_utf8_columns(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/* C0, DEL and C1 controls, line separators, and what turns the direction of writing. */
static bool is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x200e && code <= 0x200f) ||
	       (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
	       code == 0xfeff;
}

struct escaped {
	char s[20];
};

/* What stands for the character at text; *len_out bytes of text are consumed. */
static struct escaped escape_one(const char *text, enum cf_escape how, size_t *len_out)
{
	static const char digits[] = "0123456789abcdef";
	struct escaped out = {""};
	uint32_t code = 0;
	size_t len = cf_utf8_len(text, &code), n = 0;
	bool raw = len > 0 && !is_control(code);

	*len_out = len ? len : 1;
	if (raw && code == '\\' && how == CF_ESCAPE_NAME) {
		strcpy(out.s, "\\\\");
	} else if (raw) {
		memcpy(out.s, text, len);
	} else if (len == 1 && (code == '\n' || code == '\t' || code == '\r')) {
		out.s[0] = '\\';
		out.s[1] = code == '\n' ? 'n' : code == '\t' ? 't' : 'r';
	} else {
		for (size_t i = 0; i < *len_out; i++) {
			out.s[n++] = '\\';
			out.s[n++] = 'x';
			out.s[n++] = digits[(unsigned char)text[i] >> 4];
			out.s[n++] = digits[(unsigned char)text[i] & 15];
		}
	}
	return out;
}

/* Where text is cut so that it fits, "..." included; its end when all of it does. */
static const char *cut_of(const char *text, enum cf_escape how, size_t max_columns)
{
	const char *cut = text;
	size_t columns = 0;

	while (*text) {
		size_t len;
		struct escaped one = escape_one(text, how, &len);

		columns += cf_utf8_columns(one.s);
		if (columns > max_columns)
			return cut;
		text += len;
		if (columns + 3 <= max_columns)
			cut = text;
	}
	return text;
}

int cf_escape_append(struct cf_buf *out, const char *text, enum cf_escape how, struct cf_err *err)
{
	return cf_escape_append_cut(out, text, how, SIZE_MAX - 3, err);
}

int cf_escape_append_cut(struct cf_buf *out, const char *text, enum cf_escape how,
			 size_t max_columns, struct cf_err *err)
{
	const char *cut = cut_of(text, how, max_columns);
	int rc = 0;

	while (rc == 0 && text < cut) {
		size_t len;
		struct escaped one = escape_one(text, how, &len);

		rc = cf_buf_append_str(out, one.s, err);
		text += len;
	}
	return rc == 0 && *cut ? cf_buf_append_str(out, "...", err) : rc;
}

void cf_escape_print(FILE *out, const char *text, enum cf_escape how)
{
	cf_escape_print_cut(out, text, how, SIZE_MAX - 3);
}

void cf_escape_print_cut(FILE *out, const char *text, enum cf_escape how, size_t max_columns)
{
	const char *cut = cut_of(text, how, max_columns);

	while (text < cut) {
		size_t len;
		struct escaped one = escape_one(text, how, &len);

		fputs(one.s, out);
		text += len;
	}
	if (*cut)
		fputs("...", out);
}

char *cf_escape_stored(const char *text)
{
	static const char digits[] = "0123456789ABCDEF";
	char *out, *at;

	if (cf_utf8_valid(text))
		return strdup(text);
	out = at = malloc(3 * strlen(text) + 1);
	if (!out)
		return NULL;
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c > 0x20 && c < 0x7f && c != '%') {
			*at++ = (char)c;
		} else {
			*at++ = '%';
			*at++ = digits[c >> 4];
			*at++ = digits[c & 15];
		}
	}
	*at = '\0';
	return out;
}
