#ifndef CF_DRIVERS_DRIVER_H
#define CF_DRIVERS_DRIVER_H

/*
 * What backs up one kind of source. A driver reads its source and pushes entries into a sink
 * (base/stream.h); it knows no repository.
 *
 * Something that cannot be read while the rest can (an unreadable file, one that changes while read) is a
 * warning through ctx (the command then ends with exit status 3), never silence. What leaves nothing to
 * save (the file that is the source) or makes the whole backup worthless (no such source, not a database, a
 * failing command) is an error, and no snapshot is made.
 */

#include "base/ctx.h"
#include "base/stream.h"

struct cf_err;
struct cf_source;
struct cf_source_names;
struct cf_tree;

/*
 * Tables of a database, by the patterns of pg_dump and psql (drivers/pattern.h): "orders", "shop.*", "\"Odd Name\"".
 * tables and schemas choose (none: everything), the others take away. In MySQL a schema is a database.
 */
struct cf_selection {
	const char *const *tables, *const *schemas, *const *exclude_tables, *const *exclude_data;
	size_t n_tables, n_schemas, n_exclude_tables, n_exclude_data;
};

/* What the user asked for. All pointers are borrowed until the source is closed. */
struct cf_source_options {
	const char *const *excludes; /* globs, as gitignore: see drivers/files/exclude.h */
	size_t n_excludes;
	bool one_file_system;
	bool exclude_caches;        /* skip folders tagged by CACHEDIR.TAG */
	/* files: folders that are kept empty, with a note (folder.skipped): the repository and the cache, by
	 * absolute path. As the source itself they are an error. */
	const char *const *skip_folders;
	size_t n_skip_folders;
	const char *const *command; /* stream: NULL, or arguments ended by NULL, run without a shell */
	struct cf_selection select; /* databases: what to take */
	bool all_databases;         /* databases: every one of the server in one snapshot */
	unsigned jobs;              /* databases: connections that read at once; 0: the driver's choice */
	unsigned lock_wait_s;       /* databases: how long a lock may be waited for; 0: the driver's choice */
	bool require_transactional; /* databases: refuse tables that a snapshot does not hold still */
	bool allow_old_client;      /* databases: use a client program with known holes */
	bool databases_only;              /* PostgreSQL: without roles and tablespaces */
	const char *definitions_encoding; /* PostgreSQL: of definitions; NULL: that of names */
	bool is_raw;                      /* PostgreSQL: names in the encoding of the database, even if they fit into UTF-8 */
};

/* One step of a restore. */
struct cf_plan_step {
	const char *action; /* "create", "load", "index", ...: what is done */
	const char *object; /* to what: "table public.orders" */
	uint64_t bytes;     /* of data; 0 when it is none */
};

/* How a snapshot goes back into a server. All pointers are borrowed for the call. */
struct cf_load_options {
	struct cf_selection select;      /* exclude_data: restored empty */
	const char *const *renames;      /* "old=new": a table "s.t=s.u", a schema or MySQL database "s=r" */
	size_t n_renames;
	bool create;                     /* make the database(s) first; they must not exist unless clean */
	bool clean;                      /* drop what is in the way before */
	bool schema_only, data_only;
	bool users;                      /* accounts and their rights, too: can_load_users */
	bool no_owner, no_privileges;    /* everything belongs to whoever restores; no GRANT */
	bool keep_going;                 /* what fails is left out with a warning that names it: can_keep_going */
	bool dry_run;                    /* report the plan, change nothing; a target that would refuse, refuses */
	bool allow_old_client;
	unsigned jobs;                   /* connections; 0: the driver's choice */
	/* NULL, or told each step before it is done (all of them in a dry run). Any thread. */
	void (*plan)(void *user, const struct cf_plan_step *step);
	void *plan_user;
};

/* What was loaded; of a dry run, what would be. */
struct cf_load_figures {
	uint64_t tables, rows, bytes;
};

