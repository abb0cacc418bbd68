/* coffer prune */

#include "base/err.h"
#include "cli/audited.h"
#include "cli/cli.h"
#include "cli/doc.h"
#include "cli/identity.h"
#include "cli/output.h"
#include "cli/value.h"
#include "repo/prune.h"
#include "repo/repo.h"

#include <stdlib.h>

#define DEFAULT_GRACE_NS   (INT64_C(24) * 3600 * 1000000000)
#define DEFAULT_MAX_UNUSED 5.0

struct job {
	struct cf_cli *cli;
	struct cf_prune_options options;
	struct cf_prune_figures figures;
};

static int read_options(struct job *job, struct cf_err *err)
{
	const struct cf_args *args = job->cli->args;
	const char *unused = cf_args_text(args, CF_OPT_MAX_UNUSED);
	const char *repack = cf_args_text(args, CF_OPT_MAX_REPACK);
	const char *grace = cf_args_text(args, CF_OPT_GRACE);
	struct cf_prune_options *o = &job->options;

	*o = (struct cf_prune_options){.max_unused_percent = DEFAULT_MAX_UNUSED, .grace_ns = DEFAULT_GRACE_NS};
	if (cf_args_has(args, CF_OPT_DRY_RUN) && cf_args_has(args, CF_OPT_YES))
		return cf_err_set(err, CF_ERR_USAGE, "--dry-run and --yes exclude each other");
	if (cf_args_has(args, CF_OPT_NOW) && grace)
		return cf_err_set(err, CF_ERR_USAGE, "--now has no grace period: leave out --grace");
	o->dry_run = !cf_args_has(args, CF_OPT_YES);
	o->now = cf_args_has(args, CF_OPT_NOW);
	/* "0" means none, which as a share is written 0% by some. */
	if (unused && unused[0] == '0' && unused[1 + (unused[1] == '%')] == '\0')
		o->max_unused_percent = 0;
	else if (unused && cf_value_share(unused, &o->max_unused_percent, &o->max_unused) && o->max_unused)
		o->max_unused_percent = -1;
	else if (unused && !o->max_unused_percent)
		return cf_err_set(err, CF_ERR_USAGE, "--max-unused wants a share or a size, as 5%% or 10G, not %s", unused);
	if (repack)
		cf_value_size(repack, &o->max_repack);
	if (grace)
		cf_value_duration(grace, &o->grace_ns);
	return 0;
}

/* "3 packs, 81.2 MiB" */
struct amount {
	char s[128];
};

static struct amount amount_of(uint64_t packs, uint64_t bytes)
{
	struct amount amount;

	snprintf(amount.s, sizeof(amount.s), "%s, %s", cf_text_count(packs, "pack", "packs").s, cf_text_size(bytes).s);
	return amount;
}

static void print_line(const char *label, uint64_t packs, uint64_t bytes)
{
	if (packs)
		printf("%-12s%s\n", label, amount_of(packs, bytes).s);
}

static void print_waiting(const struct job *job)
{
	const struct cf_prune_figures *f = &job->figures;

	if (f->packs_waiting == 0)
		return;
	if (f->cannot_remove)
		puts("the store lets nothing be removed: prune again with an account that may");
	else if (f->runs_waited_for)
		puts("a backup that began before is still at work: prune again when it has ended");
	else if (f->next_ns)
		printf("condemned packs can be removed in %s, by the next prune\n",
		       cf_text_duration((uint64_t)f->next_ns).s);
}

