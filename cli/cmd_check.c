/* coffer check */

#include "base/err.h"
#include "cli/audited.h"
#include "cli/cli.h"
#include "cli/escape.h"
#include "cli/doc.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/value.h"
#include "repo/check.h"
#include "repo/repo.h"

#include <string.h>

struct findings {
	struct cf_cli *cli;
	struct cf_doc list; /* JSON only */
};

static void on_finding(void *user, const char *object, const char *problem)
{
	struct findings *findings = user;
	struct cf_doc item;

	if (findings->cli->json) {
		item = cf_doc_object();
		cf_doc_text(&item, "object", object);
		cf_doc_text(&item, "problem", problem);
		cf_doc_push(&findings->list, &item);
		return;
	}
	cf_report_pause(findings->cli->report);
	cf_escape_print(stdout, object, CF_ESCAPE_NAME);
	fputs(": ", stdout);
	cf_escape_print(stdout, problem, CF_ESCAPE_MESSAGE);
	fputc('\n', stdout);
	fflush(stdout);
}

static struct cf_check_options read_options(const struct cf_args *args)
{
	const char *duration = cf_args_text(args, CF_OPT_MAX_DURATION);
	struct cf_check_options options = {0};

	cf_args_share(args, CF_OPT_READ_DATA, &options.read_percent, &options.read_bytes);
	if (duration)
		cf_value_duration(duration, &options.max_duration_ns);
	return options;
}

static void put_coverage(struct cf_doc *document, const struct cf_check_coverage *coverage)
{
	struct cf_doc verified = cf_doc_object(), within = cf_doc_array();

	cf_doc_count(&verified, "bytes", coverage->bytes);
	cf_doc_count(&verified, "bytes_good", coverage->bytes_good);
	cf_doc_count(&verified, "bad_packs", coverage->bad_packs);
	cf_doc_text(&verified, "oldest",
		    coverage->oldest_ns ? cf_text_rfc3339(coverage->oldest_ns).s : NULL);
	for (size_t i = 0; i < CF_CHECK_AGES; i++) {
		struct cf_doc age = cf_doc_object();

		cf_doc_count(&age, "days", cf_check_ages[i]);
		cf_doc_count(&age, "bytes", coverage->bytes_within[i]);
		cf_doc_push(&within, &age);
	}
	cf_doc_put(&verified, "within", &within);
	cf_doc_put(document, "verified", &verified);
}

static int print_json(struct findings *findings, const struct cf_check_figures *figures,
		      struct cf_err *err)
{
	struct cf_doc document = cf_doc_begin();

	cf_doc_put(&document, "errors", &findings->list);
	cf_doc_count(&document, "n_errors", figures->errors);
	cf_doc_count(&document, "snapshots", figures->snapshots);
	cf_doc_count(&document, "segments", figures->segments);
	cf_doc_count(&document, "packs", figures->packs);
	cf_doc_count(&document, "packs_read", figures->packs_read);
	cf_doc_count(&document, "bytes_read", figures->bytes_read);
	cf_doc_count(&document, "chunks", figures->chunks);
	cf_doc_count(&document, "audit_records", figures->audit_records);
	cf_doc_count(&document, "unreferenced_packs", figures->unreferenced_packs);
	cf_doc_count(&document, "quarantined_packs", figures->quarantined_packs);
	cf_doc_count(&document, "orphaned_deltas", figures->orphaned_deltas);
	put_coverage(&document, &figures->coverage);
	return cf_doc_print(&document, stdout, err);
}

/* "all data was read and found good within the last 12 days" */
static void print_coverage(const struct cf_check_coverage *coverage, int64_t now_ns)
{
	const int64_t day_ns = (int64_t)86400 * 1000000000;
	int64_t age = now_ns - coverage->oldest_ns;
	uint64_t days = age > 0 ? (uint64_t)((age + day_ns - 1) / day_ns) : 1;

	if (!coverage->oldest_ns)
		return;
	if (coverage->bytes_good == coverage->bytes)
		fputs("all data", stdout);
	else
		printf("%s of the data", cf_text_share(coverage->bytes_good, coverage->bytes).s);
	printf(" was read and found good within the last %s%s\n",
	       days == 1 ? "day" : cf_text_count(days, "day", "days").s,
	       coverage->bytes_good == coverage->bytes ? "" : ", the rest not yet by this host");
}

