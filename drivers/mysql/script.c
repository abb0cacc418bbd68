#include "drivers/mysql/script.h"

#include "base/err.h"
#include "drivers/mysql/ddl.h"
#include "drivers/mysql/manifest.h"
#include "drivers/mysql/sql.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A script read into a session leaves it as it was. */
static const char head[] =
	"SET @coffer_sql_mode = @@sql_mode, @coffer_time_zone = @@time_zone, "
	"@coffer_foreign_key_checks = @@foreign_key_checks, "
	"@coffer_unique_checks = @@unique_checks, "
	"@coffer_client = @@character_set_client, @coffer_results = @@character_set_results, "
	"@coffer_collation = @@collation_connection;\n"
	"SET NAMES utf8mb4;\n"
	"SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES', time_zone = '+00:00', "
	"foreign_key_checks = 0, unique_checks = 0;\n";

static const char tail[] =
	"SET character_set_client = @coffer_client, character_set_results = @coffer_results, "
	"collation_connection = @coffer_collation;\n"
	"SET sql_mode = @coffer_sql_mode, time_zone = @coffer_time_zone, "
	"foreign_key_checks = @coffer_foreign_key_checks, unique_checks = @coffer_unique_checks;\n";

/* Engines that build an index faster when all rows are there. */
static bool delays_keys(const struct cf_mysql_table *table)
{
	return strcasecmp(table->engine, "MyISAM") == 0 || strcasecmp(table->engine, "Aria") == 0;
}

/* Behind what a quote at text begins; text itself where it begins nothing. */
static const char *behind_quoted(const char *text)
{
	char quote = *text;
	const char *at = text + 1;

	if (quote != '\'' && quote != '`')
		return text;
	while (*at && *at != quote)
		at += at[0] == '\\' && quote == '\'' && at[1] ? 2 : 1;
	return *at ? at + 1 : at;
}

/*
 * The server names the database of every sequence that a default takes values from. A script is
 * loaded into a database of any name, so its own sequences go without.
 */
static int append_create(const struct cf_mysql_table *table, const char *database,
			 struct cf_buf *out, struct cf_err *err)
{
	static const char call[] = "nextval(";
	struct cf_buf qualifier = CF_BUF_INIT, create = CF_BUF_INIT;
	const char *from = table->create, *at;
	int rc = cf_mysql_sql(&qualifier, err, "%s%n.", call, database);

	/* It takes no number below where its numbering has got to. */
	if (rc == 0 && strcasecmp(table->engine, "ARCHIVE") == 0) {
		rc = cf_mysql_ddl_drop_numbering(table->create, &create, err);
		from = (const char *)create.data;
	}
	at = from;

	while (rc == 0 && *at) {
		const char *behind = behind_quoted(at);

		if (behind == at && strncmp(at, (const char *)qualifier.data, qualifier.len) == 0) {
			rc = cf_buf_append(out, from, (size_t)(at - from) + sizeof(call) - 1, err);
			at += qualifier.len;
			from = at;
		} else {
			at = behind == at ? at + 1 : behind;
		}
	}
	if (rc == 0)
		rc = cf_mysql_sql(out, err, "%s;\n", from);
	cf_buf_release(&qualifier);
	cf_buf_release(&create);
	return rc;
}

struct used {
	const char *database, *sequence;
	bool found;
};

static int note_use(void *user, const char *db, const char *sequence, struct cf_err *err)
{
	struct used *used = user;

	used->found |= !strcmp(db, used->database) && !strcmp(sequence, used->sequence);
	return 0;
}

/* NULL where text does not begin so, which may come from a snapshot. */
static const char *behind(const char *text, const char *words)
{
	return text && !strncmp(text, words, strlen(words)) ? text + strlen(words) : NULL;
}

/* Its value is never set back. */
static int append_if_missing(const struct cf_mysql_object *sequence, struct cf_buf *out,
			     struct cf_err *err)
{
	const char *create = behind(sequence->create, "CREATE SEQUENCE ");
	const char *value = behind(sequence->value, "SELECT ");

