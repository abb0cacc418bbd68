#ifndef CF_FUSE_INODES_H
#define CF_FUSE_INODES_H

/*
 * What the kernel knows by number. A number depends only on what it stands for (the snapshot and the names on the way,
 * or for hard links the file's own device and inode), so it is the same whenever it is asked for. Any thread.
 *
 * An inode lives while the kernel counts lookups of it; the kernel holds a count for whatever it calls us with.
 */

#include "base/buf.h"
#include "fuse/dirs.h"
#include "fuse/views.h"

#include <stdatomic.h>
#include <sys/stat.h>

struct cf_inode {
	uint64_t ino, check; /* two halves of a hash of what it stands for */
	uint64_t parent;     /* the inode it was first found in */
	uint64_t n_lookups;
	struct cf_inode *chain;
	enum cf_view_kind kind; /* of what is not inside a snapshot */
	char *key;		/* of a group or link */
	struct cf_shot *shot;
	struct cf_node *node; /* inside a snapshot: its entry; else NULL */
	_Atomic(struct cf_dir_reader *) dir;
	_Atomic uint64_t data_len; /* of a file: 1 more than what is no hole, once that is known */
	atomic_uint n_open;	  /* of a file: handles */
	atomic_bool was_left;     /* of a file: the kernel was told not to keep what was read of it */
};

struct cf_inodes;

int cf_inodes_new(struct cf_inodes **inodes_out, struct cf_err *err);
void cf_inodes_free(struct cf_inodes *inodes);

/* The inode of number 1: a view's root, or the root of one snapshot when shot is set (then node is its root's entry, copied). */
int cf_inodes_set_root(struct cf_inodes *inodes, struct cf_shot *shot, const struct cf_node *node,
		       struct cf_err *err);

/* The kernel's number of it; it counts as looked up. */
struct cf_inode *cf_inodes_at(struct cf_inodes *inodes, uint64_t ino);

/* The inode of an entry, made or found, looked up once more. */
int cf_inodes_of_node(struct cf_inodes *inodes, const struct cf_inode *parent, const struct cf_node *node,
		      struct cf_inode **inode_out, struct cf_err *err);
/* root: for CF_VIEW_SHOT the entry of the snapshot's root; else NULL. */
int cf_inodes_of_view(struct cf_inodes *inodes, const struct cf_inode *parent, const struct cf_view_item *item,
		      const struct cf_node *root, struct cf_inode **inode_out, struct cf_err *err);

/* The numbers they would get. */
uint64_t cf_ino_of_node(const struct cf_inode *parent, const struct cf_node *node);
uint64_t cf_ino_of_view(const struct cf_inode *parent, const struct cf_view_item *item);

void cf_inodes_forget(struct cf_inodes *inodes, uint64_t ino, uint64_t n_lookups);

/* Attributes as stat() shows them. */
void cf_inode_stat(const struct cf_inode *inode, struct stat *st);
void cf_node_stat(const struct cf_node *node, uint64_t ino, struct stat *st);

bool cf_inode_is_dir(const struct cf_inode *inode);

/* "snapshots/.../a/b", as far as it is known, for messages. Replaces out. */
int cf_inodes_path(struct cf_inodes *inodes, const struct cf_inode *inode, struct cf_buf *out,
		   struct cf_err *err);

#endif