static void print_text(const struct cf_check_figures *figures, int64_t now_ns)
{
	printf("checked %s, ", cf_text_count(figures->snapshots, "snapshot", "snapshots").s);
	printf("%s, ", cf_text_count(figures->segments, "index segment", "index segments").s);
	printf("%s, ", cf_text_count(figures->packs, "pack", "packs").s);
	printf("%s\n", cf_text_count(figures->chunks, "chunk", "chunks").s);
	if (figures->packs_read > 0)
		printf("read %s, %s\n", cf_text_count(figures->packs_read, "pack", "packs").s,
		       cf_text_size(figures->bytes_read).s);
	print_coverage(&figures->coverage, now_ns);
	if (figures->unreferenced_packs > 0)
		printf("%s nothing any snapshot needs\n",
		       cf_text_count(figures->unreferenced_packs, "pack holds", "packs hold").s);
	if (figures->errors == 0)
		puts("no damage found");
	else
		printf("%s found\n", cf_text_count(figures->errors, "problem", "problems").s);
}

/* What did not let the repository be opened is the one finding. Its message begins with the object.
 */
static int print_unopened(struct cf_cli *cli, const char *message, struct cf_err *err)
{
	struct findings findings = {.cli = cli, .list = cf_doc_array()};
	struct cf_check_figures figures = {.errors = 1};
	const char *repository = cf_args_text(cli->args, CF_OPT_REPOSITORY);
	size_t len = strcspn(message, ": ");
	char object[128];
	int rc;

	snprintf(object, sizeof(object), "%.*s", (int)len, message);
	if (strcmp(object, "config") != 0 && strcmp(object, "keys") != 0 &&
	    strncmp(object, "keys/", 5) != 0)
		on_finding(&findings, repository, message);
	else if (strncmp(message + len, ": ", 2) == 0)
		on_finding(&findings, object, message + len + 2);
	else
		on_finding(&findings, object, message);
	rc = print_json(&findings, &figures, err);
	cf_doc_release(&findings.list);
	return rc;
}

/* So that it is known when the repository was checked last. A store that only lets itself be read
 * is checked, too. */
static int record(struct cf_audited *audited, struct cf_repo *repo,
		  const struct cf_check_figures *figures, int rc, const struct cf_err *err)
{
	const struct cf_args *args = audited->cli->args;
	const char *share = cf_args_text(args, CF_OPT_READ_DATA);
	const char *duration = cf_args_text(args, CF_OPT_MAX_DURATION);
	bool reads = duration || cf_args_has(args, CF_OPT_READ_DATA);

	audited->is_optional = true;
	cf_audited_about(audited, "level", reads ? "data" : "structure");
	if (share)
		cf_audited_about(audited, "read-data", share);
	if (duration)
		cf_audited_about(audited, "max-duration", duration);
	cf_audited_figure(audited, "problems", figures->errors);
	cf_audited_figure(audited, "snapshots", figures->snapshots);
	cf_audited_figure(audited, "packs", figures->packs);
	cf_audited_figure(audited, "packs_read", figures->packs_read);
	cf_audited_figure(audited, "bytes_read", figures->bytes_read);
	return cf_audited_end(audited, repo, rc, err);
}

int cf_cmd_check(struct cf_cli *cli, struct cf_err *err)
{
	struct cf_check_options options = read_options(cli->args);
	struct cf_check_figures figures = {0};
	struct findings findings = {.cli = cli};
	struct cf_repo *repo = NULL;
	struct cf_err print_err = CF_ERR_INIT;
	struct cf_audited audited;
	int rc = cf_cli_open(cli, &repo, err);

	if (rc == CF_ERR_DAMAGED && cli->json)
		print_unopened(cli, err->text, &print_err);
	if (rc < 0)
		return rc;
	if (cli->json)
		findings.list = cf_doc_array();
	cf_audited_begin(&audited, cli, NULL);
	rc = cf_check_run(repo, &options, on_finding, &findings, &figures, err);
	rc = record(&audited, repo, &figures, rc, err);
	cf_report_pause(cli->report);
	if (rc == 0 || rc == CF_ERR_DAMAGED) {
		if (cli->json && print_json(&findings, &figures, &print_err) < 0 && rc == 0) {
			*err = print_err;
			rc = err->code;
		}
		if (!cli->json && !cli->quiet)
			print_text(&figures, cf_ctx_now_ns(&cli->ctx));
	}
	cf_doc_release(&findings.list);
	cf_repo_close(repo);
	return rc;
}
