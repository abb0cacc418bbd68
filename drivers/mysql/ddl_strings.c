/* What SHOW CREATE writes in a way of its own: strings into the text of a routine, a package or an
 * event, and options of tables that mean nothing to the server. */

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

struct written {
	const char *from, *end;
};

/* Behind its name. */
static void find_of_event(const char *pos, struct written *written)
{
	struct cf_mysql_token token = cf_mysql_token_next(&pos);

	written->from = pos;
	do {
		token = cf_mysql_token_next(&pos);
	} while (token.kind != CF_MYSQL_TOKEN_END && !cf_mysql_token_is_word(&token, "DO"));
	written->end = token.text;
}

/* The first line begins right behind the name: PACKAGE "p"    COMMENT '...' */
static void find_of_package(const char *pos, struct written *written)
{
	struct cf_mysql_token token = cf_mysql_token_next(&pos);

	if (cf_mysql_token_is_word(&token, "BODY"))
		cf_mysql_token_next(&pos);
	written->from = pos;
	written->end = pos;
	while (is_characteristic(written->end)) {
		written->end = line_end(written->end);
		written->end += *written->end == '\n';
	}
}

static void find_of_routine(const char *pos, struct written *written)
{
	cf_mysql_token_next(&pos);
	written->from = written->end = behind_parameters(pos);
	if (!written->from)
		return;
	written->end = line_end(written->from);
	while (*written->end && is_characteristic(written->end + 1))
		written->end = line_end(written->end + 1);
}

/* What the server wrote in the text; false: nothing. */
static bool find_written(const char *text, struct written *written)
{
	static const struct {
		const char *word;
		void (*find)(const char *pos, struct written *written);
	} kinds[] = {{"EVENT", find_of_event},
		     {"PROCEDURE", find_of_routine},
		     {"FUNCTION", find_of_routine},
		     {"PACKAGE", find_of_package}};
	const char *pos = text;
	struct cf_mysql_token token;

	written->from = NULL;
	while ((token = cf_mysql_token_next(&pos)).kind != CF_MYSQL_TOKEN_END)
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
			if (cf_mysql_token_is_word(&token, kinds[i].word)) {
				kinds[i].find(pos, written);
				return written->from != NULL;
			}
	return false;
}

int cf_mysql_ddl_plain_strings(const char *text, struct cf_buf *out, struct cf_err *err)
{
	struct written written;
	int rc;

	if (!find_written(text, &written))
		written.from = written.end = text;
	cf_buf_clear(out);
	rc = cf_buf_append(out, text, (size_t)(written.from - text), err);
	if (rc == 0)
		rc = append_range(written.from, written.end, out, err);
	if (rc == 0)
		rc = cf_buf_append(out, written.end, strlen(written.end) + 1, err);
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
