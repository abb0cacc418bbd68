#ifndef CF_DRIVERS_MYSQL_MYSQL_LOAD_H
#define CF_DRIVERS_MYSQL_MYSQL_LOAD_H

/* The driver's load and verify (drivers/driver.h). */

#include <stdbool.h>

struct cf_ctx;
struct cf_err;
struct cf_load_figures;
struct cf_load_options;
struct cf_tree;
struct cf_verify_options;

int cf_mysql_load(const char *target, struct cf_tree *tree, const struct cf_load_options *options,
		  const struct cf_ctx *ctx, struct cf_load_figures *figures_out,
		  struct cf_err *err);
/* The same as a trial, whose target goes away again. is_shared: there are others at work on the
 * server, so that events are made, but do not run. */
int cf_mysql_load_trial(const char *target, bool is_shared, struct cf_tree *tree,
			const struct cf_load_options *options, const struct cf_ctx *ctx,
			struct cf_load_figures *figures_out, struct cf_err *err);
int cf_mysql_verify(struct cf_tree *tree, const struct cf_verify_options *options,
		    const struct cf_ctx *ctx, struct cf_err *err);

#endif
