#include "drivers/pattern.h"

#include "base/buf.h"
#include "base/err.h"
#include "drivers/name_reader.h"

#include <locale.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum { PARTS_MAX = 3 };

/* One name's pattern, as the regular expression that the whole name has to match. */
struct part {
	regex_t characters; /* of UTF-8 */
	regex_t bytes;	    /* for names that are not */
	bool has_characters, has_bytes;
};

struct cf_pattern {
	unsigned flags;
	locale_t utf8, plain;
	struct part
		parts[PARTS_MAX]; /* the last is the table, or of a schema's pattern the schema */
	size_t n_parts;
};

/* A pattern on its way into regular expressions. */
struct translation {
	const char *text;
	struct cf_name_reader reader;
	struct cf_buf regex;
	struct cf_err *err;
};

static int refuse(struct translation *t, const char *why)
{
	return cf_err_set(t->err, CF_ERR_USAGE, "'%s': %s", t->text, why);
}

static int translate_character(struct translation *t, char c, bool quoted)
{
	/* psql takes empty brackets for those of an array's name. */
	bool is_array = !quoted && c == '[' && *t->reader.at == ']';

	if (!quoted && c == '\\')
		return refuse(t, "a backslash stands within double quotes only");
	if (!quoted && c == '*')
		return cf_buf_append_str(&t->regex, ".*", t->err);
	if (!quoted && c == '?')
		return cf_buf_append_str(&t->regex, ".", t->err);
	if (is_array) {
		t->reader.at++;
		return cf_buf_append_str(&t->regex, "\\[\\]", t->err);
	}
	if (c == '$' || (quoted && strchr("|*+?()[]{}.^\\", c)))
		return cf_buf_printf(&t->regex, t->err, "\\%c", c);
	return cf_buf_append(&t->regex, &c, 1, t->err);
}

/* 1 when a dot ended the part, 0 at the end of the text. */
static int translate_part(struct translation *t)
{
	bool quoted, empty = true, dot = false;
	char c;
	int rc;

	cf_buf_clear(&t->regex);
	rc = cf_buf_append_str(&t->regex, "^(", t->err);
	while (rc == 0 && !dot && cf_name_reader_next(&t->reader, &c, &quoted)) {
		dot = !quoted && c == '.';
		if (!dot)
			rc = translate_character(t, c, quoted);
		empty = empty && dot;
	}
	if (rc == 0 && t->reader.quote)
		return refuse(t, "the quote is not closed");
	if (rc == 0 && empty)
		return refuse(t, "a name is missing");
	if (rc == 0)
		rc = cf_buf_append(&t->regex, ")$", sizeof(")$"), t->err);
	return rc < 0 ? rc : dot;
}

static int compile(struct translation *t, const struct cf_pattern *pattern, locale_t locale,
		   regex_t *out)
{
	int flags =
		REG_EXTENDED | REG_NOSUB | (pattern->flags & CF_PATTERN_ANY_CASE ? REG_ICASE : 0);
	locale_t before = uselocale(locale);
	int problem = regcomp(out, (const char *)t->regex.data, flags);
	char why[128];

	if (problem != 0)
		regerror(problem, out, why, sizeof(why));
	uselocale(before);
	if (problem == REG_ESPACE)
		return cf_err_nomem(t->err);
	return problem ? refuse(t, why) : 0;
}

static int compile_part(struct translation *t, struct cf_pattern *pattern)
{
	struct part *part = &pattern->parts[pattern->n_parts++];
	int rc = 0;

	if (pattern->utf8) {
		rc = compile(t, pattern, pattern->utf8, &part->characters);
		part->has_characters = rc == 0;
	}
	if (rc == 0) {
		rc = compile(t, pattern, pattern->plain, &part->bytes);
		part->has_bytes = rc == 0;
	}
	return rc;
}

static int too_many(struct translation *t, unsigned flags)
{
	if (flags & CF_PATTERN_MYSQL)
		return refuse(t, flags & CF_PATTERN_SCHEMA ? "a database has one name"
							   : "a table is DATABASE.TABLE at most");
	return refuse(t, flags & CF_PATTERN_SCHEMA ? "a schema is DATABASE.SCHEMA at most"
						   : "a table is DATABASE.SCHEMA.TABLE at most");
}

static int translate(struct translation *t, struct cf_pattern *pattern)
{
	size_t max = pattern->flags & CF_PATTERN_MYSQL ? 2 : 3;
	int rc = 1;

	max -= pattern->flags & CF_PATTERN_SCHEMA ? 1 : 0;
	while (rc == 1) {
		if (pattern->n_parts == max)
			return too_many(t, pattern->flags);
		rc = translate_part(t);
		if (rc >= 0) {
			int problem = compile_part(t, pattern);

			rc = problem < 0 ? problem : rc;
		}
	}
	return rc;
}

int cf_pattern_new(const char *text, unsigned flags, struct cf_pattern **pattern_out,
		   struct cf_err *err)
{
	struct cf_pattern *pattern = calloc(1, sizeof(*pattern));
	struct translation t = {.text = text,
				.reader = {.at = text, .flags = flags},
				.regex = CF_BUF_INIT,
				.err = err};
	int rc;

	if (!pattern)
		return cf_err_nomem(err);
	pattern->flags = flags;
	/* Whatever the program's locale: names are UTF-8, and their ranges are those of their code
	 * points. */
	pattern->utf8 = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
	pattern->plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	rc = pattern->plain ? translate(&t, pattern) : cf_err_nomem(err);
	cf_buf_release(&t.regex);
	if (rc < 0) {
		cf_pattern_free(pattern);
		return rc;
	}
	*pattern_out = pattern;
	return 0;
}

void cf_pattern_free(struct cf_pattern *pattern)
{
	if (!pattern)
		return;
	for (size_t i = 0; i < pattern->n_parts; i++) {
		if (pattern->parts[i].has_characters)
			regfree(&pattern->parts[i].characters);
		if (pattern->parts[i].has_bytes)
			regfree(&pattern->parts[i].bytes);
	}
	if (pattern->utf8)
		freelocale(pattern->utf8);
	if (pattern->plain)
		freelocale(pattern->plain);
	free(pattern);
}

/* In the thread's present locale. */
static bool is_valid(const char *name)
{
	mbstate_t state = {0};

	return mbsrtowcs(NULL, &name, 0, &state) != (size_t)-1;
}

static bool part_matches(const struct cf_pattern *pattern, const struct part *part,
			 const char *name)
{
	locale_t before = uselocale(part->has_characters ? pattern->utf8 : pattern->plain);
	const regex_t *regex = &part->bytes;
	bool matches;

	if (part->has_characters && is_valid(name))
		regex = &part->characters;
	else
		uselocale(pattern->plain);
	matches =
		(regex != &part->bytes || part->has_bytes) && regexec(regex, name, 0, NULL, 0) == 0;
	uselocale(before);
	return matches;
}

bool cf_pattern_matches(const struct cf_pattern *pattern, const char *database, const char *schema,
			const char *table)
{
	const char *names[PARTS_MAX] = {database, schema, table};
	size_t end = pattern->flags & CF_PATTERN_SCHEMA ? 2 : 3;

	for (size_t i = 0; i < pattern->n_parts; i++) {
		const char *name = names[end - pattern->n_parts + i];

		if (name && !part_matches(pattern, &pattern->parts[i], name))
			return false;
	}
	return true;
}
