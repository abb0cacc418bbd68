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
#include "drivers/postgres/program.h"
#include "drivers/postgres/scratch.h"
#include "drivers/postgres/toc.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DETAIL_MAX 512

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

/* --- one database --- */

int cf_pg_verify_read_documents(struct cf_pg_verify *verify, struct cf_err *err)
{
	struct cf_buf path = CF_BUF_INIT, document = CF_BUF_INIT;
	int rc = cf_buf_printf(&path, err, "%sdatabase.json%c", verify->folder, 0);

	if (rc == 0)
		rc = cf_tree_read_file(verify->tree, (const char *)path.data,
				       CF_PG_VERIFY_DOCUMENT_MAX, &document, err);
	if (rc == 0)
		rc = cf_pg_manifest_decode(cf_buf_span(&document), &verify->manifest, err);
	cf_buf_clear(&path);
	if (rc == 0)
		rc = cf_buf_printf(&path, err, "%sschema.dump%c", verify->folder, 0);
	if (rc == 0)
		rc = cf_tree_read_file(verify->tree, (const char *)path.data,
				       CF_PG_VERIFY_DOCUMENT_MAX, &document, err);
	if (rc == 0)
		rc = cf_pg_toc_decode(cf_buf_span(&document), &verify->toc, err);
	if (rc == 0)
		rc = cf_pg_graph_new(verify->toc, &verify->graph, err);
	cf_buf_release(&path);
	cf_buf_release(&document);
	return rc;
}

void cf_pg_verify_release_documents(struct cf_pg_verify *verify)
{
	cf_pg_manifest_free(verify->manifest);
	cf_pg_graph_free(verify->graph);
	cf_pg_toc_free(verify->toc);
}

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
	int rc = cf_pg_load_database(&part, verify->target, verify->tree, &options, verify->ctx,
				     &figures, err);

	/* A server without space says nothing about the snapshot. */
	if (rc == CF_ERR_CANCELED || rc == CF_ERR_FULL)
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
	struct cf_pg_options options = {.application = "coffer verify", .encoding = verify->manifest->text_encoding};
	struct cf_pg *pg = NULL;
	int rc = cf_pg_connect(verify->target, &options, verify->ctx, &pg, err);

	if (rc == 0)
		rc = cf_pg_verify_find_lots(verify, pg, err);
	if (rc == 0)
		rc = cf_pg_verify_find_floats(verify, pg, err);
	if (rc == 0)
		rc = cf_pg_verify_catalog(verify, pg, err);
	if (rc == 0)
		rc = cf_pg_verify_compare(verify, pg, err);
	if (rc == 0 && verify->options->level == CF_VERIFY_COMPREHENSIVE)
		rc = cf_pg_verify_rows(verify, pg, err);
	cf_pg_verify_release_lots(verify);
	cf_pg_rows_free(verify->floats);
	verify->floats = NULL;
	cf_pg_close(pg);
	return rc;
}

static void tell_left(struct cf_pg *pg, const char *name, const struct cf_ctx *ctx, const char *why)
{
	char *command = NULL;

	if (pg)
		cf_pg_load_drop_by_hand(pg, name, &command, NULL);
	cf_ctx_warn(ctx, "verify.left", name, "this database could not be dropped again: %s: use %s%s", why,
		    command ? command : "DROP DATABASE ", command ? "" : name);
	free(command);
}

/* Also when it was the user who stopped us. A server of our own ends with what is in it. */
static void drop_database(const struct cf_pg_verify *verify, const char *server, const char *name)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_ctx quiet = *verify->ctx;
	struct cf_pg *pg = NULL;

	quiet.cancel = NULL;
	/* A pooler keeps connections to it for a while, and nobody else has business there. */
	if ((cf_pg_load_connect_elsewhere(server, "coffer verify", &quiet, &pg, &err) < 0 ||
	     cf_pg_load_drop_made(pg, name, true, &quiet, &err) < 0) &&
	    verify->options->against)
		tell_left(pg, name, verify->ctx, err.text);
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
	rc = verify->target ? cf_pg_verify_read_documents(verify, err) : cf_err_nomem(err);
	if (rc == 0 && verify->options->level == CF_VERIFY_QUICK)
		rc = cf_pg_verify_data(verify, err);
	if (rc == 0) {
		rc = restore(verify, err);
		if (rc == 0 && verify->options->level > CF_VERIFY_QUICK)
			rc = check_restored(verify, err);
		drop_database(verify, server, name);
	}
	cf_pg_verify_release_documents(verify);
	free(verify->target);
	return rc;
}

/* What is restored is dumped to be compared: whether it can be is better known before. */
static int check_client(struct cf_pg *pg, const struct cf_verify_options *options,
			const struct cf_ctx *ctx, struct cf_err *err)
{
	int version = cf_pg_server_version(pg), rc;
	struct cf_pg_program program = {0};

	if (!options->against || options->level == CF_VERIFY_QUICK)
		return 0;
	rc = cf_pg_program_find("pg_dump", version, options->allow_old_client, ctx, &program, err);
	if (rc == CF_ERR_UNSUPPORTED) {
		char *name = cf_pg_name(cf_pg_host(pg), cf_pg_port(pg), NULL);

		cf_err_wrap(err, "%s is PostgreSQL %d.%d, where all levels but quick compare by pg_dump",
			    name ? name : "the server", version / 10000, version % 10000);
		free(name);
	}
	cf_pg_program_release(&program);
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

	if (rc == 0)
		rc = check_client(claim.pg, options, ctx, err);
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

		rc = cf_pg_verify_read_documents(&verify, err);
		if (rc == 0 && verify.manifest->server_version > *version_out)
			*version_out = verify.manifest->server_version;
		cf_pg_verify_release_documents(&verify);
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
			rc = cf_pg_verify_prepare(scratch, tree, &folders, ctx, err);
		if (rc == 0)
			server = cf_pg_scratch_target(scratch);
	}
	if (rc == 0)
		rc = verify_all(tree, &folders, server, options, ctx, err);
	cf_pg_scratch_stop(scratch);
	cf_pg_folders_release(&folders);
	return rc;
}
