#include "cli/restore_server.h"

#include "base/err.h"
#include "cli/cli.h"
#include "cli/database.h"
#include "cli/doc.h"
#include "cli/escape.h"
#include "cli/output.h"
#include "cli/redact.h"
#include "cli/report.h"
#include "cli/select.h"
#include "repo/snapshot_tree.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const enum cf_option_id folder_options[] = {CF_OPT_OVERWRITE, CF_OPT_VERIFY, CF_OPT_SYNC,
						   CF_OPT_NONE};
static const enum cf_option_id server_options[] = {CF_OPT_TABLE,
						   CF_OPT_SCHEMA,
						   CF_OPT_EXCLUDE_TABLE,
						   CF_OPT_EXCLUDE_TABLE_DATA,
						   CF_OPT_RENAME,
						   CF_OPT_CREATE,
						   CF_OPT_CLEAN,
						   CF_OPT_SCHEMA_ONLY,
						   CF_OPT_DATA_ONLY,
						   CF_OPT_USERS,
						   CF_OPT_NO_PRIVILEGES,
						   CF_OPT_JOBS,
						   CF_OPT_ALLOW_OLD_CLIENT,
						   CF_OPT_NONE};

/* One restore into a server. */
struct loading {
	struct cf_cli *cli;
	const struct cf_driver *driver;
	const char *rest;
	struct cf_database_select select;
	const char **renames;
	struct cf_load_options options;
	struct cf_load_figures figures;
	pthread_mutex_t lock; /* steps come from any thread */
	uint64_t n_steps;
	int64_t duration_ns;
};

int cf_restore_check_folder_options(const struct cf_cli *cli, struct cf_err *err)
{
	const struct cf_option_spec *given = cf_database_given(cli->args, server_options);

	return given ? cf_err_set(err, CF_ERR_USAGE,
				  "%s needs a database server to restore into: --to URL",
				  cf_spec_option_text(given).s)
		     : 0;
}

static int refuse_both(const struct cf_args *args, enum cf_option_id a, enum cf_option_id b,
		       struct cf_err *err)
{
	if (!cf_args_has(args, a) || !cf_args_has(args, b))
		return 0;
	return cf_err_set(err, CF_ERR_USAGE, "%s and %s cannot be used together",
			  cf_spec_option_text(cf_spec_by_id(args->command, a)).s,
			  cf_spec_option_text(cf_spec_by_id(args->command, b)).s);
}

static int check_options(const struct cf_args *args, const struct cf_driver *driver,
			 struct cf_err *err)
{
	const struct cf_option_spec *given = cf_database_given(args, folder_options);
	int rc;

	if (given)
		return cf_err_set(err, CF_ERR_USAGE, "%s makes no sense for a database server",
				  cf_spec_option_text(given).s);
	if (cf_args_has(args, CF_OPT_KEEP_GOING) && !driver->can_keep_going)
		return cf_err_set(err, CF_ERR_USAGE, "--keep-going makes no sense for a %s: server",
				  driver->scheme);
	if (cf_args_has(args, CF_OPT_USERS) && !driver->can_load_users)
		return cf_err_set(err, CF_ERR_USAGE, "--users makes no sense for a %s: server",
				  driver->scheme);
	rc = refuse_both(args, CF_OPT_SCHEMA_ONLY, CF_OPT_DATA_ONLY, err);
	if (rc == 0)
		rc = refuse_both(args, CF_OPT_USERS, CF_OPT_NO_PRIVILEGES, err);
	/* Rights are granted by the names that databases had. */
	if (rc == 0)
		rc = refuse_both(args, CF_OPT_USERS, CF_OPT_RENAME, err);
	if (rc == 0)
		rc = refuse_both(args, CF_OPT_USERS, CF_OPT_DATA_ONLY, err);
	if (rc == 0)
		rc = refuse_both(args, CF_OPT_DATA_ONLY, CF_OPT_CLEAN, err);
	return rc < 0 ? rc : refuse_both(args, CF_OPT_DATA_ONLY, CF_OPT_CREATE, err);
}

static void print_step(const struct loading *loading, const struct cf_plan_step *step)
{
	struct cf_doc document;

	if (loading->cli->json) {
		document = cf_doc_begin();
		cf_doc_text(&document, "event", "step");
		cf_doc_text(&document, "action", step->action);
		cf_doc_text(&document, "object", step->object);
		cf_doc_count(&document, "bytes", step->bytes);
		cf_doc_print(&document, stdout, NULL);
		return;
	}
	cf_escape_print(stdout, step->action, CF_ESCAPE_NAME);
	fputc(' ', stdout);
	cf_escape_print(stdout, step->object, CF_ESCAPE_NAME);
	if (step->bytes > 0)
		printf(", %s", cf_text_size(step->bytes).s);
	fputc('\n', stdout);
}

/* A dry run prints what would be done; else it is worth a note. */
static void on_step(void *user, const struct cf_plan_step *step)
{
	struct loading *loading = user;

	pthread_mutex_lock(&loading->lock);
	loading->n_steps++;
	if (loading->options.dry_run && !loading->cli->quiet) {
		cf_report_pause(loading->cli->report);
		print_step(loading, step);
	}
	pthread_mutex_unlock(&loading->lock);
	if (!loading->options.dry_run)
		cf_ctx_note(&loading->cli->ctx, "restore.step", step->object, "%s %s", step->action,
			    step->object);
}

