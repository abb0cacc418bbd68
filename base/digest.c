#include "base/digest.h"

#include <sodium.h>

void cf_digest(struct cf_span data, struct cf_id *digest_out)
{
	crypto_generichash(digest_out->bytes, sizeof(digest_out->bytes), data.data, data.len, NULL, 0);
}

void cf_random(void *data, size_t len)
{
	randombytes_buf(data, len);
}
