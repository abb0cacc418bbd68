/*
 * What was restored is dumped and compared with the snapshot. On a server of our own the two trees
 * are the same but for what tells of the server. Elsewhere databases have other names, and the rows
 * are compared: the dumped tree's folders are looked up under the names of the snapshot. A table
 * whose definition is another there, for it names another database or a directory, or whose
 * file is of an older coffer, is compared with a file of that definition, as it is written today,
 * and the snapshot's rows.
 */

#include "base/err.h"
#include "base/tree.h"
#include "drivers/compare.h"
#include "drivers/mysql/dump.h"
#include "drivers/mysql/manifest_json.h"
#include "drivers/mysql/script.h"
#include "drivers/mysql/verify.h"
#include "drivers/names.h"
#include "drivers/pattern.h"
#include "drivers/selector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file of which only the rows are the snapshot's. */
struct changed_file {
	char *path; /* as the dump has it */
	struct cf_buf head, tail;
	uint64_t rows_off, rows_len;
};

struct unordered_file {
	char *path; /* as the dump has it */
	size_t source;
	const struct cf_mysql_table *table;
};

/* The snapshot's tree with the folders' names on the scratch server. */
struct renamed {
	struct cf_tree base;
	struct cf_mysql_verify *verify;
	struct cf_buf *folders; /* of each source, as the dump names it */
	struct changed_file *changed;
	size_t n_changed;
	struct unordered_file *unordered;
	size_t n_unordered;
};

static const struct changed_file *changed_at(const struct renamed *renamed, const char *path)
{
	for (size_t i = 0; i < renamed->n_changed; i++)
		if (!strcmp(renamed->changed[i].path, path))
			return &renamed->changed[i];
	return NULL;
}

/* The path in the snapshot, free() it; NULL when memory is out. */
static char *path_in_snapshot(const struct renamed *renamed, const char *path)
{
	for (size_t i = 0; i < renamed->verify->n_sources; i++) {
		const char *folder = (const char *)renamed->folders[i].data;
		size_t len = renamed->folders[i].len;

		if (!strncmp(path, folder, len) && (path[len] == '/' || path[len] == '\0')) {
			const char *rest = path[len] ? path + len + 1 : "";
			char *own = cf_mysql_source_path(&renamed->verify->sources[i], "", rest);

			/* A folder itself has no slash at its end. */
			if (own && !*rest && *own)
				own[strlen(own) - 1] = '\0';
			return own;
		}
	}
	return strdup(path);
}

static int find(struct cf_tree *tree, const char *path, struct cf_entry **entry_out,
		struct cf_err *err)
{
	const struct renamed *renamed = (const struct renamed *)tree;
	const struct changed_file *changed = changed_at(renamed, path);
	struct cf_tree *inner = renamed->verify->tree;
	char *own = path_in_snapshot(renamed, path);
	int rc = own ? inner->ops->find(inner, own, entry_out, err) : cf_err_nomem(err);

	if (rc == 0 && changed)
		(*entry_out)->size = changed->head.len + changed->rows_len + changed->tail.len;
	free(own);
	return rc;
}

struct listing {
	cf_tree_entry_fn *each;
	void *user;
	const struct renamed *renamed;
};

/* Folders of databases appear by the names of the dump. */
static int list_root_entry(void *user, const struct cf_entry *entry, struct cf_err *err)
{
	const struct listing *listing = user;
	const struct renamed *renamed = listing->renamed;
	struct cf_entry shown = *entry;

	for (size_t i = 0; i < renamed->verify->n_sources; i++)
		if (!strcmp(renamed->verify->sources[i].folder, entry->name))
			shown.name = (const char *)renamed->folders[i].data;
	return listing->each(listing->user, &shown, err);
}

/* The root of a database's own tree stands for a server with this one. */
static int list_one_folder(const struct renamed *renamed, cf_tree_entry_fn *each, void *user,
			   struct cf_err *err)
{
	const struct cf_entry entry = {
		.type = CF_ENTRY_DIR, .name = (const char *)renamed->folders[0].data, .mode = 0700};

