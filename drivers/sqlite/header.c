#include "drivers/sqlite/header.h"

#include <string.h>

enum {
	OFF_PAGE_LEN = 16,
	OFF_READ_VERSION = 19,
	OFF_CHANGE_COUNTER = 24, /* and the size in pages behind it */
	OFF_SCHEMA_COOKIE = 40,
	OFF_ENCODING = 56,
	OFF_USER_VERSION = 60,
	OFF_APPLICATION_ID = 68,
	OFF_VALID_FOR = 92 /* and the library version behind it */
};

/* 65536 does not fit into its 16 bits and is written as 1. */
static uint32_t decode_page_len(const uint8_t *in)
{
	uint32_t len = (uint32_t)in[0] << 8 | in[1];

	return len == 1 ? CF_SQLITE_PAGE_LEN_MAX : len;
}

bool cf_sqlite_header_decode(struct cf_span data, struct cf_sqlite_header *out)
{
	static const char magic[16] = "SQLite format 3";
	uint32_t len;

	if (data.len < CF_SQLITE_HEADER_LEN || memcmp(data.data, magic, sizeof(magic)) != 0)
		return false;
	len = decode_page_len(data.data + OFF_PAGE_LEN);
	if (len < CF_SQLITE_PAGE_LEN_MIN || len > CF_SQLITE_PAGE_LEN_MAX || (len & (len - 1)) != 0)
		return false;
	*out = (struct cf_sqlite_header){
		.page_len = len,
		.wal = data.data[OFF_READ_VERSION] == 2,
		.encoding = cf_sqlite_be32(data.data + OFF_ENCODING),
		.user_version = cf_sqlite_be32(data.data + OFF_USER_VERSION),
		.application_id = cf_sqlite_be32(data.data + OFF_APPLICATION_ID),
	};
	return true;
}

bool cf_sqlite_header_same_page(const uint8_t *page, const uint8_t *copy, uint32_t page_len)
{
	static const struct {
		uint32_t off, end;
	} same[] = {
		{0, OFF_CHANGE_COUNTER},
		{OFF_CHANGE_COUNTER + 8, OFF_SCHEMA_COOKIE},
		{OFF_SCHEMA_COOKIE + 4, OFF_VALID_FOR},
		{CF_SQLITE_HEADER_LEN, CF_SQLITE_PAGE_LEN_MAX},
	};

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		uint32_t end = same[i].end < page_len ? same[i].end : page_len;

		if (memcmp(page + same[i].off, copy + same[i].off, end - same[i].off) != 0)
			return false;
	}
	return true;
}
