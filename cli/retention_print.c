/* What a plan of retention keeps and forgets, as tables and as JSON. */

#include "base/err.h"
#include "cli/doc.h"
#include "cli/escape.h"
#include "cli/output.h"
#include "cli/retention.h"
#include "cli/select.h"
#include "cli/snapshot_json.h"

#include <string.h>

static bool is_shown(const struct cf_retained *item)
{
	return item->reasons != 1u << CF_KEEP_UNNAMED;
}

static int append_kept_tags(struct cf_buf *out, const struct cf_snapshot *snapshot,
			    const struct cf_retain_rules *rules, struct cf_err *err)
{
	const char *before = "tag ";
	int rc = 0;

	for (size_t i = 0; i < snapshot->n_tags; i++)
		for (size_t j = 0; rc == 0 && j < rules->n_tags; j++)
			if (strcmp(snapshot->tags[i], rules->tags[j]) == 0) {
				rc = cf_buf_printf(out, err, "%s%s", before, rules->tags[j]);
				before = "+";
			}
	return rc;
}

static int append_reason(struct cf_buf *out, const struct cf_retained *item, enum cf_keep keep,
			 const struct cf_retain_rules *rules, struct cf_err *err)
{
	int rc = out->len ? cf_buf_append_str(out, ", ", err) : 0;

	if (rc < 0)
		return rc;
	if (keep == CF_KEEP_WITHIN)
		return cf_buf_printf(out, err, "within %s", cf_duration_text(&rules->within).s);
	if (keep == CF_KEEP_TAG)
		return append_kept_tags(out, item->snapshot, rules, err);
	if (keep == CF_KEEP_FUTURE)
		return cf_buf_append_str(out, "dated in the future", err);
	if (keep == CF_KEEP_PRETENDER)
		return cf_buf_append_str(out, "says falsely what it replaces", err);
	if (keep < CF_N_KEEP_PERIODS && rules->periods[keep].count == 0)
		return cf_buf_printf(out, err, "%s within %s", cf_keep_name(keep),
				     cf_duration_text(&rules->periods[keep].within).s);
	return cf_buf_printf(out, err, "%s%s", item->oldest & (1u << keep) ? "oldest " : "",
			     cf_keep_name(keep));
}

/* "daily, oldest monthly, tag keep", ended by a NUL. */
static int reasons_text(const struct cf_retained *item, const struct cf_retain_rules *rules,
			struct cf_buf *out, struct cf_err *err)
{
	int rc = 0;

	for (unsigned keep = 0; rc == 0 && keep < CF_N_KEEPS; keep++)
		if (keep != CF_KEEP_UNNAMED && (item->reasons & (1u << keep)))
			rc = append_reason(out, item, (enum cf_keep)keep, rules, err);
	return rc == 0 ? cf_buf_append(out, "", 1, err) : rc;
}

static int tags_text(const struct cf_snapshot *snapshot, struct cf_buf *out, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < snapshot->n_tags; i++)
		rc = cf_buf_printf(out, err, "%s%s", i ? "," : "", snapshot->tags[i]);
	return rc == 0 ? cf_buf_append(out, "", 1, err) : rc;
}

static int add_row(struct cf_table *table, const struct cf_retained *item,
		   const struct cf_retain_rules *rules, struct cf_err *err)
{
	struct cf_buf tags = CF_BUF_INIT, reasons = CF_BUF_INIT;
	int rc = tags_text(item->snapshot, &tags, err);

	if (rc == 0)
		rc = reasons_text(item, rules, &reasons, err);
	if (rc == 0) {
		const char *const cells[] = {cf_short_id(&item->snapshot->id).s,
					     cf_text_time(item->snapshot->time_ns).s,
					     cf_text_size(item->snapshot->figures.bytes_total).s,
					     (const char *)tags.data,
					     item->reasons ? "keep" : "forget",
					     (const char *)reasons.data};

		for (size_t i = 0; rc == 0 && i < sizeof(cells) / sizeof(*cells); i++)
			rc = cf_table_add(table, cells[i], err);
	}
	cf_buf_release(&tags);
	cf_buf_release(&reasons);
	return rc;
}

