/* Content that two entries of a tree share (cf_sink_ops.file_share), and producers of several
 * threads. */

#include "tests/unit/repo_fixture.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct cf_entry root_entry = {.type = CF_ENTRY_DIR, .name = ""};
static const char head[] = "create table t (a int);\ncopy t from stdin;\n",
		  tail[] = "\\.\ncreate index;\n";

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
	r->writer = NULL;
	cf_sink_recorder_free(r->back);
	r->back = cf_sink_recorder_new();
	assert_int_equal(
		cf_restore_run(r->repo, snapshot, "", &options, &r->back->sink, &restored, NULL),
		0);
	figures = snapshot->figures;
	cf_snapshot_free(snapshot);
	return figures;
}

static struct cf_file *open_file(struct run *r, const char *name)
{
	const struct cf_entry entry = {.type = CF_ENTRY_FILE, .name = name};
	struct cf_file *file;

	assert_int_equal(r->sink->ops->file_begin(r->sink, r->root, &entry, NULL, &file, NULL), 0);
	return file;
}

static void write_all(struct run *r, struct cf_file *file, struct cf_span data)
{
	while (data.len) {
		size_t n = data.len < 65537 ? data.len : 65537;

		assert_int_equal(
			r->sink->ops->file_write(r->sink, file, cf_span_of(data.data, n), NULL), 0);
		data = cf_span_of(data.data + n, data.len - n);
	}
}

static void write_text(struct run *r, struct cf_file *file, const char *text)
{
	write_all(r, file, cf_span_str(text));
}

static void end_file(struct run *r, struct cf_file *file)
{
	assert_int_equal(r->sink->ops->file_end(r->sink, file, NULL, NULL), 0);
}

static void share(struct run *r, struct cf_file *file, struct cf_file *from)
{
	assert_int_equal(r->sink->ops->file_share(r->sink, file, from, NULL), 0);
}

/* A table's data as NAME.copy, and inside NAME.sql. */
static void push_table(struct run *r, const char *name, struct cf_span rows)
{
	struct cf_file *copy, *sql;
	char path[2][20];

	snprintf(path[0], sizeof(path[0]), "%s.copy", name);
	snprintf(path[1], sizeof(path[1]), "%s.sql", name);
	copy = open_file(r, path[0]);
	sql = open_file(r, path[1]);
	write_text(r, sql, head);
	share(r, sql, copy);
	write_all(r, copy, rows);
	end_file(r, copy);
	write_text(r, sql, tail);
	end_file(r, sql);
}

static void assert_content(struct run *r, const char *path, struct cf_span want)
{
	struct cf_recorded *found = cf_sink_recorder_find(r->back, path);

	assert_non_null(found);
	assert_int_equal(found->content.len, want.len);
	assert_int_equal(found->entry->size, want.len);
	if (want.len)
		assert_memory_equal(found->content.data, want.data, want.len);
}

static void assert_table(struct run *r, const char *name, struct cf_span rows)
{
	struct cf_buf whole = CF_BUF_INIT;
	char path[20];

	snprintf(path, sizeof(path), "%s.copy", name);
	assert_content(r, path, rows);
	assert_int_equal(cf_buf_append(&whole, head, sizeof(head) - 1, NULL), 0);
	assert_int_equal(cf_buf_append(&whole, rows.data, rows.len, NULL), 0);
	assert_int_equal(cf_buf_append(&whole, tail, sizeof(tail) - 1, NULL), 0);
	snprintf(path, sizeof(path), "%s.sql", name);
	assert_content(r, path, cf_buf_span(&whole));
	cf_buf_release(&whole);
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

/* Nothing, less than a chunk, what small files share a frame with, just past it, many frames. */
static const size_t lens[] = {0, 1, 5000, 256 << 10, (256 << 10) + 1, 3000000};

static void shared_content_is_in_both_files_and_stored_once(void **state)
{
	const size_t extra = sizeof(head) + sizeof(tail) - 2;
	struct run *r = *state;

	for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
		struct cf_buf rows = CF_BUF_INIT;
		struct cf_figures one, both;
		struct cf_file *file;

		source_rows((unsigned)i, &rows, lens[i]);
		tear_down(state);
		set_up(state);
		r = *state;
		begin(r);
		push_table(r, "t", cf_buf_span(&rows));
		both = end(r);
		assert_table(r, "t", cf_buf_span(&rows));
		assert_int_equal(both.bytes_total, lens[i] + extra);
		assert_int_equal(both.bytes_restored, 2 * lens[i] + extra);
		assert_int_equal(both.bytes_read, lens[i] + extra);
		tear_down(state);
		set_up(state);
		r = *state;
		begin(r);
		file = open_file(r, "t.copy");
		write_all(r, file, cf_buf_span(&rows));
		end_file(r, file);
		one = end(r);
		assert_true(both.bytes_stored < one.bytes_stored + 8192);
		cf_buf_release(&rows);
	}
}

