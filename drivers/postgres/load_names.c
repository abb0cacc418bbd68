/*
 * What each object that is restored is called at the target.
 *
 * A list says which object of the archive gets which name: tables and schemas as asked for; the
 * sequences, indexes, index-making constraints and statistics of a table that is renamed within its
 * schema after the table, since they would collide. What an extension has, which the archive does not
 * say, is listed once the extension is there, if it came into the new schema.
 */

#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/sql.h"
#include "drivers/postgres/toc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_LEN     9 /* "_" and 8 digits */

static bool is_desc(const struct cf_pg_toc_entry *entry, const char *desc)
{
	return strcmp(entry->desc, desc) == 0;
}

/* The name alone: of a function without its arguments, of a constraint without its table. */
static char *bare_name(const struct cf_pg_toc_entry *entry, const struct cf_pg_toc_entry *table)
{
	const char *tag = entry->tag, *open = strchr(tag, '(');

	if (table && is_desc(entry, "CONSTRAINT"))
		return strdup(tag + strlen(table->tag) + 1);
	if (open && open != tag && !cf_pg_is_relation(entry) && !is_desc(entry, "SEQUENCE") &&
	    !is_desc(entry, "INDEX"))
		return strndup(tag, (size_t)(open - tag));
	return strdup(tag);
}

/* Cut at a character, and told apart by a hash of the whole. */
static void shorten(char *name)
{
	size_t len = strlen(name), end = CF_PG_NAME_LEN_MAX - HASH_LEN;
	uint32_t hash = 2166136261u;

	if (len <= CF_PG_NAME_LEN_MAX)
		return;
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)name[i]) * 16777619u;
	while (end > 0 && ((unsigned char)name[end] & 0xc0) == 0x80)
		end--;
	snprintf(name + end, HASH_LEN + 1, "_%08x", hash);
}

/* orders_pkey of orders, when that becomes old: old_pkey; any other name behind the table's:
 * old_name. */
static char *follow_table(const char *name, const char *table, const char *new_table)
{
	size_t len = strlen(table);
	bool begins = strncmp(name, table, len) == 0;
	char *out = NULL;

	if (asprintf(&out, "%s%s%s", new_table, begins ? "" : "_", begins ? name + len : name) < 0)
		return NULL;
	shorten(out);
	return out;
}

static bool follows_table(const struct cf_pg_toc_entry *entry)
{
	return is_desc(entry, "SEQUENCE") || is_desc(entry, "INDEX") ||
	       is_desc(entry, "STATISTICS") ||
	       (is_desc(entry, "CONSTRAINT") && entry->section == CF_PG_SECTION_POST_DATA);
}

static int name_satellite(struct cf_pg_load *load, const struct cf_pg_toc_entry *entry,
			  size_t table, struct cf_pg_new_name *to, struct cf_err *err)
{
	const struct cf_pg_toc_entry *owner = &load->toc->entries[table];
	const char *new_table;

	cf_renames_apply(&load->renames, owner->nspname, owner->tag, &to->new_schema, &new_table);
	to->table = table;
	to->old_name = bare_name(entry, owner);
	if (!to->old_name)
		return cf_err_nomem(err);
	if (strcmp(to->new_schema, owner->nspname) == 0 && strcmp(new_table, owner->tag) != 0)
		to->new_name = follow_table(to->old_name, owner->tag, new_table);
	else
		to->new_name = strdup(to->old_name);
	return to->new_name ? 0 : cf_err_nomem(err);
}

static int name_object(struct cf_pg_load *load, const struct cf_pg_toc_entry *entry,
		       struct cf_pg_new_name *to, struct cf_err *err)
{
	const char *new_name = NULL;

	to->table = CF_PG_NO_ENTRY;
	to->old_name = bare_name(entry, NULL);
	if (!to->old_name)
		return cf_err_nomem(err);
	if (cf_pg_is_relation(entry))
		cf_renames_apply(&load->renames, entry->nspname, to->old_name, &to->new_schema,
				 &new_name);
	else
		cf_renames_apply(&load->renames, entry->nspname, NULL, &to->new_schema, &new_name);
	to->new_name = strdup(new_name ? new_name : to->old_name);
	return to->new_name ? 0 : cf_err_nomem(err);
}

static int by_name(const void *a, const void *b)
{
	const struct cf_pg_new_name *x = a, *y = b;
	int order = strcmp(x->schema, y->schema);

	return order ? order : strcmp(x->old_name, y->old_name);
}

/* The type that CREATE TYPE ... AS RANGE makes besides, and which has no entry: the name behind the
 * schema in "multirange_type_name = s.t". False when there is none. */
