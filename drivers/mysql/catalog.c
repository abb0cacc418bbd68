#include "drivers/mysql/catalog.h"

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/sql.h"
#include "drivers/mysql/url.h"
#include "drivers/selector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Names of engines, ended by NULL. */
struct engines {
	char **names;
	size_t n;
};

static void release_engines(struct engines *engines)
{
	for (size_t i = 0; i < engines->n; i++)
		free(engines->names[i]);
	free(engines->names);
}

/* Those whose rows a snapshot holds still. */
static int read_transactional_engines(struct cf_mysql *my, struct engines *engines,
				      struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_query(
		my, "SELECT ENGINE FROM information_schema.ENGINES WHERE TRANSACTIONS = 'YES'",
		&result, err);

	if (rc == 0) {
		engines->names = calloc(cf_mysql_n_rows(result) + 1, sizeof(*engines->names));
		if (!engines->names)
			rc = cf_err_nomem(err);
	}
	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0) {
		rc = cf_mysql_copy(row.values[0], &engines->names[engines->n], err);
		if (rc == 0)
			engines->n++;
	}
	cf_mysql_result_free(result);
	return rc;
}

static bool is_transactional(const struct engines *engines, const char *engine)
{
	for (size_t i = 0; i < engines->n; i++)
		if (strcasecmp(engines->names[i], engine) == 0)
			return true;
	return false;
}

bool cf_mysql_engine_holds_rows(const char *engine)
{
	static const char *const without[] = {"MRG_MyISAM", "MRG_ISAM", "FEDERATED", "BLACKHOLE"};

	for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
		if (strcasecmp(without[i], engine) == 0)
			return false;
	return true;
}

int cf_mysql_show_table(struct cf_mysql *my, const char *database, const char *table,
			char **create_out, struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_ask(my, &result, err, "SHOW CREATE TABLE %n.%n", database, table);

	if (rc == 0)
		rc = cf_mysql_fetch_one(result, &row, err);
	if (rc == 0)
		rc = cf_mysql_copy(row.values[1], create_out, err);
	cf_mysql_result_free(result);
	return rc;
}

struct listing {
	struct cf_mysql *my;
	const struct cf_mysql_catalog_options *options;
	const struct engines *engines;
	struct cf_mysql_database_catalog *catalog;
	size_t plan_capacity;
};

static int add_plan(struct listing *listing, struct cf_mysql_table_plan plan, struct cf_err *err)
{
	struct cf_mysql_database_catalog *catalog = listing->catalog;
	size_t n = catalog->manifest.n_tables; /* the table was added before */

	if (n > listing->plan_capacity) {
		size_t capacity = 2 * n + 16;
		struct cf_mysql_table_plan *plans =
			realloc(catalog->plans, capacity * sizeof(*plans));

		if (!plans)
			return cf_err_nomem(err);
		catalog->plans = plans;
		listing->plan_capacity = capacity;
	}
	catalog->plans[n - 1] = plan;
	return 0;
}

/* For progress and order alone: where the server cannot tell, 0. Of one table at a time, because
 * for a list of them it asks other servers for those that are there. */
static int read_data_len(struct listing *listing, const char *table, uint64_t *len_out,
			 struct cf_err *err)
{
	char *len = NULL;
	int rc = cf_mysql_ask_value(listing->my, &len, NULL,
				    "SELECT DATA_LENGTH FROM information_schema.TABLES "
				    "WHERE TABLE_SCHEMA = %i AND TABLE_NAME = %i",
				    listing->catalog->manifest.database, table);

	*len_out = rc == 0 && len ? strtoull(len, NULL, 10) : 0;
	free(len);
	return rc < 0 ? cf_ctx_check(listing->options->ctx, err) : 0;
}

