#ifndef CF_DRIVERS_POSTGRES_FOLDERS_H
#define CF_DRIVERS_POSTGRES_FOLDERS_H

/* The databases of a snapshot: folders that hold a manifest. */

#include <stddef.h>

struct cf_err;
struct cf_tree;

struct cf_pg_folders {
	char **items; /* each ended by "/"; "" alone when the tree is of one database */
	size_t n;
};

/* Release in either case. CF_ERR_NOT_FOUND when there is none. */
int cf_pg_folders_find(struct cf_tree *tree, struct cf_pg_folders *folders, struct cf_err *err);
void cf_pg_folders_release(struct cf_pg_folders *folders);

#endif
