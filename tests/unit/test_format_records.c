/* The binary records of the repository's format: their bytes, and what becomes of damaged ones. */

#include "base/err.h"
#include "base/le.h"
#include "base/secret.h"
#include "repo/format/dir_block.h"
#include "repo/format/keyring.h"
#include "repo/format/list.h"
#include "repo/format/segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* The record decoded and written again: false when it is refused. A record may be followed by other
 * bytes. */
typedef bool again_fn(struct cf_span in, struct cf_buf *again, struct cf_err *err);

static struct cf_id id_of(int byte)
{
	struct cf_id id;

	memset(id.bytes, byte, sizeof(id.bytes));
	return id;
}

static bool seal_again(struct cf_span in, struct cf_buf *again, struct cf_err *err)
{
	struct cf_seal_header header;

	if (cf_seal_header_decode(in, &header, err) < 0)
		return false;
	assert_int_equal(cf_buf_resize(again, cf_seal_header_len(header.type), NULL), 0);
	cf_seal_header_encode(&header, again->data);
	return true;
}

static bool table_again(struct cf_span in, struct cf_buf *again, struct cf_err *err)
{
	struct cf_pack_table table;
	size_t used;

	if (cf_pack_table_decode(in, &table, &used, err) < 0)
		return false;
	assert_int_equal(cf_pack_table_encode(&table, again, NULL), 0);
	assert_int_equal(again->len, used);
	cf_pack_table_release(&table);
	return true;
}

static bool segment_again(struct cf_span in, struct cf_buf *again, struct cf_err *err)
{
	struct cf_segment segment;

	if (cf_segment_decode(in, &segment, err) < 0)
		return false;
	assert_int_equal(cf_segment_encode(&segment, again, NULL), 0);
	cf_segment_release(&segment);
	return true;
}

/* A flipped length may make the list cover more: then it is refused for that alone. */
static bool list_again(struct cf_span in, struct cf_buf *again, struct cf_err *err)
{
	struct cf_list_entry *entries;
	size_t n;

	if (cf_list_decode(in, 1, 65636, &entries, &n, err) < 0)
		return false;
	assert_int_equal(cf_list_encode(1, entries, n, again, NULL), 0);
	free(entries);
	return true;
}

static bool dir_block_again(struct cf_span in, struct cf_buf *again, struct cf_err *err)
{
	struct cf_buf bytes = CF_BUF_INIT;
	struct cf_dir_block block;

	assert_int_equal(cf_buf_append(&bytes, in.data, in.len, NULL), 0);
	if (cf_dir_block_decode(&bytes, &block, err) < 0)
		return false;
	assert_int_equal(cf_dir_block_begin(again, NULL), 0);
	for (size_t i = 0; i < block.n; i++)
		assert_int_equal(cf_dir_block_append(again, &block.nodes[i], NULL), 0);
	cf_dir_block_release(&block);
	return true;
}

static bool keyring_again(struct cf_span in, struct cf_buf *again, struct cf_err *err)
{
	struct cf_secret *secret, *encoded;

	if (cf_keyring_decode(in, &secret, err) < 0)
		return false;
	assert_int_equal(
		cf_keyring_encode((const struct cf_keyring *)(const void *)cf_secret_data(secret),
				  &encoded, NULL),
		0);
	assert_int_equal(
		cf_buf_append(again, cf_secret_data(encoded), cf_secret_span(encoded).len, NULL),
		0);
	cf_secret_free(encoded);
	cf_secret_free(secret);
	return true;
}

/* Encoders of one small record each. */

static void make_header(struct cf_buf *out, enum cf_object_type type)
{
	struct cf_seal_header header = {.type = type, .cipher = 2, .epoch = 0x01020304};

	memset(header.key_id, 0x11, sizeof(header.key_id));
	memset(header.commitment, 0x22, sizeof(header.commitment));
	memset(header.sealed_key, 0x33, sizeof(header.sealed_key));
	assert_int_equal(cf_buf_resize(out, cf_seal_header_len(type), NULL), 0);
	cf_seal_header_encode(&header, out->data);
}

static void make_pack_header(struct cf_buf *out)
{
	make_header(out, CF_OBJECT_TREE_PACK);
}

static void make_snapshot_header(struct cf_buf *out)
{
	make_header(out, CF_OBJECT_SNAPSHOT);
}

