#include "drivers/mysql/snapshot.h"

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/mysql/catalog.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/lock.h"
#include "drivers/mysql/sql.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	LOCK_WAIT_S = 60,
	LOCK_UNDER_LOCK_S = 1, /* while all others stand still */
	LOCK_FREE_TRIES = 20
};

static int connect_session(struct cf_mysql_snapshot *snapshot, struct cf_mysql **my_out,
			   struct cf_err *err)
{
	const struct cf_mysql_connect_options options = {.program = "coffer backup"};
	int rc = cf_mysql_connect(snapshot->url, &options, snapshot->ctx, my_out, err);

	/* Values are read as the bytes they are; definitions may be about to be changed. */
	if (rc == 0)
		rc = cf_mysql_do(
			*my_out, err,
			"SET SESSION character_set_results = binary, lock_wait_timeout = %u",
			snapshot->lock_wait_s);
	return rc;
}

int cf_mysql_snapshot_open(struct cf_mysql_snapshot *snapshot, const struct cf_mysql_url *url,
			   unsigned n_workers, const struct cf_ctx *ctx, struct cf_err *err)
{
	int rc;

	snapshot->url = url;
	snapshot->ctx = ctx;
	if (!snapshot->lock_wait_s)
		snapshot->lock_wait_s = LOCK_WAIT_S;
	rc = connect_session(snapshot, &snapshot->control, err);
	while (rc == 0 && snapshot->n_workers < n_workers)
		rc = connect_session(snapshot, &snapshot->workers[snapshot->n_workers++], err);
	return rc;
}

static int begin_workers(struct cf_mysql_snapshot *snapshot, struct cf_err *err)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < snapshot->n_workers; i++)
		rc = cf_mysql_run(snapshot->workers[i],
				  "START TRANSACTION WITH CONSISTENT SNAPSHOT", err);
	return rc;
}

/* A row of SHOW STATUS; "" when there is none. */
static int read_status(struct cf_mysql *my, const char *name, char **value_out, struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_ask(my, &result, err, "SHOW STATUS LIKE %t", name);

	if (rc == 0)
		rc = cf_mysql_fetch(result, &row, err);
	if (rc >= 0)
		rc = cf_mysql_copy(rc > 0 ? row.values[1] : "", value_out, err);
	cf_mysql_result_free(result);
	return rc;
}

/* "file position" of a session's snapshot, as MariaDB remembers it with the snapshot. */
static int read_position(struct cf_mysql *worker, char **file_out, char **position_out,
			 struct cf_err *err)
{
	int rc = read_status(worker, "binlog_snapshot_file", file_out, err);

	if (rc == 0)
		rc = read_status(worker, "binlog_snapshot_position", position_out, err);
	return rc;
}

static int positions_equal(struct cf_mysql_snapshot *snapshot, bool *equal_out, struct cf_err *err)
{
	char *first_file = NULL, *first_position = NULL;
	int rc = read_position(snapshot->workers[0], &first_file, &first_position, err);

	*equal_out = rc == 0 && first_file[0];
	for (unsigned i = 1; rc == 0 && *equal_out && i < snapshot->n_workers; i++) {
		char *file = NULL, *position = NULL;

		rc = read_position(snapshot->workers[i], &file, &position, err);
		if (rc == 0)
			*equal_out = strcmp(file, first_file) == 0 &&
				     strcmp(position, first_position) == 0;
		free(file);
		free(position);
	}
	free(first_file);
	free(first_position);
	return rc;
}

/* Nothing where no table needs it. */
static int append_locks(const struct cf_mysql_catalog *catalog, const char *head, const char *each,
			const char *tail, struct cf_buf *sql, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; i < catalog->n_databases; i++) {
		const struct cf_mysql_database_catalog *database = &catalog->databases[i];

		for (size_t j = 0; rc == 0 && j < database->manifest.n_tables; j++) {
			const struct cf_mysql_table *table = &database->manifest.tables[j];

			if (!table->is_transactional && database->plans[j].takes_rows)
				rc = cf_mysql_sql(sql, err, "%s %n.%n%s", sql->len ? "," : head,
						  database->manifest.database, table->name, each);
		}
	}
	return rc == 0 && sql->len ? cf_mysql_sql(sql, err, "%s", tail) : rc;
}

