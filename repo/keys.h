#ifndef CF_REPO_KEYS_H
#define CF_REPO_KEYS_H

/* Key slots and the keyring they hold: making, opening, and what is derived from it. */

#include "base/secret.h"
#include "repo/crypto.h"
#include "repo/format/keyring.h"

struct cf_backend;

/* A new full keyring with random keys and one epoch. */
int cf_keyring_new(struct cf_secret **ring_out, struct cf_err *err);
static inline struct cf_keyring *cf_keyring_of(struct cf_secret *ring)
{
	return (struct cf_keyring *)(void *)cf_secret_data(ring);
}

/* Wrap the keyring for the credentials and store it as keys/<SHA-256 of the object>. */
int cf_keys_add_slot(struct cf_backend *backend, struct cf_keyring *ring,
		     const struct cf_credentials *credentials, int64_t now_ns, struct cf_err *err);

/* Try every slot. CF_ERR_KEY when none opens; damaged slots are passed over while another opens, else CF_ERR_DAMAGED. */
int cf_keys_open(struct cf_backend *backend, const struct cf_credentials *credentials,
		 struct cf_secret **ring_out, struct cf_err *err);

/* What the config's tag is made with. */
int cf_keys_config_tag(const struct cf_keyring *ring, struct cf_span body, uint8_t tag_out[32],
		       struct cf_err *err);

#endif
