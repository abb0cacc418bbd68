/*
 * Input: which document (a key slot of version 2, what it is about), then its JSON. What is accepted is
 * written again as a document that is accepted, and then comes out the same; fields this program does not
 * know may get lost.
 */

#include "repo/format/keyslot2.h"
#include "tests/fuzz/again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool slot_again(struct cf_span in, struct cf_buf *out)
{
	struct cf_keyslot2 slot;

	if (cf_keyslot2_decode(in, &slot, NULL) < 0)
		return false;
	if (slot.ops > CF_SLOT_OPS_MAX || slot.memory > CF_SLOT_MEMORY_MAX || slot.n_epochs == 0 ||
	    slot.n_epochs > CF_EPOCHS_MAX || slot.keyring.len < CF_SLOT_BOX_LEN ||
	    slot.about.len < CF_TAG_LEN || cf_keyslot_version(in) != 2)
		abort();
	for (uint32_t i = 1; i < slot.n_epochs; i++)
		if (slot.epochs[i] <= slot.epochs[i - 1])
			abort();
	if (cf_keyslot2_encode(&slot, out, NULL) < 0)
		abort();
	cf_keyslot2_release(&slot);
	return true;
}

static bool about_again(struct cf_span in, struct cf_buf *out)
{
	struct cf_slot_about about;

	if (cf_slot_about_decode(in, &about, NULL) < 0)
		return false;
	if (!about.host || !about.user || !about.comment)
		abort();
	if (cf_slot_about_encode(&about, out, NULL) < 0)
		abort();
	cf_slot_about_release(&about);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	again_fn *again;

	if (len < 1)
		return 0;
	again = data[0] % 2 ? about_again : slot_again;
	fuzz_again(again, data + 1, len - 1);
	return 0;
}
