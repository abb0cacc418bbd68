/* The archive's entries by pg_restore, which knows each kind of object and makes indexes in
 * parallel. */

#include "base/err.h"
#include "base/file.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/program.h"
#include "drivers/postgres/sql.h"
#include "drivers/postgres/toc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARGS_MAX 16

/* A file in memory that programs we start open as /proc/self/fd/N: nothing of a snapshot lies on a
 * disk. */
static int make_file(const char *name, struct cf_span content, int *fd_out, char path[32],
		     struct cf_err *err)
{
	int fd = memfd_create(name, 0);
	int rc;

	if (fd < 0)
		return cf_err_errno(err, errno, "cannot make a file in memory");
	rc = cf_fd_write_all(fd, name, content, err);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	*fd_out = fd;
	return 0;
}

/* public, where its owner is not the one that initdb gives it: the archive makes it by a comment. */
bool cf_pg_load_makes_by_itself(const struct cf_pg_toc_entry *entry)
{
	return strcmp(entry->desc, "SCHEMA") == 0 && entry->defn &&
	       strncmp(entry->defn, "--", 2) == 0;
}

/* Of the pg_dump that wrote it. */
static int archive_major(const struct cf_pg_load *load)
{
	return atoi(load->toc->program_version ? load->toc->program_version : "");
}

/* Who restores a database of his own may well not give its schema away: then it stays his, and all
 * in it can be used by him. */
static int give_schema(struct cf_pg_load *load, const struct cf_pg_toc_entry *entry,
		       struct cf_err *err)
{
	struct cf_err failure = CF_ERR_INIT;
	struct cf_buf sql = CF_BUF_INIT;
	int rc = cf_buf_append_str(&sql, "ALTER SCHEMA ", err);

	if (rc == 0)
		rc = cf_sql_append_name(entry->tag, &sql, err);
	if (rc == 0)
		rc = cf_buf_append_str(&sql, " OWNER TO ", err);
	if (rc == 0)
		rc = cf_sql_append_name(entry->owner, &sql, err);
	if (rc == 0)
		rc = cf_buf_append(&sql, "", 1, err);
	if (rc == 0) {
		rc = cf_pg_exec(load->pg, (const char *)sql.data, &failure);
		if (rc == CF_ERR_ACCESS) {
			cf_ctx_warn(load->ctx, "restore.owner", entry->tag,
				    "schema %s keeps its owner instead of getting %s: %s",
				    entry->tag, entry->owner, failure.text);
			rc = 0;
		} else if (rc < 0 && err) {
			*err = failure;
			cf_err_wrap(err, "owner of schema %s", entry->tag);
		}
	}
	cf_buf_release(&sql);
	return rc;
}

static bool gives_public_to_all(const struct cf_pg_load *load)
{
	for (size_t i = 0; i < load->toc->n_entries; i++) {
		const struct cf_pg_toc_entry *entry = &load->toc->entries[i];

		if (strcmp(entry->desc, "ACL") == 0 && strcmp(entry->tag, "SCHEMA public") == 0 && entry->defn &&
		    (strstr(entry->defn, "GRANT ALL ON SCHEMA public TO PUBLIC") ||
		     strstr(entry->defn, "GRANT CREATE ON SCHEMA public TO PUBLIC")))
			return true;
	}
	return false;
}

static int close_public(struct cf_pg_load *load, struct cf_err *err)
{
	char *is_open = NULL;
	int rc = cf_pg_exec(load->pg, "REVOKE CREATE ON SCHEMA public FROM PUBLIC", err);

	/* Of who has no right to do it the server thinks that it was not meant. */
	if (rc == 0)
		rc = cf_pg_query_text(load->pg, "SELECT pg_catalog.has_schema_privilege('public', 'public', 'CREATE')",
				      NULL, 0, &is_open, err);
	if (rc == 0 && is_open && is_open[0] == 't' && !gives_public_to_all(load))
		cf_ctx_warn(load->ctx, "restore.public", "public",
			    "everybody may create in schema public, which was not so in the database that was saved: user %s "
			    "has no right to change it",
			    cf_pg_user(load->pg));
	free(is_open);
	return rc;
}

