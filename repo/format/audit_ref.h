#ifndef CF_REPO_FORMAT_AUDIT_REF_H
#define CF_REPO_FORMAT_AUDIT_REF_H

/* How documents name records of the audit log: [{"id": hex, "number": n}, ...]. */

#include "base/id.h"
#include "repo/format/json.h"

/* Numbers fit the folders they give names to. */
#define CF_AUDIT_NUMBER_MAX ((int64_t)((UINT64_C(1) << 37) - 1))

struct cf_audit_ref {
	struct cf_id id;
	int64_t number; /* the record's, 1 to CF_AUDIT_NUMBER_MAX */
};

/* NULL when memory is out. */
json_t *cf_audit_refs_to_json(const struct cf_audit_ref *refs, size_t n);
/* false when the list is none, or memory is out (errno). free() *refs_out in either case. */
bool cf_audit_refs_from_json(const json_t *list, struct cf_audit_ref **refs_out, size_t *n_out);

#endif
