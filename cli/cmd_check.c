/* coffer check */

#include "base/err.h"
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

static double read_percent(const struct cf_args *args)
{
	const char *text = cf_args_text(args, CF_OPT_READ_DATA);
	double percent = 100;

	if (!cf_args_has(args, CF_OPT_READ_DATA))
		return 0;
	if (text)
		cf_value_percent(text, &percent);
	return percent;
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
	cf_doc_count(&document, "unreferenced_packs", figures->unreferenced_packs);
	return cf_doc_print(&document, stdout, err);
}

static void print_text(const struct cf_check_figures *figures)
{
	printf("checked %s, ", cf_text_count(figures->snapshots, "snapshot", "snapshots").s);
	printf("%s, ", cf_text_count(figures->segments, "index segment", "index segments").s);
	printf("%s, ", cf_text_count(figures->packs, "pack", "packs").s);
	printf("%s\n", cf_text_count(figures->chunks, "chunk", "chunks").s);
	if (figures->packs_read > 0)
		printf("read %s, %s\n", cf_text_count(figures->packs_read, "pack", "packs").s,
		       cf_text_size(figures->bytes_read).s);
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

int cf_cmd_check(struct cf_cli *cli, struct cf_err *err)
{
	struct cf_check_options options = {.read_percent = read_percent(cli->args)};
	struct cf_check_figures figures = {0};
	struct findings findings = {.cli = cli};
	struct cf_repo *repo = NULL;
	struct cf_err print_err = CF_ERR_INIT;
	int rc = cf_cli_open(cli, &repo, err);

	if (rc == CF_ERR_DAMAGED && cli->json)
		print_unopened(cli, err->text, &print_err);
	if (rc < 0)
		return rc;
	if (cli->json)
		findings.list = cf_doc_array();
	rc = cf_check_run(repo, &options, on_finding, &findings, &figures, err);
	cf_report_pause(cli->report);
	if (rc == 0 || rc == CF_ERR_DAMAGED) {
		if (cli->json && print_json(&findings, &figures, &print_err) < 0 && rc == 0) {
			*err = print_err;
			rc = err->code;
		}
		if (!cli->json && !cli->quiet)
			print_text(&figures);
	}
	cf_doc_release(&findings.list);
	cf_repo_close(repo);
	return rc;
}
