/* What a mount is made of: the cache, directories by name and position, content at any offset, and the folders of snapshots. */

#include "tests/unit/repo_fixture.h"

#include "fuse/cache.h"
#include "fuse/dirs.h"
#include "fuse/files.h"
#include "fuse/inodes.h"
#include "fuse/views.h"
#include "repo/tree.h"

#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum {
	N_ENTRIES = 5000, /* many blocks */
	FILE_LEN = 9 << 20,
	HOLE_LEN = 3 << 20,
	CACHE_LEN = 2 << 20 /* less than the file, so that chunks come and go */
};

struct run {
	struct fixture f;
	struct cf_repo *repo;
	struct cf_snapshot *snapshot;
	struct cf_buf file; /* its content: rows, a hole, the same rows again */
};

static void push_file(struct cf_sink *sink, struct cf_dir *dir, const char *name, struct cf_span data)
{
	const struct cf_entry entry = {.type = CF_ENTRY_FILE, .name = name, .mode = 0640};
	struct cf_file *file;

	assert_int_equal(sink->ops->file_begin(sink, dir, &entry, NULL, &file, NULL), 0);
	assert_int_equal(sink->ops->file_write(sink, file, data, NULL), 0);
	assert_int_equal(sink->ops->file_end(sink, file, NULL, NULL), 0);
}

static void push_holed(struct cf_sink *sink, struct cf_dir *dir, struct cf_span rows)
{
	const struct cf_entry entry = {.type = CF_ENTRY_FILE, .name = "file", .mode = 0640};
	struct cf_file *file;

	assert_int_equal(sink->ops->file_begin(sink, dir, &entry, NULL, &file, NULL), 0);
	assert_int_equal(sink->ops->file_write(sink, file, rows, NULL), 0);
	assert_int_equal(sink->ops->file_hole(sink, file, HOLE_LEN, NULL), 0);
	assert_int_equal(sink->ops->file_write(sink, file, rows, NULL), 0);
	assert_int_equal(sink->ops->file_end(sink, file, NULL, NULL), 0);
}

static const char *entry_name(unsigned i, char out[24])
{
	snprintf(out, 24, "%08x", i * 2654435761u);
	return out;
}

static struct cf_dir *push_dir(struct cf_sink *sink, struct cf_dir *parent, const char *name)
{
	const struct cf_entry entry = {.type = CF_ENTRY_DIR, .name = name, .mode = 0750};
	struct cf_dir *dir;

	assert_int_equal(sink->ops->dir_begin(sink, parent, &entry, 0, &dir, NULL), 0);
	return dir;
}

static void push_tree(struct run *r, struct cf_sink *sink)
{
	struct cf_dir *root = push_dir(sink, NULL, ""), *many = push_dir(sink, root, "many");
	char name[24];
	size_t len;

	for (unsigned i = 0; i < N_ENTRIES; i++)
		push_file(sink, many, entry_name(i, name), cf_span_str(name));
	assert_int_equal(sink->ops->dir_end(sink, many, NULL, NULL), 0);
	assert_int_equal(sink->ops->dir_end(sink, push_dir(sink, root, "none"), NULL, NULL), 0);
	source_rows(1, &r->file, FILE_LEN);
	len = r->file.len;
	push_holed(sink, root, cf_buf_span(&r->file));
	assert_int_equal(cf_buf_resize(&r->file, len + HOLE_LEN, NULL), 0);
	assert_int_equal(cf_buf_reserve(&r->file, len, NULL), 0);
	assert_int_equal(cf_buf_append(&r->file, r->file.data, len, NULL), 0);
	assert_int_equal(sink->ops->dir_end(sink, root, NULL, NULL), 0);
}

