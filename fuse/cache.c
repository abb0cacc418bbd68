#include "fuse/cache.h"

#include "base/le.h"

#include <pthread.h>
#include <stdlib.h>

enum {
	N_BUCKETS = 4096
};

enum state {
	STATE_LOADING,
	STATE_READY,
	STATE_FAILED
};

/* The public part comes first. */
struct entry {
	struct cf_cache_entry pub;
	enum state state;
	unsigned n_users;
	size_t weight;
	struct cf_err *reason;	     /* of a failure */
	struct entry *chain;	     /* in its bucket */
	struct entry *newer, *older; /* by last use; those in use are not linked */
};

struct cf_cache {
	pthread_mutex_t lock;
	pthread_cond_t loaded;
	void (*free_value)(void *value);
	size_t budget, bytes;
	struct entry *buckets[N_BUCKETS];
	struct entry *newest, *oldest; /* not in use */
};

int cf_cache_new(size_t budget, void (*free_value)(void *value), struct cf_cache **cache_out,
		 struct cf_err *err)
{
	struct cf_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return cf_err_nomem(err);
	pthread_mutex_init(&cache->lock, NULL);
	pthread_cond_init(&cache->loaded, NULL);
	cache->free_value = free_value;
	cache->budget = budget;
	*cache_out = cache;
	return 0;
}

static struct entry **bucket_of(struct cf_cache *cache, const struct cf_id *id)
{
	return &cache->buckets[cf_le64_get(id->bytes) % N_BUCKETS];
}

static void unlink_idle(struct cf_cache *cache, struct entry *e)
{
	*(e->newer ? &e->newer->older : &cache->newest) = e->older;
	*(e->older ? &e->older->newer : &cache->oldest) = e->newer;
	e->newer = e->older = NULL;
}

static void link_newest(struct cf_cache *cache, struct entry *e)
{
	e->older = cache->newest;
	*(cache->newest ? &cache->newest->newer : &cache->oldest) = e;
	cache->newest = e;
}

static void unlink_bucket(struct cf_cache *cache, struct entry *e)
{
	struct entry **at = bucket_of(cache, &e->pub.id);

	while (*at != e)
		at = &(*at)->chain;
	*at = e->chain;
}

static void free_entry(struct cf_cache *cache, struct entry *e)
{
	if (e->pub.value)
		cache->free_value(e->pub.value);
	free(e->reason);
	free(e);
}

/* Take the least recently used out until the budget holds; the list of them is for free_all(). Lock held. */
static struct entry *evict(struct cf_cache *cache)
{
	struct entry *gone = NULL;

	while (cache->bytes > cache->budget && cache->oldest) {
		struct entry *e = cache->oldest;

		unlink_idle(cache, e);
		unlink_bucket(cache, e);
		cache->bytes -= e->weight;
		e->chain = gone;
		gone = e;
	}
	return gone;
}

static void free_all(struct cf_cache *cache, struct entry *gone)
{
	while (gone) {
		struct entry *next = gone->chain;

		free_entry(cache, gone);
		gone = next;
	}
}

void cf_cache_free(struct cf_cache *cache)
{
	if (!cache)
		return;
	cache->budget = 0;
	free_all(cache, evict(cache));
	pthread_mutex_destroy(&cache->lock);
	pthread_cond_destroy(&cache->loaded);
	free(cache);
}

static struct entry *find(struct cf_cache *cache, const struct cf_id *id)
{
	struct entry *e = *bucket_of(cache, id);

	/* One that failed is only there for those who wait for it. */
	while (e && (e->state == STATE_FAILED || !cf_id_equal(&e->pub.id, id)))
		e = e->chain;
	return e;
}

static struct entry *insert(struct cf_cache *cache, const struct cf_id *id)
{
	struct entry *e = calloc(1, sizeof(*e)), **bucket = bucket_of(cache, id);

	if (!e)
		return NULL;
	e->pub.id = *id;
	e->n_users = 1;
	e->chain = *bucket;
	*bucket = e;
	return e;
}

struct cf_cache_entry *cf_cache_get(struct cf_cache *cache, const struct cf_id *id, bool *claimed_out)
{
	struct entry *e;

	pthread_mutex_lock(&cache->lock);
	e = find(cache, id);
	*claimed_out = !e;
	if (!e)
		e = insert(cache, id);
	else if (e->n_users++ == 0)
		unlink_idle(cache, e);
	pthread_mutex_unlock(&cache->lock);
	return e ? &e->pub : NULL;
}

struct cf_cache_entry *cf_cache_claim(struct cf_cache *cache, const struct cf_id *id)
{
	struct entry *e = NULL;

	pthread_mutex_lock(&cache->lock);
	if (!find(cache, id))
		e = insert(cache, id);
	pthread_mutex_unlock(&cache->lock);
	return e ? &e->pub : NULL;
}

void cf_cache_fill(struct cf_cache *cache, struct cf_cache_entry *entry, void *value, size_t weight)
{
	struct entry *e = (struct entry *)entry, *gone;

	pthread_mutex_lock(&cache->lock);
	e->pub.value = value;
	e->weight = weight + sizeof(*e);
	e->state = STATE_READY;
	cache->bytes += e->weight;
	gone = evict(cache);
	pthread_cond_broadcast(&cache->loaded);
	pthread_mutex_unlock(&cache->lock);
	free_all(cache, gone);
}

void cf_cache_fail(struct cf_cache *cache, struct cf_cache_entry *entry, const struct cf_err *reason)
{
	struct entry *e = (struct entry *)entry;

	pthread_mutex_lock(&cache->lock);
	e->state = STATE_FAILED;
	e->reason = malloc(sizeof(*e->reason));
	if (e->reason)
		*e->reason = *reason;
	pthread_cond_broadcast(&cache->loaded);
	pthread_mutex_unlock(&cache->lock);
}

int cf_cache_wait(struct cf_cache *cache, struct cf_cache_entry *entry, struct cf_err *err)
{
	struct entry *e = (struct entry *)entry;
	int rc = 0;

	pthread_mutex_lock(&cache->lock);
	while (e->state == STATE_LOADING)
		pthread_cond_wait(&cache->loaded, &cache->lock);
	if (e->state == STATE_FAILED)
		rc = e->reason ? cf_err_set(err, e->reason->code, "%s", e->reason->text)
			       : cf_err_nomem(err);
	pthread_mutex_unlock(&cache->lock);
	return rc;
}

void cf_cache_release(struct cf_cache *cache, struct cf_cache_entry *entry)
{
	struct entry *e = (struct entry *)entry, *gone = NULL;

	pthread_mutex_lock(&cache->lock);
	if (--e->n_users == 0 && e->state == STATE_FAILED) {
		unlink_bucket(cache, e);
		e->chain = NULL;
		gone = e;
	} else if (e->n_users == 0) {
		link_newest(cache, e);
		gone = evict(cache);
	}
	pthread_mutex_unlock(&cache->lock);
	free_all(cache, gone);
}
