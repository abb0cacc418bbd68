#ifndef CF_DRIVERS_PATTERN_H
#define CF_DRIVERS_PATTERN_H

/*
 * Names of tables and schemas as psql and pg_dump let users write them: "orders", "shop.*", "log_202?", "\"Odd.Name\"".
 *
 * A dot separates schema and table, '*' stands for any characters, '?' for any one, and the regular expression
 * notations of psql's patterns work: [a-z], (a|b), a+, a{2}; '$' is itself. Within double quotes everything is itself
 * (two quotes are one). A table's pattern without a schema holds for every schema: a snapshot has no search path.
 * In MySQL the schema is the database, and `backquotes` quote as well.
 */

#include <stdbool.h>

struct cf_err;

enum cf_pattern_flags {
	CF_PATTERN_SCHEMA = 1,	  /* of a schema: one part; else of a table: one or two, three with a database */
	CF_PATTERN_FOLD = 2,	  /* PostgreSQL: letters outside quotes mean lower case */
	CF_PATTERN_ANY_CASE = 4,  /* MySQL with lower_case_table_names: upper and lower case are the same */
	CF_PATTERN_BACKQUOTES = 8 /* MySQL */
};

struct cf_pattern;

/* CF_ERR_USAGE naming the pattern: an open quote or bracket, too many dots, nothing between dots. */
int cf_pattern_new(const char *text, unsigned flags, struct cf_pattern **pattern_out, struct cf_err *err);
void cf_pattern_free(struct cf_pattern *pattern);

/* The whole names, as the server has them. database may be NULL, which every pattern admits; table is not looked at by a
 * schema's pattern. Any thread. */
bool cf_pattern_matches(const struct cf_pattern *pattern, const char *database, const char *schema,
			const char *table);

#endif
