/* The JSON documents of the repository's format: their bytes, and what is refused. */

#include "base/err.h"
#include "repo/format/config.h"
#include "repo/format/audit_ref.h"
#include "repo/format/forget_doc.h"
#include "repo/format/json.h"
#include "repo/format/keyslot.h"
#include "repo/format/keyslot2.h"
#include "repo/format/snapshot_doc.h"
#include "repo/repo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ID_1 "0101010101010101010101010101010101010101010101010101010101010101"
#define ID_0 "0000000000000000000000000000000000000000000000000000000000000000"

static const char config_text[] =
	"{\"body\":{\"chunker\":{\"kind\":\"vg16\",\"max\":262144,\"min\":16384,\"nominal\":65536},"
	"\"cipher\":\"aes-256-gcm\",\"created\":5,"
	"\"features\":{\"check\":[],\"delete\":[],\"read\":[],\"write\":[]},"
	"\"id\":\"01010101010101010101010101010101\",\"version\":1},\"tag\":\"" ID_1 "\"}\n";

static const char slot_text[] =
	"{\"created\":5,\"kdf\":{\"memory\":67108864,\"name\":\"argon2id\",\"ops\":3,"
	"\"salt\":\"01010101010101010101010101010101\"},\"kind\":\"passphrase\",\"role\":\"full\","
	"\"version\":1,"
	"\"wrapped\":{\"data\":\"02020202020202020202020202020202\","
	"\"nonce\":\"030303030303030303030303030303030303030303030303\"}}\n";

#define HEX_4(digits) digits digits digits digits
#define HEX_16(digits) HEX_4(digits) HEX_4(digits) HEX_4(digits) HEX_4(digits)
#define HEX_48(digits) HEX_16(digits) HEX_16(digits) HEX_16(digits)

static const char slot2_text[] =
	"{\"about\":{\"data\":\"" HEX_16("09") "\",\"nonce\":\"" HEX_16("08") "0808080808080808\"},"
	"\"created\":5,\"epochs\":[1,70000],\"id\":\"" HEX_16("01") "\","
	"\"kdf\":{\"memory\":0,\"name\":\"blake2b\",\"ops\":0,\"salt\":\"" HEX_16("02") "\"},"
	"\"keyring\":\"" HEX_48("0a") "\",\"kind\":\"command\",\"public\":\"" HEX_16("04") HEX_16("04") "\","
	"\"role\":\"write\",\"secret\":{\"data\":\"" HEX_48("06") HEX_16("06") HEX_16("06")
	"\",\"nonce\":\"" HEX_16("05") "0505050505050505\"},\"signature\":\"" HEX_48("0b") HEX_16("0b") "\","
	"\"version\":2,\"wrapped\":\"0303\"}\n";

static const char snapshot_text[] =
	"{\"driver\":\"files\",\"facts\":{\"k\":\"v\"},\"figures\":{\"bytes_read\":2,\"bytes_"
	"stored\":3,"
	"\"bytes_total\":1,\"chunks_delta\":5,\"chunks_known\":6,\"chunks_new\":4,\"dirs\":8,"
	"\"duration_ns\":11,"
	"\"files\":7,\"files_unchanged\":10,\"others\":9},\"history\":[\"" ID_1
	"\"],\"host\":\"h\","
	"\"parent\":\"" ID_1 "\",\"program\":\"coffer 0.1\",\"replaces\":\"" ID_0 "\","
	"\"root\":{\"id\":\"" ID_1
	"\",\"level\":1,\"size\":99},\"source\":\"files:/x%FF\",\"tags\":[\"a\",\"b\"],"
	"\"time\":-5,\"user\":\"u\",\"version\":1}\n";

static void fill_config(struct cf_config *config)
{
	*config = (struct cf_config){.created_ns = 5,
				     .cipher = CF_CIPHER_AES_256_GCM,
				     .chunker = 2,
				     .min = 16384,
				     .nominal = 65536,
				     .max = 262144};
	memset(config->repo_id, 1, sizeof(config->repo_id));
	memset(config->tag, 1, sizeof(config->tag));
}

