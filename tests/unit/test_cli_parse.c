#include "base/err.h"
#include "cli/help.h"
#include "cli/parse.h"
#include "cli/suggest.h"
#include "cli/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORDS_MAX 16
#define METHODS "zstd, zstd:1 to zstd:19, lz4, gzip, gzip:1 to gzip:9, bzip2, xz or none"

/* "a b c" as an argument vector behind the program's name; '' is an empty word. */
struct words {
	char text[256];
	const char *argv[WORDS_MAX + 2];
};

static const char *const *split(struct words *words, const char *line)
{
	size_t n = 0;
	char *save = NULL;

	snprintf(words->text, sizeof(words->text), "%s", line);
	words->argv[n++] = "coffer";
	for (char *word = strtok_r(words->text, " ", &save); word;
	     word = strtok_r(NULL, " ", &save)) {
		assert_true(n < WORDS_MAX);
		words->argv[n++] = strcmp(word, "''") == 0 ? "" : word;
	}
	words->argv[n] = NULL;
	return words->argv;
}

static void clear_environment(void)
{
	for (const struct cf_option_spec *option = cf_spec_globals; option->id != CF_OPT_NONE;
	     option++)
		if (option->env)
			unsetenv(option->env);
}

static void command_lines_are_understood(void **state)
{
	static const struct {
		const char *line;
		enum cf_command_id command;
		enum cf_option_id option; /* CF_OPT_NONE: none given */
		const char *value;
		size_t n_operands;
	} cases[] = {
		{"stats", CF_COMMAND_STATS, CF_OPT_NONE, NULL, 0},
		{"-r /x stats", CF_COMMAND_STATS, CF_OPT_REPOSITORY, "/x", 0},
		{"stats -r /x", CF_COMMAND_STATS, CF_OPT_REPOSITORY, "/x", 0},
		{"stats -r/x", CF_COMMAND_STATS, CF_OPT_REPOSITORY, "/x", 0},
		{"stats --repository /x", CF_COMMAND_STATS, CF_OPT_REPOSITORY, "/x", 0},
		{"stats --repository=/x", CF_COMMAND_STATS, CF_OPT_REPOSITORY, "/x", 0},
		{"stats -qr/x", CF_COMMAND_STATS, CF_OPT_REPOSITORY, "/x", 0},
		{"-r /x -r /y stats", CF_COMMAND_STATS, CF_OPT_REPOSITORY, "/y", 0},
		{"--tag a backup /etc", CF_COMMAND_BACKUP, CF_OPT_TAG, "a", 1},
		{"backup /etc --tag=a=b /srv", CF_COMMAND_BACKUP, CF_OPT_TAG, "a=b", 2},
		{"-l ls latest", CF_COMMAND_LS, CF_OPT_LONG, NULL, 1},
		{"ls -lv latest", CF_COMMAND_LS, CF_OPT_LONG, NULL, 1},
		{"check --read-data", CF_COMMAND_CHECK, CF_OPT_READ_DATA, NULL, 0},
		{"check --read-data=5%", CF_COMMAND_CHECK, CF_OPT_READ_DATA, "5%", 0},
		{"find -- -x", CF_COMMAND_FIND, CF_OPT_NONE, NULL, 1},
		{"-- find -x", CF_COMMAND_FIND, CF_OPT_NONE, NULL, 1},
		{"find -", CF_COMMAND_FIND, CF_OPT_NONE, NULL, 1},
		{"tag latest --set ''", CF_COMMAND_TAG, CF_OPT_SET, "", 1},
		{"backup / --compression zstd:3", CF_COMMAND_BACKUP, CF_OPT_COMPRESSION, "zstd:3",
		 1},
		{"backup / --compression xz", CF_COMMAND_BACKUP, CF_OPT_COMPRESSION, "xz", 1},
		{"backup / --compression gzip:9", CF_COMMAND_BACKUP, CF_OPT_COMPRESSION, "gzip:9",
		 1},
		{"backup / --compression none", CF_COMMAND_BACKUP, CF_OPT_COMPRESSION, "none", 1},
		{"backup / --frame 1MiB", CF_COMMAND_BACKUP, CF_OPT_FRAME, "1MiB", 1},
	};

	clear_environment();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct words words;
		struct cf_args args;
		struct cf_err err = CF_ERR_INIT;
		const char *value;

		if (cf_args_parse(split(&words, cases[i].line), &args, &err) < 0)
			fail_msg("%s: %s", cases[i].line, err.text);
		assert_int_equal(args.command->id, cases[i].command);
		assert_int_equal(args.n_operands, cases[i].n_operands);
		if (cases[i].option != CF_OPT_NONE) {
			assert_true(cf_args_has(&args, cases[i].option));
			value = cf_args_given(&args, cases[i].option);
			if (cases[i].value)
				assert_string_equal(value, cases[i].value);
			else
				assert_null(value);
		}
		cf_args_release(&args);
	}
}

