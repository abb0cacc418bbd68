/*
 * Roles, memberships and tablespaces, as pg_dumpall writes them, and what it forgets: settings of all roles.
 *
 * All of it is bytes that databases of all encodings share, each reading them in its own. The script keeps them: it takes whatever
 * encoding the database has that it is loaded into.
 */

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/dump.h"
#include "drivers/postgres/restrict.h"
#include "drivers/postgres/sql.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define GLOBALS_MAX ((size_t)256 << 20)

static int take_piece(void *user, struct cf_span data, struct cf_err *err)
{
	struct cf_buf *out = (struct cf_buf *)user;

	if (out->len + data.len > GLOBALS_MAX)
		return cf_err_set(err, CF_ERR_UNSUPPORTED, "the roles and tablespaces take more than %zu MiB",
				  GLOBALS_MAX >> 20);
	return cf_buf_append(out, data.data, data.len, err);
}

/* As a connection string: the program would take a name such as "a=b" for one. */
static int append_database(const char *name, struct cf_buf *out, struct cf_err *err)
{
	int rc = cf_buf_append_str(out, "--database=dbname='", err);

	for (; rc == 0 && *name; name++) {
		if (*name == '\'' || *name == '\\')
			rc = cf_buf_append_str(out, "\\", err);
		if (rc == 0)
			rc = cf_buf_append(out, name, 1, err);
	}
	return rc < 0 ? rc : cf_buf_append(out, "'", 2, err);
}

/* The program does not say it. */
static int tell_why(struct cf_pg_dump *dump, int rc, struct cf_err *err)
{
	const struct cf_pg_options options = {.application = CF_PG_APPLICATION};
	struct cf_err why = CF_ERR_INIT;
	struct cf_pg *pg = NULL;
	int again = cf_pg_connect_again(dump->server, &options, dump->ctx, &pg, &why);

	cf_pg_close(pg);
	if (again == 0)
		return rc;
	cf_err_wrap(&why, "pg_dumpall cannot connect");
	*err = why;
	return why.code;
}

/* By way of a database, in the encoding of which names come as their bytes. */
static int run_globals(struct cf_pg_dump *dump, const char *key, const char *by, const char *by_encoding,
		       struct cf_buf *script, struct cf_err *err)
{
	const char *superuser = cf_pg_parameter(dump->server, "is_superuser");
	const char *args[8] = {"--globals-only", "--no-password"};
	struct cf_buf database = CF_BUF_INIT;
	char restrict_key[128], encoding[64];
	size_t n = 2;
	char **environment = NULL;
	const struct cf_pg_run run = {.program = &dump->dump_all, .args = args, .input_fd = -1};
	struct cf_pg_run with_environment = run;
	int rc = cf_pg_environment(dump->server, NULL, &environment, err);

	if (rc < 0)
		return rc;
	snprintf(restrict_key, sizeof(restrict_key), "--restrict-key=%s", key);
	rc = append_database(by, &database, err);
	args[n++] = (const char *)database.data;
	/* Not one that a role or a database sets, and that may lack characters of a name. */
	if (by_encoding) {
		snprintf(encoding, sizeof(encoding), "--encoding=%s", by_encoding);
		args[n++] = encoding;
	}
	if (dump->dump_all.has_restrict_key)
		args[n++] = restrict_key;
	/* Their hashes are in a table that only superusers read. */
	if (!superuser || strcmp(superuser, "on") != 0)
		args[n++] = "--no-role-passwords";
	with_environment.environment = environment;
	if (rc == 0)
		rc = cf_pg_program_run(&with_environment, take_piece, script, dump->ctx, err);
	if (rc == CF_ERR_FAILED && err && strstr(err->text, "could not connect"))
		rc = tell_why(dump, rc, err);
	cf_pg_environment_free(environment);
	cf_buf_release(&database);
	return rc;
}

/* --- settings of all roles --- */

/* Those whose value is a list of names. Extensions have none. */
static bool is_list(const char *setting)
{
	static const char *const lists[] = {"local_preload_libraries",	"search_path",
					    "session_preload_libraries", "shared_preload_libraries",
					    "temp_tablespaces",		 "unix_socket_directories"};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (strcasecmp(setting, lists[i]) == 0)
			return true;
	return false;
}

/* The name at *at, which moves behind it, and the comma; with its case, as the server keeps it here. */
static int next_name(const char **at, struct cf_buf *name, struct cf_err *err)
{
	struct cf_sql_token token = {.kind = CF_SQL_OTHER, .text = *at + strspn(*at, " \t\n\r\f\v")};
	int rc;

	*at = token.text;
	if (**at == '"') {
		token = cf_sql_next(at);
		rc = cf_sql_name_of(&token, name, err);
	} else {
		cf_buf_clear(name);
		rc = cf_buf_append(name, token.text, strcspn(token.text, ", \t\n\r\f\v"), err);
		*at += name->len;
		if (rc == 0)
			rc = cf_buf_append(name, "", 1, err);
	}
	*at += strcspn(*at, ",");
	*at += **at == ',';
	return rc;
}

