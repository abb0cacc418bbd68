#include "drivers/mysql/facts.h"

#include "base/err.h"
#include "drivers/mysql/catalog.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/snapshot.h"
#include "drivers/mysql/sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A variable that this server does not have is no fact of it. */
static int add_variable(struct cf_mysql *my, const char *name, struct cf_mysql_server *server,
			struct cf_err *err)
{
	char *value = NULL;
	int rc = cf_mysql_ask_value(my, &value, err, "SELECT @@global.%s", name);

	if (rc < 0 && cf_mysql_errno(my) == CF_MYSQL_UNKNOWN_VARIABLE) {
		cf_err_clear(err);
		return 0;
	}
	if (rc == 0 && value)
		rc = cf_mysql_server_add_fact(server, name, value, err);
	free(value);
	return rc;
}

int cf_mysql_facts_of_server(struct cf_mysql *my, struct cf_mysql_server *server,
			     struct cf_err *err)
{
	static const char *const variables[] = {"version_comment",
						"server_id",
						"server_uuid",
						"server_uid",
						"sql_mode",
						"time_zone",
						"system_time_zone",
						"lower_case_table_names",
						"character_set_server",
						"collation_server",
						"character_set_filesystem",
						"max_allowed_packet",
						"default_storage_engine",
						"innodb_page_size",
						"log_bin",
						"log_slave_updates",
						"binlog_format",
						"gtid_domain_id",
						"gtid_mode",
						"gtid_purged",
						"explicit_defaults_for_timestamp"};
	char *lower = NULL;
	int rc = cf_mysql_copy(cf_mysql_version_text(my), &server->version, err);

	if (rc == 0)
		rc = cf_mysql_copy(cf_mysql_is_mariadb(my) ? "mariadb" : "mysql", &server->flavour,
				   err);
	if (rc == 0)
		rc = cf_mysql_value(my, "SELECT @@lower_case_table_names", &lower, err);
	if (rc == 0 && lower)
		server->lower_case_table_names = (unsigned)strtoul(lower, NULL, 10);
	free(lower);
	for (size_t i = 0; rc == 0 && i < sizeof(variables) / sizeof(variables[0]); i++)
		rc = add_variable(my, variables[i], server, err);
	return rc;
}

static int add_time(int64_t time_ns, struct cf_mysql_server *server, struct cf_err *err)
{
	time_t seconds = (time_t)(time_ns / 1000000000);
	struct tm utc;
	char text[40];

	gmtime_r(&seconds, &utc);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
	return cf_mysql_server_add_fact(server, "snapshot_time", text, err);
}

enum { NAMED_TABLES_MAX = 50 };

/* Tables that the snapshot alone does not hold still, by name as far as that stays readable. */
static int add_unheld_tables(const struct cf_mysql_catalog *catalog, struct cf_mysql_server *server,
			     struct cf_err *err)
{
	struct cf_buf names = CF_BUF_INIT;
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; i < catalog->n_databases; i++) {
		const struct cf_mysql_manifest *manifest = &catalog->databases[i].manifest;

		for (size_t j = 0; rc == 0 && j < manifest->n_tables; j++)
			if (!manifest->tables[j].is_transactional && n++ < NAMED_TABLES_MAX)
				rc = cf_buf_printf(&names, err, "%s%s.%s", n > 1 ? ", " : "",
						   manifest->database, manifest->tables[j].name);
	}
	if (rc == 0 && n > NAMED_TABLES_MAX)
		rc = cf_buf_printf(&names, err, " and %zu more", n - NAMED_TABLES_MAX);
	if (rc == 0 && n > 0)
		rc = cf_mysql_server_add_fact(server, "tables_not_transactional",
					      (const char *)names.data, err);
	cf_buf_release(&names);
	return rc;
}

static int add_databases(const struct cf_mysql_catalog *catalog, struct cf_mysql_server *server,
			 struct cf_err *err)
{
	size_t n_tables = 0;
	char text[24];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < catalog->n_databases; i++) {
		rc = cf_mysql_server_add_database(server, catalog->databases[i].manifest.database,
						  err);
		n_tables += catalog->databases[i].manifest.n_tables;
	}
	snprintf(text, sizeof(text), "%zu", n_tables);
	if (rc == 0)
		rc = cf_mysql_server_add_fact(server, "tables", text, err);
	return rc == 0 ? add_unheld_tables(catalog, server, err) : rc;
}

