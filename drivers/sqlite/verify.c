#include "drivers/sqlite/verify.h"

#include "base/err.h"
#include "base/file.h"
#include "base/tree.h"
#include "drivers/driver.h"
#include "drivers/scratch_folder.h"
#include "drivers/sqlite/header.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	OPS_PER_LOOK = 10000, /* of SQLite's, between looks whether to stop */
	FINDINGS_MAX = 20     /* of one pragma that are told; it may have millions */
};

struct verification {
	struct cf_tree *tree;
	const struct cf_verify_options *options;
	const struct cf_ctx *ctx;
	struct cf_entry *file; /* the database's */
	uint64_t n_failed;
	struct cf_err *err;
};

static void tell(struct verification *v, const char *name, bool passed, const char *detail)
{
	struct cf_verify_check check = {
		.name = name, .object = v->file->name, .passed = passed, .detail = detail};

	v->n_failed += !passed;
	v->options->check(v->options->check_user, &check);
}

static int find_file(void *user, const struct cf_entry *entry, struct cf_err *err)
{
	struct verification *v = user;

	if (entry->type != CF_ENTRY_FILE || v->file)
		return cf_err_set(err, CF_ERR_DAMAGED,
				  "%s: the snapshot holds more than one database", entry->name);
	v->file = cf_entry_dup(entry);
	return v->file ? 0 : cf_err_nomem(err);
}

static int append_piece(void *user, struct cf_span data, struct cf_err *err)
{
	return cf_buf_append(user, data.data, data.len, err);
}

static const char *page_count_fact(const struct cf_entry *file)
{
	for (size_t i = 0; i < file->n_facts; i++)
		if (strcmp(file->facts[i].key, "sqlite.page_count") == 0)
			return file->facts[i].value;
	return NULL;
}

/* A database is whole pages, as many as the backup counted. */
static void judge_header(struct verification *v, struct cf_span start)
{
	const char *counted = page_count_fact(v->file);
	struct cf_sqlite_header header;
	char detail[160];
	uint64_t n_pages;

	if (v->file->size == 0) {
		tell(v, "header", true, "an empty database");
		return;
	}
	if (!cf_sqlite_header_decode(start, &header)) {
		tell(v, "header", false, "does not begin like a database");
		return;
	}
	n_pages = v->file->size / header.page_len;
	snprintf(detail, sizeof(detail), "%" PRIu64 " pages of %" PRIu32 " bytes", n_pages,
		 header.page_len);
	if (v->file->size % header.page_len != 0)
		tell(v, "header", false, "its size is no whole number of pages");
	else if (counted && strtoull(counted, NULL, 10) != n_pages) {
		snprintf(detail, sizeof(detail), "%" PRIu64 " pages instead of %.20s", n_pages,
			 counted);
		tell(v, "header", false, detail);
	} else {
		tell(v, "header", true, detail);
	}
}

static int check_header(struct verification *v)
{
	struct cf_buf start = CF_BUF_INIT;
	int rc = v->tree->ops->read(v->tree, v->file->name, 0, CF_SQLITE_HEADER_LEN, append_piece,
				    &start, v->err);

	if (rc == 0)
		judge_header(v, cf_buf_span(&start));
	cf_buf_release(&start);
	return rc;
}

/* The file on its way to disk. */
struct copy {
	struct verification *v;
	int fd;
	const char *path;
	uint64_t done;
};

static int write_piece(void *user, struct cf_span data, struct cf_err *err)
{
	struct copy *copy = user;
	struct cf_progress progress;
	int rc = cf_ctx_check(copy->v->ctx, err);

	if (rc == 0)
		rc = cf_fd_write_all(copy->fd, copy->path, data, err);
	copy->done += data.len;
	progress =
		(struct cf_progress){.bytes_done = copy->done, .bytes_total = copy->v->file->size};
	cf_ctx_progress(copy->v->ctx, "verify.progress", &progress);
	return rc;
}

static int restore_file(struct verification *v, const char *path)
{
	struct copy copy = {.v = v, .path = path};
	int rc;

	copy.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (copy.fd < 0)
		return cf_err_errno(v->err, errno, "create %s", path);
	rc = v->tree->ops->read(v->tree, v->file->name, 0, UINT64_MAX, write_piece, &copy, v->err);
	if (close(copy.fd) != 0 && rc == 0)
		rc = cf_err_errno(v->err, errno, "write %s", path);
	return rc;
}

static int look_for_cancel(void *user)
{
	return cf_ctx_check(user, NULL) < 0;
}

/* What a row tells: a line of text, or of foreign_key_check table, row, the table referred to and
 * which key it is. */
