#include "cli/spec.h"

#include <stdio.h>
#include <string.h>

/* An option in a line or two reads better than one member a line. */
/* clang-format off */

#define UNLIMITED 1000000u
#define END_OPTIONS {.id = CF_OPT_NONE}
#define FLAG(opt, opt_letter, opt_name, opt_about) \
	{.id = opt, .letter = opt_letter, .name = opt_name, .about = opt_about}

const char cf_spec_about[] = "backups of files and databases at the cost of what changed";
const char cf_spec_date[] = "November 21, 2026";

const char *const cf_spec_text[] = {
	"coffer keeps repeated full backups in one encrypted repository. What the repository "
	"holds already is stored once, what resembles it is stored as a small difference, the "
	"rest is compressed. Each backup of a source makes a snapshot, and any snapshot can be "
	"restored alone.",
	"A SOURCE is written scheme:rest: files:PATH, sqlite:PATH, postgres://HOST/DATABASE, "
	"mysql://HOST/DATABASE, tar:PATH, stream:NAME. A path alone means files. A SNAPSHOT is an id, the first digits of one (at least 4), or the "
	"word latest, among those that --source, --tag and --host admit. A PATH behind it may "
	"begin with a slash or not.",
	"The repository is a folder. What opens it is a password, a key file or a secret manager, and is never "
	"taken from an argument: without --key-file, --password-file, --password-command, --key-command or "
	"their environment variables coffer asks on the terminal. Password and key files must "
	"not be accessible to others.",
	"Options may stand before or after the command and between arguments; -- ends them.",
	"Results go to standard output, everything else to standard error. In text, control "
	"characters, bytes that are no UTF-8 and backslashes in names are shown as escapes; "
	"programs should use --json.",
	NULL,
};

const struct cf_option_spec cf_spec_globals[] = {
	{.id = CF_OPT_REPOSITORY, .kind = CF_VALUE_FOLDER, .letter = 'r', .name = "repository",
	 .value = "REPO", .env = "COFFER_REPOSITORY", .about = "Repository to work on"},
	{.id = CF_OPT_PASSWORD_FILE, .kind = CF_VALUE_FILE, .name = "password-file",
	 .value = "FILE",
	 .env = "COFFER_PASSWORD_FILE", .about = "Read the password from a file"},
	{.id = CF_OPT_PASSWORD_COMMAND, .kind = CF_VALUE_TEXT, .name = "password-command",
	 .value = "CMD", .env = "COFFER_PASSWORD_COMMAND",
	 .about = "Take the first line a shell command prints as the password"},
	{.id = CF_OPT_KEY_FILE, .kind = CF_VALUE_FILE, .name = "key-file", .value = "FILE",
	 .env = "COFFER_KEY_FILE", .about = "Use a key file instead of a password"},
	{.id = CF_OPT_KEY_COMMAND, .kind = CF_VALUE_TEXT, .name = "key-command", .value = "CMD",
	 .env = "COFFER_KEY_COMMAND", .about = "Let a secret manager unwrap the key (coffer help key)"},
	{.id = CF_OPT_CACHE_DIR, .kind = CF_VALUE_FOLDER, .name = "cache-dir", .value = "DIR",
	 .env = "COFFER_CACHE_DIR", .otherwise = "~/.cache/coffer",
	 .about = "Folder for local indexes"},
	{.id = CF_OPT_THREADS, .kind = CF_VALUE_COUNT, .name = "threads", .value = "N", .min = 1,
	 .max = 1024, .otherwise = "one per processor", .about = "Threads to work with"},
	FLAG(CF_OPT_JSON, 0, "json", "Print JSON for programs"),
	FLAG(CF_OPT_VERBOSE, 'v', "verbose", "Say more on standard error"),
	FLAG(CF_OPT_QUIET, 'q', "quiet", "Print only results, warnings and errors"),
	FLAG(CF_OPT_HELP, 'h', "help", "Explain the command"),
	FLAG(CF_OPT_VERSION, 0, "version", "Print the version"),
	END_OPTIONS};

#define FILTER_OPTIONS \
	{.id = CF_OPT_SOURCE, .kind = CF_VALUE_TEXT, .name = "source", .value = "SOURCE", \
	 .about = "Only snapshots of this source"}, \
	{.id = CF_OPT_TAG, .kind = CF_VALUE_TEXT, .name = "tag", .value = "TAG", .repeats = true, \
	 .about = "Only snapshots with this tag (repeatable)"}, \
	{.id = CF_OPT_HOST, .kind = CF_VALUE_TEXT, .name = "host", .value = "HOST", \
	 .about = "Only snapshots of this host"}

#define DATABASE_FLAG(opt, opt_name, opt_about) \
	{.id = opt, .name = opt_name, .for_databases = true, .about = opt_about}
#define TABLE_OPTION \
	{.id = CF_OPT_TABLE, .kind = CF_VALUE_TEXT, .letter = 't', .name = "table", \
	 .value = "PATTERN", .repeats = true, \
	 .for_databases = true, .about = "Only these tables (repeatable)"}
#define SCHEMA_OPTION \
	{.id = CF_OPT_SCHEMA, .kind = CF_VALUE_TEXT, .name = "schema", .value = "PATTERN", \
	 .repeats = true, \
	 .for_databases = true, .about = "Only these schemas (repeatable)"}
#define EXCLUDE_TABLE_OPTION \
	{.id = CF_OPT_EXCLUDE_TABLE, .kind = CF_VALUE_TEXT, .name = "exclude-table", \
	 .value = "PATTERN", .repeats = true, \
	 .for_databases = true, .about = "Leave out these tables (repeatable)"}
