#include "drivers/mysql/verify.h"

#include "base/err.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/ddl.h"
#include "drivers/mysql/manifest_json.h"
#include "drivers/mysql/mysql_load.h"
#include "drivers/mysql/sql.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cf_mysql_verify_tell(struct cf_mysql_verify *verify, const char *check, const char *object,
			  bool passed, const char *fmt, ...)
{
	char detail[CF_ERR_TEXT_MAX] = "";
	struct cf_verify_check told = {.name = check, .object = object, .passed = passed};
	va_list args;

	verify->n_failed += !passed;
	if (fmt) {
		va_start(args, fmt);
		vsnprintf(detail, sizeof(detail), fmt, args);
		va_end(args);
		told.detail = detail;
	}
	if (verify->options->check)
		verify->options->check(verify->options->check_user, &told);
}

char *cf_mysql_verify_label(const struct cf_mysql_load_source *source, const char *name)
{
	char *label;

	return asprintf(&label, "%s.%s", source->manifest.database, name) < 0 ? NULL : label;
}

static const char *scratch_name(void *user, const char *db)
{
	const struct cf_mysql_verify *verify = user;

	for (size_t i = 0; i < verify->n_sources; i++)
		if (!strcmp(verify->sources[i].manifest.database, db))
			return verify->names[i];
	return NULL;
}

int cf_mysql_verify_expect(struct cf_mysql_verify *verify, const char *text, struct cf_buf *out,
			   struct cf_err *err)
{
	return cf_mysql_ddl_set_databases(text, scratch_name, verify, out, err);
}

int cf_mysql_verify_expect_table(struct cf_mysql_verify *verify, const char *create,
				 struct cf_buf *out, struct cf_err *err)
{
	struct cf_buf moved = CF_BUF_INIT, here = CF_BUF_INIT;
	int rc = cf_mysql_verify_expect(verify, create, &moved, err);

	if (rc == 0)
		rc = cf_mysql_ddl_drop_directories((const char *)moved.data, &here, err);
	if (rc == 0)
		rc = cf_mysql_ddl_set_engine((const char *)here.data, "FEDERATED",
					     verify->options->against ? "FEDERATED" : "InnoDB", out,
					     err);
	cf_buf_release(&moved);
	cf_buf_release(&here);
	return rc;
}

/* Accounts that objects belong to, so that what needs one can be used. On a server of our own only.
 */
static int make_definer(struct cf_mysql_verify *verify, const char *definer, struct cf_err *err)
{
	const char *at = strrchr(definer, '@');
	char *user = at ? strndup(definer, (size_t)(at - definer)) : strdup(definer);
	bool is_role = !at || !at[1];
	struct cf_buf account = CF_BUF_INIT;
	int rc = user ? cf_mysql_quote_name(user, &account, err) : cf_err_nomem(err);

	if (rc == 0 && !is_role) {
		rc = cf_buf_append_str(&account, "@", err);
		if (rc == 0)
			rc = cf_mysql_quote_name(at + 1, &account, err);
	}
	if (rc == 0)
		rc = cf_buf_append(&account, "", 1, err);
	if (rc == 0)
		rc = cf_mysql_runf(verify->my, err, "CREATE %s IF NOT EXISTS %s",
				   is_role ? "ROLE" : "USER", (const char *)account.data);
	if (rc == 0)
		rc = cf_mysql_runf(verify->my, err, "GRANT ALL ON *.* TO %s",
				   (const char *)account.data);
	cf_buf_release(&account);
	free(user);
	return rc;
}

static int make_definers(struct cf_mysql_verify *verify, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; i < verify->n_sources; i++) {
		const struct cf_mysql_manifest *manifest = &verify->sources[i].manifest;

		for (size_t j = 0; rc == 0 && j < manifest->n_objects; j++)
			if (manifest->objects[j].definer)
				rc = make_definer(verify, manifest->objects[j].definer, err);
	}
	return rc;
}

static int add_name(struct cf_mysql_verify *verify, char *name, struct cf_err *err)
{
	char **slot = name ? cf_mysql_grow(&verify->url.databases, &verify->url.n_databases,
					   sizeof(*slot))
			   : NULL;

	if (!slot) {
		free(name);
		return cf_err_nomem(err);
	}
	*slot = name;
	verify->names = verify->url.databases;
	return 0;
}

/* On a server of our own databases keep their names. */
static int start_scratch(struct cf_mysql_verify *verify, const struct cf_mysql_origin *origin,
			 struct cf_err *err)
{
	int rc = 0;

