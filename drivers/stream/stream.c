#include "drivers/stream/stream.h"

#include "base/err.h"
#include "drivers/source_names.h"
#include "drivers/stream/command.h"
#include "drivers/stream/input.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_LEN ((size_t)1 << 20)

struct stream_source {
	struct cf_source base;
	const struct cf_ctx *ctx;
	const char *const *command; /* NULL: standard input */
	const char *file_name;	    /* within base.name */
	uint8_t *data;		    /* READ_LEN bytes */
};

static void close_source(struct cf_source *base)
{
	struct stream_source *source = (struct stream_source *)base;

	if (!source)
		return;
	free(source->data);
	free(source->base.name);
	free(source);
}

static int check_name(const char *name, struct cf_err *err)
{
	if (!name[0])
		return cf_err_set(err, CF_ERR_USAGE, "stream: needs a name: stream:NAME");
	if (!cf_entry_name_valid(name))
		return cf_err_set(err, CF_ERR_USAGE,
				  "stream:%s: the name is one file name without a /", name);
	if (strlen(name) > NAME_MAX)
		return cf_err_set(err, CF_ERR_USAGE,
				  "stream:%.32s...: the name has %zu bytes, a file's at most %d",
				  name, strlen(name), NAME_MAX);
	return 0;
}

static char *name_of(const char *rest)
{
	char *name;

	return asprintf(&name, "stream:%s", rest) < 0 ? NULL : name;
}

static int stream_names(const char *rest, struct cf_source_names *names, struct cf_err *err)
{
	return cf_source_names_add(names, name_of(rest), NULL, err);
}

static int open_source(const char *rest, const struct cf_source_options *options,
		       const struct cf_ctx *ctx, struct cf_source **source_out, struct cf_err *err)
{
	struct stream_source *source = NULL;
	int rc = check_name(rest, err);

	if (rc < 0)
		goto out;
	if (!options->command && isatty(STDIN_FILENO)) {
		rc = cf_err_set(
			err, CF_ERR_USAGE,
			"stream:%s: standard input is a terminal: give it a pipe or a command",
			rest);
		goto out;
	}
	if (!options->command && !cf_input_stdin_is_open()) {
		rc = cf_err_set(err, CF_ERR_USAGE,
				"stream:%s: standard input is closed: give it a pipe or a command",
				rest);
		goto out;
	}
	source = calloc(1, sizeof(*source));
	if (!source) {
		rc = cf_err_nomem(err);
		goto out;
	}
	source->base.driver = &cf_stream_driver;
	source->ctx = ctx;
	source->command = options->command;
	source->data = malloc(READ_LEN);
	source->base.name = name_of(rest);
	if (!source->data || !source->base.name) {
		rc = cf_err_nomem(err);
		goto out;
	}
	source->file_name = source->base.name + strlen("stream:");
	*source_out = &source->base;
	source = NULL;
out:
	close_source(source ? &source->base : NULL);
	return rc;
}

/* file is NULL when the sink wants no content; the input is read all the same, so that a writer at
 * the other end finishes as it should. */
static int pump(struct stream_source *source, int fd, const char *input_name, struct cf_sink *sink,
		struct cf_file *file, uint64_t *total_out, struct cf_err *err)
{
	for (;;) {
		size_t len = 0;
		int rc = cf_input_read(fd, input_name, source->data, READ_LEN, source->ctx, &len,
				       err);

		if (rc < 0 || len == 0)
			return rc;
		if (file)
			rc = sink->ops->file_write(sink, file, cf_span_of(source->data, len), err);
		if (rc < 0)
			return rc;
		*total_out += len;
	}
}

static int pump_input(struct stream_source *source, struct cf_sink *sink, struct cf_file *file,
		      uint64_t *total_out, struct cf_err *err)
{
	struct cf_command command = CF_COMMAND_INIT;
	int rc;

	if (!source->command)
		return pump(source, STDIN_FILENO, "standard input", sink, file, total_out, err);
	rc = cf_command_start(source->command, &command, err);
	if (rc < 0)
		goto out;
	rc = pump(source, command.fd, command.name, sink, file, total_out, err);
	if (rc < 0)
		goto out;
	rc = cf_command_finish(&command, source->ctx, err);
out:
	cf_command_release(&command);
	return rc;
}

static int store_file(struct stream_source *source, struct cf_sink *sink, struct cf_dir *root,
		      int64_t now_ns, struct cf_err *err)
{
	static const struct cf_profile profile = {.kind = CF_PROFILE_BULK};
	struct cf_entry entry = {
		.type = CF_ENTRY_FILE,
		.name = source->file_name,
		.mode = 0600,
		.uid = geteuid(),
		.gid = getegid(),
		.mtime_ns = now_ns,
		.nlink = 1,
	};
	struct cf_file *file = NULL;
	int rc;

	rc = sink->ops->file_begin(sink, root, &entry, &profile, &file, err);
	if (rc < 0)
		return rc;
	rc = pump_input(source, sink, file, &entry.size, err);
	if (!file)
		return rc;
	if (rc < 0) {
		sink->ops->file_abort(sink, file);
		return rc;
	}
	return sink->ops->file_end(sink, file, &entry, err);
}

static int run_source(struct cf_source *base, struct cf_sink *sink, struct cf_err *err)
{
	struct stream_source *source = (struct stream_source *)base;
	int64_t now_ns = cf_ctx_now_ns(source->ctx);
	struct cf_entry root_entry = {
		.type = CF_ENTRY_DIR,
		.name = "",
		.mode = 0700,
		.uid = geteuid(),
		.gid = getegid(),
		.mtime_ns = now_ns,
		.nlink = 1,
	};
	struct cf_dir *root = NULL;
	int rc;

	rc = sink->ops->dir_begin(sink, NULL, &root_entry, CF_DIR_SORTED, &root, err);
	if (rc < 0)
		return rc;
	rc = store_file(source, sink, root, now_ns, err);
	if (rc < 0)
		return rc;
	return sink->ops->dir_end(sink, root, NULL, err);
}

const struct cf_driver cf_stream_driver = {
	.scheme = "stream",
	.usage = "stream:NAME",
	.about = "Standard input, or the output of a command, as one file",
	.open = open_source,
	.names = stream_names,
	.run = run_source,
	.close = close_source,
};
