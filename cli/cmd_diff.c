/* coffer diff */

#include "base/err.h"
#include "cli/cli.h"
#include "cli/escape.h"
#include "cli/output.h"
#include "cli/select.h"
#include "cli/tree_diff.h"
#include "cli/walk.h"

#include <string.h>

static const struct {
	char letter;
	const char *name;
} changes[CF_N_CHANGES] = {
	[CF_CHANGE_ADDED] = {'+', "added"},	      [CF_CHANGE_REMOVED] = {'-', "removed"},
	[CF_CHANGE_CONTENT] = {'M', "content"},	      [CF_CHANGE_TYPE] = {'T', "type"},
	[CF_CHANGE_ATTRIBUTES] = {'U', "attributes"},
};

struct output {
	bool json;
	struct cf_doc_stream stream;
	uint64_t counts[CF_N_CHANGES];
};

static int print_change(void *user, enum cf_change change, const char *path,
			const struct cf_node *node, struct cf_err *err)
{
	struct output *output = user;
	struct cf_doc item;

	output->counts[change]++;
	if (output->json) {
		item = cf_doc_object();
		cf_doc_text(&item, "change", changes[change].name);
		cf_doc_text(&item, "path", path[0] ? path : "/");
		cf_doc_text(&item, "type", cf_node_type_name(node));
		return cf_doc_stream_item(&output->stream, &item, err);
	}
	printf("%c ", changes[change].letter);
	cf_escape_print(stdout, path[0] ? path : "/", CF_ESCAPE_NAME);
	fputc('\n', stdout);
	return 0;
}

/* The rest of the object that the stream of changes stands in. */
static void print_json_end(const struct output *output)
{
	fputc(']', stdout);
	for (size_t i = 0; i < CF_N_CHANGES; i++)
		printf(",\"%s\":%llu", changes[i].name, (unsigned long long)output->counts[i]);
	fputs("}\n", stdout);
}

static void print_summary(const struct output *output)
{
	const uint64_t *n = output->counts;

	printf("%llu added, %llu removed, %llu with other content, %llu of another type, %llu with "
	       "other "
	       "attributes\n",
	       (unsigned long long)n[CF_CHANGE_ADDED], (unsigned long long)n[CF_CHANGE_REMOVED],
	       (unsigned long long)n[CF_CHANGE_CONTENT], (unsigned long long)n[CF_CHANGE_TYPE],
	       (unsigned long long)n[CF_CHANGE_ATTRIBUTES]);
}

static int compare(struct cf_cli *cli, struct cf_repo *repo, const struct cf_place *a,
		   const struct cf_place *b, struct cf_err *err)
{
	struct output output = {.json = cli->json};
	int rc;

	if (output.json)
		output.stream = cf_doc_stream_begin(stdout, "{\"version\":1,\"changes\":[");
	rc = cf_tree_diff(cli, repo, a->node, b->node, print_change, &output, err);
	if (output.json)
		print_json_end(&output);
	else if (rc == 0 && !cli->quiet)
		print_summary(&output);
	return rc;
}

int cf_cmd_diff(struct cf_cli *cli, struct cf_err *err)
{
	struct cf_select select = {0};
	struct cf_place a = {0}, b = {0};
	int rc = cf_select_open(&select, cli, err);

	if (rc == 0)
		rc = cf_select_place(&select, cli->args->operands[0], &a, err);
	if (rc == 0)
		rc = cf_select_place(&select, cli->args->operands[1], &b, err);
	if (rc == 0)
		rc = compare(cli, select.repo, &a, &b, err);
	cf_place_release(&a);
	cf_place_release(&b);
	cf_select_close(&select);
	return rc;
}
