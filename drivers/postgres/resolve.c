#include "drivers/postgres/handle.h"

#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/source_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Which server and database a target means, without asking them. */

/* What libpq leaves empty in a list of several servers. */
#define PORT_DEFAULT "5432"

bool cf_pg_host_is_local(const char *host)
{
	/* An absolute path is a folder of sockets, '@' an abstract one. */
	return host[0] == '/' || host[0] == '@';
}

char *cf_pg_name(const char *host, const char *port, const char *database)
{
	bool is_local = cf_pg_host_is_local(host), is_address = !is_local && strchr(host, ':');
	char *name;

	if (asprintf(&name, "postgres://%s%s%s:%s%s%s", is_address ? "[" : "", is_local ? "[local]" : host,
		     is_address ? "]" : "", port[0] ? port : PORT_DEFAULT, database ? "/" : "", database ? database : "") < 0)
		return NULL;
	return name;
}

/*
 * A connection that is not made, for what it would be: libpq joins what was given with the service, the environment and its defaults
 * first, and then refuses a mode that does not exist.
 */
static int start_nothing(const char *target, PGconn **conn_out, struct cf_err *err)
{
	static const char *const keywords[] = {"dbname", "sslmode", NULL};
	bool is_uri = strncmp(target, "//", 2) == 0;
	char *whole = NULL;

	if (asprintf(&whole, "%s%s", is_uri ? "postgresql:" : "", target) < 0)
		return cf_err_nomem(err);
	/* Without anything given, an empty name would hide the one in the environment. */
	*conn_out = PQconnectStartParams(keywords, (const char *const[]){whole[0] ? whole : NULL, "none at all", NULL}, 1);
	free(whole);
	return *conn_out ? 0 : cf_err_nomem(err);
}

/* One of several that stand between commas; the last is that of all beyond it. */
static char *nth_of(const char *list, size_t n)
{
	for (const char *comma; n > 0 && (comma = strchr(list, ',')); n--)
		list = comma + 1;
	return strndup(list, strcspn(list, ","));
}

static int add_names(const char *host, const char *port, const char *database, bool only_database,
		     struct cf_source_names *names, struct cf_err *err)
{
	int rc = cf_source_names_add(names, cf_pg_name(host, port, database), NULL, err);

	/* It may have been a backup of all of them. */
	return rc < 0 || only_database ? rc : cf_source_names_add(names, cf_pg_name(host, port, NULL), NULL, err);
}

static const char *value_of(const PQconninfoOption *options, const char *keyword)
{
	for (; options && options->keyword; options++)
		if (strcmp(options->keyword, keyword) == 0 && options->val)
			return options->val;
	return "";
}

/* Of several servers any may have been the one that answered. */
static int add_servers(const PQconninfoOption *options, const char *database, bool only_database,
		       struct cf_source_names *names, struct cf_err *err)
{
	const char *hosts = value_of(options, "host"), *ports = value_of(options, "port");
	size_t n = 1;
	int rc = 0;

	if (!hosts[0])
		hosts = value_of(options, "hostaddr");
	for (const char *at = hosts; *at; at++)
		n += *at == ',';
	for (size_t i = 0; rc == 0 && i < n; i++) {
		char *host = nth_of(hosts, i), *port = nth_of(ports, i);

		if (!host || !port)
			rc = cf_err_nomem(err);
		else /* what names no host is a socket here */
			rc = add_names(host[0] ? host : "/", port, database, only_database, names, err);
		free(host);
		free(port);
	}
	return rc;
}

int cf_pg_names(const char *target, struct cf_source_names *names, struct cf_err *err)
{
	PQconninfoOption *options = NULL;
	PGconn *conn = NULL;
	char *database = NULL;
	int rc = cf_pg_target_database(target, &database, err);

	if (rc == 0)
		rc = start_nothing(target, &conn, err);
	if (rc == 0) {
		options = PQconninfo(conn);
		/* No database: what was given could not be resolved, for want of the service that is named, say. */
		if (options && PQdb(conn) && PQdb(conn)[0])
			rc = add_servers(options, PQdb(conn), database != NULL, names, err);
	}
	PQconninfoFree(options);
	PQfinish(conn);
	free(database);
	return rc;
}
