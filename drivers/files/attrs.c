/*
 * Extended attributes are read through /proc/self/fd/<folder>/<name>: the l*xattr calls have no *at
 * form on kernels before 6.13, this needs no open of the entry, works for symbolic links and
 * devices, and is bounded in length however deep the folder is.
 */
#include "drivers/files/attrs.h"

#include "base/err.h"
#include "drivers/timestamp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The kernel's own limits, for the list of names and for one value (linux/limits.h). */
#define LIST_MAX  65536
#define VALUE_MAX 65536

/* Some file systems count a name's 255 in characters: leave room for their bytes. */
#define PROC_PATH_MAX 2048

void cf_files_attrs_release(struct cf_files_attrs *attrs)
{
	cf_files_owner_release(&attrs->owner);
	cf_buf_release(&attrs->names);
	cf_buf_release(&attrs->values);
	cf_buf_release(&attrs->target);
	free(attrs->xattrs);
	*attrs = (struct cf_files_attrs){0};
}

static enum cf_entry_type type_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return CF_ENTRY_DIR;
	case S_IFLNK:
		return CF_ENTRY_SYMLINK;
	case S_IFIFO:
		return CF_ENTRY_FIFO;
	case S_IFSOCK:
		return CF_ENTRY_SOCKET;
	case S_IFCHR:
		return CF_ENTRY_CHARDEV;
	case S_IFBLK:
		return CF_ENTRY_BLOCKDEV;
	default:
		return CF_ENTRY_FILE;
	}
}

