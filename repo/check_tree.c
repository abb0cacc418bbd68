#include "repo/check_parts.h"

#include "base/err.h"
#include "repo/catalog.h"
#include "repo/content.h"
#include "repo/object.h"
#include "repo/pack_reader.h"
#include "repo/snapshot.h"
#include "repo/tree.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	WALKS_MAX = 16 /* of one snapshot, while the index is written anew all the time */
};

/* A directory on the way down. */
struct check_level {
	struct cf_node *node;
	struct cf_dir_iter *iter;
	size_t path_len;
	struct check_level *parent;
	bool has_loss; /* something in it, at any depth */
};

struct tree_check {
	struct cf_check *check;
	const struct cf_id *snapshot;
	struct cf_id_set lost_packs; /* that something in it needs */
	bool is_gone;	  /* the snapshot: nothing needs to be there for it */
	bool is_outdated; /* the index was written anew: what looks lost may be elsewhere, and is looked at again */
	struct check_level *level;
	struct cf_buf path; /* "<snapshot>:a/b", NUL behind the end */
};

/* 1: first time. */
static int is_new(struct tree_check *t, const struct cf_id *id, struct cf_err *err)
{
	int rc = cf_id_set_add(&t->check->visited, id);

	return rc < 0 ? cf_err_nomem(err) : rc;
}

/* Of a chunk or content that was looked at before: everything that refers to it is lost with it. */
static int judge_again(struct tree_check *t, const struct cf_id *id, struct cf_err *err)
{
	if (!cf_id_set_has(&t->check->lost, id))
		return 0;
	return cf_err_set(err, CF_ERR_DAMAGED, "chunk %.16s of it is lost", cf_id_text(id).s);
}

static bool is_loss(int rc)
{
	return rc == CF_ERR_DAMAGED || rc == CF_ERR_UNSUPPORTED || rc == CF_ERR_NOT_FOUND;
}

/* 1: what looks lost need not be. */
static int is_void(struct tree_check *t, struct cf_err *err)
{
	struct cf_backend *store = t->check->repo->backend;
	uint64_t size;
	int rc;

	if (t->is_gone || t->is_outdated)
		return 1;
	rc = store->ops->size(store, cf_object_name(CF_OBJECT_SNAPSHOT, t->snapshot).s, &size, err);
	if (rc == CF_ERR_NOT_FOUND) {
		cf_err_clear(err);
		t->is_gone = true;
		return 1;
	}
	rc = rc < 0 && rc != CF_ERR_DAMAGED ? rc : cf_check_is_outdated(t->check, err);
	t->is_outdated = rc == 1;
	return rc;
}

/* A loss is a finding about the object, unless it is none. */
static int judge(struct tree_check *t, const char *object, int rc, struct cf_err *err)
{
	struct cf_err loss = *err;
	int is_none;

	if (!is_loss(rc))
		return rc;
	cf_err_clear(err);
	is_none = is_void(t, err);
	if (is_none != 0)
		return is_none < 0 ? is_none : 0;
	*err = loss;
	return cf_check_judge(t->check, object, rc, err);
}

/* Remember a loss, and pass it on. */
static int note_loss(struct tree_check *t, const struct cf_id *id, int rc, struct cf_err *err)
{
	if (is_loss(rc) && cf_id_set_add(&t->check->lost, id) < 0)
		return cf_err_nomem(err);
	return rc;
}

static int note_unindexed(struct tree_check *t, const struct cf_id *name, struct cf_err *err)
{
	struct cf_checked_pack *pack = cf_check_pack(t->check, name);
	int rc;

	if (!pack || pack->is_indexed || pack->is_reported)
		return 0;
	rc = is_void(t, err);
	if (rc < 0)
		return rc;
	if (rc == 1) /* so that it is looked at again */
		return cf_err_set(err, CF_ERR_DAMAGED, "%s is not in the index that was read", cf_pack_name(name).s);
	pack->is_reported = true;
	cf_check_found(t->check, cf_pack_name(name).s,
		       "is needed by a snapshot but in no index segment: a segment is damaged or missing");
	return 0;
}

/* 1 or 0. A pack that is not in the list may have been stored since: the index that names it was read later. */
static int is_missing(struct cf_check *check, const struct cf_id *pack, struct cf_err *err)
{
	struct cf_backend *backend = check->repo->backend;
	uint64_t size;
	int rc = backend->ops->size(backend, cf_pack_name(pack).s, &size, err);

	if (rc != CF_ERR_NOT_FOUND)
		return rc;
	cf_err_clear(err);
	return 1;
}

/* Whoever may write can set aside what is good. */
static int judge_quarantine(struct cf_check *check, struct cf_checked_pack *pack, struct cf_err *err)
{
	int rc;

	if (pack->is_bad || pack->is_quarantine_judged)
		return 0;
	pack->is_quarantine_judged = true;
	rc = cf_check_read_pack(check, pack, err);
	if (is_loss(rc)) {
		cf_err_clear(err);
		return 0;
	}
	if (rc < 0)
		return rc;
	pack->is_quarantined = false;
	cf_check_found(check, cf_pack_name(&pack->name).s,
		       "is set aside and needed, but it is good: coffer repair --yes takes it back in use");
	return 0;
}

