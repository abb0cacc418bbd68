/* Whether the target would take what is restored, found out before anything is changed. */

#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/sql.h"
#include "drivers/postgres/toc.h"

#include <stdlib.h>
#include <string.h>

#define NAMES_SHOWN 5

/* Distinct names, sorted. */
struct names {
	char **items;
	size_t n, capacity;
};

static void release_names(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->items[i]);
	free(names->items);
	*names = (struct names){0};
}

static size_t find_place(const struct names *names, const char *name, bool *found)
{
	size_t low = 0, high = names->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(names->items[middle], name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*found = low < names->n && strcmp(names->items[low], name) == 0;
	return low;
}

static int add_name(struct names *names, const char *name, struct cf_err *err)
{
	bool found;
	size_t place = find_place(names, name, &found);

	if (found)
		return 0;
	if (names->n == names->capacity) {
		size_t capacity = names->capacity ? 2 * names->capacity : 64;
		char **items = realloc(names->items, capacity * sizeof(*items));

		if (!items)
			return cf_err_nomem(err);
		names->items = items;
		names->capacity = capacity;
	}
	memmove(&names->items[place + 1], &names->items[place],
		(names->n - place) * sizeof(*names->items));
	names->items[place] = strdup(name);
	if (!names->items[place]) {
		memmove(&names->items[place], &names->items[place + 1],
			(names->n - place) * sizeof(*names->items));
		return cf_err_nomem(err);
	}
	names->n++;
	return 0;
}

static int add_query(struct cf_pg *pg, const char *sql, struct names *names, struct cf_err *err)
{
	struct cf_pg_rows *rows = NULL;
	int rc = cf_pg_query(pg, sql, NULL, 0, &rows, err);

	for (size_t i = 0; rc == 0 && i < cf_pg_rows_count(rows); i++)
		rc = add_name(names, cf_pg_value(rows, i, 0), err);
	cf_pg_rows_free(rows);
	return rc;
}

/* Those of wanted that are not in present, for a message: "a, b and 3 more"; empty when there are
 * none. */
static int list_missing(const struct names *wanted, const struct names *present, struct cf_buf *out,
			struct cf_err *err)
{
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < wanted->n; i++) {
		bool found;

		find_place(present, wanted->items[i], &found);
		if (found)
			continue;
		if (n < NAMES_SHOWN)
			rc = cf_buf_printf(out, err, "%s%s", n ? ", " : "", wanted->items[i]);
		n++;
	}
	if (rc == 0 && n > NAMES_SHOWN)
		rc = cf_buf_printf(out, err, " and %zu more", n - NAMES_SHOWN);
	return rc < 0 ? rc : cf_buf_append(out, "", 1, err);
}

static bool introduces_role(const struct cf_sql_token *token)
{
	return cf_sql_is_word(token, "TO") || cf_sql_is_word(token, "FROM") || cf_sql_is_word(token, "ROLE") ||
	       cf_sql_is_word(token, "AUTHORIZATION");
}

static int add_role(const struct cf_sql_token *token, struct names *roles, struct cf_err *err)
{
	struct cf_buf name = CF_BUF_INIT;
	int rc = 0;

	if (token->kind != CF_SQL_QUOTED &&
	    (token->kind != CF_SQL_WORD || cf_sql_is_word(token, "PUBLIC") || cf_sql_is_word(token, "DEFAULT")))
		return 0;
	rc = cf_sql_name_of(token, &name, err);
	if (rc == 0)
		rc = add_name(roles, (const char *)name.data, err);
	cf_buf_release(&name);
	return rc;
}

/* GRANT ... TO role, REVOKE ... FROM role, ALTER DEFAULT PRIVILEGES FOR ROLE role, CREATE POLICY
 * ... TO role, role. */
