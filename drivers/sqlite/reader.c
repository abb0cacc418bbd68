#include "drivers/sqlite/reader.h"

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/sqlite/pages.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define BUSY_LIMIT_NS  INT64_C(60000000000)
#define BUSY_NAP_MS    10
#define PAGES_PER_STEP 1000

static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* SQLite asks: try again? */
static int wait_for_lock(void *user, int n_tries)
{
	struct cf_sqlite_reader *reader = user;
	int64_t now_ns = monotonic_ns();

	if (n_tries == 0)
		reader->busy_since_ns = now_ns;
	if (cf_ctx_check(reader->ctx, NULL) < 0 || now_ns - reader->busy_since_ns > BUSY_LIMIT_NS)
		return 0;
	sqlite3_sleep(BUSY_NAP_MS);
	return 1;
}

static const char *remedy(int sqlite_rc)
{
	switch (sqlite_rc & 0xff) {
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
		return " (a database in WAL mode, or one that crashed, can only be read by who may "
		       "write to it and to "
		       "its folder)";
	case SQLITE_BUSY:
		return " (another process held its lock for 60 s)";
	default:
		return "";
	}
}

static int code_of(int sqlite_rc)
{
	switch (sqlite_rc & 0xff) {
	case SQLITE_NOMEM:
		return CF_ERR_NOMEM;
	case SQLITE_BUSY:
		return CF_ERR_BUSY;
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
		return CF_ERR_ACCESS;
	default:
		return CF_ERR_FAILED;
	}
}

static int fail(const struct cf_sqlite_reader *reader, sqlite3 *db, int sqlite_rc,
		struct cf_err *err)
{
	int rc = cf_ctx_check(reader->ctx, err);

	if (rc < 0)
		return rc;
	if (sqlite_rc == SQLITE_NOTADB)
		return cf_err_set(err, CF_ERR_FAILED, "%s is not a SQLite database", reader->path);
	return cf_err_set(err, code_of(sqlite_rc), "%s: %s%s", reader->path,
			  db ? sqlite3_errmsg(db) : sqlite3_errstr(sqlite_rc), remedy(sqlite_rc));
}

static bool exists_beside(const char *path, const char *suffix)
{
	char name[4096 + 8];
	struct stat st;
	int len = snprintf(name, sizeof(name), "%s%s", path, suffix);

	return len > 0 && (size_t)len < sizeof(name) && lstat(name, &st) == 0;
}

static sqlite3_file *file_of(sqlite3 *db)
{
	sqlite3_file *file = NULL;

	sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
	return file;
}

/*
 * Read through SQLite's own descriptor: opening and closing the file ourselves would drop the locks
 * of any other connection that this process has to it (sqlite.org/howtocorrupt.html 2.2).
 */
static int check_header(struct cf_sqlite_reader *reader, struct cf_err *err)
{
	sqlite3_file *file = file_of(reader->db);
	uint8_t data[CF_SQLITE_HEADER_LEN];
	int sqlite_rc = SQLITE_CANTOPEN;

	if (file && file->pMethods)
		sqlite_rc = file->pMethods->xRead(file, data, sizeof(data), 0);
	if (sqlite_rc != SQLITE_OK && sqlite_rc != SQLITE_IOERR_SHORT_READ)
		return fail(reader, NULL, sqlite_rc, err);
	if (sqlite_rc == SQLITE_OK &&
	    cf_sqlite_header_decode(cf_span_of(data, sizeof(data)), &reader->header))
		return 0;
	return cf_err_set(err, CF_ERR_FAILED, "%s is not a SQLite database (or it is encrypted)",
			  reader->path);
}

static int connect_source(struct cf_sqlite_reader *reader, struct cf_err *err)
{
	bool had_wal = exists_beside(reader->path, "-wal");
	int sqlite_rc = cf_source_vfs_init(&reader->source_vfs);

	if (sqlite_rc != SQLITE_OK)
		return fail(reader, NULL, sqlite_rc, err);
	reader->source_vfs.remove_shm = !exists_beside(reader->path, "-shm");
	sqlite_rc = sqlite3_open_v2(reader->path, &reader->db,
				    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
					    SQLITE_OPEN_PRIVATECACHE,
				    reader->source_vfs.name);
	if (sqlite_rc != SQLITE_OK)
		return fail(reader, reader->db, sqlite_rc, err);
	sqlite3_extended_result_codes(reader->db, 1);
	sqlite3_busy_handler(reader->db, wait_for_lock, reader);
	/* A -wal that was there stays as it is. One that only we made is empty, and the usual close
	 * removes it. */
	sqlite3_db_config(reader->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, had_wal ? 1 : 0, NULL);
	return 0;
}

