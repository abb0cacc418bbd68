#include "repo/index.h"

#include "base/err.h"
#include "base/le.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

enum {
	SCHEMA_VERSION = 1,
	APPLICATION_ID = 0x434f4652, /* "COFR" */
	ROW_FIXED_LEN = 4 + 6 * 4,
	ROW_LEN_MAX = ROW_FIXED_LEN + CF_BASES_MAX * CF_ID_LEN + 4,
	N_INDEXED_FEATURES = 2, /* super-features searched for; all are compared once a candidate is found */
	PACK_CACHE = 1024
};

static const char schema[] =
	"CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	"CREATE TABLE segment(id BLOB PRIMARY KEY) WITHOUT ROWID;"
	"CREATE TABLE pack(no INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, type INTEGER NOT NULL);"
	"CREATE TABLE chunk(id BLOB PRIMARY KEY, place BLOB NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE sketch(feature INTEGER, prefix BLOB, PRIMARY KEY(feature, prefix)) WITHOUT ROWID;";

enum statement {
	FIND_CHUNK,
	FIND_SIMILAR,
	FIND_PREFIX,
	FIND_PACK_NO,
	FIND_PACK_NAME,
	ADD_CHUNK,
	ADD_SKETCH,
	ADD_PACK,
	ADD_SEGMENT,
	GET_META,
	SET_META,
	N_STATEMENTS
};

static const char *const statement_sql[N_STATEMENTS] = {
	[FIND_CHUNK] = "SELECT place FROM chunk WHERE id = ?1",
	[FIND_SIMILAR] = "SELECT prefix FROM sketch WHERE feature = ?1 LIMIT 4",
	[FIND_PREFIX] = "SELECT id, place FROM chunk WHERE id >= ?1 LIMIT 1",
	[FIND_PACK_NO] = "SELECT name, type FROM pack WHERE no = ?1",
	[FIND_PACK_NAME] = "SELECT no FROM pack WHERE name = ?1",
	/* Of two copies the one that is no delta: others may be deltas against it. Only rows with bases are longer than 48. */
	[ADD_CHUNK] = ("INSERT INTO chunk(id, place) VALUES(?1, ?2) ON CONFLICT(id) DO UPDATE SET place = ?2 "
		       "WHERE length(place) > 48 AND length(?2) <= 48"),
	[ADD_SKETCH] = "INSERT OR IGNORE INTO sketch(feature, prefix) VALUES(?1, ?2)",
	[ADD_PACK] = "INSERT OR IGNORE INTO pack(name, type) VALUES(?1, ?2)",
	[ADD_SEGMENT] = "INSERT OR IGNORE INTO segment(id) VALUES(?1)",
	[GET_META] = "SELECT value FROM meta WHERE name = ?1",
	[SET_META] = "INSERT OR REPLACE INTO meta(name, value) VALUES(?1, ?2)",
};

struct cached_pack {
	int64_t no; /* 0: empty */
	struct cf_id name;
	enum cf_object_type type;
};

struct cf_index {
	sqlite3 *db;
	sqlite3_stmt *statements[N_STATEMENTS];
	char *path;
	uint8_t repo_id[CF_REPO_ID_LEN];
	struct cached_pack packs[PACK_CACHE]; /* direct-mapped by number */
};

struct cf_location cf_location_of(const struct cf_segment_pack *pack, const struct cf_table_blob *blob,
				  uint32_t chunk)
{
	struct cf_location place = {.pack = pack->name,
				    .pack_type = pack->type,
				    .off = blob->off,
				    .len = blob->len,
				    .number = blob->number};

	for (uint32_t i = 0; i < blob->n_chunks; i++) {
		const struct cf_table_chunk *c = &pack->table.chunks[blob->first_chunk + i];

		if (i == chunk) {
			place.frame_off = place.frame_len;
			place.raw_len = c->raw_len;
			place.bases = c->bases;
			place.sketch = c->sketch;
		}
		place.frame_len += c->raw_len;
	}
	return place;
}

/* Translate SQLite's failure. Anything that says "this file is not what we wrote" is CF_ERR_DAMAGED. */
static int failed(struct cf_index *index, int sqlite_rc, struct cf_err *err)
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

