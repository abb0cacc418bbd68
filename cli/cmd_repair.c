/* coffer repair */

#include "base/err.h"
#include "cli/audited.h"
#include "cli/cli.h"
#include "cli/doc.h"
#include "cli/escape.h"
#include "cli/identity.h"
#include "cli/output.h"
#include "cli/report.h"
#include "repo/repair.h"
#include "repo/repo.h"

#include <stdio.h>

struct job {
	struct cf_cli *cli;
	bool is_dry_run;
	struct cf_doc lists[4]; /* by kind; JSON only */
};

static const char *const list_names[] = {
	[CF_REPAIR_DAMAGE] = "damage", [CF_REPAIR_STEP] = "steps", [CF_REPAIR_LOST] = "lost",
	[CF_REPAIR_UNMENDED] = "unmended"};

static void on_event(void *user, enum cf_repair_kind kind, const char *object, const char *text)
{
	static const char *const heads[] = {
		[CF_REPAIR_DAMAGE] = "", [CF_REPAIR_STEP] = "  ", [CF_REPAIR_LOST] = "lost: ",
		[CF_REPAIR_UNMENDED] = "beyond repair: "};
	static const char *const keys[] = {
		[CF_REPAIR_DAMAGE] = "problem", [CF_REPAIR_STEP] = "step", [CF_REPAIR_LOST] = "problem",
		[CF_REPAIR_UNMENDED] = "problem"};
	struct job *job = user;

	if (job->cli->json) {
		struct cf_doc item = cf_doc_object();

		cf_doc_text(&item, "object", object);
		cf_doc_text(&item, keys[kind], text);
		cf_doc_push(&job->lists[kind], &item);
		return;
	}
	cf_report_pause(job->cli->report);
	fputs(heads[kind], stdout);
	cf_escape_print(stdout, object, CF_ESCAPE_NAME);
	fputs(": ", stdout);
	cf_escape_print(stdout, text, CF_ESCAPE_MESSAGE);
	putchar('\n');
	fflush(stdout);
}

static int print_json(struct job *job, const struct cf_repair_figures *f, struct cf_err *err)
{
	struct cf_doc document = cf_doc_begin();

	cf_doc_flag(&document, "dry_run", job->is_dry_run);
	for (size_t i = 0; i < sizeof(list_names) / sizeof(*list_names); i++)
		cf_doc_put(&document, list_names[i], &job->lists[i]);
	cf_doc_count(&document, "segments_superseded", f->segments_superseded);
	cf_doc_count(&document, "packs_indexed", f->packs_indexed);
	cf_doc_count(&document, "packs_read", f->packs_read);
	cf_doc_count(&document, "packs_missing", f->packs_missing);
	cf_doc_count(&document, "packs_quarantined", f->packs_quarantined);
	cf_doc_count(&document, "packs_released", f->packs_released);
	cf_doc_count(&document, "chunks_saved", f->chunks_saved);
	cf_doc_count(&document, "chunks_lost", f->chunks_lost);
	cf_doc_count(&document, "snapshots_quarantined", f->snapshots_quarantined);
	cf_doc_count(&document, "snapshots_lost", f->snapshots_lost);
	cf_doc_count(&document, "n_lost", f->lost);
	cf_doc_count(&document, "n_unmended", f->unmended);
	return cf_doc_print(&document, stdout, err);
}

static bool has_work(const struct cf_repair_figures *f)
{
	return f->segments_superseded || f->packs_indexed || f->packs_quarantined || f->packs_released ||
	       f->snapshots_quarantined;
}

static void print_text(const struct job *job, const struct cf_repair_figures *f)
{
	if (f->packs_read > 0)
		printf("read %s\n", cf_text_count(f->packs_read, "pack", "packs").s);
	if (!has_work(f) && f->unmended)
		puts("nothing that repair can mend; --read-data looks at everything");
	else if (!has_work(f))
		puts("nothing to repair in what is known to be damaged; --read-data looks at everything");
	else if (job->is_dry_run)
		puts("nothing was done, --yes does it");
	else
		puts("repaired what can be");
	if (f->snapshots_lost > 0)
		puts("prune waits until snapshots that cannot be read are back or forgotten");
	if (f->lost > 0)
		puts("back up the same data again: what is stored anew is whole in older snapshots, too");
}

static int run(struct job *job, struct cf_repo *repo, struct cf_repair_figures *figures, struct cf_err *err)
{
	char host[256], user[256];
	struct cf_repair_options options = {.is_dry_run = job->is_dry_run, .host = host, .user = user};
	int rc = cf_identity_host(host, sizeof(host), err);

	cf_args_share(job->cli->args, CF_OPT_READ_DATA, &options.read_percent, &options.read_bytes);
	cf_identity_user(user, sizeof(user));
	return rc < 0 ? rc : cf_repair_run(repo, &options, on_event, job, figures, err);
}

static int record(struct cf_audited *audited, struct cf_repo *repo, const struct cf_repair_figures *f, int rc,
		  const struct cf_err *err)
{
	cf_audited_figure(audited, "segments_superseded", f->segments_superseded);
	cf_audited_figure(audited, "packs_indexed", f->packs_indexed);
	cf_audited_figure(audited, "packs_quarantined", f->packs_quarantined);
	cf_audited_figure(audited, "packs_released", f->packs_released);
	cf_audited_figure(audited, "chunks_saved", f->chunks_saved);
	cf_audited_figure(audited, "chunks_lost", f->chunks_lost);
	cf_audited_figure(audited, "snapshots_quarantined", f->snapshots_quarantined);
	return cf_audited_end(audited, repo, rc, err);
}

int cf_cmd_repair(struct cf_cli *cli, struct cf_err *err)
{
	struct job job = {.cli = cli, .is_dry_run = !cf_args_has(cli->args, CF_OPT_YES)};
	struct cf_repair_figures figures = {0};
	struct cf_repo *repo = NULL;
	struct cf_audited audited;
	int rc = cf_cli_open(cli, &repo, err);

	if (rc < 0)
		return rc;
	if (!job.is_dry_run)
		cf_audited_begin(&audited, cli, NULL);
	for (size_t i = 0; cli->json && i < sizeof(job.lists) / sizeof(*job.lists); i++)
		job.lists[i] = cf_doc_array();
	rc = run(&job, repo, &figures, err);
	if (!job.is_dry_run && (rc < 0 || has_work(&figures)))
		rc = record(&audited, repo, &figures, rc, err);
	else if (!job.is_dry_run)
		cf_audited_drop(&audited);
	cf_report_pause(cli->report);
	if (rc == 0 && cli->json)
		rc = print_json(&job, &figures, err);
	else if (rc == 0 && !cli->quiet)
		print_text(&job, &figures);
	if (rc == 0 && figures.snapshots_lost)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "%s cannot be read",
				cf_text_count(figures.snapshots_lost, "snapshot", "snapshots").s);
	else if (rc == 0 && figures.lost)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "%s cannot be restored",
				cf_text_count(figures.lost, "file or folder", "files or folders").s);
	else if (rc == 0 && figures.unmended)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "%s beyond repair",
				cf_text_count(figures.unmended, "problem is", "problems are").s);
	for (size_t i = 0; i < sizeof(job.lists) / sizeof(*job.lists); i++)
		cf_doc_release(&job.lists[i]);
	cf_repo_close(repo);
	return rc;
}
