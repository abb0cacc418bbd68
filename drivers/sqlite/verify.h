#ifndef CF_DRIVERS_SQLITE_VERIFY_H
#define CF_DRIVERS_SQLITE_VERIFY_H

/*
 * Is what a snapshot holds a sound database? cf_driver.verify of sqlite: the header always; from
 * the standard level on the file is restored into a temporary folder (TMPDIR, else /tmp), which
 * SQLite then checks.
 */

struct cf_ctx;
struct cf_err;
struct cf_tree;
struct cf_verify_options;

int cf_sqlite_verify(struct cf_tree *tree, const struct cf_verify_options *options,
		     const struct cf_ctx *ctx, struct cf_err *err);

#endif
