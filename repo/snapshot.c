#include "repo/snapshot.h"

#include "base/err.h"
#include "repo/audit.h"
#include "repo/catalog.h"
#include "repo/forget.h"
#include "repo/format/snapshot_doc.h"
#include "repo/handle.h"
#include "repo/object.h"
#include "repo/quarantine.h"
#include "repo/writer.h"

#include <stdlib.h>

enum {
	PREFIX_MIN = 4
};

static bool has_tag(const struct cf_snapshot *snapshot, const char *tag)
{
	for (size_t i = 0; i < snapshot->n_tags; i++)
		if (strcmp(snapshot->tags[i], tag) == 0)
			return true;
	return false;
}

bool cf_snapshot_matches(const struct cf_snapshot *snapshot, const struct cf_snapshot_filter *filter)
{
	if (!filter)
		return true;
	if ((filter->host && strcmp(filter->host, snapshot->host) != 0) ||
	    (filter->source && strcmp(filter->source, snapshot->source) != 0))
		return false;
	for (size_t i = 0; i < filter->n_tags; i++)
		if (!has_tag(snapshot, filter->tags[i]))
			return false;
	return true;
}

int cf_snapshot_load(struct cf_repo *repo, const struct cf_id *id, struct cf_snapshot **snapshot_out,
		     struct cf_err *err)
{
	struct cf_buf doc = CF_BUF_INIT;
	int rc = cf_object_get(repo, CF_OBJECT_SNAPSHOT, id, &doc, err);

	if (rc == 0) {
		rc = cf_snapshot_decode(cf_buf_span(&doc), snapshot_out, err);
		if (rc < 0)
			cf_err_wrap(err, "%s", cf_object_name(CF_OBJECT_SNAPSHOT, id).s);
	}
	cf_buf_release(&doc);
	if (rc < 0)
		return rc;
	(*snapshot_out)->id = *id;
	rc = cf_snapshot_verify(repo, *snapshot_out, err);
	if (rc < 0) {
		cf_snapshot_free(*snapshot_out);
		*snapshot_out = NULL;
	}
	return rc;
}

static int compare_age(const void *a, const void *b)
{
	const struct cf_snapshot *x = *(struct cf_snapshot *const *)a, *y = *(struct cf_snapshot *const *)b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return cf_id_compare(&x->id, &y->id);
}

/* A snapshot of the list, and the version before it that is in the list, too. */
struct version {
	struct cf_snapshot *snapshot;
	struct version *older;
	bool is_replaced;
};

static int compare_versions(const void *a, const void *b)
{
	return cf_id_compare(&((const struct version *)a)->snapshot->id, &((const struct version *)b)->snapshot->id);
}

static struct version *find_version(struct version *versions, size_t n, const struct cf_id *id)
{
	struct cf_snapshot wanted = {.id = *id};
	const struct version key = {.snapshot = &wanted};

	return cf_id_is_zero(id) ? NULL : bsearch(&key, versions, n, sizeof(key), compare_versions);
}

static int link_versions(struct version *versions, size_t n, struct cf_err *err)
{
	int rc = 0;

	qsort(versions, n, sizeof(*versions), compare_versions);
	for (size_t i = 0; rc >= 0 && i < n; i++) {
		struct version *older = find_version(versions, n, &versions[i].snapshot->replaces);

		if (!older)
			continue;
		rc = cf_snapshot_is_version_of(versions[i].snapshot, older->snapshot, err);
		versions[i].snapshot->is_pretender = rc == 0;
		if (rc != 1)
			continue;
		older->is_replaced = true;
		versions[i].older = older;
	}
	return rc < 0 ? rc : 0;
}

/* A hold is lifted by removing the versions that have it, which a store can forbid. */
static int inherit_hold(struct version *newest, struct cf_err *err)
{
	struct cf_snapshot *snapshot = newest->snapshot;
	const struct version *v = newest->older;

	while (v && !v->snapshot->hold)
		v = v->older;
	if (!v || snapshot->hold)
		return 0;
	snapshot->hold = calloc(1, sizeof(*snapshot->hold));
	if (!snapshot->hold)
		return cf_err_nomem(err);
	snapshot->hold->since_ns = v->snapshot->hold->since_ns;
	snapshot->hold->reason = strdup(v->snapshot->hold->reason);
	return snapshot->hold->reason ? 0 : cf_err_nomem(err);
}

