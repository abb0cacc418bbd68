#ifndef CF_DRIVERS_POSTGRES_LOAD_H
#define CF_DRIVERS_POSTGRES_LOAD_H

/*
 * A snapshot of PostgreSQL back into a server: cf_driver.load.
 *
 *     load.c           databases of the snapshot, the target's, and the order of it all
 *     load_select.c    the snapshot's documents, and what of them is restored
 *     load_recode.c    definitions of older snapshots in UTF-8
 *     load_check.c     whether the target would take it: definitions
 *     load_check_rows.c  and rows
 *     load_replication.c  what it would do to replication
 *     load_database.c  making the database
 *     load_properties.c  what it is itself, where it is not made
 *     load_drop.c      dropping it
 *     load_clean.c     dropping what is in the way
 *     load_archive.c   schema by pg_restore: everything, in parallel
 *     load_schema.c    schema by our own hand: chosen tables, in a transaction, under other names
 *     load_names.c     other names for what is restored
 *     load_rename.c    SQL with these names
 *     load_rights.c    without the rights that the target adds
 *     load_going.c     what fails and is left out
 *     load_copy.c      rows
 *     load_triggers.c  triggers and foreign keys that are there before the rows
 *     load_objects.c   values of sequences, large objects, materialized views
 *
 * Everything, or several tables: schema, then rows by several connections, then indexes,
 * constraints, triggers and rights by several. One table, or under another name: all of it in one
 * transaction.
 */

#include "base/buf.h"
#include "drivers/driver.h"
#include "drivers/postgres/graph.h"
#include "drivers/postgres/roots.h"
#include "drivers/rename.h"

#include <stdatomic.h>
#include <stdbool.h>

struct cf_err;
struct cf_pg;
struct cf_pg_manifest;
struct cf_pg_table;
struct cf_pg_toc;
struct cf_pg_toc_entry;
struct cf_selector;

#define CF_PG_NAME_LEN_MAX 63 /* in every server that was not built otherwise */

/* cf_driver.load: how databases of a snapshot map to the target's is said in load.c. */
int cf_pg_load(const char *target, struct cf_tree *tree, const struct cf_load_options *options,
	       const struct cf_ctx *ctx, struct cf_load_figures *figures_out, struct cf_err *err);

/* One of its databases: folder as of drivers/postgres/folders.h. Adds to figures. */
struct cf_pg_load_part {
	const char *folder;
	bool is_one_of_several; /* that are restored in turn */
};
int cf_pg_load_database(const struct cf_pg_load_part *part, const char *target, struct cf_tree *tree,
			const struct cf_load_options *options, const struct cf_ctx *ctx,
			struct cf_load_figures *figures, struct cf_err *err);
/* To a database of the same server from which others are made and dropped. */
int cf_pg_load_connect_elsewhere(const char *target, const char *application,
				 const struct cf_ctx *ctx, struct cf_pg **pg_out, struct cf_err *err);
/* Connections to use: 0 is as many as there are processors. */
unsigned cf_pg_load_jobs(unsigned wanted);

/* A table whose rows are restored. */
struct cf_pg_load_table {
	const struct cf_pg_table *table;
	const char *schema, *name; /* at the target */
	bool is_new;		   /* made by this restore */
	const struct cf_pg_root *root; /* NULL when its rows go into the table itself */
};

/* What an object is called instead. */
struct cf_pg_new_name {
	const char *schema, *new_schema; /* of the archive, and of load->renames */
	char *old_name, *new_name;
	size_t entry; /* CF_PG_NO_ENTRY for what another entry makes, too */
	size_t table; /* whose satellite it is, or CF_PG_NO_ENTRY */
};

/* One database on its way. */
struct cf_pg_load {
	const struct cf_load_options *options;
	const struct cf_ctx *ctx;
	struct cf_tree *tree;
	const char *folder; /* "", or "name/": what files of the manifest are relative to */
	bool is_one_of_several;
	struct cf_load_figures *figures;

	/* load_select.c */
	struct cf_buf archive;
	struct cf_pg_manifest *manifest;
	struct cf_pg_toc *toc;
	struct cf_pg_graph *graph;
	struct cf_selector *selector;
	struct cf_renames renames;
	struct cf_pg_set set;		 /* entries of the archive */
	struct cf_pg_load_table *tables; /* largest first */
	size_t n_tables;
	uint64_t bytes;
	bool everything;		  /* the whole database, perhaps but for excluded tables */
	bool by_archive;		  /* by pg_restore: everything under its own name */
	bool single;			  /* in one transaction */
	bool *kept;			  /* entries that the target has already: load_schema.c */
	bool *found;			  /* schemas that were there, and stay: load_archive.c */
	struct cf_pg_new_name *new_names; /* load_names.c */
	size_t n_new_names;

