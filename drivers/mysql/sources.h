#ifndef CF_DRIVERS_MYSQL_SOURCES_H
#define CF_DRIVERS_MYSQL_SOURCES_H

/* The databases in a snapshot's tree: a whole snapshot, or the folder of one database in it. */

#include "drivers/mysql/manifest.h"

struct cf_err;
struct cf_tree;

struct cf_mysql_load_source {
	struct cf_mysql_manifest manifest;
	char *folder;	/* "" when the tree's root is the database */
	bool is_wanted; /* a restore takes something of it */
	bool is_whole;	/* and what is no table, too */
};

/* What a whole snapshot tells of its server. */
struct cf_mysql_origin {
	bool any_case; /* names in upper and lower case are the same */
	bool is_mysql; /* not MariaDB */
};

/* CF_ERR_USAGE when the tree is neither. All outputs begin empty; the sources are freed by the
 * caller also after a failure. */
int cf_mysql_sources_read(struct cf_tree *tree, struct cf_mysql_load_source **sources_out,
			  size_t *n_out, struct cf_mysql_origin *origin_out, struct cf_err *err);
void cf_mysql_sources_free(struct cf_mysql_load_source *sources, size_t n);

/* A file's path in the tree; folder may be "". free() it. NULL when memory is out. */
char *cf_mysql_source_path(const struct cf_mysql_load_source *source, const char *folder,
			   const char *name);

#endif
