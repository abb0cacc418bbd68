#include "drivers/files/target.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Descriptors kept for directories; more only while that many are pinned. */
#define OPEN_DIRS 128

#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

int cf_target_init(struct cf_target *target, const char *folder, int root_fd, struct cf_err *err)
{
	*target = (struct cf_target){.root_fd = root_fd};
	pthread_mutex_init(&target->lock, NULL);
	target->folder = strdup(folder);
	return target->folder ? 0 : cf_err_nomem(err);
}

static void free_dir(struct cf_target_dir *dir)
{
	if (dir->fd >= 0)
		close(dir->fd);
	free(dir->entry);
	free(dir);
}

void cf_target_release(struct cf_target *target)
{
	while (target->all) {
		struct cf_target_dir *dir = target->all;

		target->all = dir->next;
		free_dir(dir);
	}
	if (target->root_fd >= 0)
		close(target->root_fd);
	pthread_mutex_destroy(&target->lock);
	free(target->folder);
}

static void unlist_open(struct cf_target *target, struct cf_target_dir *dir)
{
	if (dir->newer)
		dir->newer->older = dir->older;
	else
		target->newest = dir->older;
	if (dir->older)
		dir->older->newer = dir->newer;
	else
		target->oldest = dir->newer;
	dir->newer = dir->older = NULL;
	target->n_open--;
}

static void list_open(struct cf_target *target, struct cf_target_dir *dir)
{
	dir->older = target->newest;
	if (target->newest)
		target->newest->newer = dir;
	else
		target->oldest = dir;
	target->newest = dir;
	target->n_open++;
}

static void close_unused(struct cf_target *target)
{
	struct cf_target_dir *dir = target->oldest;

	while (dir && target->n_open > OPEN_DIRS) {
		struct cf_target_dir *newer = dir->newer;

		if (dir->n_pins == 0) {
			unlist_open(target, dir);
			close(dir->fd);
			dir->fd = -1;
		}
		dir = newer;
	}
}

/* fd becomes the directory's if it is the one that was begun. */
static bool take_fd(struct cf_target *target, struct cf_target_dir *dir, int fd)
{
	struct stat st;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) != 0 || st.st_dev != dir->dev || st.st_ino != dir->ino) {
		close(fd);
		errno = ESTALE;
		return false;
	}
	dir->fd = fd;
	list_open(target, dir);
	return true;
}

/* The nearest open directory above, then down again: each step links to the one it came from, in
 * `newer`, which closed directories do not use. */
static int reopen(struct cf_target *target, struct cf_target_dir *dir, struct cf_err *err)
{
	struct cf_target_dir *at = dir, *below = NULL;
	int rc = 0;

	while (at->fd < 0 && at->parent) {
		at->newer = below;
		below = at;
		at = at->parent;
	}
	if (at->fd < 0 && !take_fd(target, at, fcntl(target->root_fd, F_DUPFD_CLOEXEC, 0)))
		return cf_err_errno(err, errno, "open %s", target->folder);
	at->n_pins++;
	while (below) {
		struct cf_target_dir *next = below->newer;

		below->newer = NULL;
		if (rc == 0 &&
		    take_fd(target, below, openat(at->fd, below->entry->name, OPEN_DIR))) {
			below->n_pins++;
			at->n_pins--;
			at = below;
			close_unused(target);
		} else if (rc == 0) {
			rc = cf_err_errno(
				err, errno, "open %s again",
				cf_target_path(target, below->parent, below->entry->name).s);
		}
		below = next;
	}
	at->n_pins--;
	return rc;
}

int cf_target_dir_pin(struct cf_target *target, struct cf_target_dir *dir, int *fd_out,
		      struct cf_err *err)
{
	int rc = 0;

	pthread_mutex_lock(&target->lock);
	dir->n_pins++;
	if (dir->fd < 0) {
		rc = reopen(target, dir, err);
	} else if (target->newest != dir) {
		unlist_open(target, dir);
		list_open(target, dir);
	}
	if (rc < 0)
		dir->n_pins--;
	*fd_out = dir->fd;
	pthread_mutex_unlock(&target->lock);
	return rc;
}

void cf_target_dir_unpin(struct cf_target *target, struct cf_target_dir *dir)
{
	pthread_mutex_lock(&target->lock);
	dir->n_pins--;
	close_unused(target);
	pthread_mutex_unlock(&target->lock);
}

int cf_target_dir_new(struct cf_target *target, struct cf_target_dir *parent,
		      const struct cf_entry *entry, int fd, struct cf_target_dir **dir_out,
		      struct cf_err *err)
{
	struct cf_target_dir *dir = calloc(1, sizeof(*dir));
	struct stat st = {0};
	int rc = 0;

	if (dir)
		dir->entry = cf_entry_dup(entry);
	if (!dir || !dir->entry)
		rc = cf_err_nomem(err);
	else if (fd >= 0 && fstat(fd, &st) != 0)
		rc = cf_err_errno(err, errno, "stat %s",
				  cf_target_path(target, parent, entry->name).s);
	if (rc < 0) {
		if (dir)
			free(dir->entry);
		free(dir);
		close(fd);
		return rc;
	}
	dir->parent = parent;
	dir->fd = fd;
	dir->skipped = fd < 0;
	dir->dev = st.st_dev;
	dir->ino = st.st_ino;
	pthread_mutex_lock(&target->lock);
	dir->next = target->all;
	if (target->all)
		target->all->previous = dir;
	target->all = dir;
	if (!dir->skipped)
		list_open(target, dir);
	close_unused(target);
	pthread_mutex_unlock(&target->lock);
	*dir_out = dir;
	return 0;
}

void cf_target_dir_free(struct cf_target *target, struct cf_target_dir *dir)
{
	struct cf_target_dir *parent = dir->parent;

	pthread_mutex_lock(&target->lock);
	if (parent && parent->fd < 0 && dir->fd >= 0)
		take_fd(target, parent, openat(dir->fd, "..", OPEN_DIR));
	if (dir->fd >= 0)
		unlist_open(target, dir);
	if (dir->next)
		dir->next->previous = dir->previous;
	if (dir->previous)
		dir->previous->next = dir->next;
	else
		target->all = dir->next;
	pthread_mutex_unlock(&target->lock);
	free_dir(dir);
}

/* Written from its end backwards; the front is cut off, marked by "...", when it does not fit. */
static char *put_before(char *start, char *at, const char *text)
{
	size_t len = strlen(text), room = (size_t)(at - start);

	if (len > room) {
		text += len - room;
		len = room;
	}
	at -= len;
	memcpy(at, text, len);
	return at;
}

struct cf_target_path cf_target_path(const struct cf_target *target,
				     const struct cf_target_dir *dir, const char *name)
{
	struct cf_target_path path;
	char tail[sizeof(path.s) / 2], *at = tail + sizeof(tail) - 1;
	const char *dots = "";

	*at = '\0';
	at = put_before(tail, at, name);
	for (; dir && dir->parent && at > tail; dir = dir->parent) {
		at = put_before(tail, at, "/");
		at = put_before(tail, at, dir->entry->name);
	}
	if (at == tail)
		dots = ".../";
	snprintf(path.s, sizeof(path.s), "%.240s%s%s%s", target->folder,
		 *at && target->folder[strlen(target->folder) - 1] != '/' ? "/" : "", dots, at);
	return path;
}
