/* Reading a snapshot's tree in any order, from several threads. */

#include "tests/unit/repo_fixture.h"

#include "base/tree.h"
#include "repo/snapshot_tree.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum {
	N_TABLES = 12,
	N_OBJECTS = 3000, /* many blocks of a directory */
	HOLE_LEN = 3000000
};

struct run {
	struct fixture f;
	struct cf_repo *repo;
	struct cf_snapshot *snapshot;
	struct cf_tree *tree;
};

static void table_rows(unsigned i, struct cf_buf *out)
{
	cf_buf_clear(out);
	source_rows(i + 1, out, 1 + i * i * 30000);
}

static struct cf_dir *push_dir(struct cf_sink *sink, struct cf_dir *parent, const char *name)
{
	const struct cf_entry entry = {.type = CF_ENTRY_DIR, .name = name, .mode = 0750};
	struct cf_dir *dir;

	assert_int_equal(sink->ops->dir_begin(sink, parent, &entry, 0, &dir, NULL), 0);
	return dir;
}

static void push_file(struct cf_sink *sink, struct cf_dir *dir, const char *name,
		      struct cf_span data, uint64_t hole)
{
	const struct cf_entry entry = {.type = CF_ENTRY_FILE, .name = name, .mode = 0640};
	struct cf_file *file;

	assert_int_equal(sink->ops->file_begin(sink, dir, &entry, NULL, &file, NULL), 0);
	assert_int_equal(sink->ops->file_write(sink, file, data, NULL), 0);
	assert_int_equal(sink->ops->file_hole(sink, file, hole, NULL), 0);
	assert_int_equal(sink->ops->file_end(sink, file, NULL, NULL), 0);
}

/* Names in no order of their numbers, with gaps between. */
static const char *object_name(unsigned i, char out[24])
{
	snprintf(out, 24, "%08x", i * 2654435761u);
	return out;
}

/* server.json, db/tables/<n>.copy, db/sparse, db/large-objects/<name>: its number. */
static void push_tree(struct cf_sink *sink)
{
	struct cf_dir *root = push_dir(sink, NULL, ""), *db = push_dir(sink, root, "db"),
		      *sub = push_dir(sink, db, "tables");
	struct cf_buf rows = CF_BUF_INIT;
	char name[24], text[24];

	for (unsigned i = 0; i < N_TABLES; i++) {
		table_rows(i, &rows);
		snprintf(name, sizeof(name), "%u.copy", i);
		push_file(sink, sub, name, cf_buf_span(&rows), 0);
	}
	cf_buf_release(&rows);
	assert_int_equal(sink->ops->dir_end(sink, sub, NULL, NULL), 0);
	sub = push_dir(sink, db, "large-objects");
	for (unsigned i = 0; i < N_OBJECTS; i++) {
		snprintf(text, sizeof(text), "%u", i);
		push_file(sink, sub, object_name(i, name), cf_span_str(text), 0);
	}
	assert_int_equal(sink->ops->dir_end(sink, sub, NULL, NULL), 0);
	push_file(sink, db, "sparse", cf_span_str("x"), HOLE_LEN);
	assert_int_equal(sink->ops->dir_end(sink, db, NULL, NULL), 0);
	push_file(sink, root, "server.json", cf_span_str("{}"), 0);
	assert_int_equal(sink->ops->fact(sink, "lsn", "0/15", NULL), 0);
	assert_int_equal(sink->ops->dir_end(sink, root, NULL, NULL), 0);
}

static int set_up(void **state)
{
	const struct cf_writer_options options = {
		.source = "s", .driver = "test", .host = "h", .user = "u"};
	struct run *r = calloc(1, sizeof(*r));
	struct cf_writer *writer;

	assert_non_null(r);
	fixture_init(&r->f, 0);
	r->repo = fixture_open(&r->f);
	assert_int_equal(cf_writer_open(r->repo, &options, &writer, NULL), 0);
	push_tree(cf_writer_sink(writer));
	assert_int_equal(cf_writer_commit(writer, &r->snapshot, NULL), 0);
	cf_writer_close(writer);
	assert_int_equal(cf_snapshot_tree_new(r->repo, r->snapshot, "", &r->tree, NULL), 0);
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	struct run *r = *state;

	cf_snapshot_tree_free(r->tree);
	cf_snapshot_free(r->snapshot);
	cf_repo_close(r->repo);
	fixture_release(&r->f);
	free(r);
	return 0;
}

