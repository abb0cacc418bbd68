/*
 * Which databases: a path to one database of the snapshot (its tree then begins there), or the only
 * one it has, go into the database that the target names, or one called as in the snapshot. Of
 * several databases all are restored, each under its own name, with --create alone.
 */

#include "drivers/postgres/load.h"

#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/folders.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/sql.h"
#include "drivers/postgres/toc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOBS_MAX      64
#define STEP_TEXT_MAX 512

void cf_pg_load_step(const struct cf_pg_load *load, uint64_t bytes, const char *action,
		     const char *fmt, ...)
{
	char object[STEP_TEXT_MAX];
	va_list args;

	if (!load->options->plan)
		return;
	va_start(args, fmt);
	vsnprintf(object, sizeof(object), fmt, args);
	va_end(args);
	load->options->plan(
		load->options->plan_user,
		&(struct cf_plan_step){.action = action, .object = object, .bytes = bytes});
}

/* --- the target --- */

/* That database need not be there, but nearly always is, and may be set to be read only. Databases are named there as they are
 * for a connection: by bytes. */
int cf_pg_load_connect_elsewhere(const char *target, const char *application,
				 const struct cf_ctx *ctx, struct cf_pg **pg_out, struct cf_err *err)
{
	static const struct cf_pg_setting writable = {"default_transaction_read_only", "off"};
	struct cf_pg_options options = {.application = application, .database = "postgres"};
	int rc = cf_pg_connect(target, &options, ctx, pg_out, err);

	if (rc < 0 && rc != CF_ERR_CANCELED) {
		options.database = "template1";
		if (cf_pg_connect(target, &options, ctx, pg_out, NULL) == 0)
			rc = 0;
	}
	if (rc == 0)
		rc = cf_pg_configure(*pg_out, &writable, 1, err);
	return rc < 0 ? rc : cf_pg_speak_bytes(*pg_out, true, err);
}

static int create_database(struct cf_pg_load *load, const char *target, struct cf_err *err)
{
	struct cf_pg_options options = {.application = "coffer restore",
					.database = load->database,
					.encoding = load->manifest->text_encoding};
	bool exists = false;
	struct cf_pg *pg = NULL;
	int rc = cf_pg_load_connect_elsewhere(target, "coffer restore", load->ctx, &pg, err);

	/* Among others what was in it goes into it, where it is not in the way of anything. */
	if (rc == 0 && load->is_one_of_several && cf_pg_load_is_of_server(load->database))
		rc = cf_pg_load_find_database(pg, load->database, &exists, err);
	if (rc == 0)
		rc = cf_pg_load_check_server(load, pg, err);
	if (rc == 0 && !exists)
		rc = cf_pg_load_make_database(load, pg, err);
	if (rc == 0 && (exists || !load->options->dry_run))
		rc = cf_pg_connect_again(pg, &options, load->ctx, &load->pg, err);
	if (rc == 0 && load->made_database)
		rc = cf_pg_load_own_database(load, err);
	if (rc == 0 && exists)
		rc = cf_pg_load_check_database(load, err);
	load->adopts = exists && load->by_archive && cf_pg_load_wants_schema(load);
	cf_pg_close(pg);
	return rc;
}

/* The error of a failed connection; another one when all that fails is that the database is not
 * there. */
static int tell_missing(struct cf_pg_load *load, const char *target, int rc, struct cf_err *err)
{
	const char *values[] = {load->database};
	struct cf_pg_rows *rows = NULL;
	struct cf_pg *pg = NULL;

	if (cf_pg_load_connect_elsewhere(target, "coffer restore", load->ctx, &pg, NULL) == 0 &&
	    cf_pg_query(pg, "SELECT FROM pg_catalog.pg_database WHERE datname = $1", values, 1,
			&rows, NULL) == 0 &&
	    cf_pg_rows_count(rows) == 0)
		rc = cf_err_set(err, CF_ERR_NOT_FOUND,
				"the target has no database %s: --create makes it", load->database);
	cf_pg_rows_free(rows);
	cf_pg_close(pg);
	return rc;
}

static int open_database(struct cf_pg_load *load, const char *target, struct cf_err *err)
{
	struct cf_pg_options options = {.application = "coffer restore",
					.fallback_database = load->manifest->name,
					.encoding = load->manifest->text_encoding};
	int rc = cf_pg_connect(target, &options, load->ctx, &load->pg, err);

	if (rc < 0)
		return rc == CF_ERR_CANCELED ? rc : tell_missing(load, target, rc, err);
	free(load->database);
	load->database = strdup(cf_pg_database(load->pg));
	if (!load->database)
		return cf_err_nomem(err);
	rc = cf_pg_load_check_server(load, load->pg, err);
	return rc < 0 ? rc : cf_pg_load_check_database(load, err);
}

