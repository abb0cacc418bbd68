#include "drivers/mysql/users.h"

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/sql.h"
#include "drivers/mysql/users_scan.h"

#include <string.h>

/* Accounts in the order in which they can be made; those of the server itself are left out. */
static const char mariadb_accounts[] =
	"SELECT User, Host, is_role = 'Y' FROM mysql.user WHERE User <> 'mariadb.sys' "
	"ORDER BY is_role = 'Y' DESC, CAST(User AS BINARY), CAST(Host AS BINARY)";
#define MYSQL_ACCOUNTS                                                                             \
	"SELECT User, Host, 0 FROM mysql.user WHERE User NOT IN ('mysql.sys', 'mysql.session', "   \
	"'mysql.infoschema') ORDER BY "
#define BY_NAME "CAST(User AS BINARY), CAST(Host AS BINARY)"
static const char mysql_accounts[] = MYSQL_ACCOUNTS
	"(User, Host) IN (SELECT FROM_USER, FROM_HOST FROM mysql.role_edges) DESC, " BY_NAME;
static const char accounts_without_roles[] = MYSQL_ACCOUNTS BY_NAME; /* MySQL 5.7 */

static const char *accounts_of(const struct cf_mysql *my)
{
	if (cf_mysql_is_mariadb(my))
		return mariadb_accounts;
	return cf_mysql_version(my) >= 80000 ? mysql_accounts : accounts_without_roles;
}

static int append_account_name(struct cf_buf *out, const struct cf_mysql_row *row,
			       struct cf_err *err)
{
	if (row->values[2][0] == '1')
		return cf_mysql_sql(out, err, "%n", row->values[0]);
	return cf_mysql_sql(out, err, "%n@%n", row->values[0], row->values[1]);
}

/* Made with every server, and only whoever has it may grant it: not everyone who may load the rest.
 */
static bool is_of_installation(const char *grant)
{
	static const char *const proxies[] = {"GRANT PROXY ON ``@`%` TO `root`@",
					      "GRANT PROXY ON ``@`` TO `root`@",
					      "GRANT PROXY ON ''@'' TO 'root'@"};

	for (size_t i = 0; i < sizeof(proxies) / sizeof(proxies[0]); i++)
		if (strncmp(grant, proxies[i], strlen(proxies[i])) == 0)
			return true;
	return false;
}

/* With its password the grant would change an account that is there. */
static int append_grant(const char *grant, struct cf_buf *out, struct cf_err *err)
{
	struct cf_buf bare = CF_BUF_INIT;
	int rc;

	if (is_of_installation(grant))
		return 0;
	rc = cf_mysql_users_bare_grant(grant, strlen(grant), &bare, err);
	/* Packages are known only in Oracle's mode, which makes no users, either. */
	if (rc == 0 && strstr(grant, " ON PACKAGE "))
		rc = cf_mysql_sql(out, err,
				  "SET sql_mode = 'ORACLE';\n%s;\n"
				  "SET sql_mode = 'NO_AUTO_CREATE_USER';\n",
				  (const char *)bare.data);
	else if (rc == 0)
		rc = cf_mysql_sql(out, err, "%s;\n", (const char *)bare.data);
	cf_buf_release(&bare);
	return rc;
}

/* Each row's last column as a statement. */
static int append_shown(struct cf_mysql *my, const char *question, struct cf_buf *out,
			struct cf_err *err)
{
	static const char create[] = "CREATE USER ";
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_query(my, question, &result, err);

	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0) {
		const char *text = row.values[cf_mysql_n_columns(result) - 1];
		bool creates = strncmp(text, create, sizeof(create) - 1) == 0;

		if (creates)
			rc = cf_mysql_sql(out, err, "CREATE USER IF NOT EXISTS %s;\n",
					  text + sizeof(create) - 1);
		else
			rc = append_grant(text, out, err);
	}
	cf_mysql_result_free(result);
	return rc;
}

static int append_creation(struct cf_mysql *my, const struct cf_mysql_row *row, struct cf_buf *out,
			   struct cf_err *err)
{
	struct cf_buf question = CF_BUF_INIT;
	int rc;

	if (row->values[2][0] == '1')
		return cf_mysql_sql(out, err, "CREATE ROLE IF NOT EXISTS %n;\n", row->values[0]);
	rc = cf_mysql_sql(&question, err, "SHOW CREATE USER ");
	if (rc == 0)
		rc = append_account_name(&question, row, err);
	if (rc == 0)
		rc = append_shown(my, (const char *)question.data, out, err);
	cf_buf_release(&question);
	return rc;
}

static int append_grants(struct cf_mysql *my, const struct cf_mysql_row *row, struct cf_buf *out,
			 struct cf_err *err)
{
	struct cf_buf question = CF_BUF_INIT;
	int rc = cf_mysql_sql(&question, err, "SHOW GRANTS FOR ");

	if (rc == 0)
		rc = append_account_name(&question, row, err);
	if (rc == 0)
		rc = append_shown(my, (const char *)question.data, out, err);
	cf_buf_release(&question);
	return rc;
}

