#ifndef CF_DRIVERS_SCRATCH_NAME_H
#define CF_DRIVERS_SCRATCH_NAME_H

/*
 * What the databases are called that a verification makes on somebody's server:
 *
 *     coffer_verify_TAG_NUMBER
 *
 * A tag is 32 hexadecimal digits: of 8 random bytes, 4 that stand for the server, and 4 that follow
 * from both. A mark in the database would come after it is made, and a kill in between would leave
 * what nobody dares to drop; a name like this is there with the database, and given by nobody else.
 *
 * Whether the verification still runs a lock tells, which it takes for its tag before it makes
 * anything. Each kind of server has its own.
 */

#include <stddef.h>
#include <stdint.h>

enum {
	CF_SCRATCH_NAME_MAX = 64 /* with the NUL: no server takes longer ones */
};

struct cf_scratch_tag {
	char text[33];
};

enum cf_scratch_kind {
	CF_SCRATCH_FOREIGN,   /* not coffer's */
	CF_SCRATCH_ELSEWHERE, /* coffer's, made through another server that shares its databases */
	CF_SCRATCH_HERE
};

/* server: what tells a server whose locks the others do not see; "" where all are seen. */
void cf_scratch_tag_new(const char *server, struct cf_scratch_tag *tag_out);
/* A number for locks that have no names. */
uint64_t cf_scratch_tag_key(const struct cf_scratch_tag *tag);

void cf_scratch_name(const struct cf_scratch_tag *tag, size_t number,
		     char name_out[CF_SCRATCH_NAME_MAX]);
/* tag_out is set unless it is foreign. */
enum cf_scratch_kind cf_scratch_name_parse(const char *name, const char *server,
					   struct cf_scratch_tag *tag_out);

#endif
