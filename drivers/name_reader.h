#ifndef CF_DRIVERS_NAME_READER_H
#define CF_DRIVERS_NAME_READER_H

/* The characters of a name or pattern as users write it, with quotes taken off. For
 * drivers/pattern.c and rename.c. */

#include <stdbool.h>

struct cf_name_reader {
	const char *at;
	unsigned flags; /* drivers/pattern.h */
	char quote;	/* the open one, or 0 */
};

/* 1 and the next character, as it is within quotes, in PostgreSQL folded outside of them; 0 at the
 * end, where reader->quote tells of an open quote. */
int cf_name_reader_next(struct cf_name_reader *reader, char *c_out, bool *quoted_out);

#endif
