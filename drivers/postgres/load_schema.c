/*
 * The archive's entries by our own hand, within a transaction: for chosen tables, whose database
 * has part of what they need already, and for other names.
 *
 * What is only needed (types, functions, schemas) stays as it is where it exists. A foreign key is
 * made where the table exists that it refers to.
 */

#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/sql.h"
#include "drivers/postgres/toc.h"

#include <stdlib.h>
#include <string.h>

static bool is_desc(const struct cf_pg_toc_entry *entry, const char *desc)
{
	return strcmp(entry->desc, desc) == 0;
}

bool cf_pg_load_comes_after(const struct cf_pg_load *load, size_t index)
{
	const struct cf_pg_toc_entry *entry = &load->toc->entries[index];
	size_t owner = cf_pg_graph_owner(load->graph, index);

	/* Rights last: they may take away what the restore itself needs. */
	if (is_desc(entry, "ACL") || is_desc(entry, "DEFAULT ACL"))
		return true;
	if (entry->section == CF_PG_SECTION_NONE && owner != CF_PG_NO_ENTRY)
		entry = &load->toc->entries[owner];
	return entry->section == CF_PG_SECTION_POST_DATA;
}

static int exec_text(struct cf_pg_load *load, struct cf_buf *sql, struct cf_err *err)
{
	int rc = cf_buf_append(sql, "", 1, err);

	return rc < 0 ? rc : cf_pg_exec(load->pg, (const char *)sql->data, err);
}

static int append_settings(const struct cf_pg_load *load, const struct cf_pg_toc_entry *entry,
			   struct cf_buf *out, struct cf_err *err)
{
	bool has_am = entry->table_am && entry->table_am[0];
	int rc = 0;

	if (entry->tablespace && !load->no_tablespaces) {
		rc = cf_buf_append_str(out, "SET LOCAL default_tablespace = ", err);
		if (rc == 0)
			rc = cf_sql_append_literal(entry->tablespace, out, err);
		if (rc == 0)
			rc = cf_buf_append_str(out, ";\n", err);
	}
	if (rc == 0 && has_am) {
		rc = cf_buf_append_str(out, "SET LOCAL default_table_access_method = ", err);
		if (rc == 0)
			rc = cf_sql_append_name(entry->table_am, out, err);
		if (rc == 0)
			rc = cf_buf_append_str(out, ";\n", err);
	}
	return rc;
}

