#ifndef CF_DRIVERS_MYSQL_CLAIM_H
#define CF_DRIVERS_MYSQL_CLAIM_H

/*
 * Scratch databases on somebody's server (--against), ours as long as we live.
 *
 * A session holds a lock of GET_LOCK(), called like the beginning of their names, from before the
 * first is made until after the last is dropped. So what has such a name (drivers/scratch_name.h)
 * and no lock was left by a verification that was killed; the next one drops it.
 *
 * Such locks are one server's own, while databases go to replicas and to the nodes of a cluster.
 * So names tell the server, and what another one made is left alone.
 */

#include "drivers/scratch_name.h"

struct cf_ctx;
struct cf_err;
struct cf_mysql;
struct cf_mysql_url;
struct cf_verify_options;

struct cf_mysql_claim {
	struct cf_mysql *my;
	struct cf_scratch_tag tag;
};

/* Also drops, or warns of, what others left. */
int cf_mysql_claim_take(struct cf_mysql_claim *claim, const struct cf_mysql_url *url,
			const struct cf_verify_options *options, const struct cf_ctx *ctx,
			struct cf_err *err);
void cf_mysql_claim_release(struct cf_mysql_claim *claim);

#endif
