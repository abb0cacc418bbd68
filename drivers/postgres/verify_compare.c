/*
 * A backup of the restored database, pushed not into a repository but against the snapshot it came
 * from: what is the same byte for byte was restored right.
 *
 * The backup's tree has the server's files and one folder, called after a database that exists for
 * the verification only. Of it that folder alone is passed on, as the root of a tree that begins at
 * the snapshot's folder of the database.
 */

#include "base/err.h"
#include "base/tree.h"
#include "drivers/compare.h"
#include "drivers/names.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/postgres.h"
#include "drivers/postgres/script.h"
#include "drivers/postgres/toc.h"
#include "drivers/postgres/verify.h"

#include <stdlib.h>
#include <string.h>

/* --- the tree below a folder --- */

struct branch {
	struct cf_tree base;
	struct cf_tree *tree;
	const char *folder;
};

static int join(const struct branch *branch, const char *path, struct cf_buf *out,
		struct cf_err *err)
{
	int rc = cf_buf_printf(out, err, "%s%s%c", branch->folder, path, 0);

	/* The folder itself: without its slash. */
	if (rc == 0 && !path[0] && out->len > 1)
		out->data[out->len - 2] = 0;
	return rc;
}

static int find_in_branch(struct cf_tree *base, const char *path, struct cf_entry **entry_out,
			  struct cf_err *err)
{
	struct branch *branch = (struct branch *)base;
	struct cf_buf whole = CF_BUF_INIT;
	int rc = join(branch, path, &whole, err);

	if (rc == 0)
		rc = branch->tree->ops->find(branch->tree, (const char *)whole.data, entry_out,
					     err);
	cf_buf_release(&whole);
	return rc;
}

static int list_branch(struct cf_tree *base, const char *path, cf_tree_entry_fn *each, void *user,
		       struct cf_err *err)
{
	struct branch *branch = (struct branch *)base;
	struct cf_buf whole = CF_BUF_INIT;
	int rc = join(branch, path, &whole, err);

	if (rc == 0)
		rc = branch->tree->ops->list(branch->tree, (const char *)whole.data, each, user,
					     err);
	cf_buf_release(&whole);
	return rc;
}

static int read_branch(struct cf_tree *base, const char *path, uint64_t off, uint64_t len,
		       cf_tree_piece_fn *take, void *user, struct cf_err *err)
{
	struct branch *branch = (struct branch *)base;
	struct cf_buf whole = CF_BUF_INIT;
	int rc = join(branch, path, &whole, err);

	if (rc == 0)
		rc = branch->tree->ops->read(branch->tree, (const char *)whole.data, off, len, take,
					     user, err);
	cf_buf_release(&whole);
	return rc;
}

static const char *branch_fact(struct cf_tree *base, const char *key)
{
	struct branch *branch = (struct branch *)base;

	return branch->tree->ops->fact(branch->tree, key);
}

static const struct cf_tree_ops branch_ops = {
	.find = find_in_branch,
	.list = list_branch,
	.read = read_branch,
	.fact = branch_fact,
};

/* --- the folder within what is pushed --- */

struct picker {
	struct cf_sink base;
	struct cf_sink *inner;
	char root, archive; /* their addresses stand for the pushed root, and for schema.dump */
	struct cf_dir *folder;	 /* of the database */
	struct cf_buf *definitions; /* what schema.dump is kept in */
};

static struct cf_dir *root_of(struct picker *picker)
{
	return (struct cf_dir *)(void *)&picker->root;
}

static struct cf_file *archive_of(struct picker *picker)
{
	return (struct cf_file *)(void *)&picker->archive;
}

static int pick_dir_begin(struct cf_sink *base, struct cf_dir *parent, const struct cf_entry *entry,
			  unsigned flags, struct cf_dir **dir_out, struct cf_err *err)
{
	struct picker *picker = (struct picker *)base;
	struct cf_entry as_root = *entry;
	int rc;

	if (!parent) {
		*dir_out = root_of(picker);
		return 0;
	}
	if (parent != root_of(picker))
		return picker->inner->ops->dir_begin(picker->inner, parent, entry, flags, dir_out,
						     err);
	as_root.name = "";
	rc = picker->inner->ops->dir_begin(picker->inner, NULL, &as_root, flags, dir_out, err);
	picker->folder = rc == 0 ? *dir_out : NULL;
	return rc;
}

static int pick_dir_end(struct cf_sink *base, struct cf_dir *dir, const struct cf_entry *entry,
			struct cf_err *err)
{
	struct picker *picker = (struct picker *)base;

	if (dir == root_of(picker))
		return 0;
	return picker->inner->ops->dir_end(picker->inner, dir, entry, err);
}

