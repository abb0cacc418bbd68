#include "repo/format/list.h"

#include "base/err.h"
#include "base/le.h"

#include <stdlib.h>

enum {
	LIST_VERSION = 1
};

int cf_list_encode(unsigned level, const struct cf_list_entry *entries, size_t n, struct cf_buf *out,
		   struct cf_err *err)
{
	int rc = cf_buf_reserve(out, CF_LIST_HEADER_LEN + n * CF_LIST_ENTRY_LEN, err);

	if (rc < 0)
		return rc;
	cf_buf_put_u8(out, LIST_VERSION, NULL);
	cf_buf_put_u8(out, (uint8_t)level, NULL);
	cf_buf_put_u16(out, 0, NULL);
	cf_buf_put_u32(out, (uint32_t)n, NULL);
	for (size_t i = 0; i < n; i++) {
		cf_buf_append(out, entries[i].id.bytes, CF_ID_LEN, NULL);
		cf_buf_put_u64(out, entries[i].len, NULL);
	}
	return 0;
}

static int damaged(struct cf_err *err)
{
	return cf_err_set(err, CF_ERR_DAMAGED, "a content list is damaged");
}

static bool entry_valid(const struct cf_list_entry *entry, unsigned level)
{
	if (entry->len == 0)
		return false;
	if (cf_id_is_zero(&entry->id))
		return level == 1;
	return level > 1 || entry->len <= CF_CHUNK_LEN_MAX;
}

int cf_list_decode(struct cf_span in, unsigned level, uint64_t total_len, struct cf_list_entry **entries_out,
		   size_t *n_out, struct cf_err *err)
{
	struct cf_cursor c = cf_cursor_of(in);
	uint8_t version = cf_cursor_u8(&c), found_level = cf_cursor_u8(&c);
	uint16_t zero = cf_cursor_u16(&c);
	uint32_t n = cf_cursor_u32(&c);
	struct cf_list_entry *entries;
	uint64_t sum = 0;

	if (!cf_cursor_ok(&c) || version != LIST_VERSION || found_level != level || zero != 0 || n == 0 ||
	    cf_cursor_left(&c) != (uint64_t)n * CF_LIST_ENTRY_LEN)
		return damaged(err);
	entries = malloc(n * sizeof(*entries));
	if (!entries)
		return cf_err_nomem(err);
	for (uint32_t i = 0; i < n; i++) {
		cf_cursor_copy(&c, entries[i].id.bytes, CF_ID_LEN);
		entries[i].len = cf_cursor_u64(&c);
		if (!entry_valid(&entries[i], level) || entries[i].len > total_len - sum) {
			free(entries);
			return damaged(err);
		}
		sum += entries[i].len;
	}
	if (sum != total_len) {
		free(entries);
		return damaged(err);
	}
	*entries_out = entries;
	*n_out = n;
	return 0;
}
