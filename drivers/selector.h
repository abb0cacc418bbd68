#ifndef CF_DRIVERS_SELECTOR_H
#define CF_DRIVERS_SELECTOR_H

/*
 * What a cf_selection (drivers/driver.h) takes of a database.
 *
 * A table is taken when a table's or a schema's pattern matches it, or when there is none of
 * either; an excluding pattern wins over both. Names are as the server has them; database may be
 * NULL (see drivers/pattern.h).
 */

#include <stdbool.h>

struct cf_err;
struct cf_selection;
struct cf_selector;

/* flags: those of drivers/pattern.h but CF_PATTERN_SCHEMA. CF_ERR_USAGE naming option and pattern.
 * The selection is borrowed as long as the selector lives. */
int cf_selector_new(const struct cf_selection *selection, unsigned flags,
		    struct cf_selector **selector_out, struct cf_err *err);
void cf_selector_free(struct cf_selector *selector);

/* Both remember which patterns matched. Any thread. */
bool cf_selector_takes(struct cf_selector *selector, const char *database, const char *schema,
		       const char *table);
/* An excluding pattern matches: it would not be taken for whatever other reason either (as the partition of a table
 * that is). */
bool cf_selector_excludes(struct cf_selector *selector, const char *database, const char *schema,
			  const char *table);
/* Of a table that is taken: its rows, too. */
bool cf_selector_takes_data(struct cf_selector *selector, const char *database, const char *schema,
			    const char *table);

/* No table and no schema was named: everything that is not excluded is wanted, also what is no
 * table. */
bool cf_selector_takes_all(const struct cf_selector *selector);
/* Whether a whole schema is wanted, with what is no table in it: everything is, or a schema's
 * pattern matches. */
bool cf_selector_takes_schema(struct cf_selector *selector, const char *database,
			      const char *schema);

/*
 * Once every name was asked for: CF_ERR_NOT_FOUND naming the first pattern of --table or --schema
 * that matched nothing. A pattern that excludes may match nothing: what it keeps out need not be
 * there every day.
 */
int cf_selector_check(const struct cf_selector *selector, struct cf_err *err);

#endif
