#ifndef CF_DRIVERS_MYSQL_SQL_H
#define CF_DRIVERS_MYSQL_SQL_H

/*
 * Statements from names and texts that may hold anything, and the questions that are asked of a
 * session.
 *
 * Formats know %n (a name: backquoted), %t (a text: a literal in single quotes, for a session
 * without NO_BACKSLASH_ESCAPES), %i (the same, to be compared with names of information_schema:
 * these differ only where their bytes do, although the collation of its columns says otherwise),
 * %s (as it is), %u (unsigned) and %%.
 */

#include "base/buf.h"

#include <stdarg.h>

struct cf_err;
struct cf_mysql;
struct cf_mysql_result;
struct cf_mysql_row;

/* Appended to out, with a NUL behind it that its length does not count. */
int cf_mysql_sql(struct cf_buf *out, struct cf_err *err, const char *fmt, ...);
int cf_mysql_sql_args(struct cf_buf *out, struct cf_err *err, const char *fmt, va_list args);

/* Formatted statements: see drivers/mysql/client.h. */
int cf_mysql_do(struct cf_mysql *my, struct cf_err *err, const char *fmt, ...);
int cf_mysql_ask(struct cf_mysql *my, struct cf_mysql_result **result_out, struct cf_err *err,
		 const char *fmt, ...);
int cf_mysql_ask_value(struct cf_mysql *my, char **value_out, struct cf_err *err, const char *fmt,
		       ...);

/* The next row, which must be there. */
int cf_mysql_fetch_one(struct cf_mysql_result *result, struct cf_mysql_row *row_out,
		       struct cf_err *err);

/* A copy of a value, NULL for NULL. */
int cf_mysql_copy(const char *value, char **copy_out, struct cf_err *err);

#endif