static void describe_row(sqlite3_stmt *statement, char *out, size_t size)
{
	const char *first = (const char *)sqlite3_column_text(statement, 0);
	const char *row = NULL, *parent = NULL;

	if (sqlite3_column_count(statement) == 1) {
		snprintf(out, size, "%s", first ? first : "");
		return;
	}
	row = (const char *)sqlite3_column_text(statement, 1); /* none WITHOUT ROWID */
	parent = (const char *)sqlite3_column_text(statement, 2);
	snprintf(out, size, "row %s of %s refers to nothing in %s", row ? row : "?",
		 first ? first : "?", parent ? parent : "?");
}

/* One check for each row that tells of a problem; none: passed. */
static int run_pragma(struct verification *v, sqlite3 *db, const char *name)
{
	sqlite3_stmt *statement = NULL;
	char sql[64], detail[512];
	unsigned n_found = 0;
	int status;

	snprintf(sql, sizeof(sql), "PRAGMA %s", name);
	status = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
	while (status == SQLITE_OK || status == SQLITE_ROW) {
		status = sqlite3_step(statement);
		if (status != SQLITE_ROW)
			break;
		describe_row(statement, detail, sizeof(detail));
		if (strcmp(detail, "ok") == 0)
			continue;
		tell(v, name, false, detail);
		if (++n_found == FINDINGS_MAX)
			break;
	}
	sqlite3_finalize(statement);
	if (status == SQLITE_INTERRUPT)
		return cf_ctx_check(v->ctx, v->err);
	if (status == SQLITE_NOMEM)
		return cf_err_nomem(v->err);
	if (status != SQLITE_DONE && status != SQLITE_ROW)
		tell(v, name, false, sqlite3_errmsg(db));
	else if (n_found == 0)
		tell(v, name, true, NULL);
	return 0;
}

/* As a file that nobody changes: a database in WAL mode then needs no files beside it. */
static int open_database(struct verification *v, const char *path, sqlite3 **db_out)
{
	char uri[PATH_MAX * 3 + 32], *at = uri + strlen("file:");
	int status;

	strcpy(uri, "file:");
	for (; *path; path++)
		at += strchr("%?#", *path) ? sprintf(at, "%%%02X", (unsigned char)*path)
					   : (*at = *path, 1);
	strcpy(at, "?immutable=1");
	status = sqlite3_open_v2(uri, db_out, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
	if (status == SQLITE_OK)
		return 0;
	return cf_err_set(v->err, CF_ERR_FAILED, "open the restored %s: %s", v->file->name,
			  *db_out ? sqlite3_errmsg(*db_out) : sqlite3_errstr(status));
}

static int check_database(struct verification *v, const char *path)
{
	sqlite3 *db = NULL;
	int rc = open_database(v, path, &db);

	if (rc == 0) {
		sqlite3_progress_handler(db, OPS_PER_LOOK, look_for_cancel,
					 (void *)(uintptr_t)v->ctx);
		if (v->options->level == CF_VERIFY_COMPREHENSIVE) {
			rc = run_pragma(v, db, "integrity_check");
			if (rc == 0)
				rc = run_pragma(v, db, "foreign_key_check");
		} else {
			rc = run_pragma(v, db, "quick_check");
		}
	}
	sqlite3_close(db);
	return rc;
}

static int check_restored(struct verification *v)
{
	struct cf_scratch_folder folder = CF_SCRATCH_FOLDER_INIT;
	char path[PATH_MAX];
	int rc = cf_scratch_folder_make(&folder, NULL, v->options, v->ctx, v->err);

	if (rc == 0) {
		snprintf(path, sizeof(path), "%s/database", folder.path);
		rc = restore_file(v, path);
	}
	if (rc == 0)
		rc = check_database(v, path);
	cf_scratch_folder_remove(&folder);
	return rc;
}

int cf_sqlite_verify(struct cf_tree *tree, const struct cf_verify_options *options,
		     const struct cf_ctx *ctx, struct cf_err *err)
{
	struct cf_err local = CF_ERR_INIT;
	struct verification v = {
		.tree = tree, .options = options, .ctx = ctx, .err = err ? err : &local};
	int rc = tree->ops->list(tree, "", find_file, &v, v.err);

	if (rc == 0 && !v.file)
		rc = cf_err_set(v.err, CF_ERR_DAMAGED, "the snapshot holds no database");
	if (rc == 0)
		rc = check_header(&v);
	if (rc == 0 && options->level > CF_VERIFY_QUICK && v.file->size > 0)
		rc = check_restored(&v);
	if (rc == 0 && v.n_failed > 0)
		rc = cf_err_set(v.err, CF_ERR_DAMAGED, "%s is no sound database", v.file->name);
	free(v.file);
	return rc;
}
