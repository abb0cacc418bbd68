#include "drivers/mysql/client.h"

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/mysql/errors.h"
#include "drivers/mysql/session.h"
#include "drivers/mysql/url.h"

#include <assert.h>
#include <errno.h>
#include <mysql.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef MARIADB_PACKAGE_VERSION
typedef my_bool client_bool;
#else
typedef bool client_bool;
#endif

enum {
	CANCEL_POLL_MS = 100,
	KILL_TIMEOUT_S = 5,
	KEEPALIVE_IDLE_S = 60,
	KEEPALIVE_INTERVAL_S = 15,
	KEEPALIVE_PROBES = 4
};

struct load_source {
	cf_mysql_read_fn *read;
	void *user;
	struct cf_err *err;
	int rc;
};

struct cf_mysql {
	MYSQL *handle;
	const struct cf_mysql_url *url;
	const struct cf_ctx *ctx;
	char *server_name, *version;
	bool is_mariadb;
	bool waits;	/* a statement was sent and its answer has not come */
	bool abandoned; /* rows were still to come */
	bool broken;	/* the protocol's state is lost */
	unsigned error;
	char error_text[512];
	struct load_source *load; /* while LOAD DATA LOCAL runs */
};

struct cf_mysql_result {
	struct cf_mysql *my;
	MYSQL_RES *rows; /* NULL: a statement without rows */
	bool streams, ended;
};

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

/* mysql_init() does it, too, but not for two threads at once. */
static void init_library(void)
{
	mysql_library_init(0, NULL, NULL);
}

/* The client library's own errors: the connection is gone or was never there. */
static bool is_connection_error(unsigned error)
{
	return error >= 2000 && error < 3000;
}

static int fail(struct cf_mysql *my, struct cf_err *err)
{
	const char *server = my->server_name ? my->server_name : "mysql";

	my->error = mysql_errno(my->handle);
	snprintf(my->error_text, sizeof(my->error_text), "%s", mysql_error(my->handle));
	if (is_connection_error(my->error))
		my->broken = true;
	if (cf_ctx_check(my->ctx, err) < 0)
		return CF_ERR_CANCELED;
	return cf_err_set(err, cf_mysql_error_code(my->error), "%s: %s", server, my->error_text);
}

static int load_init(void **state_out, const char *file_name, void *user)
{
	*state_out = user;
	return ((struct cf_mysql *)user)->load ? 0 : 1;
}

static int load_read(void *state, char *out, unsigned len)
{
	struct load_source *load = ((struct cf_mysql *)state)->load;
	int64_t n = load->read(load->user, out, len, load->err);

	if (n < 0)
		load->rc = (int)n;
	return n < 0 ? -1 : (int)n;
}

static void load_end(void *state)
{
	(void)state;
}

static int load_error(void *state, char *text, unsigned len)
{
	(void)state;
	snprintf(text, len, "the data to load ended with an error");
	return 2000;
}

/* Where the server certainly is on this host, so that encryption protects from nobody. */
static bool is_local(const char *host)
{
	return !host || strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
	       strcmp(host, "::1") == 0;
}

/* Over a network connections are encrypted when the server can, and must be when the URL says so.
 */
static void set_tls(MYSQL *handle, const struct cf_mysql_url *url)
{
	bool enforce = url->ssl == 1 || url->ssl_ca || url->ssl_verify == 1;
	bool verify = url->ssl_verify == 1 || (url->ssl_ca && url->ssl_verify != 0);
	bool wanted = enforce || url->ssl_cert || (url->ssl != 0 && !is_local(cf_mysql_url_host(url)));

#ifdef MARIADB_PACKAGE_VERSION
	if (wanted)
		mysql_ssl_set(handle, url->ssl_key, url->ssl_cert, url->ssl_ca, NULL, NULL);
	if (enforce)
		mysql_options(handle, MYSQL_OPT_SSL_ENFORCE, &(my_bool){1});
	if (verify || url->ssl_verify == 0)
		mysql_options(handle, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &(my_bool){verify});
#else
	unsigned mode = verify	  ? SSL_MODE_VERIFY_IDENTITY
			: enforce ? SSL_MODE_REQUIRED
			: wanted  ? SSL_MODE_PREFERRED
				  : SSL_MODE_DISABLED;

	mysql_ssl_set(handle, url->ssl_key, url->ssl_cert, url->ssl_ca, NULL, NULL);
	mysql_options(handle, MYSQL_OPT_SSL_MODE, &mode);
#endif
}

