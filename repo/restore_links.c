#include "repo/restore_parts.h"

#include <stdlib.h>

/* Several names of one file, and entries without content. */

static struct cf_restore_link **link_bucket(struct cf_restore *run, const struct cf_entry *e)
{
	return &run->links[(e->ino * 0x9e3779b97f4a7c15u ^ e->dev) % CF_RESTORE_LINK_BUCKETS];
}

static struct cf_restore_link *find_link(struct cf_restore *run, const struct cf_entry *e)
{
	struct cf_restore_link *l = *link_bucket(run, e);

	while (l && (l->dev != e->dev || l->ino != e->ino))
		l = l->next;
	return l;
}

static struct cf_restore_link *add_link(struct cf_restore *run, const struct cf_entry *e)
{
	struct cf_restore_link *l = calloc(1, sizeof(*l)), **bucket = link_bucket(run, e);

	if (!l || !(l->path = strdup(cf_restore_path(run)))) {
		free(l);
		return NULL;
	}
	l->dev = e->dev;
	l->ino = e->ino;
	l->next = *bucket;
	*bucket = l;
	return l;
}

int cf_restore_try_link(struct cf_restore *run, const struct cf_node *node, struct cf_restore_link **link_out,
			struct cf_err *err)
{
	struct cf_restore_link *link = find_link(run, &node->entry);
	int rc;

	if (!link) {
		*link_out = add_link(run, &node->entry);
		return *link_out ? 0 : cf_err_nomem(err);
	}
	cf_restore_drain(run);
	if (!link->is_whole) { /* the first name was damaged: its neighbour may have other content */
		*link_out = NULL;
		return 0;
	}
	rc = run->sink->ops->link(run->sink, run->level->dir, &node->entry, link->path, err);
	return rc < 0 ? rc : 1;
}

int cf_restore_other(struct cf_restore *run, const struct cf_node *node, struct cf_err *err)
{
	struct cf_restore_link *link = NULL;
	int rc = 0;

	if (node->entry.nlink > 1 && node->entry.ino)
		rc = cf_restore_try_link(run, node, &link, err);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = run->sink->ops->node(run->sink, run->level->dir, &node->entry, err);
	if (link)
		link->is_whole = rc == 0;
	return rc;
}

void cf_restore_free_links(struct cf_restore *run)
{
	for (size_t i = 0; i < CF_RESTORE_LINK_BUCKETS; i++)
		while (run->links[i]) {
			struct cf_restore_link *l = run->links[i];

			run->links[i] = l->next;
			free(l->path);
			free(l);
		}
}
