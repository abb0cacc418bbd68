#include "repo/check_parts.h"

#include "base/err.h"
#include "repo/audit.h"

static void on_finding(void *user, const char *object, const char *problem)
{
	cf_check_found(user, object, "%s", problem);
}

int cf_check_audit(struct cf_check *check, struct cf_err *err)
{
	struct cf_audit_log log = {0};
	int rc = cf_audit_load(check->repo, &log, err);

	if (rc == 0)
		rc = cf_audit_verify(check->repo, &log, &check->anchors, on_finding, check, err);
	check->figures.audit_records = log.n;
	cf_audit_log_release(&log);
	return rc;
}
