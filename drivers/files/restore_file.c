#include "drivers/files/restore_file.h"

#include "base/err.h"
#include "base/file.h"
#include "drivers/files/place.h"
#include "drivers/files/restore_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

/* Linux 6.14; older headers lack it, older kernels refuse it. */
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x00000080
#endif

/* Files from this size on are written past the page cache: they would drive out what other programs
 * need, and filling fresh pages is what costs most. */
#define UNCACHED_LEN (64 << 20)

/* No page or block is larger. What is dropped from the cache before it is full must be read again. */
#define WHOLE_LEN (64 << 10)

struct cf_restore_file {
	struct cf_target_dir *dir;
	struct cf_entry *entry;
	struct cf_restore_temporary temporary;
	int fd;
	bool in_order;		       /* file_write and file_hole are used, not file_write_at */
	uint64_t off;		       /* of the next file_write */
	atomic_uint_least64_t written; /* behind the last byte written anywhere */
	struct cf_restore_file *next, *previous; /* of all that are open */
};

static struct cf_restore_state *of_sink(struct cf_sink *sink)
{
	return (struct cf_restore_state *)sink;
}

static struct cf_restore_file *of_file(struct cf_file *file)
{
	return (struct cf_restore_file *)file;
}

static void list_file(struct cf_restore_state *r, struct cf_restore_file *f)
{
	pthread_mutex_lock(&r->lock);
	f->next = r->files;
	if (r->files)
		r->files->previous = f;
	r->files = f;
	pthread_mutex_unlock(&r->lock);
}

static void unlist_file(struct cf_restore_state *r, struct cf_restore_file *f)
{
	pthread_mutex_lock(&r->lock);
	if (f->next)
		f->next->previous = f->previous;
	if (f->previous)
		f->previous->next = f->next;
	else
		r->files = f->next;
	pthread_mutex_unlock(&r->lock);
}

static void free_file(struct cf_restore_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	free(f->entry);
	free(f);
}

static int create_temporary(struct cf_restore_state *r, struct cf_restore_file *f,
			    struct cf_err *err)
{
	struct cf_target_path path = cf_target_path(&r->target, f->dir, f->entry->name);
	int dir_fd, rc = cf_target_dir_pin(&r->target, f->dir, &dir_fd, err);

	if (rc < 0)
		return rc;
	if (!r->options.overwrite && !f->dir->made)
		rc = cf_place_check_free(dir_fd, f->entry->name, path.s, err);
	if (rc == 0) {
		f->fd = openat(dir_fd, f->temporary.s,
			       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (f->fd < 0)
			rc = cf_err_errno(err, errno, "create %s", path.s);
	}
	cf_target_dir_unpin(&r->target, f->dir);
	return rc;
}

int cf_restore_file_begin(struct cf_sink *sink, struct cf_dir *handle, const struct cf_entry *entry,
			  const struct cf_profile *profile, struct cf_file **file_out,
			  struct cf_err *err)
{
	struct cf_restore_state *r = of_sink(sink);
	struct cf_target_dir *dir = (struct cf_target_dir *)handle;
	struct cf_restore_file *f = NULL;
	int rc = cf_restore_name_check(r, dir, entry, err);

	*file_out = NULL;
	if (rc < 0 || cf_restore_skips(r, dir, entry))
		goto out;
	f = calloc(1, sizeof(*f));
	if (f)
		f->entry = cf_entry_dup(entry);
	if (!f || !f->entry) {
		free(f);
		f = NULL;
		rc = cf_err_nomem(err);
		goto out;
	}
	f->dir = dir;
	f->fd = -1;
	f->temporary = cf_restore_temporary_make(r);
	rc = create_temporary(r, f, err);
	if (rc < 0)
		goto out;
	list_file(r, f);
	*file_out = (struct cf_file *)f;
	f = NULL;
out:
	if (f)
		free_file(f);
	return rc;
}

/* How many bytes of data the kernel took and is to drop from its cache once they are on the disk; 0
 * when it cannot, and the caller writes them in the ordinary way. */
static size_t write_uncached(struct cf_restore_state *r, struct cf_restore_file *f, uint64_t off,
			     struct cf_span data)
{
	size_t taken = 0;

	while (taken < data.len && atomic_load(&r->can_write_uncached)) {
		/* writev only reads what iov_base points to. */
		struct iovec v = {.iov_base = (void *)(uintptr_t)(data.data + taken),
				  .iov_len = data.len - taken};
		ssize_t n = pwritev2(f->fd, &v, 1, (off_t)(off + taken), RWF_DONTCACHE);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EOPNOTSUPP)
			atomic_store(&r->can_write_uncached, false);
		if (n <= 0)
			break;
		taken += (size_t)n;
	}
	return taken;
}

