/* Any bytes as an archive: libarchive's output is as foreign as its input. */

#include "base/ctx.h"
#include "base/err.h"
#include "base/file.h"
#include "base/stream.h"
#include "drivers/tar/unpack.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* A sink that asserts what base/stream.h promises it, and counts what is open. */
struct checking_sink {
	struct cf_sink sink;
	int n_dirs, n_files;
};

static struct checking_sink *of(struct cf_sink *sink)
{
	return (struct checking_sink *)sink;
}

static void check(bool promise)
{
	if (!promise)
		abort();
}

static int dir_begin(struct cf_sink *sink, struct cf_dir *parent, const struct cf_entry *entry,
		     unsigned flags, struct cf_dir **dir_out, struct cf_err *err)
{
	check(entry->type == CF_ENTRY_DIR);
	check(parent ? cf_entry_name_valid(entry->name) : entry->name[0] == '\0');
	of(sink)->n_dirs++;
	*dir_out = (struct cf_dir *)sink;
	return 0;
}

static int dir_end(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		   struct cf_err *err)
{
	check(!entry || entry->type == CF_ENTRY_DIR);
	of(sink)->n_dirs--;
	return 0;
}

static void check_entry(const struct cf_entry *entry)
{
	struct cf_entry *copy = cf_entry_dup(entry);

	check(cf_entry_name_valid(entry->name));
	check((entry->mode & ~07777U) == 0);
	free(copy);
}

static int node(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		struct cf_err *err)
{
	check_entry(entry);
	check(entry->type != CF_ENTRY_DIR && entry->type != CF_ENTRY_FILE);
	check(entry->type != CF_ENTRY_SYMLINK || entry->target);
	return 0;
}

static int file_begin(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		      const struct cf_profile *profile, struct cf_file **file_out,
		      struct cf_err *err)
{
	check_entry(entry);
	check(entry->type == CF_ENTRY_FILE);
	of(sink)->n_files++;
	*file_out = (struct cf_file *)sink;
	return 0;
}

static int file_write(struct cf_sink *sink, struct cf_file *file, struct cf_span data,
		      struct cf_err *err)
{
	volatile uint8_t sum = 0;

	check(data.len > 0);
	for (size_t i = 0; i < data.len; i++)
		sum = (uint8_t)(sum + data.data[i]);
	return 0;
}

static int file_hole(struct cf_sink *sink, struct cf_file *file, uint64_t len, struct cf_err *err)
{
	check(len > 0);
	return 0;
}

static int file_end(struct cf_sink *sink, struct cf_file *file, const struct cf_entry *entry,
		    struct cf_err *err)
{
	of(sink)->n_files--;
	return 0;
}

static void file_abort(struct cf_sink *sink, struct cf_file *file)
{
	of(sink)->n_files--;
}

static int link_entry(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		      const char *from, struct cf_err *err)
{
	check_entry(entry);
	return from[0] ? 0 : cf_err_set(err, CF_ERR_NOT_FOUND, "no such file");
}

static const struct cf_sink_ops ops = {
	.dir_begin = dir_begin,
	.dir_end = dir_end,
	.node = node,
	.file_begin = file_begin,
	.file_write = file_write,
	.file_hole = file_hole,
	.file_end = file_end,
	.file_abort = file_abort,
	.link = link_entry,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct checking_sink sink = {.sink.ops = &ops};
	struct cf_ctx ctx = {0};
	struct cf_err err = CF_ERR_INIT;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (cf_fd_pwrite_all(fd, "fuzz", 0, cf_span_of(data, len), &err) == 0 &&
	    cf_tar_unpack(fd, "fuzz", &ctx, &sink.sink, &err) == 0)
		check(sink.n_dirs == 0);
	check(sink.n_files == 0);
	close(fd);
	return 0;
}
