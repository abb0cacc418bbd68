#ifndef CF_CLI_SECRETS_H
#define CF_CLI_SECRETS_H

/*
 * What opens a repository, from where the user keeps it.
 *
 * The first of these is taken: --key-file, --password-file, --password-command, --key-command, then
 * their environment variables and COFFER_PASSWORD, then the terminal. Options exclude one another.
 */

#include "cli/key_command.h"
#include "repo/repo.h"

struct cf_args;
struct cf_err;

/* One of the first three is set. Stays where it is: the wrapper points into it. */
struct cf_secrets {
	struct cf_secret *passphrase, *key_file;
	struct cf_key_wrapper wrapper; /* without functions: none */
	struct cf_key_command command;
	const char
		*made; /* the key file that was created, borrowed from args; NULL when none was */
};

/* creating: a missing key file is made, a password on the terminal is asked for twice.
 * CF_ERR_KEY: none to be had, empty, too short, or a file others may read; CF_ERR_USAGE: several
 * options. Release in either case. */
int cf_secrets_load(const struct cf_args *args, const struct cf_ctx *ctx, bool creating,
		    struct cf_secrets *secrets, struct cf_err *err);

/* The secret of a new key slot, from --new-key-file, --new-password-file, --new-password-command,
 * --new-key-command or the terminal. */
int cf_secrets_load_new(const struct cf_args *args, const struct cf_ctx *ctx,
			struct cf_secrets *secrets, struct cf_err *err);
void cf_secrets_release(struct cf_secrets *secrets);

/* After a failure of what it was made for: remove the key file that was made. */
void cf_secrets_undo(const struct cf_secrets *secrets);

struct cf_credentials cf_secrets_credentials(const struct cf_secrets *secrets);

#endif
