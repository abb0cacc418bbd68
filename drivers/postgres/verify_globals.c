/*
 * The roles and tablespaces of a server of our own, as globals.sql has them. It is not run: it
 * comes from the repository and could do anything.
 */

#include "base/err.h"
#include "base/tree.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/folders.h"
#include "drivers/postgres/scratch.h"
#include "drivers/postgres/sql.h"
#include "drivers/postgres/toc.h"
#include "drivers/postgres/verify.h"

#include <stdlib.h>
#include <string.h>

struct maker {
	struct cf_pg_scratch *scratch;
	struct cf_pg *pg;
	struct cf_buf sql;
	struct cf_buf later; /* statements, each ended by NUL */
};

/* Who is a superuser at the source is one here, as owners of some objects must be. Others are not:
 * a superuser grants in an owner's name, and what was granted by others would come out otherwise.
 * Nobody logs in. */
static int make_role(struct maker *maker, const char *name, struct cf_err *err)
{
	int rc;

	if (strcmp(name, "postgres") == 0)
		return 0;
	rc = cf_buf_append_str(&maker->sql, "CREATE ROLE ", err);
	if (rc == 0)
		rc = cf_sql_append_name(name, &maker->sql, err);
	return rc < 0 ? rc : cf_buf_append_str(&maker->sql, " NOLOGIN;\n", err);
}

/* "name WITH SUPERUSER ...;" behind ALTER ROLE: what counts here. Other forms of it are settings.
 */
static int alter_role(struct maker *maker, const char *at, struct cf_err *err)
{
	static const char *const kinds[] = {"SUPERUSER", "BYPASSRLS", "NOINHERIT"};
	struct cf_sql_token token = cf_sql_next_token(&at);
	struct cf_buf name = CF_BUF_INIT;
	int rc = cf_sql_name_of(&token, &name, err);

	token = cf_sql_next_token(&at);
	if (rc == 0 &&
	    (!cf_sql_is_word(&token, "WITH") || strcmp((const char *)name.data, "postgres") == 0))
		goto out;
	while (rc == 0 && (token = cf_sql_next_token(&at)).kind == CF_SQL_WORD)
		for (size_t i = 0; rc == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
			if (!cf_sql_is_word(&token, kinds[i]))
				continue;
			rc = cf_buf_append_str(&maker->sql, "ALTER ROLE ", err);
			if (rc == 0)
				rc = cf_sql_append_name((const char *)name.data, &maker->sql, err);
			if (rc == 0)
				rc = cf_buf_printf(&maker->sql, err, " %s;\n", kinds[i]);
		}
out:
	cf_buf_release(&name);
	return rc;
}

/* "role TO member" behind GRANT: an owner may have rights by it that filling a materialized view
 * takes. Rights on tablespaces and parameters are granted in other words. */
static int grant_role(struct maker *maker, const char *at, struct cf_err *err)
{
	struct cf_sql_token role = cf_sql_next_token(&at), to = cf_sql_next_token(&at), member = cf_sql_next_token(&at);
	struct cf_buf name = CF_BUF_INIT;
	int rc;

	if (!cf_sql_is_word(&to, "TO"))
		return 0;
	rc = cf_sql_name_of(&role, &name, err);
	if (rc == 0)
		rc = cf_buf_append_str(&maker->later, "GRANT ", err);
	if (rc == 0)
		rc = cf_sql_append_name((const char *)name.data, &maker->later, err);
	if (rc == 0)
		rc = cf_sql_name_of(&member, &name, err);
	if (rc == 0)
		rc = cf_buf_append_str(&maker->later, " TO ", err);
	if (rc == 0)
		rc = cf_sql_append_name((const char *)name.data, &maker->later, err);
	cf_buf_release(&name);
	return rc < 0 ? rc : cf_buf_append(&maker->later, "", 1, err);
}

/* But for those of a role that this server has not, as that of a provider's own making. */
static int run_later(struct maker *maker, struct cf_err *err)
{
	static const char undefined_object[] = "42704";
	const struct cf_buf *later = &maker->later;
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < later->len;
	     at += strlen((const char *)later->data + at) + 1) {
		rc = cf_pg_exec(maker->pg, (const char *)later->data + at, err);
		if (rc < 0 && strcmp(cf_pg_sqlstate(maker->pg), undefined_object) == 0) {
			cf_err_clear(err);
			rc = 0;
		}
	}
	return rc;
}

static int make_tablespace(struct maker *maker, const char *name, struct cf_err *err)
{
	struct cf_buf sql = CF_BUF_INIT;
	char *folder = NULL;
	int rc = cf_pg_scratch_folder(maker->scratch, &folder, err);

	if (rc == 0)
		rc = cf_buf_append_str(&sql, "CREATE TABLESPACE ", err);
	if (rc == 0)
		rc = cf_sql_append_name(name, &sql, err);
	if (rc == 0)
		rc = cf_buf_append_str(&sql, " LOCATION ", err);
	if (rc == 0)
		rc = cf_sql_append_literal(folder, &sql, err);
	if (rc == 0)
		rc = cf_buf_append(&sql, "", 1, err);
	/* Not within a transaction, and so not together with others. */
	if (rc == 0)
		rc = cf_pg_exec(maker->pg, (const char *)sql.data, err);
	cf_buf_release(&sql);
	free(folder);
	return rc;
}

