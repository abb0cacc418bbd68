#ifndef CF_DRIVERS_MYSQL_STRAYS_H
#define CF_DRIVERS_MYSQL_STRAYS_H

/*
 * What users made in the databases mysql and sys, which belong to the server and are not saved. The
 * server's own tables are known by name, and what has a definer by that: cloud providers' things
 * count as the server's, too.
 */

struct cf_ctx;
struct cf_err;
struct cf_mysql;
struct cf_selector;

/* A warning that names them, but for those that a pattern excludes. */
int cf_mysql_warn_of_strays(struct cf_mysql *my, struct cf_selector *selector,
			    const struct cf_ctx *ctx, struct cf_err *err);

#endif