struct table {
	struct cf_table_blob blobs[2];
	struct cf_table_chunk chunks[3];
	struct cf_pack_table table;
};

/* A frame of two chunks, one with a sketch, and a delta of two bases. */
static void fill_table(struct table *t)
{
	*t = (struct table){
		.blobs = {{.number = 1, .len = 500, .codec = CF_CODEC_ZSTD, .n_chunks = 2},
			  {.number = 0,
			   .len = 300,
			   .codec = CF_CODEC_ZSTD_DELTA,
			   .first_chunk = 2,
			   .n_chunks = 1}},
		.chunks = {{.id = id_of(0xa1), .raw_len = 1000, .sketch = {{1, 2, 3, 4}}},
			   {.id = id_of(0xa2), .raw_len = 65536},
			   {.id = id_of(0xa3), .raw_len = 70000, .bases = {.n = 2}}}};
	t->chunks[2].bases.ids[0] = id_of(0xb1);
	t->chunks[2].bases.ids[1] = id_of(0xb2);
	t->table = (struct cf_pack_table){t->blobs, 2, t->chunks, 3};
}

static void make_table(struct cf_buf *out)
{
	struct table t;

	fill_table(&t);
	assert_int_equal(cf_pack_table_encode(&t.table, out, NULL), 0);
}

static void make_segment(struct cf_buf *out)
{
	struct cf_id old = id_of(0x77);
	struct cf_segment_pack pack = {
		.name = id_of(0x99), .size = 4096, .type = CF_OBJECT_DATA_PACK};
	struct cf_segment segment = {&old, 1, &pack, 1};
	struct table t;

	fill_table(&t);
	t.table.n_blobs = 1;
	pack.table = t.table;
	assert_int_equal(cf_segment_encode(&segment, out, NULL), 0);
}

static void make_list(struct cf_buf *out)
{
	struct cf_list_entry entries[] = {
		{id_of(0xa1), 32768}, {id_of(0), 32768}, {id_of(0xa2), 100}};

	assert_int_equal(cf_list_encode(1, entries, 3, out, NULL), 0);
}

static void make_dir_block(struct cf_buf *out)
{
	struct cf_xattr xattr = {"user.a", cf_span_str("v\n")};
	struct cf_fact fact = {"table", "t"};
	struct cf_node file = {.entry = {.type = CF_ENTRY_FILE,
					 .name = "f",
					 .mode = 0644,
					 .uid = 1,
					 .gid = 2,
					 .user = "u",
					 .group = "gg",
					 .mtime_ns = -1,
					 .ctime_ns = 7,
					 .dev = 3,
					 .ino = 4,
					 .nlink = 5,
					 .xattrs = &xattr,
					 .n_xattrs = 1,
					 .facts = &fact,
					 .n_facts = 1},
			       .content = {.id = id_of(0xa1), .size = 1 << 20, .level = 1}};
	struct cf_node link = {
		.entry = {.type = CF_ENTRY_SYMLINK, .name = "l", .mode = 0777, .target = "f"}};

	assert_int_equal(cf_dir_block_begin(out, NULL), 0);
	assert_int_equal(cf_dir_block_append(out, &file, NULL), 0);
	assert_int_equal(cf_dir_block_append(out, &link, NULL), 0);
}

static void make_keyring(struct cf_buf *out)
{
	struct cf_keyring *ring = calloc(1, sizeof(*ring) + sizeof(struct cf_epoch));
	struct cf_secret *encoded;

	assert_non_null(ring);
	ring->role = CF_ROLE_FULL;
	ring->n_epochs = 1;
	memset(ring->id_key, 1, CF_KEY_LEN);
	memset(ring->chunker_key, 2, CF_KEY_LEN);
	memset(ring->metadata_key, 3, CF_KEY_LEN);
	ring->epochs[0].number = 7;
	memset(ring->epochs[0].public_key, 4, CF_KEY_LEN);
	memset(ring->epochs[0].secret_key, 5, CF_KEY_LEN);
	assert_int_equal(cf_keyring_encode(ring, &encoded, NULL), 0);
	assert_int_equal(
		cf_buf_append(out, cf_secret_data(encoded), cf_secret_span(encoded).len, NULL), 0);
	cf_secret_free(encoded);
	free(ring);
}