/* Who holds what the control session looks at may wait for a lock of ours. */
static int limit_control(struct cf_mysql_snapshot *snapshot, struct cf_err *err)
{
	bool is_short = snapshot->tables_locked || snapshot->definitions_locked;

	return cf_mysql_do(snapshot->control, err, "SET SESSION lock_wait_timeout = %u",
			   is_short ? LOCK_UNDER_LOCK_S : snapshot->lock_wait_s);
}

static int lock_tables(struct cf_mysql_snapshot *snapshot, const struct cf_mysql_catalog *catalog,
		       unsigned wait_s, struct cf_err *err)
{
	struct cf_buf lock = CF_BUF_INIT, flush = CF_BUF_INIT;
	int rc = catalog ? append_locks(catalog, "LOCK TABLES", " READ", "", &lock, err) : 0;

	if (rc == 0 && lock.len)
		rc = append_locks(catalog, "FLUSH TABLES", "", " WITH READ LOCK", &flush, err);
	if (rc == 0 && lock.len && !snapshot->tables)
		rc = connect_session(snapshot, &snapshot->tables, err);
	if (rc == 0 && lock.len)
		rc = cf_mysql_lock_in_turn(snapshot->tables, (const char *)lock.data,
					   (const char *)flush.data, wait_s, snapshot->ctx, err);
	snapshot->tables_locked = rc == 0 && lock.len;
	if (snapshot->tables_locked)
		rc = limit_control(snapshot, err);
	if (rc == CF_ERR_ACCESS) {
		cf_err_clear(err);
		rc = 0;
	}
	cf_buf_release(&lock);
	cf_buf_release(&flush);
	return rc;
}

/* With the server not locked. */
static int lock_tables_of_now(struct cf_mysql_snapshot *snapshot,
			      const struct cf_mysql_catalog *catalog, struct cf_err *err)
{
	int rc = lock_tables(snapshot, catalog, snapshot->lock_wait_s, err);

	if (rc == 0 && snapshot->tables_locked)
		cf_mysql_replica_pause(&snapshot->replica);
	return rc;
}

int cf_mysql_snapshot_unlock_tables(struct cf_mysql_snapshot *snapshot, struct cf_err *err)
{
	int rc;

	if (!snapshot->tables_locked)
		return 0;
	snapshot->tables_locked = false;
	rc = cf_mysql_run(snapshot->tables, "UNLOCK TABLES", err);
	return rc == 0 ? limit_control(snapshot, err) : rc;
}

/*
 * Equal positions mean equal snapshots only where every change goes to the binary log: not what a
 * replica applies without logging it, and not what filters keep out.
 */
static int logs_everything(struct cf_mysql_snapshot *snapshot, bool *everything_out,
			   struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	char *logs = NULL;
	int rc =
		cf_mysql_value(snapshot->control,
			       "SELECT @@global.log_bin AND (@@global.log_slave_updates OR "
			       "(SELECT SUM(VARIABLE_VALUE NOT IN ('OFF', '0')) "
			       "FROM information_schema.GLOBAL_STATUS "
			       "WHERE VARIABLE_NAME IN ('SLAVES_RUNNING', 'WSREP_CONNECTED')) = 0)",
			       &logs, err);

	*everything_out = rc == 0 && logs && strcmp(logs, "1") == 0;
	free(logs);
	if (rc < 0 || !*everything_out)
		return rc;
	*everything_out = false;
	if (cf_mysql_query(snapshot->control, "SHOW MASTER STATUS", &result, NULL) < 0)
		return cf_ctx_check(snapshot->ctx, err); /* no right to see the filters */
	rc = cf_mysql_fetch(result, &row, err);
	if (rc > 0)
		*everything_out = !row.values[2][0] && !row.values[3][0];
	cf_mysql_result_free(result);
	return rc < 0 ? rc : 0;
}

