#include "drivers/tar/reader.h"

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/stream/input.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_LEN ((size_t)256 << 10)

struct cf_tar_reader {
	int fd;
	const char *name;
	const struct cf_ctx *ctx;
	struct archive *archive;
	struct archive_entry *entry;
	uint8_t *data; /* READ_LEN bytes */
	bool started;  /* some input was seen */
	bool at_end;   /* of the input */
	uint64_t n_members;
	int64_t member_end;	 /* uncompressed bytes consumed when the last member was read */
	struct cf_err input_err; /* why the input failed: libarchive only keeps a text */
};

static la_ssize_t read_input(struct archive *archive, void *user, const void **data_out)
{
	struct cf_tar_reader *reader = user;
	size_t len = 0;
	int rc = cf_input_read(reader->fd, reader->name, reader->data, READ_LEN, reader->ctx, &len,
			       &reader->input_err);

	if (rc < 0) {
		archive_set_error(archive, EIO, "%s", reader->input_err.text);
		return ARCHIVE_FATAL;
	}
	*data_out = reader->data;
	reader->started = reader->started || len > 0;
	reader->at_end = len == 0;
	return (la_ssize_t)len;
}

static la_int64_t seek_input(struct archive *archive, void *user, la_int64_t off, int whence)
{
	struct cf_tar_reader *reader = user;
	off_t at = lseek(reader->fd, off, whence);

	return at < 0 ? ARCHIVE_FATAL : at;
}

/*
 * Not "all": mtree would read files of this host that a list names, and lrzip, lzop and grzip would
 * run programs.
 */
static bool allow_formats(struct archive *a)
{
	static int (*const allow[])(struct archive *) = {
		archive_read_support_format_tar,  archive_read_support_format_cpio,
		archive_read_support_format_zip,  archive_read_support_format_7zip,
		archive_read_support_format_xar,  archive_read_support_format_rar,
		archive_read_support_format_rar5, archive_read_support_format_iso9660,
		archive_read_support_format_lha,  archive_read_support_format_cab,
		archive_read_support_format_ar,	  archive_read_support_format_warc,
		archive_read_support_filter_gzip, archive_read_support_filter_bzip2,
		archive_read_support_filter_xz,	  archive_read_support_filter_lzma,
		archive_read_support_filter_lzip, archive_read_support_filter_lz4,
		archive_read_support_filter_zstd, archive_read_support_filter_compress,
		archive_read_support_filter_rpm,
	};

	for (size_t i = 0; i < sizeof(allow) / sizeof(allow[0]); i++)
		if (allow[i](a) == ARCHIVE_FATAL)
			return false;
	/* What cat puts together is one archive: stopping at the first end would lose the rest. */
	return archive_read_set_format_option(a, "tar", "read_concatenated_archives", "1") !=
	       ARCHIVE_FATAL;
}

static int set_up(struct cf_tar_reader *reader, struct cf_err *err)
{
	struct archive *a = archive_read_new();
	struct stat st;

	reader->archive = a;
	reader->entry = archive_entry_new();
	reader->data = malloc(READ_LEN);
	if (!a || !reader->entry || !reader->data || !allow_formats(a))
		return cf_err_nomem(err);
	archive_read_set_read_callback(a, read_input);
	/* Some formats (zip, 7z) have their list of members at the end. */
	if (fstat(reader->fd, &st) == 0 && S_ISREG(st.st_mode))
		archive_read_set_seek_callback(a, seek_input);
	archive_read_set_callback_data(a, reader);
	return 0;
}

static int fail(struct cf_tar_reader *reader, struct cf_err *err)
{
	const char *text = archive_error_string(reader->archive);

	if (reader->input_err.code < 0)
		return cf_err_set(err, reader->input_err.code, "%s", reader->input_err.text);
	if (!reader->started)
		return cf_err_set(err, CF_ERR_FAILED, "%s is empty", reader->name);
	if (archive_format(reader->archive) == 0)
		return cf_err_set(err, CF_ERR_FAILED, "%s is no archive that can be read: %s",
				  reader->name, text ? text : "unknown error");
	return cf_err_set(err, CF_ERR_FAILED, "%s is damaged or truncated at byte %lld: %s",
			  reader->name, (long long)archive_filter_bytes(reader->archive, -1),
			  text ? text : "unknown error");
}

static void warn(const struct cf_tar_reader *reader, const char *object)
{
	const char *text = archive_error_string(reader->archive);

	cf_ctx_warn(reader->ctx, "tar.odd", object ? object : reader->name, "%s",
		    text ? text : "unknown oddity");
}

