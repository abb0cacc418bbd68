#ifndef CF_REPO_FORMAT_DIR_BLOCK_H
#define CF_REPO_FORMAT_DIR_BLOCK_H

/*
 * A directory block: one chunk of a directory's content (docs/format.md, "Directory"). A block holds whole entries, in
 * strictly ascending order of names, so that each can be decoded alone.
 *
 *   u8 version (1), then entries to the end:
 *     u8 type, text name, u32 mode, u32 uid, u32 gid, text user, text group, i64 mtime, i64 ctime (ns),
 *     u64 dev, u64 ino, u32 nlink, u32 rdev major, u32 rdev minor, text target,
 *     u16 number of xattrs: text name, u32 length, bytes;  u16 number of facts: text key, text value
 *     u8 content level, content id, u64 content size
 *   text: u32 length, bytes, a NUL (absent text has length 0)
 */

#include "repo/tree.h"

struct cf_dir_block {
	struct cf_node *nodes; /* strings point into `bytes` */
	size_t n;
	struct cf_xattr *xattrs;
	struct cf_fact *facts;
	struct cf_buf bytes;
};

#define CF_DIR_BLOCK_VERSION 1

/* Append the version byte of a new block. */
int cf_dir_block_begin(struct cf_buf *out, struct cf_err *err);
int cf_dir_block_append(struct cf_buf *out, const struct cf_node *node, struct cf_err *err);

/* Takes over *bytes (left empty), also on failure. CF_ERR_DAMAGED. Release the block. */
int cf_dir_block_decode(struct cf_buf *bytes, struct cf_dir_block *block_out, struct cf_err *err);
void cf_dir_block_release(struct cf_dir_block *block);

#endif
