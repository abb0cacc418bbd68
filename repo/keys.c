#include "repo/keys.h"

#include "backends/backend.h"
#include "base/err.h"
#include "repo/crypto.h"
#include "repo/key_provider.h"
#include "repo/key_slot.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum { SLOT_LEN_MAX = 4 << 20, TRIES = 3 };

/* The bytes of a slot object into one of its two structs. */
static int decode_slot(struct cf_slot_object *object, struct cf_span bytes, struct cf_err *err)
{
	bool is_first = cf_keyslot_version(bytes) == 1;
	int rc = is_first ? cf_keyslot_decode(bytes, &object->first, err)
			  : cf_keyslot2_decode(bytes, &object->second, err);

	if (rc < 0)
		return rc;
	object->version = is_first ? 1 : 2;
	if (!is_first)
		memcpy(object->id, object->second.id, sizeof(object->id));
	return 0;
}

/* Which slot a damaged object is of, as far as it can be told: people know slots by their ids. */
static int say_misnamed(struct cf_span bytes, struct cf_err *err)
{
	char text[2 * CF_SLOT_ID_LEN + 1];
	struct cf_keyslot2 slot;

	if (cf_keyslot2_decode(bytes, &slot, NULL) < 0)
		return cf_err_set(err, CF_ERR_DAMAGED, "does not fit its name");
	cf_hex_encode(slot.id, sizeof(slot.id), text);
	cf_keyslot2_release(&slot);
	return cf_err_set(err, CF_ERR_DAMAGED, "does not fit its name; it was key slot %.8s, by what it says", text);
}

static int read_slot(struct cf_backend *backend, struct cf_slot_object *object, struct cf_err *err)
{
	struct cf_span span;
	struct cf_id id;
	int rc = cf_backend_get_all(backend, object->name, SLOT_LEN_MAX, &object->bytes, err);

	span = cf_buf_span(&object->bytes);
	if (rc == 0)
		rc = cf_sha256(&span, 1, &id, err);
	if (rc == 0 && strcmp(object->name + strlen("keys/"), cf_id_text(&id).s) != 0)
		rc = say_misnamed(span, err);
	return rc < 0 ? rc : decode_slot(object, span, err);
}

struct name_list {
	struct cf_slot_list *slots;
	bool nomem;
};

static int collect_name(void *user, const char *name, uint64_t size)
{
	struct name_list *list = user;
	struct cf_slot_object *items, *item;
	struct cf_id id = {0};

	(void)size;
	items = realloc(list->slots->items, (list->slots->n + 1) * sizeof(*items));
	if (!items) {
		list->nomem = true;
		return 1;
	}
	list->slots->items = items;
	item = &items[list->slots->n++];
	*item = (struct cf_slot_object){.bytes = CF_BUF_INIT};
	snprintf(item->name, sizeof(item->name), "%s", name);
	cf_id_parse(name + strlen("keys/"), &id);
	memcpy(item->id, id.bytes, sizeof(item->id));
	return 0;
}

/* Version 2 first: what opens a slot of version 1 may open the one that took its place, which knows more. */
static int compare_slots(const void *a, const void *b)
{
	const struct cf_slot_object *x = a, *y = b;

	if (x->version != y->version)
		return x->version > y->version ? -1 : 1;
	return strcmp(x->name, y->name);
}

int cf_slots_load(struct cf_backend *backend, struct cf_slot_list *list_out, struct cf_err *err)
{
	struct cf_slot_list slots = {0};
	struct name_list names = {.slots = &slots};
	int rc = backend->ops->list(backend, "keys", collect_name, &names, err);

	if (names.nomem)
		rc = cf_err_nomem(err);
	for (size_t i = 0; rc == 0 && i < slots.n; i++) {
		struct cf_slot_object *slot = &slots.items[i];
		struct cf_err why = CF_ERR_INIT;

		slot->problem_code = read_slot(backend, slot, &why);
		if (slot->problem_code == 0)
			continue;
		cf_err_wrap(&why, "%s", slot->name);
		slot->problem = strdup(why.text);
		if (!slot->problem || slot->problem_code == CF_ERR_NOMEM)
			rc = cf_err_nomem(err);
	}
	if (rc < 0) {
		cf_slots_release(&slots);
		return rc;
	}
	if (slots.n)
		qsort(slots.items, slots.n, sizeof(*slots.items), compare_slots);
	*list_out = slots;
	return 0;
}

