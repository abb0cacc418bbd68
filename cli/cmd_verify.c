/* coffer verify */

#include "base/err.h"
#include "cli/cli.h"
#include "cli/database.h"
#include "cli/doc.h"
#include "cli/escape.h"
#include "cli/output.h"
#include "cli/redact.h"
#include "cli/report.h"
#include "cli/select.h"
#include "cli/verify_stored.h"
#include "repo/snapshot_tree.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct verification {
	struct cf_cli *cli;
	struct cf_repo *repo;
	struct cf_snapshot *snapshot;
	const struct cf_driver *driver;
	struct cf_verify_options options;
	pthread_mutex_t lock; /* checks come from any thread */
	uint64_t n_checks, n_failed;
	struct cf_doc checks; /* JSON only */
	int64_t duration_ns;
};

static const enum cf_option_id server_options[] = {CF_OPT_AGAINST, CF_OPT_JOBS,
						   CF_OPT_ALLOW_OLD_CLIENT, CF_OPT_NONE};
static const char *const level_names[] = {"quick", "standard", "comprehensive"};

static enum cf_verify_level level_of(const struct cf_args *args)
{
	const char *named = cf_args_text(args, CF_OPT_LEVEL);

	for (unsigned i = 0; named && i < sizeof(level_names) / sizeof(level_names[0]); i++)
		if (strcmp(named, level_names[i]) == 0)
			return (enum cf_verify_level)i;
	return CF_VERIFY_STANDARD;
}

static void print_check(const struct cf_verify_check *check)
{
	fputs(check->passed ? "ok      " : "FAILED  ", stdout);
	cf_escape_print(stdout, check->name, CF_ESCAPE_NAME);
	if (check->object) {
		fputc(' ', stdout);
		cf_escape_print(stdout, check->object, CF_ESCAPE_NAME);
	}
	if (check->detail) {
		fputs(": ", stdout);
		cf_escape_print(stdout, check->detail, CF_ESCAPE_MESSAGE);
	}
	fputc('\n', stdout);
	fflush(stdout);
}

static void add_check(struct cf_doc *checks, const struct cf_verify_check *check)
{
	struct cf_doc item = cf_doc_object();

	cf_doc_text(&item, "name", check->name);
	cf_doc_text(&item, "object", check->object);
	cf_doc_flag(&item, "passed", check->passed);
	cf_doc_text(&item, "detail", check->detail);
	cf_doc_push(checks, &item);
}

static void on_check(void *user, const struct cf_verify_check *check)
{
	struct verification *v = user;

	pthread_mutex_lock(&v->lock);
	v->n_checks++;
	v->n_failed += !check->passed;
	if (v->cli->json) {
		add_check(&v->checks, check);
	} else if (!check->passed || !v->cli->quiet) {
		cf_report_pause(v->cli->report);
		print_check(check);
	}
	pthread_mutex_unlock(&v->lock);
}

/* Everything that needs no repository. */
static int read_options(struct verification *v, const struct cf_driver **against_out,
			struct cf_err *err)
{
	const struct cf_args *args = v->cli->args;
	const char *against = cf_args_text(args, CF_OPT_AGAINST), *rest = NULL;
	int rc = 0;

	if (strchr(args->operands[0], ':'))
		return cf_err_set(err, CF_ERR_USAGE,
				  "%s: a snapshot is verified as a whole, without a path",
				  args->operands[0]);
	if (against)
		rc = cf_database_target("--against", against, against_out, &rest, err);
	if (rc == 0 && against && !*against_out)
		rc = cf_err_set(err, CF_ERR_USAGE, "--against needs a database server, not '%s'",
				against);
	v->options = (struct cf_verify_options){.level = level_of(args),
						.against = rest,
						.allow_old_client =
							cf_args_has(args, CF_OPT_ALLOW_OLD_CLIENT),
						.jobs = (unsigned)cf_args_number(args, CF_OPT_JOBS),
						.check = on_check,
						.check_user = v};
	return rc;
}

static int find_driver(struct verification *v, const struct cf_driver *against, struct cf_err *err)
{
	const struct cf_option_spec *given = cf_database_given(v->cli->args, server_options);
	const char *scheme = v->snapshot->driver;

	v->driver = cf_driver_named(scheme);
	if (!v->driver)
		return cf_err_set(err, CF_ERR_UNSUPPORTED,
				  "this build has no driver for %s: to verify %s", scheme,
				  v->snapshot->source);
	if (given && !v->driver->is_server)
		return cf_err_set(err, CF_ERR_USAGE,
				  "%s makes no sense for %s: it is for database servers",
				  cf_spec_option_text(given).s, v->snapshot->source);
	if (against && against != v->driver)
		return cf_err_set(err, CF_ERR_USAGE,
				  "--against: a snapshot of %s needs a %s: server",
				  v->snapshot->source, scheme);
	if (v->driver->is_server && !v->driver->verify)
		return cf_err_set(err, CF_ERR_UNSUPPORTED,
				  "this build cannot verify snapshots of %s: servers", scheme);
	return 0;
}

