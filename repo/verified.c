#include "repo/verified.h"

#include "base/err.h"
#include "base/le.h"
#include "repo/handle.h"
#include "repo/object.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

enum {
	SCHEMA_VERSION = 1
};

enum statement {
	EACH,
	NOTE,
	DROP,
	EACH_SEEN,
	SAW,
	UNSEE,
	N_STATEMENTS
};

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS pack(name BLOB PRIMARY KEY, time INTEGER, good INTEGER, checksum INTEGER) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS seen(name TEXT PRIMARY KEY, checksum INTEGER) WITHOUT ROWID;"
	"PRAGMA user_version=1;";

static const char *const statement_sql[N_STATEMENTS] = {
	[EACH] = "SELECT name, time, good, checksum FROM pack",
	[NOTE] = "INSERT OR REPLACE INTO pack(name, time, good, checksum) VALUES(?1, ?2, ?3, ?4)",
	[DROP] = "DELETE FROM pack WHERE name = ?1",
	[EACH_SEEN] = "SELECT name, checksum FROM seen",
	[SAW] = "INSERT OR REPLACE INTO seen(name, checksum) VALUES(?1, ?2)",
	[UNSEE] = "DELETE FROM seen WHERE name = ?1",
};

struct cf_verified {
	const struct cf_ctx *ctx;
	sqlite3 *db;
	sqlite3_stmt *statements[N_STATEMENTS];
	char *path; /* NULL: in memory */
	bool has_failed; /* said once is enough */
};

static int64_t checksum(const struct cf_id *pack, int64_t time_ns, bool is_good)
{
	uint8_t row[CF_ID_LEN + 9];

	memcpy(row, pack->bytes, CF_ID_LEN);
	cf_le64_put(row + CF_ID_LEN, (uint64_t)time_ns);
	row[CF_ID_LEN + 8] = is_good;
	return (int64_t)XXH3_64bits(row, sizeof(row));
}

static void close_db(struct cf_verified *v)
{
	for (int i = 0; i < N_STATEMENTS; i++) {
		sqlite3_finalize(v->statements[i]);
		v->statements[i] = NULL;
	}
	sqlite3_close(v->db);
	v->db = NULL;
}

