#include "drivers/mysql/dump.h"

#include "base/ctx.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/stream.h"
#include "drivers/mysql/catalog.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/facts.h"
#include "drivers/mysql/script.h"
#include "drivers/mysql/snapshot.h"
#include "drivers/mysql/survey.h"
#include "drivers/mysql/table.h"
#include "drivers/mysql/url.h"
#include "drivers/mysql/users.h"
#include "drivers/names.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct dump {
	const struct cf_mysql_dump_options *options;
	const struct cf_ctx *ctx;
	struct cf_sink *sink;
	struct cf_mysql_snapshot snapshot;
	struct cf_mysql_catalog catalog;
	struct cf_dir **table_dirs; /* one for each database */
	pthread_mutex_t lock;	    /* of the sink's directories and of what follows */
	int rc;			    /* the first failure of any table */
	struct cf_err err;
};

struct table_job {
	struct cf_job job;
	struct dump *dump;
	size_t database, table;
	bool is_locked; /* by the snapshot, whose session has to read it */
	uint64_t data_len;
};

static struct cf_entry entry_of(const struct dump *dump, enum cf_entry_type type, const char *name)
{
	return (struct cf_entry){
		.type = type,
		.name = name,
		.mode = type == CF_ENTRY_DIR ? 0700 : 0600,
		.uid = geteuid(),
		.gid = getegid(),
		.mtime_ns = dump->snapshot.time_ns,
		.nlink = 1,
	};
}

static int begin_dir(struct dump *dump, struct cf_dir *parent, const char *name,
		     struct cf_dir **dir_out, struct cf_err *err)
{
	struct cf_entry entry = entry_of(dump, CF_ENTRY_DIR, name);

	return dump->sink->ops->dir_begin(dump->sink, parent, &entry, 0, dir_out, err);
}

static int store_text(struct dump *dump, struct cf_dir *dir, const char *name,
		      const struct cf_buf *text, struct cf_err *err)
{
	static const struct cf_profile profile = {.kind = CF_PROFILE_TEXT};
	struct cf_entry entry = entry_of(dump, CF_ENTRY_FILE, name);
	struct cf_sink *sink = dump->sink;
	struct cf_file *file = NULL;
	int rc;

	entry.size = text->len;
	rc = sink->ops->file_begin(sink, dir, &entry, &profile, &file, err);
	if (rc == 0 && text->len) {
		rc = sink->ops->file_write(sink, file, cf_buf_span(text), err);
		if (rc < 0)
			sink->ops->file_abort(sink, file);
	}
	return rc == 0 ? sink->ops->file_end(sink, file, NULL, err) : rc;
}

static void announce(struct dump *dump)
{
	uint64_t bytes = 0, items = 0;

	for (size_t i = 0; i < dump->catalog.n_databases; i++) {
		const struct cf_mysql_database_catalog *database = &dump->catalog.databases[i];

		items += database->manifest.n_tables;
		for (size_t j = 0; j < database->manifest.n_tables; j++)
			if (database->plans[j].takes_rows)
				bytes += database->plans[j].data_len;
	}
	if (dump->sink->ops->expect)
		dump->sink->ops->expect(dump->sink, bytes, items);
}

static int send_facts(struct dump *dump, const struct cf_mysql_server *server, struct cf_err *err)
{
	struct cf_sink *sink = dump->sink;
	char key[80];
	int rc = 0;

	if (!sink->ops->fact)
		return 0;
	rc = sink->ops->fact(sink, "mysql.version", server->version, err);
	if (rc == 0)
		rc = sink->ops->fact(sink, "mysql.flavour", server->flavour, err);
	for (size_t i = 0; rc == 0 && i < server->n_facts; i++) {
		snprintf(key, sizeof(key), "mysql.%s", server->facts[i].key);
		rc = sink->ops->fact(sink, key, server->facts[i].value, err);
	}
	return rc;
}

