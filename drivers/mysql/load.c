/*
 * A snapshot goes into a server: look, refuse or plan, drop, then databases, sequences, tables,
 * rows with their keys, foreign keys, routines, triggers, views, and events, which may run at once,
 * last. Accounts are left alone but with --users.
 */

#include "drivers/mysql/load.h"

#include "base/err.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/mysql_load.h"
#include "drivers/mysql/sql.h"
#include "drivers/pattern.h"
#include "drivers/selector.h"

#include <stdlib.h>
#include <string.h>

/* Tables and rows mean the same whatever the server's own settings are. What holds for rows was so
 * at the source: it is not checked again, and dates that are none stay. */
static const char table_session[] =
	"SET SESSION sql_mode='NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION,ALLOW_INVALID_DATES',"
	" time_zone='+00:00', foreign_key_checks=0, unique_checks=1";

/* Of some servers only, or with some rights only. */
static const char *const optional_settings[] = {
	"SET SESSION innodb_strict_mode=OFF",
	"SET SESSION check_constraint_checks=0",
	"SET SESSION innodb_compression_default=OFF",
	"SET SESSION binlog_format=ROW",
	"SET SESSION system_versioning_insert_history=1",
	"SET SESSION sql_generate_invisible_primary_key=0",
	"SET SESSION sql_require_primary_key=0",
	"SET SESSION explicit_defaults_for_timestamp=1",
};

static int set_table_session(const struct cf_mysql_load *load, struct cf_mysql *my,
			     struct cf_err *err)
{
	int rc = cf_mysql_run(my, table_session, err);

	if (rc == 0 && load->has_unknown_options)
		rc = cf_mysql_run(
			my, "SET SESSION sql_mode=CONCAT(@@sql_mode,',IGNORE_BAD_TABLE_OPTIONS')",
			err);
	return rc;
}

int cf_mysql_load_connect(const struct cf_mysql_load *load, const struct cf_ctx *ctx,
			  struct cf_mysql **my_out, struct cf_err *err)
{
	const struct cf_mysql_connect_options options = {.program = "coffer restore",
							 .load_local = true};
	int rc = cf_mysql_connect(&load->url, &options, ctx, my_out, err);

	if (rc == 0)
		rc = set_table_session(load, *my_out, err);
	for (size_t i = 0; rc == 0 && i < sizeof(optional_settings) / sizeof(optional_settings[0]);
	     i++)
		cf_mysql_run(*my_out, optional_settings[i], NULL);
	if (rc == 0 && load->trigger_key[0])
		rc = cf_mysql_do(*my_out, err, "SET @coffer_restore = %t", load->trigger_key);
	return rc;
}

int cf_mysql_load_use(const struct cf_mysql_load *load, struct cf_mysql *my, size_t target,
		      struct cf_err *err)
{
	struct cf_buf sql = CF_BUF_INIT;
	int rc = cf_buf_append_str(&sql, "USE ", err);

	if (rc == 0)
		rc = cf_mysql_quote_name(load->targets[target].name, &sql, err);
	if (rc == 0)
		rc = cf_mysql_run_span(my, cf_buf_span(&sql), err);
	cf_buf_release(&sql);
	return rc;
}

bool cf_mysql_load_step(const struct cf_mysql_load *load, const char *action, const char *object,
			uint64_t bytes)
{
	const struct cf_plan_step step = {.action = action, .object = object, .bytes = bytes};

	if (load->options->plan)
		load->options->plan(load->options->plan_user, &step);
	return !load->options->dry_run;
}

static int learn_server(struct cf_mysql_load *load, struct cf_err *err)
{
	char *lower = NULL, *mode = NULL, *explicit = NULL, *packet = NULL;
	int rc = cf_mysql_value(load->my, "SELECT @@lower_case_table_names", &lower, err);

	if (rc == 0)
		rc = cf_mysql_value(load->my, "SELECT @@innodb_autoinc_lock_mode", &mode, err);
	if (rc == 0)
		rc = cf_mysql_value(load->my, "SELECT @@max_allowed_packet", &packet, err);
	/* Old servers do not know it, and old ones of MariaDB let no session set it. */
	if (rc == 0 && cf_mysql_value(load->my, "SELECT @@explicit_defaults_for_timestamp",
				      &explicit, NULL) < 0)
		rc = cf_ctx_check(load->ctx, err);
	if (rc == 0) {
		load->packet_max = packet ? strtoull(packet, NULL, 10) : UINT64_MAX;
		load->adds_defaults = !explicit || strcmp(explicit, "1") != 0;
		load->pattern_flags = CF_PATTERN_MYSQL;
		load->folds = lower && strcmp(lower, "0") != 0;
		if (load->folds)
			load->pattern_flags |= CF_PATTERN_ANY_CASE;
		load->increments_lock = !mode || strcmp(mode, "2") != 0;
	}
	free(lower);
	free(mode);
	free(explicit);
	free(packet);
	return rc;
}

