/*
 * Text that is not UTF-8 becomes {"bytes": "<hexadecimal>"}, since JSON has no other bytes. Absent
 * text, false and 0 are left out of tables and large objects, of which there may be many.
 */

#include "drivers/postgres/manifest.h"

#include "base/err.h"

#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_NAME "coffer-postgres-database"
#define TEXT(type, member)                                                                         \
	{                                                                                          \
#member, offsetof(struct type, member)                                             \
	}
#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

struct text_field {
	const char *key;
	size_t offset; /* of a const char * */
};

static const struct text_field database_texts[] = {
	TEXT(cf_pg_manifest, name),
	TEXT(cf_pg_manifest, owner),
	TEXT(cf_pg_manifest, comment),
	TEXT(cf_pg_manifest, encoding),
	TEXT(cf_pg_manifest, collate),
	TEXT(cf_pg_manifest, ctype),
	TEXT(cf_pg_manifest, locale_provider),
	TEXT(cf_pg_manifest, icu_locale),
	TEXT(cf_pg_manifest, icu_rules),
	TEXT(cf_pg_manifest, tablespace),
	TEXT(cf_pg_manifest, data_encoding),
	TEXT(cf_pg_manifest, text_encoding),
};
static const struct text_field table_texts[] = {
	TEXT(cf_pg_table, schema),    TEXT(cf_pg_table, name), TEXT(cf_pg_table, extension),
	TEXT(cf_pg_table, condition), TEXT(cf_pg_table, file),
};
static const struct text_field sequence_texts[] = {
	TEXT(cf_pg_sequence, schema),
	TEXT(cf_pg_sequence, name),
};
static const struct text_field object_texts[] = {
	TEXT(cf_pg_large_object, owner),
	TEXT(cf_pg_large_object, comment),
	TEXT(cf_pg_large_object, grants),
	TEXT(cf_pg_large_object, file),
};

/* NULL when memory is out. */
static json_t *text_to_json(const char *text)
{
	static const char digits[] = "0123456789abcdef";
	json_t *value = json_string(text), *bytes;
	size_t len = strlen(text);
	char *hex;

	if (value)
		return value;
	hex = malloc(2 * len + 1);
	if (!hex)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		hex[2 * i] = digits[(unsigned char)text[i] >> 4];
		hex[2 * i + 1] = digits[text[i] & 15];
	}
	bytes = json_stringn(hex, 2 * len);
	free(hex);
	return bytes ? json_pack("{s:o}", "bytes", bytes) : NULL;
}

/* All setters pass a NULL value on as failure: one test at the end of a document is enough. */
static int put_texts(json_t *object, const void *from, const struct text_field *fields, size_t n)
{
	int failed = 0;

	for (size_t i = 0; i < n; i++) {
		const char *const *text = (const void *)((const char *)from + fields[i].offset);

		if (*text)
			failed |= json_object_set_new(object, fields[i].key, text_to_json(*text));
	}
	return failed;
}

static int put_number(json_t *object, const char *key, uint64_t number)
{
	return number ? json_object_set_new(object, key, json_integer((json_int_t)number)) : 0;
}

static int put_flag(json_t *object, const char *key, bool flag)
{
	return flag ? json_object_set_new(object, key, json_true()) : 0;
}