static void entries_are_found_by_path(void **state)
{
	static const struct {
		const char *path;
		enum cf_entry_type type;
		uint64_t size;
	} entries[] = {
		{"", CF_ENTRY_DIR, 0},
		{"db", CF_ENTRY_DIR, 0},
		{"db/tables", CF_ENTRY_DIR, 0},
		{"server.json", CF_ENTRY_FILE, 2},
		{"db/sparse", CF_ENTRY_FILE, HOLE_LEN + 1},
		{"db/tables/2.copy", CF_ENTRY_FILE, 120001},
	};
	static const char *const absent[] = {
		"x", "db/x", "x/y", "server.json/x", "db/tables/2.cop", "db/", "db//tables"};
	struct run *r = *state;

	for (size_t i = 0; i < sizeof(entries) / sizeof(*entries); i++) {
		struct cf_entry *entry;

		assert_int_equal(r->tree->ops->find(r->tree, entries[i].path, &entry, NULL), 0);
		assert_int_equal(entry->type, entries[i].type);
		assert_int_equal(entry->size, entries[i].size);
		free(entry);
	}
	for (size_t i = 0; i < sizeof(absent) / sizeof(*absent); i++) {
		struct cf_err err = CF_ERR_INIT;
		struct cf_entry *entry;

		assert_int_equal(r->tree->ops->find(r->tree, absent[i], &entry, &err),
				 CF_ERR_NOT_FOUND);
		assert_non_null(strstr(err.text, absent[i]));
	}
}

/* Each read is one of another file, there or not, in a folder of many blocks. */
static void any_order_finds_the_right_entry(void **state)
{
	struct cf_buf text = CF_BUF_INIT;
	struct run *r = *state;

	for (unsigned k = 0; k < 2 * N_OBJECTS; k++) {
		unsigned i = k % 2 ? k / 2 : k * 7919 % (2 * N_OBJECTS);
		char name[24], path[48], want[24];
		int rc;

		snprintf(path, sizeof(path), "db/large-objects/%s", object_name(i, name));
		rc = cf_tree_read_file(r->tree, path, 10, &text, NULL);
		assert_int_equal(rc, i < N_OBJECTS ? 0 : CF_ERR_NOT_FOUND);
		if (rc < 0)
			continue;
		snprintf(want, sizeof(want), "%u", i);
		assert_string_equal((const char *)text.data, want);
	}
	cf_buf_release(&text);
}

struct listed {
	char last[24];
	unsigned n, stop_after;
};

static int note_listed(void *user, const struct cf_entry *entry, struct cf_err *err)
{
	struct listed *listed = user;

	assert_true(strcmp(listed->last, entry->name) < 0);
	snprintf(listed->last, sizeof(listed->last), "%s", entry->name);
	return ++listed->n == listed->stop_after ? cf_err_set(err, CF_ERR_FULL, "enough") : 0;
}

static void a_folder_is_listed_in_order(void **state)
{
	struct listed all = {.n = 0}, some = {.stop_after = 2};
	struct cf_err err = CF_ERR_INIT;
	struct run *r = *state;

	assert_int_equal(r->tree->ops->list(r->tree, "db/large-objects", note_listed, &all, NULL),
			 0);
	assert_int_equal(all.n, N_OBJECTS);
	assert_int_equal(r->tree->ops->list(r->tree, "db", note_listed, &some, &err), CF_ERR_FULL);
	assert_string_equal(err.text, "enough");
	assert_string_equal(some.last, "sparse");
	assert_int_equal(r->tree->ops->list(r->tree, "server.json", note_listed, &some, NULL),
			 CF_ERR_NOT_FOUND);
}

static int append_piece(void *user, struct cf_span data, struct cf_err *err)
{
	return cf_buf_append(user, data.data, data.len, err);
}

static void any_part_of_a_file_can_be_read(void **state)
{
	struct cf_buf rows = CF_BUF_INIT, part = CF_BUF_INIT;
	struct run *r = *state;

	table_rows(9, &rows);
	for (uint64_t k = 0; k < 60; k++) {
		uint64_t off = k * 104729 % (rows.len + 100), len = k % 3 ? k * 7919 : UINT64_MAX;
		uint64_t left = off < rows.len ? rows.len - off : 0;

		cf_buf_clear(&part);
		assert_int_equal(r->tree->ops->read(r->tree, "db/tables/9.copy", off, len,
						    append_piece, &part, NULL),
				 0);
		assert_int_equal(part.len, len < left ? len : left);
		if (part.len)
			assert_memory_equal(part.data, rows.data + off, part.len);
	}
	assert_int_equal(cf_tree_read_file(r->tree, "db/sparse", HOLE_LEN + 1, &part, NULL), 0);
	assert_int_equal(part.len, HOLE_LEN + 1);
	assert_true(part.data[0] == 'x' && part.data[1] == 0 && part.data[HOLE_LEN] == 0);
	assert_int_equal(cf_tree_read_file(r->tree, "db/sparse", HOLE_LEN, &part, NULL),
			 CF_ERR_FAILED);
	cf_buf_release(&rows);
	cf_buf_release(&part);
}

static int refuse_piece(void *user, struct cf_span data, struct cf_err *err)
{
	return ++*(unsigned *)user == 2 ? cf_err_set(err, CF_ERR_FULL, "no more") : 0;
}

