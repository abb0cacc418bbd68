#include "repo/format/audit_doc.h"

#include "base/err.h"
#include "repo/format/limits.h"

#include <stdlib.h>
#include <string.h>

/* doc, or NULL when a part of it was not made: jansson passes over what is NULL. */
static json_t *whole(json_t *doc, int failed)
{
	if (!failed)
		return doc;
	json_decref(doc);
	return NULL;
}

static json_t *about_to_json(const struct cf_audit_record *record)
{
	json_t *list = json_array();
	int failed = 0;

	for (size_t i = 0; i < record->n_about; i++)
		failed |= json_array_append_new(
			list,
			json_pack("{s:o, s:o}", "key", cf_json_from_text(record->about[i].key),
				  "value", cf_json_from_text(record->about[i].value)));
	return whole(list, failed);
}

static json_t *figures_to_json(const struct cf_audit_record *record)
{
	json_t *object = json_object();
	int failed = 0;

	for (size_t i = 0; i < record->n_figures; i++)
		failed |= json_object_set_new(object, record->figures[i].key,
					      json_integer((json_int_t)record->figures[i].value));
	return whole(object, failed);
}

int cf_audit_encode(const struct cf_audit_record *record, struct cf_buf *out, struct cf_err *err)
{
	json_t *doc = json_pack(
		"{s:i, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "version",
		CF_FORMAT_VERSION, "number", (json_int_t)record->number, "time",
		(json_int_t)record->time_ns, "status", (json_int_t)record->status, "host",
		cf_json_from_text(record->host), "user", cf_json_from_text(record->user), "program",
		cf_json_from_text(record->program), "slot", cf_json_from_text(record->slot),
		"command", cf_json_from_text(record->command), "error",
		cf_json_from_text(record->error), "previous",
		cf_audit_refs_to_json(record->previous, record->n_previous), "about",
		about_to_json(record), "figures", figures_to_json(record));
	int rc = cf_json_encode(doc, out, err);

	json_decref(doc);
	return rc;
}

static bool take_about(const json_t *list, struct cf_audit_record *record)
{
	size_t n = json_array_size(list);

	if (!json_is_array(list))
		return false;
	record->about = calloc(n + 1, sizeof(*record->about));
	for (size_t i = 0; record->about && i < n; i++) {
		const json_t *item = json_array_get(list, i);
		struct cf_audit_about *about = &record->about[record->n_about++];

		if (!cf_json_take_text(item, "key", &about->key) ||
		    !cf_json_take_text(item, "value", &about->value))
			return false;
	}
	return record->about != NULL;
}

static int compare_figures(const void *a, const void *b)
{
	return strcmp(((const struct cf_audit_figure *)a)->key,
		      ((const struct cf_audit_figure *)b)->key);
}

static bool take_figures(json_t *object, struct cf_audit_record *record)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return false;
	record->figures = calloc(json_object_size(object) + 1, sizeof(*record->figures));
	if (!record->figures)
		return false;
	json_object_foreach(object, key, value)
	{
		struct cf_audit_figure *figure = &record->figures[record->n_figures];

		if (!json_is_integer(value) || !(figure->key = strdup(key)))
			return false;
		figure->value = json_integer_value(value);
		record->n_figures++;
	}
	qsort(record->figures, record->n_figures, sizeof(*record->figures), compare_figures);
	return true;
}

static bool from_json(json_t *doc, void *into)
{
	struct cf_audit_record *record = into;

	return cf_json_int(doc, "number", 1, CF_AUDIT_NUMBER_MAX, &record->number) &&
	       cf_json_int(doc, "time", INT64_MIN, INT64_MAX, &record->time_ns) &&
	       cf_json_int(doc, "status", 0, 255, &record->status) &&
	       cf_json_take_text(doc, "host", &record->host) && cf_json_take_text(doc, "user", &record->user) &&
	       cf_json_take_text(doc, "program", &record->program) &&
	       cf_json_take_text(doc, "slot", &record->slot) &&
	       cf_json_take_text(doc, "command", &record->command) &&
	       cf_json_take_text(doc, "error", &record->error) &&
	       cf_audit_refs_from_json(json_object_get(doc, "previous"), &record->previous,
				       &record->n_previous) &&
	       take_about(json_object_get(doc, "about"), record) &&
	       take_figures(json_object_get(doc, "figures"), record);
}

int cf_audit_decode(struct cf_span in, struct cf_audit_record *record_out, struct cf_err *err)
{
	struct cf_audit_record record = {0};
	int rc = cf_json_decode_fields(in, from_json, &record, err);

	if (rc < 0) {
		cf_audit_record_release(&record);
		return rc;
	}
	*record_out = record;
	return 0;
}

void cf_audit_record_release(struct cf_audit_record *record)
{
	for (size_t i = 0; i < record->n_about; i++) {
		free(record->about[i].key);
		free(record->about[i].value);
	}
	for (size_t i = 0; i < record->n_figures; i++)
		free(record->figures[i].key);
	free(record->about);
	free(record->figures);
	free(record->previous);
	free(record->host);
	free(record->user);
	free(record->program);
	free(record->slot);
	free(record->command);
	free(record->error);
	*record = (struct cf_audit_record){0};
}