/* Kinds that have an owner of their own; of others it is their table's, or an extension's. */
static bool has_owner(const struct cf_pg_toc_entry *entry)
{
	static const char *const kinds[] = {
		"AGGREGATE",
		"COLLATION",
		"CONVERSION",
		"DOMAIN",
		"EVENT TRIGGER",
		"FOREIGN DATA WRAPPER",
		"FUNCTION",
		"OPERATOR",
		"OPERATOR CLASS",
		"OPERATOR FAMILY",
		"PROCEDURAL LANGUAGE",
		"PROCEDURE",
		"PUBLICATION",
		"SCHEMA",
		"SERVER",
		"STATISTICS",
		"SUBSCRIPTION",
		"TEXT SEARCH CONFIGURATION",
		"TEXT SEARCH DICTIONARY",
		"TYPE",
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (is_desc(entry, kinds[i]))
			return true;
	return false;
}

/* Of "TYPE s.t;" or "TYPE s.t CASCADE;", without what is behind the name. */
static size_t object_len(const char *object)
{
	static const char cascade[] = " CASCADE";
	size_t len = strcspn(object, ";");

	if (len > strlen(cascade) &&
	    strncmp(object + len - strlen(cascade), cascade, strlen(cascade)) == 0)
		len -= strlen(cascade);
	return len;
}

/* "DROP TYPE s.t;" names the object in full: so does "ALTER TYPE s.t OWNER TO o;". */
static int append_owner(struct cf_pg_load *load, const struct cf_pg_toc_entry *entry,
			struct cf_buf *out, struct cf_err *err)
{
	static const char drop[] = "DROP ";
	const char *object = entry->drop_stmt;
	struct cf_buf statement = CF_BUF_INIT;
	bool relation = cf_pg_is_relation(entry) || is_desc(entry, "SEQUENCE");
	int rc = 0;

	if (load->options->no_owner || !entry->owner || !object || !object[0] ||
	    (!relation && !has_owner(entry)))
		return 0;
	if (relation) {
		rc = cf_buf_append_str(&statement, "TABLE ", err);
		if (rc == 0)
			rc = cf_sql_append_qualified(entry->nspname, entry->tag, &statement, err);
	} else if (strncmp(object, drop, strlen(drop)) == 0) {
		object += strlen(drop);
		rc = cf_buf_append(&statement, object, object_len(object), err);
	}
	if (rc == 0 && statement.len > 0) {
		rc = cf_buf_append(&statement, "", 1, err);
		if (rc == 0)
			rc = cf_buf_append_str(out, "\nALTER ", err);
		if (rc == 0)
			rc = cf_pg_load_rename_sql(load, entry, (const char *)statement.data, out,
						   err);
		if (rc == 0)
			rc = cf_buf_append_str(out, " OWNER TO ", err);
		if (rc == 0)
			rc = cf_sql_append_name(entry->owner, out, err);
		if (rc == 0)
			rc = cf_buf_append_str(out, ";\n", err);
	}
	cf_buf_release(&statement);
	return rc;
}

int cf_pg_load_entry_name(const struct cf_pg_toc_entry *entry, struct cf_buf *out,
			  struct cf_err *err)
{
	return cf_buf_printf(out, err, "%s %s%s%s%c", entry->desc,
			     entry->nspname ? entry->nspname : "", entry->nspname ? "." : "",
			     entry->tag, 0);
}

static int make_entry(struct cf_pg_load *load, const struct cf_pg_toc_entry *entry,
		      struct cf_err *err)
{
	struct cf_buf sql = CF_BUF_INIT, object = CF_BUF_INIT;
	int rc = append_settings(load, entry, &sql, err);

	if (rc == 0)
		rc = cf_pg_load_rename_sql(load, entry, entry->defn, &sql, err);
	if (rc == 0)
		rc = append_owner(load, entry, &sql, err);
	if (rc == 0)
		rc = exec_text(load, &sql, err);
	if (rc == 0 && load->renames.n > 0)
		cf_pg_load_tell_texts(load, entry);
	if (rc < 0 && cf_pg_load_entry_name(entry, &object, NULL) == 0)
		cf_err_wrap(err, "%s", (const char *)object.data);
	cf_buf_release(&object);
	cf_buf_release(&sql);
	return rc;
}

static bool is_duplicate(const char *sqlstate)
{
	/* The last of the server's own catalogs, which is how it refuses a second text search object. */
	static const char *const states[] = {"42710", "42P06", "42P07", "42723", "23505"};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(sqlstate, states[i]) == 0)
			return true;
	return false;
}

/* made_out: false when something of that name is there already, and stays. */
static int make_unless_there(struct cf_pg_load *load, const struct cf_pg_toc_entry *entry,
			     bool *made_out, struct cf_err *err)
{
	int rc = cf_pg_exec(load->pg, "SAVEPOINT coffer", err);

	if (rc < 0)
		return rc;
	*made_out = true;
	rc = make_entry(load, entry, err);
	if (rc < 0 && is_duplicate(cf_pg_sqlstate(load->pg))) {
		*made_out = false;
		cf_err_clear(err);
		rc = cf_pg_exec(load->pg, "ROLLBACK TO SAVEPOINT coffer", err);
	}
	return rc < 0 ? rc : cf_pg_exec(load->pg, "RELEASE SAVEPOINT coffer", err);
}

static bool gets_rows(const struct cf_pg_load *load, const struct cf_pg_table *table)
{
	for (size_t i = 0; i < load->n_tables; i++)
		if (load->tables[i].table == table)
			return true;
	return false;
}

bool cf_pg_load_may_dangle(const struct cf_pg_load *load, size_t index)
{
	size_t owner = cf_pg_graph_owner(load->graph, index);
	const struct cf_pg_toc_entry *entry = &load->toc->entries[index];

	if (!is_desc(entry, "FK CONSTRAINT"))
		return owner != CF_PG_NO_ENTRY && is_desc(&load->toc->entries[owner], "FK CONSTRAINT") &&
		       cf_pg_load_may_dangle(load, owner);
	for (size_t i = 0; cf_pg_load_wants_data(load) && i < load->manifest->n_tables; i++) {
		const struct cf_pg_table *table = &load->manifest->tables[i];

		if (table->kind == 'r' && cf_pg_graph_depends(load->graph, entry, table->oid) &&
		    !gets_rows(load, table))
			return true;
	}
	return false;
}

