#include "cli/retention.h"

#include "base/err.h"
#include "cli/doc.h"
#include "cli/output.h"
#include "cli/select.h"
#include "cli/snapshot_json.h"

#include <stdlib.h>
#include <string.h>

static const enum cf_option_id period_options[CF_N_KEEP_PERIODS] = {
	[CF_KEEP_LAST] = CF_OPT_KEEP_LAST,	 [CF_KEEP_HOURLY] = CF_OPT_KEEP_HOURLY,
	[CF_KEEP_DAILY] = CF_OPT_KEEP_DAILY,	 [CF_KEEP_WEEKLY] = CF_OPT_KEEP_WEEKLY,
	[CF_KEEP_MONTHLY] = CF_OPT_KEEP_MONTHLY, [CF_KEEP_QUARTERLY] = CF_OPT_KEEP_QUARTERLY,
	[CF_KEEP_YEARLY] = CF_OPT_KEEP_YEARLY,
};

/* The value of an option that may be given once: of two numbers one would be ignored. NULL: not
 * given. */
static int take_once(const struct cf_args *args, enum cf_option_id id, const char **text_out,
		     struct cf_err *err)
{
	*text_out = NULL;
	for (size_t i = 0; i < args->n_options; i++) {
		if (args->options[i].option->id != id)
			continue;
		if (*text_out)
			return cf_err_set(err, CF_ERR_USAGE, "%s is given twice: leave one out",
					  cf_spec_option_text(args->options[i].option).s);
		*text_out = args->options[i].text;
	}
	return 0;
}

static int read_period(const struct cf_args *args, enum cf_keep keep, struct cf_keep_rule *rule,
		       struct cf_err *err)
{
	const char *text;
	int rc = take_once(args, period_options[keep], &text, err);

	if (rc < 0 || !text)
		return rc;
	if (!cf_keep_rule_parse(text, rule))
		return cf_err_set(
			err, CF_ERR_USAGE,
			"--keep-%s: '%s' is no number from 1 to 100000, no duration like 30d "
			"or 1y6m, and not unlimited",
			cf_keep_name(keep), text);
	if (keep == CF_KEEP_LAST && rule->count == 0)
		return cf_err_set(err, CF_ERR_USAGE,
				  "--keep-last takes a number: for a duration use --keep-within %s",
				  text);
	return 0;
}

static int read_rules(const struct cf_args *args, struct cf_retention *r, struct cf_err *err)
{
	const char *within, *gfs;
	int rc = cf_args_list(args, CF_OPT_KEEP_TAG, &r->tags, &r->rules.n_tags, err);

	r->rules.tags = r->tags;
	for (size_t keep = 0; rc == 0 && keep < CF_N_KEEP_PERIODS; keep++)
		rc = read_period(args, (enum cf_keep)keep, &r->rules.periods[keep], err);
	if (rc == 0)
		rc = take_once(args, CF_OPT_KEEP_WITHIN, &within, err);
	if (rc == 0 && within && !cf_duration_parse(within, &r->rules.within))
		rc = cf_err_set(err, CF_ERR_USAGE,
				"--keep-within: '%s' is no duration like 30d, 1y6m, 2w or 36h",
				within);
	if (rc == 0)
		rc = take_once(args, CF_OPT_GFS, &gfs, err);
	if (rc == 0 && gfs)
		rc = cf_retain_parse_gfs(gfs, &r->rules, err);
	return rc;
}

int cf_retention_read(const struct cf_args *args, struct cf_retention *r, struct cf_err *err)
{
	const char *groups;
	int rc;

	*r = (struct cf_retention){.group_by = CF_GROUP_HOST | CF_GROUP_SOURCE};
	rc = read_rules(args, r, err);
	if (rc == 0)
		rc = take_once(args, CF_OPT_GROUP_BY, &groups, err);
	if (rc == 0 && groups)
		rc = cf_retain_parse_groups(groups, &r->group_by, err);
	if (rc == 0 && args->n_operands == 0 && cf_retain_is_empty(&r->rules))
		rc = cf_err_set(
			err, CF_ERR_USAGE,
			"forget needs rules, such as --keep-daily 7 --keep-weekly 4, or the "
			"snapshots to forget");
	if (rc == 0 && args->n_operands > 0 && !cf_retain_is_empty(&r->rules))
		rc = cf_err_set(
			err, CF_ERR_USAGE,
			"snapshots and rules exclude each other: give the ones to forget, or "
			"the rules by which to keep");
	return rc;
}

void cf_retention_release(struct cf_retention *r)
{
	free(r->tags);
	*r = (struct cf_retention){0};
}

static int append_tags(struct cf_buf *out, const struct cf_snapshot *snapshot, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < snapshot->n_tags; i++)
		rc = cf_buf_printf(out, err, "%s%s", i ? "," : "", snapshot->tags[i]);
	return rc;
}

int cf_retention_group_text(const struct cf_retain_group *group, unsigned group_by,
			    struct cf_buf *out, struct cf_err *err)
{
	const struct cf_snapshot *snapshot = group->items[0].snapshot;
	const char *comma = "";
	int rc = 0;

	if (group_by & CF_GROUP_HOST) {
		rc = cf_buf_printf(out, err, "host %s", snapshot->host);
		comma = ", ";
	}
	if (rc == 0 && (group_by & CF_GROUP_SOURCE)) {
		rc = cf_buf_printf(out, err, "%ssource %s", comma, snapshot->source);
		comma = ", ";
	}
	if (rc == 0 && (group_by & CF_GROUP_TAGS)) {
		rc = cf_buf_printf(out, err, snapshot->n_tags ? "%stags " : "%sno tags", comma);
		if (rc == 0)
			rc = append_tags(out, snapshot, err);
	}
	if (rc == 0 && group_by == 0)
		rc = cf_buf_append_str(out, "all snapshots", err);
	return rc == 0 ? cf_buf_append(out, "", 1, err) : rc;
}
