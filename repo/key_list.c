#include "repo/key_list.h"

#include "base/err.h"
#include "repo/handle.h"
#include "repo/key_provider.h"
#include "repo/key_removal.h"
#include "repo/key_slot.h"

#include <stdlib.h>

enum { PREFIX_MIN = 4, TRIES = 4 };

static bool same_slot(const uint8_t a[CF_SLOT_ID_LEN], const uint8_t b[CF_SLOT_ID_LEN])
{
	return memcmp(a, b, CF_SLOT_ID_LEN) == 0;
}

static bool is_trusted(const struct cf_repo *repo, const struct cf_slot_object *object)
{
	return object->version == 1 ||
	       (object->version == 2 && cf_slot_verify(&object->second, repo->key.verify_key, NULL) == 0);
}

/* Whether objects of the slot that can be trusted have the epoch: whoever opens the slot puts them together.
 */
static bool has_epoch(const struct cf_repo *repo, const struct cf_slot_list *objects,
		      const struct cf_key_info *info, uint32_t number)
{
	for (size_t i = 0; i < objects->n; i++) {
		const struct cf_slot_object *object = &objects->items[i];

		if (object->version != 2 || !same_slot(object->id, info->id) || !is_trusted(repo, object))
			continue;
		for (uint32_t e = 0; e < object->second.n_epochs; e++)
			if (object->second.epochs[e] == number)
				return true;
	}
	return false;
}

static void judge_epochs(const struct cf_repo *repo, const struct cf_slot_list *objects,
			 struct cf_key_info *info)
{
	const struct cf_keyring *ring = cf_keyring_of(repo->ring);

	if (info->in_use) {
		info->n_epochs = ring->n_epochs;
		info->is_behind = repo->key.is_behind;
	} else if (info->version == 1) {
		/* Never written again since the repository was made with one epoch. */
		info->is_behind = ring->n_epochs > 1;
	} else if (info->version == 2 && info->is_trusted) {
		for (uint32_t i = 0; i < ring->n_epochs; i++)
			info->is_behind |= !has_epoch(repo, objects, info, ring->epochs[i].number);
	}
}

static void fill_info(struct cf_repo *repo, const struct cf_slot_object *object, struct cf_key_info *info)
{
	bool is_first = object->version == 1;

	*info = (struct cf_key_info){.version = object->version,
				     .problem = object->problem,
				     .is_trusted = is_trusted(repo, object)};
	memcpy(info->id, object->id, sizeof(info->id));
	cf_hex_encode(info->id, sizeof(info->id), info->id_text);
	if (object->version == 0)
		return;
	info->role = is_first ? object->first.role : object->second.role;
	info->kind = cf_key_provider(is_first ? object->first.kind : object->second.kind)->name;
	info->created_ns = is_first ? object->first.created_ns : object->second.created_ns;
	info->n_epochs = is_first ? 0 : object->second.n_epochs;
	info->is_weak = cf_kdf_is_weak(is_first ? object->first.kind : object->second.kind,
				       is_first ? object->first.ops : object->second.ops,
				       is_first ? object->first.memory : object->second.memory);
	info->in_use = info->is_trusted && same_slot(info->id, repo->key.slot_id);
}

static struct cf_key_info *find_same(struct cf_key_list *list, const struct cf_key_info *info)
{
	for (size_t i = 0; i < list->n; i++)
		if (same_slot(list->items[i].id, info->id) && list->items[i].version == info->version &&
		    list->items[i].is_trusted == info->is_trusted)
			return &list->items[i];
	return NULL;
}

static int add_object(struct cf_repo *repo, const struct cf_slot_object *object, struct cf_key_list *list,
		      struct cf_err *err)
{
	struct cf_key_info info, *same;
	int rc = 0;

