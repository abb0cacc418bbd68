#include "backends/fdcache.h"

#include "backends/backend.h"
#include "base/err.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct slot {
	char name[CF_BACKEND_NAME_MAX + 1]; /* "": not to be found again */
	int fd;                             /* -1: free */
	unsigned n_users;
	uint64_t used_at;
};

struct cf_fdcache {
	pthread_mutex_t lock;
	uint64_t clock;
	struct slot slots[CF_FDCACHE_SLOTS];
};

int cf_fdcache_new(struct cf_fdcache **cache_out, struct cf_err *err)
{
	struct cf_fdcache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return cf_err_nomem(err);
	pthread_mutex_init(&cache->lock, NULL);
	for (int i = 0; i < CF_FDCACHE_SLOTS; i++)
		cache->slots[i].fd = -1;
	*cache_out = cache;
	return 0;
}

static struct cf_fdcache_ref use_slot(struct cf_fdcache *cache, int i)
{
	struct slot *slot = &cache->slots[i];

	slot->n_users++;
	slot->used_at = ++cache->clock;
	return (struct cf_fdcache_ref){.fd = slot->fd, .slot = i};
}

static int find_name(const struct cf_fdcache *cache, const char *name)
{
	for (int i = 0; i < CF_FDCACHE_SLOTS; i++)
		if (cache->slots[i].fd >= 0 && strcmp(cache->slots[i].name, name) == 0)
			return i;
	return -1;
}

bool cf_fdcache_take(struct cf_fdcache *cache, const char *name, struct cf_fdcache_ref *ref_out)
{
	int i;

	pthread_mutex_lock(&cache->lock);
	i = find_name(cache, name);
	if (i >= 0)
		*ref_out = use_slot(cache, i);
	pthread_mutex_unlock(&cache->lock);
	return i >= 0;
}

/* The slot to use next: a free one, else the idle one used longest ago, else -1. */
static int find_victim(const struct cf_fdcache *cache)
{
	int victim = -1;

	for (int i = 0; i < CF_FDCACHE_SLOTS; i++) {
		const struct slot *slot = &cache->slots[i];

		if (slot->fd < 0)
			return i;
		if (slot->n_users == 0 &&
		    (victim < 0 || slot->used_at < cache->slots[victim].used_at))
			victim = i;
	}
	return victim;
}

struct cf_fdcache_ref cf_fdcache_add(struct cf_fdcache *cache, const char *name, int fd)
{
	struct cf_fdcache_ref ref = {.fd = fd, .slot = -1};
	int old_fd = -1, i;

	pthread_mutex_lock(&cache->lock);
	i = find_victim(cache);
	if (i >= 0) {
		struct slot *slot = &cache->slots[i];

		old_fd = slot->fd;
		slot->fd = fd;
		strcpy(slot->name, name);
		ref = use_slot(cache, i);
	}
	pthread_mutex_unlock(&cache->lock);
	if (old_fd >= 0)
		close(old_fd);
	return ref;
}

void cf_fdcache_give(struct cf_fdcache *cache, struct cf_fdcache_ref ref)
{
	int unused_fd = ref.fd;

	if (ref.slot >= 0) {
		struct slot *slot = &cache->slots[ref.slot];

		pthread_mutex_lock(&cache->lock);
		slot->n_users--;
		if (slot->n_users == 0 && slot->name[0] == '\0')
			slot->fd = -1;
		else
			unused_fd = -1;
		pthread_mutex_unlock(&cache->lock);
	}
	if (unused_fd >= 0)
		close(unused_fd);
}

/* Take slot i out of the cache; gives the descriptor to close, or -1 while it is in use. */
static int drop_slot(struct cf_fdcache *cache, int i)
{
	struct slot *slot = &cache->slots[i];
	int fd = slot->fd;

	slot->name[0] = '\0';
	if (slot->n_users > 0)
		return -1;
	slot->fd = -1;
	return fd;
}

void cf_fdcache_forget(struct cf_fdcache *cache, const char *name)
{
	int i;

	do {
		int fd = -1;

		pthread_mutex_lock(&cache->lock);
		i = find_name(cache, name);
		if (i >= 0)
			fd = drop_slot(cache, i);
		pthread_mutex_unlock(&cache->lock);
		if (fd >= 0)
			close(fd);
	} while (i >= 0);
}

void cf_fdcache_free(struct cf_fdcache *cache)
{
	if (!cache)
		return;
	for (int i = 0; i < CF_FDCACHE_SLOTS; i++)
		if (cache->slots[i].fd >= 0)
			close(cache->slots[i].fd);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}
