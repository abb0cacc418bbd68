#include "drivers/mysql/manifest.h"

#include "base/err.h"
#include "base/stream.h"
#include "drivers/mysql/manifest_json.h"

#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = {
	[CF_MYSQL_SEQUENCE] = "sequence",
	[CF_MYSQL_FUNCTION] = "function",
	[CF_MYSQL_PROCEDURE] = "procedure",
	[CF_MYSQL_PACKAGE] = "package",
	[CF_MYSQL_PACKAGE_BODY] = "package body",
	[CF_MYSQL_TRIGGER] = "trigger",
	[CF_MYSQL_VIEW] = "view",
	[CF_MYSQL_EVENT] = "event",
};

enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

const char *cf_mysql_kind_name(enum cf_mysql_kind kind)
{
	return kinds[kind];
}

static bool kind_named(const char *name, enum cf_mysql_kind *out)
{
	for (int i = 0; i < N_KINDS; i++)
		if (!strcmp(kinds[i], name)) {
			*out = (enum cf_mysql_kind)i;
			return true;
		}
	return false;
}

static void release_object(struct cf_mysql_object *object)
{
	struct cf_mysql_session *session = &object->session;

	free(object->name);
	free(object->definer);
	free(object->create);
	free(object->value);
	for (size_t i = 0; i < object->n_columns; i++)
		free(object->columns[i]);
	free(object->columns);
	free(object->trigger.table);
	free(object->trigger.timing);
	free(object->trigger.event);
	free(object->trigger.body);
	free(session->sql_mode);
	free(session->character_set_client);
	free(session->collation_connection);
	free(session->database_collation);
	free(session->time_zone);
}

static void release_table(struct cf_mysql_table *table)
{
	free(table->name);
	free(table->file);
	free(table->create);
	free(table->engine);
	for (size_t i = 0; i < table->n_columns; i++)
		free(table->columns[i].name);
	free(table->columns);
}

void cf_mysql_manifest_release(struct cf_mysql_manifest *manifest)
{
	for (size_t i = 0; i < manifest->n_tables; i++)
		release_table(&manifest->tables[i]);
	for (size_t i = 0; i < manifest->n_objects; i++)
		release_object(&manifest->objects[i]);
	free(manifest->tables);
	free(manifest->objects);
	free(manifest->database);
	free(manifest->character_set);
	free(manifest->collation);
	free(manifest->comment);
	*manifest = (struct cf_mysql_manifest)CF_MYSQL_MANIFEST_INIT;
}

int cf_mysql_manifest_add_table(struct cf_mysql_manifest *manifest,
				struct cf_mysql_table **table_out, struct cf_err *err)
{
	*table_out = cf_mysql_grow(&manifest->tables, &manifest->n_tables, sizeof(**table_out));
	return *table_out ? 0 : cf_err_nomem(err);
}

int cf_mysql_manifest_add_object(struct cf_mysql_manifest *manifest,
				 struct cf_mysql_object **object_out, struct cf_err *err)
{
	*object_out = cf_mysql_grow(&manifest->objects, &manifest->n_objects, sizeof(**object_out));
	return *object_out ? 0 : cf_err_nomem(err);
}

int cf_mysql_table_add_column(struct cf_mysql_table *table, const char *name, bool is_hex,
			      struct cf_err *err)
{
	struct cf_mysql_column *column =
		cf_mysql_grow(&table->columns, &table->n_columns, sizeof(*column));

	if (!column)
		return cf_err_nomem(err);
	column->is_hex = is_hex;
	column->name = strdup(name);
	return column->name ? 0 : cf_err_nomem(err);
}

int cf_mysql_object_add_column(struct cf_mysql_object *object, const char *name, struct cf_err *err)
{
	char **column = cf_mysql_grow(&object->columns, &object->n_columns, sizeof(*column));

	if (!column)
		return cf_err_nomem(err);
	*column = strdup(name);
	return *column ? 0 : cf_err_nomem(err);
}

bool cf_mysql_object_has_plain_strings(const struct cf_mysql_object *object)
{
	const char *mode = object->session.sql_mode;
	bool has_header = (object->kind >= CF_MYSQL_FUNCTION &&
			   object->kind <= CF_MYSQL_PACKAGE_BODY) ||
			  object->kind == CF_MYSQL_EVENT;

	return has_header && mode && strstr(mode, "NO_BACKSLASH_ESCAPES");
}

/* Fields of texts, by place: encoding and decoding share the lists. */
struct text_field {
	const char *key;
	size_t off;
	bool is_required;
};

static const struct text_field database_texts[] = {
	{"name", offsetof(struct cf_mysql_manifest, database), true},
	{"character_set", offsetof(struct cf_mysql_manifest, character_set), true},
	{"collation", offsetof(struct cf_mysql_manifest, collation), true},
	{"comment", offsetof(struct cf_mysql_manifest, comment), false},
	{NULL, 0, false},
};

