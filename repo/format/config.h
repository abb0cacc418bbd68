#ifndef CF_REPO_FORMAT_CONFIG_H
#define CF_REPO_FORMAT_CONFIG_H

/*
 * The config object (docs/format.md, "config"): canonical JSON
 *   {"body": {version, id, created, cipher, chunker: {kind, min, nominal, max}, features: {read, write, check, delete}}, "tag"}
 * The tag is HMAC-SHA-256 of the canonical body under the repository's config key, checked once that is known.
 */

#include "base/buf.h"
#include "repo/format/limits.h"

#include <stdbool.h>

struct cf_err;

struct cf_config {
	uint8_t repo_id[CF_REPO_ID_LEN];
	int64_t created_ns;
	unsigned cipher;  /* enum cf_cipher */
	unsigned chunker; /* enum cf_chunker_kind */
	uint32_t min, nominal, max;
	bool has_signed_versions; /* a feature: a snapshot that replaces another one counts only when a full key signed it */
	uint8_t tag[32];
	struct cf_buf body; /* the bytes the tag is about; released by cf_config_release */
};

/* Fills config->body. */
int cf_config_encode_body(struct cf_config *config, struct cf_err *err);
/* The whole object, with config->tag. */
int cf_config_encode(const struct cf_config *config, struct cf_buf *out, struct cf_err *err);
/* CF_ERR_DAMAGED, CF_ERR_UNSUPPORTED (newer version, unknown feature). The tag is not checked. */
int cf_config_decode(struct cf_span in, struct cf_config *config_out, struct cf_err *err);
void cf_config_release(struct cf_config *config);

#endif
