#include "repo/snapshot_tree.h"

#include "base/err.h"
#include "repo/handle.h"
#include "repo/snapshot.h"
#include "repo/tree.h"

#include <stdlib.h>

enum {
	FOLDERS = 16 /* kept open */
};

struct folder {
	char *path;
	struct cf_dir_iter *iter;
};

struct snapshot_tree {
	struct cf_tree tree;
	struct cf_repo *repo;
	const struct cf_snapshot *snapshot;
	struct cf_node *root;

	pthread_mutex_t lock; /* the folders and their iterators */
	struct folder folders[FOLDERS];
	unsigned next; /* to be replaced */
};

static struct snapshot_tree *tree_of(struct cf_tree *tree)
{
	return (struct snapshot_tree *)tree;
}

static int find_node(struct snapshot_tree *t, const char *path, struct cf_node **node_out, struct cf_err *err);

static void close_folder(struct folder *folder)
{
	cf_dir_iter_free(folder->iter);
	free(folder->path);
	*folder = (struct folder){0};
}

/* The folder's iterator, NULL when there is no such folder. Lock held. */
static int open_folder(struct snapshot_tree *t, const char *path, struct cf_dir_iter **iter_out,
		       struct cf_err *err)
{
	struct cf_node *node = NULL;
	struct folder fresh = {0};
	int rc;

	*iter_out = NULL;
	for (unsigned i = 0; i < FOLDERS; i++)
		if (t->folders[i].path && strcmp(t->folders[i].path, path) == 0) {
			*iter_out = t->folders[i].iter;
			return 0;
		}
	rc = find_node(t, path, &node, err);
	if (rc == 0 && node->entry.type == CF_ENTRY_DIR) {
		fresh.path = strdup(path);
		rc = fresh.path ? cf_dir_iter_new(t->repo, node, &fresh.iter, err) : cf_err_nomem(err);
	}
	free(node);
	if (rc < 0 || !fresh.iter) {
		close_folder(&fresh);
		return rc == CF_ERR_NOT_FOUND ? 0 : rc;
	}
	close_folder(&t->folders[t->next]);
	t->folders[t->next] = fresh;
	t->next = (t->next + 1) % FOLDERS;
	*iter_out = fresh.iter;
	return 0;
}

/* free() the node. Lock held. */
static int find_node(struct snapshot_tree *t, const char *path, struct cf_node **node_out, struct cf_err *err)
{
	const char *slash = strrchr(path, '/');
	const struct cf_node *found = t->root;
	struct cf_dir_iter *iter = NULL;
	int rc = 0;

	if (*path) {
		char *parent = strndup(path, slash ? (size_t)(slash - path) : 0);

		rc = parent ? open_folder(t, parent, &iter, err) : cf_err_nomem(err);
		free(parent);
		if (rc == 0 && iter)
			rc = cf_dir_iter_find(iter, slash ? slash + 1 : path, &found, err);
		if (rc == 0)
			return cf_err_set(err, CF_ERR_NOT_FOUND, "there is no %s in the snapshot", path);
	}
	if (rc < 0)
		return rc;
	*node_out = cf_node_dup(found);
	return *node_out ? 0 : cf_err_nomem(err);
}

static int lookup(struct snapshot_tree *t, const char *path, struct cf_node **node_out, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&t->lock);
	rc = find_node(t, path, node_out, err);
	pthread_mutex_unlock(&t->lock);
	if (rc < 0 && rc != CF_ERR_NOT_FOUND)
		cf_err_wrap(err, "%s", path);
	return rc;
}

static int tree_find(struct cf_tree *tree, const char *path, struct cf_entry **entry_out, struct cf_err *err)
{
	struct cf_node *node = NULL;
	int rc = lookup(tree_of(tree), path, &node, err);

	/* It begins with its entry, and is one allocation. */
	if (rc == 0)
		*entry_out = &node->entry;
	return rc;
}

static int tree_list(struct cf_tree *tree, const char *path, cf_tree_entry_fn *each, void *user,
		     struct cf_err *err)
{
	struct snapshot_tree *t = tree_of(tree);
	struct cf_dir_iter *iter = NULL;
	const struct cf_node *child;
	struct cf_node *node = NULL;
	int rc = lookup(t, path, &node, err);

	if (rc < 0)
		return rc;
	rc = cf_dir_iter_new(t->repo, node, &iter, err);
	while (rc == 0) {
		rc = cf_dir_iter_next(iter, &child, err);
		if (rc < 0)
			cf_err_wrap(err, "%s", path);
		if (rc <= 0)
			break;
		rc = each(user, &child->entry, err);
	}
	cf_dir_iter_free(iter);
	free(node);
	return rc;
}

/* What take returns is its own affair; what is wrong with the content gets the path. */
struct taker {
	cf_tree_piece_fn *take;
	void *user;
	int rc;
};

static int hand_on(void *user, struct cf_span data, struct cf_err *err)
{
	struct taker *taker = user;

	taker->rc = taker->take(taker->user, data, err);
	return taker->rc;
}

static int tree_read(struct cf_tree *tree, const char *path, uint64_t off, uint64_t len, cf_tree_piece_fn *take,
		     void *user, struct cf_err *err)
{
	struct snapshot_tree *t = tree_of(tree);
	struct taker taker = {.take = take, .user = user};
	struct cf_node *node = NULL;
	int rc = lookup(t, path, &node, err);

	if (rc == 0 && node->entry.type != CF_ENTRY_FILE)
		rc = cf_err_set(err, CF_ERR_FAILED, "%s is no file", path);
	else if (rc == 0) {
		rc = cf_content_read(t->repo, &node->content, off, len, hand_on, &taker, err);
		if (rc < 0 && taker.rc == 0 && rc != CF_ERR_CANCELED)
			cf_err_wrap(err, "%s", path);
	}
	free(node);
	return rc;
}

static const char *tree_fact(struct cf_tree *tree, const char *key)
{
	const struct cf_snapshot *snapshot = tree_of(tree)->snapshot;

	for (size_t i = 0; i < snapshot->n_facts; i++)
		if (strcmp(snapshot->facts[i].key, key) == 0)
			return snapshot->facts[i].value;
	return NULL;
}

static const struct cf_tree_ops snapshot_tree_ops = {
	.find = tree_find,
	.list = tree_list,
	.read = tree_read,
	.fact = tree_fact,
};

int cf_snapshot_tree_new(struct cf_repo *repo, const struct cf_snapshot *snapshot, const char *path,
			 struct cf_tree **tree_out, struct cf_err *err)
{
	struct snapshot_tree *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return cf_err_nomem(err);
	t->tree.ops = &snapshot_tree_ops;
	t->repo = repo;
	t->snapshot = snapshot;
	pthread_mutex_init(&t->lock, NULL);
	rc = cf_tree_find(repo, snapshot, path, &t->root, err);
	if (rc == 0 && t->root->entry.type != CF_ENTRY_DIR)
		rc = cf_err_set(err, CF_ERR_NOT_FOUND, "%s is no folder", path);
	if (rc < 0) {
		cf_snapshot_tree_free(&t->tree);
		return rc;
	}
	*tree_out = &t->tree;
	return 0;
}

void cf_snapshot_tree_free(struct cf_tree *tree)
{
	struct snapshot_tree *t;

	if (!tree)
		return;
	t = tree_of(tree);
	for (unsigned i = 0; i < FOLDERS; i++)
		close_folder(&t->folders[i]);
	free(t->root);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
