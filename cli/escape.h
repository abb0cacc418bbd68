#ifndef CF_CLI_ESCAPE_H
#define CF_CLI_ESCAPE_H

/* Names and messages made harmless for terminals. */

#include "base/buf.h"

#include <stdbool.h>
#include <stdio.h>

struct cf_err;

enum cf_escape {
	CF_ESCAPE_NAME,	  /* reversible: backslashes are doubled */
	CF_ESCAPE_MESSAGE /* backslashes stay */
};

/* Append text with control characters and bytes that are no UTF-8 as \n, \t, \xNN: nothing a
 * terminal would obey is left. */
int cf_escape_append(struct cf_buf *out, const char *text, enum cf_escape how, struct cf_err *err);
/* The same straight to a stream. */
void cf_escape_print(FILE *out, const char *text, enum cf_escape how);

/* Both, cut to max_columns columns (more than 3) of which the last are then "...". */
int cf_escape_append_cut(struct cf_buf *out, const char *text, enum cf_escape how,
			 size_t max_columns, struct cf_err *err);
void cf_escape_print_cut(FILE *out, const char *text, enum cf_escape how, size_t max_columns);

/* Text that is no UTF-8 as repositories keep it: its odd bytes, '%' and blanks as %XX. Other text
 * as it is. NULL: no memory. */
char *cf_escape_stored(const char *text);

/* Characters. */
size_t cf_utf8_columns(const char *text);

/* The length of the UTF-8 character at text (1 to 4), 0 when there is none (also for surrogates and
 * overlong forms). code_out may be NULL. */
size_t cf_utf8_len(const char *text, uint32_t *code_out);
bool cf_utf8_valid(const char *text);

#endif
