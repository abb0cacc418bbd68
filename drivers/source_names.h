#ifndef CF_DRIVERS_SOURCE_NAMES_H
#define CF_DRIVERS_SOURCE_NAMES_H

/* The names that a backup of what somebody typed may have, found without looking at the source. */

#include <stdbool.h>
#include <stddef.h>

struct cf_err;

/* A name, or with a tail one whose port only the server knows: head, digits, tail. */
struct cf_source_name {
	char *head, *tail;
};

/* The likeliest first. */
struct cf_source_names {
	struct cf_source_name *items;
	size_t n;
};

/* head and tail (may be NULL) are taken over, also on failure; a head that is NULL is a lack of memory. */
int cf_source_names_add(struct cf_source_names *names, char *head, char *tail, struct cf_err *err);
void cf_source_names_release(struct cf_source_names *names);
bool cf_source_name_fits(const struct cf_source_name *name, const char *listed);

/* "scheme:" and a path that is absolute and has no links. NULL: no memory. */
char *cf_path_source_name(const char *scheme, const char *path);
/* The same of any path, whether something is there or not; nothing is added for one that means nothing. */
int cf_path_source_names(const char *scheme, const char *path, struct cf_source_names *names, struct cf_err *err);

#endif
