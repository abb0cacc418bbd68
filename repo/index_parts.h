#ifndef CF_REPO_INDEX_PARTS_H
#define CF_REPO_INDEX_PARTS_H

/* The inside of the local index (repo/index.h), for repo/index*.c only: the database, and its statements. */

#include "repo/index.h"

#include <sqlite3.h>

enum cf_index_statement {
	CF_FIND_CHUNK,
	CF_FIND_SIMILAR,
	CF_FIND_PREFIX,
	CF_FIND_PACK_NO,
	CF_FIND_PACK_NAME,
	CF_ADD_CHUNK,
	CF_ADD_SKETCH,
	CF_ADD_PACK,
	CF_ADD_SEGMENT,
	CF_FIND_SEGMENT,
	CF_ADD_LISTED,
	CF_ADD_SUPERSEDED,
	CF_DROP_LISTED,
	CF_DROP_SUPERSEDED,
	CF_DROP_SEGMENT,
	CF_GET_META,
	CF_SET_META,
	CF_N_STATEMENTS
};

#define CF_INDEX_PACK_CACHE 1024

struct cf_index_pack {
	int64_t no; /* 0: empty */
	struct cf_id name;
	enum cf_object_type type;
};

struct cf_index {
	sqlite3 *db;
	sqlite3_stmt *statements[CF_N_STATEMENTS];
	char *path;
	const struct cf_ctx *ctx;
	uint8_t repo_id[CF_REPO_ID_LEN];
	struct cf_index_pack packs[CF_INDEX_PACK_CACHE]; /* direct-mapped by number */
};

/* Translate SQLite's failure. Anything that says "this file is not what we wrote" is CF_ERR_DAMAGED. */
int cf_index_failed(struct cf_index *index, int sqlite_rc, struct cf_err *err);
int cf_index_run(struct cf_index *index, const char *sql, struct cf_err *err);

/* A prepared statement, reset. */
sqlite3_stmt *cf_index_begin(struct cf_index *index, enum cf_index_statement which);
/* Step a statement that gives no rows. */
int cf_index_finish(struct cf_index *index, sqlite3_stmt *s, struct cf_err *err);
/* 1 when there is a row, 0 when not. The caller resets the statement. */
int cf_index_step(struct cf_index *index, sqlite3_stmt *s, struct cf_err *err);

#endif