/* bytes: hexadecimal; "xx*n" is the byte xx n times. */
static const struct record {
	const char *name;
	void (*make)(struct cf_buf *out);
	again_fn *again;
	const char *bytes;
} records[] = {
	{"pack header", make_pack_header, seal_again,
	 "434f4652 01 02 02 00 11*16 22*32 04030201 33*80"},
	{"snapshot header", make_snapshot_header, seal_again, "434f4652 01 04 02 00 11*16 22*32"},
	{"pack table", make_table, table_again,
	 "01 02000000 "
	 "01000000 f4010000 01 01 0200 "
	 "a1*32 e8030000 01000000 02000000 03000000 04000000 "
	 "a2*32 00000100 00*16 "
	 "00000000 2c010000 02 00 0100 "
	 "a3*32 70110100 02 b1*32 b2*32"},
	{"index segment", make_segment, segment_again,
	 "01 01000000 77*32 01000000 99*32 0010000000000000 01 "
	 "01 01000000 01000000 f4010000 01 01 0200 "
	 "a1*32 e8030000 01000000 02000000 03000000 04000000 "
	 "a2*32 00000100 00*16"},
	{"content list", make_list, list_again,
	 "01 01 0000 03000000 a1*32 0080000000000000 00*32 0080000000000000 a2*32 "
	 "6400000000000000"},
	{"directory block", make_dir_block, dir_block_again,
	 "01 "
	 "01 01000000 66 00 a4010000 01000000 02000000 01000000 75 00 02000000 6767 00 "
	 "ff*8 0700000000000000 0300000000000000 0400000000000000 05000000 00*8 00000000 00 "
	 "0100 06000000 757365722e61 00 02000000 760a "
	 "0100 05000000 7461626c65 00 01000000 74 00 "
	 "01 a1*32 0000100000000000 "
	 "03 01000000 6c 00 ff010000 00*8 00000000 00 00000000 00 00*16 00*16 00*4 00*8 01000000 "
	 "66 00 "
	 "0000 0000 00 00*32 00*8"},
	{"keyring", make_keyring, keyring_again,
	 "01 01 0000 01*32 02*32 03*32 01000000 07000000 04*32 05*32"},
};

#define N_RECORDS (sizeof(records) / sizeof(records[0]))

static void parse_bytes(const char *text, struct cf_buf *out)
{
	while (*text) {
		char *end, digits[3] = {text[0], text[1], 0};
		uint8_t byte;
		unsigned long n = 1;

		if (*text == ' ') {
			text++;
			continue;
		}
		byte = (uint8_t)strtoul(digits, NULL, 16);
		text += 2;
		if (*text == '*') {
			n = strtoul(text + 1, &end, 10);
			text = end;
		}
		while (n-- > 0)
			assert_int_equal(cf_buf_put_u8(out, byte, NULL), 0);
	}
}

static void assert_same(const char *name, const struct cf_buf *a, const struct cf_buf *b)
{
	if (a->len != b->len)
		fail_msg("%s: %zu bytes, not %zu", name, a->len, b->len);
	for (size_t i = 0; i < a->len; i++)
		if (a->data[i] != b->data[i])
			fail_msg("%s: byte %zu is %02x, not %02x", name, i, a->data[i], b->data[i]);
}

static void records_have_the_released_bytes(void **state)
{
	for (size_t i = 0; i < N_RECORDS; i++) {
		struct cf_buf made = CF_BUF_INIT, want = CF_BUF_INIT;

		records[i].make(&made);
		parse_bytes(records[i].bytes, &want);
		assert_same(records[i].name, &made, &want);
		cf_buf_release(&made);
		cf_buf_release(&want);
	}
}

static void released_bytes_decode_and_encode_the_same(void **state)
{
	for (size_t i = 0; i < N_RECORDS; i++) {
		struct cf_buf bytes = CF_BUF_INIT, again = CF_BUF_INIT;

		parse_bytes(records[i].bytes, &bytes);
		assert_true(records[i].again(cf_buf_span(&bytes), &again, NULL));
		assert_same(records[i].name, &again, &bytes);
		cf_buf_release(&bytes);
		cf_buf_release(&again);
	}
}