static int pick_file_begin(struct cf_sink *base, struct cf_dir *dir, const struct cf_entry *entry,
			   const struct cf_profile *profile, struct cf_file **file_out,
			   struct cf_err *err)
{
	struct picker *picker = (struct picker *)base;

	*file_out = NULL;
	if (dir == root_of(picker))
		return 0;
	if (dir == picker->folder && strcmp(entry->name, "schema.dump") == 0) {
		*file_out = archive_of(picker);
		return 0;
	}
	return picker->inner->ops->file_begin(picker->inner, dir, entry, profile, file_out, err);
}

static int pick_file_write(struct cf_sink *base, struct cf_file *file, struct cf_span data,
			   struct cf_err *err)
{
	struct picker *picker = (struct picker *)base;

	if (file == archive_of(picker))
		return cf_buf_append(picker->definitions, data.data, data.len, err);
	return picker->inner->ops->file_write(picker->inner, file, data, err);
}

static int pick_file_share(struct cf_sink *base, struct cf_file *file, struct cf_file *from,
			   struct cf_err *err)
{
	struct picker *picker = (struct picker *)base;

	return picker->inner->ops->file_share(picker->inner, file, from, err);
}

static int pick_file_end(struct cf_sink *base, struct cf_file *file, const struct cf_entry *entry,
			 struct cf_err *err)
{
	struct picker *picker = (struct picker *)base;

	if (file == archive_of(picker))
		return 0;
	return picker->inner->ops->file_end(picker->inner, file, entry, err);
}

static void pick_file_abort(struct cf_sink *base, struct cf_file *file)
{
	struct picker *picker = (struct picker *)base;

	if (file != archive_of(picker))
		picker->inner->ops->file_abort(picker->inner, file);
}

/* What a dump of PostgreSQL uses. */
static const struct cf_sink_ops picker_ops = {
	.dir_begin = pick_dir_begin,
	.dir_end = pick_dir_end,
	.file_begin = pick_file_begin,
	.file_write = pick_file_write,
	.file_share = pick_file_share,
	.file_end = pick_file_end,
	.file_abort = pick_file_abort,
};

/* --- outcomes --- */

struct comparison {
	struct cf_pg_verify *verify;
	bool same_version;  /* of the server: else its programs write other text */
	bool of_standby;    /* the snapshot */
	bool other_schema;  /* to the byte */
	uint64_t n_objects; /* large objects that are equal */
};

static bool has_suffix(const char *text, const char *suffix)
{
	size_t len = strlen(text), suffix_len = strlen(suffix);

	return len >= suffix_len && strcmp(text + len - suffix_len, suffix) == 0;
}

