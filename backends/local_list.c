/* Listing the local backend: folders may vanish and objects may come and go meanwhile. */

#include "backends/local_store.h"
#include "base/err.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct listing {
	struct cf_local *local;
	cf_backend_list_fn *fn;
	void *user;
	struct cf_err *err;
};

static int list_folder(const struct listing *listing, int fd, const char *path);

static int list_subfolder(const struct listing *listing, int parent_fd, const char *component,
			  const char *path)
{
	int fd = openat(parent_fd, component, CF_LOCAL_FOLDER_FLAGS);

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return cf_err_errno(listing->err, errno, "open %s/%s", listing->local->base.url, path);
	return list_folder(listing, fd, path);
}

struct entry {
	int folder_fd;
	const char *component, *path;
	struct stat st;
};

static int try_entry(struct cf_local *local, void *args, struct cf_err *err)
{
	struct entry *entry = args;

	if (fstatat(entry->folder_fd, entry->component, &entry->st, AT_SYMLINK_NOFOLLOW) != 0)
		return cf_local_errno(local, errno, "stat", entry->path, err);
	return 0;
}

/* A file of which nothing is known any more is an object all the same: an empty one, which none is. */
static int list_entry(const struct listing *listing, int folder_fd, const struct dirent *found, const char *path)
{
	struct entry entry = {.folder_fd = folder_fd, .component = found->d_name, .path = path};
	const struct stat *st = &entry.st;
	int rc = cf_local_try(listing->local, try_entry, &entry, listing->err);

	if (rc == CF_ERR_NOT_FOUND || (rc == CF_ERR_DAMAGED && found->d_type == DT_REG)) {
		cf_err_clear(listing->err);
		return rc == CF_ERR_NOT_FOUND ? 0 : listing->fn(listing->user, path, 0);
	}
	/* Of anything else, a folder say, the objects in it would be passed over. */
	if (rc == CF_ERR_DAMAGED)
		return cf_err_set(listing->err, CF_ERR_FAILED, "%s/%s cannot be read", listing->local->base.url, path);
	if (rc < 0)
		return rc;
	if (S_ISDIR(st->st_mode))
		return list_subfolder(listing, folder_fd, found->d_name, path);
	if (!S_ISREG(st->st_mode))
		return 0;
	return listing->fn(listing->user, path, (uint64_t)st->st_size);
}

/* Takes fd over. */
static int list_folder(const struct listing *listing, int fd, const char *path)
{
	const char *url = listing->local->base.url;
	DIR *dir = fdopendir(fd);
	int rc = 0;

	if (!dir) {
		close(fd);
		return cf_err_errno(listing->err, errno, "open %s/%s", url, path);
	}
	while (rc == 0) {
		char name[CF_BACKEND_NAME_MAX + 2];
		const struct dirent *entry;

		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			if (errno != 0 && errno != ENOENT)
				rc = cf_err_errno(listing->err, errno, "list %s/%s", url, path);
			break;
		}
		/* What is cut off here is too long to be a name and is refused as such. */
		snprintf(name, sizeof(name), "%s%s%s", path, path[0] ? "/" : "", entry->d_name);
		if (cf_backend_name_valid(name))
			rc = list_entry(listing, dirfd(dir), entry, name);
	}
	closedir(dir);
	return rc;
}

int cf_local_list(struct cf_backend *backend, const char *prefix, cf_backend_list_fn *fn, void *user,
		  struct cf_err *err)
{
	struct cf_local *local = (struct cf_local *)backend;
	struct listing listing = {.local = local, .fn = fn, .user = user, .err = err};
	int fd, rc;

	if (prefix[0] != '\0' && !cf_backend_name_valid(prefix))
		return cf_local_bad_name(local, prefix, err);
	rc = cf_local_folder_open(local, prefix, strlen(prefix), CF_LOCAL_FOLDER_FIND, &fd, err);
	if (rc == CF_ERR_NOT_FOUND) {
		cf_err_clear(err);
		return 0;
	}
	if (rc < 0)
		return rc;
	return list_folder(&listing, fd, prefix);
}
