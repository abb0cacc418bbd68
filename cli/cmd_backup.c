/* coffer backup */

#include "base/err.h"
#include "cli/audited.h"
#include "cli/cli.h"
#include "cli/database.h"
#include "cli/escape.h"
#include "cli/identity.h"
#include "cli/excludes.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/select.h"
#include "cli/snapshot_json.h"
#include "cli/source.h"
#include "cli/value.h"
#include "drivers/driver.h"
#ifdef CF_WITH_FUSE
#include "fuse/mount_point.h"
#endif
#include "repo/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCREEN_COLUMNS 80
#define KEEP_PACK_KEYS_NS ((int64_t)35 * 86400 * 1000000000) /* so that monthly backups find theirs */

enum { SOURCE_TRIES = 3 };

/* What all sources of one command share. */
struct backup {
	struct cf_cli *cli;
	struct cf_repo *repo;
	struct cf_source_options source_options;
	struct cf_writer_options writer_options; /* without source and driver */
	struct cf_excludes excludes;
	struct cf_database_select select;
	const char **tags;
	char host[256], user[256];
	char **own_folders; /* that a source does not hold: the repository's, and where it is mounted */
	size_t n_own_folders;
	struct cf_id parent;
};

static int find_host(const struct cf_args *args, char *out, size_t size, struct cf_err *err)
{
	const char *named = cf_args_text(args, CF_OPT_HOST);

	if (named && strlen(named) >= size)
		return cf_err_set(err, CF_ERR_USAGE, "--host: the name is longer than %zu bytes",
				  size - 1);
	if (named) {
		strcpy(out, named);
		return 0;
	}
	return cf_identity_host(out, size, err);
}

static int check_utf8(const char *option, const char *text, struct cf_err *err)
{
	if (!cf_utf8_valid(text))
		return cf_err_set(err, CF_ERR_USAGE, "%s: '%s' is not UTF-8", option, text);
	return 0;
}

static int check_tag(const char *tag, struct cf_err *err)
{
	if (strchr(tag, ','))
		return cf_err_set(err, CF_ERR_USAGE, "tag '%s' has a comma, which would look like two tags", tag);
	return check_utf8("--tag", tag, err);
}

/* Everything that needs no repository, so that mistakes show before a password is asked for. */
static int read_options(struct backup *backup, struct cf_err *err)
{
	const struct cf_args *args = backup->cli->args;
	struct cf_writer_options *writer = &backup->writer_options;
	const char *compression = cf_args_text(args, CF_OPT_COMPRESSION);
	int rc = cf_args_list(args, CF_OPT_TAG, &backup->tags, &writer->n_tags, err);

	for (size_t i = 0; rc == 0 && i < writer->n_tags; i++)
		rc = check_tag(backup->tags[i], err);
	if (rc == 0)
		rc = find_host(args, backup->host, sizeof(backup->host), err);
	if (rc == 0)
		rc = check_utf8("--host", backup->host, err);
	if (rc == 0)
		rc = cf_excludes_load(args, &backup->excludes, err);
	if (rc == 0)
		rc = cf_database_select_load(args, &backup->select, err);
	if (rc < 0)
		return rc;
	cf_identity_user(backup->user, sizeof(backup->user));
	writer->tags = backup->tags;
	writer->host = backup->host;
	writer->user = backup->user;
	writer->ignore_times = cf_args_has(args, CF_OPT_IGNORE_TIMES);
	writer->dry_run = cf_args_has(args, CF_OPT_DRY_RUN);
	writer->frame_len = (uint32_t)cf_args_number(args, CF_OPT_FRAME);
	if (compression)
		cf_value_compression(compression, &writer->compression, &writer->compression_level);
	backup->source_options = (struct cf_source_options){
		.excludes = (const char *const *)backup->excludes.items,
		.n_excludes = backup->excludes.n,
		.one_file_system = cf_args_has(args, CF_OPT_ONE_FILE_SYSTEM),
		.exclude_caches = cf_args_has(args, CF_OPT_EXCLUDE_CACHES),
		.command = args->run,
		.select = backup->select.selection,
		.all_databases = cf_args_has(args, CF_OPT_ALL_DATABASES),
		.jobs = (unsigned)cf_args_number(args, CF_OPT_JOBS),
		.lock_wait_s = (unsigned)cf_args_number(args, CF_OPT_LOCK_WAIT),
		.require_transactional = cf_args_has(args, CF_OPT_REQUIRE_TRANSACTIONAL),
		.allow_old_client = cf_args_has(args, CF_OPT_ALLOW_OLD_CLIENT)};
	return 0;
}

