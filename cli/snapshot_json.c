#include "cli/snapshot_json.h"

#include "cli/output.h"

void cf_snapshot_json_figures(struct cf_json *object, const struct cf_figures *figures)
{
	cf_json_count(object, "bytes_total", figures->bytes_total);
	cf_json_count(object, "bytes_read", figures->bytes_read);
	cf_json_count(object, "bytes_stored", figures->bytes_stored);
	cf_json_count(object, "chunks_new", figures->chunks_new);
	cf_json_count(object, "chunks_delta", figures->chunks_delta);
	cf_json_count(object, "chunks_known", figures->chunks_known);
	cf_json_count(object, "files", figures->files);
	cf_json_count(object, "dirs", figures->dirs);
	cf_json_count(object, "others", figures->others);
	cf_json_count(object, "files_unchanged", figures->files_unchanged);
	cf_json_number(object, "seconds", (double)figures->duration_ns / 1e9);
}

void cf_snapshot_json_id(struct cf_json *object, const char *key, const struct cf_id *id)
{
	cf_json_text(object, key, cf_id_is_zero(id) ? NULL : cf_id_text(id).s);
}

struct cf_json cf_snapshot_json(const struct cf_snapshot *snapshot)
{
	struct cf_json object = cf_json_document(), tags = cf_json_array(), facts = cf_json_object();

	for (size_t i = 0; i < snapshot->n_tags; i++)
		cf_json_push_text(&tags, snapshot->tags[i]);
	for (size_t i = 0; i < snapshot->n_facts; i++)
		cf_json_text(&facts, snapshot->facts[i].key, snapshot->facts[i].value);
	cf_snapshot_json_id(&object, "id", &snapshot->id);
	cf_json_text(&object, "time", cf_text_rfc3339(snapshot->time_ns).s);
	cf_json_text(&object, "host", snapshot->host);
	cf_json_text(&object, "user", snapshot->user);
	cf_json_text(&object, "source", snapshot->source);
	cf_json_text(&object, "driver", snapshot->driver);
	cf_json_text(&object, "program", snapshot->program);
	cf_snapshot_json_id(&object, "parent", &snapshot->parent);
	cf_snapshot_json_id(&object, "replaces", &snapshot->replaces);
	cf_json_put(&object, "tags", &tags);
	cf_json_put(&object, "facts", &facts);
	cf_snapshot_json_figures(&object, &snapshot->figures);
	return object;
}
