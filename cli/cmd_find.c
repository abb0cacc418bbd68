/* coffer find */

#include "base/err.h"
#include "cli/cli.h"
#include "cli/escape.h"
#include "cli/output.h"
#include "cli/select.h"
#include "cli/value.h"
#include "cli/walk.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

struct search {
	struct cf_cli *cli;
	const char *pattern;
	bool whole_path;
	const struct cf_snapshot *snapshot;
	struct cf_doc_stream stream;
};

static bool matches(const struct search *search, const char *path, const struct cf_node *node)
{
	/* A slash may begin it, as it may every PATH. */
	if (search->whole_path)
		return fnmatch(search->pattern + (search->pattern[0] == '/'), path, FNM_PATHNAME) ==
		       0;
	return fnmatch(search->pattern, node->entry.name, 0) == 0;
}

static int print_match(void *user, const char *path, const struct cf_node *node, struct cf_err *err)
{
	struct search *search = user;
	struct cf_doc item;

	if (!matches(search, path, node))
		return 0;
	if (search->cli->json) {
		item = cf_node_json(path, node, cf_id_text(&search->snapshot->id).s);
		return cf_doc_stream_item(&search->stream, &item, err);
	}
	printf("%s:", cf_short_id(&search->snapshot->id).s);
	cf_escape_print(stdout, path, CF_ESCAPE_NAME);
	fputc('\n', stdout);
	return 0;
}

static int search_snapshot(struct search *search, const struct cf_select *select,
			   const struct cf_snapshot *snapshot, struct cf_err *err)
{
	struct cf_node *root = NULL;
	int rc = cf_tree_find(select->repo, snapshot, "", &root, err);

	search->snapshot = snapshot;
	if (rc == 0)
		rc = cf_walk(search->cli, select->repo, root, "", true, print_match, search, err);
	free(root);
	return rc;
}

static int search_named(struct search *search, const struct cf_select *select, struct cf_err *err)
{
	const struct cf_args *args = search->cli->args;
	int rc = 0;

	for (size_t i = 1; rc == 0 && i < args->n_operands; i++) {
		struct cf_snapshot *snapshot = NULL;

		rc = cf_select_snapshot(select, args->operands[i], &snapshot, err);
		if (rc == 0)
			rc = search_snapshot(search, select, snapshot, err);
		cf_snapshot_free(snapshot);
	}
	return rc;
}

static int search_all(struct search *search, const struct cf_select *select, struct cf_err *err)
{
	struct cf_snapshot_list list = {0};
	int rc = cf_snapshots_load(select->repo, &select->filter, &list, err);

	if (rc == 0)
		cf_snapshot_list_warn(select->repo, &list);
	for (size_t i = 0; rc == 0 && i < list.n; i++)
		rc = search_snapshot(search, select, list.items[i], err);
	cf_snapshot_list_release(&list);
	return rc;
}

int cf_cmd_find(struct cf_cli *cli, struct cf_err *err)
{
	struct search search = {.cli = cli, .pattern = cli->args->operands[0]};
	struct cf_select select = {0};
	int rc;

	if (!cf_value_pattern(search.pattern))
		return cf_err_set(err, CF_ERR_USAGE, "the pattern '%s' has a [ without its ]",
				  search.pattern);
	rc = cf_select_open(&select, cli, err);
	search.whole_path = strchr(search.pattern, '/') != NULL;
	if (rc == 0 && cli->json)
		search.stream = cf_doc_stream_begin(stdout, "[");
	if (rc == 0)
		rc = cli->args->n_operands > 1 ? search_named(&search, &select, err)
					       : search_all(&search, &select, err);
	if (search.stream.out)
		fputs("]\n", stdout);
	cf_select_close(&select);
	return rc;
}
