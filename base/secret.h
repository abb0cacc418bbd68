#ifndef CF_BASE_SECRET_H
#define CF_BASE_SECRET_H

/* Key memory: locked, guarded, wiped when freed (libsodium). Keys and passphrases live only here. */

#include "base/buf.h"

struct cf_err;
struct cf_secret;

/* `len` zero bytes. CF_ERR_NOMEM also when memory cannot be locked. */
int cf_secret_new(size_t len, struct cf_secret **secret_out, struct cf_err *err);
/* A copy of data; the caller wipes its own with cf_wipe(). */
int cf_secret_copy(struct cf_span data, struct cf_secret **secret_out, struct cf_err *err);
uint8_t *cf_secret_data(struct cf_secret *secret);
struct cf_span cf_secret_span(const struct cf_secret *secret);
void cf_secret_free(struct cf_secret *secret);

/* memset that the compiler keeps. */
void cf_wipe(void *data, size_t len);

#endif
