/* coffer hold */

#include "base/err.h"
#include "cli/audited.h"
#include "cli/cli.h"
#include "cli/doc.h"
#include "cli/escape.h"
#include "cli/output.h"
#include "cli/select.h"
#include "cli/snapshot_json.h"
#include "repo/forget.h"

#include <stdlib.h>
#include <string.h>

enum action { HOLD_ADD, HOLD_REMOVE, HOLD_LIST };

struct job {
	struct cf_cli *cli;
	enum action action;
	const char *reason; /* NULL: none given */
	struct cf_select select;
	const char *const *operands; /* the snapshots */
	size_t n_operands;
	struct cf_doc list;
	struct cf_audited audited;
	size_t n_changed;
};

static int read_action(struct job *job, struct cf_err *err)
{
	static const char *const names[] = {"add", "remove", "list"};
	const struct cf_args *args = job->cli->args;
	size_t i = 0;

	while (i < 3 && strcmp(args->operands[0], names[i]) != 0)
		i++;
	job->action = (enum action)i;
	job->operands = args->operands + 1;
	job->n_operands = args->n_operands - 1;
	job->reason = cf_args_text(args, CF_OPT_REASON);
	if (i == 3)
		return cf_err_set(err, CF_ERR_USAGE, "hold '%s' is none of: add, remove, list",
				  args->operands[0]);
	if (job->action == HOLD_LIST && job->n_operands > 0)
		return cf_err_set(err, CF_ERR_USAGE,
				  "hold list takes no snapshots: --source, --host and --tag choose "
				  "among them");
	if (job->action != HOLD_LIST && job->n_operands == 0)
		return cf_err_set(err, CF_ERR_USAGE, "hold %s needs a snapshot", names[i]);
	if (job->reason && job->action != HOLD_ADD)
		return cf_err_set(err, CF_ERR_USAGE, "--reason belongs to hold add");
	if (job->reason && !cf_utf8_valid(job->reason))
		return cf_err_set(err, CF_ERR_USAGE, "--reason: '%s' is not UTF-8", job->reason);
	return 0;
}

/* Whether the snapshot is as it shall be. */
static bool is_done(const struct job *job, const struct cf_snapshot *snapshot)
{
	if (job->action == HOLD_REMOVE)
		return !snapshot->hold;
	return snapshot->hold && (!job->reason || strcmp(snapshot->hold->reason, job->reason) == 0);
}

static void push_change(struct job *job, const struct cf_snapshot *snapshot,
			const struct cf_id *after)
{
	struct cf_doc item = cf_doc_object();

	cf_doc_text(&item, "before", cf_id_text(&snapshot->id).s);
	cf_doc_text(&item, "snapshot", cf_id_text(after).s);
	cf_doc_flag(&item, "changed", !cf_id_equal(&snapshot->id, after));
	cf_doc_flag(&item, "held", job->action == HOLD_ADD);
	cf_doc_push(&job->list, &item);
}

static void print_change(const struct job *job, const struct cf_snapshot *snapshot,
			 const struct cf_id *after)
{
	const char *what = job->action == HOLD_ADD ? "held" : "not held";

	if (cf_id_equal(&snapshot->id, after))
		printf("snapshot %s is %s already\n", cf_short_id(after).s, what);
	else
		printf("snapshot %s is now %s, %s\n", cf_short_id(&snapshot->id).s,
		       cf_short_id(after).s, what);
}

static int store_hold(struct job *job, const struct cf_snapshot *snapshot,
		      const struct cf_hold *hold, struct cf_id *after, struct cf_err *err)
{
	const struct cf_forget_options who = {.host = job->audited.record.host, .user = job->audited.record.user};
	int rc = hold ? cf_snapshot_set_hold(job->select.repo, snapshot, hold, after, err)
		      : cf_forget_hold(job->select.repo, snapshot, &who, after, err);

	if (rc < 0)
		return rc;
	job->n_changed++;
	cf_audited_id(&job->audited, "replaced", &snapshot->id);
	cf_audited_id(&job->audited, "snapshot", after);
	return 0;
}

static int change_one(struct job *job, const struct cf_snapshot *snapshot, struct cf_err *err)
{
	char *reason = strdup(job->reason ? job->reason : "");
	struct cf_hold hold = {.since_ns = cf_ctx_now_ns(&job->cli->ctx), .reason = reason};
	struct cf_id after = snapshot->id;
	int rc = reason ? 0 : cf_err_nomem(err);

	if (rc == 0 && !is_done(job, snapshot))
		rc = store_hold(job, snapshot, job->action == HOLD_ADD ? &hold : NULL, &after, err);
	if (rc == 0 && job->cli->json)
		push_change(job, snapshot, &after);
	else if (rc == 0 && !job->cli->quiet)
		print_change(job, snapshot, &after);
	free(reason);
	return rc;
}

