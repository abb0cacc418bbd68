#include "repo/key_admin.h"

#include "base/err.h"
#include "repo/handle.h"
#include "repo/key_removal.h"
#include "repo/object.h"
#include "repo/key_slot.h"

#include <stdlib.h>

enum {
	PASSES = 4 /* over slots that others add meanwhile */
};

/*
 * A slot may be removed while it is stored anew. Who removes one removes its objects, lists them again, and removes what came
 * meanwhile. A rotation stores a new object and then looks for those that it was made of: when none is left, it removes the new one.
 * So one of the two sees the other. The slot may also have been stored anew by another rotation; what that stored is filled in the
 * next pass. For that a rotation removes only what objects of its own, which it has decided to keep, supersede.
 */
struct rotation {
	struct cf_repo *repo;
	struct cf_secret *ring;
	char (*kept)[CF_SLOT_NAME_LEN]; /* stored by this rotation */
	size_t n_kept;
	size_t n_put; /* those that were removed again included */
};

bool cf_key_is_carried(const struct cf_key_info *info)
{
	return info->in_use || (info->version == 2 && info->is_trusted && !info->is_removed);
}

static bool is_lagging(const struct cf_key_info *info)
{
	return info->version == 2 && cf_key_is_carried(info) && info->is_behind;
}

static void warn_of_removed(struct cf_repo *repo, const struct cf_key_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct cf_key_info *info = &list->items[i];
		const char *comment = info->about.comment ? info->about.comment : "";

		if (!info->is_removed || info->version == 0 || !info->is_trusted)
			continue;
		if (info->in_use)
			cf_ctx_warn(repo->ctx, "keys.removed", NULL,
				    "key slot %.8s, the one in use, is recorded as removed: coffer key passwd makes another", info->id_text);
		else
			cf_ctx_warn(repo->ctx, "keys.removed", NULL,
				    "key slot %.8s%s%s%s was removed and is back: it gets no new data epoch; coffer key remove %.8s",
				    info->id_text, comment[0] ? " (" : "", comment, comment[0] ? ")" : "", info->id_text);
	}
	for (size_t i = 0; i < list->removals->n_damaged; i++) {
		const struct cf_object_name name = cf_object_name(CF_OBJECT_KEY_REMOVAL, &list->removals->damaged[i]);

		cf_ctx_warn(repo->ctx, "keys.removal", name.s,
			    "%s is damaged: should the key slot that it says was removed be back, it has the new data epoch", name.s);
	}
}

/* The keyring that every slot shall have: with a new epoch, unless an earlier rotation left slots without its
 * own. */
static int choose_ring(struct cf_repo *repo, struct cf_secret **ring_out, bool *is_new_out,
		       struct cf_err *err)
{
	struct cf_key_list list = {0};
	int rc = cf_key_list_load(repo, &list, err);

	*is_new_out = true;
	for (size_t i = 0; rc == 0 && i < list.n; i++)
		*is_new_out &= !is_lagging(&list.items[i]);
	if (rc == 0)
		warn_of_removed(repo, &list);
	cf_key_list_release(&list);
	if (rc < 0)
		return rc;
	return *is_new_out ? cf_keyring_extend(repo->ring, ring_out, err)
			   : cf_keyring_for(repo->ring, CF_ROLE_FULL, ring_out, err);
}

static bool ring_is_in(const struct cf_slot_object *object, const struct cf_keyring *ring)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < ring->n_epochs; i++)
		for (uint32_t e = 0; e < object->second.n_epochs; e++)
			n += object->second.epochs[e] == ring->epochs[i].number;
	return n == ring->n_epochs;
}

static bool is_ours(const struct cf_repo *repo, const struct cf_slot_object *object)
{
	return object->version == 2 && cf_slot_verify(&object->second, repo->key.verify_key, NULL) == 0;
}

static bool has_ring(const struct cf_repo *repo, const struct cf_slot_list *slots, const uint8_t *id,
		     const struct cf_keyring *ring)
{
	for (size_t i = 0; i < slots->n; i++)
		if (is_ours(repo, &slots->items[i]) && memcmp(slots->items[i].id, id, CF_SLOT_ID_LEN) == 0 &&
		    ring_is_in(&slots->items[i], ring))
			return true;
	return false;
}

