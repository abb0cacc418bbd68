/* What is known of the server as a whole: server.json, and the facts of the snapshot. */

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/dump.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000

/* One value of server.json, and the fact of the snapshot that it is, too (NULL: none). */
struct query {
	const char *key, *fact, *sql;
};

/*
 * Each in a query of its own, because a user may lack the right to one of the functions: then its value is left out. The timeline
 * in the control file is that of the last checkpoint, so a primary is asked for the name of the segment it writes.
 */
static const struct query queries[] = {
	{"server_version", "postgres.version", "SELECT current_setting('server_version')"},
	{"system_identifier", "postgres.system_identifier",
	 "SELECT system_identifier::text FROM pg_control_system()"},
	{"timeline", "postgres.timeline",
	 "SELECT CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())::text"
	 " ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer::text END"},
	{"is_standby", "postgres.standby", "SELECT CASE WHEN pg_is_in_recovery() THEN 'yes' ELSE 'no' END"},
	{"server_started", NULL,
	 "SELECT to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"},
};

/* Those that decide whether a restored server takes and does the same. */
static const char settings_sql[] =
	"SELECT name, setting FROM pg_settings WHERE name IN ('server_encoding', 'lc_collate', 'lc_ctype',"
	" 'lc_monetary', 'lc_numeric', 'lc_time', 'TimeZone', 'block_size', 'segment_size', 'wal_block_size',"
	" 'wal_segment_size', 'wal_level', 'data_checksums', 'integer_datetimes', 'max_connections',"
	" 'max_locks_per_transaction', 'max_prepared_transactions', 'shared_preload_libraries',"
	" 'default_tablespace', 'default_toast_compression', 'standard_conforming_strings',"
	" 'default_table_access_method', 'max_identifier_length') ORDER BY name";

/* A name may be of a database without encoding: then what is no UTF-8 shows as '?'. */
static json_t *text_of(const char *text)
{
	json_t *value = json_string(text);
	char *ascii;

	if (value || !(ascii = strdup(text)))
		return value;
	for (char *at = ascii; *at; at++)
		if ((unsigned char)*at >= 0x80)
			*at = '?';
	value = json_string(ascii);
	free(ascii);
	return value;
}

static int put_text(json_t *object, const char *key, const char *text, struct cf_err *err)
{
	return json_object_set_new(object, key, text_of(text)) == 0 ? 0 : cf_err_nomem(err);
}

static int send_fact(struct cf_pg_dump *dump, const char *key, const char *value, struct cf_err *err)
{
	const struct cf_sink_ops *ops = dump->sink->ops;

	return key && ops->fact ? ops->fact(dump->sink, key, value, err) : 0;
}

static int ask(struct cf_pg_dump *dump, const struct query *query, struct cf_err *err)
{
	char *value = NULL;
	int rc = cf_pg_query_text(dump->server, query->sql, NULL, 0, &value, err);

	if (rc == CF_ERR_ACCESS) {
		cf_err_clear(err);
		return 0;
	}
	if (rc == 0 && value)
		rc = put_text(dump->facts, query->key, value, err);
	if (rc == 0 && value)
		rc = send_fact(dump, query->fact, value, err);
	free(value);
	return rc;
}

static int put_settings(struct cf_pg_dump *dump, struct cf_err *err)
{
	json_t *settings = json_object();
	struct cf_pg_rows *rows = NULL;
	int rc = settings ? cf_pg_query(dump->server, settings_sql, NULL, 0, &rows, err) : cf_err_nomem(err);

	for (size_t i = 0; rc == 0 && i < cf_pg_rows_count(rows); i++) {
		const char *value = cf_pg_value(rows, i, 1);

		rc = put_text(settings, cf_pg_value(rows, i, 0), value ? value : "", err);
	}
	if (rc == 0 && json_object_set(dump->facts, "settings", settings) != 0)
		rc = cf_err_nomem(err);
	json_decref(settings);
	cf_pg_rows_free(rows);
	return rc;
}

