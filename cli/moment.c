#include "cli/moment.h"

#include "repo/retain.h"

#include <stddef.h>
#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000

static bool parse_date(const char *text, int64_t *out)
{
	static const char *const forms[] = {"%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S",
					    "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm local = {.tm_isdst = -1}, asked;
		const char *end = strptime(text, forms[i], &local);
		time_t at;

		if (!end || *end)
			continue;
		asked = local;
		at = mktime(&local);
		/* Days that a month does not have become others. */
		if (at == (time_t)-1 || local.tm_mday != asked.tm_mday)
			return false;
		*out = at > INT64_MAX / NS_PER_S ? INT64_MAX : (int64_t)at * NS_PER_S;
		return true;
	}
	return false;
}

bool cf_moment_parse(const char *text, int64_t now_ns, int64_t *out)
{
	struct cf_duration duration;

	if (cf_duration_parse(text, &duration)) {
		*out = cf_duration_before(now_ns, &duration);
		return true;
	}
	return parse_date(text, out);
}
