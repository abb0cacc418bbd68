/*
 * Input: the JSON of a record of objects set aside. What is accepted is written again as a record that is
 * accepted, and then comes out the same; fields this program does not know may get lost.
 */

#include "repo/format/quarantine_doc.h"
#include "tests/fuzz/again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_items(const struct cf_quarantined *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!items[i].why || (i > 0 && cf_id_compare(&items[i - 1].id, &items[i].id) >= 0))
			abort();
}

static bool again(struct cf_span in, struct cf_buf *out)
{
	struct cf_quarantine_record record;

	if (cf_quarantine_decode(in, &record, NULL) < 0)
		return false;
	if (!record.host || !record.user || !record.program)
		abort();
	check_items(record.packs, record.n_packs);
	check_items(record.snapshots, record.n_snapshots);
	if (cf_quarantine_encode(&record, out, NULL) < 0)
		abort();
	cf_quarantine_record_release(&record);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	fuzz_again(again, data, len);
	return 0;
}