void cf_slots_release(struct cf_slot_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		if (list->items[i].version == 1)
			cf_keyslot_release(&list->items[i].first);
		if (list->items[i].version == 2)
			cf_keyslot2_release(&list->items[i].second);
		cf_buf_release(&list->items[i].bytes);
		free(list->items[i].problem);
	}
	free(list->items);
	*list = (struct cf_slot_list){0};
}

/* The keyring of a slot of version 1 lies in it directly. */
static int unwrap_first(const struct cf_keyslot *slot, const struct cf_credentials *credentials,
			struct cf_secret **ring_out, struct cf_err *err)
{
	const struct cf_key_provider *provider = cf_key_provider(slot->kind);
	struct cf_key_params params = {.ops = slot->ops, .memory = slot->memory, .wrapped = CF_BUF_INIT};
	struct cf_secret *kek = NULL, *plain = NULL;
	struct cf_buf open_part = CF_BUF_INIT;
	int rc = cf_keyslot_encode_open_part(slot, &open_part, err);

	memcpy(params.salt, slot->salt, sizeof(params.salt));
	if (rc == 0)
		rc = provider->open(credentials, &params, &kek, err);
	if (rc == 0)
		rc = cf_secret_new(slot->wrapped.len - CF_TAG_LEN, &plain, err);
	if (rc == 0 && crypto_aead_xchacha20poly1305_ietf_decrypt(
			       cf_secret_data(plain), NULL, NULL, slot->wrapped.data, slot->wrapped.len,
			       open_part.data, open_part.len, slot->nonce, cf_secret_data(kek)) != 0)
		rc = cf_err_set(err, CF_ERR_KEY, "wrong %s", provider->what);
	if (rc == 0)
		rc = cf_keyring_decode(cf_secret_span(plain), ring_out, err);
	cf_secret_free(kek);
	cf_secret_free(plain);
	cf_buf_release(&open_part);
	return rc;
}

/* Put another keyring of the same slot to those that are open. */
static int add_keyring(struct cf_secret **ring, struct cf_secret *more, struct cf_err *err)
{
	struct cf_secret *merged = NULL;
	int rc = *ring ? cf_keyring_merge(*ring, more, &merged, err) : 0;

	if (rc == 0) {
		cf_secret_free(*ring);
		*ring = merged ? merged : more;
	}
	if (rc < 0 || merged)
		cf_secret_free(more);
	return rc;
}

/* All keyrings of a slot that is unlocked: after two rotations at once each object knows one of the new
 * epochs. */
static int collect_keyrings(const struct cf_slot_list *slots, const struct cf_slot_object *opened,
			    struct cf_secret *secret, struct cf_secret **ring_out, struct cf_err *err)
{
	struct cf_err why = CF_ERR_INIT;
	struct cf_secret *ring = NULL, *more;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < slots->n; i++) {
		const struct cf_slot_object *object = &slots->items[i];

		if (object->version != 2 || memcmp(object->id, opened->id, sizeof(opened->id)) != 0)
			continue;
		rc = cf_slot_keyring(&object->second, secret, &more, &why);
		if (rc == 0)
			rc = add_keyring(&ring, more, &why);
		if (rc == CF_ERR_DAMAGED)
			rc = 0;
	}
	if (rc == 0 && ring) {
		*ring_out = ring;
		return 0;
	}
	cf_secret_free(ring);
	return cf_err_set(err, why.code, "%s", why.text);
}

