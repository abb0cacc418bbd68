#include "repo/check_parts.h"

#include "base/err.h"
#include "repo/key_removal.h"
#include "repo/key_slot.h"
#include "repo/object.h"

/* The key slots. The id of a slot, by which people know it, is in the object; damaged ones go by their names. */

static struct cf_hex_id {
	char s[2 * CF_SLOT_ID_LEN + 1];
} id_text(const struct cf_slot_object *object)
{
	struct cf_hex_id text;

	cf_hex_encode(object->id, sizeof(object->id), text.s);
	return text;
}

/* Not removed since it was listed. */
static bool is_there(const struct cf_check *check, const struct cf_slot_object *object)
{
	struct cf_backend *store = check->repo->backend;
	uint64_t size;

	return store->ops->size(store, object->name, &size, NULL) == 0;
}

static int check_slot(struct cf_check *check, const struct cf_key_removals *removals, const struct cf_slot_object *object,
		      struct cf_err *err)
{
	if (object->problem_code == CF_ERR_NOT_FOUND) /* removed since it was listed */
		return 0;
	if (object->problem)
		return cf_err_set(err, object->problem_code, "%s", object->problem);
	if (object->version == 2 && cf_slot_verify(&object->second, check->repo->key.verify_key, NULL) < 0)
		return cf_err_set(err, CF_ERR_DAMAGED, "key slot %.8s was not written by anybody with a full key",
				  id_text(object).s);
	if (cf_key_was_removed(removals, object->id) && is_there(check, object))
		return cf_err_set(err, CF_ERR_DAMAGED,
				  "key slot %.8s was removed, and is there: it was put back, or could not go; no rotation gives it a new "
				  "epoch; coffer key remove %.8s",
				  id_text(object).s, id_text(object).s);
	return 0;
}

int cf_check_keys(struct cf_check *check, struct cf_err *err)
{
	struct cf_key_removals removals = {0};
	struct cf_slot_list slots = {0};
	/* Before the slots, so that one that is being removed is gone, or going, when it is looked for. */
	int rc = cf_key_removals_load(check->repo, &removals, err);

	if (rc == 0)
		rc = cf_slots_load(check->repo->backend, &slots, err);
	for (size_t i = 0; rc == 0 && i < slots.n; i++)
		rc = cf_check_judge(check, slots.items[i].name, check_slot(check, &removals, &slots.items[i], err), err);
	for (size_t i = 0; rc == 0 && i < removals.n_damaged; i++)
		cf_check_found(check, cf_object_name(CF_OBJECT_KEY_REMOVAL, &removals.damaged[i]).s,
			       "is damaged, or nobody with a full key stored it: which key slot it says was removed is not known; put a "
			       "good copy of it back, or remove it and look at coffer key list");
	cf_slots_release(&slots);
	cf_key_removals_release(&removals);
	return rc;
}