static void what_makes_no_sense_is_named_in_one_line(void **state)
{
	static const struct {
		const char *line, *text;
	} cases[] = {
		{"", "no command given; `coffer help` lists them"},
		{"bakcup /etc", "unknown command 'bakcup'; did you mean 'backup'?"},
		{"snap", "unknown command 'snap'; did you mean 'snapshots'?"},
		{"frobnicate", "unknown command 'frobnicate'; `coffer help` lists them"},
		{"backup /etc --exclud x", "unknown option --exclud; did you mean --exclude?"},
		{"backup /etc --zzzzz=1", "unknown option --zzzzz; see `coffer help backup`"},
		{"--jsn stats", "unknown option --jsn; did you mean --json?"},
		{"stats -x", "unknown option -x; see `coffer help stats`"},
		{"stats --tag a", "--tag is no option of stats; see `coffer help stats`"},
		{"--tag a stats", "--tag is no option of stats; see `coffer help stats`"},
		{"stats -r", "--repository needs a value: --repository REPO"},
		{"stats --json=yes", "--json takes no value"},
		{"backup",
		 "backup needs an argument: coffer backup SOURCE... [-- COMMAND [ARG]...]"},
		{"diff latest",
		 "diff needs one more argument: coffer diff SNAPSHOT[:PATH] SNAPSHOT[:PATH]"},
		{"stats all", "stats: unexpected argument 'all'"},
		{"ls ''", "ls: empty argument"},
		{"stats --threads 0", "--threads: '0' is no number from 1 to 1024"},
		{"stats --threads many", "--threads: 'many' is no number from 1 to 1024"},
		{"backup / --frame 1",
		 "--frame: '1' is no number from 4096 to 67108864 (K, M, G allowed)"},
		{"backup / --compression lzma", "--compression: 'lzma' is not " METHODS},
		{"backup / --compression zstd:0", "--compression: 'zstd:0' is not " METHODS},
		{"backup / --compression zstd:20", "--compression: 'zstd:20' is not " METHODS},
		{"backup / --compression zst", "--compression: 'zst' is not " METHODS},
		{"backup / --compression zstdx", "--compression: 'zstdx' is not " METHODS},
		{"backup / --compression gzip:", "--compression: 'gzip:' is not " METHODS},
		{"backup / --compression gzip:10", "--compression: 'gzip:10' is not " METHODS},
		{"backup / --compression xz:6", "--compression: 'xz:6' is not " METHODS},
		{"backup / --compression none:0", "--compression: 'none:0' is not " METHODS},
		{"check --read-data=0%", "--read-data: '0%' is no share above 0% and up to 100%, and no size (10G)"},
		{"init --cipher rot13",
		 "--cipher: 'rot13' is none of: aes-256-gcm chacha20-poly1305 none"},
		{"backup / --tag ''", "--tag is empty"},
	};

	clear_environment();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct words words;
		struct cf_args args;
		struct cf_err err = CF_ERR_INIT;

		assert_int_equal(cf_args_parse(split(&words, cases[i].line), &args, &err),
				 CF_ERR_USAGE);
		assert_string_equal(err.text, cases[i].text);
		cf_args_release(&args);
	}
}

