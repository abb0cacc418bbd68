#ifndef CF_DRIVERS_FILES_EXCLUDE_H
#define CF_DRIVERS_FILES_EXCLUDE_H

/*
 * Exclude patterns, with the rules of gitignore:
 *
 *   *.o         no slash inside: the name of a file or folder at any depth
 *   /build      a slash in front or inside: the path from the source's root
 *   docs/a*.pdf a star matches any bytes but a slash
 *   cache/      a slash at the end: folders only
 *   a, **, b    joined by slashes: two stars as a part of their own are any number of folders,
 *               also none; as the last part they are all that is inside
 *   ? [a-z] [!0-9] \*   one byte, one of a set, none of a set, the character itself
 *   !keep.o     takes back what an earlier pattern excluded
 *
 * The last pattern that matches decides. What is inside an excluded folder is never looked at, so
 * nothing in it can be taken back.
 */

#include <stdbool.h>
#include <stddef.h>

struct cf_err;
struct cf_exclude;

/* CF_ERR_USAGE for an empty pattern. */
int cf_exclude_new(const char *const *patterns, size_t n_patterns, struct cf_exclude **exclude_out,
		   struct cf_err *err);
void cf_exclude_free(struct cf_exclude *exclude);

/* path is relative to the source's root, "a/b/c", without empty parts. */
bool cf_exclude_match(const struct cf_exclude *exclude, const char *path, bool is_dir);

#endif
