#include "drivers/tar/tar.h"

#include "base/err.h"
#include "drivers/source_names.h"
#include "drivers/stream/input.h"
#include "drivers/tar/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct tar_source {
	struct cf_source base;
	const struct cf_ctx *ctx;
	int fd;
	bool is_stdin;
};

static void close_source(struct cf_source *base)
{
	struct tar_source *source = (struct tar_source *)base;

	if (!source)
		return;
	if (source->fd >= 0 && !source->is_stdin)
		close(source->fd);
	free(source->base.name);
	free(source);
}

static int open_stdin(struct tar_source *source, struct cf_err *err)
{
	if (isatty(STDIN_FILENO))
		return cf_err_set(err, CF_ERR_USAGE,
				  "tar:-: standard input is a terminal: give it an archive");
	if (!cf_input_stdin_is_open())
		return cf_err_set(err, CF_ERR_USAGE,
				  "tar:-: standard input is closed: give it an archive");
	source->is_stdin = true;
	source->fd = STDIN_FILENO;
	source->base.name = strdup("tar:-");
	return source->base.name ? 0 : cf_err_nomem(err);
}

static const char *kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "folder";
	case S_IFCHR:
		return "character device";
	default:
		return "special file";
	}
}

static int check_kind(int fd, const char *path, struct cf_err *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return cf_err_errno(err, errno, "cannot read %s", path);
	if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
		return 0;
	if (S_ISFIFO(st.st_mode))
		return cf_err_set(err, CF_ERR_FAILED,
				  "%s is a FIFO; read it with: coffer backup tar:- < %s", path,
				  path);
	return cf_err_set(err, CF_ERR_FAILED, "%s is not an archive but a %s", path,
			  kind_of(st.st_mode));
}

static int open_file(struct tar_source *source, const char *given, struct cf_err *err)
{
	char path[PATH_MAX];
	int rc;

	if (!realpath(given, path))
		return cf_err_errno(err, errno, "cannot read %s", given);
	/* Opening a FIFO would wait for who writes to it. */
	source->fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (source->fd < 0)
		return cf_err_errno(err, errno, "cannot read %s", path);
	rc = check_kind(source->fd, path, err);
	if (rc < 0)
		return rc;
	source->base.name = cf_path_source_name("tar", path);
	return source->base.name ? 0 : cf_err_nomem(err);
}

static int tar_names(const char *rest, struct cf_source_names *names, struct cf_err *err)
{
	if (strcmp(rest, "-") == 0)
		return cf_source_names_add(names, strdup("tar:-"), NULL, err);
	return cf_path_source_names("tar", rest, names, err);
}

static int open_source(const char *rest, const struct cf_source_options *options,
		       const struct cf_ctx *ctx, struct cf_source **source_out, struct cf_err *err)
{
	struct tar_source *source = NULL;
	int rc;

	if (!rest[0])
		return cf_err_set(err, CF_ERR_USAGE,
				  "tar: needs an archive: tar:PATH, or tar:- for standard input");
	source = calloc(1, sizeof(*source));
	if (!source)
		return cf_err_nomem(err);
	source->base.driver = &cf_tar_driver;
	source->ctx = ctx;
	source->fd = -1;
	rc = strcmp(rest, "-") == 0 ? open_stdin(source, err) : open_file(source, rest, err);
	if (rc == 0) {
		*source_out = &source->base;
		source = NULL;
	}
	close_source(source ? &source->base : NULL);
	return rc;
}

static int run_source(struct cf_source *base, struct cf_sink *sink, struct cf_err *err)
{
	struct tar_source *source = (struct tar_source *)base;
	const char *name = source->is_stdin ? "standard input" : source->base.name + strlen("tar:");

	return cf_tar_unpack(source->fd, name, source->ctx, sink, err);
}

const struct cf_driver cf_tar_driver = {
	.scheme = "tar",
	.usage = "tar:PATH",
	.about = "The members of an archive, compressed or not; tar:- reads standard input",
	.open = open_source,
	.names = tar_names,
	.run = run_source,
	.close = close_source,
};