static int set_up(void **state)
{
	const struct cf_writer_options options = {
		.source = "files:/a b/%", .driver = "files", .host = "h", .user = "u"};
	struct run *r = calloc(1, sizeof(*r));
	struct cf_writer *writer;

	assert_non_null(r);
	fixture_init(&r->f, 0);
	r->repo = fixture_open(&r->f);
	assert_int_equal(cf_writer_open(r->repo, &options, &writer, NULL), 0);
	push_tree(r, cf_writer_sink(writer));
	assert_int_equal(cf_writer_commit(writer, &r->snapshot, NULL), 0);
	cf_writer_close(writer);
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	struct run *r = *state;

	cf_buf_release(&r->file);
	cf_snapshot_free(r->snapshot);
	cf_repo_close(r->repo);
	fixture_release(&r->f);
	free(r);
	return 0;
}

static struct cf_node *node_at(struct run *r, const char *path)
{
	struct cf_node *node = NULL;

	assert_int_equal(cf_tree_find(r->repo, r->snapshot, path, &node, NULL), 0);
	return node;
}

static int note_name(void *user, const struct cf_node *node, uint64_t next, struct cf_err *err)
{
	strcpy(user, node->entry.name);
	return 0;
}

static void every_name_is_found_and_no_other(void **state)
{
	struct cf_node *node = node_at(*state, "many");
	struct cf_dirs *dirs = NULL;
	struct cf_dir_reader *reader = NULL;
	char name[24], found[24], other[32];

	/* Hardly a block fits into the cache. */
	assert_int_equal(cf_dirs_new(((struct run *)*state)->repo, 100000, &dirs, NULL), 0);
	assert_int_equal(cf_dir_reader_open(dirs, &node->content, &reader, NULL), 0);
	for (unsigned i = 0; i < N_ENTRIES; i++) {
		entry_name(i, name);
		assert_int_equal(cf_dir_reader_find(reader, name, note_name, found, NULL), 1);
		assert_string_equal(found, name);
		snprintf(other, sizeof(other), "%s.", name);
		assert_int_equal(cf_dir_reader_find(reader, other, note_name, found, NULL), 0);
	}
	assert_int_equal(cf_dir_reader_find(reader, "", note_name, found, NULL), 0);
	assert_int_equal(cf_dir_reader_find(reader, "zzz", note_name, found, NULL), 0);
	cf_dir_reader_close(reader);
	cf_dirs_free(dirs);
	free(node);
}

struct listing {
	char last[24];
	unsigned n, n_stop; /* stop after so many */
	uint64_t next;
};

static int list_node(void *user, const struct cf_node *node, uint64_t next, struct cf_err *err)
{
	struct listing *listing = user;

	if (listing->n_stop-- == 0)
		return 1;
	assert_true(strcmp(node->entry.name, listing->last) > 0);
	strcpy(listing->last, node->entry.name);
	listing->n++;
	listing->next = next;
	return 0;
}

static void a_listing_goes_on_from_any_position(void **state)
{
	struct cf_node *node = node_at(*state, "many");
	struct cf_dirs *dirs = NULL;
	struct cf_dir_reader *reader = NULL;
	struct listing listing = {.n = 0};
	int rc = 1;

	assert_int_equal(cf_dirs_new(((struct run *)*state)->repo, 1 << 20, &dirs, NULL), 0);
	assert_int_equal(cf_dir_reader_open(dirs, &node->content, &reader, NULL), 0);
	for (unsigned step = 1; rc == 1; step = step * 3 % 101) {
		listing.n_stop = step;
		rc = cf_dir_reader_each(reader, listing.next, list_node, &listing, NULL);
		assert_true(rc >= 0);
	}
	assert_int_equal(listing.n, N_ENTRIES);
	cf_dir_reader_close(reader);
	free(node);
	node = node_at(*state, "none");
	assert_int_equal(cf_dir_reader_open(dirs, &node->content, &reader, NULL), 0);
	assert_int_equal(cf_dir_reader_each(reader, 0, list_node, &listing, NULL), 0);
	assert_int_equal(cf_dir_reader_find(reader, "x", note_name, NULL, NULL), 0);
	cf_dir_reader_close(reader);
	cf_dirs_free(dirs);
	free(node);
}