	return each(user, &entry, err);
}

static int list(struct cf_tree *tree, const char *path, cf_tree_entry_fn *each, void *user,
		struct cf_err *err)
{
	const struct renamed *renamed = (const struct renamed *)tree;
	struct cf_tree *inner = renamed->verify->tree;
	struct listing listing = {.each = each, .user = user, .renamed = renamed};
	char *own;
	int rc;

	if (!*path && !*renamed->verify->sources[0].folder)
		return list_one_folder(renamed, each, user, err);
	if (!*path)
		return inner->ops->list(inner, path, list_root_entry, &listing, err);
	own = path_in_snapshot(renamed, path);
	rc = own ? inner->ops->list(inner, own, each, user, err) : cf_err_nomem(err);
	free(own);
	return rc;
}

/* What of *off .. *off + *len is within the next part_len bytes, from where in these; *off and *len
 * become those of what follows. */
static uint64_t take_part(uint64_t part_len, uint64_t *off, uint64_t *len, uint64_t *from_out)
{
	uint64_t from = *off < part_len ? *off : part_len;
	uint64_t n = *len < part_len - from ? *len : part_len - from;

	*from_out = from;
	*off -= from;
	*len -= n;
	return n;
}

static int read_changed(struct cf_tree *inner, const struct changed_file *changed, const char *own,
			uint64_t off, uint64_t len, cf_tree_piece_fn *take, void *user,
			struct cf_err *err)
{
	uint64_t from, n = take_part(changed->head.len, &off, &len, &from);
	int rc = n > 0 ? take(user, cf_span_of(changed->head.data + from, (size_t)n), err) : 0;

	n = take_part(changed->rows_len, &off, &len, &from);
	if (rc == 0 && n > 0)
		rc = inner->ops->read(inner, own, changed->rows_off + from, n, take, user, err);
	n = take_part(changed->tail.len, &off, &len, &from);
	if (rc == 0 && n > 0)
		rc = take(user, cf_span_of(changed->tail.data + from, (size_t)n), err);
	return rc;
}

static int read_piece(struct cf_tree *tree, const char *path, uint64_t off, uint64_t len,
		      cf_tree_piece_fn *take, void *user, struct cf_err *err)
{
	const struct renamed *renamed = (const struct renamed *)tree;
	const struct changed_file *changed = changed_at(renamed, path);
	struct cf_tree *inner = renamed->verify->tree;
	char *own = path_in_snapshot(renamed, path);
	int rc;

	if (!own)
		rc = cf_err_nomem(err);
	else if (changed)
		rc = read_changed(inner, changed, own, off, len, take, user, err);
	else
		rc = inner->ops->read(inner, own, off, len, take, user, err);
	free(own);
	return rc;
}

static const char *fact(struct cf_tree *tree, const char *key)
{
	struct cf_tree *inner = ((struct renamed *)tree)->verify->tree;

	return inner->ops->fact(inner, key);
}

static const struct cf_tree_ops ops = {
	.find = find, .list = list, .read = read_piece, .fact = fact};

struct bytes {
	struct cf_mysql_verify *verify;
	const struct renamed *renamed;
};

static bool ends_with(const char *path, const char *name)
{
	size_t len = strlen(path), name_len = strlen(name);

	return len >= name_len && !strcmp(path + len - name_len, name);
}

static bool has_broken_views(const struct cf_mysql_verify *verify)
{
	for (size_t i = 0; i < verify->n_sources; i++)
		if (cf_mysql_verify_broken_views(&verify->sources[i].manifest) > 0)
			return true;
	return false;
}

/* The rows of such a table are compared by themselves. */
static bool is_unordered(const struct renamed *renamed, const char *path)
{
	for (size_t i = 0; i < renamed->n_unordered; i++)
		if (!strcmp(renamed->unordered[i].path, path))
			return true;
	return false;
}