/* Leave out older versions, and what the filter does not admit; the rest oldest first. */
static int filter_list(struct cf_snapshot_list *list, const struct cf_snapshot_filter *filter, struct cf_err *err)
{
	struct version *versions = calloc(list->n + 1, sizeof(*versions));
	size_t n = 0;
	int rc = versions ? 0 : cf_err_nomem(err);

	for (size_t i = 0; rc == 0 && i < list->n; i++)
		versions[i].snapshot = list->items[i];
	if (rc == 0)
		rc = link_versions(versions, list->n, err);
	for (size_t i = 0; rc == 0 && i < list->n; i++)
		rc = versions[i].is_replaced ? 0 : inherit_hold(&versions[i], err);
	for (size_t i = 0; rc == 0 && i < list->n; i++) {
		struct cf_snapshot *snapshot = versions[i].snapshot;

		if (versions[i].is_replaced || !cf_snapshot_matches(snapshot, filter))
			cf_snapshot_free(snapshot);
		else
			list->items[n++] = snapshot;
	}
	if (rc == 0) {
		list->n = n;
		qsort(list->items, n, sizeof(struct cf_snapshot *), compare_age);
	}
	free(versions);
	return rc;
}

static int part_quarantined(struct cf_repo *repo, struct cf_snapshot_list *list, struct cf_err *err)
{
	struct cf_quarantine quarantine = {0};
	size_t n = 0;
	int rc = cf_quarantine_load(repo, &quarantine, err);

	if (rc == 0 && !(list->quarantined = calloc(list->n_damaged, sizeof(*list->quarantined))))
		rc = cf_err_nomem(err);
	for (size_t i = 0; rc == 0 && i < list->n_damaged; i++) {
		if (cf_id_set_has(&quarantine.snapshots, &list->damaged[i]))
			list->quarantined[list->n_quarantined++] = list->damaged[i];
		else
			list->damaged[n++] = list->damaged[i];
	}
	list->n_damaged = n;
	cf_quarantine_release(&quarantine);
	return rc;
}

int cf_snapshots_load(struct cf_repo *repo, const struct cf_snapshot_filter *filter,
		      struct cf_snapshot_list *list_out, struct cf_err *err)
{
	struct cf_snapshot_list list = {0};
	struct cf_id *ids = NULL;
	size_t n = 0;
	int rc = cf_object_list(repo, CF_OBJECT_SNAPSHOT, &ids, &n, err);

	if (rc == 0 && (!(list.items = calloc(n + 1, sizeof(struct cf_snapshot *))) ||
			!(list.damaged = calloc(n + 1, sizeof(*list.damaged)))))
		rc = cf_err_nomem(err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		rc = cf_snapshot_load(repo, &ids[i], &list.items[list.n], err);
		if (rc == 0)
			list.n++;
		else if (rc == CF_ERR_DAMAGED)
			list.damaged[list.n_damaged++] = ids[i];
		if (rc == CF_ERR_DAMAGED || rc == CF_ERR_NOT_FOUND) { /* not found: removed since it was listed */
			cf_err_clear(err);
			rc = 0;
		}
	}
	free(ids);
	if (rc == 0 && list.n_damaged)
		rc = part_quarantined(repo, &list, err);
	if (rc == 0) {
		/* Whoever knows these snapshots needs the index segments that came before them. */
		cf_catalog_refresh(repo->catalog);
		rc = filter_list(&list, filter, err);
	}
	if (rc < 0) {
		cf_snapshot_list_release(&list);
		return rc;
	}
	*list_out = list;
	return 0;
}

void cf_snapshot_list_release(struct cf_snapshot_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		cf_snapshot_free(list->items[i]);
	free(list->items);
	free(list->damaged);
	free(list->quarantined);
	*list = (struct cf_snapshot_list){0};
}

void cf_snapshot_list_warn(struct cf_repo *repo, const struct cf_snapshot_list *list)
{
	for (size_t i = 0; i < list->n_damaged; i++) {
		struct cf_object_name name = cf_object_name(CF_OBJECT_SNAPSHOT, &list->damaged[i]);

		cf_ctx_warn(repo->ctx, "snapshot.damaged", name.s, "%s is damaged and left out", name.s);
	}
}

