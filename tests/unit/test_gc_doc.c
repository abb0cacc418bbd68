/* Leases, intents and tombs: their bytes, and what is refused. */

#include "repo/format/gc_doc.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define ID_1 "0101010101010101010101010101010101010101010101010101010101010101"
#define ID_2 "0202020202020202020202020202020202020202020202020202020202020202"
#define RUN  "03030303030303030303030303030303"

static const char lease_text[] = "{\"host\":\"h\",\"number\":4,\"run\":\"" RUN "\",\"seen\":[\"" ID_1
				 "\"],\"source\":\"files:/x\",\"time\":-7,\"user\":\"u\",\"version\":1,\"work\":\"backup\"}\n";
static const char intent_text[] =
	"{\"root\":{\"id\":\"" ID_1 "\",\"level\":2,\"size\":99},\"run\":\"" RUN "\",\"time\":-7,\"version\":1}\n";
static const char tomb_text[] = "{\"host\":\"h\",\"packs\":[\"" ID_1 "\",\"" ID_2
				"\"],\"program\":\"p\",\"time\":-7,\"user\":\"u\",\"version\":1}\n";

/* Decode, and encode again into out. */
static int lease_again(struct cf_span in, struct cf_buf *out, struct cf_err *err)
{
	struct cf_lease_doc doc;
	int rc = cf_lease_decode(in, &doc, err);

	if (rc < 0)
		return rc;
	assert_int_equal(doc.number, 4);
	assert_int_equal(doc.time_ns, -7);
	assert_int_equal(doc.n_seen, 1);
	assert_false(doc.is_prune);
	rc = cf_lease_encode(&doc, out, err);
	cf_lease_doc_release(&doc);
	return rc;
}

static int intent_again(struct cf_span in, struct cf_buf *out, struct cf_err *err)
{
	struct cf_intent_doc doc;
	int rc = cf_intent_decode(in, &doc, err);

	if (rc < 0)
		return rc;
	assert_int_equal(doc.root_level, 2);
	assert_int_equal(doc.root_size, 99);
	return cf_intent_encode(&doc, out, err);
}

static int tomb_again(struct cf_span in, struct cf_buf *out, struct cf_err *err)
{
	struct cf_tomb_doc doc;
	int rc = cf_tomb_decode(in, &doc, err);

	if (rc < 0)
		return rc;
	assert_int_equal(doc.n_packs, 2);
	rc = cf_tomb_encode(&doc, out, err);
	cf_tomb_doc_release(&doc);
	return rc;
}

static const struct document {
	const char *text;
	int (*again)(struct cf_span in, struct cf_buf *out, struct cf_err *err);
} documents[] = {{lease_text, lease_again}, {intent_text, intent_again}, {tomb_text, tomb_again}};

enum {
	N_DOCUMENTS = sizeof(documents) / sizeof(documents[0])
};

static void documents_have_the_documented_bytes(void **state)
{
	for (size_t i = 0; i < N_DOCUMENTS; i++) {
		struct cf_buf out = CF_BUF_INIT;

		assert_int_equal(documents[i].again(cf_span_str(documents[i].text), &out, NULL), 0);
		assert_int_equal(out.len, strlen(documents[i].text));
		assert_memory_equal(out.data, documents[i].text, out.len);
		cf_buf_release(&out);
	}
}

static void cut_documents_are_refused(void **state)
{
	for (size_t i = 0; i < N_DOCUMENTS; i++)
		for (size_t len = 0; len < strlen(documents[i].text); len++) {
			struct cf_buf out = CF_BUF_INIT;

			assert_int_equal(documents[i].again(cf_span_of(documents[i].text, len), &out, NULL),
					 CF_ERR_DAMAGED);
			cf_buf_release(&out);
		}
}

static void documents_that_make_no_sense_are_refused(void **state)
{
	static const struct {
		size_t document;
		const char *from, *to;
		int rc;
	} cases[] = {
		{0, "\"number\":4", "\"number\":-1", CF_ERR_DAMAGED},
		{0, "\"number\":4", "\"number\":4294967296", CF_ERR_DAMAGED},
		{0, RUN, "03", CF_ERR_DAMAGED},
		{0, "[\"" ID_1 "\"]", "\"" ID_1 "\"", CF_ERR_DAMAGED},
		{0, "\"work\":\"backup\"", "\"work\":\"other\"", CF_ERR_DAMAGED},
		{0, "\"version\":1", "\"version\":2", CF_ERR_UNSUPPORTED},
		{1, "\"size\":99", "\"size\":0", CF_ERR_DAMAGED},
		{1, "\"level\":2", "\"level\":8", CF_ERR_DAMAGED},
		{1, "\"id\":\"01", "\"id\":\"0", CF_ERR_DAMAGED},
		{2, "[\"" ID_1 "\",\"" ID_2 "\"]", "[]", CF_ERR_DAMAGED},
		{2, ID_2, ID_1, CF_ERR_DAMAGED}, /* twice */
		{2, "\"host\":\"h\"", "\"host\":1", CF_ERR_DAMAGED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct document *document = &documents[cases[i].document];
		const char *at = strstr(document->text, cases[i].from);
		struct cf_buf doc = CF_BUF_INIT, out = CF_BUF_INIT;
		int rc;

		assert_non_null(at);
		assert_int_equal(cf_buf_append(&doc, document->text, (size_t)(at - document->text), NULL), 0);
		assert_int_equal(cf_buf_append_str(&doc, cases[i].to, NULL), 0);
		assert_int_equal(cf_buf_append_str(&doc, at + strlen(cases[i].from), NULL), 0);
		rc = document->again(cf_buf_span(&doc), &out, NULL);
		if (rc != cases[i].rc)
			fail_msg("case %zu: %d", i, rc);
		cf_buf_release(&doc);
		cf_buf_release(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documents_have_the_documented_bytes),
		cmocka_unit_test(cut_documents_are_refused),
		cmocka_unit_test(documents_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
