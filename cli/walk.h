#ifndef CF_CLI_WALK_H
#define CF_CLI_WALK_H

/* Every entry below a folder of a snapshot, and what commands print about one. */

#include "cli/json.h"
#include "repo/tree.h"

struct cf_cli;

/* path begins with the prefix given to the walk; both are borrowed for the call. */
typedef int cf_walk_fn(void *user, const char *path, const struct cf_node *node, struct cf_err *err);

/* Calls fn for each entry of dir, its folders before what is in them. prefix stands before each path and ends
 * with a slash. Stops when the user asks to. */
int cf_walk(struct cf_cli *cli, struct cf_repo *repo, const struct cf_node *dir, const char *prefix,
	    bool recursive, cf_walk_fn *fn, void *user, struct cf_err *err);

/* "file", "dir", "symlink", ... and the letter ls -l shows. */
const char *cf_node_type_name(const struct cf_node *node);
char cf_node_type_letter(const struct cf_node *node);

/* Print a path escaped; a folder's with a slash at its end. */
void cf_node_print_path(FILE *out, const char *path, const struct cf_node *node);

/* {"path", "name", "type", "mode", ...}. snapshot_id may be NULL. */
struct cf_json cf_node_json(const char *path, const struct cf_node *node, const char *snapshot_id);

#endif
