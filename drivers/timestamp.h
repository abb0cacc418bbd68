#ifndef CF_DRIVERS_TIMESTAMP_H
#define CF_DRIVERS_TIMESTAMP_H

/*
 * Times of the system as an entry keeps them: nanoseconds since 1970 in 64 bits, which ends in 1677
 * and in 2262. File systems and archives go further.
 */

#include <stdint.h>

struct cf_ctx;

/* The nearest time there is. ns is below a second. */
int64_t cf_timestamp_ns(int64_t s, int64_t ns);

/* Warns ("file.time") when the second is beyond what cf_timestamp_ns() can say. */
void cf_timestamp_check(const struct cf_ctx *ctx, const char *path, int64_t s);

#endif
