#include "drivers/mysql/url.h"

#include "base/buf.h"
#include "base/err.h"
#include "drivers/source_names.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_TIMEOUT_S = 20, CONNECT_TIMEOUT_MAX_S = 3600, PORT_DEFAULT = 3306 };

void cf_mysql_url_release(struct cf_mysql_url *url)
{
	char **const texts[] = {&url->user,   &url->host,     &url->socket, &url->defaults_file,
				&url->ssl_ca, &url->ssl_cert, &url->ssl_key};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free(*texts[i]);
	for (size_t i = 0; i < url->n_databases; i++)
		free(url->databases[i]);
	free(url->databases);
	*url = (struct cf_mysql_url){.ssl = -1, .ssl_verify = -1};
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* *text_out replaces what was there; an option given twice means the last. */
static int unescape(const char *from, size_t len, char **text_out, struct cf_err *err)
{
	char *text = malloc(len + 1);
	size_t n = 0;

	if (!text)
		return cf_err_nomem(err);
	for (size_t i = 0; i < len; i++) {
		int high = 0, low = 0;

		if (from[i] != '%') {
			text[n++] = from[i];
			continue;
		}
		if (len - i > 2) {
			high = hex_value(from[i + 1]);
			low = hex_value(from[i + 2]);
		}
		if (len - i <= 2 || high < 0 || low < 0 || high + low == 0) {
			free(text);
			return cf_err_set(err, CF_ERR_USAGE,
					  "mysql: '%%' in '%.*s' needs two hex digits behind it",
					  (int)len, from);
		}
		text[n++] = (char)(high << 4 | low);
		i += 2;
	}
	text[n] = '\0';
	free(*text_out);
	*text_out = text;
	return 0;
}

static int parse_number(const char *what, const char *text, size_t len, unsigned max,
			unsigned *value_out, struct cf_err *err)
{
	unsigned value = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || value > max)
			return cf_err_set(err, CF_ERR_USAGE, "mysql: '%.*s' is no %s", (int)len,
					  text, what);
		value = value * 10 + (unsigned)(text[i] - '0');
	}
	if (value == 0 || value > max)
		return cf_err_set(err, CF_ERR_USAGE, "mysql: '%.*s' is no %s", (int)len, text,
				  what);
	*value_out = value;
	return 0;
}

static int parse_user(const char *text, size_t len, struct cf_mysql_url *url, struct cf_err *err)
{
	/* The text is not shown: it holds the password. */
	if (memchr(text, ':', len))
		return cf_err_set(err, CF_ERR_USAGE,
				  "mysql: a password in a source is seen by every user: put it "
				  "into MYSQL_PWD, ~/.my.cnf or ?defaults-file=");
	if (len == 0)
		return cf_err_set(err, CF_ERR_USAGE, "mysql: no user before '@'");
	return unescape(text, len, &url->user, err);
}

static int parse_host(const char *text, size_t len, struct cf_mysql_url *url, struct cf_err *err)
{
	const char *end = text + len, *host = text, *host_end;
	int rc = 0;

	if (len > 0 && text[0] == '[') { /* an IPv6 address */
		host = text + 1;
		host_end = memchr(host, ']', (size_t)(end - host));
		if (!host_end)
			return cf_err_set(err, CF_ERR_USAGE, "mysql: no ']' in '%.*s'", (int)len,
					  text);
		text = host_end + 1;
	} else {
		host_end = memchr(text, ':', len);
		if (!host_end)
			host_end = end;
		text = host_end;
	}
	if (host_end > host)
		rc = unescape(host, (size_t)(host_end - host), &url->host, err);
	if (rc == 0 && text < end && *text != ':')
		rc = cf_err_set(err, CF_ERR_USAGE, "mysql: '%.*s' behind the host is no port",
				(int)(end - text), text);
	if (rc == 0 && text < end)
		rc = parse_number("port", text + 1, (size_t)(end - text - 1), 65535, &url->port,
				  err);
	return rc;
}