/* The server's own facts and accounts differ, definitions were compared in parts; in databases with
 * other names only rows can be the same. */
static bool ignore(void *user, const char *path)
{
	const struct cf_mysql_verify *verify = ((struct bytes *)user)->verify;

	if (!strcmp(path, "server.json") || !strcmp(path, "users.sql") ||
	    ends_with(path, "/database.json"))
		return true;
	if (ends_with(path, "/views.sql") && has_broken_views(verify))
		return true;
	if (is_unordered(((struct bytes *)user)->renamed, path))
		return true;
	return verify->options->against && ends_with(path, ".sql") && !strstr(path, "/tables/");
}

static void differs(void *user, const struct cf_difference *difference)
{
	const struct bytes *bytes = user;
	char *own = path_in_snapshot(bytes->renamed, difference->path);

	cf_mysql_verify_tell(bytes->verify, "checksum", own ? own : difference->path, false, "%s",
			     cf_difference_text(difference).s);
	free(own);
}

static void equals(void *user, const char *path, uint64_t size)
{
	const struct bytes *bytes = user;
	char *own = path_in_snapshot(bytes->renamed, path);

	cf_mysql_verify_tell(bytes->verify, "checksum", own ? own : path, true, "%llu bytes",
			     (unsigned long long)size);
	free(own);
}

static int dump_all(struct cf_mysql_verify *verify, struct cf_sink *sink, struct cf_err *err)
{
	const struct cf_selection selection = {.tables = NULL};
	struct cf_mysql_dump_options options = {
		.url = &verify->url, .jobs = verify->options->jobs ? verify->options->jobs : 2};
	int rc = cf_selector_new(&selection, CF_PATTERN_MYSQL, &options.selector, err);

	if (rc == 0)
		rc = cf_mysql_dump(&options, &verify->quiet, sink, err);
	cf_selector_free(options.selector);
	return rc;
}

static int name_folders(struct renamed *renamed, struct cf_err *err)
{
	const struct cf_mysql_verify *verify = renamed->verify;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < verify->n_sources; i++)
		rc = cf_file_name_of((const char *const *)&verify->names[i], 1, "",
				     &renamed->folders[i], err);
	return rc;
}

static int name_changed(struct renamed *renamed, size_t source, const char *table, char **path_out,
			struct cf_err *err)
{
	struct cf_buf name = CF_BUF_INIT;
	int rc = cf_file_name_of((const char *const *)&table, 1, ".sql", &name, err);

	if (rc == 0 &&
	    asprintf(path_out, "%s/tables/%s", (const char *)renamed->folders[source].data,
		     (const char *)name.data) < 0) {
		*path_out = NULL;
		rc = cf_err_nomem(err);
	}
	cf_buf_release(&name);
	return rc;
}

/* create: the definition that source's table should have. */
static int add_changed(struct renamed *renamed, size_t source, const struct cf_mysql_table *table,
		       struct cf_buf *create, struct cf_err *err)
{
	struct changed_file *changed =
		cf_mysql_grow(&renamed->changed, &renamed->n_changed, sizeof(*changed));
	struct cf_mysql_manifest database = renamed->verify->sources[source].manifest;
	struct cf_mysql_table like = *table;
	int rc = changed ? name_changed(renamed, source, table->name, &changed->path, err)
			 : cf_err_nomem(err);

	if (rc < 0)
		return rc;
	database.database = renamed->verify->names[source];
	like.create = (char *)create->data;
	changed->rows_off = table->data_off;
	changed->rows_len = table->data_len;
	rc = cf_mysql_script_table_head(&like, &database, &changed->head, err);
	return rc == 0 ? cf_mysql_script_table_tail(&like, &changed->tail, err) : rc;
}

/* What precedes its rows has another length than today. */
static int is_older(const struct cf_mysql_manifest *manifest, const struct cf_mysql_table *table,
		    bool *is_older_out, struct cf_err *err)
{
	struct cf_buf head = CF_BUF_INIT;
	int rc = cf_mysql_script_table_head(table, manifest, &head, err);

	*is_older_out = rc == 0 && table->data_off != head.len;
	cf_buf_release(&head);
	return rc;
}