static int store_server(struct dump *dump, struct cf_dir *root, struct cf_err *err)
{
	struct cf_mysql_server server = CF_MYSQL_SERVER_INIT;
	struct cf_buf text = CF_BUF_INIT;
	int rc = cf_mysql_facts_of_server(dump->snapshot.control, &server, err);

	if (rc == 0)
		rc = cf_mysql_facts_of_snapshot(&dump->snapshot, &dump->catalog, &server, err);
	if (rc == 0)
		rc = cf_mysql_server_encode(&server, &text, err);
	if (rc == 0)
		rc = store_text(dump, root, "server.json", &text, err);
	if (rc == 0)
		rc = send_facts(dump, &server, err);
	cf_mysql_server_release(&server);
	cf_buf_release(&text);
	return rc;
}

/* Whoever saves one database need not see the users; for a whole server they are missed. */
static int store_users(struct dump *dump, struct cf_dir *root, struct cf_err *err)
{
	const char *server = cf_mysql_server_name(dump->snapshot.control);
	struct cf_buf text = CF_BUF_INIT;
	int rc = cf_mysql_users_read(dump->snapshot.control, dump->ctx, &text, err);

	if (rc == CF_ERR_ACCESS) {
		cf_err_clear(err);
		rc = 0;
		if (dump->options->url->n_databases)
			cf_ctx_note(dump->ctx, "mysql.users", server,
				    "users and grants are not saved: no right to read them");
		else
			cf_ctx_warn(dump->ctx, "mysql.users", server,
				    "users and grants are not saved: grant SELECT on mysql.*");
	} else if (rc == 0) {
		rc = store_text(dump, root, "users.sql", &text, err);
	}
	cf_buf_release(&text);
	return rc;
}

typedef int script_fn(const struct cf_mysql_manifest *manifest, struct cf_buf *out,
		      struct cf_err *err);

static int store_scripts(struct dump *dump, const struct cf_mysql_database_catalog *database,
			 struct cf_dir *dir, struct cf_err *err)
{
	static const struct {
		const char *name;
		script_fn *script;
	} scripts[] = {
		{"sequences.sql", cf_mysql_script_sequences},
		{"routines.sql", cf_mysql_script_routines},
		{"views.sql", cf_mysql_script_views},
		{"triggers.sql", cf_mysql_script_triggers},
		{"events.sql", cf_mysql_script_events},
	};
	struct cf_buf text = CF_BUF_INIT;
	int rc = cf_buf_printf(&text, err, "%s;\n", database->create);

	if (rc == 0)
		rc = store_text(dump, dir, "database.sql", &text, err);
	for (size_t i = 0; rc == 0 && i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		cf_buf_clear(&text);
		rc = scripts[i].script(&database->manifest, &text, err);
		if (rc == 0 && text.len)
			rc = store_text(dump, dir, scripts[i].name, &text, err);
	}
	cf_buf_release(&text);
	return rc;
}

static void note_failure(struct dump *dump, int rc, const struct cf_err *err)
{
	pthread_mutex_lock(&dump->lock);
	if (dump->rc == 0) {
		dump->rc = rc;
		dump->err = *err;
	}
	pthread_mutex_unlock(&dump->lock);
}

static bool has_failed(struct dump *dump)
{
	bool failed;

	pthread_mutex_lock(&dump->lock);
	failed = dump->rc < 0;
	pthread_mutex_unlock(&dump->lock);
	return failed;
}