/* 0: *ring_out and *session_out are filled. CF_ERR_KEY: this slot is another's. */
static int open_object(const struct cf_slot_list *slots, const struct cf_slot_object *object,
		       const struct cf_credentials *credentials, struct cf_secret **ring_out,
		       struct cf_key_session *session_out, struct cf_err *err)
{
	struct cf_secret *secret = NULL;
	int rc;

	*session_out = (struct cf_key_session){.slot_version = object->version};
	memcpy(session_out->slot_id, object->id, sizeof(object->id));
	if (object->version == 1) {
		rc = unwrap_first(&object->first, credentials, ring_out, err);
		if (rc < 0 || cf_keyring_of(*ring_out)->role != CF_ROLE_FULL)
			return rc;
		rc = cf_keyring_verify_key(*ring_out, session_out->verify_key, err);
		if (rc < 0)
			cf_secret_free(*ring_out);
		return rc;
	}
	rc = cf_slot_unlock(&object->second, credentials, &secret, err);
	if (rc == 0)
		rc = collect_keyrings(slots, object, secret, ring_out, err);
	if (rc == 0)
		memcpy(session_out->verify_key, cf_secret_data(secret) + CF_KEY_LEN, CF_KEY_LEN);
	cf_secret_free(secret);
	return rc;
}

/* All that decides whether a secret opens the slot. */
static bool same_lock(const struct cf_keyslot2 *a, const struct cf_keyslot2 *b)
{
	return memcmp(a->id, b->id, sizeof(a->id)) == 0 && a->role == b->role && a->kind == b->kind &&
	       a->created_ns == b->created_ns && a->ops == b->ops && a->memory == b->memory &&
	       memcmp(a->salt, b->salt, sizeof(a->salt)) == 0 && a->wrapped.len == b->wrapped.len &&
	       (a->wrapped.len == 0 || memcmp(a->wrapped.data, b->wrapped.data, a->wrapped.len) == 0) &&
	       memcmp(a->public_key, b->public_key, sizeof(a->public_key)) == 0 &&
	       memcmp(a->secret_nonce, b->secret_nonce, sizeof(a->secret_nonce)) == 0 &&
	       memcmp(a->secret, b->secret, sizeof(a->secret)) == 0;
}

/* Another object of a slot that did not open: it would not either, and a password costs time. */
static bool was_tried(const struct cf_slot_object *const *slots, size_t at)
{
	if (slots[at]->version != 2)
		return false;
	for (size_t i = 0; i < at; i++)
		if (slots[i]->version == 2 && same_lock(&slots[i]->second, &slots[at]->second))
			return true;
	return false;
}

/* What a password costs here. */
static uint64_t work_of(const struct cf_slot_object *object)
{
	if (object->version == 2)
		return object->second.ops * object->second.memory;
	return object->version == 1 ? object->first.ops * object->first.memory : 0;
}

