#include "repo/format/quarantine_doc.h"

#include "base/err.h"
#include "repo/format/json.h"
#include "repo/format/limits.h"

#include <stdlib.h>
#include <string.h>

/* The array, or NULL when an item was not made: jansson passes over what is NULL. */
static json_t *items_to_json(const struct cf_quarantined *items, size_t n)
{
	json_t *list = json_array();
	int failed = 0;

	for (size_t i = 0; i < n; i++)
		failed |= json_array_append_new(
			list, json_pack("{s:o, s:o}", "id", cf_json_from_hex(items[i].id.bytes, CF_ID_LEN), "why",
					cf_json_from_text(items[i].why)));
	if (failed) {
		json_decref(list);
		return NULL;
	}
	return list;
}

int cf_quarantine_encode(const struct cf_quarantine_record *record, struct cf_buf *out, struct cf_err *err)
{
	json_t *doc = json_pack("{s:i, s:I, s:o, s:o, s:o, s:o, s:o}", "version", CF_FORMAT_VERSION, "time",
				(json_int_t)record->time_ns, "host", cf_json_from_text(record->host), "user",
				cf_json_from_text(record->user), "program", cf_json_from_text(record->program),
				"packs", items_to_json(record->packs, record->n_packs), "snapshots",
				items_to_json(record->snapshots, record->n_snapshots));
	int rc = cf_json_encode(doc, out, err);

	json_decref(doc);
	return rc;
}

static bool take_items(const json_t *list, struct cf_quarantined **items_out, size_t *n_out)
{
	size_t n = json_array_size(list);

	if (!json_is_array(list))
		return false;
	*items_out = calloc(n + 1, sizeof(**items_out));
	for (size_t i = 0; *items_out && i < n; i++) {
		const json_t *item = json_array_get(list, i);
		struct cf_quarantined *q = &(*items_out)[(*n_out)++];

		if (!cf_json_hex(item, "id", q->id.bytes, CF_ID_LEN) || cf_id_is_zero(&q->id) ||
		    !cf_json_take_text(item, "why", &q->why) || (i > 0 && cf_id_compare(&q[-1].id, &q->id) >= 0))
			return false;
	}
	return *items_out != NULL;
}

static bool from_json(json_t *doc, void *into)
{
	struct cf_quarantine_record *record = into;

	return cf_json_int(doc, "time", INT64_MIN, INT64_MAX, &record->time_ns) &&
	       cf_json_take_text(doc, "host", &record->host) && cf_json_take_text(doc, "user", &record->user) &&
	       cf_json_take_text(doc, "program", &record->program) &&
	       take_items(json_object_get(doc, "packs"), &record->packs, &record->n_packs) &&
	       take_items(json_object_get(doc, "snapshots"), &record->snapshots, &record->n_snapshots);
}

int cf_quarantine_decode(struct cf_span in, struct cf_quarantine_record *record_out, struct cf_err *err)
{
	struct cf_quarantine_record record = {0};
	int rc = cf_json_decode_fields(in, from_json, &record, err);

	if (rc < 0) {
		cf_quarantine_record_release(&record);
		return rc;
	}
	*record_out = record;
	return 0;
}

static void release_items(struct cf_quarantined *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(items[i].why);
	free(items);
}

void cf_quarantine_record_release(struct cf_quarantine_record *record)
{
	release_items(record->packs, record->n_packs);
	release_items(record->snapshots, record->n_snapshots);
	free(record->host);
	free(record->user);
	free(record->program);
	*record = (struct cf_quarantine_record){0};
}