static bool equals(const struct cf_read *read, const uint8_t *data, size_t len)
{
	size_t at = 0;

	for (size_t i = 0; i < read->n_pieces; i++) {
		if (at + read->pieces[i].iov_len > len ||
		    memcmp(data + at, read->pieces[i].iov_base, read->pieces[i].iov_len) != 0)
			return false;
		at += read->pieces[i].iov_len;
	}
	return at == len;
}

struct reading {
	struct run *r;
	struct cf_files *files;
	const struct cf_content *content;
	struct cf_file_reader *shared; /* NULL: one of its own */
	unsigned seed;
	bool failed;
};

static bool read_equals(struct reading *reading, struct cf_file_reader *reader, size_t off, size_t len)
{
	const struct cf_buf *file = &reading->r->file;
	struct cf_read read = CF_READ_INIT;
	size_t want = off >= file->len ? 0 : len < file->len - off ? len : file->len - off;
	bool same = cf_file_reader_read(reader, off, len, &read, NULL) == 0 &&
		    equals(&read, file->data + (want ? off : 0), want);

	cf_read_release(reading->files, &read);
	return same;
}

/* Jumps, and stretches forward that are decoded ahead. */
static void *read_around(void *user)
{
	struct reading *reading = user;
	struct cf_file_reader *reader = reading->shared;
	unsigned random = reading->seed;

	if (!reader && cf_file_reader_open(reading->files, reading->content, &reader, NULL) < 0) {
		reading->failed = true;
		return NULL;
	}
	for (int i = 0; i < 60 && !reading->failed; i++) {
		size_t off, len;

		random = random * 1664525 + 1013904223;
		off = (random >> 4) % (reading->r->file.len + 100);
		len = (random >> 8) % 200000 + 1;
		for (int j = 0; j < 8 && !reading->failed; j++, off += len)
			reading->failed = !read_equals(reading, reader, off, len);
	}
	if (reader != reading->shared)
		cf_file_reader_close(reader);
	return NULL;
}

static void many_threads_read_what_was_written(void **state)
{
	struct run *r = *state;
	struct cf_node *node = node_at(r, "file");
	struct cf_files *files = NULL;
	struct cf_file_reader *shared = NULL;
	struct reading readings[8];
	pthread_t threads[8];

	assert_int_equal(cf_files_new(r->repo, CACHE_LEN, 2, &files, NULL), 0);
	assert_int_equal(cf_file_reader_open(files, &node->content, &shared, NULL), 0);
	for (unsigned i = 0; i < 8; i++) {
		readings[i] = (struct reading){.r = r,
					       .files = files,
					       .content = &node->content,
					       .shared = i % 2 ? shared : NULL,
					       .seed = i};
		assert_int_equal(pthread_create(&threads[i], NULL, read_around, &readings[i]), 0);
	}
	for (unsigned i = 0; i < 8; i++) {
		pthread_join(threads[i], NULL);
		assert_false(readings[i].failed);
	}
	cf_file_reader_close(shared);
	cf_files_free(files);
	free(node);
}

static void read_piece(struct reading *reading, struct cf_file_reader *reader, size_t off, size_t len)
{
	assert_true(read_equals(reading, reader, off, len));
}