/* A cut at the end of an entry leaves a directory block that is whole. */
static void cut_records_are_refused(void **state)
{
	for (size_t i = 0; i < N_RECORDS; i++) {
		struct cf_buf bytes = CF_BUF_INIT;
		size_t n_accepted = 0;

		parse_bytes(records[i].bytes, &bytes);
		for (size_t len = 0; len < bytes.len; len++) {
			struct cf_buf again = CF_BUF_INIT;
			struct cf_err err = CF_ERR_INIT;
			uint8_t *exact = malloc(len + 1);

			/* Of its own size, so that the sanitizer sees a read past the end. */
			exact = realloc(exact, len ? len : 1);
			assert_non_null(exact);
			memcpy(exact, bytes.data, len);
			if (records[i].again(cf_span_of(exact, len), &again, &err))
				n_accepted++;
			else
				assert_int_equal(err.code, CF_ERR_DAMAGED);
			cf_buf_release(&again);
			free(exact);
		}
		assert_int_equal(n_accepted,
				 strcmp(records[i].name, "directory block") == 0 ? 2 : 0);
		cf_buf_release(&bytes);
	}
}

static void flipped_bits_are_refused_or_kept(void **state)
{
	for (size_t i = 0; i < N_RECORDS; i++) {
		struct cf_buf bytes = CF_BUF_INIT;

		parse_bytes(records[i].bytes, &bytes);
		for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
			struct cf_buf again = CF_BUF_INIT;
			struct cf_err err = CF_ERR_INIT;

			bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			if (!records[i].again(cf_buf_span(&bytes), &again, &err))
				assert_true(err.code == CF_ERR_DAMAGED ||
					    err.code == CF_ERR_UNSUPPORTED);
			else if (again.len > bytes.len ||
				 memcmp(again.data, bytes.data, again.len) != 0)
				fail_msg("%s: with bit %zu flipped it has two forms",
					 records[i].name, bit);
			bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			cf_buf_release(&again);
		}
		cf_buf_release(&bytes);
	}
}