static bool find_multirange(const struct cf_pg_toc_entry *entry, struct cf_sql_token *name_out)
{
	static const char word[] = "multirange_type_name";
	const char *at = entry->defn;
	struct cf_sql_token token;

	if (!is_desc(entry, "TYPE") || !at)
		return false;
	do
		token = cf_sql_next_token(&at);
	while (token.kind != CF_SQL_END &&
	       (token.len != strlen(word) || strncmp(token.text, word, token.len) != 0));
	if (cf_sql_next_token(&at).text[0] != '=')
		return false;
	cf_sql_next_token(&at);
	if (cf_sql_next_token(&at).text[0] != '.')
		return false;
	*name_out = cf_sql_next_token(&at);
	return name_out->kind == CF_SQL_WORD || name_out->kind == CF_SQL_QUOTED;
}

static int name_multirange(struct cf_pg_load *load, const struct cf_pg_toc_entry *entry,
			   const struct cf_sql_token *token, struct cf_pg_new_name *to,
			   struct cf_err *err)
{
	struct cf_buf name = CF_BUF_INIT;
	const char *unused;
	int rc = cf_sql_name_of(token, &name, err);

	to->entry = CF_PG_NO_ENTRY;
	to->table = CF_PG_NO_ENTRY;
	to->schema = entry->nspname;
	cf_renames_apply(&load->renames, entry->nspname, NULL, &to->new_schema, &unused);
	if (rc == 0) {
		to->old_name = strdup((const char *)name.data);
		to->new_name = strdup((const char *)name.data);
		if (!to->old_name || !to->new_name)
			rc = cf_err_nomem(err);
	}
	cf_buf_release(&name);
	return rc;
}

/* Of an object that keeps its name. */
static void forget_last(struct cf_pg_load *load)
{
	struct cf_pg_new_name *last = &load->new_names[--load->n_new_names];

	free(last->old_name);
	free(last->new_name);
	*last = (struct cf_pg_new_name){0};
}

static int make_list(struct cf_pg_load *load, struct cf_err *err)
{
	int rc = 0;

	load->new_names = calloc(2 * load->set.n + 1, sizeof(*load->new_names));
	if (!load->new_names)
		return cf_err_nomem(err);
	for (size_t i = 0; rc == 0 && i < load->set.n; i++) {
		size_t index = load->set.list[i], owner = cf_pg_graph_owner(load->graph, index);
		const struct cf_pg_toc_entry *entry = &load->toc->entries[index];
		struct cf_pg_new_name *to = &load->new_names[load->n_new_names];
		struct cf_sql_token multirange;

		if (!entry->nspname || entry->section == CF_PG_SECTION_NONE)
			continue;
		if (owner != CF_PG_NO_ENTRY && !follows_table(entry))
			continue;
		load->n_new_names++;
		to->entry = index;
		to->schema = entry->nspname;
		rc = owner == CF_PG_NO_ENTRY ? name_object(load, entry, to, err)
					     : name_satellite(load, entry, owner, to, err);
		if (rc == 0 && strcmp(to->new_schema, to->schema) == 0 &&
		    strcmp(to->new_name, to->old_name) == 0)
			forget_last(load);
		else if (rc == 0 && find_multirange(entry, &multirange))
			rc = name_multirange(load, entry, &multirange,
					     &load->new_names[load->n_new_names++], err);
	}
	return rc;
}

int cf_pg_load_name_all(struct cf_pg_load *load, struct cf_err *err)
{
	int rc;

	if (load->renames.n == 0)
		return 0;
	rc = make_list(load, err);
	if (rc == 0)
		qsort(load->new_names, load->n_new_names, sizeof(*load->new_names), by_name);
	return rc;
}

/* "WITH SCHEMA s" of an extension. */
static int schema_of_extension(const struct cf_pg_toc_entry *entry, struct cf_buf *out,
			       struct cf_err *err)
{
	static const char word[] = "SCHEMA";
	const char *at = entry->defn;
	struct cf_sql_token token;

	do
		token = cf_sql_next_token(&at);
	while (token.kind != CF_SQL_END && (token.kind != CF_SQL_WORD || token.len != strlen(word) ||
					    strncmp(token.text, word, token.len) != 0));
	token = cf_sql_next_token(&at);
	return cf_sql_name_of(&token, out, err);
}

/* Of the extension $1, when it is in the schema $2. */
#define MEMBERS(catalog, name, schema)                                                             \
	"SELECT " name " FROM members JOIN pg_catalog." catalog " AS o ON o.oid = objid"           \
	" AND classid = 'pg_catalog." catalog "'::pg_catalog.regclass AND " schema " = extnamespace"
