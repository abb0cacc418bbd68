#include "cli/value.h"

#include "base/err.h"
#include "cli/spec.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool number_prefix(const char *text, uint64_t *out, const char **end_out)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	*end_out = end;
	return errno == 0;
}

bool cf_value_count(const char *text, uint64_t *out)
{
	const char *end;

	return number_prefix(text, out, &end) && *end == '\0';
}

bool cf_value_size(const char *text, uint64_t *out)
{
	static const char units[] = "kmgt";
	const char *end, *unit;
	unsigned shift = 0;

	if (!number_prefix(text, out, &end))
		return false;
	unit = *end ? strchr(units, tolower((unsigned char)*end)) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
		if (strcasecmp(end, "ib") == 0)
			end += 2;
	}
	if (*end != '\0' || *out > UINT64_MAX >> shift)
		return false;
	*out <<= shift;
	return true;
}

/* Behind the ']' that ends the set whose '[' stands at text, NULL when there is none. */
static const char *end_of_set(const char *text)
{
	const char *at = text + 1;

	at += *at == '!' || *at == '^';
	at += *at == ']';
	for (; *at && *at != '/' && *at != ']'; at++) {
		if (at[0] == '\\' && at[1])
			at++;
		/* A class, [:digit:], has a bracket of its own. */
		if (at[0] == '[' && at[1] && strchr(":.=", at[1])) {
			const char end[] = {at[1], ']', '\0'}, *class_end = strstr(at + 2, end);

			at = class_end ? class_end + 1 : at;
		}
	}
	return *at == ']' ? at + 1 : NULL;
}

bool cf_value_pattern(const char *text)
{
	while (text && *text) {
		if (text[0] == '[')
			text = end_of_set(text);
		else
			text += text[0] == '\\' && text[1] ? 2 : 1;
	}
	return text != NULL;
}

static bool percent_value(const char *text, double *out)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	for (const char *at = text; *at && *at != '%'; at++)
		if (!isdigit((unsigned char)*at) && *at != '.')
			return false;
	*out = strtod(text, &end);
	if (*end == '%')
		end++;
	return *end == '\0' && *out > 0 && *out <= 100;
}

bool cf_value_share(const char *text, double *percent_out, uint64_t *bytes_out)
{
	*bytes_out = 0;
	if (percent_value(text, percent_out))
		return true;
	*percent_out = 0;
	/* A number without a unit would be a percentage that is too large. */
	return text[strspn(text, "0123456789")] && cf_value_size(text, bytes_out) && *bytes_out > 0;
}

bool cf_value_duration(const char *text, int64_t *ns_out)
{
	static const struct {
		char letter;
		uint64_t seconds;
	} units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
	const uint64_t max = 366 * units[0].seconds;
	uint64_t seconds = 0, n;
	size_t unit = 0;

	do {
		if (!number_prefix(text, &n, &text))
			return false;
		while (unit < sizeof(units) / sizeof(*units) && units[unit].letter != *text)
			unit++;
		if (unit == sizeof(units) / sizeof(*units) || n > max)
			return false;
		seconds += n * units[unit++].seconds;
		text++;
	} while (*text);
	*ns_out = (int64_t)seconds * 1000000000;
	return seconds > 0 && seconds <= max;
}

bool cf_value_compression(const char *text, enum cf_compression *method_out, int *level_out)
{
	static const struct {
		const char *name;
		enum cf_compression method;
		unsigned level_max; /* 0: it has no levels */
	} methods[] = {
		{"zstd", CF_COMPRESSION_ZSTD, CF_ZSTD_LEVEL_MAX},
		{"lz4", CF_COMPRESSION_LZ4, 0},
		{"gzip", CF_COMPRESSION_GZIP, CF_GZIP_LEVEL_MAX},
		{"bzip2", CF_COMPRESSION_BZIP2, 0},
		{"xz", CF_COMPRESSION_XZ, 0},
		{"none", CF_COMPRESSION_NONE, 0},
	};
	size_t len = strcspn(text, ":"), i = 0;
	uint64_t level = 0;

	while (i < sizeof(methods) / sizeof(*methods) &&
	       (strlen(methods[i].name) != len || memcmp(methods[i].name, text, len) != 0))
		i++;
	if (i == sizeof(methods) / sizeof(*methods))
		return false;
	if (text[len] == ':' && (!cf_value_count(text + len + 1, &level) || level < 1 ||
				 level > methods[i].level_max))
		return false;
	*method_out = methods[i].method;
	*level_out = (int)level;
	return true;
}

static bool is_choice(const char *choices, const char *text)
{
	size_t len = strlen(text);

	for (const char *at = choices; len > 0 && *at;
	     at += strcspn(at, " "), at += strspn(at, " "))
		if (strcspn(at, " ") == len && memcmp(at, text, len) == 0)
			return true;
	return false;
}

static bool number_suits(const struct cf_option_spec *option, const char *text)
{
	uint64_t number;
	bool valid = option->kind == CF_VALUE_SIZE ? cf_value_size(text, &number)
						   : cf_value_count(text, &number);

	return valid && number >= option->min && number <= option->max;
}

int cf_value_check(const struct cf_option_spec *option, const char *name, const char *text,
		   struct cf_err *err)
{
	enum cf_compression method;
	uint64_t bytes;
	double percent;
	int64_t ns;
	int level;

	switch (option->kind) {
	case CF_VALUE_FLAG:
		return 0;
	case CF_VALUE_TEXT:
	case CF_VALUE_FILE:
	case CF_VALUE_FOLDER:
		return text[0] || option->may_be_empty
			       ? 0
			       : cf_err_set(err, CF_ERR_USAGE, "%s is empty", name);
	case CF_VALUE_CHOICE:
		return is_choice(option->choices, text)
			       ? 0
			       : cf_err_set(err, CF_ERR_USAGE, "%s: '%s' is none of: %s", name,
					    text, option->choices);
	case CF_VALUE_COUNT:
	case CF_VALUE_SIZE:
		return number_suits(option, text)
			       ? 0
			       : cf_err_set(err, CF_ERR_USAGE,
					    "%s: '%s' is no number from %llu to %llu%s", name, text,
					    (unsigned long long)option->min,
					    (unsigned long long)option->max,
					    option->kind == CF_VALUE_SIZE ? " (K, M, G allowed)"
									  : "");
	case CF_VALUE_SHARE:
		return cf_value_share(text, &percent, &bytes)
			       ? 0
			       : cf_err_set(err, CF_ERR_USAGE,
					    "%s: '%s' is no share above 0%% and up to 100%%, and no "
					    "size (10G)",
					    name, text);
	case CF_VALUE_DURATION:
		return cf_value_duration(text, &ns) ||
				       (option->may_be_none && strcmp(text, "none") == 0)
			       ? 0
			       : cf_err_set(err, CF_ERR_USAGE,
					    "%s: '%s' is no time (90s, 30m, 2h, 1h30m) of up to 366 "
					    "days%s",
					    name, text, option->may_be_none ? ", and not none" : "");
	case CF_VALUE_COMPRESSION:
		return cf_value_compression(text, &method, &level)
			       ? 0
			       : cf_err_set(err, CF_ERR_USAGE,
					    "%s: '%s' is not zstd, zstd:1 to zstd:%d, lz4, gzip, "
					    "gzip:1 to gzip:%d, bzip2, xz or none",
					    name, text, CF_ZSTD_LEVEL_MAX, CF_GZIP_LEVEL_MAX);
	}
	return 0;
}
