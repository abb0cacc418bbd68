/* coffer forget */

#include "base/err.h"
#include "cli/audited.h"
#include "cli/cli.h"
#include "cli/doc.h"
#include "cli/escape.h"
#include "cli/identity.h"
#include "cli/output.h"
#include "cli/retention.h"
#include "cli/select.h"
#include "repo/check.h"
#include "repo/forget.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct job {
	struct cf_cli *cli;
	struct cf_retention retention;
	struct cf_select select;
	struct cf_snapshot_list list;
	struct cf_retain_plan plan;
	struct cf_id *ids; /* operands first; then what goes */
	size_t n_ids;
	size_t n_damaged; /* of them, snapshots that cannot be read, or are missing */
	struct cf_id *missing;
	size_t n_missing;
	bool knows_missing;
	struct cf_forget_figures figures;
	bool is_real;
};

/* One that others know of and that is gone, whatever took it. Else the error stays. */
static int resolve_missing(struct job *job, const char *text, struct cf_id *id_out, struct cf_err *err)
{
	const struct cf_check_missing_options options = {0};
	struct cf_err why = CF_ERR_INIT;

	if (!job->knows_missing &&
	    cf_check_missing(job->select.repo, &options, &job->missing, &job->n_missing, &why) < 0) {
		*err = why;
		return why.code;
	}
	job->knows_missing = true;
	for (size_t i = 0; i < job->n_missing; i++) {
		if (strncmp(cf_id_text(&job->missing[i]).s, text, strlen(text)) != 0)
			continue;
		cf_err_clear(err);
		*id_out = job->missing[i];
		job->n_damaged++;
		return 0;
	}
	return CF_ERR_NOT_FOUND;
}

static int resolve(struct job *job, const char *text, struct cf_id *id_out, struct cf_err *err)
{
	struct cf_snapshot *snapshot = NULL;
	int rc = cf_select_snapshot(&job->select, text, &snapshot, err);

	/* One that cannot be read can be named by its id. */
	if (rc == CF_ERR_DAMAGED && cf_snapshot_find_damaged(&job->list, text, id_out)) {
		cf_err_clear(err);
		job->n_damaged++;
		return 0;
	}
	if (rc == CF_ERR_NOT_FOUND)
		return resolve_missing(job, text, id_out, err);
	if (rc == 0)
		*id_out = snapshot->id;
	cf_snapshot_free(snapshot);
	return rc;
}

static bool has_id(const struct job *job, const struct cf_id *id)
{
	for (size_t i = 0; i < job->n_ids; i++)
		if (cf_id_equal(id, &job->ids[i]))
			return true;
	return false;
}

static int resolve_operands(struct job *job, struct cf_err *err)
{
	const struct cf_args *args = job->cli->args;

	for (size_t i = 0; i < args->n_operands; i++) {
		size_t n_damaged = job->n_damaged;
		struct cf_id id;
		int rc = resolve(job, args->operands[i], &id, err);

		if (rc < 0)
			return rc;
		if (has_id(job, &id))
			job->n_damaged = n_damaged;
		else
			job->ids[job->n_ids++] = id;
	}
	job->retention.rules.named = job->ids;
	job->retention.rules.n_named = job->n_ids;
	return 0;
}

static int refuse_damaged(const struct job *job, struct cf_err *err)
{
	return cf_err_set(
		err, CF_ERR_DAMAGED,
		"snapshots/%s is damaged and may be a newer, held version of another one: forget "
		"it first, alone, by its id",
		cf_id_text(&job->list.damaged[0]).s);
}

/* Rules look at what the filters admit; a name among all, so that the last of its group is known as
 * such. */
static int make_plan(struct job *job, struct cf_err *err)
{
	bool is_named = job->cli->args->n_operands > 0;
	int rc = cf_snapshots_load(job->select.repo, is_named ? NULL : &job->select.filter,
				   &job->list, err);

	if (rc < 0)
		return rc;
	if (!is_named && job->list.n_damaged)
		return refuse_damaged(job, err);
	job->ids = calloc(job->list.n + job->cli->args->n_operands + 1, sizeof(*job->ids));
	if (!job->ids)
		return cf_err_nomem(err);
	rc = resolve_operands(job, err);
	return rc < 0 ? rc
		      : cf_retain_plan(job->list.items, job->list.n, job->retention.group_by,
				       &job->retention.rules, cf_ctx_now_ns(&job->cli->ctx),
				       &job->plan, err);
}

