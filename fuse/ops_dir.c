#include "fuse/state.h"

#include "base/err.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Listing folders. Offsets: 0 is before ".", 1 before "..", FIRST_OFF and up are a position in the folder: of a view the
 * number of the entry, of a directory what its reader says.
 */

enum {
	FIRST_OFF = 2
};

struct item {
	struct cf_view_item view; /* name and key are copies */
	struct item *next;
};

struct open_dir {
	struct cf_handle handle;
	struct cf_inode *inode;
	struct cf_dir_reader *reader; /* a directory's, the inode's own; NULL for a view */
	struct item *items, **last;   /* a view's, as they were when it was opened */
};

/* A reply that is being filled. */
struct listing {
	fuse_req_t req;
	struct cf_mount *mount;
	struct open_dir *dir;
	bool plus; /* with attributes, each counting as a lookup */
	char *data;
	size_t size, len;
};

static struct open_dir *dir_of(const struct fuse_file_info *info)
{
	return (struct open_dir *)(uintptr_t)info->fh;
}

static void free_item(struct item *item)
{
	cf_shot_release(item->view.shot);
	free((void *)(uintptr_t)item->view.name);
	free((void *)(uintptr_t)item->view.key);
	free(item);
}

static int keep_item(void *user, const struct cf_view_item *view, struct cf_err *err)
{
	struct open_dir *dir = user;
	struct item *item = calloc(1, sizeof(*item));

	if (!item)
		return cf_err_nomem(err);
	item->view.kind = view->kind;
	item->view.name = strdup(view->name);
	item->view.key = view->key ? strdup(view->key) : NULL;
	item->view.shot = view->shot ? cf_shot_share(view->shot) : NULL;
	if (!item->view.name || (view->key && !item->view.key)) {
		free_item(item);
		return cf_err_nomem(err);
	}
	*dir->last = item;
	dir->last = &item->next;
	return 0;
}

static int open_view(struct cf_mount *mount, struct open_dir *dir, struct cf_err *err)
{
	struct cf_shot_list *list = NULL;
	struct cf_err stale = CF_ERR_INIT;
	int rc;

	if (cf_shots_list(mount->shots, &list, &stale) < 0)
		cf_mount_errno(mount, dir->inode, &stale);
	rc = cf_view_each(list, dir->inode->kind, dir->inode->key, keep_item, dir, err);
	cf_shot_list_release(list);
	return rc;
}

static void free_dir(struct cf_handle *handle)
{
	struct open_dir *dir = (struct open_dir *)handle;

	while (dir->items) {
		struct item *item = dir->items;

		dir->items = item->next;
		free_item(item);
	}
	free(dir);
}

void cf_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct cf_mount *mount = fuse_req_userdata(req);
	struct cf_inode *inode = cf_inodes_at(mount->inodes, ino);
	struct open_dir *dir = calloc(1, sizeof(*dir));
	struct cf_err err = CF_ERR_INIT;
	int rc;

	if (!dir) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	dir->handle.free = free_dir;
	dir->inode = inode;
	dir->last = &dir->items;
	rc = inode->node ? cf_mount_dir(mount, inode, &dir->reader, &err) : open_view(mount, dir, &err);
	if (rc < 0) {
		free_dir(&dir->handle);
		fuse_reply_err(req, cf_mount_errno(mount, inode, &err));
		return;
	}
	cf_mount_add_handle(mount, &dir->handle);
	info->fh = (uintptr_t)dir;
	/* What the kernel has read of a directory holds for ever. */
	info->cache_readdir = info->keep_cache = inode->node != NULL;
	if (fuse_reply_open(req, info) != 0)
		cf_mount_free_handle(mount, &dir->handle);
}

void cf_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)ino;
	cf_mount_free_handle(fuse_req_userdata(req), &dir_of(info)->handle);
	fuse_reply_err(req, 0);
}

static size_t length_of(const struct listing *listing, const char *name)
{
	return listing->plus ? fuse_add_direntry_plus(listing->req, NULL, 0, name, NULL, 0)
			     : fuse_add_direntry(listing->req, NULL, 0, name, NULL, 0);
}

static bool has_room(const struct listing *listing, const char *name)
{
	return length_of(listing, name) <= listing->size - listing->len;
}

static void add_plain(struct listing *listing, const char *name, const struct stat *st, uint64_t next)
{
	listing->len += fuse_add_direntry(listing->req, listing->data + listing->len,
					  listing->size - listing->len, name, st, (off_t)next);
}