/* The chunk has a place in a pack of the store, and so has its base, which is no delta. */
static int check_place(struct tree_check *t, const struct cf_id *id, bool is_base, struct cf_err *err)
{
	struct cf_check *check = t->check;
	struct cf_checked_pack *pack;
	struct cf_location place;
	int rc;

	if (check->recovered && cf_id_set_has(check->recovered, id))
		return 0;
	rc = cf_catalog_find_complete(check->repo->catalog, id, &place, err);
	if (rc == 0) /* what is wrong with it */
		rc = cf_catalog_require(check->repo->catalog, id, is_base, &place, err);
	if (rc < 0)
		return rc;
	pack = cf_check_pack(check, &place.pack);
	if (pack && pack->is_quarantined)
		rc = judge_quarantine(check, pack, err);
	if (rc < 0)
		return rc;
	if (pack && pack->is_quarantined)
		return cf_err_set(err, CF_ERR_DAMAGED, "chunk %.16s of it is lost with %s, which is damaged",
				  cf_id_text(id).s, cf_pack_name(&place.pack).s);
	rc = pack && !pack->is_gone ? 0 : is_missing(check, &place.pack, err);
	if (rc < 0)
		return rc;
	if (rc == 1) {
		if (cf_id_set_add(&t->lost_packs, &place.pack) < 0)
			return cf_err_nomem(err);
		return cf_err_set(err, CF_ERR_DAMAGED, "%s, which holds chunk %.16s of it, is missing",
				  cf_pack_name(&place.pack).s, cf_id_text(id).s);
	}
	rc = note_unindexed(t, &place.pack, err);
	if (rc == 0 && is_base && place.bases.n)
		return cf_err_set(err, CF_ERR_DAMAGED, "chunk %.16s, the base of another, is itself a delta",
				  cf_id_text(id).s);
	for (unsigned i = 0; rc == 0 && i < place.bases.n; i++)
		rc = check_place(t, &place.bases.ids[i], true, err);
	return rc;
}

static int check_chunk(struct tree_check *t, const struct cf_id *id, struct cf_err *err)
{
	int rc = cf_id_is_zero(id) ? 0 : is_new(t, id, err);

	if (rc != 1)
		return rc < 0 ? rc : judge_again(t, id, err);
	t->check->figures.chunks++;
	rc = check_place(t, id, false, err);
	t->check->n_lost_chunks += is_loss(rc);
	return note_loss(t, id, rc, err);
}

/* Every chunk of a content, reading its lists. Contents seen before are passed over. */
static int check_content(struct tree_check *t, const struct cf_content *content, struct cf_err *err)
{
	struct cf_content_cursor *cursor = NULL;
	struct cf_extent extent;
	int rc;

	if (content->level == 0)
		return check_chunk(t, &content->id, err);
	rc = is_new(t, &content->id, err);
	if (rc != 1)
		return rc < 0 ? rc : judge_again(t, &content->id, err);
	rc = cf_content_cursor_new(t->check->repo, content, &cursor, err);
	while (rc == 0) {
		rc = cf_content_cursor_next(cursor, &extent, err);
		if (rc <= 0)
			break;
		rc = check_chunk(t, &extent.id, err);
		if (rc == 0)
			rc = cf_ctx_check(t->check->repo->ctx, err);
	}
	cf_content_cursor_free(cursor);
	return note_loss(t, &content->id, rc, err);
}

static int push(struct tree_check *t, const struct cf_node *node, struct cf_err *err)
{
	struct check_level *level = calloc(1, sizeof(*level));
	int rc;

	if (!level || !(level->node = cf_node_dup(node))) {
		free(level);
		return cf_err_nomem(err);
	}
	level->path_len = t->path.len;
	rc = cf_dir_iter_new(t->check->repo, node, &level->iter, err);
	if (rc < 0) {
		free(level->node);
		free(level);
		return rc;
	}
	level->parent = t->level;
	t->level = level;
	return 0;
}

/* A folder with a loss in it is walked again wherever it is met, so that every path is named. */
static int pop(struct tree_check *t, struct cf_err *err)
{
	struct check_level *level = t->level;
	int rc = 0;

	if (level->has_loss && level->parent)
		level->parent->has_loss = true;
	if (level->has_loss && cf_id_set_add(&t->check->lost, &level->node->content.id) < 0)
		rc = cf_err_nomem(err);
	t->level = level->parent;
	cf_dir_iter_free(level->iter);
	free(level->node);
	free(level);
	return rc;
}

/* 1: a folder that is to be walked. */
static int is_to_walk(struct tree_check *t, const struct cf_id *id, struct cf_err *err)
{
	int rc = is_new(t, id, err);

	return rc == 0 ? cf_id_set_has(&t->check->lost, id) : rc;
}