int cf_tar_reader_new(int fd, const char *name, const struct cf_ctx *ctx,
		      struct cf_tar_reader **reader_out, struct cf_err *err)
{
	struct cf_tar_reader *reader = calloc(1, sizeof(*reader));
	int rc;

	if (!reader)
		return cf_err_nomem(err);
	reader->fd = fd;
	reader->name = name;
	reader->ctx = ctx;
	rc = set_up(reader, err);
	if (rc == 0 && archive_read_open1(reader->archive) < ARCHIVE_WARN)
		rc = fail(reader, err);
	if (rc == 0) {
		*reader_out = reader;
		reader = NULL;
	}
	cf_tar_reader_free(reader);
	return rc;
}

void cf_tar_reader_free(struct cf_tar_reader *reader)
{
	if (!reader)
		return;
	archive_read_free(reader->archive);
	archive_entry_free(reader->entry);
	free(reader->data);
	free(reader);
}

/* A tar that stops between two members looks whole to libarchive: only the end marker is missing.
 */
static int end(struct cf_tar_reader *reader, struct cf_err *err)
{
	if (!reader->started)
		return fail(reader, err);
	if (reader->n_members == 0)
		return cf_err_set(err, CF_ERR_FAILED, "%s has no members", reader->name);
	if (cf_tar_reader_is_tar(reader) &&
	    archive_filter_bytes(reader->archive, 0) == reader->member_end)
		cf_ctx_warn(
			reader->ctx, "tar.no-end", reader->name,
			"the archive has no end marker: it may be truncated after the last member");
	return 0;
}

int cf_tar_reader_next(struct cf_tar_reader *reader, struct archive_entry **entry_out,
		       struct cf_err *err)
{
	int got;

	reader->member_end = archive_filter_bytes(reader->archive, 0);
	got = archive_read_next_header2(reader->archive, reader->entry);
	if (got == ARCHIVE_EOF)
		return end(reader, err);
	if (got != ARCHIVE_OK && got != ARCHIVE_WARN)
		return fail(reader, err);
	if (got == ARCHIVE_WARN)
		warn(reader, archive_entry_pathname(reader->entry));
	reader->n_members++;
	*entry_out = reader->entry;
	return 1;
}

int cf_tar_reader_data(struct cf_tar_reader *reader, struct cf_span *data_out, uint64_t *off_out,
		       struct cf_err *err)
{
	const void *data = NULL;
	size_t len = 0;
	la_int64_t off = 0;
	int got = archive_read_data_block(reader->archive, &data, &len, &off);

	if (got == ARCHIVE_EOF)
		return 0;
	if ((got != ARCHIVE_OK && got != ARCHIVE_WARN) || off < 0)
		return fail(reader, err);
	if (got == ARCHIVE_WARN)
		warn(reader, archive_entry_pathname(reader->entry));
	*data_out = cf_span_of(data, len);
	*off_out = (uint64_t)off;
	return 1;
}

int cf_tar_reader_skip(struct cf_tar_reader *reader, struct cf_err *err)
{
	struct cf_span data;
	uint64_t off;
	int got;

	do
		got = cf_tar_reader_data(reader, &data, &off, err);
	while (got > 0);
	return got;
}

int cf_tar_reader_drain(struct cf_tar_reader *reader, struct cf_err *err)
{
	size_t len = reader->at_end ? 0 : 1;
	int rc = 0;

	while (rc == 0 && len > 0)
		rc = cf_input_read(reader->fd, reader->name, reader->data, READ_LEN, reader->ctx,
				   &len, err);
	return rc;
}

const char *cf_tar_reader_format(const struct cf_tar_reader *reader)
{
	const char *name = archive_format_name(reader->archive);

	return name ? name : "unknown";
}

int cf_tar_reader_filter(const struct cf_tar_reader *reader, struct cf_buf *out, struct cf_err *err)
{
	int n = archive_filter_count(reader->archive);
	int rc = 0;

	/* The last is the input itself, called "none". */
	for (int i = 0; rc == 0 && i < n - 1; i++)
		rc = cf_buf_printf(out, err, "%s%s", i ? "+" : "",
				   archive_filter_name(reader->archive, i));
	if (rc == 0 && n <= 1)
		rc = cf_buf_append_str(out, "none", err);
	return rc < 0 ? rc : cf_buf_append(out, "", 1, err);
}

bool cf_tar_reader_is_tar(const struct cf_tar_reader *reader)
{
	return (archive_format(reader->archive) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
}
