#include "base/err.h"
#include "drivers/sqlite/header.h"
#include "drivers/sqlite/pages.h"
#include "tests/suite/sink_recorder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Puts pages in order of the table; everything it emits ends up in the recorder. */
static void pages_out_of_order_are_put_in_order(void **state)
{
	static const uint32_t order[] = {3, 2, 6, 5, 4, 8, 7, 1};
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();
	struct cf_entry root = {.type = CF_ENTRY_DIR, .name = ""};
	struct cf_entry entry = {.type = CF_ENTRY_FILE, .name = "f"};
	uint8_t page[512];
	uint8_t page1[512] = {1};
	struct cf_err err = CF_ERR_INIT;
	struct cf_pages pages = {.sink = &recorder->sink,
				 .path = "db",
				 .page1 = page1,
				 .page_len = 512,
				 .n_pages = 8,
				 .err = &err};
	struct cf_dir *dir;
	struct cf_recorded *r;

	recorder->sink.ops->dir_begin(&recorder->sink, NULL, &root, 0, &dir, NULL);
	recorder->sink.ops->file_begin(&recorder->sink, dir, &entry, NULL, &pages.file, NULL);
	assert_int_equal(cf_pages_begin(&pages), 0);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		memset(page, order[i] == 1 ? 0 : (int)order[i], sizeof(page));
		page[0] = (uint8_t)order[i];
		assert_int_equal(cf_pages_put(&pages, order[i], page), 0);
	}
	assert_int_equal(cf_pages_finish(&pages), 0);
	r = cf_sink_recorder_find(recorder, "f");
	assert_int_equal(r->content.len, 8 * 512);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(r->content.data[i * 512], i + 1);
	cf_pages_release(&pages);
	cf_sink_recorder_free(recorder);
}

static int put_all(struct cf_pages *pages, uint32_t from, uint32_t to, struct cf_err *err)
{
	static uint8_t page[65536];
	int rc;

	pages->page1 = page;
	pages->path = "db";
	pages->err = err;
	rc = cf_pages_begin(pages);
	for (uint32_t i = from; rc == 0 && i <= to; i++)
		rc = cf_pages_put(pages, i, page);
	if (rc == 0)
		rc = cf_pages_finish(pages);
	cf_pages_release(pages);
	return rc;
}

static void missing_or_surplus_pages_are_errors(void **state)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_pages few = {.page_len = 4096, .n_pages = 10};
	struct cf_pages many = {.page_len = 4096, .n_pages = 10};
	struct cf_pages late = {.page_len = 65536, .n_pages = 1000};
	struct cf_pages right = {.page_len = 4096, .n_pages = 10};

	assert_int_equal(put_all(&few, 2, 9, &err), CF_ERR_FAILED);
	assert_string_equal(err.text, "db: SQLite never gave page 10 of 10");
	assert_int_equal(put_all(&many, 2, 11, &err), CF_ERR_FAILED);
	assert_string_equal(err.text, "db: SQLite gave page 11, but page 11 of 10 is next");
	assert_int_equal(put_all(&late, 3, 1000, &err), CF_ERR_FAILED);
	assert_string_equal(err.text, "db: SQLite gave page 67 while page 2 is still missing");
	assert_int_equal(put_all(&right, 2, 10, &err), 0);
}

static void lock_page_is_filled_with_zeros(void **state)
{
	static uint8_t page[65536];
	struct cf_pages pages = {.page_len = 65536, .n_pages = 16390, .path = "db", .page1 = page};

	assert_int_equal(cf_pages_begin(&pages), 0);
	for (uint32_t i = 2; i <= 16390; i++)
		if (i != 16385)
			assert_int_equal(cf_pages_put(&pages, i, page), 0);
	assert_int_equal(cf_pages_finish(&pages), 0);
	assert_int_equal(pages.next, 16391);
	cf_pages_release(&pages);
}

/* A header of a rollback database with pages of 4096 bytes. */
static void make_header(uint8_t *page)
{
	memset(page, 0, 4096);
	memcpy(page, "SQLite format 3", 16);
	page[16] = 0x10;
	page[18] = page[19] = 1;
	page[59] = 2;
	page[63] = 9;
	page[71] = 7;
}

static void header_is_decoded(void **state)
{
	uint8_t page[4096];
	struct cf_sqlite_header header;

	make_header(page);
	assert_true(cf_sqlite_header_decode(cf_span_of(page, 100), &header));
	assert_int_equal(header.page_len, 4096);
	assert_false(header.wal);
	assert_int_equal(header.encoding, 2);
	assert_int_equal(header.user_version, 9);
	assert_int_equal(header.application_id, 7);
	page[16] = 0;
	page[17] = 1;
	page[19] = 2;
	assert_true(cf_sqlite_header_decode(cf_span_of(page, 100), &header));
	assert_int_equal(header.page_len, 65536);
	assert_true(header.wal);
}

static void header_with_impossible_fields_is_refused(void **state)
{
	static const struct {
		uint8_t high, low;
	} page_lens[] = {{0, 0}, {1, 0}, {0x10, 1}, {0x0c, 0}, {0, 2}};
	uint8_t page[4096];
	struct cf_sqlite_header header;

	make_header(page);
	assert_false(cf_sqlite_header_decode(cf_span_of(page, 99), &header));
	for (size_t i = 0; i < sizeof(page_lens) / sizeof(page_lens[0]); i++) {
		page[16] = page_lens[i].high;
		page[17] = page_lens[i].low;
		assert_false(cf_sqlite_header_decode(cf_span_of(page, 100), &header));
	}
	make_header(page);
	page[15] = 1;
	assert_false(cf_sqlite_header_decode(cf_span_of(page, 100), &header));
}

static void counters_alone_may_differ_in_page_one(void **state)
{
	static const struct {
		size_t off;
		bool same;
	} cases[] = {{23, false}, {24, true}, {31, true},   {32, false},
		     {40, true},  {43, true}, {44, false},  {91, false},
		     {92, true},  {99, true}, {100, false}, {4095, false}};
	uint8_t page[4096], copy[4096];

	make_header(page);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(copy, page, sizeof(page));
		copy[cases[i].off] ^= 0x55;
		assert_int_equal(cf_sqlite_header_same_page(page, copy, sizeof(page)),
				 cases[i].same);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_out_of_order_are_put_in_order),
		cmocka_unit_test(missing_or_surplus_pages_are_errors),
		cmocka_unit_test(lock_page_is_filled_with_zeros),
		cmocka_unit_test(header_is_decoded),
		cmocka_unit_test(header_with_impossible_fields_is_refused),
		cmocka_unit_test(counters_alone_may_differ_in_page_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