static int connect_sink(struct cf_sqlite_reader *reader, struct cf_pages *pages, struct cf_err *err)
{
	int sqlite_rc = cf_sink_vfs_init(&reader->sink_vfs, pages);

	if (sqlite_rc != SQLITE_OK)
		return fail(reader, NULL, sqlite_rc, err);
	sqlite_rc = sqlite3_open_v2("sink", &reader->sink_db,
				    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
					    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
				    reader->sink_vfs.name);
	if (sqlite_rc == SQLITE_OK) /* a small cache, so that pages are written soon and in order */
		sqlite_rc = sqlite3_exec(
			reader->sink_db,
			"PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=OFF;"
			"PRAGMA synchronous=OFF; PRAGMA cache_spill=1; PRAGMA cache_size=10",
			NULL, NULL, NULL);
	return sqlite_rc == SQLITE_OK ? 0 : fail(reader, reader->sink_db, sqlite_rc, err);
}

/* From here to close the source shows one committed state. The schema is not looked at, nor needed.
 */
static int begin_read(struct cf_sqlite_reader *reader, struct cf_err *err)
{
	int sqlite_rc = sqlite3_exec(reader->db, "BEGIN; PRAGMA schema_version", NULL, NULL, NULL);

	if (sqlite_rc != SQLITE_OK)
		return fail(reader, reader->db, sqlite_rc, err);
	if (!cf_sqlite_header_decode(
		    cf_span_of(reader->source_vfs.page1, reader->source_vfs.page1_len),
		    &reader->header) ||
	    reader->header.page_len != reader->source_vfs.page1_len)
		return cf_err_set(err, CF_ERR_FAILED, "%s: page 1 was not seen when SQLite read it",
				  reader->path);
	return 0;
}

static int begin_backup(struct cf_sqlite_reader *reader, struct cf_err *err)
{
	int sqlite_rc;

	reader->backup = sqlite3_backup_init(reader->sink_db, "main", reader->db, "main");
	if (!reader->backup)
		return fail(reader, reader->sink_db, sqlite3_errcode(reader->sink_db), err);
	/* No page yet, but the number of them. */
	sqlite_rc = sqlite3_backup_step(reader->backup, 0);
	if (sqlite_rc != SQLITE_OK)
		return fail(reader, NULL, sqlite_rc, err);
	reader->n_pages = (uint32_t)sqlite3_backup_pagecount(reader->backup);
	return 0;
}

/* Without a -wal the file and its header must agree; a longer file is legal but odd. */
static void look_at_length(struct cf_sqlite_reader *reader)
{
	sqlite3_file *file = file_of(reader->db);
	sqlite3_int64 len = 0;
	sqlite3_int64 counted = (sqlite3_int64)reader->n_pages * reader->header.page_len;

	if (reader->header.wal || file->pMethods->xFileSize(file, &len) != SQLITE_OK ||
	    len <= counted)
		return;
	cf_ctx_warn(reader->ctx, "sqlite.longer", reader->path,
		    "the file is longer than its header says: the %lld bytes behind page %u are "
		    "not stored",
		    (long long)(len - counted), reader->n_pages);
}

int cf_sqlite_reader_open(struct cf_sqlite_reader *reader, const char *path, struct cf_pages *pages,
			  const struct cf_ctx *ctx, struct cf_err *err)
{
	int rc;

	memset(reader, 0, sizeof(*reader));
	reader->ctx = ctx;
	reader->path = path;
	rc = connect_source(reader, err);
	if (rc == 0)
		rc = check_header(reader, err);
	if (rc == 0)
		rc = begin_read(reader, err);
	if (rc == 0)
		rc = connect_sink(reader, pages, err);
	if (rc == 0)
		rc = begin_backup(reader, err);
	if (rc == 0)
		look_at_length(reader);
	return rc;
}

int cf_sqlite_reader_copy(struct cf_sqlite_reader *reader, struct cf_pages *pages,
			  struct cf_err *err)
{
	int sqlite_rc = SQLITE_OK;

	reader->source_vfs.n_short_reads = 0;
	while (sqlite_rc == SQLITE_OK) {
		int rc = cf_ctx_check(reader->ctx, err);

		if (rc < 0)
			return rc;
		sqlite_rc = sqlite3_backup_step(reader->backup, PAGES_PER_STEP);
	}
	if (pages->rc < 0)
		return pages->rc;
	if (sqlite_rc != SQLITE_DONE)
		return fail(reader, NULL, sqlite_rc, err);
	if (reader->source_vfs.n_short_reads)
		cf_ctx_warn(
			reader->ctx, "sqlite.short", reader->path,
			"the file was truncated: %llu pages are missing and were stored as zeros",
			(unsigned long long)reader->source_vfs.n_short_reads);
	return 0;
}

void cf_sqlite_reader_close(struct cf_sqlite_reader *reader)
{
	sqlite3_backup_finish(reader->backup);
	sqlite3_close(reader->sink_db);
	sqlite3_close(reader->db);
	cf_sink_vfs_release(&reader->sink_vfs);
	cf_source_vfs_release(&reader->source_vfs);
	reader->backup = NULL;
	reader->sink_db = NULL;
	reader->db = NULL;
}