/* The position in the server's own log. */
static int read_log_position(struct cf_mysql_snapshot *snapshot, struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = 0;

	if (cf_mysql_is_mariadb(snapshot->control)) {
		rc = read_position(snapshot->workers[0], &snapshot->binlog_file,
				   &snapshot->binlog_position, err);
		if (rc == 0 && snapshot->binlog_file[0])
			rc = cf_mysql_ask_value(snapshot->control, &snapshot->gtid, err,
						"SELECT BINLOG_GTID_POS(%t, %s)",
						snapshot->binlog_file, snapshot->binlog_position);
		return rc;
	}
	if (!snapshot->global) /* nothing holds them back: they would be of another instant */
		return 0;
	if (cf_mysql_query(snapshot->control,
			   cf_mysql_version(snapshot->control) >= 80400 ? "SHOW BINARY LOG STATUS"
									: "SHOW MASTER STATUS",
			   &result, NULL) < 0)
		return cf_ctx_check(snapshot->ctx, err);
	rc = cf_mysql_fetch(result, &row, err);
	if (rc > 0)
		rc = cf_mysql_copy(row.values[0], &snapshot->binlog_file, err);
	if (rc == 0 && snapshot->binlog_file)
		rc = cf_mysql_copy(row.values[1], &snapshot->binlog_position, err);
	cf_mysql_result_free(result);
	if (rc == 0)
		rc = cf_mysql_value(snapshot->control, "SELECT @@global.gtid_executed",
				    &snapshot->gtid, err);
	return rc;
}

/* What belongs to the snapshot; called before locks are released. */
static int read_coordinates(struct cf_mysql_snapshot *snapshot, bool is_locked, struct cf_err *err)
{
	int rc = read_log_position(snapshot, err);

	return rc == 0 ? cf_mysql_replica_settle(snapshot->control, snapshot->workers[0], is_locked,
						 &snapshot->replica, err)
		       : rc;
}

static int begin_lock_free(struct cf_mysql_snapshot *snapshot,
			   const struct cf_mysql_catalog *catalog, bool *done_out,
			   struct cf_err *err)
{
	int rc;

	*done_out = false;
	if (!cf_mysql_is_mariadb(snapshot->control))
		return 0;
	snapshot->mode = "lock-free";
	rc = logs_everything(snapshot, done_out, err);
	if (rc < 0 || !*done_out)
		return rc;
	*done_out = false;
	rc = lock_tables_of_now(snapshot, catalog, err);
	for (int i = 0; rc == 0 && !*done_out && i < LOCK_FREE_TRIES; i++) {
		rc = begin_workers(snapshot, err);
		if (rc == 0)
			rc = positions_equal(snapshot, done_out, err);
	}
	if (rc == 0 && *done_out)
		return read_coordinates(snapshot, false, err);
	return rc == 0 ? cf_mysql_snapshot_unlock_tables(snapshot, err) : rc;
}

static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int unlock_definitions(struct cf_mysql_snapshot *snapshot, struct cf_err *err)
{
	int rc;

	if (!snapshot->definitions_locked)
		return 0;
	snapshot->definitions_locked = false;
	rc = cf_mysql_unlock_server(snapshot->global, err);
	return rc == 0 ? limit_control(snapshot, err) : rc;
}

int cf_mysql_snapshot_lock_definitions(struct cf_mysql_snapshot *snapshot, struct cf_err *err)
{
	int rc = 0;

	if (!snapshot->global)
		rc = connect_session(snapshot, &snapshot->global, err);
	if (rc == 0)
		rc = cf_mysql_lock_definitions(snapshot->global, snapshot->lock_wait_s,
					       snapshot->ctx, err);
	snapshot->definitions_locked = rc == 0;
	if (rc == 0)
		rc = limit_control(snapshot, err);
	if (rc == CF_ERR_ACCESS || rc == CF_ERR_UNSUPPORTED) {
		cf_err_clear(err);
		rc = 0;
	}
	return rc;
}