/* One chunk of each stretch stays in use; what was decoded along with it does not stay for its sake. */
static void memory_keeps_to_the_budget(void **state)
{
	enum { BUDGET = 3 << 20, STRETCH = 2 << 20, SLACK = 4 << 20 }; /* what workers hold at this moment */
	struct run *r = *state;
	struct cf_node *node = node_at(r, "file");
	struct cf_files *files = NULL;
	struct cf_file_reader *reader = NULL;
	struct reading reading = {.r = r};
	size_t before = 0;

	for (int round = 0; round < 2; round++) {
		/* The first fills the repository's own cache. */
		before = mallinfo2().uordblks + mallinfo2().hblkhd;
		assert_int_equal(cf_files_new(r->repo, BUDGET, 1, &files, NULL), 0);
		assert_int_equal(cf_file_reader_open(files, &node->content, &reader, NULL), 0);
		reading.files = files;
		for (size_t off = 0; off + STRETCH <= FILE_LEN; off += STRETCH) {
			read_piece(&reading, reader, off, STRETCH);
			for (size_t again = 0; again <= off; again += STRETCH)
				read_piece(&reading, reader, again, 1);
		}
		if (round == 1)
			assert_in_range(mallinfo2().uordblks + mallinfo2().hblkhd, 0, before + BUDGET + SLACK);
		cf_file_reader_close(reader);
		cf_files_free(files);
	}
	free(node);
}

static void a_reader_that_goes_on_tells_what_it_left(void **state)
{
	struct run *r = *state;
	struct cf_node *node = node_at(r, "file");
	struct cf_files *files = NULL;
	struct cf_file_reader *reader = NULL;
	struct reading reading = {.r = r};
	uint64_t off = 0, len = 0;
	size_t at = 0, told = 0;

	assert_int_equal(cf_files_new(r->repo, CACHE_LEN, 1, &files, NULL), 0);
	assert_int_equal(cf_file_reader_open(files, &node->content, &reader, NULL), 0);
	reading.files = files;
	for (; at < r->file.len; at += 100000) {
		read_piece(&reading, reader, at, 100000);
		if (!cf_file_reader_left(reader, &off, &len))
			continue;
		assert_int_equal(off, told);
		assert_true(len > 0 && off + len + (16 << 20) <= at + 100000);
		told = (size_t)(off + len);
	}
	assert_in_range(told, 1 << 20, r->file.len - (16 << 20));
	/* Whoever jumps may come back. */
	read_piece(&reading, reader, 0, 100000);
	assert_false(cf_file_reader_left(reader, &off, &len));
	cf_file_reader_close(reader);
	cf_files_free(files);
	free(node);
}

struct counted {
	int n_freed;
};

static void count_free(void *value)
{
	((struct counted *)value)->n_freed++;
}

static void the_cache_keeps_to_its_budget(void **state)
{
	struct counted counted[8] = {{0}};
	struct cf_cache *cache = NULL;
	struct cf_cache_entry *entries[8];
	bool claimed;

	assert_int_equal(cf_cache_new(3500, count_free, &cache, NULL), 0);
	for (uint8_t i = 0; i < 8; i++) {
		struct cf_id id = {.bytes = {i}};

		entries[i] = cf_cache_get(cache, &id, &claimed);
		assert_true(claimed);
		assert_null(cf_cache_claim(cache, &id));
		cf_cache_fill(cache, entries[i], &counted[i], 1000);
		assert_int_equal(cf_cache_wait(cache, entries[i], NULL), 0);
		/* What is in use stays, whatever the budget. */
		if (i > 0)
			cf_cache_release(cache, entries[i]);
	}
	assert_int_equal(counted[0].n_freed, 0);
	assert_int_equal(counted[1].n_freed, 1);
	assert_int_equal(counted[7].n_freed, 0);
	cf_cache_release(cache, entries[0]);
	cf_cache_free(cache);
	for (int i = 0; i < 8; i++)
		assert_int_equal(counted[i].n_freed, 1);
}

static void small_values_cost_what_their_entries_do(void **state)
{
	struct counted counted = {0};
	struct cf_cache *cache = NULL;
	bool claimed;

	assert_int_equal(cf_cache_new(10000, count_free, &cache, NULL), 0);
	for (uint8_t i = 0; i < 200; i++) {
		struct cf_id id = {.bytes = {i}};
		struct cf_cache_entry *entry = cf_cache_get(cache, &id, &claimed);

		cf_cache_fill(cache, entry, &counted, 1);
		cf_cache_release(cache, entry);
	}
	assert_in_range(counted.n_freed, 50, 199);
	cf_cache_free(cache);
	assert_int_equal(counted.n_freed, 200);
}