/* Counts that promise gigabytes in records of a few bytes: refused before anything is allocated. */
static void counts_beyond_the_input_are_refused(void **state)
{
	static const struct {
		again_fn *again;
		const char *bytes;
	} cases[] = {
		{table_again, "01 ffffffff"},
		{table_again, "01 01000000 00000000 64000000 00 00 ffff"},
		{segment_again, "01 ffffffff 00000000"},
		{segment_again, "01 00000000 ffffffff"},
		{list_again, "01 01 0000 ffffffff"},
		{list_again, "01 01 0000 00000000"},
		{dir_block_again, "01 01 ffffffff"},
		{keyring_again, "01 01 0000 01*96 ffffffff"},
		{keyring_again, "01 01 0000 01*96 00000000"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cf_buf bytes = CF_BUF_INIT, again = CF_BUF_INIT;
		struct cf_err err = CF_ERR_INIT;

		parse_bytes(cases[i].bytes, &bytes);
		assert_false(cases[i].again(cf_buf_span(&bytes), &again, &err));
		assert_int_equal(err.code, CF_ERR_DAMAGED);
		cf_buf_release(&bytes);
	}
}

static void assert_table_refused(const struct table *t)
{
	struct cf_buf bytes = CF_BUF_INIT, again = CF_BUF_INIT;

	assert_int_equal(cf_pack_table_encode(&t->table, &bytes, NULL), 0);
	assert_false(table_again(cf_buf_span(&bytes), &again, NULL));
	cf_buf_release(&bytes);
}

static void pack_table_beyond_limits_is_refused(void **state)
{
	struct table t;

	fill_table(&t);
	t.blobs[0].len = CF_BLOB_LEN_MAX + 1;
	assert_table_refused(&t);
	fill_table(&t);
	t.blobs[0].len = CF_TAG_LEN;
	assert_table_refused(&t);
	fill_table(&t);
	t.blobs[0].n_chunks = 0;
	assert_table_refused(&t);
	fill_table(&t);
	t.blobs[0].codec = (enum cf_codec)(CF_CODEC_MAX + 1);
	assert_table_refused(&t);
	fill_table(&t);
	t.chunks[0].raw_len = CF_CHUNK_LEN_MAX + 1;
	assert_table_refused(&t);
	fill_table(&t);
	t.chunks[1].raw_len = 0;
	assert_table_refused(&t);
	fill_table(&t);
	t.chunks[1].id = id_of(0);
	assert_table_refused(&t);
}

static void delta_needs_one_or_two_other_bases(void **state)
{
	struct table t;

	fill_table(&t);
	t.chunks[2].bases.n = 0;
	assert_table_refused(&t);
	fill_table(&t);
	t.chunks[2].bases.ids[1] = t.chunks[2].id;
	assert_table_refused(&t);
	fill_table(&t);
	t.chunks[2].bases.ids[0] = id_of(0);
	assert_table_refused(&t);
	fill_table(&t);
	t.blobs[0].codec = CF_CODEC_ZSTD_DELTA; /* of two chunks */
	assert_table_refused(&t);
}

static void blob_past_the_end_of_its_pack_is_refused(void **state)
{
	struct cf_buf bytes = CF_BUF_INIT, again = CF_BUF_INIT;
	size_t size_at = 1 + 4 + 32 + 4 + 32;

	make_segment(&bytes);
	cf_le64_put(bytes.data + size_at, CF_PACK_HEADER_LEN + 500);
	assert_true(segment_again(cf_buf_span(&bytes), &again, NULL));
	cf_le64_put(bytes.data + size_at, CF_PACK_HEADER_LEN + 499);
	assert_false(segment_again(cf_buf_span(&bytes), &again, NULL));
	cf_le64_put(bytes.data + size_at, (uint64_t)CF_PACK_LEN_MAX + 1);
	assert_false(segment_again(cf_buf_span(&bytes), &again, NULL));
	cf_buf_release(&bytes);
	cf_buf_release(&again);
}

static void newer_seal_is_unsupported(void **state)
{
	struct cf_buf bytes = CF_BUF_INIT;
	struct cf_seal_header header;
	struct cf_err err = CF_ERR_INIT;

	make_snapshot_header(&bytes);
	bytes.data[4] = CF_FORMAT_VERSION + 1;
	assert_int_equal(cf_seal_header_decode(cf_buf_span(&bytes), &header, &err),
			 CF_ERR_UNSUPPORTED);
	bytes.data[4] = 0;
	assert_int_equal(cf_seal_header_decode(cf_buf_span(&bytes), &header, &err), CF_ERR_DAMAGED);
	cf_buf_release(&bytes);
}

static void list_must_cover_exactly_its_content(void **state)
{
	struct cf_list_entry wrap[] = {{id_of(1), UINT64_MAX}, {id_of(2), 101}}, *entries;
	struct cf_buf bytes = CF_BUF_INIT;
	size_t n;

	make_list(&bytes);
	assert_int_equal(cf_list_decode(cf_buf_span(&bytes), 1, 65637, &entries, &n, NULL),
			 CF_ERR_DAMAGED);
	assert_int_equal(cf_list_decode(cf_buf_span(&bytes), 1, 65635, &entries, &n, NULL),
			 CF_ERR_DAMAGED);
	assert_int_equal(cf_list_decode(cf_buf_span(&bytes), 2, 65636, &entries, &n, NULL),
			 CF_ERR_DAMAGED);
	cf_buf_clear(&bytes);
	assert_int_equal(cf_list_encode(2, wrap, 2, &bytes, NULL), 0);
	assert_int_equal(cf_list_decode(cf_buf_span(&bytes), 2, 100, &entries, &n, NULL),
			 CF_ERR_DAMAGED);
	cf_buf_release(&bytes);
}

static void holes_stand_in_lists_of_data_only(void **state)
{
	struct cf_list_entry hole = {id_of(0), 10}, *entries;
	struct cf_buf bytes = CF_BUF_INIT;
	size_t n;

	assert_int_equal(cf_list_encode(2, &hole, 1, &bytes, NULL), 0);
	assert_int_equal(cf_list_decode(cf_buf_span(&bytes), 2, 10, &entries, &n, NULL),
			 CF_ERR_DAMAGED);
	cf_buf_release(&bytes);
}

static void assert_entry_refused(const struct cf_node *node)
{
	struct cf_buf bytes = CF_BUF_INIT, again = CF_BUF_INIT;
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(cf_dir_block_begin(&bytes, NULL), 0);
	assert_int_equal(cf_dir_block_append(&bytes, node, NULL), 0);
	assert_false(dir_block_again(cf_buf_span(&bytes), &again, &err));
	assert_int_equal(err.code, CF_ERR_DAMAGED);
	cf_buf_release(&bytes);
}

static void entries_that_make_no_sense_are_refused(void **state)
{
	static const char *const names[] = {"", ".", "..", "a/b", "/"};
	struct cf_node node = {.entry = {.type = CF_ENTRY_FIFO}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		node.entry.name = names[i];
		assert_entry_refused(&node);
	}
	node.entry.name = "a";
	node.entry.mode = 010000;
	assert_entry_refused(&node);
	node.entry.mode = 0;
	node.entry.target = "a symlink's only";
	assert_entry_refused(&node);
	node.entry.target = NULL;
	node.entry.type = (enum cf_entry_type)8;
	assert_entry_refused(&node);
	node.entry.type = CF_ENTRY_FIFO;
	node.content.size = 1;
	assert_entry_refused(&node);
	node.entry.type = CF_ENTRY_DIR;
	assert_entry_refused(&node);
	node.entry.type = CF_ENTRY_FILE;
	node.content.level = 1;
	assert_entry_refused(&node);
	node.content = (struct cf_content){.id = id_of(1), .size = 1, .level = CF_CONTENT_LEVELS};
	assert_entry_refused(&node);
}

static void entries_out_of_order_are_refused(void **state)
{
	static const char *const pairs[][2] = {{"b", "a"}, {"a", "a"}, {"\xff", "a"}};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct cf_buf bytes = CF_BUF_INIT, again = CF_BUF_INIT;

		assert_int_equal(cf_dir_block_begin(&bytes, NULL), 0);
		for (int k = 0; k < 2; k++) {
			struct cf_node node = {
				.entry = {.type = CF_ENTRY_FIFO, .name = pairs[i][k]}};

			assert_int_equal(cf_dir_block_append(&bytes, &node, NULL), 0);
		}
		assert_false(dir_block_again(cf_buf_span(&bytes), &again, NULL));
		cf_buf_release(&bytes);
	}
}

