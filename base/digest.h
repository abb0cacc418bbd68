#ifndef CF_BASE_DIGEST_H
#define CF_BASE_DIGEST_H

/* A cryptographic hash (BLAKE2b-256) of bytes in memory, where nobody must be able to choose data by its hash. Chunk ids are
 * another matter: repo/ keys them. */

#include "base/buf.h"
#include "base/id.h"

void cf_digest(struct cf_span data, struct cf_id *digest_out);

/* len random bytes, fit for keys. */
void cf_random(void *data, size_t len);

#endif
