#ifndef CF_FUSE_CACHE_H
#define CF_FUSE_CACHE_H

/*
 * What was read from the repository, by id, within a budget of bytes: verified chunks of files and decoded blocks of
 * directories. Readers that want the same thing at once load it once. Any thread.
 */

#include "base/err.h"
#include "base/id.h"

#include <stdbool.h>

struct cf_cache;

struct cf_cache_entry {
	struct cf_id id;
	void *value; /* set once loaded; never changes after */
};

/* free_value is called without any lock held when a value leaves the cache and nobody uses it. */
int cf_cache_new(size_t budget, void (*free_value)(void *value), struct cf_cache **cache_out,
		 struct cf_err *err);
/* Nothing may be in use any more. */
void cf_cache_free(struct cf_cache *cache);

/*
 * The entry of an id, in use until cf_cache_release(). NULL when memory is out. *claimed_out: nobody has or loads it, and the
 * caller must end with cf_cache_fill() or cf_cache_fail().
 */
struct cf_cache_entry *cf_cache_get(struct cf_cache *cache, const struct cf_id *id, bool *claimed_out);

/* The same if nobody has or loads it: NULL then means that there is nothing to do (or no memory). */
struct cf_cache_entry *cf_cache_claim(struct cf_cache *cache, const struct cf_id *id);

/* The claimed entry's value, owned by the cache from now on, and how many bytes it stands for; the entry's own come on top. */
void cf_cache_fill(struct cf_cache *cache, struct cf_cache_entry *entry, void *value, size_t weight);
/* Loading it failed: those that wait get the error, whoever comes later tries again. */
void cf_cache_fail(struct cf_cache *cache, struct cf_cache_entry *entry, const struct cf_err *reason);

/* Wait until an entry is loaded: 0, or the error of whoever tried. */
int cf_cache_wait(struct cf_cache *cache, struct cf_cache_entry *entry, struct cf_err *err);

void cf_cache_release(struct cf_cache *cache, struct cf_cache_entry *entry);

#endif
