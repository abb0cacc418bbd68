#include "drivers/selector.h"

#include "base/err.h"
#include "drivers/driver.h"
#include "drivers/pattern.h"

#include <stdatomic.h>
#include <stdlib.h>

/* The patterns of one option. */
struct list {
	const char *option;
	const char *const *texts;
	struct cf_pattern **patterns;
	atomic_bool *matched;
	size_t n;
};

struct cf_selector {
	struct list tables, schemas, exclude_tables, exclude_data;
};

static int fill_list(struct list *list, unsigned flags, size_t n, struct cf_err *err)
{
	int rc = 0;

	list->patterns = calloc(n + 1, sizeof(*list->patterns));
	list->matched = calloc(n + 1, sizeof(*list->matched));
	if (!list->patterns || !list->matched)
		return cf_err_nomem(err);
	for (; rc == 0 && list->n < n; list->n += rc == 0)
		rc = cf_pattern_new(list->texts[list->n], flags, &list->patterns[list->n], err);
	if (rc < 0)
		cf_err_wrap(err, "%s", list->option);
	return rc;
}

static void release_list(struct list *list)
{
	for (size_t i = 0; i < list->n; i++)
		cf_pattern_free(list->patterns[i]);
	free(list->patterns);
	free(list->matched);
}

/* All are asked, so that each learns whether it matches anything. */
static bool list_matches(struct list *list, const char *database, const char *schema,
			 const char *table)
{
	bool any = false;

	for (size_t i = 0; i < list->n; i++) {
		if (!cf_pattern_matches(list->patterns[i], database, schema, table))
			continue;
		atomic_store(&list->matched[i], true);
		any = true;
	}
	return any;
}

int cf_selector_new(const struct cf_selection *selection, unsigned flags,
		    struct cf_selector **selector_out, struct cf_err *err)
{
	struct cf_selector *selector = calloc(1, sizeof(*selector));
	unsigned of_schema = flags | CF_PATTERN_SCHEMA;
	int rc;

	if (!selector)
		return cf_err_nomem(err);
	selector->tables = (struct list){.option = "--table", .texts = selection->tables};
	selector->schemas = (struct list){.option = "--schema", .texts = selection->schemas};
	selector->exclude_tables =
		(struct list){.option = "--exclude-table", .texts = selection->exclude_tables};
	selector->exclude_data =
		(struct list){.option = "--exclude-table-data", .texts = selection->exclude_data};
	rc = fill_list(&selector->tables, flags, selection->n_tables, err);
	if (rc == 0)
		rc = fill_list(&selector->schemas, of_schema, selection->n_schemas, err);
	if (rc == 0)
		rc = fill_list(&selector->exclude_tables, flags, selection->n_exclude_tables, err);
	if (rc == 0)
		rc = fill_list(&selector->exclude_data, flags, selection->n_exclude_data, err);
	if (rc < 0) {
		cf_selector_free(selector);
		return rc;
	}
	*selector_out = selector;
	return 0;
}

void cf_selector_free(struct cf_selector *selector)
{
	if (!selector)
		return;
	release_list(&selector->tables);
	release_list(&selector->schemas);
	release_list(&selector->exclude_tables);
	release_list(&selector->exclude_data);
	free(selector);
}

bool cf_selector_takes_all(const struct cf_selector *selector)
{
	return selector->tables.n == 0 && selector->schemas.n == 0;
}

bool cf_selector_takes_schema(struct cf_selector *selector, const char *database,
			      const char *schema)
{
	return cf_selector_takes_all(selector) ||
	       list_matches(&selector->schemas, database, schema, NULL);
}

bool cf_selector_excludes(struct cf_selector *selector, const char *database, const char *schema,
			  const char *table)
{
	return list_matches(&selector->exclude_tables, database, schema, table);
}

bool cf_selector_takes(struct cf_selector *selector, const char *database, const char *schema,
		       const char *table)
{
	bool of_schema = cf_selector_takes_schema(selector, database, schema);
	bool of_table = list_matches(&selector->tables, database, schema, table);

	return (of_schema || of_table) && !cf_selector_excludes(selector, database, schema, table);
}

bool cf_selector_takes_data(struct cf_selector *selector, const char *database, const char *schema,
			    const char *table)
{
	return !list_matches(&selector->exclude_data, database, schema, table);
}

static int check_list(const struct list *list, struct cf_err *err)
{
	for (size_t i = 0; i < list->n; i++)
		if (!atomic_load(&list->matched[i]))
			return cf_err_set(err, CF_ERR_NOT_FOUND, "%s '%s' matches nothing",
					  list->option, list->texts[i]);
	return 0;
}

int cf_selector_check(const struct cf_selector *selector, struct cf_err *err)
{
	int rc = check_list(&selector->tables, err);

	return rc < 0 ? rc : check_list(&selector->schemas, err);
}