/* 1 when one of the listed objects of the slot is still there, or 0. */
static int is_there(struct cf_repo *repo, const struct cf_slot_list *slots, const uint8_t *id, struct cf_err *err)
{
	struct cf_backend *store = repo->backend;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < slots->n; i++) {
		uint64_t size;

		if (memcmp(slots->items[i].id, id, CF_SLOT_ID_LEN) != 0)
			continue;
		rc = store->ops->size(store, slots->items[i].name, &size, err);
		if (rc == CF_ERR_NOT_FOUND)
			cf_err_clear(err);
		rc = rc == CF_ERR_NOT_FOUND ? 0 : rc < 0 ? rc : 1;
	}
	return rc;
}

/* Store the slot anew, unless it is removed meanwhile. */
static int store_slot(struct rotation *r, const struct cf_slot_list *slots, const struct cf_keyslot2 *slot,
		      const uint8_t *made_of, struct cf_err *err)
{
	void *kept = realloc(r->kept, (r->n_kept + 1) * sizeof(*r->kept));
	int rc;

	if (!kept)
		return cf_err_nomem(err);
	r->kept = kept;
	rc = cf_slot_put(r->repo->backend, slot, r->kept[r->n_kept], err);
	if (rc < 0)
		return rc;
	r->n_put++;
	rc = is_there(r->repo, slots, made_of, err);
	if (rc == 0)
		return cf_slot_remove_object(r->repo->backend, r->kept[r->n_kept], err);
	r->n_kept++;
	return rc < 0 ? rc : 0;
}

static bool is_to_fill(const struct rotation *r, const struct cf_slot_list *slots, const struct cf_key_removals *removals,
		       const struct cf_slot_object *object, enum cf_key_role role)
{
	return is_ours(r->repo, object) && object->second.role == role &&
	       (!cf_key_was_removed(removals, object->id) || memcmp(object->id, r->repo->key.slot_id, CF_SLOT_ID_LEN) == 0) &&
	       !has_ring(r->repo, slots, object->id, cf_keyring_of(r->ring));
}

/* Store those of a role anew that lack the keyring. */
static int fill_role(struct rotation *r, struct cf_slot_list *slots, const struct cf_key_removals *removals, enum cf_key_role role,
		     struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < slots->n; i++) {
		struct cf_slot_object *object = &slots->items[i];

		if (!is_to_fill(r, slots, removals, object, role))
			continue;
		rc = cf_slot_fill(&object->second, r->ring, err);
		if (rc < 0)
			cf_err_wrap(err, "%s", object->name);
		if (rc == 0)
			rc = store_slot(r, slots, &object->second, object->id, err);
	}
	return rc;
}

/* Full slots first: no writer may use an epoch that nobody can read. */
static int fill_slots(struct rotation *r, struct cf_err *err)
{
	size_t before;
	int rc = 0, pass = 0;

	do {
		struct cf_key_removals removals = {0};
		struct cf_slot_list slots = {0};

		before = r->n_put;
		rc = cf_slots_load(r->repo->backend, &slots, err);
		/* Then: of a slot that is put back the record is older than what is put. */
		if (rc == 0)
			rc = cf_key_removals_load(r->repo, &removals, err);
		if (rc == 0)
			rc = fill_role(r, &slots, &removals, CF_ROLE_FULL, err);
		if (rc == 0)
			rc = fill_role(r, &slots, &removals, CF_ROLE_WRITE, err);
		cf_slots_release(&slots);
		cf_key_removals_release(&removals);
	} while (rc == 0 && r->n_put > before && ++pass < PASSES);
	return rc;
}

/* Whether b makes a needless: it has all its epochs, and more, or comes first. */
static bool is_superseded_by(const struct cf_slot_object *a, const struct cf_slot_object *b)
{
	uint32_t n = 0;

	if (a == b || memcmp(a->id, b->id, sizeof(a->id)) != 0)
		return false;
	for (uint32_t i = 0; i < a->second.n_epochs; i++)
		for (uint32_t e = 0; e < b->second.n_epochs; e++)
			n += a->second.epochs[i] == b->second.epochs[e];
	return n == a->second.n_epochs && (b->second.n_epochs > n || strcmp(b->name, a->name) < 0);
}

static bool is_kept(const struct rotation *r, const struct cf_slot_object *object)
{
	for (size_t i = 0; i < r->n_kept; i++)
		if (strcmp(r->kept[i], object->name) == 0)
			return true;
	return false;
}

/* What the new objects stand for. A store that deletes nothing keeps it: readers put all objects of a slot
 * together. */
