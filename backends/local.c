#include "backends/local.h"

#include "backends/fdcache.h"
#include "backends/local_store.h"
#include "base/err.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int cf_local_bad_name(struct cf_local *local, const char *name, struct cf_err *err)
{
	return cf_err_set(err, CF_ERR_USAGE, "%s: \"%s\" cannot name an object", local->base.url, name);
}

/* 0 when an object has been found. Whatever else somebody put in its place, it is as lost as one that was removed. */
static int check_regular(struct cf_local *local, const char *name, mode_t mode, struct cf_err *err)
{
	if (S_ISREG(mode))
		return 0;
	return cf_err_set(err, CF_ERR_NOT_FOUND, "%s/%s is a %s, not an object", local->base.url, name,
			  S_ISDIR(mode) ? "folder" : S_ISLNK(mode) ? "symbolic link" : "special file");
}

size_t cf_local_folder_len(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash ? (size_t)(slash - name) : 0;
}

const char *cf_local_leaf(const char *name)
{
	size_t len = cf_local_folder_len(name);

	return len ? name + len + 1 : name;
}

/* What stands where a folder should be: path up to its last component, opened relative to parent_fd. */
static int report_no_folder(struct cf_local *local, int parent_fd, const char *component,
			    const char *path, enum cf_local_folder_mode mode, int open_errno,
			    struct cf_err *err)
{
	struct stat st;

