#ifndef CF_CLI_VERIFY_STORED_H
#define CF_CLI_VERIFY_STORED_H

/* What can be verified of any snapshot without knowing its driver. */

#include <stdbool.h>

struct cf_cli;
struct cf_err;
struct cf_repo;
struct cf_snapshot;
struct cf_verify_options;

/*
 * Check "stored": every folder can be read and every chunk is there. With read_content also
 * "content": every file can be read. One check for each object that fails, or one that passed for
 * all. CF_ERR_DAMAGED when one failed.
 */
int cf_verify_stored(struct cf_cli *cli, struct cf_repo *repo, const struct cf_snapshot *snapshot,
		     const struct cf_verify_options *options, bool read_content,
		     struct cf_err *err);

#endif