static void holes_are_shared_too(void **state)
{
	struct cf_file *copy, *sql;
	struct run *r = *state;

	begin(r);
	copy = open_file(r, "copy");
	sql = open_file(r, "sql");
	write_text(r, sql, "<");
	share(r, sql, copy);
	write_text(r, copy, "a");
	assert_int_equal(r->sink->ops->file_hole(r->sink, copy, 3, NULL), 0);
	write_text(r, copy, "b");
	assert_int_equal(r->sink->ops->file_hole(r->sink, copy, 2, NULL), 0);
	end_file(r, copy);
	write_text(r, sql, ">");
	end_file(r, sql);
	end(r);
	assert_content(r, "copy", cf_span_of((const uint8_t *)"a\0\0\0b\0\0", 7));
	assert_content(r, "sql", cf_span_of((const uint8_t *)"<a\0\0\0b\0\0>", 9));
}

static void a_file_may_share_several_one_after_another(void **state)
{
	struct cf_buf rows = CF_BUF_INIT, want = CF_BUF_INIT;
	struct run *r = *state;
	struct cf_file *all;

	begin(r);
	all = open_file(r, "all");
	for (unsigned i = 0; i < 4; i++) {
		char name[2] = {(char)('a' + i), 0};
		struct cf_file *part = open_file(r, name);

		cf_buf_clear(&rows);
		source_rows(i, &rows, lens[1 + i]);
		share(r, all, part);
		write_all(r, part, cf_buf_span(&rows));
		end_file(r, part);
		write_text(r, all, tail);
		assert_int_equal(cf_buf_append(&want, rows.data, rows.len, NULL), 0);
		assert_int_equal(cf_buf_append(&want, tail, sizeof(tail) - 1, NULL), 0);
	}
	end_file(r, all);
	end(r);
	assert_content(r, "all", cf_buf_span(&want));
	assert_content(r, "d", cf_buf_span(&rows));
	cf_buf_release(&rows);
	cf_buf_release(&want);
}

/* Which of the two is given up, and whether the sharer is while the other is still written. */
static void either_may_be_given_up_at_any_time(void **state)
{
	struct cf_buf rows = CF_BUF_INIT;
	struct run *r = *state;

	source_rows(1, &rows, 3000000);
	for (unsigned which = 0; which < 12; which++) {
		bool early = which & 1, give_copy = which & 2, give_sql = which & 4 || give_copy;
		size_t len = which & 8 ? 5000 : rows.len;
		struct cf_span data = cf_span_of(rows.data, len);
		struct cf_file *copy, *sql;

		begin(r);
		copy = open_file(r, "t.copy");
		sql = open_file(r, "t.sql");
		write_text(r, sql, head);
		share(r, sql, copy);
		write_all(r, copy, cf_span_of(rows.data, len / 2));
		if (give_sql && early)
			r->sink->ops->file_abort(r->sink, sql);
		write_all(r, copy, cf_span_of(rows.data + len / 2, len - len / 2));
		if (give_copy)
			r->sink->ops->file_abort(r->sink, copy);
		else
			end_file(r, copy);
		if (!give_sql)
			write_text(r, sql, tail);
		if (!give_sql)
			end_file(r, sql);
		else if (!early)
			r->sink->ops->file_abort(r->sink, sql);
		assert_int_equal(end(r).files, !give_copy + !give_sql);
		assert_int_equal(r->back->root->n_children, !give_copy + !give_sql);
		if (!give_sql)
			assert_table(r, "t", data);
		else if (!give_copy)
			assert_content(r, "t.copy", data);
	}
	cf_buf_release(&rows);
}

