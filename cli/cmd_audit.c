/* coffer audit */

#include "base/err.h"
#include "cli/cli.h"
#include "cli/doc.h"
#include "cli/escape.h"
#include "cli/moment.h"
#include "cli/output.h"
#include "repo/audit.h"
#include "repo/id_set.h"
#include "repo/repo.h"
#include "repo/snapshot.h"

#include <string.h>
#include <unistd.h>

enum { ID_DIGITS = 8 };

struct job {
	struct cf_cli *cli;
	struct cf_repo *repo;
	struct cf_audit_log log;
	int64_t since_ns;
	size_t first; /* of the log, that is shown */
	struct cf_snapshot_list snapshots;
	struct cf_doc findings, unrecorded; /* JSON only */
	uint64_t n_findings, n_unrecorded;
};

static int read_since(struct job *job, struct cf_err *err)
{
	const char *since = cf_args_text(job->cli->args, CF_OPT_SINCE);

	job->since_ns = INT64_MIN;
	if (since && !cf_moment_parse(since, cf_ctx_now_ns(&job->cli->ctx), &job->since_ns))
		return cf_err_set(err, CF_ERR_USAGE,
				  "--since: '%s' is no duration like 7d or 36h, and no date like "
				  "2026-11-21 or '2026-11-21 07:00'",
				  since);
	return 0;
}

/* The records since a moment, of them the last ones. */
static void choose_records(struct job *job)
{
	uint64_t last = cf_args_number(job->cli->args, CF_OPT_LAST);

	while (job->first < job->log.n && job->log.items[job->first].time_ns < job->since_ns)
		job->first++;
	if (last && job->log.n - job->first > last)
		job->first = job->log.n - last;
}

static const char *result_text(int64_t status)
{
	static const char *const texts[] = {"ok",     "failed",	 "failed", "partial",
					    "damage", "bad key", "refused"};

	if (status > 128)
		return "stopped";
	return texts[status < 7 ? status : 1];
}

static bool is_key(const struct cf_audit_about *about, const char *key)
{
	return strcmp(about->key, key) == 0;
}

static size_t count_key(const struct cf_audit_record *record, const char *key)
{
	size_t n = 0;

	for (size_t i = 0; i < record->n_about; i++)
		n += is_key(&record->about[i], key);
	return n;
}

static const int64_t *find_figure(const struct cf_audit_record *record, const char *key)
{
	for (size_t i = 0; i < record->n_figures; i++)
		if (strcmp(record->figures[i].key, key) == 0)
			return &record->figures[i].value;
	return NULL;
}

/* "/etc" of a source, "1a2b3c4d" of an id, "role write" of the rest; of many only how many. */
static int append_about(struct cf_buf *out, const struct cf_audit_record *record, size_t i,
			struct cf_err *err)
{
	static const char *const ids[] = {"snapshot", "replaced", "forgotten",
					  "chosen",   "key",	  "repository"};
	const struct cf_audit_about *about = &record->about[i];
	size_t n = count_key(record, about->key);
	const char *blank = out->len ? ", " : "";

	if (n > 2) {
		for (size_t j = 0; j < i; j++)
			if (is_key(&record->about[j], about->key))
				return 0;
		return cf_buf_printf(out, err, "%s%s (%zu)", blank, about->key, n);
	}
	if (is_key(about, "snapshot") && count_key(record, "source"))
		return cf_buf_printf(out, err, " -> %.*s", ID_DIGITS, about->value);
	for (size_t j = 0; j < sizeof(ids) / sizeof(ids[0]); j++)
		if (is_key(about, ids[j]))
			return cf_buf_printf(out, err, "%s%s %.*s", blank, about->key, ID_DIGITS,
					     about->value);
	if (is_key(about, "source"))
		return cf_buf_printf(out, err, "%s%s", blank, about->value);
	return cf_buf_printf(out, err, "%s%s %s", blank, about->key, about->value);
}

static int describe(const struct cf_audit_record *record, struct cf_buf *out, struct cf_err *err)
{
	const int64_t *stored = find_figure(record, "bytes_stored");
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < record->n_about; i++)
		rc = append_about(out, record, i, err);
	if (rc == 0 && stored && *stored >= 0)
		rc = cf_buf_printf(out, err, ", stored %s", cf_text_size((uint64_t)*stored).s);
	/* Most errors begin with the name of what they are about. */
	if (rc == 0 && out->len && strncmp(record->error, (const char *)out->data, out->len) == 0)
		cf_buf_clear(out);
	if (rc == 0 && record->error[0])
		rc = cf_buf_printf(out, err, "%s%s", out->len ? ": " : "", record->error);
	return rc == 0 ? cf_buf_append(out, "", 1, err) : rc;
}

