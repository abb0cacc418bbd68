#ifndef CF_DRIVERS_MYSQL_MANIFEST_H
#define CF_DRIVERS_MYSQL_MANIFEST_H

/*
 * What a snapshot of MySQL or MariaDB holds: server.json at its root, and database.json in each
 * database's folder.
 *
 * The manifest carries every object's exact statement, so that a restore never parses the .sql
 * files beside it, which are for people and for the mariadb client. Only the rows are read from a
 * table's .sql: from data_off on, one row a line, as the dump writes them:
 *
 *     INSERT INTO `t` (`a`,`b`) VALUES       a line that begins with 'I'
 *     (1,'x')                                the first row
 *     ,(2,'y')                               each other one
 *     ;                                      ends the statement
 *
 * The texts are what the server gave, in the character set the session below names. One that is no
 * UTF-8 is stored as hex digits under the key with "_hex" behind it. None holds a NUL.
 *
 * What is decoded is untrusted: lengths and counts are limited, file names are single path
 * components, unknown keys are passed over, a higher version is CF_ERR_UNSUPPORTED.
 */

#include "base/buf.h"

#include <stdbool.h>

struct cf_err;

enum {
	CF_MYSQL_MANIFEST_VERSION = 1,
	CF_MYSQL_MANIFEST_LEN_MAX = 512 << 20,
	CF_MYSQL_DATABASES_MAX = 100000,
	CF_MYSQL_OBJECTS_MAX = 1000000,
	CF_MYSQL_COLUMNS_MAX = 4096
};

/* In the order in which they are made. */
enum cf_mysql_kind {
	CF_MYSQL_SEQUENCE,
	CF_MYSQL_FUNCTION,
	CF_MYSQL_PROCEDURE,
	CF_MYSQL_PACKAGE,
	CF_MYSQL_PACKAGE_BODY,
	CF_MYSQL_TRIGGER,
	CF_MYSQL_VIEW,
	CF_MYSQL_EVENT
};

/* "sequence", "package body", ...: for messages and as the value of "kind". */
const char *cf_mysql_kind_name(enum cf_mysql_kind kind);

/* What the session must be set to for a statement to mean what it meant. NULL: does not matter. */
struct cf_mysql_session {
	char *sql_mode;
	char *character_set_client; /* also of the text itself; NULL: utf8mb4 */
	char *collation_connection;
	char *database_collation; /* the database's default while the object was made */
	char *time_zone;
};

/* A trigger in parts, so that it can be made for a table of another name. */
struct cf_mysql_trigger {
	char *table;
	char *timing; /* "BEFORE" */
	char *event;  /* "INSERT" */
	char *body;
};

/* An object without rows. Statements are complete, without ';', for a session whose default
 * database is the object's. */
struct cf_mysql_object {
	enum cf_mysql_kind kind;
	char *name;
	char *definer;	/* "user@host"; NULL when it has none */
	char *create;	/* SHOW CREATE's */
	char *value;	/* sequences: "SELECT SETVAL(`s`, 42, 0)", with the name backquoted and no
			   database */
	char **columns; /* views: of the placeholder */
	size_t n_columns;
	struct cf_mysql_trigger trigger;
	struct cf_mysql_session session;
};

struct cf_mysql_column {
	char *name;
	bool is_hex; /* values are 0x41424300, NULL or '' for empty */
};

/* A table. Its statements are for a utf8mb4 session in the time zone '+00:00' with sql_mode
 * 'NO_AUTO_VALUE_ON_ZERO'. */
struct cf_mysql_table {
	char *name;
	char *file;   /* in the folder "tables", of the database's; NULL: only the definition was
			 saved */
	char *create; /* begins with CREATE TABLE `name` */
	char *engine;
	struct cf_mysql_column *columns; /* those in the rows, in their order */
	size_t n_columns;
	uint64_t rows;
	uint64_t data_off, data_len; /* of the INSERT statements in the file; len 0: no rows */
	bool is_transactional;	     /* else its rows may be of another instant */
	bool has_history; /* the rows include those of system versioning, with both its columns */
};

struct cf_mysql_manifest {
	char *database;
	char *character_set, *collation; /* its defaults */
	char *comment;			 /* NULL for none */
	struct cf_mysql_table *tables;
	size_t n_tables;
	struct cf_mysql_object *objects; /* triggers of one table and event in their order */
	size_t n_objects;
};

/* clang-format off */
#define CF_MYSQL_MANIFEST_INIT { .database = NULL }
#define CF_MYSQL_SERVER_INIT { .version = NULL }
/* clang-format on */

void cf_mysql_manifest_release(struct cf_mysql_manifest *manifest);

/* A new element that is all zero, to be filled with malloc'ed text. Invalidates those given out
 * before. */
int cf_mysql_manifest_add_table(struct cf_mysql_manifest *manifest,
				struct cf_mysql_table **table_out, struct cf_err *err);
int cf_mysql_manifest_add_object(struct cf_mysql_manifest *manifest,
				 struct cf_mysql_object **object_out, struct cf_err *err);
int cf_mysql_table_add_column(struct cf_mysql_table *table, const char *name, bool is_hex,
			      struct cf_err *err);
int cf_mysql_object_add_column(struct cf_mysql_object *object, const char *name,
			       struct cf_err *err);
/* A routine, a package or an event whose session takes a backslash for itself: cf_mysql_ddl_plain_strings(). */
bool cf_mysql_object_has_plain_strings(const struct cf_mysql_object *object);

int cf_mysql_manifest_encode(const struct cf_mysql_manifest *manifest, struct cf_buf *out,
			     struct cf_err *err);
/* CF_ERR_DAMAGED when it is no manifest. *manifest is empty before, and after a failure. */
int cf_mysql_manifest_decode(struct cf_span in, struct cf_mysql_manifest *manifest,
			     struct cf_err *err);

/* One thing to know of the server, for people and programs: a key of server.json's "facts". */
struct cf_mysql_fact {
	char *key, *value;
};

/* One database of a snapshot. */
struct cf_mysql_database {
	char *name, *folder;
};

/* server.json */
struct cf_mysql_server {
	char *version; /* "10.11.19-MariaDB-..." */
	char *flavour; /* "mariadb" or "mysql" */
	unsigned lower_case_table_names;
	struct cf_mysql_database *databases;
	size_t n_databases;
	struct cf_mysql_fact *facts;
	size_t n_facts;
};

void cf_mysql_server_release(struct cf_mysql_server *server);
/* The folder is cf_file_name_of() the name. */
int cf_mysql_server_add_database(struct cf_mysql_server *server, const char *name,
				 struct cf_err *err);
int cf_mysql_server_add_fact(struct cf_mysql_server *server, const char *key, const char *value,
			     struct cf_err *err);
int cf_mysql_server_encode(const struct cf_mysql_server *server, struct cf_buf *out,
			   struct cf_err *err);
int cf_mysql_server_decode(struct cf_span in, struct cf_mysql_server *server, struct cf_err *err);

#endif
