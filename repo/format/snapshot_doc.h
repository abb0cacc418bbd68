#ifndef CF_REPO_FORMAT_SNAPSHOT_DOC_H
#define CF_REPO_FORMAT_SNAPSHOT_DOC_H

/* A snapshot's JSON document, inside its seal (docs/format.md, "Snapshot"). */

#include "repo/snapshot.h"

/* Text that is not UTF-8 is stored percent-encoded byte by byte. */
int cf_snapshot_encode(const struct cf_snapshot *snapshot, struct cf_buf *out, struct cf_err *err);
/* Of it the tags and the hold only, which can be changed. */
int cf_snapshot_encode_marks(const struct cf_snapshot *snapshot, struct cf_buf *out, struct cf_err *err);
/* The id is the caller's to set. CF_ERR_DAMAGED. cf_snapshot_free() it. */
int cf_snapshot_decode(struct cf_span in, struct cf_snapshot **snapshot_out, struct cf_err *err);

#endif
