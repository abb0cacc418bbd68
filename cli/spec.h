#ifndef CF_CLI_SPEC_H
#define CF_CLI_SPEC_H

/*
 * The command table: every command, its arguments, options, defaults, environment variables and
 * examples, declared once. Parser, --help, man page and completion are made from it.
 *
 * An option of one name has one id and takes a value either in every command or in none, so that it
 * may stand before the command.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cf_command_id {
	CF_COMMAND_INIT,
	CF_COMMAND_BACKUP,
	CF_COMMAND_SNAPSHOTS,
	CF_COMMAND_LS,
	CF_COMMAND_FIND,
	CF_COMMAND_DIFF,
	CF_COMMAND_RESTORE,
	CF_COMMAND_DUMP,
	CF_COMMAND_MOUNT,
	CF_COMMAND_UMOUNT,
	CF_COMMAND_CHECK,
	CF_COMMAND_REPAIR,
	CF_COMMAND_VERIFY,
	CF_COMMAND_STATS,
	CF_COMMAND_TAG,
	CF_COMMAND_HOLD,
	CF_COMMAND_FORGET,
	CF_COMMAND_PRUNE,
	CF_COMMAND_KEY,
	CF_COMMAND_AUDIT,
	CF_COMMAND_DOCTOR,
	CF_COMMAND_VERSION,
	CF_COMMAND_HELP,
	CF_N_COMMANDS
};

enum cf_option_id {
	CF_OPT_NONE,
	/* of every command */
	CF_OPT_REPOSITORY,
	CF_OPT_PASSWORD_FILE,
	CF_OPT_PASSWORD_COMMAND,
	CF_OPT_KEY_FILE,
	CF_OPT_KEY_COMMAND,
	CF_OPT_CACHE_DIR,
	CF_OPT_THREADS,
	CF_OPT_JSON,
	CF_OPT_VERBOSE,
	CF_OPT_QUIET,
	CF_OPT_HELP,
	CF_OPT_VERSION,
	/* of some */
	CF_OPT_CIPHER,
	CF_OPT_CHUNKER,
	CF_OPT_TAG,
	CF_OPT_HOST,
	CF_OPT_SOURCE,
	CF_OPT_EXCLUDE,
	CF_OPT_EXCLUDE_FROM,
	CF_OPT_ONE_FILE_SYSTEM,
	CF_OPT_EXCLUDE_CACHES,
	CF_OPT_DRY_RUN,
	CF_OPT_PARENT,
	CF_OPT_IGNORE_TIMES,
	CF_OPT_COMPRESSION,
	CF_OPT_FRAME,
	CF_OPT_KEEP_PACK_KEYS,
	CF_OPT_LONG,
	CF_OPT_RECURSIVE,
	CF_OPT_TO,
	CF_OPT_OVERWRITE,
	CF_OPT_VERIFY,
	CF_OPT_KEEP_GOING,
	CF_OPT_NO_OWNER,
	CF_OPT_SYNC,
	CF_OPT_READ_DATA,
	CF_OPT_MAX_DURATION,
	CF_OPT_ADD,
	CF_OPT_REMOVE,
	CF_OPT_SET,
	CF_OPT_REASON,
	CF_OPT_KEEP_LAST,
	CF_OPT_KEEP_WITHIN,
	CF_OPT_KEEP_HOURLY,
	CF_OPT_KEEP_DAILY,
	CF_OPT_KEEP_WEEKLY,
	CF_OPT_KEEP_MONTHLY,
	CF_OPT_KEEP_QUARTERLY,
	CF_OPT_KEEP_YEARLY,
	CF_OPT_KEEP_TAG,
	CF_OPT_GFS,
	CF_OPT_GROUP_BY,
	CF_OPT_YES,
	CF_OPT_MAX_UNUSED,
	CF_OPT_MAX_REPACK,
	CF_OPT_GRACE,
	CF_OPT_NOW,
	CF_OPT_SNAPSHOT,
	CF_OPT_ALLOW_OTHER,
	CF_OPT_FOREGROUND,
	CF_OPT_CACHE_SIZE,
	CF_OPT_LOG,
	CF_OPT_LAZY,
	CF_OPT_TABLE,
	CF_OPT_SCHEMA,
	CF_OPT_EXCLUDE_TABLE,
	CF_OPT_EXCLUDE_TABLE_DATA,
	CF_OPT_ALL_DATABASES,
	CF_OPT_JOBS,
	CF_OPT_LOCK_WAIT,
	CF_OPT_REQUIRE_TRANSACTIONAL,
	CF_OPT_ALLOW_OLD_CLIENT,
	CF_OPT_RENAME,
	CF_OPT_CREATE,
	CF_OPT_CLEAN,
	CF_OPT_SCHEMA_ONLY,
	CF_OPT_DATA_ONLY,
	CF_OPT_USERS,
	CF_OPT_NO_PRIVILEGES,
	CF_OPT_LEVEL,
	CF_OPT_AGAINST,
	CF_OPT_ROLE,
	CF_OPT_COMMENT,
	CF_OPT_NEW_KEY_FILE,
	CF_OPT_NEW_PASSWORD_FILE,
	CF_OPT_NEW_PASSWORD_COMMAND,
	CF_OPT_NEW_KEY_COMMAND,
	CF_OPT_SINCE,
	CF_OPT_LAST,
	CF_OPT_MAN,
	CF_OPT_COMPLETION
};

