#include "base/ctx.h"
#include "base/err.h"
#include "base/secret.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/handle.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PARAMS_MAX = 64
};

struct params {
	const char *keywords[PARAMS_MAX + 1], *values[PARAMS_MAX + 1];
	size_t n;
};

static void set_param(struct params *params, const char *keyword, const char *value)
{
	size_t i = 0;

	while (i < params->n && strcmp(params->keywords[i], keyword) != 0)
		i++;
	assert(i < PARAMS_MAX);
	params->keywords[i] = keyword;
	params->values[i] = value;
	if (i == params->n)
		params->n++;
}

static const char *get_param(const struct params *params, const char *keyword)
{
	for (size_t i = 0; i < params->n; i++)
		if (strcmp(params->keywords[i], keyword) == 0)
			return params->values[i];
	return NULL;
}

static void take_options(struct params *params, const PQconninfoOption *options)
{
	for (const PQconninfoOption *option = options; option->keyword; option++)
		if (option->val && option->val[0])
			set_param(params, option->keyword, option->val);
}

/* A password shows in the list of processes; looked for before libpq, whose messages quote what they cannot parse. */
static bool has_password(const char *target)
{
	const char *at = target;

	while ((at = strstr(at, "password"))) {
		at += strlen("password");
		if (at[strspn(at, " \t\r\n")] == '=')
			return true;
	}
	if (target[0] == '/' && target[1] == '/') {
		const char *end = strpbrk(target + 2, "@/?");

		return end && *end == '@' && memchr(target, ':', (size_t)(end - target));
	}
	return false;
}

/* *options_out: free with PQconninfoFree. */
static int parse_target(const char *target, PQconninfoOption **options_out, struct cf_err *err)
{
	char *uri = NULL, *message = NULL;
	int rc = 0;

	if (has_password(target))
		return cf_err_set(err, CF_ERR_USAGE,
				  "postgres: a password does not belong in an argument: use PGPASSWORD, ~/.pgpass "
				  "or a service file");
	if (strncmp(target, "//", 2) == 0 && asprintf(&uri, "postgresql:%s", target) < 0)
		return cf_err_nomem(err);
	*options_out = PQconninfoParse(uri ? uri : target, &message);
	if (!*options_out) {
		char text[512];

		cf_pg_flatten(message ? message : "out of memory", text, sizeof(text));
		rc = cf_err_set(err, CF_ERR_USAGE, "'postgres:%s' makes no sense: %s", target, text);
	}
	PQfreemem(message);
	free(uri);
	return rc;
}

int cf_pg_check_target(const char *target, struct cf_err *err)
{
	PQconninfoOption *options = NULL;
	int rc = parse_target(target, &options, err);

	PQconninfoFree(options);
	return rc;
}

int cf_pg_target_database(const char *target, char **database_out, struct cf_err *err)
{
	PQconninfoOption *options = NULL;
	int rc = parse_target(target, &options, err);

	*database_out = NULL;
	for (const PQconninfoOption *option = options; rc == 0 && option->keyword; option++) {
		if (strcmp(option->keyword, "dbname") != 0 || !option->val || !option->val[0])
			continue;
		*database_out = strdup(option->val);
		if (!*database_out)
			rc = cf_err_nomem(err);
	}
	PQconninfoFree(options);
	return rc;
}

/* The server's notices are not ours to print. */
static void drop_notice(void *user, const char *message)
{
}

/* Said at the start, as of a collation that has another version now. */
static void note_notice(void *user, const char *message)
{
	struct cf_pg *pg = user;
	char text[512];

	cf_pg_flatten(message, text, sizeof(text));
	cf_ctx_note(pg->ctx, "postgres.notice", NULL, "%s", text);
}

static time_t connect_deadline(const struct params *params)
{
	const char *timeout = get_param(params, "connect_timeout");
	int seconds = timeout ? atoi(timeout) : 0;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return seconds > 0 ? now.tv_sec + (seconds > 1 ? seconds : 2) : 0;
}

