#ifndef CF_CLI_TREE_DIFF_H
#define CF_CLI_TREE_DIFF_H

/* What differs between two folders of snapshots. Folders of equal content are not entered. */

#include "repo/tree.h"

struct cf_cli;

enum cf_change {
	CF_CHANGE_ADDED,
	CF_CHANGE_REMOVED,
	CF_CHANGE_CONTENT,
	CF_CHANGE_TYPE,
	CF_CHANGE_ATTRIBUTES
};
#define CF_N_CHANGES 5

/* node: the entry as the second side has it, or the first when it was removed. */
typedef int cf_change_fn(void *user, enum cf_change change, const char *path,
			 const struct cf_node *node, struct cf_err *err);

/* Paths are relative to a and b and come in order; "" is a and b themselves. What is in an added or
 * removed folder is named, too. */
int cf_tree_diff(struct cf_cli *cli, struct cf_repo *repo, const struct cf_node *a,
		 const struct cf_node *b, cf_change_fn *fn, void *user, struct cf_err *err);

#endif
