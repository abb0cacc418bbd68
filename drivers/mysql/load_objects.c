/* What has no rows: each object in a session set as it was when the object was first made. */

#include "base/err.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/ddl.h"
#include "drivers/mysql/load.h"
#include "drivers/mysql/manifest_json.h"
#include "drivers/mysql/sql.h"

#include <stdlib.h>
#include <string.h>

static int append_setting(struct cf_buf *sql, const char *name, const char *value,
			  struct cf_err *err)
{
	int rc;

	if (!value)
		return 0;
	rc = cf_buf_printf(sql, err, ", %s=", name);
	return rc == 0 ? cf_mysql_quote_text(value, sql, err) : rc;
}

/* MySQL has given up modes that mean nothing to a program, and refuses them. */
static bool knows_mode(const struct cf_mysql *my, const char *mode)
{
	static const char *const given_up[] = {"NO_AUTO_CREATE_USER", "NO_FIELD_OPTIONS",
					       "NO_KEY_OPTIONS", "NO_TABLE_OPTIONS"};

	if (cf_mysql_is_mariadb(my) || cf_mysql_version(my) < 80000)
		return true;
	for (size_t i = 0; i < sizeof(given_up) / sizeof(given_up[0]); i++)
		if (!strcmp(mode, given_up[i]))
			return false;
	return true;
}

static int append_modes(struct cf_buf *sql, const struct cf_mysql *my, const char *modes,
			struct cf_err *err)
{
	struct cf_buf known = CF_BUF_INIT;
	char *copy = strdup(modes), *rest = copy, *mode;
	int rc = copy ? cf_mysql_sql(&known, err, "") : cf_err_nomem(err);

	while (rc == 0 && (mode = strsep(&rest, ",")))
		if (knows_mode(my, mode))
			rc = cf_mysql_sql(&known, err, "%s%s", known.len > 0 ? "," : "", mode);
	if (rc == 0)
		rc = append_setting(sql, "sql_mode", (const char *)known.data, err);
	cf_buf_release(&known);
	free(copy);
	return rc;
}

static int set_session(struct cf_mysql *my, const struct cf_mysql_session *session,
		       struct cf_err *err)
{
	struct cf_buf sql = CF_BUF_INIT;
	int rc = cf_buf_append_str(&sql, "SET SESSION foreign_key_checks=0", err);

	if (rc == 0)
		rc = append_modes(&sql, my,
				  session->sql_mode
					  ? session->sql_mode
					  : "NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION",
				  err);
	if (rc == 0)
		rc = append_setting(&sql, "time_zone",
				    session->time_zone ? session->time_zone : "+00:00", err);
	if (rc == 0)
		rc = append_setting(&sql, "collation_connection", session->collation_connection,
				    err);
	if (rc == 0)
		rc = append_setting(&sql, "character_set_client", session->character_set_client,
				    err);
	if (rc == 0)
		rc = cf_mysql_run_span(my, cf_buf_span(&sql), err);
	cf_buf_release(&sql);
	return rc;
}

static int set_collation(struct cf_mysql *my, const char *database, const char *collation,
			 struct cf_err *err)
{
	struct cf_buf sql = CF_BUF_INIT;
	int rc = cf_buf_append_str(&sql, "ALTER DATABASE ", err);

	if (rc == 0)
		rc = cf_mysql_quote_name(database, &sql, err);
	if (rc == 0)
		rc = cf_buf_append_str(&sql, " COLLATE ", err);
	if (rc == 0)
		rc = cf_mysql_quote_text(collation, &sql, err);
	if (rc == 0)
		rc = cf_mysql_run_span(my, cf_buf_span(&sql), err);
	cf_buf_release(&sql);
	return rc;
}

/* A session that no object has changed yet. */
static int reset_session(struct cf_mysql_load *load, size_t target, struct cf_err *err)
{
	static const struct cf_mysql_session plain = {.sql_mode = NULL};
	int rc = cf_mysql_run(load->my, "SET NAMES utf8mb4", err);

	if (rc == 0)
		rc = set_session(load->my, &plain, err);
	return rc == 0 ? cf_mysql_load_use(load, load->my, target, err) : rc;
}

static int run_create(struct cf_mysql_load *load, struct cf_mysql_load_object *object,
		      struct cf_err *err)
{
	struct cf_buf plain = CF_BUF_INIT, *create = &object->create;
	int rc = set_session(load->my, &object->from->session, err);

