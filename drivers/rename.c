#include "drivers/rename.h"

#include "base/buf.h"
#include "base/err.h"
#include "drivers/name_reader.h"
#include "drivers/pattern.h"

#include <stdlib.h>
#include <string.h>

/* One value of --rename, half read. */
struct reading {
	const char *text;
	struct cf_name_reader reader;
	struct cf_buf name;
	char *names[4]; /* of the old side, then of the new one */
	size_t n_old, n;
	bool has_new; /* the '=' was met */
	struct cf_err *err;
};

static int refuse(struct reading *r, const char *why)
{
	return cf_err_set(r->err, CF_ERR_USAGE, "--rename '%s': %s", r->text, why);
}

static int end_name(struct reading *r)
{
	size_t n_side = r->has_new ? r->n - r->n_old : r->n;

	if (r->name.len == 0)
		return refuse(r, "a name is missing");
	if (n_side == 2)
		return refuse(r, "a name has two parts at most, as in shop.orders");
	r->names[r->n] = strndup((const char *)r->name.data, r->name.len);
	if (!r->names[r->n])
		return cf_err_nomem(r->err);
	r->n++;
	cf_buf_clear(&r->name);
	return 0;
}

static int read_character(struct reading *r, char c, bool quoted)
{
	int rc = 0;

	if (quoted || (c != '.' && c != '='))
		return cf_buf_append(&r->name, &c, 1, r->err);
	rc = end_name(r);
	if (rc < 0 || c == '.')
		return rc;
	if (r->has_new)
		return refuse(r, "it has more than one =; quote what belongs to a name");
	r->has_new = true;
	r->n_old = r->n;
	return 0;
}

static int read_names(struct reading *r)
{
	bool quoted;
	char c;
	int rc = 0;

	while (rc == 0 && cf_name_reader_next(&r->reader, &c, &quoted))
		rc = read_character(r, c, quoted);
	if (rc == 0 && r->reader.quote)
		rc = refuse(r, "the quote is not closed");
	if (rc == 0 && !r->has_new)
		rc = refuse(r, "write it as OLD=NEW");
	if (rc == 0)
		rc = end_name(r);
	if (rc == 0 && r->n != 2 * r->n_old)
		rc = refuse(r, "both sides have to be tables (shop.orders=shop.old) or schemas "
			       "(shop=old)");
	return rc;
}

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static int add_rename(struct cf_renames *renames, struct reading *r)
{
	bool of_table = r->n_old == 2;
	struct cf_rename *item = &renames->items[renames->n];

	*item = (struct cf_rename){.old_schema = r->names[0],
				   .old_table = of_table ? r->names[1] : NULL,
				   .new_schema = r->names[r->n_old],
				   .new_table = of_table ? r->names[3] : NULL};
	memset(r->names, 0, sizeof(r->names));
	renames->n++;
	for (size_t i = 0; i + 1 < renames->n; i++)
		if (same(renames->items[i].old_schema, item->old_schema) &&
		    same(renames->items[i].old_table, item->old_table))
			return refuse(r, "it is renamed twice");
	return 0;
}

int cf_renames_parse(const char *const *texts, size_t n, unsigned flags, struct cf_renames *renames,
		     struct cf_err *err)
{
	int rc = 0;

	*renames = (struct cf_renames){.items = calloc(n + 1, sizeof(*renames->items))};
	if (!renames->items)
		return cf_err_nomem(err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct reading r = {.text = texts[i],
				    .reader = {.at = texts[i], .flags = flags},
				    .name = CF_BUF_INIT,
				    .err = err};

		rc = read_names(&r);
		if (rc == 0)
			rc = add_rename(renames, &r);
		for (size_t k = 0; k < sizeof(r.names) / sizeof(r.names[0]); k++)
			free(r.names[k]);
		cf_buf_release(&r.name);
	}
	return rc;
}

void cf_renames_release(struct cf_renames *renames)
{
	for (size_t i = 0; i < renames->n; i++) {
		free(renames->items[i].old_schema);
		free(renames->items[i].new_schema);
		free(renames->items[i].old_table);
		free(renames->items[i].new_table);
	}
	free(renames->items);
	*renames = (struct cf_renames){0};
}

static struct cf_rename *find(struct cf_renames *renames, const char *schema, const char *table)
{
	for (size_t i = 0; i < renames->n; i++)
		if (same(renames->items[i].old_schema, schema) &&
		    same(renames->items[i].old_table, table))
			return &renames->items[i];
	return NULL;
}

void cf_renames_apply(struct cf_renames *renames, const char *schema, const char *table,
		      const char **schema_out, const char **table_out)
{
	struct cf_rename *rename = table ? find(renames, schema, table) : NULL;

	*schema_out = schema;
	if (table)
		*table_out = rename ? rename->new_table : table;
	if (!rename)
		rename = find(renames, schema, NULL);
	if (!rename)
		return;
	*schema_out = rename->new_schema;
	rename->matched = true;
}

static const char *dot(const char *table)
{
	return table ? "." : "";
}

int cf_renames_check(const struct cf_renames *renames, struct cf_err *err)
{
	for (size_t i = 0; i < renames->n; i++) {
		const struct cf_rename *item = &renames->items[i];
		const char *table = item->old_table;

		if (!item->matched)
			return cf_err_set(err, CF_ERR_NOT_FOUND,
					  "--rename: there is no %s%s%s in the snapshot",
					  item->old_schema, dot(table), table ? table : "");
	}
	return 0;
}
