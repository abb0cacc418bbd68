/* Completion for bash, zsh and fish: part of cli/help.h. */

#include "cli/help.h"

#include <string.h>

static bool takes_value(const struct cf_option_spec *option)
{
	return option->kind != CF_VALUE_FLAG && option->kind != CF_VALUE_SHARE;
}

static void print_names(FILE *out, const struct cf_option_spec *option)
{
	for (; option->id != CF_OPT_NONE; option++) {
		if (option->letter)
			fprintf(out, " -%c", option->letter);
		if (option->name)
			fprintf(out, " --%s", option->name);
	}
}

static void print_commands(FILE *out)
{
	for (size_t i = 0; i < CF_N_COMMANDS; i++)
		fprintf(out, "%s%s", i ? " " : "", cf_spec_commands[i].name);
}

typedef void option_fn(FILE *out, const struct cf_option_spec *option);

/* Every option once, whichever commands share it. */
static void for_each_option(FILE *out, option_fn *fn)
{
	bool seen[CF_OPT_COMPLETION + 1] = {false};

	for (size_t i = 0; i <= CF_N_COMMANDS; i++) {
		const struct cf_option_spec *option =
			i < CF_N_COMMANDS ? cf_spec_commands[i].options : cf_spec_globals;

		for (; option->id != CF_OPT_NONE; option++) {
			if (!seen[option->id])
				fn(out, option);
			seen[option->id] = true;
		}
	}
}

static void print_bash_value(FILE *out, const struct cf_option_spec *option)
{
	if (!takes_value(option))
		return;
	fprintf(out, "\t--%s", option->name);
	if (option->letter)
		fprintf(out, " | -%c", option->letter);
	if (option->kind == CF_VALUE_CHOICE)
		fprintf(out, ")\n\t\tmapfile -t COMPREPLY < <(compgen -W '%s' -- \"$cur\")",
			option->choices);
	else if (option->kind == CF_VALUE_FOLDER)
		fprintf(out, ")\n\t\tmapfile -t COMPREPLY < <(compgen -d -- \"$cur\")");
	else if (option->kind == CF_VALUE_FILE)
		fprintf(out, ")\n\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")");
	else
		fprintf(out, ")");
	fprintf(out, "\n\t\treturn\n\t\t;;\n");
}

static void print_bash_skip(FILE *out, const struct cf_option_spec *option)
{
	if (!takes_value(option))
		return;
	fprintf(out, " | --%s", option->name);
	if (option->letter)
		fprintf(out, " | -%c", option->letter);
}

static void print_bash(FILE *out)
{
	fputs("# bash completion of coffer; source it from ~/.bashrc\n"
	      "_coffer() {\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} command='' words i\n"
	      "\tCOMPREPLY=()\n"
	      "\tcase ${COMP_WORDS[COMP_CWORD - 1]} in\n",
	      out);
	for_each_option(out, print_bash_value);
	fputs("\tesac\n"
	      "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	      "\t\tcase ${COMP_WORDS[i]} in\n"
	      "\t\t''",
	      out);
	for_each_option(out, print_bash_skip);
	fputs(") ((i++)) ;;\n"
	      "\t\t-*) ;;\n"
	      "\t\t*)\n"
	      "\t\t\tcommand=${COMP_WORDS[i]}\n"
	      "\t\t\tbreak\n"
	      "\t\t\t;;\n"
	      "\t\tesac\n"
	      "\tdone\n"
	      "\tcase $command in\n",
	      out);
	fputs("\t'') words='", out);
	print_commands(out);
	fputs("' ;;\n", out);
	for (size_t i = 0; i < CF_N_COMMANDS; i++) {
		fprintf(out, "\t%s) words='", cf_spec_commands[i].name);
		if (cf_spec_commands[i].id == CF_COMMAND_HELP)
			print_commands(out);
		if (cf_spec_commands[i].actions)
			fputs(cf_spec_commands[i].actions, out);
		print_names(out, cf_spec_commands[i].options);
		fputs("' ;;\n", out);
	}
	fputs("\t*) words='' ;;\n"
	      "\tesac\n"
	      "\tif [[ $cur == -* || -z $command || ' help",
	      out);
	for (size_t i = 0; i < CF_N_COMMANDS; i++)
		if (cf_spec_commands[i].actions)
			fprintf(out, " %s", cf_spec_commands[i].name);
	fputs(" ' == *\" $command \"* ]]; then\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -W \"$words",
	      out);
	print_names(out, cf_spec_globals);
	fputs("\" -- \"$cur\")\n"
	      "\telse\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
	      "\tfi\n"
	      "}\n"
	      "complete -o filenames -F _coffer coffer\n",
	      out);
}

/* Inside single quotes of a shell; zsh's _arguments reads ':' and brackets itself. */
static void print_quoted(FILE *out, const char *text, const char *shell)
{
	bool zsh = strcmp(shell, "zsh") == 0;

	for (; *text; text++) {
		if (*text == '\'')
			fputs(zsh ? "'\\''" : "\\'", out);
		else if (zsh && strchr(":[]\\", *text))
			fprintf(out, "\\%c", *text);
		else
			fputc(*text, out);
	}
}

