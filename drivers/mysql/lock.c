#include "drivers/mysql/lock.h"

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/replica.h"
#include "drivers/mysql/sql.h"

#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

enum { ATTEMPT_S = 2, PAUSE_MS = 500 };

static int64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Who most likely holds it: the longest statement or, without a right to see others', nobody. */
static int name_holder(struct cf_mysql *my, const char *sql, unsigned wait_s, struct cf_err *err)
{
	char *holder = NULL;

	if (cf_mysql_value(
		    my,
		    "SELECT CONCAT('session ', ID, ' of ', USER, '@', HOST, ' runs since ', TIME, "
		    "' s: ', LEFT(COALESCE(INFO, STATE, ''), 100)) FROM "
		    "information_schema.PROCESSLIST "
		    "WHERE ID <> CONNECTION_ID() AND COMMAND NOT IN ('Sleep', 'Daemon', "
		    "'Binlog Dump', 'Slave_IO', 'Slave_SQL', 'Slave_worker') "
		    "ORDER BY TIME DESC LIMIT 1",
		    &holder, NULL) < 0)
		holder = NULL;
	cf_err_set(err, CF_ERR_BUSY, "%s: no lock within %u s (%.60s)%s%s",
		   cf_mysql_server_name(my), wait_s, sql, holder ? "; " : "", holder ? holder : "");
	free(holder);
	return CF_ERR_BUSY;
}

static void pause_a_moment(void)
{
	const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};

	nanosleep(&pause, NULL);
}

/* Another backup's BACKUP STAGE makes locks fail at once. */
static bool is_worth_retrying(const struct cf_mysql *my)
{
	unsigned error = cf_mysql_errno(my);

	return error == CF_MYSQL_LOCK_WAIT_TIMEOUT || error == CF_MYSQL_BACKUP_LOCK_ACTIVE;
}

int cf_mysql_lock_in_turn(struct cf_mysql *my, const char *lock_sql, const char *flush_sql,
			  unsigned wait_s, const struct cf_ctx *ctx, struct cf_err *err)
{
	int64_t end_ms = monotonic_ms() + (int64_t)wait_s * 1000;
	unsigned attempt_s = wait_s < ATTEMPT_S ? wait_s : ATTEMPT_S;
	const char *sql = lock_sql;
	int rc = cf_mysql_do(my, err, "SET SESSION lock_wait_timeout = %u", attempt_s);

	if (rc < 0)
		return rc;
	while ((rc = cf_mysql_run(my, sql, err)) < 0) {
		if (rc == CF_ERR_ACCESS && sql != lock_sql)
			flush_sql = NULL;
		else if (!is_worth_retrying(my))
			return rc;
		if (monotonic_ms() >= end_ms)
			return name_holder(my, sql, wait_s, err);
		cf_ctx_note(ctx, "mysql.lock", cf_mysql_server_name(my), "waiting for a lock");
		pause_a_moment();
		rc = cf_ctx_check(ctx, err);
		if (rc < 0)
			return rc;
		cf_err_clear(err);
		sql = flush_sql && sql == lock_sql ? flush_sql : lock_sql;
	}
	return rc;
}

int cf_mysql_lock_patiently(struct cf_mysql *my, const char *sql, unsigned wait_s,
			    const struct cf_ctx *ctx, struct cf_err *err)
{
	return cf_mysql_lock_in_turn(my, sql, NULL, wait_s, ctx, err);
}

static bool has_stages(const struct cf_mysql *my)
{
	return cf_mysql_is_mariadb(my) && cf_mysql_version(my) >= 100401;
}

static int enter_stage(struct cf_mysql *my, const char *stage_sql, unsigned wait_s,
		       const struct cf_ctx *ctx, struct cf_err *err)
{
	int rc = cf_mysql_lock_patiently(my, stage_sql, wait_s, ctx, err);

	if (rc < 0)
		cf_mysql_run(my, "BACKUP STAGE END", NULL);
	return rc;
}

static int block_definitions(struct cf_mysql *my, unsigned wait_s, const struct cf_ctx *ctx,
			     struct cf_err *err)
{
	int rc = cf_mysql_lock_patiently(my, "BACKUP STAGE START", wait_s, ctx, err);

	/* It passes through the stages before. */
	return rc == 0 ? enter_stage(my, "BACKUP STAGE BLOCK_DDL", wait_s, ctx, err) : rc;
}

static int lock_by_stages(struct cf_mysql *my, const struct cf_mysql_replica *replica,
			  unsigned wait_s, const struct cf_ctx *ctx, struct cf_err *err)
{
	int rc = block_definitions(my, wait_s, ctx, err);

	if (rc < 0)
		return rc;
	cf_mysql_replica_pause(replica);
	return enter_stage(my, "BACKUP STAGE BLOCK_COMMIT", wait_s, ctx, err);
}

static int lock_by_flush(struct cf_mysql *my, unsigned wait_s, const struct cf_ctx *ctx,
			 struct cf_err *err)
{
	/* Whatever must be flushed is, before the lock that stops everything. */
	int rc = cf_mysql_lock_patiently(my, "FLUSH NO_WRITE_TO_BINLOG TABLES", wait_s, ctx, err);

	if (rc == 0)
		rc = cf_mysql_lock_patiently(my, "FLUSH TABLES WITH READ LOCK", wait_s, ctx, err);
	return rc;
}

/* Without the right to it, definitions are compared instead, as for every other server. */
static int lock_instance(struct cf_mysql *my, unsigned wait_s, const struct cf_ctx *ctx,
			 struct cf_err *err)
{
	int rc = cf_mysql_lock_patiently(my, "LOCK INSTANCE FOR BACKUP", wait_s, ctx, err);

	if (rc != CF_ERR_ACCESS)
		return rc;
	cf_err_clear(err);
	return 0;
}

int cf_mysql_lock_server(struct cf_mysql *my, const struct cf_mysql_replica *replica,
			 unsigned wait_s, const struct cf_ctx *ctx, const char **mode_out,
			 struct cf_err *err)
{
	int rc = 0;

	if (has_stages(my)) {
		*mode_out = "backup-stage";
		return lock_by_stages(my, replica, wait_s, ctx, err);
	}
	*mode_out = "read-lock";
	if (!cf_mysql_is_mariadb(my) && cf_mysql_version(my) >= 80000)
		rc = lock_instance(my, wait_s, ctx, err);
	return rc == 0 ? lock_by_flush(my, wait_s, ctx, err) : rc;
}

int cf_mysql_lock_definitions(struct cf_mysql *my, unsigned wait_s, const struct cf_ctx *ctx,
			      struct cf_err *err)
{
	if (!has_stages(my))
		return cf_err_set(err, CF_ERR_UNSUPPORTED, "%s: definitions cannot be locked",
				  cf_mysql_server_name(my));
	return block_definitions(my, wait_s, ctx, err);
}

int cf_mysql_unlock_server(struct cf_mysql *my, struct cf_err *err)
{
	return cf_mysql_run(my, has_stages(my) ? "BACKUP STAGE END" : "UNLOCK TABLES", err);
}

int cf_mysql_unlock_instance(struct cf_mysql *my, struct cf_err *err)
{
	if (cf_mysql_is_mariadb(my) || cf_mysql_version(my) < 80000)
		return 0;
	return cf_mysql_run(my, "UNLOCK INSTANCE", err);
}
