#ifndef CF_CLI_SELECT_H
#define CF_CLI_SELECT_H

/* Which snapshots a command is about: the filters --source, --tag, --host and SNAPSHOT[:PATH]. */

#include "repo/repo.h"
#include "repo/snapshot.h"
#include "repo/tree.h"

struct cf_cli;

struct cf_select {
	struct cf_repo *repo;
	struct cf_snapshot_filter filter;
	char *source;
	char *hint; /* NULL, or: no snapshot is of the source that was given, and which are near */
	const char **tags;
};

/* Open the repository and read the filters. A source is taken as snapshots have it, else as
 * somebody would type it for backup (cli/select_source.h). Close in either case. */
int cf_select_open(struct cf_select *select, struct cf_cli *cli, struct cf_err *err);
void cf_select_close(struct cf_select *select);

/* The snapshot of "SNAPSHOT" or "SNAPSHOT:PATH". */
int cf_select_snapshot(const struct cf_select *select, const char *operand,
		       struct cf_snapshot **snapshot_out, struct cf_err *err);

/* What "SNAPSHOT:PATH" names. */
struct cf_place {
	struct cf_snapshot *snapshot;
	char *path; /* "a/b", "" for the root */
	struct cf_node *node;
};

/* Release in either case. */
int cf_select_place(const struct cf_select *select, const char *operand, struct cf_place *place,
		    struct cf_err *err);
void cf_place_release(struct cf_place *place);

/* The first 8 digits, for people. */
struct cf_short_id {
	char s[9];
};
struct cf_short_id cf_short_id(const struct cf_id *id);

#endif