static int reach_database(struct cf_pg_load *load, const char *target, struct cf_err *err)
{
	int rc = cf_pg_target_database(target, &load->database, err);

	if (rc == 0 && !load->database) {
		load->database = strdup(load->manifest->name);
		rc = load->database ? 0 : cf_err_nomem(err);
	}
	if (rc < 0)
		return rc;
	return load->options->create ? create_database(load, target, err)
				     : open_database(load, target, err);
}

/* What --create has made is taken away again: half a database helps nobody. */
static void undo_database(struct cf_pg_load *load, const char *target)
{
	struct cf_ctx quiet = *load->ctx;
	struct cf_pg *pg = NULL;

	/* Also when it was the user who stopped it. */
	quiet.cancel = NULL;
	cf_pg_close(load->pg);
	load->pg = NULL;
	if (cf_pg_load_connect_elsewhere(target, "coffer restore", &quiet, &pg, NULL) == 0 &&
	    cf_pg_load_drop_made(pg, load->database, false, &quiet, NULL) == 0)
		load->made_database = false;
	cf_pg_close(pg);
}

/* --- what is done, in its order --- */

/* Not a database that this restore makes, or would. */
static bool cleans(const struct cf_pg_load *load)
{
	return load->options->clean &&
	       (!load->options->create || (load->pg && !load->made_database));
}

static int plan_all(struct cf_pg_load *load, struct cf_err *err)
{
	size_t n_after = 0;

	for (size_t i = 0; i < load->set.n; i++)
		n_after += cf_pg_load_comes_after(load, load->set.list[i]);
	if (cleans(load))
		cf_pg_load_step(load, 0, "drop", "%s",
				load->by_archive ? "what is in the way" : "the tables in the way");
	if (cf_pg_load_wants_schema(load))
		cf_pg_load_step(load, 0, "create", "%zu objects", load->set.n - n_after);
	for (size_t i = 0; i < load->n_tables; i++) {
		const struct cf_pg_load_table *table = &load->tables[i];

		cf_pg_load_step(load, table->table->bytes, "load", "table %s.%s", table->schema,
				table->name);
		atomic_fetch_add(&load->n_loaded, 1);
		atomic_fetch_add(&load->rows_loaded, table->table->rows);
		atomic_fetch_add(&load->bytes_loaded, table->table->bytes);
	}
	if (cf_pg_load_wants_schema(load))
		cf_pg_load_step(load, 0, "index", "%zu indexes, constraints, triggers and rights",
				n_after);
	return load->adopts ? cf_pg_load_adopt_database(load, err) : 0;
}

/* Whether a schema that is renamed as a whole is made as the archive says, with its rights. */
static bool makes_schema(const struct cf_pg_load *load, const struct cf_rename *rename)
{
	for (size_t i = 0; !rename->old_table && i < load->set.n; i++) {
		const struct cf_pg_toc_entry *entry = &load->toc->entries[load->set.list[i]];

		if (strcmp(entry->desc, "SCHEMA") == 0 && !cf_pg_load_makes_by_itself(entry) &&
		    strcmp(entry->tag, rename->old_schema) == 0)
			return true;
	}
	return false;
}

static int make_new_schemas(struct cf_pg_load *load, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < load->renames.n; i++) {
		const char *name = load->renames.items[i].new_schema;
		const char *values[] = {name};
		struct cf_pg_rows *rows = NULL;
		struct cf_buf sql = CF_BUF_INIT;

		if (makes_schema(load, &load->renames.items[i]))
			continue;
		/* IF NOT EXISTS asks for the right to make one even where it exists. */
		rc = cf_pg_query(load->pg, "SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1",
				 values, 1, &rows, err);
		if (rc == 0 && cf_pg_rows_count(rows) == 0) {
			rc = cf_buf_append_str(&sql, "CREATE SCHEMA ", err);
			if (rc == 0)
				rc = cf_sql_append_name(name, &sql, err);
			if (rc == 0)
				rc = cf_buf_append(&sql, "", 1, err);
			if (rc == 0)
				rc = cf_pg_exec(load->pg, (const char *)sql.data, err);
		}
		cf_pg_rows_free(rows);
		cf_buf_release(&sql);
	}
	return rc;
}

