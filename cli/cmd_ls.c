/* coffer ls */

#include "base/err.h"
#include "cli/cli.h"
#include "cli/escape.h"
#include "cli/output.h"
#include "cli/select.h"
#include "cli/walk.h"

#include <string.h>

struct listing {
	bool in_full;
	bool json;
	struct cf_doc_stream stream;
};

/* "drwxr-xr-x", with s, S, t and T as ls has them. */
static struct cf_text mode_text(const struct cf_node *node)
{
	static const char letters[] = "rwxrwxrwx";
	uint32_t mode = node->entry.mode;
	struct cf_text text = {""};

	text.s[0] = cf_node_type_letter(node);
	for (unsigned i = 0; i < 9; i++)
		text.s[i + 1] = mode & (0400u >> i) ? letters[i] : '-';
	if (mode & 04000)
		text.s[3] = mode & 0100 ? 's' : 'S';
	if (mode & 02000)
		text.s[6] = mode & 0010 ? 's' : 'S';
	if (mode & 01000)
		text.s[9] = mode & 0001 ? 't' : 'T';
	return text;
}

static void print_owner(const char *name, uint32_t id)
{
	if (name && name[0]) {
		cf_escape_print(stdout, name, CF_ESCAPE_NAME);
		printf("%*s ", strlen(name) < 8 ? (int)(8 - strlen(name)) : 0, "");
	} else {
		printf("%-8u ", id);
	}
}

static void print_size(const struct cf_node *node)
{
	struct cf_text size = {""};

	if (node->entry.type == CF_ENTRY_CHARDEV || node->entry.type == CF_ENTRY_BLOCKDEV)
		snprintf(size.s, sizeof(size.s), "%u, %u", node->entry.rdev_major,
			 node->entry.rdev_minor);
	else if (node->entry.type == CF_ENTRY_FILE)
		snprintf(size.s, sizeof(size.s), "%llu", (unsigned long long)node->entry.size);
	else
		snprintf(size.s, sizeof(size.s), "-");
	printf("%12s ", size.s);
}

static void print_text(const struct listing *listing, const char *path, const struct cf_node *node)
{
	if (listing->in_full) {
		printf("%s ", mode_text(node).s);
		print_owner(node->entry.user, node->entry.uid);
		print_owner(node->entry.group, node->entry.gid);
		print_size(node);
		printf("%s ", cf_text_time(node->entry.mtime_ns).s);
	}
	cf_escape_print(stdout, path, CF_ESCAPE_NAME);
	if (listing->in_full && node->entry.type == CF_ENTRY_SYMLINK && node->entry.target) {
		fputs(" -> ", stdout);
		cf_escape_print(stdout, node->entry.target, CF_ESCAPE_NAME);
	}
	fputc('\n', stdout);
}

static int print_entry(void *user, const char *path, const struct cf_node *node, struct cf_err *err)
{
	struct listing *listing = user;
	struct cf_doc item;

	if (!listing->json) {
		print_text(listing, path, node);
		return 0;
	}
	item = cf_node_json(path, node, NULL);
	return cf_doc_stream_item(&listing->stream, &item, err);
}

static int list(struct cf_cli *cli, struct cf_repo *repo, const struct cf_node *node,
		const char *path, struct cf_err *err)
{
	struct listing listing = {.in_full = cf_args_has(cli->args, CF_OPT_LONG),
				  .json = cli->json};
	int rc;

	if (cli->json)
		listing.stream = cf_doc_stream_begin(stdout, "[");
	if (node->entry.type == CF_ENTRY_DIR)
		rc = cf_walk(cli, repo, node, path, cf_args_has(cli->args, CF_OPT_RECURSIVE),
			     print_entry, &listing, err);
	else
		rc = print_entry(&listing, path, node, err);
	if (cli->json)
		fputs("]\n", stdout);
	return rc;
}

int cf_cmd_ls(struct cf_cli *cli, struct cf_err *err)
{
	struct cf_select select = {0};
	struct cf_place place = {0};
	int rc = cf_select_open(&select, cli, err);

	if (rc == 0)
		rc = cf_select_place(&select, cli->args->operands[0], &place, err);
	if (rc == 0)
		rc = list(cli, select.repo, place.node, place.path, err);
	cf_place_release(&place);
	cf_select_close(&select);
	return rc;
}