#define EXCLUDE_TABLE_DATA_OPTION \
	{.id = CF_OPT_EXCLUDE_TABLE_DATA, .kind = CF_VALUE_TEXT, .name = "exclude-table-data", \
	 .value = "PATTERN", .repeats = true, \
	 .for_databases = true, .about = "Leave these tables empty (repeatable)"}
#define SELECTION_OPTIONS \
	TABLE_OPTION, SCHEMA_OPTION, EXCLUDE_TABLE_OPTION, EXCLUDE_TABLE_DATA_OPTION
#define JOBS_OPTION \
	{.id = CF_OPT_JOBS, .kind = CF_VALUE_COUNT, .letter = 'j', .name = "jobs", .value = "N", \
	 .min = 1, .max = 256, .for_databases = true, .about = "Connections to work with at once"}
#define ALLOW_OLD_CLIENT_OPTION \
	DATABASE_FLAG(CF_OPT_ALLOW_OLD_CLIENT, "allow-old-client", \
		      "Use client programs with known holes")

static const struct cf_option_spec filter_options[] = {FILTER_OPTIONS, END_OPTIONS};
static const struct cf_option_spec no_options[] = {END_OPTIONS};

static const struct cf_option_spec init_options[] = {
	{.id = CF_OPT_CIPHER, .kind = CF_VALUE_CHOICE, .name = "cipher", .value = "CIPHER",
	 .choices = "aes-256-gcm chacha20-poly1305 none", .otherwise = "aes-256-gcm",
	 .about = "Encrypt by aes-256-gcm, chacha20-poly1305 or none"},
	{.id = CF_OPT_CHUNKER, .kind = CF_VALUE_CHOICE, .name = "chunker", .value = "NAME",
	 .choices = "vg16 prf16 fixed", .otherwise = "vg16",
	 .about = "Cut streams by vg16, prf16 or fixed"},
	END_OPTIONS};

static const struct cf_option_spec backup_options[] = {
	{.id = CF_OPT_TAG, .kind = CF_VALUE_TEXT, .name = "tag", .value = "TAG", .repeats = true,
	 .about = "Tag the snapshot (repeatable)"},
	{.id = CF_OPT_HOST, .kind = CF_VALUE_TEXT, .name = "host", .value = "HOST",
	 .otherwise = "this host's", .about = "Host name to record"},
	{.id = CF_OPT_EXCLUDE, .kind = CF_VALUE_TEXT, .name = "exclude", .value = "GLOB",
	 .repeats = true,
	 .about = "Leave out what matches (repeatable)"},
	{.id = CF_OPT_EXCLUDE_FROM, .kind = CF_VALUE_FILE, .name = "exclude-from", .value = "FILE",
	 .repeats = true, .about = "Read patterns from a file, one a line"},
	FLAG(CF_OPT_ONE_FILE_SYSTEM, 0, "one-file-system", "Do not enter other file systems"),
	FLAG(CF_OPT_EXCLUDE_CACHES, 0, "exclude-caches",
	     "Leave out folders tagged by CACHEDIR.TAG"),
	FLAG(CF_OPT_DRY_RUN, 'n', "dry-run", "Read and compare everything, store nothing"),
	{.id = CF_OPT_PARENT, .kind = CF_VALUE_TEXT, .name = "parent", .value = "SNAPSHOT",
	 .otherwise = "the newest", .about = "Compare with this one, or none"},
	FLAG(CF_OPT_IGNORE_TIMES, 0, "ignore-times",
	     "Read files although size and times are equal"),
	{.id = CF_OPT_COMPRESSION, .kind = CF_VALUE_COMPRESSION, .name = "compression",
	 .value = "METHOD",
	 .otherwise = "zstd:1", .about = "zstd[:N], lz4, gzip[:N], bzip2, xz, none"},
	{.id = CF_OPT_FRAME, .kind = CF_VALUE_SIZE, .name = "frame", .value = "SIZE", .min = 4096,
	 .max = 64u << 20, .about = "Compress this many bytes together, 4K to 64M"},
	{.id = CF_OPT_KEEP_PACK_KEYS, .kind = CF_VALUE_DURATION, .name = "keep-pack-keys",
	 .value = "TIME", .env = "COFFER_KEEP_PACK_KEYS", .otherwise = "35d", .may_be_none = true,
	 .about = "With role write"},
	SELECTION_OPTIONS,
	DATABASE_FLAG(CF_OPT_ALL_DATABASES, "all-databases",
		      "All databases of the server, in one snapshot"),
	JOBS_OPTION,
	{.id = CF_OPT_LOCK_WAIT, .kind = CF_VALUE_COUNT, .name = "lock-wait", .value = "SECONDS",
	 .min = 1, .max = 86400, .for_databases = true,
	 .about = "Give up when a lock is not had by then"},
	DATABASE_FLAG(CF_OPT_REQUIRE_TRANSACTIONAL, "require-transactional",
		      "Refuse tables that no snapshot holds still"),
	ALLOW_OLD_CLIENT_OPTION, END_OPTIONS};

static const struct cf_option_spec ls_options[] = {
	FLAG(CF_OPT_LONG, 'l', NULL, "Show type, mode, owner, size and time"),
	FLAG(CF_OPT_RECURSIVE, 0, "recursive", "List what is in folders, too"), FILTER_OPTIONS,
	END_OPTIONS};

