#include "repo/id_set.h"

#include "base/err.h"
#include "base/le.h"

#include <stdlib.h>

enum {
	FIRST_SLOTS = 1024
};

/* Ids are hashes: any of their bits will do. */
static size_t place_of(const struct cf_id_set *set, const struct cf_id *id)
{
	size_t i = (size_t)cf_le64_get(id->bytes) & set->mask;

	while (!cf_id_is_zero(&set->slots[i]) && !cf_id_equal(&set->slots[i], id))
		i = (i + 1) & set->mask;
	return i;
}

static int grow(struct cf_id_set *set)
{
	size_t size = set->slots ? 2 * (set->mask + 1) : FIRST_SLOTS;
	struct cf_id_set bigger = {.slots = calloc(size, sizeof(struct cf_id)), .mask = size - 1, .n = set->n};

	if (!bigger.slots)
		return CF_ERR_NOMEM;
	for (size_t i = 0; set->slots && i <= set->mask; i++)
		if (!cf_id_is_zero(&set->slots[i]))
			bigger.slots[place_of(&bigger, &set->slots[i])] = set->slots[i];
	free(set->slots);
	*set = bigger;
	return 0;
}

int cf_id_set_add(struct cf_id_set *set, const struct cf_id *id)
{
	size_t i;

	if ((!set->slots || set->n >= set->mask - set->mask / 4) && grow(set) < 0)
		return CF_ERR_NOMEM;
	i = place_of(set, id);
	if (!cf_id_is_zero(&set->slots[i]))
		return 0;
	set->slots[i] = *id;
	set->n++;
	return 1;
}

bool cf_id_set_has(const struct cf_id_set *set, const struct cf_id *id)
{
	return set->slots && !cf_id_is_zero(&set->slots[place_of(set, id)]);
}

void cf_id_set_release(struct cf_id_set *set)
{
	free(set->slots);
	*set = (struct cf_id_set){0};
}
