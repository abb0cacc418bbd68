/*
 * Writing an object of the local backend.
 *
 * Order: the folder exists durably, the content is written and synced under a temporary name, the rename
 * gives the object its name unless that is taken, the folder is synced.
 */

#include "backends/local_store.h"
#include "base/err.h"
#include "base/id.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MAX_IOV 64
/* Written back while the next bytes are prepared, so that fsync at the end is short. */
#define SYNC_STEP ((size_t)8 << 20)
#define MAX_SYNCED 4096
#define LEFTOVER_AGE_S 86400

struct temporary {
	int folder_fd;
	int fd;
	char name[17];
};

static int open_tmp_folder(struct cf_local *local, int *fd_out, struct cf_err *err)
{
	int fd = openat(local->root_fd, CF_LOCAL_TMP, CF_LOCAL_FOLDER_FLAGS);

	if (fd < 0 && errno == ENOENT) {
		if (mkdirat(local->root_fd, CF_LOCAL_TMP, 0700) != 0 && errno != EEXIST)
			return cf_err_errno(err, errno, "create the folder %s/" CF_LOCAL_TMP,
					    local->base.url);
		fd = openat(local->root_fd, CF_LOCAL_TMP, CF_LOCAL_FOLDER_FLAGS);
	}
	if (fd < 0)
		return cf_err_errno(err, errno, "open %s/" CF_LOCAL_TMP, local->base.url);
	*fd_out = fd;
	return 0;
}