static void assert_text(const struct cf_buf *found, const char *want)
{
	if (found->len != strlen(want) || memcmp(found->data, want, found->len) != 0)
		fail_msg("%.*s", (int)found->len, (const char *)found->data);
}

static void config_has_the_released_bytes(void **state)
{
	struct cf_config config, back;
	struct cf_buf out = CF_BUF_INIT;

	fill_config(&config);
	assert_int_equal(cf_config_encode(&config, &out, NULL), 0);
	assert_text(&out, config_text);
	assert_int_equal(cf_config_decode(cf_span_str(config_text), &back, NULL), 0);
	assert_int_equal(cf_config_encode_body(&config, NULL), 0);
	assert_int_equal(back.body.len, config.body.len);
	assert_memory_equal(back.body.data, config.body.data, config.body.len);
	assert_int_equal(back.nominal, 65536);
	cf_config_release(&config);
	cf_config_release(&back);
	cf_buf_release(&out);
}

static void slot_has_the_released_bytes(void **state)
{
	struct cf_keyslot slot = {.role = CF_ROLE_FULL,
				  .kind = CF_SLOT_PASSPHRASE,
				  .created_ns = 5,
				  .ops = 3,
				  .memory = 64 << 20};
	struct cf_keyslot back;
	struct cf_buf out = CF_BUF_INIT;

	memset(slot.salt, 1, sizeof(slot.salt));
	memset(slot.nonce, 3, sizeof(slot.nonce));
	assert_int_equal(cf_buf_append(&slot.wrapped, "\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2", 16, NULL),
			 0);
	assert_int_equal(cf_keyslot_encode(&slot, &out, NULL), 0);
	assert_text(&out, slot_text);
	assert_int_equal(cf_keyslot_decode(cf_span_str(slot_text), &back, NULL), 0);
	assert_int_equal(back.memory, 64 << 20);
	cf_keyslot_release(&slot);
	cf_keyslot_release(&back);
	cf_buf_release(&out);
}

static char *text_of(const char *text)
{
	char *copy = strdup(text);

	assert_non_null(copy);
	return copy;
}

static void a_config_has_features(void **state)
{
	struct cf_config config, back;
	struct cf_buf out = CF_BUF_INIT;
	struct cf_err err = CF_ERR_INIT;
	char *list;

	fill_config(&config);
	config.has_signed_versions = true;
	assert_int_equal(cf_config_encode(&config, &out, NULL), 0);
	list = memmem(out.data, out.len, "\"delete\":[\"signed-versions\"]", 28);
	assert_non_null(list);
	assert_int_equal(cf_config_decode(cf_buf_span(&out), &back, NULL), 0);
	assert_true(back.has_signed_versions);
	cf_config_release(&back);
	memcpy(memmem(out.data, out.len, "signed-v", 8), "xigned-v", 8);
	assert_int_equal(cf_config_decode(cf_buf_span(&out), &back, &err), CF_ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "the feature \"xigned-versions\" to delete"));
	cf_buf_release(&out);
}

static struct cf_snapshot *new_snapshot(void)
{
	struct cf_snapshot *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	*s = (struct cf_snapshot){.time_ns = -5,
				  .host = text_of("h"),
				  .user = text_of("u"),
				  .source = text_of("files:/x\xff"),
				  .driver = text_of("files"),
				  .program = text_of("coffer 0.1"),
				  .tags = calloc(2, sizeof(char *)),
				  .n_tags = 2,
				  .facts = calloc(1, sizeof(struct cf_fact)),
				  .n_facts = 1,
				  .history = calloc(1, sizeof(struct cf_id)),
				  .n_history = 1,
				  .root = {.level = 1, .size = 99},
				  .figures = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, .bytes_restored = 1}};
	s->tags[0] = text_of("a");
	s->tags[1] = text_of("b");
	s->facts[0] = (struct cf_fact){text_of("k"), text_of("v")};
	memset(&s->history[0], 1, sizeof(struct cf_id));
	memset(&s->parent, 1, sizeof(struct cf_id));
	memset(&s->root.id, 1, sizeof(struct cf_id));
	return s;
}