static void whoever_takes_the_pieces_may_stop(void **state)
{
	struct cf_err err = CF_ERR_INIT;
	struct run *r = *state;
	unsigned n = 0;

	assert_int_equal(r->tree->ops->read(r->tree, "db/tables/11.copy", 0, UINT64_MAX,
					    refuse_piece, &n, &err),
			 CF_ERR_FULL);
	assert_int_equal(n, 2);
	assert_string_equal(err.text, "no more");
}

struct reader {
	struct run *r;
	pthread_t thread;
	unsigned first;
	unsigned n_equal;
};

static void *read_tables(void *arg)
{
	struct cf_buf rows = CF_BUF_INIT, found = CF_BUF_INIT;
	struct reader *reader = arg;

	for (unsigned k = 0; k < N_TABLES; k++) {
		unsigned i = (reader->first + k) % N_TABLES;
		char path[32];

		table_rows(i, &rows);
		snprintf(path, sizeof(path), "db/tables/%u.copy", i);
		if (cf_tree_read_file(reader->r->tree, path, 10000000, &found, NULL) == 0)
			reader->n_equal += found.len == rows.len &&
					   memcmp(found.data, rows.data, rows.len) == 0;
	}
	cf_buf_release(&rows);
	cf_buf_release(&found);
	return NULL;
}

static void threads_may_read_at_once(void **state)
{
	struct reader readers[4];

	for (unsigned i = 0; i < 4; i++) {
		readers[i] = (struct reader){.r = *state, .first = 3 * i};
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_tables, &readers[i]),
				 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].n_equal, N_TABLES);
	}
}

static void a_folder_may_be_the_root(void **state)
{
	struct run *r = *state;
	struct cf_buf text = CF_BUF_INIT;
	struct cf_tree *tree;

	assert_int_equal(cf_snapshot_tree_new(r->repo, r->snapshot, "db/tables", &tree, NULL), 0);
	assert_int_equal(cf_tree_read_file(tree, "0.copy", 10, &text, NULL), 0);
	assert_int_equal(text.len, 1);
	assert_string_equal(tree->ops->fact(tree, "lsn"), "0/15");
	assert_null(tree->ops->fact(tree, "none"));
	cf_snapshot_tree_free(tree);
	assert_int_equal(cf_snapshot_tree_new(r->repo, r->snapshot, "db/x", &tree, NULL),
			 CF_ERR_NOT_FOUND);
	assert_int_equal(cf_snapshot_tree_new(r->repo, r->snapshot, "server.json", &tree, NULL),
			 CF_ERR_NOT_FOUND);
	cf_buf_release(&text);
}

struct largest {
	char name[100];
	uint64_t size;
};

static int note_largest(void *user, const char *name, uint64_t size)
{
	struct largest *largest = user;

	if (size > largest->size) {
		largest->size = size;
		snprintf(largest->name, sizeof(largest->name), "%s", name);
	}
	return 0;
}

static void damage_is_an_error_that_names_the_file(void **state)
{
	struct cf_buf rows = CF_BUF_INIT, found = CF_BUF_INIT;
	struct run *r = *state;
	struct largest pack = {.size = 0};
	unsigned n_damaged = 0, n_whole = 0;

	assert_int_equal(r->f.store->ops->list(r->f.store, "packs", note_largest, &pack, NULL), 0);
	assert_int_equal(cf_memory_flip(r->f.store, pack.name, pack.size / 2, 1, NULL), 0);
	cf_snapshot_tree_free(r->tree);
	cf_repo_close(r->repo);
	r->repo = fixture_open(&r->f);
	assert_int_equal(cf_snapshot_tree_new(r->repo, r->snapshot, "", &r->tree, NULL), 0);
	for (unsigned i = 0; i < N_TABLES; i++) {
		struct cf_err err = CF_ERR_INIT;
		char path[32];
		int rc;

		table_rows(i, &rows);
		snprintf(path, sizeof(path), "db/tables/%u.copy", i);
		rc = cf_tree_read_file(r->tree, path, 10000000, &found, &err);
		if (rc < 0) {
			assert_int_equal(rc, CF_ERR_DAMAGED);
			assert_non_null(strstr(err.text, path));
			n_damaged++;
			continue;
		}
		assert_int_equal(found.len, rows.len);
		assert_memory_equal(found.data, rows.data, rows.len);
		n_whole++;
	}
	assert_true(n_damaged > 0 && n_whole > 0);
	cf_buf_release(&rows);
	cf_buf_release(&found);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(entries_are_found_by_path),
		TEST(any_order_finds_the_right_entry),
		TEST(a_folder_is_listed_in_order),
		TEST(any_part_of_a_file_can_be_read),
		TEST(whoever_takes_the_pieces_may_stop),
		TEST(threads_may_read_at_once),
		TEST(a_folder_may_be_the_root),
		TEST(damage_is_an_error_that_names_the_file),
	};

	return cmocka_run_group_tests_name("repo: snapshot tree", tests, NULL, NULL);
}
