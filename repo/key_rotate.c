#include "repo/key_admin.h"

#include "base/err.h"
#include "repo/handle.h"
#include "repo/key_slot.h"

enum {
	PASSES = 4 /* over slots that others add meanwhile */
};

bool cf_key_is_carried(const struct cf_key_info *info)
{
	return info->in_use || (info->version == 2 && info->is_trusted);
}

static bool is_lagging(const struct cf_key_info *info)
{
	return info->version == 2 && cf_key_is_carried(info) && info->is_behind;
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

/* Store those of a role anew that lack the keyring. */
static int fill_role(struct cf_repo *repo, struct cf_slot_list *slots, enum cf_key_role role,
		     struct cf_secret *ring, size_t *n_filled, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < slots->n; i++) {
		struct cf_slot_object *object = &slots->items[i];

		if (!is_ours(repo, object) || object->second.role != role ||
		    has_ring(repo, slots, object->id, cf_keyring_of(ring)))
			continue;
		rc = cf_slot_fill(&object->second, ring, err);
		if (rc < 0)
			cf_err_wrap(err, "%s", object->name);
		if (rc == 0)
			rc = cf_slot_put(repo->backend, &object->second, err);
		*n_filled += rc == 0;
	}
	return rc;
}

/* Full slots first: no writer may use an epoch that nobody can read. */
static int fill_slots(struct cf_repo *repo, struct cf_secret *ring, size_t *n_filled, struct cf_err *err)
{
	size_t before;
	int rc = 0, pass = 0;

	do {
		struct cf_slot_list slots = {0};

		before = *n_filled;
		rc = cf_slots_load(repo->backend, &slots, err);
		if (rc == 0)
			rc = fill_role(repo, &slots, CF_ROLE_FULL, ring, n_filled, err);
		if (rc == 0)
			rc = fill_role(repo, &slots, CF_ROLE_WRITE, ring, n_filled, err);
		cf_slots_release(&slots);
	} while (rc == 0 && *n_filled > before && ++pass < PASSES);
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

/* What the new objects stand for. A store that deletes nothing keeps it: readers put all objects of a slot
 * together. */
static int remove_superseded(struct cf_repo *repo, struct cf_err *err)
{
	struct cf_slot_list slots = {0};
	int rc = cf_slots_load(repo->backend, &slots, err);

	for (size_t i = 0; rc == 0 && i < slots.n; i++) {
		bool is_superseded = false;

		if (!is_ours(repo, &slots.items[i]))
			continue;
		for (size_t j = 0; j < slots.n; j++)
			is_superseded |= is_ours(repo, &slots.items[j]) &&
					 is_superseded_by(&slots.items[i], &slots.items[j]);
		if (is_superseded)
			rc = cf_slot_remove_object(repo->backend, slots.items[i].name, err);
	}
	cf_slots_release(&slots);
	return rc;
}

/* What opened the session cannot be given another keyring, so a slot that can takes its place. */
static int renew_first(struct cf_repo *repo, struct cf_secret *ring, const struct cf_credentials *credentials,
		       const struct cf_slot_about *about, struct cf_err *err)
{
	struct cf_keyslot2 slot;
	int rc = cf_slot_make(ring, CF_ROLE_FULL, credentials, about, cf_ctx_now_ns(repo->ctx), &slot, err);

	if (rc == 0)
		rc = cf_slot_put(repo->backend, &slot, err);
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
static int give_ring(struct cf_repo *repo, struct cf_secret *ring, const struct cf_credentials *credentials,
		     const struct cf_slot_about *about, struct cf_key_rotation *rotation, struct cf_err *err)
{
	int rc = 0;

	if (repo->key.slot_version == 1) {
		rc = renew_first(repo, ring, credentials, about, err);
		rotation->n_slots += rc == 0;
	}
	if (rc == 0)
		rc = fill_slots(repo, ring, &rotation->n_slots, err);
	if (rc < 0 && rotation->n_slots)
		cf_err_wrap(err, "not every key slot has the new data epoch yet (run: coffer key rotate)");
	return rc;
}

int cf_key_rotate(struct cf_repo *repo, const struct cf_credentials *credentials,
		  const struct cf_slot_about *about, struct cf_key_rotation *rotation_out, struct cf_err *err)
{
	struct cf_secret *ring = NULL;
	int rc = cf_repo_require_full(repo, err);

	*rotation_out = (struct cf_key_rotation){0};
	if (rc == 0 && repo->key.is_behind)
		rc = cf_err_set(err, CF_ERR_KEY,
				"the key in use lacks data epochs that another has: run coffer key rotate "
				"with another key");
	if (rc == 0)
		rc = choose_ring(repo, &ring, &rotation_out->is_new, err);
	if (rc == 0)
		rc = give_ring(repo, ring, credentials, about, rotation_out, err);
	if (rc == 0)
		rotation_out->n_epochs = cf_keyring_of(ring)->n_epochs;
	if (rc == 0 && (repo->backend->caps & CF_BACKEND_CAN_REMOVE)) {
		rc = remove_superseded(repo, err);
		if (rc == 0 && repo->key.slot_version == 1)
			rc = remove_first(repo, err);
	}
	cf_secret_free(ring);
	return rc;
}