static int write_content(struct cf_restore_state *r, struct cf_restore_file *f, uint64_t off,
			 struct cf_span data, struct cf_err *err)
{
	size_t before = (size_t)(-off % WHOLE_LEN), whole = 0;
	int rc = 0;

	if (f->entry->size >= UNCACHED_LEN && data.len >= before)
		whole = (data.len - before) / WHOLE_LEN * WHOLE_LEN;
	if (whole > 0) {
		rc = cf_fd_pwrite_all(f->fd, f->entry->name, off, cf_span_of(data.data, before),
				      err);
		if (rc < 0)
			return rc;
		before += write_uncached(r, f, off + before,
					 cf_span_of(data.data + before, whole));
		data = cf_span_of(data.data + before, data.len - before);
		off += before;
	}
	return cf_fd_pwrite_all(f->fd, f->entry->name, off, data, err);
}

static int write_piece(struct cf_restore_state *r, struct cf_restore_file *f, uint64_t off,
		       struct cf_span data, struct cf_err *err)
{
	uint64_t end = off + data.len, seen = atomic_load(&f->written);
	int rc = write_content(r, f, off, data, err);

	if (rc < 0) {
		cf_err_wrap(err, "restore %s", cf_target_path(&r->target, f->dir, "").s);
		return rc;
	}
	while (seen < end && !atomic_compare_exchange_weak(&f->written, &seen, end))
		continue;
	return 0;
}

int cf_restore_file_write(struct cf_sink *sink, struct cf_file *handle, struct cf_span data,
			  struct cf_err *err)
{
	struct cf_restore_file *f = of_file(handle);
	int rc = write_piece(of_sink(sink), f, f->off, data, err);

	f->in_order = true;
	f->off += data.len;
	return rc;
}

int cf_restore_file_hole(struct cf_sink *sink, struct cf_file *handle, uint64_t len,
			 struct cf_err *err)
{
	struct cf_restore_file *f = of_file(handle);

	if (len > (uint64_t)INT64_MAX - f->off)
		return cf_err_set(err, CF_ERR_DAMAGED, "%s: a hole is longer than any file",
				  f->entry->name);
	f->in_order = true;
	f->off += len;
	return 0;
}

int cf_restore_file_write_at(struct cf_sink *sink, struct cf_file *handle, uint64_t off,
			     struct cf_span data, struct cf_err *err)
{
	return write_piece(of_sink(sink), of_file(handle), off, data, err);
}

/* Size, attributes and close: then the temporary file is what the entry says. */
static int finish_temporary(struct cf_restore_state *r, struct cf_restore_file *f,
			    const struct cf_entry *entry, const char *path, struct cf_err *err)
{
	const struct cf_restore_attrs_on on = {
		.fd = f->fd, .path = path, .inherited_acl = f->dir->inherits_acl};
	uint64_t size = f->in_order ? f->off : entry->size;
	int fd = f->fd;

	if (atomic_load(&f->written) != size && ftruncate(fd, (off_t)size) != 0)
		return cf_err_errno(err, errno, "set the size of %s", path);
	cf_restore_attrs_set(&r->as, &on, entry);
	f->fd = -1;
	return close(fd) == 0 ? 0 : cf_err_errno(err, errno, "close %s", path);
}

int cf_restore_file_end(struct cf_sink *sink, struct cf_file *handle, const struct cf_entry *entry,
			struct cf_err *err)
{
	struct cf_restore_state *r = of_sink(sink);
	struct cf_restore_file *f = of_file(handle);
	struct cf_target_path path = cf_target_path(&r->target, f->dir, f->entry->name);
	int dir_fd, rc = cf_target_dir_pin(&r->target, f->dir, &dir_fd, err);

	unlist_file(r, f);
	if (rc == 0) {
		rc = finish_temporary(r, f, entry ? entry : f->entry, path.s, err);
		if (rc == 0)
			rc = cf_place_rename(dir_fd, f->temporary.s, f->entry->name,
					     r->options.overwrite, path.s, err);
		if (rc < 0)
			unlinkat(dir_fd, f->temporary.s, 0);
		cf_target_dir_unpin(&r->target, f->dir);
	}
	free_file(f);
	return rc;
}

void cf_restore_file_abort(struct cf_sink *sink, struct cf_file *handle)
{
	struct cf_restore_state *r = of_sink(sink);
	struct cf_restore_file *f = of_file(handle);
	int dir_fd;

	unlist_file(r, f);
	if (cf_target_dir_pin(&r->target, f->dir, &dir_fd, NULL) == 0) {
		unlinkat(dir_fd, f->temporary.s, 0);
		cf_target_dir_unpin(&r->target, f->dir);
	}
	free_file(f);
}