	if (rc == 0 && cf_mysql_object_has_plain_strings(object->from)) {
		rc = cf_mysql_ddl_plain_strings((const char *)create->data, &plain, err);
		create = &plain;
	}
	if (rc == 0)
		rc = cf_mysql_run_span(load->my, cf_buf_span(create), err);
	cf_buf_release(&plain);
	return rc;
}

/* A routine, trigger or event keeps the collation that its database had by default when it was
 * made. */
static int create_under_collation(struct cf_mysql_load *load, struct cf_mysql_load_object *object,
				  struct cf_err *err)
{
	const char *database = load->targets[object->target].name;
	const char *wanted = object->from->session.database_collation;
	char *actual = NULL;
	struct cf_err ignored = CF_ERR_INIT;
	int rc = 0, rc_back = 0;
	bool differs;

	if (!wanted || object->from->kind == CF_MYSQL_VIEW ||
	    object->from->kind == CF_MYSQL_SEQUENCE)
		return run_create(load, object, err);
	rc = cf_mysql_value(load->my, "SELECT @@collation_database", &actual, err);
	if (rc < 0)
		return rc;
	differs = actual && strcmp(actual, wanted) != 0;
	if (differs)
		rc = set_collation(load->my, database, wanted, err);
	if (rc == 0)
		rc = run_create(load, object, err);
	if (differs) {
		rc_back = cf_mysql_run(load->my, "SET NAMES utf8mb4", rc == 0 ? err : &ignored);
		if (rc_back == 0)
			rc_back =
				set_collation(load->my, database, actual, rc == 0 ? err : &ignored);
	}
	free(actual);
	return rc < 0 ? rc : rc_back;
}

int cf_mysql_load_create(struct cf_mysql_load *load, struct cf_mysql_load_object *object,
			 struct cf_err *err)
{
	int rc = cf_ctx_check(load->ctx, err);

	if (rc == 0)
		rc = reset_session(load, object->target, err);
	if (rc == 0)
		rc = create_under_collation(load, object, err);
	object->is_done = rc == 0;
	if (rc < 0) {
		if (cf_mysql_errno(load->my) == CF_MYSQL_NO_PRIVILEGE && object->from->definer)
			cf_err_wrap(err, "%s belongs to %s (--no-owner makes it yours)",
				    object->label, object->from->definer);
		else
			cf_err_wrap(err, "%s", object->label);
	}
	return rc;
}

static int set_value(struct cf_mysql_load *load, struct cf_mysql_load_object *object,
		     struct cf_err *err)
{
	const char *value = strchr(object->from->value, ',');
	struct cf_buf sql = CF_BUF_INIT;
	int rc = value ? 0 : cf_err_set(err, CF_ERR_DAMAGED, "%s has no value", object->label);

	if (rc == 0)
		rc = cf_buf_append_str(&sql, "SELECT SETVAL(", err);
	if (rc == 0)
		rc = cf_mysql_quote_name(object->name, &sql, err);
	if (rc == 0)
		rc = cf_buf_append_str(&sql, value, err);
	if (rc == 0)
		rc = cf_mysql_run_span(load->my, cf_buf_span(&sql), err);
	cf_buf_release(&sql);
	return rc;
}

int cf_mysql_load_sequences(struct cf_mysql_load *load, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < load->n_objects; i++) {
		struct cf_mysql_load_object *object = &load->objects[i];
		bool with_value = object->from->value && !load->options->schema_only;

		if (object->from->kind != CF_MYSQL_SEQUENCE || object->is_left)
			continue;
		if (!load->options->data_only &&
		    cf_mysql_load_step(load, "create", object->label, 0))
			rc = cf_mysql_load_create(load, object, err);
		if (rc == 0 && with_value && cf_mysql_load_step(load, "set", object->label, 0)) {
			rc = reset_session(load, object->target, err);
			if (rc == 0)
				rc = set_value(load, object, err);
			if (rc < 0)
				cf_err_wrap(err, "%s", object->label);
		}
		rc = cf_mysql_load_forgive(load, load->my, object->label, rc, err);
	}
	return rc;
}

