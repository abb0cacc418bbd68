/*
 * Rows alone go into tables whose triggers would act on each of them again, and no session can turn
 * them off. So each is replaced, in one step and without losing its place among the others, by one
 * that does the same but in sessions that know a random key: those that load. Afterwards it is
 * replaced by what it was, whatever becomes of the rows.
 *
 * Killed at any moment, a restore leaves triggers that act as before for everybody; the next
 * restore of rows alone into the table knows a guard when it sees one and takes it away.
 */

#include "base/digest.h"
#include "base/err.h"
#include "drivers/mysql/catalog.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/load.h"
#include "drivers/mysql/manifest_json.h"
#include "drivers/mysql/rights.h"
#include "drivers/mysql/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As the server spells it. */
static int add_table(struct cf_mysql_load *load, const struct cf_mysql_load_table *table,
		     struct cf_mysql_manifest *manifest, struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_table *added;
	struct cf_mysql_row row;
	int rc = cf_mysql_ask(load->my, &result, err,
			      load->folds ? "SELECT DISTINCT EVENT_OBJECT_TABLE "
					    "FROM information_schema.TRIGGERS "
					    "WHERE TRIGGER_SCHEMA = %t AND EVENT_OBJECT_TABLE = %t"
					  : "SELECT DISTINCT EVENT_OBJECT_TABLE "
					    "FROM information_schema.TRIGGERS "
					    "WHERE TRIGGER_SCHEMA = %i AND EVENT_OBJECT_TABLE = %i",
			      manifest->database, table->name);

	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0) {
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

static bool acts_on_insert(const struct cf_mysql_object *trigger)
{
	return strstr(trigger->trigger.event, "INSERT") != NULL;
}

static bool shares_moment(const struct cf_mysql_object *a, const struct cf_mysql_object *b)
{
	return !strcmp(a->trigger.table, b->trigger.table) &&
	       !strcmp(a->trigger.timing, b->trigger.timing) &&
	       !strcmp(a->trigger.event, b->trigger.event);
}

/* What is replaced would be the last of its moment. The server obeys such a clause and cuts it out
 * of the text, with what stands before it: an empty comment, where nothing is to be lost. */
static int append_order(const struct cf_mysql_manifest *manifest, size_t index, struct cf_buf *out,
			struct cf_err *err)
{
	const struct cf_mysql_object *trigger = &manifest->objects[index];

	if (index + 1 < manifest->n_objects && shares_moment(trigger, trigger + 1))
		return cf_mysql_sql(out, err, "/**/PRECEDES %n", trigger[1].name);
	if (index > 0 && shares_moment(trigger, trigger - 1))
		return cf_mysql_sql(out, err, "/**/FOLLOWS %n", trigger[-1].name);
	return 0;
}

static const char *behind_space(const char *at)
{
	return at + strspn(at, " \t\r\n\f\v");
}

/* NULL: no comment begins here, or one that does not end. */
static const char *behind_comment(const char *at)
{
	const char *end = NULL;

	if (!strncmp(at, "/*", 2)) {
		end = strstr(at + 2, "*/");
		return end ? end + 2 : NULL;
	}
	if (*at == '#' || !strncmp(at, "--", 2))
		end = strchr(at, '\n');
	return end ? end + 1 : NULL;
}

/* Behind FOR EACH ROW: the one word ROW that only space and comments part from the body. */
static const char *find_rest(const struct cf_mysql_object *trigger)
{
	const char *text = trigger->create;
	const char *body = text + strlen(text) - strlen(trigger->trigger.body);

	for (const char *row = text; (row = strcasestr(row, "ROW")) && row < body; row++) {
		const char *at = behind_space(row + 3), *next;

		while (at < body && (next = behind_comment(at)))
			at = behind_space(next);
		if (at == body)
			return row + 3;
	}
	return NULL;
}

/* A body may end with a comment that goes to the end of the line. */
static const char guard_head[] = "IF NOT (@coffer_restore <=> '", guard_middle[] = "') THEN",
		  guard_tail[] = "\n; END IF";

/* Without the guard of an earlier restore that was killed. */
static struct cf_span without_guard(const char *rest)
{
	const size_t middle_at = strlen(guard_head) + CF_MYSQL_TRIGGER_KEY_LEN;
	const size_t begin = middle_at + strlen(guard_middle);
	const char *at = behind_space(rest);
	size_t len = strlen(at), tail_len = strlen(guard_tail);

	if (len < begin + tail_len || strncmp(at, guard_head, strlen(guard_head)) != 0 ||
	    strncmp(at + middle_at, guard_middle, strlen(guard_middle)) != 0 ||
	    strcmp(at + len - tail_len, guard_tail) != 0)
		return cf_span_str(rest);
	return cf_span_of(at + begin, len - begin - tail_len);
}

/* The trigger in its own place, as the server shows it; key: guarded, so that it does nothing in
 * sessions that know the key. */
static int compose(const struct cf_mysql_manifest *manifest, size_t index, const char *key,
		   struct cf_buf *out, struct cf_err *err)
{
	static const char verb[] = "CREATE ";
	const char *text = manifest->objects[index].create;
	const char *rest = find_rest(&manifest->objects[index]), *behind_verb = text + strlen(verb);
	struct cf_span bare;
	int rc;

	if (!rest || strncmp(text, verb, strlen(verb)) != 0)
		return cf_err_set(err, CF_ERR_BUSY,
				  "it cannot be replaced, for its text is not understood: drop it, "
				  "and make it again after the restore");
	bare = without_guard(rest);
	rc = cf_buf_append_str(out, "CREATE OR REPLACE ", err);
	if (rc == 0)
		rc = cf_buf_append(out, behind_verb, (size_t)(rest - behind_verb), err);
	if (rc == 0)
		rc = append_order(manifest, index, out, err);
	if (rc == 0 && key)
		rc = cf_buf_printf(out, err, " %s%s%s", guard_head, key, guard_middle);
	if (rc == 0)
		rc = cf_buf_append(out, bare.data, bare.len, err);
	return rc == 0 && key ? cf_buf_append_str(out, guard_tail, err) : rc;
}

static int replace(struct cf_mysql_load *load, size_t target, size_t index, const char *key,
		   char *label, struct cf_err *err)
{
	const struct cf_mysql_manifest *manifest = &load->triggers[target];
	struct cf_mysql_load_object object = {
		.from = &manifest->objects[index], .target = target, .label = label};
	int rc = compose(manifest, index, key, &object.create, err);

	if (rc < 0)
		cf_err_wrap(err, "%s", label);
	else
		rc = cf_mysql_load_create(load, &object, err);
	cf_buf_release(&object.create);
	return rc;
}

typedef int trigger_fn(struct cf_mysql_load *load, size_t target, size_t index, char *label,
		       struct cf_err *err);

static int each_trigger(struct cf_mysql_load *load, trigger_fn *act, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; i < load->n_triggers; i++) {
		const struct cf_mysql_manifest *manifest = &load->triggers[i];

		for (size_t j = 0; rc == 0 && j < manifest->n_objects; j++) {
			char *label;

			if (!acts_on_insert(&manifest->objects[j]))
				continue;
			label = cf_mysql_load_label("trigger", manifest->database,
						    manifest->objects[j].name);
			rc = label ? act(load, i, j, label, err) : cf_err_nomem(err);
			free(label);
		}
	}
	return rc;
}

