#ifndef CF_DRIVERS_MYSQL_USERS_H
#define CF_DRIVERS_MYSQL_USERS_H

/*
 * users.sql: roles, users and what they are granted. It is loaded after the databases, since rights
 * on a routine or a table need it to be there.
 */

#include "base/buf.h"

struct cf_ctx;
struct cf_err;
struct cf_mysql;

/* Appended. CF_ERR_ACCESS when this user may not see the others. */
int cf_mysql_users_read(struct cf_mysql *my, const struct cf_ctx *ctx, struct cf_buf *out,
			struct cf_err *err);

#endif
