#ifndef CF_CLI_WALK_H
#define CF_CLI_WALK_H

/* Every entry below a folder of a snapshot, and what commands print about one. */

#include "cli/doc.h"
#include "repo/tree.h"

struct cf_cli;

/* path: "a/b", from the snapshot's root. Both are borrowed for the call. */
typedef int cf_walk_fn(void *user, const char *path, const struct cf_node *node,
		       struct cf_err *err);

/* Calls fn for each entry of dir, its folders before what is in them. folder: the path of dir, ""
 * for a root. Stops when the user asks to. */
int cf_walk(struct cf_cli *cli, struct cf_repo *repo, const struct cf_node *dir, const char *folder,
	    bool recursive, cf_walk_fn *fn, void *user, struct cf_err *err);

/* "file", "dir", "symlink", ... and the letter ls -l shows. */
const char *cf_node_type_name(const struct cf_node *node);
char cf_node_type_letter(const struct cf_node *node);

/* {"path", "name", "type", "mode", ...}. snapshot_id may be NULL. */
struct cf_doc cf_node_json(const char *path, const struct cf_node *node, const char *snapshot_id);

#endif