enum cf_value_kind {
	CF_VALUE_FLAG, /* takes no value */
	CF_VALUE_TEXT,
	CF_VALUE_FILE,
	CF_VALUE_FOLDER,
	CF_VALUE_CHOICE,     /* one of `choices` */
	CF_VALUE_COUNT,	     /* a whole number from min to max */
	CF_VALUE_SIZE,	     /* bytes, with K, M or G, from min to max */
	CF_VALUE_SHARE,	     /* "5%", above 0 and up to 100, or bytes: "10G"; may be left out: all */
	CF_VALUE_DURATION,   /* "90s", "30m", "1h30m" */
	CF_VALUE_COMPRESSION /* "zstd", "zstd:LEVEL", "lz4" ... */
};

struct cf_option_spec {
	enum cf_option_id id;
	enum cf_value_kind kind;
	char letter;	       /* 0: none */
	bool repeats;	       /* every value counts; else the last */
	bool may_be_empty;     /* CF_VALUE_TEXT: "" is a value */
	bool may_be_none;      /* CF_VALUE_DURATION: "none" is a value */
	bool for_databases;    /* help has a page of its own for these */
	const char *name;      /* NULL: only the letter */
	const char *value;     /* what help calls the value; NULL for a flag */
	const char *env;       /* taken when the option is not given */
	const char *otherwise; /* the default, in words */
	const char *choices;   /* separated by spaces */
	uint64_t min, max;
	const char *about;
};

struct cf_example {
	const char *line, *about;
};

struct cf_command_spec {
	enum cf_command_id id;
	const char *name;
	const char *about;     /* one line, no full stop */
	const char *pair_about; /* NULL, or: in the overview the next command stands on the same line, and
				   this is about both */
	const char *operands;  /* as the usage line shows them */
	unsigned n_min, n_max; /* operands */
	bool runs_command;     /* what stands behind "--" is a command, not operands */
	bool has_no_repository;
	bool needs_full_key;  /* reads backups, or removes them */
	const char *actions;  /* what the first operand is one of, separated by spaces; NULL: anything */
	const struct cf_option_spec *options; /* ended by CF_OPT_NONE */
	const struct cf_example *examples;    /* ended by a NULL line */
	const char *const *text;	      /* paragraphs of the man page, ended by NULL */
};

extern const struct cf_command_spec cf_spec_commands[CF_N_COMMANDS];
extern const struct cf_option_spec cf_spec_globals[]; /* ended by CF_OPT_NONE */

extern const char cf_spec_about[];
extern const char cf_spec_date[];	 /* of the man page */
extern const char *const cf_spec_text[]; /* paragraphs of the man page, ended by NULL */

/* NULL when there is no such command. */
const struct cf_command_spec *cf_spec_command(const char *name);

/* The option of a command or of every command; command may be NULL. NULL when there is none. */
const struct cf_option_spec *cf_spec_option(const struct cf_command_spec *command, const char *name,
					    size_t name_len);
const struct cf_option_spec *cf_spec_letter(const struct cf_command_spec *command, char letter);
const struct cf_option_spec *cf_spec_by_id(const struct cf_command_spec *command,
					   enum cf_option_id id);

/* "--name" or "-l", for messages. */
struct cf_option_text {
	char s[40];
};
struct cf_option_text cf_spec_option_text(const struct cf_option_spec *option);

#endif
