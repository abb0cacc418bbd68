/*
 * --users: accounts that are not there are made before the databases, for views may call what
 * belongs to one of them. A right on one table or routine can be granted only when that is there,
 * so each grant is tried again until the end. Accounts that are there keep password and limits.
 *
 * MariaDB makes whoever creates a role its administrator, who alone may grant it. In the end we are
 * that only of roles of which the snapshot says so.
 */

#include "base/err.h"
#include "base/tree.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/ddl.h"
#include "drivers/mysql/ddl_scan.h"
#include "drivers/mysql/load.h"
#include "drivers/mysql/manifest_json.h"
#include "drivers/mysql/sql.h"
#include "drivers/mysql/users_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int keep_step(void *user, const struct cf_mysql_user_step *from, struct cf_err *err)
{
	struct cf_mysql_load *load = user;
	struct cf_mysql_load_user *step =
		cf_mysql_grow(&load->users, &load->n_users, sizeof(*step));

	if (!step)
		return cf_err_nomem(err);
	step->sql = strdup(from->sql);
	step->label = strdup(from->label);
	step->is_account = from->is_account;
	step->is_oracle = from->is_oracle;
	return step->sql && step->label ? 0 : cf_err_nomem(err);
}

int cf_mysql_load_read_users(struct cf_mysql_load *load, struct cf_err *err)
{
	struct cf_buf text = CF_BUF_INIT;
	int rc = cf_tree_read_file(load->tree, "users.sql", CF_MYSQL_MANIFEST_LEN_MAX, &text, err);

	if (rc == CF_ERR_NOT_FOUND)
		rc = cf_err_set(err, CF_ERR_NOT_FOUND,
				"--users: no users.sql is here: only whole snapshots have one, and "
				"only if the backup had the right to read users");
	else if (rc == 0)
		rc = cf_mysql_users_scan((const char *)text.data, keep_step, load, err);
	if (rc == CF_ERR_DAMAGED)
		cf_err_wrap(err, "users.sql");
	cf_buf_release(&text);
	return rc;
}

static int run_step(struct cf_mysql_load *load, struct cf_mysql_load_user *step, struct cf_err *err)
{
	/* A grant to somebody who is not there must not make an account without password. */
	bool may_make = cf_mysql_is_mariadb(load->my) || cf_mysql_version(load->my) < 80000;
	int rc = cf_ctx_check(load->ctx, err);

	if (rc == 0)
		rc = cf_mysql_runf(load->my, err, "SET NAMES utf8mb4, sql_mode = '%s%s'",
				   step->is_oracle ? "ORACLE" : "",
				   may_make ? ",NO_AUTO_CREATE_USER" : "");
	if (rc == 0)
		rc = cf_mysql_run(load->my, step->sql, err);
	/* MySQL knows no IF NOT EXISTS there. */
	if (rc < 0 && cf_mysql_errno(load->my) == CF_MYSQL_SERVER_EXISTS) {
		cf_err_clear(err);
		rc = 0;
	}
	step->is_done = rc == 0;
	return rc;
}

static bool is_of_restored(const struct cf_mysql_load *load, const struct cf_mysql_load_user *step)
{
	for (size_t i = 0; i < load->n_targets; i++)
		if (cf_mysql_ddl_mentions(step->sql, load->targets[i].name))
			return true;
	return false;
}

static bool is_named(const struct cf_mysql_load *load, size_t target, const char *name,
		     const struct cf_mysql_token *db, const struct cf_mysql_token *object)
{
	return cf_mysql_token_is_name(db, load->targets[target].name) &&
	       cf_mysql_token_is_name(object, name);
}