/* As several literals: in one, all of them would be a single name. */
static int append_list(const char *value, struct cf_buf *out, struct cf_err *err)
{
	struct cf_buf name = CF_BUF_INIT;
	const char *at = value;
	int rc;

	do {
		rc = cf_buf_append_str(out, at == value ? "" : ", ", err);
		if (rc == 0)
			rc = next_name(&at, &name, err);
		if (rc == 0)
			rc = cf_sql_append_literal((const char *)name.data, out, err);
	} while (rc == 0 && *at);
	cf_buf_release(&name);
	return rc;
}

static int append_setting(const char *setting, const char *value, struct cf_buf *out, struct cf_err *err)
{
	int rc = cf_buf_append_str(out, "ALTER ROLE ALL SET ", err);

	if (rc == 0)
		rc = cf_sql_append_name(setting, out, err);
	if (rc == 0)
		rc = cf_buf_append_str(out, " TO ", err);
	if (rc == 0)
		rc = is_list(setting) ? append_list(value, out, err) : cf_sql_append_literal(value, out, err);
	return rc < 0 ? rc : cf_buf_append_str(out, ";\n", err);
}

static int append_settings(const struct cf_pg_rows *rows, struct cf_buf *out, struct cf_err *err)
{
	int rc = cf_buf_append_str(out, "--\n-- Settings of all roles\n--\n\n", err);

	for (size_t i = 0; rc == 0 && i < cf_pg_rows_count(rows); i++)
		rc = append_setting(cf_pg_value(rows, i, 0), cf_pg_value(rows, i, 1), out, err);
	return rc < 0 ? rc : cf_buf_append_str(out, "\n", err);
}

/* text instead of len bytes of the script. */
static int replace(struct cf_buf *script, size_t at, size_t len, struct cf_span text, struct cf_err *err)
{
	struct cf_buf whole = CF_BUF_INIT;
	int rc = cf_buf_append(&whole, script->data, at, err);

	if (rc == 0)
		rc = cf_buf_append(&whole, text.data, text.len, err);
	if (rc == 0)
		rc = cf_buf_append(&whole, script->data + at + len, script->len - at - len, err);
	cf_buf_release(rc == 0 ? script : &whole);
	if (rc == 0)
		*script = whole;
	return rc;
}

/* Where psql obeys no commands of its own: before the line that ends this, where there is one. */
static int insert(struct cf_buf *script, const struct cf_buf *text, const char *key, struct cf_err *err)
{
	struct cf_buf line = CF_BUF_INIT;
	const uint8_t *found = NULL;
	int rc = cf_buf_printf(&line, err, "\\unrestrict %s", key);

	if (rc == 0)
		found = memmem(script->data, script->len, line.data, line.len);
	if (rc == 0)
		rc = replace(script, found ? (size_t)(found - script->data) : script->len, 0, cf_buf_span(text), err);
	cf_buf_release(&line);
	return rc;
}

static int add_settings(struct cf_pg_dump *dump, const char *key, struct cf_buf *script, struct cf_err *err)
{
	static const char sql[] =
		"SELECT pg_catalog.substr(c, 1, p - 1), pg_catalog.substr(c, p + 1) FROM pg_catalog.pg_db_role_setting,"
		" pg_catalog.unnest(setconfig) WITH ORDINALITY u(c, n), LATERAL (SELECT pg_catalog.strpos(c, '=') AS p) f"
		" WHERE setdatabase = 0 AND setrole = 0 ORDER BY n";
	struct cf_buf text = CF_BUF_INIT;
	struct cf_pg_rows *rows = NULL;
	int rc = cf_pg_query(dump->server, sql, NULL, 0, &rows, err);

	if (rc == 0 && cf_pg_rows_count(rows) > 0) {
		rc = append_settings(rows, &text, err);
		if (rc == 0)
			rc = insert(script, &text, key, err);
	}
	cf_pg_rows_free(rows);
	cf_buf_release(&text);
	return rc;
}

/* --- encodings --- */

static bool is_utf8(const char *text)
{
	json_t *value = json_string(text);
	bool valid = value != NULL;

	json_decref(value);
	return valid;
}

