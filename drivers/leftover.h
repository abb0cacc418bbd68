#ifndef CF_DRIVERS_LEFTOVER_H
#define CF_DRIVERS_LEFTOVER_H

/* What a killed verification left behind, and what became of it: words that all drivers use. */

struct cf_ctx;
struct cf_verify_options;

/* A check ("leftover") that passes: to be seen, and no reason for another exit status. */
void cf_leftover_removed(const struct cf_verify_options *options, const char *object);

/* A warning, with the command to remove it by. why: a message, or a reason. */
void cf_leftover_stays(const struct cf_ctx *ctx, const char *object, const char *why,
		       const char *command, ...) __attribute__((format(printf, 4, 5)));

#endif
