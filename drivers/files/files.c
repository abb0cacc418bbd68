#include "drivers/files/files.h"

#include "base/err.h"
#include "drivers/files/exclude.h"
#include "drivers/files/walk.h"
#include "drivers/source_names.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct files_source {
	struct cf_source source;
	const struct cf_ctx *ctx;
	struct cf_exclude *exclude;
	struct cf_files_skip skip;
	struct cf_files_walk_options options;
	int root_fd;
	char *folder; /* the root's path */
	char *only;   /* NULL, or the source is this one entry of the folder */
};

static void files_close(struct cf_source *source)
{
	struct files_source *s = (struct files_source *)source;

	if (!s)
		return;
	if (s->root_fd >= 0)
		close(s->root_fd);
	cf_exclude_free(s->exclude);
	cf_files_skip_release(&s->skip);
	free(s->source.name);
	free(s->folder);
	free(s->only);
	free(s);
}

/* "/a/b" into "/a" and "b", unless it is a folder itself. */
static int split_path(struct files_source *s, const char *path, struct cf_err *err)
{
	const char *slash = strrchr(path, '/');
	struct stat st;

	if (stat(path, &st) != 0)
		return cf_err_errno(err, errno, "%s", path);
	if (S_ISDIR(st.st_mode)) {
		s->folder = strdup(path);
		return s->folder ? 0 : cf_err_nomem(err);
	}
	s->folder = slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
	s->only = strdup(slash + 1);
	return s->folder && s->only ? 0 : cf_err_nomem(err);
}

static int open_root(struct files_source *s, struct cf_err *err)
{
	s->root_fd = open(s->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->root_fd < 0)
		return cf_err_errno(err, errno, "open %s", s->folder);
	return 0;
}

static int set_skipped(struct files_source *s, const struct cf_source_options *options,
		       struct cf_err *err)
{
	struct stat st;
	int rc = cf_files_skip_init(&s->skip, options->skip_folders, options->n_skip_folders, err);

	if (rc < 0)
		return rc;
	if (fstat(s->root_fd, &st) != 0)
		return cf_err_errno(err, errno, "stat %s", s->folder);
	if (!s->only && cf_files_skip_has(&s->skip, &st))
		return cf_err_set(err, CF_ERR_FAILED, "%s is the repository itself, or its cache",
				  s->folder);
	return 0;
}

static int set_name(struct files_source *s, const char *path, struct cf_err *err)
{
	s->source.name = cf_path_source_name("files", path);
	return s->source.name ? 0 : cf_err_nomem(err);
}

static int files_names(const char *rest, struct cf_source_names *names, struct cf_err *err)
{
	return cf_path_source_names("files", rest, names, err);
}

static int files_open(const char *rest, const struct cf_source_options *options,
		      const struct cf_ctx *ctx, struct cf_source **source_out, struct cf_err *err)
{
	struct files_source *s = calloc(1, sizeof(*s));
	char *path = NULL;
	int rc;

	if (!s)
		return cf_err_nomem(err);
	s->source.driver = &cf_files_driver;
	s->ctx = ctx;
	s->root_fd = -1;
	if (rest[0] == '\0') {
		rc = cf_err_set(err, CF_ERR_USAGE, "files: needs a path, as in files:/etc");
		goto out;
	}
	path = realpath(rest, NULL);
	if (!path) {
		rc = cf_err_errno(err, errno, "%s", rest);
		goto out;
	}
	rc = cf_exclude_new(options->excludes, options->n_excludes, &s->exclude, err);
	if (rc == 0)
		rc = split_path(s, path, err);
	if (rc == 0)
		rc = open_root(s, err);
	if (rc == 0)
		rc = set_skipped(s, options, err);
	if (rc == 0)
		rc = set_name(s, path, err);
	if (rc < 0)
		goto out;
	s->options = (struct cf_files_walk_options){
		.exclude = s->exclude,
		.skip = &s->skip,
		.one_file_system = options->one_file_system,
		.exclude_caches = options->exclude_caches,
	};
	*source_out = &s->source;
	s = NULL;
out:
	free(path);
	files_close(s ? &s->source : NULL);
	return rc;
}

static int files_run(struct cf_source *source, struct cf_sink *sink, struct cf_err *err)
{
	struct files_source *s = (struct files_source *)source;

	if (access("/proc/self/fd", X_OK) != 0)
		cf_ctx_warn(s->ctx, "file.xattr", s->folder,
			    "extended attributes and ACLs are not saved: /proc is not mounted");
	return cf_files_walk_run(s->ctx, &s->options, s->root_fd, s->folder, s->only, sink, err);
}

const struct cf_driver cf_files_driver = {
	.scheme = "files",
	.usage = "files:PATH",
	.about = "a folder with everything in it, or one file",
	.open = files_open,
	.names = files_names,
	.run = files_run,
	.close = files_close,
};
