#ifndef CF_DRIVERS_NAMES_H
#define CF_DRIVERS_NAMES_H

/*
 * File names for database objects: whatever an identifier holds, its file has a name that file systems take, that no
 * other identifier gets, and that a person recognises.
 *
 * Each part ("schema", "table") is percent-encoded where it holds '%', '/', '\\', '.', '~', control characters, DEL or a
 * leading '-'; parts are joined by '.', so that a dot always separates. A name that would be longer than 200 bytes
 * is cut at a character and ended by "~" and 16 hex digits of a hash of the whole.
 */

#include "base/buf.h"

struct cf_err;

/* Replaces out with the joined name and suffix (".copy"; may be ""), ended by a NUL that its length does not count. */
int cf_file_name_of(const char *const *parts, size_t n_parts, const char *suffix, struct cf_buf *out,
		    struct cf_err *err);

#endif
