#include "base/file.h"

#include "base/err.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int cf_fd_read_all(int fd, const char *name, size_t max_len, struct cf_buf *out, struct cf_err *err)
{
	size_t start = out->len;

	for (;;) {
		ssize_t n;
		int rc = cf_buf_reserve(out, 65536, err);

		if (rc < 0)
			return rc;
		n = read(fd, out->data + out->len, out->capacity - out->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cf_err_errno(err, errno, "read %s", name);
		if (n == 0)
			return 0;
		out->len += (size_t)n;
		if (out->len - start > max_len)
			return cf_err_set(err, CF_ERR_FAILED, "%s is larger than the %zu bytes expected at most",
					  name, max_len);
	}
}

int cf_file_read(int dir_fd, const char *path, size_t max_len, struct cf_buf *out, struct cf_err *err)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return cf_err_errno(err, errno, "open %s", path);
	rc = cf_fd_read_all(fd, path, max_len, out, err);
	close(fd);
	return rc;
}

int cf_fd_write_all(int fd, const char *name, struct cf_span data, struct cf_err *err)
{
	while (data.len > 0) {
		ssize_t n = write(fd, data.data, data.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return cf_err_errno(err, n < 0 ? errno : EIO, "write %s", name);
		data = cf_span_of(data.data + n, data.len - (size_t)n);
	}
	return 0;
}

int cf_fd_pwrite_all(int fd, const char *name, uint64_t off, struct cf_span data, struct cf_err *err)
{
	while (data.len > 0) {
		ssize_t n = pwrite(fd, data.data, data.len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return cf_err_errno(err, n < 0 ? errno : EIO, "write %s", name);
		data = cf_span_of(data.data + n, data.len - (size_t)n);
		off += (uint64_t)n;
	}
	return 0;
}

static int sync_parent(int dir_fd, const char *path, struct cf_err *err)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int fd, rc = 0;

	if (!slash)
		snprintf(parent, sizeof(parent), ".");
	else
		snprintf(parent, sizeof(parent), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	fd = openat(dir_fd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return cf_err_errno(err, errno, "open %s", parent);
	if (fsync(fd) != 0)
		rc = cf_err_errno(err, errno, "fsync %s", parent);
	close(fd);
	return rc;
}

int cf_file_replace(int dir_fd, const char *path, struct cf_span data, unsigned mode, struct cf_err *err)
{
	char temporary[PATH_MAX];
	int fd, rc;

	/* Of this thread alone: several may replace the same file at once, and the last one wins. */
	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.tmp-%ld", path, (long)gettid()) >=
	    sizeof(temporary))
		return cf_err_set(err, CF_ERR_FAILED, "%s: the path is too long", path);
	/* What is there was left by a crash. */
	unlinkat(dir_fd, temporary, 0);
	fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return cf_err_errno(err, errno, "create %s", temporary);
	rc = cf_fd_write_all(fd, temporary, data, err);
	if (rc == 0 && fsync(fd) != 0)
		rc = cf_err_errno(err, errno, "fsync %s", temporary);
	if (close(fd) != 0 && rc == 0)
		rc = cf_err_errno(err, errno, "close %s", temporary);
	if (rc == 0 && renameat(dir_fd, temporary, dir_fd, path) != 0)
		rc = cf_err_errno(err, errno, "rename %s to %s", temporary, path);
	if (rc < 0) {
		unlinkat(dir_fd, temporary, 0);
		return rc;
	}
	return sync_parent(dir_fd, path, err);
}

/* Make one folder, and its name durable when it is new. */
static int make_dir(const char *path, unsigned mode, struct cf_err *err)
{
	struct stat st;
	int mkdir_errno;

	if (mkdir(path, mode) == 0)
		return sync_parent(AT_FDCWD, path, err);
	mkdir_errno = errno;
	/* Some file systems answer EROFS or EACCES for a folder that exists. */
	if (stat(path, &st) != 0)
		return cf_err_errno(err, mkdir_errno, "create the folder %s", path);
	if (!S_ISDIR(st.st_mode))
		return cf_err_set(err, CF_ERR_FAILED, "%s is not a folder", path);
	return 0;
}

int cf_dir_make(const char *path, unsigned mode, struct cf_err *err)
{
	char part[PATH_MAX];
	size_t len = strlen(path);
	int rc = 0;

	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len == 0 || len >= sizeof(part))
		return cf_err_set(err, CF_ERR_FAILED, "\"%s\": not a usable path", path);
	for (size_t i = 1; i <= len && rc == 0; i++) {
		if (i < len && path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		rc = make_dir(part, mode, err);
	}
	return rc;
}

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int empty_dir(int dir_fd, const char *name, struct cf_err *err)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int rc = 0;

	if (!dir) {
		rc = errno == ENOENT ? 0 : cf_err_errno(err, errno, "open %s", name);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	while (rc == 0 && (errno = 0, entry = readdir(dir)))
		if (!is_dot(entry->d_name))
			rc = cf_path_remove(fd, entry->d_name, err);
	if (rc == 0 && errno)
		rc = cf_err_errno(err, errno, "read %s", name);
	closedir(dir);
	return rc;
}

int cf_path_remove(int dir_fd, const char *name, struct cf_err *err)
{
	int rc;

	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	/* A folder: Linux says EISDIR, POSIX EPERM. */
	if (errno != EISDIR && errno != EPERM)
		return cf_err_errno(err, errno, "remove %s", name);
	rc = empty_dir(dir_fd, name, err);
	if (rc == 0 && unlinkat(dir_fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
		rc = cf_err_errno(err, errno, "remove %s", name);
	return rc;
}
