#ifndef CF_DRIVERS_PATTERN_H
#define CF_DRIVERS_PATTERN_H

/*
 * Names of tables and schemas as psql and pg_dump let users write them: "orders", "shop.*",
 * "log_202?", "\"Odd.Name\"".
 *
 * A dot separates schema and table, '*' stands for any characters, '?' for any one, and the regular
 * expression notations of psql's patterns work: [a-z], (a|b), a+, a{2} (but no \d); '$' is itself.
 * Within double quotes everything is itself (two quotes are one). A table's pattern without a
 * schema holds for every schema: a snapshot has no search path.
 *
 * In PostgreSQL, letters outside quotes mean lower case, and a database may stand before the
 * schema. In MySQL the schema is the database, and backquotes quote as well.
 */

#include <stdbool.h>

struct cf_err;

enum cf_pattern_flags {
	CF_PATTERN_POSTGRES = 0,
	CF_PATTERN_MYSQL = 1,
	CF_PATTERN_ANY_CASE =
		2,	      /* with lower_case_table_names: upper and lower case are the same */
	CF_PATTERN_SCHEMA = 4 /* of a schema, else of a table */
};

struct cf_pattern;

/* CF_ERR_USAGE naming the pattern: an open quote or bracket, too many dots,
 * nothing between dots. */
int cf_pattern_new(const char *text, unsigned flags, struct cf_pattern **pattern_out,
		   struct cf_err *err);
void cf_pattern_free(struct cf_pattern *pattern);

/* The whole names, as the server has them. database may be NULL, which every pattern admits; table
 * is not looked at by a schema's pattern. Any thread. */
bool cf_pattern_matches(const struct cf_pattern *pattern, const char *database, const char *schema,
			const char *table);

#endif
