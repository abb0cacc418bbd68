#include "drivers/postgres/script.h"

#include "base/err.h"
#include "drivers/postgres/graph.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/sql.h"
#include "drivers/postgres/toc.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESTRICT_KEY_MAX 128

struct cf_pg_script {
	const struct cf_pg_toc *toc;
	struct cf_pg_graph *graph;
	const struct cf_pg_sequence **sequences; /* by oid */
	size_t n_sequences;
	char restrict_key[RESTRICT_KEY_MAX];
};

static int by_oid(const void *a, const void *b)
{
	const struct cf_pg_sequence *const *x = a, *const *y = b;

	return ((*x)->oid > (*y)->oid) - ((*x)->oid < (*y)->oid);
}

static int index_sequences(struct cf_pg_script *script, const struct cf_pg_manifest *manifest,
			   struct cf_err *err)
{
	script->sequences =
		calloc(manifest->n_sequences + 1, sizeof(const struct cf_pg_sequence *));
	if (!script->sequences)
		return cf_err_nomem(err);
	for (size_t i = 0; i < manifest->n_sequences; i++)
		script->sequences[i] = &manifest->sequences[i];
	script->n_sequences = manifest->n_sequences;
	qsort(script->sequences, script->n_sequences, sizeof(const struct cf_pg_sequence *),
	      by_oid);
	return 0;
}

int cf_pg_script_new(const struct cf_pg_toc *toc, const struct cf_pg_manifest *manifest,
		     const char *restrict_key, struct cf_pg_script **script_out, struct cf_err *err)
{
	struct cf_pg_script *script = calloc(1, sizeof(*script));
	int rc;

	if (!script)
		return cf_err_nomem(err);
	script->toc = toc;
	if (strlen(restrict_key) >= sizeof(script->restrict_key))
		rc = cf_err_set(err, CF_ERR_FAILED, "the restrict key is too long");
	else
		rc = cf_pg_graph_new(toc, &script->graph, err);
	if (rc == 0) {
		strcpy(script->restrict_key, restrict_key);
		rc = index_sequences(script, manifest, err);
	}
	if (rc < 0) {
		cf_pg_script_free(script);
		return rc;
	}
	*script_out = script;
	return 0;
}

void cf_pg_script_free(struct cf_pg_script *script)
{
	if (!script)
		return;
	cf_pg_graph_free(script->graph);
	free(script->sequences);
	free(script);
}

static bool is_desc(const struct cf_pg_toc_entry *entry, const char *desc)
{
	return strcmp(entry->desc, desc) == 0;
}

static int append_setting(const struct cf_pg_script *script, const char *desc, struct cf_buf *out,
			  struct cf_err *err)
{
	for (size_t i = 0; i < script->toc->n_entries; i++) {
		const struct cf_pg_toc_entry *entry = &script->toc->entries[i];

		if (is_desc(entry, desc) && entry->defn)
			return cf_buf_append_str(out, entry->defn, err);
	}
	return 0;
}

static int append_head(const struct cf_pg_script *script, struct cf_buf *out, struct cf_err *err)
{
	int rc = cf_buf_printf(out, err,
			       "\\restrict %s\n\n"
			       "SET statement_timeout = 0;\n"
			       "SET lock_timeout = 0;\n"
			       "SET idle_in_transaction_session_timeout = 0;\n",
			       script->restrict_key);

	if (rc == 0)
		rc = append_setting(script, "ENCODING", out, err);
	if (rc == 0)
		rc = append_setting(script, "STDSTRINGS", out, err);
	if (rc == 0)
		rc = append_setting(script, "SEARCHPATH", out, err);
	return rc < 0 ? rc
		      : cf_buf_append_str(out,
					  "SET check_function_bodies = false;\n"
					  "SET xmloption = content;\n"
					  "SET client_min_messages = warning;\n"
					  "SET row_security = off;\n"
					  "SET coffer.kept = ' ';\n\n",
					  err);
}

static int append_entry(const struct cf_pg_toc_entry *entry, struct cf_buf *out, struct cf_err *err)
{
	bool other_am =
		entry->table_am && entry->table_am[0] && strcmp(entry->table_am, "heap") != 0;
	int rc = 0;

	if (other_am) {
		rc = cf_buf_append_str(out, "SET default_table_access_method = ", err);
		if (rc == 0)
			rc = cf_sql_append_name(entry->table_am, out, err);
		if (rc == 0)
			rc = cf_buf_append_str(out, ";\n", err);
	}
	if (rc == 0)
		rc = cf_buf_append_str(out, entry->defn, err);
	if (rc == 0 && other_am)
		rc = cf_buf_append_str(out, "RESET default_table_access_method;\n", err);
	return rc;
}

/* --- what other tables need, too --- */

