#ifndef CF_CLI_DATABASE_H
#define CF_CLI_DATABASE_H

/* What backup, restore and verify have in common where a database server is the source or the
 * target. */

#include "cli/spec.h"
#include "drivers/driver.h"

struct cf_args;
struct cf_err;

/* The patterns of --table, --schema, --exclude-table and --exclude-table-data. */
struct cf_database_select {
	struct cf_selection selection;
	const char **lists[4];
};

/* Release in either case. */
int cf_database_select_load(const struct cf_args *args, struct cf_database_select *select,
			    struct cf_err *err);
void cf_database_select_release(struct cf_database_select *select);

/* The first of the options (ended by CF_OPT_NONE) that was given, or NULL. */
const struct cf_option_spec *cf_database_given(const struct cf_args *args,
					       const enum cf_option_id *ids);

/*
 * The server that --to or --against names: *driver_out is NULL when the text is a folder.
 * CF_ERR_USAGE when it is a driver's but not a server's, or looks like a URL of something else.
 */
int cf_database_target(const char *option, const char *text, const struct cf_driver **driver_out,
		       const char **rest_out, struct cf_err *err);

#endif
