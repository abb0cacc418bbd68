/* What producers may do to the writer: links, aborts, duplicates, threads, unchanged files; and
 * content lists. */

#include "tests/unit/repo_fixture.h"

#include "repo/lists.h"
#include "repo/tree.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct cf_entry root_entry = {.type = CF_ENTRY_DIR, .name = ""};

struct run {
	struct fixture f;
	struct cf_repo *repo;
	struct cf_writer *writer;
	struct cf_sink *sink;
	struct cf_dir *root;
	struct cf_sink_recorder *back;
};

static void begin(struct run *r)
{
	const struct cf_writer_options options = {
		.source = "s", .driver = "test", .host = "h", .user = "u"};

	assert_int_equal(cf_writer_open(r->repo, &options, &r->writer, NULL), 0);
	r->sink = cf_writer_sink(r->writer);
	assert_int_equal(r->sink->ops->dir_begin(r->sink, NULL, &root_entry, 0, &r->root, NULL), 0);
}

/* Commit, and restore into r->back. */
static struct cf_figures end(struct run *r)
{
	const struct cf_restore_run_options options = {0};
	struct cf_restore_figures restored;
	struct cf_snapshot *snapshot;
	struct cf_figures figures;

	assert_int_equal(r->sink->ops->dir_end(r->sink, r->root, NULL, NULL), 0);
	assert_int_equal(cf_writer_commit(r->writer, &snapshot, NULL), 0);
	cf_writer_close(r->writer);
	cf_sink_recorder_free(r->back);
	r->back = cf_sink_recorder_new();
	assert_int_equal(
		cf_restore_run(r->repo, snapshot, "", &options, &r->back->sink, &restored, NULL),
		0);
	figures = snapshot->figures;
	cf_snapshot_free(snapshot);
	return figures;
}

static struct cf_file *open_file(struct run *r, const struct cf_entry *entry)
{
	struct cf_file *file;

	assert_int_equal(r->sink->ops->file_begin(r->sink, r->root, entry, NULL, &file, NULL), 0);
	return file;
}

static void write_text(struct run *r, struct cf_file *file, const char *text)
{
	assert_int_equal(r->sink->ops->file_write(r->sink, file, cf_span_str(text), NULL), 0);
}

static void add_file(struct run *r, const char *name, const char *text)
{
	const struct cf_entry entry = {.type = CF_ENTRY_FILE, .name = name};
	struct cf_file *file = open_file(r, &entry);

	write_text(r, file, text);
	assert_int_equal(r->sink->ops->file_end(r->sink, file, NULL, NULL), 0);
}

static void assert_text(struct run *r, const char *path, const char *want)
{
	struct cf_recorded *found = cf_sink_recorder_find(r->back, path);

	assert_non_null(found);
	assert_string_equal(cf_sink_recorder_text(found), want);
}

static int set_up(void **state)
{
	struct run *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	fixture_init(&r->f, 0);
	r->repo = fixture_open(&r->f);
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	struct run *r = *state;

	cf_sink_recorder_free(r->back);
	cf_repo_close(r->repo);
	fixture_release(&r->f);
	free(r);
	return 0;
}

static void the_last_of_a_name_wins(void **state)
{
	struct run *r = *state;

	begin(r);
	add_file(r, "b", "first");
	add_file(r, "a", "other");
	add_file(r, "b", "second");
	end(r);
	assert_int_equal(r->back->root->n_children, 2);
	assert_text(r, "b", "second");
}

static void an_aborted_file_does_not_appear(void **state)
{
	const struct cf_entry entry = {.type = CF_ENTRY_FILE, .name = "gone"};
	struct cf_buf rows = CF_BUF_INIT;
	struct run *r = *state;
	struct cf_file *file;

	source_rows(1, &rows, 900000);
	begin(r);
	add_file(r, "kept", "text");
	file = open_file(r, &entry);
	assert_int_equal(r->sink->ops->file_write(r->sink, file, cf_buf_span(&rows), NULL), 0);
	r->sink->ops->file_abort(r->sink, file);
	assert_int_equal(end(r).files, 1);
	assert_int_equal(r->back->root->n_children, 1);
	assert_text(r, "kept", "text");
	cf_buf_release(&rows);
}

