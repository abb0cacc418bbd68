#include "repo/format/snapshot_doc.h"

#include "base/err.h"
#include "repo/format/audit_ref.h"
#include "repo/format/json.h"
#include "repo/format/limits.h"

#include <stdlib.h>

/* Each figure: its name in the document and its place in the struct. */
static const struct {
	const char *key;
	size_t offset;
} figures[] = {
	{"bytes_total", offsetof(struct cf_figures, bytes_total)},
	{"bytes_read", offsetof(struct cf_figures, bytes_read)},
	{"bytes_stored", offsetof(struct cf_figures, bytes_stored)},
	{"chunks_new", offsetof(struct cf_figures, chunks_new)},
	{"chunks_delta", offsetof(struct cf_figures, chunks_delta)},
	{"chunks_known", offsetof(struct cf_figures, chunks_known)},
	{"files", offsetof(struct cf_figures, files)},
	{"dirs", offsetof(struct cf_figures, dirs)},
	{"others", offsetof(struct cf_figures, others)},
	{"files_unchanged", offsetof(struct cf_figures, files_unchanged)},
	{"duration_ns", offsetof(struct cf_figures, duration_ns)},
};

#define N_FIGURES (sizeof(figures) / sizeof(figures[0]))

/* doc, or NULL when a part of it was not made: jansson passes over what is NULL. */
static json_t *whole(json_t *doc, int failed)
{
	if (!failed)
		return doc;
	json_decref(doc);
	return NULL;
}

static json_t *figures_to_json(const struct cf_figures *f)
{
	json_t *doc = json_object();
	int failed = 0;

	for (size_t i = 0; i < N_FIGURES; i++) {
		uint64_t value;

		memcpy(&value, (const char *)f + figures[i].offset, sizeof(value));
		failed |= json_object_set_new(doc, figures[i].key, json_integer((json_int_t)value));
	}
	if (f->bytes_restored != f->bytes_total)
		failed |= json_object_set_new(doc, "bytes_restored", json_integer((json_int_t)f->bytes_restored));
	return whole(doc, failed);
}

static json_t *tags_to_json(const struct cf_snapshot *s)
{
	json_t *tags = json_array();
	int failed = 0;

	for (size_t i = 0; i < s->n_tags; i++)
		failed |= json_array_append_new(tags, cf_json_from_text(s->tags[i]));
	return whole(tags, failed);
}

static json_t *facts_to_json(const struct cf_snapshot *s)
{
	json_t *facts = json_object();
	int failed = 0;

	for (size_t i = 0; i < s->n_facts; i++)
		failed |= json_object_set_new(facts, s->facts[i].key, cf_json_from_text(s->facts[i].value));
	return whole(facts, failed);
}

/* Only a held snapshot has the field. */
static int put_hold(json_t *doc, const struct cf_hold *hold)
{
	json_t *reason;

	if (!hold)
		return 0;
	reason = cf_json_from_text(hold->reason);
	return json_object_set_new(
		doc, "hold",
		reason ? json_pack("{s:o, s:I}", "reason", reason, "since", (json_int_t)hold->since_ns) : NULL);
}

/* Only a snapshot whose writer looked has the field. */
static int put_audit(json_t *doc, const struct cf_snapshot *s)
{
	return s->audit ? json_object_set_new(doc, "audit", cf_audit_refs_to_json(s->audit, s->n_audit)) : 0;
}

/* Only what replaces another snapshot has the one field, only what a full key made the other. */
static int put_signatures(json_t *doc, const struct cf_snapshot *s)
{
	int failed = 0;

	if (s->has_signature)
		failed |= json_object_set_new(doc, "signature", cf_json_from_hex(s->signature, CF_SIGNATURE_LEN));
	if (s->has_origin)
		failed |= json_object_set_new(doc, "origin", cf_json_from_hex(s->origin, CF_SIGNATURE_LEN));
	return failed;
}

