#include "repo/index_parts.h"

#include "base/err.h"
#include "base/le.h"

#include <stdlib.h>
#include <xxhash.h>

/* The rows of the index: where each chunk is, and which chunks look alike. */

enum {
	ROW_FIXED_LEN = 6 * 4,
	ROW_LEN_MAX = ROW_FIXED_LEN + CF_BASES_MAX * CF_ID_LEN + 4,
	N_INDEXED_FEATURES = 2 /* super-features searched for; all are compared once a candidate is found */
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

static uint32_t row_checksum(const struct cf_id *id, int64_t pack_no, const uint8_t *row, size_t len)
{
	return (uint32_t)XXH3_64bits_withSeed(row, len, cf_le64_get(id->bytes) ^ cf_le64_get(id->bytes + 24) ^
							(uint64_t)pack_no << 32);
}

/* A row: off, len, number, frame_len, frame_off, raw_len, then bases, a sketch, or nothing, then a checksum. */
static size_t encode_row(const struct cf_id *id, int64_t pack_no, const struct cf_location *p,
			 uint8_t row[ROW_LEN_MAX])
{
	const uint32_t fixed[] = {p->off, p->len, p->number, p->frame_len, p->frame_off, p->raw_len};
	size_t len = 0;

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++, len += 4)
		cf_le32_put(row + len, fixed[i]);
	for (unsigned i = 0; i < p->bases.n; i++, len += CF_ID_LEN)
		memcpy(row + len, p->bases.ids[i].bytes, CF_ID_LEN);
	if (p->bases.n == 0 && p->sketch.super[0]) {
		for (int i = 0; i < CF_SKETCH_FEATURES; i++, len += 4)
			cf_le32_put(row + len, p->sketch.super[i]);
	}
	cf_le32_put(row + len, row_checksum(id, pack_no, row, len));
	return len + 4;
}

static int row_damaged(struct cf_index *index, struct cf_err *err)
{
	return cf_err_set(err, CF_ERR_DAMAGED, "the local index %s is damaged (a row fails its checksum)",
			  index->path ? index->path : "");
}

