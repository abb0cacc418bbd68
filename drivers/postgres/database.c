/* One database from one snapshot: locks, definitions, rows, and database.json, which says what there is. */

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/names.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/dump.h"
#include "drivers/postgres/script.h"
#include "drivers/postgres/toc.h"
#include "drivers/selector.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	LOCK_WAIT_S = 60, /* who waits for a lock holds up all who come after */
	LOCKS_AT_ONCE = 200,
	LATE_LOCKS = 200,     /* taken one by one: of tables that came since they were listed */
	CHANGED_ATTEMPTS = 20, /* at what fails as if something had been dropped meanwhile */
	NAP_NS = 30 * 1000000,
	DUMP_WAIT_MS = 3000,
	SHORT_DUMP_WAIT_MS = 300, /* where somebody is in the way again and again; and as much for as many tables */
	SEQUENCES_AT_ONCE = 200
};

const char *cf_pg_archive_encoding(const struct cf_pg_database *database)
{
	const char *wanted = database->dump->options->definitions_encoding;

	return wanted ? wanted : database->manifest.text_encoding;
}

int cf_pg_recode(const struct cf_pg_database *database, struct cf_pg *pg, struct cf_buf *text, struct cf_err *err)
{
	const char *values[] = {(const char *)text->data, cf_pg_archive_encoding(database)};
	struct cf_pg_rows *rows = NULL;
	int rc;

	if (strcmp(values[1], database->manifest.text_encoding) == 0)
		return 0;
	rc = cf_pg_query_binary(pg, "SELECT convert_to($1, $2)", values, 2, &rows, err);
	if (rc == 0) {
		cf_buf_clear(text);
		rc = cf_buf_append(text, cf_pg_value(rows, 0, 0), cf_pg_value_len(rows, 0, 0), err);
	}
	cf_pg_rows_free(rows);
	return rc == 0 ? cf_buf_append(text, "", 1, err) : rc;
}

static unsigned lock_wait_s(const struct cf_pg_dump *dump)
{
	return dump->options->lock_wait_s ? dump->options->lock_wait_s : LOCK_WAIT_S;
}

/* --- locks and snapshot --- */

static int list_relations(struct cf_pg_database *database, struct cf_err *err)
{
	static const char who_sql[] =
		"SELECT concat(session_user, ' as role ' || nullif(current_user::text, session_user::text))";
	const struct cf_selection *select = &database->dump->options->select;
	char *who = NULL;
	int rc;

	cf_pg_catalog_release(&database->catalog);
	rc = cf_pg_catalog_read(database->leader, &database->catalog, err);
	if (rc < 0)
		return rc;
	cf_pg_catalog_select(&database->catalog, database->dump->selector, database->name,
			     select->n_schemas > 0 && select->n_tables == 0);
	rc = cf_pg_query_text(database->leader, who_sql, NULL, 0, &who, err);
	if (rc == 0)
		rc = cf_pg_catalog_check_rights(&database->catalog, who, err);
	free(who);
	return rc;
}

static void blame_lock(struct cf_pg_database *database, struct cf_err *err)
{
	struct cf_err ignored = CF_ERR_INIT;
	struct cf_buf oids = CF_BUF_INIT;

	if (cf_pg_exec(database->leader, "ROLLBACK", &ignored) == 0 &&
	    cf_pg_catalog_lock_oids(&database->catalog, &oids, &ignored) == 0)
		cf_pg_session_blame(database->leader, (const char *)oids.data, err);
	cf_buf_release(&oids);
}