static void snapshot_has_the_released_bytes(void **state)
{
	struct cf_snapshot *s = new_snapshot(), *back;
	struct cf_buf out = CF_BUF_INIT, again = CF_BUF_INIT;

	assert_int_equal(cf_snapshot_encode(s, &out, NULL), 0);
	assert_text(&out, snapshot_text);
	assert_int_equal(cf_snapshot_decode(cf_span_str(snapshot_text), &back, NULL), 0);
	assert_int_equal(cf_snapshot_encode(back, &again, NULL), 0);
	assert_text(&again, snapshot_text);
	assert_memory_equal(&back->figures, &s->figures, sizeof(s->figures));
	cf_snapshot_free(s);
	cf_snapshot_free(back);
	cf_buf_release(&out);
	cf_buf_release(&again);
}

/* Absent where it is the size, as in all earlier snapshots. */
static void what_a_restore_writes_is_kept(void **state)
{
	struct cf_snapshot *s = new_snapshot(), *back;
	struct cf_buf out = CF_BUF_INIT;

	s->figures.bytes_restored = 12;
	assert_int_equal(cf_snapshot_encode(s, &out, NULL), 0);
	assert_non_null(memmem(out.data, out.len, "\"bytes_restored\":12,", 20));
	assert_int_equal(cf_snapshot_decode(cf_buf_span(&out), &back, NULL), 0);
	assert_memory_equal(&back->figures, &s->figures, sizeof(s->figures));
	cf_snapshot_free(back);
	cf_snapshot_free(s);
	memcpy(memmem(out.data, out.len, ":12,", 4), ":-2,", 4);
	assert_int_equal(cf_snapshot_decode(cf_buf_span(&out), &back, NULL), CF_ERR_DAMAGED);
	cf_buf_release(&out);
}

static void the_signature_of_a_replacing_snapshot_is_kept(void **state)
{
	struct cf_snapshot *s = new_snapshot(), *back;
	struct cf_buf out = CF_BUF_INIT, marks = CF_BUF_INIT;

	s->has_signature = s->has_origin = true;
	memset(s->signature, 11, sizeof(s->signature));
	memset(s->origin, 12, sizeof(s->origin));
	assert_int_equal(cf_snapshot_encode(s, &out, NULL), 0);
	assert_non_null(memmem(out.data, out.len, ",\"signature\":\"0b0b", 18));
	assert_int_equal(cf_snapshot_decode(cf_buf_span(&out), &back, NULL), 0);
	assert_true(back->has_signature && back->has_origin);
	assert_memory_equal(back->signature, s->signature, sizeof(s->signature));
	assert_memory_equal(back->origin, s->origin, sizeof(s->origin));
	assert_int_equal(cf_snapshot_encode_marks(back, &marks, NULL), 0);
	assert_text(&marks, "{\"tags\":[\"a\",\"b\"]}\n");
	cf_snapshot_free(back);
	cf_snapshot_free(s);
	memcpy(memmem(out.data, out.len, "\"0b0b", 5), "\"0bXX", 5);
	assert_int_equal(cf_snapshot_decode(cf_buf_span(&out), &back, NULL), CF_ERR_DAMAGED);
	cf_buf_release(&out);
	cf_buf_release(&marks);
}

