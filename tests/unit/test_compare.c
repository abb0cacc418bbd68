#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "drivers/compare.h"
#include "tests/suite/recorded_tree.h"
#include "tests/suite/sink_recorder.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BIG_LEN (2 * 1024 * 1024 + 777)

/* A line for each difference: "path: text". */
struct notes {
	char text[2048];
	size_t n_equal;
	const char *ignored;
};

static void note_difference(void *user, const struct cf_difference *difference)
{
	struct notes *notes = user;
	size_t len = strlen(notes->text);

	snprintf(notes->text + len, sizeof(notes->text) - len, "%s: %s\n", difference->path,
		 cf_difference_text(difference).s);
}

static void note_equal(void *user, const char *path, uint64_t size)
{
	((struct notes *)user)->n_equal++;
}

static bool ignore(void *user, const char *path)
{
	const struct notes *notes = user;

	return notes->ignored && strcmp(notes->ignored, path) == 0;
}

struct item {
	enum cf_entry_type type;
	const char *name, *content; /* content: of a symbolic link its target */
};

static struct cf_dir *begin_dir(struct cf_sink *sink, struct cf_dir *parent, const char *name)
{
	struct cf_entry entry = {.type = CF_ENTRY_DIR, .name = name, .mode = 0700, .nlink = 1};
	struct cf_dir *dir = NULL;

	assert_int_equal(sink->ops->dir_begin(sink, parent, &entry, 0, &dir, NULL), 0);
	return dir;
}

static void end_dir(struct cf_sink *sink, struct cf_dir *dir)
{
	assert_int_equal(sink->ops->dir_end(sink, dir, NULL, NULL), 0);
}

static struct cf_file *begin_file(struct cf_sink *sink, struct cf_dir *dir, const char *name)
{
	struct cf_entry entry = {.type = CF_ENTRY_FILE, .name = name, .mode = 0600, .nlink = 1};
	struct cf_file *file = NULL;

	assert_int_equal(sink->ops->file_begin(sink, dir, &entry, NULL, &file, NULL), 0);
	assert_non_null(file);
	return file;
}

static void write_text(struct cf_sink *sink, struct cf_file *file, const char *text)
{
	assert_int_equal(sink->ops->file_write(sink, file, cf_span_str(text), NULL), 0);
}

static void put_item(struct cf_sink *sink, struct cf_dir *dir, const struct item *item)
{
	struct cf_entry entry = {
		.type = item->type, .name = item->name, .nlink = 1, .target = item->content};

	if (item->type == CF_ENTRY_DIR) {
		struct cf_dir *sub = begin_dir(sink, dir, item->name);

		put_item(sink, sub, &(struct item){CF_ENTRY_FILE, "inner", item->content});
		end_dir(sink, sub);
	} else if (item->type == CF_ENTRY_FILE) {
		struct cf_file *file = begin_file(sink, dir, item->name);

		write_text(sink, file, item->content);
		assert_int_equal(sink->ops->file_end(sink, file, NULL, NULL), 0);
	} else {
		assert_int_equal(sink->ops->node(sink, dir, &entry, NULL), 0);
	}
}

static void put_tree(struct cf_sink *sink, const struct item *items)
{
	struct cf_dir *root = begin_dir(sink, NULL, "");

	for (; items->name; items++)
		put_item(sink, root, items);
	end_dir(sink, root);
}

static struct cf_sink *compare_with(struct cf_recorded_tree *tree, struct notes *notes)
{
	struct cf_compare_options options = {
		.ignore = ignore, .differs = note_difference, .equals = note_equal, .user = notes};
	struct cf_sink *sink = NULL;

	assert_int_equal(cf_compare_new(&tree->tree, &options, &sink, NULL), 0);
	return sink;
}

static const struct item stored[] = {{CF_ENTRY_FILE, "schema.sql", "CREATE"},
				     {CF_ENTRY_DIR, "tables", "1,2\n"},
				     {CF_ENTRY_SYMLINK, "link", "there"},
				     {CF_ENTRY_FILE, "empty", ""},
				     {0}};