static void names_of_one_inode_share_its_content(void **state)
{
	struct cf_entry entry = {
		.type = CF_ENTRY_FILE, .name = "a", .dev = 1, .ino = 2, .nlink = 2};
	struct run *r = *state;
	struct cf_file *file;

	begin(r);
	file = open_file(r, &entry);
	write_text(r, file, "shared");
	assert_int_equal(r->sink->ops->file_end(r->sink, file, NULL, NULL), 0);
	entry.name = "b";
	assert_null(open_file(r, &entry));
	end(r);
	assert_text(r, "a", "shared");
	assert_non_null(cf_sink_recorder_find(r->back, "b"));
	assert_string_equal(cf_sink_recorder_find(r->back, "b")->linked_from, "a");
}

static void a_link_takes_the_content_of_the_file_it_names(void **state)
{
	const struct cf_entry entry = {.type = CF_ENTRY_FILE, .name = "b"};
	struct run *r = *state;

	begin(r);
	add_file(r, "a", "linked");
	assert_int_equal(r->sink->ops->link(r->sink, r->root, &entry, "a", NULL), 0);
	assert_int_equal(r->sink->ops->link(r->sink, r->root, &entry, "none", NULL),
			 CF_ERR_NOT_FOUND);
	end(r);
	assert_text(r, "a", "linked");
	assert_string_equal(cf_sink_recorder_find(r->back, "b")->linked_from, "a");
}

static const struct cf_entry timed = {.type = CF_ENTRY_FILE,
				      .name = "f",
				      .mtime_ns = 5,
				      .ctime_ns = 6,
				      .dev = 1,
				      .ino = 2,
				      .nlink = 1,
				      .size = 9};

static void an_unchanged_file_is_not_read(void **state)
{
	struct cf_entry changed = timed;
	struct run *r = *state;
	struct cf_file *file;

	begin(r);
	file = open_file(r, &timed);
	write_text(r, file, "unchanged");
	assert_int_equal(r->sink->ops->file_end(r->sink, file, NULL, NULL), 0);
	end(r);
	begin(r);
	assert_null(open_file(r, &timed));
	assert_int_equal(end(r).files_unchanged, 1);
	assert_text(r, "f", "unchanged");
	changed.ctime_ns++;
	begin(r);
	file = open_file(r, &changed);
	assert_non_null(file);
	write_text(r, file, "different");
	assert_int_equal(r->sink->ops->file_end(r->sink, file, NULL, NULL), 0);
	assert_int_equal(end(r).files_unchanged, 0);
	assert_text(r, "f", "different");
}

static uint64_t stored_of(struct run *r, const char *name, struct cf_span data,
			  const struct cf_profile *profile)
{
	const struct cf_entry entry = {.type = CF_ENTRY_FILE, .name = name};
	struct cf_recorded *found;
	struct cf_file *file;
	uint64_t stored;

	begin(r);
	assert_int_equal(r->sink->ops->file_begin(r->sink, r->root, &entry, profile, &file, NULL),
			 0);
	assert_int_equal(r->sink->ops->file_write(r->sink, file, data, NULL), 0);
	assert_int_equal(r->sink->ops->file_end(r->sink, file, NULL, NULL), 0);
	stored = end(r).bytes_stored;
	found = cf_sink_recorder_find(r->back, name);
	assert_int_equal(found->content.len, data.len);
	assert_memory_equal(found->content.data, data.data, data.len);
	return stored;
}

static void content_said_to_be_compressed_is_stored_as_it_is(void **state)
{
	const struct cf_profile compressed = {.is_compressed = true};
	struct cf_buf rows = CF_BUF_INIT;
	struct run *r = *state;

	source_rows(1, &rows, 700000);
	assert_true(stored_of(r, "compressed", cf_buf_span(&rows), &compressed) > rows.len);
	/* And deduplicated like any other. */
	assert_true(stored_of(r, "again", cf_buf_span(&rows), NULL) < 10000);
	rows.data[0] ^= 1;
	tear_down(state);
	set_up(state);
	assert_true(stored_of(*state, "plain", cf_buf_span(&rows), NULL) < rows.len / 2);
	cf_buf_release(&rows);
}

struct thread_file {
	struct run *r;
	pthread_t thread;
	struct cf_file *file;
	struct cf_buf rows;
	int rc;
};

