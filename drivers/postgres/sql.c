#include "drivers/postgres/sql.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool starts_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static bool continues_word(char c)
{
	return starts_word(c) || is_digit(c) || c == '$';
}

static const char *skip_comment(const char *at)
{
	size_t depth = 0;

	do {
		if (at[0] == '/' && at[1] == '*') {
			depth++;
			at += 2;
		} else if (at[0] == '*' && at[1] == '/') {
			depth--;
			at += 2;
		} else {
			at++;
		}
	} while (depth > 0 && *at);
	return at;
}

static const char *skip_space(const char *at)
{
	for (;;) {
		if (is_space(*at))
			at++;
		else if (at[0] == '-' && at[1] == '-')
			at += strcspn(at, "\n");
		else if (at[0] == '/' && at[1] == '*')
			at = skip_comment(at);
		else
			return at;
	}
}

/* Behind the closing quote; at is on the opening one. A quote within is doubled, or escaped. */
static const char *skip_quoted(const char *at, bool escapes)
{
	char quote = *at++;

	for (; *at; at++) {
		if (escapes && at[0] == '\\' && at[1])
			at++;
		else if (at[0] == quote && at[1] == quote)
			at++;
		else if (at[0] == quote)
			return at + 1;
	}
	return at;
}

/* Behind $tag$...$tag$, or NULL when at does not begin one. */
static const char *skip_dollar(const char *at)
{
	const char *tag_end = at + 1, *found;
	size_t tag_len;

	if (*tag_end != '$' && !starts_word(*tag_end))
		return NULL;
	while (*tag_end != '$' && continues_word(*tag_end))
		tag_end++;
	if (*tag_end != '$')
		return NULL;
	tag_len = (size_t)(tag_end + 1 - at);
	found = memmem(tag_end + 1, strlen(tag_end + 1), at, tag_len);
	return found ? found + tag_len : at + strlen(at);
}

/* Where the quote of E'...', B'...', U&"..." stands, or NULL. */
static const char *prefixed_quote(const char *at)
{
	if (strchr("eEbBxXnN", at[0]) && at[1] == '\'')
		return at + 1;
	if ((at[0] == 'u' || at[0] == 'U') && at[1] == '&' && (at[2] == '\'' || at[2] == '"'))
		return at + 2;
	return NULL;
}

static const char *skip_token(const char *at, enum cf_sql_kind *kind)
{
	const char *quote = starts_word(*at) ? prefixed_quote(at) : NULL;
	const char *end;

	if (quote) {
		*kind = *quote == '"' ? CF_SQL_QUOTED : CF_SQL_STRING;
		return skip_quoted(quote, at[0] == 'e' || at[0] == 'E');
	}
	if (*at == '\'' || *at == '"') {
		*kind = *at == '"' ? CF_SQL_QUOTED : CF_SQL_STRING;
		return skip_quoted(at, false);
	}
	if (starts_word(*at)) {
		*kind = CF_SQL_WORD;
		while (continues_word(*at))
			at++;
		return at;
	}
	if (is_digit(*at)) {
		*kind = CF_SQL_NUMBER;
		while (is_digit(*at) || *at == '.')
			at++;
		return at;
	}
	end = *at == '$' ? skip_dollar(at) : NULL;
	*kind = end ? CF_SQL_DOLLAR : CF_SQL_OTHER;
	return end ? end : at + 1;
}

struct cf_sql_token cf_sql_next(const char **at)
{
	struct cf_sql_token token = {.kind = CF_SQL_END, .text = *at};
	const char *end = skip_space(*at);

	if (end != *at)
		token.kind = CF_SQL_SPACE;
	else if (*end)
		end = skip_token(end, &token.kind);
	token.len = (size_t)(end - *at);
	*at = end;
	return token;
}

struct cf_sql_token cf_sql_next_token(const char **at)
{
	struct cf_sql_token token = cf_sql_next(at);

	while (token.kind == CF_SQL_SPACE)
		token = cf_sql_next(at);
	return token;
}

bool cf_sql_is_word(const struct cf_sql_token *token, const char *word)
{
	return token->kind == CF_SQL_WORD && token->len == strlen(word) &&
	       strncasecmp(token->text, word, token->len) == 0;
}

