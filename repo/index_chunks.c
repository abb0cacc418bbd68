#include "repo/index_parts.h"

#include "base/err.h"
#include "base/le.h"

#include <stdlib.h>
#include <xxhash.h>

/* The rows of the index: where each chunk is, and which chunks look alike. */

enum {
	ROW_FIXED_LEN = 4 + 6 * 4,
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
	struct cf_index_pack *cached = &index->packs[no % CF_INDEX_PACK_CACHE];
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
	sqlite3_stmt *s = cf_index_begin(index, CF_FIND_CHUNK);
	int rc;

	sqlite3_bind_blob(s, 1, id->bytes, CF_ID_LEN, SQLITE_STATIC);
	rc = cf_index_step(index, s, err);
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
	sqlite3_stmt *s = cf_index_begin(index, CF_FIND_PACK_NAME);
	int rc;

	sqlite3_bind_blob(s, 1, name->bytes, CF_ID_LEN, SQLITE_STATIC);
	rc = cf_index_step(index, s, err);
	sqlite3_reset(s);
	return rc;
}

/* The full id and place of a chunk whose id begins with 8 bytes. */
static int find_by_prefix(struct cf_index *index, const uint8_t prefix[8], struct cf_id *id_out,
			  struct cf_location *location_out, struct cf_err *err)
{
	sqlite3_stmt *s = cf_index_begin(index, CF_FIND_PREFIX);
	int rc;

	sqlite3_bind_blob(s, 1, prefix, 8, SQLITE_STATIC);
	rc = cf_index_step(index, s, err);
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
		s = cf_index_begin(index, CF_FIND_SIMILAR);
		sqlite3_bind_int64(s, 1, sketch->super[i]);
		while ((rc = cf_index_step(index, s, err)) == 1) {
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
	sqlite3_stmt *s = cf_index_begin(index, CF_ADD_PACK);
	int rc;

	sqlite3_bind_blob(s, 1, pack->name.bytes, CF_ID_LEN, SQLITE_STATIC);
	sqlite3_bind_int(s, 2, pack->type);
	rc = cf_index_finish(index, s, err);
	if (rc < 0)
		return rc;
	s = cf_index_begin(index, CF_FIND_PACK_NAME);
	sqlite3_bind_blob(s, 1, pack->name.bytes, CF_ID_LEN, SQLITE_STATIC);
	rc = cf_index_step(index, s, err);
	if (rc == 1)
		*no_out = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return rc == 1 ? 0 : rc < 0 ? rc : row_damaged(index, err);
}

static int add_row(struct cf_index *index, const struct cf_id *id, uint32_t pack_no,
		   const struct cf_location *place, struct cf_err *err)
{
	uint8_t row[ROW_LEN_MAX];
	sqlite3_stmt *s = cf_index_begin(index, CF_ADD_CHUNK);
	int rc;

	sqlite3_bind_blob(s, 1, id->bytes, CF_ID_LEN, SQLITE_STATIC);
	sqlite3_bind_blob(s, 2, row, (int)encode_row(id, pack_no, place, row), SQLITE_STATIC);
	rc = cf_index_finish(index, s, err);
	for (int i = 0; rc == 0 && i < N_INDEXED_FEATURES && place->sketch.super[i]; i++) {
		s = cf_index_begin(index, CF_ADD_SKETCH);
		sqlite3_bind_int64(s, 1, place->sketch.super[i]);
		sqlite3_bind_blob(s, 2, id->bytes, 8, SQLITE_STATIC);
		rc = cf_index_finish(index, s, err);
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
	int rc = rows ? cf_index_run(index, "BEGIN IMMEDIATE", err) : cf_err_nomem(err);

	if (rc < 0)
		goto out;
	rc = load_rows(index, segment, rows, n, err);
	if (rc == 0) {
		s = cf_index_begin(index, CF_ADD_SEGMENT);
		sqlite3_bind_blob(s, 1, segment_id->bytes, CF_ID_LEN, SQLITE_STATIC);
		rc = cf_index_finish(index, s, err);
	}
	if (rc == 0)
		rc = cf_index_run(index, "COMMIT", err);
	if (rc < 0)
		sqlite3_exec(index->db, "ROLLBACK", NULL, NULL, NULL);
out:
	free(rows);
	return rc;
}

int cf_index_each(struct cf_index *index, cf_index_fn *fn, void *user, struct cf_err *err)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(index->db, "SELECT id, place FROM chunk", -1, &s, NULL);

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
