#include "drivers/postgres/program.h"

#include "base/ctx.h"
#include "base/err.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	VERSION_LINE_MAX = 4096
};

struct search {
	const char *name;
	int least_major;
	bool allow_old;
	bool newest; /* is wanted, not the nearest */
	const struct cf_ctx *ctx;
	struct cf_pg_program best; /* path NULL: none yet */
	struct cf_buf seen;	   /* what was found, for the message: ", PATH is 15.20" each */
	bool saw_unsafe;	   /* one fits but for its known holes */
};

static int major_of(int version)
{
	return version / 10000;
}

/*
 * A crafted archive makes an older pg_restore run code, and an older pg_dump writes scripts that let a name do so in psql. Majors
 * before these have no release without the holes.
 */
static bool has_known_holes(int version)
{
	static const int safe_minors[] = {[15] = 20, [16] = 16, [17] = 12, [18] = 7};
	int major = major_of(version);

	if (major >= (int)(sizeof(safe_minors) / sizeof(safe_minors[0])))
		return false;
	return safe_minors[major] == 0 || version % 10000 < safe_minors[major];
}

static bool knows_restrict_key(int version)
{
	static const int minors[] = {[13] = 22, [14] = 19, [15] = 14, [16] = 10, [17] = 6, [18] = 0};
	int major = major_of(version);

	if (major >= (int)(sizeof(minors) / sizeof(minors[0])))
		return true;
	return major >= 13 && version % 10000 >= minors[major];
}

/* "pg_dump (PostgreSQL) 15.20 (Debian ...)", "... 19devel"; 0 when it is something else. */
static int parse_version(const char *line)
{
	static const char mark[] = "(PostgreSQL) ";
	const char *at = strstr(line, mark);
	char *end;
	long major, minor = 0;

	if (!at)
		return 0;
	major = strtol(at + strlen(mark), &end, 10);
	if (*end == '.')
		minor = strtol(end + 1, NULL, 10);
	/* Before 10 the major version was two numbers: 9.6.24 is 90624. */
	if (major < 10)
		return (int)(major * 10000 + minor * 100);
	return major < 1000 && minor >= 0 && minor < 10000 ? (int)(major * 10000 + minor) : 0;
}

static int take_line(void *user, struct cf_span data, struct cf_err *err)
{
	struct cf_buf *line = (struct cf_buf *)user;

	if (line->len + data.len > VERSION_LINE_MAX)
		return cf_err_set(err, CF_ERR_FAILED, "says too much");
	return cf_buf_append(line, data.data, data.len, err);
}

/* 0 when the program cannot be run or is none of PostgreSQL's. */
static int ask_version(const char *path, const struct cf_ctx *ctx)
{
	/* A local that program_run does not change. */
	union {
		const char *in;
		char *out;
	} text = {.in = path};
	const struct cf_pg_program program = {.path = text.out};
	const char *const args[] = {"--version", NULL};
	const struct cf_pg_run run = {.program = &program, .args = args, .input_fd = -1};
	struct cf_buf line = CF_BUF_INIT;
	int version = 0;

	if (cf_pg_program_run(&run, take_line, &line, ctx, NULL) == 0 &&
	    cf_buf_append(&line, "", 1, NULL) == 0)
		version = parse_version((const char *)line.data);
	cf_buf_release(&line);
	return version;
}

static bool is_better(const struct search *search, int version)
{
	int best = search->best.version;

	if (!search->best.path)
		return true;
	if (search->newest)
		return version > best;
	/* The nearest major: what a newer one writes, an older server may not read. Of that the newest. */
	return major_of(version) < major_of(best) ||
	       (major_of(version) == major_of(best) && version > best);
}

/* By another link. */
static bool is_seen(const struct search *search, const char *path)
{
	char text[PATH_MAX + 8];

	snprintf(text, sizeof(text), ", %s is ", path);
	return search->seen.len > 0 && strstr((const char *)search->seen.data, text);
}