static void a_command_behind_two_dashes_is_kept_whole(void **state)
{
	struct words words;
	struct cf_args args;

	assert_int_equal(
		cf_args_parse(split(&words, "backup stream:x --tag a -- pg_dump --json -- -v"),
			      &args, NULL),
		0);
	assert_int_equal(args.n_operands, 1);
	assert_false(cf_args_has(&args, CF_OPT_JSON));
	assert_string_equal(args.run[0], "pg_dump");
	assert_string_equal(args.run[1], "--json");
	assert_string_equal(args.run[2], "--");
	assert_string_equal(args.run[3], "-v");
	assert_null(args.run[4]);
	cf_args_release(&args);
}

static void help_and_version_excuse_what_is_missing(void **state)
{
	static const char *const lines[] = {"--help", "-h", "--version", "diff --help",
					    "-h backup"};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct words words;
		struct cf_args args;

		assert_int_equal(cf_args_parse(split(&words, lines[i]), &args, NULL), 0);
		assert_true(args.help || args.version);
		cf_args_release(&args);
	}
}

static void environment_stands_behind_options(void **state)
{
	struct words words;
	struct cf_args args;

	setenv("COFFER_REPOSITORY", "/env", 1);
	assert_int_equal(cf_args_parse(split(&words, "stats"), &args, NULL), 0);
	assert_string_equal(cf_args_text(&args, CF_OPT_REPOSITORY), "/env");
	assert_null(cf_args_given(&args, CF_OPT_REPOSITORY));
	cf_args_release(&args);

	assert_int_equal(cf_args_parse(split(&words, "stats -r /x"), &args, NULL), 0);
	assert_string_equal(cf_args_text(&args, CF_OPT_REPOSITORY), "/x");
	cf_args_release(&args);

	setenv("COFFER_REPOSITORY", "", 1);
	assert_int_equal(cf_args_parse(split(&words, "stats"), &args, NULL), 0);
	assert_null(cf_args_text(&args, CF_OPT_REPOSITORY));
	cf_args_release(&args);
	clear_environment();
}

static void repeated_options_come_as_a_list(void **state)
{
	struct words words;
	struct cf_args args;
	const char **list;
	size_t n;

	assert_int_equal(
		cf_args_parse(split(&words, "--tag a backup / --tag b -q --tag=c"), &args, NULL),
		0);
	assert_int_equal(cf_args_list(&args, CF_OPT_TAG, &list, &n, NULL), 0);
	assert_int_equal(n, 3);
	assert_string_equal(list[0], "a");
	assert_string_equal(list[2], "c");
	free(list);
	cf_args_release(&args);
}

static void sizes_are_read(void **state)
{
	static const struct {
		const char *text;
		bool valid;
		uint64_t size;
	} cases[] = {
		{"0", true, 0},	       {"4096", true, 4096},	{"64K", true, 65536},
		{"64k", true, 65536},  {"1M", true, 1 << 20},	{"2MiB", true, 2 << 20},
		{"1g", true, 1 << 30}, {"", false, 0},		{"K", false, 0},
		{"-1", false, 0},      {"1.5M", false, 0},	{"1MB", false, 0},
		{"1 M", false, 0},     {"99999999T", false, 0}, {"18446744073709551616", false, 0},
		{"0x10", false, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t size = 1;

		assert_int_equal(cf_value_size(cases[i].text, &size), cases[i].valid);
		if (cases[i].valid)
			assert_int_equal(size, cases[i].size);
	}
}

static void shares_are_percentages_or_sizes(void **state)
{
	static const char *const bad[] = {"0",	"",    "%",   "101", "1e1", "nan", "inf",
					  "5%%", "-5", "5 %", "0G",  "1X",  "1.5G"};
	double percent;
	uint64_t bytes;

	assert_true(cf_value_share("5%", &percent, &bytes) && percent == 5 && bytes == 0);
	assert_true(cf_value_share("0.5", &percent, &bytes) && percent == 0.5 && bytes == 0);
	assert_true(cf_value_share("100%", &percent, &bytes) && percent == 100 && bytes == 0);
	assert_true(cf_value_share("10G", &percent, &bytes) && percent == 0 && bytes == 10ull << 30);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(cf_value_share(bad[i], &percent, &bytes));
}

static void durations_are_read(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds; /* 0: refused */
	} cases[] = {{"90s", 90},   {"30m", 1800}, {"1h30m", 5400}, {"2d", 172800}, {"1d1h1m1s", 90061},
		     {"366d", 31622400}, {"", 0},	   {"30", 0},	    {"0m", 0},	    {"m", 0},
		     {"30m1h", 0},  {"1m1m", 0},   {"1w", 0},	    {"367d", 0},    {"1h ", 0},
		     {"-1h", 0},    {"99999999999999999999s", 0}};
	int64_t ns;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(cf_value_duration(cases[i].text, &ns), cases[i].seconds > 0);
		if (cases[i].seconds)
			assert_int_equal(ns, cases[i].seconds * 1000000000);
	}
}

