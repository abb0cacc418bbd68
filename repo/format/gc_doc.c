#include "repo/format/gc_doc.h"

#include "repo/format/json.h"
#include "repo/format/limits.h"

#include <stdlib.h>
#include <string.h>

static bool take_time(const json_t *doc, int64_t *out)
{
	return cf_json_int(doc, "time", INT64_MIN, INT64_MAX, out);
}

static int encode(json_t *doc, struct cf_buf *out, struct cf_err *err)
{
	int rc = cf_json_encode(doc, out, err);

	json_decref(doc);
	return rc;
}

int cf_lease_encode(const struct cf_lease_doc *lease, struct cf_buf *out, struct cf_err *err)
{
	json_t *doc = json_pack("{s:i, s:o, s:I, s:s, s:I, s:o, s:o, s:o, s:o}", "version", CF_FORMAT_VERSION, "run",
				cf_json_from_hex(lease->run, CF_RUN_ID_LEN), "number", (json_int_t)lease->number,
				"work", lease->is_prune ? "prune" : "backup", "time", (json_int_t)lease->time_ns,
				"host", cf_json_from_text(lease->host), "user", cf_json_from_text(lease->user),
				"source", cf_json_from_text(lease->source), "seen",
				cf_json_from_ids(lease->seen, lease->n_seen));

	if (doc && lease->is_ended && json_object_set_new(doc, "ended", json_true()) < 0) {
		json_decref(doc);
		doc = NULL;
	}
	return encode(doc, out, err);
}

static bool take_lease(json_t *doc, void *into)
{
	struct cf_lease_doc *lease = into;
	const json_t *ended = json_object_get(doc, "ended");
	const char *work;
	int64_t number;

	if (ended && !json_is_true(ended))
		return false;
	lease->is_ended = ended != NULL;
	if (!cf_json_hex(doc, "run", lease->run, CF_RUN_ID_LEN) || !cf_json_int(doc, "number", 0, UINT32_MAX, &number) ||
	    !cf_json_text(doc, "work", &work))
		return false;
	lease->number = (uint32_t)number;
	lease->is_prune = strcmp(work, "prune") == 0;
	return (lease->is_prune || strcmp(work, "backup") == 0) && take_time(doc, &lease->time_ns) &&
	       cf_json_take_text(doc, "host", &lease->host) && cf_json_take_text(doc, "user", &lease->user) &&
	       cf_json_take_text(doc, "source", &lease->source) &&
	       cf_json_take_ids(json_object_get(doc, "seen"), &lease->seen, &lease->n_seen);
}

int cf_lease_decode(struct cf_span in, struct cf_lease_doc *lease_out, struct cf_err *err)
{
	struct cf_lease_doc lease = {0};
	int rc = cf_json_decode_fields(in, take_lease, &lease, err);

	if (rc < 0)
		cf_lease_doc_release(&lease);
	else
		*lease_out = lease;
	return rc;
}

void cf_lease_doc_release(struct cf_lease_doc *lease)
{
	free(lease->host);
	free(lease->user);
	free(lease->source);
	free(lease->seen);
	*lease = (struct cf_lease_doc){0};
}

int cf_intent_encode(const struct cf_intent_doc *intent, struct cf_buf *out, struct cf_err *err)
{
	return encode(json_pack("{s:i, s:o, s:I, s:{s:o, s:i, s:I}}", "version", CF_FORMAT_VERSION, "run",
				cf_json_from_hex(intent->run, CF_RUN_ID_LEN), "time", (json_int_t)intent->time_ns,
				"root", "id", cf_json_from_hex(intent->root.bytes, CF_ID_LEN), "level",
				(int)intent->root_level, "size", (json_int_t)intent->root_size),
		      out, err);
}

static bool take_intent(json_t *doc, void *into)
{
	struct cf_intent_doc *intent = into;
	const json_t *root = json_object_get(doc, "root");
	int64_t level, size;

	if (!cf_json_hex(doc, "run", intent->run, CF_RUN_ID_LEN) || !take_time(doc, &intent->time_ns) ||
	    !cf_json_hex(root, "id", intent->root.bytes, CF_ID_LEN) ||
	    !cf_json_int(root, "level", 0, CF_CONTENT_LEVELS - 1, &level) ||
	    !cf_json_int(root, "size", 1, INT64_MAX, &size) || cf_id_is_zero(&intent->root))
		return false;
	intent->root_level = (uint8_t)level;
	intent->root_size = (uint64_t)size;
	return true;
}

int cf_intent_decode(struct cf_span in, struct cf_intent_doc *intent_out, struct cf_err *err)
{
	*intent_out = (struct cf_intent_doc){0};
	return cf_json_decode_fields(in, take_intent, intent_out, err);
}

int cf_tomb_encode(const struct cf_tomb_doc *tomb, struct cf_buf *out, struct cf_err *err)
{
	return encode(json_pack("{s:i, s:I, s:o, s:o, s:o, s:o}", "version", CF_FORMAT_VERSION, "time",
				(json_int_t)tomb->time_ns, "host", cf_json_from_text(tomb->host), "user",
				cf_json_from_text(tomb->user), "program", cf_json_from_text(tomb->program), "packs",
				cf_json_from_ids(tomb->packs, tomb->n_packs)),
		      out, err);
}

static bool take_tomb(json_t *doc, void *into)
{
	struct cf_tomb_doc *tomb = into;

	if (!take_time(doc, &tomb->time_ns) || !cf_json_take_text(doc, "host", &tomb->host) ||
	    !cf_json_take_text(doc, "user", &tomb->user) || !cf_json_take_text(doc, "program", &tomb->program) ||
	    !cf_json_take_ids(json_object_get(doc, "packs"), &tomb->packs, &tomb->n_packs) || tomb->n_packs == 0)
		return false;
	for (size_t i = 1; i < tomb->n_packs; i++)
		if (cf_id_compare(&tomb->packs[i - 1], &tomb->packs[i]) >= 0)
			return false;
	return true;
}

int cf_tomb_decode(struct cf_span in, struct cf_tomb_doc *tomb_out, struct cf_err *err)
{
	struct cf_tomb_doc tomb = {0};
	int rc = cf_json_decode_fields(in, take_tomb, &tomb, err);

	if (rc < 0)
		cf_tomb_doc_release(&tomb);
	else
		*tomb_out = tomb;
	return rc;
}

void cf_tomb_doc_release(struct cf_tomb_doc *tomb)
{
	free(tomb->host);
	free(tomb->user);
	free(tomb->program);
	free(tomb->packs);
	*tomb = (struct cf_tomb_doc){0};
}
