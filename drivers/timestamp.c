#include "drivers/timestamp.h"

#include "base/ctx.h"

#include <stdbool.h>

#define NS_PER_S INT64_C(1000000000)
/* One less, so that there is room for the nanoseconds. */
#define S_MAX (INT64_MAX / NS_PER_S - 1)

static bool fits(int64_t s)
{
	return s >= -S_MAX && s <= S_MAX;
}

int64_t cf_timestamp_ns(int64_t s, int64_t ns)
{
	if (!fits(s))
		return s > 0 ? INT64_MAX : INT64_MIN;
	return s * NS_PER_S + ns % NS_PER_S;
}

void cf_timestamp_check(const struct cf_ctx *ctx, const char *path, int64_t s)
{
	if (!fits(s))
		cf_ctx_warn(ctx, "file.time", path,
			    "its time is %s: the nearest that can be kept is saved",
			    s > 0 ? "after the year 2262" : "before the year 1677");
}
