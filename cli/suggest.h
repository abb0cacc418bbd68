#ifndef CF_CLI_SUGGEST_H
#define CF_CLI_SUGGEST_H

/* What somebody may have meant by a mistyped word. */

#include <stddef.h>

struct cf_suggest {
	const char *word; /* what was typed */
	size_t word_len;
	const char *best; /* the nearest so far, NULL while none is near enough */
	size_t distance;
};

struct cf_suggest cf_suggest_begin(const char *word, size_t word_len);
/* candidate is borrowed until the suggestion has been used. */
void cf_suggest_offer(struct cf_suggest *suggest, const char *candidate);

#endif
