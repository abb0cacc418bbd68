#ifndef CF_DRIVERS_POSTGRES_RESTRICT_H
#define CF_DRIVERS_POSTGRES_RESTRICT_H

/*
 * Keys of psql's \restrict, which shuts off psql's own commands until \unrestrict names the same key: whoever can write names
 * and functions into a database must not know it. The same definitions must give the same script, so a key cannot just be
 * random: it is a hash of the script that it protects, which nobody can put into that script beforehand.
 */

#include "base/id.h"

struct cf_buf;
struct cf_err;

struct cf_pg_restrict_key {
	char s[2 * CF_ID_LEN + 1];
};

struct cf_pg_restrict_key cf_pg_restrict_random(void);

/* Of a script made with a random key: the lasting key, put in place of the random one. */
int cf_pg_restrict_settle(struct cf_buf *script, const struct cf_pg_restrict_key *random,
			  struct cf_pg_restrict_key *key_out, struct cf_err *err);

#endif
