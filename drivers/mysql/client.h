#ifndef CF_DRIVERS_MYSQL_CLIENT_H
#define CF_DRIVERS_MYSQL_CLIENT_H

/*
 * Sessions with a MySQL or MariaDB server: the one module that knows the client library (MariaDB
 * Connector/C or libmysqlclient) and translates its errors.
 *
 * A session belongs to one thread at a time. Waiting for an answer ends within a fraction of a
 * second once ctx asks to stop. Errors: CF_ERR_ACCESS (refused, no right), CF_ERR_NOT_FOUND (no
 * such database, table), CF_ERR_EXISTS, CF_ERR_BUSY (a lock that could not be had),
 * CF_ERR_CANCELED, else CF_ERR_FAILED; cf_mysql_errno() tells more.
 */

#include "base/buf.h"
#include "drivers/mysql/quote.h"

#include <stdbool.h>

struct cf_ctx;
struct cf_err;
struct cf_mysql;
struct cf_mysql_result;
struct cf_mysql_url;

/* The servers' error numbers that callers branch on. */
enum cf_mysql_errno {
	CF_MYSQL_DB_EXISTS = 1007,
	CF_MYSQL_DB_ACCESS_DENIED = 1044,
	CF_MYSQL_UNKNOWN_DATABASE = 1049,
	CF_MYSQL_UNKNOWN_COLUMN = 1054,
	CF_MYSQL_SYNTAX = 1064,
	CF_MYSQL_NO_SUCH_ACCOUNT = 1133,
	CF_MYSQL_NO_SUCH_GRANT = 1141,
	CF_MYSQL_ACCESS_DENIED = 1142,
	CF_MYSQL_NO_SUCH_TABLE = 1146,
	CF_MYSQL_NOT_ALLOWED_COMMAND = 1148, /* LOAD DATA LOCAL refused by the server */
	CF_MYSQL_UNKNOWN_VARIABLE = 1193,
	CF_MYSQL_LOCK_WAIT_TIMEOUT = 1205,
	CF_MYSQL_NO_PRIVILEGE = 1227,
	CF_MYSQL_NO_SUCH_ROUTINE = 1305,
	CF_MYSQL_VIEW_INVALID = 1356,
	CF_MYSQL_NO_SUCH_TRIGGER = 1360,
	CF_MYSQL_ROUTINE_DENIED = 1370,
	CF_MYSQL_TABLE_DEF_CHANGED = 1412,
	CF_MYSQL_UNSAFE_ROUTINE = 1418,	   /* for the binary log */
	CF_MYSQL_UNSAFE_NEEDS_SUPER = 1419, /* the same */
	CF_MYSQL_NO_SUCH_DEFINER = 1449,
	CF_MYSQL_SERVER_EXISTS = 1476, /* of CREATE SERVER */
	CF_MYSQL_SKIPPED_TABLE = 1684, /* a warning of information_schema */
	CF_MYSQL_BACKUP_LOCK_ACTIVE = 4145,
	CF_MYSQL_NO_SUCH_EVENT = 1539,
	CF_MYSQL_LOCAL_INFILE_DISABLED = 3948, /* MySQL 8: the same */
	CF_MYSQL_NO_SUCH_SEQUENCE = 4091,
	CF_MYSQL_LOAD_INFILE_DISABLED = 4166 /* MariaDB: the same */
};

struct cf_mysql_connect_options {
	const char *database; /* NULL: none; the databases of the URL are not looked at */
	const char *program;  /* as the server lists the session: "coffer backup" */
	bool load_local;      /* cf_mysql_load_local() will be used */
};

/* url is borrowed as long as the session lives, which begins as drivers/mysql/session.h says. */
int cf_mysql_connect(const struct cf_mysql_url *url, const struct cf_mysql_connect_options *options,
		     const struct cf_ctx *ctx, struct cf_mysql **my_out, struct cf_err *err);

/* Ends the session on the server also while it works for us. NULL is harmless. */
void cf_mysql_close(struct cf_mysql *my);

/* "db.example.org:3306", or "[local]:3306" over a socket: for messages and names. */
const char *cf_mysql_server_name(const struct cf_mysql *my);
bool cf_mysql_is_mariadb(const struct cf_mysql *my);
/* 101119 for 10.11.19. */
unsigned long cf_mysql_version(const struct cf_mysql *my);
bool cf_mysql_has_database_comments(const struct cf_mysql *my);
const char *cf_mysql_version_text(const struct cf_mysql *my);
/* Of the last call that failed: the server's or the library's error number; 0 when it succeeded. */
unsigned cf_mysql_errno(const struct cf_mysql *my);
/* The message of the last failed call, without context. */
const char *cf_mysql_error_text(const struct cf_mysql *my);
/* No statement can be run any more. */
bool cf_mysql_is_broken(const struct cf_mysql *my);
/* Of the last statement. */
unsigned cf_mysql_warning_count(const struct cf_mysql *my);
uint64_t cf_mysql_affected_rows(const struct cf_mysql *my);

/* Statements whose rows, if any, nobody wants. */
int cf_mysql_run(struct cf_mysql *my, const char *sql, struct cf_err *err);
int cf_mysql_runf(struct cf_mysql *my, struct cf_err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int cf_mysql_run_span(struct cf_mysql *my, struct cf_span sql, struct cf_err *err);

/* All rows at once. A statement without rows gives a result with no columns. */
int cf_mysql_query(struct cf_mysql *my, const char *sql, struct cf_mysql_result **result_out,
		   struct cf_err *err);
/* Row by row as the server sends them. Until the result is freed nothing else runs in the session.
 */
int cf_mysql_stream(struct cf_mysql *my, const char *sql, struct cf_mysql_result **result_out,
		    struct cf_err *err);
/* The first column of the first row as text, or NULL in *value_out when it is NULL or there is no
 * row; free() it. */
int cf_mysql_value(struct cf_mysql *my, const char *sql, char **value_out, struct cf_err *err);

/* A row's values, valid until the next one. NULL is SQL's NULL; every value is followed by a NUL.
 */
struct cf_mysql_row {
	const char *const *values;
	const unsigned long *lengths;
};

/* 1 and a row, 0 behind the last, or an error. */
int cf_mysql_fetch(struct cf_mysql_result *result, struct cf_mysql_row *row_out,
		   struct cf_err *err);
unsigned cf_mysql_n_columns(const struct cf_mysql_result *result);
/* The number of a column of this name, or -1. */
int cf_mysql_column(const struct cf_mysql_result *result, const char *name);
/* Rows of cf_mysql_query. */
uint64_t cf_mysql_n_rows(const struct cf_mysql_result *result);
/* A streamed result that was not read to its end takes the session with it: the next statement
 * fails. */
void cf_mysql_result_free(struct cf_mysql_result *result);

/* Called for the next bytes of what is loaded: how many were put into out, 0 at the end, or an
 * error. */
typedef int64_t cf_mysql_read_fn(void *user, void *out, size_t len, struct cf_err *err);

/*
 * A LOAD DATA LOCAL INFILE statement, whatever file it names: no file is read, read() gives the
 * data. When read() fails, so does the call, with its error. A server asks for a file in no other
 * statement of ours: it gets none.
 */
int cf_mysql_load_local(struct cf_mysql *my, const char *sql, cf_mysql_read_fn *read, void *user,
			struct cf_err *err);

#endif