static void directory_of_another_version_is_refused(void **state)
{
	struct cf_buf again = CF_BUF_INIT;
	const uint8_t newer = CF_DIR_BLOCK_VERSION + 1;

	assert_false(dir_block_again(cf_span_of(&newer, 1), &again, NULL));
}

static void padme_adds_at_most_an_eighth(void **state)
{
	static const struct {
		uint64_t len, padded;
	} cases[] = {{0, 0},
		     {1, 1},
		     {2, 2},
		     {8, 8},
		     {9, 10},
		     {15, 16},
		     {16, 16},
		     {33, 36},
		     {100, 104},
		     {1000, 1024},
		     {1025, 1088},
		     {65537, 67584},
		     {1000000, 1015808},
		     {(1u << 30) - 1, 1u << 30}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(cf_padme(cases[i].len), cases[i].padded);
	for (uint64_t len = 1; len < 1u << 30; len += len / 7 + 1) {
		uint64_t padded = cf_padme(len);

		assert_true(padded >= len && (padded - len) * 100 <= len * 12);
		assert_int_equal(cf_padme(padded), padded);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_have_the_released_bytes),
		cmocka_unit_test(released_bytes_decode_and_encode_the_same),
		cmocka_unit_test(cut_records_are_refused),
		cmocka_unit_test(flipped_bits_are_refused_or_kept),
		cmocka_unit_test(counts_beyond_the_input_are_refused),
		cmocka_unit_test(pack_table_beyond_limits_is_refused),
		cmocka_unit_test(delta_needs_one_or_two_other_bases),
		cmocka_unit_test(blob_past_the_end_of_its_pack_is_refused),
		cmocka_unit_test(newer_seal_is_unsupported),
		cmocka_unit_test(list_must_cover_exactly_its_content),
		cmocka_unit_test(holes_stand_in_lists_of_data_only),
		cmocka_unit_test(entries_that_make_no_sense_are_refused),
		cmocka_unit_test(entries_out_of_order_are_refused),
		cmocka_unit_test(directory_of_another_version_is_refused),
		cmocka_unit_test(padme_adds_at_most_an_eighth),
	};

	return cmocka_run_group_tests_name("format: records", tests, NULL, NULL);
}
