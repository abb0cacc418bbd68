#ifndef CF_REPO_FORMAT_LIST_H
#define CF_REPO_FORMAT_LIST_H

/*
 * A content list: one chunk of references (docs/format.md, "Content").
 *
 *   u8 version (1), u8 level (1 lists data, 2 lists lists of level 1, ...), u16 zero, u32 number of entries,
 *   then per entry: id (zero: a hole, level 1 only), u64 bytes of content it covers
 */

#include "base/buf.h"
#include "base/id.h"
#include "repo/format/limits.h"

struct cf_err;

struct cf_list_entry {
	struct cf_id id;
	uint64_t len;
};

#define CF_LIST_HEADER_LEN 8
#define CF_LIST_ENTRY_LEN  (CF_ID_LEN + 8)

int cf_list_encode(unsigned level, const struct cf_list_entry *entries, size_t n, struct cf_buf *out,
		   struct cf_err *err);

/*
 * Decode into a new array; free() it. The entries must be of `level` and cover exactly total_len bytes, else
 * CF_ERR_DAMAGED.
 */
int cf_list_decode(struct cf_span in, unsigned level, uint64_t total_len, struct cf_list_entry **entries_out,
		   size_t *n_out, struct cf_err *err);

#endif