/* Of roles that were named in a database of another encoding, which no database in UTF-8 can name. */
static int tell_odd_roles(struct cf_pg_dump *dump, bool *has_out, struct cf_err *err)
{
	static const char sql[] =
		"SELECT rolname FROM pg_roles WHERE EXISTS (SELECT FROM pg_database WHERE datname = 'postgres'"
		" AND pg_encoding_to_char(encoding) = 'UTF8') ORDER BY rolname";
	struct cf_pg_rows *rows = NULL;
	int rc = cf_pg_query(dump->server, sql, NULL, 0, &rows, err);

	for (size_t i = 0; rc == 0 && i < cf_pg_rows_count(rows); i++) {
		const char *name = cf_pg_value(rows, i, 0);

		if (is_utf8(name))
			continue;
		*has_out = true;
		cf_ctx_warn(dump->ctx, "postgres.role_name", name,
			    "role %s was named in a database of another encoding than UTF-8: load globals.sql by way of a "
			    "database in SQL_ASCII",
			    name);
	}
	cf_pg_rows_free(rows);
	return rc;
}

/* By way of one database of each encoding in turn. Where characters are of one byte, each name is a name. */
static int try_others(struct cf_pg_dump *dump, const char *key, struct cf_buf *script)
{
	static const char sql[] =
		"SELECT DISTINCT ON (pg_encoding_max_length(encoding), encoding) datname, pg_encoding_to_char(encoding)"
		" FROM pg_database WHERE datallowconn AND datconnlimit <> -2 AND has_database_privilege(oid, 'CONNECT')"
		" ORDER BY pg_encoding_max_length(encoding), encoding, datname";
	struct cf_pg_rows *rows = NULL;
	int rc = cf_pg_query(dump->server, sql, NULL, 0, &rows, NULL), tried = CF_ERR_FAILED;

	for (size_t i = 0; rc == 0 && tried == CF_ERR_FAILED && i < cf_pg_rows_count(rows); i++) {
		cf_buf_clear(script);
		tried = run_globals(dump, key, cf_pg_value(rows, i, 0), cf_pg_value(rows, i, 1), script, NULL);
	}
	cf_pg_rows_free(rows);
	return rc < 0 ? rc : tried;
}

/* pg_dumpall fails at a name where it is none. */
static int read_globals(struct cf_pg_dump *dump, const char *key, struct cf_buf *script, struct cf_err *err)
{
	struct cf_err failure = CF_ERR_INIT;
	bool has_odd = false;
	int rc = tell_odd_roles(dump, &has_odd, err);

	if (rc < 0)
		return rc;
	rc = run_globals(dump, key, cf_pg_database(dump->server), cf_pg_parameter(dump->server, "server_encoding"),
			 script, &failure);
	if (rc == CF_ERR_FAILED && try_others(dump, key, script) == 0)
		return 0;
	if (rc == CF_ERR_FAILED && has_odd)
		return cf_err_set(err, rc,
				  "%s (the name of a role can be read only by way of a database in SQL_ASCII: make one, "
				  "createdb -E SQL_ASCII -T template0 --locale=C NAME)",
				  failure.text);
	if (rc < 0 && err)
		*err = failure;
	return rc;
}

static int take_any_encoding(struct cf_buf *script, struct cf_err *err)
{
	static const char set[] = "\nSET client_encoding = '",
			  same[] = "SELECT pg_catalog.set_config('client_encoding',"
				   " pg_catalog.current_setting('server_encoding'), false);";
	const uint8_t *found = memmem(script->data, script->len, set, strlen(set)), *end = NULL;

	if (found)
		end = memchr(found + 1, '\n', (size_t)(script->data + script->len - found - 1));
	if (!end)
		return 0;
	return replace(script, (size_t)(found + 1 - script->data), (size_t)(end - found - 1),
		       cf_span_of(same, strlen(same)), err);
}

static int make_script(struct cf_pg_dump *dump, const char *key, struct cf_buf *script, struct cf_err *err)
{
	int rc = cf_pg_speak_bytes(dump->server, true, err);

	if (rc == 0)
		rc = read_globals(dump, key, script, err);
	if (rc == 0)
		rc = add_settings(dump, key, script, err);
	if (rc == 0)
		rc = take_any_encoding(script, err);
	return rc < 0 ? rc : cf_pg_speak_bytes(dump->server, false, err);
}

int cf_pg_dump_globals(struct cf_pg_dump *dump, struct cf_err *err)
{
	struct cf_pg_restrict_key random = cf_pg_restrict_random(), key;
	struct cf_buf script = CF_BUF_INIT;
	int rc = make_script(dump, random.s, &script, err);

	if (rc == 0)
		rc = cf_pg_restrict_settle(&script, &random, &key, err);
	if (rc == 0)
		rc = cf_pg_put_file(dump, dump->root, "globals.sql", cf_buf_span(&script), err);
	cf_buf_release(&script);
	return rc;
}
