#include "drivers/scratch_folder.h"

#include "base/ctx.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/file.h"
#include "base/id.h"
#include "drivers/driver.h"
#include "drivers/leftover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "coffer-verify-"
#define OWNER  "owner"
#define WORK   "work"

enum {
	DIGITS_LEN = 12,
	TRIES = 10,
	COMMAND_LEN_MAX = 64 * 1024,
	NAP_NS = 50 * 1000 * 1000,
	END_NAPS = 200 /* ten seconds */
};

/* --- programs that a killed verification left in its folder --- */

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
}

/* Whether a server, or what makes one, has its data there: by how our drivers start them. */
static bool serves(const struct cf_buf *command, const char *data)
{
	static const char datadir[] = "--datadir=";
	const char *before = "", *arg = (const char *)command->data;
	const char *end = arg + command->len;

	for (; arg < end; before = arg, arg += strlen(arg) + 1) {
		if (strncmp(arg, datadir, strlen(datadir)) == 0 &&
		    strcmp(arg + strlen(datadir), data) == 0)
			return true;
		if ((strcmp(before, "-D") == 0 || strcmp(before, "--pgdata") == 0) &&
		    strcmp(arg, data) == 0)
			return true;
	}
	return false;
}

static bool process_serves(const char *pid, const char *data)
{
	struct cf_buf command = CF_BUF_INIT;
	char path[64];
	bool does;

	snprintf(path, sizeof(path), "/proc/%.20s/cmdline", pid);
	does = cf_file_read(AT_FDCWD, path, COMMAND_LEN_MAX, &command, NULL) == 0 &&
	       cf_buf_append(&command, "", 1, NULL) == 0 && serves(&command, data);
	cf_buf_release(&command);
	return does;
}

/* How many were told. */
static unsigned signal_all(const char *data, int signal_no)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	unsigned n = 0;

	while (dir && (entry = readdir(dir))) {
		long pid = strtol(entry->d_name, NULL, 10);

		if (pid > 0 && process_serves(entry->d_name, data))
			n += kill((pid_t)pid, signal_no) == 0;
	}
	if (dir)
		closedir(dir);
	return n;
}

/* They were told by the kernel already, when their verification died, and may need a moment. */
static void end_programs(const char *data)
{
	if (signal_all(data, SIGQUIT) == 0)
		return;
	for (int naps = 0; naps < END_NAPS && signal_all(data, 0) > 0; naps++)
		nap();
	signal_all(data, SIGKILL);
}

/* --- leftovers --- */

