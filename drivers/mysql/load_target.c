/* What the server holds already: it is refused, or dropped when the user said so. */

#include "base/err.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/load.h"
#include "drivers/mysql/manifest_json.h"
#include "drivers/mysql/sql.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum thing {
	THING_TABLE, /* and whatever shares its names: views, sequences */
	THING_TRIGGER,
	THING_FUNCTION,
	THING_PROCEDURE,
	THING_PACKAGE,
	THING_PACKAGE_BODY,
	THING_EVENT
};

/* Names and types of what a database holds; "table" is of a trigger. */
static const char things_sql[] =
	"SELECT TABLE_NAME, TABLE_TYPE, '' FROM information_schema.TABLES WHERE TABLE_SCHEMA=%1$s"
	" UNION ALL SELECT TRIGGER_NAME, 'TRIGGER', EVENT_OBJECT_TABLE FROM "
	"information_schema.TRIGGERS"
	" WHERE TRIGGER_SCHEMA=%1$s"
	" UNION ALL SELECT ROUTINE_NAME, ROUTINE_TYPE, '' FROM information_schema.ROUTINES"
	" WHERE ROUTINE_SCHEMA=%1$s"
	" UNION ALL SELECT EVENT_NAME, 'EVENT', '' FROM information_schema.EVENTS WHERE "
	"EVENT_SCHEMA=%1$s";

/* How DROP calls a type, and what kind of thing it is. */
static const struct {
	const char *type, *word;
	enum thing thing;
} types[] = {
	{"BASE TABLE", "TABLE", THING_TABLE},
	{"SYSTEM VERSIONED", "TABLE", THING_TABLE},
	{"VIEW", "VIEW", THING_TABLE},
	{"SEQUENCE", "SEQUENCE", THING_TABLE},
	{"TRIGGER", "TRIGGER", THING_TRIGGER},
	{"FUNCTION", "FUNCTION", THING_FUNCTION},
	{"PROCEDURE", "PROCEDURE", THING_PROCEDURE},
	{"PACKAGE", "PACKAGE", THING_PACKAGE},
	{"PACKAGE BODY", "PACKAGE BODY", THING_PACKAGE_BODY},
	{"EVENT", "EVENT", THING_EVENT},
};

static int thing_of_type(const char *type)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcmp(types[i].type, type))
			return (int)i;
	return 0;
}

static enum thing thing_of_kind(enum cf_mysql_kind kind)
{
	static const enum thing things[] = {
		[CF_MYSQL_SEQUENCE] = THING_TABLE,
		[CF_MYSQL_FUNCTION] = THING_FUNCTION,
		[CF_MYSQL_PROCEDURE] = THING_PROCEDURE,
		[CF_MYSQL_PACKAGE] = THING_PACKAGE,
		[CF_MYSQL_PACKAGE_BODY] = THING_PACKAGE_BODY,
		[CF_MYSQL_TRIGGER] = THING_TRIGGER,
		[CF_MYSQL_VIEW] = THING_TABLE,
		[CF_MYSQL_EVENT] = THING_EVENT,
	};

	return things[kind];
}

static bool same_name(const struct cf_mysql_load *load, const char *a, const char *b)
{
	return load->pattern_flags & CF_PATTERN_ANY_CASE ? !strcasecmp(a, b) : !strcmp(a, b);
}

/* Whether the restore makes something that the server would call the same. Routines, triggers and
 * events have names without case. */
static bool makes(const struct cf_mysql_load *load, size_t target, enum thing thing,
		  const char *name)
{
	for (size_t i = 0; thing == THING_TABLE && i < load->n_tables; i++)
		if (load->tables[i].target == target && same_name(load, load->tables[i].name, name))
			return true;
	for (size_t i = 0; i < load->n_objects; i++) {
		const struct cf_mysql_load_object *object = &load->objects[i];

		if (object->target == target && thing_of_kind(object->from->kind) == thing &&
		    (thing == THING_TABLE ? same_name(load, object->name, name)
					  : !strcasecmp(object->name, name)))
			return true;
	}
	return false;
}

