#include "cli/help.h"

#include <string.h>

#define LINE_MAX_COLUMNS 79
#define ABOUT_COLUMN	 30

/* Words from column `indent` on; the cursor stands at `column`. */
static void print_wrapped(FILE *out, const char *text, int column, int indent)
{
	bool first = true;

	while (*text) {
		int len = (int)strcspn(text, " ");

		if (!first && column + 1 + len > LINE_MAX_COLUMNS) {
			fprintf(out, "\n%*s", indent, "");
			column = indent;
		} else if (!first) {
			fputc(' ', out);
			column++;
		}
		fprintf(out, "%.*s", len, text);
		column += len;
		text += len;
		text += strspn(text, " ");
		first = false;
	}
	fputc('\n', out);
}

static void print_option(FILE *out, const struct cf_option_spec *option)
{
	char about[256];
	int column = 0;

	if (option->letter)
		column += fprintf(out, "  -%c%s", option->letter, option->name ? ", " : "");
	else
		column += fprintf(out, "      ");
	if (option->name)
		column += fprintf(out, "--%s", option->name);
	if (option->value)
		column += fprintf(out, option->kind == CF_VALUE_SHARE ? "[=%s]" : " %s",
				  option->value);
	if (column + 2 > ABOUT_COLUMN) {
		fprintf(out, "\n");
		column = 0;
	}
	fprintf(out, "%*s", ABOUT_COLUMN - column, "");
	snprintf(about, sizeof(about), "%s%s%s%s%s%s", option->about, option->otherwise ? " [" : "",
		 option->otherwise ? option->otherwise : "", option->otherwise ? "]" : "",
		 option->env ? ", or " : "", option->env ? option->env : "");
	print_wrapped(out, about, ABOUT_COLUMN, ABOUT_COLUMN);
}

/* Those for databases have a page of their own. */
static void print_options(FILE *out, const struct cf_option_spec *options)
{
	for (; options->id != CF_OPT_NONE; options++)
		if (!options->for_databases)
			print_option(out, options);
}

/* Only their names: help of a command has to fit a screen. */
static void print_database_options(FILE *out, const struct cf_option_spec *options)
{
	char names[512] = "";
	size_t len = 0;

	for (; options->id != CF_OPT_NONE; options++)
		if (options->for_databases)
			len += (size_t)snprintf(names + len, sizeof(names) - len, " --%s",
						options->name);
	if (len > 0)
		print_wrapped(out, names + 1, fprintf(out, "  Databases: "), 2);
}

void cf_help_overview(FILE *out)
{
	fprintf(out, "Usage: coffer [-r REPO] COMMAND [OPTION]... [ARGUMENT]...\n");
	fprintf(out, "coffer: %s\n\n", cf_spec_about);
	/* The last two are named below: the list has to fit a screen. */
	for (size_t i = 0; i < CF_COMMAND_VERSION; i++) {
		const struct cf_command_spec *command = &cf_spec_commands[i];
		char names[40];

		if (command->pair_about)
			i++;
		snprintf(names, sizeof(names), "%s%s%s", command->name,
			 command->pair_about ? ", " : "",
			 command->pair_about ? cf_spec_commands[i].name : "");
		fprintf(out, "  %-13s %s\n", names,
			command->pair_about ? command->pair_about : command->about);
	}
	fputs("\n`coffer help COMMAND | options | databases` explains more, `coffer help --man`\n"
	      "prints the manual, `coffer version` the version.\n",
	      out);
}

void cf_help_command(FILE *out, const struct cf_command_spec *command)
{
	char usage[256];

	snprintf(usage, sizeof(usage), "%s%s%s%s%s", command->has_no_repository ? "" : "-r REPO ",
		 command->name, command->options->id != CF_OPT_NONE ? " [OPTION]..." : "",
		 command->operands[0] ? " " : "", command->operands);
	print_wrapped(out, usage, fprintf(out, "Usage: coffer "), 15);
	fprintf(out, "%s.\n\n", command->about);
	print_options(out, command->options);
	print_database_options(out, command->options);
	fprintf(out, "%sExamples:\n", command->options->id != CF_OPT_NONE ? "\n" : "");
	for (const struct cf_example *example = command->examples; example->line; example++)
		fprintf(out, "  %s\n", example->line);
	fprintf(out,
		"`coffer help options` and `coffer help databases` explain what commands share.\n");
}

void cf_help_options(FILE *out)
{
	fprintf(out, "Options of every command:\n\n");
	print_options(out, cf_spec_globals);
	fprintf(out,
		"\nCOFFER_PASSWORD may hold the password itself. Without any of these coffer asks\n"
		"for one on the terminal.\n");
}

static bool is_option_before(size_t command, enum cf_option_id id)
{
	for (size_t i = 0; i < command; i++)
		for (const struct cf_option_spec *option = cf_spec_commands[i].options;
		     option->id != CF_OPT_NONE; option++)
			if (option->id == id)
				return true;
	return false;
}

void cf_help_databases(FILE *out)
{
	fprintf(out, "For databases, among the options of backup, restore and verify:\n");
	for (size_t i = 0; i < CF_N_COMMANDS; i++)
		for (const struct cf_option_spec *option = cf_spec_commands[i].options;
		     option->id != CF_OPT_NONE; option++)
			if (option->for_databases && !is_option_before(i, option->id))
				print_option(out, option);
	fprintf(out, "\nA PATTERN is psql's: shop.orders, shop.*, \"Odd Name\".\n");
}
