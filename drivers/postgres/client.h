#ifndef CF_DRIVERS_POSTGRES_CLIENT_H
#define CF_DRIVERS_POSTGRES_CLIENT_H

/*
 * Connections to a PostgreSQL server: the one module that knows libpq, and translates its errors.
 *
 * Text goes both ways in UTF-8, whatever the database's encoding is: names fit into messages and documents. Only a
 * SQL_ASCII database, which has none, gives and takes bytes as they are, and where another encoding is asked for, because
 * not all there is has an equivalent in UTF-8. Data that must keep its bytes is copied with COPY's own ENCODING option.
 *
 * Every wait looks about ten times a second whether to stop (ctx, options.stop), and gives up with
 * CF_ERR_CANCELED. One thread per connection.
 *
 * Errors a caller may act on: CF_ERR_ACCESS (a right is missing), CF_ERR_BUSY (a lock cannot be had),
 * CF_ERR_NOT_FOUND and CF_ERR_EXISTS (of the object a statement names), CF_ERR_FULL; finer by
 * cf_pg_sqlstate(). The server's message is the text; who calls says about what.
 */

#include "base/buf.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct cf_ctx;
struct cf_err;
struct cf_pg;
struct cf_pg_rows;
struct cf_source_names;

#define CF_PG_ENCODING_MAX 64

struct cf_pg_options {
	const char *application; /* application_name; NULL: "coffer" */
	const char *database;    /* NULL, or this one instead of the one that is named */
	const char *fallback_database; /* NULL, or where nothing names one, instead of the user's */
	const atomic_int *stop; /* NULL, or: non-zero gives up, as ctx's cancel does */
	const char *encoding; /* NULL: UTF8 */
};

/*
 * Check what a user wrote behind "postgres:" without connecting: "//HOST/DB?..." is a URI, "KEY=VALUE ..." a connection string,
 * "" leaves all to the PG* variables. CF_ERR_USAGE: not understood, or with a password in it.
 */
int cf_pg_check_target(const char *target, struct cf_err *err);

/* The database that target itself names, to free(); NULL when it leaves that to PG* variables or defaults. */
int cf_pg_target_database(const char *target, char **database_out, struct cf_err *err);

/* What a source is called: "postgres://HOST:PORT/DATABASE", without a database all of them. NULL: no memory. */
char *cf_pg_name(const char *host, const char *port, const char *database);
bool cf_pg_host_is_local(const char *host); /* a socket of this host */
/* Every name that a backup of target may have, without connecting; none when it cannot be resolved. CF_ERR_USAGE. */
int cf_pg_names(const char *target, struct cf_source_names *names, struct cf_err *err);

/* Connect as target says (see above). ctx and options.stop are borrowed until cf_pg_close(). */
int cf_pg_connect(const char *target, const struct cf_pg_options *options, const struct cf_ctx *ctx,
		  struct cf_pg **pg_out, struct cf_err *err);

/* Another connection to the same server, the very one where target names several, as the same user, and in the encoding that
 * pg has unless options say another. */
int cf_pg_connect_again(struct cf_pg *pg, const struct cf_pg_options *options, const struct cf_ctx *ctx,
			struct cf_pg **pg_out, struct cf_err *err);

/* From here on, and of connections made of this one, too. */
int cf_pg_speak(struct cf_pg *pg, const char *encoding, struct cf_err *err);
/* Names of databases and roles are bytes that are the same in databases of all encodings: those, or UTF-8 again. */
int cf_pg_speak_bytes(struct cf_pg *pg, bool bytes, struct cf_err *err);

/* Ends a running statement on the server, too. */
void cf_pg_close(struct cf_pg *pg);

/* As connected, valid until it closes. The host is a name, an address or the folder of a socket. */
const char *cf_pg_host(struct cf_pg *pg);
const char *cf_pg_port(struct cf_pg *pg);
const char *cf_pg_user(struct cf_pg *pg);
const char *cf_pg_database(struct cf_pg *pg);
bool cf_pg_is_local(struct cf_pg *pg); /* through a socket of this host */
/* 150020 for 15.20. */
int cf_pg_server_version(struct cf_pg *pg);
/* A setting that the server reports unasked ("server_encoding"), or NULL. */
const char *cf_pg_parameter(struct cf_pg *pg, const char *name);