static int load_before(struct cf_pg_load *load, struct cf_err *err)
{
	int rc = 0;

	if (cleans(load))
		rc = cf_pg_load_clean(load, err);
	if (rc < 0 || !cf_pg_load_wants_schema(load))
		return rc;
	cf_pg_load_step(load, 0, "create", "schema");
	if (load->everything)
		rc = cf_pg_load_give_schemas(load, err);
	if (rc == 0 && load->by_archive) {
		load->changed = true;
		rc = cf_pg_load_archive(load, false, err);
	} else if (rc == 0) {
		rc = make_new_schemas(load, err);
		if (rc == 0)
			rc = cf_pg_load_schema(load, false, err);
	}
	return rc < 0 ? rc : cf_pg_load_undo_default_rights(load, err);
}

static int load_after(struct cf_pg_load *load, struct cf_err *err)
{
	const struct cf_pg_step alone = {.inside = false};
	int rc;

	if (!cf_pg_load_wants_schema(load))
		return cf_pg_load_refresh(load, err);
	cf_pg_load_step(load, 0, "index", "indexes, constraints, triggers and rights");
	rc = load->single ? cf_pg_load_schema(load, true, err)
			  : cf_pg_load_archive(load, true, err);
	if (rc == 0 && cf_pg_load_wants_data(load))
		rc = cf_pg_load_refresh(load, err);
	if (rc == 0 && !load->single)
		rc = cf_pg_load_event_triggers(load, err);
	if (rc == 0 && load->made_database)
		rc = cf_pg_load_finish_database(load, &alone, err);
	if (rc == 0 && load->adopts)
		rc = cf_pg_load_adopt_database(load, err);
	return rc;
}

static int load_data(struct cf_pg_load *load, struct cf_err *err)
{
	int rc = 0;

	if (!cf_pg_load_wants_data(load))
		return 0;
	load->changed |= !load->single;
	rc = cf_pg_load_rows(load, err);
	if (rc == 0)
		rc = cf_pg_load_sequences(load, err);
	return rc < 0 ? rc : cf_pg_load_large_objects(load, err);
}

/* Chosen tables begin in a transaction; a single one ends in it. */
static int run_steps(struct cf_pg_load *load, struct cf_err *err)
{
	int rc = cf_pg_load_configure(load, load->pg, err);

	load->began = true;
	if (rc == 0 && !load->by_archive)
		rc = cf_pg_exec(load->pg, "BEGIN", err);
	if (rc == 0)
		rc = load_before(load, err);
	if (rc == 0 && !load->by_archive && !load->single)
		rc = cf_pg_exec(load->pg, "COMMIT", err);
	if (rc == 0)
		rc = load_data(load, err);
	if (rc == 0)
		rc = load_after(load, err);
	if (rc == 0 && load->single)
		rc = cf_pg_exec(load->pg, "COMMIT", err);
	return rc;
}

/* For what one object is the reason of. */
static const char *way_out(const struct cf_pg_load *load, int code)
{
	bool may_help = code == CF_ERR_FAILED || code == CF_ERR_EXISTS || code == CF_ERR_NOT_FOUND ||
			code == CF_ERR_ACCESS || code == CF_ERR_DAMAGED;

	return may_help && load->began && !load->options->keep_going
		       ? "; --keep-going restores the rest"
		       : "";
}

static void tell_state(struct cf_pg_load *load, const char *target, struct cf_err *err)
{
	bool made = load->made_database;
	struct cf_err failure;

	if (made)
		undo_database(load, target);
	if (!err)
		return;
	failure = *err;
	if (made && !load->made_database)
		cf_err_set(err, failure.code, "%.700s (database %s was dropped again%s)",
			   failure.text, load->database, way_out(load, failure.code));
	else if (load->changed)
		cf_err_set(err, failure.code,
			   "%.700s (database %s is left incomplete: %llu of %zu tables have their "
			   "rows%s)",
			   failure.text, load->database, (unsigned long long)load->n_loaded,
			   load->n_tables, way_out(load, failure.code));
	else
		cf_err_set(err, failure.code, "%.700s (database %s was not changed%s)",
			   failure.text, load->database, way_out(load, failure.code));
}

static int restore_database(struct cf_pg_load *load, const char *target, struct cf_err *err)
{
	int rc = cf_pg_load_select(load, err);

	if (rc == 0)
		rc = cf_pg_load_recode(load, target, err);
	if (rc == 0)
		rc = cf_pg_load_name_all(load, err);
	if (rc == 0) {
		load->kept = calloc(load->toc->n_entries + 1, sizeof(*load->kept));
		load->found = calloc(load->toc->n_entries + 1, sizeof(*load->found));
		rc = load->kept && load->found ? reach_database(load, target, err) : cf_err_nomem(err);
	}
	if (rc == 0 && load->options->dry_run)
		rc = plan_all(load, err);
	else if (rc == 0)
		rc = run_steps(load, err);
	if (rc < 0 && (load->made_database || load->pg))
		tell_state(load, target, err);
	return rc;
}

