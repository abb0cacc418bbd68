#include "base/err.h"
#include "drivers/mysql/ddl.h"
#include "drivers/mysql/load.h"
#include "drivers/mysql/manifest_json.h"
#include "drivers/selector.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

char *cf_mysql_load_label(const char *kind, const char *database, const char *name)
{
	char *label;

	return asprintf(&label, "%s %s.%s", kind, database, name) < 0 ? NULL : label;
}

/* The target's index. */
static int target_named(struct cf_mysql_load *load, const char *name,
			const struct cf_mysql_load_source *like, size_t *index_out,
			struct cf_err *err)
{
	struct cf_mysql_load_target *target;

	for (size_t i = 0; i < load->n_targets; i++)
		if (!strcmp(load->targets[i].name, name)) {
			*index_out = i;
			return 0;
		}
	target = cf_mysql_grow(&load->targets, &load->n_targets, sizeof(*target));
	if (!target)
		return cf_err_nomem(err);
	target->name = strdup(name);
	target->like = like;
	*index_out = load->n_targets - 1;
	return target->name ? 0 : cf_err_nomem(err);
}

/* Where something goes: by --rename, else the database that the target's URL names, else as it was.
 * name is a table's, or NULL. */
static int place(struct cf_mysql_load *load, const struct cf_mysql_load_source *source,
		 const char *name, size_t *target_out, const char **name_out, struct cf_err *err)
{
	const char *old = source->manifest.database, *database, *ignored;

	cf_renames_apply(&load->renames, old, name, &database, name_out ? name_out : &ignored);
	if (database == old && load->url.n_databases > 0)
		database = load->url.databases[0];
	return target_named(load, database, source, target_out, err);
}

static int add_table(struct cf_mysql_load *load, const struct cf_mysql_load_source *source,
		     const struct cf_mysql_table *from, struct cf_err *err)
{
	struct cf_mysql_load_table *table =
		cf_mysql_grow(&load->tables, &load->n_tables, sizeof(*table));
	const char *name;
	int rc;

	if (!table)
		return cf_err_nomem(err);
	table->source = source;
	table->from = from;
	rc = place(load, source, from->name, &table->target, &name, err);
	if (rc < 0)
		return rc;
	table->name = strdup(name);
	table->label = cf_mysql_load_label("table", load->targets[table->target].name, name);
	if (!table->name || !table->label)
		return cf_err_nomem(err);
	if (from->data_len > 0 && !load->options->schema_only &&
	    cf_selector_takes_data(load->selector, NULL, source->manifest.database, from->name)) {
		table->path = cf_mysql_source_path(source, "tables", from->file);
		if (!table->path)
			return cf_err_nomem(err);
		table->next_off = from->data_off;
	}
	return 0;
}

static bool has_table(const struct cf_mysql_load *load, const struct cf_mysql_load_source *source,
		      const char *name, const char **new_name)
{
	for (size_t i = 0; i < load->n_tables; i++)
		if (load->tables[i].source == source && !strcmp(load->tables[i].from->name, name)) {
			*new_name = load->tables[i].name;
			return true;
		}
	return false;
}

struct needed {
	const struct cf_mysql_load_source *source;
	const char *sequence;
	bool found;
};

static int is_needed(void *user, const char *db, const char *sequence, struct cf_err *err)
{
	struct needed *needed = user;

	if (!strcmp(db, needed->source->manifest.database) && !strcmp(sequence, needed->sequence))
		needed->found = true;
	return 0;
}

/* A chosen table's default takes its numbers from it. */
static int sequence_is_needed(const struct cf_mysql_load *load,
			      const struct cf_mysql_load_source *source, const char *name,
			      bool *needed_out, struct cf_err *err)
{
	struct needed needed = {.source = source, .sequence = name};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < load->n_tables && !needed.found; i++)
		rc = cf_mysql_ddl_sequences(load->tables[i].from->create, is_needed, &needed, err);
	*needed_out = needed.found;
	return rc;
}

/* A trigger of a table with another name would need another name, too: names of triggers are unique
 * in a database. */
static bool keeps_trigger(const struct cf_mysql_load *load,
			  const struct cf_mysql_load_source *source,
			  const struct cf_mysql_object *from)
{
	const char *new_name;

	if (!has_table(load, source, from->trigger.table, &new_name))
		return false;
	if (!strcmp(new_name, from->trigger.table))
		return true;
	cf_ctx_warn(
		load->ctx, "trigger.skipped", from->name,
		"table %s.%s comes back as %s without its trigger %s: make it with a name of its "
		"own",
		source->manifest.database, from->trigger.table, new_name, from->name);
	return false;
}

