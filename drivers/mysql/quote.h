#ifndef CF_DRIVERS_MYSQL_QUOTE_H
#define CF_DRIVERS_MYSQL_QUOTE_H

/* Names and texts as they stand in statements. A NUL that the length does not count follows what is
 * appended. */

#include "base/buf.h"

struct cf_err;

/* For whatever the server names: backquoted, with backquotes doubled; appended. */
int cf_mysql_quote_name(const char *name, struct cf_buf *out, struct cf_err *err);
/* A string literal in single quotes, escaped with backslashes; appended. */
int cf_mysql_quote_text(const char *text, struct cf_buf *out, struct cf_err *err);

#endif