/* What it names is not there, or not yet. */
static bool waits_for_another(const struct cf_mysql *my)
{
	switch (cf_mysql_errno(my)) {
	case CF_MYSQL_UNKNOWN_DATABASE:
	case CF_MYSQL_UNKNOWN_COLUMN:
	case CF_MYSQL_NO_SUCH_TABLE:
	case CF_MYSQL_NO_SUCH_ROUTINE:
	case CF_MYSQL_VIEW_INVALID:
	case CF_MYSQL_NO_SUCH_SEQUENCE:
		return true;
	default:
		return false;
	}
}

static bool lacks_owner(const struct cf_mysql *my)
{
	return cf_mysql_errno(my) == CF_MYSQL_NO_SUCH_DEFINER ||
	       cf_mysql_errno(my) == CF_MYSQL_ROUTINE_DENIED;
}

/* What the server refuses for what it says, or for whom it belongs to, keeps nothing else from
 * being made. A trial ends with it. */
static bool stops_all(const struct cf_mysql_load *load, int rc)
{
	bool is_of_object = rc == CF_ERR_FAILED || rc == CF_ERR_NOT_FOUND || rc == CF_ERR_EXISTS ||
			    rc == CF_ERR_ACCESS || lacks_owner(load->my);

	return !cf_mysql_load_forgives(load, load->my, rc) &&
	       (load->is_trial || cf_mysql_is_broken(load->my) || !is_of_object);
}

static int stop(const struct cf_mysql_load *load, int rc, const struct cf_err *why,
		struct cf_err *err)
{
	/* That says nothing of the snapshot. */
	if (load->is_trial && lacks_owner(load->my))
		return cf_err_set(err, CF_ERR_NOT_FOUND,
				  "%s: a verification without --against has all users", why->text);
	return cf_err_set(err, rc, "%s", why->text);
}

static const char *remedy(const struct cf_mysql_load *load,
			  const struct cf_mysql_load_object *object)
{
	switch (cf_mysql_errno(load->my)) {
	case CF_MYSQL_NO_PRIVILEGE:
		return object->from->definer ? " (--no-owner makes it yours)" : "";
	case CF_MYSQL_UNSAFE_ROUTINE:
	case CF_MYSQL_UNSAFE_NEEDS_SUPER:
		return " (SET GLOBAL log_bin_trust_function_creators = 1 lets it be made)";
	default:
		return lacks_owner(load->my) && !load->options->users
			       ? " (--users makes the users of a whole snapshot)"
			       : "";
	}
}

static void warn_refused(struct cf_mysql_load *load, const struct cf_mysql_load_object *object)
{
	const char *owner = object->from->definer;
	bool is_anothers = owner && cf_mysql_errno(load->my) == CF_MYSQL_NO_PRIVILEGE;

	cf_ctx_warn(load->ctx, "object.refused", object->label, "%s%s%s was not made: %s%s",
		    object->label, is_anothers ? " of " : "", is_anothers ? owner : "",
		    cf_mysql_error_text(load->my), remedy(load, object));
}

/* Each view that is not there yet; n_left_out: what was not made. is_last: and will not be. */
static int create_views_once(struct cf_mysql_load *load, bool is_last, size_t *n_left_out,
			     struct cf_err *err)
{
	*n_left_out = 0;
	for (size_t i = 0; i < load->n_objects; i++) {
		struct cf_mysql_load_object *object = &load->objects[i];
		struct cf_err failure = CF_ERR_INIT;
		int rc;

		if (object->from->kind != CF_MYSQL_VIEW || object->is_done)
			continue;
		rc = cf_mysql_load_create(load, object, &failure);
		if (rc < 0 && !waits_for_another(load->my) && stops_all(load, rc))
			return stop(load, rc, &failure, err);
		*n_left_out += rc < 0;
		if (rc < 0 && is_last && waits_for_another(load->my))
			cf_ctx_warn(load->ctx, "view.invalid", object->label,
				    "%s was not made, for it names what is not there: %s",
				    object->label, cf_mysql_error_text(load->my));
		else if (rc < 0 && is_last)
			warn_refused(load, object);
	}
	return 0;
}

/* A view may look at one further down, or need a right to it: those that cannot be made yet are
 * tried again as long as others succeed. One that never can was broken where it comes from, or what
 * it needs was left out. */
