#ifndef CF_DRIVERS_POSTGRES_CLAIM_H
#define CF_DRIVERS_POSTGRES_CLAIM_H

/*
 * Scratch databases on somebody's server (--against), ours as long as we live.
 *
 * A connection holds an advisory lock for the tag that their names have (drivers/scratch_name.h),
 * from before the first is made until after the last is dropped. So what has such a name and no
 * lock was left by a verification that was killed; the next one drops it. Locks are looked up in
 * pg_locks, which shows those of all databases: two verifications need not use the same one for it.
 *
 * The lock is one of a transaction that stays open: behind a pooler a connection without one may be
 * given to somebody else, or closed. It holds no snapshot, and so keeps no row from vacuum.
 */

#include "drivers/scratch_name.h"

struct cf_ctx;
struct cf_err;
struct cf_pg;
struct cf_verify_options;

struct cf_pg_claim {
	struct cf_pg *pg;
	struct cf_scratch_tag tag;
};

/* Also drops, or warns of, what others left. */
int cf_pg_claim_take(struct cf_pg_claim *claim, const char *server,
		     const struct cf_verify_options *options, const struct cf_ctx *ctx,
		     struct cf_err *err);
void cf_pg_claim_release(struct cf_pg_claim *claim);

#endif
