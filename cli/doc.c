#include "cli/doc.h"

#include "base/buf.h"
#include "base/err.h"
#include "cli/escape.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define DUMP_FLAGS (JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9))

struct cf_doc cf_doc_object(void)
{
	json_t *value = json_object();

	return (struct cf_doc){.value = value, .failed = !value};
}

struct cf_doc cf_doc_begin(void)
{
	struct cf_doc document = cf_doc_object();

	cf_doc_count(&document, "version", 1);
	return document;
}

struct cf_doc cf_doc_array(void)
{
	json_t *value = json_array();

	return (struct cf_doc){.value = value, .failed = !value};
}

static void set_new(struct cf_doc *object, const char *key, json_t *value)
{
	if (json_object_set_new(object->value, key, value) < 0)
		object->failed = true;
}

/* Bytes that are no UTF-8, and '%' itself, as %XX. */
static json_t *percent_encoded(const char *text)
{
	struct cf_buf out = CF_BUF_INIT;
	json_t *value = NULL;
	int rc = 0;

	while (rc == 0 && *text) {
		size_t len = *text == '%' ? 0 : cf_utf8_len(text, NULL);

		if (len > 0)
			rc = cf_buf_append(&out, text, len, NULL);
		else
			rc = cf_buf_printf(&out, NULL, "%%%02X", (unsigned char)*text);
		text += len ? len : 1;
	}
	if (rc == 0)
		value = json_stringn((const char *)out.data, out.len);
	cf_buf_release(&out);
	return value;
}

static void set_raw(struct cf_doc *object, const char *key, const char *text)
{
	struct cf_buf hex = CF_BUF_INIT, name = CF_BUF_INIT;
	int rc = cf_buf_printf(&name, NULL, "%s_raw", key);

	for (; rc == 0 && *text; text++)
		rc = cf_buf_printf(&hex, NULL, "%02x", (unsigned char)*text);
	if (rc == 0)
		rc = cf_buf_append(&name, "", 1, NULL);
	if (rc == 0)
		set_new(object, (const char *)name.data,
			json_stringn((const char *)hex.data, hex.len));
	else
		object->failed = true;
	cf_buf_release(&hex);
	cf_buf_release(&name);
}

void cf_doc_text(struct cf_doc *object, const char *key, const char *text)
{
	if (!text) {
		set_new(object, key, json_null());
	} else if (cf_utf8_valid(text)) {
		set_new(object, key, json_string(text));
	} else {
		set_new(object, key, percent_encoded(text));
		set_raw(object, key, text);
	}
}

void cf_doc_count(struct cf_doc *object, const char *key, uint64_t n)
{
	set_new(object, key, json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n));
}

void cf_doc_number(struct cf_doc *object, const char *key, double number)
{
	set_new(object, key, json_real(number));
}

void cf_doc_flag(struct cf_doc *object, const char *key, bool value)
{
	set_new(object, key, json_boolean(value));
}

void cf_doc_put(struct cf_doc *object, const char *key, struct cf_doc *child)
{
	set_new(object, key, child->value);
	object->failed |= child->failed;
	child->value = NULL;
}

void cf_doc_push(struct cf_doc *array, struct cf_doc *child)
{
	if (json_array_append_new(array->value, child->value) < 0)
		array->failed = true;
	array->failed |= child->failed;
	child->value = NULL;
}

void cf_doc_push_text(struct cf_doc *array, const char *text)
{
	struct cf_doc child = {.value = cf_utf8_valid(text) ? json_string(text)
							    : percent_encoded(text)};

	child.failed = !child.value;
	cf_doc_push(array, &child);
}

void cf_doc_release(struct cf_doc *document)
{
	json_decref(document->value);
	*document = (struct cf_doc){0};
}

static int dump(struct cf_doc *document, FILE *out, struct cf_err *err)
{
	char *text = document->failed ? NULL : json_dumps(document->value, DUMP_FLAGS);

	cf_doc_release(document);
	if (!text)
		return cf_err_nomem(err);
	fputs(text, out);
	free(text);
	return 0;
}

int cf_doc_print(struct cf_doc *document, FILE *out, struct cf_err *err)
{
	int rc = dump(document, out, err);

	if (rc == 0)
		fputc('\n', out);
	return rc;
}

struct cf_doc_stream cf_doc_stream_begin(FILE *out, const char *open)
{
	fputs(open, out);
	return (struct cf_doc_stream){.out = out};
}

int cf_doc_stream_item(struct cf_doc_stream *stream, struct cf_doc *item, struct cf_err *err)
{
	fputs(stream->n++ ? ",\n" : "", stream->out);
	return dump(item, stream->out, err);
}
