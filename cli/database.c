#include "cli/database.h"

#include "base/err.h"
#include "cli/parse.h"

#include <stdlib.h>
#include <string.h>

int cf_database_select_load(const struct cf_args *args, struct cf_database_select *select,
			    struct cf_err *err)
{
	struct cf_selection *selection = &select->selection;
	const struct {
		enum cf_option_id id;
		const char *const **list;
		size_t *n;
	} options[] = {
		{CF_OPT_TABLE, &selection->tables, &selection->n_tables},
		{CF_OPT_SCHEMA, &selection->schemas, &selection->n_schemas},
		{CF_OPT_EXCLUDE_TABLE, &selection->exclude_tables, &selection->n_exclude_tables},
		{CF_OPT_EXCLUDE_TABLE_DATA, &selection->exclude_data, &selection->n_exclude_data},
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(options) / sizeof(options[0]); i++) {
		rc = cf_args_list(args, options[i].id, &select->lists[i], options[i].n, err);
		*options[i].list = select->lists[i];
	}
	return rc;
}

void cf_database_select_release(struct cf_database_select *select)
{
	for (size_t i = 0; i < sizeof(select->lists) / sizeof(select->lists[0]); i++)
		free(select->lists[i]);
	*select = (struct cf_database_select){0};
}

const struct cf_option_spec *cf_database_given(const struct cf_args *args,
					       const enum cf_option_id *ids)
{
	for (; *ids != CF_OPT_NONE; ids++)
		if (cf_args_has(args, *ids))
			return cf_spec_by_id(args->command, *ids);
	return NULL;
}

int cf_database_target(const char *option, const char *text, const struct cf_driver **driver_out,
		       const char **rest_out, struct cf_err *err)
{
	size_t len = strcspn(text, ":");
	char *scheme = strndup(text, len);
	int rc = 0;

	if (!scheme)
		return cf_err_nomem(err);
	*driver_out = text[len] ? cf_driver_named(scheme) : NULL;
	*rest_out = text[len] ? text + len + 1 : text;
	if (*driver_out && !(*driver_out)->is_server)
		rc = cf_err_set(err, CF_ERR_USAGE, "%s %s: %s: is no database server", option, text,
				scheme);
	else if (!*driver_out && strncmp(text + len, "://", 3) == 0 && !strchr(scheme, '/'))
		rc = cf_err_set(err, CF_ERR_USAGE,
				"%s %s: this build knows no servers of %s:", option, text, scheme);
	free(scheme);
	return rc;
}
