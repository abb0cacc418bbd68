#include "repo/index_parts.h"

#include "base/ctx.h"
#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* The database file: opening, telling what is wrong with it, beginning anew; and its small tables. */

enum {
	SCHEMA_VERSION = 2,
	APPLICATION_ID = 0x434f4652, /* "COFR" */
	BUSY_STEP_MS = 20,
	BUSY_SAY_MS = 2000,
	BUSY_MAX_MS = 120000
};

static const char schema[] =
	"CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	"CREATE TABLE segment(no INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE);"
	"CREATE TABLE superseded(by INTEGER, id BLOB, PRIMARY KEY(by, id)) WITHOUT ROWID;"
	/* Numbers are not used again: handles remember which pack has which. */
	"CREATE TABLE pack(no INTEGER PRIMARY KEY AUTOINCREMENT, name BLOB NOT NULL UNIQUE, type INTEGER NOT NULL);"
	"CREATE TABLE listed(segment INTEGER, pack INTEGER, PRIMARY KEY(segment, pack)) WITHOUT ROWID;"
	"CREATE TABLE chunk(id BLOB, pack INTEGER, place BLOB NOT NULL, PRIMARY KEY(id, pack)) WITHOUT ROWID;"
	"CREATE TABLE sketch(feature INTEGER, prefix BLOB, PRIMARY KEY(feature, prefix)) WITHOUT ROWID;";

static const char *const statement_sql[CF_N_STATEMENTS] = {
	[CF_FIND_CHUNK] = "SELECT pack, place FROM chunk WHERE id = ?1",
	/* Some may be of packs that are gone. */
	[CF_FIND_SIMILAR] = "SELECT prefix FROM sketch WHERE feature = ?1 LIMIT 16",
	[CF_FIND_PREFIX] = "SELECT id FROM chunk WHERE id >= ?1 LIMIT 1",
	[CF_FIND_PACK_NO] = "SELECT name, type FROM pack WHERE no = ?1",
	[CF_FIND_PACK_NAME] = "SELECT no FROM pack WHERE name = ?1",
	[CF_ADD_CHUNK] = "INSERT OR IGNORE INTO chunk(id, pack, place) VALUES(?1, ?2, ?3)",
	[CF_ADD_SKETCH] = "INSERT OR IGNORE INTO sketch(feature, prefix) VALUES(?1, ?2)",
	[CF_ADD_PACK] = "INSERT OR IGNORE INTO pack(name, type) VALUES(?1, ?2)",
	[CF_ADD_SEGMENT] = "INSERT OR IGNORE INTO segment(id) VALUES(?1)",
	[CF_FIND_SEGMENT] = "SELECT no FROM segment WHERE id = ?1",
	[CF_ADD_LISTED] = "INSERT OR IGNORE INTO listed(segment, pack) VALUES(?1, ?2)",
	[CF_ADD_SUPERSEDED] = "INSERT OR IGNORE INTO superseded(by, id) VALUES(?1, ?2)",
	[CF_DROP_LISTED] = "DELETE FROM listed WHERE segment = ?1",
	[CF_DROP_SUPERSEDED] = "DELETE FROM superseded WHERE by = ?1",
	[CF_DROP_SEGMENT] = "DELETE FROM segment WHERE no = ?1",
	[CF_GET_META] = "SELECT value FROM meta WHERE name = ?1",
	[CF_SET_META] = "INSERT OR REPLACE INTO meta(name, value) VALUES(?1, ?2)",
};

int cf_index_failed(struct cf_index *index, int sqlite_rc, struct cf_err *err)
{
	const char *why = index->db ? sqlite3_errmsg(index->db) : sqlite3_errstr(sqlite_rc);
	const char *path = index->path ? index->path : "(memory)";

	switch (sqlite_rc & 0xff) {
	case SQLITE_FULL:
		return cf_err_set(err, CF_ERR_FULL, "the local index %s: no space left", path);
	case SQLITE_NOMEM:
		return cf_err_nomem(err);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return cf_err_set(err, CF_ERR_BUSY, "the local index %s is locked by another program", path);
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return cf_err_set(err, CF_ERR_ACCESS, "the local index %s: %s", path, why);
	case SQLITE_IOERR:
		if (sqlite_rc != SQLITE_IOERR_SHORT_READ && sqlite_rc != SQLITE_IOERR_CORRUPTFS)
			return cf_err_set(err, CF_ERR_FAILED, "the local index %s: %s", path, why);
		/* fall through */
	default:
		return cf_err_set(err, CF_ERR_DAMAGED, "the local index %s is damaged (%s)", path, why);
	}
}