static int read_options(struct loading *loading, struct cf_err *err)
{
	const struct cf_args *args = loading->cli->args;
	struct cf_load_options *options = &loading->options;
	int rc = cf_database_select_load(args, &loading->select, err);

	if (rc == 0)
		rc = cf_args_list(args, CF_OPT_RENAME, &loading->renames, &options->n_renames, err);
	options->select = loading->select.selection;
	options->renames = loading->renames;
	options->create = cf_args_has(args, CF_OPT_CREATE);
	options->clean = cf_args_has(args, CF_OPT_CLEAN);
	options->schema_only = cf_args_has(args, CF_OPT_SCHEMA_ONLY);
	options->data_only = cf_args_has(args, CF_OPT_DATA_ONLY);
	options->users = cf_args_has(args, CF_OPT_USERS);
	options->no_owner = cf_args_has(args, CF_OPT_NO_OWNER);
	options->no_privileges = cf_args_has(args, CF_OPT_NO_PRIVILEGES);
	options->keep_going = cf_args_has(args, CF_OPT_KEEP_GOING);
	options->dry_run = cf_args_has(args, CF_OPT_DRY_RUN);
	options->allow_old_client = cf_args_has(args, CF_OPT_ALLOW_OLD_CLIENT);
	options->jobs = (unsigned)cf_args_number(args, CF_OPT_JOBS);
	options->plan = on_step;
	options->plan_user = loading;
	return rc;
}

static int check_fit(const struct loading *loading, const struct cf_snapshot *snapshot,
		     struct cf_err *err)
{
	if (strcmp(snapshot->driver, loading->driver->scheme) != 0)
		return cf_err_set(err, CF_ERR_USAGE,
				  "snapshot %s is of %s, which goes into no %s: server; restore it "
				  "into a folder",
				  cf_short_id(&snapshot->id).s, snapshot->source,
				  loading->driver->scheme);
	if (!loading->driver->load)
		return cf_err_set(err, CF_ERR_UNSUPPORTED,
				  "this build cannot restore into %s: servers",
				  loading->driver->scheme);
	return 0;
}

static int load(struct loading *loading, struct cf_repo *repo, const struct cf_place *place,
		struct cf_err *err)
{
	const struct cf_ctx *ctx = &loading->cli->ctx;
	struct cf_tree *tree = NULL;
	int64_t begin_ns = cf_ctx_now_ns(ctx);
	int rc = check_fit(loading, place->snapshot, err);

	if (rc == 0)
		rc = cf_snapshot_tree_new(repo, place->snapshot, place->path, &tree, err);
	if (rc == 0)
		rc = loading->driver->load(loading->rest, tree, &loading->options, ctx,
					   &loading->figures, err);
	cf_snapshot_tree_free(tree);
	loading->duration_ns = cf_ctx_now_ns(ctx) - begin_ns;
	return rc;
}

static int print_json(const struct loading *loading, const struct cf_place *place,
		      const char *target, struct cf_err *err)
{
	struct cf_doc document = cf_doc_begin();

	cf_doc_text(&document, "snapshot", cf_id_text(&place->snapshot->id).s);
	cf_doc_text(&document, "path", place->path[0] ? place->path : "/");
	cf_doc_text(&document, "to", target);
	cf_doc_flag(&document, "dry_run", loading->options.dry_run);
	cf_doc_count(&document, "steps", loading->n_steps);
	cf_doc_count(&document, "tables", loading->figures.tables);
	cf_doc_count(&document, "rows", loading->figures.rows);
	cf_doc_count(&document, "bytes", loading->figures.bytes);
	cf_doc_number(&document, "seconds", (double)loading->duration_ns / 1e9);
	cf_doc_count(&document, "warnings", atomic_load(&loading->cli->n_warnings));
	return cf_doc_print(&document, stdout, err);
}

static void print_text(const struct loading *loading, const char *target)
{
	const struct cf_load_figures *figures = &loading->figures;
	bool dry_run = loading->options.dry_run;

	printf("%s %s, ", dry_run ? "would restore" : "restored",
	       cf_text_count(figures->tables, "table", "tables").s);
	printf("%s, %s to ", cf_text_count(figures->rows, "row", "rows").s,
	       cf_text_size(figures->bytes).s);
	cf_escape_print(stdout, target, CF_ESCAPE_NAME);
	if (dry_run)
		printf(" in %s", cf_text_count(loading->n_steps, "step", "steps").s);
	else
		printf(" in %s (%s)", cf_text_duration((uint64_t)loading->duration_ns).s,
		       cf_text_rate(figures->bytes, (uint64_t)loading->duration_ns).s);
	fputc('\n', stdout);
}

static int print_outcome(const struct loading *loading, const struct cf_place *place,
			 struct cf_err *err)
{
	char *target = cf_redact(cf_args_text(loading->cli->args, CF_OPT_TO));
	int rc = target ? 0 : cf_err_nomem(err);

	cf_report_pause(loading->cli->report);
	if (rc == 0 && loading->cli->json)
		rc = print_json(loading, place, target, err);
	else if (rc == 0 && !loading->cli->quiet)
		print_text(loading, target);
	free(target);
	return rc;
}

int cf_restore_to_server(struct cf_cli *cli, const struct cf_driver *driver, const char *rest,
			 struct cf_err *err)
{
	struct loading loading = {
		.cli = cli, .driver = driver, .rest = rest, .lock = PTHREAD_MUTEX_INITIALIZER};
	struct cf_select select = {0};
	struct cf_place place = {0};
	int rc = check_options(cli->args, driver, err);

	if (rc == 0)
		rc = read_options(&loading, err);
	if (rc == 0)
		rc = cf_select_open(&select, cli, err);
	if (rc == 0)
		rc = cf_select_place(&select, cli->args->operands[0], &place, err);
	if (rc == 0)
		rc = load(&loading, select.repo, &place, err);
	if (rc == 0)
		rc = print_outcome(&loading, &place, err);
	cf_place_release(&place);
	cf_select_close(&select);
	cf_database_select_release(&loading.select);
	free(loading.renames);
	return rc;
}
