#ifndef CF_CLI_PROMPT_H
#define CF_CLI_PROMPT_H

/* Asking for a password on the terminal, without echo. */

#include "base/ctx.h"

struct cf_err;
struct cf_secret;

#define CF_PROMPT_LEN_MAX 4096

/* CF_ERR_KEY when there is no terminal or both answers differ; CF_ERR_CANCELED on a signal. The
 * answer has no newline and may be empty. instead: the options that would do without a terminal. */
int cf_prompt_password(const struct cf_ctx *ctx, const char *question, bool twice,
		       const char *instead, struct cf_secret **secret_out, struct cf_err *err);

#endif