static const struct cf_option_spec restore_options[] = {
	{.id = CF_OPT_TO, .kind = CF_VALUE_FOLDER, .name = "to", .value = "TARGET",
	 .about = "Folder or database server to restore into (required)"},
	FLAG(CF_OPT_OVERWRITE, 0, "overwrite", "Replace files that exist there"),
	FLAG(CF_OPT_VERIFY, 0, "verify", "Read back and compare what was restored"),
	FLAG(CF_OPT_DRY_RUN, 'n', "dry-run", "Say what would be done, change nothing"),
	FLAG(CF_OPT_KEEP_GOING, 0, "keep-going", "Leave out what fails instead of stopping"),
	FLAG(CF_OPT_NO_OWNER, 0, "no-owner", "Do not set owners"),
	FLAG(CF_OPT_SYNC, 0, "sync", "End when everything is on disk, not only written"),
	SELECTION_OPTIONS,
	{.id = CF_OPT_RENAME, .kind = CF_VALUE_TEXT, .name = "rename", .value = "OLD=NEW",
	 .repeats = true, .for_databases = true,
	 .about = "Rename a table or schema (repeatable)"},
	DATABASE_FLAG(CF_OPT_CREATE, "create", "Create the database first"),
	DATABASE_FLAG(CF_OPT_CLEAN, "clean", "Drop what is in the way first"),
	DATABASE_FLAG(CF_OPT_SCHEMA_ONLY, "schema-only", "No rows"),
	DATABASE_FLAG(CF_OPT_DATA_ONLY, "data-only", "Only rows, into tables that exist"),
	DATABASE_FLAG(CF_OPT_USERS, "users", "Users, roles and their rights, too (mysql)"),
	DATABASE_FLAG(CF_OPT_NO_PRIVILEGES, "no-privileges", "Grant nothing"),
	JOBS_OPTION, ALLOW_OLD_CLIENT_OPTION,
	FILTER_OPTIONS, END_OPTIONS};

static const struct cf_option_spec mount_options[] = {
	{.id = CF_OPT_SNAPSHOT, .kind = CF_VALUE_TEXT, .name = "snapshot", .value = "SNAPSHOT",
	 .about = "Show what is in this one, instead of folders of snapshots"},
	FILTER_OPTIONS,
	FLAG(CF_OPT_FOREGROUND, 'f', "foreground", "Stay, and end with Ctrl-C"),
	FLAG(CF_OPT_ALLOW_OTHER, 0, "allow-other",
	     "Let other users read what the stored modes allow them"),
	{.id = CF_OPT_CACHE_SIZE, .kind = CF_VALUE_SIZE, .name = "cache-size", .value = "SIZE",
	 .min = 8 << 20, .max = (uint64_t)1 << 40, .otherwise = "128M",
	 .about = "Memory for decoded content"},
	{.id = CF_OPT_LOG, .kind = CF_VALUE_FILE, .name = "log", .value = "FILE",
	 .otherwise = "the system's log", .about = "Append messages to a file once mounted"},
	END_OPTIONS};

static const struct cf_option_spec umount_options[] = {
	FLAG(CF_OPT_LAZY, 0, "lazy", "Take it out of sight now, and end it when nobody uses it"),
	END_OPTIONS};

static const struct cf_option_spec check_options[] = {
	{.id = CF_OPT_READ_DATA, .kind = CF_VALUE_SHARE, .name = "read-data", .value = "N%|SIZE",
	 .about = "Read all data too, or the share not read for longest"},
	{.id = CF_OPT_MAX_DURATION, .kind = CF_VALUE_DURATION, .name = "max-duration",
	 .value = "TIME", .about = "Read data for that long (30m, 2h); the next time, go on from there"},
	END_OPTIONS};

static const struct cf_option_spec repair_options[] = {
	{.id = CF_OPT_READ_DATA, .kind = CF_VALUE_SHARE, .name = "read-data", .value = "N%|SIZE",
	 .about = "Read all data first, or a share, to find what is damaged"},
	FLAG(CF_OPT_YES, 'y', "yes", "Do it, instead of only saying so"),
	END_OPTIONS};

static const struct cf_option_spec verify_options[] = {
	{.id = CF_OPT_LEVEL, .kind = CF_VALUE_CHOICE, .name = "level", .value = "LEVEL",
	 .choices = "quick standard comprehensive", .otherwise = "standard",
	 .about = "How thorough: quick, standard or comprehensive"},
	{.id = CF_OPT_AGAINST, .kind = CF_VALUE_TEXT, .name = "against", .value = "URL",
	 .otherwise = "a server of its own", .for_databases = true,
	 .about = "Try it on this server"},
	JOBS_OPTION, ALLOW_OLD_CLIENT_OPTION, FILTER_OPTIONS, END_OPTIONS};

static const struct cf_option_spec tag_options[] = {
	{.id = CF_OPT_ADD, .kind = CF_VALUE_TEXT, .name = "add", .value = "TAG", .repeats = true,
	 .about = "Add a tag (repeatable)"},
	{.id = CF_OPT_REMOVE, .kind = CF_VALUE_TEXT, .name = "remove", .value = "TAG",
	 .repeats = true,
	 .about = "Remove a tag (repeatable)"},
	{.id = CF_OPT_SET, .kind = CF_VALUE_TEXT, .name = "set", .value = "TAG", .repeats = true,
	 .may_be_empty = true,
	 .about = "Have exactly these tags (repeatable; '' for none)"},
	FILTER_OPTIONS, END_OPTIONS};

static const struct cf_option_spec hold_options[] = {
	{.id = CF_OPT_REASON, .kind = CF_VALUE_TEXT, .name = "reason", .value = "TEXT",
	 .about = "Why the snapshots are held, for hold add"},
	FILTER_OPTIONS, END_OPTIONS};

#define KEEP_OPTION(opt, opt_name, opt_value, opt_about) \
	{.id = opt, .kind = CF_VALUE_TEXT, .name = opt_name, .value = opt_value, .about = opt_about}

