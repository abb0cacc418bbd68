#include "drivers/postgres/postgres.h"

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/pattern.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/dump.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/program.h"
#include "drivers/postgres/verify.h"
#include "drivers/selector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	LEAST_VERSION = 100000, /* what came before has had no fixes for years */
	JOBS_MAX = 4		/* unless more are asked for: the server has others to serve */
};

struct postgres_source {
	struct cf_source base;
	struct cf_pg_dump dump;
};

struct cf_entry cf_pg_entry(const struct cf_pg_dump *dump, enum cf_entry_type type, const char *name)
{
	/* Neither inode nor ctime: nothing here can be taken for unchanged unread. */
	return (struct cf_entry){.type = type,
				 .name = name,
				 .mode = type == CF_ENTRY_DIR ? 0700 : 0600,
				 .uid = geteuid(),
				 .gid = getegid(),
				 .mtime_ns = dump->time_ns,
				 .nlink = 1};
}

int cf_pg_put_file(struct cf_pg_dump *dump, struct cf_dir *dir, const char *name, struct cf_span content,
		   struct cf_err *err)
{
	const struct cf_sink_ops *ops = dump->sink->ops;
	struct cf_entry entry = cf_pg_entry(dump, CF_ENTRY_FILE, name);
	struct cf_file *file = NULL;
	int rc;

	entry.size = content.len;
	rc = ops->file_begin(dump->sink, dir, &entry, NULL, &file, err);
	if (rc < 0 || !file)
		return rc;
	rc = ops->file_write(dump->sink, file, content, err);
	if (rc == 0)
		return ops->file_end(dump->sink, file, NULL, err);
	ops->file_abort(dump->sink, file);
	return rc;
}

/* --- open --- */

static void close_source(struct cf_source *base)
{
	struct postgres_source *source = (struct postgres_source *)base;

	if (!source)
		return;
	cf_pg_server_release(&source->dump);
	cf_pg_program_release(&source->dump.dump);
	cf_pg_program_release(&source->dump.dump_all);
	cf_pg_program_release(&source->dump.restore);
	cf_selector_free(source->dump.selector);
	cf_pg_close(source->dump.server);
	free(source->base.name);
	free(source);
}

/* Neither user nor password, and what names the same database for whoever looks at the repository. */
static char *name_source(const struct postgres_source *source)
{
	struct cf_pg *server = source->dump.server;

	return cf_pg_name(cf_pg_host(server), cf_pg_port(server),
			  source->dump.options->all_databases ? NULL : cf_pg_database(server));
}

static int find_programs(struct cf_pg_dump *dump, struct cf_err *err)
{
	int version = cf_pg_server_version(dump->server);
	bool allow_old = dump->options->allow_old_client;
	int rc = cf_pg_program_find("pg_dump", version, allow_old, dump->ctx, &dump->dump, err);

	if (rc == 0)
		rc = cf_pg_program_find("pg_dumpall", version, allow_old, dump->ctx, &dump->dump_all, err);
	/* As new as what wrote the archive. */
	if (rc == 0)
		rc = cf_pg_program_find("pg_restore", dump->dump.version, allow_old, dump->ctx, &dump->restore, err);
	return rc;
}

static int check_server(struct postgres_source *source, struct cf_err *err)
{
	int version = cf_pg_server_version(source->dump.server);
	int rc;

	if (version < LEAST_VERSION)
		return cf_err_set(err, CF_ERR_UNSUPPORTED, "%s is PostgreSQL %d.%d: needs 10 or newer",
				  source->base.name, version / 10000, version / 100 % 100);
	rc = find_programs(&source->dump, err);
	if (rc == CF_ERR_UNSUPPORTED)
		cf_err_wrap(err, "%s is PostgreSQL %d.%d", source->base.name, version / 10000, version % 10000);
	return rc;
}

static int connect_source(struct postgres_source *source, const char *rest, struct cf_err *err)
{
	const struct cf_pg_options options = {
		.application = CF_PG_APPLICATION,
		/* There to connect to, in every cluster that nobody took pains to change. */
		.fallback_database = source->dump.options->all_databases ? "postgres" : NULL};
	int rc = cf_pg_connect(rest, &options, source->dump.ctx, &source->dump.server, err);

	if (rc == 0)
		rc = cf_pg_session_configure(source->dump.server, 0, err);
	if (rc == 0 && !(source->base.name = name_source(source)))
		rc = cf_err_nomem(err);
	return rc == 0 ? check_server(source, err) : rc;
}

static unsigned choose_jobs(const struct cf_source_options *options)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	if (options->jobs > 0)
		return options->jobs;
	return n < 1 ? 1 : n > JOBS_MAX ? JOBS_MAX : (unsigned)n;
}

static int open_source(const char *rest, const struct cf_source_options *options, const struct cf_ctx *ctx,
		       struct cf_source **source_out, struct cf_err *err)
{
	const struct cf_selection *select = &options->select;
	struct postgres_source *source = calloc(1, sizeof(*source));
	int rc;

