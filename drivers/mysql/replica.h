#ifndef CF_DRIVERS_MYSQL_REPLICA_H
#define CF_DRIVERS_MYSQL_REPLICA_H

/*
 * How far a server that is a replica has got in what its primaries sent, at the instant of a
 * snapshot: from there another one goes on.
 *
 * A GTID position is exact when it is read within the snapshot, for MariaDB writes it with each
 * transaction that it applies. (What it does outside of transactions comes a moment before.) A
 * position in a primary's log is written nowhere, and the server learns it after the commit: it is
 * exact when nothing is applied, or when commits are held back for longer than that takes.
 */

#include <stdbool.h>
#include <stddef.h>

struct cf_ctx;
struct cf_err;
struct cf_mysql;

/* One that is replicated from. */
struct cf_mysql_primary {
	char *connection; /* "" unless it has a name */
	char *host, *port;
	char *log_file, *log_position; /* NULL: not known for this instant */
	bool is_running;	       /* changes of it are being applied */
	bool uses_gtid;		       /* to go on after a pause */
};

struct cf_mysql_replica {
	struct cf_mysql_primary *primaries;
	size_t n_primaries;
	bool is_running; /* any of them */
	bool is_hidden;	 /* it is running, and this user may not see from where */
	char *gtid;	 /* gtid_slave_pos; NULL: none, or not known for this instant */
};

/* Before the snapshot. *replica is empty before; release it also after a failure. */
int cf_mysql_replica_read(struct cf_mysql *my, struct cf_mysql_replica *replica,
			  struct cf_err *err);
/* Some can be told from a position in the primary's log alone, and move: hold commits back. */
bool cf_mysql_replica_needs_lock(const struct cf_mysql_replica *replica);
/* Let what was begun outside of transactions be written down. */
void cf_mysql_replica_pause(const struct cf_mysql_replica *replica);
/*
 * After cf_mysql_replica_read() and the snapshot: what is exact for the latter stays. worker sees
 * the snapshot; is_locked: commits are held back since before it was taken.
 */
int cf_mysql_replica_settle(struct cf_mysql *my, struct cf_mysql *worker, bool is_locked,
			    struct cf_mysql_replica *replica, struct cf_err *err);
void cf_mysql_replica_release(struct cf_mysql_replica *replica);

#endif