static int set_path(struct tree_check *t, size_t base_len, const char *name, struct cf_err *err)
{
	int rc;

	cf_buf_resize(&t->path, base_len, NULL);
	rc = cf_buf_append(&t->path, "/", 1, err);
	if (rc == 0)
		rc = cf_buf_append(&t->path, name, strlen(name) + 1, err);
	if (rc == 0)
		t->path.len--;
	return rc;
}

static int visit(struct tree_check *t, const struct cf_node *node, struct cf_err *err)
{
	int rc = set_path(t, t->level->path_len, node->entry.name, err);

	if (rc < 0 || cf_id_is_zero(&node->content.id))
		return rc;
	if (node->entry.type == CF_ENTRY_DIR) {
		rc = is_to_walk(t, &node->content.id, err);
		return rc == 1 ? push(t, node, err) : rc;
	}
	rc = check_content(t, &node->content, err);
	t->level->has_loss |= is_loss(rc);
	return judge(t, (const char *)t->path.data, rc, err);
}

/* The directory the walk is in cannot be read to its end. */
static int judge_dir(struct tree_check *t, int rc, struct cf_err *err)
{
	int set = t->level->parent ? 0 : set_path(t, t->level->path_len, "", NULL); /* the root: "<snapshot>:/" */

	if (t->level->parent) {
		cf_buf_resize(&t->path, t->level->path_len, NULL);
		t->path.data[t->path.len] = '\0';
	}
	return set < 0 ? set : judge(t, (const char *)t->path.data, rc, err);
}

static int walk(struct tree_check *t, struct cf_err *err)
{
	int rc = 0;

	while (rc == 0 && t->level) {
		const struct cf_node *node = NULL;

		rc = cf_dir_iter_next(t->level->iter, &node, err);
		if (rc == 1) {
			rc = visit(t, node, err);
			continue;
		}
		if (rc < 0) {
			t->level->has_loss |= is_loss(rc);
			rc = judge_dir(t, rc, err);
		}
		if (rc == 0)
			rc = pop(t, err);
	}
	while (t->level)
		pop(t, NULL);
	return rc;
}

static int walk_snapshot(struct tree_check *t, const struct cf_snapshot *snapshot, struct cf_err *err)
{
	struct cf_node *root = NULL;
	char prefix[16];
	int rc;

	snprintf(prefix, sizeof(prefix), "%.8s:", cf_id_text(&snapshot->id).s);
	cf_buf_clear(&t->path);
	rc = cf_buf_append(&t->path, prefix, strlen(prefix) + 1, err);
	if (rc < 0)
		return rc;
	t->path.len--;
	rc = cf_tree_find(t->check->repo, snapshot, "", &root, err);
	if (rc == 0)
		rc = check_content(t, &snapshot->root, err);
	if (rc == 0 && !cf_id_is_zero(&root->content.id)) {
		rc = is_to_walk(t, &root->content.id, err);
		if (rc == 1)
			rc = push(t, root, err);
	}
	if (is_loss(rc))
		cf_err_wrap(err, "nothing of it can be restored");
	if (rc == 0)
		rc = walk(t, err);
	free(root);
	return judge(t, cf_object_name(CF_OBJECT_SNAPSHOT, &snapshot->id).s, rc, err);
}

/* What a walk that was not in vain found missing. */
static int note_lost_packs(struct tree_check *t, struct cf_err *err)
{
	const struct cf_id_set *lost = &t->lost_packs;

	for (size_t i = 0; lost->n && i <= lost->mask; i++)
		if (!cf_id_is_zero(&lost->slots[i]) && cf_id_set_add(&t->check->lost_packs, &lost->slots[i]) < 0)
			return cf_err_nomem(err);
	return 0;
}

int cf_check_tree(struct cf_check *check, const struct cf_snapshot *snapshot, struct cf_err *err)
{
	struct tree_check t = {.check = check, .snapshot = &snapshot->id};
	unsigned walks = 0;
	int rc;

	do {
		t.is_outdated = false;
		cf_id_set_release(&t.lost_packs);
		rc = walk_snapshot(&t, snapshot, err);
		if (rc == 0 && (t.is_outdated || t.is_gone))
			rc = cf_check_renew(check, err);
	} while (rc == 0 && t.is_outdated && !t.is_gone && ++walks < WALKS_MAX);
	if (rc == 0 && t.is_outdated && !t.is_gone)
		rc = cf_err_set(err, CF_ERR_BUSY,
				"packs are removed faster than snapshot %.8s can be looked at: check again when prune is done",
				cf_id_text(&snapshot->id).s);
	if (rc == 0 && !t.is_gone)
		rc = note_lost_packs(&t, err);
	cf_id_set_release(&t.lost_packs);
	cf_buf_release(&t.path);
	return rc < 0 ? rc : t.is_gone;
}