	if (!source)
		return cf_err_nomem(err);
	source->base.driver = &cf_postgres_driver;
	source->dump.options = options;
	source->dump.ctx = ctx;
	source->dump.jobs = choose_jobs(options);
	source->dump.filtered =
		select->n_tables || select->n_schemas || select->n_exclude_tables || select->n_exclude_data;
	rc = cf_selector_new(select, CF_PATTERN_POSTGRES, &source->dump.selector, err);
	if (rc == 0)
		rc = connect_source(source, rest, err);
	if (rc < 0) {
		close_source(&source->base);
		return rc;
	}
	*source_out = &source->base;
	return 0;
}

/* --- run --- */

/*
 * In the order of names, which is that of bytes. As pg_dumpall does: template0 is as initdb makes it, other templates may hold
 * something. What an interrupted DROP DATABASE left cannot be read.
 */
static int dump_all(struct cf_pg_dump *dump, struct cf_err *err)
{
	static const char sql[] =
		"SELECT datname, CASE WHEN datconnlimit = -2 THEN 'an interrupted DROP DATABASE has left it invalid'"
		" WHEN NOT datallowconn THEN 'it allows no connections'"
		" WHEN NOT has_database_privilege(oid, 'CONNECT') THEN"
		" format('user %s has no right to connect to it', current_user) END"
		" FROM pg_database WHERE datname <> 'template0' ORDER BY datname";
	struct cf_pg_rows *rows = NULL;
	int rc = cf_pg_speak_bytes(dump->server, true, err);

	if (rc == 0)
		rc = cf_pg_query(dump->server, sql, NULL, 0, &rows, err);
	if (rc == 0)
		rc = cf_pg_speak_bytes(dump->server, false, err);
	for (size_t i = 0; rc == 0 && i < cf_pg_rows_count(rows); i++) {
		const char *name = cf_pg_value(rows, i, 0), *obstacle = cf_pg_value(rows, i, 1);

		if (!obstacle)
			rc = cf_pg_dump_database(dump, name, err);
		else
			cf_ctx_warn(dump->ctx, "postgres.database_skipped", name, "database %s was not saved: %s", name,
				    obstacle);
	}
	cf_pg_rows_free(rows);
	return rc == 0 ? cf_selector_check(dump->selector, err) : rc;
}

static int dump_tree(struct cf_pg_dump *dump, struct cf_err *err)
{
	int rc = cf_pg_server_describe(dump, err);

	if (rc == 0 && !dump->options->databases_only)
		rc = cf_pg_dump_globals(dump, err);
	if (rc == 0 && dump->options->all_databases)
		rc = dump_all(dump, err);
	else if (rc == 0)
		rc = cf_pg_dump_database(dump, cf_pg_database(dump->server), err);
	return rc == 0 ? cf_pg_server_finish(dump, err) : rc;
}

static int run_source(struct cf_source *base, struct cf_sink *sink, struct cf_err *err)
{
	struct cf_pg_dump *dump = &((struct postgres_source *)base)->dump;
	struct cf_entry entry;
	char *standby = NULL;
	int rc = cf_pg_query_text(dump->server, "SELECT pg_is_in_recovery()", NULL, 0, &standby, err);

	if (rc < 0)
		return rc;
	dump->is_standby = standby && standby[0] == 't';
	free(standby);
	dump->sink = sink;
	dump->time_ns = cf_ctx_now_ns(dump->ctx);
	entry = cf_pg_entry(dump, CF_ENTRY_DIR, "");
	rc = sink->ops->dir_begin(sink, NULL, &entry, 0, &dump->root, err);
	if (rc == 0)
		rc = dump_tree(dump, err);
	return rc == 0 ? sink->ops->dir_end(sink, dump->root, NULL, err) : rc;
}

static int say_clients(const struct cf_ctx *ctx, struct cf_buf *text_out, struct cf_err *err)
{
	struct cf_pg_program program = {0};
	int rc = cf_pg_program_newest("pg_dump", LEAST_VERSION, ctx, &program, err);

	if (rc == 0)
		rc = cf_buf_printf(text_out, err, "%s is %d.%d: dumps servers up to version %d", program.path,
				   program.version / 10000, program.version % 10000, program.version / 10000);
	cf_pg_program_release(&program);
	return rc;
}

const struct cf_driver cf_postgres_driver = {
	.scheme = "postgres",
	.alias = "postgresql",
	.usage = "postgres://[USER@]HOST[:PORT]/DATABASE",
	.about = "A PostgreSQL database, or all of a server, dumped from one snapshot",
	.is_server = true,
	.can_keep_going = true,
	.open = open_source,
	.names = cf_pg_names,
	.run = run_source,
	.close = close_source,
	.load = cf_pg_load,
	.clients = say_clients,
	.verify = cf_pg_verify,
};
