/*
 * Input: the level, then a content list. It is decoded as covering what its entries add up to: what
 * is accepted is written again the same, and covers no other length.
 */

#include "base/le.h"
#include "repo/format/list.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* False when the lengths overflow. */
static bool add_lengths(struct cf_span list, uint64_t *total_out)
{
	bool fits = true;

	*total_out = 0;
	for (size_t at = CF_LIST_HEADER_LEN; at + CF_LIST_ENTRY_LEN <= list.len;
	     at += CF_LIST_ENTRY_LEN)
		fits &= !__builtin_add_overflow(*total_out, cf_le64_get(list.data + at + CF_ID_LEN),
						total_out);
	return fits;
}

static void check_refused(struct cf_span list, unsigned level, uint64_t total)
{
	struct cf_list_entry *entries;
	size_t n;

	if (cf_list_decode(list, level, total, &entries, &n, NULL) == 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cf_buf again = CF_BUF_INIT;
	struct cf_list_entry *entries;
	struct cf_span list;
	uint64_t total;
	bool fits;
	size_t n;

	if (len < 1)
		return 0;
	list = cf_span_of(data + 1, len - 1);
	fits = add_lengths(list, &total);
	if (cf_list_decode(list, data[0], total, &entries, &n, NULL) < 0)
		return 0;
	if (!fits || n == 0)
		abort();
	if (cf_list_encode(data[0], entries, n, &again, NULL) == 0 &&
	    (again.len != list.len || memcmp(again.data, list.data, list.len) != 0))
		abort();
	check_refused(list, data[0], total + 1);
	check_refused(list, data[0], total - 1);
	check_refused(list, data[0] + 1u, total);
	cf_buf_release(&again);
	free(entries);
	return 0;
}
