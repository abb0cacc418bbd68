#include "cli/verify_stored.h"

#include "base/err.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/walk.h"
#include "drivers/driver.h"
#include "repo/check.h"
#include "repo/snapshot.h"

#include <stdio.h>
#include <stdlib.h>

/* One pass over a snapshot. */
struct pass {
	struct cf_cli *cli;
	struct cf_repo *repo;
	const struct cf_verify_options *options;
	const char *name; /* of the check */
	struct cf_progress progress;
	uint64_t n_failed;
};

static void tell(struct pass *pass, const char *object, bool passed, const char *detail)
{
	struct cf_verify_check check = {
		.name = pass->name, .object = object, .passed = passed, .detail = detail};

	pass->n_failed += !passed;
	pass->options->check(pass->options->check_user, &check);
}

static void on_finding(void *user, const char *object, const char *problem)
{
	tell(user, object, false, problem);
}

static int check_stored(struct pass *pass, const struct cf_snapshot *snapshot, struct cf_err *err)
{
	struct cf_check_figures figures = {0};
	int rc = cf_check_snapshot(pass->repo, snapshot, on_finding, pass, &figures, err);

	if (rc == 0)
		tell(pass, NULL, true, cf_text_count(figures.chunks, "chunk", "chunks").s);
	return rc;
}

static int count_piece(void *user, struct cf_span data, struct cf_err *err)
{
	struct pass *pass = user;

	pass->progress.bytes_done += data.len;
	cf_ctx_progress(&pass->cli->ctx, "verify.progress", &pass->progress);
	return cf_ctx_check(&pass->cli->ctx, err);
}

static int read_file(void *user, const char *path, const struct cf_node *node, struct cf_err *err)
{
	struct pass *pass = user;
	int rc;

	if (node->entry.type != CF_ENTRY_FILE)
		return 0;
	rc = cf_content_read(pass->repo, &node->content, 0, node->content.size, count_piece, pass,
			     err);
	if (rc == CF_ERR_DAMAGED) {
		tell(pass, path, false, err->text);
		cf_err_clear(err);
		rc = 0;
	}
	pass->progress.items_done++;
	return rc;
}

static int read_content_of(struct pass *pass, const struct cf_snapshot *snapshot,
			   struct cf_err *err)
{
	struct cf_node *root = NULL;
	char detail[128];
	int rc = cf_tree_find(pass->repo, snapshot, "", &root, err);

	pass->progress.bytes_total = snapshot->figures.bytes_restored;
	pass->progress.items_total = snapshot->figures.files;
	if (rc == 0)
		rc = cf_walk(pass->cli, pass->repo, root, "", true, read_file, pass, err);
	free(root);
	snprintf(detail, sizeof(detail), "%s, %s",
		 cf_text_count(pass->progress.items_done, "file", "files").s,
		 cf_text_size(pass->progress.bytes_done).s);
	if (rc == 0 && pass->n_failed == 0)
		tell(pass, NULL, true, detail);
	if (rc == 0 && pass->n_failed > 0)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "%s damaged",
				cf_text_count(pass->n_failed, "file is", "files are").s);
	return rc;
}

int cf_verify_stored(struct cf_cli *cli, struct cf_repo *repo, const struct cf_snapshot *snapshot,
		     const struct cf_verify_options *options, bool read_content, struct cf_err *err)
{
	struct pass stored = {.cli = cli, .repo = repo, .options = options, .name = "stored"};
	struct pass content = {.cli = cli, .repo = repo, .options = options, .name = "content"};
	int rc = check_stored(&stored, snapshot, err);

	/* What is missing is told once, as such. */
	return rc == 0 && read_content ? read_content_of(&content, snapshot, err) : rc;
}
