#include "drivers/mysql/survey.h"

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/mysql/catalog.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/dump.h"
#include "drivers/mysql/rights.h"
#include "drivers/mysql/snapshot.h"
#include "drivers/mysql/sql.h"
#include "drivers/mysql/strays.h"
#include "drivers/mysql/url.h"
#include "drivers/selector.h"

#include <stdio.h>
#include <time.h>

enum { FREE_TRIES = 3 /* before others are held back */ };

struct survey {
	const struct cf_mysql_dump_options *options;
	const struct cf_ctx *ctx;
	struct cf_mysql_snapshot *snapshot;
	struct cf_mysql_catalog *catalog;
	char changed[CF_ERR_TEXT_MAX]; /* what kept the last try from being the same before and
					  after */
	bool waited;		       /* a try ended with a table that could not be looked at */
};

/* What was listed a moment ago was dropped before it was looked at, or is about to be changed. */
static bool is_in_flux(const struct cf_mysql *my, int rc)
{
	if (rc == CF_ERR_CHANGED)
		return true;
	switch (cf_mysql_errno(my)) {
	case CF_MYSQL_LOCK_WAIT_TIMEOUT:
	case CF_MYSQL_UNKNOWN_DATABASE:
	case CF_MYSQL_NO_SUCH_TABLE:
	case CF_MYSQL_NO_SUCH_ROUTINE:
	case CF_MYSQL_NO_SUCH_TRIGGER:
	case CF_MYSQL_NO_SUCH_EVENT:
	case CF_MYSQL_NO_SUCH_SEQUENCE:
		return true;
	default:
		return false;
	}
}

/* Then it is tried again. */
static int pass_change(struct survey *survey, int rc, bool *stable, struct cf_err *err)
{
	snprintf(survey->changed, sizeof(survey->changed), "%s", err ? err->text : "");
	survey->waited |= rc == CF_ERR_CHANGED || rc == CF_ERR_BUSY;
	cf_err_clear(err);
	*stable = false;
	return 0;
}

static int read_catalog(struct survey *survey, const struct cf_mysql_catalog_options *options,
			struct cf_mysql_catalog *catalog, bool *stable, struct cf_err *err)
{
	int rc = cf_mysql_catalog_read(survey->snapshot->control, options, catalog, err);

	return rc < 0 && is_in_flux(survey->snapshot->control, rc)
		       ? pass_change(survey, rc, stable, err)
		       : rc;
}

static int read_sequences(struct survey *survey, bool *stable, struct cf_err *err)
{
	int rc = cf_mysql_catalog_read_sequences(survey->snapshot->control, survey->catalog, err);

	return rc < 0 && is_in_flux(survey->snapshot->control, rc)
		       ? pass_change(survey, rc, stable, err)
		       : rc;
}

/* The same before and after the snapshot is taken: then it is the snapshot's. */
static int read_consistently(struct survey *survey, const struct cf_mysql_catalog_options *options,
			     bool *done_out, struct cf_err *err)
{
	struct cf_mysql_snapshot *snapshot = survey->snapshot;
	struct cf_mysql_catalog before = {.databases = NULL};
	bool stable = true;
	int rc = read_catalog(survey, options, &before, &stable, err);

	if (rc == 0 && stable) {
		rc = cf_mysql_snapshot_begin(
			snapshot, survey->options->require_transactional ? NULL : &before, err);
		/* A table that was to be locked. */
		if (rc == CF_ERR_NOT_FOUND)
			rc = pass_change(survey, rc, &stable, err);
	}
	if (rc == 0 && stable)
		rc = read_catalog(survey, options, survey->catalog, &stable, err);
	if (rc == 0 && stable)
		stable = cf_mysql_catalog_equal(&before, survey->catalog, survey->changed,
						sizeof(survey->changed));
	if (rc == 0 && stable)
		rc = read_sequences(survey, &stable, err);
	*done_out = rc == 0 && stable;
	cf_mysql_catalog_release(&before);
	return rc;
}

static time_t monotonic_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static int begin_again(struct survey *survey, struct cf_err *err)
{
	int rc = cf_mysql_snapshot_end(survey->snapshot, err);

	cf_mysql_catalog_release(survey->catalog);
	if (rc == 0)
		rc = cf_ctx_check(survey->ctx, err);
	return rc;
}