/* The roles that globals.sql names, with what they are members of, and its tablespaces. */
static int make_globals(struct maker *maker, const char *at, struct cf_err *err)
{
	struct cf_sql_token token, before = {.kind = CF_SQL_END};
	struct cf_buf name = CF_BUF_INIT;
	int rc = 0;

	while (rc == 0 && (token = cf_sql_next_token(&at)).kind != CF_SQL_END) {
		bool role = cf_sql_is_word(&token, "ROLE"), tablespace = cf_sql_is_word(&token, "TABLESPACE");
		bool creates = cf_sql_is_word(&before, "CREATE") && (role || tablespace);

		if (role && cf_sql_is_word(&before, "ALTER"))
			rc = alter_role(maker, at, err);
		else if (cf_sql_is_word(&token, "GRANT"))
			rc = grant_role(maker, at, err);
		before = token;
		if (rc < 0 || !creates)
			continue;
		token = cf_sql_next_token(&at);
		rc = cf_sql_name_of(&token, &name, err);
		if (rc == 0)
			rc = role ? make_role(maker, (const char *)name.data, err)
				  : make_tablespace(maker, (const char *)name.data, err);
	}
	cf_buf_release(&name);
	return rc;
}

/* Nobody but a superuser may own these, unless a provider's server lets others. */
static bool needs_superuser(const struct cf_pg_toc_entry *entry)
{
	static const char *const kinds[] = {"EVENT TRIGGER", "FOREIGN DATA WRAPPER",
					    "SUBSCRIPTION"};

	if (!entry->owner || !entry->owner[0])
		return false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(entry->desc, kinds[i]) == 0)
			return true;
	return strcmp(entry->desc, "PUBLICATION TABLES IN SCHEMA") == 0 ||
	       (strcmp(entry->desc, "PUBLICATION") == 0 && entry->defn &&
		strstr(entry->defn, " FOR ALL TABLES"));
}

static int raise_owners(struct maker *maker, const struct cf_pg_toc *toc, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < toc->n_entries; i++) {
		if (!needs_superuser(&toc->entries[i]))
			continue;
		rc = cf_buf_append_str(&maker->later, "ALTER ROLE ", err);
		if (rc == 0)
			rc = cf_sql_append_name(toc->entries[i].owner, &maker->later, err);
		if (rc == 0)
			rc = cf_buf_append(&maker->later, " SUPERUSER", sizeof(" SUPERUSER"), err);
	}
	return rc;
}

static int raise_all_owners(struct maker *maker, struct cf_tree *tree,
			    const struct cf_pg_folders *folders, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < folders->n; i++) {
		struct cf_pg_verify verify = {.tree = tree, .folder = folders->items[i]};

		rc = cf_pg_verify_read_documents(&verify, err);
		if (rc == 0)
			rc = raise_owners(maker, verify.toc, err);
		cf_pg_verify_release_documents(&verify);
	}
	return rc;
}

/*
 * Names of roles are bytes, of which a database with an encoding takes only what fits into it, and one in SQL_ASCII all.
 */
static int connect_maker(struct maker *maker, const struct cf_ctx *ctx, struct cf_err *err)
{
	struct cf_pg_options options = {.application = "coffer verify", .database = "postgres"};
	int rc = cf_pg_connect(cf_pg_scratch_target(maker->scratch), &options, ctx, &maker->pg, err);

	if (rc == 0)
		rc = cf_pg_exec(maker->pg,
				"CREATE DATABASE coffer_bytes TEMPLATE template0 ENCODING 'SQL_ASCII'"
				" LC_COLLATE 'C' LC_CTYPE 'C'",
				err);
	cf_pg_close(maker->pg);
	maker->pg = NULL;
	options.database = "coffer_bytes";
	return rc < 0 ? rc : cf_pg_connect(cf_pg_scratch_target(maker->scratch), &options, ctx, &maker->pg, err);
}

int cf_pg_verify_prepare(struct cf_pg_scratch *scratch, struct cf_tree *tree,
			 const struct cf_pg_folders *folders, const struct cf_ctx *ctx,
			 struct cf_err *err)
{
	struct maker maker = {.scratch = scratch, .sql = CF_BUF_INIT, .later = CF_BUF_INIT};
	struct cf_buf globals = CF_BUF_INIT;
	int rc = cf_tree_read_file(tree, "globals.sql", CF_PG_VERIFY_DOCUMENT_MAX, &globals, err);

	if (rc == 0)
		rc = connect_maker(&maker, ctx, err);
	if (rc == 0)
		rc = make_globals(&maker, (const char *)globals.data, err);
	if (rc == 0)
		rc = raise_all_owners(&maker, tree, folders, err);
	if (rc == 0)
		rc = cf_buf_append(&maker.sql, "", 1, err);
	if (rc == 0)
		rc = cf_pg_exec(maker.pg, (const char *)maker.sql.data, err);
	if (rc == 0)
		rc = run_later(&maker, err);
	if (rc < 0)
		cf_err_wrap(err, "globals.sql");
	cf_pg_close(maker.pg);
	cf_buf_release(&maker.sql);
	cf_buf_release(&maker.later);
	cf_buf_release(&globals);
	return rc;
}
