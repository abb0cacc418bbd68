#include "base/err.h"
#include "drivers/mysql/ddl.h"
#include "drivers/mysql/dump.h"
#include "drivers/mysql/manifest_sink.h"
#include "drivers/mysql/verify.h"
#include "drivers/pattern.h"
#include "drivers/selector.h"

#include <stdlib.h>
#include <string.h>

/* One check of a table compares the parts of some kinds, in their order. */
static const struct {
	const char *name;
	unsigned kinds;
} groups[] = {
	{"columns", 1u << CF_MYSQL_PART_COLUMN},
	{"indexes", 1u << CF_MYSQL_PART_PRIMARY | 1u << CF_MYSQL_PART_UNIQUE |
			    1u << CF_MYSQL_PART_KEY | 1u << CF_MYSQL_PART_OTHER},
	{"constraints", 1u << CF_MYSQL_PART_FOREIGN | 1u << CF_MYSQL_PART_CHECK},
};

static const struct cf_mysql_part *next_of(const struct cf_mysql_create_table *table,
					   unsigned kinds, size_t *at)
{
	while (*at < table->n_parts) {
		const struct cf_mysql_part *part = &table->parts[(*at)++];

		if (kinds & 1u << part->kind)
			return part;
	}
	return NULL;
}

static bool same_span(struct cf_span a, struct cf_span b)
{
	return a.len == b.len && !memcmp(a.data, b.data, a.len);
}

static void compare_group(struct cf_mysql_verify *verify, const char *label, size_t group,
			  const struct cf_mysql_create_table *expected,
			  const struct cf_mysql_create_table *actual)
{
	unsigned kinds = groups[group].kinds;
	const struct cf_mysql_part *a, *b;
	size_t at_a = 0, at_b = 0;

	do {
		a = next_of(expected, kinds, &at_a);
		b = next_of(actual, kinds, &at_b);
	} while (a && b && same_span(a->text, b->text));
	if (!a && !b)
		cf_mysql_verify_tell(verify, groups[group].name, label, true, NULL);
	else
		cf_mysql_verify_tell(
			verify, groups[group].name, label, false, "%.*s where there should be %.*s",
			b ? (int)b->text.len : 7, b ? (const char *)b->text.data : "nothing",
			a ? (int)a->text.len : 7, a ? (const char *)a->text.data : "nothing");
}

static int compare_tables(struct cf_mysql_verify *verify, const char *label,
			  const char *expected_text, const char *actual_text, struct cf_err *err)
{
	struct cf_mysql_create_table expected = {.parts = NULL}, actual = {.parts = NULL};
	int rc = cf_mysql_create_table_parse(expected_text, &expected, err);

	if (rc == 0)
		rc = cf_mysql_create_table_parse(actual_text, &actual, err);
	for (size_t i = 0; rc == 0 && i < sizeof(groups) / sizeof(groups[0]); i++)
		compare_group(verify, label, i, &expected, &actual);
	if (rc == 0 && same_span(expected.tail, actual.tail))
		cf_mysql_verify_tell(verify, "table_options", label, true, NULL);
	else if (rc == 0)
		cf_mysql_verify_tell(verify, "table_options", label, false,
				     "%s where there should be %s", (const char *)actual.tail.data,
				     (const char *)expected.tail.data);
	cf_mysql_create_table_release(&expected);
	cf_mysql_create_table_release(&actual);
	return rc;
}

static const struct cf_mysql_table *table_named(const struct cf_mysql_manifest *manifest,
						const char *name)
{
	for (size_t i = 0; i < manifest->n_tables; i++)
		if (!strcmp(manifest->tables[i].name, name))
			return &manifest->tables[i];
	return NULL;
}

static int check_table(struct cf_mysql_verify *verify, const struct cf_mysql_load_source *source,
		       const struct cf_mysql_table *table, const struct cf_mysql_manifest *actual,
		       struct cf_err *err)
{
	const struct cf_mysql_table *found = table_named(actual, table->name);
	char *label = cf_mysql_verify_label(source, table->name);
	struct cf_buf expected = CF_BUF_INIT;
	int rc = label ? cf_mysql_verify_expect_table(verify, table->create, &expected, err)
		       : cf_err_nomem(err);