static int run_in_target(struct cf_mysql_load *load, const struct cf_mysql_load_table *table,
			 const struct cf_buf *sql, struct cf_err *err)
{
	int rc = cf_ctx_check(load->ctx, err);

	if (rc == 0)
		rc = cf_mysql_load_use(load, load->my, table->target, err);
	if (rc == 0)
		rc = cf_mysql_run_span(load->my, cf_buf_span(sql), err);
	if (rc < 0)
		cf_err_wrap(err, "%s", table->label);
	return rc;
}

static int create_tables(struct cf_mysql_load *load, struct cf_err *err)
{
	int rc = load->options->dry_run ? 0 : cf_mysql_run(load->my, "SET NAMES utf8mb4", err);

	if (rc == 0 && !load->options->dry_run)
		rc = set_table_session(load, load->my, err);
	for (size_t i = 0; rc == 0 && i < load->n_tables; i++) {
		struct cf_mysql_load_table *table = &load->tables[i];

		if (table->create.len > 0 && !table->is_left_out &&
		    cf_mysql_load_step(load, "create", table->label, 0)) {
			rc = run_in_target(load, table, &table->create, err);
			table->is_left_out = rc < 0;
			rc = cf_mysql_load_forgive(load, load->my, table->label, rc, err);
		}
	}
	return rc;
}

static void count_table(struct cf_mysql_load *load, const struct cf_mysql_load_table *table)
{
	if (table->is_left_out)
		return;
	load->figures.tables++;
	load->figures.rows += table->path ? table->from->rows : 0;
	load->figures.bytes += table->path ? table->from->data_len : 0;
}

static int load_tables(struct cf_mysql_load *load, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; i < load->n_tables; i++) {
		const struct cf_mysql_load_table *table = &load->tables[i];

		if (table->is_left_out)
			continue;
		if (table->path)
			cf_mysql_load_step(load, "load", table->label, table->from->data_len);
		if (table->keys.len > 0)
			cf_mysql_load_step(load, "index", table->label, 0);
	}
	if (!load->options->dry_run)
		rc = cf_mysql_load_run(load, err);
	for (size_t i = 0; i < load->n_tables; i++)
		count_table(load, &load->tables[i]);
	return rc;
}

static int add_foreign_keys(struct cf_mysql_load *load, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < load->n_tables; i++) {
		const struct cf_mysql_load_table *table = &load->tables[i];

		if (table->foreign.len > 0 && !table->is_left_out &&
		    cf_mysql_load_step(load, "constrain", table->label, 0)) {
			rc = run_in_target(load, table, &table->foreign, err);
			rc = cf_mysql_load_forgive(load, load->my, table->label, rc, err);
		}
	}
	return rc;
}

/* Accounts, and a word on those that stay away. A plan cannot tell which of them would. */
static int load_accounts(struct cf_mysql_load *load, struct cf_err *err)
{
	int rc = load->n_users > 0 ? cf_mysql_load_users(load, err) : 0;

	if (rc == 0 && !(load->options->dry_run && load->options->users))
		rc = cf_mysql_load_check_definers(load, err);
	return rc;
}

static int load_last_grants(struct cf_mysql_load *load, struct cf_err *err)
{
	size_t n_done;
	int rc;

	if (load->options->dry_run)
		return 0;
	rc = cf_mysql_load_grant(load, true, &n_done, err);
	return rc == 0 ? cf_mysql_load_give_back_roles(load, err) : rc;
}

