/* What SHOW CREATE writes in a way of its own: strings into the text of a routine or an event, and
 * options of tables that mean nothing to the server. */

#include "base/err.h"
#include "drivers/mysql/ddl.h"
#include "drivers/mysql/ddl_scan.h"

#include <string.h>

static int append_plain(const struct cf_mysql_token *string, struct cf_buf *out, struct cf_err *err)
{
	static const char letters[] = "nrZ", bytes[] = "\n\r\x1a";
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < string->len; i++) {
		char c = string->text[i];
		const char *letter;

		/* A NUL byte has no other form. */
		if (c == '\\' && i + 1 < string->len && string->text[i + 1] != '0') {
			c = string->text[++i];
			letter = strchr(letters, c);
			c = letter && *letter ? bytes[letter - letters] : c;
		}
		rc = cf_buf_append(out, &c, 1, err);
	}
	return rc;
}

static int append_range(const char *from, const char *end, struct cf_buf *out, struct cf_err *err)
{
	const char *pos = from;
	int rc = 0;

	while (rc == 0 && from < end) {
		struct cf_mysql_token token = cf_mysql_token_next(&pos);
		const char *stop = token.kind == CF_MYSQL_TOKEN_END || pos > end ? end : token.text;

		rc = cf_buf_append(out, from, (size_t)(stop - from), err);
		if (stop == end)
			break;
		if (rc == 0)
			rc = token.kind == CF_MYSQL_TOKEN_STRING
				     ? append_plain(&token, out, err)
				     : cf_buf_append(out, token.text, token.len, err);
		from = pos;
	}
	return rc;
}

/* A person wrote the parameters, whose strings are plain already. */
static const char *behind_parameters(const char *at)
{
	int depth = 0;

	for (; *at; at++) {
		if (*at == '\'' || *at == '"' || *at == '`') {
			at = strchr(at + 1, *at);
			if (!at)
				return NULL;
		}
		depth += (*at == '(') - (*at == ')');
		if (*at == ')' && depth <= 0)
			return at + 1;
	}
	return NULL;
}

static const char *line_end(const char *at)
{
	while (*at && *at != '\n')
		if (*at == '\'' || *at == '"' || *at == '`')
			cf_mysql_token_next(&at);
		else
			at++;
	return at;
}

/* One a line, indented, and no statement begins so. */
static bool is_characteristic(const char *line)
{
	static const char *const words[] = {
		"DETERMINISTIC", "NOT DETERMINISTIC", "CONTAINS SQL",
		"NO SQL",	 "READS SQL DATA",    "MODIFIES SQL DATA",
		"LANGUAGE ",	 "SQL SECURITY ",     "COMMENT '"};

	if (strncmp(line, "    ", 4) != 0)
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strncmp(line + 4, words[i], strlen(words[i])))
			return true;
	return false;
}

/* What the server wrote in the text behind the word that says what is made; false: nothing. */
static bool find_written(const char *pos, bool is_event, const char **from_out,
			 const char **end_out)
{
	struct cf_mysql_token token = cf_mysql_token_next(&pos);
	const char *end;

	*from_out = pos;
	if (is_event) {
		do {
			token = cf_mysql_token_next(&pos);
		} while (token.kind != CF_MYSQL_TOKEN_END && !cf_mysql_token_is_word(&token, "DO"));
		*end_out = token.text;
		return true;
	}
	*from_out = behind_parameters(pos);
	if (!*from_out)
		return false;
	end = line_end(*from_out);
	while (*end && is_characteristic(end + 1))
		end = line_end(end + 1);
	*end_out = end;
	return true;
}

int cf_mysql_ddl_plain_strings(const char *text, struct cf_buf *out, struct cf_err *err)
{
	const char *pos = text, *from = text, *end = text;
	struct cf_mysql_token token;
	bool is_event, found = false;
	int rc;

	do {
		token = cf_mysql_token_next(&pos);
		is_event = cf_mysql_token_is_word(&token, "EVENT");
		if (is_event || cf_mysql_token_is_word(&token, "PROCEDURE") ||
		    cf_mysql_token_is_word(&token, "FUNCTION"))
			found = true;
	} while (!found && token.kind != CF_MYSQL_TOKEN_END);
	if (!found || !find_written(pos, is_event, &from, &end))
		from = end = text;
	cf_buf_clear(out);
	rc = cf_buf_append(out, text, (size_t)(from - text), err);
	if (rc == 0)
		rc = append_range(from, end, out, err);
	if (rc == 0)
		rc = cf_buf_append(out, end, strlen(end) + 1, err);
	if (rc == 0)
		out->len--;
	return rc;
}

/* In a comment, with a space at both ends. */
int cf_mysql_ddl_reveal_options(const char *text, struct cf_buf *out, struct cf_err *err)
{
	static const char begin[] = "/* ", end[] = " */";
	const char *pos = text, *copied = text;
	bool inside = false;
	int rc = 0;

	cf_buf_clear(out);
	while (rc == 0) {
		struct cf_mysql_token token = cf_mysql_token_next(&pos);
		const char *mark = NULL;

		if (token.kind == CF_MYSQL_TOKEN_END)
			break;
		if (!inside && !strncmp(token.text, begin, strlen(begin)) &&
		    token.text[strlen(begin)] == '`')
			mark = token.text;
		else if (inside && cf_mysql_token_is_byte(&token, '*') && token.text[1] == '/' &&
			 token.text[-1] == ' ')
			mark = token.text - 1;
		if (!mark)
			continue;
		rc = cf_buf_append(out, copied, (size_t)(mark - copied), err);
		copied = pos = mark + strlen(inside ? end : begin);
		inside = !inside;
	}
	if (rc == 0)
		rc = cf_buf_append(out, copied, strlen(copied) + 1, err);
	if (rc == 0)
		out->len--;
	return rc;
}
