#include "base/secret.h"

#include "base/err.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct cf_secret {
	uint8_t *data;
	size_t len;
};

int cf_secret_new(size_t len, struct cf_secret **secret_out, struct cf_err *err)
{
	struct cf_secret *secret;

	if (sodium_init() < 0)
		return cf_err_set(err, CF_ERR_FAILED, "libsodium does not initialise");
	secret = calloc(1, sizeof(*secret));
	if (!secret)
		return cf_err_nomem(err);
	secret->data = sodium_malloc(len ? len : 1);
	if (!secret->data) {
		free(secret);
		return cf_err_nomem(err);
	}
	secret->len = len;
	memset(secret->data, 0, len);
	*secret_out = secret;
	return 0;
}

int cf_secret_copy(struct cf_span data, struct cf_secret **secret_out, struct cf_err *err)
{
	int rc = cf_secret_new(data.len, secret_out, err);

	if (rc == 0 && data.len)
		memcpy((*secret_out)->data, data.data, data.len);
	return rc;
}

uint8_t *cf_secret_data(struct cf_secret *secret)
{
	return secret->data;
}

struct cf_span cf_secret_span(const struct cf_secret *secret)
{
	return cf_span_of(secret->data, secret->len);
}

void cf_secret_free(struct cf_secret *secret)
{
	if (!secret)
		return;
	sodium_free(secret->data);
	free(secret);
}

void cf_wipe(void *data, size_t len)
{
	sodium_memzero(data, len);
}
