/* Statements for other names and owners. Texts made by the server are rewritten; bodies that a
 * person wrote are not. */

#include "base/err.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/ddl.h"
#include "drivers/mysql/load.h"

#include <stdlib.h>
#include <string.h>

static int set_text(struct cf_buf *out, const char *text, struct cf_err *err)
{
	int rc;

	cf_buf_clear(out);
	rc = cf_buf_append(out, text, strlen(text) + 1, err);
	if (rc == 0)
		out->len--;
	return rc;
}

/* The new name of a whole database of the snapshot, or NULL when it keeps its own. */
static const char *new_database(const struct cf_mysql_load *load,
				const struct cf_mysql_load_source *source)
{
	const char *old = source->manifest.database, *name = old;

	for (size_t i = 0; i < load->renames.n; i++)
		if (!load->renames.items[i].old_table &&
		    !strcmp(load->renames.items[i].old_schema, old))
			name = load->renames.items[i].new_schema;
	if (name == old && source->is_wanted && load->url.n_databases > 0)
		name = load->url.databases[0];
	return strcmp(name, old) != 0 ? name : NULL;
}

static const char *new_name(void *user, const char *db)
{
	struct cf_mysql_load *load = user;

	for (size_t i = 0; i < load->n_sources; i++)
		if (!strcmp(load->sources[i].manifest.database, db))
			return new_database(load, &load->sources[i]);
	return NULL;
}

static bool is_ascii(const char *text)
{
	while (*text && (unsigned char)*text < 0x80)
		text++;
	return *text == '\0';
}

/* Whether the object's text has the bytes of UTF-8, like all names that we know. */
static bool is_of_utf8(const struct cf_mysql_object *object)
{
	const char *set = object->session.character_set_client;

	return !set || !strncmp(set, "utf8", strlen("utf8"));
}

static int check_view(struct cf_mysql_load *load, const struct cf_mysql_object *from,
		      const char *text, const char *label, struct cf_err *err)
{
	for (size_t i = 0; i < load->n_sources; i++) {
		const char *old = load->sources[i].manifest.database;
		const char *name = new_database(load, &load->sources[i]);

		if (name && !is_of_utf8(from) && !is_ascii(old) &&
		    cf_mysql_ddl_qualifies_foreign(text))
			return cf_err_set(
				err, CF_ERR_BUSY,
				"%s cannot follow database %s to %s, for its text is in %s; "
				"leave it out by --exclude-table",
				label, old, name, from->session.character_set_client);
		if (name && cf_mysql_ddl_is_ambiguous(text, old))
			return cf_err_set(err, CF_ERR_BUSY,
					  "%s cannot follow database %s to %s: in its text %s may "
					  "be a table or a column, too; leave it out by "
					  "--exclude-table",
					  label, old, name, old);
	}
	return 0;
}

/* Qualified names in a text that the server wrote. */
static int rename_databases(struct cf_mysql_load *load, struct cf_buf *text, struct cf_err *err)
{
	struct cf_buf renamed = CF_BUF_INIT;
	int rc =
		cf_mysql_ddl_set_databases((const char *)text->data, new_name, load, &renamed, err);

	if (rc == 0)
		rc = set_text(text, (const char *)renamed.data, err);
	cf_buf_release(&renamed);
	return rc;
}

/* What a database of the snapshot is called now. */
static const char *present_database(const struct cf_mysql_load *load, const struct cf_mysql_load_source *source)
{
	const char *name = new_database(load, source);

	return name ? name : source->manifest.database;
}

typedef int set_names_fn(const char *text, cf_mysql_new_names_fn *new_names, void *user, struct cf_buf *out,
			 struct cf_err *err);

/* Of what has a name of its own, where set finds it in a text whose databases have their new names. */
static int rename_objects(set_names_fn *set, cf_mysql_new_names_fn *new_names, void *user, struct cf_buf *text,
			  struct cf_err *err)
{
	struct cf_buf renamed = CF_BUF_INIT;
	int rc = set((const char *)text->data, new_names, user, &renamed, err);

	if (rc == 0)
		rc = set_text(text, (const char *)renamed.data, err);
	cf_buf_release(&renamed);
	return rc;
}

/* In defaults that take their numbers from it. */
static bool new_sequence(void *user, struct cf_mysql_qualified from,
			 struct cf_mysql_qualified *to_out)
{
	const struct cf_mysql_load *load = user;