	if (open_errno != ENOTDIR && open_errno != ELOOP)
		return cf_err_errno(err, open_errno, "open %s/%s", local->base.url, path);
	if (fstatat(parent_fd, component, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
		return cf_err_set(err, CF_ERR_FAILED, "%s/%s is a symbolic link, not a folder",
				  local->base.url, path);
	return cf_err_set(err, mode == CF_LOCAL_FOLDER_MAKE ? CF_ERR_FAILED : CF_ERR_NOT_FOUND,
			  "%s/%s is not a folder", local->base.url, path);
}

/* The folder may have been made by another thread a moment ago: its name is synced in any case. */
static int make_folder(struct cf_local *local, int parent_fd, const char *component, const char *path,
		       struct cf_err *err)
{
	if (mkdirat(parent_fd, component, 0700) != 0 && errno != EEXIST)
		return cf_err_errno(err, errno, "create the folder %s/%s", local->base.url, path);
	if (fsync(parent_fd) != 0)
		return cf_err_errno(err, errno, "fsync the folder of %s/%s", local->base.url, path);
	return 0;
}

static int step_down(struct cf_local *local, int parent_fd, const char *path,
		     enum cf_local_folder_mode mode, int *fd_out, struct cf_err *err)
{
	const char *component = cf_local_leaf(path);

	if (mode == CF_LOCAL_FOLDER_MAKE) {
		int rc = make_folder(local, parent_fd, component, path, err);

		if (rc < 0)
			return rc;
	}
	*fd_out = openat(parent_fd, component, CF_LOCAL_FOLDER_FLAGS);
	if (*fd_out < 0)
		return report_no_folder(local, parent_fd, component, path, mode, errno, err);
	return 0;
}

int cf_local_folder_open(struct cf_local *local, const char *path, size_t path_len,
			 enum cf_local_folder_mode mode, int *fd_out, struct cf_err *err)
{
	char part[CF_BACKEND_NAME_MAX + 1];
	int fd = openat(local->root_fd, ".", CF_LOCAL_FOLDER_FLAGS);
	int rc = 0;

	if (fd < 0)
		return cf_err_errno(err, errno, "open %s", local->base.url);
	for (size_t i = 1; i <= path_len && rc == 0; i++) {
		int next;

		if (i < path_len && path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		rc = step_down(local, fd, part, mode, &next, err);
		close(fd);
		fd = rc == 0 ? next : -1;
	}
	*fd_out = fd;
	return rc;
}

/* Open an object anew. */
static int open_file(struct cf_local *local, const char *name, int *fd_out, struct stat *st,
		     struct cf_err *err)
{
	int folder_fd = -1, fd = -1;
	int rc;

	rc = cf_local_folder_open(local, name, cf_local_folder_len(name), CF_LOCAL_FOLDER_FIND,
				  &folder_fd, err);
	if (rc < 0)
		return rc;
	/* O_NONBLOCK: a planted fifo must not hang us. */
	fd = openat(folder_fd, cf_local_leaf(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		rc = errno == ELOOP ? check_regular(local, name, S_IFLNK, err)
				    : cf_local_errno(local, errno, "open", name, err);
	else if (fstat(fd, st) != 0)
		rc = cf_local_errno(local, errno, "stat", name, err);
	else
		rc = check_regular(local, name, st->st_mode, err);
	close(folder_fd);
	if (rc < 0 && fd >= 0) {
		close(fd);
		fd = -1;
	}
	*fd_out = fd;
	return rc;
}

static int open_object(struct cf_local *local, const char *name, struct cf_fdcache_ref *ref_out,
		       struct stat *st, struct cf_err *err)
{
	int fd, rc;

	if (cf_fdcache_take(local->fds, name, ref_out)) {
		/* No link left: another process removed or replaced the object. */
		if (fstat(ref_out->fd, st) == 0 && st->st_nlink > 0)
			return 0;
		cf_fdcache_forget(local->fds, name);
		cf_fdcache_give(local->fds, *ref_out);
	}
	rc = open_file(local, name, &fd, st, err);
	if (rc == 0)
		*ref_out = cf_fdcache_add(local->fds, name, fd);
	return rc;
}

static int report_short(struct cf_local *local, const char *name, uint64_t off, size_t len,
			struct cf_err *err)
{
	return cf_err_set(err, CF_ERR_DAMAGED, "%s/%s ends before byte %llu + %zu", local->base.url, name,
			  (unsigned long long)off, len);
}

static int read_range(struct cf_local *local, const char *name, int fd, uint64_t off, size_t len,
		      uint8_t *out, struct cf_err *err)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, out + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cf_local_errno(local, errno, "read", name, err);
		if (n == 0)
			return report_short(local, name, off, len, err);
		done += (size_t)n;
	}
	return 0;
}

struct range {
	const char *name;
	uint64_t off;
	size_t len;
	struct cf_buf *out;
};

static int try_get(struct cf_local *local, void *args, struct cf_err *err)
{
	const struct range *range = args;
	struct cf_buf *out = range->out;
	struct cf_fdcache_ref ref;
	struct stat st;
	int rc = open_object(local, range->name, &ref, &st, err);

	if (rc < 0)
		return rc;
	if (range->off > (uint64_t)st.st_size || range->len > (uint64_t)st.st_size - range->off)
		rc = report_short(local, range->name, range->off, range->len, err);
	if (rc == 0)
		rc = cf_buf_reserve(out, range->len, err);
	if (rc == 0 && range->len > 0)
		rc = read_range(local, range->name, ref.fd, range->off, range->len, out->data + out->len, err);
	if (rc == 0)
		out->len += range->len;
	cf_fdcache_give(local->fds, ref);
	return rc;
}

static int local_get(struct cf_backend *backend, const char *name, uint64_t off, size_t len,
		     struct cf_buf *out, struct cf_err *err)
{
	struct cf_local *local = (struct cf_local *)backend;
	struct range range = {.name = name, .off = off, .len = len, .out = out};

	if (!cf_backend_name_valid(name))
		return cf_local_bad_name(local, name, err);
	return cf_local_try(local, try_get, &range, err);
}

/* The folder of an object, the object being there as a regular file. */
static int find_object(struct cf_local *local, const char *name, int *folder_fd_out, struct stat *st,
		       struct cf_err *err)
{
	int rc = cf_local_folder_open(local, name, cf_local_folder_len(name), CF_LOCAL_FOLDER_FIND,
				      folder_fd_out, err);

	if (rc < 0)
		return rc;
	if (fstatat(*folder_fd_out, cf_local_leaf(name), st, AT_SYMLINK_NOFOLLOW) != 0)
		rc = cf_local_errno(local, errno, "stat", name, err);
	else
		rc = check_regular(local, name, st->st_mode, err);
	if (rc < 0)
		close(*folder_fd_out);
	return rc;
}

struct entry {
	const char *name;
	struct stat st;
};

static int try_stat(struct cf_local *local, void *args, struct cf_err *err)
{
	struct entry *entry = args;
	int folder_fd;
	int rc = find_object(local, entry->name, &folder_fd, &entry->st, err);

	if (rc == 0)
		close(folder_fd);
	return rc;
}

static int stat_object(struct cf_backend *backend, const char *name, struct stat *st, struct cf_err *err)
{
	struct cf_local *local = (struct cf_local *)backend;
	struct entry entry = {.name = name};
	int rc;

	if (!cf_backend_name_valid(name))
		return cf_local_bad_name(local, name, err);
	rc = cf_local_try(local, try_stat, &entry, err);
	if (rc == 0)
		*st = entry.st;
	return rc;
}

static int local_size(struct cf_backend *backend, const char *name, uint64_t *size_out, struct cf_err *err)
{
	struct stat st = {0};
	int rc = stat_object(backend, name, &st, err);

	if (rc == 0)
		*size_out = (uint64_t)st.st_size;
	return rc;
}

static int local_time(struct cf_backend *backend, const char *name, int64_t *ns_out, struct cf_err *err)
{
	struct stat st = {0};
	int rc = stat_object(backend, name, &st, err);

	if (rc == 0)
		*ns_out = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	return rc;
}

static int local_remove(struct cf_backend *backend, const char *name, struct cf_err *err)
{
	struct cf_local *local = (struct cf_local *)backend;
	struct stat st;
	int folder_fd, rc;

	if (!cf_backend_name_valid(name))
		return cf_local_bad_name(local, name, err);
	rc = find_object(local, name, &folder_fd, &st, err);
	if (rc < 0)
		return rc == CF_LOCAL_UNREADABLE ? CF_ERR_FAILED : rc;
	if (unlinkat(folder_fd, cf_local_leaf(name), 0) != 0)
		rc = cf_err_errno(err, errno, "remove %s/%s", local->base.url, name);
	cf_fdcache_forget(local->fds, name);
	/* A removed key must not come back with the next power failure. */
	if (rc == 0 && fsync(folder_fd) != 0)
		rc = cf_err_errno(err, errno, "fsync the folder of %s/%s", local->base.url, name);
	close(folder_fd);
	return rc;
}

/* The number of the open folder stays: others may be using it. */
static int local_rebind(struct cf_backend *backend, struct cf_err *err)
{
	struct cf_local *local = (struct cf_local *)backend;
	int fd = open(local->base.url, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = 0;

	if (fd < 0)
		return cf_err_errno(err, errno, "open the folder %s", local->base.url);
	if (dup3(fd, local->root_fd, O_CLOEXEC) < 0)
		rc = cf_err_errno(err, errno, "open the folder %s", local->base.url);
	close(fd);
	return rc;
}

static void local_close(struct cf_backend *backend)
{
	struct cf_local *local = (struct cf_local *)backend;

	for (size_t i = 0; i < local->n_synced; i++)
		free(local->synced[i]);
	free(local->synced);
	cf_fdcache_free(local->fds);
	if (local->root_fd >= 0)
		close(local->root_fd);
	pthread_mutex_destroy(&local->lock);
	free(local->base.url);
	free(local);
}

static const struct cf_backend_ops local_ops = {
	.put = cf_local_put,
	.get = local_get,
	.size = local_size,
	.time = local_time,
	.list = cf_local_list,
	.remove = local_remove,
	.rebind = local_rebind,
	.close = local_close,
};

int cf_local_open(const char *path, bool create, struct cf_backend **backend_out, struct cf_err *err)
{
	struct cf_local *local = calloc(1, sizeof(*local));
	int rc = 0;

	if (!local)
		return cf_err_nomem(err);
	pthread_mutex_init(&local->lock, NULL);
	local->base.ops = &local_ops;
	local->base.caps = CF_BACKEND_CAN_REMOVE;
	local->root_fd = -1;
	local->base.url = strdup(path);
	if (!local->base.url)
		rc = cf_err_nomem(err);
	if (rc == 0 && create)
		rc = cf_dir_make(path, 0700, err);
	if (rc == 0)
		rc = cf_fdcache_new(&local->fds, err);
	if (rc == 0) {
		local->root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (local->root_fd < 0)
			rc = cf_err_errno(err, errno, "open the folder %s", path);
	}
	if (rc < 0) {
		local_close(&local->base);
		return rc;
	}
	cf_local_remove_leftovers(local);
	*backend_out = &local->base;
	return 0;
}