int cf_files_attrs_stat(struct cf_files_attrs *attrs, const struct stat *st, struct cf_err *err)
{
	struct cf_entry *e = &attrs->entry;
	int rc;

	e->type = type_of(st->st_mode);
	e->mode = st->st_mode & 07777;
	e->uid = st->st_uid;
	e->gid = st->st_gid;
	e->mtime_ns = cf_timestamp_ns(st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	e->ctime_ns = cf_timestamp_ns(st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
	e->size = e->type == CF_ENTRY_FILE ? (uint64_t)st->st_size : 0;
	e->dev = st->st_dev;
	e->ino = st->st_ino;
	e->nlink = (uint32_t)st->st_nlink;
	e->rdev_major = e->rdev_minor = 0;
	if (e->type == CF_ENTRY_CHARDEV || e->type == CF_ENTRY_BLOCKDEV) {
		e->rdev_major = major(st->st_rdev);
		e->rdev_minor = minor(st->st_rdev);
	}
	rc = cf_files_owner_user(&attrs->owner, e->uid, &e->user, err);
	if (rc == 0)
		rc = cf_files_owner_group(&attrs->owner, e->gid, &e->group, err);
	return rc;
}

/* st_size is only a first guess: some file systems say 0. */
static int read_target(struct cf_files_attrs *attrs, int dir_fd, const char *name, const char *path,
		       size_t guess, struct cf_err *err)
{
	struct cf_buf *target = &attrs->target;
	ssize_t n;

	cf_buf_clear(target);
	for (size_t room = guess + 2;; room *= 2) {
		int rc = cf_buf_reserve(target, room, err);

		if (rc < 0)
			return rc;
		n = readlinkat(dir_fd, name, (char *)target->data, room);
		if (n < 0)
			return cf_err_errno(err, errno, "read the link %s", path);
		if ((size_t)n < room)
			break;
	}
	target->data[n] = '\0';
	attrs->entry.target = (const char *)target->data;
	return 0;
}

static int add_xattr(struct cf_files_attrs *attrs, struct cf_xattr xattr, struct cf_err *err)
{
	size_t n = attrs->entry.n_xattrs;

	if (n == attrs->xattr_capacity) {
		size_t capacity = n ? 2 * n : 8;
		struct cf_xattr *more = realloc(attrs->xattrs, capacity * sizeof(*more));

		if (!more)
			return cf_err_nomem(err);
		attrs->xattrs = more;
		attrs->xattr_capacity = capacity;
	}
	attrs->xattrs[n] = xattr;
	attrs->entry.n_xattrs = n + 1;
	return 0;
}

/* The value goes to the end of `values`, which moves as it grows: pointers are set when all are
 * read. */
static int read_value(struct cf_files_attrs *attrs, const struct cf_ctx *ctx, const char *proc,
		      const char *name, const char *path, struct cf_err *err)
{
	struct cf_buf *values = &attrs->values;
	int rc = cf_buf_reserve(values, VALUE_MAX, err);
	ssize_t n;

	if (rc < 0)
		return rc;
	n = lgetxattr(proc, name, values->data + values->len, VALUE_MAX);
	if (n < 0) {
		/* Taken away since it was listed: nothing is lost. */
		if (errno != ENODATA && errno != ENOENT)
			cf_ctx_warn(ctx, "file.xattr", path,
				    "the extended attribute %s is not saved: %s", name,
				    strerror(errno));
		return 0;
	}
	values->len += (size_t)n;
	return add_xattr(
		attrs, (struct cf_xattr){.name = name, .value = cf_span_of(NULL, (size_t)n)}, err);
}

/* Sorted, so that the same attributes always make the same entry. */
static int compare_xattrs(const void *a, const void *b)
{
	return strcmp(((const struct cf_xattr *)a)->name, ((const struct cf_xattr *)b)->name);
}

static void place_values(struct cf_files_attrs *attrs)
{
	const uint8_t *at = attrs->values.data;

	for (size_t i = 0; i < attrs->entry.n_xattrs; i++) {
		attrs->xattrs[i].value.data = at;
		at += attrs->xattrs[i].value.len;
	}
	attrs->entry.xattrs = attrs->xattrs;
	if (attrs->entry.n_xattrs > 1)
		qsort(attrs->xattrs, attrs->entry.n_xattrs, sizeof(*attrs->xattrs), compare_xattrs);
}

static int read_xattrs(struct cf_files_attrs *attrs, const struct cf_ctx *ctx, int dir_fd,
		       const char *name, const char *path, struct cf_err *err)
{
	char proc[PROC_PATH_MAX];
	ssize_t len;
	int rc;

	if ((size_t)snprintf(proc, sizeof(proc), "/proc/self/fd/%d/%s", dir_fd, name) >=
	    sizeof(proc))
		return cf_err_set(err, CF_ERR_FAILED, "%s: the name is too long", path);
	rc = cf_buf_reserve(&attrs->names, LIST_MAX, err);
	if (rc < 0)
		return rc;
	len = llistxattr(proc, (char *)attrs->names.data, LIST_MAX);
	if (len < 0) {
		if (errno != ENOTSUP && errno != ENOENT)
			cf_ctx_warn(ctx, "file.xattr", path,
				    "extended attributes are not saved: %s", strerror(errno));
		return 0;
	}
	cf_buf_clear(&attrs->values);
	for (ssize_t at = 0; at < len && rc == 0;) {
		const char *xattr = (const char *)attrs->names.data + at;

		rc = read_value(attrs, ctx, proc, xattr, path, err);
		at += (ssize_t)strlen(xattr) + 1;
	}
	if (rc == 0)
		place_values(attrs);
	return rc;
}

int cf_files_attrs_fill(struct cf_files_attrs *attrs, const struct cf_ctx *ctx, int dir_fd,
			const char *name, const struct stat *st, const char *path,
			struct cf_err *err)
{
	int rc;

	attrs->entry = (struct cf_entry){.name = name};
	cf_timestamp_check(ctx, path, st->st_mtim.tv_sec);
	rc = cf_files_attrs_stat(attrs, st, err);
	if (rc == 0 && S_ISLNK(st->st_mode))
		rc = read_target(attrs, dir_fd, name, path, (size_t)st->st_size, err);
	if (rc == 0)
		rc = read_xattrs(attrs, ctx, dir_fd, name, path, err);
	return rc;
}