	for (size_t i = 0; i < load->n_objects; i++) {
		const struct cf_mysql_load_object *object = &load->objects[i];

		if (object->from->kind != CF_MYSQL_SEQUENCE ||
		    strcmp(object->from->name, from.name) != 0 ||
		    strcmp(present_database(load, object->source), from.db) != 0)
			continue;
		*to_out = (struct cf_mysql_qualified){.db = load->targets[object->target].name,
						      .name = object->name};
		return true;
	}
	return false;
}

struct referring {
	const struct cf_mysql_load *load;
	const struct cf_mysql_load_table *table;
};

/* from: its database is the table's own where nothing else is said. The table may go to another database than what it
 * refers to, and that under another name. */
static bool new_parent(void *user, struct cf_mysql_qualified from, struct cf_mysql_qualified *to_out)
{
	const struct referring *referring = user;
	const struct cf_mysql_load *load = referring->load;
	const char *own = load->targets[referring->table->target].name;
	const char *said = *from.db ? from.db : own;

	if (!*from.db)
		from.db = present_database(load, referring->table->source);
	*to_out = from;
	for (size_t i = 0; i < load->n_tables; i++) {
		const struct cf_mysql_load_table *parent = &load->tables[i];

		if (strcmp(parent->from->name, from.name) == 0 &&
		    strcmp(present_database(load, parent->source), from.db) == 0)
			*to_out = (struct cf_mysql_qualified){.db = load->targets[parent->target].name,
							      .name = parent->name};
	}
	return strcmp(to_out->db, said) != 0 || strcmp(to_out->name, from.name) != 0;
}

/* Files in a directory that is named would be those of the table that keeps its name. */
static bool leaves_directories(const struct cf_mysql_load *load,
			       const struct cf_mysql_load_table *table)
{
	return load->is_trial || strcmp(table->name, table->from->name) != 0 ||
	       strcmp(load->targets[table->target].name, table->source->manifest.database) != 0;
}

static int drop_directories(const struct cf_mysql_load *load,
			    const struct cf_mysql_load_table *table, struct cf_buf *text,
			    struct cf_err *err)
{
	struct cf_buf without = CF_BUF_INIT;
	int rc = cf_mysql_ddl_drop_directories((const char *)text->data, &without, err);

	if (rc == 0 && without.len < text->len) {
		cf_ctx_note(load->ctx, "table.directory", table->label,
			    "%s goes where the server keeps its data: DATA DIRECTORY and INDEX "
			    "DIRECTORY belong to the table of the old name",
			    table->label);
		rc = set_text(text, (const char *)without.data, err);
	}
	cf_buf_release(&without);
	return rc;
}

static int reveal_options(struct cf_mysql_load *load, struct cf_buf *text, struct cf_err *err)
{
	struct cf_buf revealed = CF_BUF_INIT;
	int rc = cf_mysql_ddl_reveal_options((const char *)text->data, &revealed, err);

	if (rc == 0 && revealed.len < text->len) {
		load->has_unknown_options = true;
		rc = set_text(text, (const char *)revealed.data, err);
	}
	cf_buf_release(&revealed);
	return rc;
}

/* ARCHIVE takes no number below where its numbering has got to: with rows it gets there anyway. */
static int drop_numbering(const struct cf_mysql_load_table *table, struct cf_buf *text,
			  struct cf_err *err)
{
	const struct cf_mysql_table *from = table->from;
	struct cf_buf without = CF_BUF_INIT;
	int rc;

	if (!table->path || from->rows == 0 || !from->engine || strcasecmp(from->engine, "ARCHIVE"))
		return 0;
	rc = cf_mysql_ddl_drop_numbering((const char *)text->data, &without, err);
	if (rc == 0)
		rc = set_text(text, (const char *)without.data, err);
	cf_buf_release(&without);
	return rc;
}

/* The server of a trial of our own is to look at no other server: a table stands in that holds its
 * rows itself, and has none. */
static int stand_in(struct cf_buf *text, struct cf_err *err)
{
	struct cf_buf changed = CF_BUF_INIT;
	int rc = cf_mysql_ddl_set_engine((const char *)text->data, "FEDERATED", "InnoDB", &changed,
					 err);

	if (rc == 0)
		rc = set_text(text, (const char *)changed.data, err);
	cf_buf_release(&changed);
	return rc;
}

/* Making indexes afterwards takes a statement more: it pays from here on. */
enum { DEFER_LEN_MIN = 1 << 20 };

