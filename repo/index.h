#ifndef CF_REPO_INDEX_H
#define CF_REPO_INDEX_H

/*
 * The local index: where each chunk is, in SQLite. A cache: every row carries a checksum, and whatever is wrong with the
 * file is answered by building it anew from the repository (repo/catalog.h does that).
 *
 * Not thread-safe: the catalog locks.
 */

#include "base/buf.h"
#include "base/id.h"
#include "chunker/chunker.h"
#include "repo/format/segment.h"

struct cf_ctx;
struct cf_err;
struct cf_index;

/* Where a chunk is. */
struct cf_location {
	struct cf_id pack;
	enum cf_object_type pack_type;
	uint32_t off, len;	/* the sealed blob in the pack */
	uint32_t number;	/* of the blob */
	uint32_t frame_len;	/* plain bytes of the blob */
	uint32_t frame_off, raw_len; /* the chunk in the plain bytes */
	struct cf_bases bases;	/* of a delta */
	struct cf_sketch sketch; /* zero when there is none */
};

/* The chunk's place when it is chunk `chunk` of blob `blob` of the pack's table. */
struct cf_location cf_location_of(const struct cf_segment_pack *pack, const struct cf_table_blob *blob,
				  uint32_t chunk);

/*
 * Open or create the file (path NULL: in memory). A file that is of another repository or schema, or no index at all, is
 * replaced by an empty one. CF_ERR_DAMAGED from any function below: the file is damaged; call cf_index_reset().
 */
int cf_index_open(const char *path, const uint8_t repo_id[CF_REPO_ID_LEN], const struct cf_ctx *ctx,
		  struct cf_index **index_out, struct cf_err *err);
void cf_index_close(struct cf_index *index);

/* Go on in memory, empty: the file cannot be used (no space, no permission). */
int cf_index_leave_file(struct cf_index *index, struct cf_err *err);

/* Delete everything and begin anew, whatever state the file is in. */
int cf_index_reset(struct cf_index *index, struct cf_err *err);

/*
 * A chunk may be in several packs. The copy of the highest rank: 1 and its place; 0 when there is none, or all ranks are
 * negative. rank NULL: one that is no delta before one that is.
 */
typedef int cf_index_rank_fn(const void *user, const struct cf_location *copy);
int cf_index_find(struct cf_index *index, const struct cf_id *id, cf_index_rank_fn *rank, const void *user,
		  struct cf_location *location_out, struct cf_err *err);
int cf_index_find_pack(struct cf_index *index, const struct cf_id *name, struct cf_err *err);

/* A chunk, itself no delta, that shares a super-feature with the sketch: 1 and its id and place, or 0. Ranks as above. */
int cf_index_find_similar(struct cf_index *index, const struct cf_sketch *sketch, cf_index_rank_fn *rank,
			  const void *user, struct cf_id *id_out, struct cf_location *location_out,
			  struct cf_err *err);

/* All of a segment in one transaction, rows in order of id. Packs that are here already stay as they are. */
int cf_index_load(struct cf_index *index, const struct cf_id *segment_id, const struct cf_segment *segment,
		  struct cf_err *err);
/* These segments no longer count; packs that no other one lists go with them. Those that they supersede may be loaded again. */
int cf_index_unload(struct cf_index *index, const struct cf_id *segment_ids, size_t n, struct cf_err *err);

/* The segments loaded so far; those that loaded ones supersede. free() it. */
int cf_index_segments(struct cf_index *index, struct cf_id **ids_out, size_t *n_out, struct cf_err *err);
int cf_index_superseded(struct cf_index *index, struct cf_id **ids_out, size_t *n_out, struct cf_err *err);

/* A small persistent value, 0 when never set. "unclean": a backup began and did not end. */
int cf_index_get_flag(struct cf_index *index, const char *name, int64_t *value_out, struct cf_err *err);
int cf_index_set_flag(struct cf_index *index, const char *name, int64_t value, struct cf_err *err);

/* Called for each copy of each chunk, in order of ids; non-zero stops and is returned. */
typedef int cf_index_fn(void *user, const struct cf_id *id, const struct cf_location *location);
int cf_index_each(struct cf_index *index, cf_index_fn *fn, void *user, struct cf_err *err);

#endif
