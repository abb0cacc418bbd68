#ifndef CF_DRIVERS_MYSQL_DDL_SCAN_H
#define CF_DRIVERS_MYSQL_DDL_SCAN_H

/* Tokens of a statement of SHOW CREATE (drivers/mysql/ddl.h). */

#include "base/buf.h"

#include <stdbool.h>

enum cf_mysql_token_kind {
	CF_MYSQL_TOKEN_END,
	CF_MYSQL_TOKEN_NAME,   /* in backquotes */
	CF_MYSQL_TOKEN_STRING, /* in single or double quotes */
	CF_MYSQL_TOKEN_WORD,   /* letters, digits, _, $ and bytes above 127 */
	CF_MYSQL_TOKEN_OTHER   /* one byte */
};

struct cf_mysql_token {
	enum cf_mysql_token_kind kind;
	const char *text; /* with its quotes */
	size_t len;
};

/* The token at *pos, white space passed over; *pos goes behind it. A quote that is not closed
 * reaches to the end. */
struct cf_mysql_token cf_mysql_token_next(const char **pos);

bool cf_mysql_token_is_word(const struct cf_mysql_token *token, const char *word);
bool cf_mysql_token_is_byte(const struct cf_mysql_token *token, char byte);
/* A backquoted name, without quotes, is name. */
bool cf_mysql_token_is_name(const struct cf_mysql_token *token, const char *name);
/* The name without quotes, replacing out, ended by NUL. */
int cf_mysql_token_unquote(const struct cf_mysql_token *token, struct cf_buf *out,
			   struct cf_err *err);

#endif
