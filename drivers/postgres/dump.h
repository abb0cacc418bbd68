#ifndef CF_DRIVERS_POSTGRES_DUMP_H
#define CF_DRIVERS_POSTGRES_DUMP_H

/* What the parts of a backup share. */

#include "base/buf.h"
#include "drivers/driver.h"
#include "drivers/postgres/catalog.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/program.h"
#include "drivers/postgres/roots.h"
#include "drivers/postgres/session.h"

#include <time.h>

struct cf_pg;
struct cf_pg_script;
struct cf_pg_toc;
struct json_t;
struct cf_selector;

#define CF_PG_APPLICATION "coffer backup"

/* One run of the driver. */
struct cf_pg_dump {
	const struct cf_source_options *options;
	const struct cf_ctx *ctx;
	struct cf_sink *sink;
	struct cf_dir *root;
	struct cf_pg *server; /* the connection that was opened first, not in a transaction */
	struct cf_pg_program dump, dump_all, restore;
	struct cf_selector *selector;
	uint64_t expected_bytes, expected_items; /* of all databases so far */
	int64_t time_ns;	 /* of the snapshot of the database at work */
	unsigned jobs;
	bool filtered;
	bool is_standby;
	struct json_t *facts; /* server.json so far */
};

/* One database of it, all from one snapshot. */
struct cf_pg_database {
	struct cf_pg_dump *dump;
	const char *name;
	struct cf_pg *leader;	     /* holds the snapshot and the locks */
	struct cf_pg_snapshot snapshot;
	int64_t begin_ns;	     /* when the snapshot was taken, by our clock */
	bool is_raw;		     /* all in its own encoding: some of it has no equivalent in UTF-8 */
	time_t deadline_s;	     /* of CLOCK_MONOTONIC, for all locks to be had */
	unsigned dump_wait_ms;	     /* how long pg_dump may wait for all its locks */
	struct cf_pg_catalog catalog;
	struct cf_pg_roots roots;
	struct cf_pg_manifest manifest;
	struct cf_buf archive;	     /* schema.dump */
	struct cf_buf schema_args;   /* pg_dump's arguments for the schemas that were chosen */
	struct cf_pg_rows *facts;    /* texts of the manifest live in these */
	struct cf_pg_rows *objects;
	uint64_t objects_len; /* of large objects on disk, roughly */
	struct cf_pg_script *script;
	struct cf_pg_toc *toc;
	struct cf_dir *dir, *tables_dir;
};

/* One table to be read, or (relation NULL) all large objects. */
struct cf_pg_task {
	struct cf_pg_relation *relation;
	struct cf_pg_table *table;
	uint64_t len;
};

/* How the file or folder of this name looks in the tree. */
struct cf_entry cf_pg_entry(const struct cf_pg_dump *dump, enum cf_entry_type type, const char *name);

/* A whole small file. */
int cf_pg_put_file(struct cf_pg_dump *dump, struct cf_dir *dir, const char *name, struct cf_span content,
		   struct cf_err *err);

/* Each is documented where it is defined. */
int cf_pg_dump_database(struct cf_pg_dump *dump, const char *name, struct cf_err *err);
int cf_pg_select_schemas(struct cf_pg_database *database, struct cf_err *err);
/* pg_dump's archive, once all is locked and nothing stored yet. CF_ERR_BUSY: somebody waits to lock a table exclusively. */
int cf_pg_read_schema(struct cf_pg_database *database, struct cf_err *err);
int cf_pg_put_schema(struct cf_pg_database *database, struct cf_err *err);
int cf_pg_dump_data(struct cf_pg_database *database, struct cf_err *err);
int cf_pg_dump_table(struct cf_pg_database *database, struct cf_pg *pg, const struct cf_pg_task *task,
		     struct cf_err *err);
int cf_pg_objects_list(struct cf_pg_database *database, struct cf_err *err);
int cf_pg_dump_objects(struct cf_pg_database *database, struct cf_pg *worker, struct cf_err *err);
/* Warns of what a selection cannot be restored without, and does not have. */
int cf_pg_tell_needs(struct cf_pg_database *database, struct cf_err *err);
/* Warns of what this user cannot see, and the archive does not have. */
int cf_pg_tell_hidden(struct cf_pg_database *database, struct cf_err *err);
int cf_pg_dump_globals(struct cf_pg_dump *dump, struct cf_err *err);

/* Of the definitions; rows are in the database's own. */
const char *cf_pg_archive_encoding(const struct cf_pg_database *database);

/* A text ended by NUL into the encoding of the archive; pg speaks UTF-8 with the server. */
int cf_pg_recode(const struct cf_pg_database *database, struct cf_pg *pg, struct cf_buf *text, struct cf_err *err);

/* server.json and the facts of the snapshot: what is known at the start, each database, and the end. */
int cf_pg_server_describe(struct cf_pg_dump *dump, struct cf_err *err);
int cf_pg_server_note_database(struct cf_pg_dump *dump, const struct cf_pg_database *database, struct cf_err *err);
int cf_pg_server_finish(struct cf_pg_dump *dump, struct cf_err *err);
void cf_pg_server_release(struct cf_pg_dump *dump);

#endif