	return create && value
		       ? cf_mysql_sql(out, err, "CREATE SEQUENCE IF NOT EXISTS %s;\nDO %s;\n",
				      create, value)
		       : 0;
}

/* What the table's defaults cannot do without. */
static int append_used_sequences(const struct cf_mysql_table *table,
				 const struct cf_mysql_manifest *manifest, struct cf_buf *out,
				 struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < manifest->n_objects; i++) {
		const struct cf_mysql_object *object = &manifest->objects[i];
		struct used used = {.database = manifest->database, .sequence = object->name};

		if (object->kind != CF_MYSQL_SEQUENCE)
			continue;
		rc = cf_mysql_ddl_sequences(table->create, note_use, &used, err);
		if (rc == 0 && used.found)
			rc = append_if_missing(object, out, err);
	}
	return rc;
}

/* A row of such columns may be longer than a statement may be, and what the client says then
 * ("server has gone away") helps nobody. */
static bool may_have_long_rows(const struct cf_mysql_table *table)
{
	static const char *const types[] = {"` mediumblob", "` longblob", "` mediumtext",
					    "` longtext", "` json"};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcasestr(table->create, types[i]))
			return true;
	return false;
}

/* Which the server shows although a strict one refuses it. */
static bool has_odd_format(const struct cf_mysql_table *table)
{
	return strstr(table->create, " ROW_FORMAT=") || strstr(table->create, " KEY_BLOCK_SIZE=");
}

int cf_mysql_script_table_head(const struct cf_mysql_table *table,
			       const struct cf_mysql_manifest *manifest, struct cf_buf *out,
			       struct cf_err *err)
{
	int rc = 0;

	if (may_have_long_rows(table))
		rc = cf_buf_append_str(
			out,
			"-- Rows beyond max_allowed_packet (16 MiB by default): mariadb "
			"--max-allowed-packet=1G, and SET GLOBAL max_allowed_packet = "
			"1073741824\n",
			err);
	if (rc == 0)
		rc = cf_buf_append_str(out, head, err);
	/* Nothing else would commit the rows. */
	if (rc == 0)
		rc = cf_buf_append_str(
			out, "SET @coffer_autocommit = @@autocommit, autocommit = 1;\n", err);
	if (rc == 0)
		rc = append_used_sequences(table, manifest, out, err);
	if (rc == 0 && has_odd_format(table))
		rc = cf_buf_append_str(out,
				       "/*M!100201 SET @coffer_strict = @@innodb_strict_mode, "
				       "innodb_strict_mode = 0 */;\n",
				       err);
	if (rc == 0)
		rc = append_create(table, manifest->database, out, err);

	/* Rows hold the bytes of their columns' own character sets. */
	if (rc == 0)
		rc = cf_buf_append_str(out,
				       "SET NAMES binary;\n"
				       "/*M!100201 SET @coffer_check = @@check_constraint_checks, "
				       "check_constraint_checks = 0 */;\n",
				       err);
	if (rc == 0 && table->has_history)
		rc = cf_buf_append_str(out,
				       "/*M!101100 SET @coffer_history = "
				       "@@system_versioning_insert_history, "
				       "system_versioning_insert_history = 1 */;\n",
				       err);
	if (rc == 0 && delays_keys(table))
		rc = cf_mysql_sql(out, err, "ALTER TABLE %n DISABLE KEYS;\n", table->name);
	return rc;
}

int cf_mysql_script_table_tail(const struct cf_mysql_table *table, struct cf_buf *out,
			       struct cf_err *err)
{
	int rc = 0;

	if (delays_keys(table))
		rc = cf_mysql_sql(out, err, "ALTER TABLE %n ENABLE KEYS;\n", table->name);
	if (rc == 0 && has_odd_format(table))
		rc = cf_buf_append_str(
			out, "/*M!100201 SET innodb_strict_mode = @coffer_strict */;\n", err);
	if (rc == 0 && table->has_history)
		rc = cf_buf_append_str(
			out,
			"/*M!101100 SET system_versioning_insert_history = @coffer_history */;\n",
			err);
	if (rc == 0)
		rc = cf_mysql_sql(out, err, "%s%s%s",
				  "/*M!100201 SET check_constraint_checks = @coffer_check */;\n",
				  tail, "SET autocommit = @coffer_autocommit;\n");
	return rc;
}