static int take_snapshot(struct survey *survey, struct cf_err *err)
{
	const struct cf_mysql_catalog_options options = {.url = survey->options->url,
							 .selector = survey->options->selector,
							 .ctx = survey->ctx,
							 .folds = survey->options->folds};
	time_t end_s = monotonic_s() + survey->snapshot->lock_wait_s;
	bool holds = survey->options->locks_definitions, done = false;
	unsigned n_tries = 0;
	int rc;

	do {
		rc = n_tries > 0 ? begin_again(survey, err) : 0;
		/* Where they change all the time, those who change them are held back for once. */
		holds |= survey->waited || n_tries >= FREE_TRIES;
		if (rc == 0 && holds)
			rc = cf_mysql_snapshot_lock_definitions(survey->snapshot, err);
		if (rc == 0)
			rc = read_consistently(survey, &options, &done, err);
		n_tries++;
	} while (rc == 0 && !done && (!holds || monotonic_s() < end_s));
	if (rc == 0 && !done)
		rc = cf_err_set(
			err, CF_ERR_BUSY,
			"%s: no snapshot of all definitions within %u s, for they change all the "
			"time (last: %s); the right RELOAD lets a backup hold changes back",
			cf_mysql_server_name(survey->snapshot->control),
			survey->snapshot->lock_wait_s, survey->changed);
	return rc;
}

/* Tables that a snapshot does not hold still: refused, or held by locks, or told. */
static int judge_table(struct survey *survey, const char *database,
		       const struct cf_mysql_table *table, struct cf_err *err)
{
	char name[512];

	if (survey->options->require_transactional)
		return cf_err_set(
			err, CF_ERR_BUSY,
			"table %s.%s is of the engine %s, which has no transactions: a backup "
			"that must be transactional cannot hold it",
			database, table->name, table->engine);
	snprintf(name, sizeof(name), "%s.%s", database, table->name);
	if (survey->snapshot->tables_locked)
		cf_ctx_note(survey->ctx, "table.locked", name,
			    "the engine %s has no transactions: writers wait until it was read",
			    table->engine);
	else
		cf_ctx_warn(survey->ctx, "table.not_transactional", name,
			    "the engine %s has no transactions, and this user may not lock it: its "
			    "rows "
			    "may be later than the others'",
			    table->engine);
	return 0;
}

static int judge_tables(struct survey *survey, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; i < survey->catalog->n_databases; i++) {
		const struct cf_mysql_database_catalog *database = &survey->catalog->databases[i];

		for (size_t j = 0; rc == 0 && j < database->manifest.n_tables; j++)
			if (!database->manifest.tables[j].is_transactional &&
			    database->plans[j].takes_rows)
				rc = judge_table(survey, database->manifest.database,
						 &database->manifest.tables[j], err);
	}
	return rc;
}

/* The server tells why only when it is asked for the one view. */
static int warn_of_view(struct survey *survey, const char *database, const char *view,
			struct cf_err *err)
{
	struct cf_mysql *my = survey->snapshot->control;
	struct cf_err failure = CF_ERR_INIT;
	struct cf_mysql_result *result = NULL;
	char name[512];
	int rc = cf_mysql_ask(my, &result, &failure, "SHOW COLUMNS FROM %n.%n", database, view);

	cf_mysql_result_free(result);
	if (rc < 0 && (rc == CF_ERR_CANCELED || rc == CF_ERR_NOMEM || cf_mysql_is_broken(my)))
		return cf_err_set(err, rc, "%s", failure.text);
	snprintf(name, sizeof(name), "%s.%s", database, view);
	if (rc < 0 && cf_mysql_errno(my) == CF_MYSQL_ROUTINE_DENIED)
		cf_ctx_warn(survey->ctx, "view.denied", name,
			    "the view needs a function that this user may not EXECUTE: restore can "
			    "make it, but views.sql has it only as a comment: %s",
			    cf_mysql_error_text(my));
	else if (rc < 0 && cf_mysql_errno(my) == CF_MYSQL_NO_SUCH_DEFINER)
		cf_ctx_warn(survey->ctx, "view.invalid", name,
			    "the view needs an account that is not there: its definition is saved, "
			    "but no restore can make it while that is missing: %s",
			    cf_mysql_error_text(my));
	else
		cf_ctx_warn(survey->ctx, "view.invalid", name,
			    "the view names what is not there, or what this user may not use (a "
			    "function without the right EXECUTE, say): its definition is saved, "
			    "but no restore can make it while that is missing");
	return 0;
}

