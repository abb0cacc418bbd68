#ifndef CF_DRIVERS_MYSQL_ROW_WRITER_H
#define CF_DRIVERS_MYSQL_ROW_WRITER_H

/*
 * Rows as text: one a line, in a shape that INSERT and, but for CF_MYSQL_UTF8, LOAD DATA take.
 *
 *     INSERT INTO `t` (`a`,`b`) VALUES
 *     (1,'x')
 *     ,(2,'y')
 *     ;
 *
 * Newlines in values are escaped, so a line is a row. A statement ends where the hash of its last
 * row says so, not by count, so that a changed row leaves the other statements as they were.
 */

#include "base/buf.h"

#include <stdbool.h>

struct cf_err;

enum {
	CF_MYSQL_STATEMENT_MIN = 16 << 10, /* no statement ends before, but the last */
	CF_MYSQL_STATEMENT_MEAN = 256 << 10,
	CF_MYSQL_STATEMENT_MAX = 1 << 20 /* ends after the row that reaches it */
};

/* How a column's values are written. NULL is NULL in all of them. */
enum cf_mysql_form {
	CF_MYSQL_AS_IS, /* numbers */
	CF_MYSQL_QUOTED,
	CF_MYSQL_HEX,	/* bytes: 0x00ff, '' when there are none */
	CF_MYSQL_FLOAT, /* the text of a double, written with the fewest digits that give the same
			   float */
	CF_MYSQL_ENUM,	/* quoted; what is none of its values, shown as '': +0 */
	CF_MYSQL_MARKED_ENUM, /* the same where '' is a value: those that are one begin with a byte
				 more */
	CF_MYSQL_UTF8 /* _utf8mb4'...': the server takes no bytes of unknown meaning for it */
};

struct cf_mysql_row_writer {
	struct cf_span head; /* "INSERT INTO ... VALUES\n"; borrowed */
	const enum cf_mysql_form *forms;
	size_t n_columns;
	struct cf_buf out;    /* what was written; taken and cleared by the caller at any time */
	size_t statement_len; /* of the one that is open; 0: none is */
	uint64_t n_rows;
};

int cf_mysql_row_writer_add(struct cf_mysql_row_writer *writer, const char *const *values,
			    const unsigned long *lengths, struct cf_err *err);
/* Ends the open statement, if any. */
int cf_mysql_row_writer_end(struct cf_mysql_row_writer *writer, struct cf_err *err);
void cf_mysql_row_writer_release(struct cf_mysql_row_writer *writer);

#endif
