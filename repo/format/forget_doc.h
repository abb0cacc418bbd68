#ifndef CF_REPO_FORMAT_FORGET_DOC_H
#define CF_REPO_FORMAT_FORGET_DOC_H

/* The JSON document of a record of forgotten snapshots, inside its seal (docs/format.md, "Records of forgetting"). */

#include "base/buf.h"
#include "base/id.h"

#include <stdbool.h>

struct cf_err;

/* A snapshot object that is removed, and what it was. */
struct cf_forgotten {
	struct cf_id id;
	int64_t time_ns;
	char *host, *source; /* "" when the object could not be read */
};

struct cf_forget_record {
	bool is_done; /* false: written before the first object is removed; true: after the last one was */
	int64_t time_ns;
	char *host, *user, *program; /* who forgets, and where */
	struct cf_forgotten *snapshots;
	size_t n_snapshots;
	struct cf_id *history; /* what the forgotten snapshots vouched for, as in their own history */
	size_t n_history;
};

/* Text that is not UTF-8 is stored percent-encoded byte by byte. */
int cf_forget_encode(const struct cf_forget_record *record, struct cf_buf *out, struct cf_err *err);
/* CF_ERR_DAMAGED. Release it. */
int cf_forget_decode(struct cf_span in, struct cf_forget_record *record_out, struct cf_err *err);
void cf_forget_record_release(struct cf_forget_record *record);

#endif