/* What is no longer there is passed over, at the cost of a few more statements. */
static int lock_some(struct cf_pg_database *database, size_t first, size_t n, struct cf_err *err)
{
	struct cf_buf sql = CF_BUF_INIT;
	int rc = cf_pg_catalog_lock_sql(database->leader, &database->catalog, first, n, &sql, err);

	/* Not by a statement that would take the snapshot. */
	if (rc == 0 && sql.len > 0)
		rc = cf_pg_exec(database->leader, "SAVEPOINT locks", err);
	if (rc == 0 && sql.len > 0) {
		rc = cf_pg_exec(database->leader, (const char *)sql.data, err);
		if (rc == CF_ERR_NOT_FOUND) {
			cf_err_clear(err);
			rc = cf_pg_exec(database->leader, "ROLLBACK TO SAVEPOINT locks; RELEASE SAVEPOINT locks", err);
			if (rc == 0 && n > 1)
				rc = lock_some(database, first, n / 2, err);
			if (rc == 0 && n > 1)
				rc = lock_some(database, first + n / 2, n - n / 2, err);
		} else if (rc == 0) {
			/* Within one no snapshot can be exported. */
			rc = cf_pg_exec(database->leader, "RELEASE SAVEPOINT locks", err);
		}
	}
	cf_buf_release(&sql);
	return rc;
}

static int lock_all(struct cf_pg_database *database, struct cf_err *err)
{
	size_t n = database->catalog.n;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i += LOCKS_AT_ONCE)
		rc = lock_some(database, i, n - i < LOCKS_AT_ONCE ? n - i : LOCKS_AT_ONCE, err);
	return rc;
}

static size_t count_unlocked(const struct cf_pg_catalog *catalog)
{
	size_t n = 0;

	for (size_t i = 0; i < catalog->n; i++)
		n += catalog->relations[i].is_taken && !catalog->relations[i].is_locked &&
		     cf_pg_relation_is_locked_kind(&catalog->relations[i]);
	return n;
}

/* Tables that were made just before the snapshot are locked after it; that they are as it sees them shows the next listing. */
static int lock_late(struct cf_pg_database *database, struct cf_err *err)
{
	size_t n = count_unlocked(&database->catalog);
	int rc;

	if (n == 0 || n > LATE_LOCKS)
		return 0;
	rc = lock_all(database, err);
	return rc == 0 ? list_relations(database, err) : rc;
}

/* Lock what was listed, take the snapshot, and list again. 1 when all that is taken is locked, 0 to try again. */
static int try_lead(struct cf_pg_database *database, struct cf_err *err)
{
	int rc = cf_pg_session_lead(database->leader, err);

	cf_pg_snapshot_release(&database->snapshot);
	database->begin_ns = cf_ctx_now_ns(database->dump->ctx);
	if (rc == 0)
		rc = lock_all(database, err);
	if (rc == 0)
		rc = cf_pg_session_export(database->leader, database->dump->is_standby, &database->snapshot, err);
	if (rc == CF_ERR_FAILED)
		cf_err_wrap(err, "lock all tables");
	if (rc == 0)
		rc = list_relations(database, err);
	if (rc == 0)
		rc = lock_late(database, err);
	if (rc == 0 && cf_pg_catalog_is_locked(&database->catalog) && !cf_pg_catalog_is_rewritten(&database->catalog))
		return 1;
	if (rc == CF_ERR_BUSY)
		blame_lock(database, err);
	/* Dropped since the snapshot; or too many are new. */
	return rc == 0 ? cf_pg_exec(database->leader, "ROLLBACK", err) : rc;
}

/* Names one of the tables that came and went. */
static int refuse_changes(const struct cf_pg_catalog *catalog, struct cf_err *err)
{
	int rc = cf_err_set(err, CF_ERR_BUSY, "tables are created and dropped too fast for all of them to be locked: try again "
					      "later, or with a longer --lock-wait");

	for (size_t i = 0; i < catalog->n; i++) {
		const struct cf_pg_relation *relation = &catalog->relations[i];

		if (!relation->is_taken || !cf_pg_relation_is_locked_kind(relation) ||
		    (relation->is_locked && !relation->is_rewritten))
			continue;
		cf_err_wrap(err, "table %s.%s", relation->schema, relation->name);
		break;
	}
	return rc;
}

static bool has_time(const struct cf_pg_database *database)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec < database->deadline_s;
}

