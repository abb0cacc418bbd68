/* The document of a record of the audit log: its bytes, and what is refused. */

#include "base/err.h"
#include "repo/format/audit_doc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ID_0	"0000000000000000000000000000000000000000000000000000000000000000"
#define ID_1	"0101010101010101010101010101010101010101010101010101010101010101"
#define TEXT(s) ((char[]){s})

static const char text[] =
	"{\"about\":[{\"key\":\"source\",\"value\":\"/"
	"x%FF\"},{\"key\":\"source\",\"value\":\"b\"}],"
	"\"command\":\"backup\",\"error\":\"\",\"figures\":{\"a\":-1,\"b\":2},\"host\":\"h\","
	"\"number\":8,"
	"\"previous\":[{\"id\":\"" ID_1
	"\",\"number\":7}],\"program\":\"coffer 0.1\",\"slot\":\"0a\",\"status\":3,"
	"\"time\":-5,\"user\":\"u\",\"version\":1}\n";

static void record_has_the_released_bytes(void **state)
{
	struct cf_audit_about about[] = {{TEXT("source"), TEXT("/x\xff")},
					 {TEXT("source"), TEXT("b")}};
	struct cf_audit_figure figures[] = {{TEXT("b"), 2}, {TEXT("a"), -1}};
	struct cf_audit_ref previous = {.number = 7};
	const struct cf_audit_record record = {.number = 8,
					       .previous = &previous,
					       .n_previous = 1,
					       .time_ns = -5,
					       .host = TEXT("h"),
					       .user = TEXT("u"),
					       .program = TEXT("coffer 0.1"),
					       .slot = TEXT("0a"),
					       .command = TEXT("backup"),
					       .status = 3,
					       .error = TEXT(""),
					       .about = about,
					       .n_about = 2,
					       .figures = figures,
					       .n_figures = 2};
	struct cf_audit_record back;
	struct cf_buf out = CF_BUF_INIT, again = CF_BUF_INIT;

	memset(&previous.id, 1, CF_ID_LEN);
	assert_int_equal(cf_audit_encode(&record, &out, NULL), 0);
	if (out.len != strlen(text) || memcmp(out.data, text, out.len) != 0)
		fail_msg("%.*s", (int)out.len, (const char *)out.data);
	assert_int_equal(cf_audit_decode(cf_buf_span(&out), &back, NULL), 0);
	assert_int_equal(back.n_previous, 1);
	assert_true(cf_id_equal(&back.previous[0].id, &previous.id));
	assert_string_equal(back.about[1].value, "b");
	assert_string_equal(back.figures[0].key, "a");
	assert_int_equal(back.figures[0].value, -1);
	assert_int_equal(cf_audit_encode(&back, &again, NULL), 0);
	assert_int_equal(again.len, out.len);
	assert_memory_equal(again.data, out.data, out.len);
	cf_audit_record_release(&back);
	cf_buf_release(&out);
	cf_buf_release(&again);
}

static void assert_replaced(const char *from, const char *to, int want)
{
	const char *at = strstr(text, from);
	struct cf_audit_record record;
	struct cf_buf doc = CF_BUF_INIT;
	int rc;

	assert_non_null(at);
	assert_int_equal(cf_buf_append(&doc, text, (size_t)(at - text), NULL), 0);
	assert_int_equal(cf_buf_append_str(&doc, to, NULL), 0);
	assert_int_equal(cf_buf_append_str(&doc, at + strlen(from), NULL), 0);
	rc = cf_audit_decode(cf_buf_span(&doc), &record, NULL);
	if (rc != want)
		fail_msg("%.*s: %d", (int)doc.len, (const char *)doc.data, rc);
	if (rc == 0)
		cf_audit_record_release(&record);
	cf_buf_release(&doc);
}

static void records_that_make_no_sense_are_refused(void **state)
{
	static const struct {
		const char *from, *to;
		int rc;
	} cases[] = {
		{"\"number\":8", "\"number\":0", CF_ERR_DAMAGED},
		{"\"number\":8", "\"number\":137438953472", CF_ERR_DAMAGED},
		{"\"number\":8", "\"number\":137438953471", 0},
		{"\"number\":7", "\"number\":0", CF_ERR_DAMAGED},
		{"\"id\":\"01", "\"id\":\"", CF_ERR_DAMAGED},
		{ID_1, ID_0, CF_ERR_DAMAGED},
		{"\"status\":3", "\"status\":-1", CF_ERR_DAMAGED},
		{"\"status\":3", "\"status\":256", CF_ERR_DAMAGED},
		{"\"time\":-5", "\"time\":\"x\"", CF_ERR_DAMAGED},
		{"{\"a\":-1,", "{\"a\":\"1\",", CF_ERR_DAMAGED},
		{"\"value\":\"b\"", "\"value\":7", CF_ERR_DAMAGED},
		{"\"key\":\"source\",", "", CF_ERR_DAMAGED},
		{"\"command\":\"backup\",", "", CF_ERR_DAMAGED},
		{"\"error\":\"\",", "", CF_ERR_DAMAGED},
		{"\"user\":\"u\",", "", CF_ERR_DAMAGED},
		{"\"user\":\"u\",", "\"unknown\":[1],\"user\":\"u\",", 0},
		{"\"version\":1", "\"version\":0", CF_ERR_DAMAGED},
		{"\"version\":1", "\"version\":2", CF_ERR_UNSUPPORTED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_replaced(cases[i].from, cases[i].to, cases[i].rc);
}

static void cut_records_are_refused(void **state)
{
	for (size_t len = 0; len < strlen(text); len++) {
		struct cf_audit_record record;

		assert_int_equal(cf_audit_decode(cf_span_of(text, len), &record, NULL),
				 CF_ERR_DAMAGED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record_has_the_released_bytes),
		cmocka_unit_test(records_that_make_no_sense_are_refused),
		cmocka_unit_test(cut_records_are_refused),
	};

	return cmocka_run_group_tests_name("format: audit records", tests, NULL, NULL);
}