typedef int append_fn(const struct cf_mysql_manifest *manifest,
		      const struct cf_mysql_object *object, struct cf_buf *out, struct cf_err *err);

static bool has_kind(const struct cf_mysql_manifest *manifest, enum cf_mysql_kind first,
		     enum cf_mysql_kind last)
{
	for (size_t i = 0; i < manifest->n_objects; i++)
		if (manifest->objects[i].kind >= first && manifest->objects[i].kind <= last)
			return true;
	return false;
}

/* Objects of the kinds from first to last, kind by kind. */
static int append_kinds(const struct cf_mysql_manifest *manifest, enum cf_mysql_kind first,
			enum cf_mysql_kind last, append_fn *append, struct cf_buf *out,
			struct cf_err *err)
{
	int rc = 0;

	for (int kind = (int)first; kind <= (int)last; kind++)
		for (size_t i = 0; rc == 0 && i < manifest->n_objects; i++)
			if ((int)manifest->objects[i].kind == kind)
				rc = append(manifest, &manifest->objects[i], out, err);
	return rc;
}

static int append_script(const struct cf_mysql_manifest *manifest, enum cf_mysql_kind first,
			 enum cf_mysql_kind last, append_fn *append, struct cf_buf *out,
			 struct cf_err *err)
{
	int rc;

	if (!has_kind(manifest, first, last))
		return 0;
	rc = cf_buf_append_str(out, head, err);
	if (rc == 0)
		rc = append_kinds(manifest, first, last, append, out, err);
	return rc == 0 ? cf_mysql_sql(out, err, "%s", tail) : rc;
}

static int append_sequence(const struct cf_mysql_manifest *manifest,
			   const struct cf_mysql_object *object, struct cf_buf *out,
			   struct cf_err *err)
{
	/* DO prints nothing. */
	return cf_mysql_sql(out, err, "%s;\nDO %s;\n", object->create,
			    object->value + strlen("SELECT "));
}

/* Something that the text does not hold, so that nothing in it ends the statement. */
static void choose_delimiter(const char *text, char delimiter[16])
{
	snprintf(delimiter, 16, ";;");
	for (unsigned i = 0; strstr(text, delimiter); i++)
		snprintf(delimiter, 16, "$%u$", i);
}

static int append_session(const struct cf_mysql_session *session, struct cf_buf *out,
			  struct cf_err *err)
{
	int rc = 0;

	if (session->character_set_client)
		rc = cf_mysql_sql(out, err, "SET character_set_client = %s;\n",
				  session->character_set_client);
	if (rc == 0 && session->collation_connection)
		rc = cf_mysql_sql(out, err, "SET collation_connection = %s;\n",
				  session->collation_connection);
	if (rc == 0 && session->time_zone)
		rc = cf_mysql_sql(out, err, "SET time_zone = %t;\n", session->time_zone);
	if (rc == 0 && session->sql_mode)
		rc = cf_mysql_sql(out, err, "SET sql_mode = %t;\n", session->sql_mode);
	return rc;
}

/* A program keeps the database's collation of the time when it was made. */
static int append_program(const struct cf_mysql_manifest *manifest,
			  const struct cf_mysql_object *object, struct cf_buf *out,
			  struct cf_err *err)
{
	const char *collation = object->session.database_collation;
	bool differs =
		collation && manifest->collation && strcmp(collation, manifest->collation) != 0;
	struct cf_buf plain = CF_BUF_INIT;
	const char *create = object->create;
	char delimiter[16];
	int rc = 0;

	if (cf_mysql_object_has_plain_strings(object)) {
		rc = cf_mysql_ddl_plain_strings(create, &plain, err);
		create = (const char *)plain.data;
	}
	if (rc == 0)
		choose_delimiter(create, delimiter);
	if (rc == 0 && differs)
		rc = cf_mysql_sql(out, err, "ALTER DATABASE COLLATE %s;\n", collation);
	if (rc == 0)
		rc = append_session(&object->session, out, err);
	/* On a line of its own, since the text may end in a comment. */
	if (rc == 0)
		rc = cf_mysql_sql(out, err, "DELIMITER %s\n%s\n%s\nDELIMITER ;\n", delimiter,
				  create, delimiter);
	if (rc == 0 && differs)
		rc = cf_mysql_sql(out, err, "ALTER DATABASE COLLATE %s;\n", manifest->collation);
	cf_buf_release(&plain);
	return rc;
}

