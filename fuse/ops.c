#include "fuse/state.h"

#include "base/err.h"
#include "repo/repo.h"

#include <errno.h>
#include <stdlib.h>

/* Lookups, attributes and links. */

#define FOREVER_S (365 * 86400.0)
#define VIEW_S	  1.0

enum {
	NAME_LEN_MAX = 255
};

int cf_mount_errno(struct cf_mount *mount, const struct cf_inode *inode, const struct cf_err *err)
{
	struct cf_buf path = CF_BUF_INIT;
	bool is_new;

	if (err->code == CF_ERR_NOMEM)
		return ENOMEM;
	pthread_mutex_lock(&mount->log_lock);
	is_new = strcmp(mount->last.text, err->text) != 0;
	mount->last = *err;
	pthread_mutex_unlock(&mount->log_lock);
	/* What reads the repository next has a chance. */
	cf_repo_find_again(mount->repo, NULL);
	if (is_new && cf_inodes_path(mount->inodes, inode, &path, NULL) == 0)
		cf_ctx_warn(mount->ctx, "mount.failed", path.len > 1 ? (const char *)path.data : NULL, "%s",
			    err->text);
	cf_buf_release(&path);
	return EIO;
}

double cf_mount_timeout(const struct cf_inode *inode)
{
	return inode->node ? FOREVER_S : VIEW_S;
}

/* Lists are read for it, so each file once. Damage shows when it is read. */
static uint64_t data_len(struct cf_mount *mount, struct cf_inode *inode)
{
	uint64_t len = atomic_load(&inode->data_len);

	if (len > 0)
		return len - 1;
	if (cf_files_data_len(mount->files, &inode->node->content, &len, NULL) < 0)
		len = inode->node->content.size;
	atomic_store(&inode->data_len, len + 1);
	return len;
}

void cf_mount_stat(struct cf_mount *mount, struct cf_inode *inode, struct stat *st)
{
	cf_inode_stat(inode, st);
	if (inode->node && inode->node->entry.type == CF_ENTRY_FILE)
		st->st_blocks = (blkcnt_t)((data_len(mount, inode) + 511) / 512);
}

static void fill_entry(struct cf_mount *mount, struct cf_inode *inode, struct fuse_entry_param *entry)
{
	*entry = (struct fuse_entry_param){.ino = inode->ino,
					   .attr_timeout = cf_mount_timeout(inode),
					   .entry_timeout = cf_mount_timeout(inode)};
	cf_mount_stat(mount, inode, &entry->attr);
}

int cf_mount_entry_of_node(struct cf_mount *mount, const struct cf_inode *parent, const struct cf_node *node,
			   struct fuse_entry_param *entry_out, struct cf_err *err)
{
	struct cf_inode *inode = NULL;
	int rc = cf_inodes_of_node(mount->inodes, parent, node, &inode, err);

	if (rc == 0)
		fill_entry(mount, inode, entry_out);
	return rc;
}

int cf_mount_entry_of_view(struct cf_mount *mount, const struct cf_inode *parent,
			   const struct cf_view_item *item, struct fuse_entry_param *entry_out,
			   struct cf_err *err)
{
	struct cf_inode *inode = NULL;
	struct cf_node *root = NULL;
	int rc = 0;

	if (item->kind == CF_VIEW_SHOT)
		rc = cf_tree_find(mount->repo, item->shot->snapshot, "", &root, err);
	if (rc == 0)
		rc = cf_inodes_of_view(mount->inodes, parent, item, root, &inode, err);
	if (rc == 0) {
		fill_entry(mount, inode, entry_out);
		/* A snapshot may be forgotten: only what is in it is for ever. */
		entry_out->entry_timeout = VIEW_S;
	}
	free(root);
	return rc;
}

int cf_mount_dir(struct cf_mount *mount, struct cf_inode *inode, struct cf_dir_reader **dir_out,
		 struct cf_err *err)
{
	struct cf_dir_reader *dir = atomic_load(&inode->dir), *none = NULL;
	int rc = 0;

	if (!dir) {
		rc = cf_dir_reader_open(mount->dirs, &inode->node->content, &dir, err);
		if (rc == 0 && !atomic_compare_exchange_strong(&inode->dir, &none, dir)) {
			cf_dir_reader_close(dir);
			dir = none;
		}
	}
	*dir_out = dir;
	return rc;
}

void cf_mount_add_handle(struct cf_mount *mount, struct cf_handle *handle)
{
	pthread_mutex_lock(&mount->handle_lock);
	handle->older = mount->handles;
	if (handle->older)
		handle->older->newer = handle;
	mount->handles = handle;
	pthread_mutex_unlock(&mount->handle_lock);
}

void cf_mount_free_handle(struct cf_mount *mount, struct cf_handle *handle)
{
	pthread_mutex_lock(&mount->handle_lock);
	*(handle->newer ? &handle->newer->older : &mount->handles) = handle->older;
	if (handle->older)
		handle->older->newer = handle->newer;
	pthread_mutex_unlock(&mount->handle_lock);
	handle->free(handle);
}

static struct cf_mount *mount_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

struct lookup {
	struct cf_mount *mount;
	struct cf_inode *parent;
	struct fuse_entry_param entry;
};