/* Of databases only; for another source they would do nothing, silently. */
static const enum cf_option_id database_options[] = {CF_OPT_TABLE,
						     CF_OPT_SCHEMA,
						     CF_OPT_EXCLUDE_TABLE,
						     CF_OPT_EXCLUDE_TABLE_DATA,
						     CF_OPT_ALL_DATABASES,
						     CF_OPT_JOBS,
						     CF_OPT_LOCK_WAIT,
						     CF_OPT_REQUIRE_TRANSACTIONAL,
						     CF_OPT_ALLOW_OLD_CLIENT,
						     CF_OPT_NONE};

/* Sources that make no sense are refused before the first is read. */
static int check_sources(const struct cf_args *args, struct cf_err *err)
{
	const struct cf_option_spec *of_database = cf_database_given(args, database_options);

	for (size_t i = 0; i < args->n_operands; i++) {
		const struct cf_driver *driver;
		const char *rest;
		int rc = cf_source_find(args->operands[i], &driver, &rest, err);

		if (rc < 0)
			return rc;
		if (args->run && (args->n_operands != 1 || strcmp(driver->scheme, "stream") != 0))
			return cf_err_set(
				err, CF_ERR_USAGE,
				"a command behind -- needs exactly one source, stream:NAME");
		if (of_database && !driver->is_server)
			return cf_err_set(err, CF_ERR_USAGE,
					  "%s makes no sense for %s: it is for database servers",
					  cf_spec_option_text(of_database).s, args->operands[i]);
	}
	return 0;
}

static int choose_parent(struct backup *backup, const char *source,
			 struct cf_writer_options *options, struct cf_err *err)
{
	const char *named = cf_args_text(backup->cli->args, CF_OPT_PARENT);
	struct cf_snapshot_filter filter = {0};
	struct cf_snapshot *snapshot = NULL;
	int rc;

	if (!named)
		return 0;
	if (strcmp(named, "none") == 0) {
		options->no_parent = true;
		return 0;
	}
	if (strcmp(named, "latest") == 0)
		filter = (struct cf_snapshot_filter){.host = options->host, .source = source};
	rc = cf_snapshot_resolve(backup->repo, named, &filter, &snapshot, err);
	if (rc < 0) {
		cf_err_wrap(err, "--parent");
		return rc;
	}
	backup->parent = snapshot->id;
	options->parent = &backup->parent;
	cf_snapshot_free(snapshot);
	return 0;
}

static int try_source(struct backup *backup, struct cf_source *source,
		      const struct cf_writer_options *options, struct cf_snapshot **snapshot_out,
		      struct cf_err *err)
{
	struct cf_writer *writer = NULL;
	int rc = cf_writer_open(backup->repo, options, &writer, err);

	if (rc < 0)
		return rc;
	rc = source->driver->run(source, cf_writer_sink(writer), err);
	if (rc == 0)
		rc = cf_writer_commit(writer, snapshot_out, err);
	cf_writer_close(writer);
	return rc;
}

static int run_source(struct backup *backup, struct cf_source *source,
		      struct cf_snapshot **snapshot_out, struct cf_err *err)
{
	struct cf_writer_options options = backup->writer_options;
	/* By the stored name earlier snapshots are found. */
	char *name = cf_escape_stored(source->name);
	int rc = name ? choose_parent(backup, name, &options, err) : cf_err_nomem(err);

	options.source = name;
	options.driver = source->driver->scheme;
	if (rc == 0)
		rc = try_source(backup, source, &options, snapshot_out, err);
	/* What was stored by then is known to the next try. */
	for (int i = 1; rc == CF_ERR_CHANGED && i < SOURCE_TRIES; i++) {
		cf_ctx_note(&backup->cli->ctx, "backup.again", source->name, "%s", err->text);
		cf_err_clear(err);
		rc = try_source(backup, source, &options, snapshot_out, err);
	}
	free(name);
	return rc;
}

static int print_json(const struct cf_snapshot *snapshot, bool dry_run, uint64_t n_warnings,
		      struct cf_err *err)
{
	struct cf_doc document = cf_doc_begin();

