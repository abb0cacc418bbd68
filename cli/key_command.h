#ifndef CF_CLI_KEY_COMMAND_H
#define CF_CLI_KEY_COMMAND_H

/*
 * A secret manager behind a shell command (docs/guide/keys.md): "CMD wrap" reads a key of 64
 * hexadecimal digits and a line feed on standard input and writes what it made of it, "CMD unwrap"
 * reads that and writes the line again. The exit status decides.
 */

#include "base/ctx.h"
#include "repo/repo.h"

struct cf_key_command {
	const char *line;
	const struct cf_ctx *ctx;
};

/* Both are borrowed by the wrapper. */
struct cf_key_wrapper cf_key_command_wrapper(struct cf_key_command *command);

#endif