static bool is_prefix(const char *text)
{
	size_t len = strspn(text, "0123456789abcdef");

	return len >= PREFIX_MIN && len <= 2 * CF_ID_LEN && text[len] == '\0';
}

static bool find_prefix(const struct cf_id *ids, size_t n, const char *text, struct cf_id *id_out)
{
	for (size_t i = 0; i < n; i++)
		if (strncmp(cf_id_text(&ids[i]).s, text, strlen(text)) == 0) {
			*id_out = ids[i];
			return true;
		}
	return false;
}

bool cf_snapshot_find_damaged(const struct cf_snapshot_list *list, const char *text, struct cf_id *id_out)
{
	return find_prefix(list->damaged, list->n_damaged, text, id_out) ||
	       find_prefix(list->quarantined, list->n_quarantined, text, id_out);
}

static int say_unknown(const struct cf_snapshot_list *list, const char *text, struct cf_err *err)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct cf_snapshot *snapshot = list->items[i];

		if (!snapshot->is_pretender && strncmp(cf_id_text(&snapshot->replaces).s, text, strlen(text)) == 0)
			return cf_err_set(err, CF_ERR_NOT_FOUND,
					  "there is no snapshot %s any more: since its tags or its hold were changed it is %.8s", text,
					  cf_id_text(&snapshot->id).s);
	}
	return cf_err_set(err, CF_ERR_NOT_FOUND, "there is no snapshot %s", text);
}

static int pick(struct cf_snapshot_list *list, const char *text, size_t *index_out, struct cf_err *err)
{
	struct cf_id damaged;
	size_t n_found = 0;

	for (size_t i = 0; i < list->n; i++) {
		if (strncmp(cf_id_text(&list->items[i]->id).s, text, strlen(text)) != 0)
			continue;
		*index_out = i;
		n_found++;
	}
	if (n_found == 0 && cf_snapshot_find_damaged(list, text, &damaged))
		return cf_err_set(err, CF_ERR_DAMAGED, "%s is damaged",
				  cf_object_name(CF_OBJECT_SNAPSHOT, &damaged).s);
	if (n_found > 1)
		return cf_err_set(err, CF_ERR_USAGE, "%s fits %zu snapshots; give more digits", text, n_found);
	if (n_found == 0)
		return say_unknown(list, text, err);
	return 0;
}

/* One that says falsely what it replaces is to stand for nobody's newest. */
static bool find_latest(const struct cf_snapshot_list *list, size_t *index_out)
{
	size_t i = list->n;

	while (i > 0 && list->items[i - 1]->is_pretender)
		i--;
	*index_out = i - 1;
	return i > 0;
}

int cf_snapshot_resolve(struct cf_repo *repo, const char *text, const struct cf_snapshot_filter *filter,
			struct cf_snapshot **snapshot_out, struct cf_err *err)
{
	bool latest = strcmp(text, "latest") == 0;
	struct cf_snapshot_list list = {0};
	size_t i = 0;
	int rc;

	if (!latest && !is_prefix(text))
		return cf_err_set(err, CF_ERR_USAGE,
				  "\"%s\" is no snapshot: give at least %d digits of an id, or latest", text,
				  PREFIX_MIN);
	rc = cf_snapshots_load(repo, filter, &list, err);
	if (rc == 0 && latest && list.n_damaged)
		rc = cf_err_set(err, CF_ERR_DAMAGED,
				"%s is damaged and may be the latest: name the snapshot you want by its id",
				cf_object_name(CF_OBJECT_SNAPSHOT, &list.damaged[0]).s);
	else if (rc == 0 && latest && !find_latest(&list, &i))
		rc = cf_err_set(err, CF_ERR_NOT_FOUND, "there is no snapshot yet that fits");
	else if (rc == 0 && !latest)
		rc = pick(&list, text, &i, err);
	if (rc == 0) {
		*snapshot_out = list.items[i];
		list.items[i] = NULL;
	}
	cf_snapshot_list_release(&list);
	return rc;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int cf_snapshot_copy_tags(struct cf_snapshot *snapshot, const char *const *tags, size_t n, struct cf_err *err)
{
	size_t kept = 0;

	snapshot->tags = calloc(n + 1, sizeof(*snapshot->tags));
	if (!snapshot->tags)
		return cf_err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		snapshot->tags[i] = strdup(tags[i]);
		if (!snapshot->tags[i])
			return cf_err_nomem(err);
		snapshot->n_tags++;
	}
	qsort(snapshot->tags, n, sizeof(*snapshot->tags), compare_texts);
	for (size_t i = 0; i < n; i++) {
		if (kept && strcmp(snapshot->tags[kept - 1], snapshot->tags[i]) == 0)
			free(snapshot->tags[i]);
		else
			snapshot->tags[kept++] = snapshot->tags[i];
	}
	snapshot->n_tags = kept;
	return 0;
}

