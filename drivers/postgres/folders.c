#include "drivers/postgres/folders.h"

#include "base/err.h"
#include "base/tree.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void cf_pg_folders_release(struct cf_pg_folders *folders)
{
	for (size_t i = 0; i < folders->n; i++)
		free(folders->items[i]);
	free(folders->items);
}

static int has_manifest(struct cf_tree *tree, const char *folder, bool *has, struct cf_err *err)
{
	struct cf_entry *entry = NULL;
	struct cf_buf path = CF_BUF_INIT;
	int rc = cf_buf_printf(&path, err, "%sdatabase.json%c", folder, 0);

	if (rc == 0)
		rc = tree->ops->find(tree, (const char *)path.data, &entry, err);
	*has = rc == 0;
	if (rc == CF_ERR_NOT_FOUND) {
		cf_err_clear(err);
		rc = 0;
	}
	free(entry);
	cf_buf_release(&path);
	return rc;
}

static int add_folder(struct cf_pg_folders *folders, const char *folder, struct cf_err *err)
{
	char **items = realloc(folders->items, (folders->n + 1) * sizeof(*items));

	if (!items)
		return cf_err_nomem(err);
	folders->items = items;
	items[folders->n] = strdup(folder);
	if (!items[folders->n])
		return cf_err_nomem(err);
	folders->n++;
	return 0;
}

struct search {
	struct cf_tree *tree;
	struct cf_pg_folders *folders;
};

static int consider_entry(void *user, const struct cf_entry *entry, struct cf_err *err)
{
	struct search *search = user;
	struct cf_buf folder = CF_BUF_INIT;
	bool has = false;
	int rc;

	if (entry->type != CF_ENTRY_DIR)
		return 0;
	rc = cf_buf_printf(&folder, err, "%s/%c", entry->name, 0);
	if (rc == 0)
		rc = has_manifest(search->tree, (const char *)folder.data, &has, err);
	if (rc == 0 && has)
		rc = add_folder(search->folders, (const char *)folder.data, err);
	cf_buf_release(&folder);
	return rc;
}

int cf_pg_folders_find(struct cf_tree *tree, struct cf_pg_folders *folders, struct cf_err *err)
{
	struct search search = {.tree = tree, .folders = folders};
	bool has;
	int rc = has_manifest(tree, "", &has, err);

	*folders = (struct cf_pg_folders){0};
	if (rc == 0)
		rc = has ? add_folder(folders, "", err)
			 : tree->ops->list(tree, "", consider_entry, &search, err);
	if (rc == 0 && folders->n == 0)
		rc = cf_err_set(
			err, CF_ERR_NOT_FOUND,
			"there is no PostgreSQL database in the snapshot, or at the path given");
	return rc;
}
