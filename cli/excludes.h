#ifndef CF_CLI_EXCLUDES_H
#define CF_CLI_EXCLUDES_H

/* The patterns of --exclude and --exclude-from. */

#include <stddef.h>

struct cf_args;
struct cf_err;

struct cf_excludes {
	char **items;
	size_t n, capacity;
};

/* All patterns: those of --exclude in order, then those of the files. Blank lines of a file, and
 * lines beginning with '#', say nothing; "\#" begins a pattern with '#'. CF_ERR_USAGE for a '[' without its
 * ']'. Release in either case. */
int cf_excludes_load(const struct cf_args *args, struct cf_excludes *excludes, struct cf_err *err);
void cf_excludes_release(struct cf_excludes *excludes);

#endif
