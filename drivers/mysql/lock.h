#ifndef CF_DRIVERS_MYSQL_LOCK_H
#define CF_DRIVERS_MYSQL_LOCK_H

/*
 * Locks that hold other sessions back, waited for so that these are not held up for long by our
 * waiting either.
 *
 * A lock that is waited for stops everything that comes after it. So it is asked for with a short
 * timeout, again and again with pauses in between, until the user's patience ends. A session that
 * ends gives its locks back.
 */

struct cf_ctx;
struct cf_err;
struct cf_mysql;
struct cf_mysql_replica;

/* CF_ERR_BUSY names the session that runs longest; CF_ERR_ACCESS when a right is missing. */
int cf_mysql_lock_patiently(struct cf_mysql *my, const char *sql, unsigned wait_s,
			    const struct cf_ctx *ctx, struct cf_err *err);

/*
 * For tables, by both statements in turn: writers that follow each other closely let LOCK TABLES
 * wait for ever, but not FLUSH TABLES, which waits for readers, too, and needs one right more. It
 * is left out where that is missing.
 */
int cf_mysql_lock_in_turn(struct cf_mysql *my, const char *lock_sql, const char *flush_sql,
			  unsigned wait_s, const struct cf_ctx *ctx, struct cf_err *err);

/*
 * Nothing commits any more. *mode_out is "backup-stage" or "read-lock". MySQL 8 also takes the
 * instance's backup lock, which holds back what changes definitions until
 * cf_mysql_unlock_instance().
 * replica: what it began to apply outside of transactions is written down before.
 */
int cf_mysql_lock_server(struct cf_mysql *my, const struct cf_mysql_replica *replica,
			 unsigned wait_s, const struct cf_ctx *ctx, const char **mode_out,
			 struct cf_err *err);
/* Nobody creates, alters or drops a table any more (MariaDB 10.4; elsewhere CF_ERR_UNSUPPORTED). */
int cf_mysql_lock_definitions(struct cf_mysql *my, unsigned wait_s, const struct cf_ctx *ctx,
			      struct cf_err *err);
/* Ends either. */
int cf_mysql_unlock_server(struct cf_mysql *my, struct cf_err *err);
int cf_mysql_unlock_instance(struct cf_mysql *my, struct cf_err *err);

#endif