static int warn_of_views(struct survey *survey, const struct cf_mysql_manifest *manifest,
			 struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < manifest->n_objects; i++) {
		const struct cf_mysql_object *object = &manifest->objects[i];

		if (object->kind == CF_MYSQL_VIEW && object->n_columns == 0)
			rc = warn_of_view(survey, manifest->database, object->name, err);
	}
	return rc;
}

/* What the server hides may be there. */
static void warn_of_rights(struct survey *survey, const char *database,
			   const struct cf_mysql_rights *rights)
{
	if (!rights->sees_triggers)
		cf_ctx_warn(survey->ctx, "trigger.hidden", database,
			    "without the right TRIGGER its triggers, if any, are not seen and not "
			    "saved");
	if (!rights->sees_routines &&
	    cf_selector_takes_schema(survey->options->selector, NULL, database))
		cf_ctx_warn(survey->ctx, "routine.hidden", database,
			    "without the right EXECUTE, and SELECT on mysql.proc, its routines, if "
			    "any, are "
			    "not seen and not saved");
}

/* Whoever saves one database makes no replica of it. */
static void tell_no_position(struct survey *survey, const char *primary, const char *why)
{
	const char *server = cf_mysql_server_name(survey->snapshot->control);

	if (survey->options->url->n_databases)
		cf_ctx_note(survey->ctx, "replica.position", server,
			    "its position as a replica of %s is not saved%s", primary, why);
	else
		cf_ctx_warn(survey->ctx, "replica.position", server,
			    "its position as a replica of %s is not saved%s", primary, why);
}

/* From where another server could go on in place of this one. */
static void warn_of_replica(struct survey *survey)
{
	const struct cf_mysql_snapshot *snapshot = survey->snapshot;
	const struct cf_mysql_replica *replica = &snapshot->replica;
	bool is_mariadb = cf_mysql_is_mariadb(snapshot->control);
	const char *gtid = is_mariadb ? replica->gtid : snapshot->gtid;

	if (replica->is_hidden && !gtid)
		tell_no_position(survey, "others", ": grant SELECT on mysql.*, and SLAVE MONITOR");
	for (size_t i = 0; i < replica->n_primaries; i++) {
		const struct cf_mysql_primary *primary = &replica->primaries[i];

		if (primary->log_file || (primary->uses_gtid && gtid && *gtid))
			continue;
		tell_no_position(survey, primary->host,
				 primary->uses_gtid && is_mariadb
					 ? ": grant SELECT on mysql.*"
					 : ", for it moves: let replication use GTIDs, or stop its "
					   "SQL thread for the backup, or (MariaDB) grant RELOAD");
	}
}

static int warn_of_databases(struct survey *survey, struct cf_err *err)
{
	struct cf_mysql_rights rights;
	int rc;

	if (survey->options->url->n_databases > 0)
		return 0;
	rc = cf_mysql_rights_on(survey->snapshot->control, "", &rights, err);
	if (rc == 0 && !rights.sees_databases)
		cf_ctx_warn(survey->ctx, "database.hidden",
			    cf_mysql_server_name(survey->snapshot->control),
			    "without the right SHOW DATABASES only the databases are saved that "
			    "this user may see; there may be others");
	if (rc == 0 && cf_selector_takes_all(survey->options->selector))
		rc = cf_mysql_warn_of_strays(survey->snapshot->control, survey->options->selector,
					     survey->ctx, err);
	return rc;
}

static int warn_of_objects(struct survey *survey, struct cf_err *err)
{
	int rc = warn_of_databases(survey, err);

	for (size_t i = 0; rc == 0 && i < survey->catalog->n_databases; i++) {
		const struct cf_mysql_manifest *manifest = &survey->catalog->databases[i].manifest;
		struct cf_mysql_rights rights;

		rc = warn_of_views(survey, manifest, err);
		if (rc == 0)
			rc = cf_mysql_rights_on(survey->snapshot->control, manifest->database,
						&rights, err);
		if (rc == 0)
			warn_of_rights(survey, manifest->database, &rights);
	}
	return rc;
}

int cf_mysql_survey(const struct cf_mysql_dump_options *options, const struct cf_ctx *ctx,
		    struct cf_mysql_snapshot *snapshot, struct cf_mysql_catalog *catalog,
		    struct cf_err *err)
{
	struct survey survey = {
		.options = options, .ctx = ctx, .snapshot = snapshot, .catalog = catalog};
	int rc = take_snapshot(&survey, err);

	if (rc == 0)
		warn_of_replica(&survey);
	if (rc == 0)
		rc = judge_tables(&survey, err);
	return rc == 0 ? warn_of_objects(&survey, err) : rc;
}
