#ifndef CF_DRIVERS_MYSQL_SESSION_H
#define CF_DRIVERS_MYSQL_SESSION_H

/*
 * What every session of ours begins with. A server's global settings and its init_connect decide
 * how a session begins, and some of them change what it reads and makes: how many rows a SELECT
 * gives (sql_select_limit), which versions of them (system_versioning_asof), what a statement is
 * taken to mean (sql_mode, old_mode, character sets), when it is ended (timeouts). Of these nothing
 * is left to the server. What only costs time, memory or place (buffers, the optimizer's switches,
 * logs, compression of columns) is the server's own affair.
 */

struct cf_err;
struct cf_mysql;

/* cf_mysql_connect() does it. */
int cf_mysql_session_prepare(struct cf_mysql *my, struct cf_err *err);

#endif