static int begin_locked(struct cf_mysql_snapshot *snapshot, const struct cf_mysql_catalog *catalog,
			bool *done_out, struct cf_err *err)
{
	int64_t locked_ns;
	int unlock_rc, rc = unlock_definitions(snapshot, err);

	if (rc == 0 && !snapshot->global)
		rc = connect_session(snapshot, &snapshot->global, err);
	if (rc < 0)
		return rc;
	rc = cf_mysql_lock_server(snapshot->global, &snapshot->replica, snapshot->lock_wait_s,
				  snapshot->ctx, &snapshot->mode, err);
	if (rc < 0) {
		cf_mysql_close(snapshot->global);
		snapshot->global = NULL;
		if (rc != CF_ERR_ACCESS)
			return rc;
		cf_err_clear(err);
		*done_out = false;
		return 0;
	}
	locked_ns = monotonic_ns();
	/* Whoever writes to them waits for the server's lock, not for the tables. */
	rc = lock_tables(snapshot, catalog, LOCK_UNDER_LOCK_S, err);
	if (rc == 0)
		rc = begin_workers(snapshot, err);
	if (rc == 0)
		rc = read_coordinates(snapshot, true, err);
	unlock_rc = cf_mysql_unlock_server(snapshot->global, rc == 0 ? err : NULL);
	if (rc == 0)
		rc = unlock_rc;
	snapshot->locked_ns += monotonic_ns() - locked_ns;
	*done_out = rc == 0;
	return rc;
}

/* What a lone session sees is consistent whatever the others do. */
static int begin_single(struct cf_mysql_snapshot *snapshot, const struct cf_mysql_catalog *catalog,
			struct cf_err *err)
{
	int rc;

	while (snapshot->n_workers > 1)
		cf_mysql_close(snapshot->workers[--snapshot->n_workers]);
	snapshot->mode = "single";
	rc = lock_tables_of_now(snapshot, catalog, err);
	if (rc == 0)
		rc = begin_workers(snapshot, err);
	return rc == 0 ? read_coordinates(snapshot, false, err) : rc;
}

static void clear_coordinates(struct cf_mysql_snapshot *snapshot)
{
	char **const texts[] = {&snapshot->binlog_file, &snapshot->binlog_position,
				&snapshot->gtid};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		free(*texts[i]);
		*texts[i] = NULL;
	}
	cf_mysql_replica_release(&snapshot->replica);
}

int cf_mysql_snapshot_begin(struct cf_mysql_snapshot *snapshot,
			    const struct cf_mysql_catalog *catalog, struct cf_err *err)
{
	bool is_mariadb = cf_mysql_is_mariadb(snapshot->control), done = false, needs_lock;
	int rc;

	clear_coordinates(snapshot);
	rc = cf_mysql_replica_read(snapshot->control, &snapshot->replica, err);
	/* MySQL tells the position of a snapshot only while it stands still. */
	needs_lock = !is_mariadb || cf_mysql_replica_needs_lock(&snapshot->replica);
	if (rc == 0 && needs_lock)
		rc = begin_locked(snapshot, catalog, &done, err);
	if (rc == 0 && !done && snapshot->n_workers > 1)
		rc = begin_lock_free(snapshot, catalog, &done, err);
	if (rc == 0 && !done && snapshot->n_workers > 1 && !needs_lock)
		rc = begin_locked(snapshot, catalog, &done, err);
	if (rc == 0 && !done && snapshot->n_workers > 1)
		cf_ctx_note(snapshot->ctx, "mysql.jobs", cf_mysql_server_name(snapshot->control),
			    "one connection reads; more need the right %s",
			    is_mariadb ? "BINLOG MONITOR (and a binary log) or RELOAD" : "RELOAD");
	if (rc == 0 && !done)
		rc = begin_single(snapshot, catalog, err);
	snapshot->time_ns = cf_ctx_now_ns(snapshot->ctx);
	return rc;
}

int cf_mysql_snapshot_end(struct cf_mysql_snapshot *snapshot, struct cf_err *err)
{
	int rc = cf_mysql_snapshot_unlock_tables(snapshot, err);

	if (rc == 0)
		rc = unlock_definitions(snapshot, err);
	for (unsigned i = 0; rc == 0 && i < snapshot->n_workers; i++)
		rc = cf_mysql_run(snapshot->workers[i], "ROLLBACK", err);
	if (rc == 0 && snapshot->global)
		rc = cf_mysql_unlock_instance(snapshot->global, err);
	return rc;
}

void cf_mysql_snapshot_close(struct cf_mysql_snapshot *snapshot)
{
	cf_mysql_close(snapshot->global);
	cf_mysql_close(snapshot->tables);
	for (unsigned i = 0; i < snapshot->n_workers; i++)
		cf_mysql_close(snapshot->workers[i]);
	cf_mysql_close(snapshot->control);
	clear_coordinates(snapshot);
	*snapshot = (struct cf_mysql_snapshot){.url = NULL};
}
