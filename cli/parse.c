#include "cli/parse.h"

#include "base/err.h"
#include "cli/suggest.h"
#include "cli/value.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct parser {
	const char *const *at; /* the next word */
	struct cf_args *args;
	struct cf_err *err;
};

/* While the command is unknown, and to tell "not of this command" from "unknown", any command's. */
static const struct cf_option_spec *find_anywhere(const char *name, size_t len, char letter)
{
	const struct cf_option_spec *option = NULL;

	for (size_t i = 0; i < CF_N_COMMANDS && !option; i++)
		option = letter ? cf_spec_letter(&cf_spec_commands[i], letter)
				: cf_spec_option(&cf_spec_commands[i], name, len);
	return option;
}

static void offer_options(struct cf_suggest *suggest, const struct cf_option_spec *option)
{
	for (; option->id != CF_OPT_NONE; option++)
		if (option->name)
			cf_suggest_offer(suggest, option->name);
}

static int unknown_option(struct parser *p, const char *name, size_t len)
{
	const struct cf_command_spec *command = p->args->command;
	struct cf_suggest suggest = cf_suggest_begin(name, len);

	if (command)
		offer_options(&suggest, command->options);
	offer_options(&suggest, cf_spec_globals);
	if (suggest.best)
		return cf_err_set(p->err, CF_ERR_USAGE, "unknown option --%.*s; did you mean --%s?",
				  (int)len, name, suggest.best);
	return cf_err_set(p->err, CF_ERR_USAGE, "unknown option --%.*s; see `coffer help%s%s`",
			  (int)len, name, command ? " " : "", command ? command->name : "");
}

static int unknown_command(struct parser *p, const char *name)
{
	struct cf_suggest suggest = cf_suggest_begin(name, strlen(name));

	for (size_t i = 0; i < CF_N_COMMANDS; i++)
		cf_suggest_offer(&suggest, cf_spec_commands[i].name);
	if (suggest.best)
		return cf_err_set(p->err, CF_ERR_USAGE, "unknown command '%s'; did you mean '%s'?",
				  name, suggest.best);
	return cf_err_set(p->err, CF_ERR_USAGE, "unknown command '%s'; `coffer help` lists them",
			  name);
}

static void add_option(struct parser *p, const struct cf_option_spec *option, const char *text)
{
	p->args->options[p->args->n_options++] = (struct cf_arg){option, text};
	if (option->id == CF_OPT_HELP)
		p->args->help = true;
	if (option->id == CF_OPT_VERSION)
		p->args->version = true;
}

static int take_value(struct parser *p, const struct cf_option_spec *option)
{
	struct cf_option_text name = cf_spec_option_text(option);

	if (!*p->at)
		return cf_err_set(p->err, CF_ERR_USAGE, "%s needs a value: %s %s", name.s, name.s,
				  option->value);
	add_option(p, option, *p->at++);
	return 0;
}

static int parse_long(struct parser *p, const char *word)
{
	size_t len = strcspn(word, "=");
	const char *value = word[len] == '=' ? word + len + 1 : NULL;
	const struct cf_option_spec *option = cf_spec_option(p->args->command, word, len);

	if (!option)
		option = find_anywhere(word, len, 0);
	if (!option)
		return unknown_option(p, word, len);
	if (value && option->kind == CF_VALUE_FLAG)
		return cf_err_set(p->err, CF_ERR_USAGE, "--%s takes no value", option->name);
	if (value || option->kind == CF_VALUE_FLAG || option->kind == CF_VALUE_SHARE) {
		add_option(p, option, value);
		return 0;
	}
	return take_value(p, option);
}

static int parse_letters(struct parser *p, const char *letters)
{
	for (; *letters; letters++) {
		const struct cf_option_spec *option = cf_spec_letter(p->args->command, *letters);

		if (!option)
			option = find_anywhere(NULL, 0, *letters);
		if (!option)
			return cf_err_set(p->err, CF_ERR_USAGE,
					  "unknown option -%c; see `coffer help%s%s`", *letters,
					  p->args->command ? " " : "",
					  p->args->command ? p->args->command->name : "");
		if (option->kind == CF_VALUE_FLAG) {
			add_option(p, option, NULL);
			continue;
		}
		if (letters[1] == '\0')
			return take_value(p, option);
		add_option(p, option, letters + 1);
		return 0;
	}
	return 0;
}

static int parse_operand(struct parser *p, const char *word)
{
	struct cf_args *args = p->args;

	if (args->command) {
		args->operands[args->n_operands++] = word;
		return 0;
	}
	args->command = cf_spec_command(word);
	return args->command ? 0 : unknown_command(p, word);
}

static int parse_words(struct parser *p)
{
	int rc = 0;

	while (rc == 0 && *p->at) {
		const char *word = *p->at++;

		if (strcmp(word, "--") == 0)
			break;
		if (word[0] == '-' && word[1] == '-')
			rc = parse_long(p, word + 2);
		else if (word[0] == '-' && word[1] != '\0')
			rc = parse_letters(p, word + 1);
		else
			rc = parse_operand(p, word);
	}
	if (rc == 0 && p->args->command && p->args->command->runs_command && *p->at) {
		p->args->run = p->at;
		return 0;
	}
	while (rc == 0 && *p->at)
		rc = parse_operand(p, *p->at++);
	return rc;
}