static int dump_table(const struct table_job *job, struct cf_mysql *my, struct cf_err *err)
{
	struct dump *dump = job->dump;
	struct cf_mysql_database_catalog *database = &dump->catalog.databases[job->database];
	struct cf_mysql_table *table = &database->manifest.tables[job->table];
	struct cf_buf name = CF_BUF_INIT;
	struct cf_entry entry;
	int rc = cf_file_name_of((const char *const[]){table->name}, 1, ".sql", &name, err);

	if (rc == 0) {
		entry = entry_of(dump, CF_ENTRY_FILE, (const char *)name.data);
		entry.size = job->data_len;
		rc = cf_mysql_table_dump(
			&(struct cf_mysql_table_dump){
				.my = my,
				.is_locked = job->is_locked,
				.ctx = dump->ctx,
				.sink = dump->sink,
				.sink_lock = &dump->lock,
				.dir = dump->table_dirs[job->database],
				.entry = &entry,
				.database = &database->manifest,
				.table = table,
				.plan = &database->plans[job->table],
			},
			err);
	}
	if (rc == 0 && database->plans[job->table].takes_rows) {
		table->file = (char *)name.data;
		name = (struct cf_buf)CF_BUF_INIT;
	}
	cf_buf_release(&name);
	return rc;
}

static void run_job(struct cf_job *base, unsigned worker)
{
	struct table_job *job = (struct table_job *)base;
	struct cf_err err = CF_ERR_INIT;
	int rc;

	if (has_failed(job->dump))
		return;
	rc = dump_table(job, job->dump->snapshot.workers[worker], &err);
	if (rc < 0)
		note_failure(job->dump, rc, &err);
}

static bool is_locked(const struct dump *dump, const struct cf_mysql_database_catalog *database,
		      size_t table)
{
	return dump->snapshot.tables_locked && !database->manifest.tables[table].is_transactional &&
	       database->plans[table].takes_rows;
}

static int compare_jobs(const void *a, const void *b)
{
	const struct table_job *x = a, *y = b;

	if (x->is_locked != y->is_locked)
		return x->is_locked ? -1 : 1;
	if (x->data_len != y->data_len)
		return x->data_len < y->data_len ? 1 : -1;
	if (x->database != y->database)
		return x->database < y->database ? -1 : 1;
	return x->table < y->table ? -1 : x->table > y->table;
}

static int list_jobs(struct dump *dump, struct table_job **jobs_out, size_t *n_out,
		     struct cf_err *err)
{
	const struct cf_mysql_catalog *catalog = &dump->catalog;
	struct table_job *jobs;
	size_t n = 0;

	for (size_t i = 0; i < catalog->n_databases; i++)
		n += catalog->databases[i].manifest.n_tables;
	jobs = calloc(n + 1, sizeof(*jobs));
	if (!jobs)
		return cf_err_nomem(err);
	n = 0;
	for (size_t i = 0; i < catalog->n_databases; i++)
		for (size_t j = 0; j < catalog->databases[i].manifest.n_tables; j++)
			jobs[n++] = (struct table_job){
				.job = {.run = run_job},
				.dump = dump,
				.database = i,
				.table = j,
				.is_locked = is_locked(dump, &catalog->databases[i], j),
				.data_len = catalog->databases[i].plans[j].data_len,
			};
	qsort(jobs, n, sizeof(*jobs), compare_jobs);
	*jobs_out = jobs;
	*n_out = n;
	return 0;
}

/* Those that writers wait for come first, and these writers go on before the rest is read. */
static int run_jobs(struct dump *dump, struct cf_pool *pool, struct table_job *jobs, size_t n,
		    struct cf_err *err)
{
	size_t i = 0;
	int rc = 0;

	while (rc == 0 && i < n && jobs[i].is_locked)
		rc = dump_table(&jobs[i++], dump->snapshot.tables, err);
	if (rc == 0)
		rc = cf_mysql_snapshot_unlock_tables(&dump->snapshot, err);
	while (rc == 0 && i < n)
		cf_pool_submit(pool, &jobs[i++].job);
	cf_pool_wait(pool);
	return rc;
}

static int dump_tables(struct dump *dump, struct cf_err *err)
{
	struct table_job *jobs = NULL;
	struct cf_pool *pool = NULL;
	size_t n = 0;
	int rc = list_jobs(dump, &jobs, &n, err);

	if (rc == 0 && n > 0)
		rc = cf_pool_new(dump->snapshot.n_workers, 1, &pool, err);
	if (rc == 0 && n > 0)
		rc = run_jobs(dump, pool, jobs, n, err);
	if (pool)
		cf_pool_free(pool);
	free(jobs);
	if (dump->rc < 0) {
		*err = dump->err;
		return dump->rc;
	}
	return rc;
}