static const struct cf_option_spec forget_options[] = {
	KEEP_OPTION(CF_OPT_KEEP_LAST, "keep-last", "N", "Keep the newest N"),
	KEEP_OPTION(CF_OPT_KEEP_WITHIN, "keep-within", "TIME",
		    "Keep all within TIME (30d, 1y6m) of the newest"),
	KEEP_OPTION(CF_OPT_KEEP_HOURLY, "keep-hourly", "N", "Keep one an hour: N of them, or those of a TIME"),
	KEEP_OPTION(CF_OPT_KEEP_DAILY, "keep-daily", "N", "Keep one a day"),
	KEEP_OPTION(CF_OPT_KEEP_WEEKLY, "keep-weekly", "N", "Keep one a week"),
	KEEP_OPTION(CF_OPT_KEEP_MONTHLY, "keep-monthly", "N", "Keep one a month"),
	KEEP_OPTION(CF_OPT_KEEP_QUARTERLY, "keep-quarterly", "N", "Keep one a quarter"),
	KEEP_OPTION(CF_OPT_KEEP_YEARLY, "keep-yearly", "N", "Keep one a year"),
	{.id = CF_OPT_KEEP_TAG, .kind = CF_VALUE_TEXT, .name = "keep-tag", .value = "TAG",
	 .repeats = true, .about = "Keep what has this tag (repeatable)"},
	KEEP_OPTION(CF_OPT_GFS, "gfs", "LIST", "Several rules at once: d=7,w=4,m=12"),
	{.id = CF_OPT_GROUP_BY, .kind = CF_VALUE_TEXT, .name = "group-by", .value = "KEYS",
	 .otherwise = "host,source", .about = "By host, source, tags or none"},
	FLAG(CF_OPT_YES, 'y', "yes", "Forget them, instead of only saying so"),
	FLAG(CF_OPT_DRY_RUN, 'n', "dry-run", "Only say what would be done, as without --yes"),
	FILTER_OPTIONS, END_OPTIONS};

static const struct cf_option_spec prune_options[] = {
	FLAG(CF_OPT_YES, 'y', "yes", "Do it, instead of only saying what would be done"),
	FLAG(CF_OPT_DRY_RUN, 'n', "dry-run", "Only say what would be done, as without --yes"),
	{.id = CF_OPT_MAX_UNUSED, .kind = CF_VALUE_TEXT, .name = "max-unused", .value = "N%|SIZE",
	 .otherwise = "5%", .about = "Waste that may stay in packs, of what is needed"},
	{.id = CF_OPT_MAX_REPACK, .kind = CF_VALUE_SIZE, .name = "max-repack", .value = "SIZE", .min = 1 << 20,
	 .max = UINT64_MAX, .about = "Repack no more than this in one run"},
	{.id = CF_OPT_GRACE, .kind = CF_VALUE_DURATION, .name = "grace", .value = "TIME", .otherwise = "24h",
	 .about = "From condemning a pack to removing it"},
	FLAG(CF_OPT_NOW, 0, "now", "Remove at once: nothing else works on the repository"),
	END_OPTIONS};

static const struct cf_option_spec key_options[] = {
	{.id = CF_OPT_ROLE, .kind = CF_VALUE_CHOICE, .name = "role", .value = "ROLE",
	 .choices = "full write", .otherwise = "full",
	 .about = "What a new key may do: full, or write (add backups, read none)"},
	{.id = CF_OPT_COMMENT, .kind = CF_VALUE_TEXT, .name = "comment", .value = "TEXT",
	 .about = "What a new key is for"},
	{.id = CF_OPT_NEW_PASSWORD_FILE, .kind = CF_VALUE_FILE, .name = "new-password-file",
	 .value = "FILE", .about = "Read the new password from a file"},
	{.id = CF_OPT_NEW_PASSWORD_COMMAND, .kind = CF_VALUE_TEXT, .name = "new-password-command",
	 .value = "CMD", .about = "Take the first line a shell command prints as the new password"},
	{.id = CF_OPT_NEW_KEY_FILE, .kind = CF_VALUE_FILE, .name = "new-key-file",
	 .value = "FILE", .about = "A key file, made when it is missing"},
	{.id = CF_OPT_NEW_KEY_COMMAND, .kind = CF_VALUE_TEXT, .name = "new-key-command",
	 .value = "CMD", .about = "Let a secret manager wrap the new key"},
	{.id = CF_OPT_MAX_REPACK, .kind = CF_VALUE_SIZE, .name = "max-repack", .value = "SIZE", .min = 1 << 20,
	 .max = UINT64_MAX, .about = "Encrypt no more than this anew in one run"},
	FLAG(CF_OPT_YES, 'y', "yes", "Do it, instead of only saying so"),
	END_OPTIONS};

static const struct cf_option_spec audit_options[] = {
	FLAG(CF_OPT_VERIFY, 0, "verify", "Check that no record was altered or removed"),
	{.id = CF_OPT_SINCE, .kind = CF_VALUE_TEXT, .name = "since", .value = "TIME",
	 .about = "Only records since then: 7d, 36h, 2026-11-21"},
	{.id = CF_OPT_LAST, .kind = CF_VALUE_COUNT, .name = "last", .value = "N", .min = 1,
	 .max = UNLIMITED, .about = "Only the newest N"},
	END_OPTIONS};

static const struct cf_option_spec help_options[] = {
	FLAG(CF_OPT_MAN, 0, "man", "Print the manual page (mdoc) of coffer or a command"),
	{.id = CF_OPT_COMPLETION, .kind = CF_VALUE_CHOICE, .name = "completion", .value = "SHELL",
	 .choices = "bash zsh fish", .about = "Print completion for bash, zsh or fish"},
	END_OPTIONS};

#define EXAMPLES(...) (const struct cf_example[]){__VA_ARGS__, {NULL, NULL}}
#define TEXT(...) (const char *const[]){__VA_ARGS__, NULL}