/* A right on one table or routine that the restore has not: the source had lost it. */
static bool is_stale(const struct cf_mysql_load *load, const struct cf_mysql_load_user *step)
{
	const char *pos = step->sql;
	struct cf_mysql_token db, dot, object;

	do {
		db = cf_mysql_token_next(&pos);
	} while (db.kind != CF_MYSQL_TOKEN_END && !cf_mysql_token_is_word(&db, "ON"));
	/* PACKAGE BODY has two words. */
	do {
		db = cf_mysql_token_next(&pos);
	} while (db.kind == CF_MYSQL_TOKEN_WORD);
	dot = cf_mysql_token_next(&pos);
	object = cf_mysql_token_next(&pos);
	if (!cf_mysql_token_is_byte(&dot, '.') || object.kind != CF_MYSQL_TOKEN_NAME)
		return false;
	for (size_t i = 0; i < load->n_tables; i++)
		if (is_named(load, load->tables[i].target, load->tables[i].name, &db, &object))
			return false;
	for (size_t i = 0; i < load->n_objects; i++)
		if (is_named(load, load->objects[i].target, load->objects[i].name, &db, &object))
			return false;
	return true;
}

/* A snapshot of one database has the rights to all. */
static void tell_refused(const struct cf_mysql_load *load, const struct cf_mysql_load_user *step,
			 int rc, const char *why)
{
	const char *what = step->is_account ? "made" : "granted";

	if (rc == CF_ERR_NOT_FOUND && (!is_of_restored(load, step) || is_stale(load, step)))
		cf_ctx_note(load->ctx, "user.elsewhere", step->label,
			    "not %s, for it was not restored: %s", what, step->label);
	else
		cf_ctx_warn(load->ctx, "user.refused", step->label, "not %s: %s: %s", what,
			    step->label, why);
}

/* Whoever may not grant a role finds it granted already, perhaps, by an earlier restore. */
static bool is_granted(struct cf_mysql_load *load, const struct cf_mysql_load_user *step)
{
	struct cf_buf account = CF_BUF_INIT, bare = CF_BUF_INIT;
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	bool found = false;
	int rc = cf_mysql_users_grantee(step->sql, &account, NULL);

	if (rc == 0)
		rc = cf_mysql_ask(load->my, &result, NULL, "SHOW GRANTS FOR %s",
				  (const char *)account.data);
	while (rc == 0 && !found && cf_mysql_fetch(result, &row, NULL) > 0) {
		cf_buf_clear(&bare);
		rc = cf_mysql_users_bare_grant(row.values[0], row.lengths[0], &bare, NULL);
		found = rc == 0 && !strcmp((const char *)bare.data, step->sql);
	}
	cf_mysql_result_free(result);
	cf_buf_release(&account);
	cf_buf_release(&bare);
	return found;
}

/* is_last: what the server refuses will not be tried again. */
static int try_step(struct cf_mysql_load *load, struct cf_mysql_load_user *step, bool is_last,
		    struct cf_err *err)
{
	struct cf_err failure = CF_ERR_INIT;
	char why[CF_ERR_TEXT_MAX];
	int rc = run_step(load, step, &failure);

	if (rc == 0)
		return 0;
	if (rc == CF_ERR_CANCELED || rc == CF_ERR_NOMEM || cf_mysql_is_broken(load->my))
		return cf_err_set(err, rc, "%s", failure.text);
	if (!is_last)
		return 0;
	snprintf(why, sizeof(why), "%s", cf_mysql_error_text(load->my));
	step->is_done = !step->is_account && is_granted(load, step);
	if (!step->is_done)
		tell_refused(load, step, rc, why);
	return 0;
}

int cf_mysql_load_grant(struct cf_mysql_load *load, bool is_last, size_t *n_done_out,
			struct cf_err *err)
{
	int rc = 0;

	*n_done_out = 0;
	for (size_t i = 0; rc == 0 && i < load->n_users; i++) {
		struct cf_mysql_load_user *step = &load->users[i];

		if (step->is_account || step->is_done)
			continue;
		rc = try_step(load, step, is_last, err);
		*n_done_out += step->is_done;
	}
	return rc;
}

