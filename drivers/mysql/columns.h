#ifndef CF_DRIVERS_MYSQL_COLUMNS_H
#define CF_DRIVERS_MYSQL_COLUMNS_H

/*
 * The columns of a table as its rows are written: with invisible ones, without those the server
 * computes.
 */

#include "drivers/mysql/row_writer.h"

struct cf_err;
struct cf_mysql;
struct cf_mysql_table;

struct cf_mysql_columns {
	enum cf_mysql_form *forms; /* of each of the table's columns */
	struct cf_buf select;	   /* "SELECT ... FROM ..." */
	struct cf_buf insert;	   /* "INSERT INTO ... VALUES\n" */
	bool loses_history;	   /* what was before the current rows cannot be restored */
};

/* Fills the table's columns and has_history, too. To be released also after a failure. */
int cf_mysql_columns_read(struct cf_mysql *my, const char *database, bool is_versioned,
			  struct cf_mysql_table *table, struct cf_mysql_columns *columns,
			  struct cf_err *err);
void cf_mysql_columns_release(struct cf_mysql_columns *columns);

/* How values of a type are written. has_scale: FLOAT(7,4) and the like. */
enum cf_mysql_form cf_mysql_form_of(const char *data_type, bool has_scale);

#endif