/* row: name, type, engine, comment. */
static int add_table(struct listing *listing, const struct cf_mysql_row *row, struct cf_err *err)
{
	struct cf_mysql_manifest *manifest = &listing->catalog->manifest;
	const char *name = row->values[0], *type = row->values[1], *engine = row->values[2];
	struct cf_mysql_table *table = NULL;
	struct cf_mysql_table_plan plan;
	int rc;

	/* The comment then says why: a damaged table, an engine that is not loaded. */
	if (!engine)
		return cf_err_set(err, CF_ERR_FAILED, "table %s.%s cannot be read: %s",
				  manifest->database, name, row->values[3] ? row->values[3] : "?");
	plan = (struct cf_mysql_table_plan){
		.is_versioned = strcmp(type, "SYSTEM VERSIONED") == 0,
		.takes_rows = cf_mysql_engine_holds_rows(engine) &&
			      cf_selector_takes_data(listing->options->selector, NULL,
						     manifest->database, name),
	};
	if (plan.takes_rows && (rc = read_data_len(listing, name, &plan.data_len, err)) < 0)
		return rc;
	rc = cf_mysql_manifest_add_table(manifest, &table, err);
	if (rc == 0)
		rc = add_plan(listing, plan, err);
	if (rc == 0)
		rc = cf_mysql_copy(name, &table->name, err);
	if (rc == 0)
		rc = cf_mysql_copy(engine, &table->engine, err);
	if (rc < 0)
		return rc;
	table->is_transactional = is_transactional(listing->engines, engine);
	rc = cf_mysql_show_table(listing->my, manifest->database, name, &table->create, err);
	if (rc < 0)
		cf_err_wrap(err, "table %s.%s", manifest->database, name);
	return rc;
}

static int add_sequence(struct cf_mysql *my, struct cf_mysql_manifest *manifest, const char *name,
			struct cf_err *err)
{
	struct cf_mysql_object *object = NULL;
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_manifest_add_object(manifest, &object, err);

	if (rc < 0)
		return rc;
	object->kind = CF_MYSQL_SEQUENCE;
	rc = cf_mysql_copy(name, &object->name, err);
	if (rc == 0)
		rc = cf_mysql_ask(my, &result, err, "SHOW CREATE SEQUENCE %n", name);
	if (rc == 0)
		rc = cf_mysql_fetch_one(result, &row, err);
	if (rc == 0)
		rc = cf_mysql_copy(row.values[1], &object->create, err);
	cf_mysql_result_free(result);
	if (rc < 0)
		cf_err_wrap(err, "sequence %s.%s", manifest->database, name);
	return rc;
}

/* Everything that shares the tables' names: views and sequences, too. */
static int add_listed(struct listing *listing, const struct cf_mysql_row *row, struct cf_err *err)
{
	const struct cf_mysql_catalog_options *options = listing->options;
	struct cf_mysql_manifest *manifest = &listing->catalog->manifest;
	const char *name = row->values[0], *type = row->values[1];
	int rc = cf_ctx_check(options->ctx, err);

	if (rc < 0 || !cf_selector_takes(options->selector, NULL, manifest->database, name))
		return rc;
	if (strcmp(type, "BASE TABLE") == 0 || strcmp(type, "SYSTEM VERSIONED") == 0)
		return add_table(listing, row, err);
	if (strcmp(type, "SEQUENCE") == 0)
		return add_sequence(listing->my, manifest, name, err);
	if (strcmp(type, "VIEW") == 0)
		return cf_mysql_catalog_add_view(listing->my, options->ctx, name, manifest, err);
	return 0; /* TEMPORARY: of one session; SYSTEM VIEW: made by the server */
}

int cf_mysql_check_skipped(struct cf_mysql *my, const char *database, struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc;

	if (cf_mysql_warning_count(my) == 0)
		return 0;
	rc = cf_mysql_query(my, "SHOW WARNINGS", &result, err);
	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0) {
		unsigned long number = strtoul(row.values[1], NULL, 10);

		rc = 0;
		if (number == CF_MYSQL_LOCK_WAIT_TIMEOUT || number == CF_MYSQL_SKIPPED_TABLE)
			rc = cf_err_set(err, CF_ERR_CHANGED,
					"a table of database %s cannot be looked at while another "
					"session changes it: %s",
					database, row.values[2]);
	}
	cf_mysql_result_free(result);
	return rc;
}

static int read_tables(struct listing *listing, struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_ask(listing->my, &result, err,
			      "SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_COMMENT "
			      "FROM information_schema.TABLES WHERE TABLE_SCHEMA = %i "
			      "ORDER BY CAST(TABLE_NAME AS BINARY)",
			      listing->catalog->manifest.database);

	if (rc == 0)
		rc = cf_mysql_check_skipped(listing->my, listing->catalog->manifest.database, err);
	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0)
		rc = add_listed(listing, &row, err);
	cf_mysql_result_free(result);
	return rc;
}

