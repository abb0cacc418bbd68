#ifndef CF_DRIVERS_MYSQL_LOAD_H
#define CF_DRIVERS_MYSQL_LOAD_H

/*
 * Restoring into a server, in its parts:
 *
 *     load_users.c     users, roles and rights
 *     load_select.c    what of the snapshot is wanted, and under which names
 *     load_engines.c   what tables need of the server
 *     load_target.c    what is in the way on the server: refuse, or make a list of what to drop
 *     load_text.c      the statements for new names and owners
 *     load_objects.c   what has no rows
 *     load_check.c     what the user must be told of
 *     load_keys.c      foreign keys that do not hold afterwards
 *     load_triggers.c  triggers that would act on rows
 *     load_rows.c      a part of a table's rows
 *     load_run.c       sessions that load tables and make indexes at once
 *     load.c           the order of it all
 */

#include "base/buf.h"
#include "base/ctx.h"
#include "drivers/driver.h"
#include "drivers/mysql/manifest.h"
#include "drivers/mysql/sources.h"
#include "drivers/mysql/url.h"
#include "drivers/pattern.h"
#include "drivers/rename.h"

#include <stdatomic.h>

struct cf_mysql;
struct cf_selector;

enum { CF_MYSQL_TRIGGER_KEY_LEN = 32 };

/* A database on the server. Targets are given out by index: the array grows. */
struct cf_mysql_load_target {
	char *name;
	const struct cf_mysql_load_source
		*like; /* its defaults; the first source that goes there */
	bool is_whole;
	bool exists;
	bool differs;	 /* from like, in its defaults */
	bool is_dropped; /* and made anew */
};

struct cf_mysql_load_table {
	const struct cf_mysql_load_source *source;
	const struct cf_mysql_table *from;
	size_t target;
	char *name;
	char *label; /* "table shop.t", with the names on the server */
	char *path;  /* of its file in the tree; NULL: it has no rows to load */
	struct cf_buf create, keys, foreign; /* statements; empty: none */
	/* Under load_run.c's mutex. */
	uint64_t next_off; /* rows before it are given out */
	uint64_t rows_done;
	unsigned n_active, max_active; /* sessions that load it */
	bool is_done;
	bool is_left_out; /* it failed, and the rest goes on */
};

struct cf_mysql_load_object {
	const struct cf_mysql_load_source *source;
	const struct cf_mysql_object *from;
	size_t target;
	char *name;
	char *label;
	struct cf_buf create;
	bool is_implied; /* a sequence that was not chosen, but a chosen table's default uses */
	bool is_left;	 /* and the server has it: it goes on from where it is */
	bool is_done;
};

/* A statement of users.sql. */
struct cf_mysql_load_user {
	char *sql, *label;
	bool is_account, is_oracle, is_done;
};

/* Something on the server that is in the way. */
struct cf_mysql_load_drop {
	size_t target;
	char *sql, *label;
};

struct cf_mysql_load {
	struct cf_tree *tree;
	const struct cf_load_options *options;
	const struct cf_ctx *ctx;
	struct cf_mysql_url url;
	struct cf_mysql *my; /* the session for all but rows */
	unsigned pattern_flags;
	bool folds;	    /* to the server names of databases and tables have no case */
	bool adds_defaults; /* to TIMESTAMP NOT NULL: see cf_mysql_create_table_has_bare_timestamp()
			     */
	bool has_unknown_options; /* of tables: the server is to keep them */
	bool is_trial;
	bool is_shared;	      /* a trial beside others: events are made, but do not run */
	uint64_t packet_max;  /* bytes of a statement */
	bool increments_lock; /* a statement that loads rows locks its table's AUTO_INCREMENT */
	struct cf_renames renames;
	struct cf_selector *selector;
	struct cf_mysql_load_source *sources;
	size_t n_sources;
	struct cf_mysql_load_target *targets;
	size_t n_targets;
	struct cf_mysql_load_table *tables; /* the largest first */
	size_t n_tables;
	struct cf_mysql_load_object *objects; /* in the order in which they are made */
	size_t n_objects;
	struct cf_mysql_load_drop *drops;
	size_t n_drops;
	struct cf_mysql_load_user *users;
	size_t n_users;
	char **own_roles; /* that this account was granted before */
	size_t n_own_roles;
	/* Of the tables that rows alone go into, as the server has them; one for each target. */
	struct cf_mysql_manifest *triggers;
	size_t n_triggers;
	bool has_guarded_triggers;
	char trigger_key[CF_MYSQL_TRIGGER_KEY_LEN + 1]; /* of sessions that load; empty: none */
	atomic_bool by_insert;				/* the server takes no LOAD DATA LOCAL */
	bool has_begun;					/* the server was changed */
	struct cf_load_figures figures;
};

/* users.sql. CF_ERR_NOT_FOUND where there is none. */
int cf_mysql_load_read_users(struct cf_mysql_load *load, struct cf_err *err);
/* Accounts, and the rights that can be granted already. */
int cf_mysql_load_users(struct cf_mysql_load *load, struct cf_err *err);
/* Rights that could not be granted before; n_done: how many now. is_last: a warning for each that
 * cannot. */