static int lead(struct cf_pg_database *database, struct cf_err *err)
{
	int rc = list_relations(database, err);

	while (rc == 0) {
		rc = try_lead(database, err);
		if (rc == 1)
			return cf_pg_catalog_read_columns(database->leader, &database->catalog, err);
		if (rc == 0 && !has_time(database))
			return refuse_changes(&database->catalog, err);
		if (rc == 0)
			rc = list_relations(database, err);
	}
	return rc;
}

/* --- what the manifest says --- */

static const char facts_sql[] =
	"SELECT pg_get_userbyid(d.datdba), shobj_description(d.oid, 'pg_database'),"
	" pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, t.spcname,"
	" CASE to_jsonb(d)->>'datlocprovider' WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' END,"
	" coalesce(to_jsonb(d)->>'daticulocale', to_jsonb(d)->>'datlocale'), to_jsonb(d)->>'daticurules'"
	" FROM pg_database AS d LEFT JOIN pg_tablespace AS t ON t.oid = d.dattablespace"
	" WHERE d.datname = current_database()";

static int describe_database(struct cf_pg_database *database, struct cf_err *err)
{
	struct cf_pg_manifest *manifest = &database->manifest;
	struct cf_pg_rows *rows = NULL;
	int rc = cf_pg_query(database->leader, facts_sql, NULL, 0, &rows, err);

	if (rc < 0)
		return rc;
	cf_pg_rows_free(database->facts);
	database->facts = rows;
	manifest->name = database->name;
	manifest->owner = cf_pg_value(rows, 0, 0);
	manifest->comment = cf_pg_value(rows, 0, 1);
	manifest->encoding = cf_pg_value(rows, 0, 2);
	manifest->data_encoding = manifest->encoding;
	manifest->text_encoding = database->is_raw || strcmp(manifest->encoding, "SQL_ASCII") == 0 ? manifest->encoding
												   : "UTF8";
	manifest->collate = cf_pg_value(rows, 0, 3);
	manifest->ctype = cf_pg_value(rows, 0, 4);
	manifest->tablespace = cf_pg_value(rows, 0, 5);
	manifest->locale_provider = cf_pg_value(rows, 0, 6);
	manifest->icu_locale = cf_pg_value(rows, 0, 7);
	manifest->icu_rules = cf_pg_value(rows, 0, 8);
	manifest->server_version = cf_pg_server_version(database->leader);
	manifest->scripts = CF_PG_SCRIPT_VERSION;
	manifest->filtered = database->dump->filtered;
	manifest->of_tables = database->dump->options->select.n_tables > 0;
	return 0;
}

/* NULL in file_out when its rows are not kept. */
static int name_file(struct cf_pg_database *database, const struct cf_pg_relation *relation, char **file_out,
		     struct cf_err *err)
{
	const char *const parts[] = {relation->schema, relation->name};
	struct cf_buf name = CF_BUF_INIT;
	int rc;

	*file_out = NULL;
	if (relation->kind != 'r' || !relation->is_data_taken)
		return 0;
	if (relation->is_unlogged && database->dump->is_standby) {
		cf_ctx_warn(database->dump->ctx, "postgres.unlogged", relation->name,
			    "table %s.%s is unlogged: a standby does not have its rows", relation->schema,
			    relation->name);
		return 0;
	}
	rc = cf_file_name_of(parts, 2, ".copy", &name, err);
	if (rc == 0 && asprintf(file_out, "tables/%s", (const char *)name.data) < 0) {
		*file_out = NULL;
		rc = cf_err_nomem(err);
	}
	cf_buf_release(&name);
	return rc;
}