static int take_node(void *user, const struct cf_node *node, uint64_t next, struct cf_err *err)
{
	struct lookup *lookup = user;

	(void)next;
	return cf_mount_entry_of_node(lookup->mount, lookup->parent, node, &lookup->entry, err);
}

static int take_item(void *user, const struct cf_view_item *item, struct cf_err *err)
{
	struct lookup *lookup = user;

	return cf_mount_entry_of_view(lookup->mount, lookup->parent, item, &lookup->entry, err);
}

static int look_up_node(struct lookup *lookup, const char *name, struct cf_err *err)
{
	struct cf_dir_reader *dir = NULL;
	int rc;

	if (lookup->parent->node->entry.type != CF_ENTRY_DIR)
		return 0;
	rc = cf_mount_dir(lookup->mount, lookup->parent, &dir, err);
	return rc < 0 ? rc : cf_dir_reader_find(dir, name, take_node, lookup, err);
}

static int look_up_item(struct lookup *lookup, const char *name, struct cf_err *err)
{
	struct cf_shot_list *list = NULL;
	struct cf_err stale = CF_ERR_INIT;
	int rc;

	if (cf_shots_list(lookup->mount->shots, &list, &stale) < 0)
		cf_mount_errno(lookup->mount, lookup->parent, &stale);
	rc = cf_view_find(list, lookup->parent->kind, lookup->parent->key, name, take_item, lookup, err);
	cf_shot_list_release(list);
	return rc;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct lookup lookup = {.mount = mount_of(req)};
	struct cf_err err = CF_ERR_INIT;
	int rc;

	lookup.parent = cf_inodes_at(lookup.mount->inodes, parent);
	rc = lookup.parent->node ? look_up_node(&lookup, name, &err) : look_up_item(&lookup, name, &err);
	if (rc < 0) {
		fuse_reply_err(req, cf_mount_errno(lookup.mount, lookup.parent, &err));
		return;
	}
	if (rc == 0 && strlen(name) > NAME_LEN_MAX) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	/* Number 0: there is none, and for how long that holds. */
	if (rc == 0)
		lookup.entry.entry_timeout = cf_mount_timeout(lookup.parent);
	if (fuse_reply_entry(req, &lookup.entry) != 0 && rc == 1)
		cf_inodes_forget(lookup.mount->inodes, lookup.entry.ino, 1);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n_lookups)
{
	cf_inodes_forget(mount_of(req)->inodes, ino, n_lookups);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t n, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < n; i++)
		cf_inodes_forget(mount_of(req)->inodes, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct cf_inode *inode = cf_inodes_at(mount_of(req)->inodes, ino);
	struct stat st;

	(void)info;
	cf_mount_stat(mount_of(req), inode, &st);
	fuse_reply_attr(req, &st, cf_mount_timeout(inode));
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	const struct cf_inode *inode = cf_inodes_at(mount_of(req)->inodes, ino);

	if (!inode->node && inode->kind == CF_VIEW_LINK)
		fuse_reply_readlink(req, inode->key);
	else if (inode->node && inode->node->entry.type == CF_ENTRY_SYMLINK)
		fuse_reply_readlink(req, inode->node->entry.target);
	else
		fuse_reply_err(req, EINVAL);
}

/* size 0 asks for the length alone. */
static void reply_xattr(fuse_req_t req, const void *data, size_t len, size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, len);
	else if (len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, data, len);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	const struct cf_inode *inode = cf_inodes_at(mount_of(req)->inodes, ino);

	for (size_t i = 0; inode->node && i < inode->node->entry.n_xattrs; i++) {
		const struct cf_xattr *xattr = &inode->node->entry.xattrs[i];

		if (strcmp(xattr->name, name) == 0) {
			reply_xattr(req, xattr->value.data, xattr->value.len, size);
			return;
		}
	}
	fuse_reply_err(req, ENODATA);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	const struct cf_inode *inode = cf_inodes_at(mount_of(req)->inodes, ino);
	struct cf_buf names = CF_BUF_INIT;
	int rc = 0;

	for (size_t i = 0; rc == 0 && inode->node && i < inode->node->entry.n_xattrs; i++) {
		const char *name = inode->node->entry.xattrs[i].name;

		rc = cf_buf_append(&names, name, strlen(name) + 1, NULL);
	}
	if (rc < 0)
		fuse_reply_err(req, ENOMEM);
	else
		reply_xattr(req, names.data, names.len, size);
	cf_buf_release(&names);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	const struct statvfs st = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = NAME_LEN_MAX, .f_flag = ST_RDONLY};

	(void)ino;
	fuse_reply_statfs(req, &st);
}

static void op_init(void *user, struct fuse_conn_info *connection)
{
	(void)user;
	/* Nothing changes, so attributes and contents never need to be asked for again. */
	connection->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
	connection->max_background = 64;
	connection->congestion_threshold = 48;
}

const struct fuse_lowlevel_ops cf_mount_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.readlink = op_readlink,
	.open = cf_op_open,
	.read = cf_op_read,
	.lseek = cf_op_lseek,
	.release = cf_op_release,
	.opendir = cf_op_opendir,
	.readdir = cf_op_readdir,
	.readdirplus = cf_op_readdirplus,
	.releasedir = cf_op_releasedir,
	.statfs = op_statfs,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
};
