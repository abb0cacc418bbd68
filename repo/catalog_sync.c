#include "repo/catalog_parts.h"

#include "repo/object.h"
#include "repo/pack_reader.h"
#include "repo/segments.h"

#include <stdlib.h>

/* Keeping the local index true to the repository. */

/* Load what is listed and not loaded. bad_out: room for those that could not be read. */
static int load_missing(struct cf_catalog *catalog, const struct cf_id *listed, size_t n_listed,
			const struct cf_id *loaded, size_t n_loaded, struct cf_id *bad_out, size_t *n_bad_out,
			struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n_listed; i++) {
		struct cf_segment segment = {0};

		if (cf_id_among(loaded, n_loaded, &listed[i]))
			continue;
		rc = cf_ctx_check(catalog->repo->ctx, err);
		if (rc == 0)
			rc = cf_segment_read(catalog->repo, &listed[i], &segment, err);
		if (rc == 0)
			rc = cf_index_load(catalog->index, &listed[i], &segment, err);
		else if (rc == CF_ERR_DAMAGED) {
			cf_err_clear(err);
			bad_out[(*n_bad_out)++] = listed[i];
			rc = 0;
		} else if (rc == CF_ERR_NOT_FOUND) {
			cf_err_clear(err); /* replaced since it was listed */
			rc = 0;
		}
		cf_segment_release(&segment);
	}
	return rc;
}

/* Of `loaded` those that are not listed any more or that a loaded one supersedes, to the front. Their number. */
static size_t select_stale(struct cf_id *loaded, size_t n_loaded, const struct cf_id *listed, size_t n_listed,
			   const struct cf_id *superseded, size_t n_superseded)
{
	size_t n = 0;

	for (size_t i = 0; i < n_loaded; i++)
		if (!cf_id_among(listed, n_listed, &loaded[i]) || cf_id_among(superseded, n_superseded, &loaded[i]))
			loaded[n++] = loaded[i];
	return n;
}

/* The packs of segments that are gone may be gone with them; packs that a newer segment lists as well stay. */
static int unload_stale(struct cf_catalog *catalog, const struct cf_id *listed, size_t n_listed, struct cf_err *err)
{
	struct cf_id *loaded = NULL, *superseded = NULL;
	size_t n_loaded = 0, n_superseded = 0, n_stale;
	int rc = cf_index_segments(catalog->index, &loaded, &n_loaded, err);

	if (rc == 0)
		rc = cf_index_superseded(catalog->index, &superseded, &n_superseded, err);
	if (rc == 0) {
		cf_id_sort(superseded, n_superseded);
		n_stale = select_stale(loaded, n_loaded, listed, n_listed, superseded, n_superseded);
		if (n_stale)
			rc = cf_index_unload(catalog->index, loaded, n_stale, err);
	}
	free(loaded);
	free(superseded);
	return rc;
}

/* The ids of loaded segments and of those that they supersede, sorted: none of them is to be loaded. */
static int known_segments(struct cf_catalog *catalog, struct cf_id **ids_out, size_t *n_out, struct cf_err *err)
{
	struct cf_id *loaded = NULL, *superseded = NULL, *all = NULL;
	size_t n_loaded = 0, n_superseded = 0;
	int rc = cf_index_segments(catalog->index, &loaded, &n_loaded, err);

	if (rc == 0)
		rc = cf_index_superseded(catalog->index, &superseded, &n_superseded, err);
	if (rc == 0 && !(all = calloc(n_loaded + n_superseded + 1, sizeof(*all))))
		rc = cf_err_nomem(err);
	if (rc == 0) {
		if (n_loaded)
			memcpy(all, loaded, n_loaded * sizeof(*all));
		if (n_superseded)
			memcpy(all + n_loaded, superseded, n_superseded * sizeof(*all));
		*n_out = n_loaded + n_superseded;
		cf_id_sort(all, *n_out);
		*ids_out = all;
	}
	free(loaded);
	free(superseded);
	return rc;
}

/* One that is superseded by another is of no use, damaged or not. *n_out: how many are left. */
static int warn_of_bad(struct cf_catalog *catalog, const struct cf_id *bad, size_t n_bad, size_t *n_out, struct cf_err *err)
{
	struct cf_id *superseded = NULL;
	size_t n_superseded = 0;
	int rc = n_bad ? cf_index_superseded(catalog->index, &superseded, &n_superseded, err) : 0;

	cf_id_sort(superseded, n_superseded);
	for (size_t i = 0; rc == 0 && i < n_bad; i++) {
		struct cf_object_name name = cf_object_name(CF_OBJECT_INDEX, &bad[i]);

		if (cf_id_among(superseded, n_superseded, &bad[i]))
			continue;
		if (!catalog->is_muted)
			cf_ctx_warn(catalog->repo->ctx, "index.damaged", name.s,
				    cf_keyring_of(catalog->repo->ring)->role == CF_ROLE_FULL
					    ? "%s is damaged; reading the tables of the packs instead"
					    : "%s is damaged; what it lists and this key cannot read is stored again",
				    name.s);
		(*n_out)++;
	}
	free(superseded);
	return rc;
}