static int print_group(const struct cf_retain_group *group, const struct cf_retention *retention,
		       struct cf_err *err)
{
	static const char *const heading[] = {"ID", "TIME", "SIZE", "TAGS", "ACTION", "KEPT BY"};
	struct cf_buf name = CF_BUF_INIT;
	struct cf_table table;
	int rc = cf_retention_group_text(group, retention->group_by, &name, err);

	cf_table_init(&table, "llrlll");
	for (size_t i = 0; rc == 0 && i < sizeof(heading) / sizeof(*heading); i++)
		rc = cf_table_add(&table, heading[i], err);
	for (size_t i = 0; rc == 0 && i < group->n; i++)
		if (is_shown(&group->items[i]))
			rc = add_row(&table, &group->items[i], &retention->rules, err);
	if (rc == 0) {
		cf_escape_print(stdout, (const char *)name.data, CF_ESCAPE_NAME);
		printf(": %zu of %zu kept\n", group->n_kept, group->n);
		cf_table_print(&table, stdout);
		putchar('\n');
	}
	cf_table_release(&table);
	cf_buf_release(&name);
	return rc;
}

int cf_retention_print(const struct cf_retain_plan *plan, const struct cf_retention *retention,
		       struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < plan->n_groups; i++)
		if (!retention->rules.n_named || plan->groups[i].n_kept < plan->groups[i].n)
			rc = print_group(&plan->groups[i], retention, err);
	return rc;
}

static struct cf_doc reasons_json(const struct cf_retained *item)
{
	struct cf_doc list = cf_doc_array();

	for (unsigned keep = 0; keep < CF_N_KEEPS; keep++) {
		char name[32];

		if (!(item->reasons & (1u << keep)))
			continue;
		snprintf(name, sizeof(name), "%s%s", item->oldest & (1u << keep) ? "oldest-" : "",
			 cf_keep_name((enum cf_keep)keep));
		cf_doc_push_text(&list, name);
	}
	return list;
}

static struct cf_doc item_json(const struct cf_retained *item)
{
	struct cf_doc object = cf_doc_object(), tags = cf_doc_array(), reasons = reasons_json(item);

	for (size_t i = 0; i < item->snapshot->n_tags; i++)
		cf_doc_push_text(&tags, item->snapshot->tags[i]);
	cf_snapshot_json_id(&object, "id", &item->snapshot->id);
	cf_doc_text(&object, "time", cf_text_rfc3339(item->snapshot->time_ns).s);
	cf_doc_text(&object, "host", item->snapshot->host);
	cf_doc_text(&object, "source", item->snapshot->source);
	cf_doc_put(&object, "tags", &tags);
	cf_doc_flag(&object, "keep", item->reasons != 0);
	cf_doc_put(&object, "reasons", &reasons);
	return object;
}

static struct cf_doc group_json(const struct cf_retain_group *group, unsigned group_by)
{
	struct cf_doc object = cf_doc_object(), list = cf_doc_array(), tags = cf_doc_array();
	const struct cf_snapshot *first = group->items[0].snapshot;

	cf_doc_text(&object, "host", group_by & CF_GROUP_HOST ? first->host : NULL);
	cf_doc_text(&object, "source", group_by & CF_GROUP_SOURCE ? first->source : NULL);
	for (size_t i = 0; (group_by & CF_GROUP_TAGS) && i < first->n_tags; i++)
		cf_doc_push_text(&tags, first->tags[i]);
	cf_doc_put(&object, "tags", &tags);
	cf_doc_count(&object, "n_kept", group->n_kept);
	cf_doc_count(&object, "n_forgotten", group->n - group->n_kept);
	for (size_t i = 0; i < group->n; i++) {
		struct cf_doc item = item_json(&group->items[i]);

		cf_doc_push(&list, &item);
	}
	cf_doc_put(&object, "snapshots", &list);
	return object;
}

struct cf_doc cf_retention_json(const struct cf_retain_plan *plan,
				const struct cf_retention *retention)
{
	struct cf_doc list = cf_doc_array();

	for (size_t i = 0; i < plan->n_groups; i++) {
		struct cf_doc group = group_json(&plan->groups[i], retention->group_by);

		cf_doc_push(&list, &group);
	}
	return list;
}
