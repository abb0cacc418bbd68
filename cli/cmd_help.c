/* coffer help */

#include "base/err.h"
#include "cli/cli.h"
#include "cli/help.h"
#include "cli/suggest.h"

#include <string.h>

static int find_topic(const char *name, const struct cf_command_spec **command_out,
		      struct cf_err *err)
{
	struct cf_suggest suggest = cf_suggest_begin(name, strlen(name));

	*command_out = cf_spec_command(name);
	if (*command_out)
		return 0;
	cf_suggest_offer(&suggest, "options");
	cf_suggest_offer(&suggest, "databases");
	for (size_t i = 0; i < CF_N_COMMANDS; i++)
		cf_suggest_offer(&suggest, cf_spec_commands[i].name);
	if (suggest.best)
		return cf_err_set(err, CF_ERR_USAGE, "no help on '%s'; did you mean '%s'?", name,
				  suggest.best);
	return cf_err_set(err, CF_ERR_USAGE, "no help on '%s'; `coffer help` lists the commands",
			  name);
}

int cf_cmd_help(struct cf_cli *cli, struct cf_err *err)
{
	const char *topic = cli->args->operands[0],
		   *shell = cf_args_text(cli->args, CF_OPT_COMPLETION);
	const struct cf_command_spec *command = NULL;
	bool man = cf_args_has(cli->args, CF_OPT_MAN),
	     options = topic && strcmp(topic, "options") == 0,
	     databases = topic && strcmp(topic, "databases") == 0;
	int rc = 0;

	if (shell && (topic || man))
		return cf_err_set(err, CF_ERR_USAGE, "--completion stands alone");
	if (topic && !((options || databases) && !man))
		rc = find_topic(topic, &command, err);
	if (rc < 0)
		return rc;
	if (shell)
		cf_help_completion(stdout, shell);
	else if (man)
		cf_help_man(stdout, command);
	else if (options)
		cf_help_options(stdout);
	else if (databases)
		cf_help_databases(stdout);
	else if (command)
		cf_help_command(stdout, command);
	else
		cf_help_overview(stdout);
	return 0;
}
