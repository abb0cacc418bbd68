#include "cli/snapshot_json.h"

#include "cli/output.h"

void cf_snapshot_json_figures(struct cf_doc *object, const struct cf_figures *figures)
{
	cf_doc_count(object, "bytes_total", figures->bytes_total);
	cf_doc_count(object, "bytes_restored", figures->bytes_restored);
	cf_doc_count(object, "bytes_read", figures->bytes_read);
	cf_doc_count(object, "bytes_stored", figures->bytes_stored);
	cf_doc_count(object, "chunks_new", figures->chunks_new);
	cf_doc_count(object, "chunks_delta", figures->chunks_delta);
	cf_doc_count(object, "chunks_known", figures->chunks_known);
	cf_doc_count(object, "files", figures->files);
	cf_doc_count(object, "dirs", figures->dirs);
	cf_doc_count(object, "others", figures->others);
	cf_doc_count(object, "files_unchanged", figures->files_unchanged);
	cf_doc_number(object, "seconds", (double)figures->duration_ns / 1e9);
}

void cf_snapshot_json_id(struct cf_doc *object, const char *key, const struct cf_id *id)
{
	cf_doc_text(object, key, cf_id_is_zero(id) ? NULL : cf_id_text(id).s);
}

static void put_hold(struct cf_doc *object, const struct cf_hold *hold)
{
	struct cf_doc child;

	if (!hold) {
		cf_doc_text(object, "hold", NULL);
		return;
	}
	child = cf_doc_object();
	cf_doc_text(&child, "since", cf_text_rfc3339(hold->since_ns).s);
	cf_doc_text(&child, "reason", hold->reason);
	cf_doc_put(object, "hold", &child);
}

struct cf_doc cf_snapshot_json(const struct cf_snapshot *snapshot)
{
	struct cf_doc object = cf_doc_begin(), tags = cf_doc_array(), facts = cf_doc_object();

	for (size_t i = 0; i < snapshot->n_tags; i++)
		cf_doc_push_text(&tags, snapshot->tags[i]);
	for (size_t i = 0; i < snapshot->n_facts; i++)
		cf_doc_text(&facts, snapshot->facts[i].key, snapshot->facts[i].value);
	cf_snapshot_json_id(&object, "id", &snapshot->id);
	cf_doc_text(&object, "time", cf_text_rfc3339(snapshot->time_ns).s);
	cf_doc_text(&object, "host", snapshot->host);
	cf_doc_text(&object, "user", snapshot->user);
	cf_doc_text(&object, "source", snapshot->source);
	cf_doc_text(&object, "driver", snapshot->driver);
	cf_doc_text(&object, "program", snapshot->program);
	cf_snapshot_json_id(&object, "parent", &snapshot->parent);
	cf_snapshot_json_id(&object, "replaces", &snapshot->replaces);
	put_hold(&object, snapshot->hold);
	cf_doc_put(&object, "tags", &tags);
	cf_doc_put(&object, "facts", &facts);
	cf_snapshot_json_figures(&object, &snapshot->figures);
	return object;
}