static void print_text(const struct job *job)
{
	const struct cf_prune_figures *f = &job->figures;
	bool dry = job->options.dry_run;

	if (!job->cli->quiet) {
		printf("%-12s%s\n", "in store", amount_of(f->packs, f->bytes).s);
		printf("%-12s%s by %s\n", "needed", cf_text_size(f->bytes_needed).s,
		       cf_text_count(f->snapshots, "snapshot", "snapshots").s);
	}
	print_line(dry ? "to remove" : "removed", f->packs_removed, f->bytes_removed);
	if (f->chunks_rebased)
		printf("%-12s%s, %s\n", dry ? "to rebase" : "rebased", cf_text_count(f->chunks_rebased, "delta", "deltas").s,
		       cf_text_size(f->bytes_rebased).s);
	print_line(dry ? "to repack" : "repacked", f->packs_repacked, f->bytes_repacked);
	print_line(dry ? "to condemn" : "condemned", f->packs_condemned, f->bytes_condemned);
	if (f->packs_waiting != f->packs_condemned)
		print_line("waiting", f->packs_waiting, f->bytes_waiting);
	if (f->packs_young)
		printf("%-12s%s stored since a running backup began\n", "left alone",
		       cf_text_count(f->packs_young, "pack", "packs").s);
	if (f->packs_unknown)
		printf("%-12s%s whose contents cannot be read\n", "left alone",
		       cf_text_count(f->packs_unknown, "pack", "packs").s);
	if (f->packs_kept_back)
		printf("%-12s%s, as other copies of what is in them are damaged\n", "kept",
		       cf_text_count(f->packs_kept_back, "pack", "packs").s);
	if (f->packs_removed + f->packs_condemned + f->packs_waiting + f->chunks_rebased == 0)
		puts("nothing to prune");
	else if (dry)
		puts("nothing was done, --yes does it");
	else
		print_waiting(job);
}

static int print_json(const struct job *job, struct cf_err *err)
{
	const struct cf_prune_figures *f = &job->figures;
	struct cf_doc document = cf_doc_begin();
	const struct {
		const char *key;
		uint64_t n;
	} counts[] = {
		{"snapshots", f->snapshots},
		{"packs", f->packs},
		{"bytes", f->bytes},
		{"bytes_needed", f->bytes_needed},
		{"bytes_unused", f->bytes_unused},
		{"packs_removed", f->packs_removed},
		{"bytes_removed", f->bytes_removed},
		{"deltas_rebased", f->chunks_rebased},
		{"bytes_rebased", f->bytes_rebased},
		{"packs_repacked", f->packs_repacked},
		{"bytes_repacked", f->bytes_repacked},
		{"bytes_written", f->bytes_written},
		{"packs_condemned", f->packs_condemned},
		{"bytes_condemned", f->bytes_condemned},
		{"packs_waiting", f->packs_waiting},
		{"bytes_waiting", f->bytes_waiting},
		{"packs_young", f->packs_young},
		{"packs_unknown", f->packs_unknown},
		{"packs_kept_back", f->packs_kept_back},
		{"segments_removed", f->segments_removed},
		{"backups_waited_for", f->runs_waited_for},
		{"backups_given_up", f->runs_shut_out},
	};

	cf_doc_flag(&document, "dry_run", job->options.dry_run);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		cf_doc_count(&document, counts[i].key, counts[i].n);
	cf_doc_number(&document, "next_seconds", (double)f->next_ns / 1e9);
	cf_doc_flag(&document, "cannot_remove", f->cannot_remove);
	return cf_doc_print(&document, stdout, err);
}

/* The record of it, unless it was a dry run. */
static int record(const struct job *job, struct cf_audited *audited, struct cf_repo *repo, int rc, const struct cf_err *err)
{
	const struct cf_prune_figures *f = &job->figures;

	if (job->options.dry_run) {
		cf_audited_drop(audited);
		return rc;
	}
	cf_audited_figure(audited, "packs_removed", f->packs_removed);
	cf_audited_figure(audited, "bytes_removed", f->bytes_removed);
	cf_audited_figure(audited, "packs_condemned", f->packs_condemned);
	cf_audited_figure(audited, "bytes_written", f->bytes_written);
	return cf_audited_end(audited, repo, rc, err);
}

int cf_cmd_prune(struct cf_cli *cli, struct cf_err *err)
{
	struct job job = {.cli = cli};
	struct cf_repo *repo = NULL;
	struct cf_audited audited;
	char *host = NULL, *user = NULL;
	int rc = read_options(&job, err);

	cf_audited_begin(&audited, cli, NULL);
	if (rc == 0)
		rc = cf_identity_texts(&host, &user, err);
	if (rc == 0)
		rc = cf_cli_open(cli, &repo, err);
	job.options.host = host;
	job.options.user = user;
	if (rc == 0)
		rc = cf_prune_run(repo, &job.options, &job.figures, err);
	rc = record(&job, &audited, repo, rc, err);
	if (rc == 0 && cli->json)
		rc = print_json(&job, err);
	else if (rc == 0)
		print_text(&job);
	cf_repo_close(repo);
	free(host);
	free(user);
	return rc;
}