static void suggestions_are_near(void **state)
{
	static const struct {
		const char *word, *best;
	} cases[] = {
		{"backpu", "backup"}, {"restor", "restore"}, {"dif", "diff"},
		{"chekc", "check"},   {"st", "stats"},	     {"x", NULL},
		{"zzzz", NULL},	      {"tags", "tag"},	     {"serve", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cf_suggest suggest = cf_suggest_begin(cases[i].word, strlen(cases[i].word));

		for (size_t j = 0; j < CF_N_COMMANDS; j++)
			cf_suggest_offer(&suggest, cf_spec_commands[j].name);
		if (!cases[i].best)
			assert_null(suggest.best);
		else
			assert_string_equal(suggest.best, cases[i].best);
	}
}

static const struct cf_option_spec *options_of(size_t i)
{
	return i < CF_N_COMMANDS ? cf_spec_commands[i].options : cf_spec_globals;
}

static void an_option_is_the_same_in_every_command(void **state)
{
	for (size_t i = 0; i <= CF_N_COMMANDS; i++) {
		for (size_t j = 0; j < i; j++) {
			for (const struct cf_option_spec *a = options_of(i); a->id; a++) {
				for (const struct cf_option_spec *b = options_of(j); b->id; b++) {
					bool same_name =
						a->name && b->name && !strcmp(a->name, b->name);

					assert_int_equal(a->id == b->id,
							 same_name || (!a->name && !b->name &&
								       a->letter == b->letter));
					if (a->id == b->id)
						assert_int_equal(a->kind, b->kind);
					else if (a->letter)
						assert_int_not_equal(a->letter, b->letter);
				}
			}
		}
	}
}

static void commands_stand_at_their_ids(void **state)
{
	for (size_t i = 0; i < CF_N_COMMANDS; i++) {
		const struct cf_command_spec *command = &cf_spec_commands[i];

		assert_int_equal(command->id, i);
		assert_ptr_equal(cf_spec_command(command->name), command);
		assert_non_null(command->examples);
		assert_non_null(command->text);
	}
	assert_null(cf_spec_command("no-such"));
}

/* Examples are command lines that the parser takes. */
static void examples_are_valid(void **state)
{
	clear_environment();
	for (size_t i = 0; i < CF_N_COMMANDS; i++) {
		for (const struct cf_example *example = cf_spec_commands[i].examples; example->line;
		     example++) {
			struct words words;
			struct cf_args args;
			struct cf_err err = CF_ERR_INIT;
			char line[200];

			snprintf(line, sizeof(line), "%.*s", (int)strcspn(example->line, "|>"),
				 example->line + strlen("coffer "));
			line[strcspn(line, "|>")] = '\0';
			if (cf_args_parse(split(&words, line), &args, &err) < 0)
				fail_msg("%s: %s", example->line, err.text);
			assert_int_equal(args.command->id, i);
			cf_args_release(&args);
		}
	}
}

static void assert_fits_screen(const char *text)
{
	size_t lines = 0, column = 0;

	for (; *text; text++) {
		column++;
		if (*text == '\n') {
			assert_true(column == 1 || text[-1] != ' ');
			lines++;
			column = 0;
		}
		assert_true(column <= 80);
	}
	/* The 24th line is the prompt's. */
	assert_true(lines > 0 && lines <= 23);
}

static void every_help_fits_a_screen(void **state)
{
	for (size_t i = 0; i < CF_N_COMMANDS + 3; i++) {
		char *text = NULL;
		size_t len;
		FILE *out = open_memstream(&text, &len);

		assert_non_null(out);
		if (i < CF_N_COMMANDS)
			cf_help_command(out, &cf_spec_commands[i]);
		else if (i == CF_N_COMMANDS)
			cf_help_overview(out);
		else if (i == CF_N_COMMANDS + 1)
			cf_help_options(out);
		else
			cf_help_databases(out);
		fclose(out);
		assert_fits_screen(text);
		free(text);
	}
}

static void manual_passes_mandoc(void **state)
{
	if (system("command -v mandoc >/dev/null 2>&1") != 0)
		skip();
	for (size_t i = 0; i <= CF_N_COMMANDS; i++) {
		FILE *mandoc = popen("mandoc -T lint -W warning >&2", "w");

		assert_non_null(mandoc);
		cf_help_man(mandoc, i < CF_N_COMMANDS ? &cf_spec_commands[i] : NULL);
		assert_int_equal(pclose(mandoc), 0);
	}
}

static void bash_completion_is_valid_and_completes(void **state)
{
	FILE *bash = popen("bash", "w");

	assert_non_null(bash);
	cf_help_completion(bash, "bash");
	fputs("complete_line() { COMP_WORDS=(\"$@\"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "
	      "_coffer; echo \"${COMPREPLY[*]}\"; }\n"
	      "set -eu\n"
	      "[ \"$(complete_line coffer snap)\" = snapshots ]\n"
	      "[ \"$(complete_line coffer -r /x snap)\" = snapshots ]\n"
	      "[ \"$(complete_line coffer -r /x init --cip)\" = --cipher ]\n"
	      "[ \"$(complete_line coffer init --cipher chacha)\" = chacha20-poly1305 ]\n"
	      "[ \"$(complete_line coffer help --completion f)\" = fish ]\n"
	      "[ \"$(complete_line coffer backup --one)\" = --one-file-system ]\n"
	      "[ \"$(complete_line coffer stats --js)\" = --json ]\n",
	      bash);
	assert_int_equal(pclose(bash), 0);
}

static void completion_names_every_option(void **state)
{
	static const char *const shells[] = {"bash", "zsh", "fish"};

	for (size_t s = 0; s < 3; s++) {
		char *text = NULL;
		size_t len;
		FILE *out = open_memstream(&text, &len);

		cf_help_completion(out, shells[s]);
		fclose(out);
		for (size_t i = 0; i <= CF_N_COMMANDS; i++)
			for (const struct cf_option_spec *option = options_of(i); option->id;
			     option++)
				if (option->name)
					assert_non_null(strstr(text, option->name));
		free(text);
	}
}

static void patterns_close_their_sets(void **state)
{
	static const char *const good[] = {"", "*", "a]", "[a]", "[]]", "[!]x]", "[[:digit:]]", "\\[",
					   "[a-z]/[^0-9]", "[\\]]", "[[]"};
	static const char *const bad[] = {"[", "a[b", "[]", "[!]", "[!", "[a/b]", "[a]/[",
					  "[\\]", "[[:digit:]", "\\\\["};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(cf_value_pattern(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(cf_value_pattern(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(command_lines_are_understood),
		cmocka_unit_test(what_makes_no_sense_is_named_in_one_line),
		cmocka_unit_test(a_command_behind_two_dashes_is_kept_whole),
		cmocka_unit_test(help_and_version_excuse_what_is_missing),
		cmocka_unit_test(environment_stands_behind_options),
		cmocka_unit_test(repeated_options_come_as_a_list),
		cmocka_unit_test(sizes_are_read),
		cmocka_unit_test(shares_are_percentages_or_sizes),
		cmocka_unit_test(durations_are_read),
		cmocka_unit_test(suggestions_are_near),
		cmocka_unit_test(an_option_is_the_same_in_every_command),
		cmocka_unit_test(commands_stand_at_their_ids),
		cmocka_unit_test(examples_are_valid),
		cmocka_unit_test(every_help_fits_a_screen),
		cmocka_unit_test(manual_passes_mandoc),
		cmocka_unit_test(bash_completion_is_valid_and_completes),
		cmocka_unit_test(completion_names_every_option),
		cmocka_unit_test(patterns_close_their_sets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