static void closing_while_content_is_shared_leaves_nothing(void **state)
{
	struct cf_buf rows = CF_BUF_INIT;
	struct cf_file *copy, *sql;
	struct run *r = *state;

	source_rows(1, &rows, 3000000);
	for (unsigned give_up = 0; give_up < 2; give_up++) {
		begin(r);
		copy = open_file(r, "t.copy");
		sql = open_file(r, "t.sql");
		share(r, sql, copy);
		write_all(r, copy, cf_buf_span(&rows));
		if (give_up)
			r->sink->ops->file_abort(r->sink, sql);
		cf_writer_close(r->writer);
	}
	cf_buf_release(&rows);
}

struct producer {
	struct run *r;
	pthread_t thread;
	unsigned number, version;
};

static void *push_tables(void *arg)
{
	struct producer *p = arg;
	struct cf_buf rows = CF_BUF_INIT;

	for (unsigned i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
		char name[8];

		cf_buf_clear(&rows);
		snprintf(name, sizeof(name), "%u-%u", p->number, i);
		source_rows(100 * p->number + p->version, &rows, lens[i]);
		push_table(p->r, name, cf_buf_span(&rows));
	}
	cf_buf_release(&rows);
	return NULL;
}

/* Each begins and ends the files of one directory, twice: the second time the parent is looked
 * into. */
static void threads_may_fill_one_directory(void **state)
{
	struct run *r = *state;

	for (unsigned version = 1; version < 3; version++) {
		struct producer producers[4];

		begin(r);
		for (unsigned i = 0; i < 4; i++) {
			producers[i] = (struct producer){.r = r, .number = i, .version = version};
			assert_int_equal(pthread_create(&producers[i].thread, NULL, push_tables,
							&producers[i]),
					 0);
		}
		for (unsigned i = 0; i < 4; i++)
			pthread_join(producers[i].thread, NULL);
		end(r);
		for (unsigned i = 0; i < 4; i++)
			for (unsigned k = 0; k < sizeof(lens) / sizeof(*lens); k++) {
				struct cf_buf rows = CF_BUF_INIT;
				char name[8];

				snprintf(name, sizeof(name), "%u-%u", i, k);
				source_rows(100 * i + version, &rows, lens[k]);
				assert_table(r, name, cf_buf_span(&rows));
				cf_buf_release(&rows);
			}
	}
}

static void the_next_snapshot_stores_the_changes_of_shared_content(void **state)
{
	struct cf_buf rows = CF_BUF_INIT;
	struct cf_figures first, second;
	struct run *r = *state;

	source_rows(1, &rows, 3000000);
	begin(r);
	push_table(r, "t", cf_buf_span(&rows));
	first = end(r);
	cf_buf_clear(&rows);
	source_rows(2, &rows, 3000000);
	begin(r);
	push_table(r, "t", cf_buf_span(&rows));
	second = end(r);
	assert_table(r, "t", cf_buf_span(&rows));
	assert_true(second.bytes_stored < first.bytes_stored / 4);
	cf_buf_release(&rows);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(shared_content_is_in_both_files_and_stored_once),
		TEST(holes_are_shared_too),
		TEST(a_file_may_share_several_one_after_another),
		TEST(either_may_be_given_up_at_any_time),
		TEST(closing_while_content_is_shared_leaves_nothing),
		TEST(threads_may_fill_one_directory),
		TEST(the_next_snapshot_stores_the_changes_of_shared_content),
	};

	return cmocka_run_group_tests_name("repo: shared content", tests, NULL, NULL);
}
