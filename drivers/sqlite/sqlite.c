#include "drivers/sqlite/sqlite.h"

#include "base/err.h"
#include "drivers/source_names.h"
#include "drivers/sqlite/pages.h"
#include "drivers/sqlite/reader.h"
#include "drivers/sqlite/verify.h"
#include "drivers/timestamp.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct sqlite_source {
	struct cf_source base;
	const struct cf_ctx *ctx;
	const char *path; /* within base.name: absolute, links resolved */
};

static void close_source(struct cf_source *base)
{
	struct sqlite_source *source = (struct sqlite_source *)base;

	if (!source)
		return;
	free(source->base.name);
	free(source);
}

static int check_regular(const char *path, struct stat *st, struct cf_err *err)
{
	if (stat(path, st) < 0)
		return cf_err_errno(err, errno, "cannot read %s", path);
	if (!S_ISREG(st->st_mode))
		return cf_err_set(err, CF_ERR_FAILED, "%s is not a SQLite database but a %s", path,
				  S_ISDIR(st->st_mode) ? "folder" : "special file");
	return 0;
}

static int sqlite_names(const char *rest, struct cf_source_names *names, struct cf_err *err)
{
	return cf_path_source_names("sqlite", rest, names, err);
}

static int open_source(const char *rest, const struct cf_source_options *options,
		       const struct cf_ctx *ctx, struct cf_source **source_out, struct cf_err *err)
{
	struct sqlite_source *source = NULL;
	char path[PATH_MAX];
	struct stat st;
	int rc = 0;

	if (!rest[0])
		rc = cf_err_set(err, CF_ERR_USAGE, "sqlite: needs a file: sqlite:PATH");
	else if (!realpath(rest, path))
		rc = cf_err_errno(err, errno, "cannot read %s", rest);
	else
		rc = check_regular(path, &st, err);
	if (rc < 0)
		goto out;
	source = calloc(1, sizeof(*source));
	if (!source || !(source->base.name = cf_path_source_name("sqlite", path))) {
		free(source);
		source = NULL;
		rc = cf_err_nomem(err);
		goto out;
	}
	source->base.driver = &cf_sqlite_driver;
	source->ctx = ctx;
	source->path = source->base.name + strlen("sqlite:");
	*source_out = &source->base;
out:
	return rc;
}

/*
 * Neither inode nor ctime: a sink takes equal ones for an unchanged file, but what is committed to
 * a -wal changes neither.
 */
static struct cf_entry file_entry(const struct sqlite_source *source, const struct stat *st)
{
	return (struct cf_entry){
		.type = CF_ENTRY_FILE,
		.name = strrchr(source->path, '/') + 1,
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mtime_ns = cf_timestamp_ns(st->st_mtim.tv_sec, st->st_mtim.tv_nsec),
		.size = (uint64_t)st->st_size,
		.nlink = 1,
	};
}

static int store_empty(struct sqlite_source *source, struct cf_sink *sink, struct cf_dir *root,
		       const struct stat *st, struct cf_err *err)
{
	struct cf_entry entry = file_entry(source, st);
	char wal[PATH_MAX + 8];
	struct stat wal_st;
	struct cf_file *file = NULL;
	int rc;

	snprintf(wal, sizeof(wal), "%s-wal", source->path);
	if (stat(wal, &wal_st) == 0 && wal_st.st_size > 0)
		return cf_err_set(err, CF_ERR_FAILED, "%s is empty, but there is data in %s",
				  source->path, wal);
	rc = sink->ops->file_begin(sink, root, &entry, NULL, &file, err);
	if (rc < 0 || !file)
		return rc;
	return sink->ops->file_end(sink, file, NULL, err);
}

static const char *encoding_name(uint32_t encoding)
{
	static const char *const names[] = {"none yet", "UTF-8", "UTF-16le", "UTF-16be"};

	return encoding < sizeof(names) / sizeof(names[0]) ? names[encoding] : "unknown";
}

static int send_facts(const struct cf_sqlite_header *header, struct cf_sink *sink,
		      struct cf_err *err)
{
	char user_version[16], application_id[16];
	const struct cf_fact facts[] = {
		{"sqlite.user_version", user_version},
		{"sqlite.application_id", application_id},
		{"sqlite.encoding", encoding_name(header->encoding)},
	};
	int rc = 0;

