#include "base/err.h"
#include "cli/escape.h"
#include "cli/doc.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/redact.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

static void sizes_have_one_decimal(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{0, "0 B"},
		{1, "1 B"},
		{1023, "1023 B"},
		{1024, "1.0 KiB"},
		{1536, "1.5 KiB"},
		{1048524, "1023.9 KiB"},
		{1048575, "1.0 MiB"},
		{1 << 20, "1.0 MiB"},
		{UINT64_C(220200960), "210.0 MiB"},
		{UINT64_C(1288490189), "1.2 GiB"},
		{UINT64_MAX, "16.0 EiB"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(cf_text_size(cases[i].bytes).s, cases[i].text);
}

static void rates_shares_and_durations_read_well(void **state)
{
	assert_string_equal(cf_text_rate(350 << 20, SECOND).s, "350 MiB/s");
	assert_string_equal(cf_text_rate(35 << 20, SECOND).s, "35.0 MiB/s");
	assert_string_equal(cf_text_rate(1, 0).s, "-");
	assert_string_equal(cf_text_rate(0, SECOND).s, "0 B/s");
	assert_string_equal(cf_text_share(7, 1000).s, "0.7 %");
	assert_string_equal(cf_text_share(0, 0).s, "-");
	assert_string_equal(cf_text_duration(12345678).s, "12 ms");
	assert_string_equal(cf_text_duration(600000000).s, "0.6 s");
	assert_string_equal(cf_text_duration(59940000000).s, "59.9 s");
	assert_string_equal(cf_text_duration(59960000000).s, "1:00 min");
	assert_string_equal(cf_text_duration(125 * SECOND).s, "2:05 min");
	assert_string_equal(cf_text_duration(3725 * SECOND).s, "1:02:05 h");
	assert_string_equal(cf_text_count(1, "file", "files").s, "1 file");
	assert_string_equal(cf_text_count(0, "file", "files").s, "0 files");
}

static void times_are_iso(void **state)
{
	int64_t time_ns = INT64_C(1795244736) * SECOND + 42;

	setenv("TZ", "UTC-1", 1);
	tzset();
	assert_string_equal(cf_text_rfc3339(time_ns).s, "2026-11-21T07:05:36.000000042Z");
	assert_string_equal(cf_text_time(time_ns).s, "2026-11-21 08:05:36");
	assert_string_equal(cf_text_rfc3339(-1).s, "1969-12-31T23:59:59.999999999Z");
	assert_string_equal(cf_text_rfc3339(0).s, "1970-01-01T00:00:00.000000000Z");
	/* Any 64 bits are a time. */
	assert_true(strlen(cf_text_rfc3339(INT64_MIN).s) > 0);
	assert_true(strlen(cf_text_rfc3339(INT64_MAX).s) > 0);
}

static const struct {
	const char *text, *name, *message;
} escapes[] = {
	{"plain", "plain", "plain"},
	{"a\nb\tc\r", "a\\nb\\tc\\r", "a\\nb\\tc\\r"},
	{"\033[31mred", "\\x1b[31mred", "\\x1b[31mred"},
	{"back\\slash", "back\\\\slash", "back\\slash"},
	{"\x7f", "\\x7f", "\\x7f"},
	{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
	{"\xf0\x9f\x92\xbe", "\xf0\x9f\x92\xbe", "\xf0\x9f\x92\xbe"},
	{"\xff\xfe", "\\xff\\xfe", "\\xff\\xfe"},
	{"\xc2\x9b", "\\xc2\\x9b", "\\xc2\\x9b"}, /* CSI as one C1 control */
	{"\xe2\x80\xae"
	 "x",
	 "\\xe2\\x80\\xaex", "\\xe2\\x80\\xaex"},		/* right-to-left override */
	{"\xc0\xaf", "\\xc0\\xaf", "\\xc0\\xaf"},		/* overlong */
	{"\xed\xa0\x80", "\\xed\\xa0\\x80", "\\xed\\xa0\\x80"}, /* surrogate */
	{"\xe2\x82", "\\xe2\\x82", "\\xe2\\x82"},		/* cut off */
	{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "\\xf4\\x90\\x80\\x80"}, /* above U+10FFFF */
};

static void names_are_harmless_on_a_terminal(void **state)
{
	for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
		struct cf_buf name = CF_BUF_INIT, message = CF_BUF_INIT;

		assert_int_equal(cf_escape_append(&name, escapes[i].text, CF_ESCAPE_NAME, NULL), 0);
		assert_int_equal(
			cf_escape_append(&message, escapes[i].text, CF_ESCAPE_MESSAGE, NULL), 0);
		assert_int_equal(name.len, strlen(escapes[i].name));
		assert_memory_equal(name.data, escapes[i].name, name.len);
		assert_int_equal(message.len, strlen(escapes[i].message));
		assert_memory_equal(message.data, escapes[i].message, message.len);
		cf_buf_release(&name);
		cf_buf_release(&message);
	}
}

static void long_text_is_cut_between_characters(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{"", ""},
		{"12345678", "12345678"},
		{"123456789", "12345..."},
		{"\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc", "\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc"},
		{"1234\u00fc6789", "1234\u00fc..."},
		{"123\xff" "56", "123..."},
		{"1234\xff", "1234\\xff"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cf_buf out = CF_BUF_INIT;

		assert_int_equal(cf_escape_append_cut(&out, cases[i].text, CF_ESCAPE_NAME, 8, NULL), 0);
		assert_int_equal(cf_buf_append(&out, "", 1, NULL), 0);
		assert_string_equal((const char *)out.data, cases[i].shown);
		cf_buf_release(&out);
	}
}

static void text_is_stored_percent_encoded(void **state)
{
	char *odd = cf_escape_stored("stream:\xff %"), *plain = cf_escape_stored("50 % \u00fc");

	assert_string_equal(odd, "stream:%FF%20%25");
	assert_string_equal(plain, "50 % \u00fc");
	free(odd);
	free(plain);
}

static void table_columns_align(void **state)
{
	static const char *const cells[] = {"ID",  "SIZE",  "NAME", "a", "1", "gr\xc3\xbc\xc3\x9f",
					    "bcd", "12345", "",	    "e", "2", "x\ny"};
	struct cf_table table;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	cf_table_init(&table, "lrl");
	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
		assert_int_equal(cf_table_add(&table, cells[i], NULL), 0);
	cf_table_print(&table, out);
	fclose(out);
	assert_string_equal(text, "ID    SIZE  NAME\n"
				  "a        1  gr\xc3\xbc\xc3\x9f\n"
				  "bcd  12345\n"
				  "e        2  x\\ny\n");
	free(text);
	cf_table_release(&table);
}

static void json_is_one_ascii_line(void **state)
{
	struct cf_doc document = cf_doc_begin(), list = cf_doc_array();
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	cf_doc_push_text(&list, "a");
	cf_doc_text(&document, "null", NULL);
	cf_doc_text(&document, "name", "a\n\xc2\x9b\"%");
	cf_doc_text(&document, "path", "x%\xff");
	cf_doc_count(&document, "max", UINT64_MAX);
	cf_doc_flag(&document, "yes", true);
	cf_doc_put(&document, "list", &list);
	assert_int_equal(cf_doc_print(&document, out, NULL), 0);
	fclose(out);
	assert_string_equal(text, "{\"version\":1,\"null\":null,\"name\":\"a\\n\\u009B\\\"%\","
				  "\"path\":\"x%25%FF\",\"path_raw\":\"7825ff\","
				  "\"max\":9223372036854775807,\"yes\":true,\"list\":[\"a\"]}\n");
	free(text);
}

static void json_streams_are_arrays(void **state)
{
	struct cf_doc_stream stream;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	stream = cf_doc_stream_begin(out, "[");
	for (unsigned i = 0; i < 2; i++) {
		struct cf_doc item = cf_doc_object();

		cf_doc_count(&item, "n", i);
		assert_int_equal(cf_doc_stream_item(&stream, &item, NULL), 0);
	}
	fclose(out);
	assert_string_equal(text, "[{\"n\":0},\n{\"n\":1}");
	free(text);
}

static void progress_shows_rate_and_time_left(void **state)
{
	struct cf_progress_state progress = {0};
	struct cf_progress figures = {.bytes_total = 1000 << 20, .items_done = 3};
	struct cf_buf line = CF_BUF_INIT;
	int64_t now_ns = SECOND;

	for (int i = 0; i <= 10; i++) {
		figures.bytes_done = (uint64_t)i * (50 << 20);
		cf_progress_update(&progress, &figures, now_ns);
		now_ns += SECOND;
	}
	assert_int_equal(cf_progress_format(&progress, &figures, now_ns, 200, &line, NULL), 0);
	assert_int_equal(cf_buf_append(&line, "", 1, NULL), 0);
	assert_string_equal((const char *)line.data,
			    "500.0 MiB of 1000.0 MiB (50.0 %), 50.0 MiB/s, ETA 10.0 s, 3 items");
	cf_buf_clear(&line);
	assert_int_equal(cf_progress_format(&progress, &figures, now_ns, 12, &line, NULL), 0);
	assert_int_equal(line.len, 12);
	cf_buf_release(&line);
}

static void progress_rate_is_smoothed(void **state)
{
	struct cf_progress_state progress = {0};
	struct cf_progress figures = {0};

	for (int i = 0; i < 100; i++) {
		figures.bytes_done += 100;
		cf_progress_update(&progress, &figures, (i + 1) * SECOND);
	}
	assert_true(progress.rate > 99 && progress.rate < 101);
	figures.bytes_done += 1000;
	cf_progress_update(&progress, &figures, 101 * SECOND);
	assert_true(progress.rate > 101 && progress.rate < 300);
	/* A new source begins at zero again. */
	figures.bytes_done = 0;
	cf_progress_update(&progress, &figures, 102 * SECOND);
	assert_true(progress.rate == 0);
}

static void passwords_are_not_shown(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{"", ""},
		{"postgres://host/db", "postgres://host/db"},
		{"postgres://me@host:5432/db", "postgres://me@host:5432/db"},
		{"postgres://me:secret@host/db", "postgres://me:***@host/db"},
		{"postgres://me:s@c:r/t@host/db", "postgres://me:***@host/db"},
		{"mysql://:x@/db", "mysql://:***@/db"},
		{"mysql://me:@host", "mysql://me:@host"},
		{"'a://b:c@d' and 'e://f:g@h'", "'a://b:***@d' and 'e://f:***@h'"},
		{"postgres://h/d?password=x&sslpassword=y", "postgres://h/d?password=***&sslpassword=***"},
		{"postgres:host=h PASSWORD=x y", "postgres:host=h PASSWORD=*** y"},
		{"cannot read /tmp/a:b@c: no", "cannot read /tmp/a:b@c: no"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *shown = cf_redact(cases[i].text);

		assert_string_equal(shown, cases[i].shown);
		free(shown);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_have_one_decimal),
		cmocka_unit_test(passwords_are_not_shown),
		cmocka_unit_test(rates_shares_and_durations_read_well),
		cmocka_unit_test(times_are_iso),
		cmocka_unit_test(names_are_harmless_on_a_terminal),
		cmocka_unit_test(long_text_is_cut_between_characters),
		cmocka_unit_test(text_is_stored_percent_encoded),
		cmocka_unit_test(table_columns_align),
		cmocka_unit_test(json_is_one_ascii_line),
		cmocka_unit_test(json_streams_are_arrays),
		cmocka_unit_test(progress_shows_rate_and_time_left),
		cmocka_unit_test(progress_rate_is_smoothed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