static int guard(struct cf_mysql_load *load, size_t target, size_t index, char *label,
		 struct cf_err *err)
{
	if (!cf_mysql_is_mariadb(load->my))
		return cf_err_set(err, CF_ERR_BUSY,
				  "%s would act on every row, and this server cannot replace it in "
				  "one step: drop it, and make it again after the restore",
				  label);
	if (!cf_mysql_load_step(load, "suspend", label, 0))
		return 0;
	load->has_guarded_triggers = true;
	return replace(load, target, index, load->trigger_key, label, err);
}

int cf_mysql_load_guard_triggers(struct cf_mysql_load *load, struct cf_err *err)
{
	uint8_t key[CF_MYSQL_TRIGGER_KEY_LEN / 2];

	cf_random(key, sizeof(key));
	for (size_t i = 0; i < sizeof(key); i++)
		snprintf(load->trigger_key + 2 * i, 3, "%02x", key[i]);
	return each_trigger(load, guard, err);
}

static int bare(struct cf_mysql_load *load, size_t target, size_t index, char *label,
		struct cf_err *err)
{
	struct cf_err failure = CF_ERR_INIT;

	if (!cf_mysql_load_step(load, "resume", label, 0) ||
	    replace(load, target, index, NULL, label, &failure) == 0)
		return 0;
	cf_ctx_warn(load->ctx, "trigger.guarded", label, "%s acts as before, but keeps a guard: %s",
		    label, failure.text);
	return cf_err_set(err, failure.code,
			  "triggers keep the guard that this restore gave them: the next restore "
			  "of rows alone takes it away");
}

/* In a session of its own: the other one may be lost, or wait no more because the user wants to
 * stop. */
int cf_mysql_load_bare_triggers(struct cf_mysql_load *load, struct cf_err *err)
{
	struct cf_ctx ctx = *load->ctx;
	struct cf_mysql_load again = *load;
	int rc;

	if (!load->has_guarded_triggers)
		return load->options->dry_run ? each_trigger(load, bare, err) : 0;
	ctx.cancel = NULL;
	again.ctx = &ctx;
	again.my = NULL;
	rc = cf_mysql_load_connect(&again, &ctx, &again.my, err);
	if (rc == 0)
		rc = each_trigger(&again, bare, err);
	else
		cf_err_wrap(err, "triggers keep the guard that this restore gave them");
	cf_mysql_close(again.my);
	return rc;
}
