#include "fuse/state.h"

#include "base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Content of files. */

enum {
	LARGE_LEN = 64 << 20, /* files from here on fill the memory of the system */
	SQLITE_HEADER_LEN = 100,
	SQLITE_VERSIONS = 18 /* in the header: two bytes, 2 in a database in WAL mode */
};

struct open_file {
	struct cf_handle handle;
	struct cf_inode *inode;
	struct cf_file_reader *reader;
	bool is_sqlite; /* a database by the sqlite driver */
	bool leaves;	/* what was read need not be kept by the kernel */
};

static struct open_file *file_of(const struct fuse_file_info *info)
{
	return (struct open_file *)(uintptr_t)info->fh;
}

static void free_file(struct cf_handle *handle)
{
	struct open_file *file = (struct open_file *)handle;

	atomic_fetch_sub(&file->inode->n_open, 1);
	cf_file_reader_close(file->reader);
	free(file);
}

/*
 * A database in WAL mode needs a writable folder even to be read. Shown as one in rollback mode it opens read-only; all of it is
 * in the main file, because the driver's copy went through SQLite. A restore gives the original bytes.
 */
static bool is_sqlite_database(const struct cf_inode *inode)
{
	return strcmp(inode->shot->snapshot->driver, "sqlite") == 0 &&
	       inode->node->content.size >= SQLITE_HEADER_LEN;
}

void cf_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct cf_mount *mount = fuse_req_userdata(req);
	struct cf_inode *inode = cf_inodes_at(mount->inodes, ino);
	struct open_file *file;
	struct cf_err err = CF_ERR_INIT;
	int rc;

	if ((info->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(req, EROFS);
		return;
	}
	file = calloc(1, sizeof(*file));
	rc = file ? cf_file_reader_open(mount->files, &inode->node->content, &file->reader, &err)
		  : cf_err_nomem(&err);
	if (rc < 0) {
		free(file);
		fuse_reply_err(req, cf_mount_errno(mount, inode, &err));
		return;
	}
	file->handle.free = free_file;
	file->inode = inode;
	file->is_sqlite = is_sqlite_database(inode);
	/* Databases are read here and there; and who reads a file a second time may do so a third time. */
	file->leaves = inode->node->content.size >= LARGE_LEN && !file->is_sqlite && !atomic_load(&inode->was_left);
	atomic_fetch_add(&inode->n_open, 1);
	cf_mount_add_handle(mount, &file->handle);
	info->fh = (uintptr_t)file;
	info->keep_cache = 1;
	info->noflush = 1;
	if (fuse_reply_open(req, info) != 0)
		cf_mount_free_handle(mount, &file->handle);
}

/* The start of the read with the header changed, in a copy. */
static int show_readable(struct cf_read *read, uint64_t off, uint8_t copy[SQLITE_HEADER_LEN])
{
	static const char magic[] = "SQLite format 3";
	struct iovec *first = read->pieces;

	if (off != 0 || read->n_pieces == 0 || first->iov_len <= SQLITE_HEADER_LEN ||
	    memcmp(first->iov_base, magic, sizeof(magic)) != 0)
		return 0;
	memcpy(copy, first->iov_base, SQLITE_HEADER_LEN);
	for (int i = 0; i < 2; i++)
		if (copy[SQLITE_VERSIONS + i] == 2)
			copy[SQLITE_VERSIONS + i] = 1;
	return 1;
}

static void reply_pieces(fuse_req_t req, struct cf_read *read, const struct open_file *file, uint64_t off)
{
	uint8_t header[SQLITE_HEADER_LEN];
	struct iovec *pieces;

	if (!file->is_sqlite || !show_readable(read, off, header)) {
		fuse_reply_iov(req, read->pieces, (int)read->n_pieces);
		return;
	}
	pieces = malloc((read->n_pieces + 1) * sizeof(*pieces));
	if (!pieces) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	memcpy(pieces + 1, read->pieces, read->n_pieces * sizeof(*pieces));
	pieces[0] = (struct iovec){header, sizeof(header)};
	pieces[1].iov_base = (uint8_t *)pieces[1].iov_base + sizeof(header);
	pieces[1].iov_len -= sizeof(header);
	fuse_reply_iov(req, pieces, (int)read->n_pieces + 1);
	free(pieces);
}

/*
 * The kernel waits for pages that are being read before it drops them, and so keeps a process that was killed from ending: what
 * others may be reading is left alone.
 */
static void leave_behind(struct cf_mount *mount, const struct open_file *file)
{
	uint64_t off, len;

	if (!file->leaves || !cf_file_reader_left(file->reader, &off, &len) || atomic_load(&file->inode->n_open) > 1)
		return;
	atomic_store(&file->inode->was_left, true);
	cf_behind_drop(mount->behind, file->inode->ino, off, len);
}

void cf_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *info)
{
	struct cf_mount *mount = fuse_req_userdata(req);
	const struct open_file *file = file_of(info);
	struct cf_read read = CF_READ_INIT;
	struct cf_err err = CF_ERR_INIT;

	if (cf_file_reader_read(file->reader, (uint64_t)off, size, &read, &err) < 0) {
		fuse_reply_err(req, cf_mount_errno(mount, cf_inodes_at(mount->inodes, ino), &err));
	} else {
		/* Once it is answered the file may be gone. */
		leave_behind(mount, file);
		reply_pieces(req, &read, file, (uint64_t)off);
	}
	cf_read_release(mount->files, &read);
}

void cf_op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *info)
{
	struct cf_mount *mount = fuse_req_userdata(req);
	struct cf_err err = CF_ERR_INIT;
	uint64_t found = 0;
	int rc;

	if (off < 0 || (whence != SEEK_DATA && whence != SEEK_HOLE)) {
		fuse_reply_err(req, off < 0 ? ENXIO : EINVAL);
		return;
	}
	rc = cf_file_reader_seek(file_of(info)->reader, (uint64_t)off, whence == SEEK_HOLE, &found, &err);
	if (rc < 0)
		fuse_reply_err(req, cf_mount_errno(mount, cf_inodes_at(mount->inodes, ino), &err));
	else if (rc == 0)
		fuse_reply_err(req, ENXIO);
	else
		fuse_reply_lseek(req, (off_t)found);
}

void cf_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)ino;
	cf_mount_free_handle(fuse_req_userdata(req), &file_of(info)->handle);
	fuse_reply_err(req, 0);
}