static int describe_tables(struct cf_pg_database *database, struct cf_err *err)
{
	struct cf_pg_manifest *manifest = &database->manifest;
	const struct cf_pg_catalog *catalog = &database->catalog;
	int rc = 0;

	manifest->tables = calloc(catalog->n + 1, sizeof(*manifest->tables));
	if (!manifest->tables)
		return cf_err_nomem(err);
	for (size_t i = 0; rc == 0 && i < catalog->n; i++) {
		const struct cf_pg_relation *relation = &catalog->relations[i];
		char *file = NULL;

		if (relation->is_elsewhere)
			cf_ctx_warn(database->dump->ctx, "postgres.left_out", relation->name,
				    "table %s.%s is a partition of a table that is saved, and in a schema that is "
				    "not: it is left out",
				    relation->schema, relation->name);
		if (!relation->is_taken || relation->kind == 'S')
			continue;
		rc = name_file(database, relation, &file, err);
		manifest->tables[manifest->n_tables++] =
			(struct cf_pg_table){.schema = relation->schema,
					     .name = relation->name,
					     .oid = relation->oid,
					     .kind = relation->kind,
					     .partition = relation->parent != 0,
					     .populated = relation->kind == 'm' && relation->is_populated,
					     .extension = relation->extension,
					     .condition = relation->condition,
					     .columns = relation->columns,
					     .n_columns = relation->n_columns,
					     .file = file};
	}
	return rc;
}

/* --- sequences --- */

static int append_sequence(struct cf_pg *pg, const struct cf_pg_relation *relation, bool is_first,
			   struct cf_buf *sql, struct cf_err *err)
{
	int rc = cf_buf_printf(sql, err, "%sSELECT %" PRIu32 "::oid, last_value, is_called FROM ",
			       is_first ? "" : " UNION ALL ", relation->oid);

	return rc == 0 ? cf_pg_append_qualified(pg, relation->schema, relation->name, sql, err) : rc;
}

static int take_values(struct cf_pg_database *database, struct cf_pg *pg, const char *sql, struct cf_err *err)
{
	struct cf_pg_manifest *manifest = &database->manifest;
	struct cf_pg_rows *rows = NULL;
	int rc = cf_pg_query(pg, sql, NULL, 0, &rows, err);

	for (size_t i = 0; rc == 0 && i < cf_pg_rows_count(rows); i++) {
		const struct cf_pg_relation *relation =
			cf_pg_catalog_find(&database->catalog, (uint32_t)cf_pg_value_number(rows, i, 0));

		manifest->sequences[manifest->n_sequences++] =
			(struct cf_pg_sequence){.schema = relation->schema,
						.name = relation->name,
						.oid = relation->oid,
						.last_value = strtoll(cf_pg_value(rows, i, 1), NULL, 10),
						.is_called = cf_pg_value_bool(rows, i, 2)};
	}
	cf_pg_rows_free(rows);
	return rc;
}

static bool has_value(const struct cf_pg_database *database, const struct cf_pg_relation *relation)
{
	if (relation->kind != 'S' || !relation->is_data_taken)
		return false;
	if (!relation->is_unlogged || !database->dump->is_standby)
		return true;
	cf_ctx_warn(database->dump->ctx, "postgres.unlogged", relation->name,
		    "sequence %s.%s is unlogged: a standby does not have its value", relation->schema,
		    relation->name);
	return false;
}

static int read_values(struct cf_pg_database *database, struct cf_pg *pg, struct cf_err *err)
{
	const struct cf_pg_catalog *catalog = &database->catalog;
	struct cf_buf sql = CF_BUF_INIT;
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < catalog->n; i++) {
		if (has_value(database, &catalog->relations[i]))
			rc = append_sequence(pg, &catalog->relations[i], n++ == 0, &sql, err);
		if (rc == 0 && n > 0 && (n == SEQUENCES_AT_ONCE || i + 1 == catalog->n)) {
			rc = cf_buf_append(&sql, "", 1, err);
			if (rc == 0)
				rc = take_values(database, pg, (const char *)sql.data, err);
			cf_buf_clear(&sql);
			n = 0;
		}
	}
	cf_buf_release(&sql);
	return rc;
}

/*
 * After the snapshot: sequences are in no transaction, so they are where its rows say, or further. Not by the leader, which would
 * keep a lock on each of them to its end.
 */
