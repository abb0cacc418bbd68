/* The definitions of one database: pg_dump's archive of them, and the same as a script. */

#include "base/err.h"
#include "base/file.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/dump.h"
#include "drivers/postgres/restrict.h"
#include "drivers/postgres/script.h"
#include "drivers/postgres/toc.h"
#include "drivers/selector.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SCHEMA_MAX ((size_t)1 << 30)

static int take_piece(void *user, struct cf_span data, struct cf_err *err)
{
	struct cf_buf *out = (struct cf_buf *)user;

	if (out->len + data.len > SCHEMA_MAX)
		return cf_err_set(err, CF_ERR_UNSUPPORTED, "the definitions are longer than %zu MiB",
				  SCHEMA_MAX >> 20);
	return cf_buf_append(out, data.data, data.len, err);
}

/* --- pg_dump --- */

/* Also the empty ones: what is in a schema besides tables comes with it. */
int cf_pg_select_schemas(struct cf_pg_database *database, struct cf_err *err)
{
	static const char sql[] = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'"
				  " AND nspname <> 'information_schema' ORDER BY nspname";
	struct cf_pg_rows *rows = NULL;
	int rc;

	cf_buf_clear(&database->schema_args);
	rc = database->dump->options->select.n_schemas > 0
			 ? cf_pg_query(database->leader, sql, NULL, 0, &rows, err)
			 : 0;

	for (size_t i = 0; rc == 0 && rows && i < cf_pg_rows_count(rows); i++) {
		const char *name = cf_pg_value(rows, i, 0);

		if (!cf_selector_takes_schema(database->dump->selector, database->name, name))
			continue;
		rc = cf_buf_append_str(&database->schema_args, "--schema=", err);
		if (rc == 0)
			rc = cf_pg_catalog_append_pattern(name, &database->schema_args, err);
		if (rc == 0)
			rc = cf_buf_append(&database->schema_args, "", 1, err);
	}
	cf_pg_rows_free(rows);
	return rc;
}

/* Arguments ended by NUL each into an array of them ended by NULL, to free(). */
static const char **split_args(const struct cf_buf *args)
{
	size_t n = 0, used = 0;
	const char **all;

	for (size_t i = 0; i < args->len; i++)
		n += args->data[i] == '\0';
	all = calloc(n + 1, sizeof(*all));
	for (size_t at = 0; all && at < args->len; at += strlen((const char *)args->data + at) + 1)
		all[used++] = (const char *)args->data + at;
	return all;
}

static int append_arg(struct cf_buf *args, const char *option, const char *value, struct cf_err *err)
{
	int rc = cf_buf_append_str(args, option, err);

	return rc == 0 ? cf_buf_append(args, value, strlen(value) + 1, err) : rc;
}

/* pg_dump takes names in the encoding that it writes. */
static int append_names(struct cf_pg_database *database, const struct cf_buf *names, struct cf_buf *args,
			struct cf_err *err)
{
	struct cf_buf one = CF_BUF_INIT;
	size_t len;
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < names->len; at += len) {
		len = strlen((const char *)names->data + at) + 1;
		cf_buf_clear(&one);
		rc = cf_buf_append(&one, names->data + at, len, err);
		if (rc == 0)
			rc = cf_pg_recode(database, database->leader, &one, err);
		if (rc == 0)
			rc = cf_buf_append(args, one.data, one.len, err);
	}
	cf_buf_release(&one);
	return rc;
}

/*
 * When schemas alone are chosen pg_dump takes these and nothing of the others. When single tables are chosen the others are excluded, instead of naming the chosen ones to pg_dump: so the types and functions
 * that they need are there.
 */
static int dump_args(struct cf_pg_database *database, struct cf_buf *args, struct cf_err *err)
{
	const struct cf_selection *select = &database->dump->options->select;
	struct cf_buf excluded = CF_BUF_INIT;
	char lock_wait_ms[16];
	int rc = append_arg(args, "--format=custom", "", err);

	snprintf(lock_wait_ms, sizeof(lock_wait_ms), "%u", database->dump_wait_ms);
	if (rc == 0)
		rc = append_arg(args, "--compress=0", "", err);
	if (rc == 0)
		rc = append_arg(args, "--schema-only", "", err);
	if (rc == 0)
		rc = append_arg(args, "--no-password", "", err);
	/* That of all names in our hands, whatever the role or the database sets. */
	if (rc == 0)
		rc = append_arg(args, "--encoding=", cf_pg_archive_encoding(database), err);
	/* All is locked by us, so that only a request for an exclusive lock that waits for us can be in the way: it would
	 * wait for ever. */
	if (rc == 0)
		rc = append_arg(args, "--lock-wait-timeout=", lock_wait_ms, err);
	if (rc == 0)
		rc = append_arg(args, "--snapshot=", database->snapshot.id, err);
	if (rc == 0 && select->n_tables == 0)
		rc = append_names(database, &database->schema_args, args, err);
	if (rc == 0)
		rc = cf_pg_catalog_exclude_args(&database->catalog, &excluded, err);
	if (rc == 0)
		rc = append_names(database, &excluded, args, err);
	cf_buf_release(&excluded);
	return rc;
}

