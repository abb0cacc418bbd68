#ifndef CF_DRIVERS_MYSQL_URL_H
#define CF_DRIVERS_MYSQL_URL_H

/*
 * Which server a source or a target means, and how to reach it:
 *
 *     //[USER@][HOST][:PORT]/[DATABASE[,DATABASE...]][?OPTION=VALUE[&...]]
 *
 * Options: socket, defaults-file, ssl, ssl-ca, ssl-cert, ssl-key, ssl-verify-server-cert,
 * connect-timeout. Names are percent-encoded where they hold a character that means something here.
 * What is not said comes from where the server's own clients take it: option files ([client] and
 * others), MYSQL_HOST, MYSQL_TCP_PORT, MYSQL_UNIX_PORT, MYSQL_PWD.
 */

#include <stdbool.h>
#include <stddef.h>

struct cf_err;
struct cf_source_names;

struct cf_mysql_url {
	char *user, *host; /* NULL: not said */
	unsigned port;	   /* 0: not said */
	char *socket, *defaults_file;
	char *ssl_ca, *ssl_cert, *ssl_key;
	int ssl, ssl_verify; /* -1: not said */
	unsigned connect_timeout_s;
	char **databases;
	size_t n_databases;
};

/*
 * rest is the text behind "mysql:". CF_ERR_USAGE when it makes no sense, or holds a password: every
 * user of the machine sees arguments. *url is filled anew and released by the caller also after an
 * error.
 */
int cf_mysql_url_parse(const char *rest, struct cf_mysql_url *url, struct cf_err *err);
void cf_mysql_url_release(struct cf_mysql_url *url);

/* What neither the URL nor an option file says comes from the environment, as with the server's own client. NULL: this host. */
const char *cf_mysql_url_host(const struct cf_mysql_url *url);

/* What a source is called: "mysql://SERVER/a,b", without databases the server. NULL: no memory. */
char *cf_mysql_url_name(const char *server, const struct cf_mysql_url *url);
/* Every name that a backup of rest may have, as far as no option file says more. CF_ERR_USAGE. */
int cf_mysql_url_names(const char *rest, struct cf_source_names *names, struct cf_err *err);

#endif
