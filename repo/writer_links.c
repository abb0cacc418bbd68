#include "repo/pipeline.h"

#include <stdlib.h>

/* Hard links: the first name met carries the content, the others take it over when it is complete. */

static struct cf_origin **bucket_of(struct cf_writer *writer, uint64_t dev, uint64_t ino)
{
	return &writer->origins[(ino * 0x9e3779b97f4a7c15u ^ dev) % CF_LINK_BUCKETS];
}

static struct cf_origin *find_origin(struct cf_writer *writer, uint64_t dev, uint64_t ino)
{
	struct cf_origin *o = *bucket_of(writer, dev, ino);

	while (o && (o->dev != dev || o->ino != ino))
		o = o->next;
	return o;
}

static struct cf_origin *add_origin(struct cf_writer *writer, uint64_t dev, uint64_t ino)
{
	struct cf_origin *o = calloc(1, sizeof(*o)), **bucket = bucket_of(writer, dev, ino);

	if (!o)
		return NULL;
	o->dev = dev;
	o->ino = ino;
	o->next = *bucket;
	*bucket = o;
	return o;
}

/* The slot gets the origin's content, now or when it is there. 1: now, and *content_out is it. Lock held. */
static int join(struct cf_origin *origin, struct cf_dir *dir, struct cf_slot *slot,
		struct cf_content *content_out, struct cf_err *err)
{
	struct cf_waiter *waiter;

	if (origin->is_done) {
		*content_out = origin->content;
		return 1;
	}
	waiter = calloc(1, sizeof(*waiter));
	if (!waiter)
		return cf_err_nomem(err);
	*waiter = (struct cf_waiter){.dir = dir, .slot = slot, .next = origin->waiters};
	origin->waiters = waiter;
	return 0;
}

int cf_links_take(struct cf_writer *writer, struct cf_dir *dir, struct cf_slot *slot, struct cf_err *err)
{
	const struct cf_entry *e = &slot->node->entry;
	struct cf_origin *origin;
	struct cf_content content;
	int rc = 0;

	pthread_mutex_lock(&writer->link_lock);
	origin = find_origin(writer, e->dev, e->ino);
	if (!origin) {
		slot->origin = add_origin(writer, e->dev, e->ino);
		rc = slot->origin ? 0 : cf_err_nomem(err);
		pthread_mutex_unlock(&writer->link_lock);
		return rc;
	}
	rc = join(origin, dir, slot, &content, err);
	pthread_mutex_unlock(&writer->link_lock);
	if (rc == 1)
		rc = cf_slot_done(dir, slot, &content, err);
	return rc < 0 ? rc : 1;
}

int cf_links_content(struct cf_writer *writer, struct cf_slot *slot, const struct cf_content *content,
		     struct cf_err *err)
{
	struct cf_waiter *waiters = NULL;
	int rc = 0;

	pthread_mutex_lock(&writer->link_lock);
	slot->has_content = true;
	if (content)
		slot->node->content = *content;
	else
		slot->is_dropped = true;
	if (slot->origin) {
		slot->origin->is_done = true;
		slot->origin->content = slot->node->content;
		waiters = slot->origin->waiters;
		slot->origin->waiters = NULL;
	}
	pthread_mutex_unlock(&writer->link_lock);
	while (waiters) {
		struct cf_waiter *waiter = waiters;

		waiters = waiter->next;
		if (rc == 0)
			rc = cf_slot_done(waiter->dir, waiter->slot, content, err);
		free(waiter);
	}
	return rc;
}

void cf_links_forget(struct cf_writer *writer, struct cf_slot *slot)
{
	struct cf_origin **at, *origin;

	pthread_mutex_lock(&writer->link_lock);
	origin = slot->origin;
	slot->origin = NULL;
	if (origin) {
		at = bucket_of(writer, origin->dev, origin->ino);
		while (*at != origin)
			at = &(*at)->next;
		*at = origin->next;
		free(origin);
	}
	pthread_mutex_unlock(&writer->link_lock);
}