static bool is_earlier(struct cf_snapshot *const *snapshots, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (cf_id_equal(&snapshots[i]->id, &snapshots[j]->id))
			return true;
	return false;
}

/* All are resolved before the first is changed: "latest" means what it meant when the command
 * began. */
static int change_all(struct job *job, struct cf_err *err)
{
	struct cf_snapshot **snapshots = calloc(job->n_operands, sizeof(*snapshots));
	int rc = snapshots ? 0 : cf_err_nomem(err);

	for (size_t i = 0; rc == 0 && i < job->n_operands; i++)
		rc = cf_select_snapshot(&job->select, job->operands[i], &snapshots[i], err);
	for (size_t i = 0; rc == 0 && i < job->n_operands; i++)
		if (!is_earlier(snapshots, i))
			rc = change_one(job, snapshots[i], err);
	for (size_t i = 0; snapshots && i < job->n_operands; i++)
		cf_snapshot_free(snapshots[i]);
	free(snapshots);
	return rc;
}

static int run_change(struct job *job, struct cf_err *err)
{
	int rc;

	cf_audited_begin(&job->audited, job->cli, job->cli->args->operands[0]);
	if (job->reason)
		cf_audited_about(&job->audited, "reason", job->reason);
	rc = change_all(job, err);
	if (rc < 0 || job->n_changed > 0)
		return cf_audited_end(&job->audited, job->select.repo, rc, err);
	cf_audited_drop(&job->audited);
	return 0;
}

static int add_row(struct cf_table *table, const struct cf_snapshot *snapshot, struct cf_err *err)
{
	const char *const cells[] = {cf_short_id(&snapshot->id).s,
				     cf_text_time(snapshot->time_ns).s,
				     snapshot->host,
				     snapshot->source,
				     cf_text_time(snapshot->hold->since_ns).s,
				     snapshot->hold->reason};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(cells) / sizeof(*cells); i++)
		rc = cf_table_add(table, cells[i], err);
	return rc;
}

static int print_table(const struct cf_snapshot_list *list, struct cf_err *err)
{
	static const char *const heading[] = {"ID",	"TIME",	      "HOST",
					      "SOURCE", "HELD SINCE", "REASON"};
	struct cf_table table;
	int rc = 0;

	cf_table_init(&table, "llllll");
	for (size_t i = 0; rc == 0 && i < sizeof(heading) / sizeof(*heading); i++)
		rc = cf_table_add(&table, heading[i], err);
	for (size_t i = 0; rc == 0 && i < list->n; i++)
		if (list->items[i]->hold)
			rc = add_row(&table, list->items[i], err);
	if (rc == 0)
		cf_table_print(&table, stdout);
	cf_table_release(&table);
	return rc;
}

static int list_held(struct job *job, struct cf_err *err)
{
	struct cf_snapshot_list list = {0};
	size_t n = 0;
	int rc = cf_snapshots_load(job->select.repo, &job->select.filter, &list, err);

	if (rc == 0)
		cf_snapshot_list_warn(job->select.repo, &list);
	for (size_t i = 0; rc == 0 && i < list.n; i++) {
		n += list.items[i]->hold != NULL;
		if (list.items[i]->hold && job->cli->json) {
			struct cf_doc item = cf_snapshot_json(list.items[i]);

			cf_doc_push(&job->list, &item);
		}
	}
	if (rc == 0 && !job->cli->json && n > 0)
		rc = print_table(&list, err);
	else if (rc == 0 && !job->cli->json && !job->cli->quiet)
		puts("no snapshot is held");
	cf_snapshot_list_release(&list);
	return rc;
}

int cf_cmd_hold(struct cf_cli *cli, struct cf_err *err)
{
	struct job job = {.cli = cli};
	int rc = read_action(&job, err);

	if (rc == 0)
		rc = cf_select_open(&job.select, cli, err);
	if (rc == 0 && cli->json)
		job.list = cf_doc_array();
	if (rc == 0)
		rc = job.action == HOLD_LIST ? list_held(&job, err) : run_change(&job, err);
	if (rc == 0 && cli->json) {
		struct cf_doc document = cf_doc_begin();

		cf_doc_put(&document, "snapshots", &job.list);
		rc = cf_doc_print(&document, stdout, err);
	}
	cf_doc_release(&job.list);
	cf_select_close(&job.select);
	return rc;
}
