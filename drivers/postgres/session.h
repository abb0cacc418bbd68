#ifndef CF_DRIVERS_POSTGRES_SESSION_H
#define CF_DRIVERS_POSTGRES_SESSION_H

/* The sessions of a backup: one that holds snapshot and locks, and workers that see what it sees. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct cf_buf;
struct cf_ctx;
struct cf_err;
struct cf_pg;
struct cf_pg_options;

/* Texts are freed by cf_pg_snapshot_release(). */
struct cf_pg_snapshot {
	char *id;	  /* for SET TRANSACTION SNAPSHOT */
	char *lsn;	  /* where the WAL was, "0/15D68C0" */
	char *time;	  /* RFC 3339, UTC, by the server's clock */
	int64_t time_ns;  /* since 1970 */
};

void cf_pg_snapshot_release(struct cf_pg_snapshot *snapshot);

/*
 * Make a session one that reads everything, as text that is the same from day to day: no timeouts, no row security, and a server
 * that notices soon when we are gone. lock_wait_s: how long a lock is waited for.
 */
int cf_pg_session_configure(struct cf_pg *pg, unsigned lock_wait_s, struct cf_err *err);

/* Such a session with a database of the same server; options but for the application. */
int cf_pg_session_open(struct cf_pg *server, const struct cf_pg_options *options, unsigned lock_wait_s,
		       const struct cf_ctx *ctx, struct cf_pg **pg_out, struct cf_err *err);

/*
 * Begin a transaction; and, once its locks are taken, take the snapshot. So nothing can be rewritten or emptied between the two,
 * which a snapshot would not hold still.
 */
int cf_pg_session_lead(struct cf_pg *pg, struct cf_err *err);
int cf_pg_session_export(struct cf_pg *pg, bool is_standby, struct cf_pg_snapshot *snapshot_out, struct cf_err *err);

/* Begin a transaction that sees what the snapshot's leader sees. */
int cf_pg_session_follow(struct cf_pg *pg, const char *snapshot_id, struct cf_err *err);

/* True when somebody waits to lock one of these tables ("{1,2}", oids) exclusively. */
bool cf_pg_session_is_wanted(struct cf_pg *pg, const char *oids);

/* Add to the error who stands in the way of locking one of these tables ("{1,2}", oids). False when nobody does, or the server
 * does not say. */
bool cf_pg_session_blame(struct cf_pg *pg, const char *oids, struct cf_err *err);

#endif
