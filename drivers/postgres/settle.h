#ifndef CF_DRIVERS_POSTGRES_SETTLE_H
#define CF_DRIVERS_POSTGRES_SETTLE_H

/*
 * Ways in which a server writes the same definition.
 *
 * What a client wrote as "s IN ('a', 'b')" of a varchar is kept as a cast of an array, which the
 * server writes as (ARRAY['a'::character varying, ...])::text[]. Reading that text it keeps casts
 * of the elements instead, and writes ARRAY[('a'::character varying)::text, ...] from then on. Both
 * mean the same, so texts that differ in this alone make the same.
 *
 * The roles of a policy come in an order in which the server found them, which is not that in which
 * it is made again. The names of a text search dictionary's options keep the quotes that they got where
 * quote_all_identifiers was on.
 */

#include "base/buf.h"

struct cf_err;

/* sql with the latter instead of the former, the roles of a policy in order, and no quotes in a dictionary that are
 * not needed, in place of what out holds, ended by NUL. Texts within quotes stay as they are. */
int cf_pg_settle(const char *sql, struct cf_buf *out, struct cf_err *err);

#endif