static int sync_once(struct cf_catalog *catalog, size_t *n_bad_out, struct cf_err *err)
{
	struct cf_id *listed = NULL, *known = NULL, *bad = NULL;
	size_t n_listed = 0, n_known = 0, n_bad = 0;
	int rc = cf_object_list(catalog->repo, CF_OBJECT_INDEX, &listed, &n_listed, err);

	if (rc == 0)
		rc = known_segments(catalog, &known, &n_known, err);
	if (rc == 0 && !(bad = calloc(n_listed + 1, sizeof(*bad))))
		rc = cf_err_nomem(err);
	if (rc == 0) {
		cf_id_sort(listed, n_listed);
		rc = load_missing(catalog, listed, n_listed, known, n_known, bad, &n_bad, err);
	}
	if (rc == 0)
		rc = warn_of_bad(catalog, bad, n_bad, n_bad_out, err);
	/* Only now: what new segments list need not be loaded again. */
	if (rc == 0)
		rc = unload_stale(catalog, listed, n_listed, err);
	free(listed);
	free(known);
	free(bad);
	return rc;
}

/* A pack that is in the store and not in the index. */
int cf_catalog_add_pack_locked(struct cf_catalog *catalog, struct cf_segment_pack *pack, struct cf_err *err)
{
	if (cf_id_set_add(&catalog->present, &pack->name) < 0)
		return cf_err_nomem(err);
	return cf_recent_add_pack(catalog->recent, pack, err);
}

struct adoption {
	struct cf_catalog *catalog;
	bool condemned_too;
	size_t n;
};

static int adopt_pack(void *user, const struct cf_id *name, uint64_t size, struct cf_err *err)
{
	struct adoption *a = user;
	struct cf_catalog *catalog = a->catalog;
	struct cf_segment_pack pack = {0};
	int rc;

	if (!cf_pack_may_open(catalog->repo, name) || cf_recent_has_pack(catalog->recent, name) ||
	    (!a->condemned_too && (cf_id_set_has(&catalog->condemned, name) || cf_id_set_has(&catalog->damaged, name))))
		return 0;
	rc = cf_ctx_check(catalog->repo->ctx, err);
	if (rc == 0)
		rc = cf_index_find_pack(catalog->index, name, err);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = cf_pack_read_table(catalog->repo, name, size, &pack, err);
	if (rc == CF_ERR_DAMAGED || rc == CF_ERR_KEY) {
		cf_ctx_note(catalog->repo->ctx, "pack.unreadable", cf_pack_name(name).s, "%s",
			    err ? err->text : "damaged");
		cf_err_clear(err);
		return 0;
	}
	if (rc == 0)
		rc = cf_catalog_add_pack_locked(catalog, &pack, err);
	if (rc == 0)
		a->n++;
	cf_pack_table_release(&pack.table);
	return rc;
}

int cf_catalog_adopt_locked(struct cf_catalog *catalog, bool condemned_too, struct cf_err *err)
{
	struct adoption a = {.catalog = catalog, .condemned_too = condemned_too};
	int rc;

	if (!cf_catalog_reads_packs(catalog))
		return 0;
	rc = cf_object_each_pack(catalog->repo, adopt_pack, &a, err);
	if (rc == 0)
		catalog->adopted_all |= condemned_too;
	if (rc == 0 && a.n)
		cf_ctx_note(catalog->repo->ctx, "packs.adopted", NULL, "%zu packs that no index segment covers are used again",
			    a.n);
	return rc;
}

/* What building the local index anew can help. */
bool cf_catalog_index_failed(int rc)
{
	return rc == CF_ERR_DAMAGED || rc == CF_ERR_FULL;
}

/* Begin with an empty index after its file failed: in the file, or in memory when its disk is full. */
static int replace_index(struct cf_catalog *catalog, int why, struct cf_err *err)
{
	if (why != CF_ERR_FULL) {
		cf_err_clear(err);
		return cf_index_reset(catalog->index, err);
	}
	cf_catalog_note_memory(catalog, err);
	return cf_index_leave_file(catalog->index, err);
}

int cf_catalog_sync_locked(struct cf_catalog *catalog, struct cf_err *err)
{
	size_t n_bad = 0;
	int rc;

	if (catalog->synced)
		return 0;
	rc = sync_once(catalog, &n_bad, err);
	if (cf_catalog_index_failed(rc)) {
		n_bad = 0;
		rc = replace_index(catalog, rc, err);
		if (rc == 0)
			rc = sync_once(catalog, &n_bad, err);
	}
	if (rc == 0 && n_bad)
		rc = cf_catalog_adopt_locked(catalog, false, err);
	catalog->synced = rc == 0;
	return rc;
}

/* The local index failed: build it anew, so that the caller can ask again. why: how it failed. */
int cf_catalog_rebuild_locked(struct cf_catalog *catalog, int why, struct cf_err *err)
{
	int rc;

	if (why != CF_ERR_FULL)
		cf_ctx_note(catalog->repo->ctx, "index.rebuilt", NULL,
			    "%s; it is built anew from the repository",
			    err ? err->text : "the local index is damaged");
	rc = replace_index(catalog, why, err);
	catalog->synced = false;
	return rc < 0 ? rc : cf_catalog_sync_locked(catalog, err);
}