static const struct text_field table_texts[] = {
	{"name", offsetof(struct cf_mysql_table, name), true},
	{"file", offsetof(struct cf_mysql_table, file), false},
	{"engine", offsetof(struct cf_mysql_table, engine), false},
	{"create", offsetof(struct cf_mysql_table, create), true},
	{NULL, 0, false},
};

static const struct text_field object_texts[] = {
	{"name", offsetof(struct cf_mysql_object, name), true},
	{"definer", offsetof(struct cf_mysql_object, definer), false},
	{"create", offsetof(struct cf_mysql_object, create), true},
	{"value", offsetof(struct cf_mysql_object, value), false},
	{"table", offsetof(struct cf_mysql_object, trigger.table), false},
	{"timing", offsetof(struct cf_mysql_object, trigger.timing), false},
	{"event", offsetof(struct cf_mysql_object, trigger.event), false},
	{"body", offsetof(struct cf_mysql_object, trigger.body), false},
	{"sql_mode", offsetof(struct cf_mysql_object, session.sql_mode), false},
	{"character_set_client", offsetof(struct cf_mysql_object, session.character_set_client),
	 false},
	{"collation_connection", offsetof(struct cf_mysql_object, session.collation_connection),
	 false},
	{"database_collation", offsetof(struct cf_mysql_object, session.database_collation), false},
	{"time_zone", offsetof(struct cf_mysql_object, session.time_zone), false},
	{NULL, 0, false},
};

static char **text_at(void *record, const struct text_field *field)
{
	return (char **)(void *)((char *)record + field->off);
}

static const char *const_text_at(const void *record, const struct text_field *field)
{
	return *(char *const *)(const void *)((const char *)record + field->off);
}

static bool put_texts(json_t *object, const void *record, const struct text_field *field)
{
	for (; field->key; field++)
		if (!cf_mysql_json_put_text(object, field->key, const_text_at(record, field)))
			return false;
	return true;
}

static int get_texts(const json_t *object, void *record, const struct text_field *field,
		     struct cf_err *err)
{
	int rc = 0;

	for (; rc == 0 && field->key; field++)
		rc = cf_mysql_json_get_text(object, field->key, field->is_required,
					    text_at(record, field), err);
	return rc;
}

