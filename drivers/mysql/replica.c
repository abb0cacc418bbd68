#include "drivers/mysql/replica.h"

#include "base/err.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/manifest_json.h"
#include "drivers/mysql/sql.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAUSE_MS = 50, SETTLE_TRIES = 40 };

static void release_primaries(struct cf_mysql_replica *replica)
{
	for (size_t i = 0; i < replica->n_primaries; i++) {
		struct cf_mysql_primary *primary = &replica->primaries[i];

		free(primary->connection);
		free(primary->host);
		free(primary->port);
		free(primary->log_file);
		free(primary->log_position);
	}
	free(replica->primaries);
	replica->primaries = NULL;
	replica->n_primaries = 0;
}

void cf_mysql_replica_release(struct cf_mysql_replica *replica)
{
	release_primaries(replica);
	free(replica->gtid);
	*replica = (struct cf_mysql_replica){.primaries = NULL};
}

/* The value of the first column that this server has; "" for none and for NULL. */
static const char *value_of(const struct cf_mysql_result *result, const struct cf_mysql_row *row,
			    const char *name, const char *other_name)
{
	int column = cf_mysql_column(result, name);

	if (column < 0)
		column = cf_mysql_column(result, other_name);
	return column >= 0 && row->values[column] ? row->values[column] : "";
}

static int add_primary(const struct cf_mysql_result *result, const struct cf_mysql_row *row,
		       struct cf_mysql_replica *replica, struct cf_err *err)
{
	struct cf_mysql_primary *primary =
		cf_mysql_grow(&replica->primaries, &replica->n_primaries, sizeof(*primary));
	const char *gtid = value_of(result, row, "Using_Gtid", "Auto_Position");
	int rc;

	if (!primary)
		return cf_err_nomem(err);
	primary->uses_gtid = *gtid && strcmp(gtid, "No") != 0 && strcmp(gtid, "0") != 0;
	primary->is_running =
		strcmp(value_of(result, row, "Slave_SQL_Running", "Replica_SQL_Running"), "No") !=
		0;
	replica->is_running |= primary->is_running;
	rc = cf_mysql_copy(value_of(result, row, "Connection_name", "Channel_Name"),
			   &primary->connection, err);
	if (rc == 0)
		rc = cf_mysql_copy(value_of(result, row, "Master_Host", "Source_Host"),
				   &primary->host, err);
	if (rc == 0)
		rc = cf_mysql_copy(value_of(result, row, "Master_Port", "Source_Port"),
				   &primary->port, err);
	if (rc == 0)
		rc = cf_mysql_copy(
			value_of(result, row, "Relay_Master_Log_File", "Relay_Source_Log_File"),
			&primary->log_file, err);
	return rc == 0 ? cf_mysql_copy(value_of(result, row, "Exec_Master_Log_Pos",
						"Exec_Source_Log_Pos"),
				       &primary->log_position, err)
		       : rc;
}

static int read_primaries(struct cf_mysql *my, struct cf_mysql_replica *replica, struct cf_err *err)
{
	const char *sql = cf_mysql_is_mariadb(my)	 ? "SHOW ALL SLAVES STATUS"
			  : cf_mysql_version(my) < 80022 ? "SHOW SLAVE STATUS"
							 : "SHOW REPLICA STATUS";
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_query(my, sql, &result, err);

	release_primaries(replica);
	replica->is_running = false;
	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0)
		rc = add_primary(result, &row, replica, err);
	cf_mysql_result_free(result);
	return rc;
}

/* What everybody may ask. */
static int read_running(struct cf_mysql *my, bool *is_running_out, struct cf_err *err)
{
	char *running = NULL;
	int rc = cf_mysql_value(my,
				"SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS "
				"WHERE VARIABLE_NAME = 'SLAVES_RUNNING'",
				&running, err);

	*is_running_out = running && strcmp(running, "0") != 0;
	free(running);
	return rc;
}

int cf_mysql_replica_read(struct cf_mysql *my, struct cf_mysql_replica *replica, struct cf_err *err)
{
	int rc = read_primaries(my, replica, err);

	if (rc != CF_ERR_ACCESS)
		return rc;
	cf_err_clear(err);
	if (!cf_mysql_is_mariadb(my))
		return 0;
	rc = read_running(my, &replica->is_hidden, err);
	replica->is_running = replica->is_hidden;
	return rc;
}

bool cf_mysql_replica_needs_lock(const struct cf_mysql_replica *replica)
{
	bool needs = false;

	for (size_t i = 0; i < replica->n_primaries; i++)
		needs |= replica->primaries[i].is_running && !replica->primaries[i].uses_gtid;
	return needs;
}

static void pause_a_moment(void)
{
	nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
}

void cf_mysql_replica_pause(const struct cf_mysql_replica *replica)
{
	if (replica->is_running)
		pause_a_moment();
}

static bool same_position(const struct cf_mysql_primary *a, const struct cf_mysql_primary *b)
{
	return strcmp(a->connection, b->connection) == 0 && strcmp(a->host, b->host) == 0 &&
	       strcmp(a->port, b->port) == 0 && strcmp(a->log_file, b->log_file) == 0 &&
	       strcmp(a->log_position, b->log_position) == 0;
}

static bool same_positions(const struct cf_mysql_replica *a, const struct cf_mysql_replica *b)
{
	bool same = a->n_primaries == b->n_primaries;

	for (size_t i = 0; same && i < a->n_primaries; i++)
		same = same_position(&a->primaries[i], &b->primaries[i]);
	return same;
}

