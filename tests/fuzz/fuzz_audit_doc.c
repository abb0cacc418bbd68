/*
 * Input: the JSON of a record of the audit log. What is accepted is written again as a record that
 * is accepted, and then comes out the same; fields this program does not know may get lost.
 */

#include "repo/format/audit_doc.h"
#include "tests/fuzz/again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool again(struct cf_span in, struct cf_buf *out)
{
	struct cf_audit_record record;

	if (cf_audit_decode(in, &record, NULL) < 0)
		return false;
	if (!record.host || !record.user || !record.program || !record.command || !record.slot ||
	    !record.error || record.number < 1 || record.number > CF_AUDIT_NUMBER_MAX ||
	    record.status < 0 || record.status > 255)
		abort();
	for (size_t i = 0; i < record.n_about; i++)
		if (!record.about[i].key || !record.about[i].value)
			abort();
	for (size_t i = 0; i < record.n_previous; i++)
		if (record.previous[i].number < 1)
			abort();
	if (cf_audit_encode(&record, out, NULL) < 0)
		abort();
	cf_audit_record_release(&record);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	fuzz_again(again, data, len);
	return 0;
}
