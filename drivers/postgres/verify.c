/*
 * Each database of the snapshot is restored into one of its own on a server: one that is started
 * for this, or the one that
 * --against names, where no role or tablespace is made: that must have them.
 */

#include "drivers/postgres/verify.h"

#include "base/err.h"
#include "base/tree.h"
#include "drivers/postgres/claim.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/folders.h"
#include "drivers/postgres/graph.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/scratch.h"
#include "drivers/postgres/sql.h"
#include "drivers/postgres/toc.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DOCUMENT_LEN_MAX ((size_t)1 << 30)
#define DETAIL_MAX	 512

void cf_pg_verify_report(const struct cf_pg_verify *verify, const char *name, const char *object,
			 bool passed, const char *fmt, ...)
{
	char detail[DETAIL_MAX];
	va_list args;

	if (fmt) {
		va_start(args, fmt);
		vsnprintf(detail, sizeof(detail), fmt, args);
		va_end(args);
	}
	if (!passed)
		atomic_fetch_add(verify->n_failed, 1);
	if (verify->options->check)
		verify->options->check(verify->options->check_user,
				       &(struct cf_verify_check){.name = name,
								 .object = object,
								 .passed = passed,
								 .detail = fmt ? detail : NULL});
}

/* --- a server of our own --- */

struct maker {
	struct cf_pg_scratch *scratch;
	struct cf_pg *pg;
	struct cf_buf sql;
	struct cf_buf grants; /* statements, each ended by NUL */
};

static bool is_word(const struct cf_sql_token *token, const char *word)
{
	return token->kind == CF_SQL_WORD && token->len == strlen(word) &&
	       strncasecmp(token->text, word, token->len) == 0;
}

static struct cf_sql_token next_token(const char **at)
{
	struct cf_sql_token token = cf_sql_next(at);

	while (token.kind == CF_SQL_SPACE)
		token = cf_sql_next(at);
	return token;
}

/* Who is a superuser at the source is one here, as owners of some objects must be. Others are not: a superuser grants in an
 * owner's name, and what was granted by others would come out otherwise. Nobody logs in. */
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