static void add_plus(struct listing *listing, const char *name, const struct fuse_entry_param *entry,
		     uint64_t next)
{
	listing->len += fuse_add_direntry_plus(listing->req, listing->data + listing->len,
					       listing->size - listing->len, name, entry, (off_t)next);
}

/* "." and "..", which count as no lookups. False when there was no room. */
static bool add_dots(struct listing *listing, off_t *off)
{
	static const char *const names[] = {".", ".."};

	for (; *off < FIRST_OFF; ++*off) {
		const struct cf_inode *inode = listing->dir->inode;
		struct fuse_entry_param entry = {.ino = inode->ino};

		if (!has_room(listing, names[*off]))
			return false;
		entry.attr.st_ino = *off == 0 || !inode->parent ? inode->ino : inode->parent;
		entry.attr.st_mode = S_IFDIR | 0555;
		if (listing->plus)
			add_plus(listing, names[*off], &entry, (uint64_t)*off + 1);
		else
			add_plain(listing, names[*off], &entry.attr, (uint64_t)*off + 1);
	}
	return true;
}

static int add_node(void *user, const struct cf_node *node, uint64_t next, struct cf_err *err)
{
	struct listing *listing = user;
	const struct cf_inode *parent = listing->dir->inode;
	struct fuse_entry_param entry;
	int rc;

	if (!has_room(listing, node->entry.name))
		return 1;
	if (!listing->plus) {
		cf_node_stat(node, cf_ino_of_node(parent, node), &entry.attr);
		add_plain(listing, node->entry.name, &entry.attr, next + FIRST_OFF);
		return 0;
	}
	rc = cf_mount_entry_of_node(listing->mount, parent, node, &entry, err);
	if (rc == 0)
		add_plus(listing, node->entry.name, &entry, next + FIRST_OFF);
	return rc;
}

static int add_item(struct listing *listing, const struct item *item, uint64_t next, struct cf_err *err)
{
	const struct cf_inode *parent = listing->dir->inode;
	struct fuse_entry_param entry = {.ino = 0};
	int rc;

	if (!has_room(listing, item->view.name))
		return 1;
	if (!listing->plus) {
		entry.attr.st_ino = cf_ino_of_view(parent, &item->view);
		entry.attr.st_mode = item->view.kind == CF_VIEW_LINK ? S_IFLNK : S_IFDIR;
		add_plain(listing, item->view.name, &entry.attr, next);
		return 0;
	}
	rc = cf_mount_entry_of_view(listing->mount, parent, &item->view, &entry, err);
	/* One snapshot whose root is damaged does not hide the others: it shows without attributes. */
	if (rc < 0) {
		cf_mount_errno(listing->mount, parent, err);
		cf_err_clear(err);
		entry = (struct fuse_entry_param){.attr = {.st_ino = cf_ino_of_view(parent, &item->view),
							   .st_mode = S_IFDIR}};
	}
	add_plus(listing, item->view.name, &entry, next);
	return 0;
}

static int add_items(struct listing *listing, uint64_t position, struct cf_err *err)
{
	const struct item *item = listing->dir->items;
	uint64_t number = 0;
	int rc = 0;

	for (; item && number < position; number++)
		item = item->next;
	for (; rc == 0 && item; item = item->next)
		rc = add_item(listing, item, ++number + FIRST_OFF, err);
	return rc;
}

static void list(fuse_req_t req, size_t size, off_t off, const struct fuse_file_info *info, bool plus)
{
	struct listing listing = {.req = req,
				  .mount = fuse_req_userdata(req),
				  .dir = dir_of(info),
				  .plus = plus,
				  .data = malloc(size),
				  .size = size};
	struct cf_err err = CF_ERR_INIT;
	int rc = 0;

	if (!listing.data) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (add_dots(&listing, &off)) {
		uint64_t position = (uint64_t)off - FIRST_OFF;

		rc = listing.dir->reader
			     ? cf_dir_reader_each(listing.dir->reader, position, add_node, &listing, &err)
			     : add_items(&listing, position, &err);
	}
	/* What was listed before the trouble is given first: it counts as looked up. */
	if (rc < 0 && listing.len == 0)
		fuse_reply_err(req, cf_mount_errno(listing.mount, listing.dir->inode, &err));
	else
		fuse_reply_buf(req, listing.data, listing.len);
	free(listing.data);
}

void cf_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *info)
{
	(void)ino;
	list(req, size, off, info, false);
}

void cf_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *info)
{
	(void)ino;
	list(req, size, off, info, true);
}
