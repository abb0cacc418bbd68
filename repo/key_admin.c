#include "repo/key_admin.h"

#include "base/err.h"
#include "repo/handle.h"
#include "repo/key_removal.h"
#include "repo/key_slot.h"

static int add_slot(struct cf_repo *repo, enum cf_key_role role, const struct cf_credentials *credentials,
		    const struct cf_slot_about *about, char *id_text_out, struct cf_err *err)
{
	struct cf_keyslot2 slot;
	int rc = cf_slot_make(repo->ring, role, credentials, about, cf_ctx_now_ns(repo->ctx), &slot, err);

	if (rc == 0) {
		cf_hex_encode(slot.id, sizeof(slot.id), id_text_out);
		rc = cf_slot_put(repo->backend, &slot, NULL, err);
	}
	cf_keyslot2_release(&slot);
	return rc;
}

/* Two slots of one secret look like two keys, and removing one takes nothing away. Passwords are not tried: that takes its time. */
static int refuse_second(struct cf_repo *repo, const struct cf_credentials *credentials, struct cf_err *err)
{
	char text[2 * CF_SLOT_ID_LEN + 1];
	struct cf_key_session session;
	struct cf_secret *ring = NULL;

	if (!credentials->key_file || cf_keys_open(repo->backend, credentials, &ring, &session, NULL) < 0)
		return 0;
	cf_secret_free(ring);
	cf_hex_encode(session.slot_id, CF_SLOT_ID_LEN, text);
	return cf_err_set(err, CF_ERR_BUSY, "this key opens key slot %.8s already: add another one", text);
}

int cf_key_add(struct cf_repo *repo, enum cf_key_role role, const struct cf_credentials *credentials,
	       const struct cf_slot_about *about, char *id_text_out, struct cf_err *err)
{
	int rc = cf_repo_require_full(repo, err);

	if (rc == 0)
		rc = refuse_second(repo, credentials, err);
	return rc < 0 ? rc : add_slot(repo, role, credentials, about, id_text_out, err);
}

/* Every object of the slot. */
static int remove_objects(struct cf_repo *repo, const struct cf_slot_list *objects, const uint8_t *id,
			  struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < objects->n; i++)
		if (memcmp(objects->items[i].id, id, CF_SLOT_ID_LEN) == 0)
			rc = cf_slot_remove_object(repo->backend, objects->items[i].name, err);
	return rc;
}

static size_t count_complete_but(const struct cf_key_list *list, const uint8_t *id)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++)
		n += cf_key_is_complete(&list->items[i]) &&
		     memcmp(list->items[i].id, id, CF_SLOT_ID_LEN) != 0;
	return n;
}

static int may_remove(struct cf_repo *repo, const struct cf_key_list *list, const struct cf_key_info *info,
		      bool even_in_use, struct cf_err *err)
{
	int rc = cf_repo_require_full(repo, err);

	if (rc < 0)
		return rc;
	if (repo->key.is_behind)
		return cf_err_set(err, CF_ERR_KEY,
				  "the key in use lacks data epochs that another has, and may not judge "
				  "which slot can go: "
				  "run coffer key rotate with another key first");
	if (count_complete_but(list, info->id) == 0)
		return cf_err_set(
			err, CF_ERR_BUSY,
			"key slot %.8s is the last that reads all backups: add another with role full first",
			info->id_text);
	if (info->in_use && !even_in_use)
		return cf_err_set(err, CF_ERR_BUSY,
				  "key slot %.8s is the one in use: with --yes it is removed all the same",
				  info->id_text);
	return 0;
}

/* Objects are put back as they were. */
static int put_back(struct cf_repo *repo, const struct cf_slot_list *objects, const uint8_t *id,
		    struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < objects->n; i++) {
		if (memcmp(objects->items[i].id, id, CF_SLOT_ID_LEN) != 0)
			continue;
		rc = cf_backend_put(repo->backend, objects->items[i].name,
				    cf_buf_span(&objects->items[i].bytes), err);
		if (rc == CF_ERR_EXISTS)
			rc = 0;
	}
	return rc;
}

/* What the list has of the slot; the record first, so that nothing of the slot is there without it. */
static int remove_recorded(struct cf_repo *repo, const struct cf_key_list *list, const uint8_t *id, struct cf_err *err)
{
	char text[2 * CF_SLOT_ID_LEN + 1];
	int rc = cf_key_was_removed(list->removals, id) ? 0 : cf_key_removal_put(repo, id, err);

	if (rc < 0)
		return rc;
	rc = remove_objects(repo, list->objects, id, err);
	cf_hex_encode(id, CF_SLOT_ID_LEN, text);
	if (rc < 0)
		cf_err_wrap(err, "key slot %.8s gets no new data epoch any more, but is still there", text);
	return rc;
}

static int put_back_recorded(struct cf_repo *repo, const struct cf_key_list *list, const uint8_t *id, struct cf_err *err)
{
	int rc = put_back(repo, list->objects, id, err);

	return rc < 0 ? rc : cf_key_removal_take_back(repo, id, err);
}

/* Remove it, and again what a rotation that ran meanwhile wrote. The others may have gone meanwhile: then what was removed comes
 * back. */
static int remove_and_look(struct cf_repo *repo, const struct cf_key_list *list, const uint8_t *id,
			   struct cf_err *err)
{
	struct cf_key_list after = {0};
	int rc = remove_recorded(repo, list, id, err);

	if (rc == 0)
		rc = cf_key_list_load(repo, &after, err);
	if (rc == 0 && count_complete_but(&after, id) == 0) {
		rc = put_back_recorded(repo, list, id, err);
		if (rc == 0)
			rc = cf_err_set(err, CF_ERR_BUSY,
					"the other key slots were removed meanwhile: this one stays");
	} else if (rc == 0) {
		rc = remove_objects(repo, after.objects, id, err);
	}
	cf_key_list_release(&after);
	return rc;
}

int cf_key_remove(struct cf_repo *repo, const struct cf_key_info *info, bool even_in_use, bool dry_run,
		  struct cf_err *err)
{
	struct cf_key_list list = {0};
	int rc = cf_key_list_load(repo, &list, err);

	if (rc == 0)
		rc = may_remove(repo, &list, info, even_in_use, err);
	if (rc == 0 && !dry_run)
		rc = remove_and_look(repo, &list, info->id, err);
	cf_key_list_release(&list);
	return rc;
}

int cf_key_replace(struct cf_repo *repo, const struct cf_credentials *credentials,
		   const struct cf_slot_about *about, char *id_text_out, struct cf_err *err)
{
	struct cf_key_list list = {0};
	char old_text[2 * CF_SLOT_ID_LEN + 1];
	int rc = cf_repo_require_full(repo, err);

	if (rc == 0)
		rc = add_slot(repo, CF_ROLE_FULL, credentials, about, id_text_out, err);
	if (rc < 0)
		return rc;
	cf_hex_encode(repo->key.slot_id, CF_SLOT_ID_LEN, old_text);
	rc = cf_key_list_load(repo, &list, err);
	if (rc == 0)
		rc = remove_and_look(repo, &list, repo->key.slot_id, err);
	if (rc < 0)
		cf_err_wrap(err,
			    "the new key slot %.8s opens the repository, but the old one is still there "
			    "(run: coffer key remove %.8s)",
			    id_text_out, old_text);
	cf_key_list_release(&list);
	return rc;
}