static int parse_databases(const char *text, size_t len, struct cf_mysql_url *url,
			   struct cf_err *err)
{
	const char *end = text + len;
	int rc = 0;

	if (len == 0)
		return 0;
	url->databases = calloc(len, sizeof(*url->databases)); /* more than commas */
	if (!url->databases)
		return cf_err_nomem(err);
	for (const char *next; rc == 0 && text <= end; text = next + 1) {
		next = memchr(text, ',', (size_t)(end - text));
		if (!next)
			next = end;
		if (next == text)
			return cf_err_set(err, CF_ERR_USAGE, "mysql: an empty database name");
		rc = unescape(text, (size_t)(next - text), &url->databases[url->n_databases], err);
		if (rc == 0)
			url->n_databases++;
	}
	return rc;
}

static int parse_switch(const char *name, const char *value, size_t len, int *out,
			struct cf_err *err)
{
	if (len != 1 || (*value != '0' && *value != '1'))
		return cf_err_set(err, CF_ERR_USAGE, "mysql: %s is 0 or 1", name);
	*out = *value - '0';
	return 0;
}

static int parse_option(const char *text, size_t len, struct cf_mysql_url *url, struct cf_err *err)
{
	const struct {
		const char *name;
		char **text;
		int *on;
	} options[] = {
		{"socket", &url->socket, NULL},
		{"defaults-file", &url->defaults_file, NULL},
		{"ssl-ca", &url->ssl_ca, NULL},
		{"ssl-cert", &url->ssl_cert, NULL},
		{"ssl-key", &url->ssl_key, NULL},
		{"ssl", NULL, &url->ssl},
		{"ssl-verify-server-cert", NULL, &url->ssl_verify},
		{"connect-timeout", NULL, NULL},
	};
	const char *value = memchr(text, '=', len);
	size_t name_len = value ? (size_t)(value - text) : len;
	size_t value_len = value ? len - name_len - 1 : 0;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (strlen(options[i].name) != name_len ||
		    memcmp(options[i].name, text, name_len) != 0)
			continue;
		if (value_len == 0)
			return cf_err_set(err, CF_ERR_USAGE, "mysql: %s needs a value",
					  options[i].name);
		if (options[i].text)
			return unescape(value + 1, value_len, options[i].text, err);
		if (options[i].on)
			return parse_switch(options[i].name, value + 1, value_len, options[i].on,
					    err);
		return parse_number("connect-timeout", value + 1, value_len, CONNECT_TIMEOUT_MAX_S,
				    &url->connect_timeout_s, err);
	}
	if (name_len == strlen("password") && memcmp(text, "password", name_len) == 0)
		return cf_err_set(err, CF_ERR_USAGE,
				  "mysql: a password in a source is seen by every user: put it "
				  "into MYSQL_PWD, ~/.my.cnf or ?defaults-file=");
	return cf_err_set(err, CF_ERR_USAGE, "mysql: unknown option '%.*s'", (int)name_len, text);
}

static int parse_options(const char *text, struct cf_mysql_url *url, struct cf_err *err)
{
	int rc = 0;

	while (rc == 0 && *text) {
		size_t len = strcspn(text, "&");

		if (len > 0)
			rc = parse_option(text, len, url, err);
		text += len + (text[len] == '&');
	}
	return rc;
}