static int read_sequences(struct cf_pg_database *database, struct cf_err *err)
{
	const struct cf_pg_options options = {.database = database->name,
					      .encoding = database->manifest.text_encoding};
	struct cf_pg_dump *dump = database->dump;
	struct cf_pg *pg = NULL;
	int rc;

	free(database->manifest.sequences);
	database->manifest.n_sequences = 0;
	database->manifest.sequences = calloc(database->catalog.n + 1, sizeof(*database->manifest.sequences));
	if (!database->manifest.sequences)
		return cf_err_nomem(err);
	rc = cf_pg_session_open(dump->server, &options, lock_wait_s(dump), dump->ctx, &pg, err);
	if (rc == 0)
		rc = read_values(database, pg, err);
	cf_pg_close(pg);
	return rc;
}

static int append_setval(struct cf_pg_database *database, const struct cf_pg_sequence *sequence,
			 struct cf_buf *out, struct cf_err *err)
{
	struct cf_buf name = CF_BUF_INIT;
	int rc = cf_pg_append_qualified(database->leader, sequence->schema, sequence->name, &name, err);

	if (rc == 0)
		rc = cf_buf_append(&name, "", 1, err);
	if (rc == 0)
		rc = cf_buf_append_str(out, "SELECT pg_catalog.setval(", err);
	if (rc == 0)
		rc = cf_pg_append_literal(database->leader, (const char *)name.data, out, err);
	if (rc == 0)
		rc = cf_buf_printf(out, err, ", %" PRId64 ", %s);\n", sequence->last_value,
				   sequence->is_called ? "true" : "false");
	cf_buf_release(&name);
	return rc;
}

static int put_sequences(struct cf_pg_database *database, struct cf_err *err)
{
	struct cf_buf script = CF_BUF_INIT;
	int rc = cf_buf_printf(&script, err, "SET client_encoding = '%s';\n", database->manifest.text_encoding);

	for (size_t i = 0; rc == 0 && i < database->manifest.n_sequences; i++)
		rc = append_setval(database, &database->manifest.sequences[i], &script, err);
	if (rc == 0)
		rc = cf_pg_put_file(database->dump, database->dir, "sequences.sql", cf_buf_span(&script), err);
	cf_buf_release(&script);
	return rc;
}

/* --- all of it --- */

static int put_manifest(struct cf_pg_database *database, struct cf_err *err)
{
	struct cf_buf document = CF_BUF_INIT;
	int rc = cf_pg_manifest_encode(&database->manifest, &document, err);

	if (rc == 0)
		rc = cf_pg_put_file(database->dump, database->dir, "database.json", cf_buf_span(&document), err);
	cf_buf_release(&document);
	return rc;
}

static int describe(struct cf_pg_database *database, struct cf_err *err)
{
	int rc = cf_pg_roots_read(database->leader, strcmp(database->manifest.encoding, "UTF8") != 0,
				  &database->roots, err);

	if (rc == 0)
		rc = describe_tables(database, err);
	return rc;
}

static int put_database(struct cf_pg_database *database, struct cf_err *err)
{
	struct cf_pg_dump *dump = database->dump;
	const char *const parts[] = {database->name};
	struct cf_buf name = CF_BUF_INIT;
	struct cf_entry entry;
	int rc = cf_file_name_of(parts, 1, "", &name, err);

	if (rc == 0) {
		entry = cf_pg_entry(dump, CF_ENTRY_DIR, (const char *)name.data);
		rc = dump->sink->ops->dir_begin(dump->sink, dump->root, &entry, 0, &database->dir, err);
	}
	if (rc == 0)
		rc = cf_pg_put_schema(database, err);
	if (rc == 0 && dump->filtered)
		rc = cf_pg_tell_needs(database, err);
	if (rc == 0)
		rc = cf_pg_tell_hidden(database, err);
	if (rc == 0)
		rc = put_sequences(database, err);
	if (rc == 0)
		rc = cf_pg_dump_data(database, err);
	if (rc == 0)
		rc = put_manifest(database, err);
	/* Had the leader been lost meanwhile, its locks were too, and a table may have been emptied before it was read. */
	if (rc == 0)
		rc = cf_pg_exec(database->leader, "COMMIT", err);
	if (rc == 0)
		rc = dump->sink->ops->dir_end(dump->sink, database->dir, NULL, err);
	cf_buf_release(&name);
	return rc;
}

