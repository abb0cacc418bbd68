#ifndef CF_REPO_FORMAT_QUARANTINE_DOC_H
#define CF_REPO_FORMAT_QUARANTINE_DOC_H

/* The JSON document of a record of objects set aside for their damage, inside its seal (docs/format.md, "Quarantine"). */

#include "base/buf.h"
#include "base/id.h"

struct cf_err;

struct cf_quarantined {
	struct cf_id id;
	char *why;
};

struct cf_quarantine_record {
	int64_t time_ns;
	char *host, *user, *program; /* who set them aside, and where */
	/* Both ascending, each id once; one of them may be empty. */
	struct cf_quarantined *packs;
	size_t n_packs;
	struct cf_quarantined *snapshots;
	size_t n_snapshots;
};

/* Text that is not UTF-8 is stored percent-encoded byte by byte. */
int cf_quarantine_encode(const struct cf_quarantine_record *record, struct cf_buf *out, struct cf_err *err);
/* CF_ERR_DAMAGED, CF_ERR_UNSUPPORTED. Release it. */
int cf_quarantine_decode(struct cf_span in, struct cf_quarantine_record *record_out, struct cf_err *err);
void cf_quarantine_record_release(struct cf_quarantine_record *record);

#endif
