#include "drivers/leftover.h"

#include "base/ctx.h"
#include "drivers/driver.h"

#include <stdarg.h>
#include <stdio.h>

enum { COMMAND_MAX = 512 };

void cf_leftover_removed(const struct cf_verify_options *options, const char *object)
{
	if (options->check)
		options->check(options->check_user,
			       &(struct cf_verify_check){
				       .name = "leftover",
				       .object = object,
				       .passed = true,
				       .detail = "removed: an earlier verification left it"});
}

void cf_leftover_stays(const struct cf_ctx *ctx, const char *object, const char *why,
		       const char *command, ...)
{
	char text[COMMAND_MAX];
	va_list args;

	va_start(args, command);
	vsnprintf(text, sizeof(text), command, args);
	va_end(args);
	cf_ctx_warn(ctx, "verify.left", object,
		    "left by an earlier verification, and cannot be removed: %s: use %s", why,
		    text);
}