static int encode_whole(json_t *doc, int failed, struct cf_buf *out, struct cf_err *err)
{
	int rc;

	doc = whole(doc, failed);
	rc = cf_json_encode(doc, out, err);
	json_decref(doc);
	return rc;
}

int cf_snapshot_encode_marks(const struct cf_snapshot *s, struct cf_buf *out, struct cf_err *err)
{
	json_t *doc = json_object();
	int failed = json_object_set_new(doc, "tags", tags_to_json(s));

	failed |= put_hold(doc, s->hold);
	return encode_whole(doc, failed, out, err);
}

int cf_snapshot_encode(const struct cf_snapshot *s, struct cf_buf *out, struct cf_err *err)
{
	json_t *doc = json_object();
	int failed = 0;

	failed |= json_object_set_new(doc, "tags", tags_to_json(s));
	failed |= json_object_set_new(doc, "facts", facts_to_json(s));
	failed |= json_object_set_new(doc, "history", cf_json_from_ids(s->history, s->n_history));

	failed |= json_object_set_new(doc, "version", json_integer(CF_FORMAT_VERSION));
	failed |= json_object_set_new(doc, "time", json_integer((json_int_t)s->time_ns));
	failed |= json_object_set_new(doc, "host", cf_json_from_text(s->host));
	failed |= json_object_set_new(doc, "user", cf_json_from_text(s->user));
	failed |= json_object_set_new(doc, "source", cf_json_from_text(s->source));
	failed |= json_object_set_new(doc, "driver", cf_json_from_text(s->driver));
	failed |= json_object_set_new(doc, "program", cf_json_from_text(s->program));
	failed |= json_object_set_new(doc, "parent", cf_json_from_hex(s->parent.bytes, CF_ID_LEN));
	failed |= json_object_set_new(doc, "replaces", cf_json_from_hex(s->replaces.bytes, CF_ID_LEN));
	failed |= json_object_set_new(
		doc, "root",
		json_pack("{s:o, s:i, s:I}", "id", cf_json_from_hex(s->root.id.bytes, CF_ID_LEN), "level",
			  (int)s->root.level, "size", (json_int_t)s->root.size));
	failed |= json_object_set_new(doc, "figures", figures_to_json(&s->figures));
	failed |= put_hold(doc, s->hold);
	failed |= put_audit(doc, s);
	failed |= put_signatures(doc, s);
	return encode_whole(doc, failed, out, err);
}

static bool take_tags(const json_t *list, struct cf_snapshot *s)
{
	size_t n = json_array_size(list);

	if (!json_is_array(list))
		return false;
	s->tags = calloc(n + 1, sizeof(*s->tags));
	for (size_t i = 0; s->tags && i < n; i++) {
		const char *text = json_string_value(json_array_get(list, i));

		if (!text || !(s->tags[i] = strdup(text)))
			return false;
		s->n_tags++;
	}
	return s->tags != NULL;
}

static bool take_facts(json_t *object, struct cf_snapshot *s)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return false;
	s->facts = calloc(json_object_size(object) + 1, sizeof(*s->facts));
	if (!s->facts)
		return false;
	json_object_foreach(object, key, value) {
		const char *text = json_string_value(value);
		struct cf_fact *fact = &s->facts[s->n_facts];

		if (!text)
			return false;
		s->n_facts++;
		fact->key = strdup(key);
		fact->value = strdup(text);
		if (!fact->key || !fact->value)
			return false;
	}
	return true;
}

static bool take_hold(const json_t *hold, struct cf_snapshot *s)
{
	if (!hold)
		return true;
	s->hold = calloc(1, sizeof(*s->hold));
	return s->hold && cf_json_int(hold, "since", INT64_MIN, INT64_MAX, &s->hold->since_ns) &&
	       cf_json_take_text(hold, "reason", &s->hold->reason);
}

static bool take_audit(const json_t *list, struct cf_snapshot *s)
{
	return !list || cf_audit_refs_from_json(list, &s->audit, &s->n_audit);
}

