#include "cli/walk.h"

#include "base/err.h"
#include "cli/cli.h"
#include "cli/output.h"

#include <stdlib.h>
#include <string.h>

/* A folder on the way down: on the heap, for a snapshot may nest them deeper than a stack is. */
struct level {
	struct cf_dir_iter *iter;
	size_t path_len; /* of the folder, a slash at its end unless it is the root */
	struct level *parent;
};

struct walk {
	struct cf_cli *cli;
	struct cf_repo *repo;
	struct cf_buf path;
	struct level *level;
	bool recursive;
	cf_walk_fn *fn;
	void *user;
	struct cf_err *err;
};

static int enter(struct walk *walk, const struct cf_node *dir)
{
	struct level *level = calloc(1, sizeof(*level));
	int rc;

	if (!level)
		return cf_err_nomem(walk->err);
	rc = cf_dir_iter_new(walk->repo, dir, &level->iter, walk->err);
	if (rc < 0) {
		free(level);
		return rc;
	}
	level->path_len = walk->path.len;
	level->parent = walk->level;
	walk->level = level;
	return 0;
}

static void leave(struct walk *walk)
{
	struct level *level = walk->level;

	walk->level = level->parent;
	cf_dir_iter_free(level->iter);
	free(level);
}

static int visit(struct walk *walk, const struct cf_node *node)
{
	int rc = cf_cli_check(walk->cli, walk->err);

	walk->path.len = walk->level->path_len;
	if (rc == 0)
		rc = cf_buf_append(&walk->path, node->entry.name, strlen(node->entry.name) + 1, walk->err);
	if (rc == 0)
		rc = walk->fn(walk->user, (const char *)walk->path.data, node, walk->err);
	if (rc < 0 || !walk->recursive || node->entry.type != CF_ENTRY_DIR)
		return rc;
	walk->path.data[walk->path.len - 1] = '/';
	return enter(walk, node);
}

int cf_walk(struct cf_cli *cli, struct cf_repo *repo, const struct cf_node *dir, const char *folder,
	    bool recursive, cf_walk_fn *fn, void *user, struct cf_err *err)
{
	struct walk walk = {.cli = cli,
			    .repo = repo,
			    .path = CF_BUF_INIT,
			    .recursive = recursive,
			    .fn = fn,
			    .user = user,
			    .err = err};
	int rc = folder[0] ? cf_buf_printf(&walk.path, err, "%s/", folder) : 0;

	if (rc == 0)
		rc = enter(&walk, dir);
	while (rc >= 0 && walk.level) {
		const struct cf_node *node;

		rc = cf_dir_iter_next(walk.level->iter, &node, err);
		if (rc == 0)
			leave(&walk);
		else if (rc == 1)
			rc = visit(&walk, node);
	}
	while (walk.level)
		leave(&walk);
	cf_buf_release(&walk.path);
	return rc;
}

static const struct {
	const char *name;
	char letter;
} types[] = {
	[CF_ENTRY_FILE] = {"file", '-'},	 [CF_ENTRY_DIR] = {"dir", 'd'},
	[CF_ENTRY_SYMLINK] = {"symlink", 'l'},	 [CF_ENTRY_FIFO] = {"fifo", 'p'},
	[CF_ENTRY_SOCKET] = {"socket", 's'},	 [CF_ENTRY_CHARDEV] = {"chardev", 'c'},
	[CF_ENTRY_BLOCKDEV] = {"blockdev", 'b'},
};

const char *cf_node_type_name(const struct cf_node *node)
{
	return types[node->entry.type].name;
}

char cf_node_type_letter(const struct cf_node *node)
{
	return types[node->entry.type].letter;
}

struct cf_doc cf_node_json(const char *path, const struct cf_node *node, const char *snapshot_id)
{
	struct cf_doc object = cf_doc_object();
	const struct cf_entry *entry = &node->entry;
	char mode[8];

	snprintf(mode, sizeof(mode), "%04o", entry->mode);
	if (snapshot_id)
		cf_doc_text(&object, "snapshot", snapshot_id);
	cf_doc_text(&object, "path", path);
	cf_doc_text(&object, "name", entry->name);
	cf_doc_text(&object, "type", cf_node_type_name(node));
	cf_doc_text(&object, "mode", mode);
	cf_doc_count(&object, "uid", entry->uid);
	cf_doc_count(&object, "gid", entry->gid);
	cf_doc_text(&object, "user", entry->user);
	cf_doc_text(&object, "group", entry->group);
	cf_doc_text(&object, "mtime", cf_text_rfc3339(entry->mtime_ns).s);
	if (entry->type == CF_ENTRY_FILE)
		cf_doc_count(&object, "size", entry->size);
	if (entry->type == CF_ENTRY_SYMLINK)
		cf_doc_text(&object, "target", entry->target);
	return object;
}