static int remove_all(const char *outer, struct cf_err *err)
{
	int fd = open(outer, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc;

	if (fd < 0)
		return errno == ENOENT ? 0 : cf_err_errno(err, errno, "open %s", outer);
	rc = cf_path_remove(fd, WORK, err);
	if (rc == 0)
		rc = cf_path_remove(fd, OWNER, err);
	close(fd);
	if (rc == 0 && rmdir(outer) != 0 && errno != ENOENT)
		rc = cf_err_errno(err, errno, "remove %s", outer);
	return rc;
}

/* Nobody else can have put anything into it. */
static bool is_ours(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

static void sweep_folder(const char *outer, const struct cf_verify_options *options,
			 const struct cf_ctx *ctx)
{
	struct cf_err err = CF_ERR_INIT;
	char data[PATH_MAX + sizeof("/" WORK "/data")];
	int rc;

	snprintf(data, sizeof(data), "%s/" WORK "/data", outer);
	end_programs(data);
	rc = remove_all(outer, &err);
	if (rc == 0)
		cf_leftover_removed(options, outer);
	else
		cf_leftover_stays(ctx, outer, err.text, "rm -rf '%s'", outer);
}

static void look_at(const char *parent, int parent_fd, const char *name,
		    const struct cf_verify_options *options, const struct cf_ctx *ctx)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), lock_fd;
	char outer[PATH_MAX];

	if (fd < 0)
		return;
	if (is_ours(fd) &&
	    (size_t)snprintf(outer, sizeof(outer), "%s/%s", parent, name) < sizeof(outer)) {
		lock_fd = openat(fd, OWNER, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		/* Killed before there was an owner, or behind it: if anything is in it, it stays.
		 */
		if (lock_fd < 0 && errno == ENOENT)
			unlinkat(parent_fd, name, AT_REMOVEDIR);
		else if (lock_fd >= 0 && is_ours(lock_fd) && flock(lock_fd, LOCK_EX | LOCK_NB) == 0)
			sweep_folder(outer, options, ctx);
		if (lock_fd >= 0)
			close(lock_fd);
	}
	close(fd);
}

static bool is_name(const char *name)
{
	return strncmp(name, PREFIX, strlen(PREFIX)) == 0 &&
	       strlen(name) == strlen(PREFIX) + DIGITS_LEN &&
	       strspn(name + strlen(PREFIX), "0123456789abcdef") == DIGITS_LEN;
}

static void sweep(const char *parent, const struct cf_verify_options *options,
		  const struct cf_ctx *ctx)
{
	DIR *dir = opendir(parent);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (is_name(entry->d_name))
			look_at(parent, dirfd(dir), entry->d_name, options, ctx);
	if (dir)
		closedir(dir);
}

/* --- one of our own --- */

static int parent_folder(char **parent_out, struct cf_err *err)
{
	const char *named = getenv("TMPDIR");

	named = named && named[0] ? named : "/tmp";
	*parent_out = realpath(named, NULL);
	return *parent_out ? 0
			   : cf_err_errno(err, errno, "cannot make a folder to verify in, in %s",
					  named);
}

/* The name of a folder that is not there. */
static int choose_name(struct cf_scratch_folder *folder, const char *parent, struct cf_err *err)
{
	uint8_t random[DIGITS_LEN / 2];
	char digits[DIGITS_LEN + 1];

	cf_random(random, sizeof(random));
	cf_hex_encode(random, sizeof(random), digits);
	free(folder->outer);
	folder->outer = NULL;
	if (asprintf(&folder->outer, "%s/" PREFIX "%s", parent, digits) < 0) {
		folder->outer = NULL;
		return cf_err_nomem(err);
	}
	return 0;
}

/* 1 when somebody's sweep came between our steps, took it for a leftover and removes it. */
static int lock_owner(struct cf_scratch_folder *folder, const char *path, int fd,
		      struct cf_err *err)
{
	struct stat st;

	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? 1 : cf_err_errno(err, errno, "cannot lock %s", path);
	if (stat(path, &st) < 0)
		return errno == ENOENT ? 1 : cf_err_errno(err, errno, "%s", path);
	folder->lock_fd = fd;
	return 0;
}

static int take_owner(struct cf_scratch_folder *folder, struct cf_err *err)
{
	char *path = NULL;
	int fd, rc;

	if (asprintf(&path, "%s/" OWNER, folder->outer) < 0)
		return cf_err_nomem(err);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		rc = lock_owner(folder, path, fd, err);
	else
		rc = errno == ENOENT ? 1 : cf_err_errno(err, errno, "create %s", path);
	if (rc != 0 && fd >= 0)
		close(fd);
	free(path);
	return rc;
}

static int make_outer(struct cf_scratch_folder *folder, const char *parent, bool for_others,
		      struct cf_err *err)
{
	int rc = 1;

	for (int tries = 0; rc == 1 && tries < TRIES; tries++) {
		rc = choose_name(folder, parent, err);
		if (rc < 0)
			return rc;
		if (mkdir(folder->outer, 0700) < 0)
			return cf_err_errno(err, errno, "cannot make the folder %s", folder->outer);
		rc = take_owner(folder, err);
		if (rc < 0)
			remove_all(folder->outer, NULL);
	}
	if (rc == 1)
		rc = cf_err_set(err, CF_ERR_FAILED,
				"%s: others remove folders as soon as they are made", parent);
	if (rc == 0 && for_others && chmod(folder->outer, 0711) < 0)
		rc = cf_err_errno(err, errno, "%s", folder->outer);
	return rc;
}

static int make_work(struct cf_scratch_folder *folder, const struct passwd *owner,
		     struct cf_err *err)
{
	if (asprintf(&folder->path, "%s/" WORK, folder->outer) < 0) {
		folder->path = NULL;
		return cf_err_nomem(err);
	}
	if (mkdir(folder->path, 0700) < 0)
		return cf_err_errno(err, errno, "cannot make the folder %s", folder->path);
	if (owner && chown(folder->path, owner->pw_uid, owner->pw_gid) < 0)
		return cf_err_errno(err, errno, "cannot hand %s over", folder->path);
	return 0;
}

int cf_scratch_folder_make(struct cf_scratch_folder *folder, const struct passwd *owner,
			   const struct cf_verify_options *options, const struct cf_ctx *ctx,
			   struct cf_err *err)
{
	char *parent = NULL;
	int rc = parent_folder(&parent, err);

	if (rc == 0) {
		sweep(parent, options, ctx);
		rc = make_outer(folder, parent, owner != NULL, err);
	}
	if (rc == 0)
		rc = make_work(folder, owner, err);
	free(parent);
	return rc;
}

int cf_scratch_folder_keep(struct cf_scratch_folder *folder, const char *signal_name,
			   struct cf_err *err)
{
	return cf_keeper_start(&folder->keeper, folder->outer, signal_name, err);
}

void cf_scratch_folder_remove(struct cf_scratch_folder *folder)
{
	if (folder->lock_fd >= 0)
		remove_all(folder->outer, NULL);
	cf_keeper_stop(&folder->keeper);
	if (folder->lock_fd >= 0)
		close(folder->lock_fd);
	free(folder->path);
	free(folder->outer);
	*folder = (struct cf_scratch_folder)CF_SCRATCH_FOLDER_INIT;
}