	/* Signed, as PRAGMA shows them. */
	snprintf(user_version, sizeof(user_version), "%" PRId32, (int32_t)header->user_version);
	snprintf(application_id, sizeof(application_id), "%" PRId32,
		 (int32_t)header->application_id);
	for (size_t i = 0; rc == 0 && sink->ops->fact && i < sizeof(facts) / sizeof(facts[0]); i++)
		rc = sink->ops->fact(sink, facts[i].key, facts[i].value, err);
	return rc;
}

static int copy_pages(struct cf_sqlite_reader *reader, struct cf_pages *pages, struct cf_err *err)
{
	int rc = cf_pages_begin(pages);

	if (rc == 0)
		rc = cf_sqlite_reader_copy(reader, pages, err);
	if (rc == 0)
		rc = cf_pages_finish(pages);
	return rc;
}

static int store_pages(struct sqlite_source *source, struct cf_sqlite_reader *reader,
		       struct cf_pages *pages, struct cf_dir *root, const struct stat *st,
		       struct cf_err *err)
{
	const struct cf_sqlite_header *header = &reader->header;
	struct cf_profile profile = {.kind = CF_PROFILE_PAGE, .page_len = header->page_len};
	struct cf_sink *sink = pages->sink;
	struct cf_entry entry = file_entry(source, st);
	char page_size[16], page_count[16];
	const struct cf_fact facts[] = {
		{"sqlite.page_size", page_size},
		{"sqlite.page_count", page_count},
		{"sqlite.journal_mode", header->wal ? "wal" : "rollback"},
	};
	int rc;

	snprintf(page_size, sizeof(page_size), "%" PRIu32, header->page_len);
	snprintf(page_count, sizeof(page_count), "%" PRIu32, reader->n_pages);
	entry.facts = facts;
	entry.n_facts = sizeof(facts) / sizeof(facts[0]);
	entry.size = (uint64_t)reader->n_pages * header->page_len;
	if (sink->ops->expect)
		sink->ops->expect(sink, entry.size, 1);
	rc = sink->ops->file_begin(sink, root, &entry, &profile, &pages->file, err);
	if (rc < 0 || !pages->file)
		return rc;
	rc = copy_pages(reader, pages, err);
	if (rc == 0)
		return sink->ops->file_end(sink, pages->file, NULL, err);
	sink->ops->file_abort(sink, pages->file);
	return rc;
}

static int store_database(struct sqlite_source *source, struct cf_sink *sink, struct cf_dir *root,
			  const struct stat *st, struct cf_err *err)
{
	struct cf_pages pages = {.sink = sink, .path = source->path, .err = err};
	struct cf_sqlite_reader reader;
	int rc = cf_sqlite_reader_open(&reader, source->path, &pages, source->ctx, err);

	if (rc == 0) {
		pages.page1 = reader.source_vfs.page1;
		pages.page_len = reader.header.page_len;
		pages.n_pages = reader.n_pages;
		rc = store_pages(source, &reader, &pages, root, st, err);
	}
	if (rc == 0)
		rc = send_facts(&reader.header, sink, err);
	cf_sqlite_reader_close(&reader);
	cf_pages_release(&pages);
	return rc;
}

static int run_source(struct cf_source *base, struct cf_sink *sink, struct cf_err *err)
{
	struct sqlite_source *source = (struct sqlite_source *)base;
	struct cf_entry root_entry = {.type = CF_ENTRY_DIR, .name = "", .mode = 0700, .nlink = 1};
	struct cf_dir *root = NULL;
	struct stat st;
	int rc = check_regular(source->path, &st, err);

	if (rc < 0)
		return rc;
	cf_timestamp_check(source->ctx, source->path, st.st_mtim.tv_sec);
	root_entry.uid = st.st_uid;
	root_entry.gid = st.st_gid;
	root_entry.mtime_ns = cf_ctx_now_ns(source->ctx);
	rc = sink->ops->dir_begin(sink, NULL, &root_entry, CF_DIR_SORTED, &root, err);
	if (rc < 0)
		return rc;
	if (st.st_size == 0)
		rc = store_empty(source, sink, root, &st, err);
	else
		rc = store_database(source, sink, root, &st, err);
	if (rc < 0)
		return rc;
	return sink->ops->dir_end(sink, root, NULL, err);
}

const struct cf_driver cf_sqlite_driver = {
	.scheme = "sqlite",
	.usage = "sqlite:PATH",
	.about = "A SQLite database, consistent while it is in use",
	.open = open_source,
	.names = sqlite_names,
	.run = run_source,
	.close = close_source,
	.verify = cf_sqlite_verify,
};