int cf_mysql_load_grant(struct cf_mysql_load *load, bool is_last, size_t *n_done_out,
			struct cf_err *err);

/* Of the roles that were made this account is an administrator only where the snapshot says so. The
 * last of all: nobody else might grant them. */
int cf_mysql_load_give_back_roles(struct cf_mysql_load *load, struct cf_err *err);

/* Manifests, patterns, names and statements. The session is open. */
int cf_mysql_load_select(struct cf_mysql_load *load, struct cf_err *err);

/* CF_ERR_NOT_FOUND names a table whose engine the server lacks. */
int cf_mysql_load_check_engines(struct cf_mysql_load *load, struct cf_err *err);

/* Looks at the server: CF_ERR_EXISTS for what is in the way, or fills drops. */
int cf_mysql_load_examine(struct cf_mysql_load *load, struct cf_err *err);
/* Drops, and makes the databases. With --keep-going what belongs into one that cannot be made is no
 * part of the load any more. */
int cf_mysql_load_clear(struct cf_mysql_load *load, struct cf_err *err);

/* Fill create (and a table's keys and foreign). CF_ERR_BUSY where a new name cannot be worked in.
 */
int cf_mysql_load_table_text(struct cf_mysql_load *load, struct cf_mysql_load_table *table,
			     struct cf_err *err);
int cf_mysql_load_object_text(struct cf_mysql_load *load, struct cf_mysql_load_object *object,
			      struct cf_err *err);

/* Sequences; then, when the rows are there, everything else. */
int cf_mysql_load_sequences(struct cf_mysql_load *load, struct cf_err *err);
int cf_mysql_load_objects(struct cf_mysql_load *load, struct cf_err *err);
/* One object. */
int cf_mysql_load_create(struct cf_mysql_load *load, struct cf_mysql_load_object *object,
			 struct cf_err *err);

/* --keep-going, and the failure is of the statement alone, not of the session. */
bool cf_mysql_load_forgives(const struct cf_mysql_load *load, const struct cf_mysql *my, int rc);
/* The same of rc, which may be 0: forgiven, it is told in a warning, and err is empty. */
int cf_mysql_load_forgive(const struct cf_mysql_load *load, const struct cf_mysql *my,
			  const char *object, int rc, struct cf_err *err);

/* A warning for each account that objects belong to and that is not there. */
int cf_mysql_load_check_definers(struct cf_mysql_load *load, struct cf_err *err);
/* A warning for each table whose foreign keys refer to one that is not there. Afterwards. */
int cf_mysql_load_check_references(struct cf_mysql_load *load, struct cf_err *err);
/* A warning for each foreign key between what was restored and what was there, where rows refer to
 * nothing. After cf_mysql_load_check_references(). */
int cf_mysql_load_check_keys(struct cf_mysql_load *load, struct cf_err *err);
/* By its names on the server; NULL: the restore has none such, or left it out. */
const struct cf_mysql_load_table *cf_mysql_load_find_table(const struct cf_mysql_load *load,
							   const char *database, const char *name);

/* Rows alone: triggers of their tables do nothing in the sessions that load, until they are bared
 * again, also after a failure. */
int cf_mysql_load_find_triggers(struct cf_mysql_load *load, struct cf_err *err);
int cf_mysql_load_guard_triggers(struct cf_mysql_load *load, struct cf_err *err);
int cf_mysql_load_bare_triggers(struct cf_mysql_load *load, struct cf_err *err);

/* The lines of a table's file that begin in from .. to. */
struct cf_mysql_load_part {
	struct cf_mysql_load_table *table;
	uint64_t from, to;
};

/* A part's rows, in a session with the table's database. ctx: whether to stop. */
int cf_mysql_load_rows(struct cf_mysql_load *load, struct cf_mysql *my,
		       const struct cf_mysql_load_part *part, const struct cf_ctx *ctx,
		       uint64_t *rows_out, struct cf_err *err);

/* All rows, and each table's keys after them. */
int cf_mysql_load_run(struct cf_mysql_load *load, struct cf_err *err);

/* A session set up for statements of tables. */
int cf_mysql_load_connect(const struct cf_mysql_load *load, const struct cf_ctx *ctx,
			  struct cf_mysql **my_out, struct cf_err *err);
int cf_mysql_load_use(const struct cf_mysql_load *load, struct cf_mysql *my, size_t target,
		      struct cf_err *err);
/* Tell the user a step of the plan; true when it is to be done, too. */
bool cf_mysql_load_step(const struct cf_mysql_load *load, const char *action, const char *object,
			uint64_t bytes);

/* `user`@`host`, or a role's name. */
int cf_mysql_load_append_account(struct cf_buf *out, const char *account, struct cf_err *err);

/* What they own. */
void cf_mysql_load_table_release(struct cf_mysql_load_table *table);
void cf_mysql_load_object_release(struct cf_mysql_load_object *object);

/* "kind db.name"; free() it. NULL when memory is out. */
char *cf_mysql_load_label(const char *kind, const char *database, const char *name);

#endif
