/* Input: a line for each pattern, the last line the path. */
#include "drivers/files/exclude.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PATTERNS 8
/* fnmatch() takes long for many stars in one pattern; those are the user's own. */
#define MAX_LEN 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *patterns[MAX_PATTERNS];
	struct cf_exclude *exclude = NULL;
	char *text, *line;
	size_t n = 0;

	if (size > MAX_LEN || memchr(data, '\0', size))
		return 0;
	text = strndup((const char *)data, size);
	if (!text)
		return 0;
	line = text;
	for (char *end; n < MAX_PATTERNS && (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		patterns[n++] = line;
	}
	if (cf_exclude_new(patterns, n, &exclude, NULL) == 0) {
		bool as_dir = cf_exclude_match(exclude, line, true);

		/* A folder matches at least what a file does, unless a pattern for folders takes it
		 * back. */
		if (!strchr(text, '!') && n == 1 && cf_exclude_match(exclude, line, false) &&
		    !as_dir)
			abort();
		cf_exclude_free(exclude);
	}
	free(text);
	return 0;
}