/* "name WITH SUPERUSER ...;" behind ALTER ROLE: what counts here. Other forms of it are settings. */
static int alter_role(struct maker *maker, const char *at, struct cf_err *err)
{
	static const char *const kinds[] = {"SUPERUSER", "BYPASSRLS", "NOINHERIT"};
	struct cf_sql_token token = next_token(&at);
	struct cf_buf name = CF_BUF_INIT;
	int rc = cf_sql_name_of(&token, &name, err);

	token = next_token(&at);
	if (rc == 0 && (!is_word(&token, "WITH") || strcmp((const char *)name.data, "postgres") == 0))
		goto out;
	while (rc == 0 && (token = next_token(&at)).kind == CF_SQL_WORD)
		for (size_t i = 0; rc == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
			if (!is_word(&token, kinds[i]))
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
	struct cf_sql_token role = next_token(&at), to = next_token(&at), member = next_token(&at);
	struct cf_buf name = CF_BUF_INIT;
	int rc;

	if (!is_word(&to, "TO"))
		return 0;
	rc = cf_sql_name_of(&role, &name, err);
	if (rc == 0)
		rc = cf_buf_append_str(&maker->grants, "GRANT ", err);
	if (rc == 0)
		rc = cf_sql_append_name((const char *)name.data, &maker->grants, err);
	if (rc == 0)
		rc = cf_sql_name_of(&member, &name, err);
	if (rc == 0)
		rc = cf_buf_append_str(&maker->grants, " TO ", err);
	if (rc == 0)
		rc = cf_sql_append_name((const char *)name.data, &maker->grants, err);
	cf_buf_release(&name);
	return rc < 0 ? rc : cf_buf_append(&maker->grants, "", 1, err);
}

/* But for those of a role that this server has not, as that of a provider's own making. */
static int run_grants(struct maker *maker, struct cf_err *err)
{
	static const char undefined_object[] = "42704";
	const struct cf_buf *grants = &maker->grants;
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < grants->len; at += strlen((const char *)grants->data + at) + 1) {
		rc = cf_pg_exec(maker->pg, (const char *)grants->data + at, err);
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

/* The roles that globals.sql names, with what they are members of, and its tablespaces. It is not run: it comes from the
 * repository and could do anything. */
static int make_globals(struct maker *maker, const char *at, struct cf_err *err)
{
	struct cf_sql_token token, before = {.kind = CF_SQL_END};
	struct cf_buf name = CF_BUF_INIT;
	int rc = 0;

	while (rc == 0 && (token = next_token(&at)).kind != CF_SQL_END) {
		bool role = is_word(&token, "ROLE"), tablespace = is_word(&token, "TABLESPACE");
		bool creates = is_word(&before, "CREATE") && (role || tablespace);

		if (role && is_word(&before, "ALTER"))
			rc = alter_role(maker, at, err);
		else if (is_word(&token, "GRANT"))
			rc = grant_role(maker, at, err);
		before = token;
		if (rc < 0 || !creates)
			continue;
		token = next_token(&at);
		rc = cf_sql_name_of(&token, &name, err);
		if (rc == 0)
			rc = role ? make_role(maker, (const char *)name.data, err)
				  : make_tablespace(maker, (const char *)name.data, err);
	}
	cf_buf_release(&name);
	return rc;
}

static int prepare_scratch(struct cf_pg_scratch *scratch, struct cf_tree *tree,
			   const struct cf_ctx *ctx, struct cf_err *err)
{
	struct cf_pg_options options = {.application = "coffer verify", .database = "postgres"};
	struct maker maker = {.scratch = scratch, .sql = CF_BUF_INIT, .grants = CF_BUF_INIT};
	struct cf_buf globals = CF_BUF_INIT;
	int rc = cf_tree_read_file(tree, "globals.sql", DOCUMENT_LEN_MAX, &globals, err);

	if (rc == 0)
		rc = cf_pg_connect(cf_pg_scratch_target(scratch), &options, ctx, &maker.pg, err);
	if (rc == 0)
		rc = make_globals(&maker, (const char *)globals.data, err);
	if (rc == 0)
		rc = cf_buf_append(&maker.sql, "", 1, err);
	if (rc == 0)
		rc = cf_pg_exec(maker.pg, (const char *)maker.sql.data, err);
	if (rc == 0)
		rc = run_grants(&maker, err);
	if (rc < 0)
		cf_err_wrap(err, "globals.sql");
	cf_pg_close(maker.pg);
	cf_buf_release(&maker.sql);
	cf_buf_release(&maker.grants);
	cf_buf_release(&globals);
	return rc;
}

/* --- one database --- */

/* The same server's database of this name: a parameter of a URI, a keyword otherwise, which wins
 * over one given before. */
static char *target_of_database(const char *server, const char *name)
{
	char *target = NULL;
	int len;

	if (strncmp(server, "//", 2) == 0)
		len = asprintf(&target, "%s%sdbname=%s", server, strchr(server, '?') ? "&" : "?",
			       name);
	else
		len = asprintf(&target, "%s%sdbname=%s", server, server[0] ? " " : "", name);
	return len < 0 ? NULL : target;
}

static int restore(struct cf_pg_verify *verify, struct cf_err *err)
{
	struct cf_load_options options = {.create = true,
					  .schema_only = verify->options->level == CF_VERIFY_QUICK,
					  .allow_old_client = verify->options->allow_old_client,
					  .jobs = cf_pg_load_jobs(verify->options->jobs)};
	struct cf_load_figures figures = {0};
	struct cf_pg_load_part part = {.folder = verify->folder};
	int rc = cf_pg_load_database(&part, verify->target, verify->tree, &options,
				     verify->ctx, &figures, err);

	if (rc == CF_ERR_CANCELED)
		return rc;
	if (rc < 0)
		cf_pg_verify_report(verify, "restore", verify->manifest->name, false, "%s",
				    err->text);
	else
		cf_pg_verify_report(verify, "restore", verify->manifest->name, true,
				    "%" PRIu64 " tables, %" PRIu64 " rows", figures.tables,
				    figures.rows);
	return rc;
}

static int check_restored(struct cf_pg_verify *verify, struct cf_err *err)
{
	struct cf_pg_options options = {.application = "coffer verify"};
	struct cf_pg *pg = NULL;
	int rc = cf_pg_connect(verify->target, &options, verify->ctx, &pg, err);

	if (rc == 0)
		rc = cf_pg_verify_find_lots(verify, pg, err);
	if (rc == 0)
		rc = cf_pg_verify_catalog(verify, pg, err);
	if (rc == 0)
		rc = cf_pg_verify_compare(verify, pg, err);
	if (rc == 0 && verify->options->level == CF_VERIFY_COMPREHENSIVE)
		rc = cf_pg_verify_rows(verify, pg, err);
	cf_pg_verify_release_lots(verify);
	cf_pg_close(pg);
	return rc;
}

static int read_documents(struct cf_pg_verify *verify, struct cf_err *err)
{
	struct cf_buf path = CF_BUF_INIT, document = CF_BUF_INIT;
	int rc = cf_buf_printf(&path, err, "%sdatabase.json%c", verify->folder, 0);

	if (rc == 0)
		rc = cf_tree_read_file(verify->tree, (const char *)path.data, DOCUMENT_LEN_MAX,
				       &document, err);
	if (rc == 0)
		rc = cf_pg_manifest_decode(cf_buf_span(&document), &verify->manifest, err);
	cf_buf_clear(&path);
	if (rc == 0)
		rc = cf_buf_printf(&path, err, "%sschema.dump%c", verify->folder, 0);
	if (rc == 0)
		rc = cf_tree_read_file(verify->tree, (const char *)path.data, DOCUMENT_LEN_MAX,
				       &document, err);
	if (rc == 0)
		rc = cf_pg_toc_decode(cf_buf_span(&document), &verify->toc, err);
	if (rc == 0)
		rc = cf_pg_graph_new(verify->toc, &verify->graph, err);
	cf_buf_release(&path);
	cf_buf_release(&document);
	return rc;
}

/* Also when it was the user who stopped us. */
static void drop_database(const char *server, const char *name, const struct cf_ctx *ctx)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_ctx quiet = *ctx;
	struct cf_pg *pg = NULL;

	quiet.cancel = NULL;
	/* A pooler keeps connections to it for a while, and nobody else has business there. */
	if (cf_pg_load_connect_elsewhere(server, "coffer verify", &quiet, &pg, &err) < 0 ||
	    cf_pg_load_drop_made(pg, name, true, &quiet, &err) < 0)
		cf_ctx_warn(ctx, "verify.left", name,
			    "this database could not be dropped again: %s: use DROP DATABASE %s",
			    err.text, name);
	cf_pg_close(pg);
}

static int verify_database(struct cf_pg_verify *verify, const char *server, const char *name,
			   struct cf_err *err)
{
	struct cf_err unsaid = CF_ERR_INIT;
	int rc;

	if (!err)
		err = &unsaid;
	verify->target = target_of_database(server, name);
	rc = verify->target ? read_documents(verify, err) : cf_err_nomem(err);
	if (rc == 0 && verify->options->level == CF_VERIFY_QUICK)
		rc = cf_pg_verify_data(verify, err);
	if (rc == 0) {
		rc = restore(verify, err);
		if (rc == 0 && verify->options->level > CF_VERIFY_QUICK)
			rc = check_restored(verify, err);
		drop_database(server, name, verify->ctx);
	}
	cf_pg_manifest_free(verify->manifest);
	cf_pg_graph_free(verify->graph);
	cf_pg_toc_free(verify->toc);
	free(verify->target);
	return rc;
}

static int verify_all(struct cf_tree *tree, const struct cf_pg_folders *folders, const char *server,
		      const struct cf_verify_options *options, const struct cf_ctx *ctx,
		      struct cf_err *err)
{
	atomic_uint_least64_t n_failed = 0;
	struct cf_pg_claim claim = {.pg = NULL};
	char name[CF_SCRATCH_NAME_MAX];
	int rc = cf_pg_claim_take(&claim, server, options, ctx, err);

	for (size_t i = 0; rc == 0 && i < folders->n; i++) {
		struct cf_pg_verify verify = {.options = options,
					      .ctx = ctx,
					      .tree = tree,
					      .folder = folders->items[i],
					      .n_failed = &n_failed};

		cf_scratch_name(&claim.tag, i + 1, name);
		rc = verify_database(&verify, server, name, err);
	}
	cf_pg_claim_release(&claim);
	if (rc == 0 && n_failed > 0)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "%" PRIu64 " checks failed",
				(uint64_t)n_failed);
	return rc;
}

