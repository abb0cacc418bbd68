/* Any bytes as an unwrapped keyring: what is accepted is written again the same. */

#include "base/secret.h"
#include "repo/format/keyring.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cf_secret *secret, *again = NULL;
	const struct cf_keyring *ring;

	if (cf_keyring_decode(cf_span_of(data, len), &secret, NULL) < 0)
		return 0;
	ring = (const struct cf_keyring *)(const void *)cf_secret_data(secret);
	if (ring->n_epochs == 0 || ring->n_epochs > CF_EPOCHS_MAX)
		abort();
	if (cf_keyring_encode(ring, &again, NULL) == 0 &&
	    (cf_secret_span(again).len != len || memcmp(cf_secret_data(again), data, len) != 0))
		abort();
	cf_secret_free(again);
	cf_secret_free(secret);
	return 0;
}
