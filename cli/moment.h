#ifndef CF_CLI_MOMENT_H
#define CF_CLI_MOMENT_H

#include <stdbool.h>
#include <stdint.h>

/* A point in time as people write it, in the local time zone: how long ago ("7d", "1y6m", "36h"),
 * or "2026-11-21", with " 07:00" or "T07:00:01" behind it. false when it is none. */
bool cf_moment_parse(const char *text, int64_t now_ns, int64_t *out);

#endif
