/* The catalog and its local index: claims, and every way in which the cache or a segment can be
 * wrong. */

#include "tests/unit/repo_fixture.h"

#include "repo/catalog.h"
#include "repo/object.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct case_of {
	struct fixture f;
	char folder[64];
	char path[256]; /* of the local index */
	struct cf_snapshot *snapshot;
};

static struct cf_repo *open_cached(struct case_of *c)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo = fixture_open_over(&c->f, fixture_share(c->f.store), c->folder, &err);

	if (!repo)
		fail_msg("%s", err.text);
	return repo;
}

static int set_up(void **state)
{
	struct case_of *c = calloc(1, sizeof(*c));
	struct cf_repo *repo;

	assert_non_null(c);
	fixture_init(&c->f, 0);
	strcpy(c->folder, "/tmp/coffer-test-XXXXXX");
	assert_non_null(mkdtemp(c->folder));
	repo = open_cached(c);
	snprintf(c->path, sizeof(c->path), "%s/%s.index", c->folder, cf_repo_id_text(repo));
	assert_int_equal(fixture_backup(repo, 1, &c->snapshot, NULL), 0);
	cf_repo_close(repo);
	*state = c;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	struct case_of *c = *state;

	for (int i = 0; i < 3; i++) {
		char path[300];

		snprintf(path, sizeof(path), "%s%s", c->path, suffixes[i]);
		unlink(path);
	}
	rmdir(c->folder);
	cf_snapshot_free(c->snapshot);
	fixture_release(&c->f);
	free(c);
	return 0;
}

/* Restore, and a second backup: the index serves. It finds everything, but for what a damaged index
 * hides. */
static void serve(struct case_of *c, bool finds_all)
{
	struct cf_repo *repo = open_cached(c);
	struct cf_snapshot *again = NULL;
	struct cf_err err = CF_ERR_INIT;

	if (fixture_restore_equals(repo, c->snapshot, 1, &err) != 1)
		fail_msg("%s", err.text);
	if (fixture_backup(repo, 1, &again, &err) < 0)
		fail_msg("%s", err.text);
	if (finds_all)
		assert_int_equal(again->figures.chunks_new, 0);
	cf_snapshot_free(again);
	cf_repo_close(repo);
}

static void assert_serves(struct case_of *c)
{
	serve(c, true);
}

static void an_index_that_is_kept_serves(void **state)
{
	assert_serves(*state);
}

static void a_deleted_index_is_built_anew(void **state)
{
	struct case_of *c = *state;

	assert_int_equal(unlink(c->path), 0);
	assert_serves(c);
}

static void a_cut_index_is_built_anew(void **state)
{
	struct case_of *c = *state;
	static const off_t lengths[] = {0, 1, 50, 100, 512, 4096, 5000, 8192};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		assert_int_equal(truncate(c->path, lengths[i]), 0);
		assert_serves(c);
	}
}

static void an_index_full_of_garbage_is_built_anew(void **state)
{
	struct case_of *c = *state;
	FILE *file = fopen(c->path, "r+b");
	long size;

	assert_non_null(file);
	fseek(file, 0, SEEK_END);
	size = ftell(file);
	rewind(file);
	for (long i = 0; i < size; i++)
		putc((int)(i * 37 % 251), file);
	fclose(file);
	assert_serves(c);
}

static void flipped_bytes_of_the_index_do_no_harm(void **state)
{
	struct case_of *c = *state;
	long size = 1;

	for (long off = 0; off < size; off += size / 60 + 1) {
		FILE *file = fopen(c->path, "r+b");
		int byte;

		assert_non_null(file);
		fseek(file, 0, SEEK_END);
		size = ftell(file);
		fseek(file, off, SEEK_SET);
		byte = getc(file);
		fseek(file, off, SEEK_SET);
		putc(byte ^ 0x21, file);
		fclose(file);
		serve(c, false);
	}
}

/* In every row one byte is changed behind the checksum's back. */
static void changed_rows_are_noticed(void **state)
{
	struct case_of *c = *state;
	sqlite3 *db;
	char *message = NULL;

	assert_int_equal(sqlite3_open(c->path, &db), SQLITE_OK);
	if (sqlite3_exec(db, "UPDATE chunk SET place = x'ff' || substr(place, 2)", NULL, NULL,
			 &message) != SQLITE_OK)
		fail_msg("%s", message);
	assert_true(sqlite3_changes(db) > 5);
	sqlite3_close(db);
	assert_serves(c);
}

static void an_index_of_another_repository_is_replaced(void **state)
{
	struct case_of *c = *state, *other;
	void *other_state;

	set_up(&other_state);
	other = other_state;
	assert_int_equal(rename(other->path, c->path), 0);
	assert_serves(c);
	tear_down(&other_state);
}

static void packs_serve_without_segments(void **state)
{
	struct case_of *c = *state;
	struct cf_repo *repo = open_cached(c);
	struct cf_id *ids;
	size_t n;

	assert_int_equal(cf_object_list(repo, CF_OBJECT_INDEX, &ids, &n, NULL), 0);
	assert_int_equal(n, 1);
	cf_repo_close(repo);
	assert_int_equal(unlink(c->path), 0);
	assert_int_equal(
		cf_memory_flip(c->f.store, cf_object_name(CF_OBJECT_INDEX, &ids[0]).s, 80, 1, NULL),
		0);
	assert_serves(c);
	assert_true(c->f.n_warnings > 0);
	assert_int_equal(unlink(c->path), 0);
	assert_int_equal(c->f.store->ops->remove(c->f.store,
						 cf_object_name(CF_OBJECT_INDEX, &ids[0]).s, NULL),
			 0);
	assert_serves(c);
	free(ids);
}