/* No policy empties a group, and no name outdoes a hold. */
static int check_plan(const struct job *job, struct cf_err *err)
{
	struct cf_buf name = CF_BUF_INIT;
	int rc = 0;

	for (size_t i = 0; i < job->plan.n_groups && job->n_ids == 0; i++) {
		const struct cf_retain_group *group = &job->plan.groups[i];

		if (!group->is_emptied)
			continue;
		rc = cf_retention_group_text(group, job->retention.group_by, &name, err);
		if (rc == 0)
			rc = cf_err_set(err, CF_ERR_BUSY,
					"these rules keep nothing of %s: add --keep-last 1, or "
					"name the snapshots "
					"to forget",
					(const char *)name.data);
		cf_buf_release(&name);
		return rc;
	}
	if (job->n_ids > job->n_damaged && job->list.n_damaged)
		return refuse_damaged(job, err);
	for (size_t i = 0; i < job->plan.n; i++) {
		const struct cf_snapshot *s = job->plan.items[i].snapshot;

		if (s->hold && has_id(job, &s->id))
			return cf_err_set(err, CF_ERR_BUSY,
					  "snapshot %s is held%s%s: coffer hold remove it first",
					  cf_short_id(&s->id).s, s->hold->reason[0] ? ", " : "",
					  s->hold->reason);
	}
	return 0;
}

/* From the plan: the ids of what goes, those that cannot be read first. */
static void collect_ids(struct job *job)
{
	struct cf_id *kept = job->ids;

	if (job->n_ids > 0)
		return;
	for (size_t i = 0; i < job->plan.n; i++)
		if (!job->plan.items[i].reasons)
			kept[job->n_ids++] = job->plan.items[i].snapshot->id;
}

static int execute(struct job *job, struct cf_err *err)
{
	char host[256], user[256];
	const struct cf_forget_options options = {.host = host, .user = user};
	int rc = cf_identity_host(host, sizeof(host), err);

	cf_identity_user(user, sizeof(user));
	if (rc == 0)
		rc = cf_forget_run(job->select.repo, job->ids, job->n_ids, &options, &job->figures,
				   err);
	return rc;
}

static int print_emptied(const struct job *job, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < job->plan.n_groups; i++) {
		const struct cf_retain_group *group = &job->plan.groups[i];
		struct cf_buf name = CF_BUF_INIT;

		if (group->n_kept > 0)
			continue;
		rc = cf_retention_group_text(group, job->retention.group_by, &name, err);
		if (rc == 0) {
			fputs("the last snapshot goes of ", stdout);
			cf_escape_print(stdout, (const char *)name.data, CF_ESCAPE_NAME);
			putchar('\n');
		}
		cf_buf_release(&name);
	}
	return rc;
}

static size_t count_future(const struct cf_retain_plan *plan)
{
	size_t n = 0;

	for (size_t i = 0; i < plan->n; i++)
		n += (plan->items[i].reasons >> CF_KEEP_FUTURE) & 1;
	return n;
}

static bool is_missing(const struct job *job, const struct cf_id *id)
{
	for (size_t i = 0; i < job->n_missing; i++)
		if (cf_id_equal(id, &job->missing[i]))
			return true;
	return false;
}

static int print_text(const struct job *job, struct cf_err *err)
{
	size_t n_future = count_future(&job->plan);
	int rc = job->cli->quiet ? 0 : cf_retention_print(&job->plan, &job->retention, err);

	if (rc == 0)
		rc = print_emptied(job, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < job->n_ids && job->n_damaged; i++) {
		struct cf_id damaged;

		if (cf_snapshot_find_damaged(&job->list, cf_id_text(&job->ids[i]).s, &damaged))
			printf("snapshot %s cannot be read: what it was, and whether it was held, "
			       "is not "
			       "known\n",
			       cf_short_id(&damaged).s);
	}
	for (size_t i = 0; i < job->n_ids; i++)
		if (is_missing(job, &job->ids[i]))
			printf("snapshot %s is missing: %s, so that nothing misses it any more\n",
			       cf_short_id(&job->ids[i]).s,
			       job->is_real ? "it is recorded as forgotten" : "it would be recorded as forgotten");
	if (n_future)
		printf("%s dated in the future and kept: look at the clocks of their hosts\n",
		       cf_text_count(n_future, "snapshot is", "snapshots are").s);
	return 0;
}

static void print_nothing(const struct job *job)
{
	printf("nothing to forget, %s kept", cf_text_count(job->plan.n_kept, "snapshot", "snapshots").s);
	if (job->select.hint) {
		fputs(": ", stdout);
		cf_escape_print(stdout, job->select.hint, CF_ESCAPE_MESSAGE);
	}
	putchar('\n');
}

static void print_totals(const struct job *job)
{
	if (job->is_real && job->n_ids > 0)
		printf("%s forgotten, %zu kept\n",
		       cf_text_count(job->figures.snapshots, "snapshot", "snapshots").s,
		       job->plan.n_kept);
	else if (job->n_ids > 0)
		printf("%s would be forgotten, %zu kept: nothing was done, --yes does it\n",
		       cf_text_count(job->n_ids, "snapshot", "snapshots").s, job->plan.n_kept);
	else
		print_nothing(job);
}

/* The name that the time zone has here and now: "CET". */
static void put_time_zone(struct cf_doc *document, const struct cf_ctx *ctx)
{
	time_t now = (time_t)(cf_ctx_now_ns(ctx) / 1000000000);
	struct tm local = {0};
	char name[32] = "";

	localtime_r(&now, &local);
	strftime(name, sizeof(name), "%Z", &local);
	cf_doc_text(document, "time_zone", name);
}