/* How thorough a verification is: each level does what those before it do. */
enum cf_verify_level {
	CF_VERIFY_QUICK,        /* restores the schema; every table's data decodes and has the rows it should */
	CF_VERIFY_STANDARD,     /* restores all; compares tables, row counts, schema, indexes, constraints */
	CF_VERIFY_COMPREHENSIVE /* dumps what was restored and compares every byte */
};

struct cf_verify_check {
	const char *name;   /* stable, for JSON: "table_count", "row_count", "checksum", "schema", "indexes", ... */
	const char *object; /* "public.orders"; NULL: the whole */
	bool passed;
	const char *detail; /* what was found against what should be; NULL when there is nothing to say */
};

struct cf_verify_options {
	enum cf_verify_level level;
	/* A server to restore into, as a source names it; scratch databases are made there and dropped again.
	 * NULL: a server of our own is started in a temporary folder and ended. */
	const char *against;
	bool allow_old_client;
	unsigned jobs;
	/* Told each check's outcome. Any thread. */
	void (*check)(void *user, const struct cf_verify_check *check);
	void *check_user;
};

struct cf_driver {
	const char *scheme; /* "files" for files:/etc */
	const char *alias;  /* NULL, or another name for it: "postgresql" */
	const char *usage;  /* "files:PATH" */
	const char *about;  /* one line for help */
	bool is_server;     /* a database server: options for databases make sense, snapshots go back into it */
	bool can_keep_going; /* load() knows keep_going */
	bool can_load_users; /* and users */

	/*
	 * Look at the source enough to name it. rest is the text behind the scheme and its colon.
	 * CF_ERR_USAGE when it makes no sense, CF_ERR_NOT_FOUND when there is no such source.
	 */
	int (*open)(const char *rest, const struct cf_source_options *options, const struct cf_ctx *ctx,
		    struct cf_source **source_out, struct cf_err *err);

	/*
	 * The names that open() may give a source, without looking at it or asking a server; none when that cannot be told.
	 * CF_ERR_USAGE when it makes no sense.
	 */
	int (*names)(const char *rest, struct cf_source_names *names, struct cf_err *err);

	/*
	 * Push everything into sink, from the root's dir_begin to its dir_end. Called once, and again,
	 * with a new sink, when it ended with CF_ERR_CHANGED.
	 */
	int (*run)(struct cf_source *source, struct cf_sink *sink, struct cf_err *err);

	void (*close)(struct cf_source *source);

	/*
	 * NULL, or: put a snapshot of this driver into the server that target names (the text behind the scheme
	 * and its colon). 0 only when all that was asked for is there; every failure is an error that names the
	 * object, says what state the target is in, and leaves no transaction or lock behind.
	 * CF_ERR_EXISTS when something is in the way, CF_ERR_NOT_FOUND when a pattern matches nothing.
	 */
	int (*load)(const char *target, struct cf_tree *tree, const struct cf_load_options *options,
		    const struct cf_ctx *ctx, struct cf_load_figures *figures_out, struct cf_err *err);

	/* NULL, or: say which client programs it uses on this host, in a line. CF_ERR_UNSUPPORTED, and what to install, when there
	 * are none that it would use. */
	int (*clients)(const struct cf_ctx *ctx, struct cf_buf *text_out, struct cf_err *err);

	/* NULL, or: prove that a snapshot restores. CF_ERR_DAMAGED when a check failed. */
	int (*verify)(struct cf_tree *tree, const struct cf_verify_options *options,
		      const struct cf_ctx *ctx, struct cf_err *err);
};

/* The first member of every source. */
struct cf_source {
	const struct cf_driver *driver;
	char *name; /* canonical, what snapshots are grouped by: "files:/etc"; freed by close */
};

/* The drivers of this build, ended by NULL. */
extern const struct cf_driver *const cf_drivers[];

/* By scheme or alias; NULL when there is none. */
const struct cf_driver *cf_driver_named(const char *scheme);

/* The driver for a source and the text behind its colon. A source without a known scheme that is a path
 * ("/etc", "./x") is files:. CF_ERR_USAGE otherwise. */
int cf_driver_find(const char *source, const struct cf_driver **driver_out, const char **rest_out,
		   struct cf_err *err);

#endif
