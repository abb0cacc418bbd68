#include "drivers/mysql/sources.h"

#include "base/err.h"
#include "base/stream.h"
#include "base/tree.h"
#include "drivers/mysql/manifest_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *cf_mysql_source_path(const struct cf_mysql_load_source *source, const char *folder,
			   const char *name)
{
	char *path;
	int n = asprintf(&path, "%s%s%s%s%s", source->folder, *source->folder ? "/" : "", folder,
			 *folder ? "/" : "", name);

	return n < 0 ? NULL : path;
}

static int read_manifest(struct cf_tree *tree, struct cf_mysql_load_source *source,
			 struct cf_err *err)
{
	char *path = cf_mysql_source_path(source, "", "database.json");
	struct cf_buf text = CF_BUF_INIT;
	int rc = path ? 0 : cf_err_nomem(err);

	if (rc == 0)
		rc = cf_tree_read_file(tree, path, CF_MYSQL_MANIFEST_LEN_MAX, &text, err);
	if (rc == 0)
		rc = cf_mysql_manifest_decode(cf_buf_span(&text), &source->manifest, err);
	if (rc < 0 && *source->folder)
		cf_err_wrap(err, "%s", source->folder);
	cf_buf_release(&text);
	free(path);
	return rc;
}

static int add_source(struct cf_tree *tree, const char *folder,
		      struct cf_mysql_load_source **sources, size_t *n, struct cf_err *err)
{
	struct cf_mysql_load_source *source = cf_mysql_grow(sources, n, sizeof(*source));

	if (!source)
		return cf_err_nomem(err);
	source->folder = strdup(folder);
	return source->folder ? read_manifest(tree, source, err) : cf_err_nomem(err);
}

static int read_server(struct cf_tree *tree, struct cf_mysql_server *server, struct cf_err *err)
{
	struct cf_buf text = CF_BUF_INIT;
	int rc = cf_tree_read_file(tree, "server.json", CF_MYSQL_MANIFEST_LEN_MAX, &text, err);

	if (rc == 0)
		rc = cf_mysql_server_decode(cf_buf_span(&text), server, err);
	cf_buf_release(&text);
	return rc;
}

int cf_mysql_sources_read(struct cf_tree *tree, struct cf_mysql_load_source **sources_out,
			  size_t *n_out, struct cf_mysql_origin *origin_out, struct cf_err *err)
{
	struct cf_mysql_server server = CF_MYSQL_SERVER_INIT;
	struct cf_entry *entry = NULL;
	int rc = tree->ops->find(tree, "server.json", &entry, err);

	free(entry);
	if (rc == CF_ERR_NOT_FOUND) {
		cf_err_clear(err);
		rc = add_source(tree, "", sources_out, n_out, err);
		if (rc == CF_ERR_NOT_FOUND)
			rc = cf_err_set(err, CF_ERR_USAGE,
					"neither a snapshot of mysql nor a database's folder in "
					"one: it has no database.json");
		return rc;
	}
	if (rc == 0)
		rc = read_server(tree, &server, err);
	origin_out->any_case = server.lower_case_table_names > 0;
	origin_out->is_mysql = rc == 0 && strcmp(server.flavour, "mysql") == 0;
	for (size_t i = 0; rc == 0 && i < server.n_databases; i++)
		rc = add_source(tree, server.databases[i].folder, sources_out, n_out, err);
	cf_mysql_server_release(&server);
	return rc;
}

void cf_mysql_sources_free(struct cf_mysql_load_source *sources, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		cf_mysql_manifest_release(&sources[i].manifest);
		free(sources[i].folder);
	}
	free(sources);
}
