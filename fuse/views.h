#ifndef CF_FUSE_VIEWS_H
#define CF_FUSE_VIEWS_H

/*
 * The folders of a mount that are not in any snapshot:
 *
 *     snapshots/TIME-ID/...            every snapshot
 *     latest                           link to the newest
 *     by-source/SOURCE/TIME-ID         links, and `latest` among them
 *     by-host/HOST/TIME-ID
 *     by-tag/TAG/TIME-ID
 *
 * In the name of a folder '%', '/' and control characters of a source, host or tag are percent-encoded, and so are "." and
 * "..".
 */

#include "base/buf.h"
#include "fuse/shots.h"

enum cf_view_kind {
	CF_VIEW_ROOT,
	CF_VIEW_SNAPSHOTS,
	CF_VIEW_BY_SOURCE,
	CF_VIEW_BY_HOST,
	CF_VIEW_BY_TAG,
	CF_VIEW_GROUP_SOURCE, /* one folder in by-source: its key is the folder's name */
	CF_VIEW_GROUP_HOST,
	CF_VIEW_GROUP_TAG,
	CF_VIEW_LINK, /* its key is what it points to */
	CF_VIEW_SHOT  /* the root of a snapshot */
};

/* What stands in a view's folder. Borrowed for the call it is given to. */
struct cf_view_item {
	enum cf_view_kind kind;
	const char *name;
	const char *key;      /* of a group or link; else NULL */
	struct cf_shot *shot; /* CF_VIEW_SHOT, and the links to one; else NULL */
};

typedef int cf_view_fn(void *user, const struct cf_view_item *item, struct cf_err *err);

/* Calls fn for each entry of a folder, in no particular order. What fn returns other than 0 stops and is returned. */
int cf_view_each(const struct cf_shot_list *list, enum cf_view_kind kind, const char *key, cf_view_fn *fn,
		 void *user, struct cf_err *err);

/* 1 when fn was called for the entry of this name, 0 when there is none, or an error. */
int cf_view_find(const struct cf_shot_list *list, enum cf_view_kind kind, const char *key, const char *name,
		 cf_view_fn *fn, void *user, struct cf_err *err);

#endif
