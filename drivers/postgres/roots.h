#ifndef CF_DRIVERS_POSTGRES_ROOTS_H
#define CF_DRIVERS_POSTGRES_ROOTS_H

/*
 * Partitions whose rows may belong into another partition of the same table in another database: by
 * a hash that depends on numbers of objects (enums), or by an order of texts that depends on the
 * server's locales. Their rows are loaded by way of the table at the top, which finds the place.
 */

#include <stdbool.h>
#include <stddef.h>

struct cf_err;
struct cf_pg;
struct cf_pg_rows;

/* A partition that holds rows itself, and the table at the top. */
struct cf_pg_root {
	const char *schema, *name;
	const char *root_schema, *root_name;
};

/* Texts live in its rows. */
struct cf_pg_roots {
	struct cf_pg_root *items; /* by schema and name of the partition, in the order of bytes */
	size_t n;
	struct cf_pg_rows *rows;
};

/* Of the connection's database. other_encoding: rows come from, or may go to, a database with
 * another encoding. */
int cf_pg_roots_read(struct cf_pg *pg, bool other_encoding, struct cf_pg_roots *roots_out,
		     struct cf_err *err);
void cf_pg_roots_release(struct cf_pg_roots *roots);

/* NULL for a table whose rows stay where they are. */
const struct cf_pg_root *cf_pg_roots_find(const struct cf_pg_roots *roots, const char *schema,
					  const char *name);

#endif