/* The newest version that any of the databases was of. */
static int version_of(struct cf_tree *tree, const struct cf_pg_folders *folders, int *version_out,
		      struct cf_err *err)
{
	int rc = 0;

	*version_out = 0;
	for (size_t i = 0; rc == 0 && i < folders->n; i++) {
		struct cf_pg_verify verify = {.tree = tree, .folder = folders->items[i]};

		rc = read_documents(&verify, err);
		if (rc == 0 && verify.manifest->server_version > *version_out)
			*version_out = verify.manifest->server_version;
		cf_pg_manifest_free(verify.manifest);
		cf_pg_graph_free(verify.graph);
		cf_pg_toc_free(verify.toc);
	}
	return rc;
}

int cf_pg_verify(struct cf_tree *tree, const struct cf_verify_options *options,
		 const struct cf_ctx *ctx, struct cf_err *err)
{
	struct cf_pg_folders folders = {0};
	struct cf_pg_scratch *scratch = NULL;
	const char *server = options->against;
	int version;
	int rc = server ? cf_pg_check_target(server, err) : 0;

	if (rc == 0)
		rc = cf_pg_folders_find(tree, &folders, err);
	if (rc == 0)
		rc = version_of(tree, &folders, &version, err);
	if (rc == 0 && !server) {
		rc = cf_pg_scratch_start(version, options, ctx, &scratch, err);
		if (rc == 0)
			rc = prepare_scratch(scratch, tree, ctx, err);
		if (rc == 0)
			server = cf_pg_scratch_target(scratch);
	}
	if (rc == 0)
		rc = verify_all(tree, &folders, server, options, ctx, err);
	cf_pg_scratch_stop(scratch);
	cf_pg_folders_release(&folders);
	return rc;
}