static int remove_superseded(struct rotation *r, struct cf_err *err)
{
	struct cf_repo *repo = r->repo;
	struct cf_slot_list slots = {0};
	int rc = cf_slots_load(repo->backend, &slots, err);

	for (size_t i = 0; rc == 0 && i < slots.n; i++) {
		bool is_superseded = false;

		if (!is_ours(repo, &slots.items[i]))
			continue;
		for (size_t j = 0; j < slots.n; j++)
			is_superseded |= is_kept(r, &slots.items[j]) &&
					 is_superseded_by(&slots.items[i], &slots.items[j]);
		if (is_superseded)
			rc = cf_slot_remove_object(repo->backend, slots.items[i].name, err);
	}
	cf_slots_release(&slots);
	return rc;
}

/* What opened the session cannot be given another keyring, so a slot that can takes its place. */
static int renew_first(struct rotation *r, const struct cf_credentials *credentials, const struct cf_slot_about *about,
		       struct cf_err *err)
{
	struct cf_repo *repo = r->repo;
	struct cf_slot_list slots = {0};
	struct cf_keyslot2 slot;
	int rc = cf_slot_make(r->ring, CF_ROLE_FULL, credentials, about, cf_ctx_now_ns(repo->ctx), &slot, err);

	if (rc == 0)
		rc = cf_slots_load(repo->backend, &slots, err);
	if (rc == 0)
		rc = store_slot(r, &slots, &slot, repo->key.slot_id, err);
	if (rc == 0 && r->n_kept == 0)
		rc = cf_err_set(err, CF_ERR_BUSY, "the key slot in use was removed meanwhile");
	cf_slots_release(&slots);
	cf_keyslot2_release(&slot);
	return rc;
}

static int remove_first(struct cf_repo *repo, struct cf_err *err)
{
	struct cf_slot_list slots = {0};
	int rc = cf_slots_load(repo->backend, &slots, err);

	for (size_t i = 0; rc == 0 && i < slots.n; i++)
		if (slots.items[i].version == 1 &&
		    memcmp(slots.items[i].id, repo->key.slot_id, CF_SLOT_ID_LEN) == 0)
			rc = cf_slot_remove_object(repo->backend, slots.items[i].name, err);
	cf_slots_release(&slots);
	return rc;
}

/* Store the keyring in every slot that can take it. */
static int give_ring(struct rotation *r, const struct cf_credentials *credentials, const struct cf_slot_about *about,
		     struct cf_err *err)
{
	int rc = 0;

	if (r->repo->key.slot_version == 1)
		rc = renew_first(r, credentials, about, err);
	if (rc == 0)
		rc = fill_slots(r, err);
	if (rc < 0 && r->n_kept)
		cf_err_wrap(err, "not every key slot has the new data epoch yet (run: coffer key rotate)");
	return rc;
}

/* What cannot be removed holds older keyrings for those who have the new one: it is in nobody's way. */
static int tidy(struct rotation *r, struct cf_err *err)
{
	struct cf_repo *repo = r->repo;
	int rc;

	if (!(repo->backend->caps & CF_BACKEND_CAN_REMOVE))
		return 0;
	rc = remove_superseded(r, err);
	if (rc == 0 && repo->key.slot_version == 1)
		rc = remove_first(repo, err);
	if (rc == CF_ERR_ACCESS || rc == CF_ERR_UNSUPPORTED) {
		cf_ctx_note(repo->ctx, "keys.left", NULL,
			    "the store lets nothing be removed: what the new key slots supersede stays, and does no harm");
		cf_err_clear(err);
		rc = 0;
	}
	if (rc < 0)
		cf_err_wrap(err, "the key slots have the data epoch, but what they supersede is still there");
	return rc;
}

int cf_key_rotate(struct cf_repo *repo, const struct cf_credentials *credentials,
		  const struct cf_slot_about *about, struct cf_key_rotation *rotation_out, struct cf_err *err)
{
	struct cf_err local = CF_ERR_INIT, *own = err ? err : &local;
	struct rotation r = {.repo = repo};
	int rc = cf_repo_require_full(repo, own);

	*rotation_out = (struct cf_key_rotation){0};
	if (rc == 0 && repo->key.is_behind)
		rc = cf_err_set(own, CF_ERR_KEY,
				"the key in use lacks data epochs that another has: run coffer key rotate "
				"with another key");
	if (rc == 0)
		rc = choose_ring(repo, &r.ring, &rotation_out->is_new, own);
	if (rc == 0)
		rc = give_ring(&r, credentials, about, own);
	rotation_out->n_slots = r.n_kept;
	if (rc == 0)
		rotation_out->n_epochs = cf_keyring_of(r.ring)->n_epochs;
	if (rc == 0)
		rc = tidy(&r, own);
	cf_secret_free(r.ring);
	free(r.kept);
	return rc;
}