static struct cf_id id_of(int byte)
{
	struct cf_id id;

	memset(id.bytes, byte, sizeof(id.bytes));
	return id;
}

static void a_chunk_is_claimed_once_and_found_when_stored(void **state)
{
	struct case_of *c = *state;
	struct cf_repo *repo = open_cached(c);
	struct cf_segment_pack pack = {.name = id_of(9), .size = 1000, .type = CF_OBJECT_DATA_PACK};
	struct cf_id id = id_of(5);
	struct cf_location place;
	uint64_t stored;

	assert_int_equal(cf_catalog_find(repo->catalog, &id, &place, NULL), 0);
	assert_int_equal(cf_catalog_claim(repo->catalog, &id, NULL), 0);
	assert_int_equal(cf_catalog_claim(repo->catalog, &id, NULL), 1);
	assert_int_equal(cf_catalog_find(repo->catalog, &id, &place, NULL), 0);
	pack.table.blobs = calloc(1, sizeof(struct cf_table_blob));
	pack.table.chunks = calloc(1, sizeof(struct cf_table_chunk));
	pack.table.n_blobs = pack.table.n_chunks = 1;
	pack.table.blobs[0] =
		(struct cf_table_blob){.off = CF_PACK_HEADER_LEN, .len = 100, .n_chunks = 1};
	pack.table.chunks[0] =
		(struct cf_table_chunk){.id = id, .raw_len = 79, .sketch = {{11, 12, 13, 14}}};
	assert_int_equal(cf_catalog_add_pack(repo->catalog, &pack, NULL), 0);
	for (int round = 0; round < 2; round++) {
		const struct cf_sketch like = {{11, 99, 99, 99}};
		struct cf_id found;

		assert_int_equal(cf_catalog_find(repo->catalog, &id, &place, NULL), 1);
		assert_int_equal(place.raw_len, 79);
		assert_int_equal(place.off, CF_PACK_HEADER_LEN);
		assert_int_equal(place.pack.bytes[31], 9);
		assert_int_equal(
			cf_catalog_find_similar(repo->catalog, &like, &found, &place, NULL), 1);
		assert_true(cf_id_equal(&found, &id));
		/* The second round finds it in the index, not in memory. */
		assert_int_equal(cf_catalog_publish(repo->catalog, true, &stored, NULL), 0);
		assert_true(round == 0 ? stored > 0 : stored == 0);
	}
	cf_repo_close(repo);
}

static void two_writers_share_one_store(void **state)
{
	struct case_of *c = *state;
	const struct cf_writer_options options = {
		.source = "x", .driver = "test", .host = "h", .user = "u"};
	struct cf_repo *repos[2] = {fixture_open(&c->f), fixture_open(&c->f)};
	struct cf_snapshot *snapshots[2];
	struct cf_writer *writers[2];

	for (int i = 0; i < 2; i++)
		assert_int_equal(cf_writer_open(repos[i], &options, &writers[i], NULL), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(source_push(2 + i, cf_writer_sink(writers[i]), NULL), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(cf_writer_commit(writers[i], &snapshots[i], NULL), 0);
		cf_writer_close(writers[i]);
	}
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(fixture_restore_equals(repos[1 - i], snapshots[i], 2 + i, NULL),
				 1);
		assert_int_equal(fixture_check(repos[i], NULL, NULL), 0);
	}
	for (int i = 0; i < 2; i++) {
		cf_snapshot_free(snapshots[i]);
		cf_repo_close(repos[i]);
	}
}

struct deltas {
	struct cf_id ids[1000];
	struct cf_bases bases[1000];
	unsigned n;
};

static int note_delta(void *user, const struct cf_id *id, const struct cf_location *place)
{
	struct deltas *d = user;

	if (place->bases.n && d->n < 1000) {
		d->ids[d->n] = *id;
		d->bases[d->n++] = place->bases;
	}
	return 0;
}

static void no_delta_has_a_delta_as_base(void **state)
{
	struct case_of *c = *state;
	struct cf_repo *repo = open_cached(c);
	struct deltas *deltas = calloc(1, sizeof(*deltas));

	assert_non_null(deltas);
	for (unsigned version = 2; version < 7; version++) {
		struct cf_snapshot *snapshot;

		assert_int_equal(fixture_backup(repo, version, &snapshot, NULL), 0);
		assert_int_equal(fixture_restore_equals(repo, snapshot, version, NULL), 1);
		cf_snapshot_free(snapshot);
	}
	assert_int_equal(cf_catalog_each(repo->catalog, note_delta, deltas, NULL), 0);
	assert_true(deltas->n > 5);
	for (unsigned i = 0; i < deltas->n; i++)
		for (unsigned k = 0; k < deltas->bases[i].n; k++) {
			struct cf_location base;

			assert_int_equal(cf_catalog_find(repo->catalog, &deltas->bases[i].ids[k],
							 &base, NULL),
					 1);
			assert_int_equal(base.bases.n, 0);
		}
	free(deltas);
	cf_repo_close(repo);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_index_that_is_kept_serves),
		TEST(a_deleted_index_is_built_anew),
		TEST(a_cut_index_is_built_anew),
		TEST(an_index_full_of_garbage_is_built_anew),
		TEST(flipped_bytes_of_the_index_do_no_harm),
		TEST(changed_rows_are_noticed),
		TEST(an_index_of_another_repository_is_replaced),
		TEST(packs_serve_without_segments),
		TEST(a_chunk_is_claimed_once_and_found_when_stored),
		TEST(two_writers_share_one_store),
		TEST(no_delta_has_a_delta_as_base),
	};

	return cmocka_run_group_tests_name("repo: catalog", tests, NULL, NULL);
}
