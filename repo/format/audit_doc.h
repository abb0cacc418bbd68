#ifndef CF_REPO_FORMAT_AUDIT_DOC_H
#define CF_REPO_FORMAT_AUDIT_DOC_H

/* The JSON document of a record of the audit log, inside its seal (docs/format.md, "Audit
 * records"). */

#include "repo/format/audit_ref.h"

struct cf_err;

/* What a command was about: {"source", "/etc"}, {"snapshot", its id}. Keys may repeat. */
struct cf_audit_about {
	char *key, *value;
};

struct cf_audit_figure {
	char *key;
	int64_t value;
};

struct cf_audit_record {
	struct cf_id id; /* of the object; not in the document */
	int64_t number;	 /* one more than the greatest of `previous`; the first is 1 */
	struct cf_audit_ref
		*previous; /* the records that nothing named yet when this one was made */
	size_t n_previous;
	int64_t time_ns; /* when the command ended */
	char *host, *user, *program;
	char *slot;	/* the key slot that opened the repository */
	char *command;	/* "backup", "key add" */
	int64_t status; /* its exit status, 0 to 255 */
	char *error;	/* one line; "" when it did not fail */
	struct cf_audit_about *about;
	size_t n_about;
	struct cf_audit_figure *figures; /* read: sorted by key */
	size_t n_figures;
};

/* Text that is not UTF-8 is stored percent-encoded byte by byte. */
int cf_audit_encode(const struct cf_audit_record *record, struct cf_buf *out, struct cf_err *err);
/* CF_ERR_DAMAGED. Release it. */
int cf_audit_decode(struct cf_span in, struct cf_audit_record *record_out, struct cf_err *err);
void cf_audit_record_release(struct cf_audit_record *record);

#endif
