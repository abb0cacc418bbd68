#ifndef CF_DRIVERS_POSTGRES_CATALOG_H
#define CF_DRIVERS_POSTGRES_CATALOG_H

/* The relations of one database, what is wanted of them, and what they are called in SQL. */

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cf_err;
struct cf_pg;
struct cf_pg_rows;
struct cf_selector;

/* Texts live in the catalog's rows. */
struct cf_pg_relation {
	uint32_t oid;
	uint32_t parent;   /* of a partition: the partitioned table; else 0 */
	uint32_t owned_by; /* of a sequence: the table it belongs to; else 0 */
	const char *schema, *name;
	char kind;         /* pg_class.relkind: r p f m v, or S for a sequence */
	bool is_unlogged, is_populated;
	bool is_member;    /* of an extension, and none of its configuration tables: CREATE EXTENSION makes it */
	const char *extension, *condition; /* of a configuration table */
	bool may_read;
	bool has_row_security; /* that would hide rows from us */
	bool is_locked;	       /* by this session */
	bool is_rewritten;     /* emptied or rewritten between our snapshot and our lock */
	uint64_t len;	       /* of a table on disk, roughly */
	bool is_taken, is_data_taken;
	bool is_elsewhere;     /* not taken, though a partition of what is */
	const char *const *columns; /* of a table, those that COPY gives: in cf_pg_catalog.columns */
	size_t n_columns;
};

struct cf_pg_catalog {
	struct cf_pg_relation *relations; /* ordered by schema and name */
	size_t n;
	size_t *by_oid; /* indexes of relations, ordered by oid */
	const char **columns;
	struct cf_pg_rows *rows, *column_rows;
};

/* All relations but temporary ones and those of the system, as pg's transaction sees them. */
int cf_pg_catalog_read(struct cf_pg *pg, struct cf_pg_catalog *catalog_out, struct cf_err *err);
/* The columns of all tables; they must be locked. */
int cf_pg_catalog_read_columns(struct cf_pg *pg, struct cf_pg_catalog *catalog, struct cf_err *err);
void cf_pg_catalog_release(struct cf_pg_catalog *catalog);

/* NULL when there is none. */
struct cf_pg_relation *cf_pg_catalog_find(const struct cf_pg_catalog *catalog, uint32_t oid);

/*
 * Set is_taken and is_data_taken. Partitions go with their table, sequences with the table they belong to. A selection that takes
 * single tables takes a configuration table only by its own name or schema. One of whole schemas (of_schemas), which pg_dump makes
 * itself, has no partitions in others: is_elsewhere.
 */
void cf_pg_catalog_select(struct cf_pg_catalog *catalog, struct cf_selector *selector, const char *database,
			  bool of_schemas);

/* Tables must be readable to be locked. Refuses what we may not read, naming it. */
int cf_pg_catalog_check_rights(const struct cf_pg_catalog *catalog, const char *user, struct cf_err *err);

/* True when the relation is one that a backup locks. */
bool cf_pg_relation_is_locked_kind(const struct cf_pg_relation *relation);

/* True when every taken table is locked. */
bool cf_pg_catalog_is_locked(const struct cf_pg_catalog *catalog);

/* True when a table was rewritten since: a snapshot does not hold that still. */
bool cf_pg_catalog_is_rewritten(const struct cf_pg_catalog *catalog);

/* LOCK TABLE for those of n relations from first on that are taken and not locked, ended by NUL; nothing when there are none. */
int cf_pg_catalog_lock_sql(struct cf_pg *pg, const struct cf_pg_catalog *catalog, size_t first, size_t n,
			   struct cf_buf *out, struct cf_err *err);

/* The taken tables as an array of oids: "{16384,16390}". */
int cf_pg_catalog_lock_oids(const struct cf_pg_catalog *catalog, struct cf_buf *out, struct cf_err *err);

/* A name as pg_dump's patterns take it: within double quotes everything is itself. */
int cf_pg_catalog_append_pattern(const char *name, struct cf_buf *out, struct cf_err *err);

/* pg_dump's pattern options for what is not taken, as arguments ended by NUL each: "--exclude-table=...". */
int cf_pg_catalog_exclude_args(const struct cf_pg_catalog *catalog, struct cf_buf *out, struct cf_err *err);

#endif