	/* It would write every definition in another way. */
	if (origin->is_mysql)
		rc = cf_err_set(err, CF_ERR_UNSUPPORTED,
				"the snapshot is of MySQL, and only MariaDB is started here to "
				"verify in: name a MySQL server by --against");
	if (rc == 0)
		rc = cf_mysql_scratch_start(&verify->scratch, origin->any_case, verify->options,
					    verify->ctx, err);
	if (rc == 0)
		rc = cf_mysql_url_parse(verify->scratch.url, &verify->url, err);
	for (size_t i = 0; rc == 0 && i < verify->n_sources; i++)
		rc = add_name(verify, strdup(verify->sources[i].manifest.database), err);
	return rc;
}

/* Elsewhere they get names that nobody has. */
static int take_server(struct cf_mysql_verify *verify, struct cf_err *err)
{
	char name[CF_SCRATCH_NAME_MAX];
	int rc = cf_mysql_url_parse(verify->options->against, &verify->url, err);

	if (rc == 0 && verify->url.n_databases > 0)
		return cf_err_set(
			err, CF_ERR_USAGE,
			"--against takes a server without a database: scratch databases are made");
	if (rc == 0)
		rc = cf_mysql_claim_take(&verify->claim, &verify->url, verify->options, verify->ctx,
					 err);
	for (size_t i = 0; rc == 0 && i < verify->n_sources; i++) {
		cf_scratch_name(&verify->claim.tag, i + 1, name);
		rc = add_name(verify, strdup(name), err);
	}
	return rc;
}

static int connect_scratch(struct cf_mysql_verify *verify, struct cf_err *err)
{
	const struct cf_mysql_connect_options options = {.program = "coffer verify"};

	return cf_mysql_connect(&verify->url, &options, verify->ctx, &verify->my, err);
}

/* "`a.b`=`c`" for each database with another name. */
static int make_renames(const struct cf_mysql_verify *verify, char **renames, size_t *n,
			struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < verify->n_sources; i++) {
		struct cf_buf text = CF_BUF_INIT;

		if (!strcmp(verify->sources[i].manifest.database, verify->names[i]))
			continue;
		rc = cf_mysql_quote_name(verify->sources[i].manifest.database, &text, err);
		if (rc == 0)
			rc = cf_buf_append_str(&text, "=", err);
		if (rc == 0)
			rc = cf_mysql_quote_name(verify->names[i], &text, err);
		if (rc == 0)
			rc = cf_buf_append(&text, "", 1, err);
		if (rc < 0)
			cf_buf_release(&text);
		else
			renames[(*n)++] = (char *)text.data;
	}
	return rc;
}

/* What a restore says of the snapshot is the outcome of a check; what it says of the server is an
 * error. */
static bool is_outcome(int rc)
{
	return rc == CF_ERR_FAILED || rc == CF_ERR_DAMAGED || rc == CF_ERR_UNSUPPORTED;
}

/* False in *fine_out: it failed, which was told. */
static int restore(struct cf_mysql_verify *verify, bool *fine_out, struct cf_err *err)
{
	const char *url = verify->options->against ? verify->options->against : verify->scratch.url;
	char **renames = calloc(verify->n_sources + 1, sizeof(*renames));
	struct cf_load_options options = {.jobs = verify->options->jobs,
					  .schema_only = verify->options->level == CF_VERIFY_QUICK};
	struct cf_load_figures figures;
	size_t n = 0;
	int rc = renames ? make_renames(verify, renames, &n, err) : cf_err_nomem(err);

	options.renames = (const char *const *)renames;
	options.n_renames = n;
	if (rc == 0)
		rc = cf_mysql_load_trial(url, verify->options->against != NULL, verify->tree,
					 &options, &verify->quiet, &figures, err);
	*fine_out = rc == 0;
	if (rc == 0 || is_outcome(rc)) {
		cf_mysql_verify_tell(verify, "restore", NULL, rc == 0, rc == 0 ? NULL : "%s",
				     err ? err->text : "");
		if (err)
			cf_err_clear(err);
		rc = 0;
	}
	for (size_t i = 0; renames && i < n; i++)
		free(renames[i]);
	free(renames);
	return rc;
}

static int run_checks(struct cf_mysql_verify *verify, struct cf_err *err)
{
	enum cf_verify_level level = verify->options->level;
	bool fine;
	int rc = restore(verify, &fine, err);

	if (rc < 0)
		return rc;
	if (level == CF_VERIFY_QUICK || !fine)
		return cf_mysql_verify_read(verify, err);
	rc = cf_mysql_verify_schema(verify, err);
	if (rc == 0)
		rc = cf_mysql_verify_count(verify, err);
	if (rc == 0 && level == CF_VERIFY_COMPREHENSIVE)
		rc = cf_mysql_verify_tables(verify, err);
	if (rc == 0 && level == CF_VERIFY_COMPREHENSIVE)
		rc = cf_mysql_verify_bytes(verify, err);
	return rc;
}