int cf_mysql_load_table_text(struct cf_mysql_load *load, struct cf_mysql_load_table *table,
			     struct cf_err *err)
{
	struct cf_mysql_create_options options = {
		.name = table->name,
		.with_defer = table->path && table->from->data_len >= DEFER_LEN_MIN,
		.anonymous_keys = strcmp(table->name, table->from->name) != 0,
	};
	struct referring referring = {.load = load, .table = table};
	struct cf_mysql_create_table parsed;
	struct cf_buf text = CF_BUF_INIT;
	int rc;

	if (load->options->data_only)
		return 0;
	rc = set_text(&text, table->from->create, err);
	if (rc == 0)
		rc = rename_databases(load, &text, err);
	if (rc == 0)
		rc = rename_objects(cf_mysql_ddl_set_sequences, new_sequence, load, &text, err);
	if (rc == 0)
		rc = rename_objects(cf_mysql_ddl_set_references, new_parent, &referring, &text, err);
	if (rc == 0)
		rc = reveal_options(load, &text, err);
	if (rc == 0)
		rc = drop_numbering(table, &text, err);
	if (rc == 0 && leaves_directories(load, table))
		rc = drop_directories(load, table, &text, err);
	if (rc == 0 && load->is_trial && !load->is_shared)
		rc = stand_in(&text, err);
	if (rc == 0)
		rc = cf_mysql_create_table_parse((const char *)text.data, &parsed, err);
	if (rc == 0 && load->adds_defaults && cf_mysql_create_table_has_bare_timestamp(&parsed)) {
		cf_mysql_create_table_release(&parsed);
		rc = cf_err_set(
			err, CF_ERR_UNSUPPORTED,
			"the server would give a TIMESTAMP column another default: SET GLOBAL "
			"explicit_defaults_for_timestamp = 1, or start it so");
	}
	if (rc == 0) {
		rc = cf_mysql_create_table_write(&parsed, &options, &table->create, &table->keys,
						 &table->foreign, err);
		cf_mysql_create_table_release(&parsed);
	}
	if (rc < 0)
		cf_err_wrap(err, "%s", table->label);
	cf_buf_release(&text);
	return rc;
}

int cf_mysql_load_append_account(struct cf_buf *out, const char *account, struct cf_err *err)
{
	const char *at = strrchr(account, '@');
	char *user = at ? strndup(account, (size_t)(at - account)) : strdup(account);
	int rc = user ? cf_mysql_quote_name(user, out, err) : cf_err_nomem(err);

	free(user);
	if (rc == 0 && at && at[1]) {
		rc = cf_buf_append_str(out, "@", err);
		if (rc == 0)
			rc = cf_mysql_quote_name(at + 1, out, err);
	}
	return rc;
}

/* What a person wrote may say which database the trigger is in; made of its parts, it does not. */
static int compose_trigger(const struct cf_mysql_object *from, struct cf_buf *out,
			   struct cf_err *err)
{
	const struct cf_mysql_trigger *trigger = &from->trigger;
	int rc;

	cf_buf_clear(out);
	rc = cf_buf_append_str(out, "CREATE", err);
	if (rc == 0 && from->definer) {
		rc = cf_buf_append_str(out, " DEFINER=", err);
		if (rc == 0)
			rc = cf_mysql_load_append_account(out, from->definer, err);
	}
	if (rc == 0)
		rc = cf_buf_append_str(out, " TRIGGER ", err);
	if (rc == 0)
		rc = cf_mysql_quote_name(from->name, out, err);
	if (rc == 0)
		rc = cf_buf_printf(out, err, " %s %s ON ", trigger->timing, trigger->event);
	if (rc == 0)
		rc = cf_mysql_quote_name(trigger->table, out, err);
	if (rc == 0)
		rc = cf_buf_printf(out, err, " FOR EACH ROW %s", trigger->body);
	return rc;
}

/* Its names would be put into a text of another character set. */
static int check_trigger(const struct cf_mysql_object *from, const char *database,
			 struct cf_err *err)
{
	if (is_of_utf8(from) || (is_ascii(from->name) && is_ascii(from->trigger.table) &&
				 (!from->definer || is_ascii(from->definer))))
		return 0;
	return cf_err_set(err, CF_ERR_BUSY,
			  "it names its database %s, and cannot follow it to another name, for its "
			  "text is in %s; leave its table out by --exclude-table",
			  database, from->session.character_set_client);
}

