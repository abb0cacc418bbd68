/* The primitives against published vectors, seals against being moved or changed, and the blob
 * codec. */

#include "base/err.h"
#include "repo/codec.h"
#include "repo/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void assert_hmac(const void *key, size_t key_len, const void *data, size_t len,
			const char *want)
{
	struct cf_hmac *hmac;
	struct cf_id found;

	assert_int_equal(cf_hmac_new(cf_span_of(key, key_len), &hmac, NULL), 0);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(cf_hmac_run(hmac, cf_span_of(data, len), &found, NULL), 0);
		assert_string_equal(cf_id_text(&found).s, want);
	}
	cf_hmac_free(hmac);
}

static void hmac_gives_the_values_of_rfc_4231(void **state)
{
	uint8_t key[65], data[50];
	struct cf_hmac *hmac;

	memset(key, 0x0b, 20);
	assert_hmac(key, 20, "Hi There", 8,
		    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	assert_hmac("Jefe", 4, "what do ya want for nothing?", 28,
		    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	memset(data, 0xdd, sizeof(data));
	assert_hmac(key, 20, data, 50,
		    "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
	assert_int_equal(cf_hmac_new(cf_span_of(key, 65), &hmac, NULL), CF_ERR_FAILED);
}

/* Around the ends of a SHA-256 block, in every mix of lengths. */
static void hmacs_of_many_are_those_of_each(void **state)
{
	static uint8_t data[300];
	struct cf_span spans[300];
	struct cf_id many[300], one;
	struct cf_hmac *hmac;

	for (size_t i = 0; i < 300; i++) {
		data[i] = (uint8_t)(i * 31);
		spans[i] = cf_span_of(data, i * 7 % 300);
	}
	assert_int_equal(cf_hmac_new(cf_span_str("Jefe"), &hmac, NULL), 0);
	for (size_t n = 0; n <= 300; n += n < 10 ? 1 : 29) {
		assert_int_equal(cf_hmac_run_many(hmac, spans, n, many, NULL), 0);
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(cf_hmac_run(hmac, spans[i], &one, NULL), 0);
			assert_memory_equal(one.bytes, many[i].bytes, CF_ID_LEN);
		}
	}
	cf_hmac_free(hmac);
}

static void derived_keys_are_hmacs_of_label_nul_and_data(void **state)
{
	struct cf_span key = cf_span_str("Jefe");
	struct cf_hmac *hmac;
	struct cf_id want;
	uint8_t found[32];

	assert_int_equal(cf_hmac_new(key, &hmac, NULL), 0);
	assert_int_equal(cf_hmac_run(hmac, cf_span_of("label\0data", 10), &want, NULL), 0);
	assert_int_equal(cf_derive(key, "label", cf_span_str("data"), found, NULL), 0);
	assert_memory_equal(found, want.bytes, sizeof(found));
	cf_hmac_free(hmac);
}

static void sha256_takes_parts_in_order(void **state)
{
	const struct cf_span parts[] = {cf_span_str("a"), cf_span_of(NULL, 0), cf_span_str("bc")};
	struct cf_id found;

	assert_int_equal(cf_sha256(parts, 3, &found, NULL), 0);
	assert_string_equal(cf_id_text(&found).s,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static struct cf_seal_place place_of(enum cf_cipher cipher)
{
	return (struct cf_seal_place){
		.type = CF_OBJECT_DATA_PACK, .cipher = cipher, .repo_id = {1}, .key_id = {2}};
}

static const uint8_t seal_key[32] = {1, 2, 3};

static void seal_text(enum cf_cipher cipher, struct cf_buf *out)
{
	const struct cf_span parts[] = {cf_span_str("hello "), cf_span_str("world")};
	struct cf_seal_place place = place_of(cipher);

	assert_int_equal(cf_seal(&place, cf_span_of(seal_key, 32), 5, parts, 2, out, NULL), 0);
}

static int unseal(const struct cf_seal_place *place, const uint8_t *key, uint64_t number,
		  struct cf_span sealed)
{
	struct cf_buf plain = CF_BUF_INIT;
	struct cf_err err = CF_ERR_INIT;
	int rc = cf_unseal(place, cf_span_of(key, 32), number, sealed, &plain, &err);

	if (rc == 0)
		assert_true(plain.len == 11 && memcmp(plain.data, "hello world", 11) == 0);
	else
		assert_true(rc == CF_ERR_DAMAGED && err.text[0] && plain.len == 0);
	cf_buf_release(&plain);
	return rc;
}

static void only_its_own_place_opens_a_seal(void **state)
{
	for (int cipher = CF_CIPHER_AES_256_GCM; cipher <= CF_CIPHER_NONE; cipher++) {
		struct cf_seal_place place = place_of((enum cf_cipher)cipher), other = place;
		const uint8_t wrong_key[32] = {1, 2, 4};
		struct cf_buf sealed = CF_BUF_INIT;
		struct cf_span span;

		seal_text((enum cf_cipher)cipher, &sealed);
		span = cf_buf_span(&sealed);
		assert_int_equal(span.len, 11 + CF_TAG_LEN);
		assert_int_equal(unseal(&place, seal_key, 5, span), 0);
		assert_true(unseal(&place, seal_key, 6, span) < 0);
		assert_true(unseal(&place, seal_key, 5 + ((uint64_t)1 << 32), span) < 0);
		assert_true(unseal(&place, wrong_key, 5, span) < 0);
		other.repo_id[15] ^= 1;
		assert_true(unseal(&other, seal_key, 5, span) < 0);
		other = place;
		other.key_id[0] ^= 1;
		assert_true(unseal(&other, seal_key, 5, span) < 0);
		other = place;
		other.type = CF_OBJECT_TREE_PACK;
		assert_true(unseal(&other, seal_key, 5, span) < 0);
		cf_buf_release(&sealed);
	}
}

static void changed_seals_do_not_open(void **state)
{
	for (int cipher = CF_CIPHER_AES_256_GCM; cipher <= CF_CIPHER_NONE; cipher++) {
		struct cf_seal_place place = place_of((enum cf_cipher)cipher);
		struct cf_buf sealed = CF_BUF_INIT;

		seal_text((enum cf_cipher)cipher, &sealed);
		for (size_t bit = 0; bit < 8 * sealed.len; bit++) {
			sealed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_true(unseal(&place, seal_key, 5, cf_buf_span(&sealed)) < 0);
			sealed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		for (size_t len = 0; len < sealed.len; len++)
			assert_true(unseal(&place, seal_key, 5, cf_span_of(sealed.data, len)) < 0);
		cf_buf_release(&sealed);
	}
}

static void commitment_binds_key_and_header(void **state)
{
	struct cf_seal_header header = {.type = CF_OBJECT_DATA_PACK, .cipher = 1, .epoch = 1};
	uint8_t first[CF_COMMITMENT_LEN], other[CF_COMMITMENT_LEN];
	struct cf_span key = cf_span_of(seal_key, 32);

	assert_int_equal(cf_commitment(&header, key, first, NULL), 0);
	memset(header.commitment, 9, sizeof(header.commitment)); /* not part of itself */
	assert_int_equal(cf_commitment(&header, key, other, NULL), 0);
	assert_memory_equal(first, other, sizeof(first));
	header.epoch = 2;
	assert_int_equal(cf_commitment(&header, key, other, NULL), 0);
	assert_memory_not_equal(first, other, sizeof(first));
	header.epoch = 1;
	header.sealed_key[79] = 1;
	assert_int_equal(cf_commitment(&header, key, other, NULL), 0);
	assert_memory_not_equal(first, other, sizeof(first));
}

/* AES-128, FIPS 197 appendix B. */
static void prf_is_aes_128(void **state)
{
	static const uint8_t key[16] = {0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6,
					0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c};
	static const uint8_t in[16] = {0x32, 0x43, 0xf6, 0xa8, 0x88, 0x5a, 0x30, 0x8d,
				       0x31, 0x31, 0x98, 0xa2, 0xe0, 0x37, 0x07, 0x34};
	static const uint8_t want[16] = {0x39, 0x25, 0x84, 0x1d, 0x02, 0xdc, 0x09, 0xfb,
					 0xdc, 0x11, 0x85, 0x97, 0x19, 0x6a, 0x0b, 0x32};
	uint8_t out[16];
	struct cf_prf *prf;

	assert_int_equal(cf_prf_new(key, &prf, NULL), 0);
	cf_prf_run(prf, in, out, 1);
	assert_memory_equal(out, want, sizeof(out));
	cf_prf_free(prf);
}

/* Codec. */

struct codec_case {
	struct cf_coder coder;
	struct cf_buf text, base, blob, out;
};

static int set_up_codec(void **state)
{
	struct codec_case *c = calloc(1, sizeof(*c));
	unsigned seed = 1;

	if (!c || cf_coder_init(&c->coder, NULL) < 0)
		return -1;
	for (int i = 0; i < 5000; i++) {
		seed = seed * 1103515245 + 12345;
		cf_buf_printf(&c->base, NULL, "%d|%u\n", i, seed >> 16);
	}
	cf_buf_append(&c->text, c->base.data, c->base.len, NULL);
	memcpy(c->text.data + 20000, "changed", 7);
	*state = c;
	return 0;
}

static int tear_down_codec(void **state)
{
	struct codec_case *c = *state;

	cf_coder_release(&c->coder);
	cf_buf_release(&c->text);
	cf_buf_release(&c->base);
	cf_buf_release(&c->blob);
	cf_buf_release(&c->out);
	free(c);
	return 0;
}

static void encode(struct codec_case *c, enum cf_codec kind)
{
	struct cf_span base =
		cf_span_of(c->base.data, kind == CF_CODEC_ZSTD_DELTA ? c->base.len : 0);

	assert_int_equal(cf_buf_resize(&c->blob, CF_BLOB_HEAD_LEN, NULL), 0);
	cf_blob_head_encode(kind, (uint32_t)c->text.len, c->blob.data);
	if (kind == CF_CODEC_RAW)
		assert_int_equal(cf_buf_append(&c->blob, c->text.data, c->text.len, NULL), 0);
	else if (base.len)
		assert_true(cf_codec_compress(&c->coder, 1, base, cf_buf_span(&c->text), &c->blob,
					      NULL) > 0);
	else
		assert_true(cf_codec_encode(&c->coder, kind, 1, cf_buf_span(&c->text), &c->blob,
					    NULL) > 0);
}

static int decode(struct codec_case *c, size_t base_len, size_t expected)
{
	return cf_codec_decode(&c->coder, cf_buf_span(&c->blob), cf_span_of(c->base.data, base_len),
			       expected, &c->out, NULL);
}

static void each_codec_gives_back_the_text(void **state)
{
	struct codec_case *c = *state;

	for (int kind = CF_CODEC_RAW; kind <= CF_CODEC_MAX; kind++) {
		size_t base_len = kind == CF_CODEC_ZSTD_DELTA ? c->base.len : 0;

		encode(c, (enum cf_codec)kind);
		assert_int_equal(decode(c, base_len, c->text.len), 0);
		assert_int_equal(c->out.len, c->text.len);
		assert_memory_equal(c->out.data, c->text.data, c->text.len);
	}
	encode(c, CF_CODEC_ZSTD_DELTA);
	assert_true(c->blob.len < 200);
}

static void what_does_not_get_shorter_is_not_encoded(void **state)
{
	struct codec_case *c = *state;
	uint8_t random[70000];

	cf_random(random, sizeof(random));
	cf_buf_clear(&c->blob);
	for (int kind = CF_CODEC_ZSTD; kind <= CF_CODEC_MAX; kind++)
		for (size_t len = 1; len <= sizeof(random); len = len * 3 + 1)
			assert_int_equal(cf_codec_encode(&c->coder, (enum cf_codec)kind, 1,
							 cf_span_of(random, len), &c->blob, NULL),
					 0);
	assert_int_equal(c->blob.len, 0);
}

/* A flipped bit is noticed, or gives bytes of the expected length that the chunk's id then refuses.
 */
static void damaged_payloads_never_overrun(void **state)
{
	struct codec_case *c = *state;

	for (int kind = CF_CODEC_ZSTD; kind <= CF_CODEC_MAX; kind++) {
		size_t base_len = kind == CF_CODEC_ZSTD_DELTA ? c->base.len : 0;

		encode(c, (enum cf_codec)kind);
		for (size_t at = CF_BLOB_HEAD_LEN; at < c->blob.len; at += c->blob.len / 300 + 1) {
			int rc;

			c->blob.data[at] ^= (uint8_t)(1 << at % 8);
			rc = decode(c, base_len, c->text.len);
			assert_true(rc == CF_ERR_DAMAGED || (rc == 0 && c->out.len == c->text.len));
			c->blob.data[at] ^= (uint8_t)(1 << at % 8);
		}
		for (size_t len = CF_BLOB_HEAD_LEN; len < c->blob.len; len += c->blob.len / 50 + 1)
			assert_int_equal(cf_codec_decode(&c->coder, cf_span_of(c->blob.data, len),
							 cf_span_of(c->base.data, base_len),
							 c->text.len, &c->out, NULL),
					 CF_ERR_DAMAGED);
	}
}

static void blobs_of_another_length_or_base_are_refused(void **state)
{
	struct codec_case *c = *state;

	for (int kind = CF_CODEC_RAW; kind <= CF_CODEC_MAX; kind++) {
		size_t base_len = kind == CF_CODEC_ZSTD_DELTA ? c->base.len : 0;

		encode(c, (enum cf_codec)kind);
		assert_int_equal(decode(c, base_len, c->text.len - 1), CF_ERR_DAMAGED);
		assert_int_equal(decode(c, base_len ? 0 : c->base.len, c->text.len),
				 CF_ERR_DAMAGED);
		cf_blob_head_encode((enum cf_codec)kind, (uint32_t)c->text.len + 1, c->blob.data);
		assert_int_equal(decode(c, base_len, c->text.len + 1), CF_ERR_DAMAGED);
		encode(c, (enum cf_codec)kind);
		c->blob.len--;
		assert_int_equal(decode(c, base_len, c->text.len), CF_ERR_DAMAGED);
	}
	cf_blob_head_encode((enum cf_codec)9, (uint32_t)c->text.len, c->blob.data);
	assert_int_equal(decode(c, 0, c->text.len), CF_ERR_UNSUPPORTED);
}

static void a_wrong_base_never_gives_the_text(void **state)
{
	struct codec_case *c = *state;

	encode(c, CF_CODEC_ZSTD_DELTA);
	c->base.data[100] ^= 1;
	if (decode(c, c->base.len, c->text.len) == 0)
		assert_memory_not_equal(c->out.data, c->text.data, c->text.len);
	c->base.data[100] ^= 1;
}

static void only_random_data_looks_random(void **state)
{
	struct codec_case *c = *state;
	uint8_t random[65536];

	cf_random(random, sizeof(random));
	assert_true(cf_codec_looks_random(&c->coder, cf_span_of(random, sizeof(random))));
	assert_false(cf_codec_looks_random(&c->coder, cf_buf_span(&c->text)));
	assert_false(cf_codec_looks_random(&c->coder, cf_span_of(random, 100)));
	assert_false(cf_codec_looks_random(&c->coder, cf_span_of(NULL, 0)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hmac_gives_the_values_of_rfc_4231),
		cmocka_unit_test(hmacs_of_many_are_those_of_each),
		cmocka_unit_test(derived_keys_are_hmacs_of_label_nul_and_data),
		cmocka_unit_test(sha256_takes_parts_in_order),
		cmocka_unit_test(only_its_own_place_opens_a_seal),
		cmocka_unit_test(changed_seals_do_not_open),
		cmocka_unit_test(commitment_binds_key_and_header),
		cmocka_unit_test(prf_is_aes_128),
		cmocka_unit_test_setup_teardown(each_codec_gives_back_the_text, set_up_codec,
						tear_down_codec),
		cmocka_unit_test_setup_teardown(what_does_not_get_shorter_is_not_encoded,
						set_up_codec, tear_down_codec),
		cmocka_unit_test_setup_teardown(damaged_payloads_never_overrun, set_up_codec,
						tear_down_codec),
		cmocka_unit_test_setup_teardown(blobs_of_another_length_or_base_are_refused,
						set_up_codec, tear_down_codec),
		cmocka_unit_test_setup_teardown(a_wrong_base_never_gives_the_text, set_up_codec,
						tear_down_codec),
		cmocka_unit_test_setup_teardown(only_random_data_looks_random, set_up_codec,
						tear_down_codec),
	};

	return cmocka_run_group_tests_name("repo: crypto and codec", tests, NULL, NULL);
}