	fill_info(repo, object, &info);
	same = find_same(list, &info);
	if (same) {
		if (info.n_epochs > same->n_epochs)
			same->n_epochs = info.n_epochs;
		return 0;
	}
	if (info.version == 2 && info.is_trusted)
		rc = cf_slot_about_open(cf_keyring_of(repo->ring), &object->second, &info.about, err);
	if (rc == CF_ERR_DAMAGED) {
		cf_err_clear(err);
		rc = 0;
	}
	if (rc == 0)
		list->items[list->n++] = info;
	return rc;
}

static int compare_age(const void *a, const void *b)
{
	const struct cf_key_info *x = a, *y = b;

	if (x->created_ns != y->created_ns)
		return x->created_ns < y->created_ns ? -1 : 1;
	return memcmp(x->id, y->id, sizeof(x->id));
}

/* Again when objects were removed since they were listed: a rotation may have put the slot's new one just behind the listing. */
static int load_objects(struct cf_repo *repo, struct cf_slot_list *objects, struct cf_err *err)
{
	bool has_changed = true;
	int rc = 0;

	for (int i = 0; rc == 0 && has_changed && i < TRIES; i++) {
		cf_slots_release(objects);
		rc = cf_slots_load(repo->backend, objects, err);
		has_changed = false;
		for (size_t k = 0; rc == 0 && k < objects->n; k++)
			has_changed |= objects->items[k].problem_code == CF_ERR_NOT_FOUND;
	}
	return rc;
}

int cf_key_list_load(struct cf_repo *repo, struct cf_key_list *list_out, struct cf_err *err)
{
	struct cf_key_list list = {.objects = calloc(1, sizeof(*list.objects)), .removals = calloc(1, sizeof(*list.removals))};
	int rc = list.objects && list.removals ? load_objects(repo, list.objects, err) : cf_err_nomem(err);

	if (rc == 0)
		rc = cf_key_removals_load(repo, list.removals, err);
	if (rc == 0 && !(list.items = calloc(list.objects->n + 1, sizeof(*list.items))))
		rc = cf_err_nomem(err);
	for (size_t i = 0; rc == 0 && i < list.objects->n; i++)
		if (list.objects->items[i].problem_code != CF_ERR_NOT_FOUND) /* removed since it was listed */
			rc = add_object(repo, &list.objects->items[i], &list, err);
	if (rc < 0) {
		cf_key_list_release(&list);
		return rc;
	}
	for (size_t i = 0; i < list.n; i++) {
		judge_epochs(repo, list.objects, &list.items[i]);
		list.items[i].is_removed = cf_key_was_removed(list.removals, list.items[i].id);
	}
	qsort(list.items, list.n, sizeof(*list.items), compare_age);
	*list_out = list;
	return 0;
}

void cf_key_list_release(struct cf_key_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		cf_slot_about_release(&list->items[i].about);
	free(list->items);
	if (list->objects)
		cf_slots_release(list->objects);
	free(list->objects);
	if (list->removals)
		cf_key_removals_release(list->removals);
	free(list->removals);
	*list = (struct cf_key_list){0};
}

int cf_key_list_find(const struct cf_key_list *list, const char *text, const struct cf_key_info **info_out,
		     struct cf_err *err)
{
	const struct cf_key_info *found = NULL;
	size_t len = strlen(text);

	if (len < PREFIX_MIN)
		return cf_err_set(err, CF_ERR_USAGE,
				  "\"%s\" is no key slot: give at least %d digits of its id", text,
				  PREFIX_MIN);
	for (size_t i = 0; i < list->n; i++) {
		const struct cf_key_info *info = &list->items[i];

		if (strncmp(info->id_text, text, len) != 0)
			continue;
		if (found && !same_slot(found->id, info->id))
			return cf_err_set(err, CF_ERR_USAGE, "%s fits several key slots; give more digits",
					  text);
		if (!found || info->is_trusted)
			found = info;
	}
	if (!found)
		return cf_err_set(err, CF_ERR_NOT_FOUND, "there is no key slot %s", text);
	*info_out = found;
	return 0;
}

bool cf_key_is_complete(const struct cf_key_info *info)
{
	return info->version != 0 && info->role == CF_ROLE_FULL && info->is_trusted && !info->is_removed &&
	       !info->is_behind;
}
