#include "repo/format/forget_doc.h"

#include "base/err.h"
#include "repo/format/json.h"
#include "repo/format/limits.h"

#include <stdlib.h>
#include <string.h>

/* The array, or NULL when an item was not made: jansson passes over what is NULL. */
static json_t *snapshots_to_json(const struct cf_forget_record *record)
{
	json_t *list = json_array();
	int failed = 0;

	for (size_t i = 0; i < record->n_snapshots; i++) {
		const struct cf_forgotten *s = &record->snapshots[i];

		failed |= json_array_append_new(
			list, json_pack("{s:o, s:I, s:o, s:o}", "id", cf_json_from_hex(s->id.bytes, CF_ID_LEN),
					"time", (json_int_t)s->time_ns, "host", cf_json_from_text(s->host),
					"source", cf_json_from_text(s->source)));
	}
	if (failed) {
		json_decref(list);
		return NULL;
	}
	return list;
}

int cf_forget_encode(const struct cf_forget_record *record, struct cf_buf *out, struct cf_err *err)
{
	json_t *doc = json_pack("{s:i, s:b, s:I, s:o, s:o, s:o, s:o, s:o}", "version", CF_FORMAT_VERSION, "done",
				(int)record->is_done, "time", (json_int_t)record->time_ns, "host",
				cf_json_from_text(record->host), "user", cf_json_from_text(record->user), "program",
				cf_json_from_text(record->program), "snapshots", snapshots_to_json(record),
				"history", cf_json_from_ids(record->history, record->n_history));
	int rc = cf_json_encode(doc, out, err);

	json_decref(doc);
	return rc;
}

static bool take_snapshots(const json_t *list, struct cf_forget_record *record)
{
	size_t n = json_array_size(list);

	if (n == 0)
		return false;
	record->snapshots = calloc(n, sizeof(*record->snapshots));
	for (size_t i = 0; record->snapshots && i < n; i++) {
		const json_t *item = json_array_get(list, i);
		struct cf_forgotten *s = &record->snapshots[record->n_snapshots++];

		if (!cf_json_hex(item, "id", s->id.bytes, CF_ID_LEN) ||
		    !cf_json_int(item, "time", INT64_MIN, INT64_MAX, &s->time_ns) ||
		    !cf_json_take_text(item, "host", &s->host) || !cf_json_take_text(item, "source", &s->source))
			return false;
	}
	return record->snapshots != NULL;
}

static bool from_json(json_t *doc, void *into)
{
	struct cf_forget_record *record = into;
	const json_t *done = json_object_get(doc, "done");

	record->is_done = json_is_true(done);
	return json_is_boolean(done) && cf_json_int(doc, "time", INT64_MIN, INT64_MAX, &record->time_ns) &&
	       cf_json_take_text(doc, "host", &record->host) && cf_json_take_text(doc, "user", &record->user) &&
	       cf_json_take_text(doc, "program", &record->program) &&
	       take_snapshots(json_object_get(doc, "snapshots"), record) &&
	       cf_json_take_ids(json_object_get(doc, "history"), &record->history, &record->n_history);
}

int cf_forget_decode(struct cf_span in, struct cf_forget_record *record_out, struct cf_err *err)
{
	struct cf_forget_record record = {0};
	int rc = cf_json_decode_fields(in, from_json, &record, err);

	if (rc < 0) {
		cf_forget_record_release(&record);
		return rc;
	}
	*record_out = record;
	return 0;
}

void cf_forget_record_release(struct cf_forget_record *record)
{
	for (size_t i = 0; i < record->n_snapshots; i++) {
		free(record->snapshots[i].host);
		free(record->snapshots[i].source);
	}
	free(record->snapshots);
	free(record->history);
	free(record->host);
	free(record->user);
	free(record->program);
	*record = (struct cf_forget_record){0};
}