static int run(struct cf_index *index, const char *sql, struct cf_err *err)
{
	int rc = sqlite3_exec(index->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : failed(index, rc, err);
}

static sqlite3_stmt *begun(struct cf_index *index, enum statement which)
{
	sqlite3_stmt *s = index->statements[which];

	sqlite3_reset(s);
	return s;
}

/* Step a statement that gives no rows. */
static int finish(struct cf_index *index, sqlite3_stmt *s, struct cf_err *err)
{
	int rc = sqlite3_step(s);

	if (rc != SQLITE_DONE)
		return failed(index, rc, err);
	sqlite3_reset(s);
	return 0;
}

/* 1 when there is a row, 0 when not. The caller resets the statement. */
static int step(struct cf_index *index, sqlite3_stmt *s, struct cf_err *err)
{
	int rc = sqlite3_step(s);

	if (rc == SQLITE_ROW)
		return 1;
	return rc == SQLITE_DONE ? 0 : failed(index, rc, err);
}

static void close_db(struct cf_index *index)
{
	for (int i = 0; i < N_STATEMENTS; i++) {
		sqlite3_finalize(index->statements[i]);
		index->statements[i] = NULL;
	}
	sqlite3_close(index->db);
	index->db = NULL;
	memset(index->packs, 0, sizeof(index->packs));
}

static int prepare_all(struct cf_index *index, struct cf_err *err)
{
	for (int i = 0; i < N_STATEMENTS; i++) {
		int rc = sqlite3_prepare_v3(index->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
					    &index->statements[i], NULL);

		if (rc != SQLITE_OK)
			return failed(index, rc, err);
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

static int open_db(struct cf_index *index, struct cf_err *err)
{
	int rc = index->path ? make_private(index, err) : 0;

	if (rc < 0)
		return rc;
	rc = sqlite3_open_v2(index->path ? index->path : ":memory:", &index->db,
				 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc != SQLITE_OK)
		return failed(index, rc, err);
	sqlite3_extended_result_codes(index->db, 1);
	sqlite3_busy_timeout(index->db, 120000);
	/* A cache: a power cut may cost it, which costs a rebuild, so NORMAL is enough. 32 MiB of page cache. */
	return run(index,
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
	rc = run(index, "BEGIN IMMEDIATE", err);
	if (rc < 0)
		return rc;
	/* Another process may have been first. */
	if (pragma_int(index, "PRAGMA user_version") == SCHEMA_VERSION)
		return run(index, "COMMIT", err);
	rc = run(index, schema, err);
	if (rc == 0)
		rc = run(index, stamp, err);
	if (rc == 0)
		rc = run(index, "COMMIT", err);
	else
		sqlite3_exec(index->db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

/* CF_ERR_DAMAGED when it is somebody else's file. */
static int check_stamp(struct cf_index *index, struct cf_err *err)
{
	char id[2 * CF_REPO_ID_LEN + 1];
	sqlite3_stmt *s = begun(index, GET_META);
	const char *found;
	int rc;

	cf_hex_encode(index->repo_id, CF_REPO_ID_LEN, id);
	sqlite3_bind_text(s, 1, "repository", -1, SQLITE_STATIC);
	rc = step(index, s, err);
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

int cf_index_open(const char *path, const uint8_t repo_id[CF_REPO_ID_LEN], struct cf_index **index_out,
		  struct cf_err *err)
{
	struct cf_index *index = calloc(1, sizeof(*index));
	int rc;

	if (!index)
		return cf_err_nomem(err);
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

static uint32_t row_checksum(const struct cf_id *id, const uint8_t *row, size_t len)
{
	return (uint32_t)XXH3_64bits_withSeed(row, len, cf_le64_get(id->bytes) ^ cf_le64_get(id->bytes + 24));
}

/* A row: pack number, off, len, number, frame_len, frame_off, raw_len, then bases, a sketch, or nothing, then a checksum. */
static size_t encode_row(const struct cf_id *id, uint32_t pack_no, const struct cf_location *p,
			 uint8_t row[ROW_LEN_MAX])
{
	const uint32_t fixed[] = {pack_no,	p->off,	      p->len,	 p->number,
				  p->frame_len, p->frame_off, p->raw_len};
	size_t len = 0;

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++, len += 4)
		cf_le32_put(row + len, fixed[i]);
	for (unsigned i = 0; i < p->bases.n; i++, len += CF_ID_LEN)
		memcpy(row + len, p->bases.ids[i].bytes, CF_ID_LEN);
	if (p->bases.n == 0 && p->sketch.super[0]) {
		for (int i = 0; i < CF_SKETCH_FEATURES; i++, len += 4)
			cf_le32_put(row + len, p->sketch.super[i]);
	}
	cf_le32_put(row + len, row_checksum(id, row, len));
	return len + 4;
}

static int row_damaged(struct cf_index *index, struct cf_err *err)
{
	return cf_err_set(err, CF_ERR_DAMAGED, "the local index %s is damaged (a row fails its checksum)",
			  index->path ? index->path : "");
}

static int find_pack_no(struct cf_index *index, uint32_t no, struct cf_location *p, struct cf_err *err)
{
	struct cached_pack *cached = &index->packs[no % PACK_CACHE];
	sqlite3_stmt *s;
	int rc;

	if (cached->no != no) {
		s = begun(index, FIND_PACK_NO);
		sqlite3_bind_int64(s, 1, no);
		rc = step(index, s, err);
		if (rc == 1 && sqlite3_column_bytes(s, 0) == CF_ID_LEN) {
			memcpy(cached->name.bytes, sqlite3_column_blob(s, 0), CF_ID_LEN);
			cached->type = (enum cf_object_type)sqlite3_column_int(s, 1);
			cached->no = no;
		}
		sqlite3_reset(s);
		if (rc < 0)
			return rc;
		if (cached->no != no)
			return row_damaged(index, err);
	}
	p->pack = cached->name;
	p->pack_type = cached->type;
	return 0;
}

static int decode_row(struct cf_index *index, const struct cf_id *id, struct cf_span row,
		      struct cf_location *p, struct cf_err *err)
{
	struct cf_cursor c;
	uint32_t pack_no;
	size_t extra;

	if (row.len < ROW_FIXED_LEN + 4 || row.len > ROW_LEN_MAX ||
	    row_checksum(id, row.data, row.len - 4) != cf_le32_get(row.data + row.len - 4))
		return row_damaged(index, err);
	extra = row.len - 4 - ROW_FIXED_LEN;
	if (extra % CF_ID_LEN != 0 && extra != 4 * CF_SKETCH_FEATURES)
		return row_damaged(index, err);
	c = cf_cursor_of(row);
	*p = (struct cf_location){0};
	pack_no = cf_cursor_u32(&c);
	p->off = cf_cursor_u32(&c);
	p->len = cf_cursor_u32(&c);
	p->number = cf_cursor_u32(&c);
	p->frame_len = cf_cursor_u32(&c);
	p->frame_off = cf_cursor_u32(&c);
	p->raw_len = cf_cursor_u32(&c);
	if (extra % CF_ID_LEN == 0)
		p->bases.n = (unsigned)(extra / CF_ID_LEN);
	for (unsigned i = 0; i < p->bases.n && i < CF_BASES_MAX; i++)
		cf_cursor_copy(&c, p->bases.ids[i].bytes, CF_ID_LEN);
	for (int i = 0; extra == 4 * CF_SKETCH_FEATURES && i < CF_SKETCH_FEATURES; i++)
		p->sketch.super[i] = cf_cursor_u32(&c);
	return find_pack_no(index, pack_no, p, err);
}

int cf_index_find(struct cf_index *index, const struct cf_id *id, struct cf_location *location_out,
		  struct cf_err *err)
{
	sqlite3_stmt *s = begun(index, FIND_CHUNK);
	int rc;

	sqlite3_bind_blob(s, 1, id->bytes, CF_ID_LEN, SQLITE_STATIC);
	rc = step(index, s, err);
	if (rc == 1) {
		rc = decode_row(index, id,
				cf_span_of(sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0)),
				location_out, err);
		rc = rc < 0 ? rc : 1;
	}
	sqlite3_reset(s);
	return rc;
}

int cf_index_find_pack(struct cf_index *index, const struct cf_id *name, struct cf_err *err)
{
	sqlite3_stmt *s = begun(index, FIND_PACK_NAME);
	int rc;

	sqlite3_bind_blob(s, 1, name->bytes, CF_ID_LEN, SQLITE_STATIC);
	rc = step(index, s, err);
	sqlite3_reset(s);
	return rc;
}

/* The full id and place of a chunk whose id begins with 8 bytes. */
static int find_by_prefix(struct cf_index *index, const uint8_t prefix[8], struct cf_id *id_out,
			  struct cf_location *location_out, struct cf_err *err)
{
	sqlite3_stmt *s = begun(index, FIND_PREFIX);
	int rc;

	sqlite3_bind_blob(s, 1, prefix, 8, SQLITE_STATIC);
	rc = step(index, s, err);
	if (rc == 1 && (sqlite3_column_bytes(s, 0) != CF_ID_LEN ||
			memcmp(sqlite3_column_blob(s, 0), prefix, 8) != 0))
		rc = 0;
	if (rc == 1) {
		memcpy(id_out->bytes, sqlite3_column_blob(s, 0), CF_ID_LEN);
		rc = decode_row(index, id_out,
				cf_span_of(sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1)),
				location_out, err);
		rc = rc < 0 ? rc : 1;
	}
	sqlite3_reset(s);
	return rc;
}

int cf_index_find_similar(struct cf_index *index, const struct cf_sketch *sketch, struct cf_id *id_out,
			  struct cf_location *location_out, struct cf_err *err)
{
	sqlite3_stmt *s = NULL;
	int rc = 0;

	for (int i = 0; i < N_INDEXED_FEATURES && sketch->super[i]; i++) {
		s = begun(index, FIND_SIMILAR);
		sqlite3_bind_int64(s, 1, sketch->super[i]);
		while ((rc = step(index, s, err)) == 1) {
			uint8_t prefix[8];

			if (sqlite3_column_bytes(s, 0) != sizeof(prefix))
				continue;
			memcpy(prefix, sqlite3_column_blob(s, 0), sizeof(prefix));
			rc = find_by_prefix(index, prefix, id_out, location_out, err);
			if (rc != 0)
				break;
		}
		sqlite3_reset(s);
		if (rc != 0)
			break;
	}
	return rc;
}

struct new_row {
	const struct cf_id *id;
	uint32_t pack, blob, chunk;
};

static int compare_rows(const void *a, const void *b)
{
	return cf_id_compare(((const struct new_row *)a)->id, ((const struct new_row *)b)->id);
}

/* Rows of all packs of a segment in order of id: sorted inserts are ten times faster in a large index. */
static struct new_row *sorted_rows(const struct cf_segment *segment, size_t *n_out)
{
	size_t n = 0;
	struct new_row *rows;

	for (size_t i = 0; i < segment->n_packs; i++)
		n += segment->packs[i].table.n_chunks;
	rows = malloc((n + 1) * sizeof(*rows));
	if (!rows)
		return NULL;
	n = 0;
	for (uint32_t p = 0; p < segment->n_packs; p++) {
		const struct cf_pack_table *table = &segment->packs[p].table;

		for (uint32_t b = 0; b < table->n_blobs; b++)
			for (uint32_t c = 0; c < table->blobs[b].n_chunks; c++)
				rows[n++] = (struct new_row){
					&table->chunks[table->blobs[b].first_chunk + c].id, p, b, c};
	}
	qsort(rows, n, sizeof(*rows), compare_rows);
	*n_out = n;
	return rows;
}

static int add_pack(struct cf_index *index, const struct cf_segment_pack *pack, int64_t *no_out,
		    struct cf_err *err)
{
	sqlite3_stmt *s = begun(index, ADD_PACK);
	int rc;

	sqlite3_bind_blob(s, 1, pack->name.bytes, CF_ID_LEN, SQLITE_STATIC);
	sqlite3_bind_int(s, 2, pack->type);
	rc = finish(index, s, err);
	if (rc < 0)
		return rc;
	s = begun(index, FIND_PACK_NAME);
	sqlite3_bind_blob(s, 1, pack->name.bytes, CF_ID_LEN, SQLITE_STATIC);
	rc = step(index, s, err);
	if (rc == 1)
		*no_out = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return rc == 1 ? 0 : rc < 0 ? rc : row_damaged(index, err);
}

static int add_row(struct cf_index *index, const struct cf_id *id, uint32_t pack_no,
		   const struct cf_location *place, struct cf_err *err)
{
	uint8_t row[ROW_LEN_MAX];
	sqlite3_stmt *s = begun(index, ADD_CHUNK);
	int rc;

	sqlite3_bind_blob(s, 1, id->bytes, CF_ID_LEN, SQLITE_STATIC);
	sqlite3_bind_blob(s, 2, row, (int)encode_row(id, pack_no, place, row), SQLITE_STATIC);
	rc = finish(index, s, err);
	for (int i = 0; rc == 0 && i < N_INDEXED_FEATURES && place->sketch.super[i]; i++) {
		s = begun(index, ADD_SKETCH);
		sqlite3_bind_int64(s, 1, place->sketch.super[i]);
		sqlite3_bind_blob(s, 2, id->bytes, 8, SQLITE_STATIC);
		rc = finish(index, s, err);
	}
	return rc;
}

static int load_rows(struct cf_index *index, const struct cf_segment *segment, const struct new_row *rows,
		     size_t n, struct cf_err *err)
{
	int64_t *numbers = calloc(segment->n_packs + 1, sizeof(*numbers));
	int rc = numbers ? 0 : cf_err_nomem(err);

	for (size_t i = 0; rc == 0 && i < segment->n_packs; i++)
		rc = add_pack(index, &segment->packs[i], &numbers[i], err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		const struct cf_segment_pack *pack = &segment->packs[rows[i].pack];
		struct cf_location place =
			cf_location_of(pack, &pack->table.blobs[rows[i].blob], rows[i].chunk);

		rc = add_row(index, rows[i].id, (uint32_t)numbers[rows[i].pack], &place, err);
	}
	free(numbers);
	return rc;
}

int cf_index_load(struct cf_index *index, const struct cf_id *segment_id, const struct cf_segment *segment,
		  struct cf_err *err)
{
	size_t n = 0;
	struct new_row *rows = sorted_rows(segment, &n);
	sqlite3_stmt *s;
	int rc = rows ? run(index, "BEGIN IMMEDIATE", err) : cf_err_nomem(err);

	if (rc < 0)
		goto out;
	rc = load_rows(index, segment, rows, n, err);
	if (rc == 0) {
		s = begun(index, ADD_SEGMENT);
		sqlite3_bind_blob(s, 1, segment_id->bytes, CF_ID_LEN, SQLITE_STATIC);
		rc = finish(index, s, err);
	}
	if (rc == 0)
		rc = run(index, "COMMIT", err);
	if (rc < 0)
		sqlite3_exec(index->db, "ROLLBACK", NULL, NULL, NULL);
out:
	free(rows);
	return rc;
}

int cf_index_segments(struct cf_index *index, struct cf_id **ids_out, size_t *n_out, struct cf_err *err)
{
	struct cf_id *ids = NULL;
	sqlite3_stmt *s = NULL;
	size_t n = 0, capacity = 0;
	int rc = sqlite3_prepare_v2(index->db, "SELECT id FROM segment", -1, &s, NULL);

	if (rc != SQLITE_OK)
		return failed(index, rc, err);
	while ((rc = step(index, s, err)) == 1) {
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

int cf_index_get_flag(struct cf_index *index, const char *name, int64_t *value_out, struct cf_err *err)
{
	sqlite3_stmt *s = begun(index, GET_META);
	int rc;

	sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
	rc = step(index, s, err);
	*value_out = rc == 1 ? sqlite3_column_int64(s, 0) : 0;
	sqlite3_reset(s);
	return rc < 0 ? rc : 0;
}

int cf_index_set_flag(struct cf_index *index, const char *name, int64_t value, struct cf_err *err)
{
	sqlite3_stmt *s = begun(index, SET_META);

	sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s, 2, value);
	return finish(index, s, err);
}

int cf_index_each(struct cf_index *index, cf_index_fn *fn, void *user, struct cf_err *err)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(index->db, "SELECT id, place FROM chunk", -1, &s, NULL);

	if (rc != SQLITE_OK)
		return failed(index, rc, err);
	while ((rc = step(index, s, err)) == 1) {
		struct cf_location place;
		struct cf_id id;

		if (sqlite3_column_bytes(s, 0) != CF_ID_LEN) {
			rc = row_damaged(index, err);
			break;
		}
		memcpy(id.bytes, sqlite3_column_blob(s, 0), CF_ID_LEN);
		rc = decode_row(index, &id,
				cf_span_of(sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1)),
				&place, err);
		if (rc == 0)
			rc = fn(user, &id, &place);
		if (rc != 0)
			break;
	}
	sqlite3_finalize(s);
	return rc;
}
