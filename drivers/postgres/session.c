#include "drivers/postgres/session.h"

#include "base/buf.h"
#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/dump.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

void cf_pg_snapshot_release(struct cf_pg_snapshot *snapshot)
{
	free(snapshot->id);
	free(snapshot->lsn);
	free(snapshot->time);
	*snapshot = (struct cf_pg_snapshot){.id = NULL};
}

int cf_pg_session_configure(struct cf_pg *pg, unsigned lock_wait_s, struct cf_err *err)
{
	char lock_timeout[16];
	const struct cf_pg_setting settings[] = {
		/* What the text of a value depends on. */
		{"datestyle", "ISO"},
		{"intervalstyle", "postgres"},
		{"extra_float_digits", "3"},
		{"bytea_output", "hex"},
		{"timezone", "UTC"},
		/* A scan that joins another begins in the middle: other bytes each time. */
		{"synchronize_seqscans", "off"},
		{"row_security", "off"}, /* an error, instead of fewer rows */
		{"restrict_nonsystem_relation_kind", "view,foreign-table"},
		{"quote_all_identifiers", "off"},
		{"jit", "off"},
		{"statement_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"idle_session_timeout", "0"},
		{"transaction_timeout", "0"},
		{"lock_timeout", lock_timeout},
		{"tcp_keepalives_idle", "30"},
		{"tcp_keepalives_interval", "10"},
		{"tcp_keepalives_count", "3"},
	};
	/* Servers on some systems cannot do it and say so. */
	const struct cf_pg_setting watch = {"client_connection_check_interval", "1s"};
	int rc;

	snprintf(lock_timeout, sizeof(lock_timeout), "%us", lock_wait_s);
	rc = cf_pg_configure(pg, settings, N_OF(settings), err);
	if (rc == 0 && cf_pg_configure(pg, &watch, 1, err) < 0) {
		rc = cf_pg_sqlstate(pg)[0] ? 0 : err->code;
		if (rc == 0)
			cf_err_clear(err);
	}
	return rc;
}

int cf_pg_session_open(struct cf_pg *server, const struct cf_pg_options *options, unsigned lock_wait_s,
		       const struct cf_ctx *ctx, struct cf_pg **pg_out, struct cf_err *err)
{
	struct cf_pg_options own = *options;
	struct cf_pg *pg = NULL;
	int rc;

	own.application = CF_PG_APPLICATION;
	rc = cf_pg_connect_again(server, &own, ctx, &pg, err);

	if (rc == 0)
		rc = cf_pg_session_configure(pg, lock_wait_s, err);
	if (rc < 0) {
		cf_pg_close(pg);
		return rc;
	}
	*pg_out = pg;
	return 0;
}

#define BEGIN "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

/* The statement itself takes the snapshot; all else it asks is about the same moment. */
int cf_pg_session_export(struct cf_pg *pg, bool is_standby, struct cf_pg_snapshot *snapshot_out, struct cf_err *err)
{
	struct cf_pg_rows *rows = NULL;
	char sql[512];
	int rc;

	snprintf(sql, sizeof(sql),
		 "SELECT pg_export_snapshot(), %s()::text,"
		 " to_char(now AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),"
		 " (extract(epoch FROM now) * 1000000)::bigint FROM (SELECT clock_timestamp() AS now) AS t",
		 is_standby ? "pg_last_wal_replay_lsn" : "pg_current_wal_lsn");
	rc = cf_pg_query(pg, sql, NULL, 0, &rows, err);
	if (rc < 0)
		return rc;
	*snapshot_out = (struct cf_pg_snapshot){
		.id = strdup(cf_pg_value(rows, 0, 0)),
		.lsn = strdup(cf_pg_value(rows, 0, 1) ? cf_pg_value(rows, 0, 1) : ""),
		.time = strdup(cf_pg_value(rows, 0, 2)),
		.time_ns = (int64_t)cf_pg_value_number(rows, 0, 3) * 1000};
	if (!snapshot_out->id || !snapshot_out->lsn || !snapshot_out->time) {
		cf_pg_snapshot_release(snapshot_out);
		rc = cf_err_nomem(err);
	}
	cf_pg_rows_free(rows);
	return rc;
}

int cf_pg_session_lead(struct cf_pg *pg, struct cf_err *err)
{
	return cf_pg_exec(pg, BEGIN, err);
}

int cf_pg_session_follow(struct cf_pg *pg, const char *snapshot_id, struct cf_err *err)
{
	struct cf_buf sql = CF_BUF_INIT;
	int rc = cf_pg_exec(pg, BEGIN, err);

	if (rc == 0)
		rc = cf_buf_append_str(&sql, "SET TRANSACTION SNAPSHOT ", err);
	if (rc == 0)
		rc = cf_pg_append_literal(pg, snapshot_id, &sql, err);
	if (rc == 0)
		rc = cf_buf_append(&sql, "", 1, err);
	if (rc == 0)
		rc = cf_pg_exec(pg, (const char *)sql.data, err);
	cf_buf_release(&sql);
	return rc;
}

bool cf_pg_session_is_wanted(struct cf_pg *pg, const char *oids)
{
	static const char sql[] =
		"SELECT FROM pg_locks WHERE relation = ANY ($1::oid[]) AND mode = 'AccessExclusiveLock' AND NOT granted"
		" AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 1";
	struct cf_pg_rows *rows = NULL;
	bool found = cf_pg_query(pg, sql, &oids, 1, &rows, NULL) == 0 && cf_pg_rows_count(rows) > 0;

	cf_pg_rows_free(rows);
	return found;
}

bool cf_pg_session_blame(struct cf_pg *pg, const char *oids, struct cf_err *err)
{
	static const char sql[] =
		"SELECT n.nspname, c.relname, l.granted, coalesce('process ' || l.pid || ' of the server',"
		" 'the prepared transaction ' || p.gid), coalesce(a.usename, p.owner), a.application_name"
		" FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation"
		" JOIN pg_namespace AS n ON n.oid = c.relnamespace"
		" LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid"
		" LEFT JOIN pg_locks AS x ON x.virtualtransaction = l.virtualtransaction AND x.locktype = 'transactionid'"
		" AND x.pid IS NULL LEFT JOIN pg_prepared_xacts AS p ON p.transaction = x.transactionid"
		" WHERE l.relation = ANY ($1::oid[]) AND l.mode = 'AccessExclusiveLock'"
		" AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
		" ORDER BY l.granted DESC LIMIT 1";
	struct cf_err ignored = CF_ERR_INIT;
	struct cf_pg_rows *rows = NULL;
	bool found;

	if (cf_pg_query(pg, sql, &oids, 1, &rows, &ignored) < 0)
		return false;
	found = cf_pg_rows_count(rows) > 0;
	if (found) {
		const char *holder = cf_pg_value(rows, 0, 3), *user = cf_pg_value(rows, 0, 4);
		const char *application = cf_pg_value(rows, 0, 5);

		cf_err_wrap(err, "table %s.%s is %s exclusively by %s (user %s%s%s)", cf_pg_value(rows, 0, 0),
			    cf_pg_value(rows, 0, 1),
			    cf_pg_value_bool(rows, 0, 2) ? "locked" : "waited for to be locked",
			    holder ? holder : "somebody", user ? user : "unknown",
			    application && application[0] ? ", " : "", application ? application : "");
	}
	cf_pg_rows_free(rows);
	return found;
}
