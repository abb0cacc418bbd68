#ifndef CF_DRIVERS_MYSQL_SNAPSHOT_H
#define CF_DRIVERS_MYSQL_SNAPSHOT_H

/*
 * One consistent view of a server for several sessions at once.
 *
 * With one session a snapshot is consistent by itself. Several are of the same instant when, in
 * this order of preference: MariaDB tells the same position in its binary log to all of them (no
 * lock is taken); MariaDB holds commits back (BACKUP STAGE); everything is held back (FLUSH TABLES
 * WITH READ LOCK). Locks last until the last session has its snapshot, and are waited for in short
 * attempts: what waits behind one that waits for us stands still as well.
 *
 * Tables of engines without transactions are in no snapshot. They are locked for reading when it is
 * taken, and until they were read: by the session that holds the lock, because any other one would
 * wait behind the writers that wait for it. For the same reason no lock of the whole server is
 * asked for while they are locked; they are locked under it. A RENAME may wait for them while it
 * holds others, or an ALTER for the lock of the definitions, and the control session then waits for
 * those: not for long, because the server knows nothing of the circle.
 */

#include "base/buf.h"
#include "drivers/mysql/replica.h"

#include <stdbool.h>

struct cf_ctx;
struct cf_err;
struct cf_mysql;
struct cf_mysql_catalog;
struct cf_mysql_url;

enum { CF_MYSQL_JOBS_MAX = 64 };

struct cf_mysql_snapshot {
	const struct cf_mysql_url *url;
	const struct cf_ctx *ctx;
	unsigned lock_wait_s;
	struct cf_mysql *control; /* outside the snapshot: definitions and questions */
	struct cf_mysql *workers[CF_MYSQL_JOBS_MAX];
	unsigned n_workers;	 /* may get less when the rights for more are missing */
	struct cf_mysql *global; /* holds global locks; NULL: none was needed */
	struct cf_mysql *tables; /* holds and reads tables without transactions; NULL: no need */
	bool tables_locked;
	bool definitions_locked; /* by global, until the snapshot ends */
	const char *mode;	 /* "single", "lock-free", "backup-stage", "read-lock" */
	int64_t locked_ns;	 /* how long the others were held back */
	int64_t time_ns;	 /* when it was taken */
	char *binlog_file, *binlog_position; /* NULL: no log, or no right to see */
	char *gtid;			     /* gtid_binlog_pos, or gtid_executed */
	struct cf_mysql_replica replica;     /* as of the snapshot */
};

/* Connects one session for control and n_workers. */
int cf_mysql_snapshot_open(struct cf_mysql_snapshot *snapshot, const struct cf_mysql_url *url,
			   unsigned n_workers, const struct cf_ctx *ctx, struct cf_err *err);
/*
 * Take it, and hold the catalog's tables without transactions still; NULL: let them be. Where the
 * right is missing, tables_locked stays false. After a failure, and to take another, end it first.
 * CF_ERR_BUSY names who holds it up.
 */
int cf_mysql_snapshot_begin(struct cf_mysql_snapshot *snapshot,
			    const struct cf_mysql_catalog *catalog, struct cf_err *err);
int cf_mysql_snapshot_end(struct cf_mysql_snapshot *snapshot, struct cf_err *err);
/*
 * Hold back what changes definitions, from now until the end or until the whole server has to be
 * locked. Nothing happens where the server or the rights of this user do not allow it.
 */
int cf_mysql_snapshot_lock_definitions(struct cf_mysql_snapshot *snapshot, struct cf_err *err);
/* Writers of those tables go on. */
int cf_mysql_snapshot_unlock_tables(struct cf_mysql_snapshot *snapshot, struct cf_err *err);

/* Ends all sessions, and with them locks and transactions. */
void cf_mysql_snapshot_close(struct cf_mysql_snapshot *snapshot);

#endif