int cf_snapshot_draft(const struct cf_writer_options *options, int64_t time_ns, struct cf_snapshot **draft_out,
		      struct cf_err *err)
{
	struct cf_snapshot *draft = calloc(1, sizeof(*draft));
	int rc;

	if (!draft)
		return cf_err_nomem(err);
	draft->time_ns = time_ns;
	draft->host = strdup(options->host);
	draft->user = strdup(options->user);
	draft->source = strdup(options->source);
	draft->driver = strdup(options->driver);
	draft->program = strdup("coffer " CF_VERSION);
	rc = draft->host && draft->user && draft->source && draft->driver && draft->program ? 0
											   : cf_err_nomem(err);
	if (rc == 0)
		rc = cf_snapshot_copy_tags(draft, options->tags, options->n_tags, err);
	if (rc < 0) {
		cf_snapshot_free(draft);
		return rc;
	}
	*draft_out = draft;
	return 0;
}

int cf_snapshot_add_fact(struct cf_snapshot *draft, const char *key, const char *value, struct cf_err *err)
{
	struct cf_fact *facts = realloc(draft->facts, (draft->n_facts + 1) * sizeof(*facts));
	struct cf_fact *fact;

	if (!facts)
		return cf_err_nomem(err);
	draft->facts = facts;
	fact = &facts[draft->n_facts++];
	fact->key = strdup(key);
	fact->value = strdup(value);
	return fact->key && fact->value ? 0 : cf_err_nomem(err);
}

int cf_snapshot_note_history(struct cf_snapshot *draft, const struct cf_snapshot_list *list, size_t n,
			     struct cf_err *err)
{
	draft->history = calloc(n + 1, sizeof(*draft->history));
	if (!draft->history)
		return cf_err_nomem(err);
	for (size_t i = list->n; i > 0 && draft->n_history < n; i--)
		draft->history[draft->n_history++] = list->items[i - 1]->id;
	return 0;
}

int cf_snapshot_note_audit(struct cf_repo *repo, struct cf_snapshot *draft, struct cf_err *err)
{
	int rc = cf_audit_heads(repo, &draft->audit, &draft->n_audit, err);

	if (rc == 0 || rc == CF_ERR_NOMEM)
		return rc;
	cf_ctx_warn(repo->ctx, "audit.unreadable", NULL, "the snapshot vouches for no audit record: %s",
		    err ? err->text : "they cannot be read");
	cf_err_clear(err);
	return 0;
}

int cf_snapshot_put(struct cf_repo *repo, struct cf_snapshot *draft, struct cf_err *err)
{
	uint64_t stored = draft->figures.bytes_stored, len = 0;
	struct cf_buf doc = CF_BUF_INIT;
	int rc = cf_snapshot_sign_origin(repo, draft, err);

	if (rc < 0)
		return rc;
	/* The document states its own size: write it until the number of digits no longer changes it. */
	do {
		len = doc.len;
		draft->figures.bytes_stored = stored + CF_SEAL_HEADER_LEN + len + CF_TAG_LEN;
		cf_buf_clear(&doc);
		rc = cf_snapshot_encode(draft, &doc, err);
	} while (rc == 0 && doc.len != len);
	if (rc == 0)
		rc = cf_object_put(repo, CF_OBJECT_SNAPSHOT, cf_buf_span(&doc), &draft->id, NULL, err);
	cf_buf_release(&doc);
	return rc;
}