/*
 * pg_dump tells the rights on public by what differs from those of PostgreSQL 15, whatever server it reads. An older server lets
 * everybody create there, which a database that was closed to them must not become; where it was open, the archive says so.
 */
static int level_public(struct cf_pg_load *load, struct cf_err *err)
{
	static const char sql[] =
		"SELECT FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_init_privs i ON i.objoid = n.oid"
		" AND i.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass"
		" WHERE n.nspname = 'public' AND n.nspacl = i.initprivs";
	struct cf_pg_rows *rows = NULL;
	int rc;

	if (cf_pg_server_version(load->pg) >= 150000 || archive_major(load) < 15 || load->manifest->filtered ||
	    load->options->no_privileges)
		return 0;
	rc = cf_pg_query(load->pg, sql, NULL, 0, &rows, err);
	if (rc == 0 && cf_pg_rows_count(rows) > 0)
		rc = close_public(load, err);
	cf_pg_rows_free(rows);
	return rc;
}

int cf_pg_load_give_schemas(struct cf_pg_load *load, struct cf_err *err)
{
	int rc = level_public(load, err);

	for (size_t i = 0; rc == 0 && !load->options->no_owner && i < load->set.n; i++) {
		const struct cf_pg_toc_entry *entry = &load->toc->entries[load->set.list[i]];

		if (cf_pg_load_makes_by_itself(entry) && entry->owner && entry->owner[0])
			rc = give_schema(load, entry, err);
	}
	return rc;
}

static int schema_exists(struct cf_pg_load *load, const struct cf_pg_toc_entry *entry, bool *exists,
			 struct cf_err *err)
{
	const char *values[] = {entry->tag};
	struct cf_pg_rows *rows = NULL;
	int rc;

	*exists = false;
	if (strcmp(entry->desc, "SCHEMA") != 0)
		return 0;
	rc = cf_pg_query(load->pg, "SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1", values,
			 1, &rows, err);
	if (rc == 0)
		*exists = cf_pg_rows_count(rows) > 0;
	cf_pg_rows_free(rows);
	return rc;
}

/* What one run of pg_restore makes. */
enum pass {
	PASS_BEFORE,   /* before the rows */
	PASS_PARALLEL, /* after them, over several connections */
	PASS_ALONE,    /* and over one */
	PASS_LAST      /* what may refuse anything that comes after it */
};

static bool is_one_of(const char *const *kinds, const struct cf_pg_toc_entry *entry)
{
	while (*kinds && strcmp(*kinds, entry->desc) != 0)
		kinds++;
	return *kinds != NULL;
}

static bool has_partitions(const struct cf_pg_load *load)
{
	static const char *const attaching[] = {"TABLE ATTACH", "INDEX ATTACH", NULL};

	for (size_t i = 0; i < load->set.n; i++)
		if (is_one_of(attaching, &load->toc->entries[load->set.list[i]]))
			return true;
	return false;
}

static bool is_or_belongs_to(const struct cf_pg_load *load, size_t index, const char *const *kinds)
{
	size_t owner = cf_pg_graph_owner(load->graph, index);

	return is_one_of(kinds, &load->toc->entries[index]) ||
	       (owner != CF_PG_NO_ENTRY && is_one_of(kinds, &load->toc->entries[owner]));
}

/*
 * On a partitioned table these lock its partitions, too, which the archive's dependencies do not tell: beside other
 * work pg_restore --jobs can run into a deadlock with itself. Rights stay behind them.
 */
static bool wants_to_be_alone(const struct cf_pg_load *load, size_t index)
{
	static const char *const kinds[] = {"INDEX ATTACH", "FK CONSTRAINT", "TRIGGER",	    "RULE",
					    "POLICY",	    "ACL",	     "DEFAULT ACL", NULL};

	return is_or_belongs_to(load, index, kinds);
}

static enum pass pass_of(const struct cf_pg_load *load, size_t index, bool parts)
{
	static const char *const last[] = {"EVENT TRIGGER", NULL};

