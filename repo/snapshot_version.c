#include "repo/snapshot.h"

#include "base/err.h"
#include "repo/forget.h"
#include "repo/format/snapshot_doc.h"
#include "repo/handle.h"
#include "repo/keyring.h"
#include "repo/object.h"

#include <sodium.h>
#include <stdlib.h>

/* Versions of a snapshot: changed tags or another hold make a new object, which replaces the one before it. */

/* After an hour a forget that has not ended will not go on. */
#define FORGET_NS (INT64_C(3600) * 1000000000)

static const char version_label[] = "coffer snapshot version", origin_label[] = "coffer snapshot origin";

/* What no change of tags or hold touches. Figures and what was vouched for are left out: older programs drop fields they do not know. */
static int encode_unmarked(const struct cf_snapshot *snapshot, struct cf_buf *out, struct cf_err *err)
{
	struct cf_snapshot bare = *snapshot;

	bare.n_tags = bare.n_history = 0;
	bare.audit = NULL;
	bare.hold = NULL;
	bare.has_signature = bare.has_origin = false;
	bare.replaces = (struct cf_id){0};
	bare.figures = (struct cf_figures){0};
	return cf_snapshot_encode(&bare, out, err);
}

/* What is signed of a version: a label, a zero byte, the id of the snapshot that is replaced, and the tags and the hold it gets. */
static int version_bytes(const struct cf_snapshot *snapshot, struct cf_buf *out, struct cf_err *err)
{
	int rc = cf_buf_append(out, version_label, sizeof(version_label), err);

	if (rc == 0)
		rc = cf_buf_append(out, snapshot->replaces.bytes, CF_ID_LEN, err);
	return rc == 0 ? cf_snapshot_encode_marks(snapshot, out, err) : rc;
}

/* And of the backup itself, which all versions have in common. */
static int origin_bytes(const struct cf_snapshot *snapshot, struct cf_buf *out, struct cf_err *err)
{
	int rc = cf_buf_append(out, origin_label, sizeof(origin_label), err);

	return rc == 0 ? encode_unmarked(snapshot, out, err) : rc;
}

typedef int bytes_fn(const struct cf_snapshot *snapshot, struct cf_buf *out, struct cf_err *err);

static int sign(struct cf_repo *repo, const struct cf_snapshot *snapshot, bytes_fn *bytes_of,
		uint8_t signature_out[CF_SIGNATURE_LEN], bool *is_there_out, struct cf_err *err)
{
	struct cf_buf bytes = CF_BUF_INIT;
	int rc = bytes_of(snapshot, &bytes, err);

	if (rc == 0)
		rc = cf_keyring_sign(repo->ring, cf_buf_span(&bytes), signature_out, err);
	*is_there_out |= rc == 0;
	cf_buf_release(&bytes);
	return rc;
}

int cf_snapshot_sign_origin(struct cf_repo *repo, struct cf_snapshot *draft, struct cf_err *err)
{
	if (cf_keyring_of(repo->ring)->role != CF_ROLE_FULL)
		return 0;
	return sign(repo, draft, origin_bytes, draft->origin, &draft->has_origin, err);
}

static int verify(const struct cf_repo *repo, const struct cf_snapshot *snapshot, bytes_fn *bytes_of,
		  const uint8_t signature[CF_SIGNATURE_LEN], bool *is_good_out, struct cf_err *err)
{
	struct cf_buf bytes = CF_BUF_INIT;
	int rc = bytes_of(snapshot, &bytes, err);

	*is_good_out = rc == 0 && crypto_sign_verify_detached(signature, bytes.data, bytes.len, repo->key.verify_key) == 0;
	cf_buf_release(&bytes);
	return rc;
}

int cf_snapshot_verify(const struct cf_repo *repo, struct cf_snapshot *snapshot, struct cf_err *err)
{
	bool cannot_tell = !repo->config.has_signed_versions || sodium_is_zero(repo->key.verify_key, CF_KEY_LEN);
	int rc = 0;

	snapshot->is_signed = snapshot->is_authentic = cannot_tell;
	if (!cannot_tell && snapshot->has_signature)
		rc = verify(repo, snapshot, version_bytes, snapshot->signature, &snapshot->is_signed, err);
	if (rc == 0 && !cannot_tell && snapshot->has_origin)
		rc = verify(repo, snapshot, origin_bytes, snapshot->origin, &snapshot->is_authentic, err);
	return rc;
}

int cf_snapshot_is_version_of(const struct cf_snapshot *newer, const struct cf_snapshot *older, struct cf_err *err)
{
	struct cf_buf a = CF_BUF_INIT, b = CF_BUF_INIT;
	int rc;

	if (!newer->is_signed || !cf_id_equal(&newer->replaces, &older->id))
		return 0;
	rc = encode_unmarked(newer, &a, err);
	if (rc == 0)
		rc = encode_unmarked(older, &b, err);
	if (rc == 0)
		rc = a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
	cf_buf_release(&a);
	cf_buf_release(&b);
	return rc;
}

/* A snapshot again, by way of its document, to be changed and to take its place. */
static int copy_to_replace(const struct cf_snapshot *snapshot, struct cf_snapshot **copy_out, struct cf_err *err)
{
	struct cf_buf doc = CF_BUF_INIT;
	int rc = cf_snapshot_encode(snapshot, &doc, err);

	if (rc == 0)
		rc = cf_snapshot_decode(cf_buf_span(&doc), copy_out, err);
	cf_buf_release(&doc);
	if (rc == 0)
		(*copy_out)->replaces = snapshot->id;
	return rc;
}