/* made_out: NULL when what is there is in the way. */
static int make_or_leave_out(struct cf_pg_load *load, const struct cf_pg_toc_entry *entry,
			     bool *made_out, struct cf_err *err)
{
	size_t index = (size_t)(entry - load->toc->entries);
	bool dangles = cf_pg_load_may_dangle(load, index);
	/* Those are made in no transaction, unless all is in one. */
	const struct cf_pg_step step = {.inside = !dangles || load->single, .dispensable = dangles};
	struct cf_buf object = CF_BUF_INIT;
	int rc = cf_pg_load_entry_name(entry, &object, err);

	if (rc == 0)
		rc = cf_pg_load_begin_step(load, load->pg, &step, err);
	if (rc == 0) {
		rc = made_out ? make_unless_there(load, entry, made_out, err)
			      : make_entry(load, entry, err);
		rc = cf_pg_load_end_step(load, load->pg, &step, rc, (const char *)object.data,
					 err);
	}
	cf_buf_release(&object);
	return rc;
}

static void tell_kept(struct cf_pg_load *load, size_t index, bool made)
{
	const struct cf_pg_toc_entry *entry = &load->toc->entries[index];

	if (made && cf_pg_is_relation(entry))
		cf_pg_load_warn_of_entry(load, "restore.needed", entry,
					 "was missing and is made without rows, because what is restored "
					 "refers to it");
	else if (!made && load->set.marks[index] == CF_PG_CHOSEN && !is_desc(entry, "SCHEMA"))
		cf_pg_load_warn_of_entry(load, "restore.kept", entry,
					 "is there already and stays as it is");
}

static int relation_exists(struct cf_pg_load *load, const struct cf_pg_toc_entry *relation,
			   bool *exists_out, struct cf_err *err)
{
	struct cf_buf name = CF_BUF_INIT;
	char *found = NULL;
	int rc = cf_sql_append_qualified(relation->nspname, relation->tag, &name, err);

	if (rc == 0)
		rc = cf_buf_append(&name, "", 1, err);
	if (rc == 0) {
		const char *values[] = {(const char *)name.data};

		rc = cf_pg_query_text(load->pg,
				      "SELECT pg_catalog.to_regclass($1)::pg_catalog.text", values,
				      1, &found, err);
	}
	*exists_out = found;
	free(found);
	cf_buf_release(&name);
	return rc;
}

/* Is that relation restored, or there already? */
static int is_there(struct cf_pg_load *load, const char *schema, const char *name, bool *there_out,
		    struct cf_err *err)
{
	const struct cf_pg_toc_entry wanted = {.nspname = schema, .tag = name};

	for (size_t i = 0; i < load->set.n; i++) {
		const struct cf_pg_toc_entry *entry = &load->toc->entries[load->set.list[i]];

		if (!cf_pg_is_relation(entry) || !entry->nspname || strcmp(entry->tag, name) != 0 ||
		    strcmp(entry->nspname, schema) != 0)
			continue;
		*there_out = true;
		return 0;
	}
	return relation_exists(load, &wanted, there_out, err);
}

/* The archive of a selection has no dependency on what was not selected: the statement says what it
 * refers to. */
static int can_refer_by_name(struct cf_pg_load *load, const struct cf_pg_toc_entry *key,
			     bool *can_out, struct cf_err *err)
{
	struct cf_buf schema = CF_BUF_INIT, name = CF_BUF_INIT;
	const char *at = key->defn;
	struct cf_sql_token token = cf_sql_next_token(&at);
	int rc = 0;

	while (token.kind != CF_SQL_END &&
	       (token.kind != CF_SQL_WORD || token.len != strlen("REFERENCES") ||
		strncmp(token.text, "REFERENCES", token.len) != 0))
		token = cf_sql_next_token(&at);
	if (token.kind != CF_SQL_END) {
		token = cf_sql_next_token(&at);
		rc = cf_sql_name_of(&token, &schema, err);
		cf_sql_next_token(&at); /* the dot */
		token = cf_sql_next_token(&at);
		if (rc == 0)
			rc = cf_sql_name_of(&token, &name, err);
		if (rc == 0)
			rc = is_there(load, (const char *)schema.data, (const char *)name.data,
				      can_out, err);
	}
	cf_buf_release(&schema);
	cf_buf_release(&name);
	return rc;
}