int cf_mysql_url_parse(const char *rest, struct cf_mysql_url *url, struct cf_err *err)
{
	const char *path, *query, *at = NULL;
	int rc = 0;

	*url = (struct cf_mysql_url){.ssl = -1, .ssl_verify = -1};
	url->connect_timeout_s = CONNECT_TIMEOUT_S;
	if (strncmp(rest, "//", 2) != 0)
		return cf_err_set(err, CF_ERR_USAGE,
				  "mysql: needs a server: mysql://[USER@][HOST][:PORT]/[DATABASE]");
	rest += 2;
	query = rest + strcspn(rest, "?");
	/* A password may hold '/' and '@': the last '@' before the options ends it. */
	for (const char *p = rest; p < query; p++)
		if (*p == '@')
			at = p;
	path = at && memchr(rest, ':', (size_t)(at - rest)) ? at : rest;
	path += strcspn(path, "/?");
	if (at && at < path) {
		rc = parse_user(rest, (size_t)(at - rest), url, err);
		rest = at + 1;
	}
	if (rc == 0)
		rc = parse_host(rest, (size_t)(path - rest), url, err);
	if (rc == 0 && *path == '/')
		rc = parse_databases(path + 1, (size_t)(query - path - 1), url, err);
	if (rc == 0 && *query == '?')
		rc = parse_options(query + 1, url, err);
	if (rc == 0 && url->socket &&
	    (url->port || (url->host && strcmp(url->host, "localhost") != 0)))
		rc = cf_err_set(err, CF_ERR_USAGE,
				"mysql: a socket is on this host: no host and no port");
	return rc;
}

const char *cf_mysql_url_host(const struct cf_mysql_url *url)
{
	if (url->socket)
		return "localhost";
	return url->host || url->defaults_file ? url->host : getenv("MYSQL_HOST");
}

/* "/a,b" of the databases, "" of none. */
static char *databases_of(const struct cf_mysql_url *url)
{
	struct cf_buf text = CF_BUF_INIT;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < url->n_databases; i++)
		rc = cf_buf_printf(&text, NULL, "%c%s", i ? ',' : '/', url->databases[i]);
	if (rc == 0)
		rc = cf_buf_append(&text, "", 1, NULL);
	if (rc == 0)
		return (char *)text.data;
	cf_buf_release(&text);
	return NULL;
}

char *cf_mysql_url_name(const char *server, const struct cf_mysql_url *url)
{
	char *databases = databases_of(url), *name = NULL;

	if (databases && asprintf(&name, "mysql://%s%s", server, databases) < 0)
		name = NULL;
	free(databases);
	return name;
}

/* By the server's port, which it alone knows, or by the socket when it has no port. */
static int add_local(const struct cf_mysql_url *url, struct cf_source_names *names, struct cf_err *err)
{
	char *databases = databases_of(url), *server = NULL;
	int rc;

	if (!databases)
		return cf_err_nomem(err);
	rc = cf_source_names_add(names, strdup("mysql://[local]:"), databases, err);
	if (rc < 0 || !url->socket)
		return rc;
	if (asprintf(&server, "[local]:%s", url->socket) < 0)
		return cf_err_nomem(err);
	rc = cf_source_names_add(names, cf_mysql_url_name(server, url), NULL, err);
	free(server);
	return rc;
}

static unsigned port_of(const struct cf_mysql_url *url)
{
	const char *given = getenv("MYSQL_TCP_PORT");
	unsigned port = PORT_DEFAULT;

	if (url->port)
		return url->port;
	return given && parse_number("port", given, strlen(given), 65535, &port, NULL) == 0 ? port : PORT_DEFAULT;
}

static int add_remote(const char *host, const struct cf_mysql_url *url, struct cf_source_names *names, struct cf_err *err)
{
	char *server = NULL;
	int rc;

	if (asprintf(&server, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port_of(url)) < 0)
		return cf_err_nomem(err);
	rc = cf_source_names_add(names, cf_mysql_url_name(server, url), NULL, err);
	free(server);
	return rc;
}

int cf_mysql_url_names(const char *rest, struct cf_source_names *names, struct cf_err *err)
{
	struct cf_mysql_url url;
	int rc = cf_mysql_url_parse(rest, &url, err);
	const char *host = rc == 0 ? cf_mysql_url_host(&url) : NULL;

	if (rc == 0 && !url.port && (!host || strcmp(host, "localhost") == 0))
		rc = add_local(&url, names, err);
	else if (rc == 0)
		rc = add_remote(host ? host : "localhost", &url, names, err);
	cf_mysql_url_release(&url);
	return rc;
}
