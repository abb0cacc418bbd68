/* coffer tag */

#include "base/err.h"
#include "cli/audited.h"
#include "cli/cli.h"
#include "cli/escape.h"
#include "cli/doc.h"
#include "cli/select.h"

#include <stdlib.h>
#include <string.h>

struct changes {
	const char **add, **remove, **set;
	size_t n_add, n_remove, n_set;
	struct cf_audited audited;
	size_t n_changed;
};

static bool has(const char *const *tags, size_t n, const char *tag)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(tags[i], tag) == 0)
			return true;
	return false;
}

static int compare_tags(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int read_changes(const struct cf_args *args, struct changes *changes, struct cf_err *err)
{
	int rc = cf_args_list(args, CF_OPT_ADD, &changes->add, &changes->n_add, err);

	if (rc == 0)
		rc = cf_args_list(args, CF_OPT_REMOVE, &changes->remove, &changes->n_remove, err);
	if (rc == 0)
		rc = cf_args_list(args, CF_OPT_SET, &changes->set, &changes->n_set, err);
	if (rc < 0)
		return rc;
	if (changes->n_add + changes->n_remove + changes->n_set == 0)
		return cf_err_set(err, CF_ERR_USAGE,
				  "tag needs --add TAG, --remove TAG or --set TAG");
	if (changes->n_set > 0 && changes->n_add + changes->n_remove > 0)
		return cf_err_set(err, CF_ERR_USAGE, "--set excludes --add and --remove");
	for (size_t i = 0; i < changes->n_add + changes->n_set; i++) {
		const char *tag =
			i < changes->n_add ? changes->add[i] : changes->set[i - changes->n_add];

		if (!cf_utf8_valid(tag))
			return cf_err_set(err, CF_ERR_USAGE, "tag '%s' is not UTF-8", tag);
		if (strchr(tag, ','))
			return cf_err_set(err, CF_ERR_USAGE, "tag '%s' has a comma, which would look like two tags", tag);
	}
	return 0;
}

/* The tags a snapshot will have, sorted: a new array of borrowed strings. NULL when memory is out.
 */
static const char **new_tags(const struct cf_snapshot *snapshot, const struct changes *changes,
			     size_t *n_out)
{
	const char *const *sources[] = {(const char *const *)snapshot->tags, changes->add,
					changes->set};
	size_t counts[] = {changes->n_set ? 0 : snapshot->n_tags, changes->n_add, changes->n_set};
	const char **tags =
		calloc(snapshot->n_tags + changes->n_add + changes->n_set + 1, sizeof(*tags));
	size_t n = 0;

	for (size_t from = 0; tags && from < 3; from++) {
		for (size_t i = 0; i < counts[from]; i++) {
			const char *tag = sources[from][i];

			if (tag[0] && !has(tags, n, tag) &&
			    !has(changes->remove, changes->n_remove, tag))
				tags[n++] = tag;
		}
	}
	if (tags)
		qsort(tags, n, sizeof(*tags), compare_tags);
	*n_out = n;
	return tags;
}

static bool same_tags(const struct cf_snapshot *snapshot, const char *const *tags, size_t n)
{
	if (snapshot->n_tags != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (strcmp(snapshot->tags[i], tags[i]) != 0)
			return false;
	return true;
}

static struct cf_doc change_json(const struct cf_id *before, const struct cf_id *after,
				 const char *const *tags, size_t n)
{
	struct cf_doc item = cf_doc_object(), list = cf_doc_array();

	for (size_t i = 0; i < n; i++)
		cf_doc_push_text(&list, tags[i]);
	cf_doc_text(&item, "before", cf_id_text(before).s);
	cf_doc_text(&item, "snapshot", cf_id_text(after).s);
	cf_doc_flag(&item, "changed", !cf_id_equal(before, after));
	cf_doc_put(&item, "tags", &list);
	return item;
}

static void print_text(const struct cf_id *before, const struct cf_id *after,
		       const char *const *tags, size_t n)
{
	if (cf_id_equal(before, after))
		printf("snapshot %s keeps its tags:", cf_short_id(before).s);
	else
		printf("snapshot %s is now %s, tags:", cf_short_id(before).s, cf_short_id(after).s);
	for (size_t i = 0; i < n; i++) {
		fputc(' ', stdout);
		cf_escape_print(stdout, tags[i], CF_ESCAPE_NAME);
	}
	puts(n ? "" : " none");
}

static int store_tags(const struct cf_select *select, const struct cf_snapshot *snapshot,
		      const char *const *tags, size_t n, struct changes *changes,
		      struct cf_id *after, struct cf_err *err)
{
	int rc = cf_snapshot_set_tags(select->repo, snapshot, tags, n, after, err);

	if (rc < 0)
		return rc;
	changes->n_changed++;
	cf_audited_id(&changes->audited, "replaced", &snapshot->id);
	cf_audited_id(&changes->audited, "snapshot", after);
	return 0;
}

static int tag_one(struct cf_cli *cli, const struct cf_select *select,
		   const struct cf_snapshot *snapshot, struct changes *changes, struct cf_doc *list,
		   struct cf_err *err)
{
	struct cf_id after = snapshot->id;
	struct cf_doc item;
	size_t n = 0;
	const char **tags = new_tags(snapshot, changes, &n);
	int rc = tags ? 0 : cf_err_nomem(err);

	if (rc == 0 && !same_tags(snapshot, tags, n))
		rc = store_tags(select, snapshot, tags, n, changes, &after, err);
	if (rc == 0 && cli->json) {
		item = change_json(&snapshot->id, &after, tags, n);
		cf_doc_push(list, &item);
	} else if (rc == 0 && !cli->quiet) {
		print_text(&snapshot->id, &after, tags, n);
	}
	free(tags);
	return rc;
}

/* All are resolved before the first is changed: "latest" means what it meant when the command
 * began. */
static int tag_all(struct cf_cli *cli, const struct cf_select *select, struct changes *changes,
		   struct cf_doc *list, struct cf_err *err)
{
	const struct cf_args *args = cli->args;
	struct cf_snapshot **snapshots = calloc(args->n_operands, sizeof(*snapshots));
	int rc = snapshots ? 0 : cf_err_nomem(err);

	for (size_t i = 0; rc == 0 && i < args->n_operands; i++)
		rc = cf_select_snapshot(select, args->operands[i], &snapshots[i], err);
	for (size_t i = 0; rc == 0 && i < args->n_operands; i++) {
		bool again = false;

		for (size_t j = 0; j < i; j++)
			again |= cf_id_equal(&snapshots[i]->id, &snapshots[j]->id);
		if (!again)
			rc = tag_one(cli, select, snapshots[i], changes, list, err);
	}
	for (size_t i = 0; snapshots && i < args->n_operands; i++)
		cf_snapshot_free(snapshots[i]);
	free(snapshots);
	return rc;
}

static void note_tags(struct cf_audited *audited, const char *key, const char *const *tags,
		      size_t n)
{
	for (size_t i = 0; i < n; i++)
		cf_audited_about(audited, key, tags[i]);
}

static int run(struct cf_cli *cli, const struct cf_select *select, struct changes *changes,
	       struct cf_doc *list, struct cf_err *err)
{
	struct cf_audited *audited = &changes->audited;
	int rc;

	cf_audited_begin(audited, cli, NULL);
	note_tags(audited, "add", changes->add, changes->n_add);
	note_tags(audited, "remove", changes->remove, changes->n_remove);
	note_tags(audited, "set", changes->set, changes->n_set);
	rc = tag_all(cli, select, changes, list, err);
	if (rc < 0 || changes->n_changed > 0)
		return cf_audited_end(audited, select->repo, rc, err);
	cf_audited_drop(audited);
	return 0;
}

int cf_cmd_tag(struct cf_cli *cli, struct cf_err *err)
{
	struct changes changes = {0};
	struct cf_select select = {0};
	struct cf_doc document = {0}, list = {0};
	int rc = read_changes(cli->args, &changes, err);

	if (rc == 0)
		rc = cf_select_open(&select, cli, err);
	if (rc == 0 && cli->json)
		list = cf_doc_array();
	if (rc == 0)
		rc = run(cli, &select, &changes, &list, err);
	if (rc == 0 && cli->json) {
		document = cf_doc_begin();
		cf_doc_put(&document, "snapshots", &list);
		rc = cf_doc_print(&document, stdout, err);
	}
	cf_doc_release(&list);
	cf_select_close(&select);
	free(changes.add);
	free(changes.remove);
	free(changes.set);
	return rc;
}