	if (rc == 0 && found)
		rc = compare_tables(verify, label, (const char *)expected.data, found->create, err);
	else if (rc == 0)
		cf_mysql_verify_tell(verify, "table", label, false, "missing");
	cf_buf_release(&expected);
	free(label);
	return rc;
}

static const struct cf_mysql_object *object_like(const struct cf_mysql_manifest *manifest,
						 const struct cf_mysql_object *object)
{
	for (size_t i = 0; i < manifest->n_objects; i++)
		if (manifest->objects[i].kind == object->kind &&
		    !strcmp(manifest->objects[i].name, object->name))
			return &manifest->objects[i];
	return NULL;
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

/* The server told no columns of it: it can be made nowhere, or the backup's user might not use what
 * it names. */
static bool is_broken_view(const struct cf_mysql_object *object)
{
	return object->kind == CF_MYSQL_VIEW && object->n_columns == 0;
}

static bool same_columns(const struct cf_mysql_object *a, const struct cf_mysql_object *b)
{
	for (size_t i = 0; i < a->n_columns && i < b->n_columns; i++)
		if (strcmp(a->columns[i], b->columns[i]) != 0)
			return false;
	return a->n_columns == b->n_columns;
}

static bool act_together(const struct cf_mysql_object *a, const struct cf_mysql_object *b)
{
	return b->kind == CF_MYSQL_TRIGGER && same(a->trigger.table, b->trigger.table) &&
	       same(a->trigger.timing, b->trigger.timing) &&
	       same(a->trigger.event, b->trigger.event);
}

/* The one that acts just before a trigger, of those that the other manifest has, too; or NULL. A
 * manifest has them in the order in which they act. */
static const struct cf_mysql_object *acts_before(const struct cf_mysql_manifest *manifest,
						 const struct cf_mysql_object *trigger,
						 const struct cf_mysql_manifest *other)
{
	const struct cf_mysql_object *before = NULL;

	for (size_t i = 0; i < manifest->n_objects && &manifest->objects[i] != trigger; i++)
		if (act_together(trigger, &manifest->objects[i]) &&
		    object_like(other, &manifest->objects[i]))
			before = &manifest->objects[i];
	return before;
}

static bool acts_in_turn(const struct cf_mysql_manifest *expected,
			 const struct cf_mysql_object *object,
			 const struct cf_mysql_manifest *actual,
			 const struct cf_mysql_object *found)
{
	const struct cf_mysql_object *before = acts_before(expected, object, actual),
				     *found_before = acts_before(actual, found, expected);

	return same(before ? before->name : NULL, found_before ? found_before->name : NULL);
}

/* What differs, or NULL. expected and text: what should be and what is. */
static const char *difference(const struct cf_mysql_object *object,
			      const struct cf_mysql_object *found, const char *expected,
			      const char *text, bool moved)
{
	/* A view whose text the backup put together, for the server did not show it. */
	bool is_composed = object->kind == CF_MYSQL_VIEW && !object->session.character_set_client;
	/* A trigger in a database of another name was made of its parts. */
	bool by_parts = moved && object->kind == CF_MYSQL_TRIGGER;

	if (is_composed)
		return same(object->definer, found->definer) || moved ? NULL : "its definer";
	if (!by_parts && strcmp(expected, text) != 0)
		return "its text";
	/* Views in scratch databases are those of whoever verifies. */
	if (!(moved && object->kind == CF_MYSQL_VIEW) && !same(object->definer, found->definer))
		return "its definer";
	if (!same(object->value, found->value))
		return "its value";
	if (!is_broken_view(object) && !same_columns(object, found))
		return "its columns";
	if (!same(object->trigger.table, found->trigger.table) ||
	    !same(object->trigger.timing, found->trigger.timing) ||
	    !same(object->trigger.event, found->trigger.event) ||
	    !same(object->trigger.body, found->trigger.body))
		return "its table, time or body";
	if (!same(object->session.sql_mode, found->session.sql_mode))
		return "its sql_mode";
	if (!same(object->session.character_set_client, found->session.character_set_client) ||
	    !same(object->session.collation_connection, found->session.collation_connection))
		return "its character set";
	if (!moved && !same(object->session.database_collation, found->session.database_collation))
		return "the collation of its database";
	return same(object->session.time_zone, found->session.time_zone) ? NULL : "its time zone";
}

static const char *check_name(enum cf_mysql_kind kind)
{
	return kind == CF_MYSQL_PACKAGE_BODY ? "package_body" : cf_mysql_kind_name(kind);
}

size_t cf_mysql_verify_broken_views(const struct cf_mysql_manifest *manifest)
{
	size_t n = 0;

	for (size_t i = 0; i < manifest->n_objects; i++)
		n += is_broken_view(&manifest->objects[i]);
	return n;
}

/* The text that a restored object is to have, and the one that it has. */
static int expect_object(struct cf_mysql_verify *verify, const struct cf_mysql_object *object,
			 const struct cf_mysql_object *found, struct cf_buf *expected,
			 struct cf_buf *text, struct cf_err *err)
{
	bool is_shared = verify->options->against != NULL;
	struct cf_buf moved = CF_BUF_INIT;
	int rc;

	if (object->kind == CF_MYSQL_VIEW && is_shared) {
		rc = cf_mysql_verify_expect(verify, object->create, &moved, err);
		if (rc == 0)
			rc = cf_mysql_ddl_drop_definer((const char *)moved.data, expected, err);
		cf_buf_release(&moved);
		return rc == 0 ? cf_mysql_ddl_drop_definer(found->create, text, err) : rc;
	}
	if (object->kind == CF_MYSQL_VIEW || object->kind == CF_MYSQL_SEQUENCE)
		rc = cf_mysql_verify_expect(verify, object->create, expected, err);
	else if (object->kind == CF_MYSQL_EVENT && is_shared)
		rc = cf_mysql_ddl_disable_event(object->create, expected, err);
	else
		rc = cf_buf_append(expected, object->create, strlen(object->create) + 1, err);
	return rc == 0 ? cf_buf_append(text, found->create, strlen(found->create) + 1, err) : rc;
}

static int compare_object(struct cf_mysql_verify *verify, size_t index, const char *label,
			  const struct cf_mysql_object *object,
			  const struct cf_mysql_manifest *actual,
			  const struct cf_mysql_object *found, struct cf_err *err)
{
	bool moved = strcmp(verify->sources[index].manifest.database, verify->names[index]) != 0;
	struct cf_buf expected = CF_BUF_INIT, text = CF_BUF_INIT;
	int rc = expect_object(verify, object, found, &expected, &text, err);
	const char *differs;

	if (rc == 0) {
		differs = difference(object, found, (const char *)expected.data,
				     (const char *)text.data, moved);
		if (!differs && object->kind == CF_MYSQL_TRIGGER &&
		    !acts_in_turn(&verify->sources[index].manifest, object, actual, found))
			differs = "its turn among its table's triggers";
		cf_mysql_verify_tell(verify, check_name(object->kind), label, !differs,
				     differs ? "%s differs" : NULL, differs);
	}
	cf_buf_release(&expected);
	cf_buf_release(&text);
	return rc;
}

static int check_object(struct cf_mysql_verify *verify, size_t index,
			const struct cf_mysql_object *object,
			const struct cf_mysql_manifest *actual, struct cf_err *err)
{
	const struct cf_mysql_object *found = object_like(actual, object);
	char *label = cf_mysql_verify_label(&verify->sources[index], object->name);
	bool was_broken = is_broken_view(object);
	int rc = 0;

	if (!label)
		return cf_err_nomem(err);
	if (found)
		rc = compare_object(verify, index, label, object, actual, found, err);
	else
		cf_mysql_verify_tell(verify, check_name(object->kind), label, was_broken, "%s",
				     was_broken ? "names what is not there, as it did when it was "
						  "saved: not restored"
						: "missing");
	free(label);
	return rc;
}

static int check_database(struct cf_mysql_verify *verify, size_t index,
			  const struct cf_mysql_manifest *actual, struct cf_err *err)
{
	const struct cf_mysql_load_source *source = &verify->sources[index];
	const struct cf_mysql_manifest *expected = &source->manifest;
	size_t n_whole = expected->n_objects - cf_mysql_verify_broken_views(expected);
	int rc = 0;

	cf_mysql_verify_tell(verify, "database", expected->database,
			     same(expected->character_set, actual->character_set) &&
				     same(expected->collation, actual->collation) &&
				     same(expected->comment, actual->comment),
			     "%s, %s", actual->character_set, actual->collation);
	cf_mysql_verify_tell(verify, "table_count", expected->database,
			     expected->n_tables == actual->n_tables, "%zu of %zu", actual->n_tables,
			     expected->n_tables);
	cf_mysql_verify_tell(verify, "object_count", expected->database,
			     actual->n_objects >= n_whole &&
				     actual->n_objects <= expected->n_objects,
			     "%zu of %zu", actual->n_objects, expected->n_objects);
	for (size_t i = 0; rc == 0 && i < expected->n_tables; i++)
		rc = check_table(verify, source, &expected->tables[i], actual, err);
	for (size_t i = 0; rc == 0 && i < expected->n_objects; i++)
		rc = check_object(verify, index, &expected->objects[i], actual, err);
	return rc;
}

static int check_manifest(struct cf_mysql_verify *verify, struct cf_span text, bool *seen,
			  struct cf_err *err)
{
	struct cf_mysql_manifest actual = CF_MYSQL_MANIFEST_INIT;
	int rc = cf_mysql_manifest_decode(text, &actual, err);

	for (size_t i = 0; rc == 0 && i < verify->n_sources; i++)
		if (!seen[i] && !strcmp(verify->names[i], actual.database)) {
			seen[i] = true;
			rc = check_database(verify, i, &actual, err);
			break;
		}
	cf_mysql_manifest_release(&actual);
	return rc;
}

/* The definitions of what was restored, as a backup of it would write them. */
static int dump_definitions(struct cf_mysql_verify *verify, struct cf_sink *sink,
			    struct cf_err *err)
{
	static const char *const everything[] = {"*"};
	const struct cf_selection selection = {.exclude_data = everything, .n_exclude_data = 1};
	struct cf_mysql_dump_options options = {.url = &verify->url, .jobs = 1};
	int rc = cf_selector_new(&selection, CF_PATTERN_MYSQL, &options.selector, err);

	if (rc == 0)
		rc = cf_mysql_dump(&options, &verify->quiet, sink, err);
	cf_selector_free(options.selector);
	return rc;
}

int cf_mysql_verify_schema(struct cf_mysql_verify *verify, struct cf_err *err)
{
	struct cf_mysql_manifest_sink *sink = cf_mysql_manifest_sink_new();
	bool *seen = calloc(verify->n_sources + 1, sizeof(*seen));
	int rc = sink && seen ? dump_definitions(verify, cf_mysql_manifest_sink_base(sink), err)
			      : cf_err_nomem(err);

	for (size_t i = 0; rc == 0 && i < cf_mysql_manifest_sink_count(sink); i++)
		rc = check_manifest(verify, cf_mysql_manifest_sink_text(sink, i), seen, err);
	for (size_t i = 0; rc == 0 && i < verify->n_sources; i++)
		if (!seen[i])
			cf_mysql_verify_tell(verify, "database",
					     verify->sources[i].manifest.database, false,
					     "missing");
	cf_mysql_manifest_sink_free(sink);
	free(seen);
	return rc;
}
