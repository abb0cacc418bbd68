#ifndef CF_DRIVERS_MYSQL_DUMP_H
#define CF_DRIVERS_MYSQL_DUMP_H

/*
 * A whole backup of a server: one snapshot, everything that is selected, into a sink.
 *
 *     server.json  users.sql  and for each database a folder with
 *     database.json  database.sql  sequences.sql  tables/<table>.sql  routines.sql  views.sql
 * triggers.sql  events.sql
 *
 * Sessions read tables at once, large ones first, those that hold others back before all.
 */

#include <stdbool.h>

struct cf_ctx;
struct cf_err;
struct cf_mysql_url;
struct cf_selector;
struct cf_sink;

struct cf_mysql_dump_options {
	const struct cf_mysql_url *url;
	struct cf_selector *selector;
	bool folds; /* to the server names of databases and tables have no case */
	unsigned jobs, lock_wait_s;
	bool require_transactional;
	bool locks_definitions; /* at once, for they changed during an earlier try */
};

/* CF_ERR_CHANGED names a table that was altered or dropped before it was read. */
int cf_mysql_dump(const struct cf_mysql_dump_options *options, const struct cf_ctx *ctx,
		  struct cf_sink *sink, struct cf_err *err);

#endif
