/*
 * Input: the JSON of a record of forgotten snapshots. What is accepted is written again as a record
 * that is accepted, and then comes out the same; fields this program does not know may get lost.
 */

#include "repo/format/forget_doc.h"
#include "tests/fuzz/again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool again(struct cf_span in, struct cf_buf *out)
{
	struct cf_forget_record record;

	if (cf_forget_decode(in, &record, NULL) < 0)
		return false;
	if (!record.host || !record.user || !record.program || record.n_snapshots == 0)
		abort();
	for (size_t i = 0; i < record.n_snapshots; i++)
		if (!record.snapshots[i].host || !record.snapshots[i].source)
			abort();
	if (cf_forget_encode(&record, out, NULL) < 0)
		abort();
	cf_forget_record_release(&record);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	fuzz_again(again, data, len);
	return 0;
}