static void a_failed_load_is_tried_again_by_the_next(void **state)
{
	struct cf_err reason = CF_ERR_INIT, err = CF_ERR_INIT;
	struct counted counted = {0};
	struct cf_cache *cache = NULL;
	struct cf_id id = {.bytes = {9}};
	struct cf_cache_entry *first, *second;
	bool claimed;

	assert_int_equal(cf_cache_new(300, count_free, &cache, NULL), 0);
	first = cf_cache_get(cache, &id, &claimed);
	second = cf_cache_get(cache, &id, &claimed);
	assert_false(claimed);
	cf_err_set(&reason, CF_ERR_DAMAGED, "a chunk is damaged");
	cf_cache_fail(cache, first, &reason);
	assert_int_equal(cf_cache_wait(cache, second, &err), CF_ERR_DAMAGED);
	assert_string_equal(err.text, "a chunk is damaged");
	cf_cache_release(cache, first);
	second->value = NULL;
	cf_cache_release(cache, second);
	first = cf_cache_get(cache, &id, &claimed);
	assert_true(claimed);
	cf_cache_fill(cache, first, &counted, 1);
	cf_cache_release(cache, first);
	cf_cache_free(cache);
	assert_int_equal(counted.n_freed, 1);
}

/* A store that fails: errors for reads of what is not at hand, never wrong bytes, and all is well once it works again. */
static void trouble_spoils_only_what_needs_it(void **state)
{
	const struct cf_fault_rule every_one = {.call = CF_CALL_GET,
						  .prefix = "packs",
						  .nth = 1,
						  .is_repeated = true,
						  .code = CF_ERR_DAMAGED};
	struct run *r = *state;
	struct cf_node *node = node_at(r, "file");
	struct cf_backend *fault = NULL;
	struct cf_repo *repo;
	struct cf_files *files = NULL;
	struct cf_file_reader *reader = NULL;
	struct reading reading = {.r = r};
	unsigned n_bad = 0;

	assert_int_equal(cf_fault_new(fixture_share(r->f.store), &fault, NULL), 0);
	repo = fixture_open_over(&r->f, fault, NULL, NULL);
	assert_non_null(repo);
	/* So small that nothing is kept for long. */
	assert_int_equal(cf_files_new(repo, 1 << 20, 2, &files, NULL), 0);
	assert_int_equal(cf_file_reader_open(files, &node->content, &reader, NULL), 0);
	reading.files = files;
	assert_true(read_equals(&reading, reader, 0, 10));
	cf_fault_set(fault, &every_one);
	for (size_t off = 0; off < r->file.len; off += 100000) {
		struct cf_read read = CF_READ_INIT;
		size_t len = r->file.len - off < 100000 ? r->file.len - off : 100000;

		if (cf_file_reader_read(reader, off, len, &read, NULL) < 0)
			n_bad++;
		else
			assert_true(equals(&read, r->file.data + off, len));
		cf_read_release(files, &read);
	}
	assert_true(n_bad > 0);
	cf_fault_set(fault, NULL);
	for (size_t off = 0; off < r->file.len; off += 100000)
		assert_true(read_equals(&reading, reader, off, 100000));
	cf_file_reader_close(reader);
	cf_files_free(files);
	cf_repo_close(repo);
	free(node);
}

static int note_item(void *user, const struct cf_view_item *item, struct cf_err *err)
{
	return cf_buf_printf(user, err, "%s%s%s\n", item->name, item->key ? " " : "", item->key ? item->key : "");
}