/* "primary_host", of the second one "primary_host_2". */
static int add_primary_fact(size_t index, const char *name, const char *value,
			    struct cf_mysql_server *server, struct cf_err *err)
{
	char key[48];

	if (!value || !value[0])
		return 0;
	if (index == 0)
		snprintf(key, sizeof(key), "primary_%s", name);
	else
		snprintf(key, sizeof(key), "primary_%s_%zu", name, index + 1);
	return cf_mysql_server_add_fact(server, key, value, err);
}

static int add_primary(size_t index, const struct cf_mysql_primary *primary,
		       struct cf_mysql_server *server, struct cf_err *err)
{
	const struct {
		const char *name, *value;
	} facts[] = {
		{"connection", primary->connection},
		{"host", primary->host},
		{"port", primary->port},
		{"log_file", primary->log_file},
		{"log_position", primary->log_file ? primary->log_position : NULL},
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(facts) / sizeof(facts[0]); i++)
		rc = add_primary_fact(index, facts[i].name, facts[i].value, server, err);
	return rc;
}

static int add_replica(const struct cf_mysql_replica *replica, struct cf_mysql_server *server,
		       struct cf_err *err)
{
	int rc = replica->gtid
			 ? cf_mysql_server_add_fact(server, "gtid_slave_pos", replica->gtid, err)
			 : 0;

	for (size_t i = 0; rc == 0 && i < replica->n_primaries; i++)
		rc = add_primary(i, &replica->primaries[i], server, err);
	return rc;
}

/* The log of a replica may lack what it applied: its GTIDs are none to go on from. */
static int add_gtid(const struct cf_mysql_snapshot *snapshot, struct cf_mysql_server *server,
		    struct cf_err *err)
{
	bool is_replica = snapshot->replica.n_primaries > 0 || snapshot->replica.is_running;
	char *logs = NULL;
	int rc = 0;

	if (!snapshot->gtid || !snapshot->gtid[0])
		return 0;
	if (!cf_mysql_is_mariadb(snapshot->control))
		return cf_mysql_server_add_fact(server, "gtid_executed", snapshot->gtid, err);
	rc = cf_mysql_value(snapshot->control, "SELECT @@global.log_slave_updates", &logs, err);
	if (rc == 0 && (!is_replica || (logs && strcmp(logs, "1") == 0)))
		rc = cf_mysql_server_add_fact(server, "gtid_binlog_pos", snapshot->gtid, err);
	free(logs);
	return rc;
}

int cf_mysql_facts_of_snapshot(const struct cf_mysql_snapshot *snapshot,
			       const struct cf_mysql_catalog *catalog,
			       struct cf_mysql_server *server, struct cf_err *err)
{
	bool has_log = snapshot->binlog_file && snapshot->binlog_file[0];
	char locked[24], connections[16];
	const struct {
		const char *key, *value;
	} facts[] = {
		{"snapshot_mode", snapshot->mode},
		{"locked_seconds", locked},
		{"connections", connections},
		{"binlog_file", snapshot->binlog_file},
		{"binlog_position", has_log ? snapshot->binlog_position : NULL},
	};
	int rc = add_time(snapshot->time_ns, server, err);

	snprintf(locked, sizeof(locked), "%.3f", (double)snapshot->locked_ns / 1e9);
	snprintf(connections, sizeof(connections), "%u", snapshot->n_workers);
	for (size_t i = 0; rc == 0 && i < sizeof(facts) / sizeof(facts[0]); i++)
		if (facts[i].value && facts[i].value[0])
			rc = cf_mysql_server_add_fact(server, facts[i].key, facts[i].value, err);
	if (rc == 0)
		rc = add_gtid(snapshot, server, err);
	if (rc == 0)
		rc = add_replica(&snapshot->replica, server, err);
	return rc == 0 ? add_databases(catalog, server, err) : rc;
}
