#include "cli/tree_diff.h"

#include "base/err.h"
#include "cli/cli.h"
#include "cli/walk.h"

#include <string.h>

struct diff {
	struct cf_cli *cli;
	struct cf_repo *repo;
	struct cf_buf path; /* of what is compared, with its NUL */
	cf_change_fn *fn;
	void *user;
	struct cf_err *err;
};

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_content(const struct cf_content *a, const struct cf_content *b)
{
	return cf_id_equal(&a->id, &b->id) && a->size == b->size && a->level == b->level;
}

static bool same_xattrs(const struct cf_entry *a, const struct cf_entry *b)
{
	if (a->n_xattrs != b->n_xattrs)
		return false;
	for (size_t i = 0; i < a->n_xattrs; i++) {
		const struct cf_xattr *x = &a->xattrs[i], *y = &b->xattrs[i];

		if (strcmp(x->name, y->name) != 0 || x->value.len != y->value.len ||
		    (x->value.len && memcmp(x->value.data, y->value.data, x->value.len) != 0))
			return false;
	}
	return true;
}

/* What a restore would set. */
static bool same_attributes(const struct cf_entry *a, const struct cf_entry *b)
{
	return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
	       same_text(a->user, b->user) && same_text(a->group, b->group) &&
	       a->mtime_ns == b->mtime_ns && same_xattrs(a, b);
}

static bool same_payload(const struct cf_node *a, const struct cf_node *b)
{
	switch (a->entry.type) {
	case CF_ENTRY_FILE:
		return same_content(&a->content, &b->content);
	case CF_ENTRY_SYMLINK:
		return same_text(a->entry.target, b->entry.target);
	case CF_ENTRY_CHARDEV:
	case CF_ENTRY_BLOCKDEV:
		return a->entry.rdev_major == b->entry.rdev_major &&
		       a->entry.rdev_minor == b->entry.rdev_minor;
	default:
		return true;
	}
}

static int diff_dirs(struct diff *diff, const struct cf_node *a, const struct cf_node *b);

struct whole {
	struct diff *diff;
	enum cf_change change;
};

static int report_inner(void *user, const char *path, const struct cf_node *node,
			struct cf_err *err)
{
	const struct whole *whole = user;

	return whole->diff->fn(whole->diff->user, whole->change, path, node, err);
}

static int report(struct diff *diff, enum cf_change change, const struct cf_node *node)
{
	return diff->fn(diff->user, change, (const char *)diff->path.data, node, diff->err);
}

/* What is in a folder, on one side only. diff->path names it. */
static int report_inside(struct diff *diff, enum cf_change change, const struct cf_node *node)
{
	struct whole whole = {.diff = diff, .change = change};

	if (node->entry.type != CF_ENTRY_DIR)
		return 0;
	return cf_walk(diff->cli, diff->repo, node, (const char *)diff->path.data, true,
		       report_inner, &whole, diff->err);
}

static int diff_types(struct diff *diff, const struct cf_node *a, const struct cf_node *b)
{
	int rc = report(diff, CF_CHANGE_TYPE, b);

	if (rc == 0)
		rc = report_inside(diff, CF_CHANGE_REMOVED, a);
	if (rc == 0)
		rc = report_inside(diff, CF_CHANGE_ADDED, b);
	return rc;
}

static int diff_folders(struct diff *diff, const struct cf_node *a, const struct cf_node *b)
{
	struct cf_entry before = a->entry;
	bool same = same_content(&a->content, &b->content);
	int rc = 0;

	/* What changed in a folder changes its time: no news. */
	if (!same)
		before.mtime_ns = b->entry.mtime_ns;
	if (!same_attributes(&before, &b->entry))
		rc = report(diff, CF_CHANGE_ATTRIBUTES, b);
	return rc < 0 || same ? rc : diff_dirs(diff, a, b);
}

/* The same name on both sides. */
static int diff_nodes(struct diff *diff, const struct cf_node *a, const struct cf_node *b)
{
	if (a->entry.type != b->entry.type)
		return diff_types(diff, a, b);
	if (a->entry.type == CF_ENTRY_DIR)
		return diff_folders(diff, a, b);
	if (!same_payload(a, b))
		return report(diff, CF_CHANGE_CONTENT, b);
	if (!same_attributes(&a->entry, &b->entry))
		return report(diff, CF_CHANGE_ATTRIBUTES, b);
	return 0;
}

static int report_whole(struct diff *diff, enum cf_change change, const struct cf_node *node)
{
	int rc = report(diff, change, node);

	return rc < 0 ? rc : report_inside(diff, change, node);
}

/* One step of the merge: either may be NULL. */
static int diff_pair(struct diff *diff, const struct cf_node *a, const struct cf_node *b)
{
	const char *name = a ? a->entry.name : b->entry.name;
	size_t len = diff->path.len;
	int rc = cf_cli_check(diff->cli, diff->err);

	diff->path.len--;
	if (rc == 0 && diff->path.len > 0)
		rc = cf_buf_append(&diff->path, "/", 1, diff->err);
	if (rc == 0)
		rc = cf_buf_append(&diff->path, name, strlen(name) + 1, diff->err);
	if (rc == 0 && a && b)
		rc = diff_nodes(diff, a, b);
	else if (rc == 0)
		rc = report_whole(diff, a ? CF_CHANGE_REMOVED : CF_CHANGE_ADDED, a ? a : b);
	diff->path.len = len;
	diff->path.data[len - 1] = '\0';
	return rc;
}

static int merge(struct diff *diff, struct cf_dir_iter *left, struct cf_dir_iter *right)
{
	const struct cf_node *a = NULL, *b = NULL;
	int have_a = cf_dir_iter_next(left, &a, diff->err);
	int have_b = have_a < 0 ? 0 : cf_dir_iter_next(right, &b, diff->err);
	int rc = 0;

	while (rc == 0 && have_a >= 0 && have_b >= 0 && (have_a || have_b)) {
		int order = !have_a ? 1 : !have_b ? -1 : strcmp(a->entry.name, b->entry.name);

		rc = diff_pair(diff, order <= 0 ? a : NULL, order >= 0 ? b : NULL);
		if (rc == 0 && order <= 0)
			have_a = cf_dir_iter_next(left, &a, diff->err);
		if (rc == 0 && order >= 0 && have_a >= 0)
			have_b = cf_dir_iter_next(right, &b, diff->err);
	}
	return rc < 0 ? rc : have_a < 0 ? have_a : have_b;
}

static int diff_dirs(struct diff *diff, const struct cf_node *a, const struct cf_node *b)
{
	struct cf_dir_iter *left = NULL, *right = NULL;
	int rc = cf_dir_iter_new(diff->repo, a, &left, diff->err);

	if (rc == 0)
		rc = cf_dir_iter_new(diff->repo, b, &right, diff->err);
	if (rc == 0)
		rc = merge(diff, left, right);
	cf_dir_iter_free(left);
	cf_dir_iter_free(right);
	return rc;
}

int cf_tree_diff(struct cf_cli *cli, struct cf_repo *repo, const struct cf_node *a,
		 const struct cf_node *b, cf_change_fn *fn, void *user, struct cf_err *err)
{
	struct diff diff = {
		.cli = cli, .repo = repo, .path = CF_BUF_INIT, .fn = fn, .user = user, .err = err};
	int rc = cf_buf_append(&diff.path, "", 1, err);

	if (rc == 0)
		rc = diff_nodes(&diff, a, b);
	cf_buf_release(&diff.path);
	return rc;
}