/* What a client program needs in its environment to reach the same database: "PGHOST=..." and so on, the password
 * among them, ended by NULL. Free with cf_pg_environment_free(), which wipes it. database as in the options. */
int cf_pg_environment(struct cf_pg *pg, const char *database, char ***environment_out, struct cf_err *err);
void cf_pg_environment_free(char **environment);

/* Set several settings at once; those this server does not know are left out. Pairs of name and value. */
struct cf_pg_setting {
	const char *name, *value;
};
int cf_pg_configure(struct cf_pg *pg, const struct cf_pg_setting *settings, size_t n, struct cf_err *err);

/* One or more statements; rows are thrown away. */
int cf_pg_exec(struct cf_pg *pg, const char *sql, struct cf_err *err);
/* The same, of a format. Identifiers and literals: see cf_pg_append_identifier(). */
int cf_pg_execf(struct cf_pg *pg, struct cf_err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* One statement with rows. values: n_values parameters $1..., as text, NULL for null. */
int cf_pg_query(struct cf_pg *pg, const char *sql, const char *const *values, size_t n_values,
		struct cf_pg_rows **rows_out, struct cf_err *err);
/* The only value of the only row, as a copy to free(); NULL when it is null. No row is CF_ERR_NOT_FOUND. */
int cf_pg_query_text(struct cf_pg *pg, const char *sql, const char *const *values, size_t n_values,
		     char **text_out, struct cf_err *err);

/* The same with values in binary: of bytea the bytes as they are (cf_pg_value, cf_pg_value_len). */
int cf_pg_query_binary(struct cf_pg *pg, const char *sql, const char *const *values, size_t n_values,
		       struct cf_pg_rows **rows_out, struct cf_err *err);

size_t cf_pg_rows_count(const struct cf_pg_rows *rows);
/* Valid until the rows are freed; NULL when null. */
const char *cf_pg_value(const struct cf_pg_rows *rows, size_t row, size_t column);
size_t cf_pg_value_len(const struct cf_pg_rows *rows, size_t row, size_t column);
bool cf_pg_value_bool(const struct cf_pg_rows *rows, size_t row, size_t column);
uint64_t cf_pg_value_number(const struct cf_pg_rows *rows, size_t row, size_t column); /* null: 0 */
void cf_pg_rows_free(struct cf_pg_rows *rows);
/* Five characters, "" when the last call on pg did not fail at the server. */
const char *cf_pg_sqlstate(const struct cf_pg *pg);
/* The last call failed because a text has no equivalent in another encoding, or is none at all. */
bool cf_pg_is_untold(const struct cf_pg *pg);

/* Called with whole rows, several at a time, borrowed for the call. Non-zero stops: the caller gets it back. */
typedef int cf_pg_take_fn(void *user, struct cf_span data, struct cf_err *err);

/* COPY ... TO STDOUT. CF_ERR_FAILED also when the server counts other rows than came. */
int cf_pg_copy_out(struct cf_pg *pg, const char *sql, cf_pg_take_fn *take, void *user,
		   uint64_t *rows_out, struct cf_err *err);

/* COPY ... FROM STDIN: begin, put any pieces, end. Once begun it is ended, or the connection closed.
 * A failing put has not ended it: the end says what the server had against it. */
int cf_pg_copy_in_begin(struct cf_pg *pg, const char *sql, struct cf_err *err);
int cf_pg_copy_in_put(struct cf_pg *pg, struct cf_span data, struct cf_err *err);
/* reason: NULL to complete it, or why to abandon it (then the server's error about it is no failure here). */
int cf_pg_copy_in_end(struct cf_pg *pg, const char *reason, uint64_t *rows_out, struct cf_err *err);

/* Append quoted, as SQL. */
int cf_pg_append_identifier(struct cf_pg *pg, const char *name, struct cf_buf *out, struct cf_err *err);
int cf_pg_append_qualified(struct cf_pg *pg, const char *schema, const char *name, struct cf_buf *out,
			   struct cf_err *err);
int cf_pg_append_literal(struct cf_pg *pg, const char *text, struct cf_buf *out, struct cf_err *err);

#endif
