#include "drivers/mysql/rights.h"

#include "base/err.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/sql.h"

#include <stdlib.h>
#include <string.h>

/* One row of SHOW GRANTS: "GRANT SELECT, TRIGGER ON `shop`.* TO ...", or "REVOKE ... FROM ...". */
struct grant {
	const char *rights;
	size_t rights_len;
	bool is_global;
	bool is_revoked; /* from a right to everything (MySQL) */
	char *database;	 /* a pattern as of LIKE; NULL when it is global */
};

/* False when it is no grant on databases. */
static int parse_grant(const char *text, struct grant *grant, bool *is_one_out, struct cf_err *err)
{
	const char *scope = strstr(text, " ON "), *end;

	*is_one_out = false;
	if (!scope)
		return 0;
	grant->rights = text;
	grant->rights_len = (size_t)(scope - text);
	grant->is_revoked = strncmp(text, "REVOKE ", strlen("REVOKE ")) == 0;
	scope += strlen(" ON ");
	grant->is_global = strncmp(scope, "*.*", 3) == 0;
	end = *scope == '`' ? strstr(scope + 1, "`.*") : NULL;
	*is_one_out = grant->is_global || end;
	if (!end)
		return 0;
	grant->database = strndup(scope + 1, (size_t)(end - scope - 1));
	return grant->database ? 0 : cf_err_nomem(err);
}

static int covers(struct cf_mysql *my, const struct grant *grant, const char *database,
		  bool *covers_out, struct cf_err *err)
{
	char *matches = NULL;
	int rc = 0;

	*covers_out = grant->is_global;
	if (grant->is_global)
		return 0;
	rc = cf_mysql_ask_value(my, &matches, err, "SELECT %t LIKE %t COLLATE utf8mb4_bin",
				database, grant->database);
	*covers_out = rc == 0 && matches && strcmp(matches, "1") == 0;
	free(matches);
	return rc;
}

static bool holds(const struct grant *grant, const char *right)
{
	return memmem(grant->rights, grant->rights_len, right, strlen(right)) != NULL;
}

static void add_rights(const struct grant *grant, struct cf_mysql_rights *rights)
{
	bool all = holds(grant, "ALL PRIVILEGES");

	if (all || holds(grant, "TRIGGER"))
		rights->sees_triggers = !grant->is_revoked;
	/* EXECUTE, or to create, alter or show them. */
	if (!grant->is_revoked && (all || holds(grant, "EXECUTE") || holds(grant, "ROUTINE")))
		rights->sees_routines = true;
	if (grant->is_global && (all || holds(grant, "SHOW DATABASES") || holds(grant, "SELECT")))
		rights->sees_databases = true;
}

/* Whoever may read the server's own tables sees routines there. */
static bool reads_system_tables(const struct grant *grant)
{
	return !grant->is_revoked &&
	       (grant->is_global || strcmp(grant->database, "mysql") == 0) && holds(grant, "SELECT");
}

static int add_grant(struct cf_mysql *my, const char *text, const char *database,
		     struct cf_mysql_rights *rights, struct cf_err *err)
{
	struct grant grant = {.database = NULL};
	bool is_one = false, applies = false;
	int rc = parse_grant(text, &grant, &is_one, err);

	if (rc == 0 && is_one)
		rc = covers(my, &grant, database, &applies, err);
	if (rc == 0 && applies)
		add_rights(&grant, rights);
	if (rc == 0 && is_one && reads_system_tables(&grant))
		rights->sees_routines = true;
	free(grant.database);
	return rc;
}

int cf_mysql_rights_on(struct cf_mysql *my, const char *database,
		       struct cf_mysql_rights *rights_out, struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_query(my, "SHOW GRANTS", &result, err);

	*rights_out = (struct cf_mysql_rights){.sees_triggers = false};
	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0)
		rc = add_grant(my, row.values[0], database, rights_out, err);
	cf_mysql_result_free(result);
	return rc;
}
