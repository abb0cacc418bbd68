#include "drivers/files/place.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

int cf_place_check_free(int dir_fd, const char *name, const char *path, struct cf_err *err)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return cf_err_errno(err, EEXIST, "%s", path);
	return errno == ENOENT ? 0 : cf_err_errno(err, errno, "%s", path);
}

static int rename_to_free(int dir_fd, const char *temporary, const char *name, const char *path,
			  struct cf_err *err)
{
	int rc;

	if (renameat2(dir_fd, temporary, dir_fd, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return cf_err_errno(err, errno, "%s", path);
	/* A file system that cannot: what appears between the two calls is lost, as with any other
	 * tool. */
	rc = cf_place_check_free(dir_fd, name, path, err);
	if (rc == 0 && renameat(dir_fd, temporary, dir_fd, name) != 0)
		rc = cf_err_errno(err, errno, "%s", path);
	return rc;
}

static int rename_over(int dir_fd, const char *temporary, const char *name, const char *path,
		       struct cf_err *err)
{
	if (renameat(dir_fd, temporary, dir_fd, name) == 0)
		return 0;
	if (errno != EISDIR)
		return cf_err_errno(err, errno, "%s", path);
	if (unlinkat(dir_fd, name, AT_REMOVEDIR) != 0) {
		if (errno == ENOTEMPTY || errno == EEXIST)
			return cf_err_set(err, CF_ERR_EXISTS,
					  "%s: a directory that is not empty is in the way", path);
		return cf_err_errno(err, errno, "remove the directory %s", path);
	}
	if (renameat(dir_fd, temporary, dir_fd, name) != 0)
		return cf_err_errno(err, errno, "%s", path);
	return 0;
}

int cf_place_rename(int dir_fd, const char *temporary, const char *name, bool overwrite,
		    const char *path, struct cf_err *err)
{
	return overwrite ? rename_over(dir_fd, temporary, name, path, err)
			 : rename_to_free(dir_fd, temporary, name, path, err);
}

static int make_dir(int dir_fd, const char *name, const char *path, int *fd_out, struct cf_err *err)
{
	if (mkdirat(dir_fd, name, 0700) != 0)
		return cf_err_errno(err, errno, "create the directory %s", path);
	*fd_out = openat(dir_fd, name, OPEN_DIR);
	return *fd_out >= 0 ? 0 : cf_err_errno(err, errno, "open %s", path);
}

int cf_place_dir(int dir_fd, const char *name, bool overwrite, const char *path, int *fd_out,
		 bool *made_out, struct cf_err *err)
{
	struct cf_err first = CF_ERR_INIT;
	int rc = make_dir(dir_fd, name, path, fd_out, &first);

	*made_out = rc == 0;
	if (rc != CF_ERR_EXISTS) {
		if (rc < 0 && err)
			*err = first;
		return rc;
	}
	*fd_out = openat(dir_fd, name, OPEN_DIR);
	if (*fd_out >= 0)
		return 0;
	if (errno != ENOTDIR && errno != ELOOP)
		return cf_err_errno(err, errno, "open %s", path);
	if (!overwrite)
		return cf_err_set(err, CF_ERR_EXISTS, "%s exists and is not a directory", path);
	if (unlinkat(dir_fd, name, 0) != 0)
		return cf_err_errno(err, errno, "remove %s", path);
	rc = make_dir(dir_fd, name, path, fd_out, err);
	*made_out = rc == 0;
	return rc;
}
