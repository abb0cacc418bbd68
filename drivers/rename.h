#ifndef CF_DRIVERS_RENAME_H
#define CF_DRIVERS_RENAME_H

/*
 * --rename OLD=NEW: a table "shop.orders=shop.orders_old", or a schema (in MySQL a database)
 * "shop=shop_old". Names, not patterns; quoted and folded as in drivers/pattern.h, whose flags hold
 * here.
 */

#include <stdbool.h>
#include <stddef.h>

struct cf_err;

struct cf_rename {
	char *old_schema, *new_schema;
	char *old_table, *new_table; /* NULL: of the whole schema */
	bool matched;		     /* cf_renames_apply used it */
};

struct cf_renames {
	struct cf_rename *items;
	size_t n;
};

/* CF_ERR_USAGE naming the option's value: no "=", other than one or two parts, parts on one side
 * only, or something renamed twice. Release in either case. */
int cf_renames_parse(const char *const *texts, size_t n, unsigned flags, struct cf_renames *renames,
		     struct cf_err *err);
void cf_renames_release(struct cf_renames *renames);

/* The new names, borrowed; those given where nothing renames them. A table's own renaming wins over
 * its schema's. table may be NULL, and with it table_out. One thread. */
void cf_renames_apply(struct cf_renames *renames, const char *schema, const char *table,
		      const char **schema_out, const char **table_out);

/* CF_ERR_NOT_FOUND naming the first that matched nothing. */
int cf_renames_check(const struct cf_renames *renames, struct cf_err *err);

#endif