static int add_row(struct cf_table *table, const struct cf_audit_record *record, struct cf_err *err)
{
	struct cf_buf who = CF_BUF_INIT, about = CF_BUF_INIT;
	int rc = cf_buf_printf(&who, err, "%s@%s%c", record->user, record->host, '\0');

	if (rc == 0)
		rc = describe(record, &about, err);
	if (rc == 0)
		rc = cf_table_add(table, cf_text_time(record->time_ns).s, err);
	if (rc == 0)
		rc = cf_table_add(table, (const char *)who.data, err);
	if (rc == 0)
		rc = cf_table_add(table, record->command, err);
	if (rc == 0)
		rc = cf_table_add(table, result_text(record->status), err);
	if (rc == 0)
		rc = cf_table_add(table, (const char *)about.data, err);
	cf_buf_release(&who);
	cf_buf_release(&about);
	return rc;
}

static int print_table(const struct job *job, struct cf_err *err)
{
	static const char *const heading[] = {"TIME", "WHO", "COMMAND", "RESULT", "ABOUT"};
	struct cf_table table;
	int rc = 0;

	cf_table_init(&table, "lllll");
	cf_table_fit(&table, STDOUT_FILENO);
	for (size_t i = 0; rc == 0 && i < sizeof(heading) / sizeof(*heading); i++)
		rc = cf_table_add(&table, heading[i], err);
	for (size_t i = job->first; rc == 0 && i < job->log.n; i++)
		rc = add_row(&table, &job->log.items[i], err);
	if (rc == 0)
		cf_table_print(&table, stdout);
	cf_table_release(&table);
	return rc;
}

static struct cf_doc record_json(const struct cf_audit_record *record)
{
	struct cf_doc item = cf_doc_object(), about = cf_doc_array(), figures = cf_doc_object(),
		      previous = cf_doc_array();

	for (size_t i = 0; i < record->n_about; i++) {
		struct cf_doc pair = cf_doc_object();

		cf_doc_text(&pair, "key", record->about[i].key);
		cf_doc_text(&pair, "value", record->about[i].value);
		cf_doc_push(&about, &pair);
	}
	for (size_t i = 0; i < record->n_figures; i++)
		cf_doc_count(&figures, record->figures[i].key, (uint64_t)record->figures[i].value);
	for (size_t i = 0; i < record->n_previous; i++)
		cf_doc_push_text(&previous, cf_id_text(&record->previous[i].id).s);
	cf_doc_text(&item, "id", cf_id_text(&record->id).s);
	cf_doc_count(&item, "number", (uint64_t)record->number);
	cf_doc_text(&item, "time", cf_text_rfc3339(record->time_ns).s);
	cf_doc_text(&item, "host", record->host);
	cf_doc_text(&item, "user", record->user);
	cf_doc_text(&item, "key", record->slot);
	cf_doc_text(&item, "program", record->program);
	cf_doc_text(&item, "command", record->command);
	cf_doc_count(&item, "status", (uint64_t)record->status);
	cf_doc_text(&item, "error", record->error[0] ? record->error : NULL);
	cf_doc_put(&item, "about", &about);
	cf_doc_put(&item, "figures", &figures);
	cf_doc_put(&item, "previous", &previous);
	return item;
}

static int print_json(struct job *job, bool is_verified, struct cf_err *err)
{
	struct cf_doc document = cf_doc_begin(), records = cf_doc_array();

	for (size_t i = job->first; i < job->log.n; i++) {
		struct cf_doc item = record_json(&job->log.items[i]);

		cf_doc_push(&records, &item);
	}
	cf_doc_put(&document, "records", &records);
	cf_doc_flag(&document, "verified", is_verified);
	cf_doc_put(&document, "errors", &job->findings);
	cf_doc_put(&document, "unrecorded", &job->unrecorded);
	return cf_doc_print(&document, stdout, err);
}

static void on_finding(void *user, const char *object, const char *problem)
{
	struct job *job = user;
	struct cf_doc item;

	job->n_findings++;
	if (job->cli->json) {
		item = cf_doc_object();
		cf_doc_text(&item, "object", object);
		cf_doc_text(&item, "problem", problem);
		cf_doc_push(&job->findings, &item);
		return;
	}
	cf_escape_print(stdout, object, CF_ESCAPE_NAME);
	fputs(": ", stdout);
	cf_escape_print(stdout, problem, CF_ESCAPE_MESSAGE);
	fputc('\n', stdout);
}