/* "package body shop.p", of DROP's word for it; free() it. NULL when memory is out. */
static char *labelled(const struct cf_mysql_load *load, size_t target, const char *word,
		      const char *name)
{
	char *label = cf_mysql_load_label(word, load->targets[target].name, name);

	for (size_t i = 0; label && word[i]; i++)
		label[i] = (char)tolower((unsigned char)label[i]);
	return label;
}

static int add_drop(struct cf_mysql_load *load, size_t target, const char *word, const char *name,
		    struct cf_err *err)
{
	struct cf_mysql_load_drop *drop =
		cf_mysql_grow(&load->drops, &load->n_drops, sizeof(*drop));
	struct cf_buf sql = CF_BUF_INIT;
	int rc = drop ? cf_buf_printf(&sql, err, "DROP %s IF EXISTS ", word) : cf_err_nomem(err);

	if (rc == 0)
		rc = cf_mysql_quote_name(name, &sql, err);
	if (rc < 0) {
		cf_buf_release(&sql);
		return rc;
	}
	drop->target = target;
	drop->sql = (char *)sql.data;
	drop->label = labelled(load, target, word, name);
	return drop->label ? 0 : cf_err_nomem(err);
}

static int refuse(const struct cf_mysql_load *load, size_t target, const char *word,
		  const char *name, struct cf_err *err)
{
	char *label = labelled(load, target, word, name);
	int rc = label ? cf_err_set(err, CF_ERR_EXISTS,
				    "%s: %s is there already: --clean replaces it, --rename gives "
				    "another name",
				    cf_mysql_server_name(load->my), label)
		       : cf_err_nomem(err);

	free(label);
	return rc;
}

/* The target's name as information_schema has it. */
static int append_target(const struct cf_mysql_load *load, size_t target, struct cf_buf *sql,
			 struct cf_err *err)
{
	return cf_mysql_sql(sql, err, load->folds ? "%t" : "%i", load->targets[target].name);
}

/* Rows of a query about one target; %1$s in sql stands for its name. */
static int query_target(struct cf_mysql_load *load, size_t target, const char *sql,
			struct cf_mysql_result **result_out, struct cf_err *err)
{
	struct cf_buf full = CF_BUF_INIT;
	const char *at = sql, *mark;
	int rc = 0;

	for (; rc == 0 && (mark = strstr(at, "%1$s")); at = mark + 4) {
		rc = cf_buf_append(&full, at, (size_t)(mark - at), err);
		if (rc == 0)
			rc = append_target(load, target, &full, err);
	}
	if (rc == 0)
		rc = cf_buf_append(&full, at, strlen(at) + 1, err);
	if (rc == 0)
		rc = cf_mysql_query(load->my, (const char *)full.data, result_out, err);
	cf_buf_release(&full);
	return rc;
}

/* A sequence that a table's default merely uses goes on: set back, it would give its numbers again.
 */
static bool leave_sequence(struct cf_mysql_load *load, size_t target, const char *name,
			   const char *type)
{
	for (size_t i = 0; !strcmp(type, "SEQUENCE") && i < load->n_objects; i++) {
		struct cf_mysql_load_object *object = &load->objects[i];

		if (!object->is_implied || object->target != target ||
		    !same_name(load, object->name, name))
			continue;
		object->is_left = true;
		cf_ctx_note(load->ctx, "sequence.left", object->label,
			    "%s is there already and goes on from where it is", object->label);
		return true;
	}
	return false;
}

