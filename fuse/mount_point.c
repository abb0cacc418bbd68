#include "fuse/mount_point.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* A dead mount cannot be looked at, but its parent can. */
static char *resolve_by_parent(const char *folder)
{
	char *copy = strdup(folder), *parent = NULL, *path = NULL, *name;
	size_t len = copy ? strlen(copy) : 0;

	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	name = copy ? strrchr(copy, '/') : NULL;
	if (name) {
		*name++ = '\0';
		parent = realpath(*copy ? copy : "/", NULL);
	} else if (copy) {
		name = copy;
		parent = realpath(".", NULL);
	}
	if (parent && asprintf(&path, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, name) < 0)
		path = NULL;
	free(parent);
	free(copy);
	return path;
}

char *cf_mount_point_resolve(const char *folder, struct cf_err *err)
{
	char *path = realpath(folder, NULL);

	if (!path && (errno == ENOTCONN || errno == EIO || errno == ECONNABORTED))
		path = resolve_by_parent(folder);
	if (!path)
		cf_err_errno(err, errno, "mount point %s", folder);
	return path;
}

/* Spaces and the like are written as \040 in the kernel's list. */
static void unescape(char *text)
{
	char *out = text;

	for (; *text; text++) {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] && text[3]) {
			*out++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
			text += 3;
		} else {
			*out++ = *text;
		}
	}
	*out = '\0';
}

/* Called for each mount, the last on a folder being on top. type is "fuse.coffer" for ours. Below 0 stops. */
typedef int mount_fn(void *user, const char *point, const char *type, const char *name);

/* id parent major:minor root mount-point options ... - type source ... */
static int each_mount(mount_fn *fn, void *user)
{
	FILE *list = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t capacity = 0;
	int rc = 0;

	while (rc >= 0 && list && getline(&line, &capacity, list) > 0) {
		char *rest = strstr(line, " - "), *save = NULL, *point = NULL, *type, *name;

		if (!rest)
			continue;
		*rest = '\0';
		for (int i = 0; i < 5; i++)
			point = strtok_r(i == 0 ? line : NULL, " ", &save);
		type = strtok_r(rest + 3, " ", &save);
		name = strtok_r(NULL, " ", &save);
		if (!point || !name)
			continue;
		unescape(point);
		rc = fn(user, point, type, name);
	}
	free(line);
	if (list)
		fclose(list);
	return rc;
}

static bool is_our_type(const char *type)
{
	return strcmp(type, "fuse." CF_MOUNT_SUBTYPE) == 0;
}

struct wanted {
	const char *folder;
	bool is_ours;
};

static int note_type(void *user, const char *point, const char *type, const char *name)
{
	struct wanted *wanted = user;

	(void)name;
	if (strcmp(point, wanted->folder) == 0)
		wanted->is_ours = is_our_type(type);
	return 0;
}

bool cf_mount_point_is_ours(const char *resolved)
{
	struct wanted wanted = {.folder = resolved};

	each_mount(note_type, &wanted);
	return wanted.is_ours;
}

struct cf_mount_name cf_mount_point_name(const char *repo_id)
{
	struct cf_mount_name name;

	snprintf(name.s, sizeof(name.s), "coffer-%s", repo_id);
	return name;
}

struct found {
	const struct cf_mount_name *name;
	char **folders;
	size_t n;
};

static int add_folder(void *user, const char *point, const char *type, const char *name)
{
	struct found *found = user;
	char **folders;

	if (!is_our_type(type) || strcmp(name, found->name->s) != 0)
		return 0;
	folders = realloc(found->folders, (found->n + 1) * sizeof(*folders));
	if (!folders)
		return CF_ERR_NOMEM;
	found->folders = folders;
	folders[found->n] = strdup(point);
	return folders[found->n++] ? 0 : CF_ERR_NOMEM;
}

int cf_mount_points_of(const struct cf_mount_name *name, char ***folders_out, size_t *n_out, struct cf_err *err)
{
	struct found found = {.name = name};

	if (each_mount(add_folder, &found) < 0) {
		while (found.n > 0)
			free(found.folders[--found.n]);
		free(found.folders);
		return cf_err_nomem(err);
	}
	*folders_out = found.folders;
	*n_out = found.n;
	return 0;
}

/* fusermount3 says on its standard error what is wrong; we say it in our own words. */
static int run_fusermount(const char *resolved, bool lazy, struct cf_err *err)
{
	char *argv[] = {(char[]){"fusermount3"}, lazy ? (char[]){"-uz"} : (char[]){"-u"}, (char[]){"--"},
			strdup(resolved), NULL};
	posix_spawn_file_actions_t actions;
	int status = 0, rc;
	pid_t pid;

	if (!argv[3])
		return cf_err_nomem(err);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	rc = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	free(argv[3]);
	if (rc == ENOENT)
		return cf_err_set(err, CF_ERR_UNSUPPORTED,
				  "fusermount3 is missing: install the package fuse3, or unmount as root");
	if (rc != 0)
		return cf_err_errno(err, rc, "run fusermount3");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return cf_err_set(err, CF_ERR_BUSY, "%s is in use, or mounted by another user", resolved);
}

int cf_mount_point_unmount(const char *resolved, bool lazy, struct cf_err *err)
{
	if (geteuid() != 0)
		return run_fusermount(resolved, lazy, err);
	if (umount2(resolved, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
		return 0;
	if (errno == EBUSY)
		return cf_err_set(err, CF_ERR_BUSY, "%s is in use", resolved);
	return cf_err_errno(err, errno, "unmount %s", resolved);
}
