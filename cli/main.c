/* The program: parse, run one command, and say how it ended. */

#include "base/err.h"
#include "cli/cli.h"
#include "cli/help.h"
#include "cli/report.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The first signal that asked to stop. A handler can reach nothing but a global. */
static atomic_int stop_signal;

static void on_stop(int number)
{
	int none = 0;

	/* Who asks twice does not want to wait. */
	if (!atomic_compare_exchange_strong(&stop_signal, &none, number))
		_exit(128 + number);
}

static void on_broken_pipe(int number)
{
	(void)number;
}

static void install_handlers(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_flags = SA_RESTART}, before;

	sigemptyset(&action.sa_mask);
	/* A handler, unlike SIG_IGN, is not inherited by the commands that are run. */
	action.sa_handler = on_broken_pipe;
	sigaction(SIGPIPE, &action, NULL);
	action.sa_handler = on_stop;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		/* What was ignored stays ignored: nohup, and jobs in the background. */
		if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
}

static cf_command_fn *const commands[CF_N_COMMANDS] = {
	[CF_COMMAND_INIT] = cf_cmd_init,
	[CF_COMMAND_BACKUP] = cf_cmd_backup,
	[CF_COMMAND_SNAPSHOTS] = cf_cmd_snapshots,
	[CF_COMMAND_LS] = cf_cmd_ls,
	[CF_COMMAND_FIND] = cf_cmd_find,
	[CF_COMMAND_DIFF] = cf_cmd_diff,
	[CF_COMMAND_RESTORE] = cf_cmd_restore,
	[CF_COMMAND_DUMP] = cf_cmd_dump,
	[CF_COMMAND_MOUNT] = cf_cmd_mount,
	[CF_COMMAND_UMOUNT] = cf_cmd_umount,
	[CF_COMMAND_CHECK] = cf_cmd_check,
	[CF_COMMAND_REPAIR] = cf_cmd_repair,
	[CF_COMMAND_VERIFY] = cf_cmd_verify,
	[CF_COMMAND_STATS] = cf_cmd_stats,
	[CF_COMMAND_TAG] = cf_cmd_tag,
	[CF_COMMAND_HOLD] = cf_cmd_hold,
	[CF_COMMAND_FORGET] = cf_cmd_forget,
	[CF_COMMAND_PRUNE] = cf_cmd_prune,
	[CF_COMMAND_KEY] = cf_cmd_key,
	[CF_COMMAND_AUDIT] = cf_cmd_audit,
	[CF_COMMAND_DOCTOR] = cf_cmd_doctor,
	[CF_COMMAND_VERSION] = cf_cmd_version,
	[CF_COMMAND_HELP] = cf_cmd_help,
};

/* Their events are part of their JSON; the others print one document. */
static bool reports_json_events(enum cf_command_id id)
{
	return id == CF_COMMAND_BACKUP || id == CF_COMMAND_RESTORE;
}

static int run_command(struct cf_cli *cli, struct cf_err *err)
{
	const struct cf_args *args = cli->args;
	int rc;

	if (args->version && !args->help)
		rc = cf_cmd_version(cli, err);
	else if (args->help && !args->command)
		cf_help_overview(stdout), rc = 0;
	else if (args->help)
		cf_help_command(stdout, args->command), rc = 0;
	else
		rc = commands[args->command->id](cli, err);
	cf_report_pause(cli->report);
	return rc < 0 ? rc : cf_cli_flush(cli, err);
}

static int exit_status(const struct cf_cli *cli, int rc)
{
	int number = atomic_load(&stop_signal);

	/* A command that is run gets the terminal's signals, too, and may fail before the flag is
	 * seen. */
	if (rc < 0 && number)
		return 128 + number;
	if (rc < 0 && cli->reader_gone)
		return 128 + SIGPIPE;
	if (rc == 0 && atomic_load(&cli->n_warnings) > 0)
		rc = CF_ERR_PARTIAL;
	return cf_err_exit_status(rc);
}

static int run(const struct cf_args *args)
{
	struct cf_cli cli = {.args = args};
	struct cf_err err = CF_ERR_INIT;
	struct cf_report_options options = {0};
	int rc, status;

	cli.json = cf_args_has(args, CF_OPT_JSON);
	cli.quiet = cf_args_has(args, CF_OPT_QUIET);
	options.json_events = cli.json && args->command && reports_json_events(args->command->id);
	options.notes = cf_args_has(args, CF_OPT_VERBOSE) && !cli.quiet;
	options.progress = !cli.json && !cli.quiet;
	rc = cf_report_new(&options, &cli.report, &err);
	if (rc < 0) {
		fprintf(stderr, "coffer: %s\n", err.text);
		return cf_err_exit_status(rc);
	}
	cli.ctx = (struct cf_ctx){.reporter = cf_report_reporter(cli.report),
				  .cancel = &stop_signal,
				  .n_warnings = &cli.n_warnings};
	rc = run_command(&cli, &err);
	/* A command that has complained itself leaves no text. */
	if (rc < 0 && !cli.reader_gone && err.text[0])
		cf_report_complain(cli.report, err.text);
	status = exit_status(&cli, rc);
	cf_report_free(cli.report);
	return status;
}

/*
 * Frames and packs of megabytes come and go all the time. By default malloc gives each back to the kernel at once, and clearing the
 * fresh pages costs a tenth of a backup.
 */
static void keep_memory(void)
{
	mallopt(M_MMAP_THRESHOLD, 16 << 20);
	mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

/*
 * What is opened must not get the number of a closed standard stream: a result would be written
 * into it, or its bytes be backed up. The wrong way around, so that reading input and writing
 * results fail as on a closed one; only messages vanish.
 */
static void fill_closed_streams(void)
{
	static const int ways[] = {O_WRONLY, O_RDONLY, O_WRONLY};

	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", ways[fd]) < 0)
			return; /* none in a bare chroot: as without this */
}

int main(int argc, char **argv)
{
	struct cf_args args;
	struct cf_err err = CF_ERR_INIT;
	int rc, status;

	(void)argc;
	fill_closed_streams();
	keep_memory();
	install_handlers();
	rc = cf_args_parse((const char *const *)argv, &args, &err);
	if (rc < 0) {
		cf_report_complain(NULL, err.text);
		status = cf_err_exit_status(rc);
	} else {
		status = run(&args);
	}
	cf_args_release(&args);
	return status;
}
