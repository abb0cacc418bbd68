#include "repo/object.h"

#include "base/err.h"
#include "repo/handle.h"

#include <stdio.h>
#include <stdlib.h>

static const char *folder_of(enum cf_object_type type)
{
	switch (type) {
	case CF_OBJECT_INDEX:
		return "index";
	case CF_OBJECT_FORGET:
		return "gc/forget";
	case CF_OBJECT_AUDIT:
		return "audit";
	case CF_OBJECT_LEASE:
		return "gc/lease";
	case CF_OBJECT_INTENT:
		return "gc/intent";
	case CF_OBJECT_TOMB:
		return "gc/tomb";
	case CF_OBJECT_QUARANTINE:
		return "gc/quarantine";
	case CF_OBJECT_KEY_REMOVAL:
		return "removed-keys";
	default:
		return "snapshots";
	}
}

struct cf_object_name cf_object_name_in(const char *folder, const struct cf_id *id)
{
	struct cf_object_name name;

	snprintf(name.s, sizeof(name.s), "%s/%s", folder, cf_id_text(id).s);
	return name;
}

struct cf_object_name cf_object_name(enum cf_object_type type, const struct cf_id *id)
{
	return cf_object_name_in(folder_of(type), id);
}

static int object_key(struct cf_repo *repo, const struct cf_seal_header *header, struct cf_secret **key_out,
		      struct cf_err *err)
{
	const struct cf_keyring *ring = cf_keyring_of(repo->ring);
	uint8_t place[1 + CF_KEY_ID_LEN];
	int rc = cf_secret_new(CF_KEY_LEN, key_out, err);

	if (rc < 0)
		return rc;
	place[0] = (uint8_t)header->type;
	memcpy(place + 1, header->key_id, CF_KEY_ID_LEN);
	return cf_derive(cf_span_of(ring->metadata_key, CF_KEY_LEN), "coffer object",
			 cf_span_of(place, sizeof(place)), cf_secret_data(*key_out), err);
}

int cf_object_put_in(struct cf_repo *repo, enum cf_object_type type, const char *folder, struct cf_span plain,
		     struct cf_id *id_out, uint64_t *stored_out, struct cf_err *err)
{
	struct cf_seal_header header = {.type = type, .cipher = (uint8_t)repo->config.cipher};
	struct cf_seal_place place;
	struct cf_secret *key = NULL;
	struct cf_buf object = CF_BUF_INIT;
	struct cf_span whole;
	int rc;

	cf_random(header.key_id, sizeof(header.key_id));
	place = cf_repo_place(repo, &header);
	rc = object_key(repo, &header, &key, err);
	if (rc == 0)
		rc = cf_commitment(&header, cf_secret_span(key), header.commitment, err);
	if (rc == 0)
		rc = cf_buf_resize(&object, CF_SEAL_HEADER_LEN, err);
	if (rc == 0) {
		cf_seal_header_encode(&header, object.data);
		rc = cf_seal(&place, cf_secret_span(key), 0, &plain, 1, &object, err);
	}
	whole = cf_buf_span(&object);
	if (rc == 0)
		rc = cf_sha256(&whole, 1, id_out, err);
	if (rc == 0)
		rc = cf_backend_put(repo->backend, cf_object_name_in(folder, id_out).s, whole, err);
	if (rc == 0 && stored_out)
		*stored_out = whole.len;
	cf_secret_free(key);
	cf_buf_release(&object);
	return rc;
}

int cf_object_put(struct cf_repo *repo, enum cf_object_type type, struct cf_span plain,
		  struct cf_id *id_out, uint64_t *stored_out, struct cf_err *err)
{
	return cf_object_put_in(repo, type, folder_of(type), plain, id_out, stored_out, err);
}

static int open_object(struct cf_repo *repo, enum cf_object_type type, struct cf_span object,
		       struct cf_buf *plain_out, struct cf_err *err)
{
	struct cf_seal_header header;
	struct cf_seal_place place;
	struct cf_secret *key = NULL;
	uint8_t commitment[CF_COMMITMENT_LEN];
	int rc = cf_seal_header_decode(object, &header, err);