int cf_pg_load_database(const struct cf_pg_load_part *part, const char *target, struct cf_tree *tree,
			const struct cf_load_options *options, const struct cf_ctx *ctx,
			struct cf_load_figures *figures, struct cf_err *err)
{
	struct cf_pg_load load = {.options = options,
				  .ctx = ctx,
				  .tree = tree,
				  .folder = part->folder,
				  .is_one_of_several = part->is_one_of_several};
	int rc = restore_database(&load, target, err);

	figures->tables += load.n_loaded;
	figures->rows += load.rows_loaded;
	figures->bytes += load.bytes_loaded;
	cf_pg_close(load.pg);
	cf_pg_load_release_names(&load);
	cf_pg_load_release_selection(&load);
	free(load.kept);
	free(load.found);
	free(load.database);
	return rc;
}

/* --- databases of the snapshot --- */

static int check_options(const char *target, const struct cf_pg_folders *folders,
			 const struct cf_load_options *options, struct cf_err *err)
{
	char *database = NULL;
	int rc = 0;

	if (options->schema_only && options->data_only)
		return cf_err_set(err, CF_ERR_USAGE,
				  "--schema-only and --data-only exclude each other");
	if (options->data_only && (options->clean || options->create || options->n_renames > 0))
		return cf_err_set(err, CF_ERR_USAGE,
				  "--data-only goes with none of --clean, --create and --rename");
	if (folders->n < 2)
		return 0;
	if (!options->create)
		return cf_err_set(err, CF_ERR_USAGE,
				  "the snapshot has %zu databases: name one as SNAPSHOT:/%.*s, or "
				  "give --create to restore all",
				  folders->n, (int)strlen(folders->items[0]) - 1,
				  folders->items[0]);
	rc = cf_pg_target_database(target, &database, err);
	if (rc == 0 && database)
		rc = cf_err_set(err, CF_ERR_USAGE,
				"the snapshot has %zu databases, which keep their names: leave %s "
				"out of the target",
				folders->n, database);
	free(database);
	return rc;
}

unsigned cf_pg_load_jobs(unsigned wanted)
{
	long n = wanted ? (long)wanted : sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > JOBS_MAX ? JOBS_MAX : (unsigned)n;
}

/* Of several databases one that fails does not keep the others away, unless none works. Those that every server has come
 * last: the others are made from there, before they are set up as in the snapshot. */
static int load_folders(const struct cf_pg_folders *folders, const char *target,
			struct cf_tree *tree, const struct cf_load_options *options,
			const struct cf_ctx *ctx, struct cf_load_figures *figures,
			struct cf_err *err)
{
	size_t n_failed = 0;
	int rc = 0;

	for (size_t i = 0; i < 2 * folders->n; i++) {
		struct cf_err failure = CF_ERR_INIT;
		char name[STEP_TEXT_MAX];
		struct cf_pg_load_part part = {.folder = folders->items[i % folders->n],
					       .is_one_of_several = folders->n > 1};

		snprintf(name, sizeof(name), "%.*s", (int)strlen(part.folder) - 1, part.folder);
		if (cf_pg_load_is_of_server(name) != (i >= folders->n))
			continue;
		rc = cf_pg_load_database(&part, target, tree, options, ctx, figures, &failure);
		if (rc == 0)
			continue;
		if (rc == CF_ERR_CANCELED || rc == CF_ERR_NOMEM || ++n_failed == folders->n) {
			if (err)
				*err = failure;
			return rc;
		}
		cf_ctx_warn(ctx, "restore.database", name, "%s: not restored: %s", name,
			    failure.text);
	}
	return 0;
}

int cf_pg_load(const char *target, struct cf_tree *tree, const struct cf_load_options *options,
	       const struct cf_ctx *ctx, struct cf_load_figures *figures_out, struct cf_err *err)
{
	struct cf_pg_folders folders = {0};
	struct cf_load_options own = *options;
	int rc = cf_pg_check_target(target, err);

	*figures_out = (struct cf_load_figures){0};
	own.jobs = cf_pg_load_jobs(own.jobs);
	if (rc == 0)
		rc = cf_pg_folders_find(tree, &folders, err);
	if (rc == 0)
		rc = check_options(target, &folders, &own, err);
	if (rc == 0)
		rc = load_folders(&folders, target, tree, &own, ctx, figures_out, err);
	cf_pg_folders_release(&folders);
	return rc;
}