static bool begins(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Data of a table whose rows were not wanted: it is there now, and empty. */
static bool was_left_empty(const struct cf_pg_manifest *manifest, const char *path)
{
	struct cf_buf name = CF_BUF_INIT;
	bool found = false;

	if (!begins(path, "tables/") || !has_suffix(path, ".copy"))
		return false;
	for (size_t i = 0; !found && i < manifest->n_tables; i++) {
		const struct cf_pg_table *table = &manifest->tables[i];
		const char *parts[] = {table->schema, table->name};

		found = !table->file && cf_file_name_of(parts, 2, ".copy", &name, NULL) == 0 &&
			strcmp((const char *)name.data, path + strlen("tables/")) == 0;
	}
	cf_buf_release(&name);
	return found;
}

static bool is_ignored(void *user, const char *path)
{
	const struct comparison *comparison = user;
	const struct cf_pg_manifest *manifest = comparison->verify->manifest;
	bool text = has_suffix(path, ".sql");

	/* Times and numbers of objects are not the same again. */
	if (strcmp(path, "database.json") == 0 || strcmp(path, "schema.dump") == 0)
		return true;
	if (was_left_empty(manifest, path) || cf_pg_verify_is_of_lot(comparison->verify, path))
		return true;
	/* That knew no value of unlogged ones. */
	if (comparison->of_standby && strcmp(path, "sequences.sql") == 0)
		return true;
	/* Of a selection the snapshot has less than the database that it needs. */
	if (text && (!comparison->same_version || manifest->filtered))
		return true;
	/* The scripts of all tables have a key that is made of all definitions. Older ones are made in another way. */
	if (text && begins(path, "tables/") &&
	    (comparison->other_schema || manifest->scripts != CF_PG_SCRIPT_VERSION))
		return true;
	return comparison->verify->options->level < CF_VERIFY_COMPREHENSIVE && path[0] &&
	       strcmp(path, "schema.sql") != 0;
}

static const struct cf_pg_table *table_of(const struct comparison *comparison, const char *path)
{
	const struct cf_pg_manifest *manifest = comparison->verify->manifest;

	for (size_t i = 0; i < manifest->n_tables; i++)
		if (manifest->tables[i].file && strcmp(manifest->tables[i].file, path) == 0)
			return &manifest->tables[i];
	return NULL;
}

static void report(struct comparison *comparison, const char *path, bool passed, const char *detail)
{
	const struct cf_pg_table *table = table_of(comparison, path);
	struct cf_buf object = CF_BUF_INIT;

	if (table && cf_buf_printf(&object, NULL, "%s.%s%c", table->schema, table->name, 0) == 0)
		cf_pg_verify_report_rows(comparison->verify, table, (const char *)object.data, passed,
					 detail);
	else if (strcmp(path, "schema.sql") == 0)
		cf_pg_verify_report(comparison->verify, "schema",
				    comparison->verify->manifest->name, passed, "%s", detail);
	else if (strcmp(path, "sequences.sql") == 0)
		cf_pg_verify_report(comparison->verify, "sequences", NULL, passed, "%s", detail);
	else if (begins(path, "large-objects"))
		cf_pg_verify_report(comparison->verify, "large_objects", path, passed, "%s",
				    detail);
	else
		cf_pg_verify_report(comparison->verify, "script", path, passed, "%s", detail);
	cf_buf_release(&object);
}

static void on_difference(void *user, const struct cf_difference *difference)
{
	struct comparison *comparison = user;

	/* It comes before the tables. */
	if (strcmp(difference->path, "schema.sql") == 0 &&
	    (difference->kind == CF_DIFFERENCE_CONTENT || difference->kind == CF_DIFFERENCE_SIZE))
		comparison->other_schema = true;
	else
		report(comparison, difference->path, false, cf_difference_text(difference).s);
}

static void on_equal(void *user, const char *path, uint64_t size)
{
	struct comparison *comparison = user;

	/* There may be very many. */
	if (begins(path, "large-objects/"))
		comparison->n_objects++;
	else
		report(comparison, path, true, "equal to the byte");
}

/* --- the dump --- */

static int dump_into(struct cf_pg_verify *verify, struct cf_sink *inner,
		     struct cf_buf *definitions, struct cf_err *err)
{
	static const char *const all[] = {"*.*"};
	struct cf_source_options options = {.jobs = verify->options->jobs,
					    .allow_old_client = verify->options->allow_old_client,
					    .databases_only = true};
	struct picker picker = {.base = {.ops = &picker_ops},
				.inner = inner,
				.definitions = definitions};
	struct cf_source *source = NULL;
	char encoding[CF_PG_ENCODING_MAX];
	int rc;

	/* Older snapshots have definitions in the encoding of their database. */
	cf_pg_toc_encoding_name(verify->toc, encoding, sizeof(encoding));
	options.is_raw = strcmp(verify->manifest->text_encoding, "UTF8") != 0 &&
			 strcmp(verify->manifest->text_encoding, "SQL_ASCII") != 0;
	if (encoding[0])
		options.definitions_encoding = encoding;
	if (verify->options->level < CF_VERIFY_COMPREHENSIVE) {
		options.select.exclude_data = all;
		options.select.n_exclude_data = 1;
	}
	rc = cf_postgres_driver.open(verify->target, &options, verify->ctx, &source, err);
	if (rc == 0)
		rc = cf_postgres_driver.run(source, &picker.base, err);
	if (source)
		cf_postgres_driver.close(source);
	return rc;
}

static bool is_of_standby(struct cf_tree *tree)
{
	const char *fact = tree->ops->fact(tree, "postgres.standby");

	return fact && strcmp(fact, "yes") == 0;
}

int cf_pg_verify_compare(struct cf_pg_verify *verify, struct cf_pg *pg, struct cf_err *err)
{
	struct branch branch = {
		.base = {.ops = &branch_ops}, .tree = verify->tree, .folder = verify->folder};
	struct comparison comparison = {.verify = verify,
					.of_standby = is_of_standby(verify->tree),
					.same_version = cf_pg_server_version(pg) / 10000 ==
							verify->manifest->server_version / 10000};
	struct cf_compare_options options = {.ignore = is_ignored,
					     .differs = on_difference,
					     .equals = on_equal,
					     .user = &comparison};
	struct cf_buf definitions = CF_BUF_INIT;
	struct cf_sink *compare = NULL;
	int rc = cf_compare_new(&branch.base, &options, &compare, err);

	if (rc == 0)
		rc = dump_into(verify, compare, &definitions, err);
	if (rc == 0 && comparison.other_schema)
		rc = cf_pg_verify_schema(verify, cf_buf_span(&definitions), err);
	if (rc == 0 && comparison.n_objects > 0)
		cf_pg_verify_report(verify, "large_objects", NULL, true, "%llu equal to the byte",
				    (unsigned long long)comparison.n_objects);
	cf_compare_free(compare);
	cf_buf_release(&definitions);
	return rc;
}