static int read_database_facts(struct cf_mysql *my, struct cf_mysql_database_catalog *catalog,
			       struct cf_err *err)
{
	struct cf_mysql_manifest *manifest = &catalog->manifest;
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_ask(my, &result, err,
			      "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME, %s "
			      "FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %i",
			      cf_mysql_has_database_comments(my) ? "NULLIF(SCHEMA_COMMENT, '')"
								 : "NULL",
			      manifest->database);

	if (rc == 0)
		rc = cf_mysql_fetch_one(result, &row, err);
	if (rc == 0) {
		rc = cf_mysql_copy(row.values[0], &manifest->character_set, err);
		if (rc == 0)
			rc = cf_mysql_copy(row.values[1], &manifest->collation, err);
		if (rc == 0)
			rc = cf_mysql_copy(row.values[2], &manifest->comment, err);
	}
	cf_mysql_result_free(result);
	result = NULL;
	if (rc == 0)
		rc = cf_mysql_ask(my, &result, err, "SHOW CREATE DATABASE IF NOT EXISTS %n",
				  manifest->database);
	if (rc == 0)
		rc = cf_mysql_fetch_one(result, &row, err);
	if (rc == 0)
		rc = cf_mysql_copy(row.values[1], &catalog->create, err);
	cf_mysql_result_free(result);
	return rc;
}

static int read_database(struct cf_mysql *my, const struct cf_mysql_catalog_options *options,
			 const struct engines *engines, struct cf_mysql_database_catalog *catalog,
			 struct cf_err *err)
{
	struct listing listing = {
		.my = my, .options = options, .engines = engines, .catalog = catalog};
	/* What is named without a database, in views, is then shown so. */
	int rc = cf_mysql_do(my, err, "USE %n", catalog->manifest.database);

	if (rc == 0)
		rc = read_database_facts(my, catalog, err);
	if (rc == 0)
		rc = read_tables(&listing, err);
	if (rc == 0)
		rc = cf_mysql_catalog_read_objects(my, options, &catalog->manifest, err);
	return rc;
}

static bool same_name(const struct cf_mysql_catalog_options *options, const char *a, const char *b)
{
	return options->folds ? strcasecmp(a, b) == 0 : strcmp(a, b) == 0;
}

static bool is_named(const struct cf_mysql_catalog_options *options, const char *database)
{
	for (size_t i = 0; i < options->url->n_databases; i++)
		if (same_name(options, options->url->databases[i], database))
			return true;
	return false;
}

/* The server's own, and what a file system puts into its folder. */
static bool is_system(const char *database)
{
	static const char *const names[] = {"information_schema", "performance_schema", "mysql",
					    "sys", "#mysql50#lost+found"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(names[i], database) == 0)
			return true;
	return false;
}

/* Whether anything of it may be wanted: a table's pattern can match in any. */
static bool takes_database(const struct cf_mysql_catalog_options *options, const char *database)
{
	return options->url->n_databases ? is_named(options, database) : !is_system(database);
}

static int check_named(const struct cf_mysql_catalog_options *options,
		       const struct cf_mysql_catalog *catalog, struct cf_err *err)
{
	for (size_t i = 0; i < options->url->n_databases; i++) {
		const char *name = options->url->databases[i];
		bool found = false;

		for (size_t j = 0; j < catalog->n_databases && !found; j++)
			found = same_name(options, catalog->databases[j].manifest.database, name);
		if (!found)
			return cf_err_set(err, CF_ERR_NOT_FOUND,
					  "there is no database %s, or this user may not see it",
					  name);
	}
	return 0;
}