static int run_load(struct cf_mysql_load *load, struct cf_err *err)
{
	int rc = cf_mysql_load_clear(load, err), trigger_rc;

	if (rc == 0 && load->options->data_only)
		rc = cf_mysql_load_guard_triggers(load, err);
	if (rc == 0 && !load->options->dry_run)
		load->has_begun = true;
	if (rc == 0)
		rc = load_accounts(load, err);
	if (rc == 0)
		rc = cf_mysql_load_sequences(load, err);
	if (rc == 0)
		rc = create_tables(load, err);
	if (rc == 0)
		rc = load_tables(load, err);
	if (rc == 0)
		rc = add_foreign_keys(load, err);
	if (rc == 0)
		rc = cf_mysql_load_objects(load, err);
	if (rc == 0)
		rc = load_last_grants(load, err);
	trigger_rc = cf_mysql_load_bare_triggers(load, rc == 0 ? err : NULL);
	if (rc == 0)
		rc = trigger_rc;
	if (rc == 0 && !load->options->dry_run)
		rc = cf_mysql_load_check_references(load, err);
	if (rc == 0 && !load->options->dry_run && !load->is_trial)
		rc = cf_mysql_load_check_keys(load, err);
	if (rc < 0 && load->has_begun && !load->is_trial)
		cf_err_wrap(err, "%s: stopped with a part restored (%s)",
			    cf_mysql_server_name(load->my),
			    load->options->data_only ? "empty the tables before another try"
						     : "--clean begins anew");
	return rc;
}

void cf_mysql_load_table_release(struct cf_mysql_load_table *table)
{
	free(table->name);
	free(table->label);
	free(table->path);
	cf_buf_release(&table->create);
	cf_buf_release(&table->keys);
	cf_buf_release(&table->foreign);
}

void cf_mysql_load_object_release(struct cf_mysql_load_object *object)
{
	free(object->name);
	free(object->label);
	cf_buf_release(&object->create);
}

static void release_load(struct cf_mysql_load *load)
{
	for (size_t i = 0; i < load->n_targets; i++)
		free(load->targets[i].name);
	for (size_t i = 0; i < load->n_tables; i++)
		cf_mysql_load_table_release(&load->tables[i]);
	for (size_t i = 0; i < load->n_objects; i++)
		cf_mysql_load_object_release(&load->objects[i]);
	for (size_t i = 0; i < load->n_drops; i++) {
		free(load->drops[i].sql);
		free(load->drops[i].label);
	}
	for (size_t i = 0; i < load->n_users; i++) {
		free(load->users[i].sql);
		free(load->users[i].label);
	}
	for (size_t i = 0; i < load->n_own_roles; i++)
		free(load->own_roles[i]);
	for (size_t i = 0; i < load->n_triggers; i++)
		cf_mysql_manifest_release(&load->triggers[i]);
	cf_mysql_sources_free(load->sources, load->n_sources);
	free(load->targets);
	free(load->tables);
	free(load->objects);
	free(load->drops);
	free(load->users);
	free(load->own_roles);
	free(load->triggers);
	cf_selector_free(load->selector);
	cf_renames_release(&load->renames);
	cf_mysql_close(load->my);
	cf_mysql_url_release(&load->url);
}

static int load_into(struct cf_mysql_load *load, const char *target, struct cf_err *err)
{
	int rc = cf_mysql_url_parse(target, &load->url, err);

	if (rc == 0 && load->url.n_databases > 0 && load->options->users)
		rc = cf_err_set(err, CF_ERR_USAGE,
				"--users takes a target without a database: rights name databases");
	if (rc == 0 && load->url.n_databases > 1)
		rc = cf_err_set(err, CF_ERR_USAGE,
				"a target takes one database, or none to keep the names");
	if (rc == 0)
		rc = cf_mysql_load_connect(load, load->ctx, &load->my, err);
	if (rc == 0)
		rc = learn_server(load, err);
	if (rc == 0)
		rc = cf_mysql_load_select(load, err);
	if (rc == 0 && load->options->users)
		rc = cf_mysql_load_read_users(load, err);
	if (rc == 0)
		rc = cf_mysql_load_check_engines(load, err);
	if (rc == 0)
		rc = cf_mysql_load_examine(load, err);
	return rc == 0 ? run_load(load, err) : rc;
}

int cf_mysql_load(const char *target, struct cf_tree *tree, const struct cf_load_options *options,
		  const struct cf_ctx *ctx, struct cf_load_figures *figures_out, struct cf_err *err)
{
	struct cf_mysql_load load = {.tree = tree, .options = options, .ctx = ctx};
	int rc = load_into(&load, target, err);

	*figures_out = load.figures;
	release_load(&load);
	return rc;
}

int cf_mysql_load_trial(const char *target, bool is_shared, struct cf_tree *tree,
			const struct cf_load_options *options, const struct cf_ctx *ctx,
			struct cf_load_figures *figures_out, struct cf_err *err)
{
	struct cf_mysql_load load = {.tree = tree,
				     .options = options,
				     .ctx = ctx,
				     .is_trial = true,
				     .is_shared = is_shared};
	int rc = load_into(&load, target, err);

	*figures_out = load.figures;
	release_load(&load);
	return rc;
}