	if (rc < 0)
		return rc;
	if (header.type != type || header.cipher != repo->config.cipher)
		return cf_err_set(err, CF_ERR_DAMAGED, "is an object of another kind");
	place = cf_repo_place(repo, &header);
	rc = object_key(repo, &header, &key, err);
	if (rc == 0)
		rc = cf_commitment(&header, cf_secret_span(key), commitment, err);
	if (rc == 0 && memcmp(commitment, header.commitment, sizeof(commitment)) != 0)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "does not belong to this repository's keys");
	if (rc == 0)
		rc = cf_unseal(&place, cf_secret_span(key), 0,
			       cf_span_of(object.data + CF_SEAL_HEADER_LEN, object.len - CF_SEAL_HEADER_LEN),
			       plain_out, err);
	cf_secret_free(key);
	return rc;
}

int cf_object_get_in(struct cf_repo *repo, enum cf_object_type type, const char *folder, const struct cf_id *id,
		     struct cf_buf *plain_out, struct cf_err *err)
{
	struct cf_object_name name = cf_object_name_in(folder, id);
	struct cf_buf object = CF_BUF_INIT;
	struct cf_span whole;
	struct cf_id found;
	int rc = cf_backend_get_all(repo->backend, name.s, CF_OBJECT_LEN_MAX, &object, err);

	whole = cf_buf_span(&object);
	if (rc == 0)
		rc = cf_sha256(&whole, 1, &found, err);
	if (rc == 0 && !cf_id_equal(&found, id))
		rc = cf_err_set(err, CF_ERR_DAMAGED, "%s is damaged: its bytes do not fit its name", name.s);
	if (rc == 0) {
		rc = open_object(repo, type, whole, plain_out, err);
		if (rc < 0)
			cf_err_wrap(err, "%s", name.s);
	}
	cf_buf_release(&object);
	return rc;
}

int cf_object_get(struct cf_repo *repo, enum cf_object_type type, const struct cf_id *id,
		  struct cf_buf *plain_out, struct cf_err *err)
{
	return cf_object_get_in(repo, type, folder_of(type), id, plain_out, err);
}

struct id_list {
	struct cf_id *ids;
	size_t n, capacity, prefix_len;
	bool nomem;
};

static int collect_id(void *user, const char *name, uint64_t size)
{
	struct id_list *list = user;

	(void)size;
	if (list->n == list->capacity) {
		size_t capacity = list->capacity ? 2 * list->capacity : 64;
		struct cf_id *ids = realloc(list->ids, capacity * sizeof(*ids));

		if (!ids) {
			list->nomem = true;
			return 1;
		}
		list->ids = ids;
		list->capacity = capacity;
	}
	if (cf_id_parse(name + list->prefix_len, &list->ids[list->n]))
		list->n++;
	return 0;
}

int cf_object_list(struct cf_repo *repo, enum cf_object_type type, struct cf_id **ids_out, size_t *n_out,
		   struct cf_err *err)
{
	const char *folder = folder_of(type);
	struct id_list list = {.prefix_len = strlen(folder) + 1};
	int rc = repo->backend->ops->list(repo->backend, folder, collect_id, &list, err);

	if (list.nomem)
		rc = cf_err_nomem(err);
	if (rc < 0) {
		free(list.ids);
		return rc;
	}
	*ids_out = list.ids;
	*n_out = list.n;
	return 0;
}

bool cf_object_is_pack(const char *object, struct cf_id *id_out)
{
	return strncmp(object, "packs/", 6) == 0 && cf_id_parse(strrchr(object, '/') + 1, id_out);
}

struct pack_listing {
	cf_object_pack_fn *fn;
	void *user;
	struct cf_err *err;
};

static int pass_pack(void *user, const char *object, uint64_t size)
{
	const struct pack_listing *listing = user;
	struct cf_id name;

	return cf_object_is_pack(object, &name) ? listing->fn(listing->user, &name, size, listing->err) : 0;
}

int cf_object_each_pack(struct cf_repo *repo, cf_object_pack_fn *fn, void *user, struct cf_err *err)
{
	struct pack_listing listing = {.fn = fn, .user = user, .err = err};

	return repo->backend->ops->list(repo->backend, "packs", pass_pack, &listing, err);
}

int cf_object_remove(struct cf_repo *repo, enum cf_object_type type, const struct cf_id *id, struct cf_err *err)
{
	int rc = repo->backend->ops->remove(repo->backend, cf_object_name(type, id).s, err);

	if (rc == CF_ERR_NOT_FOUND) {
		cf_err_clear(err);
		rc = 0;
	}
	return rc;
}