/* The manifest's texts are const for its readers; the names of files are ours. */
static void free_text(const char *text)
{
	union {
		const char *in;
		char *out;
	} cast = {.in = text};

	free(cast.out);
}

static void release(struct cf_pg_database *database)
{
	struct cf_pg_manifest *manifest = &database->manifest;

	for (size_t i = 0; i < manifest->n_tables; i++)
		free_text(manifest->tables[i].file);
	for (size_t i = 0; i < manifest->n_large_objects; i++)
		free_text(manifest->large_objects[i].file);
	free(manifest->tables);
	free(manifest->sequences);
	free(manifest->large_objects);
	cf_pg_script_free(database->script);
	cf_pg_toc_free(database->toc);
	cf_pg_rows_free(database->facts);
	cf_pg_rows_free(database->objects);
	cf_pg_catalog_release(&database->catalog);
	cf_pg_roots_release(&database->roots);
	cf_pg_snapshot_release(&database->snapshot);
	cf_buf_release(&database->schema_args);
	cf_buf_release(&database->archive);
	cf_pg_close(database->leader);
}

/* Patterns that match nothing are found before anything is read, unless another database may have it. */
static int check_selection(struct cf_pg_database *database, bool *is_wanted_out, struct cf_err *err)
{
	struct cf_pg_dump *dump = database->dump;

	*is_wanted_out = true;
	if (!dump->options->all_databases)
		return cf_selector_check(dump->selector, err);
	if (!cf_selector_takes_all(dump->selector)) {
		*is_wanted_out = false;
		for (size_t i = 0; i < database->catalog.n; i++)
			*is_wanted_out |= database->catalog.relations[i].is_taken;
	}
	return 0;
}

/*
 * Whether an attempt failed because something was dropped under it: what is no table is not locked, and the server looks some
 * of it up as it is now, whatever the snapshot. These messages are never translated.
 */
static bool is_changed(int rc, const struct cf_err *err)
{
	return rc == CF_ERR_NOT_FOUND ||
	       (rc == CF_ERR_FAILED && (strstr(err->text, "cache lookup failed") ||
					strstr(err->text, "could not open relation with OID") ||
					/* Its shorter one for pg_dump's locks. */
					strstr(err->text, "statement timeout")));
}

/*
 * pg_dump must lock the tables a second time, behind whoever waits to lock one exclusively, who waits for us: it would give up
 * after seconds. Who wants to drop a table as soon as it is made shows up at once.
 */
static int look_for_waiters(struct cf_pg_database *database, struct cf_err *err)
{
	struct cf_buf oids = CF_BUF_INIT;
	int rc = cf_pg_catalog_lock_oids(&database->catalog, &oids, err);

	nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
	if (rc == 0 && cf_pg_session_is_wanted(database->leader, (const char *)oids.data)) {
		rc = cf_err_set(err, CF_ERR_BUSY, "the definitions could not be read");
		cf_pg_session_blame(database->leader, (const char *)oids.data, err);
	}
	cf_buf_release(&oids);
	return rc;
}

/* All that can be refused before anything is stored, once. */
static int try_prepare(struct cf_pg_database *database, bool is_first, bool *is_wanted_out, struct cf_err *err)
{
	int rc = lead(database, err);

	if (rc == 0)
		rc = cf_pg_select_schemas(database, err);
	if (rc == 0)
		rc = check_selection(database, is_wanted_out, err);
	if (rc < 0 || !*is_wanted_out)
		return rc;
	database->dump_wait_ms = DUMP_WAIT_MS;
	if (!is_first) {
		database->dump_wait_ms = SHORT_DUMP_WAIT_MS + (unsigned)database->catalog.n;
		rc = look_for_waiters(database, err);
	}
	if (rc == 0)
		rc = describe_database(database, err);
	if (rc == 0)
		rc = cf_pg_read_schema(database, err);
	if (rc == 0)
		rc = read_sequences(database, err);
	/* Large objects belong to no table: a selection leaves them out. */
	if (rc == 0 && cf_selector_takes_all(database->dump->selector))
		rc = cf_pg_objects_list(database, err);
	return rc;
}