int cf_index_run(struct cf_index *index, const char *sql, struct cf_err *err)
{
	int rc = sqlite3_exec(index->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : cf_index_failed(index, rc, err);
}

sqlite3_stmt *cf_index_begin(struct cf_index *index, enum cf_index_statement which)
{
	sqlite3_stmt *s = index->statements[which];

	sqlite3_reset(s);
	return s;
}

int cf_index_finish(struct cf_index *index, sqlite3_stmt *s, struct cf_err *err)
{
	int rc = sqlite3_step(s);

	if (rc != SQLITE_DONE)
		return cf_index_failed(index, rc, err);
	sqlite3_reset(s);
	return 0;
}

int cf_index_step(struct cf_index *index, sqlite3_stmt *s, struct cf_err *err)
{
	int rc = sqlite3_step(s);

	if (rc == SQLITE_ROW)
		return 1;
	return rc == SQLITE_DONE ? 0 : cf_index_failed(index, rc, err);
}

static void close_db(struct cf_index *index)
{
	for (int i = 0; i < CF_N_STATEMENTS; i++) {
		sqlite3_finalize(index->statements[i]);
		index->statements[i] = NULL;
	}
	sqlite3_close(index->db);
	index->db = NULL;
	memset(index->packs, 0, sizeof(index->packs));
}

static int prepare_all(struct cf_index *index, struct cf_err *err)
{
	for (int i = 0; i < CF_N_STATEMENTS; i++) {
		int rc = sqlite3_prepare_v3(index->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
					    &index->statements[i], NULL);

		if (rc != SQLITE_OK)
			return cf_index_failed(index, rc, err);
	}
	return 0;
}

/* SQLite makes files as the umask has it; the index tells what the repository holds, so it is its owner's alone. */
static int make_private(struct cf_index *index, struct cf_err *err)
{
	/* Only ever made, never opened by us when it exists: closing would drop the locks of a connection to it. */
	int fd = open(index->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST)
		return 0;
	if (fd < 0)
		return cf_err_errno(err, errno, "open the local index %s", index->path);
	close(fd);
	return 0;
}

/* Another program holds the lock; n: how often this was called for it. 0: give up. */
static int on_busy(void *user, int n)
{
	const struct cf_index *index = user;
	const struct timespec pause = {.tv_nsec = BUSY_STEP_MS * 1000000L};

	if (n == BUSY_SAY_MS / BUSY_STEP_MS)
		cf_ctx_waiting(index->ctx, "index.busy", NULL,
			       "waiting for another coffer that uses the local index %s (is one stopped?)", index->path);
	if (n >= BUSY_MAX_MS / BUSY_STEP_MS || cf_ctx_check(index->ctx, NULL) < 0)
		return 0;
	nanosleep(&pause, NULL);
	return 1;
}

static int open_db(struct cf_index *index, struct cf_err *err)
{
	int rc = index->path ? make_private(index, err) : 0;

	if (rc < 0)
		return rc;
	rc = sqlite3_open_v2(index->path ? index->path : ":memory:", &index->db,
				 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc != SQLITE_OK)
		return cf_index_failed(index, rc, err);
	sqlite3_extended_result_codes(index->db, 1);
	sqlite3_busy_handler(index->db, on_busy, index);
	/* A cache: a power cut may cost it, which costs a rebuild, so NORMAL is enough. 32 MiB of page cache. */
	return cf_index_run(index,
		   "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-32768;"
		   "PRAGMA journal_size_limit=16777216; PRAGMA cell_size_check=1; PRAGMA temp_store=MEMORY;",
		   err);
}

static int64_t pragma_int(struct cf_index *index, const char *sql)
{
	sqlite3_stmt *s = NULL;
	int64_t value = -1;

	if (sqlite3_prepare_v2(index->db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		value = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return value;
}

static int create_schema(struct cf_index *index, struct cf_err *err)
{
	char stamp[160], id[2 * CF_REPO_ID_LEN + 1];
	int rc;

	cf_hex_encode(index->repo_id, CF_REPO_ID_LEN, id);
	snprintf(stamp, sizeof(stamp),
		 "PRAGMA application_id=%d; PRAGMA user_version=%d; INSERT INTO meta VALUES('repository', '%s');",
		 APPLICATION_ID, SCHEMA_VERSION, id);
	rc = cf_index_run(index, "BEGIN IMMEDIATE", err);
	if (rc < 0)
		return rc;
	/* Another process may have been first. */
	if (pragma_int(index, "PRAGMA user_version") == SCHEMA_VERSION)
		return cf_index_run(index, "COMMIT", err);
	rc = cf_index_run(index, schema, err);
	if (rc == 0)
		rc = cf_index_run(index, stamp, err);
	if (rc == 0)
		rc = cf_index_run(index, "COMMIT", err);
	else
		sqlite3_exec(index->db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

/* CF_ERR_DAMAGED when it is somebody else's file. */
static int check_stamp(struct cf_index *index, struct cf_err *err)
{
	char id[2 * CF_REPO_ID_LEN + 1];
	sqlite3_stmt *s = cf_index_begin(index, CF_GET_META);
	const char *found;
	int rc;

	cf_hex_encode(index->repo_id, CF_REPO_ID_LEN, id);
	sqlite3_bind_text(s, 1, "repository", -1, SQLITE_STATIC);
	rc = cf_index_step(index, s, err);
	found = rc == 1 ? (const char *)sqlite3_column_text(s, 0) : NULL;
	if (rc >= 0 && (!found || strcmp(found, id) != 0 ||
			pragma_int(index, "PRAGMA application_id") != APPLICATION_ID))
		rc = cf_err_set(err, CF_ERR_DAMAGED, "the local index %s is of another repository",
				index->path ? index->path : "");
	sqlite3_reset(s);
	return rc < 0 ? rc : 0;
}

static int open_checked(struct cf_index *index, struct cf_err *err)
{
	int64_t version;
	int rc = open_db(index, err);

	if (rc < 0)
		return rc;
	version = pragma_int(index, "PRAGMA user_version");
	if (version == 0)
		rc = create_schema(index, err);
	else if (version != SCHEMA_VERSION)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "the local index %s has another version", index->path);
	if (rc == 0)
		rc = prepare_all(index, err);
	return rc < 0 ? rc : check_stamp(index, err);
}

static int remove_file(const char *path, const char *suffix, struct cf_err *err)
{
	char name[4096];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	if (unlink(name) != 0 && access(name, F_OK) == 0)
		return cf_err_set(err, CF_ERR_ACCESS, "the local index %s is damaged and cannot be deleted", name);
	return 0;
}

int cf_index_reset(struct cf_index *index, struct cf_err *err)
{
	static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
	int rc = 0;

	close_db(index);
	for (size_t i = 0; index->path && rc == 0 && i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		rc = remove_file(index->path, suffixes[i], err);
	return rc < 0 ? rc : open_checked(index, err);
}

int cf_index_leave_file(struct cf_index *index, struct cf_err *err)
{
	close_db(index);
	free(index->path);
	index->path = NULL;
	return open_checked(index, err);
}

int cf_index_open(const char *path, const uint8_t repo_id[CF_REPO_ID_LEN], const struct cf_ctx *ctx,
		  struct cf_index **index_out, struct cf_err *err)
{
	struct cf_index *index = calloc(1, sizeof(*index));
	int rc;

	if (!index)
		return cf_err_nomem(err);
	index->ctx = ctx;
	memcpy(index->repo_id, repo_id, CF_REPO_ID_LEN);
	if (path && !(index->path = strdup(path))) {
		free(index);
		return cf_err_nomem(err);
	}
	rc = open_checked(index, err);
	if (rc == CF_ERR_DAMAGED) {
		cf_err_clear(err);
		rc = cf_index_reset(index, err);
	}
	if (rc < 0) {
		cf_index_close(index);
		return rc;
	}
	*index_out = index;
	return 0;
}

void cf_index_close(struct cf_index *index)
{
	if (!index)
		return;
	close_db(index);
	free(index->path);
	free(index);
}

/* The ids that a query gives. */
static int collect_ids(struct cf_index *index, const char *sql, struct cf_id **ids_out, size_t *n_out,
		       struct cf_err *err)
{
	struct cf_id *ids = NULL;
	sqlite3_stmt *s = NULL;
	size_t n = 0, capacity = 0;
	int rc = sqlite3_prepare_v2(index->db, sql, -1, &s, NULL);

	if (rc != SQLITE_OK)
		return cf_index_failed(index, rc, err);
	while ((rc = cf_index_step(index, s, err)) == 1) {
		if (n == capacity) {
			struct cf_id *more;

			capacity = capacity ? 2 * capacity : 64;
			more = realloc(ids, capacity * sizeof(*ids));
			if (!more) {
				rc = cf_err_nomem(err);
				break;
			}
			ids = more;
		}
		if (sqlite3_column_bytes(s, 0) == CF_ID_LEN)
			memcpy(ids[n++].bytes, sqlite3_column_blob(s, 0), CF_ID_LEN);
	}
	sqlite3_finalize(s);
	if (rc < 0) {
		free(ids);
		return rc;
	}
	*ids_out = ids;
	*n_out = n;
	return 0;
}

int cf_index_segments(struct cf_index *index, struct cf_id **ids_out, size_t *n_out, struct cf_err *err)
{
	return collect_ids(index, "SELECT id FROM segment", ids_out, n_out, err);
}

int cf_index_superseded(struct cf_index *index, struct cf_id **ids_out, size_t *n_out, struct cf_err *err)
{
	return collect_ids(index, "SELECT DISTINCT id FROM superseded", ids_out, n_out, err);
}

int cf_index_get_flag(struct cf_index *index, const char *name, int64_t *value_out, struct cf_err *err)
{
	sqlite3_stmt *s = cf_index_begin(index, CF_GET_META);
	int rc;

	sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
	rc = cf_index_step(index, s, err);
	*value_out = rc == 1 ? sqlite3_column_int64(s, 0) : 0;
	sqlite3_reset(s);
	return rc < 0 ? rc : 0;
}

int cf_index_set_flag(struct cf_index *index, const char *name, int64_t value, struct cf_err *err)
{
	sqlite3_stmt *s = cf_index_begin(index, CF_SET_META);

	sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s, 2, value);
	return cf_index_finish(index, s, err);
}
