#ifndef CF_REPO_KEY_LIST_H
#define CF_REPO_KEY_LIST_H

/* The key slots of an open repository as people see them: one entry a slot, however many objects it has. */

#include "repo/format/keyslot2.h"

#include <stdbool.h>

struct cf_key_removals;
struct cf_repo;
struct cf_slot_list;

struct cf_key_info {
	uint8_t id[CF_SLOT_ID_LEN];
	char id_text[2 * CF_SLOT_ID_LEN + 1];
	unsigned version;    /* of its record; 0: it cannot be used */
	const char *problem; /* why not, else NULL */
	enum cf_key_role role;
	const char *kind; /* "passphrase", "key-file", "command"; NULL when it cannot be used */
	int64_t created_ns;
	struct cf_slot_about about; /* NULLs when that is not known */
	uint32_t n_epochs;	    /* data epochs of its keyring; 0: not known */
	bool is_trusted; /* somebody with a full key wrote it. In version 1 nobody can tell, and it passes for
			    trusted */
	bool is_removed; /* it was removed, and is back; or its removal was interrupted */
	bool is_behind;	 /* it lacks data epochs that another has */
	bool in_use;	 /* it opened this session */
	bool is_weak;	 /* its password is stretched less than that of a new slot */
};

/* Oldest first. */
struct cf_key_list {
	struct cf_key_info *items;
	size_t n;
	struct cf_slot_list *objects;
	struct cf_key_removals *removals;
};

/* With any role. */
int cf_key_list_load(struct cf_repo *repo, struct cf_key_list *list_out, struct cf_err *err);
void cf_key_list_release(struct cf_key_list *list);

/* A slot by its id, or the first digits, at least 4. CF_ERR_NOT_FOUND; CF_ERR_USAGE when several fit. */
int cf_key_list_find(const struct cf_key_list *list, const char *text, const struct cf_key_info **info_out,
		     struct cf_err *err);

/* Whether the slot opens everything and shall: full, trusted, not removed, and not behind. */
bool cf_key_is_complete(const struct cf_key_info *info);

#endif