static int list_databases(struct cf_mysql *my, const struct cf_mysql_catalog_options *options,
			  struct cf_mysql_catalog *catalog, struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_query(my,
				"SELECT SCHEMA_NAME FROM information_schema.SCHEMATA "
				"ORDER BY CAST(SCHEMA_NAME AS BINARY)",
				&result, err);

	if (rc == 0) {
		catalog->databases =
			calloc(cf_mysql_n_rows(result) + 1, sizeof(*catalog->databases));
		if (!catalog->databases)
			rc = cf_err_nomem(err);
	}
	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0) {
		rc = 0;
		if (takes_database(options, row.values[0]))
			rc = cf_mysql_copy(
				row.values[0],
				&catalog->databases[catalog->n_databases++].manifest.database, err);
	}
	cf_mysql_result_free(result);
	return rc == 0 ? check_named(options, catalog, err) : rc;
}

static bool is_empty(const struct cf_mysql_database_catalog *database)
{
	return database->manifest.n_tables == 0 && database->manifest.n_objects == 0;
}

static void release_database(struct cf_mysql_database_catalog *database)
{
	cf_mysql_manifest_release(&database->manifest);
	free(database->plans);
	free(database->create);
}

/* With --table, a database in which nothing matched is not part of the snapshot. */
static void drop_unwanted(const struct cf_mysql_catalog_options *options,
			  struct cf_mysql_catalog *catalog)
{
	size_t kept = 0;

	for (size_t i = 0; i < catalog->n_databases; i++) {
		struct cf_mysql_database_catalog *database = &catalog->databases[i];

		if (is_empty(database) &&
		    !cf_selector_takes_schema(options->selector, NULL, database->manifest.database))
			release_database(database);
		else
			catalog->databases[kept++] = *database;
	}
	catalog->n_databases = kept;
}

int cf_mysql_catalog_read(struct cf_mysql *my, const struct cf_mysql_catalog_options *options,
			  struct cf_mysql_catalog *catalog, struct cf_err *err)
{
	struct engines engines = {.names = NULL};
	int rc = list_databases(my, options, catalog, err);

	if (rc == 0)
		rc = read_transactional_engines(my, &engines, err);
	for (size_t i = 0; rc == 0 && i < catalog->n_databases; i++)
		rc = read_database(my, options, &engines, &catalog->databases[i], err);
	if (rc == 0)
		rc = cf_selector_check(options->selector, err);
	if (rc == 0)
		drop_unwanted(options, catalog);
	release_engines(&engines);
	return rc;
}

void cf_mysql_catalog_release(struct cf_mysql_catalog *catalog)
{
	for (size_t i = 0; i < catalog->n_databases; i++)
		release_database(&catalog->databases[i]);
	free(catalog->databases);
	*catalog = (struct cf_mysql_catalog){.databases = NULL};
}

/* Behind the text that begins with " AUTO_INCREMENT=", or NULL where it is no such option of the
 * table. */
static const char *behind_numbering(const char *text)
{
	static const char option[] = " AUTO_INCREMENT=";

	if (strncmp(text, option, sizeof(option) - 1) != 0)
		return NULL;
	text += sizeof(option) - 1;
	return text + strspn(text, "0123456789");
}

bool cf_mysql_definition_equal(const char *a, const char *b)
{
	for (;; a++, b++) {
		const char *a_next = behind_numbering(a), *b_next = behind_numbering(b);

		/* It appears with the first row. */
		a = a_next ? a_next : a;
		b = b_next ? b_next : b;
		if (*a != *b)
			return false;
		if (!*a)
			return true;
	}
}

static bool text_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool object_equal(const struct cf_mysql_object *a, const struct cf_mysql_object *b)
{
	const struct cf_mysql_session *as = &a->session, *bs = &b->session;

	return a->kind == b->kind && text_equal(a->name, b->name) &&
	       text_equal(a->create, b->create) && a->n_columns == b->n_columns &&
	       text_equal(a->trigger.table, b->trigger.table) &&
	       text_equal(as->sql_mode, bs->sql_mode) &&
	       text_equal(as->character_set_client, bs->character_set_client) &&
	       text_equal(as->collation_connection, bs->collation_connection) &&
	       text_equal(as->time_zone, bs->time_zone);
}

