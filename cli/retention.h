#ifndef CF_CLI_RETENTION_H
#define CF_CLI_RETENTION_H

/* The rules of retention that options give, and a plan made by them for people and programs. */

#include "cli/parse.h"
#include "repo/retain.h"

struct cf_cli;

struct cf_retention {
	struct cf_retain_rules rules;
	unsigned group_by;
	const char **tags;
};

/* Contradictory, senseless or missing rules are CF_ERR_USAGE. Release it in either case. */
int cf_retention_read(const struct cf_args *args, struct cf_retention *retention,
		      struct cf_err *err);
void cf_retention_release(struct cf_retention *retention);

/* "host db1, source files:/etc", of what the groups have in common. cf_buf_release() it. */
int cf_retention_group_text(const struct cf_retain_group *group, unsigned group_by,
			    struct cf_buf *out, struct cf_err *err);

/* A table per group with what keeps each snapshot. Groups of which snapshots were named show only
 * these. */
int cf_retention_print(const struct cf_retain_plan *plan, const struct cf_retention *retention,
		       struct cf_err *err);

/* The same as JSON: an array of groups. */
struct cf_doc cf_retention_json(const struct cf_retain_plan *plan,
				const struct cf_retention *retention);

#endif