int cf_sql_name_of(const struct cf_sql_token *token, struct cf_buf *out, struct cf_err *err)
{
	bool quoted = token->kind == CF_SQL_QUOTED;
	int rc = 0;

	cf_buf_clear(out);
	for (size_t i = quoted; rc == 0 && i + quoted < token->len; i++) {
		char c = token->text[i];

		if (quoted && c == '"')
			i++;
		if (!quoted && c >= 'A' && c <= 'Z')
			c = (char)(c + ('a' - 'A'));
		rc = cf_buf_append(out, &c, 1, err);
	}
	if (rc == 0)
		rc = cf_buf_append(out, "", 1, err);
	if (rc == 0)
		out->len--;
	return rc;
}

static int append_quoted(const char *text, char quote, struct cf_buf *out, struct cf_err *err)
{
	int rc = cf_buf_append(out, &quote, 1, err);

	for (; rc == 0 && *text; text++) {
		rc = cf_buf_append(out, text, 1, err);
		if (rc == 0 && *text == quote)
			rc = cf_buf_append(out, text, 1, err);
	}
	return rc < 0 ? rc : cf_buf_append(out, &quote, 1, err);
}

int cf_sql_append_name(const char *name, struct cf_buf *out, struct cf_err *err)
{
	return append_quoted(name, '"', out, err);
}

int cf_sql_append_qualified(const char *schema, const char *name, struct cf_buf *out,
			    struct cf_err *err)
{
	int rc = 0;

	if (schema)
		rc = cf_sql_append_name(schema, out, err);
	if (rc == 0 && schema)
		rc = cf_buf_append_str(out, ".", err);
	return rc < 0 ? rc : cf_sql_append_name(name, out, err);
}

/* With a backslash in it as E'', which means the same whatever standard_conforming_strings is. */
int cf_sql_append_literal(const char *text, struct cf_buf *out, struct cf_err *err)
{
	int rc;

	if (!strchr(text, '\\'))
		return append_quoted(text, '\'', out, err);
	rc = cf_buf_append_str(out, "E'", err);
	for (; rc == 0 && *text; text++) {
		if (*text == '\\' || *text == '\'')
			rc = cf_buf_append(out, text, 1, err);
		if (rc == 0)
			rc = cf_buf_append(out, text, 1, err);
	}
	return rc < 0 ? rc : cf_buf_append_str(out, "'", err);
}

/* Whether it is the option of that name in "NAME = value", and what its value is: then *sql moves behind that. */
static bool take_option(const struct cf_sql_token *token, const char *name, const char **sql,
			struct cf_sql_token *value_out)
{
	const char *at = *sql;
	struct cf_sql_token sign;

	if (!cf_sql_is_word(token, name))
		return false;
	sign = cf_sql_next_token(&at);
	if (sign.kind != CF_SQL_OTHER || sign.text[0] != '=')
		return false;
	*value_out = cf_sql_next_token(&at);
	*sql = at;
	return true;
}

int cf_sql_append_for_database(const char *sql, const struct cf_sql_database *database, struct cf_buf *out,
			       struct cf_err *err)
{
	bool follows = false;
	struct cf_sql_token token, value;
	int rc = 0;

	while (rc == 0 && (token = cf_sql_next(&sql)).kind != CF_SQL_END) {
		if (database->no_tablespaces && take_option(&token, "TABLESPACE", &sql, &value))
			continue;
		/* There was but this one. */
		if (database->version < 150000 && take_option(&token, "LOCALE_PROVIDER", &sql, &value))
			continue;
		if (database->version < 130000 && take_option(&token, "LOCALE", &sql, &value))
			rc = cf_buf_printf(out, err, "LC_COLLATE = %.*s LC_CTYPE = %.*s",
					   (int)value.len, value.text, (int)value.len, value.text);
		else if (follows && (token.kind == CF_SQL_WORD || token.kind == CF_SQL_QUOTED))
			rc = cf_sql_append_name(database->name, out, err);
		else
			rc = cf_buf_append(out, token.text, token.len, err);
		if (token.kind != CF_SQL_SPACE)
			follows = cf_sql_is_word(&token, "DATABASE");
	}
	return rc;
}