static int poll_connection(struct cf_pg *pg, time_t deadline, struct cf_err *err)
{
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;

	while (state != PGRES_POLLING_OK && state != PGRES_POLLING_FAILED) {
		int rc = cf_pg_wait(pg, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline, err);

		if (rc < 0)
			return rc;
		state = PQconnectPoll(pg->conn);
	}
	return 0;
}

static int connect_error(struct cf_pg *pg, struct cf_err *err)
{
	bool wants_password = PQconnectionNeedsPassword(pg->conn) || PQconnectionUsedPassword(pg->conn);
	char text[512];

	cf_pg_flatten(PQerrorMessage(pg->conn), text, sizeof(text));
	return cf_err_set(err, wants_password ? CF_ERR_ACCESS : CF_ERR_FAILED, "PostgreSQL: %s%s", text,
			  PQconnectionNeedsPassword(pg->conn) ? " (use PGPASSWORD, ~/.pgpass or a service file)"
							      : "");
}

/* What is sent before anything else: nobody's objects stand for those that statements name, and a database without an encoding
 * gives its bytes as they are. */
static int settle(struct cf_pg *pg, const char *wanted, struct cf_err *err)
{
	const char *encoding = cf_pg_parameter(pg, "server_encoding");
	int rc = cf_pg_exec(pg, "SELECT pg_catalog.set_config('search_path', '', false)", err);

	if (rc == 0 && encoding && strcmp(encoding, "SQL_ASCII") == 0)
		rc = cf_pg_exec(pg, "SET client_encoding = 'SQL_ASCII'", err);
	else if (rc == 0 && wanted && strcmp(wanted, "UTF8") != 0)
		rc = cf_pg_speak(pg, wanted, err);
	return rc;
}

/*
 * Only libpq itself can go on to the next of several hosts when one does not answer in time, so then it is left to wait
 * alone; otherwise we wait, and can be stopped.
 */
static int start_connection(struct cf_pg *pg, const struct params *params, struct cf_err *err)
{
	const char *host = get_param(params, "host"), *address = get_param(params, "hostaddr");
	time_t deadline = connect_deadline(params);
	bool several = (host && strchr(host, ',')) || (address && strchr(address, ','));
	int rc = 0;

	if (several && deadline)
		pg->conn = PQconnectdbParams(params->keywords, params->values, 0);
	else
		pg->conn = PQconnectStartParams(params->keywords, params->values, 0);
	if (!pg->conn)
		return cf_err_nomem(err);
	PQsetNoticeProcessor(pg->conn, note_notice, pg);
	if (PQstatus(pg->conn) != CONNECTION_BAD && !(several && deadline))
		rc = poll_connection(pg, deadline, err);
	if (rc == 0 && PQstatus(pg->conn) != CONNECTION_OK)
		rc = connect_error(pg, err);
	return rc;
}

static int connect_once(const struct params *params, const struct cf_pg_options *options,
			const struct cf_ctx *ctx, struct cf_pg **pg_out, struct cf_err *err)
{
	struct cf_pg *pg = calloc(1, sizeof(*pg));
	int rc;

	if (!pg)
		return cf_err_nomem(err);
	pg->ctx = ctx;
	pg->stop = options->stop;
	rc = start_connection(pg, params, err);
	if (rc < 0) {
		cf_pg_close(pg);
		return rc;
	}
	PQsetNoticeProcessor(pg->conn, drop_notice, NULL);
	*pg_out = pg;
	return 0;
}

/*
 * True when the database or the role sets a limit for statements: it may strike before a session can lift it, ours or one of a
 * client program.
 */
static bool has_time_limit(struct cf_pg *pg)
{
	char *limit = NULL;
	int rc = cf_pg_query_text(pg, "SHOW statement_timeout", NULL, 0, &limit, NULL);
	bool found = rc == 0 ? limit && strcmp(limit, "0") != 0 : strcmp(cf_pg_sqlstate(pg), "57014") == 0;

	free(limit);
	return found;
}