/* pg_dump waits for a lock as little as it was told to, and fails. */
static int judge_failure(struct cf_pg_database *database, int rc, struct cf_err *err)
{
	struct cf_buf oids = CF_BUF_INIT;
	bool is_busy = rc == CF_ERR_FAILED &&
		       cf_pg_catalog_lock_oids(&database->catalog, &oids, NULL) == 0 &&
		       cf_pg_session_blame(database->leader, (const char *)oids.data, err);

	cf_buf_release(&oids);
	if (!is_busy)
		return rc;
	err->code = CF_ERR_BUSY;
	return CF_ERR_BUSY;
}

int cf_pg_read_schema(struct cf_pg_database *database, struct cf_err *err)
{
	struct cf_pg_dump *dump = database->dump;
	struct cf_buf args = CF_BUF_INIT;
	const char **argv = NULL;
	char **environment = NULL;
	int rc = dump_args(database, &args, err);

	cf_buf_clear(&database->archive);
	if (rc == 0 && !(argv = split_args(&args)))
		rc = cf_err_nomem(err);
	if (rc == 0)
		rc = cf_pg_environment(database->leader, NULL, &environment, err);
	if (rc == 0) {
		const struct cf_pg_run run = {
			.program = &dump->dump, .args = argv, .environment = environment, .input_fd = -1};

		rc = cf_pg_program_run(&run, take_piece, &database->archive, dump->ctx, err);
	}
	cf_pg_environment_free(environment);
	free(argv);
	cf_buf_release(&args);
	return rc < 0 ? judge_failure(database, rc, err) : 0;
}

/* --- script --- */

static int run_restore(struct cf_pg_dump *dump, const struct cf_buf *archive, const char *key,
		       struct cf_buf *script, struct cf_err *err)
{
	char option[128];
	const char *const args[] = {"--file=-", dump->restore.has_restrict_key ? option : NULL, NULL};
	struct cf_pg_run run = {.program = &dump->restore, .args = args};
	int rc;

	snprintf(option, sizeof(option), "--restrict-key=%s", key);
	run.input_fd = memfd_create("schema.dump", MFD_CLOEXEC);
	if (run.input_fd < 0)
		return cf_err_errno(err, errno, "cannot make a file in memory");
	rc = cf_fd_write_all(run.input_fd, "schema.dump", cf_buf_span(archive), err);
	if (rc == 0 && lseek(run.input_fd, 0, SEEK_SET) != 0)
		rc = cf_err_errno(err, errno, "schema.dump");
	if (rc == 0)
		rc = cf_pg_program_run(&run, take_piece, script, dump->ctx, err);
	close(run.input_fd);
	return rc;
}

/* pg_restore 17 begins with it whatever the server is, and psql would stop at it where the setting is unknown. */
static void drop_unknown_setting(const struct cf_pg_database *database, struct cf_buf *script)
{
	static const char line[] = "\nSET transaction_timeout = 0;";
	bool is_there = database->dump->restore.version >= 170000 && database->manifest.server_version < 170000;
	size_t len = strlen(line);
	uint8_t *at = is_there ? memmem(script->data, script->len, line, len) : NULL;

	if (!at)
		return;
	memmove(at, at + len, (size_t)(script->data + script->len - at) - len);
	script->len -= len;
}

int cf_pg_put_schema(struct cf_pg_database *database, struct cf_err *err)
{
	const struct cf_buf *archive = &database->archive;
	struct cf_pg_restrict_key random = cf_pg_restrict_random(), key;
	struct cf_pg_dump *dump = database->dump;
	struct cf_buf script = CF_BUF_INIT;
	int rc = cf_pg_put_file(dump, database->dir, "schema.dump", cf_buf_span(archive), err);

	if (rc == 0)
		rc = cf_pg_toc_decode(cf_buf_span(archive), &database->toc, err);
	if (rc == 0)
		rc = run_restore(dump, archive, random.s, &script, err);
	if (rc == 0)
		drop_unknown_setting(database, &script);
	if (rc == 0)
		rc = cf_pg_restrict_settle(&script, &random, &key, err);
	if (rc == 0)
		rc = cf_pg_put_file(dump, database->dir, "schema.sql", cf_buf_span(&script), err);
	if (rc == 0)
		rc = cf_pg_script_new(database->toc, &database->manifest, key.s, &database->script, err);
	cf_buf_release(&script);
	return rc;
}