static int add_roles_of(const char *sql, struct names *roles, struct cf_err *err)
{
	struct cf_sql_token token = cf_sql_next_token(&sql);
	int rc = 0;

	for (; rc == 0 && token.kind != CF_SQL_END; token = cf_sql_next_token(&sql)) {
		if (!introduces_role(&token))
			continue;
		do {
			token = cf_sql_next_token(&sql);
			rc = add_role(&token, roles, err);
			token = cf_sql_next_token(&sql);
		} while (rc == 0 && token.kind == CF_SQL_OTHER && token.text[0] == ',');
	}
	return rc;
}

static bool names_roles(const struct cf_pg_load *load, const struct cf_pg_toc_entry *entry)
{
	/* A policy's expression may well have FROM, and the table behind it is no role. */
	if (strcmp(entry->desc, "POLICY") == 0)
		return entry->defn && !strstr(entry->defn, " FROM ");
	return !load->options->no_privileges &&
	       (strcmp(entry->desc, "ACL") == 0 || strcmp(entry->desc, "DEFAULT ACL") == 0);
}

/* ALTER ROLE role IN DATABASE. */
static int add_roles_with_settings(const char *sql, struct names *roles, struct cf_err *err)
{
	struct cf_sql_token before = {.kind = CF_SQL_END}, token = cf_sql_next_token(&sql);
	int rc = 0;

	for (; rc == 0 && token.kind != CF_SQL_END; before = token, token = cf_sql_next_token(&sql)) {
		if (!cf_sql_is_word(&before, "ALTER") || !cf_sql_is_word(&token, "ROLE"))
			continue;
		token = cf_sql_next_token(&sql);
		rc = add_role(&token, roles, err);
	}
	return rc;
}

/* Those that the database itself needs, when all is in it. */
static int collect_last_roles(struct cf_pg_load *load, struct names *roles, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < load->toc->n_entries; i++) {
		const struct cf_pg_toc_entry *entry = &load->toc->entries[i];

		if (!cf_pg_load_finishes(load, entry) || load->options->no_privileges)
			continue;
		rc = strcmp(entry->desc, "ACL") == 0 ? add_roles_of(entry->defn, roles, err)
						     : add_roles_with_settings(entry->defn, roles, err);
	}
	if (rc == 0 && load->manifest->owner && !load->options->no_owner)
		rc = add_name(roles, load->manifest->owner, err);
	return rc;
}

static int collect_roles(struct cf_pg_load *load, struct names *roles, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < load->set.n; i++) {
		const struct cf_pg_toc_entry *entry = &load->toc->entries[load->set.list[i]];

		if (entry->owner && !load->options->no_owner)
			rc = add_name(roles, entry->owner, err);
		if (rc == 0 && entry->defn && names_roles(load, entry))
			rc = add_roles_of(entry->defn, roles, err);
	}
	for (size_t i = 0; rc == 0 && load->everything && i < load->manifest->n_large_objects;
	     i++) {
		const struct cf_pg_large_object *large = &load->manifest->large_objects[i];

		if (large->owner && !load->options->no_owner)
			rc = add_name(roles, large->owner, err);
		if (rc == 0 && large->grants && !load->options->no_privileges)
			rc = add_roles_of(large->grants, roles, err);
	}
	return rc == 0 && load->options->create ? collect_last_roles(load, roles, err) : rc;
}

static bool is_ascii(const char *text)
{
	while (*text && !(*text & 0x80))
		text++;
	return !*text;
}

/* A server keeps the bytes of a role's name, which databases of other encodings read as other characters. That which will
 * be made reads them as the snapshot's did, so what it refuses is found there. */
static void leave_out_unreadable(const struct cf_pg_load *load, struct cf_pg *pg, struct names *names)
{
	const char *encoding = cf_pg_parameter(pg, "server_encoding");
	size_t n = 0;

	if (!load->options->create || !encoding ||
	    (strcmp(encoding, "UTF8") == 0 && strcmp(load->manifest->encoding, "UTF8") == 0))
		return;
	for (size_t i = 0; i < names->n; i++)
		if (is_ascii(names->items[i]))
			names->items[n++] = names->items[i];
		else
			free(names->items[i]);
	names->n = n;
}

