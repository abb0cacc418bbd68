#include "drivers/mysql/mysql.h"

#include "base/err.h"
#include "drivers/driver.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/dump.h"
#include "drivers/mysql/mysql_load.h"
#include "drivers/mysql/snapshot.h"
#include "drivers/mysql/url.h"
#include "drivers/pattern.h"
#include "drivers/selector.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { JOBS_DEFAULT_MAX = 8 };

struct mysql_source {
	struct cf_source base;
	const struct cf_ctx *ctx;
	struct cf_mysql_url url;
	struct cf_selector *selector;
	struct cf_mysql_dump_options dump;
};

static void close_source(struct cf_source *base)
{
	struct mysql_source *source = (struct mysql_source *)base;

	if (!source)
		return;
	cf_mysql_url_release(&source->url);
	cf_selector_free(source->selector);
	free(source->base.name);
	free(source);
}

/* mysql://HOST:PORT/a,b: neither user nor password, which may change. */
static int name_source(struct mysql_source *source, const struct cf_mysql *my, struct cf_err *err)
{
	source->base.name = cf_mysql_url_name(cf_mysql_server_name(my), &source->url);
	return source->base.name ? 0 : cf_err_nomem(err);
}

static int check_databases(const struct mysql_source *source,
			   const struct cf_source_options *options, struct cf_err *err)
{
	static const char *const refused[] = {"mysql", "information_schema", "performance_schema"};

	if (options->all_databases && source->url.n_databases)
		return cf_err_set(err, CF_ERR_USAGE,
				  "--all-databases and a named database (%s) contradict each other",
				  source->url.databases[0]);
	for (size_t i = 0; i < source->url.n_databases; i++)
		for (size_t j = 0; j < sizeof(refused) / sizeof(refused[0]); j++)
			if (strcmp(source->url.databases[i], refused[j]) == 0)
				return cf_err_set(
					err, CF_ERR_USAGE,
					"%s belongs to the server and is not saved as tables; "
					"users and grants are part of every backup",
					refused[j]);
	return 0;
}

static unsigned choose_jobs(unsigned wanted)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (wanted)
		return wanted < CF_MYSQL_JOBS_MAX ? wanted : CF_MYSQL_JOBS_MAX;
	return cores < 1 ? 1 : cores > JOBS_DEFAULT_MAX ? JOBS_DEFAULT_MAX : (unsigned)cores;
}

static int make_selector(struct mysql_source *source, const struct cf_source_options *options,
			 struct cf_mysql *my, struct cf_err *err)
{
	char *folds = NULL;
	unsigned flags = CF_PATTERN_MYSQL;
	int rc = cf_mysql_value(my, "SELECT @@lower_case_table_names > 0", &folds, err);

	source->dump.folds = rc == 0 && folds && strcmp(folds, "1") == 0;
	if (source->dump.folds)
		flags |= CF_PATTERN_ANY_CASE;
	free(folds);
	return rc == 0 ? cf_selector_new(&options->select, flags, &source->selector, err) : rc;
}

/* The server is asked at once: a wrong password shows before a repository is opened. */
static int look_at_server(struct mysql_source *source, const struct cf_source_options *options,
			  struct cf_err *err)
{
	const struct cf_mysql_connect_options connect = {.program = "coffer backup"};
	struct cf_mysql *my = NULL;
	int rc = cf_mysql_connect(&source->url, &connect, source->ctx, &my, err);

	if (rc == 0)
		rc = name_source(source, my, err);
	if (rc == 0)
		rc = make_selector(source, options, my, err);
	cf_mysql_close(my);
	return rc;
}

static int open_source(const char *rest, const struct cf_source_options *options,
		       const struct cf_ctx *ctx, struct cf_source **source_out, struct cf_err *err)
{
	struct mysql_source *source = calloc(1, sizeof(*source));
	int rc;

	if (!source)
		return cf_err_nomem(err);
	source->base.driver = &cf_mysql_driver;
	source->ctx = ctx;
	rc = cf_mysql_url_parse(rest, &source->url, err);
	if (rc == 0)
		rc = check_databases(source, options, err);
	if (rc == 0)
		rc = look_at_server(source, options, err);
	if (rc < 0) {
		close_source(&source->base);
		return rc;
	}
	source->dump = (struct cf_mysql_dump_options){
		.url = &source->url,
		.selector = source->selector,
		.folds = source->dump.folds,
		.jobs = choose_jobs(options->jobs),
		.lock_wait_s = options->lock_wait_s,
		.require_transactional = options->require_transactional,
	};
	*source_out = &source->base;
	return 0;
}

static int run_source(struct cf_source *base, struct cf_sink *sink, struct cf_err *err)
{
	struct mysql_source *source = (struct mysql_source *)base;
	int rc = cf_mysql_dump(&source->dump, source->ctx, sink, err);

	source->dump.locks_definitions = rc == CF_ERR_CHANGED;
	return rc;
}

const struct cf_driver cf_mysql_driver = {
	.scheme = "mysql",
	.alias = "mariadb",
	.usage = "mysql://[USER@][HOST][:PORT]/[DATABASE,...]",
	.about = "A MySQL or MariaDB server, consistent while it is in use",
	.is_server = true,
	.can_keep_going = true,
	.can_load_users = true,
	.open = open_source,
	.names = cf_mysql_url_names,
	.run = run_source,
	.close = close_source,
	.load = cf_mysql_load,
	.verify = cf_mysql_verify,
};
