/*
 * Other names for what is restored.
 *
 * A list says which object of the archive gets which name: tables and schemas as asked for; the
 * sequences, indexes, index-making constraints and statistics of a table that is renamed within its
 * schema after the table, since they would collide. SQL is read token by token: "schema.name" is
 * replaced where the list has it, as is an index's or constraint's bare name behind the words that
 * introduce one, a schema's behind SCHEMA, and the names within a text that is cast to regclass and
 * its like. Other texts and the bodies of functions stay as they are. What an extension has, which the archive does not
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

struct cf_pg_new_name {
	const char *schema, *new_schema; /* of the archive, and of load->renames */
	char *old_name, *new_name;
	size_t entry; /* CF_PG_NO_ENTRY for what another entry makes, too */
	size_t table; /* whose satellite it is, or CF_PG_NO_ENTRY */
};

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

static const struct cf_pg_new_name *find_name(const struct cf_pg_load *load, const char *schema,
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

/* --- SQL --- */

struct rewriter {
	struct cf_pg_load *load;
	size_t table; /* whose satellite the SQL makes or describes */
	struct cf_buf schema, name;
	struct cf_sql_token word; /* the last one that was no space */
	struct cf_buf *out;
	struct cf_err *err;
};

static bool is_name(const struct cf_sql_token *token)
{
	return token->kind == CF_SQL_WORD || token->kind == CF_SQL_QUOTED;
}

static bool is_char(const struct cf_sql_token *token, char c)
{
	return token->kind == CF_SQL_OTHER && token->text[0] == c;
}

static int copy_token(struct rewriter *r, const struct cf_sql_token *token)
{
	return cf_buf_append(r->out, token->text, token->len, r->err);
}

/* What stands for the table itself, as in CHECK (f(t.*)) or a policy's t.id: its new name, when the
 * name that was read into r->schema is its old one. */
static const char *new_name_of_own(struct rewriter *r)
{
	const struct cf_pg_toc_entry *own;
	const char *schema, *name;

	if (r->table == CF_PG_NO_ENTRY)
		return NULL;
	own = &r->load->toc->entries[r->table];
	if (!is_desc(own, "TABLE") || !own->nspname || strcmp(own->tag, (const char *)r->schema.data) != 0)
		return NULL;
	cf_renames_apply(&r->load->renames, own->nspname, own->tag, &schema, &name);
	return strcmp(name, own->tag) != 0 ? name : NULL;
}

/* schema.+, in the same way: the operator itself is copied as what follows. */
static int rewrite_operator(struct rewriter *r, const struct cf_sql_token *schema, const char *at)
{
	const struct cf_pg_new_name *found;
	const char *own;
	int rc = cf_sql_name_of(schema, &r->schema, r->err);

	cf_buf_clear(&r->name);
	if (rc == 0)
		rc = cf_buf_printf(&r->name, r->err, "%.*s%c",
				   (int)strspn(at + 1, "+-*/<>=~!@#%^&|`?"), at + 1, 0);
	if (rc < 0)
		return rc;
	found = find_name(r->load, (const char *)r->schema.data, (char *)r->name.data);
	own = found ? found->new_schema : new_name_of_own(r);
	return own ? cf_sql_append_name(own, r->out, r->err) : copy_token(r, schema);
}

/* schema.name, of which schema is read and *at stands on the dot. */
static int rewrite_pair(struct rewriter *r, const struct cf_sql_token *schema, const char **at)
{
	const char *behind = *at;
	struct cf_sql_token dot = cf_sql_next(&behind), name = cf_sql_next(&behind);
	const struct cf_pg_new_name *found;
	const char *own;
	int rc;

	if (!is_name(&name))
		return rewrite_operator(r, schema, *at);
	rc = cf_sql_name_of(schema, &r->schema, r->err);
	if (rc == 0)
		rc = cf_sql_name_of(&name, &r->name, r->err);
	if (rc < 0)
		return rc;
	*at = behind;
	found = find_name(r->load, (const char *)r->schema.data, (char *)r->name.data);
	if (found)
		return cf_sql_append_qualified(found->new_schema, found->new_name, r->out, r->err);
	own = new_name_of_own(r);
	rc = own ? cf_sql_append_name(own, r->out, r->err) : copy_token(r, schema);
	if (rc == 0)
		rc = copy_token(r, &dot);
	return rc < 0 ? rc : copy_token(r, &name);
}

/* An index or a constraint of this table by its name alone. */
static const struct cf_pg_new_name *find_satellite(struct rewriter *r, const char *name)
{
	for (size_t i = 0; r->table != CF_PG_NO_ENTRY && i < r->load->n_new_names; i++) {
		const struct cf_pg_new_name *item = &r->load->new_names[i];

		if (item->table == r->table && strcmp(item->old_name, name) == 0)
			return item;
	}
	return NULL;
}

/* A name without a schema: of a schema, an index or a constraint, by the word before it. */
static int rewrite_bare(struct rewriter *r, const struct cf_sql_token *token)
{
	bool of_schema = cf_sql_is_word(&r->word, "SCHEMA");
	bool of_satellite = cf_sql_is_word(&r->word, "INDEX") || cf_sql_is_word(&r->word, "CONSTRAINT") ||
			    cf_sql_is_word(&r->word, "ON");
	const struct cf_pg_new_name *found = NULL;
	const char *new_schema, *unused;
	int rc;

	if (!of_schema && !of_satellite)
		return copy_token(r, token);
	rc = cf_sql_name_of(token, &r->name, r->err);
	if (rc < 0)
		return rc;
	if (of_schema) {
		cf_renames_apply(&r->load->renames, (const char *)r->name.data, NULL, &new_schema,
				 &unused);
		if (strcmp(new_schema, (const char *)r->name.data) != 0)
			return cf_sql_append_name(new_schema, r->out, r->err);
		return copy_token(r, token);
	}
	found = find_satellite(r, (const char *)r->name.data);
	return found ? cf_sql_append_name(found->new_name, r->out, r->err) : copy_token(r, token);
}

/* The text of 'shop.orders_id_seq'::regclass, doubled quotes halved. */
static int text_of_string(const struct cf_sql_token *token, struct cf_buf *out, struct cf_err *err)
{
	int rc = 0;

	cf_buf_clear(out);
	for (size_t i = 1; rc == 0 && i + 1 < token->len; i++) {
		rc = cf_buf_append(out, &token->text[i], 1, err);
		i += token->text[i] == '\'';
	}
	return rc < 0 ? rc : cf_buf_append(out, "", 1, err);
}

/* Quoted or not, for a name in lower case. */
static bool is_called(const struct cf_sql_token *token, const char *name)
{
	size_t len = strlen(name);

	return cf_sql_is_word(token, name) || (token->kind == CF_SQL_QUOTED && token->len == len + 2 &&
					       strncmp(token->text + 1, name, len) == 0);
}

/* "::regclass" and its like, also quoted and with pg_catalog before it: the type, or NULL. */
static const char *object_cast(const char *at)
{
	static const char *const types[] = {"regclass", "regcollation", "regconfig", "regdictionary", "regnamespace",
					    "regoper", "regoperator", "regproc", "regprocedure", "regtype"};
	struct cf_sql_token token;

	if (strncmp(at, "::", 2) != 0)
		return NULL;
	at += 2;
	token = cf_sql_next(&at);
	if (is_called(&token, "pg_catalog") && *at == '.') {
		at++;
		token = cf_sql_next(&at);
	}
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (is_called(&token, types[i]))
			return types[i];
	return NULL;
}

static int rewrite(struct rewriter *r, const char *at);

/* 'shop.orders_id_seq'::regclass, 'shop.f(shop.t)'::regprocedure, 'shop'::regnamespace. */
static int rewrite_string(struct rewriter *r, const struct cf_sql_token *token, const char *behind)
{
	static const struct cf_sql_token schema = {.kind = CF_SQL_WORD, .text = "SCHEMA", .len = 6};
	const char *type = token->text[0] == '\'' ? object_cast(behind) : NULL;
	struct cf_buf text = CF_BUF_INIT, rewritten = CF_BUF_INIT;
	struct rewriter inner = *r;
	int rc;

	if (!type)
		return copy_token(r, token);
	rc = text_of_string(token, &text, r->err);
	if (rc == 0) {
		inner.out = &rewritten;
		inner.schema = (struct cf_buf)CF_BUF_INIT;
		inner.name = (struct cf_buf)CF_BUF_INIT;
		inner.word = strcmp(type, "regnamespace") == 0 ? schema : (struct cf_sql_token){0};
		rc = rewrite(&inner, (const char *)text.data);
		cf_buf_release(&inner.schema);
		cf_buf_release(&inner.name);
	}
	if (rc == 0)
		rc = cf_buf_append(&rewritten, "", 1, r->err);
	if (rc == 0)
		rc = cf_sql_append_literal((const char *)rewritten.data, r->out, r->err);
	cf_buf_release(&text);
	cf_buf_release(&rewritten);
	return rc;
}

static int rewrite(struct rewriter *r, const char *at)
{
	struct cf_sql_token token;
	int rc = 0;

	while (rc == 0 && (token = cf_sql_next(&at)).kind != CF_SQL_END) {
		if (is_name(&token) && *at == '.' && !is_char(&r->word, '.'))
			rc = rewrite_pair(r, &token, &at);
		else if (is_name(&token) && !is_char(&r->word, '.'))
			rc = rewrite_bare(r, &token);
		else if (token.kind == CF_SQL_STRING)
			rc = rewrite_string(r, &token, at);
		else
			rc = copy_token(r, &token);
		if (token.kind != CF_SQL_SPACE)
			r->word = token;
	}
	return rc;
}

/* The relation that an entry belongs to, over what it describes. */
static size_t table_of(const struct cf_pg_load *load, size_t index)
{
	for (int depth = 0; index != CF_PG_NO_ENTRY && depth < 3; depth++) {
		if (cf_pg_is_relation(&load->toc->entries[index]))
			return index;
		index = cf_pg_graph_owner(load->graph, index);
	}
	return CF_PG_NO_ENTRY;
}

int cf_pg_load_rename_sql(struct cf_pg_load *load, const struct cf_pg_toc_entry *entry,
			  const char *sql, struct cf_buf *out, struct cf_err *err)
{
	struct rewriter r = {.load = load, .out = out, .err = err};
	int rc;

	if (load->renames.n == 0)
		return cf_buf_append_str(out, sql, err);
	r.table = table_of(load, (size_t)(entry - load->toc->entries));
	rc = rewrite(&r, sql);
	cf_buf_release(&r.schema);
	cf_buf_release(&r.name);
	return rc;
}

/* --- texts --- */

static bool is_of_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '$' || (c & 0x80);
}