static int begin_database(struct dump *dump, size_t i, struct cf_dir *root, struct cf_dir **dir_out,
			  struct cf_err *err)
{
	const struct cf_mysql_database_catalog *database = &dump->catalog.databases[i];
	struct cf_buf name = CF_BUF_INIT;
	int rc = cf_file_name_of((const char *const[]){database->manifest.database}, 1, "", &name,
				 err);

	if (rc == 0)
		rc = begin_dir(dump, root, (const char *)name.data, dir_out, err);
	if (rc == 0)
		rc = begin_dir(dump, *dir_out, "tables", &dump->table_dirs[i], err);
	if (rc == 0)
		rc = store_scripts(dump, database, *dir_out, err);
	cf_buf_release(&name);
	return rc;
}

static int end_database(struct dump *dump, size_t i, struct cf_dir *dir, struct cf_err *err)
{
	struct cf_sink *sink = dump->sink;
	struct cf_buf text = CF_BUF_INIT;
	int rc = sink->ops->dir_end(sink, dump->table_dirs[i], NULL, err);

	if (rc == 0)
		rc = cf_mysql_manifest_encode(&dump->catalog.databases[i].manifest, &text, err);
	if (rc == 0)
		rc = store_text(dump, dir, "database.json", &text, err);
	if (rc == 0)
		rc = sink->ops->dir_end(sink, dir, NULL, err);
	cf_buf_release(&text);
	return rc;
}

static int store_databases(struct dump *dump, struct cf_dir *root, struct cf_err *err)
{
	size_t n = dump->catalog.n_databases;
	struct cf_dir **dirs = calloc(n + 1, sizeof(struct cf_dir *));
	int rc = 0;

	dump->table_dirs = calloc(n + 1, sizeof(struct cf_dir *));
	if (!dirs || !dump->table_dirs)
		rc = cf_err_nomem(err);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = begin_database(dump, i, root, &dirs[i], err);
	if (rc == 0)
		rc = dump_tables(dump, err);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = end_database(dump, i, dirs[i], err);
	free(dirs);
	free(dump->table_dirs);
	return rc;
}

static int store(struct dump *dump, struct cf_err *err)
{
	struct cf_dir *root = NULL;
	int rc = begin_dir(dump, NULL, "", &root, err);

	if (rc == 0)
		rc = store_server(dump, root, err);
	if (rc == 0)
		rc = store_users(dump, root, err);
	if (rc == 0)
		rc = store_databases(dump, root, err);
	/* Only what ended well is a snapshot. */
	if (rc == 0)
		rc = cf_mysql_snapshot_end(&dump->snapshot, err);
	return rc == 0 ? dump->sink->ops->dir_end(dump->sink, root, NULL, err) : rc;
}

int cf_mysql_dump(const struct cf_mysql_dump_options *options, const struct cf_ctx *ctx,
		  struct cf_sink *sink, struct cf_err *err)
{
	struct dump dump = {.options = options, .ctx = ctx, .sink = sink};
	int rc;

	pthread_mutex_init(&dump.lock, NULL);
	dump.snapshot.lock_wait_s = options->lock_wait_s;
	rc = cf_mysql_snapshot_open(&dump.snapshot, options->url, options->jobs, ctx, err);
	if (rc == 0)
		rc = cf_mysql_survey(options, ctx, &dump.snapshot, &dump.catalog, err);
	if (rc == 0) {
		announce(&dump);
		rc = store(&dump, err);
	}
	cf_mysql_catalog_release(&dump.catalog);
	cf_mysql_snapshot_close(&dump.snapshot);
	pthread_mutex_destroy(&dump.lock);
	return rc;
}
