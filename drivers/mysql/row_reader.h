#ifndef CF_DRIVERS_MYSQL_ROW_READER_H
#define CF_DRIVERS_MYSQL_ROW_READER_H

/*
 * The rows of a table's .sql (drivers/mysql/manifest.h), as LOAD DATA or INSERT take them: its row
 * lines alone, of a part of the file.
 *
 * A file is cut anywhere: a line belongs to the part in which it begins. So parts that follow one
 * another give every row once. Names may hold line feeds, and then the line that begins a statement
 * is several: such a file is read from the start of its data.
 */

#include "base/buf.h"

#include <stdbool.h>

struct cf_ctx;
struct cf_err;
struct cf_mysql_table;
struct cf_tree;

struct cf_mysql_row_reader {
	struct cf_tree *tree;
	const struct cf_ctx *ctx; /* may be set: asked whether to stop; NULL: never */
	const char *path, *name;  /* borrowed; name: the table's, for messages */
	uint64_t limit;		  /* lines that begin here or later belong to others */
	uint64_t data_end;
	uint64_t n_rows; /* given out so far, begun ones counted */

	/* its own */
	unsigned n_head_lines; /* of "INSERT INTO ..." */
	unsigned n_left;       /* lines that the state goes on for */
	struct cf_buf window;
	size_t at;	     /* in the window */
	uint64_t window_off; /* of the window's first byte in the file */
	enum cf_mysql_row_reader_state {
		CF_MYSQL_READER_AT_LINE,
		CF_MYSQL_READER_IN_ROW,
		CF_MYSQL_READER_IN_OTHER
	} state;
};

/* Whether the table's file may be cut. */
bool cf_mysql_row_reader_cuts(const struct cf_mysql_table *table);

/* The lines that begin in from .. to, offsets in the file within the table's data. Nothing is read
 * yet. */
void cf_mysql_row_reader_init(struct cf_mysql_row_reader *rows, struct cf_tree *tree,
			      const char *path, const struct cf_mysql_table *table, uint64_t from,
			      uint64_t to);
void cf_mysql_row_reader_release(struct cf_mysql_row_reader *rows);

/* The next bytes of row lines, "(...)\n" or ",(...)\n": a cf_mysql_read_fn (drivers/mysql/client.h)
 * with rows as user. CF_ERR_DAMAGED when the file does not hold rows. */
int64_t cf_mysql_row_reader_read(void *rows, void *out, size_t len, struct cf_err *err);

#endif