static int print_json(const struct job *job, struct cf_err *err)
{
	struct cf_doc document = cf_doc_begin(), ids = cf_doc_array();
	struct cf_doc groups = cf_retention_json(&job->plan, &job->retention);

	for (size_t i = 0; i < job->n_ids; i++)
		cf_doc_push_text(&ids, cf_id_text(&job->ids[i]).s);
	cf_doc_flag(&document, "dry_run", !job->is_real);
	put_time_zone(&document, &job->cli->ctx);
	cf_doc_put(&document, "groups", &groups);
	cf_doc_put(&document, "forgotten", &ids);
	cf_doc_count(&document, "n_forgotten", job->n_ids);
	cf_doc_count(&document, "n_kept", job->plan.n_kept);
	cf_doc_count(&document, "n_future", count_future(&job->plan));
	return cf_doc_print(&document, stdout, err);
}

static bool is_rule(const struct cf_option_spec *option)
{
	return option->id == CF_OPT_GFS || option->id == CF_OPT_GROUP_BY ||
	       (option->name && strncmp(option->name, "keep-", 5) == 0);
}

/* The rules, and what went by them. */
static int record(const struct job *job, struct cf_audited *audited, int rc,
		  const struct cf_err *err)
{
	const struct cf_args *args = job->cli->args;

	if (!job->is_real || (rc == 0 && job->n_ids == 0)) {
		cf_audited_drop(audited);
		return rc;
	}
	for (size_t i = 0; i < args->n_options; i++)
		if (is_rule(args->options[i].option))
			cf_audited_about(audited, args->options[i].option->name,
					 args->options[i].text);
	for (size_t i = 0; i < job->n_ids; i++)
		cf_audited_id(audited, rc == 0 ? "forgotten" : "chosen", &job->ids[i]);
	cf_audited_figure(audited, "snapshots_forgotten", job->figures.snapshots);
	cf_audited_figure(audited, "snapshots_kept", job->plan.n_kept);
	return cf_audited_end(audited, job->select.repo, rc, err);
}

/* A name that was mistyped would let old backups pile up unnoticed. */
static void warn_of_none(const struct job *job)
{
	const struct cf_snapshot_filter *filter = &job->select.filter;

	if (job->is_real && job->n_ids == 0 && job->plan.n == 0 &&
	    (filter->host || filter->source || filter->n_tags))
		cf_ctx_warn(&job->cli->ctx, "forget.none", NULL, "%s",
			    job->select.hint ? job->select.hint : "no snapshot fits the host, source and tags that were given");
}

/* What is missing is counted by no rule, and prune waits for it. */
static int warn_of_missing(const struct job *job, struct cf_err *err)
{
	const struct cf_check_missing_options options = {.log = CF_CHECK_LOG_NEWEST, .known = &job->list};
	struct cf_id *ids = NULL;
	size_t n = 0;
	int rc;

	if (job->cli->args->n_operands > 0)
		return 0;
	rc = cf_check_missing(job->select.repo, &options, &ids, &n, err);
	if (rc == 0 && n)
		cf_ctx_warn(&job->cli->ctx, "forget.missing", NULL,
			    "snapshot %.8s%s is missing, which no rule counts and prune waits for: put it back, or accept that it is gone "
			    "with coffer forget %.8s --yes",
			    cf_id_text(&ids[0]).s, n > 1 ? " (and others, see coffer check)" : "", cf_id_text(&ids[0]).s);
	free(ids);
	return rc;
}

static int run(struct job *job, struct cf_err *err)
{
	int rc = make_plan(job, err);

	if (rc == 0)
		rc = check_plan(job, err);
	if (rc < 0)
		return rc;
	collect_ids(job);
	warn_of_none(job);
	rc = warn_of_missing(job, err);
	if (rc < 0)
		return rc;
	if (!job->cli->json)
		rc = print_text(job, err);
	return rc == 0 && job->is_real ? execute(job, err) : rc;
}

static int print_result(const struct job *job, struct cf_err *err)
{
	if (job->cli->json)
		return print_json(job, err);
	print_totals(job);
	return 0;
}

int cf_cmd_forget(struct cf_cli *cli, struct cf_err *err)
{
	struct job job = {.cli = cli, .is_real = cf_args_has(cli->args, CF_OPT_YES)};
	struct cf_audited audited;
	int rc = cf_retention_read(cli->args, &job.retention, err);

	if (rc == 0 && job.is_real && cf_args_has(cli->args, CF_OPT_DRY_RUN))
		rc = cf_err_set(err, CF_ERR_USAGE, "--dry-run and --yes exclude each other");
	if (rc == 0)
		rc = cf_select_open(&job.select, cli, err);
	if (rc == 0) {
		cf_audited_begin(&audited, cli, NULL);
		rc = run(&job, err);
		rc = record(&job, &audited, rc, err);
	}
	if (rc == 0)
		rc = print_result(&job, err);
	cf_retain_plan_release(&job.plan);
	cf_snapshot_list_release(&job.list);
	free(job.ids);
	free(job.missing);
	cf_retention_release(&job.retention);
	cf_select_close(&job.select);
	return rc;
}