const struct cf_command_spec cf_spec_commands[CF_N_COMMANDS] = {
	[CF_COMMAND_INIT] = {
		.id = CF_COMMAND_INIT, .name = "init",
		.about = "Create a repository", .operands = "",
		.options = init_options,
		.text = TEXT(
			"Creates a repository in an empty or missing folder, opened by a "
			"password or by a key file. A key file that does not exist is made, with "
			"random bytes and readable by its owner only. Whoever loses password and "
			"key file loses the backups."),
		.examples = EXAMPLES(
			{"coffer -r /srv/backup init", "with a password asked for"},
			{"coffer -r /srv/backup init --key-file ~/coffer.key",
			 "with a new key file"}),
	},
	[CF_COMMAND_BACKUP] = {
		.id = CF_COMMAND_BACKUP, .name = "backup",
		.about = "Back up sources, one snapshot each",
		.operands = "SOURCE... [-- COMMAND [ARG]...]", .n_min = 1, .n_max = UNLIMITED,
		.runs_command = true, .options = backup_options,
		.text = TEXT(
			"Each SOURCE becomes one snapshot. One that fails does not stop the "
			"others. The parent, with which a source is compared, is the newest "
			"snapshot of the same host and source.",
			"A COMMAND is run without a shell and its output is the stream; when it "
			"fails, so does the backup. It needs exactly one SOURCE, stream:NAME.",
			"Patterns are those of .gitignore, relative to the source's folder. What "
			"cannot be read is a warning, and the exit status is then 3.",
			"A key of role write opens no pack. So that differences can be stored all "
			"the same, the keys of the packs that this host stores are kept in the "
			"cache folder, sealed, until no backup has used the pack for "
			"--keep-pack-keys; with none, none are kept, and those that were are "
			"removed. Only backup uses them.",
			"A database server is read by several connections that see one state of "
			"it. Patterns of tables and schemas are those of psql and pg_dump: * and "
			"? stand for characters, a dot separates schema and table, double quotes "
			"take everything as it is. One that matches nothing is an error. "
			"Passwords belong in PGPASSWORD, ~/.pgpass, MYSQL_PWD or ~/.my.cnf, never "
			"into the source."),
		.examples = EXAMPLES(
			{"coffer backup /etc sqlite:/srv/app.db --tag daily", "two snapshots"},
			{"coffer backup postgres://db.example/shop --exclude-table-data 'log_*'",
			 "a database, some of its tables empty"},
			{"coffer backup stream:db.sql -- pg_dump db", "a command's output"}),
	},
	[CF_COMMAND_SNAPSHOTS] = {
		.id = CF_COMMAND_SNAPSHOTS, .name = "snapshots", .about = "List snapshots",
		.operands = "", .options = filter_options,
		.text = TEXT(
			"Lists snapshots, oldest first. SIZE is what the source had, data of a "
			"table once although it is in two files; STORED is what the repository "
			"grew by. A source may be given as it is listed or as it was "
			"typed for the backup; no server is asked."),
		.examples = EXAMPLES(
			{"coffer snapshots --source /etc", "those of one source"}),
	},
	[CF_COMMAND_LS] = {
		.id = CF_COMMAND_LS, .needs_full_key = true, .name = "ls", .about = "List what is in a snapshot",
		.pair_about = "List what is in a snapshot, find files by name",
		.operands = "SNAPSHOT[:PATH]", .n_min = 1, .n_max = 1, .options = ls_options,
		.text = TEXT(
			"Lists a folder, or the one file that PATH names."),
		.examples = EXAMPLES(
			{"coffer ls latest:/etc -l", "one folder, in full"}),
	},
	[CF_COMMAND_FIND] = {
		.id = CF_COMMAND_FIND, .needs_full_key = true, .name = "find", .about = "Find files in snapshots by name",
		.operands = "PATTERN [SNAPSHOT...]", .n_min = 1, .n_max = UNLIMITED,
		.options = filter_options,
		.text = TEXT(
			"Lists what matches a glob in the given snapshots, or in all. The "
			"pattern is held against the name, or against the whole path when it "
			"holds a slash."),
		.examples = EXAMPLES(
			{"coffer find '*.conf' latest", "in the newest snapshot"}),
	},
	[CF_COMMAND_DIFF] = {
		.id = CF_COMMAND_DIFF, .needs_full_key = true, .name = "diff", .about = "Compare two snapshots",
		.operands = "SNAPSHOT[:PATH] SNAPSHOT[:PATH]", .n_min = 2, .n_max = 2,
		.options = filter_options,
		.text = TEXT(
			"Prints what differs from the first to the second: + added, - removed, M "
			"content changed, T type changed, U attributes changed."),
		.examples = EXAMPLES(
			{"coffer diff 1a2b3c4d latest", "what changed since"}),
	},
	[CF_COMMAND_RESTORE] = {
		.id = CF_COMMAND_RESTORE, .needs_full_key = true, .name = "restore",
		.about = "Restore a snapshot into a folder or a database server",
		.operands = "SNAPSHOT[:PATH]", .n_min = 1, .n_max = 1, .options = restore_options,
		.text = TEXT(
			"Restores the snapshot, or what is below PATH, into a folder, which is "
			"made when missing. Nothing outside it is written, and no existing file "
			"is replaced without --overwrite.",
			"With --verify every file is read back and compared with the repository; "
			"a difference ends the command with status 4.",
			"A TARGET written postgres://HOST/DATABASE or mysql://HOST/DATABASE takes "
			"a snapshot of such a server: all of it, or the tables and schemas that "
			"are named, with what they need; SNAPSHOT:/DATABASE is one of several "
			"databases. What is in the way is an error unless --clean is given. "
			"--dry-run prints each step. A folder whose name begins "
			"like a server's is written ./postgres:x."),
		.examples = EXAMPLES(
			{"coffer restore latest --source /etc --to /tmp/etc", "the newest"},
			{"coffer restore 1a2b3c4d:/ssh --to /tmp/ssh", "one folder"},
			{"coffer restore 1a2b3c4d --to postgres://db.example/shop -t orders",
			 "one table"}),
	},
	[CF_COMMAND_DUMP] = {
		.id = CF_COMMAND_DUMP, .needs_full_key = true, .name = "dump", .about = "Write one file to standard output",
		.operands = "SNAPSHOT:PATH", .n_min = 1, .n_max = 1, .options = filter_options,
		.text = TEXT(
			"Writes the content of one file of a snapshot to standard output."),
		.examples = EXAMPLES(
			{"coffer dump latest:/db.sql | psql db", "into a database"}),
	},
	[CF_COMMAND_MOUNT] = {
		.id = CF_COMMAND_MOUNT, .needs_full_key = true, .name = "mount", .about = "Show snapshots as folders",
		.pair_about = "Show snapshots as folders, and end that",
		.operands = "DIR", .n_min = 1, .n_max = 1, .options = mount_options,
		.text = TEXT(
			"Shows every snapshot on an empty folder, read-only: snapshots/TIME-ID, "
			"latest, by-source/SOURCE/TIME-ID, by-host and by-tag, where slashes in "
			"names are written %2F. New snapshots appear by themselves. Any program "
			"can read them: cp, psql, sqlite3, mariadb.",
			"A part that is damaged gives an input/output error to whoever reads it, "
			"and a message that names it; everything else stays readable.",
			"Needs FUSE, and for users other than root the program fusermount3."),
		.examples = EXAMPLES(
			{"coffer mount /mnt/backup", "then look into /mnt/backup/latest"},
			{"coffer mount --snapshot latest --source /etc /mnt/etc", "one snapshot"}),
	},
	[CF_COMMAND_UMOUNT] = {
		.id = CF_COMMAND_UMOUNT, .name = "umount", .about = "End a mount",
		.operands = "DIR", .n_min = 1, .n_max = 1, .has_no_repository = true,
		.options = umount_options,
		.text = TEXT(
			"Ends a mount of coffer on a folder; one that is in use is refused with "
			"status 6."),
		.examples = EXAMPLES(
			{"coffer umount /mnt/backup", "what coffer mount began"}),
	},
	[CF_COMMAND_CHECK] = {
		.id = CF_COMMAND_CHECK, .needs_full_key = true, .name = "check", .about = "Check the repository for damage",
		.pair_about = "Look for damage, and save what is intact",
		.operands = "", .options = check_options,
		.text = TEXT(
			"Reads config, keys, indexes, snapshots and folders, and checks that "
			"every chunk is in a pack of the right size. With --read-data the packs "
			"are read and every chunk decoded and compared with its id. Findings are "
			"printed one a line and end the command with status 4.",
			"When each pack was read, and whether it was good, is noted in the cache "
			"folder. --read-data=5% or =10G reads those that were not read for "
			"longest, at random among equals, so that repeated checks get around to "
			"all; those that were damaged come first. --max-duration reads as much as "
			"that time allows. What was found tells how much was read within which "
			"time."),
		.examples = EXAMPLES(
			{"coffer check --read-data=5%", "with a twentieth of the data"},
			{"coffer check --max-duration 30m", "in each night, as far as it goes"}),
	},
	[CF_COMMAND_REPAIR] = {
		.id = CF_COMMAND_REPAIR, .needs_full_key = true, .name = "repair",
		.about = "Save what is intact in a damaged repository",
		.operands = "", .options = repair_options,
		.text = TEXT(
			"Says what is damaged, what would be done about it, and which files of which "
			"snapshots are lost. Nothing is done without --yes, and nothing is ever "
			"removed.",
			"Packs that the last check --read-data on this host found damaged are read again; "
			"with --read-data all are read. What is intact in a damaged pack is stored "
			"in new ones, and a record sets the damaged one aside. Index segments that "
			"are damaged or missing are made anew from the packs. Snapshots that cannot "
			"be read are set aside.",
			"Snapshots stay as they are. What is lost comes back into all of them when "
			"the same data is backed up again. The exit status is 4 as long as "
			"something is lost, or wrong in a way that repair cannot mend: a missing "
			"snapshot, a damaged key slot, a gap in the audit log."),
		.examples = EXAMPLES(
			{"coffer repair --read-data", "find out how bad it is"},
			{"coffer repair --yes", "after coffer check --read-data"}),
	},
	[CF_COMMAND_VERIFY] = {
		.id = CF_COMMAND_VERIFY, .needs_full_key = true, .name = "verify", .about = "Prove that a snapshot restores",
		.pair_about = "Prove that a snapshot restores; show what is stored",
		.operands = "SNAPSHOT", .n_min = 1, .n_max = 1, .options = verify_options,
		.text = TEXT(
			"Databases are restored into a server of their own, started in a temporary "
			"folder and ended, or into scratch databases of the one --against names. "
			"quick restores the schema and reads every row; standard restores "
			"everything and compares tables, numbers of rows, indexes and "
			"constraints; comprehensive dumps what was restored and compares every "
			"byte.",
			"SQLite databases are restored into a temporary folder and checked by "
			"SQLite: quick looks at the header, standard runs quick_check, "
			"comprehensive integrity_check and foreign_key_check. Of files, quick "
			"checks that every part is in the repository, and the others read "
			"everything.",
			"Each check is printed; one that fails ends the command with status 4."),
		.examples = EXAMPLES(
			{"coffer verify latest --source sqlite:/srv/app.db", "the newest of a source"},
			{"coffer verify latest --level comprehensive --against postgres://test.example",
			 "every byte, on a test server"}),
	},
	[CF_COMMAND_STATS] = {
		.id = CF_COMMAND_STATS, .name = "stats", .about = "Show what the repository holds",
		.operands = "", .options = no_options,
		.text = TEXT(
			"Shows how much was backed up, how much is stored, and what "
			"deduplication, differences and compression saved."),
		.examples = EXAMPLES(
			{"coffer stats", "sizes and counts"}),
	},
	[CF_COMMAND_TAG] = {
		.id = CF_COMMAND_TAG, .name = "tag", .about = "Change the tags of snapshots",
		.pair_about = "Tag snapshots, or protect them from being forgotten",
		.operands = "SNAPSHOT...", .n_min = 1, .n_max = UNLIMITED, .options = tag_options,
		.text = TEXT(
			"Stores each snapshot again with other tags: it gets a new id, which is "
			"printed. Its data stays where it is."),
		.examples = EXAMPLES(
			{"coffer tag latest --add keep", "mark the newest"}),
	},
	[CF_COMMAND_HOLD] = {
		.id = CF_COMMAND_HOLD, .needs_full_key = true, .name = "hold", .about = "Protect snapshots from being forgotten",
		.operands = "add|remove|list [SNAPSHOT...]", .n_min = 1, .n_max = UNLIMITED,
		.options = hold_options,
		.text = TEXT(
			"A held snapshot is forgotten by no rule and by no name until the hold is "
			"removed. Like tag, add and remove store the snapshot again under a new id, "
			"which is printed. list shows what is held, since when, and why."),
		.examples = EXAMPLES(
			{"coffer hold add latest --reason 'audit 2026'", "keep it whatever comes"},
			{"coffer hold list", "what is held"}),
	},
	[CF_COMMAND_FORGET] = {
		.id = CF_COMMAND_FORGET, .needs_full_key = true, .name = "forget",
		.about = "Remove old snapshots by rules, or by name",
		.operands = "[SNAPSHOT...]", .n_max = UNLIMITED, .options = forget_options,
		.text = TEXT(
			"Shows which snapshots rules keep, and which rule keeps each. Nothing is "
			"removed without --yes. Rules are applied to each group of snapshots of one "
			"host and source (--group-by) and add up: what one of them keeps, stays.",
			"--keep-daily 7 keeps the newest snapshot of each of the last 7 days that "
			"have one, and so do hours, weeks (from Monday), months, quarters and years; "
			"while there are fewer, the oldest snapshot stays too. unlimited keeps one of "
			"each. --keep-daily 30d keeps one a day within 30 days of the newest snapshot. "
			"A TIME is made of y, m (months), w, d and h. Periods are those of the local "
			"time zone (TZ).",
			"Held snapshots, and those dated in the future, are always kept; the latter "
			"count in no rule. Nor do forged ones, of which coffer check tells. Rules that would keep nothing of a group are refused with "
			"status 6. Snapshots that are named are forgotten, even the last of a group, "
			"unless they are held.",
			"Forgetting removes snapshots only. The space of what nothing needs any more "
			"comes back with coffer prune."),
		.examples = EXAMPLES(
			{"coffer forget --gfs d=7,w=4,m=12", "what would go; with --yes, it goes"}),
	},
	[CF_COMMAND_PRUNE] = {
		.id = CF_COMMAND_PRUNE, .needs_full_key = true, .name = "prune",
		.about = "Give back the space of what no snapshot needs", .operands = "", .options = prune_options,
		.text = TEXT(
			"Runs beside backups, restores and mounts, from any host, and locks nothing. It "
			"works in two steps, so that no backup loses what it relies on: packs that "
			"nobody needs are condemned first, and from then on no backup relies on them. A "
			"prune after the grace period removes them, when all backups that began before "
			"have ended. So prune regularly, each day say; each run does what is due. Without "
			"--yes nothing is done, and what would be is shown.",
			"Packs that are needed in part are repacked: what is needed is copied into new "
			"ones, from those with the most waste, until no more than --max-unused of what is "
			"needed is waste. Differences against data that no snapshot has any more are rebased: "
			"stored anew against what is kept. --max-repack bounds the work of one run.",
			"--now removes in one run. It is for a repository that nothing else works on: "
			"a backup that runs all the same loses nothing that is stored, but fails at its "
			"end. A backup that gave no sign of life for an hour is given up like that, too.",
			"Nothing is removed while some snapshot is missing or cannot be read; coffer check says more. "
			"A prune that was interrupted is gone on with by the next."),
		.examples = EXAMPLES(
			{"coffer prune", "what would be freed"},
			{"coffer prune --yes", "do it; from a timer, once a day"},
			{"coffer prune --now --yes", "all at once, while nothing else works"}),
	},
	[CF_COMMAND_KEY] = {
		.id = CF_COMMAND_KEY, .name = "key", .about = "List and change what opens the repository",
		.operands = "list | add | remove ID | passwd | rotate | reencrypt", .n_min = 1, .n_max = 2,
		.actions = "list add remove passwd rotate reencrypt", .options = key_options,
		.text = TEXT(
			"Every key slot opens the repository by a password, a key file or a "
			"secret manager's command. One with role full reads and changes "
			"everything. One with role write adds backups and reads none, not even "
			"its own.",
			"list shows the slots. add makes one more, from --new-password-file, "
			"--new-password-command, --new-key-file, --new-key-command or, without "
			"them, a password asked for twice. passwd puts a new slot in the place of "
			"the one in use. remove takes one away, with --yes; the last that reads "
			"everything stays.",
			"rotate makes a new data epoch: what is backed up from then on cannot be read "
			"by who had a slot that was removed before. Backups may run meanwhile. What "
			"was stored before stays readable to whoever kept its keys. Slots that an older "
			"coffer made cannot be given the new epoch, and are left behind with --yes.",
			"reencrypt copies what was stored under older epochs into new packs, while "
			"backups run, --max-repack at a time. The old packs go a day later, with coffer "
			"prune. From then on an old key reads nothing that is still stored.",
			"A CMD is run by the shell as \"CMD wrap\" and gets a key of 64 hexadecimal "
			"digits on standard input; what it prints is stored. Later \"CMD unwrap\" gets "
			"that, and prints the digits. The exit status decides."),
		.examples = EXAMPLES(
			{"coffer key add --role write --new-key-file web1.key --comment web1",
			 "a host that may only add"},
			{"coffer key remove 1a2b3c4d --yes", "take a key away"},
			{"coffer key rotate", "new backups under a new key"}),
	},
	[CF_COMMAND_AUDIT] = {
		.id = CF_COMMAND_AUDIT, .name = "audit", .about = "Show who changed the repository, and when",
		.operands = "", .options = audit_options,
		.text = TEXT(
			"Each command that changes the repository stores a record at its end: who ran "
			"it on which host with which key, what it was about, how it ended and what it "
			"did. So does check. Lists the records, oldest first; --json has all of each.",
			"Records name the ones before them, and so do snapshots. With --verify what "
			"was altered or removed is printed, one finding a line, and ends the command "
			"with status 4. A TIME is how long ago (y, m, w, d, h) or a date, with a time "
			"of day or without, in the local time zone."),
		.examples = EXAMPLES(
			{"coffer audit --since 7d", "the last week"},
			{"coffer audit --verify", "nothing altered, nothing taken away"}),
	},
	[CF_COMMAND_DOCTOR] = {
		.id = CF_COMMAND_DOCTOR, .name = "doctor", .about = "Look for what is wrong, and say what to do",
		.operands = "", .options = no_options,
		.text = TEXT(
			"Looks at the program and this host (processor, clock, cache, password and key "
			"files, client programs of databases, FUSE), at what the store can do (an "
			"object is stored, and taken away again where the store deletes), and at "
			"the repository: key slots, age of the newest backup of each source, age and "
			"outcome of the last check. One line each: ok, warn or fail, and what to do.",
			"Ends with status 1 when something fails; warnings alone end with 0. Without a "
			"repository it looks at the rest, and says so. With -q only what is not ok "
			"is printed."),
		.examples = EXAMPLES(
			{"coffer doctor", "before the first backup, and now and then"}),
	},
	[CF_COMMAND_VERSION] = {
		.id = CF_COMMAND_VERSION, .name = "version", .about = "Print the version",
		.operands = "", .has_no_repository = true, .options = no_options,
		.text = TEXT(
			"Prints the version of the program and the sources it can back up."),
		.examples = EXAMPLES(
			{"coffer version --json", "for programs"}),
	},
	[CF_COMMAND_HELP] = {
		.id = CF_COMMAND_HELP, .name = "help",
		.about = "Explain a command, or print man pages",
		.operands = "[COMMAND | options | databases]", .n_max = 1, .has_no_repository = true,
		.options = help_options,
		.text = TEXT(
			"Explains coffer, one command, or the options that every command has."),
		.examples = EXAMPLES(
			{"coffer help --man | man -l -", "read the manual"},
			{"coffer help --completion bash > ~/.coffer-completion",
			 "to be sourced by ~/.bashrc"}),
	},
};