/*
 * Several scripts may be loaded into one database: what is there of what their tables share stays as it is. coffer.kept has the
 * numbers of what was there, for all that belongs to it stays away, too.
 */
static const char keep[] = "EXCEPTION WHEN duplicate_schema OR duplicate_object OR duplicate_table OR duplicate_function"
			   " OR unique_violation THEN\n"
			   "\tPERFORM set_config('coffer.kept', current_setting('coffer.kept') || '%zu ', false);\n";
static const char unless_kept[] = "\tIF strpos(current_setting('coffer.kept'), ' %zu ') > 0 THEN RETURN; END IF;\n";

/* What an entry belongs to, or is, that the table only needs; CF_PG_NO_ENTRY for all that is the table's own. */
static size_t find_shared(const struct cf_pg_script *script, const struct cf_pg_set *set, size_t index)
{
	size_t owner = cf_pg_graph_owner(script->graph, index);

	while (set->marks[index] == CF_PG_SATELLITE && owner != CF_PG_NO_ENTRY) {
		index = owner;
		owner = cf_pg_graph_owner(script->graph, index);
	}
	return set->marks[index] == CF_PG_NEEDED ? index : CF_PG_NO_ENTRY;
}

/* The number that makes tags of quotes around the text that it does not contain. */
static unsigned choose_tag(const char *text)
{
	char sql[24], block[24];
	unsigned n = 0;

	do {
		n++;
		snprintf(sql, sizeof(sql), "$sql%u$", n);
		snprintf(block, sizeof(block), "$do%u$", n);
	} while (strstr(text, sql) || strstr(text, block));
	return n;
}

/* Its place among what the script has. Dump ids change with whatever else is in the database. */
static size_t number_of(const struct cf_pg_set *set, size_t index)
{
	size_t place = 0;

	while (place < set->n && set->list[place] != index)
		place++;
	return place + 1;
}

/* Statements of the table's own, or of what is shared: make it, or what belongs to it. */
static int append_text(const struct cf_pg_set *set, size_t shared, const char *text, bool makes_shared,
		       struct cf_buf *out, struct cf_err *err)
{
	size_t number = shared == CF_PG_NO_ENTRY ? 0 : number_of(set, shared);
	unsigned tag = choose_tag(text);
	int rc;

	if (shared == CF_PG_NO_ENTRY)
		return cf_buf_append_str(out, text, err);
	rc = cf_buf_printf(out, err, "DO $do%u$ BEGIN\n", tag);
	if (rc == 0 && !makes_shared)
		rc = cf_buf_printf(out, err, unless_kept, number);
	if (rc == 0)
		rc = cf_buf_printf(out, err, "\tEXECUTE $sql%u$\n%s$sql%u$;\n", tag, text, tag);
	if (rc == 0 && makes_shared)
		rc = cf_buf_printf(out, err, keep, number);
	return rc < 0 ? rc : cf_buf_printf(out, err, "END $do%u$;\n", tag);
}

/* --- what belongs into a script --- */

/* True when every table that a foreign key speaks of is this one. */
static bool refers_to_itself(const struct cf_pg_script *script, const struct cf_pg_toc_entry *key,
			     size_t table)
{
	for (size_t i = 0; i < key->n_deps; i++) {
		size_t dep = cf_pg_graph_entry(script->graph, key->deps[i]);

		if (dep != CF_PG_NO_ENTRY && dep != table &&
		    cf_pg_is_relation(&script->toc->entries[dep]))
			return false;
	}
	return true;
}

static bool belongs(const struct cf_pg_script *script, size_t index, size_t table)
{
	static const char *const left_out[] = {"ACL", "SECURITY LABEL", "TABLE ATTACH",
					       "INDEX ATTACH", NULL};
	const struct cf_pg_toc_entry *entry = &script->toc->entries[index];

	if (!entry->defn || !entry->defn[0] || entry->section == CF_PG_SECTION_DATA)
		return false;
	for (const char *const *desc = left_out; *desc; desc++)
		if (is_desc(entry, *desc))
			return false;
	/* Of a trigger that a partition has from its parent, and the script's plain table has not.
	 */
	if (is_desc(entry, "TRIGGER") && !strstr(entry->defn, "CREATE "))
		return false;
	return !is_desc(entry, "FK CONSTRAINT") || refers_to_itself(script, entry, table);
}

static const struct cf_pg_sequence *find_sequence(const struct cf_pg_script *script, uint32_t oid)
{
	struct cf_pg_sequence wanted = {.oid = oid};
	const struct cf_pg_sequence *key = &wanted, *const * found;

	found = bsearch(&key, script->sequences, script->n_sequences, sizeof(key), by_oid);
	return found ? *found : NULL;
}