static void *write_rows(void *arg)
{
	struct thread_file *t = arg;

	for (size_t at = 0; t->rc == 0 && at < t->rows.len; at += 10000)
		t->rc = t->r->sink->ops->file_write(t->r->sink, t->file,
						    cf_span_of(t->rows.data + at, 10000), NULL);
	return NULL;
}

static void files_may_be_written_by_threads(void **state)
{
	struct thread_file threads[4] = {
		{.r = *state}, {.r = *state}, {.r = *state}, {.r = *state}};
	struct run *r = *state;
	char name[2] = "a";

	begin(r);
	for (unsigned i = 0; i < 4; i++, name[0]++) {
		const struct cf_entry entry = {.type = CF_ENTRY_FILE, .name = name};

		source_rows(i, &threads[i].rows, 600000 + i * 10000);
		threads[i].file = open_file(r, &entry);
		assert_int_equal(pthread_create(&threads[i].thread, NULL, write_rows, &threads[i]),
				 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i].thread, NULL);
		assert_int_equal(threads[i].rc, 0);
		assert_int_equal(r->sink->ops->file_end(r->sink, threads[i].file, NULL, NULL), 0);
	}
	end(r);
	for (int i = 0; i < 4; i++) {
		char path[2] = {(char)('a' + i), 0};
		struct cf_recorded *found = cf_sink_recorder_find(r->back, path);

		assert_int_equal(found->content.len, threads[i].rows.len);
		assert_memory_equal(found->content.data, threads[i].rows.data, threads[i].rows.len);
		cf_buf_release(&threads[i].rows);
	}
}

struct names {
	char text[16][100];
	size_t n;
};

static int note_name(void *user, const char *name, uint64_t size)
{
	struct names *names = user;

	assert_true(names->n < 16);
	snprintf(names->text[names->n++], sizeof(names->text[0]), "%s", name);
	return 0;
}

/* The parent's packs are gone, and no index speaks of them any more. */
static void an_unchanged_file_whose_chunk_is_lost_is_read_again(void **state)
{
	struct run *r = *state;
	struct names gone = {.n = 0};
	struct cf_file *file;

	begin(r);
	file = open_file(r, &timed);
	write_text(r, file, "unchanged");
	assert_int_equal(r->sink->ops->file_end(r->sink, file, NULL, NULL), 0);
	end(r);
	cf_repo_close(r->repo);
	assert_int_equal(r->f.store->ops->list(r->f.store, "packs", note_name, &gone, NULL), 0);
	assert_int_equal(r->f.store->ops->list(r->f.store, "index", note_name, &gone, NULL), 0);
	for (size_t i = 0; i < gone.n; i++)
		assert_int_equal(r->f.store->ops->remove(r->f.store, gone.text[i], NULL), 0);
	r->repo = fixture_open(&r->f);
	begin(r);
	file = open_file(r, &timed);
	assert_non_null(file);
	write_text(r, file, "unchanged");
	assert_int_equal(r->sink->ops->file_end(r->sink, file, NULL, NULL), 0);
	end(r);
	assert_text(r, "f", "unchanged");
}