/* The roles that were granted to this account itself. */
static int ask_own_roles(struct cf_mysql_load *load, struct cf_mysql_result **result_out,
			 struct cf_err *err)
{
	return cf_mysql_query(load->my,
			      "SELECT ROLE_NAME, IS_GRANTABLE, CURRENT_USER() FROM "
			      "information_schema.APPLICABLE_ROLES WHERE GRANTEE = CURRENT_USER()",
			      result_out, err);
}

static int note_own_roles(struct cf_mysql_load *load, struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_is_mariadb(load->my) ? ask_own_roles(load, &result, err) : 0;

	while (result && rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0) {
		char **role = cf_mysql_grow(&load->own_roles, &load->n_own_roles, sizeof(*role));

		rc = role ? cf_mysql_copy(row.values[0], role, err) : cf_err_nomem(err);
	}
	cf_mysql_result_free(result);
	return rc;
}

static bool had_role(const struct cf_mysql_load *load, const char *role)
{
	for (size_t i = 0; i < load->n_own_roles; i++)
		if (!strcmp(load->own_roles[i], role))
			return true;
	return false;
}

static bool has_step(const struct cf_mysql_load *load, const struct cf_buf *sql)
{
	for (size_t i = 0; i < load->n_users; i++)
		if (!strcmp(load->users[i].sql, (const char *)sql->data))
			return true;
	return false;
}

/* What making the role gave this account, beyond what the snapshot does. account: as SHOW GRANTS
 * has it. */
static int give_back_role(struct cf_mysql_load *load, const char *role, const char *account,
			  struct cf_err *err)
{
	struct cf_buf plain = CF_BUF_INIT, admin = CF_BUF_INIT;
	int rc = cf_mysql_sql(&plain, err, "GRANT %n TO %s", role, account);

	if (rc == 0)
		rc = cf_mysql_sql(&admin, err, "GRANT %n TO %s WITH ADMIN OPTION", role, account);
	if (rc == 0 && !has_step(load, &admin))
		rc = cf_mysql_do(load->my, err, "REVOKE %s%n FROM %s",
				 has_step(load, &plain) ? "ADMIN OPTION FOR " : "", role, account);
	cf_buf_release(&plain);
	cf_buf_release(&admin);
	if (rc == 0 || rc == CF_ERR_CANCELED || rc == CF_ERR_NOMEM || cf_mysql_is_broken(load->my))
		return rc;
	cf_ctx_warn(load->ctx, "role.kept", role, "role %s stays granted to %s: %s", role, account,
		    cf_mysql_error_text(load->my));
	cf_err_clear(err);
	return 0;
}

int cf_mysql_load_give_back_roles(struct cf_mysql_load *load, struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_buf account = CF_BUF_INIT;
	struct cf_mysql_row row;
	int rc = load->n_users > 0 && cf_mysql_is_mariadb(load->my)
			 ? ask_own_roles(load, &result, err)
			 : 0;

	while (result && rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0) {
		rc = 0;
		if (had_role(load, row.values[0]) || strcmp(row.values[1], "YES") != 0)
			continue;
		cf_buf_clear(&account);
		rc = cf_mysql_load_append_account(&account, row.values[2], err);
		if (rc == 0)
			rc = cf_buf_append(&account, "", 1, err);
		if (rc == 0)
			rc = give_back_role(load, row.values[0], (const char *)account.data, err);
	}
	cf_mysql_result_free(result);
	cf_buf_release(&account);
	return rc;
}

int cf_mysql_load_users(struct cf_mysql_load *load, struct cf_err *err)
{
	bool has_rights = false;
	size_t n_done;
	int rc = load->options->dry_run ? 0 : note_own_roles(load, err);

	for (size_t i = 0; rc == 0 && i < load->n_users; i++) {
		struct cf_mysql_load_user *step = &load->users[i];

		has_rights |= !step->is_account;
		if (step->is_account && cf_mysql_load_step(load, "ensure", step->label, 0))
			rc = try_step(load, step, true, err);
	}
	if (rc == 0 && has_rights && cf_mysql_load_step(load, "grant", "rights", 0))
		rc = cf_mysql_load_grant(load, false, &n_done, err);
	return rc;
}
