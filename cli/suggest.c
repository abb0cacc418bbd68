#include "cli/suggest.h"

#include <string.h>

#define WORD_MAX 128

/* Optimal string alignment: swapped neighbours count as one mistake. */
static size_t distance_of(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *before = rows[0], *last = rows[1], *now = rows[2];

	for (size_t j = 0; j <= b_len; j++)
		last[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t *oldest = before;

		now[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);

			if (best > last[j] + 1)
				best = last[j] + 1;
			if (best > now[j - 1] + 1)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    best > before[j - 2] + 1)
				best = before[j - 2] + 1;
			now[j] = best;
		}
		before = last;
		last = now;
		now = oldest;
	}
	return last[b_len];
}

struct cf_suggest cf_suggest_begin(const char *word, size_t word_len)
{
	return (struct cf_suggest){.word = word, .word_len = word_len, .distance = WORD_MAX};
}

void cf_suggest_offer(struct cf_suggest *suggest, const char *candidate)
{
	size_t len = strlen(candidate), limit = 1 + suggest->word_len / 4, distance;

	if (len > WORD_MAX || suggest->word_len > WORD_MAX || suggest->word_len < 2)
		return;
	/* The beginning of a name is meant for it, however much is missing. */
	if (len > suggest->word_len && memcmp(candidate, suggest->word, suggest->word_len) == 0)
		distance = 1;
	else
		distance = distance_of(suggest->word, suggest->word_len, candidate, len);
	if (distance > limit || distance >= suggest->distance)
		return;
	suggest->best = candidate;
	suggest->distance = distance;
}