static int verify(struct verification *v, struct cf_err *err)
{
	const struct cf_ctx *ctx = &v->cli->ctx;
	bool read_content = !v->driver->verify && v->options.level > CF_VERIFY_QUICK;
	int64_t begin_ns = cf_ctx_now_ns(ctx);
	struct cf_tree *tree = NULL;
	int rc = cf_verify_stored(v->cli, v->repo, v->snapshot, &v->options, read_content, err);

	if (rc == 0 && v->driver->verify) {
		rc = cf_snapshot_tree_new(v->repo, v->snapshot, "", &tree, err);
		if (rc == 0)
			rc = v->driver->verify(tree, &v->options, ctx, err);
		cf_snapshot_tree_free(tree);
	}
	v->duration_ns = cf_ctx_now_ns(ctx) - begin_ns;
	return rc;
}

/* A check that failed decides, whatever else went wrong. */
static int judge(const struct verification *v, int rc, struct cf_err *err)
{
	char why[CF_ERR_TEXT_MAX];

	if (v->n_failed == 0 || rc == CF_ERR_CANCELED)
		return rc;
	snprintf(why, sizeof(why), "%s", rc < 0 && rc != CF_ERR_DAMAGED ? err->text : "");
	return cf_err_set(
		err, CF_ERR_DAMAGED, "snapshot %s: %s failed%s%s", cf_short_id(&v->snapshot->id).s,
		cf_text_count(v->n_failed, "check", "checks").s, why[0] ? "; then: " : "", why);
}

static int print_json(struct verification *v, bool complete, struct cf_err *err)
{
	struct cf_doc document = cf_doc_begin();
	const char *against = cf_args_text(v->cli->args, CF_OPT_AGAINST);
	char *shown = against ? cf_redact(against) : NULL;

	cf_doc_text(&document, "snapshot", cf_id_text(&v->snapshot->id).s);
	cf_doc_text(&document, "source", v->snapshot->source);
	cf_doc_text(&document, "driver", v->snapshot->driver);
	cf_doc_text(&document, "level", level_names[v->options.level]);
	cf_doc_text(&document, "against", shown);
	cf_doc_put(&document, "checks", &v->checks);
	cf_doc_count(&document, "n_checks", v->n_checks);
	cf_doc_count(&document, "n_failed", v->n_failed);
	cf_doc_flag(&document, "complete", complete);
	cf_doc_flag(&document, "passed", complete && v->n_failed == 0);
	cf_doc_number(&document, "seconds", (double)v->duration_ns / 1e9);
	cf_doc_count(&document, "warnings", atomic_load(&v->cli->n_warnings));
	free(shown);
	return cf_doc_print(&document, stdout, err);
}

static void print_text(const struct verification *v, bool complete)
{
	if (!complete)
		fputs("not verified to the end: ", stdout);
	printf("snapshot %s, %s: ", cf_short_id(&v->snapshot->id).s, level_names[v->options.level]);
	if (v->n_failed > 0)
		printf("%llu of ", (unsigned long long)v->n_failed);
	printf("%s %s in %s\n", cf_text_count(v->n_checks, "check", "checks").s,
	       v->n_failed > 0 ? "failed" : "passed", cf_text_duration((uint64_t)v->duration_ns).s);
}

/* complete: whether everything was checked that was to be, well or not. */
static int print_outcome(struct verification *v, bool complete, struct cf_err *err)
{
	cf_report_pause(v->cli->report);
	if (v->cli->json)
		return print_json(v, complete, err);
	if (!v->cli->quiet)
		print_text(v, complete);
	return 0;
}

int cf_cmd_verify(struct cf_cli *cli, struct cf_err *err)
{
	struct verification v = {.cli = cli, .lock = PTHREAD_MUTEX_INITIALIZER};
	const struct cf_driver *against = NULL;
	struct cf_err print_err = CF_ERR_INIT;
	struct cf_select select = {0};
	int rc = read_options(&v, &against, err), print_rc;

	if (rc == 0)
		rc = cf_select_open(&select, cli, err);
	if (rc == 0)
		rc = cf_select_snapshot(&select, cli->args->operands[0], &v.snapshot, err);
	if (rc == 0)
		rc = find_driver(&v, against, err);
	if (rc == 0) {
		v.repo = select.repo;
		v.checks = cli->json ? cf_doc_array() : (struct cf_doc){0};
		rc = verify(&v, err);
		print_rc = print_outcome(&v, rc == 0 || rc == CF_ERR_DAMAGED, &print_err);
		rc = judge(&v, rc, err);
		if (rc == 0 && print_rc < 0) {
			*err = print_err;
			rc = print_rc;
		}
	}
	cf_snapshot_free(v.snapshot);
	cf_select_close(&select);
	return rc;
}