static json_t *table_to_json(const struct cf_pg_table *table)
{
	json_t *object = json_object(), *columns = json_array();
	int failed = put_texts(object, table, table_texts, N_OF(table_texts));

	failed |= put_number(object, "oid", table->oid);
	failed |= json_object_set_new(object, "kind", json_stringn(&table->kind, 1));
	failed |= put_flag(object, "partition", table->partition);
	failed |= put_flag(object, "populated", table->populated);
	for (size_t i = 0; i < table->n_columns; i++)
		failed |= json_array_append_new(columns, text_to_json(table->columns[i]));
	if (table->file) {
		failed |= json_object_set(object, "columns", columns);
		failed |= put_number(object, "rows", table->rows);
		failed |= put_number(object, "bytes", table->bytes);
	}
	json_decref(columns);
	if (failed) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static json_t *sequence_to_json(const struct cf_pg_sequence *sequence)
{
	json_t *object = json_object();
	int failed = put_texts(object, sequence, sequence_texts, N_OF(sequence_texts));

	failed |= put_number(object, "oid", sequence->oid);
	failed |= json_object_set_new(object, "last_value", json_integer(sequence->last_value));
	failed |= json_object_set_new(object, "is_called", json_boolean(sequence->is_called));
	if (failed) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static json_t *large_object_to_json(const struct cf_pg_large_object *large)
{
	json_t *object = json_object();
	int failed = put_texts(object, large, object_texts, N_OF(object_texts));

	failed |= put_number(object, "oid", large->oid);
	failed |= put_number(object, "bytes", large->bytes);
	if (failed) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static json_t *manifest_to_json(const struct cf_pg_manifest *manifest)
{
	json_t *object = json_object(), *tables = json_array(), *sequences = json_array(),
	       *large_objects = json_array();
	int failed = json_object_set_new(object, "format", json_string(FORMAT_NAME));

	failed |= put_number(object, "version", CF_PG_MANIFEST_VERSION);
	failed |= put_texts(object, manifest, database_texts, N_OF(database_texts));
	failed |= put_number(object, "server_version", (uint64_t)manifest->server_version);
	failed |= put_number(object, "scripts", manifest->scripts);
	failed |= put_flag(object, "filtered", manifest->filtered);
	failed |= put_flag(object, "of_tables", manifest->of_tables);
	for (size_t i = 0; i < manifest->n_tables; i++)
		failed |= json_array_append_new(tables, table_to_json(&manifest->tables[i]));
	for (size_t i = 0; i < manifest->n_sequences; i++)
		failed |=
			json_array_append_new(sequences, sequence_to_json(&manifest->sequences[i]));
	for (size_t i = 0; i < manifest->n_large_objects; i++)
		failed |= json_array_append_new(large_objects,
						large_object_to_json(&manifest->large_objects[i]));
	failed |= json_object_set_new(object, "tables", tables);
	failed |= json_object_set_new(object, "sequences", sequences);
	failed |= json_object_set_new(object, "large_objects", large_objects);
	if (failed) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static int append_dump(const char *buffer, size_t len, void *user)
{
	return cf_buf_append(user, buffer, len, NULL) < 0 ? -1 : 0;
}

int cf_pg_manifest_encode(const struct cf_pg_manifest *manifest, struct cf_buf *out,
			  struct cf_err *err)
{
	json_t *document = manifest_to_json(manifest);
	int rc = 0;

	if (!document || json_dump_callback(document, append_dump, out, JSON_INDENT(1)) < 0)
		rc = cf_err_nomem(err);
	json_decref(document);
	return rc < 0 ? rc : cf_buf_append_str(out, "\n", err);
}

/* What a decoded manifest lives in. */
struct decoded {
	struct cf_pg_manifest manifest;
	json_t *document; /* owns the texts */
};

static int bad(struct cf_err *err, const char *what)
{
	return cf_err_set(err, CF_ERR_DAMAGED, "the manifest of the database is damaged: %s", what);
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes replace their hexadecimal form, so that the document owns them. */
static int text_of_bytes(json_t *value, const char **text_out, struct cf_err *err)
{
	json_t *bytes = json_object_get(value, "bytes");
	const char *hex = json_string_value(bytes);
	size_t len = hex ? strlen(hex) / 2 : 0;
	char *text;

	if (!hex || strlen(hex) % 2)
		return bad(err, "a text is none");
	text = malloc(len + 1);
	if (!text)
		return cf_err_nomem(err);
	for (size_t i = 0; i < len; i++) {
		int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);

		if (high < 0 || low < 0 || high + low == 0) {
			free(text);
			return bad(err, "a text is none");
		}
		text[i] = (char)(high << 4 | low);
	}
	text[len] = 0;
	if (json_string_setn_nocheck(bytes, text, len) < 0) {
		free(text);
		return cf_err_nomem(err);
	}
	free(text);
	*text_out = json_string_value(bytes);
	return 0;
}

static int get_text(json_t *value, const char **text_out, struct cf_err *err)
{
	*text_out = NULL;
	if (!value)
		return 0;
	if (json_is_object(value))
		return text_of_bytes(value, text_out, err);
	*text_out = json_string_value(value);
	if (!*text_out || strlen(*text_out) != json_string_length(value))
		return bad(err, "a text is none");
	return 0;
}

static int get_texts(json_t *object, void *to, const struct text_field *fields, size_t n,
		     struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = get_text(json_object_get(object, fields[i].key),
			      (const char **)(void *)((char *)to + fields[i].offset), err);
	return rc;
}

static int get_number(json_t *object, const char *key, uint64_t max, uint64_t *number_out,
		      struct cf_err *err)
{
	json_t *value = json_object_get(object, key);
	json_int_t number = json_integer_value(value);

	if ((value && !json_is_integer(value)) || number < 0 || (uint64_t)number > max)
		return bad(err, "a number is none, or out of range");
	*number_out = (uint64_t)number;
	return 0;
}

static int get_oid(json_t *object, uint32_t *oid_out, struct cf_err *err)
{
	uint64_t oid = 0;
	int rc = get_number(object, "oid", UINT32_MAX, &oid, err);

	if (rc == 0)
		*oid_out = (uint32_t)oid;
	return rc;
}

/* A path below the folder, without detours. */
static bool is_file_path(const char *path)
{
	for (const char *part = path;; part++) {
		size_t len = strcspn(part, "/");

		if (len == 0 || (len == 1 && part[0] == '.') ||
		    (len == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		part += len;
		if (!*part)
			return true;
	}
}

static int get_columns(json_t *object, struct cf_pg_table *table, struct cf_err *err)
{
	json_t *columns = json_object_get(object, "columns");
	size_t n = json_array_size(columns);
	const char **names;
	int rc = 0;

	if (n == 0)
		return 0;
	names = calloc(n, sizeof(*names));
	if (!names)
		return cf_err_nomem(err);
	table->columns = names;
	table->n_columns = n;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		rc = get_text(json_array_get(columns, i), &names[i], err);
		if (rc == 0 && !names[i])
			rc = bad(err, "a column has no name");
	}
	return rc;
}

static int get_table(json_t *object, void *to, struct cf_err *err)
{
	struct cf_pg_table *table = to;
	const char *kind = json_string_value(json_object_get(object, "kind"));
	int rc = get_texts(object, table, table_texts, N_OF(table_texts), err);

	if (rc == 0)
		rc = get_oid(object, &table->oid, err);
	if (rc == 0)
		rc = get_number(object, "rows", INT64_MAX, &table->rows, err);
	if (rc == 0)
		rc = get_number(object, "bytes", INT64_MAX, &table->bytes, err);
	if (rc == 0)
		rc = get_columns(object, table, err);
	if (rc < 0)
		return rc;
	if (!table->schema || !table->name || !kind || strlen(kind) != 1)
		return bad(err, "a table has no name or kind");
	if (table->file && !is_file_path(table->file))
		return bad(err, "a table's file is outside of the folder");
	table->kind = kind[0];
	table->partition = json_is_true(json_object_get(object, "partition"));
	table->populated = json_is_true(json_object_get(object, "populated"));
	return 0;
}

static int get_sequence(json_t *object, void *to, struct cf_err *err)
{
	struct cf_pg_sequence *sequence = to;
	json_t *value = json_object_get(object, "last_value");
	int rc = get_texts(object, sequence, sequence_texts, N_OF(sequence_texts), err);

	if (rc == 0)
		rc = get_oid(object, &sequence->oid, err);
	if (rc < 0)
		return rc;
	if (!sequence->schema || !sequence->name || !json_is_integer(value))
		return bad(err, "a sequence has no name or value");
	sequence->last_value = json_integer_value(value);
	sequence->is_called = json_is_true(json_object_get(object, "is_called"));
	return 0;
}

static int get_large_object(json_t *object, void *to, struct cf_err *err)
{
	struct cf_pg_large_object *large = to;
	int rc = get_texts(object, large, object_texts, N_OF(object_texts), err);

	if (rc == 0)
		rc = get_oid(object, &large->oid, err);
	if (rc == 0)
		rc = get_number(object, "bytes", INT64_MAX, &large->bytes, err);
	if (rc < 0)
		return rc;
	if (large->oid == 0 || (large->file && !is_file_path(large->file)))
		return bad(err,
			   "a large object has no number, or its file is outside of the folder");
	return 0;
}

/* The elements of an array, each element_len bytes, zeroed and filled by get. */
static int get_array(json_t *array, size_t element_len,
		     int (*get)(json_t *, void *, struct cf_err *), void **elements_out,
		     size_t *n_out, struct cf_err *err)
{
	size_t n = json_array_size(array);
	char *elements;
	int rc = 0;

	if (!json_is_array(array))
		return bad(err, "a list is missing");
	elements = calloc(n + 1, element_len);
	if (!elements)
		return cf_err_nomem(err);
	*elements_out = elements;
	*n_out = n;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = get(json_array_get(array, i), elements + i * element_len, err);
	return rc;
}

static int get_arrays(json_t *document, struct cf_pg_manifest *manifest, struct cf_err *err)
{
	void *elements = NULL;
	int rc = get_array(json_object_get(document, "tables"), sizeof(*manifest->tables),
			   get_table, &elements, &manifest->n_tables, err);

	manifest->tables = elements;
	if (rc < 0)
		return rc;
	elements = NULL;
	rc = get_array(json_object_get(document, "sequences"), sizeof(*manifest->sequences),
		       get_sequence, &elements, &manifest->n_sequences, err);
	manifest->sequences = elements;
	if (rc < 0)
		return rc;
	elements = NULL;
	rc = get_array(json_object_get(document, "large_objects"), sizeof(*manifest->large_objects),
		       get_large_object, &elements, &manifest->n_large_objects, err);
	manifest->large_objects = elements;
	return rc;
}

static int get_manifest(json_t *document, struct cf_pg_manifest *manifest, struct cf_err *err)
{
	const char *format = json_string_value(json_object_get(document, "format"));
	uint64_t version = 0, server_version = 0;
	int rc = get_number(document, "version", INT32_MAX, &version, err);

	if (rc < 0)
		return rc;
	if (!format || strcmp(format, FORMAT_NAME) != 0 || version == 0)
		return bad(err, "it is something else");
	if (version > CF_PG_MANIFEST_VERSION)
		return cf_err_set(
			err, CF_ERR_UNSUPPORTED,
			"the manifest of the database has version %llu, made by a newer coffer",
			(unsigned long long)version);
	rc = get_texts(document, manifest, database_texts, N_OF(database_texts), err);
	if (rc == 0)
		rc = get_number(document, "server_version", INT32_MAX, &server_version, err);
	if (rc == 0)
		rc = get_number(document, "scripts", INT32_MAX, &manifest->scripts, err);
	if (rc == 0 && (!manifest->name || !manifest->encoding || !manifest->data_encoding))
		rc = bad(err, "the database has no name or encoding");
	if (rc == 0 && !manifest->text_encoding)
		manifest->text_encoding = strcmp(manifest->encoding, "SQL_ASCII") == 0 ? "SQL_ASCII" : "UTF8";
	manifest->server_version = (int)server_version;
	manifest->filtered = json_is_true(json_object_get(document, "filtered"));
	manifest->of_tables = json_is_true(json_object_get(document, "of_tables"));
	return rc < 0 ? rc : get_arrays(document, manifest, err);
}

int cf_pg_manifest_decode(struct cf_span document, struct cf_pg_manifest **manifest_out,
			  struct cf_err *err)
{
	struct decoded *decoded = calloc(1, sizeof(*decoded));
	json_error_t error;
	int rc;

	if (!decoded)
		return cf_err_nomem(err);
	decoded->manifest.storage = decoded;
	decoded->document = json_loadb((const char *)document.data, document.len,
				       JSON_REJECT_DUPLICATES, &error);
	if (!decoded->document)
		rc = bad(err, error.text);
	else
		rc = get_manifest(decoded->document, &decoded->manifest, err);
	if (rc < 0) {
		cf_pg_manifest_free(&decoded->manifest);
		return rc;
	}
	*manifest_out = &decoded->manifest;
	return 0;
}

static void free_columns(struct cf_pg_table *table)
{
	/* Only of a decoded manifest, which allocated it. */
	union {
		const char *const *in;
		void *out;
	} columns = {.in = table->columns};

	free(columns.out);
}

void cf_pg_manifest_free(struct cf_pg_manifest *manifest)
{
	struct decoded *decoded;

	if (!manifest)
		return;
	decoded = manifest->storage;
	for (size_t i = 0; manifest->tables && i < manifest->n_tables; i++)
		free_columns(&manifest->tables[i]);
	free(manifest->tables);
	free(manifest->sequences);
	free(manifest->large_objects);
	json_decref(decoded->document);
	free(decoded);
}
