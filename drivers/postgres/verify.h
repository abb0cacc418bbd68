#ifndef CF_DRIVERS_POSTGRES_VERIFY_H
#define CF_DRIVERS_POSTGRES_VERIFY_H

/*
 * Proof that a snapshot of PostgreSQL restores: cf_driver.verify.
 *
 *     verify.c           the server, and a database on it for each of the snapshot's
 *     verify_globals.c   roles and tablespaces of a server of our own
 *     verify_data.c      quick: the rows in the snapshot, without a server
 *     verify_catalog.c   standard: what stands in the restored database, counted and listed
 *     verify_compare.c   standard and comprehensive: a dump of it, against the snapshot
 *     verify_schema.c    the definitions, where that finds a difference
 *     verify_rows.c      what of that is compared as a set of rows instead
 *     verify_floats.c    rows that a server before 12 wrote otherwise
 */

#include "base/buf.h"
#include "drivers/driver.h"
#include "drivers/postgres/roots.h"

#include <stdatomic.h>

struct cf_err;
struct cf_pg;
struct cf_pg_folders;
struct cf_pg_graph;
struct cf_pg_manifest;
struct cf_pg_rows;
struct cf_pg_scratch;
struct cf_pg_table;
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
	struct cf_pg_graph *graph; /* of it */
	char *target; /* of the restored database */
	/* verify_rows.c: of each table of the manifest the first one of its lot, or CF_PG_NO_LOT
	 * when it is compared byte by byte; and roots of the restored database. */
	size_t *lots;
	struct cf_pg_roots roots;
	struct cf_pg_rows *floats; /* verify_floats.c: tables */
	atomic_uint_least64_t *n_failed;
};

#define CF_PG_VERIFY_DOCUMENT_MAX ((size_t)1 << 30)

/* manifest, toc and graph of the folder in the tree; release them in either case. */
int cf_pg_verify_read_documents(struct cf_pg_verify *verify, struct cf_err *err);
void cf_pg_verify_release_documents(struct cf_pg_verify *verify);

/* What the databases in the folders need besides themselves. */
int cf_pg_verify_prepare(struct cf_pg_scratch *scratch, struct cf_tree *tree,
			 const struct cf_pg_folders *folders, const struct cf_ctx *ctx,
			 struct cf_err *err);

/* Tell one check's outcome. fmt NULL: nothing to add. */
void cf_pg_verify_report(const struct cf_pg_verify *verify, const char *name, const char *object,
			 bool passed, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Each reports its checks; they fail only when they cannot be made. */
int cf_pg_verify_data(struct cf_pg_verify *verify, struct cf_err *err);
int cf_pg_verify_catalog(struct cf_pg_verify *verify, struct cf_pg *pg, struct cf_err *err);
int cf_pg_verify_compare(struct cf_pg_verify *verify, struct cf_pg *pg, struct cf_err *err);
int cf_pg_verify_rows(struct cf_pg_verify *verify, struct cf_pg *pg, struct cf_err *err);
/* archive is pg_dump's of the restored database. */
int cf_pg_verify_schema(struct cf_pg_verify *verify, struct cf_span archive, struct cf_err *err);

/* verify->floats, freed by the caller. */
int cf_pg_verify_find_floats(struct cf_pg_verify *verify, struct cf_pg *pg, struct cf_err *err);
/* Whether a table, or the lot that it is the first of, has the same rows: a warning where that cannot be told. */
void cf_pg_verify_report_rows(const struct cf_pg_verify *verify, const struct cf_pg_table *table, const char *object,
			      bool same, const char *detail);

#define CF_PG_NO_LOT SIZE_MAX

/* pg is a connection to the restored database. */
int cf_pg_verify_find_lots(struct cf_pg_verify *verify, struct cf_pg *pg, struct cf_err *err);
void cf_pg_verify_release_lots(struct cf_pg_verify *verify);
/* True for the files of a table that is in a lot. */
bool cf_pg_verify_is_of_lot(const struct cf_pg_verify *verify, const char *path);
/* "schema.name" for reports, appended and ended by NUL. */
int cf_pg_verify_lot_name(const struct cf_pg_verify *verify, size_t lot, struct cf_buf *out,
			  struct cf_err *err);
/* Each restored table that has rows of the lot. */
typedef int cf_pg_restored_fn(void *user, const char *schema, const char *name, struct cf_err *err);
int cf_pg_verify_each_restored(const struct cf_pg_verify *verify, size_t lot,
			       cf_pg_restored_fn *each, void *user, struct cf_err *err);

#endif
