#ifndef CF_CLI_DOCTOR_H
#define CF_CLI_DOCTOR_H

/* What the parts of `coffer doctor` share: a line for each thing that was looked at. */

#include "cli/cli.h"
#include "cli/doc.h"

struct cf_backend;
struct cf_repo;

enum cf_verdict { CF_DOCTOR_OK, CF_DOCTOR_WARN, CF_DOCTOR_FAIL, CF_N_VERDICTS };

struct cf_doctor {
	struct cf_cli *cli;
	struct cf_doc checks; /* JSON only */
	unsigned n[CF_N_VERDICTS];
	size_t columns; /* of the terminal; 0: lines are not wrapped */
	int64_t now_ns;
};

/* name is a stable word for programs; the text says what was found and, unless all is well, what to
 * do. */
void cf_doctor_say(struct cf_doctor *doctor, enum cf_verdict verdict, const char *name,
		   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* doctor_host.c: program, processor, cache, clock, secrets, client programs, FUSE. */
void cf_doctor_host(struct cf_doctor *doctor);

/* doctor_store.c: what the store can do, tried with an object that is taken away again; and its
 * space. */
void cf_doctor_store(struct cf_doctor *doctor, struct cf_backend *store);

/* doctor_repo.c: keys, age of backups and of checks. */
void cf_doctor_repo(struct cf_doctor *doctor, struct cf_repo *repo);

#endif
