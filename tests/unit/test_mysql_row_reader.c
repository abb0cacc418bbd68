/* Rows of a table's file: parts that follow one another give every row once, wherever they are cut.
 */

#include "base/err.h"
#include "drivers/mysql/manifest.h"
#include "drivers/mysql/row_reader.h"
#include "tests/suite/recorded_tree.h"
#include "tests/suite/sink_recorder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const char head[] = "CREATE TABLE `t` (\n(\n";
static const char rows[] =
	"INSERT INTO `t` (`a`) VALUES\n('x')\n,('(;\\n')\n;\nINSERT INTO `t` (`a`) VALUES\n"
	"('a longer row')\n,(NULL)\n,(1)\n;\n";
static const char row_lines[] = "('x')\n,('(;\\n')\n('a longer row')\n,(NULL)\n,(1)\n";

struct place {
	struct cf_sink_recorder *recorder;
	struct cf_recorded_tree tree;
	struct cf_mysql_table table;
};

static void put_file(struct place *place, const char *text)
{
	const struct cf_entry root = {.type = CF_ENTRY_DIR, .name = ""};
	const struct cf_entry entry = {.type = CF_ENTRY_FILE, .name = "t.sql"};
	struct cf_sink *sink;
	struct cf_file *file;
	struct cf_dir *dir;

	place->recorder = cf_sink_recorder_new();
	assert_non_null(place->recorder);
	sink = &place->recorder->sink;
	assert_int_equal(sink->ops->dir_begin(sink, NULL, &root, 0, &dir, NULL), 0);
	assert_int_equal(sink->ops->file_begin(sink, dir, &entry, NULL, &file, NULL), 0);
	assert_int_equal(sink->ops->file_write(sink, file, cf_span_str(head), NULL), 0);
	assert_int_equal(sink->ops->file_write(sink, file, cf_span_str(text), NULL), 0);
	assert_int_equal(sink->ops->file_end(sink, file, NULL, NULL), 0);
	assert_int_equal(sink->ops->dir_end(sink, dir, NULL, NULL), 0);
	place->tree = cf_recorded_tree_of(place->recorder);
	place->table = (struct cf_mysql_table){.name = (char *)(uintptr_t) "t",
					       .data_off = strlen(head),
					       .data_len = strlen(text)};
}

/* Appends the rows that begin in from .. to, read in pieces of len; how many, or an error. */
static int64_t read_part(struct place *place, uint64_t from, uint64_t to, size_t len,
			 struct cf_buf *out, struct cf_err *err)
{
	struct cf_mysql_row_reader reader;
	uint8_t piece[64];
	int64_t n, n_rows;

	cf_mysql_row_reader_init(&reader, &place->tree.tree, "t.sql", &place->table, from, to);
	while ((n = cf_mysql_row_reader_read(&reader, piece, len, err)) > 0)
		assert_int_equal(cf_buf_append(out, piece, (size_t)n, NULL), 0);
	n_rows = (int64_t)reader.n_rows;
	cf_mysql_row_reader_release(&reader);
	return n < 0 ? n : n_rows;
}

static void parts_give_every_row_once(void **state)
{
	struct place place;
	uint64_t off, end;

	put_file(&place, rows);
	off = place.table.data_off;
	end = off + place.table.data_len;
	for (uint64_t a = off; a <= end; a++) {
		for (uint64_t b = a; b <= end; b += 3) {
			struct cf_buf out = CF_BUF_INIT;
			int64_t n = read_part(&place, off, a, 1 + (a + b) % 60, &out, NULL) +
				    read_part(&place, a, b, 7, &out, NULL) +
				    read_part(&place, b, end, 64, &out, NULL);

			assert_int_equal(n, 5);
			assert_int_equal(out.len, strlen(row_lines));
			assert_memory_equal(out.data, row_lines, out.len);
			cf_buf_release(&out);
		}
	}
	cf_sink_recorder_free(place.recorder);
}

static void names_may_hold_line_feeds(void **state)
{
	struct cf_mysql_column column = {.name = (char *)(uintptr_t) "a\n("};
	struct cf_buf out = CF_BUF_INIT;
	struct place place;

	put_file(&place, "INSERT INTO `t` (`a\n(`) VALUES\n(1)\n;\nINSERT INTO `t` (`a\n(`) "
			 "VALUES\n(2)\n;\n");
	assert_true(cf_mysql_row_reader_cuts(&place.table));
	place.table.columns = &column;
	place.table.n_columns = 1;
	assert_false(cf_mysql_row_reader_cuts(&place.table));
	assert_int_equal(read_part(&place, place.table.data_off,
				   place.table.data_off + place.table.data_len, 5, &out, NULL),
			 2);
	assert_int_equal(out.len, 8);
	assert_memory_equal(out.data, "(1)\n(2)\n", 8);
	cf_buf_release(&out);
	cf_sink_recorder_free(place.recorder);
}

static void what_is_no_row_is_damage(void **state)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_buf out = CF_BUF_INIT;
	struct place place;

	put_file(&place, "INSERT INTO `t` (`a`) VALUES\n(1)\nDROP TABLE x\n;\n");
	assert_int_equal(read_part(&place, place.table.data_off,
				   place.table.data_off + place.table.data_len, 64, &out, &err),
			 CF_ERR_DAMAGED);
	assert_non_null(strstr(err.text, "table t"));
	cf_buf_release(&out);
	cf_sink_recorder_free(place.recorder);
}

static void short_file_is_damage(void **state)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_buf out = CF_BUF_INIT;
	struct place place;

	put_file(&place, rows);
	place.table.data_len += 10;
	assert_int_equal(read_part(&place, place.table.data_off,
				   place.table.data_off + place.table.data_len, 64, &out, &err),
			 CF_ERR_DAMAGED);
	assert_non_null(strstr(err.text, "t.sql"));
	cf_buf_release(&out);
	cf_sink_recorder_free(place.recorder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_give_every_row_once),
		cmocka_unit_test(names_may_hold_line_feeds),
		cmocka_unit_test(what_is_no_row_is_damage),
		cmocka_unit_test(short_file_is_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
