/* Views, triggers, routines, packages and events: what a database holds besides its tables. */

#include "drivers/mysql/catalog.h"

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/sql.h"
#include "drivers/selector.h"

#include <stdlib.h>
#include <string.h>

/* Where SHOW CREATE has what, by column; -1: nowhere. */
struct shape {
	const char *show; /* SHOW CREATE ... */
	int sql_mode, time_zone, create, character_set, collation, database_collation;
};

static const struct shape shapes[] = {
	[CF_MYSQL_FUNCTION] = {"FUNCTION", 1, -1, 2, 3, 4, 5},
	[CF_MYSQL_PROCEDURE] = {"PROCEDURE", 1, -1, 2, 3, 4, 5},
	[CF_MYSQL_PACKAGE] = {"PACKAGE", 1, -1, 2, 3, 4, 5},
	[CF_MYSQL_PACKAGE_BODY] = {"PACKAGE BODY", 1, -1, 2, 3, 4, 5},
	[CF_MYSQL_TRIGGER] = {"TRIGGER", 1, -1, 2, 3, 4, 5},
	[CF_MYSQL_VIEW] = {"VIEW", -1, -1, 1, 2, 3, -1},
	[CF_MYSQL_EVENT] = {"EVENT", 1, 2, 3, 4, 5, 6},
};

static int copy_column(const struct cf_mysql_row *row, int column, char **out, struct cf_err *err)
{
	return column < 0 ? 0 : cf_mysql_copy(row->values[column], out, err);
}

static int copy_definition(const struct cf_mysql_row *row, const struct shape *shape,
			   struct cf_mysql_object *object, struct cf_err *err)
{
	struct cf_mysql_session *session = &object->session;
	int rc;

	if (!row->values[shape->create])
		return cf_err_set(
			err, CF_ERR_ACCESS,
			"this user may not see its text: grant SHOW CREATE ROUTINE, or SELECT on "
			"mysql.proc (MySQL: SHOW_ROUTINE, or SELECT on *.*)");
	rc = copy_column(row, shape->create, &object->create, err);
	if (rc == 0)
		rc = copy_column(row, shape->sql_mode, &session->sql_mode, err);
	if (rc == 0)
		rc = copy_column(row, shape->time_zone, &session->time_zone, err);
	if (rc == 0)
		rc = copy_column(row, shape->character_set, &session->character_set_client, err);
	if (rc == 0)
		rc = copy_column(row, shape->collation, &session->collation_connection, err);
	if (rc == 0)
		rc = copy_column(row, shape->database_collation, &session->database_collation, err);
	return rc;
}

/* The object is added also when its definition cannot be had: the caller drops the manifest then.
 */
static int add_object(struct cf_mysql *my, struct cf_mysql_manifest *manifest,
		      enum cf_mysql_kind kind, const char *name, const char *definer,
		      struct cf_mysql_object **object_out, struct cf_err *err)
{
	const struct shape *shape = &shapes[kind];
	struct cf_mysql_object *object = NULL;
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_manifest_add_object(manifest, &object, err);

	if (rc < 0)
		return rc;
	object->kind = kind;
	rc = cf_mysql_copy(name, &object->name, err);
	if (rc == 0)
		rc = cf_mysql_copy(definer, &object->definer, err);
	if (rc == 0)
		rc = cf_mysql_ask(my, &result, err, "SHOW CREATE %s %n", shape->show, name);
	if (rc == 0)
		rc = cf_mysql_fetch_one(result, &row, err);
	if (rc == 0)
		rc = copy_definition(&row, shape, object, err);
	cf_mysql_result_free(result);
	if (rc < 0)
		cf_err_wrap(err, "%s %s.%s", cf_mysql_kind_name(kind), manifest->database, name);
	else
		*object_out = object;
	return rc;
}

/* For each column of a view; the number of them, or an error. */
static int read_columns(struct cf_mysql *my, const char *database, struct cf_mysql_object *view,
			struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_ask(
		my, &result, err,
		"SELECT COLUMN_NAME FROM information_schema.COLUMNS "
		"WHERE TABLE_SCHEMA = %i AND TABLE_NAME = %i ORDER BY ORDINAL_POSITION",
		database, view->name);

	if (rc == 0)
		rc = cf_mysql_check_skipped(my, database, err);
	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0)
		rc = cf_mysql_object_add_column(view, row.values[0], err);
	cf_mysql_result_free(result);
	return rc;
}

