#ifndef CF_DRIVERS_MYSQL_VERIFY_H
#define CF_DRIVERS_MYSQL_VERIFY_H

/*
 * Proving that a snapshot restores, in its parts:
 *
 *     verify.c          levels, scratch databases, and the order of it all
 *     verify_rows.c     rows in the snapshot and on the server
 *     verify_schema.c   definitions, by a dump of what was restored
 *     verify_bytes.c    a dump of what was restored against the snapshot, byte for byte
 */

#include "base/buf.h"
#include "base/ctx.h"
#include "drivers/driver.h"
#include "drivers/mysql/claim.h"
#include "drivers/mysql/scratch.h"
#include "drivers/mysql/sources.h"
#include "drivers/mysql/url.h"

struct cf_mysql;

struct cf_mysql_verify {
	struct cf_tree *tree;
	const struct cf_verify_options *options;
	const struct cf_ctx *ctx;
	struct cf_ctx quiet; /* the same, but it keeps what a restore has to say to itself */
	struct cf_mysql_load_source *sources;
	size_t n_sources;
	char **names; /* of each source on the scratch server; the same array as url.databases */
	struct cf_mysql_scratch scratch; /* or, with --against: */
	struct cf_mysql_claim claim;
	struct cf_mysql_url url; /* of the scratch server, with those databases */
	struct cf_mysql *my;
	uint64_t n_failed;
};

/* Tell a check's outcome. fmt: what was found; may be NULL. */
void cf_mysql_verify_tell(struct cf_mysql_verify *verify, const char *check, const char *object,
			  bool passed, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* "shop.orders"; free() it. NULL when memory is out. */
char *cf_mysql_verify_label(const struct cf_mysql_load_source *source, const char *name);
/* A text as it should be on the scratch server, where databases have other names. out is replaced,
 * ended by NUL. */
int cf_mysql_verify_expect(struct cf_mysql_verify *verify, const char *text,
			   struct cf_buf *out, struct cf_err *err);
/* The same of CREATE TABLE; no table of a trial keeps directories of its own, and on a server of our
 * own none looks at another server. */
int cf_mysql_verify_expect_table(struct cf_mysql_verify *verify, const char *create,
				 struct cf_buf *out, struct cf_err *err);

/* Every table's rows can be read and are as many as they should be. */
int cf_mysql_verify_read(struct cf_mysql_verify *verify, struct cf_err *err);
/* The same of the restored tables. */
int cf_mysql_verify_count(struct cf_mysql_verify *verify, struct cf_err *err);
/* CHECK TABLE finds nothing. */
int cf_mysql_verify_tables(struct cf_mysql_verify *verify, struct cf_err *err);

/* Views that could be made nowhere, as the backup has told. */
size_t cf_mysql_verify_broken_views(const struct cf_mysql_manifest *manifest);
int cf_mysql_verify_schema(struct cf_mysql_verify *verify, struct cf_err *err);
int cf_mysql_verify_bytes(struct cf_mysql_verify *verify, struct cf_err *err);
/* Whether a restored table's rows lie in an order of their own. */
bool cf_mysql_verify_is_unordered(const struct cf_mysql_table *table);
/* A check that they are those of the snapshot's table. source: its index. */
int cf_mysql_verify_unordered(struct cf_mysql_verify *verify, size_t source,
			      const struct cf_mysql_table *table, struct cf_err *err);

#endif
