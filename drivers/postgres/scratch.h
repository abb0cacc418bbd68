#ifndef CF_DRIVERS_POSTGRES_SCRATCH_H
#define CF_DRIVERS_POSTGRES_SCRATCH_H

/*
 * A PostgreSQL server of our own in a temporary folder (drivers/scratch_folder.h), to restore into
 * and throw away: reached by a socket in that folder alone, careless of what it writes. For root it
 * runs as the user postgres, else nobody, since the server refuses to be root. It ends with us,
 * however we end.
 */

#include <sys/types.h>

struct cf_ctx;
struct cf_err;
struct cf_pg_scratch;
struct cf_verify_options;

/* CF_ERR_UNSUPPORTED when no server's programs are installed that are new enough for
 * server_version. */
int cf_pg_scratch_start(int server_version, const struct cf_verify_options *options,
			const struct cf_ctx *ctx, struct cf_pg_scratch **scratch_out,
			struct cf_err *err);

/* What to connect to, without a database, as its superuser. */
const char *cf_pg_scratch_target(const struct cf_pg_scratch *scratch);

/* A folder that the server may write to, for a tablespace: its path, to free(). */
int cf_pg_scratch_folder(struct cf_pg_scratch *scratch, char **path_out, struct cf_err *err);

/* Ends the server and removes the folder. */
void cf_pg_scratch_stop(struct cf_pg_scratch *scratch);

#endif