	cf_snapshot_json_id(&document, "snapshot", &snapshot->id);
	cf_doc_text(&document, "source", snapshot->source);
	cf_snapshot_json_id(&document, "parent", &snapshot->parent);
	cf_doc_flag(&document, "dry_run", dry_run);
	cf_snapshot_json_figures(&document, &snapshot->figures);
	cf_doc_count(&document, "warnings", n_warnings);
	return cf_doc_print(&document, stdout, err);
}

/* "read 1.2 GiB in 3.4 s (350 MiB/s), stored 12.3 MiB (1.0 %)" */
static void describe_reading(const struct cf_figures *figures, bool dry_run, char *out, size_t size)
{
	bool partly = figures->bytes_read < figures->bytes_total;
	/* Of a few bytes the snapshot object alone is many times as much: no news. */
	bool has_share = figures->bytes_stored <= figures->bytes_total;

	snprintf(out, size, "read %s%s%s in %s (%s), %s %s%s%s%s",
		 cf_text_size(figures->bytes_read).s, partly ? " of " : "",
		 partly ? cf_text_size(figures->bytes_total).s : "",
		 cf_text_duration(figures->duration_ns).s,
		 cf_text_rate(figures->bytes_read, figures->duration_ns).s,
		 dry_run ? "would store" : "stored", cf_text_size(figures->bytes_stored).s,
		 has_share ? " (" : "",
		 has_share ? cf_text_share(figures->bytes_stored, figures->bytes_total).s : "",
		 has_share ? ")" : "");
}

static void print_text(const struct cf_snapshot *snapshot, bool dry_run)
{
	const struct cf_figures *figures = &snapshot->figures;
	char reading[512];
	size_t columns = cf_utf8_columns(snapshot->source);

	describe_reading(figures, dry_run, reading, sizeof(reading));
	if (dry_run)
		puts("dry run: nothing was stored");
	else
		printf("snapshot %s saved\n", cf_short_id(&snapshot->id).s);
	fputs("  ", stdout);
	cf_escape_print_cut(stdout, snapshot->source, CF_ESCAPE_NAME, CF_CELL_COLUMNS);
	/* On one line where it fits. */
	printf(":%s%s\n", columns + strlen(reading) > SCREEN_COLUMNS - 4 ? "\n  " : " ", reading);
	printf("  chunks: %llu new, %llu delta, %llu known; ",
	       (unsigned long long)figures->chunks_new, (unsigned long long)figures->chunks_delta,
	       (unsigned long long)figures->chunks_known);
	printf("%s (%llu unchanged), ", cf_text_count(figures->files, "file", "files").s,
	       (unsigned long long)figures->files_unchanged);
	printf("%s\n", cf_text_count(figures->dirs, "folder", "folders").s);
}

/* One for each source. A dry run has changed nothing. */
static void record(const struct backup *backup, const char *source,
		   const struct cf_snapshot *snapshot, struct cf_audited *audited, int rc,
		   const struct cf_err *err)
{
	if (backup->writer_options.dry_run) {
		cf_audited_drop(audited);
		return;
	}
	cf_audited_about(audited, "source", snapshot ? snapshot->source : source);
	if (snapshot)
		cf_audited_id(audited, "snapshot", &snapshot->id);
	if (cf_args_given(backup->cli->args, CF_OPT_HOST))
		cf_audited_about(audited, "host", backup->host);
	for (size_t i = 0; i < backup->writer_options.n_tags; i++)
		cf_audited_about(audited, "tag", backup->tags[i]);
	if (snapshot) {
		cf_audited_figure(audited, "bytes_read", snapshot->figures.bytes_read);
		cf_audited_figure(audited, "bytes_stored", snapshot->figures.bytes_stored);
		cf_audited_figure(audited, "bytes_total", snapshot->figures.bytes_total);
		cf_audited_figure(audited, "files", snapshot->figures.files);
	}
	cf_audited_end(audited, backup->repo, rc, err);
}

static int backup_source(struct backup *backup, const char *text, struct cf_err *err)
{
	struct cf_cli *cli = backup->cli;
	struct cf_audited audited;
	const struct cf_driver *driver;
	struct cf_source *source = NULL;
	struct cf_snapshot *snapshot = NULL;
	uint64_t n_before = atomic_load(&cli->n_warnings);
	const char *rest;
	int rc = cf_source_find(text, &driver, &rest, err);

	cf_audited_begin(&audited, cli, NULL);
	if (rc == 0)
		rc = driver->open(rest, &backup->source_options, &cli->ctx, &source, err);
	if (rc == 0)
		rc = run_source(backup, source, &snapshot, err);
	record(backup, text, snapshot, &audited, rc, err);
	cf_report_pause(cli->report);
	if (rc == 0 && cli->json)
		rc = print_json(snapshot, backup->writer_options.dry_run,
				atomic_load(&cli->n_warnings) - n_before, err);
	else if (rc == 0 && !cli->quiet)
		print_text(snapshot, backup->writer_options.dry_run);
	fflush(stdout);
	cf_snapshot_free(snapshot);
	if (source)
		source->driver->close(source);
	return rc;
}

