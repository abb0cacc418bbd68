#ifndef CF_DRIVERS_POSTGRES_VERIFY_H
#define CF_DRIVERS_POSTGRES_VERIFY_H

/*
 * Proof that a snapshot of PostgreSQL restores: cf_driver.verify.
 *
 *     verify.c           the server, and a database on it for each of the snapshot's
 *     verify_data.c      quick: the rows in the snapshot, without a server
 *     verify_catalog.c   standard: what stands in the restored database, counted and listed
 *     verify_compare.c   standard and comprehensive: a dump of it, against the snapshot
 */

#include "drivers/driver.h"

#include <stdatomic.h>

struct cf_err;
struct cf_pg;
struct cf_pg_manifest;
struct cf_pg_toc;

int cf_pg_verify(struct cf_tree *tree, const struct cf_verify_options *options,
		 const struct cf_ctx *ctx, struct cf_err *err);

/* One database under verification. */
struct cf_pg_verify {
	const struct cf_verify_options *options;
	const struct cf_ctx *ctx;
	struct cf_tree *tree;
	const char *folder; /* "shop/" */
	struct cf_pg_manifest *manifest;
	struct cf_pg_toc *toc;
	char *target; /* of the restored database */
	atomic_uint_least64_t *n_failed;
};

/* Tell one check's outcome. fmt NULL: nothing to add. */
void cf_pg_verify_report(const struct cf_pg_verify *verify, const char *name, const char *object,
			 bool passed, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Each reports its checks; they fail only when they cannot be made. */
int cf_pg_verify_data(struct cf_pg_verify *verify, struct cf_err *err);
int cf_pg_verify_catalog(struct cf_pg_verify *verify, struct cf_pg *pg, struct cf_err *err);
int cf_pg_verify_compare(struct cf_pg_verify *verify, struct cf_pg *pg, struct cf_err *err);

#endif