typedef int account_fn(struct cf_mysql *my, const struct cf_mysql_row *row, struct cf_buf *out,
		       struct cf_err *err);

/* An account for a host's name, say, which the server passes over while it resolves none. */
static int pass_over(const struct cf_ctx *ctx, const struct cf_mysql_row *row, struct cf_err *err)
{
	struct cf_buf name = CF_BUF_INIT;
	int rc = append_account_name(&name, row, err);

	if (rc == 0)
		cf_ctx_note(ctx, "user.unknown", (const char *)name.data,
			    "the server itself does not know this account of its tables");
	cf_buf_release(&name);
	return rc;
}

static int for_each_account(struct cf_mysql *my, const struct cf_ctx *ctx, account_fn *append,
			    struct cf_buf *out, struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_query(my, accounts_of(my), &result, err);

	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0) {
		/* What everybody is granted has no account to create. */
		if (append == append_creation && strcmp(row.values[0], "PUBLIC") == 0) {
			rc = 0;
			continue;
		}
		rc = append(my, &row, out, err);
		if (rc < 0 && (cf_mysql_errno(my) == CF_MYSQL_NO_SUCH_ACCOUNT ||
			       cf_mysql_errno(my) == CF_MYSQL_NO_SUCH_GRANT)) {
			cf_err_clear(err);
			rc = append == append_creation ? pass_over(ctx, &row, err) : 0;
		}
	}
	cf_mysql_result_free(result);
	return rc;
}

static int append_option(const char *name, const char *value, const char **before,
			 struct cf_buf *out, struct cf_err *err)
{
	int rc;

	if (!value || !*value)
		return 0;
	rc = cf_mysql_sql(out, err, "%s%s %t", *before, name, value);
	*before = ", ";
	return rc;
}

/* row: name, wrapper, the options' values, port. */
static int append_server(struct cf_mysql *my, const struct cf_mysql_row *row, struct cf_buf *out,
			 struct cf_err *err)
{
	static const char *const options[] = {"HOST",	  "DATABASE", "USER",
					      "PASSWORD", "SOCKET",   "OWNER"};
	enum { N = sizeof(options) / sizeof(options[0]) };
	const char *before = "";
	int rc = cf_mysql_sql(out, err, "CREATE SERVER %s%n FOREIGN DATA WRAPPER %n OPTIONS (",
			      cf_mysql_is_mariadb(my) ? "IF NOT EXISTS " : "", row->values[0],
			      row->values[1]);

	for (size_t i = 0; rc == 0 && i < N; i++)
		rc = append_option(options[i], row->values[2 + i], &before, out, err);
	if (rc == 0 && strcmp(row->values[2 + N], "0") != 0)
		rc = cf_mysql_sql(out, err, "%sPORT %s", before, row->values[2 + N]);
	return rc == 0 ? cf_mysql_sql(out, err, ");\n") : rc;
}

/* What FEDERATED and SPIDER tables may refer to. */
static int append_servers(struct cf_mysql *my, struct cf_buf *out, struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_query(
		my,
		"SELECT Server_name, Wrapper, Host, Db, Username, Password, Socket, "
		"Owner, Port FROM mysql.servers ORDER BY CAST(Server_name AS BINARY)",
		&result, err);

	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0)
		rc = append_server(my, &row, out, err);
	cf_mysql_result_free(result);
	return rc;
}

int cf_mysql_users_read(struct cf_mysql *my, const struct cf_ctx *ctx, struct cf_buf *out,
			struct cf_err *err)
{
	/* A grant to somebody who is not there must not make an account without password. */
	bool may_make = cf_mysql_is_mariadb(my) || cf_mysql_version(my) < 80000;
	int rc = 0;

	if (!cf_mysql_is_mariadb(my) && cf_mysql_version(my) >= 80017)
		/* A salt may hold what no script can. */
		rc = cf_mysql_run(my, "SET SESSION print_identified_with_as_hex = 1", err);
	if (rc == 0)
		rc = cf_buf_append_str(
			out,
			"-- Roles, users, grants and definitions of other servers: "
			"restore --users makes them. By hand load this as a user with "
			"all rights, with mariadb --force before the databases and "
			"again behind them: some views need their owners, some rights "
			"their tables. Accounts that are there keep their passwords and limits.\n"
			"SET NAMES utf8mb4;\n",
			err);
	if (rc == 0)
		rc = cf_mysql_sql(out, err, "SET @coffer_sql_mode = @@sql_mode, sql_mode = '%s';\n",
				  may_make ? "NO_AUTO_CREATE_USER" : "");
	if (rc == 0)
		rc = append_servers(my, out, err);
	if (rc == 0)
		rc = for_each_account(my, ctx, append_creation, out, err);
	if (rc == 0)
		rc = for_each_account(my, ctx, append_grants, out, err);
	return rc == 0 ? cf_buf_append_str(out, "SET sql_mode = @coffer_sql_mode;\n", err) : rc;
}
