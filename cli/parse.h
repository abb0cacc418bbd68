#ifndef CF_CLI_PARSE_H
#define CF_CLI_PARSE_H

/*
 * The command line as the command table understands it.
 *
 * Options may stand before or after the command and between operands, as "--name value",
 * "--name=value",
 * "-l", "-r value", "-rvalue" or bundled ("-lv"); "--" ends them.
 */

#include "cli/spec.h"

struct cf_err;

struct cf_arg {
	const struct cf_option_spec *option;
	const char *text; /* NULL for a flag, and for an optional value left out */
};

/* Everything points into argv. */
struct cf_args {
	const struct cf_command_spec *command; /* NULL: only help or version was asked for */
	bool help, version;
	struct cf_arg *options;
	size_t n_options;
	const char **operands; /* ended by NULL */
	size_t n_operands;
	const char *const
		*run; /* the command behind "--", ended by NULL; NULL when there is none */
};

/* argv is ended by NULL; argv[0] is skipped. CF_ERR_USAGE with one line naming what makes no sense.
 * Release args in either case. */
int cf_args_parse(const char *const *argv, struct cf_args *args, struct cf_err *err);
void cf_args_release(struct cf_args *args);

bool cf_args_has(const struct cf_args *args, enum cf_option_id id);

/* The value given last, else that of the environment variable, else NULL. */
const char *cf_args_text(const struct cf_args *args, enum cf_option_id id);
/* The same without the environment. */
const char *cf_args_given(const struct cf_args *args, enum cf_option_id id);

/* All values of a repeatable option, in order: a new array (of borrowed strings) to free(). */
int cf_args_list(const struct cf_args *args, enum cf_option_id id, const char ***list_out,
		 size_t *n_out, struct cf_err *err);

/* A checked CF_VALUE_COUNT or CF_VALUE_SIZE; 0 when not given. */
uint64_t cf_args_number(const struct cf_args *args, enum cf_option_id id);
/* A checked CF_VALUE_SHARE: one of both is set; 100 % without a value; none when not given. */
void cf_args_share(const struct cf_args *args, enum cf_option_id id, double *percent_out,
		   uint64_t *bytes_out);

#endif