/* {"name": "a", "hex": true} */
static json_t *column_to_json(const struct cf_mysql_column *column)
{
	json_t *object = json_object();

	if (!cf_mysql_json_put_text(object, "name", column->name) ||
	    (column->is_hex && json_object_set_new(object, "hex", json_true()) < 0)) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static json_t *table_to_json(const struct cf_mysql_table *table)
{
	json_t *object = json_object(), *columns = json_array();
	bool fine = put_texts(object, table, table_texts);

	for (size_t i = 0; fine && i < table->n_columns; i++)
		fine = json_array_append_new(columns, column_to_json(&table->columns[i])) == 0;
	fine = fine && json_object_set(object, "columns", columns) == 0 &&
	       cf_mysql_json_put_int(object, "rows", table->rows) &&
	       cf_mysql_json_put_int(object, "data_offset", table->data_off) &&
	       cf_mysql_json_put_int(object, "data_length", table->data_len) &&
	       json_object_set_new(object, "transactional",
				   json_boolean(table->is_transactional)) == 0 &&
	       json_object_set_new(object, "history", json_boolean(table->has_history)) == 0;
	json_decref(columns);
	if (fine)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *object_to_json(const struct cf_mysql_object *from)
{
	json_t *object = json_object(), *columns = json_array();
	bool fine = cf_mysql_json_put_text(object, "kind", kinds[from->kind]) &&
		    put_texts(object, from, object_texts);

	for (size_t i = 0; fine && i < from->n_columns; i++) {
		struct cf_mysql_column column = {.name = from->columns[i]};

		fine = json_array_append_new(columns, column_to_json(&column)) == 0;
	}
	if (fine && from->n_columns > 0)
		fine = json_object_set(object, "columns", columns) == 0;
	json_decref(columns);
	if (fine)
		return object;
	json_decref(object);
	return NULL;
}

int cf_mysql_manifest_encode(const struct cf_mysql_manifest *manifest, struct cf_buf *out,
			     struct cf_err *err)
{
	json_t *doc = cf_mysql_json_document("coffer mysql database");
	json_t *tables = json_array(), *objects = json_array();
	bool fine = put_texts(doc, manifest, database_texts);

	for (size_t i = 0; fine && i < manifest->n_tables; i++)
		fine = json_array_append_new(tables, table_to_json(&manifest->tables[i])) == 0;
	for (size_t i = 0; fine && i < manifest->n_objects; i++)
		fine = json_array_append_new(objects, object_to_json(&manifest->objects[i])) == 0;
	fine = fine && json_object_set(doc, "tables", tables) == 0 &&
	       json_object_set(doc, "objects", objects) == 0;
	json_decref(tables);
	json_decref(objects);
	return cf_mysql_json_encode(doc, fine, out, err);
}

static int column_from_json(const json_t *object, char **name_out, bool *is_hex_out,
			    struct cf_err *err)
{
	*is_hex_out = json_is_true(json_object_get(object, "hex"));
	return cf_mysql_json_get_text(object, "name", true, name_out, err);
}

static int columns_from_json(const json_t *object, struct cf_mysql_table *table, struct cf_err *err)
{
	const json_t *columns;
	size_t n;
	int rc = cf_mysql_json_array(object, "columns", CF_MYSQL_COLUMNS_MAX, &columns, &n, err);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct cf_mysql_column *column =
			cf_mysql_grow(&table->columns, &table->n_columns, sizeof(*column));

		if (!column)
			return cf_err_nomem(err);
		rc = column_from_json(json_array_get(columns, i), &column->name, &column->is_hex,
				      err);
	}
	return rc;
}

static int table_from_json(const json_t *object, struct cf_mysql_table *table, struct cf_err *err)
{
	int rc = get_texts(object, table, table_texts, err);

	if (rc == 0)
		rc = columns_from_json(object, table, err);
	if (rc == 0)
		rc = cf_mysql_json_get_int(object, "rows", &table->rows, err);
	if (rc == 0)
		rc = cf_mysql_json_get_int(object, "data_offset", &table->data_off, err);
	if (rc == 0)
		rc = cf_mysql_json_get_int(object, "data_length", &table->data_len, err);
	if (rc < 0)
		return rc;
	table->is_transactional = json_is_true(json_object_get(object, "transactional"));
	table->has_history = json_is_true(json_object_get(object, "history"));
	if (table->file && !cf_entry_name_valid(table->file))
		return cf_err_set(err, CF_ERR_DAMAGED, "names a file \"%s\"", table->file);
	if ((table->data_len > 0) != (table->rows > 0))
		return cf_err_set(err, CF_ERR_DAMAGED,
				  "gives table %s rows without data, or data without rows",
				  table->name);
	if (table->data_len > 0 && !table->file)
		return cf_err_set(err, CF_ERR_DAMAGED, "gives table %s rows without a file",
				  table->name);
	return 0;
}

static int object_from_json(const json_t *from, struct cf_mysql_object *object, struct cf_err *err)
{
	const char *kind = json_string_value(json_object_get(from, "kind"));
	const json_t *columns = NULL;
	size_t n = 0;
	int rc;

	if (!kind || !kind_named(kind, &object->kind))
		return cf_err_set(err, CF_ERR_UNSUPPORTED,
				  "holds an object of a kind this program does not know: \"%s\"",
				  kind ? kind : "?");
	rc = get_texts(from, object, object_texts, err);
	if (rc == 0 && json_object_get(from, "columns"))
		rc = cf_mysql_json_array(from, "columns", CF_MYSQL_COLUMNS_MAX, &columns, &n, err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		char **column =
			cf_mysql_grow(&object->columns, &object->n_columns, sizeof(*column));
		bool ignored;

		if (!column)
			return cf_err_nomem(err);
		rc = column_from_json(json_array_get(columns, i), column, &ignored, err);
	}
	if (rc == 0 && object->kind == CF_MYSQL_TRIGGER &&
	    (!object->trigger.table || !object->trigger.timing || !object->trigger.event ||
	     !object->trigger.body))
		rc = cf_err_set(err, CF_ERR_DAMAGED, "lacks parts of trigger %s", object->name);
	return rc;
}

static int tables_from_json(const json_t *doc, struct cf_mysql_manifest *manifest,
			    struct cf_err *err)
{
	const json_t *tables;
	size_t n;
	int rc = cf_mysql_json_array(doc, "tables", CF_MYSQL_OBJECTS_MAX, &tables, &n, err);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct cf_mysql_table *table;

		rc = cf_mysql_manifest_add_table(manifest, &table, err);
		if (rc == 0)
			rc = table_from_json(json_array_get(tables, i), table, err);
	}
	return rc;
}

static int objects_from_json(const json_t *doc, struct cf_mysql_manifest *manifest,
			     struct cf_err *err)
{
	const json_t *objects;
	size_t n;
	int rc = cf_mysql_json_array(doc, "objects", CF_MYSQL_OBJECTS_MAX, &objects, &n, err);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct cf_mysql_object *object;

		rc = cf_mysql_manifest_add_object(manifest, &object, err);
		if (rc == 0)
			rc = object_from_json(json_array_get(objects, i), object, err);
	}
	return rc;
}

int cf_mysql_manifest_decode(struct cf_span in, struct cf_mysql_manifest *manifest,
			     struct cf_err *err)
{
	json_t *doc;
	int rc = cf_mysql_json_decode(in, "coffer mysql database", &doc, err);

	if (rc == 0)
		rc = get_texts(doc, manifest, database_texts, err);
	if (rc == 0)
		rc = tables_from_json(doc, manifest, err);
	if (rc == 0)
		rc = objects_from_json(doc, manifest, err);
	json_decref(doc);
	if (rc < 0) {
		cf_err_wrap(err, "database.json");
		cf_mysql_manifest_release(manifest);
	}
	return rc;
}