/* Only the writers of later programs have the field; earlier snapshots come out without it. */
static void what_a_snapshot_saw_of_the_audit_log_is_kept(void **state)
{
	struct cf_snapshot *s = new_snapshot(), *back;
	struct cf_buf none = CF_BUF_INIT, one = CF_BUF_INIT;

	s->audit = calloc(1, sizeof(*s->audit));
	assert_non_null(s->audit);
	assert_int_equal(cf_snapshot_encode(s, &none, NULL), 0);
	assert_memory_equal(none.data, "{\"audit\":[],\"driver\"", 20);
	assert_int_equal(cf_snapshot_decode(cf_buf_span(&none), &back, NULL), 0);
	assert_non_null(back->audit);
	assert_int_equal(back->n_audit, 0);
	cf_snapshot_free(back);
	memset(&s->audit[0].id, 1, CF_ID_LEN);
	s->audit[0].number = 70;
	s->n_audit = 1;
	assert_int_equal(cf_snapshot_encode(s, &one, NULL), 0);
	assert_int_equal(cf_snapshot_decode(cf_buf_span(&one), &back, NULL), 0);
	assert_int_equal(back->n_audit, 1);
	assert_int_equal(back->audit[0].number, 70);
	assert_true(cf_id_equal(&back->audit[0].id, &s->audit[0].id));
	cf_snapshot_free(back);
	cf_snapshot_free(s);
	cf_buf_release(&none);
	cf_buf_release(&one);
}

typedef int decode_fn(struct cf_span in, struct cf_err *err);

static int decode_config(struct cf_span in, struct cf_err *err)
{
	struct cf_config config;
	int rc = cf_config_decode(in, &config, err);

	if (rc == 0)
		cf_config_release(&config);
	return rc;
}

static int decode_slot(struct cf_span in, struct cf_err *err)
{
	struct cf_keyslot slot;
	int rc = cf_keyslot_decode(in, &slot, err);

	if (rc == 0)
		cf_keyslot_release(&slot);
	return rc;
}

static int decode_slot2(struct cf_span in, struct cf_err *err)
{
	struct cf_keyslot2 slot;
	int rc = cf_keyslot2_decode(in, &slot, err);

	if (rc == 0)
		cf_keyslot2_release(&slot);
	return rc;
}

static int decode_snapshot(struct cf_span in, struct cf_err *err)
{
	struct cf_snapshot *snapshot = NULL;
	int rc = cf_snapshot_decode(in, &snapshot, err);

	cf_snapshot_free(snapshot);
	return rc;
}

static const struct {
	decode_fn *decode;
	const char *text;
} documents[] = {
	{decode_config, config_text},
	{decode_slot, slot_text},
	{decode_snapshot, snapshot_text},
	{decode_slot2, slot2_text},
};

#define N_DOCUMENTS (sizeof(documents) / sizeof(documents[0]))
#define N_FIRST	    3 /* the first of them have version 1 */

static void slot2_has_the_released_bytes(void **state)
{
	uint32_t epochs[] = {1, 70000};
	struct cf_keyslot2 slot = {.role = CF_ROLE_WRITE,
				   .kind = CF_SLOT_COMMAND,
				   .created_ns = 5,
				   .epochs = epochs,
				   .n_epochs = 2};
	struct cf_keyslot2 back;
	struct cf_buf out = CF_BUF_INIT;

	memset(slot.id, 1, sizeof(slot.id));
	memset(slot.salt, 2, sizeof(slot.salt));
	memset(slot.public_key, 4, sizeof(slot.public_key));
	memset(slot.secret_nonce, 5, sizeof(slot.secret_nonce));
	memset(slot.secret, 6, sizeof(slot.secret));
	memset(slot.about_nonce, 8, sizeof(slot.about_nonce));
	memset(slot.signature, 11, sizeof(slot.signature));
	assert_int_equal(cf_buf_append(&slot.wrapped, "\3\3", 2, NULL), 0);
	assert_int_equal(cf_buf_resize(&slot.about, 16, NULL), 0);
	memset(slot.about.data, 9, 16);
	assert_int_equal(cf_buf_resize(&slot.keyring, 48, NULL), 0);
	memset(slot.keyring.data, 10, 48);
	assert_int_equal(cf_keyslot2_encode(&slot, &out, NULL), 0);
	assert_text(&out, slot2_text);
	assert_int_equal(cf_keyslot_version(cf_span_str(slot2_text)), 2);
	assert_int_equal(cf_keyslot_version(cf_span_str(slot_text)), 1);
	assert_int_equal(cf_keyslot2_decode(cf_span_str(slot2_text), &back, NULL), 0);
	assert_int_equal(back.epochs[1], 70000);
	assert_int_equal(back.role, CF_ROLE_WRITE);
	cf_keyslot2_release(&back);

	/* What never changes, and what is signed: parts of the same document. */
	cf_buf_clear(&out);
	assert_int_equal(cf_keyslot2_encode_fixed(&slot, &out, NULL), 0);
	assert_text(&out, "{\"created\":5,\"id\":\"" HEX_16("01") "\",\"kdf\":{\"memory\":0,\"name\":\"blake2b\",\"ops\":0,"
			  "\"salt\":\"" HEX_16("02") "\"},\"kind\":\"command\",\"public\":\"" HEX_16("04") HEX_16("04")
			  "\",\"role\":\"write\",\"version\":2,\"wrapped\":\"0303\"}\n");
	slot.epochs = NULL; /* the test's own */
	cf_keyslot2_release(&slot);
	cf_buf_release(&out);
}