/* Of a foreign key: whether all that it refers to is there. */
static int can_refer(struct cf_pg_load *load, const struct cf_pg_toc_entry *key, bool *can_out,
		     struct cf_err *err)
{
	int rc = 0;

	*can_out = true;
	for (size_t i = 0; rc == 0 && *can_out && i < key->n_deps; i++) {
		size_t dep = cf_pg_graph_entry(load->graph, key->deps[i]);

		if (dep != CF_PG_NO_ENTRY && load->set.marks[dep] == CF_PG_OUT &&
		    cf_pg_is_relation(&load->toc->entries[dep]))
			rc = relation_exists(load, &load->toc->entries[dep], can_out, err);
	}
	if (rc == 0 && *can_out && load->manifest->filtered)
		rc = can_refer_by_name(load, key, can_out, err);
	if (rc == 0 && !*can_out)
		cf_pg_load_warn_of_entry(load, "restore.left_out", key,
					 "left out: the table it refers to is not there");
	return rc;
}

/* What describes or guards something that was kept is kept with it. */
static bool belongs_to_kept(const struct cf_pg_load *load, size_t index)
{
	size_t owner = cf_pg_graph_owner(load->graph, index);

	return owner != CF_PG_NO_ENTRY && load->kept[owner];
}

/* A copy under another name is published by no publication that is there for the other. */
static bool adds_to_kept_publication(const struct cf_pg_load *load, const struct cf_pg_toc_entry *entry)
{
	static const char prefix[] = "PUBLICATION TABLE";

	if (load->renames.n == 0 || strncmp(entry->desc, prefix, strlen(prefix)) != 0)
		return false;
	for (size_t i = 0; i < entry->n_deps; i++) {
		size_t dep = cf_pg_graph_entry(load->graph, entry->deps[i]);

		if (dep != CF_PG_NO_ENTRY && load->kept[dep])
			return true;
	}
	return false;
}

int cf_pg_load_wants_entry(struct cf_pg_load *load, size_t index, bool *wanted_out,
			   struct cf_err *err)
{
	const struct cf_pg_toc_entry *entry = &load->toc->entries[index];

	*wanted_out = entry->defn && entry->defn[0] && entry->section != CF_PG_SECTION_DATA &&
		      !belongs_to_kept(load, index) && !adds_to_kept_publication(load, entry);
	if (load->options->no_privileges &&
	    (is_desc(entry, "ACL") || is_desc(entry, "DEFAULT ACL")))
		*wanted_out = false;
	return *wanted_out && is_desc(entry, "FK CONSTRAINT")
		       ? can_refer(load, entry, wanted_out, err)
		       : 0;
}

static int restore_entry(struct cf_pg_load *load, size_t index, struct cf_err *err)
{
	const struct cf_pg_toc_entry *entry = &load->toc->entries[index];
	bool made = true;
	int rc = cf_pg_load_wants_entry(load, index, &made, err);

	if (rc < 0 || !made)
		return rc;
	if (load->set.marks[index] == CF_PG_SATELLITE ||
	    cf_pg_graph_owner(load->graph, index) != CF_PG_NO_ENTRY ||
	    (load->set.marks[index] == CF_PG_CHOSEN && cf_pg_is_relation(entry)))
		return make_or_leave_out(load, entry, NULL, err);
	rc = make_or_leave_out(load, entry, &made, err);
	if (rc == 0) {
		load->kept[index] = !made;
		tell_kept(load, index, made);
	}
	return rc == 0 && is_desc(entry, "EXTENSION") ? cf_pg_load_name_members(load, entry, err) : rc;
}

int cf_pg_load_dangling(struct cf_pg_load *load, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < load->set.n; i++) {
		size_t index = load->set.list[i];

		if (!cf_pg_load_may_dangle(load, index))
			continue;
		rc = cf_ctx_check(load->ctx, err);
		if (rc == 0)
			rc = restore_entry(load, index, err);
	}
	return rc;
}

int cf_pg_load_schema(struct cf_pg_load *load, bool after, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < load->set.n; i++) {
		size_t index = load->set.list[i];

		if (cf_pg_load_comes_after(load, index) != after)
			continue;
		rc = cf_ctx_check(load->ctx, err);
		if (rc == 0)
			rc = restore_entry(load, index, err);
	}
	return rc;
}