/* Those of wanted that sql, with the name as its parameter, finds. Others, given in databases of other encodings, may well be
 * nothing that this one can tell. */
static int add_present(struct cf_pg *pg, const char *sql, const struct names *wanted, struct names *present,
		       struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < wanted->n; i++) {
		const char *values[] = {wanted->items[i]};
		struct cf_pg_rows *rows = NULL;

		rc = cf_pg_query(pg, sql, values, 1, &rows, err);
		if (rc == 0 && cf_pg_rows_count(rows) > 0)
			rc = add_name(present, wanted->items[i], err);
		if (rc < 0 && cf_pg_is_untold(pg)) {
			cf_err_clear(err);
			rc = 0;
		}
		cf_pg_rows_free(rows);
	}
	return rc;
}

static int check_roles(struct cf_pg_load *load, struct cf_pg *pg, struct cf_err *err)
{
	struct names wanted = {0}, present = {0};
	struct cf_buf missing = CF_BUF_INIT;
	int rc = collect_roles(load, &wanted, err);

	leave_out_unreadable(load, pg, &wanted);
	if (rc == 0)
		rc = add_present(pg, "SELECT FROM pg_catalog.pg_roles WHERE rolname = $1", &wanted, &present, err);
	if (rc == 0)
		rc = list_missing(&wanted, &present, &missing, err);
	if (rc == 0 && missing.len > 1)
		rc = cf_err_set(err, CF_ERR_NOT_FOUND,
				"the target has no role %s: load the snapshot's globals.sql first, "
				"or give --no-owner "
				"and --no-privileges",
				(const char *)missing.data);
	cf_buf_release(&missing);
	release_names(&wanted);
	release_names(&present);
	return rc;
}

static int check_tablespaces(struct cf_pg_load *load, struct cf_pg *pg, struct cf_err *err)
{
	struct names wanted = {0}, present = {0};
	struct cf_buf missing = CF_BUF_INIT;
	const char *own = load->options->create ? load->manifest->tablespace : NULL;
	int rc = own ? add_name(&wanted, own, err) : 0;

	for (size_t i = 0; rc == 0 && i < load->set.n; i++) {
		const char *tablespace = load->toc->entries[load->set.list[i]].tablespace;

		if (tablespace && tablespace[0])
			rc = add_name(&wanted, tablespace, err);
	}
	if (rc == 0)
		rc = add_present(pg, "SELECT FROM pg_catalog.pg_tablespace WHERE spcname = $1", &wanted, &present, err);
	if (rc == 0)
		rc = list_missing(&wanted, &present, &missing, err);
	load->no_tablespaces = rc == 0 && missing.len > 1;
	if (load->no_tablespaces)
		cf_ctx_warn(
			load->ctx, "restore.tablespace", (const char *)missing.data,
			"the target has no such tablespace: everything goes into the default one");
	cf_buf_release(&missing);
	release_names(&wanted);
	release_names(&present);
	return rc;
}

int cf_pg_load_refuse_standby(struct cf_pg *pg, struct cf_err *err)
{
	char *is_standby = NULL;
	int rc = cf_pg_query_text(pg, "SELECT pg_catalog.pg_is_in_recovery()", NULL, 0, &is_standby, err);

	if (rc == 0 && is_standby && is_standby[0] == 't') {
		char *name = cf_pg_name(cf_pg_host(pg), cf_pg_port(pg), NULL);

		rc = cf_err_set(err, CF_ERR_UNSUPPORTED,
				"%s is a standby, which changes only with its primary: name that one",
				name ? name : "the target");
		free(name);
	}
	free(is_standby);
	return rc;
}