static const char members_sql[] =
	"WITH members AS (SELECT d.classid, d.objid, e.extnamespace FROM pg_catalog.pg_extension AS e"
	" JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace JOIN pg_catalog.pg_depend AS d"
	" ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid AND d.deptype = 'e'"
	" WHERE e.extname = $1 AND n.nspname = $2) "
	MEMBERS("pg_class", "relname", "relnamespace") " UNION "
	MEMBERS("pg_collation", "collname", "collnamespace") " UNION "
	MEMBERS("pg_conversion", "conname", "connamespace") " UNION "
	MEMBERS("pg_opclass", "opcname", "opcnamespace") " UNION "
	MEMBERS("pg_operator", "oprname", "oprnamespace") " UNION "
	MEMBERS("pg_opfamily", "opfname", "opfnamespace") " UNION "
	MEMBERS("pg_proc", "proname", "pronamespace") " UNION "
	MEMBERS("pg_ts_config", "cfgname", "cfgnamespace") " UNION "
	MEMBERS("pg_ts_dict", "dictname", "dictnamespace") " UNION "
	MEMBERS("pg_ts_parser", "prsname", "prsnamespace") " UNION "
	MEMBERS("pg_ts_template", "tmplname", "tmplnamespace") " UNION "
	MEMBERS("pg_type", "typname", "typnamespace");
#undef MEMBERS

static int add_members(struct cf_pg_load *load, const struct cf_rename *rename,
		       const struct cf_pg_rows *rows, struct cf_err *err)
{
	size_t n = cf_pg_rows_count(rows);
	struct cf_pg_new_name *names =
		realloc(load->new_names, (load->n_new_names + n + 1) * sizeof(*names));

	if (!names)
		return cf_err_nomem(err);
	load->new_names = names;
	for (size_t i = 0; i < n; i++) {
		struct cf_pg_new_name *to = &names[load->n_new_names++];

		*to = (struct cf_pg_new_name){.schema = rename->old_schema,
					      .new_schema = rename->new_schema,
					      .old_name = strdup(cf_pg_value(rows, i, 0)),
					      .new_name = strdup(cf_pg_value(rows, i, 0)),
					      .entry = CF_PG_NO_ENTRY,
					      .table = CF_PG_NO_ENTRY};
		if (!to->old_name || !to->new_name)
			return cf_err_nomem(err);
	}
	qsort(names, load->n_new_names, sizeof(*names), by_name);
	return 0;
}

int cf_pg_load_name_members(struct cf_pg_load *load, const struct cf_pg_toc_entry *extension,
			    struct cf_err *err)
{
	struct cf_buf schema = CF_BUF_INIT;
	int rc = load->renames.n > 0 ? schema_of_extension(extension, &schema, err) : 0;

	for (size_t i = 0; rc == 0 && i < load->renames.n; i++) {
		const struct cf_rename *rename = &load->renames.items[i];
		const char *values[] = {extension->tag, rename->new_schema};
		struct cf_pg_rows *rows = NULL;

		if (rename->old_table || strcmp(rename->old_schema, (const char *)schema.data) != 0)
			continue;
		rc = cf_pg_query(load->pg, members_sql, values, 2, &rows, err);
		if (rc == 0)
			rc = add_members(load, rename, rows, err);
		cf_pg_rows_free(rows);
	}
	cf_buf_release(&schema);
	return rc;
}

void cf_pg_load_release_names(struct cf_pg_load *load)
{
	for (size_t i = 0; i < load->n_new_names; i++) {
		free(load->new_names[i].old_name);
		free(load->new_names[i].new_name);
	}
	free(load->new_names);
}

const struct cf_pg_new_name *cf_pg_load_find_name(const struct cf_pg_load *load, const char *schema,
						  char *name)
{
	struct cf_pg_new_name key = {.schema = schema, .old_name = name};

	if (load->n_new_names == 0)
		return NULL;
	return bsearch(&key, load->new_names, load->n_new_names, sizeof(key), by_name);
}

void cf_pg_load_new_name(const struct cf_pg_load *load, size_t entry, const char **schema_out,
			 const char **name_out)
{
	*schema_out = load->toc->entries[entry].nspname;
	*name_out = load->toc->entries[entry].tag;
	for (size_t i = 0; i < load->n_new_names; i++) {
		if (load->new_names[i].entry != entry)
			continue;
		*schema_out = load->new_names[i].new_schema;
		*name_out = load->new_names[i].new_name;
		return;
	}
}