static void views_group_snapshots_by_encoded_names(void **state)
{
	struct run *r = *state;
	struct cf_snapshot_filter all = {.host = NULL};
	struct cf_shots *shots = NULL;
	struct cf_shot_list *list = NULL;
	struct cf_buf text = CF_BUF_INIT;

	assert_int_equal(cf_shots_new(r->repo, &all, &shots, NULL), 0);
	assert_int_equal(cf_shots_list(shots, &list, NULL), 0);
	assert_int_equal(list->n, 1);
	assert_int_equal(cf_view_each(list, CF_VIEW_BY_SOURCE, NULL, note_item, &text, NULL), 0);
	assert_int_equal(cf_buf_append(&text, "", 1, NULL), 0);
	assert_string_equal((char *)text.data, "files:%2Fa b%2F%25 files:%2Fa b%2F%25\n");
	cf_buf_clear(&text);
	assert_int_equal(
		cf_view_find(list, CF_VIEW_GROUP_SOURCE, "files:%2Fa b%2F%25", "latest", note_item, &text, NULL),
		1);
	assert_int_equal(cf_buf_append(&text, "", 1, NULL), 0);
	assert_non_null(strstr((char *)text.data, list->items[0]->name));
	assert_int_equal(cf_view_find(list, CF_VIEW_GROUP_SOURCE, "files:", "latest", note_item, &text, NULL), 0);
	assert_int_equal(cf_view_find(list, CF_VIEW_ROOT, NULL, "by-tag", note_item, &text, NULL), 1);
	assert_int_equal(cf_view_find(list, CF_VIEW_ROOT, NULL, "by-day", note_item, &text, NULL), 0);
	cf_buf_release(&text);
	cf_shot_list_release(list);
	cf_shots_free(shots);
}

static void inodes_are_the_same_each_time(void **state)
{
	struct run *r = *state;
	struct cf_inodes *inodes = NULL;
	struct cf_inode *a = NULL, *b = NULL;
	struct cf_snapshot *copy = NULL;
	struct cf_shot *shot = NULL;
	struct cf_node *root = node_at(r, ""), *file = node_at(r, "file");
	uint64_t ino;

	assert_int_equal(cf_snapshot_load(r->repo, &r->snapshot->id, &copy, NULL), 0);
	assert_int_equal(cf_shot_new(copy, &shot, NULL), 0);
	assert_int_equal(cf_inodes_new(&inodes, NULL), 0);
	assert_int_equal(cf_inodes_set_root(inodes, shot, root, NULL), 0);
	assert_int_equal(cf_inodes_of_node(inodes, cf_inodes_at(inodes, 1), file, &a, NULL), 0);
	assert_int_equal(cf_inodes_of_node(inodes, cf_inodes_at(inodes, 1), file, &b, NULL), 0);
	assert_ptr_equal(a, b);
	ino = a->ino;
	assert_int_equal(ino, cf_ino_of_node(cf_inodes_at(inodes, 1), file));
	cf_inodes_forget(inodes, ino, 1);
	assert_ptr_equal(cf_inodes_at(inodes, ino), a);
	cf_inodes_forget(inodes, ino, 1);
	assert_null(cf_inodes_at(inodes, ino));
	assert_int_equal(cf_inodes_of_node(inodes, cf_inodes_at(inodes, 1), file, &a, NULL), 0);
	assert_int_equal(a->ino, ino);
	cf_inodes_free(inodes);
	cf_shot_release(shot);
	free(root);
	free(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_name_is_found_and_no_other),
		cmocka_unit_test(a_listing_goes_on_from_any_position),
		cmocka_unit_test(many_threads_read_what_was_written),
		cmocka_unit_test(memory_keeps_to_the_budget),
		cmocka_unit_test(a_reader_that_goes_on_tells_what_it_left),
		cmocka_unit_test(the_cache_keeps_to_its_budget),
		cmocka_unit_test(small_values_cost_what_their_entries_do),
		cmocka_unit_test(a_failed_load_is_tried_again_by_the_next),
		cmocka_unit_test(trouble_spoils_only_what_needs_it),
		cmocka_unit_test(views_group_snapshots_by_encoded_names),
		cmocka_unit_test(inodes_are_the_same_each_time),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
