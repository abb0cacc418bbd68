#include "repo/format/key_removal_doc.h"

#include "repo/format/json.h"
#include "repo/format/limits.h"

int cf_key_removal_encode(const struct cf_key_removal *removal, struct cf_buf *out, struct cf_err *err)
{
	json_t *doc = json_pack("{s:i, s:o, s:o}", "version", CF_FORMAT_VERSION, "key",
				cf_json_from_hex(removal->slot, sizeof(removal->slot)), "signature",
				cf_json_from_hex(removal->signature, sizeof(removal->signature)));
	int rc = cf_json_encode(doc, out, err);

	json_decref(doc);
	return rc;
}

static bool from_json(json_t *doc, void *into)
{
	struct cf_key_removal *removal = into;

	return cf_json_hex(doc, "key", removal->slot, sizeof(removal->slot)) &&
	       cf_json_hex(doc, "signature", removal->signature, sizeof(removal->signature));
}

int cf_key_removal_decode(struct cf_span in, struct cf_key_removal *removal_out, struct cf_err *err)
{
	struct cf_key_removal removal = {0};
	int rc = cf_json_decode_fields(in, from_json, &removal, err);

	if (rc == 0)
		*removal_out = removal;
	return rc;
}