/* A trigger that the snapshot does not have, of a table that is dropped. */
static int lose_trigger(struct cf_mysql_load *load, size_t target, const char *name,
			const char *table, struct cf_err *err)
{
	const char *label;
	int rc;

	if (!makes(load, target, THING_TABLE, table))
		return 0;
	rc = add_drop(load, target, "TRIGGER", name, err);
	if (rc < 0)
		return rc;
	label = load->drops[load->n_drops - 1].label;
	cf_ctx_warn(load->ctx, "trigger.lost", label,
		    "%s goes with its table, which is replaced, and does not come back: the "
		    "snapshot does not have it",
		    label);
	return 0;
}

/* One thing that is there: nothing to do, refused, or dropped. table: a trigger's. */
static int judge(struct cf_mysql_load *load, size_t target, const char *name, const char *type,
		 const char *table, struct cf_err *err)
{
	int index = thing_of_type(type);
	bool is_made = makes(load, target, types[index].thing, name);

	if (leave_sequence(load, target, name, type))
		return 0;
	if (load->options->clean && is_made)
		return add_drop(load, target, types[index].word, name, err);
	if (load->options->clean)
		return types[index].thing == THING_TRIGGER
			       ? lose_trigger(load, target, name, table, err)
			       : 0;
	return is_made || load->targets[target].is_whole
		       ? refuse(load, target, types[index].word, name, err)
		       : 0;
}

static int examine_things(struct cf_mysql_load *load, size_t target, struct cf_err *err)
{
	struct cf_mysql_result *result;
	struct cf_mysql_row row;
	int rc = query_target(load, target, things_sql, &result, err);

	if (rc < 0)
		return rc;
	while ((rc = cf_mysql_fetch(result, &row, err)) == 1) {
		rc = judge(load, target, row.values[0], row.values[1], row.values[2], err);
		if (rc < 0)
			break;
	}
	cf_mysql_result_free(result);
	return rc;
}

/* Rows go into a table that is there and empty. */
static int examine_data_only(struct cf_mysql_load *load, struct cf_mysql_load_table *table,
			     struct cf_err *err)
{
	char *found = NULL;
	int rc = cf_mysql_ask_value(load->my, &found, err, "SELECT 1 FROM %n.%n LIMIT 1",
				    load->targets[table->target].name, table->name);

	if (rc == 0 && found)
		rc = cf_err_set(err, CF_ERR_EXISTS,
				"%s: %s holds rows already: empty it first (TRUNCATE TABLE)",
				cf_mysql_server_name(load->my), table->label);
	free(found);
	return rc;
}

/* What the server keeps its own affairs in. */
static bool is_system(const char *database)
{
	static const char *const names[] = {"mysql", "information_schema", "performance_schema"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcasecmp(names[i], database))
			return true;
	return false;
}

/* Whether the database is there, and has other defaults than the one of the snapshot. */
static int examine_database(struct cf_mysql_load *load, size_t index, struct cf_err *err)
{
	struct cf_mysql_load_target *target = &load->targets[index];
	const struct cf_mysql_manifest *like = &target->like->manifest;
	struct cf_mysql_result *result;
	struct cf_mysql_row row;
	int rc = query_target(load, index,
			      cf_mysql_has_database_comments(load->my)
				      ? "SELECT DEFAULT_COLLATION_NAME, SCHEMA_COMMENT"
					" FROM information_schema.SCHEMATA WHERE SCHEMA_NAME=%1$s"
				      : "SELECT DEFAULT_COLLATION_NAME, ''"
					" FROM information_schema.SCHEMATA WHERE SCHEMA_NAME=%1$s",
			      &result, err);

	if (rc < 0)
		return rc;
	rc = cf_mysql_fetch(result, &row, err);
	target->exists = rc > 0;
	target->differs =
		rc > 0 && (strcmp(row.values[0], like->collation) != 0 ||
			   strcmp(row.values[1], like->comment ? like->comment : "") != 0);
	cf_mysql_result_free(result);
	return rc < 0 ? rc : 0;
}