static int find_changed(struct renamed *renamed, struct cf_err *err)
{
	struct cf_mysql_verify *verify = renamed->verify;
	struct cf_buf expected = CF_BUF_INIT;
	int rc = 0;

	for (size_t i = 0; i < verify->n_sources; i++) {
		const struct cf_mysql_manifest *manifest = &verify->sources[i].manifest;

		for (size_t j = 0; rc == 0 && j < manifest->n_tables; j++) {
			const struct cf_mysql_table *table = &manifest->tables[j];

			bool older = false;

			rc = cf_mysql_verify_expect_table(verify, table->create, &expected, err);
			if (rc == 0)
				rc = is_older(manifest, table, &older, err);
			if (rc == 0 &&
			    (older || strcmp((const char *)expected.data, table->create) != 0))
				rc = add_changed(renamed, i, table, &expected, err);
		}
	}
	cf_buf_release(&expected);
	return rc;
}

static int find_unordered(struct renamed *renamed, struct cf_err *err)
{
	const struct cf_mysql_verify *verify = renamed->verify;
	int rc = 0;

	for (size_t i = 0; i < verify->n_sources; i++) {
		const struct cf_mysql_manifest *manifest = &verify->sources[i].manifest;

		for (size_t j = 0; rc == 0 && j < manifest->n_tables; j++) {
			struct unordered_file *file;

			if (!cf_mysql_verify_is_unordered(&manifest->tables[j]))
				continue;
			file = cf_mysql_grow(&renamed->unordered, &renamed->n_unordered,
					     sizeof(*file));
			if (!file)
				return cf_err_nomem(err);
			file->source = i;
			file->table = &manifest->tables[j];
			rc = name_changed(renamed, i, file->table->name, &file->path, err);
		}
	}
	return rc;
}

static int check_unordered(const struct renamed *renamed, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < renamed->n_unordered; i++)
		rc = cf_mysql_verify_unordered(renamed->verify, renamed->unordered[i].source,
					       renamed->unordered[i].table, err);
	return rc;
}

static void release_renamed(struct renamed *renamed)
{
	for (size_t i = 0; i < renamed->n_changed; i++) {
		free(renamed->changed[i].path);
		cf_buf_release(&renamed->changed[i].head);
		cf_buf_release(&renamed->changed[i].tail);
	}
	for (size_t i = 0; renamed->folders && i < renamed->verify->n_sources; i++)
		cf_buf_release(&renamed->folders[i]);
	for (size_t i = 0; i < renamed->n_unordered; i++)
		free(renamed->unordered[i].path);
	free(renamed->unordered);
	free(renamed->changed);
	free(renamed->folders);
}

int cf_mysql_verify_bytes(struct cf_mysql_verify *verify, struct cf_err *err)
{
	struct renamed renamed = {.base = {.ops = &ops},
				  .verify = verify,
				  .folders =
					  calloc(verify->n_sources + 1, sizeof(*renamed.folders))};
	struct bytes bytes = {.verify = verify, .renamed = &renamed};
	const struct cf_compare_options options = {
		.ignore = ignore, .differs = differs, .equals = equals, .user = &bytes};
	struct cf_sink *sink = NULL;
	int rc = renamed.folders ? name_folders(&renamed, err) : cf_err_nomem(err);

	if (rc == 0)
		rc = find_changed(&renamed, err);
	if (rc == 0)
		rc = find_unordered(&renamed, err);
	if (rc == 0 && verify->n_sources > 0)
		rc = cf_compare_new(&renamed.base, &options, &sink, err);
	if (rc == 0 && sink)
		rc = dump_all(verify, sink, err);
	if (rc == 0)
		rc = check_unordered(&renamed, err);
	cf_compare_free(sink);
	release_renamed(&renamed);
	return rc;
}
