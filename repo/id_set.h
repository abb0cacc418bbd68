#ifndef CF_REPO_ID_SET_H
#define CF_REPO_ID_SET_H

/* A growing set of ids: open addressing, 43 bytes an id. Not thread-safe. */

#include "base/id.h"

#include <stdbool.h>
#include <stddef.h>

/* Start with {0}. */
struct cf_id_set {
	struct cf_id *slots; /* zero: empty */
	size_t mask, n;
};

/* 1 when added, 0 when there already, or CF_ERR_NOMEM. The id is not zero. */
int cf_id_set_add(struct cf_id_set *set, const struct cf_id *id);
bool cf_id_set_has(const struct cf_id_set *set, const struct cf_id *id);
void cf_id_set_release(struct cf_id_set *set);

#endif