/* An option may have stood before its command, with the table entry of another one. */
static int bind_options(struct parser *p)
{
	const struct cf_command_spec *command = p->args->command;

	for (size_t i = 0; i < p->args->n_options; i++) {
		struct cf_arg *arg = &p->args->options[i];
		struct cf_option_text name = cf_spec_option_text(arg->option);
		int rc = 0;

		arg->option = cf_spec_by_id(command, arg->option->id);
		if (!arg->option)
			return cf_err_set(p->err, CF_ERR_USAGE,
					  "%s is no option of %s; see `coffer help %s`", name.s,
					  command->name, command->name);
		if (arg->text)
			rc = cf_value_check(arg->option, name.s, arg->text, p->err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int check_environment(struct parser *p)
{
	for (const struct cf_option_spec *option = cf_spec_globals; option->id != CF_OPT_NONE;
	     option++) {
		const char *text = option->env ? getenv(option->env) : NULL;
		int rc;

		if (!text || !text[0])
			continue;
		rc = cf_value_check(option, option->env, text, p->err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Whether the word is one of those in the list, which spaces separate. */
static bool is_listed(const char *list, const char *word)
{
	size_t len = strlen(word);

	while (*list) {
		size_t n = strcspn(list, " ");

		if (n == len && memcmp(list, word, n) == 0)
			return true;
		list += n + (list[n] == ' ');
	}
	return false;
}

static int check_operands(struct parser *p)
{
	const struct cf_command_spec *command = p->args->command;
	size_t n = p->args->n_operands;

	if (n < command->n_min)
		return cf_err_set(p->err, CF_ERR_USAGE, "%s needs %s: coffer %s %s", command->name,
				  n == 0 ? "an argument" : "one more argument", command->name,
				  command->operands);
	if (n > command->n_max)
		return cf_err_set(p->err, CF_ERR_USAGE, "%s: unexpected argument '%s'",
				  command->name, p->args->operands[command->n_max]);
	for (size_t i = 0; i < n; i++)
		if (p->args->operands[i][0] == '\0')
			return cf_err_set(p->err, CF_ERR_USAGE, "%s: empty argument",
					  command->name);
	if (command->actions && n > 0 && !is_listed(command->actions, p->args->operands[0]))
		return cf_err_set(p->err, CF_ERR_USAGE, "%s: no action '%s' (there are: %s)", command->name,
				  p->args->operands[0], command->actions);
	return 0;
}

static int check_all(struct parser *p)
{
	struct cf_args *args = p->args;
	int rc;

	if (!args->command && (args->help || args->version))
		return 0;
	if (!args->command)
		return cf_err_set(p->err, CF_ERR_USAGE,
				  "no command given; `coffer help` lists them");
	rc = bind_options(p);
	if (rc < 0 || args->help || args->version)
		return rc;
	rc = check_operands(p);
	return rc < 0 ? rc : check_environment(p);
}

int cf_args_parse(const char *const *argv, struct cf_args *args, struct cf_err *err)
{
	struct parser p = {.at = argv, .args = args, .err = err};
	size_t n_letters = 1, n_words = 1;
	int rc;

	*args = (struct cf_args){0};
	for (const char *const *word = argv; *word; word++) {
		n_words++;
		n_letters += strlen(*word);
	}
	/* A word of bundled letters is as many options as it has letters at most. */
	args->options = calloc(n_letters + n_words, sizeof(*args->options));
	args->operands = calloc(n_words, sizeof(*args->operands));
	if (!args->options || !args->operands)
		return cf_err_nomem(err);
	if (*p.at)
		p.at++;
	rc = parse_words(&p);
	return rc < 0 ? rc : check_all(&p);
}

void cf_args_release(struct cf_args *args)
{
	free(args->options);
	free(args->operands);
	*args = (struct cf_args){0};
}

bool cf_args_has(const struct cf_args *args, enum cf_option_id id)
{
	for (size_t i = 0; i < args->n_options; i++)
		if (args->options[i].option->id == id)
			return true;
	return false;
}

const char *cf_args_given(const struct cf_args *args, enum cf_option_id id)
{
	for (size_t i = args->n_options; i > 0; i--)
		if (args->options[i - 1].option->id == id)
			return args->options[i - 1].text;
	return NULL;
}

const char *cf_args_text(const struct cf_args *args, enum cf_option_id id)
{
	const char *text = cf_args_given(args, id);
	const struct cf_option_spec *option = cf_spec_by_id(args->command, id);

	if (!text && option && option->env)
		text = getenv(option->env);
	return text && text[0] ? text : NULL;
}

int cf_args_list(const struct cf_args *args, enum cf_option_id id, const char ***list_out,
		 size_t *n_out, struct cf_err *err)
{
	const char **list = calloc(args->n_options + 1, sizeof(*list));
	size_t n = 0;

	if (!list)
		return cf_err_nomem(err);
	for (size_t i = 0; i < args->n_options; i++)
		if (args->options[i].option->id == id)
			list[n++] = args->options[i].text;
	*list_out = list;
	*n_out = n;
	return 0;
}

uint64_t cf_args_number(const struct cf_args *args, enum cf_option_id id)
{
	const char *text = cf_args_text(args, id);
	const struct cf_option_spec *option = cf_spec_by_id(args->command, id);
	uint64_t number = 0;
	bool valid;

	if (!text)
		return 0;
	valid = option->kind == CF_VALUE_SIZE ? cf_value_size(text, &number)
					      : cf_value_count(text, &number);
	assert(valid);
	(void)valid;
	return number;
}

void cf_args_share(const struct cf_args *args, enum cf_option_id id, double *percent_out,
		   uint64_t *bytes_out)
{
	const char *text = cf_args_text(args, id);
	bool valid = true;

	*percent_out = cf_args_has(args, id) ? 100 : 0;
	*bytes_out = 0;
	if (text)
		valid = cf_value_share(text, percent_out, bytes_out);
	assert(valid);
	(void)valid;
}
