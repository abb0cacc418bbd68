#ifndef CF_FUSE_STATE_H
#define CF_FUSE_STATE_H

/* The inside of a mount, for fuse/mount.c and fuse/ops*.c only. */

#define FUSE_USE_VERSION 312

#include "base/ctx.h"
#include "fuse/behind.h"
#include "fuse/dirs.h"
#include "fuse/files.h"
#include "fuse/inodes.h"
#include "fuse/shots.h"

#include <fuse3/fuse_lowlevel.h>
#include <pthread.h>

/* The first member of an open file or directory. Those that nobody has closed are freed with the mount. */
struct cf_handle {
	void (*free)(struct cf_handle *handle);
	struct cf_handle *newer, *older;
};

struct cf_mount {
	struct cf_repo *repo;
	const struct cf_ctx *ctx;
	struct cf_inodes *inodes;
	struct cf_dirs *dirs;
	struct cf_files *files;
	struct cf_behind *behind; /* while it is served */
	struct cf_shots *shots; /* NULL: one snapshot is the root */
	pthread_mutex_t log_lock;
	pthread_mutex_t handle_lock;
	struct cf_handle *handles; /* the newest */
	struct cf_err last; /* what was logged last: a reader that tries again says nothing new */
};

/* The errno for a failed operation on an inode; what is wrong with the repository is also logged. */
int cf_mount_errno(struct cf_mount *mount, const struct cf_inode *inode, const struct cf_err *err);

/* Attributes as stat() shows them, holes as stored. */
void cf_mount_stat(struct cf_mount *mount, struct cf_inode *inode, struct stat *st);

/* How long the kernel may believe in what it was told, in seconds. */
double cf_mount_timeout(const struct cf_inode *inode);

/* Fill an entry for a reply; counts as a lookup. */
int cf_mount_entry_of_node(struct cf_mount *mount, const struct cf_inode *parent, const struct cf_node *node,
			   struct fuse_entry_param *entry_out, struct cf_err *err);
int cf_mount_entry_of_view(struct cf_mount *mount, const struct cf_inode *parent,
			   const struct cf_view_item *item, struct fuse_entry_param *entry_out,
			   struct cf_err *err);

/* The directory's reader, opened when first asked for. */
int cf_mount_dir(struct cf_mount *mount, struct cf_inode *inode, struct cf_dir_reader **dir_out,
		 struct cf_err *err);

void cf_mount_add_handle(struct cf_mount *mount, struct cf_handle *handle);
void cf_mount_free_handle(struct cf_mount *mount, struct cf_handle *handle);

/* ops.c */
extern const struct fuse_lowlevel_ops cf_mount_ops;

/* ops_dir.c */
void cf_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info);
void cf_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *info);
void cf_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *info);
void cf_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info);

/* ops_file.c */
void cf_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info);
void cf_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *info);
void cf_op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *info);
void cf_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info);

#endif