/* Views name each other in any order: all of them are there, as constants, before the first is
 * made. */
static int append_placeholder(const struct cf_mysql_manifest *manifest,
			      const struct cf_mysql_object *object, struct cf_buf *out,
			      struct cf_err *err)
{
	int rc = 0;

	if (object->n_columns == 0)
		return 0;
	rc = cf_mysql_sql(out, err, "CREATE OR REPLACE VIEW %n AS SELECT", object->name);
	for (size_t i = 0; rc == 0 && i < object->n_columns; i++)
		rc = cf_mysql_sql(out, err, "%s 1 AS %n", i ? "," : "", object->columns[i]);
	return rc == 0 ? cf_buf_append_str(out, ";\n", err) : rc;
}

/* Every line behind "-- ". */
static int append_comment(const char *text, struct cf_buf *out, struct cf_err *err)
{
	int rc = 0;

	while (rc == 0 && *text) {
		size_t len = strcspn(text, "\n");

		rc = cf_buf_printf(out, err, "-- %.*s\n", (int)len, text);
		text += len + (text[len] == '\n');
	}
	return rc;
}

static int append_view(const struct cf_mysql_manifest *manifest,
		       const struct cf_mysql_object *object, struct cf_buf *out, struct cf_err *err)
{
	static const char create[] = "CREATE ";
	int rc;

	if (object->n_columns == 0) {
		rc = cf_buf_append_str(
			out,
			"-- When it was saved this view named what was not there, or what the "
			"backup's user might not use (EXECUTE of a function, say):\n",
			err);
		return rc == 0 ? append_comment(object->create, out, err) : rc;
	}
	rc = append_session(&object->session, out, err);
	return rc == 0 ? cf_mysql_sql(out, err, "CREATE OR REPLACE %s;\n",
				      object->create + sizeof(create) - 1)
		       : rc;
}

int cf_mysql_script_sequences(const struct cf_mysql_manifest *manifest, struct cf_buf *out,
			      struct cf_err *err)
{
	return append_script(manifest, CF_MYSQL_SEQUENCE, CF_MYSQL_SEQUENCE, append_sequence, out,
			     err);
}

int cf_mysql_script_routines(const struct cf_mysql_manifest *manifest, struct cf_buf *out,
			     struct cf_err *err)
{
	return append_script(manifest, CF_MYSQL_FUNCTION, CF_MYSQL_PACKAGE_BODY, append_program,
			     out, err);
}

int cf_mysql_script_views(const struct cf_mysql_manifest *manifest, struct cf_buf *out,
			  struct cf_err *err)
{
	int rc;

	if (!has_kind(manifest, CF_MYSQL_VIEW, CF_MYSQL_VIEW))
		return 0;
	rc = cf_buf_append_str(out, head, err);
	if (rc == 0)
		rc = append_kinds(manifest, CF_MYSQL_VIEW, CF_MYSQL_VIEW, append_placeholder, out,
				  err);
	if (rc == 0)
		rc = append_kinds(manifest, CF_MYSQL_VIEW, CF_MYSQL_VIEW, append_view, out, err);
	return rc == 0 ? cf_mysql_sql(out, err, "%s", tail) : rc;
}

int cf_mysql_script_triggers(const struct cf_mysql_manifest *manifest, struct cf_buf *out,
			     struct cf_err *err)
{
	return append_script(manifest, CF_MYSQL_TRIGGER, CF_MYSQL_TRIGGER, append_program, out,
			     err);
}

int cf_mysql_script_events(const struct cf_mysql_manifest *manifest, struct cf_buf *out,
			   struct cf_err *err)
{
	return append_script(manifest, CF_MYSQL_EVENT, CF_MYSQL_EVENT, append_program, out, err);
}