static void forget_position(struct cf_mysql_primary *primary)
{
	free(primary->log_file);
	free(primary->log_position);
	primary->log_file = primary->log_position = NULL;
}

static void forget_positions(struct cf_mysql_replica *replica)
{
	for (size_t i = 0; i < replica->n_primaries; i++)
		forget_position(&replica->primaries[i]);
}

/* Until two in a row are the same: commits are held back, so nothing new comes. */
static int read_still_positions(struct cf_mysql *my, struct cf_mysql_replica *replica,
				struct cf_err *err)
{
	bool is_still = !replica->is_running;
	int rc = read_primaries(my, replica, err);

	for (int i = 0; rc == 0 && !is_still && i < SETTLE_TRIES; i++) {
		struct cf_mysql_replica before = *replica;

		*replica = (struct cf_mysql_replica){.gtid = before.gtid};
		pause_a_moment();
		rc = read_primaries(my, replica, err);
		is_still = rc == 0 && same_positions(&before, replica);
		release_primaries(&before);
	}
	if (rc == 0 && !is_still)
		forget_positions(replica);
	return rc;
}

/* Those that nothing was applied from since before the snapshot. */
static int read_resting_positions(struct cf_mysql *my, struct cf_mysql_replica *replica,
				  struct cf_err *err)
{
	struct cf_mysql_replica before = *replica;
	int rc;

	*replica = (struct cf_mysql_replica){.gtid = before.gtid};
	rc = read_primaries(my, replica, err);
	for (size_t i = 0; rc == 0 && i < replica->n_primaries; i++) {
		struct cf_mysql_primary *now = &replica->primaries[i];

		if (now->is_running || i >= before.n_primaries || before.primaries[i].is_running ||
		    !same_position(&before.primaries[i], now))
			forget_position(now);
	}
	release_primaries(&before);
	return rc;
}

/* The tables that hold it, one for an engine: " UNION ALL SELECT ..."; empty when these cannot be
 * read or are not part of the snapshot. */
static int list_gtid_tables(struct cf_mysql *worker, bool is_locked, struct cf_buf *sql,
			    struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	bool is_held = true;
	int rc = cf_mysql_query(worker,
				"SELECT TABLE_NAME, ENGINE IN (SELECT ENGINE FROM "
				"information_schema.ENGINES WHERE TRANSACTIONS = 'YES') "
				"FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'mysql' "
				"AND TABLE_NAME LIKE 'gtid\\_slave\\_pos%'",
				&result, err);

	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0) {
		is_held &= is_locked || (row.values[1] && strcmp(row.values[1], "1") == 0);
		rc = cf_mysql_sql(sql, err,
				  "%sSELECT domain_id, server_id, seq_no, sub_id FROM mysql.%n",
				  sql->len ? " UNION ALL " : "", row.values[0]);
	}
	cf_mysql_result_free(result);
	if (!is_held)
		cf_buf_clear(sql);
	return rc;
}

/* The last of each domain, as the server itself reads it when it starts. */
static int read_gtid(struct cf_mysql *worker, bool is_locked, char **gtid_out, struct cf_err *err)
{
	struct cf_buf tables = CF_BUF_INIT;
	int rc = list_gtid_tables(worker, is_locked, &tables, err);

	if (rc == 0 && tables.len)
		rc = cf_mysql_run(worker, "SAVEPOINT coffer_gtid", err);
	if (rc == 0 && tables.len) {
		rc = cf_mysql_ask_value(
			worker, gtid_out, err,
			"SELECT GROUP_CONCAT(domain_id, '-', server_id, '-', seq_no ORDER BY "
			"domain_id SEPARATOR ',') FROM (%s) AS applied WHERE (domain_id, sub_id) "
			"IN "
			"(SELECT domain_id, MAX(sub_id) FROM (%s) AS each_applied GROUP BY "
			"domain_id)",
			(const char *)tables.data, (const char *)tables.data);
		if (rc == CF_ERR_ACCESS) {
			cf_err_clear(err);
			rc = 0;
		}
		/* Whoever sets it anew need not wait for the end of the backup. */
		if (rc == 0)
			rc = cf_mysql_run(worker, "ROLLBACK TO SAVEPOINT coffer_gtid", err);
	}
	cf_buf_release(&tables);
	return rc;
}

/* Domains are applied beside each other: the position of one may be ahead of others in the log. */
static int forget_ambiguous_positions(struct cf_mysql *my, struct cf_mysql_replica *replica,
				      struct cf_err *err)
{
	char *threads = NULL;
	int rc;

	if (!replica->is_running || !replica->gtid || !strchr(replica->gtid, ','))
		return 0;
	rc = cf_mysql_value(my, "SELECT @@global.slave_parallel_threads", &threads, err);
	if (rc == 0 && threads && strcmp(threads, "0") != 0)
		forget_positions(replica);
	free(threads);
	return rc;
}

int cf_mysql_replica_settle(struct cf_mysql *my, struct cf_mysql *worker, bool is_locked,
			    struct cf_mysql_replica *replica, struct cf_err *err)
{
	bool is_mariadb = cf_mysql_is_mariadb(my);
	int rc = 0;

	/* MySQL applies with several threads and tells a position that is behind them. */
	if (replica->n_primaries > 0)
		rc = is_locked && is_mariadb ? read_still_positions(my, replica, err)
					     : read_resting_positions(my, replica, err);
	if (rc < 0 || !is_mariadb)
		return rc;
	rc = read_gtid(worker, is_locked, &replica->gtid, err);
	return rc == 0 ? forget_ambiguous_positions(my, replica, err) : rc;
}