static int examine_target(struct cf_mysql_load *load, size_t index, struct cf_err *err)
{
	struct cf_mysql_load_target *target = &load->targets[index];
	const struct cf_load_options *options = load->options;
	int rc;

	if (is_system(target->name))
		return cf_err_set(err, CF_ERR_USAGE,
				  "database %s is the server's own: --rename gives another name",
				  target->name);
	rc = examine_database(load, index, err);
	if (rc < 0)
		return rc;
	if (!target->exists && options->data_only)
		return cf_err_set(err, CF_ERR_NOT_FOUND,
				  "%s: there is no database %s to put rows into",
				  cf_mysql_server_name(load->my), target->name);
	if (target->exists && options->create && !options->clean)
		return cf_err_set(err, CF_ERR_EXISTS,
				  "%s: database %s exists already: --clean drops it first, "
				  "--rename gives another name",
				  cf_mysql_server_name(load->my), target->name);
	target->is_dropped = target->exists && options->create;
	if (target->differs && target->is_whole && !options->clean && !options->data_only)
		cf_ctx_note(load->ctx, "database.defaults", target->name,
			    "database %s keeps its own character set, collation and comment",
			    target->name);
	if (!target->exists || target->is_dropped || options->data_only)
		return 0;
	return examine_things(load, index, err);
}

int cf_mysql_load_examine(struct cf_mysql_load *load, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < load->n_targets; i++)
		rc = examine_target(load, i, err);
	for (size_t i = 0; rc == 0 && load->options->data_only && i < load->n_tables; i++)
		if (load->tables[i].path)
			rc = examine_data_only(load, &load->tables[i], err);
	return rc == 0 && load->options->data_only ? cf_mysql_load_find_triggers(load, err) : rc;
}

static int run_on_name(struct cf_mysql *my, const char *head, const char *name, const char *tail,
		       struct cf_err *err)
{
	struct cf_buf sql = CF_BUF_INIT;
	int rc = cf_buf_append_str(&sql, head, err);

	if (rc == 0)
		rc = cf_mysql_quote_name(name, &sql, err);
	if (rc == 0)
		rc = cf_buf_append_str(&sql, tail, err);
	if (rc == 0)
		rc = cf_mysql_run_span(my, cf_buf_span(&sql), err);
	cf_buf_release(&sql);
	return rc;
}

/* " CHARACTER SET ..." */
static int append_defaults(const struct cf_mysql_load *load,
			   const struct cf_mysql_load_target *target, struct cf_buf *out,
			   struct cf_err *err)
{
	const struct cf_mysql_manifest *like = &target->like->manifest;
	bool has_comment = like->comment || (target->exists && !target->is_dropped &&
					     cf_mysql_has_database_comments(load->my));
	int rc = cf_mysql_sql(out, err, " CHARACTER SET %t COLLATE %t", like->character_set,
			      like->collation);

	if (rc == 0 && has_comment)
		rc = cf_mysql_sql(out, err, " COMMENT %t", like->comment ? like->comment : "");
	return rc;
}

/* verb: "CREATE DATABASE " */
static int define_database(struct cf_mysql_load *load, const struct cf_mysql_load_target *target,
			   const char *verb, struct cf_err *err)
{
	struct cf_buf tail = CF_BUF_INIT;
	int rc = append_defaults(load, target, &tail, err);

	if (rc == 0)
		rc = run_on_name(load->my, verb, target->name, (const char *)tail.data, err);
	cf_buf_release(&tail);
	return rc;
}

/* The step, and whether it is to be done. */
static bool database_step(struct cf_mysql_load *load, const char *action, const char *name)
{
	char *label;
	bool goes;

	if (asprintf(&label, "database %s", name) < 0)
		return cf_mysql_load_step(load, action, name, 0);
	goes = cf_mysql_load_step(load, action, label, 0);
	free(label);
	return goes;
}

/* A statement that this user has no right to has changed nothing. */
static void note_change(struct cf_mysql_load *load, int rc)
{
	load->has_begun |= rc != CF_ERR_ACCESS;
}

