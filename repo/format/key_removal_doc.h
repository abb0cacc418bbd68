#ifndef CF_REPO_FORMAT_KEY_REMOVAL_DOC_H
#define CF_REPO_FORMAT_KEY_REMOVAL_DOC_H

/* The JSON document that says that a key slot was removed, inside its seal (docs/format.md, "Removed key slots"). */

#include "base/buf.h"
#include "repo/format/keyslot2.h"

struct cf_key_removal {
	uint8_t slot[CF_SLOT_ID_LEN];
	uint8_t signature[CF_SIGNATURE_LEN];
};

int cf_key_removal_encode(const struct cf_key_removal *removal, struct cf_buf *out, struct cf_err *err);
/* CF_ERR_DAMAGED. */
int cf_key_removal_decode(struct cf_span in, struct cf_key_removal *removal_out, struct cf_err *err);

#endif