static int wants_object(const struct cf_mysql_load *load, const struct cf_mysql_load_source *source,
			const struct cf_mysql_object *from, bool *wants_out, bool *is_implied_out,
			struct cf_err *err)
{
	const char *database = source->manifest.database;
	bool matches = false;

	*wants_out = *is_implied_out = false;
	if (from->kind == CF_MYSQL_VIEW || from->kind == CF_MYSQL_SEQUENCE)
		matches = cf_selector_takes(load->selector, NULL, database, from->name);
	if (from->kind == CF_MYSQL_SEQUENCE && !matches && !load->options->data_only &&
	    !cf_selector_excludes(load->selector, NULL, database, from->name)) {
		*is_implied_out = true;
		return sequence_is_needed(load, source, from->name, wants_out, err);
	}
	if (from->kind == CF_MYSQL_SEQUENCE)
		*wants_out = matches && (!load->options->data_only || from->value);
	else if (load->options->data_only)
		*wants_out = false;
	else if (from->kind == CF_MYSQL_VIEW)
		*wants_out = matches;
	else if (from->kind == CF_MYSQL_TRIGGER)
		*wants_out = keeps_trigger(load, source, from);
	else
		*wants_out = source->is_whole;
	return 0;
}

static int add_object(struct cf_mysql_load *load, const struct cf_mysql_load_source *source,
		      const struct cf_mysql_object *from, struct cf_err *err)
{
	bool is_table_like = from->kind == CF_MYSQL_VIEW || from->kind == CF_MYSQL_SEQUENCE;
	struct cf_mysql_load_object *object;
	const char *name = from->name;
	bool wants, is_implied;
	int rc = wants_object(load, source, from, &wants, &is_implied, err);

	if (rc < 0 || !wants)
		return rc;
	object = cf_mysql_grow(&load->objects, &load->n_objects, sizeof(*object));
	if (!object)
		return cf_err_nomem(err);
	object->source = source;
	object->from = from;
	object->is_implied = is_implied;
	rc = is_table_like ? place(load, source, from->name, &object->target, &name, err)
			   : place(load, source, NULL, &object->target, NULL, err);
	if (rc < 0)
		return rc;
	object->name = strdup(name);
	object->label = cf_mysql_load_label(cf_mysql_kind_name(from->kind),
					    load->targets[object->target].name, name);
	return object->name && object->label ? 0 : cf_err_nomem(err);
}

static int select_tables(struct cf_mysql_load *load, struct cf_mysql_load_source *source,
			 struct cf_err *err)
{
	const struct cf_mysql_manifest *manifest = &source->manifest;
	int rc = 0;

	source->is_whole = cf_selector_takes_schema(load->selector, NULL, manifest->database);
	for (size_t i = 0; rc == 0 && i < manifest->n_tables; i++)
		if (cf_selector_takes(load->selector, NULL, manifest->database,
				      manifest->tables[i].name))
			rc = add_table(load, source, &manifest->tables[i], err);
	return rc;
}

static int select_objects(struct cf_mysql_load *load, struct cf_mysql_load_source *source,
			  struct cf_err *err)
{
	const struct cf_mysql_manifest *manifest = &source->manifest;
	size_t target;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < manifest->n_objects; i++)
		rc = add_object(load, source, &manifest->objects[i], err);
	/* A whole database is made also when it is empty. */
	if (rc == 0 && source->is_whole) {
		rc = place(load, source, NULL, &target, NULL, err);
		if (rc == 0)
			load->targets[target].is_whole = true;
	}
	return rc;
}

/* The one database of the target's URL takes one database of the snapshot. */
static int check_url(struct cf_mysql_load *load, struct cf_err *err)
{
	const struct cf_mysql_load_source *first = NULL;

	for (size_t i = 0; i < load->n_sources; i++) {
		struct cf_mysql_load_source *source = &load->sources[i];

		for (size_t j = 0; j < load->n_tables; j++)
			source->is_wanted |= load->tables[j].source == source;
		for (size_t j = 0; j < load->n_objects; j++)
			source->is_wanted |= load->objects[j].source == source;
		source->is_wanted |= source->is_whole;
		if (!source->is_wanted)
			continue;
		if (first && load->url.n_databases > 0)
			return cf_err_set(err, CF_ERR_USAGE,
					  "databases %s and %s cannot both go into %s: choose one "
					  "by --schema, or name no database in the target",
					  first->manifest.database, source->manifest.database,
					  load->url.databases[0]);
		first = source;
	}
	return 0;
}

static int compare_order(const void *a, const void *b)
{
	const struct cf_mysql_load_object *first = a, *second = b;

	if (first->from->kind != second->from->kind)
		return first->from->kind < second->from->kind ? -1 : 1;
	if (first->source != second->source)
		return first->source < second->source ? -1 : 1;
	return first->from < second->from ? -1 : first->from > second->from;
}

