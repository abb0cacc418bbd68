#include "drivers/mysql/manifest_json.h"

#include "base/err.h"
#include "base/id.h"
#include "drivers/mysql/manifest.h"

#include <stdlib.h>
#include <string.h>

void *cf_mysql_grow(void *array, size_t *n, size_t len)
{
	void *old, *grown;

	memcpy(&old, array, sizeof(old));
	/* Room is taken by powers of two: the count tells where it ended. */
	if ((*n & (*n - 1)) == 0) {
		grown = reallocarray(old, *n ? *n * 2 : 1, len);
		if (!grown)
			return NULL;
		memcpy(array, &grown, sizeof(grown));
		old = grown;
	}
	grown = (char *)old + (*n)++ * len;
	memset(grown, 0, len);
	return grown;
}

json_t *cf_mysql_json_document(const char *format)
{
	return json_pack("{s:s, s:i}", "format", format, "version", CF_MYSQL_MANIFEST_VERSION);
}

static int append_piece(const char *text, size_t len, void *out)
{
	return cf_buf_append(out, text, len, NULL);
}

int cf_mysql_json_encode(json_t *doc, bool fine, struct cf_buf *out, struct cf_err *err)
{
	int rc;

	cf_buf_clear(out);
	fine = fine && json_dump_callback(doc, append_piece, out, JSON_INDENT(1)) == 0;
	json_decref(doc);
	rc = fine ? cf_buf_append(out, "\n", 1, NULL) : CF_ERR_NOMEM;
	return rc == 0 ? 0 : cf_err_nomem(err);
}

int cf_mysql_json_decode(struct cf_span in, const char *format, json_t **doc_out,
			 struct cf_err *err)
{
	json_error_t problem;
	const char *found;
	uint64_t version;
	int rc;

	*doc_out = json_loadb((const char *)in.data, in.len, JSON_REJECT_DUPLICATES, &problem);
	if (!*doc_out)
		return cf_err_set(err, CF_ERR_DAMAGED, "is no JSON: %s", problem.text);
	found = json_string_value(json_object_get(*doc_out, "format"));
	if (!found || strcmp(found, format) != 0)
		return cf_err_set(err, CF_ERR_DAMAGED, "is not a %s", format);
	rc = cf_mysql_json_get_int(*doc_out, "version", &version, err);
	if (rc == 0 && version > CF_MYSQL_MANIFEST_VERSION)
		rc = cf_err_set(err, CF_ERR_UNSUPPORTED, "has version %llu: use a newer coffer",
				(unsigned long long)version);
	return rc;
}

/* The key for a text that is no UTF-8. NULL when memory is out. */
static char *hex_key(const char *key)
{
	char *name;

	return asprintf(&name, "%s_hex", key) < 0 ? NULL : name;
}

static json_t *to_hex(const char *text)
{
	static const char digits[] = "0123456789abcdef";
	size_t len = strlen(text);
	char *hex = malloc(2 * len + 1);
	json_t *string;

	if (!hex)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		hex[2 * i] = digits[(unsigned char)text[i] >> 4];
		hex[2 * i + 1] = digits[text[i] & 15];
	}
	string = json_stringn_nocheck(hex, 2 * len);
	free(hex);
	return string;
}

bool cf_mysql_json_put_text(json_t *object, const char *key, const char *text)
{
	json_t *string;
	char *name;
	bool fine;

	if (!text)
		return true;
	string = json_string(text);
	if (string)
		return json_object_set_new(object, key, string) == 0;
	name = hex_key(key);
	fine = name && json_object_set_new(object, name, to_hex(text)) == 0;
	free(name);
	return fine;
}

bool cf_mysql_json_put_int(json_t *object, const char *key, uint64_t value)
{
	return json_object_set_new(object, key, json_integer((json_int_t)value)) == 0;
}

/* NULL unless hex is digits of bytes other than NUL; *rc_out tells memory from damage. */
static char *from_hex(const char *hex, size_t len, int *rc_out)
{
	char *text = malloc(len / 2 + 1);

	*rc_out = text ? CF_ERR_DAMAGED : CF_ERR_NOMEM;
	if (!text)
		return NULL;
	text[len / 2] = '\0';
	if (len % 2 == 0 && cf_hex_decode(hex, (uint8_t *)text, len / 2) && strlen(text) == len / 2)
		return text;
	free(text);
	return NULL;
}

static int get_hex_text(const json_t *object, const char *key, bool is_required, char **out,
			struct cf_err *err)
{
	char *name = hex_key(key);
	const json_t *hex;
	int rc = 0;

	if (!name)
		return cf_err_nomem(err);
	hex = json_object_get(object, name);
	if (json_is_string(hex)) {
		*out = from_hex(json_string_value(hex), json_string_length(hex), &rc);
		if (*out)
			rc = 0;
		else if (rc == CF_ERR_NOMEM)
			cf_err_nomem(err);
		else
			cf_err_set(err, rc, "holds a \"%s\" that is no hex digits", name);
	} else if (hex || is_required) {
		rc = cf_err_set(err, CF_ERR_DAMAGED, "lacks a \"%s\"", key);
	}
	free(name);
	return rc;
}

int cf_mysql_json_get_text(const json_t *object, const char *key, bool is_required, char **out,
			   struct cf_err *err)
{
	const json_t *text = json_object_get(object, key);

	if (!text)
		return get_hex_text(object, key, is_required, out, err);
	/* jansson takes no NUL inside a text. */
	if (!json_is_string(text))
		return cf_err_set(err, CF_ERR_DAMAGED, "holds a \"%s\" that is no text", key);
	*out = strdup(json_string_value(text));
	return *out ? 0 : cf_err_nomem(err);
}

int cf_mysql_json_get_int(const json_t *object, const char *key, uint64_t *out, struct cf_err *err)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return cf_err_set(err, CF_ERR_DAMAGED, "lacks a count \"%s\"", key);
	*out = (uint64_t)json_integer_value(value);
	return 0;
}

int cf_mysql_json_array(const json_t *object, const char *key, size_t max, const json_t **out,
			size_t *n_out, struct cf_err *err)
{
	const json_t *array = json_object_get(object, key);

	if (!json_is_array(array) || json_array_size(array) > max)
		return cf_err_set(err, CF_ERR_DAMAGED, "lacks a list \"%s\", or it is too long",
				  key);
	*out = array;
	*n_out = json_array_size(array);
	return 0;
}