static const struct {
	struct item pushed[6];
	const char *ignored, *expected;
	size_t n_equal;
} cases[] = {
	{{{CF_ENTRY_FILE, "empty", ""},
	  {CF_ENTRY_FILE, "schema.sql", "CREATE"},
	  {CF_ENTRY_SYMLINK, "link", "there"},
	  {CF_ENTRY_DIR, "tables", "1,2\n"}},
	 NULL,
	 "",
	 3},
	{{{CF_ENTRY_FILE, "empty", "x"},
	  {CF_ENTRY_FILE, "schema.sql", "CRE"},
	  {CF_ENTRY_SYMLINK, "link", "here"},
	  {CF_ENTRY_DIR, "tables", "1,3\n"}},
	 NULL,
	 "empty: has another length: the same up to byte 0\n"
	 "schema.sql: has another length: the same up to byte 3\n"
	 "link: differs from byte 0\n"
	 "tables/inner: differs from byte 2\n",
	 0},
	{{{CF_ENTRY_FILE, "tables", "1,2\n"},
	  {CF_ENTRY_DIR, "schema.sql", "CREATE"},
	  {CF_ENTRY_SYMLINK, "link", "there"},
	  {CF_ENTRY_FILE, "empty", ""}},
	 NULL,
	 "tables: has another type than in the snapshot\n"
	 "schema.sql: has another type than in the snapshot\n",
	 1},
	{{{CF_ENTRY_FILE, "schema.sql", "CREATE"},
	  {CF_ENTRY_DIR, "other", "x"},
	  {CF_ENTRY_FILE, "more", "x"}},
	 NULL,
	 "other: is not in the snapshot\n"
	 "more: is not in the snapshot\n"
	 "empty: is missing\n"
	 "link: is missing\n"
	 "tables: is missing\n",
	 1},
	{{{CF_ENTRY_FILE, "schema.sql", "DROP"},
	  {CF_ENTRY_SYMLINK, "link", "there"},
	  {CF_ENTRY_DIR, "tables", "1,2\n"},
	  {CF_ENTRY_FILE, "empty", ""}},
	 "schema.sql",
	 "",
	 2},
	{{{CF_ENTRY_FILE, "schema.sql", "CREATE"},
	  {CF_ENTRY_SYMLINK, "link", "there"},
	  {CF_ENTRY_FILE, "empty", ""}},
	 "tables",
	 "",
	 2},
};

static void differences_are_told_by_path_and_place(void **state)
{
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();
	struct cf_recorded_tree tree = cf_recorded_tree_of(recorder);

	put_tree(&recorder->sink, stored);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct notes notes = {.ignored = cases[i].ignored};
		struct cf_sink *sink = compare_with(&tree, &notes);

		put_tree(sink, cases[i].pushed);
		assert_string_equal(notes.text, cases[i].expected);
		assert_int_equal(notes.n_equal, cases[i].n_equal);
		assert_int_equal(cf_compare_differences(sink) > 0, notes.text[0] != '\0');
		cf_compare_free(sink);
	}
	cf_sink_recorder_free(recorder);
}