static int put_tools(struct cf_pg_dump *dump, struct cf_err *err)
{
	char version[32];

	snprintf(version, sizeof(version), "%d.%d", dump->dump.version / 10000, dump->dump.version % 10000);
	return put_text(dump->facts, "pg_dump_version", version, err);
}

int cf_pg_server_describe(struct cf_pg_dump *dump, struct cf_err *err)
{
	int rc;

	dump->facts = json_pack("{s:s, s:i, s:s, s:[]}", "format", "coffer-postgres-server", "version", 1, "driver",
				"postgres", "databases");
	if (!dump->facts)
		return cf_err_nomem(err);
	rc = put_tools(dump, err);
	for (size_t i = 0; rc == 0 && i < sizeof(queries) / sizeof(queries[0]); i++)
		rc = ask(dump, &queries[i], err);
	return rc == 0 ? put_settings(dump, err) : rc;
}

/* Of several databases the facts tell the first: from there on the WAL has what any of them lacks. */
static int send_facts(struct cf_pg_dump *dump, const struct cf_pg_database *database, struct cf_err *err)
{
	int rc = send_fact(dump, "postgres.lsn", database->snapshot.lsn, err);

	if (rc == 0)
		rc = send_fact(dump, "postgres.snapshot_time", database->snapshot.time, err);
	return rc == 0 ? send_fact(dump, "postgres.encoding", database->manifest.encoding, err) : rc;
}

int cf_pg_server_note_database(struct cf_pg_dump *dump, const struct cf_pg_database *database, struct cf_err *err)
{
	const struct cf_pg_manifest *manifest = &database->manifest;
	json_t *databases = json_object_get(dump->facts, "databases");
	uint64_t rows = 0, bytes = 0, n_data = 0;
	int64_t held_ns = cf_ctx_now_ns(dump->ctx) - database->begin_ns;
	json_t *object;
	int rc = json_array_size(databases) == 0 ? send_facts(dump, database, err) : 0;

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < manifest->n_tables; i++) {
		n_data += manifest->tables[i].file != NULL;
		rows += manifest->tables[i].rows;
		bytes += manifest->tables[i].bytes;
	}
	object = json_pack("{s:o, s:s, s:s, s:f, s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "name", text_of(manifest->name),
			   "snapshot_time", database->snapshot.time, "lsn", database->snapshot.lsn,
			   "snapshot_held_seconds", (double)(held_ns / 1000000) / 1000, "encoding",
			   manifest->encoding, "text_encoding", manifest->text_encoding, "tables_with_data", (json_int_t)n_data, "rows", (json_int_t)rows, "bytes",
			   (json_int_t)bytes, "sequences", (json_int_t)manifest->n_sequences, "large_objects",
			   (json_int_t)manifest->n_large_objects);
	if (json_array_append_new(databases, object) != 0)
		return cf_err_nomem(err);
	return 0;
}

int cf_pg_server_finish(struct cf_pg_dump *dump, struct cf_err *err)
{
	size_t n = json_array_size(json_object_get(dump->facts, "databases"));
	struct cf_buf document = CF_BUF_INIT;
	char count[24];
	char *text;
	int rc;

	if (n > 1 && put_text(dump->facts, "note",
			      "each database is consistent in itself; they were read one after the other", err) < 0)
		return err->code;
	text = json_dumps(dump->facts, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
	if (!text)
		return cf_err_nomem(err);
	rc = cf_buf_printf(&document, err, "%s\n", text);
	free(text);
	if (rc == 0)
		rc = cf_pg_put_file(dump, dump->root, "server.json", cf_buf_span(&document), err);
	cf_buf_release(&document);
	snprintf(count, sizeof(count), "%zu", n);
	return rc == 0 ? send_fact(dump, "postgres.databases", count, err) : rc;
}

void cf_pg_server_release(struct cf_pg_dump *dump)
{
	json_decref(dump->facts);
	dump->facts = NULL;
}