/* What the server does not show for want of an account is put together. Names have their databases
 * then, and the text is in UTF-8, whatever the session had that made it. */
static int compose_view(struct cf_mysql *my, const char *database, struct cf_mysql_object *view,
			struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_buf create = CF_BUF_INIT;
	struct cf_mysql_row row;
	int rc = cf_mysql_ask(my, &result, err,
			      "SELECT VIEW_DEFINITION, SECURITY_TYPE, CASE CHECK_OPTION WHEN 'NONE' "
			      "THEN '' ELSE CONCAT(' WITH ', CHECK_OPTION, ' CHECK OPTION') END, "
			      "SUBSTRING_INDEX(DEFINER, '@', -1), "
			      "LEFT(DEFINER, LENGTH(DEFINER) - LENGTH(SUBSTRING_INDEX(DEFINER, '@', "
			      "-1)) - 1) FROM information_schema.VIEWS "
			      "WHERE TABLE_SCHEMA = %i AND TABLE_NAME = %i",
			      database, view->name);

	if (rc == 0)
		rc = cf_mysql_fetch_one(result, &row, err);
	if (rc == 0)
		rc = cf_mysql_sql(&create, err, "CREATE DEFINER=%n@%n SQL SECURITY %s VIEW %n AS %s%s",
				  row.values[4], row.values[3], row.values[1], view->name,
				  row.values[0], row.values[2]);
	if (rc == 0)
		rc = cf_mysql_copy((const char *)create.data, &view->create, err);
	cf_mysql_result_free(result);
	cf_buf_release(&create);
	return rc;
}

int cf_mysql_catalog_add_view(struct cf_mysql *my, const struct cf_ctx *ctx, const char *name,
			      struct cf_mysql_manifest *manifest, struct cf_err *err)
{
	struct cf_mysql_object *view = NULL;
	char *definer = NULL;
	int rc = cf_mysql_ask_value(my, &definer, err,
				    "SELECT DEFINER FROM information_schema.VIEWS "
				    "WHERE TABLE_SCHEMA = %i AND TABLE_NAME = %i",
				    manifest->database, name);

	if (rc == 0)
		rc = add_object(my, manifest, CF_MYSQL_VIEW, name, definer, &view, err);
	if (rc < 0 && cf_mysql_errno(my) == CF_MYSQL_NO_SUCH_DEFINER) {
		cf_err_clear(err);
		view = &manifest->objects[manifest->n_objects - 1];
		rc = compose_view(my, manifest->database, view, err);
	} else if (rc == 0)
		rc = read_columns(my, manifest->database, view, err);
	free(definer);
	return rc;
}

static int add_routine(struct cf_mysql *my, struct cf_mysql_manifest *manifest, const char *type,
		       const char *name, const char *definer, struct cf_err *err)
{
	struct cf_mysql_object *object;

	for (int kind = CF_MYSQL_FUNCTION; kind <= CF_MYSQL_PACKAGE_BODY; kind++)
		if (strcmp(shapes[kind].show, type) == 0)
			return add_object(my, manifest, (enum cf_mysql_kind)kind, name, definer,
					  &object, err);
	return cf_err_set(err, CF_ERR_UNSUPPORTED, "%s.%s: coffer does not know what a %s is",
			  manifest->database, name, type);
}

static int read_routines(struct cf_mysql *my, struct cf_mysql_manifest *manifest,
			 struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_ask(
		my, &result, err,
		"SELECT ROUTINE_TYPE, ROUTINE_NAME, DEFINER FROM information_schema.ROUTINES "
		"WHERE ROUTINE_SCHEMA = %i "
		"ORDER BY CAST(ROUTINE_TYPE AS BINARY), CAST(ROUTINE_NAME AS BINARY)",
		manifest->database);

	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0)
		rc = add_routine(my, manifest, row.values[0], row.values[1], row.values[2], err);
	cf_mysql_result_free(result);
	return rc;
}