static uint8_t *big_content(void)
{
	uint8_t *data = malloc(BIG_LEN);

	for (size_t i = 0; i < BIG_LEN; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	return data;
}

static void put_big(struct cf_sink *sink, struct cf_dir *dir, const char *name, const uint8_t *data,
		    size_t len, size_t piece_len)
{
	struct cf_file *file = begin_file(sink, dir, name);

	for (size_t off = 0; off < len; off += piece_len) {
		size_t n = len - off < piece_len ? len - off : piece_len;

		assert_int_equal(sink->ops->file_write(sink, file, cf_span_of(data + off, n), NULL),
				 0);
	}
	assert_int_equal(sink->ops->file_end(sink, file, NULL, NULL), 0);
}

/* In pieces of any length, with the first difference anywhere. */
static void the_first_difference_of_long_content_is_found(void **state)
{
	static const size_t offsets[] = {
		0, 1, 1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, BIG_LEN - 1, BIG_LEN};
	static const size_t piece_lens[] = {4093, 1024 * 1024, BIG_LEN};
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();
	struct cf_recorded_tree tree = cf_recorded_tree_of(recorder);
	uint8_t *data = big_content();
	struct cf_dir *root = begin_dir(&recorder->sink, NULL, "");

	put_big(&recorder->sink, root, "big", data, BIG_LEN, BIG_LEN);
	end_dir(&recorder->sink, root);
	tree.piece_len = 70001;
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		for (size_t k = 0; k < sizeof(piece_lens) / sizeof(piece_lens[0]); k++) {
			struct notes notes = {0};
			struct cf_sink *sink = compare_with(&tree, &notes);
			char expected[64] = "";

			root = begin_dir(sink, NULL, "");
			if (offsets[i] < BIG_LEN) {
				data[offsets[i]] ^= 1;
				snprintf(expected, sizeof(expected), "big: differs from byte %zu\n",
					 offsets[i]);
			}
			put_big(sink, root, "big", data, BIG_LEN, piece_lens[k]);
			if (offsets[i] < BIG_LEN)
				data[offsets[i]] ^= 1;
			end_dir(sink, root);
			assert_string_equal(notes.text, expected);
			cf_compare_free(sink);
		}
	}
	free(data);
	cf_sink_recorder_free(recorder);
}

static void put_shared(struct cf_sink *sink, const char *rows)
{
	struct cf_dir *root = begin_dir(sink, NULL, "");
	struct cf_file *script = begin_file(sink, root, "t.sql"),
		       *bare = begin_file(sink, root, "t.copy");

	write_text(sink, script, "COPY t FROM stdin;\n");
	assert_int_equal(sink->ops->file_share(sink, script, bare, NULL), 0);
	write_text(sink, bare, rows);
	assert_int_equal(sink->ops->file_hole(sink, bare, 3, NULL), 0);
	assert_int_equal(sink->ops->file_end(sink, bare, NULL, NULL), 0);
	write_text(sink, script, "\\.\n");
	assert_int_equal(sink->ops->file_end(sink, script, NULL, NULL), 0);
	end_dir(sink, root);
}

static void shared_content_is_compared_in_both_files(void **state)
{
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();
	struct cf_recorded_tree tree = cf_recorded_tree_of(recorder);
	struct notes notes = {0};
	struct cf_sink *sink;

	put_shared(&recorder->sink, "1\n2\n");
	sink = compare_with(&tree, &notes);
	put_shared(sink, "1\n2\n");
	assert_string_equal(notes.text, "");
	assert_int_equal(notes.n_equal, 2);
	cf_compare_free(sink);
	sink = compare_with(&tree, &notes);
	put_shared(sink, "1\n3\n");
	assert_string_equal(notes.text,
			    "t.copy: differs from byte 2\nt.sql: differs from byte 21\n");
	cf_compare_free(sink);
	cf_sink_recorder_free(recorder);
}

static void a_link_is_compared_with_what_it_names(void **state)
{
	static const struct item items[] = {{CF_ENTRY_FILE, "a", "one"},
					    {CF_ENTRY_FILE, "b", "one"},
					    {CF_ENTRY_FILE, "c", "two"},
					    {0}};
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();
	struct cf_recorded_tree tree = cf_recorded_tree_of(recorder);
	struct cf_entry entry = {.type = CF_ENTRY_FILE, .nlink = 2};
	struct notes notes = {0};
	struct cf_sink *sink = compare_with(&tree, &notes);
	struct cf_dir *root;

	put_tree(&recorder->sink, items);
	root = begin_dir(sink, NULL, "");
	put_item(sink, root, &items[0]);
	entry.name = "b";
	assert_int_equal(sink->ops->link(sink, root, &entry, "a", NULL), 0);
	entry.name = "c";
	assert_int_equal(sink->ops->link(sink, root, &entry, "a", NULL), 0);
	end_dir(sink, root);
	assert_string_equal(notes.text, "c: differs from byte 0\n");
	cf_compare_free(sink);
	cf_sink_recorder_free(recorder);
}

