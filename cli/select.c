#include "cli/select.h"

#include "base/err.h"
#include "cli/cli.h"
#include "cli/select_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int choose_source(struct cf_select *select, const char *text, struct cf_err *err)
{
	struct cf_snapshot_list list = {0};
	int rc = cf_snapshots_load(select->repo, NULL, &list, err);

	if (rc == 0)
		rc = cf_select_source(&list, text, &select->source, &select->hint, err);
	select->filter.source = select->source;
	cf_snapshot_list_release(&list);
	return rc;
}

int cf_select_open(struct cf_select *select, struct cf_cli *cli, struct cf_err *err)
{
	const char *source = cf_args_text(cli->args, CF_OPT_SOURCE);
	int rc;

	*select = (struct cf_select){0};
	select->filter.host = cf_args_text(cli->args, CF_OPT_HOST);
	rc = cf_args_list(cli->args, CF_OPT_TAG, &select->tags, &select->filter.n_tags, err);
	select->filter.tags = select->tags;
	if (rc == 0)
		rc = cf_cli_open(cli, &select->repo, err);
	if (rc == 0 && source)
		rc = choose_source(select, source, err);
	return rc;
}

void cf_select_close(struct cf_select *select)
{
	free(select->source);
	free(select->hint);
	free(select->tags);
	if (select->repo)
		cf_repo_close(select->repo);
	*select = (struct cf_select){0};
}

int cf_select_snapshot(const struct cf_select *select, const char *operand,
		       struct cf_snapshot **snapshot_out, struct cf_err *err)
{
	char *text = strndup(operand, strcspn(operand, ":"));
	int rc;

	if (!text)
		return cf_err_nomem(err);
	rc = cf_snapshot_resolve(select->repo, text, &select->filter, snapshot_out, err);
	if (rc == CF_ERR_NOT_FOUND && select->hint && strcmp(text, "latest") == 0)
		rc = cf_err_set(err, CF_ERR_NOT_FOUND, "%s", select->hint);
	free(text);
	return rc;
}

/* "a/b" of a path with any number of slashes around its names. */
static char *normalize(const char *path)
{
	char *out = malloc(strlen(path) + 2), *at = out;

	while (out && *path) {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (len > 0 && at > out)
			*at++ = '/';
		memcpy(at, path, len);
		at += len;
		path += len;
	}
	if (out)
		*at = '\0';
	return out;
}

int cf_select_place(const struct cf_select *select, const char *operand, struct cf_place *place,
		    struct cf_err *err)
{
	const char *colon = strchr(operand, ':');
	int rc;

	*place = (struct cf_place){.path = normalize(colon ? colon + 1 : "")};
	if (!place->path)
		return cf_err_nomem(err);
	rc = cf_select_snapshot(select, operand, &place->snapshot, err);
	if (rc == 0)
		rc = cf_tree_find(select->repo, place->snapshot, place->path, &place->node, err);
	return rc;
}

void cf_place_release(struct cf_place *place)
{
	cf_snapshot_free(place->snapshot);
	free(place->path);
	free(place->node);
	*place = (struct cf_place){0};
}

struct cf_short_id cf_short_id(const struct cf_id *id)
{
	struct cf_short_id text;

	snprintf(text.s, sizeof(text.s), "%.8s", cf_id_text(id).s);
	return text;
}