/* Tables are in the order of their names: of two that differ the first is missing on one side. */
static bool tables_equal(const struct cf_mysql_manifest *a, const struct cf_mysql_manifest *b,
			 char *what, size_t size)
{
	for (size_t i = 0; i < a->n_tables || i < b->n_tables; i++) {
		const struct cf_mysql_table *at = i < a->n_tables ? &a->tables[i] : NULL;
		const struct cf_mysql_table *bt = i < b->n_tables ? &b->tables[i] : NULL;
		int order = !at ? 1 : !bt ? -1 : strcmp(at->name, bt->name);

		/* The engine was asked for by itself, a moment before. */
		if (order == 0 && cf_mysql_definition_equal(at->create, bt->create) &&
		    !strcmp(at->engine, bt->engine))
			continue;
		snprintf(what, size, "table %s.%s", a->database, order > 0 ? bt->name : at->name);
		return false;
	}
	return true;
}

static bool objects_equal(const struct cf_mysql_manifest *a, const struct cf_mysql_manifest *b,
			  char *what, size_t size)
{
	for (size_t i = 0; i < a->n_objects || i < b->n_objects; i++) {
		const struct cf_mysql_object *ao = i < a->n_objects ? &a->objects[i] : NULL;
		const struct cf_mysql_object *bo = i < b->n_objects ? &b->objects[i] : NULL;
		const struct cf_mysql_object *named = ao ? ao : bo;

		if (ao && bo && object_equal(ao, bo))
			continue;
		snprintf(what, size, "%s %s.%s", cf_mysql_kind_name(named->kind), a->database,
			 named->name);
		return false;
	}
	return true;
}

bool cf_mysql_catalog_equal(const struct cf_mysql_catalog *a, const struct cf_mysql_catalog *b,
			    char *what, size_t size)
{
	for (size_t i = 0; i < a->n_databases || i < b->n_databases; i++) {
		const struct cf_mysql_database_catalog *ad =
			i < a->n_databases ? &a->databases[i] : &b->databases[i];
		const struct cf_mysql_database_catalog *bd =
			i < b->n_databases ? &b->databases[i] : ad;

		if (i >= a->n_databases || i >= b->n_databases ||
		    !text_equal(ad->manifest.database, bd->manifest.database) ||
		    !text_equal(ad->create, bd->create)) {
			snprintf(what, size, "database %s", ad->manifest.database);
			return false;
		}
		if (!tables_equal(&ad->manifest, &bd->manifest, what, size) ||
		    !objects_equal(&ad->manifest, &bd->manifest, what, size))
			return false;
	}
	return true;
}

/*
 * next_not_cached_value is the next that no session has in its cache. Behind the last one of a
 * sequence that does not cycle, SETVAL of that next value is refused: the last one counts as used
 * instead.
 */
static int read_sequence(struct cf_mysql *my, const char *database,
			 struct cf_mysql_object *sequence, struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_buf sql = CF_BUF_INIT;
	struct cf_mysql_row row;
	int rc = cf_mysql_ask(
		my, &result, err,
		"SELECT CASE WHEN next_not_cached_value > maximum_value THEN maximum_value "
		"WHEN next_not_cached_value < minimum_value THEN minimum_value "
		"ELSE next_not_cached_value END, "
		"next_not_cached_value NOT BETWEEN minimum_value AND maximum_value, "
		"cycle_count FROM %n.%n",
		database, sequence->name);

	if (rc == 0)
		rc = cf_mysql_fetch_one(result, &row, err);
	if (rc == 0)
		rc = cf_mysql_sql(&sql, err, "SELECT SETVAL(%n, %s, %s, %s)", sequence->name,
				  row.values[0], row.values[1], row.values[2]);
	if (rc == 0)
		rc = cf_mysql_copy((const char *)sql.data, &sequence->value, err);
	cf_mysql_result_free(result);
	cf_buf_release(&sql);
	if (rc < 0)
		cf_err_wrap(err, "sequence %s.%s", database, sequence->name);
	return rc;
}

int cf_mysql_catalog_read_sequences(struct cf_mysql *my, struct cf_mysql_catalog *catalog,
				    struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; i < catalog->n_databases; i++) {
		struct cf_mysql_manifest *manifest = &catalog->databases[i].manifest;

		for (size_t j = 0; rc == 0 && j < manifest->n_objects; j++)
			if (manifest->objects[j].kind == CF_MYSQL_SEQUENCE)
				rc = read_sequence(my, manifest->database, &manifest->objects[j],
						   err);
	}
	return rc;
}
