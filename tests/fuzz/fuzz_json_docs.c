/*
 * Input: which document (config, key slot, snapshot), then its JSON. What is accepted is written
 * again as a document that is accepted, and then comes out the same; fields this program does not
 * know may get lost.
 */

#include "repo/format/config.h"
#include "repo/format/keyslot.h"
#include "repo/format/snapshot_doc.h"
#include "tests/fuzz/again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Decode in, and if it is accepted encode it again: true. */
static bool config_again(struct cf_span in, struct cf_buf *out)
{
	struct cf_config config;

	if (cf_config_decode(in, &config, NULL) < 0)
		return false;
	if (config.min < 64 || config.min > config.nominal || config.nominal > config.max ||
	    config.max > CF_CHUNK_LEN_MAX || config.body.len == 0 || config.body.len >= in.len)
		abort();
	if (cf_config_encode(&config, out, NULL) < 0)
		abort();
	cf_config_release(&config);
	return true;
}

static bool keyslot_again(struct cf_span in, struct cf_buf *out)
{
	struct cf_keyslot slot;

	if (cf_keyslot_decode(in, &slot, NULL) < 0)
		return false;
	if (slot.ops > CF_SLOT_OPS_MAX || slot.memory > CF_SLOT_MEMORY_MAX ||
	    slot.wrapped.len < CF_TAG_LEN)
		abort();
	if (cf_keyslot_encode(&slot, out, NULL) < 0)
		abort();
	cf_keyslot_release(&slot);
	return true;
}

static bool snapshot_again(struct cf_span in, struct cf_buf *out)
{
	struct cf_snapshot *snapshot;

	if (cf_snapshot_decode(in, &snapshot, NULL) < 0)
		return false;
	if (!snapshot->host || !snapshot->source || snapshot->root.size == 0 ||
	    snapshot->root.level >= CF_CONTENT_LEVELS)
		abort();
	if (cf_snapshot_encode(snapshot, out, NULL) < 0)
		abort();
	cf_snapshot_free(snapshot);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static again_fn *const documents[] = {config_again, keyslot_again, snapshot_again};
	again_fn *again;

	if (len < 1)
		return 0;
	again = documents[data[0] % 3];
	fuzz_again(again, data + 1, len - 1);
	return 0;
}