/* Pieces between holes are chunks of their own: many, so that lists of lists come about. */
static void seeking_equals_walking(void **state)
{
	const struct cf_entry entry = {.type = CF_ENTRY_FILE, .name = "f"};
	static struct cf_extent extents[8000];
	struct cf_content_cursor *cursor;
	struct cf_snapshot *snapshot;
	struct run *r = *state;
	struct cf_node *node;
	struct cf_file *file;
	size_t n = 0;

	begin(r);
	file = open_file(r, &entry);
	for (unsigned i = 0; i < 3000; i++) {
		char text[16];

		snprintf(text, sizeof(text), "piece %u", i);
		write_text(r, file, text);
		assert_int_equal(r->sink->ops->file_hole(r->sink, file, 5 + i % 3, NULL), 0);
	}
	assert_int_equal(r->sink->ops->file_end(r->sink, file, NULL, NULL), 0);
	end(r);
	assert_int_equal(cf_snapshot_resolve(r->repo, "latest", NULL, &snapshot, NULL), 0);
	assert_int_equal(cf_tree_find(r->repo, snapshot, "f", &node, NULL), 0);
	assert_int_equal(node->content.level, 2);
	assert_int_equal(cf_content_cursor_new(r->repo, &node->content, &cursor, NULL), 0);
	while (cf_content_cursor_next(cursor, &extents[n], NULL) == 1)
		n++;
	assert_int_equal(n, 6000);
	/* Forwards, backwards, far and near. */
	for (uint64_t k = 0; k < 20000; k++) {
		uint64_t off =
			k % 3 ? k * 7919 % (node->content.size + 1) : k * 5 % node->content.size;
		struct cf_extent found;
		size_t low = 0, high = n;

		assert_int_equal(cf_content_cursor_seek(cursor, off, NULL), 0);
		if (off == node->content.size) {
			assert_int_equal(cf_content_cursor_next(cursor, &found, NULL), 0);
			continue;
		}
		while (high - low > 1)
			*(extents[(low + high) / 2].off <= off ? &low : &high) = (low + high) / 2;
		for (size_t i = low; i < low + 3 && i < n; i++) {
			assert_int_equal(cf_content_cursor_next(cursor, &found, NULL), 1);
			assert_int_equal(found.off, extents[i].off);
			assert_int_equal(found.len, extents[i].len);
			assert_true(cf_id_equal(&found.id, &extents[i].id));
		}
	}
	cf_content_cursor_free(cursor);
	cf_snapshot_free(snapshot);
	free(node);
}

/* Lists: a store that keeps what the builder makes. */
struct kept {
	struct cf_id ids[64];
	unsigned n;
};

static int keep_list(void *user, struct cf_span list, struct cf_id *id_out, struct cf_err *err)
{
	struct kept *kept = user;

	assert_true(kept->n < 64);
	assert_int_equal(cf_sha256(&list, 1, id_out, err), 0);
	kept->ids[kept->n++] = *id_out;
	return 0;
}

static struct cf_content build(struct kept *kept, unsigned first, unsigned n)
{
	struct cf_list_builder builder;
	struct cf_content content;

	kept->n = 0;
	cf_list_builder_init(&builder, keep_list, kept);
	for (unsigned i = first; i < first + n; i++) {
		struct cf_span number = cf_span_of(&i, sizeof(i));
		struct cf_id id;

		assert_int_equal(cf_sha256(&number, 1, &id, NULL), 0);
		assert_int_equal(cf_list_builder_add(&builder, &id, 1000 + i % 7, NULL), 0);
	}
	assert_int_equal(cf_list_builder_finish(&builder, &content, NULL), 0);
	cf_list_builder_release(&builder);
	return content;
}

static void one_chunk_needs_no_list(void **state)
{
	struct kept kept;

	assert_int_equal(build(&kept, 0, 0).size, 0);
	assert_int_equal(build(&kept, 0, 1).level, 0);
	assert_int_equal(kept.n, 0);
	assert_int_equal(build(&kept, 0, 2).level, 1);
	assert_int_equal(kept.n, 1);
}

static void equal_runs_give_equal_lists_wherever_they_stand(void **state)
{
	struct kept whole, shifted;
	unsigned n_shared = 0;

	assert_int_equal(build(&whole, 0, 12000).level, 2);
	build(&shifted, 7, 12000 - 7);
	for (unsigned i = 0; i < whole.n; i++)
		for (unsigned k = 0; k < shifted.n; k++)
			n_shared += cf_id_equal(&whole.ids[i], &shifted.ids[k]);
	/* All but those at the shift, and the top. */
	assert_true(whole.n > 8 && n_shared + 4 >= whole.n);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_last_of_a_name_wins),
		TEST(an_aborted_file_does_not_appear),
		TEST(names_of_one_inode_share_its_content),
		TEST(a_link_takes_the_content_of_the_file_it_names),
		TEST(an_unchanged_file_is_not_read),
		TEST(content_said_to_be_compressed_is_stored_as_it_is),
		TEST(files_may_be_written_by_threads),
		TEST(an_unchanged_file_whose_chunk_is_lost_is_read_again),
		TEST(seeking_equals_walking),
		cmocka_unit_test(one_chunk_needs_no_list),
		cmocka_unit_test(equal_runs_give_equal_lists_wherever_they_stand),
	};

	return cmocka_run_group_tests_name("repo: sinks", tests, NULL, NULL);
}