static bool take_signature(const json_t *doc, const char *field, bool *is_there_out, uint8_t signature_out[CF_SIGNATURE_LEN])
{
	*is_there_out = json_object_get(doc, field) != NULL;
	return !*is_there_out || cf_json_hex(doc, field, signature_out, CF_SIGNATURE_LEN);
}

static bool take_root(const json_t *root, struct cf_content *content)
{
	int64_t level, size;

	if (!cf_json_hex(root, "id", content->id.bytes, CF_ID_LEN) ||
	    !cf_json_int(root, "level", 0, CF_CONTENT_LEVELS - 1, &level) ||
	    !cf_json_int(root, "size", 1, INT64_MAX, &size) || cf_id_is_zero(&content->id))
		return false;
	content->level = (uint8_t)level;
	content->size = (uint64_t)size;
	return true;
}

static bool take_restored(const json_t *doc, struct cf_figures *f)
{
	int64_t value;

	if (!cf_json_int(doc, "bytes_restored", 0, INT64_MAX, &value))
		return false;
	f->bytes_restored = (uint64_t)value;
	return true;
}

static bool take_figures(const json_t *doc, struct cf_figures *f)
{
	for (size_t i = 0; i < N_FIGURES; i++) {
		int64_t value;

		if (!cf_json_int(doc, figures[i].key, 0, INT64_MAX, &value))
			return false;
		memcpy((char *)f + figures[i].offset, &value, sizeof(value));
	}
	f->bytes_restored = f->bytes_total;
	return !json_object_get(doc, "bytes_restored") || take_restored(doc, f);
}

static bool from_json(json_t *doc, void *into)
{
	struct cf_snapshot *s = into;

	return cf_json_int(doc, "time", INT64_MIN, INT64_MAX, &s->time_ns) &&
	       cf_json_take_text(doc, "host", &s->host) && cf_json_take_text(doc, "user", &s->user) &&
	       cf_json_take_text(doc, "source", &s->source) && cf_json_take_text(doc, "driver", &s->driver) &&
	       cf_json_take_text(doc, "program", &s->program) &&
	       cf_json_hex(doc, "parent", s->parent.bytes, CF_ID_LEN) &&
	       cf_json_hex(doc, "replaces", s->replaces.bytes, CF_ID_LEN) &&
	       take_root(json_object_get(doc, "root"), &s->root) &&
	       take_figures(json_object_get(doc, "figures"), &s->figures) &&
	       take_tags(json_object_get(doc, "tags"), s) && take_facts(json_object_get(doc, "facts"), s) &&
	       cf_json_take_ids(json_object_get(doc, "history"), &s->history, &s->n_history) &&
	       take_hold(json_object_get(doc, "hold"), s) && take_audit(json_object_get(doc, "audit"), s) &&
	       take_signature(doc, "signature", &s->has_signature, s->signature) &&
	       take_signature(doc, "origin", &s->has_origin, s->origin);
}

int cf_snapshot_decode(struct cf_span in, struct cf_snapshot **snapshot_out, struct cf_err *err)
{
	struct cf_snapshot *s = calloc(1, sizeof(*s));
	int rc = s ? cf_json_decode_fields(in, from_json, s, err) : cf_err_nomem(err);

	if (rc < 0) {
		cf_snapshot_free(s);
		return rc;
	}
	*snapshot_out = s;
	return 0;
}

static void free_texts(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

void cf_snapshot_free(struct cf_snapshot *s)
{
	if (!s)
		return;
	free(s->host);
	free(s->user);
	free(s->source);
	free(s->driver);
	free(s->program);
	free_texts(s->tags, s->n_tags);
	for (size_t i = 0; i < s->n_facts; i++) {
		free((void *)(uintptr_t)s->facts[i].key);
		free((void *)(uintptr_t)s->facts[i].value);
	}
	free(s->facts);
	free(s->history);
	free(s->audit);
	if (s->hold)
		free(s->hold->reason);
	free(s->hold);
	free(s);
}