/* The names are the archive's, which are in its encoding. */
static int append_setval(const struct cf_pg_sequence *sequence, const struct cf_pg_toc_entry *entry,
			 struct cf_buf *out, struct cf_err *err)
{
	struct cf_buf name = CF_BUF_INIT;
	int rc;

	rc = cf_sql_append_qualified(entry->nspname, entry->tag, &name, err);
	if (rc == 0)
		rc = cf_buf_append(&name, "", 1, err);
	if (rc == 0)
		rc = cf_buf_append_str(out, "SELECT pg_catalog.setval(", err);
	if (rc == 0)
		rc = cf_sql_append_literal((const char *)name.data, out, err);
	if (rc == 0)
		rc = cf_buf_printf(out, err, ", %" PRId64 ", %s);\n", sequence->last_value,
				   sequence->is_called ? "true" : "false");
	cf_buf_release(&name);
	return rc;
}

/* One that was there keeps its value. */
static int append_value(const struct cf_pg_script *script, const struct cf_pg_set *set, size_t index,
			struct cf_buf *out, struct cf_err *err)
{
	const struct cf_pg_toc_entry *entry = &script->toc->entries[index];
	const struct cf_pg_sequence *sequence = find_sequence(script, entry->oid);
	struct cf_buf text = CF_BUF_INIT;
	int rc;

	if (!is_desc(entry, "SEQUENCE") || !sequence)
		return 0;
	rc = append_setval(sequence, entry, &text, err);
	if (rc == 0)
		rc = cf_buf_append(&text, "", 1, err);
	if (rc == 0)
		rc = append_text(set, find_shared(script, set, index), (const char *)text.data, false, out, err);
	cf_buf_release(&text);
	return rc;
}

static int append_sequences(const struct cf_pg_script *script, const struct cf_pg_set *set,
			    struct cf_buf *out, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < set->n; i++)
		rc = append_value(script, set, set->list[i], out, err);
	return rc < 0 ? rc : cf_buf_append_str(out, "\n", err);
}

/* What the table needs stands before it, but its indexes and triggers wait for the rows, as do
 * comments on them. */
static bool comes_after(const struct cf_pg_script *script, size_t index)
{
	const struct cf_pg_toc_entry *entry = &script->toc->entries[index];
	size_t owner = cf_pg_graph_owner(script->graph, index);

	if (entry->section == CF_PG_SECTION_NONE && owner != CF_PG_NO_ENTRY)
		entry = &script->toc->entries[owner];
	return entry->section == CF_PG_SECTION_POST_DATA;
}

static int append_one(const struct cf_pg_script *script, const struct cf_pg_set *set, size_t index,
		      struct cf_buf *out, struct cf_err *err)
{
	size_t shared = find_shared(script, set, index);
	struct cf_buf text = CF_BUF_INIT;
	int rc = append_entry(&script->toc->entries[index], &text, err);

	if (rc == 0)
		rc = cf_buf_append(&text, "", 1, err);
	if (rc == 0)
		rc = append_text(set, shared, (const char *)text.data, shared == index, out, err);
	cf_buf_release(&text);
	return rc < 0 ? rc : cf_buf_append_str(out, "\n", err);
}

static int append_entries(const struct cf_pg_script *script, const struct cf_pg_set *set,
			  size_t table, bool after, struct cf_buf *out, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < set->n; i++) {
		size_t index = set->list[i];

		if (belongs(script, index, table) && comes_after(script, index) == after)
			rc = append_one(script, set, index, out, err);
	}
	return rc;
}

int cf_pg_script_table(const struct cf_pg_script *script, uint32_t oid, const char *copy_stmt,
		       struct cf_buf *before, struct cf_buf *after, struct cf_err *err)
{
	size_t table = cf_pg_graph_relation(script->graph, oid);
	struct cf_pg_set set;
	int rc;

	if (table == CF_PG_NO_ENTRY)
		return cf_err_set(err, CF_ERR_NOT_FOUND,
				  "the archive does not make the table with oid %u", oid);
	rc = cf_pg_set_init(script->graph, &set, err);
	if (rc < 0)
		return rc;
	cf_pg_set_choose(&set, table);
	cf_pg_set_close(script->graph, &set);
	rc = append_head(script, before, err);
	if (rc == 0)
		rc = append_entries(script, &set, table, false, before, err);
	if (rc == 0 && copy_stmt)
		rc = cf_buf_printf(before, err, "%s\n", copy_stmt);
	if (rc == 0)
		rc = cf_buf_append_str(after, copy_stmt ? "\\.\n\n" : "\n", err);
	if (rc == 0)
		rc = append_sequences(script, &set, after, err);
	if (rc == 0)
		rc = append_entries(script, &set, table, true, after, err);
	if (rc == 0)
		rc = cf_buf_printf(after, err, "\\unrestrict %s\n", script->restrict_key);
	cf_pg_set_release(&set);
	return rc;
}