/* As a word of its own; qualifying: with a dot behind it. */
static bool names(const struct cf_sql_token *text, const char *name, bool qualifying)
{
	size_t len = strlen(name);
	const char *end = text->text + text->len, *at = text->text;

	while ((at = memmem(at, (size_t)(end - at), name, len))) {
		const char *behind = at + len;
		bool begins = at == text->text || !is_of_word(at[-1]);

		if (begins && behind < end && !is_of_word(*behind)) {
			behind += *behind == '"';
			if (!qualifying || (behind < end && *behind == '.'))
				return true;
		}
		at++;
	}
	return false;
}

/* A search path names a schema alone. */
static bool texts_name(const char *sql, const struct cf_rename *rename)
{
	const char *name = rename->old_table ? rename->old_table : rename->old_schema;
	bool qualifying = !rename->old_table && !strstr(sql, "search_path");
	struct cf_sql_token token;

	while ((token = cf_sql_next(&sql)).kind != CF_SQL_END) {
		bool stays = token.kind == CF_SQL_DOLLAR ||
			     (token.kind == CF_SQL_STRING && !object_cast(sql));

		if (stays && names(&token, name, qualifying))
			return true;
	}
	return false;
}

void cf_pg_load_tell_texts(struct cf_pg_load *load, const struct cf_pg_toc_entry *entry)
{
	struct cf_buf object = CF_BUF_INIT;

	if (is_desc(entry, "COMMENT") || is_desc(entry, "SECURITY LABEL") || !entry->defn ||
	    cf_pg_load_entry_name(entry, &object, NULL) < 0)
		return;
	for (size_t i = 0; i < load->renames.n; i++) {
		const struct cf_rename *rename = &load->renames.items[i];
		const char *old = rename->old_table ? rename->old_table : rename->old_schema;
		const char *new = rename->old_table ? rename->new_table : rename->new_schema;

		if (texts_name(entry->defn, rename))
			cf_ctx_warn(load->ctx, "restore.named", (const char *)object.data,
				    "%s names %s in its text, and goes on to mean that one, not %s",
				    (const char *)object.data, old, new);
	}
	cf_buf_release(&object);
}
