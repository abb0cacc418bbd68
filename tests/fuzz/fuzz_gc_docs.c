/*
 * Input: a byte that says which, and the JSON of a lease, an intent or a tomb. What is accepted is written again as a document
 * that is accepted, and then comes out the same; fields this program does not know may get lost.
 */

#include "repo/format/gc_doc.h"
#include "tests/fuzz/again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool lease_again(struct cf_span in, struct cf_buf *out)
{
	struct cf_lease_doc lease;

	if (cf_lease_decode(in, &lease, NULL) < 0)
		return false;
	if (!lease.host || !lease.user || !lease.source || !lease.seen || cf_lease_encode(&lease, out, NULL) < 0)
		abort();
	cf_lease_doc_release(&lease);
	return true;
}

static bool intent_again(struct cf_span in, struct cf_buf *out)
{
	struct cf_intent_doc intent;

	if (cf_intent_decode(in, &intent, NULL) < 0)
		return false;
	if (intent.root_size == 0 || cf_intent_encode(&intent, out, NULL) < 0)
		abort();
	return true;
}

static bool tomb_again(struct cf_span in, struct cf_buf *out)
{
	struct cf_tomb_doc tomb;

	if (cf_tomb_decode(in, &tomb, NULL) < 0)
		return false;
	if (tomb.n_packs == 0 || !tomb.host || cf_tomb_encode(&tomb, out, NULL) < 0)
		abort();
	cf_tomb_doc_release(&tomb);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	again_fn *const all[] = {lease_again, intent_again, tomb_again};
	again_fn *again;

	if (len == 0)
		return 0;
	again = all[data[0] % 3];
	fuzz_again(again, data + 1, len - 1);
	return 0;
}
