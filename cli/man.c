/* The manual page in mdoc(7): part of cli/help.h. */

#include "cli/help.h"

#include "base/err.h"

#include <ctype.h>
#include <string.h>

/* Running text: nothing in it is markup. */
static void print_text(FILE *out, const char *text)
{
	for (bool line_start = true; *text; text++) {
		if (line_start && (*text == '.' || *text == '\''))
			fputs("\\&", out);
		line_start = false;
		if (*text == '\\')
			fputs("\\e", out);
		else
			fputc(*text, out);
		/* Each sentence begins a line, as mdoc wants it. */
		if (*text == '.' && text[1] == ' ' && isupper((unsigned char)text[2])) {
			fputc('\n', out);
			text++;
			line_start = true;
		}
	}
	fputc('\n', out);
}

static void print_paragraphs(FILE *out, const char *const *text)
{
	for (size_t i = 0; text[i]; i++) {
		if (i > 0)
			fputs(".Pp\n", out);
		print_text(out, text[i]);
	}
}

/* An argument of a macro: one word whatever it holds, and never a macro itself. */
static void print_word(FILE *out, const char *word)
{
	fputs(" \"\\&", out);
	for (; *word; word++) {
		if (*word == '"')
			fputs("\\(dq", out);
		else if (*word == '\\')
			fputs("\\e", out);
		else
			fputc(*word, out);
	}
	fputc('"', out);
}

static void print_flag(FILE *out, const struct cf_option_spec *option)
{
	fputs(".It", out);
	if (option->letter)
		fprintf(out, " Fl %c", option->letter);
	if (option->letter && option->name)
		fputs(" ,", out);
	if (option->name)
		fprintf(out, " Fl -%s", option->name);
	if (option->value && option->kind == CF_VALUE_SHARE)
		fputs(" Ns Op = Ns", out);
	if (option->value) {
		fputs(" Ar", out);
		print_word(out, option->value);
	}
	fputc('\n', out);
}

static bool has_options(const struct cf_option_spec *options, bool for_databases)
{
	for (; options->id != CF_OPT_NONE; options++)
		if (options->for_databases == for_databases)
			return true;
	return false;
}

static void print_options(FILE *out, const struct cf_option_spec *options, bool for_databases)
{
	if (!has_options(options, for_databases))
		return;
	if (for_databases)
		fputs(".Pp\nFor databases:\n", out);
	fputs(".Bl -tag -width Ds\n", out);
	for (; options->id != CF_OPT_NONE; options++) {
		if (options->for_databases != for_databases)
			continue;
		print_flag(out, options);
		fprintf(out, "%s.\n", options->about);
		if (options->env)
			fprintf(out, "Also taken from\n.Ev %s .\n", options->env);
		if (options->otherwise)
			fprintf(out, "Default: %s.\n", options->otherwise);
	}
	fputs(".El\n", out);
}

static void print_examples(FILE *out, const struct cf_command_spec *command, bool first)
{
	for (const struct cf_example *example = command->examples; example->line; example++) {
		fputs(first ? "" : ".Pp\n", out);
		first = false;
		fprintf(out, "%c%s:\n", toupper((unsigned char)example->about[0]),
			example->about + 1);
		fputs(".Dl", out);
		print_word(out, example->line);
		fputc('\n', out);
	}
}

static void print_synopsis(FILE *out, const struct cf_command_spec *command)
{
	fputs(".Nm coffer\n", out);
	if (!command->has_no_repository)
		fputs(".Op Fl r Ar REPO\n", out);
	fprintf(out, ".Cm %s\n", command->name);
	if (command->options->id != CF_OPT_NONE)
		fputs(".Op Ar OPTION ...\n", out);
	if (command->operands[0]) {
		fputs(".Ar", out);
		print_word(out, command->operands);
		fputc('\n', out);
	}
}

static void print_command(FILE *out, const struct cf_command_spec *command)
{
	print_paragraphs(out, command->text);
	print_options(out, command->options, false);
	print_options(out, command->options, true);
}

static void print_environment(FILE *out)
{
	fputs(".Sh ENVIRONMENT\n.Bl -tag -width Ds\n", out);
	for (const struct cf_option_spec *option = cf_spec_globals; option->id != CF_OPT_NONE;
	     option++)
		if (option->env)
			fprintf(out, ".It Ev %s\nAs\n.Fl -%s .\n", option->env, option->name);
	fputs(".It Ev COFFER_PASSWORD\nThe password itself.\n.El\n", out);
}

static void print_statuses(FILE *out)
{
	fputs(".Sh EXIT STATUS\n.Bl -tag -width Ds\n.It 0\nDone.\n", out);
	fprintf(out, ".It 1\nThe operation failed.\n");
	/* Codes without a status of their own are kinds of failure. */
	for (int number = 2; number <= 6; number++) {
		const char *text = cf_err_meaning(-number);

		fprintf(out, ".It %d\n%c%s.\n", cf_err_exit_status(-number),
			toupper((unsigned char)text[0]), text + 1);
	}
	fputs(".It 128+n\nEnded by signal n.\n.El\n", out);
}

static void print_overview(FILE *out)
{
	fputs(".Sh NAME\n.Nm coffer\n", out);
	fprintf(out, ".Nd %s\n.Sh SYNOPSIS\n", cf_spec_about);
	fputs(".Nm coffer\n.Op Fl r Ar REPO\n.Ar COMMAND\n.Op Ar OPTION ...\n.Op Ar ARGUMENT ...\n",
	      out);
	fputs(".Sh DESCRIPTION\n", out);
	print_paragraphs(out, cf_spec_text);
	fputs(".Pp\nThe options of every command are:\n", out);
	print_options(out, cf_spec_globals, false);
	fputs(".Sh COMMANDS\n", out);
	for (size_t i = 0; i < CF_N_COMMANDS; i++) {
		fprintf(out, ".Ss coffer %s\n", cf_spec_commands[i].name);
		print_synopsis(out, &cf_spec_commands[i]);
		fputs(".Pp\n", out);
		print_command(out, &cf_spec_commands[i]);
	}
	print_environment(out);
	print_statuses(out);
	fputs(".Sh EXAMPLES\n", out);
	for (size_t i = 0; i < CF_N_COMMANDS; i++)
		print_examples(out, &cf_spec_commands[i], i == 0);
}

static void print_one(FILE *out, const struct cf_command_spec *command)
{
	fprintf(out, ".Sh NAME\n.Nm coffer-%s\n", command->name);
	fprintf(out, ".Nd %c%s\n.Sh SYNOPSIS\n", tolower((unsigned char)command->about[0]),
		command->about + 1);
	print_synopsis(out, command);
	fputs(".Sh DESCRIPTION\n", out);
	print_command(out, command);
	print_statuses(out);
	fputs(".Sh EXAMPLES\n", out);
	print_examples(out, command, true);
	fputs(".Sh SEE ALSO\n.Xr coffer 1\n", out);
}

void cf_help_man(FILE *out, const struct cf_command_spec *command)
{
	fprintf(out, ".Dd %s\n.Dt COFFER", cf_spec_date);
	for (const char *at = command ? command->name : ""; *at; at++)
		fprintf(out, "%s%c", at == command->name ? "-" : "", toupper((unsigned char)*at));
	fputs(" 1\n.Os coffer " CF_VERSION "\n", out);
	if (command)
		print_one(out, command);
	else
		print_overview(out);
}
