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

bool cf_mount_point_is_ours(const char *resolved)
{
	FILE *list = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t capacity = 0;
	bool is_ours = false, is_type;

	/* id parent major:minor root mount-point options ... - type source ...; the last on a folder is on top */
	while (list && getline(&line, &capacity, list) > 0) {
		static const char type[] = " - fuse." CF_MOUNT_SUBTYPE " ";
		const char *rest = strstr(line, " - ");
		char *save = NULL, *point = NULL;

		is_type = rest && strncmp(rest, type, strlen(type)) == 0;
		for (int i = 0; i < 5; i++)
			point = strtok_r(i == 0 ? line : NULL, " ", &save);
		if (!point)
			continue;
		unescape(point);
		if (strcmp(point, resolved) == 0)
			is_ours = is_type;
	}
	free(line);
	if (list)
		fclose(list);
	return is_ours;
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