void cf_links_release(struct cf_writer *writer)
{
	for (size_t i = 0; i < CF_LINK_BUCKETS; i++)
		while (writer->origins[i]) {
			struct cf_origin *o = writer->origins[i];

			writer->origins[i] = o->next;
			while (o->waiters) {
				struct cf_waiter *w = o->waiters;

				o->waiters = w->next;
				free(w);
			}
			free(o);
		}
}

/* The last begun slot of this name. Called with the directory's lock held. */
static struct cf_slot *slot_named(struct cf_dir *dir, const char *name, size_t len)
{
	struct cf_slot *found = NULL;

	for (struct cf_slot *s = dir->first; s; s = s->next)
		if (!s->is_dropped && strncmp(s->node->entry.name, name, len) == 0 &&
		    s->node->entry.name[len] == '\0')
			found = s;
	return found;
}

static struct cf_slot *lookup(struct cf_dir *dir, const char *name, size_t len)
{
	struct cf_slot *slot;

	pthread_mutex_lock(&dir->lock);
	slot = slot_named(dir, name, len);
	pthread_mutex_unlock(&dir->lock);
	return slot;
}

/* The open directory that stands in a slot: the producer keeps those it may link into open. */
static struct cf_dir *dir_of_slot(struct cf_writer *writer, const struct cf_slot *slot)
{
	struct cf_dir *dir = NULL;

	pthread_mutex_lock(&writer->live_lock);
	for (size_t i = 0; !dir && i < writer->n_open_dirs; i++)
		if (writer->open_dirs[i]->slot == slot)
			dir = writer->open_dirs[i];
	pthread_mutex_unlock(&writer->live_lock);
	return dir;
}

/* The slot of a path from the root. */
static struct cf_slot *slot_at(struct cf_writer *writer, const char *path)
{
	struct cf_dir *dir = dir_of_slot(writer, NULL); /* the root */

	while (dir) {
		size_t len = strcspn(path, "/");
		struct cf_slot *slot = lookup(dir, path, len);

		if (path[len] == '\0' || !slot)
			return slot;
		path += len + 1;
		dir = dir_of_slot(writer, slot);
	}
	return NULL;
}

static int make_origin(struct cf_writer *writer, struct cf_slot *slot, struct cf_err *err)
{
	const struct cf_entry *e = &slot->node->entry;

	if (slot->origin)
		return 0;
	slot->origin = add_origin(writer, e->dev, e->ino);
	if (!slot->origin)
		return cf_err_nomem(err);
	slot->origin->is_done = slot->has_content;
	slot->origin->content = slot->node->content;
	return 0;
}

int cf_links_join(struct cf_writer *writer, struct cf_dir *dir, const struct cf_entry *entry, const char *from,
		  struct cf_err *err)
{
	struct cf_slot *target = slot_at(writer, from), *slot = NULL;
	struct cf_entry linked = *entry;
	struct cf_content content;
	int rc;

	if (!target || target->node->entry.type == CF_ENTRY_DIR)
		return cf_err_set(err, CF_ERR_NOT_FOUND, "%s is a link to %s, which is not there", entry->name,
				  from);
	if (target->node->entry.ino == 0) { /* the source has no numbers of its own: give the file one */
		target->node->entry.dev = UINT64_MAX;
		target->node->entry.ino = ++writer->n_made_inos;
	}
	if (target->node->entry.nlink == 0) /* not said: one */
		target->node->entry.nlink = 1;
	if (target->node->entry.type != CF_ENTRY_FILE) { /* what it is comes with the target */
		linked = target->node->entry;
		linked.name = entry->name;
	}
	linked.dev = target->node->entry.dev;
	linked.ino = target->node->entry.ino;
	linked.nlink = ++target->node->entry.nlink;
	rc = cf_slot_add(dir, &linked, &slot, err);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&writer->link_lock);
	rc = make_origin(writer, target, err);
	if (rc == 0)
		rc = join(target->origin, dir, slot, &content, err);
	pthread_mutex_unlock(&writer->link_lock);
	return rc == 1 ? cf_slot_done(dir, slot, &content, err) : rc;
}
