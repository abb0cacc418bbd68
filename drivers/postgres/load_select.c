/* What of a snapshot is restored. */

#include "base/err.h"
#include "base/tree.h"
#include "drivers/pattern.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/toc.h"
#include "drivers/selector.h"

#include <stdlib.h>
#include <string.h>

#define DOCUMENT_LEN_MAX ((size_t)1 << 30)

static int read_document(struct cf_pg_load *load, const char *name, struct cf_buf *out,
			 struct cf_err *err)
{
	struct cf_buf path = CF_BUF_INIT;
	int rc = cf_buf_printf(&path, err, "%s%s", load->folder, name);

	if (rc == 0)
		rc = cf_tree_read_file(load->tree, (const char *)path.data, DOCUMENT_LEN_MAX, out,
				       err);
	cf_buf_release(&path);
	return rc;
}

static int read_documents(struct cf_pg_load *load, struct cf_err *err)
{
	struct cf_buf document = CF_BUF_INIT;
	int rc = read_document(load, "database.json", &document, err);

	if (rc == 0)
		rc = cf_pg_manifest_decode(cf_buf_span(&document), &load->manifest, err);
	cf_buf_release(&document);
	if (rc == 0)
		rc = read_document(load, "schema.dump", &load->archive, err);
	if (rc == 0) {
		rc = cf_pg_toc_decode(cf_buf_span(&load->archive), &load->toc, err);
		if (rc < 0)
			cf_err_wrap(err, "%sschema.dump", load->folder);
	}
	return rc < 0 ? rc : cf_pg_graph_new(load->toc, &load->graph, err);
}

static bool is_one_of(const char *desc, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(desc, *names) == 0)
			return true;
	return false;
}

/* Of the database itself, or of the session: load.c and load_schema.c see to them. */
static bool is_special(const struct cf_pg_toc_entry *entry)
{
	static const char *const special[] = {"ENCODING", "STDSTRINGS",		 "SEARCHPATH",
					      "DATABASE", "DATABASE PROPERTIES", NULL};

	return is_one_of(entry->desc, special) ||
	       (entry->section == CF_PG_SECTION_NONE && !entry->nspname &&
		strncmp(entry->tag, "DATABASE ", strlen("DATABASE ")) == 0);
}

static bool takes_table(struct cf_pg_load *load, const struct cf_pg_table *table)
{
	return cf_selector_takes(load->selector, load->manifest->name, table->schema, table->name);
}

static bool takes_schema(struct cf_pg_load *load, const char *schema)
{
	return cf_selector_takes_schema(load->selector, load->manifest->name, schema);
}

/* The entry of a table that is not wanted, and all that would not work without it. */
static bool is_excluded(const struct cf_pg_load *load, const bool *excluded, size_t index)
{
	const struct cf_pg_toc_entry *entry = &load->toc->entries[index];

	for (size_t i = 0; i < entry->n_deps; i++) {
		size_t dep = cf_pg_graph_entry(load->graph, entry->deps[i]);

		if (dep != CF_PG_NO_ENTRY && excluded[dep])
			return true;
	}
	return excluded[index];
}

static int choose_all(struct cf_pg_load *load, struct cf_err *err)
{
	bool *excluded = calloc(load->toc->n_entries + 1, sizeof(*excluded));

	if (!excluded)
		return cf_err_nomem(err);
	for (size_t i = 0; i < load->manifest->n_tables; i++) {
		const struct cf_pg_table *table = &load->manifest->tables[i];
		size_t index = cf_pg_graph_relation(load->graph, table->oid);

		if (index != CF_PG_NO_ENTRY && !takes_table(load, table))
			excluded[index] = true;
	}
	/* In the archive's order, what is depended on comes first. */
	for (size_t i = 0; i < load->toc->n_entries; i++) {
		const struct cf_pg_toc_entry *entry = &load->toc->entries[i];
		bool named = excluded[i];

		excluded[i] = is_excluded(load, excluded, i);
		if (excluded[i] && !named && cf_pg_is_relation(entry))
			cf_pg_load_warn_of_entry(load, "restore.left_out", entry,
						 "left out, for it needs a table that is excluded");
		if (!excluded[i] && !is_special(entry))
			cf_pg_set_choose(&load->set, i);
	}
	free(excluded);
	return 0;
}

/* A schema with all that is in it, but for tables: these are asked for one by one. */
static bool is_of_schema(struct cf_pg_load *load, const struct cf_pg_toc_entry *entry)
{
	static const char *const satellites[] = {"COMMENT",	 "ACL",		 "SECURITY LABEL",
						 "TABLE ATTACH", "INDEX ATTACH", NULL};

	if (strcmp(entry->desc, "SCHEMA") == 0)
		return takes_schema(load, entry->tag);
	return entry->nspname && !cf_pg_is_relation(entry) && !is_one_of(entry->desc, satellites) &&
	       takes_schema(load, entry->nspname);
}

static void choose_some(struct cf_pg_load *load)
{
	/* Of a snapshot of tables all of it is these, and what they need. */
	bool of_tables = load->everything && load->manifest->of_tables;

	for (size_t i = 0; i < load->manifest->n_tables; i++) {
		const struct cf_pg_table *table = &load->manifest->tables[i];
		size_t index = cf_pg_graph_relation(load->graph, table->oid);

		if (takes_table(load, table) && index != CF_PG_NO_ENTRY)
			cf_pg_set_choose(&load->set, index);
	}
	for (size_t i = 0; i < load->toc->n_entries; i++) {
		size_t parent = cf_pg_graph_parent(load->graph, i);
		size_t owner = cf_pg_graph_owner(load->graph, i);

		/* Partitions come with the table they are parts of. */
		if (parent != CF_PG_NO_ENTRY && load->set.marks[parent] == CF_PG_CHOSEN)
			cf_pg_set_choose(&load->set, i);
		/* What belongs to a table comes, or stays away, with it. */
		if (owner == CF_PG_NO_ENTRY && !of_tables && is_of_schema(load, &load->toc->entries[i]))
			cf_pg_set_choose(&load->set, i);
	}
}

