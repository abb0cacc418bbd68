#ifndef CF_DRIVERS_MYSQL_SURVEY_H
#define CF_DRIVERS_MYSQL_SURVEY_H

/*
 * What there is to dump, at one instant: takes the snapshot and reads the definitions that belong
 * to it, and says what of it cannot be had, or not of that instant.
 */

struct cf_ctx;
struct cf_err;
struct cf_mysql_catalog;
struct cf_mysql_dump_options;
struct cf_mysql_snapshot;

/* snapshot: opened. *catalog is empty before. CF_ERR_BUSY when definitions change all the time, and
 * when tables without transactions are refused. */
int cf_mysql_survey(const struct cf_mysql_dump_options *options, const struct cf_ctx *ctx,
		    struct cf_mysql_snapshot *snapshot, struct cf_mysql_catalog *catalog,
		    struct cf_err *err);

#endif
