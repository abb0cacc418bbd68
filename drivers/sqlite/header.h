#ifndef CF_DRIVERS_SQLITE_HEADER_H
#define CF_DRIVERS_SQLITE_HEADER_H

/* The first 100 bytes of a SQLite database (sqlite.org/fileformat2.html 1.3); integers are
 * big-endian. */

#include "base/buf.h"

#include <stdbool.h>

#define CF_SQLITE_HEADER_LEN   100
#define CF_SQLITE_PAGE_LEN_MIN 512
#define CF_SQLITE_PAGE_LEN_MAX 65536

struct cf_sqlite_header {
	uint32_t page_len;
	bool wal;	   /* as it rests in the file: readers must look for a -wal */
	uint32_t encoding; /* 1 UTF-8, 2 UTF-16 little-endian, 3 UTF-16 big-endian, 0 not yet chosen
			    */
	uint32_t user_version;
	uint32_t application_id;
};

/* False when data does not begin like a database: something else, or an encrypted one. */
bool cf_sqlite_header_decode(struct cf_span data, struct cf_sqlite_header *out);

/*
 * True when copy is page as the backup interface writes it: the same but for the counters that
 * every writer sets anew (change counter, size in pages, schema cookie, version-valid-for, library
 * version).
 */
bool cf_sqlite_header_same_page(const uint8_t *page, const uint8_t *copy, uint32_t page_len);

static inline uint32_t cf_sqlite_be32(const uint8_t *in)
{
	return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 |
	       (uint32_t)in[3];
}

#endif