static void a_file_given_up_is_missing(void **state)
{
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();
	struct cf_recorded_tree tree = cf_recorded_tree_of(recorder);
	struct notes notes = {.ignored = "tables"};
	struct cf_sink *sink = compare_with(&tree, &notes);
	struct cf_dir *root;

	put_tree(&recorder->sink, stored);
	root = begin_dir(sink, NULL, "");
	sink->ops->file_abort(sink, begin_file(sink, root, "schema.sql"));
	sink->ops->file_abort(sink, begin_file(sink, root, "extra"));
	end_dir(sink, root);
	assert_string_equal(notes.text, "schema.sql: is missing\nextra: is not in the snapshot\n"
					"empty: is missing\nlink: is missing\n");
	cf_compare_free(sink);
	cf_sink_recorder_free(recorder);
}

/* The producer stops there, and leaves its handles open. */
static void damage_is_an_error_and_no_difference(void **state)
{
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();
	struct cf_recorded_tree tree = cf_recorded_tree_of(recorder);
	struct notes notes = {0};
	struct cf_sink *sink = compare_with(&tree, &notes);
	struct cf_err err = CF_ERR_INIT;
	struct cf_file *file;

	put_tree(&recorder->sink, stored);
	tree.damaged = "schema.sql";
	file = begin_file(sink, begin_dir(sink, NULL, ""), "schema.sql");
	assert_int_equal(sink->ops->file_write(sink, file, cf_span_str("CREATE"), &err),
			 CF_ERR_DAMAGED);
	assert_string_equal(err.text, "schema.sql is damaged");
	assert_string_equal(notes.text, "");
	cf_compare_free(sink);
	cf_sink_recorder_free(recorder);
}

struct worker {
	struct cf_sink *sink;
	struct cf_dir *dir;
	const uint8_t *data;
	char name[16];
};

static void *push_files(void *user)
{
	struct worker *worker = user;

	put_big(worker->sink, worker->dir, worker->name, worker->data, BIG_LEN, 65536);
	return NULL;
}

static void files_come_from_several_threads(void **state)
{
	enum { N_THREADS = 4 };
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();
	struct cf_recorded_tree tree = cf_recorded_tree_of(recorder);
	struct notes notes = {0};
	struct cf_sink *sinks[] = {&recorder->sink, compare_with(&tree, &notes)};
	uint8_t *data = big_content();

	for (size_t i = 0; i < 2; i++) {
		struct cf_dir *root = begin_dir(sinks[i], NULL, "");
		struct worker workers[N_THREADS];
		pthread_t threads[N_THREADS];

		for (size_t k = 0; k < N_THREADS; k++) {
			workers[k] = (struct worker){sinks[i], root, data, ""};
			snprintf(workers[k].name, sizeof(workers[k].name), "t%zu", k);
			pthread_create(&threads[k], NULL, push_files, &workers[k]);
		}
		for (size_t k = 0; k < N_THREADS; k++)
			pthread_join(threads[k], NULL);
		end_dir(sinks[i], root);
	}
	assert_string_equal(notes.text, "");
	assert_int_equal(notes.n_equal, N_THREADS);
	cf_compare_free(sinks[1]);
	cf_sink_recorder_free(recorder);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(differences_are_told_by_path_and_place),
		cmocka_unit_test(the_first_difference_of_long_content_is_found),
		cmocka_unit_test(shared_content_is_compared_in_both_files),
		cmocka_unit_test(a_link_is_compared_with_what_it_names),
		cmocka_unit_test(a_file_given_up_is_missing),
		cmocka_unit_test(damage_is_an_error_and_no_difference),
		cmocka_unit_test(files_come_from_several_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