static int find_pack_no(struct cf_index *index, int64_t no, struct cf_location *p, struct cf_err *err)
{
	struct cf_index_pack *cached = &index->packs[(uint64_t)no % CF_INDEX_PACK_CACHE];
	sqlite3_stmt *s;
	int rc;

	if (cached->no != no) {
		s = cf_index_begin(index, CF_FIND_PACK_NO);
		sqlite3_bind_int64(s, 1, no);
		rc = cf_index_step(index, s, err);
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

static int decode_row(struct cf_index *index, const struct cf_id *id, int64_t pack_no, struct cf_span row,
		      struct cf_location *p, struct cf_err *err)
{
	struct cf_cursor c;
	size_t extra;

	if (row.len < ROW_FIXED_LEN + 4 || row.len > ROW_LEN_MAX ||
	    row_checksum(id, pack_no, row.data, row.len - 4) != cf_le32_get(row.data + row.len - 4))
		return row_damaged(index, err);
	extra = row.len - 4 - ROW_FIXED_LEN;
	if (extra % CF_ID_LEN != 0 && extra != 4 * CF_SKETCH_FEATURES)
		return row_damaged(index, err);
	c = cf_cursor_of(row);
	*p = (struct cf_location){0};
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

/* The place in the columns i (pack number) and i + 1. */
static int column_place(struct cf_index *index, sqlite3_stmt *s, int i, const struct cf_id *id,
			struct cf_location *place_out, struct cf_err *err)
{
	struct cf_span row = cf_span_of(sqlite3_column_blob(s, i + 1), (size_t)sqlite3_column_bytes(s, i + 1));

	return decode_row(index, id, sqlite3_column_int64(s, i), row, place_out, err);
}

static int whole_first(const void *user, const struct cf_location *copy)
{
	(void)user;
	return copy->bases.n == 0;
}

int cf_index_find(struct cf_index *index, const struct cf_id *id, cf_index_rank_fn *rank, const void *user,
		  struct cf_location *location_out, struct cf_err *err)
{
	sqlite3_stmt *s = cf_index_begin(index, CF_FIND_CHUNK);
	int rc, best = -1;

	sqlite3_bind_blob(s, 1, id->bytes, CF_ID_LEN, SQLITE_STATIC);
	while ((rc = cf_index_step(index, s, err)) == 1) {
		struct cf_location copy;
		int copy_rank;

		rc = column_place(index, s, 0, id, &copy, err);
		if (rc < 0)
			break;
		copy_rank = (rank ? rank : whole_first)(user, &copy);
		if (copy_rank > best) {
			best = copy_rank;
			*location_out = copy;
		}
	}
	sqlite3_reset(s);
	return rc < 0 ? rc : best >= 0;
}

int cf_index_find_pack(struct cf_index *index, const struct cf_id *name, struct cf_err *err)
{
	sqlite3_stmt *s = cf_index_begin(index, CF_FIND_PACK_NAME);
	int rc;

	sqlite3_bind_blob(s, 1, name->bytes, CF_ID_LEN, SQLITE_STATIC);
	rc = cf_index_step(index, s, err);
	sqlite3_reset(s);
	return rc;
}

/* The full id of a chunk whose id begins with 8 bytes. */
static int find_by_prefix(struct cf_index *index, const uint8_t prefix[8], struct cf_id *id_out, struct cf_err *err)
{
	sqlite3_stmt *s = cf_index_begin(index, CF_FIND_PREFIX);
	int rc;

	sqlite3_bind_blob(s, 1, prefix, 8, SQLITE_STATIC);
	rc = cf_index_step(index, s, err);
	if (rc == 1 && (sqlite3_column_bytes(s, 0) != CF_ID_LEN ||
			memcmp(sqlite3_column_blob(s, 0), prefix, 8) != 0))
		rc = 0;
	if (rc == 1)
		memcpy(id_out->bytes, sqlite3_column_blob(s, 0), CF_ID_LEN);
	sqlite3_reset(s);
	return rc;
}

/* 1 when a chunk with this prefix has a copy that will do. */
static int find_whole(struct cf_index *index, const uint8_t prefix[8], cf_index_rank_fn *rank, const void *user,
		      struct cf_id *id_out, struct cf_location *location_out, struct cf_err *err)
{
	int rc = find_by_prefix(index, prefix, id_out, err);

	if (rc == 1)
		rc = cf_index_find(index, id_out, rank, user, location_out, err);
	return rc == 1 && location_out->bases.n ? 0 : rc;
}

int cf_index_find_similar(struct cf_index *index, const struct cf_sketch *sketch, cf_index_rank_fn *rank,
			  const void *user, struct cf_id *id_out, struct cf_location *location_out,
			  struct cf_err *err)
{
	sqlite3_stmt *s = NULL;
	int rc = 0;

	for (int i = 0; i < N_INDEXED_FEATURES && sketch->super[i]; i++) {
		s = cf_index_begin(index, CF_FIND_SIMILAR);
		sqlite3_bind_int64(s, 1, sketch->super[i]);
		while ((rc = cf_index_step(index, s, err)) == 1) {
			uint8_t prefix[8];

			if (sqlite3_column_bytes(s, 0) != sizeof(prefix))
				continue;
			memcpy(prefix, sqlite3_column_blob(s, 0), sizeof(prefix));
			rc = find_whole(index, prefix, rank, user, id_out, location_out, err);
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

/* A pack of the segment: its number, and whether its rows are still to come. */
struct numbered_pack {
	int64_t no;
	bool is_new;
};

/* Rows of the new packs of a segment in order of id: sorted inserts are ten times faster in a large index. */
static struct new_row *sorted_rows(const struct cf_segment *segment, const struct numbered_pack *packs, size_t *n_out)
{
	size_t n = 0;
	struct new_row *rows;

	for (size_t i = 0; i < segment->n_packs; i++)
		n += packs[i].is_new ? segment->packs[i].table.n_chunks : 0;
	rows = malloc((n + 1) * sizeof(*rows));
	if (!rows)
		return NULL;
	n = 0;
	for (uint32_t p = 0; p < segment->n_packs; p++) {
		const struct cf_pack_table *table = &segment->packs[p].table;

		for (uint32_t b = 0; packs[p].is_new && b < table->n_blobs; b++)
			for (uint32_t c = 0; c < table->blobs[b].n_chunks; c++)
				rows[n++] = (struct new_row){
					&table->chunks[table->blobs[b].first_chunk + c].id, p, b, c};
	}
	qsort(rows, n, sizeof(*rows), compare_rows);
	*n_out = n;
	return rows;
}

/* 1 and the number in the one column of a statement, or 0. */
static int find_number(struct cf_index *index, enum cf_index_statement which, const struct cf_id *id,
		       int64_t *no_out, struct cf_err *err)
{
	sqlite3_stmt *s = cf_index_begin(index, which);
	int rc;

	sqlite3_bind_blob(s, 1, id->bytes, CF_ID_LEN, SQLITE_STATIC);
	rc = cf_index_step(index, s, err);
	if (rc == 1)
		*no_out = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return rc;
}

static int add_pack(struct cf_index *index, const struct cf_segment_pack *pack, struct numbered_pack *out,
		    struct cf_err *err)
{
	sqlite3_stmt *s;
	int rc = find_number(index, CF_FIND_PACK_NAME, &pack->name, &out->no, err);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	out->is_new = true;
	s = cf_index_begin(index, CF_ADD_PACK);
	sqlite3_bind_blob(s, 1, pack->name.bytes, CF_ID_LEN, SQLITE_STATIC);
	sqlite3_bind_int(s, 2, pack->type);
	rc = cf_index_finish(index, s, err);
	out->no = sqlite3_last_insert_rowid(index->db);
	return rc;
}

static int add_row(struct cf_index *index, const struct cf_id *id, int64_t pack_no,
		   const struct cf_location *place, struct cf_err *err)
{
	uint8_t row[ROW_LEN_MAX];
	sqlite3_stmt *s = cf_index_begin(index, CF_ADD_CHUNK);
	int rc;

	sqlite3_bind_blob(s, 1, id->bytes, CF_ID_LEN, SQLITE_STATIC);
	sqlite3_bind_int64(s, 2, pack_no);
	sqlite3_bind_blob(s, 3, row, (int)encode_row(id, pack_no, place, row), SQLITE_STATIC);
	rc = cf_index_finish(index, s, err);
	for (int i = 0; rc == 0 && i < N_INDEXED_FEATURES && place->sketch.super[i]; i++) {
		s = cf_index_begin(index, CF_ADD_SKETCH);
		sqlite3_bind_int64(s, 1, place->sketch.super[i]);
		sqlite3_bind_blob(s, 2, id->bytes, 8, SQLITE_STATIC);
		rc = cf_index_finish(index, s, err);
	}
	return rc;
}

/* A statement that takes two numbers, or a number and an id. */
static int add_pair(struct cf_index *index, enum cf_index_statement which, int64_t first, int64_t second,
		    const struct cf_id *second_id, struct cf_err *err)
{
	sqlite3_stmt *s = cf_index_begin(index, which);

	sqlite3_bind_int64(s, 1, first);
	if (second_id)
		sqlite3_bind_blob(s, 2, second_id->bytes, CF_ID_LEN, SQLITE_STATIC);
	else
		sqlite3_bind_int64(s, 2, second);
	return cf_index_finish(index, s, err);
}

/* The segment itself, and what it lists and supersedes. */
static int add_segment(struct cf_index *index, const struct cf_id *id, const struct cf_segment *segment,
		       struct numbered_pack *packs, struct cf_err *err)
{
	sqlite3_stmt *s = cf_index_begin(index, CF_ADD_SEGMENT);
	int64_t no = 0;
	int rc;

	sqlite3_bind_blob(s, 1, id->bytes, CF_ID_LEN, SQLITE_STATIC);
	rc = cf_index_finish(index, s, err);
	if (rc == 0)
		rc = find_number(index, CF_FIND_SEGMENT, id, &no, err);
	rc = rc < 0 ? rc : 0;
	for (size_t i = 0; rc == 0 && i < segment->n_packs; i++) {
		rc = add_pack(index, &segment->packs[i], &packs[i], err);
		if (rc == 0)
			rc = add_pair(index, CF_ADD_LISTED, no, packs[i].no, NULL, err);
	}
	for (size_t i = 0; rc == 0 && i < segment->n_supersedes; i++)
		rc = add_pair(index, CF_ADD_SUPERSEDED, no, 0, &segment->supersedes[i], err);
	return rc;
}

static int load_rows(struct cf_index *index, const struct cf_segment *segment, const struct numbered_pack *packs,
		     struct cf_err *err)
{
	size_t n = 0;
	struct new_row *rows = sorted_rows(segment, packs, &n);
	int rc = rows ? 0 : cf_err_nomem(err);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		const struct cf_segment_pack *pack = &segment->packs[rows[i].pack];
		struct cf_location place =
			cf_location_of(pack, &pack->table.blobs[rows[i].blob], rows[i].chunk);

		rc = add_row(index, rows[i].id, packs[rows[i].pack].no, &place, err);
	}
	free(rows);
	return rc;
}

/* End the transaction as rc says. */
static int end_transaction(struct cf_index *index, int rc, struct cf_err *err)
{
	if (rc == 0)
		rc = cf_index_run(index, "COMMIT", err);
	if (rc < 0)
		sqlite3_exec(index->db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

int cf_index_load(struct cf_index *index, const struct cf_id *segment_id, const struct cf_segment *segment,
		  struct cf_err *err)
{
	struct numbered_pack *packs = calloc(segment->n_packs + 1, sizeof(*packs));
	int rc = packs ? cf_index_run(index, "BEGIN IMMEDIATE", err) : cf_err_nomem(err);

	if (rc == 0) {
		rc = add_segment(index, segment_id, segment, packs, err);
		if (rc == 0)
			rc = load_rows(index, segment, packs, err);
		rc = end_transaction(index, rc, err);
	}
	free(packs);
	return rc;
}

static int unload_segment(struct cf_index *index, const struct cf_id *id, struct cf_err *err)
{
	static const enum cf_index_statement drops[] = {CF_DROP_LISTED, CF_DROP_SUPERSEDED, CF_DROP_SEGMENT};
	int64_t no;
	int rc = find_number(index, CF_FIND_SEGMENT, id, &no, err);

	if (rc != 1)
		return rc;
	rc = 0;
	for (size_t i = 0; rc == 0 && i < sizeof(drops) / sizeof(drops[0]); i++) {
		sqlite3_stmt *s = cf_index_begin(index, drops[i]);

		sqlite3_bind_int64(s, 1, no);
		rc = cf_index_finish(index, s, err);
	}
	return rc;
}

/* Packs that no segment lists. Their rows stand all over the table, so it is read once from end to end. Sketches stay: they
 * are only hints. */
static int drop_packs(struct cf_index *index, struct cf_err *err)
{
	int rc = cf_index_run(index,
			      "CREATE TEMP TABLE gone AS SELECT no FROM pack WHERE no NOT IN (SELECT pack FROM listed);"
			      "DELETE FROM pack WHERE no IN (SELECT no FROM gone)", err);

	if (rc == 0 && sqlite3_changes(index->db) > 0)
		rc = cf_index_run(index, "DELETE FROM chunk WHERE pack IN (SELECT no FROM gone)", err);
	return rc < 0 ? rc : cf_index_run(index, "DROP TABLE gone", err);
}

int cf_index_unload(struct cf_index *index, const struct cf_id *segment_ids, size_t n, struct cf_err *err)
{
	int rc = cf_index_run(index, "BEGIN IMMEDIATE", err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = unload_segment(index, &segment_ids[i], err);
	if (rc == 0)
		rc = drop_packs(index, err);
	return end_transaction(index, rc, err);
}

int cf_index_each(struct cf_index *index, cf_index_fn *fn, void *user, struct cf_err *err)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(index->db, "SELECT id, pack, place FROM chunk ORDER BY id", -1, &s, NULL);

	if (rc != SQLITE_OK)
		return cf_index_failed(index, rc, err);
	while ((rc = cf_index_step(index, s, err)) == 1) {
		struct cf_location place;
		struct cf_id id;

		if (sqlite3_column_bytes(s, 0) != CF_ID_LEN) {
			rc = row_damaged(index, err);
			break;
		}
		memcpy(id.bytes, sqlite3_column_blob(s, 0), CF_ID_LEN);
		rc = column_place(index, s, 1, &id, &place, err);
		if (rc == 0)
			rc = fn(user, &id, &place);
		if (rc != 0)
			break;
	}
	sqlite3_finalize(s);
	return rc;
}