/* True for a superuser who is somebody else by "SET role", who may lack rights. Who is none may have rights by it. */
static bool has_other_role(struct cf_pg *pg)
{
	struct cf_pg_rows *rows = NULL;
	bool found = cf_pg_query(pg,
				 "SELECT FROM pg_catalog.pg_roles WHERE rolname = session_user AND rolsuper"
				 " AND pg_catalog.current_setting('role') <> 'none'",
				 NULL, 0, &rows, NULL) == 0 &&
		     cf_pg_rows_count(rows) > 0;

	cf_pg_rows_free(rows);
	return found;
}

/* Overrules what the database or the role sets, but not what is asked of us. False when there is nothing. */
static bool overrule_settings(struct cf_pg *pg, struct params *params, char *text, size_t size)
{
	const char *given = get_param(params, "options");
	bool limited = has_time_limit(pg), other;

	if (!given)
		given = getenv("PGOPTIONS");
	other = !(given && strstr(given, "role=")) && has_other_role(pg);
	if (!limited && !other)
		return false;
	snprintf(text, size, "%s%s%s", given ? given : "", limited ? " -c statement_timeout=0" : "",
		 other ? " -c role=none" : "");
	set_param(params, "options", text);
	return true;
}

static int connect_params(struct params *params, const struct cf_pg_options *options,
			  const struct cf_ctx *ctx, struct cf_pg **pg_out, struct cf_err *err)
{
	struct cf_pg *pg = NULL;
	char start_options[1024];
	int rc;

	set_param(params, "application_name", options->application ? options->application : "coffer");
	set_param(params, "client_encoding", "UTF8");
	if (options->database)
		set_param(params, "dbname", options->database);
	if (options->fallback_database && !get_param(params, "dbname") && !getenv("PGDATABASE"))
		set_param(params, "dbname", options->fallback_database);
	rc = connect_once(params, options, ctx, &pg, err);
	/* Not from the start: poolers do not let it through. */
	if (rc == 0 && overrule_settings(pg, params, start_options, sizeof(start_options))) {
		cf_pg_close(pg);
		pg = NULL;
		rc = connect_once(params, options, ctx, &pg, err);
	}
	/* Else what was left unanswered above would be told as the failure. */
	if (rc == 0)
		rc = cf_pg_check_stop(pg, err);
	if (rc == 0)
		rc = settle(pg, options->encoding, err);
	if (rc < 0) {
		cf_pg_close(pg);
		return rc;
	}
	*pg_out = pg;
	return 0;
}

int cf_pg_connect(const char *target, const struct cf_pg_options *options, const struct cf_ctx *ctx,
		  struct cf_pg **pg_out, struct cf_err *err)
{
	PQconninfoOption *parsed = NULL;
	struct params params = {.n = 0};
	int rc = parse_target(target, &parsed, err);

	if (rc < 0)
		return rc;
	take_options(&params, parsed);
	rc = connect_params(&params, options, ctx, pg_out, err);
	PQconninfoFree(parsed);
	return rc;
}

/* What pg was made of, with the one server it reached in place of a service or a list. */
static int resolved_options(struct cf_pg *pg, PQconninfoOption **options_out, struct params *params,
			    struct cf_err *err)
{
	PQconninfoOption *options = PQconninfo(pg->conn);

	if (!options)
		return cf_err_nomem(err);
	take_options(params, options);
	set_param(params, "service", NULL);
	set_param(params, "host", PQhost(pg->conn));
	if (get_param(params, "hostaddr"))
		set_param(params, "hostaddr", PQhostaddr(pg->conn));
	set_param(params, "port", PQport(pg->conn));
	set_param(params, "user", PQuser(pg->conn));
	set_param(params, "dbname", PQdb(pg->conn));
	if (PQpass(pg->conn) && PQpass(pg->conn)[0])
		set_param(params, "password", PQpass(pg->conn));
	*options_out = options;
	return 0;
}

int cf_pg_connect_again(struct cf_pg *pg, const struct cf_pg_options *options, const struct cf_ctx *ctx,
			struct cf_pg **pg_out, struct cf_err *err)
{
	PQconninfoOption *resolved = NULL;
	struct cf_pg_options own = *options;
	struct params params = {.n = 0};
	int rc = resolved_options(pg, &resolved, &params, err);

