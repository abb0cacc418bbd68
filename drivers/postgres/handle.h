#ifndef CF_DRIVERS_POSTGRES_HANDLE_H
#define CF_DRIVERS_POSTGRES_HANDLE_H

/* What connect.c, client.c and resolve.c share: the only ones that see libpq. */

#include "drivers/postgres/client.h"

#include <libpq-fe.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

struct cf_ctx;
struct cf_err;

struct cf_pg {
	PGconn *conn;
	const struct cf_ctx *ctx;
	const atomic_int *stop;
	char sqlstate[6];
	char encoding[CF_PG_ENCODING_MAX]; /* that was asked for, or "" */
};

/* libpq's messages have line ends and tabs within; ours are one line. */
void cf_pg_flatten(const char *text, char *out, size_t size);

/* CF_ERR_CANCELED: somebody asked to stop. */
int cf_pg_check_stop(const struct cf_pg *pg, struct cf_err *err);

/* Until the socket is ready for events of poll(); at most to the deadline in seconds of CLOCK_MONOTONIC, 0 for none. */
int cf_pg_wait(struct cf_pg *pg, short events, time_t deadline, struct cf_err *err);

#endif