/* The last n characters of text, in UTF-8 or with one byte each. */
static const char *last_characters(const char *text, size_t n, bool is_utf8)
{
	const char *at = text + strlen(text);

	while (n > 0 && at > text) {
		at--;
		if (!is_utf8 || ((unsigned char)*at & 0xc0) != 0x80)
			n--;
	}
	return at;
}

static size_t count_characters(const char *utf8)
{
	size_t n = 0;

	for (; *utf8; utf8++)
		n += ((unsigned char)*utf8 & 0xc0) != 0x80;
	return n;
}

/*
 * The trigger's body is the end of its statement. information_schema has it in UTF-8 of three bytes
 * at most, so it tells where the body begins, but not what it says.
 */
static const char *find_body(const struct cf_mysql_object *trigger, const char *shown)
{
	const char *character_set = trigger->session.character_set_client;
	bool is_utf8 = !character_set || strncmp(character_set, "utf8", 4) == 0;

	return last_characters(trigger->create, count_characters(shown), is_utf8);
}

/* row: name, definer, table, timing, event, body. */
static int add_trigger(struct cf_mysql *my, struct cf_mysql_manifest *manifest,
		       const struct cf_mysql_row *row, struct cf_err *err)
{
	struct cf_mysql_object *object = NULL;
	int rc = add_object(my, manifest, CF_MYSQL_TRIGGER, row->values[0], row->values[1], &object,
			    err);

	if (rc == 0)
		rc = cf_mysql_copy(row->values[2], &object->trigger.table, err);
	if (rc == 0)
		rc = cf_mysql_copy(row->values[3], &object->trigger.timing, err);
	if (rc == 0)
		rc = cf_mysql_copy(row->values[4], &object->trigger.event, err);
	if (rc == 0)
		rc = cf_mysql_copy(find_body(object, row->values[5]), &object->trigger.body, err);
	return rc;
}

static bool has_table(const struct cf_mysql_manifest *manifest, const char *name)
{
	for (size_t i = 0; i < manifest->n_tables; i++)
		if (strcmp(manifest->tables[i].name, name) == 0)
			return true;
	return false;
}

int cf_mysql_catalog_read_triggers(struct cf_mysql *my, struct cf_mysql_manifest *manifest,
				   struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_ask(
		my, &result, err,
		"SELECT TRIGGER_NAME, DEFINER, EVENT_OBJECT_TABLE, ACTION_TIMING, "
		"EVENT_MANIPULATION, ACTION_STATEMENT FROM information_schema.TRIGGERS "
		"WHERE TRIGGER_SCHEMA = %i ORDER BY CAST(EVENT_OBJECT_TABLE AS BINARY), "
		"ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER",
		manifest->database);

	if (rc == 0)
		rc = cf_mysql_check_skipped(my, manifest->database, err);
	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0)
		rc = has_table(manifest, row.values[2]) ? add_trigger(my, manifest, &row, err) : 0;
	cf_mysql_result_free(result);
	return rc;
}

static int read_events(struct cf_mysql *my, struct cf_mysql_manifest *manifest, struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_object *object;
	struct cf_mysql_row row;
	/* Unlike information_schema, it is refused where the right is missing. */
	int rc = cf_mysql_ask(my, &result, err, "SHOW EVENTS FROM %n", manifest->database);

	if (rc == CF_ERR_ACCESS)
		cf_err_wrap(err, "the right EVENT is needed to list the events of %s",
			    manifest->database);
	else if (rc < 0)
		cf_err_wrap(err, "list the events of %s", manifest->database);
	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0)
		rc = add_object(my, manifest, CF_MYSQL_EVENT, row.values[1], row.values[2], &object,
				err);
	cf_mysql_result_free(result);
	return rc;
}

int cf_mysql_catalog_read_objects(struct cf_mysql *my,
				  const struct cf_mysql_catalog_options *options,
				  struct cf_mysql_manifest *manifest, struct cf_err *err)
{
	int rc = cf_mysql_catalog_read_triggers(my, manifest, err);

	if (rc < 0 || !cf_selector_takes_schema(options->selector, NULL, manifest->database))
		return rc;
	rc = read_routines(my, manifest, err);
	if (rc == 0)
		rc = read_events(my, manifest, err);
	return rc;
}