int cf_pg_load_check_server(struct cf_pg_load *load, struct cf_pg *pg, struct cf_err *err)
{
	int target = cf_pg_server_version(pg) / 10000,
	    source = load->manifest->server_version / 10000;
	int rc = cf_pg_load_refuse_standby(pg, err);

	if (rc < 0 || !cf_pg_load_wants_schema(load))
		return rc;
	if (target < source)
		return cf_err_set(err, CF_ERR_UNSUPPORTED,
				  "the target runs PostgreSQL %d, the snapshot is of %d: a newer "
				  "database does not go into "
				  "an older server",
				  target, source);
	rc = check_roles(load, pg, err);
	return rc < 0 ? rc : check_tablespaces(load, pg, err);
}

static int check_encoding(struct cf_pg_load *load, struct cf_err *err)
{
	const char *encoding = cf_pg_parameter(load->pg, "server_encoding");
	const char *wanted = load->manifest->encoding;

	if (!encoding || strcmp(encoding, wanted) == 0 ||
	    (strcmp(encoding, "UTF8") == 0 && strcmp(wanted, "SQL_ASCII") != 0))
		return 0;
	return cf_err_set(err, CF_ERR_FAILED,
			  "database %s has encoding %s and the snapshot %s, which may not fit: "
			  "make one with --create, or "
			  "with encoding %s",
			  load->database, encoding, wanted, wanted);
}

/* Tables, views and sequences, as keys of schema and name that no other two give. */
static int collect_relations(struct cf_pg *pg, struct names *present, struct cf_err *err)
{
	return add_query(pg,
			 "SELECT n.nspname || E'\\x1f' || c.relname"
			 " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = "
			 "c.relnamespace"
			 " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')"
			 " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
			 " ORDER BY (n.nspname || E'\\x1f' || c.relname) COLLATE \"C\"",
			 present, err);
}

static int check_relation(struct cf_pg_load *load, const struct names *present,
			  const struct cf_pg_table *table, struct cf_err *err)
{
	struct cf_buf key = CF_BUF_INIT;
	const char *schema, *name;
	bool found = false;
	int rc;

	cf_renames_apply(&load->renames, table->schema, table->name, &schema, &name);
	rc = cf_buf_printf(&key, err, "%s\x1f%s%c", schema, name, 0);
	if (rc == 0)
		find_place(present, (const char *)key.data, &found);
	cf_buf_release(&key);
	if (rc == 0 && found && cf_pg_load_wants_schema(load) && !load->options->clean)
		rc = cf_err_set(err, CF_ERR_EXISTS,
				"table %s.%s is in the way in database %s: replace it with "
				"--clean, restore it under another "
				"name with --rename, or only its rows with --data-only",
				schema, name, load->database);
	if (rc == 0 && !found && !cf_pg_load_wants_schema(load))
		rc = cf_err_set(
			err, CF_ERR_NOT_FOUND,
			"database %s has no table %s.%s for the rows: leave --data-only away",
			load->database, schema, name);
	return rc;
}

static int check_relations(struct cf_pg_load *load, struct cf_err *err)
{
	struct names present = {0};
	int rc = collect_relations(load->pg, &present, err);

	/* Into an empty database nothing is in the way. */
	if (rc == 0 && present.n == 0 && cf_pg_load_wants_schema(load))
		return 0;
	for (size_t i = 0; rc == 0 && i < load->manifest->n_tables; i++) {
		const struct cf_pg_table *table = &load->manifest->tables[i];
		size_t index = cf_pg_graph_relation(load->graph, table->oid);

		if (index != CF_PG_NO_ENTRY && load->set.marks[index] == CF_PG_CHOSEN)
			rc = check_relation(load, &present, table, err);
	}
	release_names(&present);
	return rc;
}

int cf_pg_load_check_database(struct cf_pg_load *load, struct cf_err *err)
{
	int rc = check_encoding(load, err);

	if (rc == 0 && load->options->clean)
		rc = cf_pg_load_check_cleaned(load, err);
	if (rc == 0)
		rc = check_relations(load, err);
	return rc < 0 ? rc : cf_pg_load_check_rows(load, err);
}