/* A database that is replaced, though not dropped. What else is in it keeps its own. */
static bool takes_defaults(const struct cf_mysql_load *load,
			   const struct cf_mysql_load_target *target)
{
	return target->exists && !target->is_dropped && target->is_whole && target->differs &&
	       load->options->clean;
}

static int make_database(struct cf_mysql_load *load, struct cf_mysql_load_target *target,
			 struct cf_err *err)
{
	int rc = 0;

	if (target->is_dropped && database_step(load, "drop", target->name)) {
		rc = run_on_name(load->my, "DROP DATABASE ", target->name, "", err);
		note_change(load, rc);
	}
	if (rc == 0 && (!target->exists || target->is_dropped) &&
	    database_step(load, "create", target->name)) {
		rc = define_database(load, target, "CREATE DATABASE ", err);
		load->has_begun |= rc == 0;
	}
	if (rc == 0 && takes_defaults(load, target) && database_step(load, "alter", target->name)) {
		rc = define_database(load, target, "ALTER DATABASE ", err);
		note_change(load, rc);
	}
	if (rc < 0)
		cf_err_wrap(err, "database %s", target->name);
	return rc;
}

/* What was to go into a database that could not be made. */
static void leave_out(struct cf_mysql_load *load, size_t target)
{
	size_t n_tables = 0, n_objects = 0;

	for (size_t i = 0; i < load->n_tables; i++)
		if (load->tables[i].target == target)
			cf_mysql_load_table_release(&load->tables[i]);
		else
			load->tables[n_tables++] = load->tables[i];
	for (size_t i = 0; i < load->n_objects; i++)
		if (load->objects[i].target == target)
			cf_mysql_load_object_release(&load->objects[i]);
		else
			load->objects[n_objects++] = load->objects[i];
	load->n_tables = n_tables;
	load->n_objects = n_objects;
}

static int make_or_leave_out(struct cf_mysql_load *load, size_t index, struct cf_err *err)
{
	int rc = make_database(load, &load->targets[index], err);

	if (rc == 0 || !cf_mysql_load_forgives(load, load->my, rc))
		return rc;
	cf_ctx_warn(load->ctx, "restore.failed", load->targets[index].name,
		    "left out with all that is in it: %s", err ? err->text : "");
	cf_err_clear(err);
	leave_out(load, index);
	return 0;
}

static int run_drop(struct cf_mysql_load *load, const struct cf_mysql_load_drop *drop,
		    struct cf_err *err)
{
	/* The only mode in which MariaDB 10.11 knows the word. */
	bool is_package = !strncmp(drop->sql, "DROP PACKAGE", strlen("DROP PACKAGE"));
	int rc = cf_ctx_check(load->ctx, err);

	if (rc == 0)
		rc = cf_mysql_load_use(load, load->my, drop->target, err);
	if (rc == 0)
		rc = cf_mysql_run(load->my, is_package ? "SET sql_mode=ORACLE" : "SET sql_mode=''",
				  err);
	if (rc == 0) {
		rc = cf_mysql_run(load->my, drop->sql, err);
		note_change(load, rc);
	}
	if (rc < 0)
		cf_err_wrap(err, "%s", drop->label);
	return cf_mysql_load_forgive(load, load->my, drop->label, rc, err);
}

int cf_mysql_load_clear(struct cf_mysql_load *load, struct cf_err *err)
{
	int rc = 0;

	/* The last first: triggers and routines before the tables they are about. */
	for (size_t i = load->n_drops; rc == 0 && i-- > 0;)
		if (cf_mysql_load_step(load, "drop", load->drops[i].label, 0))
			rc = run_drop(load, &load->drops[i], err);
	for (size_t i = 0; rc == 0 && i < load->n_targets; i++)
		rc = make_or_leave_out(load, i, err);
	return rc;
}