static int version_of(struct cf_verified *v)
{
	sqlite3_stmt *s = NULL;
	int version = -1;

	if (sqlite3_prepare_v2(v->db, "PRAGMA user_version", -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW)
		version = sqlite3_column_int(s, 0);
	sqlite3_finalize(s);
	return version;
}

/* It tells what the repository holds, so it is its owner's alone; SQLite would make it as the umask has it. */
static void make_private(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
}

/* SQLite's code. */
static int open_db(struct cf_verified *v)
{
	int rc, version;

	if (v->path)
		make_private(v->path);
	rc = sqlite3_open_v2(v->path ? v->path : ":memory:", &v->db,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_busy_timeout(v->db, 120000);
	rc = sqlite3_exec(v->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cell_size_check=1;", NULL,
			  NULL, NULL);
	version = version_of(v);
	if (rc == SQLITE_OK && version != 0 && version != SCHEMA_VERSION)
		return SQLITE_NOTADB;
	if (rc == SQLITE_OK && version == 0)
		rc = sqlite3_exec(v->db, schema, NULL, NULL, NULL);
	for (int i = 0; rc == SQLITE_OK && i < N_STATEMENTS; i++)
		rc = sqlite3_prepare_v3(v->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &v->statements[i],
					NULL);
	return rc;
}

static void remove_files(const char *path)
{
	static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		char name[4096];

		snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
		unlink(name);
	}
}

/* Go on in memory. */
static int leave_file(struct cf_verified *v, int why, struct cf_err *err)
{
	cf_ctx_note(v->ctx, "verified.unusable", NULL, "%s: %s; which packs were read is not remembered this time", v->path,
		    sqlite3_errstr(why));
	close_db(v);
	free(v->path);
	v->path = NULL;
	return open_db(v) == SQLITE_OK ? 0 : cf_err_nomem(err);
}

static bool is_damage(int sqlite_rc)
{
	return (sqlite_rc & 0xff) == SQLITE_NOTADB || (sqlite_rc & 0xff) == SQLITE_CORRUPT ||
	       (sqlite_rc & 0xff) == SQLITE_ERROR;
}

/* "<cache>/<id>.index" is the local index; this stands beside it. */
static int set_path(struct cf_verified *v, const struct cf_repo *repo, struct cf_err *err)
{
	size_t len = repo->index_path ? strlen(repo->index_path) - strlen("index") : 0;

	if (len && asprintf(&v->path, "%.*sverified", (int)len, repo->index_path) < 0) {
		v->path = NULL;
		return cf_err_nomem(err);
	}
	return 0;
}

int cf_verified_open(struct cf_repo *repo, struct cf_verified **verified_out, struct cf_err *err)
{
	struct cf_verified *v = calloc(1, sizeof(*v));
	int rc, sqlite_rc;

	if (!v)
		return cf_err_nomem(err);
	v->ctx = repo->ctx;
	rc = set_path(v, repo, err);
	if (rc == 0) {
		sqlite_rc = open_db(v);
		if (v->path && is_damage(sqlite_rc)) {
			close_db(v);
			remove_files(v->path);
			sqlite_rc = open_db(v);
		}
		if (sqlite_rc != SQLITE_OK)
			rc = v->path ? leave_file(v, sqlite_rc, err) : cf_err_nomem(err);
	}
	if (rc < 0) {
		cf_verified_close(v);
		return rc;
	}
	*verified_out = v;
	return 0;
}

void cf_verified_close(struct cf_verified *v)
{
	if (!v)
		return;
	close_db(v);
	free(v->path);
	free(v);
}

const char *cf_verified_path(const struct cf_verified *v)
{
	return v->path ? v->path : "memory";
}

void cf_verified_stored(struct cf_repo *repo, const struct cf_id *snapshot)
{
	struct cf_verified *v = NULL;

	if (!repo->index_path || cf_verified_open(repo, &v, NULL) < 0)
		return;
	cf_verified_saw(v, cf_object_name(CF_OBJECT_SNAPSHOT, snapshot).s);
	cf_verified_close(v);
}

/* Its next use begins with an empty file when this one is damaged. */
static void report(struct cf_verified *v, int sqlite_rc)
{
	if (!v->has_failed)
		cf_ctx_note(v->ctx, "verified.unusable", NULL, "%s: %s; which packs were read is not remembered",
			    v->path ? v->path : "memory", sqlite3_errstr(sqlite_rc));
	v->has_failed = true;
	if (v->path && is_damage(sqlite_rc))
		remove_files(v->path);
}

int cf_verified_each(struct cf_verified *v, cf_verified_fn *fn, void *user)
{
	sqlite3_stmt *s = v->statements[EACH];
	int rc = 0, step = SQLITE_DONE;

	sqlite3_reset(s);
	while (rc == 0 && (step = sqlite3_step(s)) == SQLITE_ROW) {
		int64_t time_ns = sqlite3_column_int64(s, 1);
		bool is_good = sqlite3_column_int(s, 2) == 1;
		struct cf_id pack;

		if (sqlite3_column_bytes(s, 0) != CF_ID_LEN)
			continue;
		memcpy(pack.bytes, sqlite3_column_blob(s, 0), CF_ID_LEN);
		if (sqlite3_column_int64(s, 3) == checksum(&pack, time_ns, is_good))
			rc = fn(user, &pack, time_ns, is_good);
	}
	if (step != SQLITE_ROW && step != SQLITE_DONE)
		report(v, step);
	sqlite3_reset(s);
	return rc;
}

static void finish(struct cf_verified *v, sqlite3_stmt *s)
{
	int rc = sqlite3_step(s);

	if (rc != SQLITE_DONE)
		report(v, rc);
	sqlite3_reset(s);
}

void cf_verified_note(struct cf_verified *v, const struct cf_id *pack, int64_t time_ns, bool is_good)
{
	sqlite3_stmt *s = v->statements[NOTE];

	sqlite3_bind_blob(s, 1, pack->bytes, CF_ID_LEN, SQLITE_TRANSIENT);
	sqlite3_bind_int64(s, 2, time_ns);
	sqlite3_bind_int(s, 3, is_good);
	sqlite3_bind_int64(s, 4, checksum(pack, time_ns, is_good));
	finish(v, s);
}

void cf_verified_drop(struct cf_verified *v, const struct cf_id *pack)
{
	sqlite3_stmt *s = v->statements[DROP];

	sqlite3_bind_blob(s, 1, pack->bytes, CF_ID_LEN, SQLITE_TRANSIENT);
	finish(v, s);
}


int cf_verified_each_seen(struct cf_verified *v, cf_verified_seen_fn *fn, void *user)
{
	sqlite3_stmt *s = v->statements[EACH_SEEN];
	int rc = 0, step = SQLITE_DONE;

	sqlite3_reset(s);
	while (rc == 0 && (step = sqlite3_step(s)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(s, 0);

		if (name && sqlite3_column_int64(s, 1) == (int64_t)XXH3_64bits(name, strlen(name)))
			rc = fn(user, name);
	}
	if (step != SQLITE_ROW && step != SQLITE_DONE)
		report(v, step);
	sqlite3_reset(s);
	return rc;
}

void cf_verified_saw(struct cf_verified *v, const char *object)
{
	sqlite3_stmt *s = v->statements[SAW];

	sqlite3_bind_text(s, 1, object, -1, SQLITE_TRANSIENT);
	sqlite3_bind_int64(s, 2, (int64_t)XXH3_64bits(object, strlen(object)));
	finish(v, s);
}

void cf_verified_unsee(struct cf_verified *v, const char *object)
{
	sqlite3_stmt *s = v->statements[UNSEE];

	sqlite3_bind_text(s, 1, object, -1, SQLITE_TRANSIENT);
	finish(v, s);
}

/* Without it each change is one of its own: slower, and no less right. */
void cf_verified_begin(struct cf_verified *v)
{
	sqlite3_exec(v->db, "BEGIN", NULL, NULL, NULL);
}

void cf_verified_end(struct cf_verified *v)
{
	int rc = sqlite3_exec(v->db, "COMMIT", NULL, NULL, NULL);

	if (rc != SQLITE_OK && !sqlite3_get_autocommit(v->db)) {
		report(v, rc);
		sqlite3_exec(v->db, "ROLLBACK", NULL, NULL, NULL);
	}
}
