#ifndef CF_CLI_SOURCE_H
#define CF_CLI_SOURCE_H

/* What a user types for a source. */

struct cf_driver;
struct cf_err;

/* As cf_driver_find(); a bare name that exists here ("documents") is a path, too. */
int cf_source_find(const char *text, const struct cf_driver **driver_out, const char **rest_out,
		   struct cf_err *err);

#endif
