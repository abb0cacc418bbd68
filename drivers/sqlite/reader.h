#ifndef CF_DRIVERS_SQLITE_READER_H
#define CF_DRIVERS_SQLITE_READER_H

/* One committed state of a database: a connection that holds a read transaction, and the backup
 * that copies it. */

#include "drivers/sqlite/header.h"
#include "drivers/sqlite/sink_vfs.h"
#include "drivers/sqlite/source_vfs.h"

struct cf_ctx;
struct cf_err;
struct cf_pages;

struct cf_sqlite_reader {
	const struct cf_ctx *ctx;
	const char *path;
	struct cf_source_vfs source_vfs;
	struct cf_sink_vfs sink_vfs;
	sqlite3 *db;
	sqlite3 *sink_db;
	sqlite3_backup *backup;
	int64_t busy_since_ns; /* 0: not waiting */

	/* Known after open: */
	struct cf_sqlite_header header;
	uint32_t n_pages;
};

/*
 * Memory of the caller, in place until close, which is also due after a failure. path is absolute
 * and borrowed, and names a file that is not empty. What copy reads goes to pages, whose fields may
 * be set later. CF_ERR_BUSY when another process keeps the database locked.
 */
int cf_sqlite_reader_open(struct cf_sqlite_reader *reader, const char *path, struct cf_pages *pages,
			  const struct cf_ctx *ctx, struct cf_err *err);

/* Put every page into pages, which was begun; the caller finishes it. */
int cf_sqlite_reader_copy(struct cf_sqlite_reader *reader, struct cf_pages *pages,
			  struct cf_err *err);

/* Leaves the database, its -wal and its -shm as they were found. */
void cf_sqlite_reader_close(struct cf_sqlite_reader *reader);

#endif