static void set_options(struct cf_mysql *my, MYSQL *handle,
			const struct cf_mysql_connect_options *options, unsigned timeout_s)
{
	const struct cf_mysql_url *url = my->url;
	unsigned local = options->load_local;

	if (url->defaults_file)
		mysql_options(handle, MYSQL_READ_DEFAULT_FILE, url->defaults_file);
	mysql_options(handle, MYSQL_READ_DEFAULT_GROUP, "coffer");
	mysql_options(handle, MYSQL_OPT_CONNECT_TIMEOUT, &timeout_s);
	mysql_options(handle, MYSQL_OPT_LOCAL_INFILE, &local);
	mysql_options(handle, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	/* Else a port of this host is passed over for the socket. */
	if (url->port && is_local(url->host))
		mysql_options(handle, MYSQL_OPT_PROTOCOL, &(unsigned){MYSQL_PROTOCOL_TCP});
	mysql_options4(handle, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", options->program);
	set_tls(handle, url);
	mysql_set_local_infile_handler(handle, load_init, load_read, load_end, load_error, my);
}

static bool connect_handle(MYSQL *handle, const struct cf_mysql_url *url, const char *database)
{
	const char *password = NULL;

#ifndef MARIADB_PACKAGE_VERSION
	password = getenv("MYSQL_PWD"); /* the other library looks for itself */
#endif
	return mysql_real_connect(handle, cf_mysql_url_host(url), url->user, password, database, url->port,
				  url->socket, CLIENT_MULTI_RESULTS) != NULL;
}

static int socket_of(const struct cf_mysql *my)
{
#ifdef MARIADB_PACKAGE_VERSION
	return mysql_get_socket(my->handle);
#else
	return my->handle->net.fd;
#endif
}

/* A peer that vanished is noticed within minutes. */
static void keep_alive(int fd)
{
	const int on = 1, idle = KEEPALIVE_IDLE_S, interval = KEEPALIVE_INTERVAL_S,
		  probes = KEEPALIVE_PROBES;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

static int name_server(struct cf_mysql *my, struct cf_err *err)
{
	const char *info = mysql_get_host_info(my->handle), *via = strstr(info, " via ");
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof(address);
	char *port = NULL, *name = NULL;
	int rc = 0, n;

	getsockname(socket_of(my), (struct sockaddr *)&address, &len);
	if (address.ss_family == AF_UNIX) {
		/* Two servers of a host differ by their ports, or else by their sockets. */
		rc = cf_mysql_value(my, "SELECT IF(@@port > 0, @@port, @@socket)", &port, err);
		n = rc == 0 ? asprintf(&name, "[local]:%s", port ? port : "") : 0;
	} else {
		keep_alive(socket_of(my));
		n = asprintf(&name, strchr(info, ':') ? "[%.*s]:%u" : "%.*s:%u",
			     via ? (int)(via - info) : (int)strlen(info), info, my->handle->port);
	}
	free(port);
	if (rc < 0)
		return rc;
	if (n < 0)
		return cf_err_nomem(err);
	free(my->server_name);
	my->server_name = name;
	return 0;
}

static int learn_server(struct cf_mysql *my, struct cf_err *err)
{
	int rc = cf_mysql_value(my, "SELECT VERSION()", &my->version, err);

	if (rc == 0 && !my->version)
		rc = cf_err_set(err, CF_ERR_FAILED, "the server tells no version");
	if (rc == 0) {
		my->is_mariadb = strstr(my->version, "MariaDB") != NULL;
		rc = name_server(my, err);
	}
	return rc;
}

/* What is known of the server before it answers, for messages. */
static int name_target(struct cf_mysql *my, struct cf_err *err)
{
	const struct cf_mysql_url *url = my->url;
	const char *host = cf_mysql_url_host(url);
	int n;

	if (url->socket)
		n = asprintf(&my->server_name, "mysql server at %s", url->socket);
	else if (url->port)
		n = asprintf(&my->server_name, "mysql server %s:%u", host ? host : "localhost",
			     url->port);
	else
		n = asprintf(&my->server_name, "mysql server %s", host ? host : "localhost");
	if (n < 0) {
		my->server_name = NULL;
		return cf_err_nomem(err);
	}
	return 0;
}

static int check_defaults_file(const struct cf_mysql_url *url, struct cf_err *err)
{
	/* The library passes over one that is not there. */
	if (url->defaults_file && access(url->defaults_file, R_OK) != 0)
		return cf_err_errno(err, errno, "cannot read %s", url->defaults_file);
	return 0;
}

int cf_mysql_connect(const struct cf_mysql_url *url, const struct cf_mysql_connect_options *options,
		     const struct cf_ctx *ctx, struct cf_mysql **my_out, struct cf_err *err)
{
	struct cf_mysql *my;
	int rc = check_defaults_file(url, err);

	if (rc < 0)
		return rc;
	pthread_once(&library_once, init_library);
	my = calloc(1, sizeof(*my));
	if (!my)
		return cf_err_nomem(err);
	my->url = url;
	my->ctx = ctx;
	my->handle = mysql_init(NULL);
	if (!my->handle)
		rc = cf_err_nomem(err);
	if (rc == 0)
		rc = name_target(my, err);
	if (rc == 0) {
		set_options(my, my->handle, options, url->connect_timeout_s);
		if (!connect_handle(my->handle, url, options->database))
			rc = fail(my, err);
	}
	if (rc == 0)
		rc = cf_mysql_session_prepare(my, err);
	if (rc == 0)
		rc = learn_server(my, err);
	if (rc < 0)
		cf_mysql_close(my);
	else
		*my_out = my;
	return rc;
}

/* A server that waits for a lock, or computes, does not notice that its client has gone. */
static void kill_session(struct cf_mysql *my)
{
	const struct cf_mysql_connect_options options = {.program = "coffer"};
	MYSQL *other = mysql_init(NULL);
	char sql[64];

	if (!other)
		return;
	set_options(my, other, &options, KILL_TIMEOUT_S);
	snprintf(sql, sizeof(sql), "KILL %lu", mysql_thread_id(my->handle));
	if (connect_handle(other, my->url, NULL))
		mysql_query(other, sql);
	mysql_close(other);
}

void cf_mysql_close(struct cf_mysql *my)
{
	if (!my)
		return;
	if (my->waits || my->abandoned)
		kill_session(my);
	/* Else the library would wait for what is still to come. */
	if (my->waits || my->broken)
		shutdown(socket_of(my), SHUT_RDWR);
	if (my->handle)
		mysql_close(my->handle);
	free(my->server_name);
	free(my->version);
	free(my);
}

const char *cf_mysql_server_name(const struct cf_mysql *my)
{
	return my->server_name;
}

bool cf_mysql_is_mariadb(const struct cf_mysql *my)
{
	return my->is_mariadb;
}

unsigned long cf_mysql_version(const struct cf_mysql *my)
{
	return mysql_get_server_version(my->handle);
}

bool cf_mysql_has_database_comments(const struct cf_mysql *my)
{
	return my->is_mariadb && cf_mysql_version(my) >= 100500;
}

const char *cf_mysql_version_text(const struct cf_mysql *my)
{
	return my->version;
}

unsigned cf_mysql_errno(const struct cf_mysql *my)
{
	return my->error;
}

const char *cf_mysql_error_text(const struct cf_mysql *my)
{
	return my->error_text;
}

bool cf_mysql_is_broken(const struct cf_mysql *my)
{
	return my->broken;
}

unsigned cf_mysql_warning_count(const struct cf_mysql *my)
{
	return mysql_warning_count(my->handle);
}

uint64_t cf_mysql_affected_rows(const struct cf_mysql *my)
{
	return mysql_affected_rows(my->handle);
}

/* Until the server answers, or ctx asks to stop. */
static int wait_for_answer(struct cf_mysql *my, struct cf_err *err)
{
	struct pollfd waited = {.fd = socket_of(my), .events = POLLIN};
	int rc = cf_ctx_check(my->ctx, err);

	while (rc == 0 && poll(&waited, 1, CANCEL_POLL_MS) == 0)
		rc = cf_ctx_check(my->ctx, err);
	return rc;
}

static int send_statement(struct cf_mysql *my, const char *sql, size_t len, struct cf_err *err)
{
	int rc;

	my->error = 0;
	my->error_text[0] = '\0';
	if (my->broken || my->waits)
		return cf_err_set(err, CF_ERR_FAILED, "%s: the connection is gone",
				  my->server_name);
	if (mysql_send_query(my->handle, sql, (unsigned long)len) != 0)
		return fail(my, err);
	my->waits = true;
	rc = wait_for_answer(my, err);
	if (rc < 0)
		return rc;
	rc = mysql_read_query_result(my->handle) != 0 ? fail(my, err) : 0;
	my->waits = false;
	return rc;
}

/* A CALL, say, gives several results. */
static int skip_results(struct cf_mysql *my, struct cf_err *err)
{
	/* Asking for one that is not there would forget the affected rows. */
	while (mysql_more_results(my->handle)) {
		if (mysql_next_result(my->handle) > 0)
			return fail(my, err);
		mysql_free_result(mysql_store_result(my->handle));
	}
	return 0;
}

int cf_mysql_run_span(struct cf_mysql *my, struct cf_span sql, struct cf_err *err)
{
	int rc = send_statement(my, (const char *)sql.data, sql.len, err);

	if (rc < 0)
		return rc;
	if (mysql_field_count(my->handle) > 0) {
		MYSQL_RES *rows = mysql_store_result(my->handle);

		if (!rows)
			return fail(my, err);
		mysql_free_result(rows);
	}
	return skip_results(my, err);
}

int cf_mysql_run(struct cf_mysql *my, const char *sql, struct cf_err *err)
{
	return cf_mysql_run_span(my, cf_span_str(sql), err);
}

int cf_mysql_runf(struct cf_mysql *my, struct cf_err *err, const char *fmt, ...)
{
	char *sql = NULL;
	va_list args;
	int rc, len;

	va_start(args, fmt);
	len = vasprintf(&sql, fmt, args);
	va_end(args);
	if (len < 0)
		return cf_err_nomem(err);
	rc = cf_mysql_run_span(my, cf_span_of(sql, (size_t)len), err);
	free(sql);
	return rc;
}

static int begin_result(struct cf_mysql *my, const char *sql, bool streams,
			struct cf_mysql_result **result_out, struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	int rc = send_statement(my, sql, strlen(sql), err);

	if (rc < 0)
		return rc;
	result = calloc(1, sizeof(*result));
	if (!result) {
		my->broken = true;
		return cf_err_nomem(err);
	}
	result->my = my;
	result->streams = streams;
	if (mysql_field_count(my->handle) > 0) {
		result->rows =
			streams ? mysql_use_result(my->handle) : mysql_store_result(my->handle);
		if (!result->rows) {
			free(result);
			return fail(my, err);
		}
	}
	*result_out = result;
	return 0;
}

int cf_mysql_query(struct cf_mysql *my, const char *sql, struct cf_mysql_result **result_out,
		   struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	int rc = begin_result(my, sql, false, &result, err);

	if (rc == 0)
		rc = skip_results(my, err);
	if (rc == 0)
		*result_out = result;
	else
		cf_mysql_result_free(result);
	return rc;
}

int cf_mysql_stream(struct cf_mysql *my, const char *sql, struct cf_mysql_result **result_out,
		    struct cf_err *err)
{
	return begin_result(my, sql, true, result_out, err);
}

int cf_mysql_value(struct cf_mysql *my, const char *sql, char **value_out, struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_query(my, sql, &result, err);

	*value_out = NULL;
	if (rc == 0)
		rc = cf_mysql_fetch(result, &row, err);
	if (rc > 0 && row.values[0]) {
		*value_out = strdup(row.values[0]);
		rc = *value_out ? 0 : cf_err_nomem(err);
	}
	cf_mysql_result_free(result);
	return rc < 0 ? rc : 0;
}

int cf_mysql_fetch(struct cf_mysql_result *result, struct cf_mysql_row *row_out, struct cf_err *err)
{
	MYSQL_ROW row = result->rows ? mysql_fetch_row(result->rows) : NULL;

	if (row) {
		row_out->values = (const char *const *)row;
		row_out->lengths = mysql_fetch_lengths(result->rows);
		return 1;
	}
	/* The end and a failure look alike. */
	if (result->streams && !result->ended && mysql_errno(result->my->handle) != 0)
		return fail(result->my, err);
	result->ended = true;
	return 0;
}

unsigned cf_mysql_n_columns(const struct cf_mysql_result *result)
{
	return result->rows ? mysql_num_fields(result->rows) : 0;
}

int cf_mysql_column(const struct cf_mysql_result *result, const char *name)
{
	const MYSQL_FIELD *fields = result->rows ? mysql_fetch_fields(result->rows) : NULL;
	unsigned n = cf_mysql_n_columns(result);

	for (unsigned i = 0; i < n; i++)
		if (strcmp(fields[i].name, name) == 0)
			return (int)i;
	return -1;
}

uint64_t cf_mysql_n_rows(const struct cf_mysql_result *result)
{
	assert(!result->streams);
	return result->rows ? mysql_num_rows(result->rows) : 0;
}

void cf_mysql_result_free(struct cf_mysql_result *result)
{
	if (!result)
		return;
	if (result->streams && !result->ended && result->rows) {
		/* Freeing it would read all that is still to come. */
		shutdown(socket_of(result->my), SHUT_RDWR);
		result->my->abandoned = true;
		result->my->broken = true;
	}
	if (result->rows)
		mysql_free_result(result->rows);
	free(result);
}

int cf_mysql_load_local(struct cf_mysql *my, const char *sql, cf_mysql_read_fn *read, void *user,
			struct cf_err *err)
{
	struct cf_err read_err = CF_ERR_INIT;
	struct load_source load = {.read = read, .user = user, .err = &read_err};
	int rc;

	my->load = &load;
	rc = cf_mysql_run(my, sql, err);
	my->load = NULL;
	if (load.rc < 0) {
		if (err)
			*err = read_err;
		return load.rc;
	}
	return rc;
}