static int choose_entries(struct cf_pg_load *load, struct cf_err *err)
{
	int rc = cf_pg_set_init(load->graph, &load->set, err);

	if (rc < 0)
		return rc;
	load->everything = cf_selector_takes_all(load->selector);
	load->by_archive = load->everything && load->renames.n == 0;
	if (load->everything && !load->manifest->of_tables)
		return choose_all(load, err);
	choose_some(load);
	cf_pg_set_close(load->graph, &load->set);
	cf_pg_set_attach(load->graph, &load->set);
	return 0;
}

static bool is_chosen(const struct cf_pg_load *load, const struct cf_pg_table *table)
{
	size_t index = cf_pg_graph_relation(load->graph, table->oid);

	/* Configuration tables of extensions have no entry of their own. */
	if (index == CF_PG_NO_ENTRY)
		return load->everything && table->extension;
	return load->set.marks[index] == CF_PG_CHOSEN;
}

static int larger_first(const void *a, const void *b)
{
	const struct cf_pg_load_table *x = a, *y = b;

	if (x->table->bytes != y->table->bytes)
		return x->table->bytes < y->table->bytes ? 1 : -1;
	return x->table->oid < y->table->oid ? -1 : x->table->oid > y->table->oid;
}

static bool takes_data(struct cf_pg_load *load, const struct cf_pg_table *table)
{
	return table->file && cf_selector_takes_data(load->selector, load->manifest->name,
						     table->schema, table->name);
}

static int choose_tables(struct cf_pg_load *load, struct cf_err *err)
{
	load->tables = calloc(load->manifest->n_tables + 1, sizeof(*load->tables));
	if (!load->tables)
		return cf_err_nomem(err);
	for (size_t i = 0; i < load->manifest->n_tables; i++) {
		const struct cf_pg_table *table = &load->manifest->tables[i];
		struct cf_pg_load_table *to = &load->tables[load->n_tables];

		if (!is_chosen(load, table))
			continue;
		to->table = table;
		to->is_new = cf_pg_load_wants_schema(load) && !table->extension;
		cf_renames_apply(&load->renames, table->schema, table->name, &to->schema,
				 &to->name);
		if (!cf_pg_load_wants_data(load) || !takes_data(load, table))
			continue;
		load->bytes += table->bytes;
		load->n_tables++;
	}
	qsort(load->tables, load->n_tables, sizeof(*load->tables), larger_first);
	return 0;
}

/* The server would cut a longer one, and not say so. */
static int check_new_names(const struct cf_pg_load *load, struct cf_err *err)
{
	for (size_t i = 0; i < load->renames.n; i++) {
		const struct cf_rename *rename = &load->renames.items[i];
		const char *const names[] = {rename->new_schema, rename->new_table};

		for (size_t k = 0; k < 2; k++)
			if (names[k] && strlen(names[k]) > CF_PG_NAME_LEN_MAX)
				return cf_err_set(err, CF_ERR_USAGE,
						  "--rename: %s is longer than the %d bytes that a name can have",
						  names[k], CF_PG_NAME_LEN_MAX);
	}
	return 0;
}

/* Names that only --rename matches are asked for here, too, so that a wrong one is found. */
static int check_patterns(struct cf_pg_load *load, struct cf_err *err)
{
	int rc = cf_selector_check(load->selector, err);

	for (size_t i = 0; i < load->toc->n_entries; i++) {
		const char *schema, *name;

		if (strcmp(load->toc->entries[i].desc, "SCHEMA") == 0)
			cf_renames_apply(&load->renames, load->toc->entries[i].tag, NULL, &schema,
					 &name);
	}
	return rc < 0 ? rc : cf_renames_check(&load->renames, err);
}

static size_t count_chosen_relations(const struct cf_pg_load *load)
{
	size_t n = 0;

	for (size_t i = 0; i < load->set.n; i++) {
		size_t index = load->set.list[i];

		n += load->set.marks[index] == CF_PG_CHOSEN &&
		     cf_pg_is_relation(&load->toc->entries[index]);
	}
	return n;
}

int cf_pg_load_select(struct cf_pg_load *load, struct cf_err *err)
{
	int rc = read_documents(load, err);

	if (rc == 0)
		rc = cf_selector_new(&load->options->select, CF_PATTERN_POSTGRES, &load->selector,
				     err);
	if (rc == 0)
		rc = cf_renames_parse(load->options->renames, load->options->n_renames,
				      CF_PATTERN_POSTGRES, &load->renames, err);
	if (rc == 0)
		rc = check_new_names(load, err);
	if (rc == 0)
		rc = choose_entries(load, err);
	if (rc == 0)
		rc = choose_tables(load, err);
	if (rc == 0)
		rc = check_patterns(load, err);
	if (rc == 0)
		load->single = load->renames.n > 0 ||
			       (!load->everything && count_chosen_relations(load) <= 1);
	return rc;
}

void cf_pg_load_release_selection(struct cf_pg_load *load)
{
	free(load->tables);
	cf_pg_roots_release(&load->roots);
	cf_pg_set_release(&load->set);
	cf_renames_release(&load->renames);
	cf_selector_free(load->selector);
	cf_pg_graph_free(load->graph);
	cf_pg_toc_free(load->toc);
	cf_pg_manifest_free(load->manifest);
	cf_buf_release(&load->archive);
}
