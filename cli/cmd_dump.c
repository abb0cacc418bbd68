/* coffer dump */

#include "base/err.h"
#include "cli/cli.h"
#include "cli/select.h"
#include "cli/walk.h"

#include <string.h>

static int write_piece(void *user, struct cf_span data, struct cf_err *err)
{
	return cf_cli_write(user, data.data, data.len, err);
}

static int dump(struct cf_cli *cli, struct cf_repo *repo, const struct cf_place *place,
		struct cf_err *err)
{
	const struct cf_content *content = &place->node->content;

	if (place->node->entry.type == CF_ENTRY_DIR)
		return cf_err_set(err, CF_ERR_USAGE,
				  "%s is a folder; name a file in it, or restore it", place->path);
	if (place->node->entry.type != CF_ENTRY_FILE)
		return cf_err_set(err, CF_ERR_USAGE, "%s is a %s, not a file", place->path,
				  cf_node_type_name(place->node));
	return cf_content_read(repo, content, 0, content->size, write_piece, cli, err);
}

int cf_cmd_dump(struct cf_cli *cli, struct cf_err *err)
{
	struct cf_select select = {0};
	struct cf_place place = {0};
	const char *colon = strchr(cli->args->operands[0], ':');
	int rc;

	if (!colon || !colon[1 + strspn(colon + 1, "/")])
		return cf_err_set(err, CF_ERR_USAGE, "dump needs a file: SNAPSHOT:PATH, not %s",
				  cli->args->operands[0]);
	rc = cf_select_open(&select, cli, err);
	if (rc == 0)
		rc = cf_select_place(&select, cli->args->operands[0], &place, err);
	if (rc == 0)
		rc = dump(cli, select.repo, &place, err);
	cf_place_release(&place);
	cf_select_close(&select);
	return rc;
}