static int create_views(struct cf_mysql_load *load, struct cf_err *err)
{
	size_t n_left = SIZE_MAX, n_before, n_granted;
	int rc;

	do {
		n_before = n_left;
		rc = cf_mysql_load_grant(load, false, &n_granted, err);
		if (rc == 0)
			rc = create_views_once(load, false, &n_left, err);
	} while (rc == 0 && n_left > 0 && (n_left < n_before || n_granted > 0));
	return rc == 0 && n_left > 0 ? create_views_once(load, true, &n_left, err) : rc;
}

static int create_or_warn(struct cf_mysql_load *load, struct cf_mysql_load_object *object,
			  struct cf_err *err)
{
	struct cf_err failure = CF_ERR_INIT;
	int rc = cf_mysql_load_create(load, object, &failure);

	if (rc < 0 && stops_all(load, rc))
		return stop(load, rc, &failure, err);
	if (rc < 0)
		warn_refused(load, object);
	return 0;
}

static bool is_of_range(const struct cf_mysql_load_object *object, enum cf_mysql_kind from,
			enum cf_mysql_kind to)
{
	return object->from->kind >= from && object->from->kind <= to;
}

static int create_range(struct cf_mysql_load *load, enum cf_mysql_kind from, enum cf_mysql_kind to,
			struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < load->n_objects; i++)
		if (is_of_range(&load->objects[i], from, to) &&
		    cf_mysql_load_step(load, "create", load->objects[i].label, 0))
			rc = create_or_warn(load, &load->objects[i], err);
	return rc;
}

static bool is_enabled(const struct cf_mysql_load_object *event)
{
	struct cf_buf asleep = CF_BUF_INIT;
	bool differs =
		cf_mysql_ddl_disable_event((const char *)event->create.data, &asleep, NULL) == 0 &&
		strcmp((const char *)asleep.data, (const char *)event->create.data) != 0;

	cf_buf_release(&asleep);
	return differs;
}

/* The server says it in a note alone. */
static int check_event(struct cf_mysql_load *load, const struct cf_mysql_load_object *event,
		       struct cf_err *err)
{
	const char *database = load->targets[event->target].name;
	char *status = NULL;
	int rc = cf_mysql_run(load->my, "SET NAMES utf8mb4, sql_mode = ''", err);

	if (rc == 0)
		rc = cf_mysql_ask_value(load->my, &status, err,
					load->folds
						? "SELECT STATUS FROM information_schema.EVENTS "
						  "WHERE EVENT_SCHEMA = %t AND EVENT_NAME = %t"
						: "SELECT STATUS FROM information_schema.EVENTS "
						  "WHERE EVENT_SCHEMA = %i AND EVENT_NAME = %t",
					database, event->name);
	if (rc == 0 && !status)
		cf_ctx_warn(load->ctx, "event.passed", event->label,
			    "%s was not made, for its time has passed", event->label);
	else if (rc == 0 && !strcmp(status, "DISABLED") && is_enabled(event))
		cf_ctx_warn(load->ctx, "event.passed", event->label,
			    "%s is disabled, for its time has passed", event->label);
	free(status);
	return rc;
}

/* In a trial it is long ago: whatever time an event waits for is still to come. */
static int create_events(struct cf_mysql_load *load, struct cf_err *err)
{
	int rc;

	if (load->is_trial)
		cf_mysql_run(load->my, "SET SESSION timestamp = 1", NULL);
	rc = create_range(load, CF_MYSQL_EVENT, CF_MYSQL_EVENT, err);
	for (size_t i = 0; rc == 0 && !load->options->dry_run && i < load->n_objects; i++)
		if (load->objects[i].from->kind == CF_MYSQL_EVENT && load->objects[i].is_done)
			rc = check_event(load, &load->objects[i], err);
	return rc;
}

int cf_mysql_load_objects(struct cf_mysql_load *load, struct cf_err *err)
{
	int rc = create_range(load, CF_MYSQL_FUNCTION, CF_MYSQL_TRIGGER, err);

	for (size_t i = 0; rc == 0 && i < load->n_objects; i++)
		if (load->objects[i].from->kind == CF_MYSQL_VIEW)
			cf_mysql_load_step(load, "create", load->objects[i].label, 0);
	if (rc == 0 && !load->options->dry_run)
		rc = create_views(load, err);
	/* Events may run at once: nothing is left to be made. */
	return rc == 0 ? create_events(load, err) : rc;
}
