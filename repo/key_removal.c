#include "repo/key_removal.h"

#include "base/err.h"
#include "repo/format/key_removal_doc.h"
#include "repo/handle.h"
#include "repo/object.h"

#include <sodium.h>
#include <stdlib.h>

/* Before what is signed, so that no signature of a removal passes for one of anything else. */
static const char signature_label[] = "coffer key slot removed";

enum { SIGNED_LEN = sizeof(signature_label) + CF_SLOT_ID_LEN };

/* A label, a zero byte, and the id of the slot, which is random and so of this repository only. */
static void signed_bytes(const uint8_t slot[CF_SLOT_ID_LEN], uint8_t out[SIGNED_LEN])
{
	memcpy(out, signature_label, sizeof(signature_label));
	memcpy(out + sizeof(signature_label), slot, CF_SLOT_ID_LEN);
}

static int sign(struct cf_repo *repo, struct cf_key_removal *removal, struct cf_err *err)
{
	uint8_t bytes[SIGNED_LEN];

	signed_bytes(removal->slot, bytes);
	return cf_keyring_sign(repo->ring, cf_span_of(bytes, sizeof(bytes)), removal->signature, err);
}

static int load(struct cf_repo *repo, const struct cf_id *id, struct cf_key_removal *removal_out, struct cf_err *err)
{
	struct cf_buf doc = CF_BUF_INIT;
	uint8_t bytes[SIGNED_LEN];
	int rc = cf_object_get(repo, CF_OBJECT_KEY_REMOVAL, id, &doc, err);

	if (rc == 0) {
		rc = cf_key_removal_decode(cf_buf_span(&doc), removal_out, err);
		if (rc < 0)
			cf_err_wrap(err, "%s", cf_object_name(CF_OBJECT_KEY_REMOVAL, id).s);
	}
	if (rc == 0) {
		signed_bytes(removal_out->slot, bytes);
		if (crypto_sign_verify_detached(removal_out->signature, bytes, sizeof(bytes), repo->key.verify_key) != 0)
			rc = cf_err_set(err, CF_ERR_DAMAGED, "%s was not written by anybody with a full key",
					cf_object_name(CF_OBJECT_KEY_REMOVAL, id).s);
	}
	cf_buf_release(&doc);
	return rc;
}

static int load_all(struct cf_repo *repo, const struct cf_id *ids, size_t n, struct cf_key_removals *removals, struct cf_err *err)
{
	int rc = 0;

	removals->slots = calloc(n + 1, sizeof(*removals->slots));
	removals->damaged = calloc(n + 1, sizeof(*removals->damaged));
	if (!removals->slots || !removals->damaged)
		return cf_err_nomem(err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct cf_key_removal removal;

		rc = load(repo, &ids[i], &removal, err);
		if (rc == 0) {
			memcpy(removals->slots[removals->n++], removal.slot, CF_SLOT_ID_LEN);
		} else if (rc == CF_ERR_DAMAGED || rc == CF_ERR_UNSUPPORTED) {
			removals->damaged[removals->n_damaged++] = ids[i];
			cf_err_clear(err);
			rc = 0;
		} else if (rc == CF_ERR_NOT_FOUND) { /* taken back since it was listed */
			cf_err_clear(err);
			rc = 0;
		}
	}
	return rc;
}

int cf_key_removals_load(struct cf_repo *repo, struct cf_key_removals *removals_out, struct cf_err *err)
{
	struct cf_key_removals removals = {0};
	struct cf_id *ids = NULL;
	size_t n = 0;
	int rc = 0;

	if (!sodium_is_zero(repo->key.verify_key, CF_KEY_LEN))
		rc = cf_object_list(repo, CF_OBJECT_KEY_REMOVAL, &ids, &n, err);
	if (rc == 0)
		rc = load_all(repo, ids, n, &removals, err);
	free(ids);
	if (rc < 0) {
		cf_key_removals_release(&removals);
		return rc;
	}
	*removals_out = removals;
	return 0;
}

void cf_key_removals_release(struct cf_key_removals *removals)
{
	free(removals->slots);
	free(removals->damaged);
	*removals = (struct cf_key_removals){0};
}

bool cf_key_was_removed(const struct cf_key_removals *removals, const uint8_t slot[CF_SLOT_ID_LEN])
{
	for (size_t i = 0; i < removals->n; i++)
		if (memcmp(removals->slots[i], slot, CF_SLOT_ID_LEN) == 0)
			return true;
	return false;
}

int cf_key_removal_put(struct cf_repo *repo, const uint8_t slot[CF_SLOT_ID_LEN], struct cf_err *err)
{
	struct cf_key_removal removal;
	struct cf_buf doc = CF_BUF_INIT;
	struct cf_id id;
	int rc;

	memcpy(removal.slot, slot, CF_SLOT_ID_LEN);
	rc = sign(repo, &removal, err);
	if (rc == 0)
		rc = cf_key_removal_encode(&removal, &doc, err);
	if (rc == 0)
		rc = cf_object_put(repo, CF_OBJECT_KEY_REMOVAL, cf_buf_span(&doc), &id, NULL, err);
	cf_buf_release(&doc);
	return rc;
}

int cf_key_removal_take_back(struct cf_repo *repo, const uint8_t slot[CF_SLOT_ID_LEN], struct cf_err *err)
{
	struct cf_err local = CF_ERR_INIT, *own = err ? err : &local;
	struct cf_id *ids = NULL;
	size_t n = 0;
	int rc = cf_object_list(repo, CF_OBJECT_KEY_REMOVAL, &ids, &n, own);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct cf_key_removal removal;

		rc = load(repo, &ids[i], &removal, own);
		if (rc == 0 && memcmp(removal.slot, slot, CF_SLOT_ID_LEN) == 0)
			rc = cf_object_remove(repo, CF_OBJECT_KEY_REMOVAL, &ids[i], own);
		if (rc == CF_ERR_DAMAGED || rc == CF_ERR_UNSUPPORTED || rc == CF_ERR_NOT_FOUND) {
			cf_err_clear(own);
			rc = 0;
		}
	}
	free(ids);
	return rc;
}
