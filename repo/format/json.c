#include "repo/format/json.h"

#include "base/err.h"
#include "base/id.h"
#include "repo/format/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cf_json_encode(const json_t *doc, struct cf_buf *out, struct cf_err *err)
{
	char *text;
	int rc;

	errno = 0;
	text = doc ? json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	/* jansson may also leave a part out when memory is out. */
	if (!text || errno == ENOMEM) {
		free(text);
		return cf_err_nomem(err);
	}
	rc = cf_buf_append_str(out, text, err);
	if (rc == 0)
		rc = cf_buf_append(out, "\n", 1, err);
	free(text);
	return rc;
}

static int check_canonical(const json_t *doc, struct cf_span in, struct cf_err *err)
{
	struct cf_buf again = CF_BUF_INIT;
	int rc = cf_json_encode(doc, &again, err);

	if (rc == 0 && (again.len != in.len || memcmp(again.data, in.data, in.len) != 0))
		rc = cf_err_set(err, CF_ERR_DAMAGED, "is not in canonical form");
	cf_buf_release(&again);
	return rc;
}

int cf_json_decode(struct cf_span in, json_t **doc_out, struct cf_err *err)
{
	json_error_t why;
	json_t *doc;
	int rc;

	if (in.len > CF_JSON_LEN_MAX)
		return cf_err_set(err, CF_ERR_DAMAGED, "is larger than such a document can be");
	errno = 0;
	doc = json_loadb((const char *)in.data, in.len, JSON_REJECT_DUPLICATES, &why);
	/* When memory is out, jansson may call it a syntax error, or leave something out. */
	if (errno == ENOMEM) {
		json_decref(doc);
		return cf_err_nomem(err);
	}
	if (!doc)
		return cf_err_set(err, CF_ERR_DAMAGED, "is not JSON (%s at byte %d)", why.text, why.position);
	if (!json_is_object(doc))
		rc = cf_err_set(err, CF_ERR_DAMAGED, "is not a JSON object");
	else
		rc = check_canonical(doc, in, err);
	if (rc < 0) {
		json_decref(doc);
		return rc;
	}
	*doc_out = doc;
	return 0;
}

int cf_json_decode_fields(struct cf_span in, cf_json_take_fn *take, void *into, struct cf_err *err)
{
	json_t *doc = NULL;
	int64_t version;
	int rc = cf_json_decode(in, &doc, err);

	if (rc < 0)
		return rc;
	if (!cf_json_int(doc, "version", 1, INT32_MAX, &version))
		rc = cf_err_set(err, CF_ERR_DAMAGED, "has no version");
	else if (version > CF_FORMAT_VERSION)
		rc = cf_err_set(err, CF_ERR_UNSUPPORTED, "has format %lld: use a newer coffer", (long long)version);
	else if (errno = 0, !take(doc, into)) /* only its allocations set errno */
		rc = errno == ENOMEM ? cf_err_nomem(err)
				     : cf_err_set(err, CF_ERR_DAMAGED,
						  "lacks a field, or holds one that makes no sense");
	json_decref(doc);
	return rc;
}

bool cf_json_text(const json_t *object, const char *key, const char **out)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
		return false;
	*out = json_string_value(value);
	return true;
}

bool cf_json_take_text(const json_t *object, const char *key, char **out)
{
	const char *text;

	if (!cf_json_text(object, key, &text))
		return false;
	*out = strdup(text);
	return *out != NULL;
}

bool cf_json_take_ids(const json_t *list, struct cf_id **ids_out, size_t *n_out)
{
	size_t n = json_array_size(list);

	if (!json_is_array(list))
		return false;
	*ids_out = calloc(n + 1, sizeof(**ids_out));
	for (size_t i = 0; *ids_out && i < n; i++) {
		const char *text = json_string_value(json_array_get(list, i));

		if (!text || !cf_id_parse(text, &(*ids_out)[i]) || cf_id_is_zero(&(*ids_out)[i]))
			return false;
		(*n_out)++;
	}
	return *ids_out != NULL;
}

bool cf_json_int(const json_t *object, const char *key, int64_t min, int64_t max, int64_t *out)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max)
		return false;
	*out = json_integer_value(value);
	return true;
}

bool cf_json_hex(const json_t *object, const char *key, uint8_t *out, size_t len)
{
	const char *text;

	return cf_json_text(object, key, &text) && cf_hex_decode(text, out, len);
}

json_t *cf_json_from_hex(const uint8_t *data, size_t len)
{
	char *text = malloc(2 * len + 1);
	json_t *value;

	if (!text)
		return NULL;
	cf_hex_encode(data, len, text);
	value = json_string(text);
	free(text);
	return value;
}

static json_t *percent_encoded(const char *text)
{
	char *out = malloc(3 * strlen(text) + 1), *at = out;
	json_t *value;

	if (!out)
		return NULL;
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= 0x21 && c < 0x7f && c != '%')
			*at++ = (char)c;
		else
			at += sprintf(at, "%%%02X", c);
	}
	*at = '\0';
	value = json_string(out);
	free(out);
	return value;
}

json_t *cf_json_from_text(const char *text)
{
	json_t *value = json_string(text ? text : "");

	return value ? value : percent_encoded(text);
}

json_t *cf_json_from_ids(const struct cf_id *ids, size_t n)
{
	json_t *list = json_array();
	int failed = 0;

	/* jansson passes over what is NULL. */
	for (size_t i = 0; i < n; i++)
		failed |= json_array_append_new(list, cf_json_from_hex(ids[i].bytes, CF_ID_LEN));
	if (failed) {
		json_decref(list);
		return NULL;
	}
	return list;
}