static void on_unrecorded(struct job *job, const struct cf_snapshot *snapshot)
{
	job->n_unrecorded++;
	if (job->cli->json)
		cf_doc_push_text(&job->unrecorded, cf_id_text(&snapshot->id).s);
	else
		printf("snapshot %.8s has no record: the command was interrupted right behind it, "
		       "could "
		       "not store one, or the record was cut off\n",
		       cf_id_text(&snapshot->id).s);
}

/* Snapshots of programs that keep a log, which no record names. */
static int find_unrecorded(struct job *job, struct cf_err *err)
{
	struct cf_id_set known = {0};
	struct cf_id id;
	int rc = 0;

	for (size_t i = 0; rc >= 0 && i < job->log.n; i++) {
		const struct cf_audit_record *record = &job->log.items[i];

		for (size_t j = 0; rc >= 0 && j < record->n_about; j++)
			if (is_key(&record->about[j], "snapshot") &&
			    cf_id_parse(record->about[j].value, &id) && !cf_id_is_zero(&id))
				rc = cf_id_set_add(&known, &id);
	}
	for (size_t i = 0; rc >= 0 && i < job->snapshots.n; i++)
		if (job->snapshots.items[i]->audit &&
		    !cf_id_set_has(&known, &job->snapshots.items[i]->id))
			on_unrecorded(job, job->snapshots.items[i]);
	cf_id_set_release(&known);
	return rc < 0 ? cf_err_nomem(err) : 0;
}

static int verify(struct job *job, struct cf_err *err)
{
	struct cf_audit_anchors anchors = {0};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < job->snapshots.n; i++)
		rc = cf_audit_anchors_add(&anchors, job->snapshots.items[i], err);
	if (rc == 0)
		rc = cf_audit_verify(job->repo, &job->log, &anchors, on_finding, job, err);
	if (rc == 0)
		rc = find_unrecorded(job, err);
	cf_audit_anchors_release(&anchors);
	return rc;
}

static void print_verdict(const struct job *job)
{
	printf("%s, ", cf_text_count(job->log.n, "record", "records").s);
	if (job->n_findings)
		printf("%s found\n", cf_text_count(job->n_findings, "problem", "problems").s);
	else
		puts("each is as it was stored, and none that another or a snapshot names is "
		     "missing");
}

/* Listed before the log: whatever a snapshot vouches for is in the log, then. */
static int load(struct job *job, bool with_snapshots, struct cf_err *err)
{
	int rc = with_snapshots ? cf_snapshots_load(job->repo, NULL, &job->snapshots, err) : 0;

	if (rc == 0 && with_snapshots)
		cf_snapshot_list_warn(job->repo, &job->snapshots);
	if (rc == 0)
		rc = cf_audit_load(job->repo, &job->log, err);
	for (size_t i = 0; rc == 0 && !with_snapshots && i < job->log.n_bad; i++)
		cf_ctx_warn(&job->cli->ctx, "audit.damaged", job->log.bad[i].name.s,
			    "%s, and is left out", job->log.bad[i].problem);
	return rc;
}

static int run(struct job *job, struct cf_err *err)
{
	bool is_verified = cf_args_has(job->cli->args, CF_OPT_VERIFY);
	int rc = load(job, is_verified, err);

	if (rc == 0)
		choose_records(job);
	if (rc == 0 && job->cli->json) {
		job->findings = cf_doc_array();
		job->unrecorded = cf_doc_array();
	}
	if (rc == 0 && is_verified)
		rc = verify(job, err);
	if (rc == 0 && job->cli->json)
		rc = print_json(job, is_verified, err);
	else if (rc == 0 && is_verified)
		print_verdict(job);
	else if (rc == 0 && job->first < job->log.n)
		rc = print_table(job, err);
	else if (rc == 0 && !job->cli->quiet)
		puts("no records");
	if (rc == 0 && job->n_findings)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "the audit log has %s",
				cf_text_count(job->n_findings, "problem", "problems").s);
	return rc;
}

int cf_cmd_audit(struct cf_cli *cli, struct cf_err *err)
{
	struct job job = {.cli = cli};
	int rc = read_since(&job, err);

	if (rc == 0)
		rc = cf_cli_open(cli, &job.repo, err);

	if (rc == 0)
		rc = run(&job, err);
	cf_doc_release(&job.findings);
	cf_doc_release(&job.unrecorded);
	cf_audit_log_release(&job.log);
	cf_snapshot_list_release(&job.snapshots);
	cf_repo_close(job.repo);
	return rc;
}
