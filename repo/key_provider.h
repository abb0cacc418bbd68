#ifndef CF_REPO_KEY_PROVIDER_H
#define CF_REPO_KEY_PROVIDER_H

/*
 * From what a user holds to the key-encryption key of a slot. One table per kind of slot: a new kind (a key
 * management service, a PKCS#11 token) is one more table, and a member of struct cf_credentials.
 */

#include "repo/format/keyslot.h"
#include "repo/repo.h"

/* What a slot keeps for its provider, in clear. */
struct cf_key_params {
	uint64_t ops, memory;
	uint8_t salt[CF_SLOT_SALT_LEN];
	struct cf_buf wrapped;
};

struct cf_key_provider {
	enum cf_slot_kind kind;
	const char *name; /* of the kind, as `key list` shows it */
	const char *what; /* the user's word: "password" */

	/* Whether the credentials are of this kind. */
	bool (*has)(const struct cf_credentials *credentials);

	/* A new slot: fill params, of which salt is random already, and give the key. CF_ERR_KEY: not with
	 * this secret. */
	int (*make)(const struct cf_credentials *credentials, struct cf_key_params *params,
		    struct cf_secret **kek_out, struct cf_err *err);

	/* The key of an existing slot; a wrong secret may give a wrong key. CF_ERR_KEY: the secret cannot be
	 * had. */
	int (*open)(const struct cf_credentials *credentials, const struct cf_key_params *params,
		    struct cf_secret **kek_out, struct cf_err *err);
};

const struct cf_key_provider *cf_key_provider(enum cf_slot_kind kind);
/* Whether a slot of that kind is stretched less than a new one. */
bool cf_kdf_is_weak(enum cf_slot_kind kind, uint64_t ops, uint64_t memory);
/* That of the credentials. */
const struct cf_key_provider *cf_key_provider_of(const struct cf_credentials *credentials);

#endif