	if (!cf_pg_load_comes_after(load, index))
		return PASS_BEFORE;
	if (is_or_belongs_to(load, index, last))
		return PASS_LAST;
	return parts && wants_to_be_alone(load, index) ? PASS_ALONE : PASS_PARALLEL;
}

/* Dump ids of what is made now. Schemas that are there stay as they are. */
static int make_list(struct cf_pg_load *load, enum pass pass, struct cf_buf *list, struct cf_err *err)
{
	bool parts = has_partitions(load);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < load->set.n; i++) {
		size_t index = load->set.list[i];
		bool exists = false, wanted = true;

		if (pass_of(load, index, parts) != pass)
			continue;
		if (cf_pg_load_makes_by_itself(&load->toc->entries[index]) ||
		    cf_pg_load_may_dangle(load, index))
			continue;
		rc = schema_exists(load, &load->toc->entries[index], &exists, err);
		if (rc == 0)
			rc = cf_pg_load_wants_entry(load, index, &wanted, err);
		if (rc == 0 && wanted && !exists)
			rc = cf_buf_printf(list, err, "%d;\n", load->toc->entries[index].dump_id);
		load->found[index] = exists;
	}
	return rc;
}

/* Without waiting for the disk at each of the many small commits, and with what texts are read by,
 * whatever the role or the database has set. What was given is behind it, and so wins. */
static int session_environment(struct cf_pg_load *load, char ***environment_out, struct cf_err *err)
{
	static const char name[] = "PGOPTIONS=";
	static const char options[] = "-c synchronous_commit=off -c array_nulls=on"
				      " -c transform_null_equals=off -c default_transaction_read_only=off";
	char **environment = NULL, **larger, *text = NULL;
	size_t n = 0, place;
	int rc = cf_pg_environment(load->pg, NULL, &environment, err);

	if (rc < 0)
		return rc;
	while (environment[n])
		n++;
	for (place = 0; place < n && strncmp(environment[place], name, strlen(name)) != 0;)
		place++;
	larger = realloc(environment, (n + 2) * sizeof(*environment));
	if (larger)
		environment = larger;
	if (!larger || asprintf(&text, "%s%s %s", name, options,
				place < n ? environment[place] + strlen(name) : "") < 0) {
		cf_pg_environment_free(environment);
		return cf_err_nomem(err);
	}
	if (place < n)
		free(environment[place]);
	else
		environment[n + 1] = NULL;
	environment[place] = text;
	*environment_out = environment;
	return 0;
}

/* What pg_restore says while it goes on. */
struct listener {
	struct cf_pg_load *load;
	int dump_id; /* of the entry at work, or 0 */
	bool told_all;
};

static void tell_failed_entry(const struct listener *listener, const char *text)
{
	const struct cf_pg_load *load = listener->load;
	size_t index = cf_pg_graph_entry(load->graph, listener->dump_id);
	struct cf_buf object = CF_BUF_INIT;

	if (index != CF_PG_NO_ENTRY)
		cf_pg_load_entry_name(&load->toc->entries[index], &object, NULL);
	cf_pg_load_tell_failed(load, object.len ? (const char *)object.data : "pg_restore", text);
	cf_buf_release(&object);
}

/* An error is behind the entry it is of, and once for each statement of it. */
static void on_said(void *user, const char *line)
{
	static const char entry[] = "from TOC entry ", error[] = "error: ",
			  query[] = "could not execute query: ", all[] = "warning: errors ignored";
	struct listener *listener = user;

	if (strncmp(line, entry, strlen(entry)) == 0) {
		listener->dump_id = atoi(line + strlen(entry));
	} else if (strncmp(line, error, strlen(error)) == 0) {
		line += strlen(error);
		if (strncmp(line, query, strlen(query)) == 0)
			line += strlen(query);
		tell_failed_entry(listener, line);
	} else if (strncmp(line, all, strlen(all)) == 0) {
		listener->told_all = true;
	} else if (line[0]) {
		cf_ctx_note(listener->load->ctx, "postgres.said", "pg_restore", "%s", line);
	}
}

