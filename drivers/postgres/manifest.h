#ifndef CF_DRIVERS_POSTGRES_MANIFEST_H
#define CF_DRIVERS_POSTGRES_MANIFEST_H

/*
 * database.json: what the folder of one database holds. Restore and verification go by it.
 *
 * Whoever makes a manifest owns the arrays and texts it points to; those of a decoded one end with
 * cf_pg_manifest_free. Text that is not UTF-8 (names of a SQL_ASCII database) is kept byte for
 * byte. Absent text is NULL.
 */

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct cf_err;

#define CF_PG_MANIFEST_VERSION 1

struct cf_pg_table {
	const char *schema, *name;
	uint32_t oid;
	char kind;	       /* pg_class.relkind: r, p, f, m, v */
	bool partition;	       /* pg_class.relispartition */
	bool populated;	       /* a materialized view that holds rows: restore refreshes it */
	const char *extension; /* whose configuration table it is: the archive has no CREATE TABLE
				  for it */
	const char *condition; /* of such a table: "WHERE ..." that chose the rows */
	const char *const *columns; /* that the data has, in its order */
	size_t n_columns;
	const char *file; /* "tables/public.orders.copy", from the database's folder; NULL: no data
			     was taken */
	uint64_t rows, bytes;
};

struct cf_pg_sequence {
	const char *schema, *name;
	uint32_t oid;
	int64_t last_value;
	bool is_called;
};

struct cf_pg_large_object {
	uint32_t oid;
	const char *owner;
	const char *comment;
	const char *grants; /* the statements REVOKE and GRANT, ended by semicolons, when the rights
			       are not the default */
	const char *file;   /* "large-objects/16402" */
	uint64_t bytes;
};

struct cf_pg_manifest {
	const char *name, *owner, *comment;
	const char *encoding; /* as the server calls it: "UTF8" */
	const char *collate, *ctype;
	const char *locale_provider; /* "libc", "icu", "builtin"; NULL before 15 */
	const char *icu_locale, *icu_rules;
	const char *tablespace;
	const char *data_encoding; /* client_encoding of the COPY data */
	const char *text_encoding; /* of all texts here and, but in older snapshots, of the definitions */
	int server_version;	   /* server_version_num: 150020 */
	uint64_t scripts;	   /* CF_PG_SCRIPT_VERSION of what wrote those of the tables; 0 before there was one */
	bool filtered;		   /* a selection was dumped, not the whole database */
	bool of_tables;		   /* of tables by their names: what else the archive has is there for them */
	struct cf_pg_table
		*tables; /* every table-like object of the dump, ordered by schema and name */
	size_t n_tables;
	struct cf_pg_sequence *sequences;
	size_t n_sequences;
	struct cf_pg_large_object *large_objects;
	size_t n_large_objects;
	void *storage; /* of a decoded one */
};

/* Appends the document, ended by a newline. The same manifest always gives the same bytes. */
int cf_pg_manifest_encode(const struct cf_pg_manifest *manifest, struct cf_buf *out,
			  struct cf_err *err);

/* CF_ERR_UNSUPPORTED for a newer version, CF_ERR_DAMAGED for what is no manifest. File names are
 * checked: each is a path below the database's folder. */
int cf_pg_manifest_decode(struct cf_span document, struct cf_pg_manifest **manifest_out,
			  struct cf_err *err);
void cf_pg_manifest_free(struct cf_pg_manifest *manifest);

#endif
