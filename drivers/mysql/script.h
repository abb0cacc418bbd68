#ifndef CF_DRIVERS_MYSQL_SCRIPT_H
#define CF_DRIVERS_MYSQL_SCRIPT_H

/*
 * The .sql files of a snapshot: statements for the mariadb and mysql clients, loaded into a
 * database that is named by the client. coffer's own restore reads manifests instead
 * (drivers/mysql/manifest.h).
 *
 * Order of loading: database.sql, sequences.sql, tables, routines.sql, views.sql, triggers.sql,
 * events.sql. No name stands in a comment, since it may hold a newline.
 */

#include "base/buf.h"

#include <stdbool.h>

struct cf_err;
struct cf_mysql_manifest;
struct cf_mysql_table;

/* All append. What precedes a table's rows, the sequences of its own database that its defaults
 * use among it, without the database's name: */
int cf_mysql_script_table_head(const struct cf_mysql_table *table,
			       const struct cf_mysql_manifest *manifest, struct cf_buf *out,
			       struct cf_err *err);
/* and what follows them. */
int cf_mysql_script_table_tail(const struct cf_mysql_table *table, struct cf_buf *out,
			       struct cf_err *err);

/* Nothing when the database has no such objects. */
int cf_mysql_script_sequences(const struct cf_mysql_manifest *manifest, struct cf_buf *out,
			      struct cf_err *err);
int cf_mysql_script_routines(const struct cf_mysql_manifest *manifest, struct cf_buf *out,
			     struct cf_err *err);
int cf_mysql_script_views(const struct cf_mysql_manifest *manifest, struct cf_buf *out,
			  struct cf_err *err);
int cf_mysql_script_triggers(const struct cf_mysql_manifest *manifest, struct cf_buf *out,
			     struct cf_err *err);
int cf_mysql_script_events(const struct cf_mysql_manifest *manifest, struct cf_buf *out,
			   struct cf_err *err);

#endif
