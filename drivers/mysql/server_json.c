#include "base/err.h"
#include "base/stream.h"
#include "drivers/mysql/manifest.h"
#include "drivers/mysql/manifest_json.h"
#include "drivers/names.h"

#include <stdlib.h>
#include <string.h>

static const char format[] = "coffer mysql server";

void cf_mysql_server_release(struct cf_mysql_server *server)
{
	for (size_t i = 0; i < server->n_databases; i++) {
		free(server->databases[i].name);
		free(server->databases[i].folder);
	}
	for (size_t i = 0; i < server->n_facts; i++) {
		free(server->facts[i].key);
		free(server->facts[i].value);
	}
	free(server->databases);
	free(server->facts);
	free(server->version);
	free(server->flavour);
	*server = (struct cf_mysql_server)CF_MYSQL_SERVER_INIT;
}

int cf_mysql_server_add_database(struct cf_mysql_server *server, const char *name,
				 struct cf_err *err)
{
	struct cf_mysql_database *database =
		cf_mysql_grow(&server->databases, &server->n_databases, sizeof(*database));
	struct cf_buf folder = CF_BUF_INIT;
	int rc;

	if (!database)
		return cf_err_nomem(err);
	rc = cf_file_name_of(&name, 1, "", &folder, err);
	if (rc < 0) {
		cf_buf_release(&folder);
		return rc;
	}
	/* The name ends by a NUL. */
	database->folder = (char *)folder.data;
	database->name = strdup(name);
	return database->name ? 0 : cf_err_nomem(err);
}

int cf_mysql_server_add_fact(struct cf_mysql_server *server, const char *key, const char *value,
			     struct cf_err *err)
{
	struct cf_mysql_fact *fact = cf_mysql_grow(&server->facts, &server->n_facts, sizeof(*fact));

	if (!fact)
		return cf_err_nomem(err);
	fact->key = strdup(key);
	fact->value = strdup(value);
	return fact->key && fact->value ? 0 : cf_err_nomem(err);
}

int cf_mysql_server_encode(const struct cf_mysql_server *server, struct cf_buf *out,
			   struct cf_err *err)
{
	json_t *doc = cf_mysql_json_document(format), *databases = json_array(),
	       *facts = json_object();
	bool fine = cf_mysql_json_put_text(doc, "server_version", server->version) &&
		    cf_mysql_json_put_text(doc, "flavour", server->flavour) &&
		    cf_mysql_json_put_int(doc, "lower_case_table_names",
					  server->lower_case_table_names);

	for (size_t i = 0; fine && i < server->n_databases; i++) {
		json_t *database = json_object();

		fine = cf_mysql_json_put_text(database, "name", server->databases[i].name) &&
		       cf_mysql_json_put_text(database, "folder", server->databases[i].folder) &&
		       json_array_append(databases, database) == 0;
		json_decref(database);
	}
	for (size_t i = 0; fine && i < server->n_facts; i++)
		fine = cf_mysql_json_put_text(facts, server->facts[i].key, server->facts[i].value);
	fine = fine && json_object_set(doc, "databases", databases) == 0 &&
	       json_object_set(doc, "facts", facts) == 0;
	json_decref(databases);
	json_decref(facts);
	return cf_mysql_json_encode(doc, fine, out, err);
}

static int database_from_json(const json_t *from, struct cf_mysql_server *server,
			      struct cf_err *err)
{
	struct cf_mysql_database *database =
		cf_mysql_grow(&server->databases, &server->n_databases, sizeof(*database));
	int rc;

	if (!database)
		return cf_err_nomem(err);
	rc = cf_mysql_json_get_text(from, "name", true, &database->name, err);
	if (rc == 0)
		rc = cf_mysql_json_get_text(from, "folder", true, &database->folder, err);
	if (rc == 0 && !cf_entry_name_valid(database->folder))
		rc = cf_err_set(err, CF_ERR_DAMAGED, "names a folder \"%s\"", database->folder);
	return rc;
}

/* Facts that are no text are of a newer program. */
static int facts_from_json(const json_t *doc, struct cf_mysql_server *server, struct cf_err *err)
{
	json_t *facts = json_object_get(doc, "facts"), *value;
	const char *key;
	int rc = 0;

	json_object_foreach(facts, key, value) if (rc == 0 && json_is_string(value)) rc =
		cf_mysql_server_add_fact(server, key, json_string_value(value), err);
	return rc;
}

static int server_from_json(const json_t *doc, struct cf_mysql_server *server, struct cf_err *err)
{
	const json_t *databases;
	uint64_t lower_case;
	size_t n;
	int rc = cf_mysql_json_get_text(doc, "server_version", true, &server->version, err);

	if (rc == 0)
		rc = cf_mysql_json_get_text(doc, "flavour", true, &server->flavour, err);
	if (rc == 0)
		rc = cf_mysql_json_get_int(doc, "lower_case_table_names", &lower_case, err);
	if (rc == 0) {
		server->lower_case_table_names = lower_case > 2 ? 2 : (unsigned)lower_case;
		rc = cf_mysql_json_array(doc, "databases", CF_MYSQL_DATABASES_MAX, &databases, &n,
					 err);
	}
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = database_from_json(json_array_get(databases, i), server, err);
	if (rc == 0)
		rc = facts_from_json(doc, server, err);
	return rc;
}

int cf_mysql_server_decode(struct cf_span in, struct cf_mysql_server *server, struct cf_err *err)
{
	json_t *doc;
	int rc = cf_mysql_json_decode(in, format, &doc, err);

	if (rc == 0)
		rc = server_from_json(doc, server, err);
	json_decref(doc);
	if (rc < 0) {
		cf_err_wrap(err, "server.json");
		cf_mysql_server_release(server);
	}
	return rc;
}
