#include "drivers/mysql/strays.h"

#include "base/buf.h"
#include "base/ctx.h"
#include "base/err.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/sql.h"
#include "drivers/selector.h"

#include <fnmatch.h>
#include <string.h>

enum { NAMED_MAX = 10 };

/* Of the database mysql, in all versions of MariaDB and MySQL. */
static const char *const own_names[] = {
	"AddGeometryColumn",
	"DropGeometryColumn",
	"audit_log_*",
	"column_stats",
	"columns_priv",
	"component",
	"db",
	"default_roles",
	"engine_cost",
	"event",
	"firewall_*",
	"func",
	"general_log*",
	"global_grants",
	"global_priv",
	"gtid_executed",
	"gtid_slave_pos*",
	"help_*",
	"host",
	"index_stats",
	"innodb_*",
	"inventory",
	"masking_dictionaries",
	"ndb_*",
	"password_history",
	"password_reuse_check_history",
	"plugin",
	"proc",
	"procs_priv",
	"proxies_priv",
	"replication_*",
	"role_edges",
	"roles_mapping",
	"server_cost",
	"servers",
	"slave_*",
	"slow_log*",
	"spider_*",
	"table_stats",
	"tables_priv",
	"time_zone*",
	"transaction_registry",
	"user",
	"wsrep_*",
	/* Amazon, Google, Microsoft */
	"rds_*",
	"ev_rds_*",
	"aurora_*",
	"ha_health_check",
	"heartbeat",
	"__*",
};

/* Kind, database, name and definer. The view sys.version has the definer of all that is in sys. */
#define OF_SERVER "('mariadb.sys@localhost', 'mysql.sys@localhost', 'mysql.infoschema@localhost')"
#define NOT_OF_SERVER                                                                              \
	" IN ('mysql', 'sys') AND DEFINER NOT IN " OF_SERVER                                       \
	" AND NOT (%s = 'sys' AND DEFINER IN (SELECT DEFINER FROM information_schema.VIEWS WHERE " \
	"TABLE_SCHEMA = 'sys' AND TABLE_NAME = 'version'))"

static const struct {
	const char *kind, *select, *schema;
} questions[] = {
	{"view", "TABLE_NAME FROM information_schema.VIEWS", "TABLE_SCHEMA"},
	{"routine", "ROUTINE_NAME FROM information_schema.ROUTINES", "ROUTINE_SCHEMA"},
	{"trigger", "TRIGGER_NAME FROM information_schema.TRIGGERS", "TRIGGER_SCHEMA"},
	{"event", "EVENT_NAME FROM information_schema.EVENTS", "EVENT_SCHEMA"},
};

static const char tables_sql[] =
	"SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA IN "
	"('mysql', 'sys') AND TABLE_TYPE NOT IN ('VIEW', 'SYSTEM VIEW')";

struct strays {
	struct cf_selector *selector;
	struct cf_buf names; /* "table mysql.t, event mysql.e" */
	size_t n;
};

static bool is_own(const char *database, const char *name)
{
	if (strcmp(database, "mysql") != 0)
		return !strcmp(name, "sys_config");
	for (size_t i = 0; i < sizeof(own_names) / sizeof(own_names[0]); i++)
		if (fnmatch(own_names[i], name, 0) == 0)
			return true;
	return false;
}

/* Rows of database and name. */
static int add_all(struct cf_mysql *my, const char *sql, const char *kind, struct strays *strays,
		   struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_query(my, sql, &result, err);

	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0) {
		const char *database = row.values[0], *name = row.values[1];

		rc = 0;
		if (is_own(database, name) ||
		    cf_selector_excludes(strays->selector, NULL, database, name))
			continue;
		if (strays->n++ < NAMED_MAX)
			rc = cf_buf_printf(&strays->names, err, "%s%s %s.%s",
					   strays->n > 1 ? ", " : "", kind, database, name);
	}
	cf_mysql_result_free(result);
	return rc;
}

static int add_defined(struct cf_mysql *my, size_t question, struct strays *strays,
		       struct cf_err *err)
{
	const char *schema = questions[question].schema;
	struct cf_buf sql = CF_BUF_INIT;
	int rc = cf_mysql_sql(&sql, err, "SELECT %s, %s WHERE %s" NOT_OF_SERVER, schema,
			      questions[question].select, schema, schema);

	if (rc == 0)
		rc = add_all(my, (const char *)sql.data, questions[question].kind, strays, err);
	cf_buf_release(&sql);
	return rc;
}

int cf_mysql_warn_of_strays(struct cf_mysql *my, struct cf_selector *selector,
			    const struct cf_ctx *ctx, struct cf_err *err)
{
	struct strays strays = {.selector = selector, .names = CF_BUF_INIT};
	int rc = add_all(my, tables_sql, "table", &strays, err);

	for (size_t i = 0; rc == 0 && i < sizeof(questions) / sizeof(questions[0]); i++)
		rc = add_defined(my, i, &strays, err);
	if (rc == 0 && strays.n > NAMED_MAX)
		rc = cf_buf_printf(&strays.names, err, " and %zu more", strays.n - NAMED_MAX);
	if (rc == 0 && strays.n > 0)
		cf_ctx_warn(ctx, "database.system", cf_mysql_server_name(my),
			    "not saved, for mysql and sys belong to the server: %s (move it to a "
			    "database of its own, or name it by --exclude-table)",
			    (const char *)strays.names.data);
	cf_buf_release(&strays.names);
	return rc;
}
