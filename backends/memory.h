#ifndef CF_BACKENDS_MEMORY_H
#define CF_BACKENDS_MEMORY_H

/*
 * Objects in memory: for tests, which also need the state of the "disk" at a moment, and damage.
 *
 * Keeps the whole contract, threads included. What close frees is gone.
 */

#include "base/buf.h"

#include <stdint.h>

struct cf_backend;
struct cf_err;

int cf_memory_new(struct cf_backend **backend_out, struct cf_err *err);

/* The store's clock for objects to come, in nanoseconds since 1970; 0: the system's, as at first. */
void cf_memory_set_clock(struct cf_backend *memory, int64_t now_ns);

/* Another store with the same objects as this moment; later changes on either side stay there. */
int cf_memory_copy(struct cf_backend *memory, struct cf_backend **copy_out, struct cf_err *err);

/* Damage. CF_ERR_NOT_FOUND when there is no such object; replace makes it then. */
int cf_memory_replace(struct cf_backend *memory, const char *name, struct cf_span data, struct cf_err *err);
/* XOR one byte; off must be inside the object. */
int cf_memory_flip(struct cf_backend *memory, const char *name, uint64_t off, uint8_t mask,
		   struct cf_err *err);
/* Cut the object after len bytes; it must be as long. */
int cf_memory_truncate(struct cf_backend *memory, const char *name, uint64_t len, struct cf_err *err);

#endif