	/* the target */
	char *database;
	struct cf_pg *pg;
	bool no_tablespaces; /* some are missing there */
	bool made_database;
	bool adopts; /* a database that is there, and becomes the snapshot's as a whole */
	struct cf_pg_roots roots; /* load_copy.c */

	atomic_uint_least64_t n_loaded, rows_loaded, bytes_loaded; /* tables */
	atomic_uint_least64_t reported_ns;
	bool began;
	bool changed; /* something was committed */
};

/*
 * load_going.c: one step between begin and end, both with pg. What the server refuses of it, or the
 * snapshot does not have, is undone, told as a warning about object, and no error of the end, when
 * --keep-going was given or the step is one that others can do without. inside: of a transaction
 * that has begun.
 */
struct cf_pg_step {
	bool inside, dispensable;
};
int cf_pg_load_begin_step(struct cf_pg_load *load, struct cf_pg *pg, const struct cf_pg_step *step,
			  struct cf_err *err);
int cf_pg_load_end_step(struct cf_pg_load *load, struct cf_pg *pg, const struct cf_pg_step *step,
			int rc, const char *object, struct cf_err *err);
bool cf_pg_load_forgives(const struct cf_pg_load *load, struct cf_pg *pg, int rc);
/* With its whole name, which no text has by chance. */
void cf_pg_load_warn_of_entry(const struct cf_pg_load *load, const char *event,
			      const struct cf_pg_toc_entry *entry, const char *text);
void cf_pg_load_tell_failed(const struct cf_pg_load *load, const char *object, const char *text);

static inline bool cf_pg_load_wants_schema(const struct cf_pg_load *load)
{
	return !load->options->data_only;
}

static inline bool cf_pg_load_wants_data(const struct cf_pg_load *load)
{
	return !load->options->schema_only;
}