/* clang-format on */

const struct cf_command_spec *cf_spec_command(const char *name)
{
	for (size_t i = 0; i < CF_N_COMMANDS; i++)
		if (strcmp(cf_spec_commands[i].name, name) == 0)
			return &cf_spec_commands[i];
	return NULL;
}

typedef bool match_fn(const struct cf_option_spec *option, const void *key);

static const struct cf_option_spec *find_option(const struct cf_option_spec *options,
						match_fn *match, const void *key)
{
	for (; options->id != CF_OPT_NONE; options++)
		if (match(options, key))
			return options;
	return NULL;
}

static const struct cf_option_spec *find_for(const struct cf_command_spec *command, match_fn *match,
					     const void *key)
{
	const struct cf_option_spec *option = NULL;

	if (command)
		option = find_option(command->options, match, key);
	return option ? option : find_option(cf_spec_globals, match, key);
}

struct name_key {
	const char *name;
	size_t len;
};

static bool match_name(const struct cf_option_spec *option, const void *key)
{
	const struct name_key *wanted = key;

	return option->name && strlen(option->name) == wanted->len &&
	       memcmp(option->name, wanted->name, wanted->len) == 0;
}

static bool match_letter(const struct cf_option_spec *option, const void *key)
{
	return option->letter && option->letter == *(const char *)key;
}

static bool match_id(const struct cf_option_spec *option, const void *key)
{
	return option->id == *(const enum cf_option_id *)key;
}

const struct cf_option_spec *cf_spec_option(const struct cf_command_spec *command, const char *name,
					    size_t name_len)
{
	return find_for(command, match_name, &(struct name_key){name, name_len});
}

const struct cf_option_spec *cf_spec_letter(const struct cf_command_spec *command, char letter)
{
	return find_for(command, match_letter, &letter);
}

const struct cf_option_spec *cf_spec_by_id(const struct cf_command_spec *command,
					   enum cf_option_id id)
{
	return find_for(command, match_id, &id);
}

struct cf_option_text cf_spec_option_text(const struct cf_option_spec *option)
{
	struct cf_option_text text;

	if (option->name)
		snprintf(text.s, sizeof(text.s), "--%s", option->name);
	else
		snprintf(text.s, sizeof(text.s), "-%c", option->letter);
	return text;
}
