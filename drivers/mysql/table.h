#ifndef CF_DRIVERS_MYSQL_TABLE_H
#define CF_DRIVERS_MYSQL_TABLE_H

/*
 * One table into one file, by a session that is in the snapshot or has locked the table.
 *
 * While its rows are read nobody can change the definition. When that is not the one of the
 * snapshot any more, the backup ends with CF_ERR_CHANGED: what the snapshot's rows would then mean
 * is unknown.
 */

#include "base/stream.h"

#include <pthread.h>

struct cf_ctx;
struct cf_err;
struct cf_mysql;
struct cf_mysql_manifest;
struct cf_mysql_table;
struct cf_mysql_table_plan;

struct cf_mysql_table_dump {
	struct cf_mysql *my;
	bool is_locked; /* by LOCK TABLES in this session, which is in no transaction */
	const struct cf_ctx *ctx;
	struct cf_sink *sink;
	pthread_mutex_t *sink_lock; /* of calls that change directories */
	struct cf_dir *dir;
	const struct cf_entry *entry;		  /* name and attributes of the file */
	const struct cf_mysql_manifest *database; /* whose sequences were read */
	struct cf_mysql_table *table; /* definition, columns and figures are filled in */
	const struct cf_mysql_table_plan *plan;
};

int cf_mysql_table_dump(const struct cf_mysql_table_dump *dump, struct cf_err *err);

#endif