/*
 * Some texts of encodings other than UTF-8 have no equivalent in it, and which do not pg_dump says in the server's language alone:
 * so whatever has failed is tried once more without conversion.
 */
static bool may_be_raw(struct cf_pg_database *database, int rc, const struct cf_err *err)
{
	const char *encoding = cf_pg_parameter(database->leader, "server_encoding");

	return rc == CF_ERR_FAILED && !is_changed(rc, err) && !database->is_raw && encoding &&
	       strcmp(encoding, "UTF8") != 0 && strcmp(encoding, "SQL_ASCII") != 0;
}

static int become_raw(struct cf_pg_database *database, struct cf_err *err)
{
	const char *encoding = cf_pg_parameter(database->leader, "server_encoding");

	database->is_raw = true;
	cf_ctx_note(database->dump->ctx, "postgres.encoding", database->name,
		    "database %s: what it has has no equivalent in UTF-8: names and definitions are taken in %s", database->name,
		    encoding);
	return cf_pg_speak(database->leader, encoding, err);
}

/* Whoever asked for an exclusive lock is let go before the next attempt. */
static int prepare(struct cf_pg_database *database, bool *is_wanted_out, struct cf_err *err)
{
	struct cf_err failure = CF_ERR_INIT;
	unsigned n_changed = 0;
	bool may_be;
	struct timespec now;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &now);
	database->deadline_s = now.tv_sec + lock_wait_s(database->dump);
	for (bool is_first = true;; is_first = false) {
		rc = try_prepare(database, is_first, is_wanted_out, &failure);
		if (rc == 0)
			return 0;
		may_be = may_be_raw(database, rc, &failure);
		n_changed += is_changed(rc, &failure);
		if ((rc != CF_ERR_BUSY && !is_changed(rc, &failure) && !may_be) || n_changed > CHANGED_ATTEMPTS ||
		    !has_time(database) || cf_pg_exec(database->leader, "ROLLBACK", NULL) < 0)
			break;
		cf_err_clear(&failure);
		rc = may_be ? become_raw(database, &failure) : cf_ctx_check(database->dump->ctx, &failure);
		if (rc < 0)
			break;
	}
	if (err)
		*err = failure;
	return rc;
}

/* What a standby replays ends who is in its way, and with the leader its snapshot, which pg_dump then does not find. */
static void explain_conflict(const struct cf_pg_dump *dump, struct cf_err *err)
{
	struct cf_err failure;

	if (!dump->is_standby || !err ||
	    (!strstr(err->text, "invalid snapshot identifier") && !strstr(err->text, "conflict with recovery")))
		return;
	failure = *err;
	cf_err_set(err, failure.code,
		   "%.700s (the standby ends what is in the way of its replay: set hot_standby_feedback, or a longer "
		   "max_standby_streaming_delay, there)",
		   failure.text);
}

int cf_pg_dump_database(struct cf_pg_dump *dump, const char *name, struct cf_err *err)
{
	struct cf_pg_database database = {.dump = dump, .name = name};
	const struct cf_pg_options options = {.database = name};
	bool is_wanted = false;
	int rc = cf_pg_session_open(dump->server, &options, lock_wait_s(dump), dump->ctx, &database.leader, err);

	if (rc == 0 && dump->options->is_raw)
		rc = become_raw(&database, err);
	if (rc == 0)
		rc = prepare(&database, &is_wanted, err);
	if (rc == 0 && is_wanted) {
		dump->time_ns = database.snapshot.time_ns;
		rc = describe(&database, err);
		if (rc == 0)
			rc = put_database(&database, err);
		if (rc == 0)
			rc = cf_pg_server_note_database(dump, &database, err);
	}
	if (rc < 0)
		explain_conflict(dump, err);
	if (rc < 0 && rc != CF_ERR_CANCELED)
		cf_err_wrap(err, "database %s", name);
	release(&database);
	return rc;
}
