#ifndef CF_BACKENDS_FDCACHE_H
#define CF_BACKENDS_FDCACHE_H

/*
 * Open descriptors of the objects read last, by name: a reader takes many small ranges out of few packs.
 *
 * Bounded by CF_FDCACHE_SLOTS, least recently used first out; never closes a descriptor in use. Any thread.
 */

#include <stdbool.h>

struct cf_err;
struct cf_fdcache;

#define CF_FDCACHE_SLOTS 64

/* A descriptor in use, from take or add until give. */
struct cf_fdcache_ref {
	int fd;
	int slot; /* -1: every slot was in use, so give closes it */
};

int cf_fdcache_new(struct cf_fdcache **cache_out, struct cf_err *err);

/* False when the name is not cached. */
bool cf_fdcache_take(struct cf_fdcache *cache, const char *name, struct cf_fdcache_ref *ref_out);

/* Hand an open descriptor over and take it. */
struct cf_fdcache_ref cf_fdcache_add(struct cf_fdcache *cache, const char *name, int fd);
void cf_fdcache_give(struct cf_fdcache *cache, struct cf_fdcache_ref ref);

/* The name means something else from now on. Who holds its descriptor keeps it until give. */
void cf_fdcache_forget(struct cf_fdcache *cache, const char *name);

/* No descriptor may be in use. */
void cf_fdcache_free(struct cf_fdcache *cache);

#endif
