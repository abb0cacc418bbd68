#include "drivers/mysql/ddl_scan.h"

#include "base/err.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool is_word_byte(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* Behind the closing quote; a doubled one is part of the text. */
static const char *quoted_end(const char *at)
{
	char quote = *at++;

	while (*at) {
		if (*at == '\\' && quote != '`' && at[1])
			at += 2;
		else if (*at != quote)
			at++;
		else if (at[1] == quote)
			at += 2;
		else
			return at + 1;
	}
	return at;
}

struct cf_mysql_token cf_mysql_token_next(const char **pos)
{
	const char *at = *pos, *end;
	struct cf_mysql_token token = {.kind = CF_MYSQL_TOKEN_OTHER};

	while (isspace((unsigned char)*at))
		at++;
	end = at;
	if (*at == '\0') {
		token.kind = CF_MYSQL_TOKEN_END;
	} else if (*at == '`' || *at == '\'' || *at == '"') {
		token.kind = *at == '`' ? CF_MYSQL_TOKEN_NAME : CF_MYSQL_TOKEN_STRING;
		end = quoted_end(at);
	} else if (is_word_byte(*at)) {
		token.kind = CF_MYSQL_TOKEN_WORD;
		while (is_word_byte(*end))
			end++;
	} else {
		end++;
	}
	token.text = at;
	token.len = (size_t)(end - at);
	*pos = end;
	return token;
}

bool cf_mysql_token_is_word(const struct cf_mysql_token *token, const char *word)
{
	return token->kind == CF_MYSQL_TOKEN_WORD && token->len == strlen(word) &&
	       !strncasecmp(token->text, word, token->len);
}

bool cf_mysql_token_is_byte(const struct cf_mysql_token *token, char byte)
{
	return token->kind == CF_MYSQL_TOKEN_OTHER && *token->text == byte;
}

int cf_mysql_token_unquote(const struct cf_mysql_token *token, struct cf_buf *out,
			   struct cf_err *err)
{
	char quote = *token->text;
	int rc = 0;

	cf_buf_clear(out);
	for (size_t i = 1; rc == 0 && i + 1 < token->len; i++) {
		rc = cf_buf_append(out, &token->text[i], 1, err);
		if (token->text[i] == quote)
			i++;
	}
	if (rc == 0)
		rc = cf_buf_append(out, "", 1, err);
	if (rc == 0)
		out->len--;
	return rc;
}

bool cf_mysql_token_is_name(const struct cf_mysql_token *token, const char *name)
{
	size_t i = 1;

	if (token->kind != CF_MYSQL_TOKEN_NAME)
		return false;
	for (; *name && i + 1 < token->len && token->text[i] == *name; name++, i++)
		if (*name == '`')
			i++;
	return *name == '\0' && i + 1 == token->len;
}
