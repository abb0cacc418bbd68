#ifndef CF_REPO_SNAPSHOT_TREE_H
#define CF_REPO_SNAPSHOT_TREE_H

/*
 * A snapshot, or a folder in it, as a tree to read from in any order (base/tree.h): how drivers restore databases.
 *
 * Finding an entry reads a few blocks of its directory, however large that is; the directories last used stay open. Each
 * read decodes ahead on the repository's pool, so several readers at once share its workers.
 */

#include "base/tree.h"

struct cf_repo;
struct cf_snapshot;

/* path: of the folder that becomes the root, "" for all; CF_ERR_NOT_FOUND when it is not there or no folder. Repository
 * and snapshot are borrowed until the tree is freed. */
int cf_snapshot_tree_new(struct cf_repo *repo, const struct cf_snapshot *snapshot, const char *path,
			 struct cf_tree **tree_out, struct cf_err *err);
void cf_snapshot_tree_free(struct cf_tree *tree);

#endif
