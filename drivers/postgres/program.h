#ifndef CF_DRIVERS_POSTGRES_PROGRAM_H
#define CF_DRIVERS_POSTGRES_PROGRAM_H

/*
 * PostgreSQL's own client programs: pg_dump, pg_dumpall, pg_restore. Which of the installed ones fits a server, and running
 * them so that what they say becomes our errors and warnings, and that they never outlive us.
 */

#include "base/buf.h"

#include <stdatomic.h>
#include <stdbool.h>

struct cf_ctx;
struct cf_err;

struct cf_pg_program {
	char *path;
	int version; /* 150020 for 15.20 */
	bool has_restrict_key; /* takes --restrict-key */
};

/*
 * Find `name` ("pg_dump") in PATH and where distributions put them (/usr/lib/postgresql/N/bin): of the nearest major version
 * that is not older than server_version, and of that the newest. CF_ERR_UNSUPPORTED names what is there and what is needed; also
 * for one with known holes (CVE-2026-116314 and others), unless allow_old.
 */
int cf_pg_program_find(const char *name, int server_version, bool allow_old, const struct cf_ctx *ctx,
		       struct cf_pg_program *program_out, struct cf_err *err);
/* The newest of all, for what is said of it. */
int cf_pg_program_newest(const char *name, int least_version, const struct cf_ctx *ctx,
			 struct cf_pg_program *program_out, struct cf_err *err);
void cf_pg_program_release(struct cf_pg_program *program);

struct cf_pg_run {
	const struct cf_pg_program *program;
	const char *const *args;  /* ended by NULL, without the program itself */
	char *const *environment; /* NULL, or what to set: cf_pg_environment() */
	int input_fd;             /* standard input; -1 for none. Also inherited, for /proc/self/fd/0 */
	const atomic_int *stop;   /* NULL, or: non-zero ends it */
	/* NULL, or the beginning of a statement whose failure is none, of pg_restore without --exit-on-error and --jobs:
	 * without said, another error ends it soon. */
	const char *harmless;
	/* NULL, or told each line of standard error, in place of what is said below. */
	void (*said)(void *user, const char *line);
	void *said_user;
};

/*
 * Run to the end. Standard output goes to take() piece by piece (NULL: thrown away), each line of standard error becomes
 * a note, or a warning through ctx when the program calls it one. Any exit status but 0 is CF_ERR_FAILED with its last error lines.
 */
int cf_pg_program_run(const struct cf_pg_run *run, int (*take)(void *user, struct cf_span data, struct cf_err *err),
		      void *user, const struct cf_ctx *ctx, struct cf_err *err);

#endif