static int compare_size(const void *a, const void *b)
{
	const struct cf_mysql_load_table *first = a, *second = b;

	if (first->from->data_len != second->from->data_len)
		return first->from->data_len > second->from->data_len ? -1 : 1;
	return first->source != second->source ? (first->source < second->source ? -1 : 1)
					       : strcmp(first->from->name, second->from->name);
}

/* What shares the names of a database's tables. */
struct named {
	size_t target;
	const char *name, *label;
};

static int compare_named(const void *a, const void *b)
{
	const struct named *first = a, *second = b;

	if (first->target != second->target)
		return first->target < second->target ? -1 : 1;
	return strcmp(first->name, second->name);
}

static int compare_folded(const void *a, const void *b)
{
	const struct named *first = a, *second = b;

	if (first->target != second->target)
		return first->target < second->target ? -1 : 1;
	return strcasecmp(first->name, second->name);
}

static size_t list_names(const struct cf_mysql_load *load, struct named *names)
{
	size_t n = 0;

	for (size_t i = 0; i < load->n_tables; i++)
		names[n++] = (struct named){.target = load->tables[i].target,
					    .name = load->tables[i].name,
					    .label = load->tables[i].label};
	for (size_t i = 0; i < load->n_objects; i++)
		if (load->objects[i].from->kind == CF_MYSQL_VIEW ||
		    load->objects[i].from->kind == CF_MYSQL_SEQUENCE)
			names[n++] = (struct named){.target = load->objects[i].target,
						    .name = load->objects[i].name,
						    .label = load->objects[i].label};
	return n;
}

static int check_databases(const struct cf_mysql_load *load, struct cf_err *err)
{
	for (size_t i = 0; load->folds && i < load->n_targets; i++)
		for (size_t j = 0; j < i; j++)
			if (!strcasecmp(load->targets[i].name, load->targets[j].name))
				return cf_err_set(
					err, CF_ERR_USAGE,
					"to this server, whose names have no case, databases "
					"%s and %s are one: --rename gives another name",
					load->targets[j].name, load->targets[i].name);
	return 0;
}

/* Two things may not become one, by --rename or because the server's names have no case. */
static int check_names(const struct cf_mysql_load *load, struct cf_err *err)
{
	int (*compare)(const void *, const void *) = load->folds ? compare_folded : compare_named;
	struct named *names = calloc(load->n_tables + load->n_objects + 1, sizeof(*names));
	int rc = names ? check_databases(load, err) : cf_err_nomem(err);
	size_t n = rc == 0 ? list_names(load, names) : 0;

	if (n > 0)
		qsort(names, n, sizeof(*names), compare);
	for (size_t i = 1; rc == 0 && i < n; i++)
		if (compare(&names[i - 1], &names[i]) == 0)
			rc = cf_err_set(
				err, CF_ERR_USAGE,
				"%s and %s of the snapshot would become one: --rename gives "
				"another name",
				names[i - 1].label, names[i].label);
	free(names);
	return rc;
}

static int make_texts(struct cf_mysql_load *load, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < load->n_tables; i++)
		rc = cf_mysql_load_table_text(load, &load->tables[i], err);
	for (size_t i = 0; rc == 0 && i < load->n_objects; i++)
		rc = cf_mysql_load_object_text(load, &load->objects[i], err);
	return rc;
}

int cf_mysql_load_select(struct cf_mysql_load *load, struct cf_err *err)
{
	struct cf_mysql_origin origin = {.any_case = false};
	int rc =
		cf_mysql_sources_read(load->tree, &load->sources, &load->n_sources, &origin, err);

	if (origin.any_case)
		load->pattern_flags |= CF_PATTERN_ANY_CASE;
	if (rc == 0)
		rc = cf_selector_new(&load->options->select, load->pattern_flags, &load->selector,
				     err);
	if (rc == 0)
		rc = cf_renames_parse(load->options->renames, load->options->n_renames,
				      load->pattern_flags, &load->renames, err);
	for (size_t i = 0; rc == 0 && i < load->n_sources; i++)
		rc = select_tables(load, &load->sources[i], err);
	for (size_t i = 0; rc == 0 && i < load->n_sources; i++)
		rc = select_objects(load, &load->sources[i], err);
	if (rc == 0)
		rc = cf_selector_check(load->selector, err);
	if (rc == 0)
		rc = cf_renames_check(&load->renames, err);
	if (rc == 0)
		rc = check_url(load, err);
	if (rc == 0)
		rc = check_names(load, err);
	if (rc < 0)
		return rc;
	if (load->n_tables > 0)
		qsort(load->tables, load->n_tables, sizeof(*load->tables), compare_size);
	if (load->n_objects > 0)
		qsort(load->objects, load->n_objects, sizeof(*load->objects), compare_order);
	return make_texts(load, err);
}
