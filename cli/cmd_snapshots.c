/* coffer snapshots */

#include "base/err.h"
#include "cli/cli.h"
#include "cli/escape.h"
#include "cli/output.h"
#include "cli/select.h"
#include "cli/snapshot_json.h"

#include <string.h>

static int print_json(struct cf_cli *cli, const struct cf_snapshot_list *list, struct cf_err *err)
{
	struct cf_doc_stream stream = cf_doc_stream_begin(stdout, "[");
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < list->n; i++) {
		struct cf_doc item = cf_snapshot_json(list->items[i]);

		rc = cf_doc_stream_item(&stream, &item, err);
		if (rc == 0)
			rc = cf_cli_check(cli, err);
	}
	fputs("]\n", stdout);
	return rc;
}

static int add_tags(struct cf_table *table, const struct cf_snapshot *snapshot, struct cf_err *err)
{
	struct cf_buf text = CF_BUF_INIT;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < snapshot->n_tags; i++)
		rc = cf_buf_printf(&text, err, "%s%s", i ? "," : "", snapshot->tags[i]);
	if (rc == 0)
		rc = cf_buf_append(&text, "", 1, err);
	if (rc == 0)
		rc = cf_table_add(table, (const char *)text.data, err);
	cf_buf_release(&text);
	return rc;
}

static int add_row(struct cf_table *table, const struct cf_snapshot *snapshot, bool with_hold,
		   struct cf_err *err)
{
	int rc = cf_table_add(table, cf_short_id(&snapshot->id).s, err);

	if (rc == 0)
		rc = cf_table_add(table, cf_text_time(snapshot->time_ns).s, err);
	if (rc == 0)
		rc = cf_table_add(table, cf_text_size(snapshot->figures.bytes_total).s, err);
	if (rc == 0)
		rc = cf_table_add(table, cf_text_size(snapshot->figures.bytes_stored).s, err);
	if (rc == 0)
		rc = cf_table_add(table, snapshot->host, err);
	if (rc == 0)
		rc = cf_table_add(table, snapshot->source, err);
	if (rc == 0)
		rc = add_tags(table, snapshot, err);
	if (rc == 0 && with_hold)
		rc = cf_table_add(table,
				  !snapshot->hold	    ? ""
				  : snapshot->hold->reason[0] ? snapshot->hold->reason
							    : "held",
				  err);
	return rc;
}

static bool has_hold(const struct cf_snapshot_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i]->hold)
			return true;
	return false;
}

static int print_table(const struct cf_snapshot_list *list, struct cf_err *err)
{
	static const char *const heading[] = {"ID",   "TIME",	"SIZE", "STORED",
					      "HOST", "SOURCE", "TAGS", "HOLD"};
	bool with_hold = has_hold(list);
	struct cf_table table;
	int rc = 0;

	cf_table_init(&table, with_hold ? "llrrllll" : "llrrlll");
	for (size_t i = 0; rc == 0 && i < table.n_columns; i++)
		rc = cf_table_add(&table, heading[i], err);
	for (size_t i = 0; rc == 0 && i < list->n; i++)
		rc = add_row(&table, list->items[i], with_hold, err);
	if (rc == 0)
		cf_table_print(&table, stdout);
	cf_table_release(&table);
	return rc;
}

int cf_cmd_snapshots(struct cf_cli *cli, struct cf_err *err)
{
	struct cf_select select = {0};
	struct cf_snapshot_list list = {0};
	int rc = cf_select_open(&select, cli, err);

	if (rc == 0)
		rc = cf_snapshots_load(select.repo, &select.filter, &list, err);
	if (rc == 0)
		cf_snapshot_list_warn(select.repo, &list);
	if (rc == 0 && cli->json)
		rc = print_json(cli, &list, err);
	else if (rc == 0 && list.n > 0)
		rc = print_table(&list, err);
	else if (rc == 0 && !cli->quiet) {
		cf_escape_print(stdout, select.hint ? select.hint : "no snapshots", CF_ESCAPE_MESSAGE);
		putchar('\n');
	}
	cf_snapshot_list_release(&list);
	cf_select_close(&select);
	return rc;
}