static void print_zsh_spec(FILE *out, const struct cf_option_spec *option, const char *name)
{
	fprintf(out, " \\\n\t\t'%s%s%s[", option->repeats ? "*" : "", name,
		!takes_value(option) ? ""
		: name[1] == '-'     ? "="
				     : "+");
	print_quoted(out, option->about, "zsh");
	fputc(']', out);
	if (option->kind == CF_VALUE_CHOICE)
		fprintf(out, ":%s:(%s)", option->value, option->choices);
	else if (option->kind == CF_VALUE_FOLDER)
		fprintf(out, ":%s:_files -/", option->value);
	else if (option->kind == CF_VALUE_FILE)
		fprintf(out, ":%s:_files", option->value);
	else if (takes_value(option))
		fprintf(out, ":%s:", option->value);
	fputc('\'', out);
}

static void print_zsh_options(FILE *out, const struct cf_option_spec *option)
{
	for (; option->id != CF_OPT_NONE; option++) {
		char letter[] = {'-', option->letter, '\0'};

		if (option->letter)
			print_zsh_spec(out, option, letter);
		if (option->name)
			print_zsh_spec(out, option, cf_spec_option_text(option).s);
	}
}

static void print_zsh(FILE *out)
{
	fputs("#compdef coffer\n"
	      "_coffer() {\n"
	      "\tlocal -a common commands\n"
	      "\tlocal context state state_descr line\n"
	      "\ttypeset -A opt_args\n"
	      "\tcommon=(",
	      out);
	print_zsh_options(out, cf_spec_globals);
	fputs("\n\t)\n\tcommands=(\n", out);
	for (size_t i = 0; i < CF_N_COMMANDS; i++) {
		fprintf(out, "\t\t'%s:", cf_spec_commands[i].name);
		print_quoted(out, cf_spec_commands[i].about, "zsh");
		fputs("'\n", out);
	}
	fputs("\t)\n"
	      "\t_arguments -C $common '1: :->command' '*:: :->rest'\n"
	      "\tcase $state in\n"
	      "\tcommand) _describe -t commands command commands ;;\n"
	      "\trest)\n"
	      "\t\tcase $words[1] in\n",
	      out);
	for (size_t i = 0; i < CF_N_COMMANDS; i++) {
		fprintf(out, "\t\t%s) _arguments $common", cf_spec_commands[i].name);
		print_zsh_options(out, cf_spec_commands[i].options);
		if (cf_spec_commands[i].actions)
			fprintf(out, " '1:action:(%s)'", cf_spec_commands[i].actions);
		fputs(" '*:argument:_files' ;;\n", out);
	}
	fputs("\t\tesac\n\t\t;;\n\tesac\n}\ncompdef _coffer coffer\n", out);
}

static void print_fish_option(FILE *out, const struct cf_option_spec *option, const char *command)
{
	fputs("complete -c coffer", out);
	if (command)
		fprintf(out, " -n '__fish_seen_subcommand_from %s'", command);
	if (option->letter)
		fprintf(out, " -s %c", option->letter);
	if (option->name)
		fprintf(out, " -l %s", option->name);
	if (option->kind == CF_VALUE_CHOICE)
		fprintf(out, " -x -a '%s'", option->choices);
	else if (option->kind == CF_VALUE_FOLDER)
		fputs(" -x -a '(__fish_complete_directories)'", out);
	else if (takes_value(option))
		fputs(option->kind == CF_VALUE_FILE ? " -r -F" : " -x", out);
	fputs(" -d '", out);
	print_quoted(out, option->about, "fish");
	fputs("'\n", out);
}

static void print_fish(FILE *out)
{
	fputs("# fish completion of coffer\n", out);
	for (const struct cf_option_spec *option = cf_spec_globals; option->id != CF_OPT_NONE;
	     option++)
		print_fish_option(out, option, NULL);
	for (size_t i = 0; i < CF_N_COMMANDS; i++) {
		const struct cf_command_spec *command = &cf_spec_commands[i];

		fprintf(out, "complete -c coffer -f -n __fish_use_subcommand -a %s -d '",
			command->name);
		print_quoted(out, command->about, "fish");
		fputs("'\n", out);
		if (command->actions)
			fprintf(out,
				"complete -c coffer -f -n '__fish_seen_subcommand_from %s; and not "
				"__fish_seen_subcommand_from %s' -a '%s'\n",
				command->name, command->actions, command->actions);
		for (const struct cf_option_spec *option = command->options;
		     option->id != CF_OPT_NONE; option++)
			print_fish_option(out, option, command->name);
	}
}

void cf_help_completion(FILE *out, const char *shell)
{
	if (strcmp(shell, "bash") == 0)
		print_bash(out);
	else if (strcmp(shell, "zsh") == 0)
		print_zsh(out);
	else
		print_fish(out);
}
