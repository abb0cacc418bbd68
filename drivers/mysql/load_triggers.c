/*
 * Rows alone go into tables whose triggers would act on each of them again, and no session can turn
 * them off. So they are dropped before and made again after, as the server itself shows them,
 * whatever becomes of the rows. That we may make them is tried before anything is dropped.
 */

#include "base/err.h"
#include "drivers/mysql/catalog.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/load.h"
#include "drivers/mysql/manifest_json.h"
#include "drivers/mysql/rights.h"
#include "drivers/mysql/sql.h"

#include <stdlib.h>
#include <string.h>

/* As the server spells it: information_schema compares without case. */
static int add_table(struct cf_mysql_load *load, const struct cf_mysql_load_table *table,
		     struct cf_mysql_manifest *manifest, struct cf_err *err)
{
	bool any_case = load->pattern_flags & CF_PATTERN_ANY_CASE;
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_table *added;
	struct cf_mysql_row row;
	int rc = cf_mysql_ask(load->my, &result, err,
			      "SELECT DISTINCT EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS "
			      "WHERE TRIGGER_SCHEMA = %t AND EVENT_OBJECT_TABLE = %t",
			      manifest->database, table->name);

	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0) {
		rc = 0;
		if (!any_case && strcmp(row.values[0], table->name) != 0)
			continue;
		rc = cf_mysql_manifest_add_table(manifest, &added, err);
		if (rc == 0)
			rc = cf_mysql_copy(row.values[0], &added->name, err);
	}
	cf_mysql_result_free(result);
	return rc;
}

static int check_rights(struct cf_mysql_load *load, const char *database, struct cf_err *err)
{
	struct cf_mysql_rights rights;
	int rc = cf_mysql_rights_on(load->my, database, &rights, err);

	if (rc == 0 && !rights.sees_triggers)
		rc = cf_err_set(err, CF_ERR_ACCESS,
				"%s: triggers of database %s, which would act on every row, cannot "
				"be seen by this user: grant TRIGGER",
				cf_mysql_server_name(load->my), database);
	return rc;
}

static int find_of_target(struct cf_mysql_load *load, size_t target, struct cf_err *err)
{
	struct cf_mysql_manifest *manifest =
		cf_mysql_grow(&load->triggers, &load->n_triggers, sizeof(*manifest));
	int rc = manifest ? cf_mysql_copy(load->targets[target].name, &manifest->database, err)
			  : cf_err_nomem(err);

	if (rc == 0)
		rc = check_rights(load, manifest->database, err);
	for (size_t i = 0; rc == 0 && i < load->n_tables; i++)
		if (load->tables[i].path && load->tables[i].target == target)
			rc = add_table(load, &load->tables[i], manifest, err);
	return rc == 0 ? cf_mysql_catalog_read_triggers(load->my, manifest, err) : rc;
}

int cf_mysql_load_find_triggers(struct cf_mysql_load *load, struct cf_err *err)
{
	int rc = cf_mysql_run(load->my, "SET NAMES utf8mb4", err);

	for (size_t i = 0; rc == 0 && i < load->n_targets; i++) {
		rc = cf_mysql_load_use(load, load->my, i, err);
		if (rc == 0)
			rc = find_of_target(load, i, err);
	}
	return rc;
}

/* is_trial: in place of the same trigger. */
static int make(struct cf_mysql_load *load, size_t target, const struct cf_mysql_object *trigger,
		bool is_trial, char *label, struct cf_err *err)
{
	struct cf_mysql_load_object object = {.from = trigger, .target = target, .label = label};
	int rc = is_trial ? cf_mysql_load_compose_trigger(trigger, "CREATE OR REPLACE",
							  &object.create, err)
			  : cf_buf_append_str(&object.create, trigger->create, err);

	if (rc == 0)
		rc = cf_mysql_load_create(load, &object, err);
	cf_buf_release(&object.create);
	return rc;
}

typedef int trigger_fn(struct cf_mysql_load *load, size_t target,
		       const struct cf_mysql_object *trigger, char *label, struct cf_err *err);

static int each_trigger(struct cf_mysql_load *load, trigger_fn *act, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; i < load->n_triggers; i++) {
		const struct cf_mysql_manifest *manifest = &load->triggers[i];

		for (size_t j = 0; rc == 0 && j < manifest->n_objects; j++) {
			char *label = cf_mysql_load_label("trigger", manifest->database,
							  manifest->objects[j].name);

			rc = label ? act(load, i, &manifest->objects[j], label, err)
				   : cf_err_nomem(err);
			free(label);
		}
	}
	return rc;
}

/* In their order each goes behind the others, so that the order stays. */
static int try_out(struct cf_mysql_load *load, size_t target, const struct cf_mysql_object *trigger,
		   char *label, struct cf_err *err)
{
	return make(load, target, trigger, true, label, err);
}

static int drop(struct cf_mysql_load *load, size_t target, const struct cf_mysql_object *trigger,
		char *label, struct cf_err *err)
{
	int rc;

	if (!cf_mysql_load_step(load, "drop", label, 0))
		return 0;
	rc = cf_mysql_do(load->my, err, "DROP TRIGGER %n.%n", load->targets[target].name,
			 trigger->name);
	if (rc < 0)
		cf_err_wrap(err, "%s", label);
	return rc;
}

int cf_mysql_load_drop_triggers(struct cf_mysql_load *load, struct cf_err *err)
{
	bool can_try = cf_mysql_is_mariadb(load->my) && !load->options->dry_run;
	int rc = can_try ? each_trigger(load, try_out, err) : 0;

	if (rc == 0 && load->n_triggers > 0)
		load->has_dropped_triggers = !load->options->dry_run;
	return rc == 0 ? each_trigger(load, drop, err) : rc;
}

static int make_again(struct cf_mysql_load *load, size_t target,
		      const struct cf_mysql_object *trigger, char *label, struct cf_err *err)
{
	struct cf_err failure = CF_ERR_INIT;

	if (!cf_mysql_load_step(load, "create", label, 0) ||
	    make(load, target, trigger, false, label, &failure) == 0)
		return 0;
	cf_ctx_warn(load->ctx, "trigger.dropped", label, "%s was dropped: %s", label, failure.text);
	return cf_err_set(err, failure.code, "triggers were dropped and not made again");
}

/* In a session of its own: the other one may be lost, or wait no more because the user wants to
 * stop. */
int cf_mysql_load_make_triggers(struct cf_mysql_load *load, struct cf_err *err)
{
	struct cf_ctx ctx = *load->ctx;
	struct cf_mysql_load again = *load;
	int rc;

	if (!load->has_dropped_triggers)
		return load->options->dry_run ? each_trigger(load, make_again, err) : 0;
	ctx.cancel = NULL;
	again.ctx = &ctx;
	again.my = NULL;
	rc = cf_mysql_load_connect(&again, &ctx, &again.my, err);
	if (rc == 0)
		rc = each_trigger(&again, make_again, err);
	else
		cf_err_wrap(err, "triggers were dropped and not made again");
	cf_mysql_close(again.my);
	return rc;
}