/* Whether a forget that began lately removes this snapshot. One that died long ago does not count. */
static int is_being_forgotten(struct cf_repo *repo, const struct cf_id *id, struct cf_err *err)
{
	struct cf_id *records = NULL;
	size_t n = 0;
	int found = 0, rc = cf_object_list(repo, CF_OBJECT_FORGET, &records, &n, err);

	for (size_t i = 0; rc == 0 && !found && i < n; i++) {
		struct cf_forget_record record = {0};

		rc = cf_forget_record_load(repo, &records[i], &record, err);
		for (size_t k = 0; rc == 0 && k < record.n_snapshots; k++)
			found |= cf_id_equal(&record.snapshots[k].id, id) &&
				 cf_ctx_now_ns(repo->ctx) - record.time_ns < FORGET_NS;
		cf_forget_record_release(&record);
		if (rc == CF_ERR_DAMAGED) { /* check names it */
			cf_err_clear(err);
			rc = 0;
		}
	}
	free(records);
	return rc < 0 ? rc : found;
}

static int take_back(struct cf_repo *repo, const struct cf_id *id, const struct cf_id *replaced, struct cf_err *err)
{
	struct cf_backend *store = repo->backend;

	if (store->ops->remove)
		store->ops->remove(store, cf_object_name(CF_OBJECT_SNAPSHOT, id).s, NULL);
	return cf_err_set(err, CF_ERR_BUSY, "snapshot %.8s is being forgotten, or was just replaced: look at coffer snapshots",
			  cf_id_text(replaced).s);
}

/* 1 when another version takes the place of the same one. Whoever sees it gives way: of two at once both may, none is lost unsaid. */
static int has_rival(struct cf_repo *repo, const struct cf_id *id, const struct cf_snapshot *copy, struct cf_err *err)
{
	const struct cf_id *replaced = &copy->replaces;
	struct cf_snapshot old = *copy;
	struct cf_id *ids = NULL;
	size_t n = 0;
	int found = 0, rc = cf_object_list(repo, CF_OBJECT_SNAPSHOT, &ids, &n, err);

	old.id = *replaced;
	for (size_t i = 0; rc == 0 && !found && i < n; i++) {
		struct cf_snapshot *other = NULL;

		if (cf_id_equal(&ids[i], id) || cf_id_equal(&ids[i], replaced))
			continue;
		rc = cf_snapshot_load(repo, &ids[i], &other, err);
		if (rc == 0)
			rc = found = cf_snapshot_is_version_of(other, &old, err);
		cf_snapshot_free(other);
		rc = rc == 1 ? 0 : rc;
		if (rc == CF_ERR_DAMAGED || rc == CF_ERR_NOT_FOUND) {
			cf_err_clear(err);
			rc = 0;
		}
	}
	free(ids);
	return rc < 0 ? rc : found;
}

/*
 * The new object, unless the old one is going: a forget stores its record and then looks for replacements, this looks for records after
 * it has stored one. So of the versions of a snapshot that is kept, one is there at any moment, and prune cannot miss it.
 */
static int put_replacement(struct cf_repo *repo, struct cf_snapshot *copy, struct cf_id *new_id_out, struct cf_err *err)
{
	struct cf_backend *store = repo->backend;
	struct cf_buf doc = CF_BUF_INIT;
	uint64_t size;
	int rc = cf_repo_require_full(repo, err);

	if (rc == 0)
		rc = sign(repo, copy, version_bytes, copy->signature, &copy->has_signature, err);
	if (rc == 0)
		rc = cf_snapshot_encode(copy, &doc, err);
	if (rc == 0)
		rc = cf_object_put(repo, CF_OBJECT_SNAPSHOT, cf_buf_span(&doc), new_id_out, NULL, err);
	cf_buf_release(&doc);
	if (rc < 0)
		return rc;
	rc = is_being_forgotten(repo, &copy->replaces, err);
	if (rc == 0 && store->ops->size(store, cf_object_name(CF_OBJECT_SNAPSHOT, &copy->replaces).s, &size, NULL) ==
			       CF_ERR_NOT_FOUND)
		rc = 1;
	if (rc == 0)
		rc = has_rival(repo, new_id_out, copy, err);
	return rc == 1 ? take_back(repo, new_id_out, &copy->replaces, err) : rc;
}

int cf_snapshot_set_tags(struct cf_repo *repo, const struct cf_snapshot *snapshot, const char *const *tags,
			 size_t n_tags, struct cf_id *new_id_out, struct cf_err *err)
{
	struct cf_snapshot *copy = NULL;
	int rc = copy_to_replace(snapshot, &copy, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < copy->n_tags; i++)
		free(copy->tags[i]);
	free(copy->tags);
	copy->tags = NULL;
	copy->n_tags = 0;
	rc = cf_snapshot_copy_tags(copy, tags, n_tags, err);
	if (rc == 0)
		rc = put_replacement(repo, copy, new_id_out, err);
	cf_snapshot_free(copy);
	return rc;
}

int cf_snapshot_set_hold(struct cf_repo *repo, const struct cf_snapshot *snapshot, const struct cf_hold *hold,
			 struct cf_id *new_id_out, struct cf_err *err)
{
	struct cf_snapshot *copy = NULL;
	struct cf_hold *own, borrowed;
	int rc = copy_to_replace(snapshot, &copy, err);

	if (rc < 0)
		return rc;
	if (hold)
		borrowed = *hold;
	own = copy->hold;
	copy->hold = hold ? &borrowed : NULL;
	rc = put_replacement(repo, copy, new_id_out, err);
	copy->hold = own;
	cf_snapshot_free(copy);
	return rc;
}