/* Of two outcomes the one that matters more. */
static int worse(int a, int b)
{
	static const int by_weight[] = {0, 3, 2, 1, 6, 5, 4}; /* exit statuses */
	size_t weight_a = 0, weight_b = 0;

	for (size_t i = 0; i < sizeof(by_weight) / sizeof(by_weight[0]); i++) {
		if (by_weight[i] == cf_err_exit_status(a))
			weight_a = i;
		if (by_weight[i] == cf_err_exit_status(b))
			weight_b = i;
	}
	return weight_b > weight_a ? b : a;
}

/* One that fails does not stop the others. */
static int backup_all(struct backup *backup, struct cf_err *err)
{
	const struct cf_args *args = backup->cli->args;
	int worst = 0;

	for (size_t i = 0; i < args->n_operands; i++) {
		int rc;

		cf_err_clear(err);
		rc = backup_source(backup, args->operands[i], err);
		if (rc == CF_ERR_CANCELED)
			return rc;
		if (rc < 0)
			cf_report_complain(backup->cli->report, err->text);
		worst = worse(worst, rc);
	}
	cf_err_clear(err);
	return worst;
}

/* Each of them shows every backup so far: one more of all that would come with every backup. */
static int find_mounts(struct backup *backup, struct cf_err *err)
{
#ifdef CF_WITH_FUSE
	const struct cf_mount_name name = cf_mount_point_name(cf_repo_id_text(backup->repo));

	return cf_mount_points_of(&name, &backup->own_folders, &backup->n_own_folders, err);
#else
	(void)backup;
	(void)err;
	return 0;
#endif
}

/* Once the repository is open its folders are there. */
static int skip_own_folders(struct backup *backup, struct cf_err *err)
{
	struct cf_source_options *options = &backup->source_options;
	char *folders[2], **all = NULL;
	int rc = find_mounts(backup, err);

	if (rc < 0)
		return rc;
	all = realloc(backup->own_folders, (backup->n_own_folders + 2) * sizeof(*all));
	if (!all)
		return cf_err_nomem(err);
	backup->own_folders = all;
	cf_cli_own_folders(backup->cli, folders);
	for (size_t i = 0; i < 2; i++)
		if (folders[i])
			all[backup->n_own_folders++] = folders[i];
	options->skip_folders = (const char *const *)all;
	options->n_skip_folders = backup->n_own_folders;
	return 0;
}

static int keep_pack_keys(struct backup *backup, struct cf_err *err)
{
	const char *time = cf_args_text(backup->cli->args, CF_OPT_KEEP_PACK_KEYS);
	int64_t keep_ns = KEEP_PACK_KEYS_NS;

	if (time && strcmp(time, "none") == 0)
		keep_ns = 0;
	else if (time)
		cf_value_duration(time, &keep_ns);
	if (!keep_ns && backup->writer_options.dry_run)
		return 0;
	return cf_repo_keep_pack_keys(backup->repo, keep_ns, err);
}

int cf_cmd_backup(struct cf_cli *cli, struct cf_err *err)
{
	struct backup backup = {.cli = cli};
	int rc = check_sources(cli->args, err);

	if (rc == 0)
		rc = read_options(&backup, err);
	if (rc == 0)
		rc = cf_cli_open(cli, &backup.repo, err);
	if (rc == 0)
		rc = keep_pack_keys(&backup, err);
	if (rc == 0)
		rc = skip_own_folders(&backup, err);
	if (rc == 0)
		rc = backup_all(&backup, err);
	if (backup.repo)
		cf_repo_close(backup.repo);
	while (backup.n_own_folders > 0)
		free(backup.own_folders[--backup.n_own_folders]);
	free(backup.own_folders);
	cf_excludes_release(&backup.excludes);
	cf_database_select_release(&backup.select);
	free(backup.tags);
	return rc;
}