/* Tell the user's plan. */
void cf_pg_load_step(const struct cf_pg_load *load, uint64_t bytes, const char *action,
		     const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* load_select.c: fills in what is noted above. CF_ERR_NOT_FOUND when a pattern matches nothing. */
int cf_pg_load_select(struct cf_pg_load *load, struct cf_err *err);
void cf_pg_load_release_selection(struct cf_pg_load *load);

/* load_recode.c */
int cf_pg_load_recode(struct cf_pg_load *load, const char *target, struct cf_err *err);

/* load_check.c: what the server must offer, and then what stands in the database. */
int cf_pg_load_refuse_standby(struct cf_pg *pg, struct cf_err *err);
int cf_pg_load_check_server(struct cf_pg_load *load, struct cf_pg *pg, struct cf_err *err);
int cf_pg_load_check_database(struct cf_pg_load *load, struct cf_err *err);
/* load_check_rows.c: nothing is in the way of rows that come alone, nor of large objects. */
int cf_pg_load_check_rows(struct cf_pg_load *load, struct cf_err *err);

/* load_replication.c: whether the whole database may be dropped, by a connection to another one; whether what is in
 * the way may be. */
int cf_pg_load_check_replaced(struct cf_pg_load *load, struct cf_pg *pg, struct cf_err *err);
int cf_pg_load_check_cleaned(struct cf_pg_load *load, struct cf_err *err);

/* load_database.c: make the one called load->database by a connection to another one; its owner; and when all
 * is in it, its settings, rights and comment. */
bool cf_pg_load_is_of_server(const char *name); /* one that every server has */
int cf_pg_load_find_database(struct cf_pg *pg, const char *name, bool *found_out, struct cf_err *err);
int cf_pg_load_make_database(struct cf_pg_load *load, struct cf_pg *pg, struct cf_err *err);
int cf_pg_load_own_database(struct cf_pg_load *load, struct cf_err *err);
bool cf_pg_load_finishes(const struct cf_pg_load *load, const struct cf_pg_toc_entry *entry);
int cf_pg_load_finish_database(struct cf_pg_load *load, const struct cf_pg_step *step, struct cf_err *err);

/* load_properties.c: all of that for a database of load->adopts, warned of where it cannot be done. */
int cf_pg_load_adopt_database(struct cf_pg_load *load, struct cf_err *err);

/* load_drop.c, all by a connection to another one: drops a database that is there, also a template, or leaves
 * it as it is. */
int cf_pg_load_drop_present(struct cf_pg *pg, const char *name, struct cf_err *err);
/* For a dry run: that nobody is in it. CF_ERR_BUSY, as that would say. */
int cf_pg_load_check_unused(struct cf_pg_load *load, struct cf_pg *pg, struct cf_err *err);
/* Drops one that a restore or a verification made, with the subscriptions in it. force: whoever
 * else is in it is thrown out. Then, what else drops it, to say behind "use", and to free(). */
int cf_pg_load_drop_made(struct cf_pg *pg, const char *name, bool force, const struct cf_ctx *ctx,
			 struct cf_err *err);
int cf_pg_load_drop_by_hand(struct cf_pg *pg, const char *name, char **command_out, struct cf_err *err);

/* load_clean.c */
int cf_pg_load_clean(struct cf_pg_load *load, struct cf_err *err);

/* load_archive.c: the owner and the rights of schemas that every database has; entries before the
 * rows, and those after. */
int cf_pg_load_give_schemas(struct cf_pg_load *load, struct cf_err *err);
bool cf_pg_load_makes_by_itself(const struct cf_pg_toc_entry *entry);
int cf_pg_load_archive(struct cf_pg_load *load, bool after, struct cf_err *err);
/* When all else is made: these may refuse that. */
int cf_pg_load_event_triggers(struct cf_pg_load *load, struct cf_err *err);

/* load_schema.c: the same by load->pg, within the caller's transaction. */
int cf_pg_load_schema(struct cf_pg_load *load, bool after, struct cf_err *err);
/* "TABLE shop.orders", appended and ended by NUL. */
int cf_pg_load_entry_name(const struct cf_pg_toc_entry *entry, struct cf_buf *out,
			  struct cf_err *err);
/* False for what the restore leaves out. Warns of a foreign key that has nothing to refer to. */
int cf_pg_load_wants_entry(struct cf_pg_load *load, size_t index, bool *wanted_out,
			   struct cf_err *err);
/* True for a foreign key, and what belongs to it, that may not hold because what it refers to is
 * left without rows: the restore can do without it. */
bool cf_pg_load_may_dangle(const struct cf_pg_load *load, size_t index);
/* These, once all else is made, outside of a transaction. */
int cf_pg_load_dangling(struct cf_pg_load *load, struct cf_err *err);
/* True for what has to wait for the rows. */
bool cf_pg_load_comes_after(const struct cf_pg_load *load, size_t index);

/* load_names.c: what each object of the set is called at the target. */
int cf_pg_load_name_all(struct cf_pg_load *load, struct cf_err *err);
/* Of an extension's entry, once it is at the target: what it has there, from then on. */
int cf_pg_load_name_members(struct cf_pg_load *load, const struct cf_pg_toc_entry *extension,
			    struct cf_err *err);
void cf_pg_load_release_names(struct cf_pg_load *load);
void cf_pg_load_new_name(const struct cf_pg_load *load, size_t entry, const char **schema_out,
			 const char **name_out);
/* NULL for what keeps its name. */
const struct cf_pg_new_name *cf_pg_load_find_name(const struct cf_pg_load *load, const char *schema,
						  char *name);

/* load_rename.c: SQL of the archive with these names, appended. */
int cf_pg_load_rename_sql(struct cf_pg_load *load, const struct cf_pg_toc_entry *entry,
			  const char *sql, struct cf_buf *out, struct cf_err *err);
/* Warns where an entry's texts, that stay as they are, name what is renamed. */
void cf_pg_load_tell_texts(struct cf_pg_load *load, const struct cf_pg_toc_entry *entry);

/* load_rights.c: takes back what the target's default privileges gave to what was made. */
int cf_pg_load_undo_default_rights(struct cf_pg_load *load, struct cf_err *err);

/* load_copy.c: all rows by several connections, or by load->pg within its transaction. */
int cf_pg_load_rows(struct cf_pg_load *load, struct cf_err *err);
/* Settings of every session that writes. */
int cf_pg_load_configure(struct cf_pg_load *load, struct cf_pg *pg, struct cf_err *err);

/*
 * load_triggers.c: when rows alone are loaded. A session without triggers and foreign keys; within a transaction, what
 * would be set off by the rows all the same, and back as it was; afterwards, a warning for each foreign key that does not
 * hold. Of a table with a root it is all that is below that.
 */
struct cf_pg_silence {
	struct cf_buf undo; /* SQL, or nothing */
};
int cf_pg_load_silence_session(struct cf_pg_load *load, struct cf_pg *pg, struct cf_err *err);
int cf_pg_load_silence(struct cf_pg_load *load, struct cf_pg *pg, const struct cf_pg_load_table *table,
		       struct cf_pg_silence *silence, struct cf_err *err);
int cf_pg_load_end_silence(struct cf_pg *pg, struct cf_pg_silence *silence, struct cf_err *err);
void cf_pg_silence_release(struct cf_pg_silence *silence);
int cf_pg_load_check_keys(struct cf_pg_load *load, const struct cf_pg_load_table *table,
			  struct cf_err *err);

/* load_objects.c */
int cf_pg_load_sequences(struct cf_pg_load *load, struct cf_err *err);
int cf_pg_load_large_objects(struct cf_pg_load *load, struct cf_err *err);
int cf_pg_load_refresh(struct cf_pg_load *load, struct cf_err *err);

#endif
