#ifndef CF_REPO_KEYS_H
#define CF_REPO_KEYS_H

/* The key slots of a repository, and opening one. What commands do with them is in repo/key_admin.h. */

#include "repo/format/keyslot2.h"
#include "repo/keyring.h"
#include "repo/repo.h"

struct cf_backend;

/* One object below keys/. */
struct cf_slot_object {
	char name[80];
	unsigned version; /* which of the two is filled; 0: it cannot be used, and problem says why */
	uint8_t id[CF_SLOT_ID_LEN]; /* the slot's; in version 1, and of what cannot be used, the first bytes
				       of the name */
	struct cf_buf bytes;
	struct cf_keyslot first;
	struct cf_keyslot2 second;
	int problem_code;
	char *problem;
};

struct cf_slot_list {
	struct cf_slot_object *items;
	size_t n;
};

/* All of them, those that cannot be used too. Several may be one slot with its older keyrings. */
int cf_slots_load(struct cf_backend *backend, struct cf_slot_list *list_out, struct cf_err *err);
void cf_slots_release(struct cf_slot_list *list);

/* What an opened slot says besides the keyring. */
struct cf_key_session {
	uint8_t slot_id[CF_SLOT_ID_LEN];
	unsigned slot_version;
	uint8_t verify_key[CF_KEY_LEN]; /* verifies slots of version 2 */
	bool is_behind;			/* other slots know data epochs that this one does not */
};

/* Try every slot. CF_ERR_KEY when none opens; damaged slots are passed over while another opens, else
 * CF_ERR_DAMAGED. */
int cf_keys_open(struct cf_backend *backend, const struct cf_credentials *credentials,
		 struct cf_secret **ring_out, struct cf_key_session *session_out, struct cf_err *err);

#endif
