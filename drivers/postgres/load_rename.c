/*
 * SQL of the archive under the names of load_names.c.
 *
 * It is read token by token: "schema.name" is replaced where the list has it, as is an index's or
 * constraint's bare name behind the words that introduce one, a schema's behind SCHEMA, and the names
 * within a text that is cast to regclass and its like. Other texts and the bodies of functions stay
 * as they are.
 */

#include "base/err.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/sql.h"
#include "drivers/postgres/toc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_desc(const struct cf_pg_toc_entry *entry, const char *desc)
{
	return strcmp(entry->desc, desc) == 0;
}

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
	found = cf_pg_load_find_name(r->load, (const char *)r->schema.data, (char *)r->name.data);
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
	found = cf_pg_load_find_name(r->load, (const char *)r->schema.data, (char *)r->name.data);
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
