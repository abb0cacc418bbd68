#ifndef CF_CLI_VERIFY_H
#define CF_CLI_VERIFY_H

/* Reading back what was restored, and comparing its content with the repository. */

#include "repo/tree.h"

struct cf_cli;

struct cf_verify_figures {
	uint64_t files, bytes, differences;
};

/*
 * node: what was restored into folder. Every difference is a warning naming the file. Symbolic
 * links are not followed. CF_ERR_DAMAGED at the end when anything differed.
 */
int cf_verify(struct cf_cli *cli, struct cf_repo *repo, const struct cf_node *node,
	      const char *folder, struct cf_verify_figures *figures_out, struct cf_err *err);

#endif