static int create_temporary(struct cf_local *local, struct temporary *tmp, struct cf_err *err)
{
	int rc = open_tmp_folder(local, &tmp->folder_fd, err);

	if (rc < 0)
		return rc;
	do {
		uint8_t random[8];

		if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
			return cf_err_errno(err, errno, "take random bytes from the system");
		cf_hex_encode(random, sizeof(random), tmp->name);
		tmp->fd = openat(tmp->folder_fd, tmp->name,
				 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	} while (tmp->fd < 0 && errno == EEXIST);
	if (tmp->fd < 0)
		return cf_err_errno(err, errno, "create %s/" CF_LOCAL_TMP "/%s", local->base.url,
				    tmp->name);
	return 0;
}

/* Harmless when nothing is left: the name is empty then. */
static void release_temporary(struct temporary *tmp)
{
	if (tmp->fd >= 0)
		close(tmp->fd);
	if (tmp->folder_fd >= 0) {
		if (tmp->name[0])
			unlinkat(tmp->folder_fd, tmp->name, 0);
		close(tmp->folder_fd);
	}
}

/* Where writing stands in a list of parts. */
struct position {
	const struct cf_span *parts;
	size_t n_parts, part, off;
};

/* The next bytes to write, SYNC_STEP of them at most; gives the number of vectors. */
static int gather(struct position pos, struct iovec iov[MAX_IOV])
{
	size_t room = SYNC_STEP;
	int n = 0;

	for (; pos.part < pos.n_parts && n < MAX_IOV && room > 0; pos.part++, pos.off = 0) {
		struct cf_span part = pos.parts[pos.part];
		size_t len = part.len - pos.off;

		if (len > room)
			len = room;
		if (len == 0)
			continue;
		/* writev only reads, but its struct has no const. */
		iov[n].iov_base = (void *)(uintptr_t)(part.data + pos.off);
		iov[n].iov_len = len;
		room -= len;
		n++;
	}
	return n;
}

static void advance(struct position *pos, size_t len)
{
	while (len > 0) {
		size_t left = pos->parts[pos->part].len - pos->off;
		size_t step = len < left ? len : left;

		pos->off += step;
		len -= step;
		if (step == left) {
			pos->part++;
			pos->off = 0;
		}
	}
}

static int write_parts(struct cf_local *local, const char *name, int fd, const struct cf_span *parts,
		       size_t n_parts, struct cf_err *err)
{
	struct position pos = {.parts = parts, .n_parts = n_parts};
	struct iovec iov[MAX_IOV];
	size_t written = 0, flushed = 0;
	int n_iov;

	while ((n_iov = gather(pos, iov)) > 0) {
		ssize_t n = writev(fd, iov, n_iov);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return cf_err_errno(err, n < 0 ? errno : EIO, "write %s/%s", local->base.url, name);
		advance(&pos, (size_t)n);
		written += (size_t)n;
		if (written - flushed < SYNC_STEP)
			continue;
		/* Only a hint: fsync is what counts and reports. */
		sync_file_range(fd, (off_t)flushed, (off_t)(written - flushed), SYNC_FILE_RANGE_WRITE);
		flushed = written;
	}
	return 0;
}

static int write_temporary(struct cf_local *local, const char *name, struct temporary *tmp,
			   const struct cf_span *parts, size_t n_parts, struct cf_err *err)
{
	int fd, rc;

	rc = create_temporary(local, tmp, err);
	if (rc == 0)
		rc = write_parts(local, name, tmp->fd, parts, n_parts, err);
	if (rc == 0 && fsync(tmp->fd) != 0)
		rc = cf_err_errno(err, errno, "fsync %s/%s", local->base.url, name);
	if (rc < 0)
		return rc;
	fd = tmp->fd;
	tmp->fd = -1;
	if (close(fd) != 0)
		return cf_err_errno(err, errno, "close %s/%s", local->base.url, name);
	return 0;
}

static int sync_folder(struct cf_local *local, const char *name, int folder_fd, struct cf_err *err)
{
	if (fsync(folder_fd) != 0)
		return cf_err_errno(err, errno, "fsync the folder of %s/%s", local->base.url, name);
	return 0;
}

/* Who put the old object may have died before its name was durable; the caller may now rely on it. */
static int report_taken(struct cf_local *local, const char *name, int folder_fd, const struct stat *st,
			struct cf_err *err)
{
	int rc;

	if (!S_ISREG(st->st_mode))
		return cf_err_set(err, CF_ERR_FAILED, "%s/%s is not a regular file", local->base.url, name);
	rc = sync_folder(local, name, folder_fd, err);
	if (rc < 0)
		return rc;
	return cf_err_set(err, CF_ERR_EXISTS, "%s/%s exists already", local->base.url, name);
}

/* 0 when the name is free. */
static int check_free(struct cf_local *local, const char *name, int folder_fd, struct cf_err *err)
{
	struct stat st;

	if (fstatat(folder_fd, cf_local_leaf(name), &st, AT_SYMLINK_NOFOLLOW) == 0)
		return report_taken(local, name, folder_fd, &st, err);
	if (errno != ENOENT)
		return cf_err_errno(err, errno, "stat %s/%s", local->base.url, name);
	return 0;
}

/*
 * Give the temporary file its name without replacing; errno as of a system call. NFS and some FUSE file
 * systems cannot rename that way, but link: the temporary name then goes with release_temporary().
 */
static int move_into_place(struct temporary *tmp, int folder_fd, const char *leaf)
{
	if (renameat2(tmp->folder_fd, tmp->name, folder_fd, leaf, RENAME_NOREPLACE) == 0) {
		tmp->name[0] = '\0';
		return 0;
	}
	if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
		return -1;
	return linkat(tmp->folder_fd, tmp->name, folder_fd, leaf, 0);
}

static int publish(struct cf_local *local, const char *name, int folder_fd, struct temporary *tmp,
		   struct cf_err *err)
{
	if (move_into_place(tmp, folder_fd, cf_local_leaf(name)) != 0) {
		int rc, move_errno = errno;

		rc = move_errno == EEXIST ? check_free(local, name, folder_fd, err) : 0;
		return rc < 0 ? rc
			      : cf_err_errno(err, move_errno, "give %s/%s its name", local->base.url,
					     name);
	}
	return sync_folder(local, name, folder_fd, err);
}

static bool is_synced(struct cf_local *local, const char *folder, size_t len)
{
	bool found = false;

	pthread_mutex_lock(&local->lock);
	for (size_t i = 0; i < local->n_synced && !found; i++)
		found = strncmp(local->synced[i], folder, len) == 0 && local->synced[i][len] == '\0';
	pthread_mutex_unlock(&local->lock);
	return found;
}

/* Forgetting it for want of memory costs one fsync more next time. */
static void remember_synced(struct cf_local *local, const char *folder, size_t len)
{
	char *copy = strndup(folder, len);
	char **grown = NULL;

	pthread_mutex_lock(&local->lock);
	if (copy && local->n_synced < MAX_SYNCED)
		grown = realloc(local->synced, (local->n_synced + 1) * sizeof(*grown));
	if (grown) {
		local->synced = grown;
		local->synced[local->n_synced++] = copy;
		copy = NULL;
	}
	pthread_mutex_unlock(&local->lock);
	free(copy);
}

/* The folder to put an object into, there and durable. */
static int open_target_folder(struct cf_local *local, const char *name, int *fd_out, struct cf_err *err)
{
	size_t len = cf_local_folder_len(name);
	int rc = CF_ERR_NOT_FOUND;

	if (len == 0 || is_synced(local, name, len))
		rc = cf_local_folder_open(local, name, len, CF_LOCAL_FOLDER_FIND, fd_out, err);
	if (rc != CF_ERR_NOT_FOUND)
		return rc;
	rc = cf_local_folder_open(local, name, len, CF_LOCAL_FOLDER_MAKE, fd_out, err);
	if (rc == 0)
		remember_synced(local, name, len);
	return rc;
}

int cf_local_put(struct cf_backend *backend, const char *name, const struct cf_span *parts,
		 size_t n_parts, struct cf_err *err)
{
	struct cf_local *local = (struct cf_local *)backend;
	struct temporary tmp = {.folder_fd = -1, .fd = -1, .name = ""};
	int folder_fd = -1;
	int rc;

	if (!cf_backend_name_valid(name))
		return cf_local_bad_name(local, name, err);
	rc = open_target_folder(local, name, &folder_fd, err);
	if (rc == 0)
		rc = check_free(local, name, folder_fd, err);
	if (rc == 0)
		rc = write_temporary(local, name, &tmp, parts, n_parts, err);
	if (rc == 0)
		rc = publish(local, name, folder_fd, &tmp, err);
	release_temporary(&tmp);
	if (folder_fd >= 0)
		close(folder_fd);
	return rc;
}

static void remove_when_old(int folder_fd, const char *name, time_t now)
{
	struct stat st;

	if (fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	    st.st_mtime < now - LEFTOVER_AGE_S)
		unlinkat(folder_fd, name, 0);
}

/* What the clock of the store says: this host's may be wrong, and a backup of another one is at work. */
static bool read_store_clock(struct cf_local *local, time_t *now_out)
{
	struct temporary tmp = {.folder_fd = -1, .fd = -1, .name = ""};
	struct stat st;
	bool is_read = create_temporary(local, &tmp, NULL) == 0 && fstat(tmp.fd, &st) == 0;

	if (is_read)
		*now_out = st.st_mtime;
	release_temporary(&tmp);
	return is_read;
}

static void remove_old(struct cf_local *local, DIR *dir)
{
	const struct dirent *entry;
	bool has_clock = false;
	time_t now = 0;

	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (!has_clock && !read_store_clock(local, &now))
			break;
		has_clock = true;
		remove_when_old(dirfd(dir), entry->d_name, now);
	}
}

void cf_local_remove_leftovers(struct cf_local *local)
{
	int fd = openat(local->root_fd, CF_LOCAL_TMP, CF_LOCAL_FOLDER_FLAGS);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	remove_old(local, dir);
	closedir(dir);
}
