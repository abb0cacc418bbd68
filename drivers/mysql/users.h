#ifndef CF_DRIVERS_MYSQL_USERS_H
#define CF_DRIVERS_MYSQL_USERS_H

/*
 * users.sql: roles, users and what they are granted. Rights on a routine or a table need it to be
 * there, and some views their owners: by hand it is loaded before the databases and behind them
 * (drivers/mysql/load_users.c does it with less).
 */

#include "base/buf.h"

struct cf_ctx;
struct cf_err;
struct cf_mysql;

/* Appended. CF_ERR_ACCESS when this user may not see the others. */
int cf_mysql_users_read(struct cf_mysql *my, const struct cf_ctx *ctx, struct cf_buf *out,
			struct cf_err *err);

#endif
