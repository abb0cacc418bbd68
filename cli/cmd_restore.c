/* coffer restore */

#include "base/err.h"
#include "cli/cli.h"
#include "cli/database.h"
#include "cli/escape.h"
#include "cli/doc.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/restore_server.h"
#include "cli/select.h"
#include "cli/verify.h"
#include "drivers/files/restore.h"
#include "repo/restore.h"

#include <stdio.h>

struct outcome {
	struct cf_restore_figures figures;
	struct cf_verify_figures verified;
	bool dry_run, verify;
	int64_t duration_ns;
};

/* A sink that nothing happens in: what a dry run restores into. */
static int ignore_dir_begin(struct cf_sink *sink, struct cf_dir *parent,
			    const struct cf_entry *entry, unsigned flags, struct cf_dir **dir_out,
			    struct cf_err *err)
{
	*dir_out = (struct cf_dir *)sink; /* a handle only the producer sees */
	return 0;
}

static int ignore_dir_end(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
			  struct cf_err *err)
{
	return 0;
}

static int ignore_node(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		       struct cf_err *err)
{
	return 0;
}

static int ignore_link(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		       const char *from, struct cf_err *err)
{
	return 0;
}

/* Without content no file is begun, so that the rest is never called. */
static const struct cf_sink_ops ignore_ops = {
	.dir_begin = ignore_dir_begin,
	.dir_end = ignore_dir_end,
	.node = ignore_node,
	.link = ignore_link,
};

static int restore(struct cf_cli *cli, const struct cf_select *select, const struct cf_place *place,
		   const char *folder, struct outcome *outcome, struct cf_err *err)
{
	struct cf_sink ignore = {.ops = &ignore_ops}, *sink = &ignore;
	struct cf_restore_options options = {.overwrite = cf_args_has(cli->args, CF_OPT_OVERWRITE),
					     .no_owner = cf_args_has(cli->args, CF_OPT_NO_OWNER),
					     .sync = cf_args_has(cli->args, CF_OPT_SYNC)};
	struct cf_restore_run_options run = {.keep_going =
						     cf_args_has(cli->args, CF_OPT_KEEP_GOING),
					     .no_content = outcome->dry_run};
	int rc = 0;

	if (!outcome->dry_run)
		rc = cf_files_restore_new(folder, &options, &cli->ctx, &sink, err);
	if (rc < 0)
		return rc;
	rc = cf_restore_run(select->repo, place->snapshot, place->path, &run, sink,
			    &outcome->figures, err);
	if (!outcome->dry_run)
		cf_files_restore_free(sink);
	if (rc == 0 && outcome->verify)
		rc = cf_verify(cli, select->repo, place->node, folder, &outcome->verified, err);
	return rc;
}

static int print_json(const struct outcome *outcome, const struct cf_place *place,
		      const char *folder, uint64_t n_warnings, struct cf_err *err)
{
	struct cf_doc document = cf_doc_begin();

	cf_doc_text(&document, "snapshot", cf_id_text(&place->snapshot->id).s);
	cf_doc_text(&document, "path", place->path[0] ? place->path : "/");
	cf_doc_text(&document, "to", folder);
	cf_doc_flag(&document, "dry_run", outcome->dry_run);
	cf_doc_count(&document, "files", outcome->figures.files);
	cf_doc_count(&document, "dirs", outcome->figures.dirs);
	cf_doc_count(&document, "others", outcome->figures.others);
	cf_doc_count(&document, "bytes", outcome->figures.bytes);
	if (outcome->verify)
		cf_doc_count(&document, "files_verified", outcome->verified.files);
	cf_doc_number(&document, "seconds", (double)outcome->duration_ns / 1e9);
	cf_doc_count(&document, "warnings", n_warnings);
	return cf_doc_print(&document, stdout, err);
}

static void print_text(const struct outcome *outcome, const char *folder)
{
	const struct cf_restore_figures *figures = &outcome->figures;

	printf("%s %s, %s, %s", outcome->dry_run ? "would restore" : "restored",
	       cf_text_count(figures->files, "file", "files").s,
	       cf_text_count(figures->dirs, "folder", "folders").s,
	       cf_text_count(figures->others, "other entry", "other entries").s);
	printf(", %s to ", cf_text_size(figures->bytes).s);
	cf_escape_print(stdout, folder, CF_ESCAPE_NAME);
	if (!outcome->dry_run)
		printf(" in %s (%s)", cf_text_duration((uint64_t)outcome->duration_ns).s,
		       cf_text_rate(figures->bytes, (uint64_t)outcome->duration_ns).s);
	fputc('\n', stdout);
	if (outcome->verify)
		printf("verified: %s read back and equal\n",
		       cf_text_count(outcome->verified.files, "file", "files").s);
}

static int restore_to_folder(struct cf_cli *cli, const char *folder, struct cf_err *err)
{
	struct cf_select select = {0};
	struct cf_place place = {0};
	struct outcome outcome = {.dry_run = cf_args_has(cli->args, CF_OPT_DRY_RUN)};
	int64_t begin_ns;
	int rc = cf_restore_check_folder_options(cli, err);

	outcome.verify = cf_args_has(cli->args, CF_OPT_VERIFY) && !outcome.dry_run;
	if (rc == 0)
		rc = cf_select_open(&select, cli, err);
	if (rc == 0)
		rc = cf_select_place(&select, cli->args->operands[0], &place, err);
	begin_ns = cf_ctx_now_ns(&cli->ctx);
	if (rc == 0)
		rc = restore(cli, &select, &place, folder, &outcome, err);
	outcome.duration_ns = cf_ctx_now_ns(&cli->ctx) - begin_ns;
	cf_report_pause(cli->report);
	if (rc == 0 && cli->json)
		rc = print_json(&outcome, &place, folder, atomic_load(&cli->n_warnings), err);
	else if (rc == 0 && !cli->quiet)
		print_text(&outcome, folder);
	cf_place_release(&place);
	cf_select_close(&select);
	return rc;
}

static void hint_folder(const char *target, struct cf_err *err)
{
	struct cf_err why = *err;

	cf_err_set(err, why.code, "%s; a folder of this name is written ./%s", why.text, target);
}

int cf_cmd_restore(struct cf_cli *cli, struct cf_err *err)
{
	const char *target = cf_args_text(cli->args, CF_OPT_TO), *rest;
	const struct cf_driver *driver = NULL;
	int rc;

	if (!target)
		return cf_err_set(err, CF_ERR_USAGE,
				  "restore needs a folder or a server: --to TARGET");
	rc = cf_database_target("--to", target, &driver, &rest, err);
	if (rc == CF_ERR_USAGE)
		hint_folder(target, err);
	if (rc < 0)
		return rc;
	return driver ? cf_restore_to_server(cli, driver, rest, err)
		      : restore_to_folder(cli, target, err);
}