static int consider(struct search *search, const char *path, struct cf_err *err)
{
	char resolved[PATH_MAX];
	int version, rc;

	/* Debian's wrapper goes by another name, and chooses by rules of its own. */
	if (!realpath(path, resolved) || strcmp(strrchr(resolved, '/') + 1, search->name) != 0 ||
	    access(resolved, X_OK) != 0 || is_seen(search, resolved))
		return 0;
	version = ask_version(resolved, search->ctx);
	rc = cf_ctx_check(search->ctx, err);
	if (rc < 0 || version == 0)
		return rc;
	rc = cf_buf_printf(&search->seen, err, ", %s is %d.%d", resolved, major_of(version), version % 10000);
	if (rc < 0 || major_of(version) < search->least_major)
		return rc;
	if (has_known_holes(version) && !search->allow_old) {
		search->saw_unsafe = true;
		return 0;
	}
	if (!is_better(search, version))
		return 0;
	free(search->best.path);
	search->best = (struct cf_pg_program){.path = strdup(resolved),
					      .version = version,
					      .has_restrict_key = knows_restrict_key(version)};
	return search->best.path ? 0 : cf_err_nomem(err);
}

static int search_path(struct search *search, struct cf_err *err)
{
	const char *at = getenv("PATH");
	int rc = 0;

	while (rc == 0 && at && *at) {
		size_t len = strcspn(at, ":");
		char path[PATH_MAX];

		if (len > 0 && at[0] == '/' &&
		    snprintf(path, sizeof(path), "%.*s/%s", (int)len, at, search->name) < (int)sizeof(path))
			rc = consider(search, path, err);
		at += len + (at[len] == ':');
	}
	return rc;
}

static int search_folders(struct search *search, struct cf_err *err)
{
	static const char *const folders[] = {"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin",
					      "/usr/lib/postgresql*/bin", "/usr/local/pgsql/bin"};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(folders) / sizeof(folders[0]); i++) {
		char pattern[128];
		glob_t found = {.gl_pathc = 0};

		snprintf(pattern, sizeof(pattern), "%s/%s", folders[i], search->name);
		if (glob(pattern, 0, NULL, &found) == 0)
			for (size_t k = 0; rc == 0 && k < found.gl_pathc; k++)
				rc = consider(search, found.gl_pathv[k], err);
		globfree(&found);
	}
	return rc;
}

/* As Debian and PostgreSQL's own repositories call it. */
static const char *package_of(const char *program)
{
	return strcmp(program, "initdb") == 0 ? "postgresql" : "postgresql-client";
}

static int refuse(const struct search *search, struct cf_err *err)
{
	const char *seen = search->seen.len ? (const char *)search->seen.data + strlen(", ") : "there is none";

	if (search->saw_unsafe)
		return cf_err_set(err, CF_ERR_UNSUPPORTED,
				  "%s has known security holes before 15.20, 16.16, 17.12 and 18.7 (%s): update the "
				  "PostgreSQL client, or use --allow-old-client",
				  search->name, seen);
	return cf_err_set(err, CF_ERR_UNSUPPORTED,
			  "needs %s of PostgreSQL %d or newer (%s): install the package %s-%d", search->name,
			  search->least_major, seen, package_of(search->name), search->least_major);
}

static int find(struct search *search, struct cf_pg_program *program_out, struct cf_err *err)
{
	int rc = search_folders(search, err);

	if (rc == 0)
		rc = search_path(search, err);
	if (rc == 0 && !search->best.path)
		rc = refuse(search, err);
	cf_buf_release(&search->seen);
	if (rc < 0)
		cf_pg_program_release(&search->best);
	else
		*program_out = search->best;
	return rc;
}

int cf_pg_program_find(const char *name, int server_version, bool allow_old, const struct cf_ctx *ctx,
		       struct cf_pg_program *program_out, struct cf_err *err)
{
	struct search search = {.name = name,
				.least_major = major_of(server_version),
				.allow_old = allow_old,
				.ctx = ctx,
				.seen = CF_BUF_INIT};

	return find(&search, program_out, err);
}

int cf_pg_program_newest(const char *name, int least_version, const struct cf_ctx *ctx,
			 struct cf_pg_program *program_out, struct cf_err *err)
{
	struct search search = {.name = name,
				.least_major = major_of(least_version),
				.newest = true,
				.ctx = ctx,
				.seen = CF_BUF_INIT};

	return find(&search, program_out, err);
}

void cf_pg_program_release(struct cf_pg_program *program)
{
	free(program->path);
	program->path = NULL;
}
