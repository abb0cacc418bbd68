#ifndef CF_CLI_CLI_H
#define CF_CLI_CLI_H

/*
 * What every command has: its arguments, the context it passes down, and how it speaks.
 *
 * A command prints its result to standard output and returns 0, or a code and its message; main
 * prints the message and turns the code, the warnings and the signal into the exit status.
 */

#include "base/ctx.h"
#include "cli/parse.h"

struct cf_err;
struct cf_repo;
struct cf_report;

struct cf_cli {
	const struct cf_args *args;
	struct cf_report *report;
	struct cf_ctx ctx;
	atomic_uint_least64_t n_warnings;
	bool json, quiet;
	bool reader_gone; /* nobody reads standard output any more: end quietly */
};

typedef int cf_command_fn(struct cf_cli *cli, struct cf_err *err);

cf_command_fn cf_cmd_init, cf_cmd_backup, cf_cmd_snapshots, cf_cmd_ls, cf_cmd_find, cf_cmd_diff,
	cf_cmd_restore, cf_cmd_dump, cf_cmd_mount, cf_cmd_umount, cf_cmd_check, cf_cmd_repair,
	cf_cmd_verify, cf_cmd_stats, cf_cmd_tag, cf_cmd_hold, cf_cmd_forget, cf_cmd_prune,
	cf_cmd_key, cf_cmd_audit, cf_cmd_doctor,
	cf_cmd_version, cf_cmd_help;

/* CF_ERR_USAGE when no repository is named. */
int cf_cli_repository(const struct cf_cli *cli, const char **url_out, struct cf_err *err);

/* The folders coffer itself writes, which belong in no backup: a local repository, and the cache.
 * Absolute, to be freed; NULL when there is none. */
void cf_cli_own_folders(const struct cf_cli *cli, char *folders_out[2]);

/* The folder for local indexes, whether it is there or not. NULL: there is no home, or no memory. free() it. */
char *cf_cli_cache_dir(const struct cf_cli *cli);

/* The repository of the arguments, opened with their secrets and cache. */
int cf_cli_open(struct cf_cli *cli, struct cf_repo **repo_out, struct cf_err *err);
/* The same, and the secrets that opened it. Release them, also after a failure. */
struct cf_secrets;
int cf_cli_open_keyed(struct cf_cli *cli, struct cf_secrets *secrets_out, struct cf_repo **repo_out,
		      struct cf_err *err);

/* A failure to write standard output, as loops that print ask; also whether to stop. */
int cf_cli_check(struct cf_cli *cli, struct cf_err *err);

/* Bytes to standard output as they are, past stdio. */
int cf_cli_write(struct cf_cli *cli, const void *data, size_t len, struct cf_err *err);

/* Flush standard output; the last chance to learn that it failed. */
int cf_cli_flush(struct cf_cli *cli, struct cf_err *err);

#endif
