#ifndef CF_CLI_HELP_H
#define CF_CLI_HELP_H

/* --help, the manual page and completion scripts, made from the command table. */

#include "cli/spec.h"

#include <stdio.h>

/* The text of `coffer help`; of one command; of the options that every command has; of those for
 * databases. Each fits 80x24. */
void cf_help_overview(FILE *out);
void cf_help_command(FILE *out, const struct cf_command_spec *command);
void cf_help_options(FILE *out);
void cf_help_databases(FILE *out);

/* mdoc(7): the page coffer(1), or coffer-COMMAND(1). command may be NULL. */
void cf_help_man(FILE *out, const struct cf_command_spec *command);

/* shell is one of the choices of --completion. */
void cf_help_completion(FILE *out, const char *shell);

#endif
