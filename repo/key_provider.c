#include "repo/key_provider.h"

#include "base/err.h"
#include "base/secret.h"
#include "repo/crypto.h"
#include "repo/format/limits.h"

#include <assert.h>
#include <sodium.h>

enum { ARGON_OPS = 3, ARGON_MEMORY = 128 << 20, KEY_FILE_LEN_MIN = 32 };

static bool has_passphrase(const struct cf_credentials *credentials)
{
	return credentials->passphrase != NULL;
}

static int stretch_passphrase(const struct cf_credentials *credentials, const struct cf_key_params *params,
			      struct cf_secret **kek_out, struct cf_err *err)
{
	struct cf_span secret = cf_secret_span(credentials->passphrase);
	int rc = cf_secret_new(CF_KEY_LEN, kek_out, err);

	if (rc < 0)
		return rc;
	if (crypto_pwhash(cf_secret_data(*kek_out), CF_KEY_LEN, (const char *)secret.data, secret.len,
			  params->salt, params->ops, params->memory, crypto_pwhash_ALG_ARGON2ID13) == 0)
		return 0;
	cf_secret_free(*kek_out);
	*kek_out = NULL;
	return cf_err_set(err, CF_ERR_NOMEM, "not enough memory to derive the key (%llu MiB needed)",
			  (unsigned long long)(params->memory >> 20));
}

static int make_from_passphrase(const struct cf_credentials *credentials, struct cf_key_params *params,
				struct cf_secret **kek_out, struct cf_err *err)
{
	params->ops = ARGON_OPS;
	params->memory = ARGON_MEMORY;
	return stretch_passphrase(credentials, params, kek_out, err);
}

static bool has_key_file(const struct cf_credentials *credentials)
{
	return credentials->key_file != NULL;
}

/* Of a secret that needs no stretching. */
static int hash_secret(struct cf_span secret, const struct cf_key_params *params, struct cf_secret **kek_out,
		       struct cf_err *err)
{
	int rc = cf_secret_new(CF_KEY_LEN, kek_out, err);

	if (rc == 0)
		crypto_generichash(cf_secret_data(*kek_out), CF_KEY_LEN, secret.data, secret.len,
				   params->salt, sizeof(params->salt));
	return rc;
}

static int hash_key_file(const struct cf_credentials *credentials, const struct cf_key_params *params,
			 struct cf_secret **kek_out, struct cf_err *err)
{
	return hash_secret(cf_secret_span(credentials->key_file), params, kek_out, err);
}

static int make_from_key_file(const struct cf_credentials *credentials, struct cf_key_params *params,
			      struct cf_secret **kek_out, struct cf_err *err)
{
	if (cf_secret_span(credentials->key_file).len < KEY_FILE_LEN_MIN)
		return cf_err_set(err, CF_ERR_KEY, "a key file needs at least %d bytes", KEY_FILE_LEN_MIN);
	return hash_key_file(credentials, params, kek_out, err);
}

static bool has_wrapper(const struct cf_credentials *credentials)
{
	return credentials->wrapper != NULL;
}

static int make_from_wrapper(const struct cf_credentials *credentials, struct cf_key_params *params,
			     struct cf_secret **kek_out, struct cf_err *err)
{
	const struct cf_key_wrapper *wrapper = credentials->wrapper;
	struct cf_secret *key = NULL;
	int rc = cf_secret_new(CF_KEY_LEN, &key, err);

	if (rc == 0) {
		cf_random(cf_secret_data(key), CF_KEY_LEN);
		rc = wrapper->wrap(wrapper->user, cf_secret_span(key), &params->wrapped, err);
	}
	if (rc == 0)
		rc = hash_secret(cf_secret_span(key), params, kek_out, err);
	cf_secret_free(key);
	return rc;
}

static int unwrap_key(const struct cf_credentials *credentials, const struct cf_key_params *params,
		      struct cf_secret **kek_out, struct cf_err *err)
{
	const struct cf_key_wrapper *wrapper = credentials->wrapper;
	struct cf_secret *key = NULL;
	int rc = wrapper->unwrap(wrapper->user, cf_buf_span(&params->wrapped), &key, err);

	if (rc == 0)
		rc = hash_secret(cf_secret_span(key), params, kek_out, err);
	cf_secret_free(key);
	return rc;
}

static const struct cf_key_provider providers[] = {
	{.kind = CF_SLOT_PASSPHRASE,
	 .name = "passphrase",
	 .what = "password",
	 .has = has_passphrase,
	 .make = make_from_passphrase,
	 .open = stretch_passphrase},
	{.kind = CF_SLOT_KEY_FILE,
	 .name = "key-file",
	 .what = "key file",
	 .has = has_key_file,
	 .make = make_from_key_file,
	 .open = hash_key_file},
	{.kind = CF_SLOT_COMMAND,
	 .name = "command",
	 .what = "key command",
	 .has = has_wrapper,
	 .make = make_from_wrapper,
	 .open = unwrap_key},
};

enum { N_PROVIDERS = sizeof(providers) / sizeof(providers[0]) };

const struct cf_key_provider *cf_key_provider(enum cf_slot_kind kind)
{
	for (size_t i = 0; i < N_PROVIDERS; i++)
		if (providers[i].kind == kind)
			return &providers[i];
	return NULL;
}

const struct cf_key_provider *cf_key_provider_of(const struct cf_credentials *credentials)
{
	for (size_t i = 0; i < N_PROVIDERS; i++)
		if (providers[i].has(credentials))
			return &providers[i];
	assert(!"credentials hold nothing");
	return NULL;
}

bool cf_kdf_is_weak(enum cf_slot_kind kind, uint64_t ops, uint64_t memory)
{
	return kind == CF_SLOT_PASSPHRASE && (ops < ARGON_OPS || memory < ARGON_MEMORY);
}