/* A server that refused to make a database would refuse to drop it, too. */
static bool is_there(struct cf_mysql *my, const char *name)
{
	struct cf_mysql_result *result = NULL;
	bool found =
		cf_mysql_ask(my, &result, NULL,
			     "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %i",
			     name) == 0 &&
		cf_mysql_n_rows(result) > 0;

	cf_mysql_result_free(result);
	return found;
}

/* Also after a failure, and also when the caller wants to stop: with a session that does not look
 * at that. */
static void drop_databases(struct cf_mysql_verify *verify)
{
	const struct cf_mysql_connect_options options = {.program = "coffer verify"};
	const struct cf_ctx ctx = {.reporter = verify->ctx->reporter,
				   .n_warnings = verify->ctx->n_warnings};
	struct cf_mysql *my = NULL;

	/* Tables of one may refer to another's. */
	if (cf_mysql_connect(&verify->url, &options, &ctx, &my, NULL) < 0 ||
	    cf_mysql_run(my, "SET foreign_key_checks = 0", NULL) < 0) {
		cf_mysql_close(my);
		cf_ctx_warn(&ctx, "verify.left", verify->names[0],
			    "databases coffer_verify_%s_... may be left: the next verification "
			    "drops them",
			    verify->claim.tag.text);
		return;
	}
	for (size_t i = 0; i < verify->n_sources; i++) {
		struct cf_err err = CF_ERR_INIT;

		if (is_there(my, verify->names[i]) &&
		    cf_mysql_runf(my, &err, "DROP DATABASE `%s`", verify->names[i]) < 0)
			cf_ctx_warn(&ctx, "verify.left", verify->names[i],
				    "this database could not be dropped again: %s: use DROP "
				    "DATABASE %s",
				    err.text, verify->names[i]);
	}
	cf_mysql_close(my);
}

/* That server has no keys, and what was encrypted is not to lie in a temporary folder in clear. */
static int check_encrypted(const struct cf_mysql_verify *verify, struct cf_err *err)
{
	for (size_t i = 0; i < verify->n_sources; i++) {
		const struct cf_mysql_manifest *manifest = &verify->sources[i].manifest;

		for (size_t j = 0; j < manifest->n_tables; j++)
			if (cf_mysql_ddl_is_encrypted(manifest->tables[j].create))
				return cf_err_set(err, CF_ERR_FAILED,
						  "table %s.%s is encrypted, and a server of "
						  "verify's own has "
						  "no keys: name one that has by --against",
						  manifest->database, manifest->tables[j].name);
	}
	return 0;
}

static int verify_in_server(struct cf_mysql_verify *verify, const struct cf_mysql_origin *origin,
			    struct cf_err *err)
{
	bool own = !verify->options->against;
	int rc = own ? check_encrypted(verify, err) : 0;

	if (rc == 0)
		rc = own ? start_scratch(verify, origin, err) : take_server(verify, err);

	if (rc == 0)
		rc = connect_scratch(verify, err);
	if (rc == 0 && own)
		rc = make_definers(verify, err);
	if (rc == 0) {
		rc = run_checks(verify, err);
		if (!own)
			drop_databases(verify);
	}
	return rc;
}

int cf_mysql_verify(struct cf_tree *tree, const struct cf_verify_options *options,
		    const struct cf_ctx *ctx, struct cf_err *err)
{
	struct cf_mysql_verify verify = {
		.tree = tree,
		.options = options,
		.ctx = ctx,
		.quiet = {.now_ns = ctx->now_ns,
			  .clock_user = ctx->clock_user,
			  .cancel = ctx->cancel},
		.scratch = CF_MYSQL_SCRATCH_INIT,
	};
	struct cf_mysql_origin origin = {.any_case = false};
	int rc = cf_mysql_sources_read(tree, &verify.sources, &verify.n_sources, &origin, err);

	if (rc == 0)
		rc = verify_in_server(&verify, &origin, err);
	if (rc == 0 && verify.n_failed > 0)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "%llu check%s failed",
				(unsigned long long)verify.n_failed,
				verify.n_failed == 1 ? "" : "s");
	cf_mysql_close(verify.my);
	cf_mysql_claim_release(&verify.claim);
	cf_mysql_url_release(&verify.url);
	cf_mysql_sources_free(verify.sources, verify.n_sources);
	cf_mysql_scratch_stop(&verify.scratch);
	return rc;
}
