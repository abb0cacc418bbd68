#ifndef CF_DRIVERS_MYSQL_CATALOG_H
#define CF_DRIVERS_MYSQL_CATALOG_H

/*
 * What is to be dumped: the databases, tables and other objects a source and its selection mean,
 * with their definitions, as the server shows them now.
 *
 * Definitions belong to no transaction. So the catalog is read before and after the snapshot is
 * taken: when both are the same, they are those of the snapshot.
 */

#include "drivers/mysql/manifest.h"

struct cf_ctx;
struct cf_err;
struct cf_mysql;
struct cf_mysql_url;
struct cf_selector;

/* What the dump knows of a table besides its place in the manifest. */
struct cf_mysql_table_plan {
	uint64_t data_len; /* what the server thinks its rows take */
	bool is_versioned; /* WITH SYSTEM VERSIONING */
	bool takes_rows;   /* not excluded, and the engine holds any itself */
};

struct cf_mysql_database_catalog {
	struct cf_mysql_manifest manifest;
	struct cf_mysql_table_plan *plans; /* one for each table */
	char *create;			   /* CREATE DATABASE IF NOT EXISTS */
};

struct cf_mysql_catalog {
	struct cf_mysql_database_catalog *databases;
	size_t n_databases;
};

struct cf_mysql_catalog_options {
	const struct cf_mysql_url *url;
	struct cf_selector *selector;
	const struct cf_ctx *ctx;
	bool folds; /* to the server names of databases and tables have no case */
};

/* my: prepared by cf_mysql_prepare(). *catalog is empty before, and to be released also after a
 * failure. */
int cf_mysql_catalog_read(struct cf_mysql *my, const struct cf_mysql_catalog_options *options,
			  struct cf_mysql_catalog *catalog, struct cf_err *err);
void cf_mysql_catalog_release(struct cf_mysql_catalog *catalog);

/* The same objects with the same definitions? Where a table's numbering has got to does not count.
 * what: "table shop.orders", the first that differs. */
bool cf_mysql_catalog_equal(const struct cf_mysql_catalog *a, const struct cf_mysql_catalog *b,
			    char *what, size_t size);
/* The same for the definitions of one table. */
bool cf_mysql_definition_equal(const char *a, const char *b);

/* Set each sequence's value to what it is now, or a little ahead: no transaction holds it. */
int cf_mysql_catalog_read_sequences(struct cf_mysql *my, struct cf_mysql_catalog *catalog,
				    struct cf_err *err);

/* Else a table's rows are in other tables, on other servers, or nowhere. */
bool cf_mysql_engine_holds_rows(const char *engine);

/* SHOW CREATE TABLE; free() it. */
int cf_mysql_show_table(struct cf_mysql *my, const char *database, const char *table,
			char **create_out, struct cf_err *err);

/* After a question to information_schema: CF_ERR_CHANGED when the server passed over a table of the
 * database, for another session holds it. */
int cf_mysql_check_skipped(struct cf_mysql *my, const char *database, struct cf_err *err);

/* In objects.c: everything of a database but tables and sequences, after its tables. */
int cf_mysql_catalog_read_objects(struct cf_mysql *my,
				  const struct cf_mysql_catalog_options *options,
				  struct cf_mysql_manifest *manifest, struct cf_err *err);
/* The triggers of the tables in the manifest. Its database is the session's. */
int cf_mysql_catalog_read_triggers(struct cf_mysql *my, struct cf_mysql_manifest *manifest,
				   struct cf_err *err);
/* One view, with the columns of its placeholder. One that refers to what is not there is warned of
 * and left out. */
int cf_mysql_catalog_add_view(struct cf_mysql *my, const struct cf_ctx *ctx, const char *name,
			      struct cf_mysql_manifest *manifest, struct cf_err *err);

#endif