static int compare_work(const void *a, const void *b)
{
	const struct cf_slot_object *x = *(const struct cf_slot_object *const *)a, *y = *(const struct cf_slot_object *const *)b;
	uint64_t p = work_of(x), q = work_of(y);

	if (p != q)
		return p < q ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* The cheapest first: whoever may write can store some that would take hours. free() it. */
static const struct cf_slot_object **in_order_of_work(const struct cf_slot_list *slots)
{
	const struct cf_slot_object **order = calloc(slots->n + 1, sizeof(*order));

	if (!order)
		return NULL;
	for (size_t i = 0; i < slots->n; i++)
		order[i] = &slots->items[i];
	qsort(order, slots->n, sizeof(*order), compare_work);
	return order;
}

static bool fits(const struct cf_slot_object *object, const struct cf_key_provider *provider)
{
	return (object->version == 1 && object->first.kind == provider->kind) ||
	       (object->version == 2 && object->second.kind == provider->kind);
}

/* Whether a slot of somebody with a full key has an epoch beyond the ring's. */
static bool is_behind(const struct cf_slot_list *slots, const struct cf_keyring *ring,
		      const struct cf_key_session *session)
{
	for (size_t i = 0; i < slots->n; i++) {
		const struct cf_keyslot2 *slot = &slots->items[i].second;

		if (slots->items[i].version == 2 && !cf_keyring_knows(ring, slot->epochs, slot->n_epochs) &&
		    cf_slot_verify(slot, session->verify_key, NULL) == 0)
			return true;
	}
	return false;
}

/* Why nothing opened. why: of the last slot of the kind; damage: of the last that could not be used. */
static int say_why(const struct cf_key_provider *provider, size_t n_tried, const struct cf_err *why,
		   const struct cf_err *damage, struct cf_err *err)
{
	if (n_tried == 0 && damage->code)
		return cf_err_set(err, damage->code, "%s", damage->text);
	if (n_tried == 0)
		return cf_err_set(err, CF_ERR_KEY, "no key slot of the repository opens with a %s",
				  provider->what);
	if (damage->code)
		return cf_err_set(err, CF_ERR_KEY,
				  "%s, unless it is for a key slot that is damaged: %s (put it back from a copy of the repository)",
				  why->text, damage->text);
	return cf_err_set(err, CF_ERR_KEY, "%s", why->text);
}

/* 0: open. CF_ERR_KEY, CF_ERR_DAMAGED. CF_ERR_NOT_FOUND: the same, but slots changed meanwhile. */
static int open_any(const struct cf_slot_list *slots, const struct cf_credentials *credentials,
		    struct cf_secret **ring_out, struct cf_key_session *session_out, struct cf_err *err)
{
	const struct cf_key_provider *provider = cf_key_provider_of(credentials);
	const struct cf_slot_object **order = in_order_of_work(slots);
	struct cf_err why = CF_ERR_INIT, damage = CF_ERR_INIT, last = CF_ERR_INIT;
	bool has_changed = false;
	size_t n_tried = 0;
	int rc = order ? CF_ERR_KEY : cf_err_nomem(err);

	for (size_t i = 0; rc == CF_ERR_KEY && i < slots->n; i++) {
		const struct cf_slot_object *object = order[i];
		int opened;

		if (object->problem)
			cf_err_set(&damage, object->problem_code, "%s", object->problem);
		has_changed |= object->problem_code == CF_ERR_NOT_FOUND;
		if (!fits(object, provider) || was_tried(order, i))
			continue;
		cf_err_clear(&last);
		opened = open_object(slots, object, credentials, ring_out, session_out, &last);
		if (opened == 0) {
			rc = 0;
		} else if (opened == CF_ERR_KEY) {
			n_tried++;
			why = last;
		} else if (opened == CF_ERR_NOMEM) {
			rc = cf_err_nomem(err);
		} else {
			damage = last;
			cf_err_wrap(&damage, "%s", object->name);
		}
	}
	free(order);
	if (rc != CF_ERR_KEY)
		return rc;
	rc = say_why(provider, n_tried, &why, &damage, err);
	return has_changed ? CF_ERR_NOT_FOUND : rc;
}

int cf_keys_open(struct cf_backend *backend, const struct cf_credentials *credentials,
		 struct cf_secret **ring_out, struct cf_key_session *session_out, struct cf_err *err)
{
	struct cf_slot_list slots = {0};
	int rc = CF_ERR_NOT_FOUND;

	/* A rotation may put the new object of a slot and remove the old one between our listing and our
	 * reading. */
	for (int i = 0; rc == CF_ERR_NOT_FOUND && i < TRIES; i++) {
		cf_slots_release(&slots);
		rc = cf_slots_load(backend, &slots, err);
		if (rc < 0)
			return rc;
		if (slots.n == 0)
			return cf_err_set(err, CF_ERR_DAMAGED,
					  "keys: every key slot is missing from the repository");
		rc = open_any(&slots, credentials, ring_out, session_out, err);
	}
	if (rc == CF_ERR_NOT_FOUND)
		rc = err ? err->code : CF_ERR_KEY;
	if (rc == 0)
		session_out->is_behind = is_behind(&slots, cf_keyring_of(*ring_out), session_out);
	cf_slots_release(&slots);
	return rc;
}