/* It exits as if it had failed, behind a last line that says so. */
static int run_on(struct cf_pg_load *load, struct cf_pg_run *run, struct cf_err *err)
{
	struct listener listener = {.load = load};
	int rc;

	run->said = on_said;
	run->said_user = &listener;
	rc = cf_pg_program_run(run, NULL, NULL, load->ctx, err);
	if (rc == CF_ERR_FAILED && listener.told_all) {
		cf_err_clear(err);
		rc = 0;
	}
	return rc;
}

/* pg_restore 17 begins with a setting that servers before 17 do not know, and has no option against it. */
static bool sets_what_is_unknown(const struct cf_pg_load *load, const struct cf_pg_program *program)
{
	return program->version >= 170000 && cf_pg_server_version(load->pg) < 170000;
}

static int run_program(struct cf_pg_load *load, const char *archive, const char *list,
		       enum pass pass, struct cf_err *err)
{
	bool keep_going = load->options->keep_going;
	struct cf_pg_run run = {.input_fd = -1};
	struct cf_pg_program program = {0};
	const char *args[ARGS_MAX];
	char **environment = NULL;
	char jobs[16];
	size_t n = 0;
	/* It reads what the pg_dump of its own version wrote, or an older one. */
	int rc = cf_pg_program_find("pg_restore", archive_major(load) * 10000,
				    load->options->allow_old_client, load->ctx, &program, err);

	if (rc == 0)
		rc = session_environment(load, &environment, err);
	if (rc < 0)
		goto out;
	if (sets_what_is_unknown(load, &program))
		run.harmless = "SET transaction_timeout";
	/* Which entry an error is of it says when it is to say much, and one after the other only when
	 * it is alone. */
	if (keep_going)
		args[n++] = "--verbose";
	else if (!run.harmless)
		args[n++] = "--exit-on-error";
	/* Which one says PGDATABASE. */
	args[n++] = "--dbname=";
	args[n++] = "--use-list";
	args[n++] = list;
	if (load->options->no_owner)
		args[n++] = "--no-owner";
	if (load->options->no_privileges)
		args[n++] = "--no-privileges";
	if (load->no_tablespaces)
		args[n++] = "--no-tablespaces";
	if (pass == PASS_PARALLEL && !keep_going && !run.harmless) {
		snprintf(jobs, sizeof(jobs), "%u", load->options->jobs);
		args[n++] = "--jobs";
		args[n++] = jobs;
	}
	args[n++] = archive;
	args[n] = NULL;
	run.program = &program;
	run.args = args;
	run.environment = environment;
	rc = keep_going ? run_on(load, &run, err)
			: cf_pg_program_run(&run, NULL, NULL, load->ctx, err);
out:
	cf_pg_environment_free(environment);
	cf_pg_program_release(&program);
	return rc;
}

static int run_pass(struct cf_pg_load *load, enum pass pass, struct cf_err *err)
{
	struct cf_buf list = CF_BUF_INIT;
	int archive_fd = -1, list_fd = -1;
	char archive_path[32], list_path[32];
	int rc = make_list(load, pass, &list, err);

	if (rc < 0 || list.len == 0)
		goto out;
	rc = make_file("schema.dump", cf_buf_span(&load->archive), &archive_fd, archive_path, err);
	if (rc == 0)
		rc = make_file("list", cf_buf_span(&list), &list_fd, list_path, err);
	if (rc == 0)
		rc = run_program(load, archive_path, list_path, pass, err);
out:
	if (archive_fd >= 0)
		close(archive_fd);
	if (list_fd >= 0)
		close(list_fd);
	cf_buf_release(&list);
	return rc;
}

int cf_pg_load_archive(struct cf_pg_load *load, bool after, struct cf_err *err)
{
	int rc = run_pass(load, after ? PASS_PARALLEL : PASS_BEFORE, err);

	if (rc == 0 && after)
		rc = run_pass(load, PASS_ALONE, err);
	return rc < 0 || !after ? rc : cf_pg_load_dangling(load, err);
}

int cf_pg_load_event_triggers(struct cf_pg_load *load, struct cf_err *err)
{
	return run_pass(load, PASS_LAST, err);
}
