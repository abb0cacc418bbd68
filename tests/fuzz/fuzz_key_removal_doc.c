/*
 * Input: the JSON of a record of a key slot that was removed. What is accepted is written again as a record that is
 * accepted, and then comes out the same; fields this program does not know may get lost.
 */

#include "repo/format/key_removal_doc.h"
#include "tests/fuzz/again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool again(struct cf_span in, struct cf_buf *out)
{
	struct cf_key_removal removal;

	if (cf_key_removal_decode(in, &removal, NULL) < 0)
		return false;
	if (cf_key_removal_encode(&removal, out, NULL) < 0)
		abort();
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	fuzz_again(again, data, len);
	return 0;
}