/* By --rename of its own: a view's columns follow no other name of their table, and a body is not rewritten. */
static void warn_of_name(struct cf_mysql_load *load, const struct cf_mysql_load_object *object,
			 const struct cf_mysql_load_source *source, const char *old, size_t target, const char *name)
{
	const struct cf_mysql_object *from = object->from;
	const char *text = from->kind == CF_MYSQL_TRIGGER ? from->trigger.body : from->create;
	const struct cf_mysql_qualified was = {.db = source->manifest.database, .name = old};
	const char *database = load->targets[target].name;

	if (strcmp(old, name) == 0 && strcmp(database, present_database(load, source)) == 0)
		return;
	if (from->kind == CF_MYSQL_VIEW ? cf_mysql_ddl_view_reads(text, was, source == object->source)
					: cf_mysql_ddl_mentions_table(text, old))
		cf_ctx_warn(load->ctx, "table.named", object->label,
			    "%s names %s.%s in its text, and goes on to mean that one, not %s.%s", object->label,
			    was.db, old, database, name);
}

static void warn_of_tables(struct cf_mysql_load *load, const struct cf_mysql_load_object *object)
{
	for (size_t i = 0; i < load->n_tables; i++)
		warn_of_name(load, object, load->tables[i].source, load->tables[i].from->name,
			     load->tables[i].target, load->tables[i].name);
	for (size_t i = 0; i < load->n_objects; i++)
		if (load->objects[i].from->kind == CF_MYSQL_VIEW && &load->objects[i] != object)
			warn_of_name(load, object, load->objects[i].source, load->objects[i].from->name,
				     load->objects[i].target, load->objects[i].name);
}

/* A body is not rewritten: whoever reads it must know. */
static void warn_of_names(struct cf_mysql_load *load, const struct cf_mysql_load_object *object)
{
	for (size_t i = 0; i < load->n_sources; i++) {
		const char *old = load->sources[i].manifest.database;
		const char *name = new_database(load, &load->sources[i]);

		if (name && cf_mysql_ddl_mentions((const char *)object->create.data, old))
			cf_ctx_warn(load->ctx, "database.named", object->label,
				    "%s names database %s in its text, and goes on to mean that "
				    "one, not %s",
				    object->label, old, name);
	}
}

static int drop_definer(struct cf_buf *text, struct cf_err *err)
{
	struct cf_buf plain = CF_BUF_INIT;
	int rc = cf_mysql_ddl_drop_definer((const char *)text->data, &plain, err);

	if (rc == 0)
		rc = set_text(text, (const char *)plain.data, err);
	cf_buf_release(&plain);
	return rc;
}

static int write_object(struct cf_mysql_load *load, struct cf_mysql_load_object *object,
			struct cf_err *err)
{
	const struct cf_mysql_object *from = object->from;
	const char *word = from->kind == CF_MYSQL_VIEW ? "VIEW" : "SEQUENCE";
	const char *old = object->source->manifest.database;
	int rc;

	if (from->kind == CF_MYSQL_VIEW || from->kind == CF_MYSQL_SEQUENCE) {
		const char *name = strcmp(object->name, from->name) != 0 ? object->name : NULL;

		if (name && !is_of_utf8(from) && !is_ascii(name))
			return cf_err_set(err, CF_ERR_UNSUPPORTED,
					  "its text is in %s: give it a name in ASCII",
					  from->session.character_set_client);
		rc = cf_mysql_ddl_set_name(from->create, word, name, &object->create, err);
		if (rc == 0 && from->kind == CF_MYSQL_VIEW)
			rc = check_view(load, from, (const char *)object->create.data,
					object->label, err);
		return rc == 0 ? rename_databases(load, &object->create, err) : rc;
	}
	if (from->kind == CF_MYSQL_TRIGGER && new_database(load, object->source) &&
	    cf_mysql_ddl_mentions(from->create, old)) {
		rc = check_trigger(from, old, err);
		if (rc == 0)
			rc = compose_trigger(from, &object->create, err);
	} else if (from->kind == CF_MYSQL_EVENT && load->is_shared)
		rc = cf_mysql_ddl_disable_event(from->create, &object->create, err);
	else
		rc = set_text(&object->create, from->create, err);
	if (rc == 0)
		warn_of_names(load, object);
	return rc;
}

int cf_mysql_load_object_text(struct cf_mysql_load *load, struct cf_mysql_load_object *object,
			      struct cf_err *err)
{
	int rc = write_object(load, object, err);

	if (rc == 0 && object->from->kind != CF_MYSQL_SEQUENCE)
		warn_of_tables(load, object);
	/* The owner of a view, who may have no right there, is asked what it shows. */
	if (rc == 0 &&
	    (load->options->no_owner || (load->is_shared && object->from->kind == CF_MYSQL_VIEW)))
		rc = drop_definer(&object->create, err);
	if (rc < 0)
		cf_err_wrap(err, "%s", object->label);
	return rc;
}
