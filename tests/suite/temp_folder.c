#include "tests/suite/temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void cf_temp_folder_make(struct cf_temp_folder *folder)
{
	const char *base = getenv("TMPDIR");
	char *real = realpath(base && *base ? base : "/tmp", NULL);

	assert_non_null(real);
	snprintf(folder->path, sizeof(folder->path), "%.480s/coffer-test-XXXXXX", real);
	free(real);
	assert_non_null(mkdtemp(folder->path));
	folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(folder->fd >= 0);
}

void cf_temp_folder_remove(struct cf_temp_folder *folder)
{
	/* A test that is not root locks itself out of folders it made. */
	assert_true(geteuid() == 0 || cf_temp_folder_run(folder, "chmod -R u+rwx ."));
	assert_true(cf_temp_folder_run(folder, "rm -rf -- \"$PWD\""));
	close(folder->fd);
}

struct cf_temp_path cf_temp_folder_at(const struct cf_temp_folder *folder, const char *name)
{
	struct cf_temp_path path;

	snprintf(path.s, sizeof(path.s), "%s/%.500s", folder->path, name);
	return path;
}

void cf_temp_folder_mkdir(const struct cf_temp_folder *folder, const char *name)
{
	assert_int_equal(mkdirat(folder->fd, name, 0755), 0);
}

void cf_temp_folder_chmod(const struct cf_temp_folder *folder, const char *name, unsigned mode)
{
	assert_int_equal(fchmodat(folder->fd, name, mode, 0), 0);
}

void cf_temp_folder_put(const struct cf_temp_folder *folder, const char *name, const char *text)
{
	int fd = openat(folder->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

bool cf_temp_folder_has(const struct cf_temp_folder *folder, const char *name, const char *text)
{
	char got[4096];
	int fd = openat(folder->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, got, sizeof(got));
	close(fd);
	return n == (ssize_t)strlen(text) && memcmp(got, text, (size_t)n) == 0;
}

bool cf_temp_folder_exists(const struct cf_temp_folder *folder, const char *name)
{
	struct stat st;

	return fstatat(folder->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

bool cf_temp_folder_run(const struct cf_temp_folder *folder, const char *command)
{
	char line[4096];

	snprintf(line, sizeof(line), "cd '%s' && %s", folder->path, command);
	return system(line) == 0;
}