static void slots_that_make_no_sense_are_refused(void **state)
{
	static const struct {
		const char *from, *to;
		int rc;
	} cases[] = {
		{"[1,70000]", "[]", CF_ERR_DAMAGED},
		{"[1,70000]", "[70000,1]", CF_ERR_DAMAGED},
		{"[1,70000]", "[1,1]", CF_ERR_DAMAGED},
		{"[1,70000]", "[1,4294967296]", CF_ERR_DAMAGED},
		{"[1,70000]", "[-1]", CF_ERR_DAMAGED},
		{"[1,70000]", "{\"1\":1}", CF_ERR_DAMAGED},
		{"\"command\"", "\"kms\"", CF_ERR_DAMAGED},
		{"\"command\"", "\"passphrase\"", CF_ERR_DAMAGED},
		{"\"write\"", "\"read\"", CF_ERR_DAMAGED},
		{"\"keyring\":\"0a", "\"keyring\":\"", CF_ERR_DAMAGED},
		{"\"data\":\"09", "\"data\":\"", CF_ERR_DAMAGED},
		{"\"data\":\"06", "\"data\":\"", CF_ERR_DAMAGED},
		{"\"signature\":\"0b", "\"signature\":\"", CF_ERR_DAMAGED},
		{"\"ops\":0", "\"ops\":65", CF_ERR_DAMAGED},
		{"\"version\":2", "\"version\":1", CF_ERR_DAMAGED},
		{"\"version\":2", "\"version\":3", CF_ERR_UNSUPPORTED},
		{"\"wrapped\":\"0303\"", "\"wrapped\":\"03033\"", CF_ERR_DAMAGED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *at = strstr(slot2_text, cases[i].from);
		struct cf_buf doc = CF_BUF_INIT;

		assert_non_null(at);
		assert_int_equal(cf_buf_append(&doc, slot2_text, (size_t)(at - slot2_text), NULL), 0);
		assert_int_equal(cf_buf_append_str(&doc, cases[i].to, NULL), 0);
		assert_int_equal(cf_buf_append_str(&doc, at + strlen(cases[i].from), NULL), 0);
		if (decode_slot2(cf_buf_span(&doc), NULL) != cases[i].rc)
			fail_msg("%s is not refused as it should be", cases[i].to);
		cf_buf_release(&doc);
	}
}

/* Only a held snapshot has the field. */
static void hold_has_the_released_bytes(void **state)
{
	struct cf_snapshot *s = new_snapshot(), *back;
	struct cf_buf out = CF_BUF_INIT;

	s->hold = calloc(1, sizeof(*s->hold));
	assert_non_null(s->hold);
	*s->hold = (struct cf_hold){.since_ns = 9, .reason = text_of("why")};
	assert_int_equal(cf_snapshot_encode(s, &out, NULL), 0);
	assert_int_equal(cf_buf_append(&out, "", 1, NULL), 0);
	assert_non_null(strstr((const char *)out.data,
			       "],\"hold\":{\"reason\":\"why\",\"since\":9},\"host\":\"h\","));
	assert_int_equal(cf_snapshot_decode(cf_span_of(out.data, out.len - 1), &back, NULL), 0);
	assert_string_equal(back->hold->reason, "why");
	assert_int_equal(back->hold->since_ns, 9);
	cf_snapshot_free(back);
	cf_snapshot_free(s);
	cf_buf_release(&out);
}

static const char record_text[] =
	"{\"done\":false,\"history\":[\"" ID_1 "\"],\"host\":\"h%FF\",\"program\":\"coffer 0.1\","
	"\"snapshots\":[{\"host\":\"g\",\"id\":\"" ID_1 "\",\"source\":\"files:/x\",\"time\":-5}],"
	"\"time\":7,\"user\":\"u\",\"version\":1}\n";

static void record_has_the_released_bytes(void **state)
{
	struct cf_forget_record record = {.time_ns = 7,
					  .host = text_of("h\xff"),
					  .user = text_of("u"),
					  .program = text_of("coffer 0.1"),
					  .snapshots = calloc(1, sizeof(struct cf_forgotten)),
					  .n_snapshots = 1,
					  .history = calloc(1, sizeof(struct cf_id)),
					  .n_history = 1};
	struct cf_forget_record back;
	struct cf_buf out = CF_BUF_INIT;

	record.snapshots[0] =
		(struct cf_forgotten){.time_ns = -5, .host = text_of("g"), .source = text_of("files:/x")};
	memset(&record.snapshots[0].id, 1, CF_ID_LEN);
	memset(&record.history[0], 1, CF_ID_LEN);
	assert_int_equal(cf_forget_encode(&record, &out, NULL), 0);
	assert_text(&out, record_text);
	assert_int_equal(cf_forget_decode(cf_buf_span(&out), &back, NULL), 0);
	assert_false(back.is_done);
	assert_string_equal(back.snapshots[0].source, "files:/x");
	assert_true(cf_id_equal(&back.history[0], &record.history[0]));
	cf_forget_record_release(&back);
	record.is_done = true;
	cf_buf_clear(&out);
	assert_int_equal(cf_forget_encode(&record, &out, NULL), 0);
	assert_int_equal(cf_forget_decode(cf_buf_span(&out), &back, NULL), 0);
	assert_true(back.is_done);
	cf_forget_record_release(&back);
	cf_forget_record_release(&record);
	cf_buf_release(&out);
}

static void records_that_make_no_sense_are_refused(void **state)
{
	static const struct {
		const char *from, *to;
		int rc;
	} cases[] = {
		{"\"done\":false", "\"done\":0", CF_ERR_DAMAGED},
		{"\"done\":false,", "", CF_ERR_DAMAGED},
		{"\"history\":[\"01", "\"history\":[\"", CF_ERR_DAMAGED},
		{"\"host\":\"g\",", "", CF_ERR_DAMAGED},
		{"\"time\":-5", "\"time\":\"x\"", CF_ERR_DAMAGED},
		{"\"version\":1", "\"version\":0", CF_ERR_DAMAGED},
		{"\"version\":1", "\"version\":2", CF_ERR_UNSUPPORTED},
		{"\"user\":\"u\",", "", CF_ERR_DAMAGED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *at = strstr(record_text, cases[i].from);
		struct cf_forget_record record;
		struct cf_buf doc = CF_BUF_INIT;
		int rc;

		assert_non_null(at);
		assert_int_equal(cf_buf_append(&doc, record_text, (size_t)(at - record_text), NULL), 0);
		assert_int_equal(cf_buf_append_str(&doc, cases[i].to, NULL), 0);
		assert_int_equal(cf_buf_append_str(&doc, at + strlen(cases[i].from), NULL), 0);
		rc = cf_forget_decode(cf_buf_span(&doc), &record, NULL);
		if (rc != cases[i].rc)
			fail_msg("%.*s: %d", (int)doc.len, (const char *)doc.data, rc);
		cf_buf_release(&doc);
	}
	for (size_t len = 0; len + 1 < sizeof(record_text); len++) {
		struct cf_forget_record record;

		assert_int_equal(cf_forget_decode(cf_span_of(record_text, len), &record, NULL), CF_ERR_DAMAGED);
	}
}

static void cut_documents_are_refused(void **state)
{
	for (size_t i = 0; i < N_DOCUMENTS; i++)
		for (size_t len = 0; len < strlen(documents[i].text); len++)
			assert_int_equal(
				documents[i].decode(cf_span_of(documents[i].text, len), NULL),
				CF_ERR_DAMAGED);
}

/* A flip inside a value may leave another valid document: its tag or name tells. Elsewhere none
 * passes. */
static void flipped_bits_are_refused_or_another_document(void **state)
{
	for (size_t i = 0; i < N_DOCUMENTS; i++) {
		char *text = text_of(documents[i].text);

		for (size_t bit = 0; bit < 8 * strlen(documents[i].text); bit++) {
			struct cf_err err = CF_ERR_INIT;
			int rc;

			text[bit / 8] ^= (char)(1u << bit % 8);
			rc = documents[i].decode(cf_span_of(text, strlen(documents[i].text)), &err);
			assert_true(rc == 0 || rc == CF_ERR_DAMAGED || rc == CF_ERR_UNSUPPORTED);
			if (rc == 0 && strchr("{}[]\",\n", documents[i].text[bit / 8]))
				fail_msg("document %zu: a flipped bit %zu passes", i, bit);
			text[bit / 8] ^= (char)(1u << bit % 8);
		}
		free(text);
	}
}

static char *replaced(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	char *out = malloc(strlen(text) + strlen(to) + 1);

	assert_non_null(at);
	assert_non_null(out);
	memcpy(out, text, (size_t)(at - text));
	strcpy(out + (at - text), to);
	strcat(out, at + strlen(from));
	return out;
}

static void assert_decodes_as(size_t document, const char *from, const char *to, int want)
{
	char *text = replaced(documents[document].text, from, to);
	int rc = documents[document].decode(cf_span_str(text), NULL);

	if (rc != want)
		fail_msg("document %zu with %s: %d, not %d", document, to, rc, want);
	free(text);
}

static void only_the_canonical_form_is_read(void **state)
{
	for (size_t i = 0; i < N_FIRST; i++) {
		assert_decodes_as(i, "{", "{ ", CF_ERR_DAMAGED);
		assert_decodes_as(i, "\n", "", CF_ERR_DAMAGED);
		assert_decodes_as(i, "\n", "\n\n", CF_ERR_DAMAGED);
		assert_decodes_as(i, "\"version\":1", "\"version\":1.0", CF_ERR_DAMAGED);
		assert_decodes_as(i, "\"version\":1", "\"version\":1,\"version\":1",
				  CF_ERR_DAMAGED);
		assert_decodes_as(i, "\"version\":1", "\"versio\\u006e\":1", CF_ERR_DAMAGED);
	}
	assert_decodes_as(1, "\"created\":5,\"kdf\"", "\"kdf\"", CF_ERR_DAMAGED);
	assert_int_equal(decode_config(cf_span_str("[]\n"), NULL), CF_ERR_DAMAGED);
	assert_int_equal(decode_config(cf_span_of(NULL, 0), NULL), CF_ERR_DAMAGED);
}

static void newer_versions_are_unsupported(void **state)
{
	for (size_t i = 0; i < N_FIRST; i++) {
		assert_decodes_as(i, "\"version\":1", "\"version\":2", CF_ERR_UNSUPPORTED);
		assert_decodes_as(i, "\"version\":1", "\"version\":0", CF_ERR_DAMAGED);
		assert_decodes_as(i, "\"version\":1", "\"version\":\"1\"", CF_ERR_DAMAGED);
	}
	assert_decodes_as(0, "\"read\":[]", "\"read\":[\"erasure\"]", CF_ERR_UNSUPPORTED);
	assert_decodes_as(0, "\"read\":[]", "\"read\":{}", CF_ERR_DAMAGED);
}

static void values_beyond_their_limits_are_refused(void **state)
{
	static const struct {
		size_t document;
		const char *from, *to;
	} cases[] = {
		{0, "\"min\":16384", "\"min\":63"},
		{0, "\"max\":262144", "\"max\":16777217"},
		{0, "\"max\":262144", "\"max\":65535"},
		{0, "vg16", "vg17"},
		{0, "aes-256-gcm", "aes-128-gcm"},
		{0, "\"tag\":\"01", "\"tag\":\""},
		{1, "\"ops\":3", "\"ops\":65"},
		{1, "\"memory\":67108864", "\"memory\":4294967297"},
		{1, "\"memory\":67108864", "\"memory\":-1"},
		{1, "argon2id", "blake2b"},
		{1, "\"full\"", "\"root\""},
		{1, "\"data\":\"02", "\"data\":\"0"},
		{1, "\"data\":\"02", "\"data\":\""},
		{1, "\"salt\":\"01", "\"salt\":\"0A"},
		{2, "\"level\":1", "\"level\":8"},
		{2, "\"size\":99", "\"size\":0"},
		{2, "\"bytes_read\":2", "\"bytes_read\":-2"},
		{2, "[\"a\",\"b\"]", "[\"a\",1]"},
		{2, "{\"k\":\"v\"}", "{\"k\":1}"},
		{2, "\"history\":[\"" ID_1 "\"]", "\"history\":[],\"hold\":1"},
		{2, "\"history\":[\"" ID_1 "\"]", "\"history\":[],\"hold\":{\"reason\":\"\"}"},
		{2, "\"history\":[\"01", "\"history\":[\""},
		{2, "\"root\":{\"id\":\"" ID_1, "\"root\":{\"id\":\"" ID_0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_decodes_as(cases[i].document, cases[i].from, cases[i].to, CF_ERR_DAMAGED);
}

static void open_part_lacks_only_the_wrapped_keyring(void **state)
{
	struct cf_keyslot slot;
	struct cf_buf open = CF_BUF_INIT;
	const char *wrapped = strstr(slot_text, ",\"wrapped\"");

	assert_int_equal(cf_keyslot_decode(cf_span_str(slot_text), &slot, NULL), 0);
	assert_int_equal(cf_keyslot_encode_open_part(&slot, &open, NULL), 0);
	assert_int_equal(open.len, (size_t)(wrapped - slot_text) + 2);
	assert_memory_equal(open.data, slot_text, (size_t)(wrapped - slot_text));
	cf_keyslot_release(&slot);
	cf_buf_release(&open);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config_has_the_released_bytes),
		cmocka_unit_test(slot_has_the_released_bytes),
		cmocka_unit_test(slot2_has_the_released_bytes),
		cmocka_unit_test(slots_that_make_no_sense_are_refused),
		cmocka_unit_test(snapshot_has_the_released_bytes),
		cmocka_unit_test(what_a_restore_writes_is_kept),
		cmocka_unit_test(the_signature_of_a_replacing_snapshot_is_kept),
		cmocka_unit_test(what_a_snapshot_saw_of_the_audit_log_is_kept),
		cmocka_unit_test(a_config_has_features),
		cmocka_unit_test(hold_has_the_released_bytes),
		cmocka_unit_test(record_has_the_released_bytes),
		cmocka_unit_test(records_that_make_no_sense_are_refused),
		cmocka_unit_test(cut_documents_are_refused),
		cmocka_unit_test(flipped_bits_are_refused_or_another_document),
		cmocka_unit_test(only_the_canonical_form_is_read),
		cmocka_unit_test(newer_versions_are_unsupported),
		cmocka_unit_test(values_beyond_their_limits_are_refused),
		cmocka_unit_test(open_part_lacks_only_the_wrapped_keyring),
	};

	return cmocka_run_group_tests_name("format: documents", tests, NULL, NULL);
}
