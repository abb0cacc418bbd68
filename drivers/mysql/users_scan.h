#ifndef CF_DRIVERS_MYSQL_USERS_SCAN_H
#define CF_DRIVERS_MYSQL_USERS_SCAN_H

/* users.sql (drivers/mysql/users.h) taken apart into what a restore does one by one. */

#include <stdbool.h>
#include <stddef.h>

struct cf_buf;
struct cf_err;

struct cf_mysql_user_step {
	const char *sql;
	const char *label; /* "user `app`@`%`", or of a right the whole; without passwords */
	bool is_account;   /* a user, a role or another server; else a right */
	bool is_oracle;	   /* in that sql_mode only */
};

/* The step is borrowed for the call. Non-zero stops. */
typedef int cf_mysql_user_step_fn(void *user, const struct cf_mysql_user_step *step,
				  struct cf_err *err);

/*
 * text ends with a NUL. Grants come without passwords, TLS and limits, which belong to the account
 * and are part of its CREATE USER. CF_ERR_DAMAGED for a statement that is none of users.sql: it is
 * never a step.
 */
int cf_mysql_users_scan(const char *text, cf_mysql_user_step_fn *each, void *user,
			struct cf_err *err);

/* Appends GRANT ... TO account, and whether the account may pass it on, with a NUL: what else text,
 * which ends with a NUL behind len bytes, says is part of CREATE USER. */
int cf_mysql_users_bare_grant(const char *text, size_t len, struct cf_buf *out, struct cf_err *err);

/* Appends the account of a bare grant, with a NUL; CF_ERR_DAMAGED where there is none. */
int cf_mysql_users_grantee(const char *grant, struct cf_buf *out, struct cf_err *err);

#endif