	if (rc < 0)
		return rc;
	if (!own.encoding && pg->encoding[0])
		own.encoding = pg->encoding;
	rc = connect_params(&params, &own, ctx, pg_out, err);
	PQconninfoFree(resolved);
	return rc;
}

static void cancel_running(struct cf_pg *pg)
{
	PGcancel *cancel = PQgetCancel(pg->conn);
	char text[256];

	if (cancel)
		PQcancel(cancel, text, sizeof(text));
	PQfreeCancel(cancel);
}

void cf_pg_close(struct cf_pg *pg)
{
	if (!pg)
		return;
	if (pg->conn && PQstatus(pg->conn) == CONNECTION_OK &&
	    PQtransactionStatus(pg->conn) == PQTRANS_ACTIVE)
		cancel_running(pg);
	PQfinish(pg->conn);
	free(pg);
}

const char *cf_pg_host(struct cf_pg *pg)
{
	return PQhost(pg->conn);
}

const char *cf_pg_port(struct cf_pg *pg)
{
	return PQport(pg->conn);
}

const char *cf_pg_user(struct cf_pg *pg)
{
	return PQuser(pg->conn);
}

const char *cf_pg_database(struct cf_pg *pg)
{
	return PQdb(pg->conn);
}

bool cf_pg_is_local(struct cf_pg *pg)
{
	return cf_pg_host_is_local(PQhost(pg->conn));
}

int cf_pg_server_version(struct cf_pg *pg)
{
	return PQserverVersion(pg->conn);
}

const char *cf_pg_parameter(struct cf_pg *pg, const char *name)
{
	return PQparameterStatus(pg->conn, name);
}

int cf_pg_speak(struct cf_pg *pg, const char *encoding, struct cf_err *err)
{
	const struct cf_pg_setting setting = {"client_encoding", encoding};
	int rc = cf_pg_configure(pg, &setting, 1, err);

	if (rc == 0)
		snprintf(pg->encoding, sizeof(pg->encoding), "%s", encoding);
	return rc;
}

int cf_pg_speak_bytes(struct cf_pg *pg, bool bytes, struct cf_err *err)
{
	const char *encoding = cf_pg_parameter(pg, "server_encoding");

	if (!encoding || strcmp(encoding, "UTF8") == 0 || strcmp(encoding, "SQL_ASCII") == 0)
		return 0;
	return cf_pg_speak(pg, bytes ? encoding : "UTF8", err);
}

/* --- environment --- */

void cf_pg_environment_free(char **environment)
{
	for (size_t i = 0; environment && environment[i]; i++) {
		cf_wipe(environment[i], strlen(environment[i]));
		free(environment[i]);
	}
	free(environment);
}

static const char *variable_of(const PQconninfoOption *options, const char *keyword)
{
	for (; options->keyword; options++)
		if (strcmp(options->keyword, keyword) == 0)
			return options->envvar;
	return NULL;
}

int cf_pg_environment(struct cf_pg *pg, const char *database, char ***environment_out, struct cf_err *err)
{
	PQconninfoOption *options = NULL;
	struct params params = {.n = 0};
	char **environment = calloc(PARAMS_MAX + 2, sizeof(*environment));
	size_t n = 0;
	int rc = environment ? resolved_options(pg, &options, &params, err) : cf_err_nomem(err);

	if (rc == 0 && database)
		set_param(&params, "dbname", database);
	/* Definitions have times in the session's zone: the same wherever they are dumped. */
	if (rc == 0 && !(environment[n++] = strdup("PGTZ=UTC")))
		rc = cf_err_nomem(err);
	for (size_t i = 0; rc == 0 && i < params.n; i++) {
		const char *variable = variable_of(options, params.keywords[i]);

		if (!variable || !params.values[i] || strcmp(variable, "PGCLIENTENCODING") == 0)
			continue;
		if (asprintf(&environment[n], "%s=%s", variable, params.values[i]) < 0) {
			environment[n] = NULL;
			rc = cf_err_nomem(err);
		} else {
			n++;
		}
	}
	PQconninfoFree(options);
	if (rc < 0)
		cf_pg_environment_free(environment);
	else
		*environment_out = environment;
	return rc;
}
