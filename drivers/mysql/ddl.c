#include "drivers/mysql/ddl.h"

#include "base/err.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/ddl_scan.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int append_nul(struct cf_buf *out, struct cf_err *err)
{
	int rc = cf_buf_append(out, "", 1, err);

	if (rc == 0)
		out->len--;
	return rc;
}

static int append_between(struct cf_buf *out, const char *from, const char *to, struct cf_err *err)
{
	return cf_buf_append(out, from, (size_t)(to - from), err);
}

static enum cf_mysql_part_kind kind_of(struct cf_span text)
{
	const char *pos = (const char *)text.data;
	struct cf_mysql_token first = cf_mysql_token_next(&pos), next = cf_mysql_token_next(&pos);

	if (first.kind == CF_MYSQL_TOKEN_NAME)
		return CF_MYSQL_PART_COLUMN;
	if (cf_mysql_token_is_word(&first, "PRIMARY"))
		return CF_MYSQL_PART_PRIMARY;
	if (cf_mysql_token_is_word(&first, "UNIQUE"))
		return CF_MYSQL_PART_UNIQUE;
	if (cf_mysql_token_is_word(&first, "KEY"))
		return CF_MYSQL_PART_KEY;
	if (!cf_mysql_token_is_word(&first, "CONSTRAINT") || next.kind != CF_MYSQL_TOKEN_NAME)
		return CF_MYSQL_PART_OTHER;
	next = cf_mysql_token_next(&pos);
	if (cf_mysql_token_is_word(&next, "FOREIGN"))
		return CF_MYSQL_PART_FOREIGN;
	return cf_mysql_token_is_word(&next, "CHECK") ? CF_MYSQL_PART_CHECK : CF_MYSQL_PART_OTHER;
}

static int add_part(struct cf_mysql_create_table *table, const char *from, const char *to,
		    struct cf_err *err)
{
	struct cf_mysql_part *grown;

	while (from < to && isspace((unsigned char)*from))
		from++;
	while (to > from && isspace((unsigned char)to[-1]))
		to--;
	grown = reallocarray(table->parts, table->n_parts + 1, sizeof(*grown));
	if (!grown)
		return cf_err_nomem(err);
	table->parts = grown;
	grown += table->n_parts++;
	grown->text = cf_span_of(from, (size_t)(to - from));
	grown->kind = kind_of(grown->text);
	return 0;
}

int cf_mysql_create_table_parse(const char *create, struct cf_mysql_create_table *table,
				struct cf_err *err)
{
	const char *pos = create, *from = NULL;
	unsigned depth = 0;
	int rc = 0;

	*table = (struct cf_mysql_create_table){.parts = NULL};
	while (rc == 0) {
		struct cf_mysql_token token = cf_mysql_token_next(&pos);

		if (token.kind == CF_MYSQL_TOKEN_END) {
			rc = cf_err_set(err, CF_ERR_DAMAGED,
					"the text of CREATE TABLE ends too early");
		} else if (cf_mysql_token_is_byte(&token, '(')) {
			if (depth++ == 0)
				from = pos;
		} else if (depth == 1 && cf_mysql_token_is_byte(&token, ',')) {
			rc = add_part(table, from, token.text, err);
			from = pos;
		} else if (depth > 0 && cf_mysql_token_is_byte(&token, ')') && --depth == 0) {
			rc = add_part(table, from, token.text, err);
			table->tail = cf_span_str(token.text);
			break;
		}
	}
	if (rc < 0)
		cf_mysql_create_table_release(table);
	return rc;
}

void cf_mysql_create_table_release(struct cf_mysql_create_table *table)
{
	free(table->parts);
	*table = (struct cf_mysql_create_table){.parts = NULL};
}

/* The words of a span; quoted text is passed over. */
static bool has_word(struct cf_span text, const char *word)
{
	const char *pos = (const char *)text.data, *end = pos + text.len;

	while (pos < end) {
		struct cf_mysql_token token = cf_mysql_token_next(&pos);

		if (token.kind == CF_MYSQL_TOKEN_END)
			return false;
		if (token.text < end && cf_mysql_token_is_word(&token, word))
			return true;
	}
	return false;
}

/* The first name between the parentheses of a key. */
static struct cf_mysql_token first_key_column(struct cf_span text)
{
	const char *pos = (const char *)text.data, *end = pos + text.len;
	struct cf_mysql_token token;

	do
		token = cf_mysql_token_next(&pos);
	while (pos < end && !cf_mysql_token_is_byte(&token, '('));
	return cf_mysql_token_next(&pos);
}

/* The name of the AUTO_INCREMENT column; of kind END when there is none. */
static struct cf_mysql_token numbered_column(const struct cf_mysql_create_table *table)
{
	for (size_t i = 0; i < table->n_parts; i++) {
		const char *pos = (const char *)table->parts[i].text.data;

		if (table->parts[i].kind == CF_MYSQL_PART_COLUMN &&
		    has_word(table->parts[i].text, "AUTO_INCREMENT"))
			return cf_mysql_token_next(&pos);
	}
	return (struct cf_mysql_token){.kind = CF_MYSQL_TOKEN_END};
}

bool cf_mysql_create_table_has_primary_key(const struct cf_mysql_create_table *table)
{
	for (size_t i = 0; i < table->n_parts; i++)
		if (table->parts[i].kind == CF_MYSQL_PART_PRIMARY)
			return true;
	return false;
}

bool cf_mysql_create_table_numbers(const struct cf_mysql_create_table *table, const char *column)
{
	struct cf_mysql_token name = numbered_column(table);

	return cf_mysql_token_is_name(&name, column);
}

bool cf_mysql_create_table_has_bare_timestamp(const struct cf_mysql_create_table *table)
{
	for (size_t i = 0; i < table->n_parts; i++) {
		struct cf_span text = table->parts[i].text;
		const char *pos = (const char *)text.data;
		struct cf_mysql_token type;

		if (table->parts[i].kind != CF_MYSQL_PART_COLUMN)
			continue;
		cf_mysql_token_next(&pos);
		type = cf_mysql_token_next(&pos);
		if (cf_mysql_token_is_word(&type, "timestamp") && has_word(text, "NOT") &&
		    !has_word(text, "DEFAULT") && !has_word(text, "GENERATED"))
			return true;
	}
	return false;
}

/* The server wants the AUTO_INCREMENT column to begin a key: true when the primary key does that,
 * or there is none. */
static bool increments_by_primary_key(const struct cf_mysql_create_table *table,
				      const struct cf_mysql_part *primary)
{
	struct cf_mysql_token key = first_key_column(primary->text), name = numbered_column(table);

	return name.kind == CF_MYSQL_TOKEN_END ||
	       (key.len == name.len && !memcmp(key.text, name.text, name.len));
}

/*
 * Adding keys afterwards is faster in InnoDB only, and it must not rebuild the table nor change the
 * keys' order: so not beside FULLTEXT and SPATIAL keys or unique ones over hashes, nor without a
 * primary key, whose place a unique key takes. Tables that remember their history may not be
 * altered without more ado.
 */
static bool can_defer(const struct cf_mysql_create_table *table)
{
	const struct cf_mysql_part *primary = NULL;

	if (!has_word(table->tail, "InnoDB") || has_word(table->tail, "VERSIONING"))
		return false;
	for (size_t i = 0; i < table->n_parts; i++) {
		const struct cf_mysql_part *part = &table->parts[i];

		if (part->kind == CF_MYSQL_PART_OTHER ||
		    (part->kind == CF_MYSQL_PART_UNIQUE && has_word(part->text, "HASH")))
			return false;
		if (part->kind == CF_MYSQL_PART_PRIMARY)
			primary = part;
	}
	return primary && increments_by_primary_key(table, primary);
}

static bool is_deferred(const struct cf_mysql_part *part)
{
	return part->kind == CF_MYSQL_PART_UNIQUE || part->kind == CF_MYSQL_PART_KEY ||
	       part->kind == CF_MYSQL_PART_FOREIGN;
}

static int append_part(struct cf_buf *out, const struct cf_mysql_part *part, bool anonymous,
		       struct cf_err *err)
{
	const char *from = (const char *)part->text.data, *to = from + part->text.len;

	if (anonymous && part->kind == CF_MYSQL_PART_FOREIGN) {
		cf_mysql_token_next(&from);
		cf_mysql_token_next(&from);
		while (*from == ' ')
			from++;
	}
	return append_between(out, from, to, err);
}

/* "ALTER TABLE `t`\n  ADD " before the first part, ",\n  ADD " before others. */
static int begin_add(struct cf_buf *alter, const char *name, struct cf_err *err)
{
	int rc;

	if (alter->len > 0)
		return cf_buf_append_str(alter, ",\n  ADD ", err);
	rc = cf_buf_append_str(alter, "ALTER TABLE ", err);
	if (rc == 0)
		rc = cf_mysql_quote_name(name, alter, err);
	if (rc == 0)
		rc = cf_buf_append_str(alter, "\n  ADD ", err);
	return rc;
}

int cf_mysql_create_table_write(const struct cf_mysql_create_table *table,
				const struct cf_mysql_create_options *options,
				struct cf_buf *create_out, struct cf_buf *keys_out,
				struct cf_buf *foreign_out, struct cf_err *err)
{
	bool defers = options->with_defer && can_defer(table);
	const char *before = " (\n  ";
	int rc;

	cf_buf_clear(create_out);
	cf_buf_clear(keys_out);
	cf_buf_clear(foreign_out);
	rc = cf_buf_append_str(create_out, "CREATE TABLE ", err);
	if (rc == 0)
		rc = cf_mysql_quote_name(options->name, create_out, err);
	for (size_t i = 0; rc == 0 && i < table->n_parts; i++) {
		const struct cf_mysql_part *part = &table->parts[i];
		struct cf_buf *out = create_out;

		if (defers && is_deferred(part)) {
			out = part->kind == CF_MYSQL_PART_FOREIGN ? foreign_out : keys_out;
			rc = begin_add(out, options->name, err);
		} else {
			rc = cf_buf_append_str(create_out, before, err);
			before = ",\n  ";
		}
		if (rc == 0)
			rc = append_part(out, part, options->anonymous_keys, err);
	}
	if (rc == 0)
		rc = cf_buf_append_str(create_out, "\n", err);
	if (rc == 0)
		rc = cf_buf_append(create_out, table->tail.data, table->tail.len, err);
	if (rc == 0)
		rc = append_nul(create_out, err);
	if (rc == 0)
		rc = append_nul(keys_out, err);
	return rc == 0 ? append_nul(foreign_out, err) : rc;
}

int cf_mysql_ddl_set_name(const char *text, const char *word, const char *name, struct cf_buf *out,
			  struct cf_err *err)
{
	const char *pos = text, *from, *ahead;
	struct cf_mysql_token token, own;
	int rc;

	cf_buf_clear(out);
	do
		token = cf_mysql_token_next(&pos);
	while (token.kind != CF_MYSQL_TOKEN_END && !cf_mysql_token_is_word(&token, word));
	while (token.kind != CF_MYSQL_TOKEN_END && token.kind != CF_MYSQL_TOKEN_NAME)
		token = cf_mysql_token_next(&pos);
	if (token.kind == CF_MYSQL_TOKEN_END)
		return cf_err_set(err, CF_ERR_DAMAGED, "the text has no name after %s", word);
	from = token.text;
	own = token;
	ahead = pos;
	token = cf_mysql_token_next(&ahead);
	if (cf_mysql_token_is_byte(&token, '.')) {
		token = cf_mysql_token_next(&ahead);
		if (token.kind == CF_MYSQL_TOKEN_NAME) {
			own = token;
			pos = ahead;
		}
	}
	rc = append_between(out, text, from, err);
	if (rc == 0)
		rc = name ? cf_mysql_quote_name(name, out, err)
			  : cf_buf_append(out, own.text, own.len, err);
	if (rc == 0)
		rc = cf_buf_append_str(out, pos, err);
	return rc == 0 ? append_nul(out, err) : rc;
}

/* Whether a dot follows at pos, right behind a name. */
static bool dot_follows(const char *pos)
{
	struct cf_mysql_token token = cf_mysql_token_next(&pos);

	return cf_mysql_token_is_byte(&token, '.');
}

int cf_mysql_ddl_set_databases(const char *text, cf_mysql_new_name_fn *new_name, void *user,
			       struct cf_buf *out, struct cf_err *err)
{
	const char *pos = text, *copied = text;
	struct cf_buf name = CF_BUF_INIT;
	struct cf_mysql_token token;
	bool after_dot = false;
	int rc = 0;

	cf_buf_clear(out);
	while (rc == 0 && (token = cf_mysql_token_next(&pos)).kind != CF_MYSQL_TOKEN_END) {
		if (!after_dot && token.kind == CF_MYSQL_TOKEN_NAME && dot_follows(pos)) {
			const char *other = NULL;

			rc = cf_mysql_token_unquote(&token, &name, err);
			if (rc == 0)
				other = new_name(user, (const char *)name.data);
			if (other) {
				rc = append_between(out, copied, token.text, err);
				if (rc == 0)
					rc = cf_mysql_quote_name(other, out, err);
				copied = pos;
			}
		}
		after_dot = cf_mysql_token_is_byte(&token, '.');
	}
	if (rc == 0)
		rc = cf_buf_append_str(out, copied, err);
	cf_buf_release(&name);
	return rc == 0 ? append_nul(out, err) : rc;
}

bool cf_mysql_ddl_is_ambiguous(const char *text, const char *db)
{
	const char *pos = text;
	struct cf_mysql_token token;

	while ((token = cf_mysql_token_next(&pos)).kind != CF_MYSQL_TOKEN_END)
		if (cf_mysql_token_is_name(&token, db) && !dot_follows(pos))
			return true;
	return false;
}

bool cf_mysql_ddl_qualifies_foreign(const char *text)
{
	const char *pos = text;
	struct cf_mysql_token token;

	while ((token = cf_mysql_token_next(&pos)).kind != CF_MYSQL_TOKEN_END) {
		bool is_foreign = false;

		for (size_t i = 0; i < token.len; i++)
			is_foreign |= (unsigned char)token.text[i] >= 0x80;
		if (is_foreign && token.kind == CF_MYSQL_TOKEN_NAME && dot_follows(pos))
			return true;
	}
	return false;
}

static bool is_of_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' || ((unsigned char)c & 0x80);
}

/* As a word of its own; before a dot when it qualifies. */
static bool mentions(const char *text, const char *name, bool qualifies)
{
	size_t len = strlen(name);

	if (len == 0)
		return false;
	for (const char *at = strcasestr(text, name); at; at = strcasestr(at + 1, name)) {
		const char *behind = at + len;

		if (at > text && is_of_word(at[-1]))
			continue;
		if (!qualifies && !is_of_word(*behind))
			return true;
		behind += *behind == '`' || *behind == '"';
		behind += strspn(behind, " \t\r\n");
		if (*behind == '.')
			return true;
	}
	return false;
}

bool cf_mysql_ddl_mentions(const char *text, const char *db)
{
	return mentions(text, db, true);
}

bool cf_mysql_ddl_mentions_table(const char *text, const char *table)
{
	return mentions(text, table, false);
}

/* Where a view's text names a table: its columns are written with their table, and a dot. */
static bool stands_before_table(const struct cf_mysql_token *token)
{
	return cf_mysql_token_is_word(token, "FROM") || cf_mysql_token_is_word(token, "JOIN") ||
	       cf_mysql_token_is_word(token, "STRAIGHT_JOIN") || cf_mysql_token_is_byte(token, '(') ||
	       cf_mysql_token_is_byte(token, ',');
}

bool cf_mysql_ddl_view_reads(const char *text, struct cf_mysql_qualified table, bool is_own)
{
	struct cf_mysql_token before = {.kind = CF_MYSQL_TOKEN_END}, last = before, token;
	const char *pos = text;

	for (; (token = cf_mysql_token_next(&pos)).kind != CF_MYSQL_TOKEN_END; before = last, last = token) {
		if (!cf_mysql_token_is_name(&token, table.name))
			continue;
		if (cf_mysql_token_is_byte(&last, '.') ? cf_mysql_token_is_name(&before, table.db)
						       : is_own && stands_before_table(&last) && !dot_follows(pos))
			return true;
	}
	return false;
}

/* Behind user@host, a role's name or CURRENT_USER. */
static const char *skip_account(const char *pos)
{
	const char *ahead;
	struct cf_mysql_token token;

	cf_mysql_token_next(&pos);
	ahead = pos;
	token = cf_mysql_token_next(&ahead);
	if (!cf_mysql_token_is_byte(&token, '@'))
		return pos;
	cf_mysql_token_next(&ahead);
	return ahead;
}

int cf_mysql_ddl_drop_definer(const char *text, struct cf_buf *out, struct cf_err *err)
{
	static const char *const made[] = {"PROCEDURE", "FUNCTION", "TRIGGER",
					   "VIEW",	"EVENT",    "PACKAGE"};
	const char *pos = text, *from = NULL;
	int rc;

	while (!from) {
		struct cf_mysql_token token = cf_mysql_token_next(&pos), equals;
		const char *ahead = pos;

		if (token.kind == CF_MYSQL_TOKEN_END)
			break;
		for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
			if (cf_mysql_token_is_word(&token, made[i]))
				goto copy;
		equals = cf_mysql_token_next(&ahead);
		if (cf_mysql_token_is_word(&token, "DEFINER") &&
		    cf_mysql_token_is_byte(&equals, '=')) {
			from = token.text;
			pos = skip_account(ahead);
			pos += *pos == ' ';
		}
	}
copy:
	cf_buf_clear(out);
	rc = append_between(out, text, from ? from : text, err);
	if (rc == 0)
		rc = cf_buf_append_str(out, from ? pos : text, err);
	return rc == 0 ? append_nul(out, err) : rc;
}

/* The server writes "ON COMPLETION [NOT] PRESERVE ENABLE" before the comment and the body. */
int cf_mysql_ddl_disable_event(const char *text, struct cf_buf *out, struct cf_err *err)
{
	const char *pos = text, *from = NULL;
	struct cf_mysql_token token, before = {.text = NULL};
	int rc;

	while (!from && (token = cf_mysql_token_next(&pos)).kind != CF_MYSQL_TOKEN_END) {
		if (before.text && cf_mysql_token_is_word(&before, "PRESERVE") &&
		    cf_mysql_token_is_word(&token, "ENABLE"))
			from = token.text;
		before = token;
	}
	cf_buf_clear(out);
	rc = append_between(out, text, from ? from : text, err);
	if (rc == 0 && from)
		rc = cf_buf_append_str(out, "DISABLE", err);
	if (rc == 0)
		rc = cf_buf_append_str(out, from ? pos : text, err);
	return rc == 0 ? append_nul(out, err) : rc;
}

/* DIRECTORY = 'text' behind DATA or INDEX; *pos goes behind it. */
static bool take_directory(const char **pos)
{
	const char *ahead = *pos;
	struct cf_mysql_token word = cf_mysql_token_next(&ahead),
			      equals = cf_mysql_token_next(&ahead),
			      value = cf_mysql_token_next(&ahead);

	if (!cf_mysql_token_is_word(&word, "DIRECTORY") || !cf_mysql_token_is_byte(&equals, '=') ||
	    value.kind != CF_MYSQL_TOKEN_STRING)
		return false;
	*pos = ahead;
	return true;
}

int cf_mysql_ddl_drop_directories(const char *text, struct cf_buf *out, struct cf_err *err)
{
	const char *pos = text, *copied = text, *before = text;
	struct cf_mysql_token token;
	int rc = 0;

	cf_buf_clear(out);
	while (rc == 0 && (token = cf_mysql_token_next(&pos)).kind != CF_MYSQL_TOKEN_END) {
		if ((cf_mysql_token_is_word(&token, "DATA") ||
		     cf_mysql_token_is_word(&token, "INDEX")) &&
		    take_directory(&pos)) {
			rc = append_between(out, copied, before, err);
			copied = pos;
		}
		before = pos;
	}
	if (rc == 0)
		rc = cf_buf_append_str(out, copied, err);
	return rc == 0 ? append_nul(out, err) : rc;
}

int cf_mysql_ddl_drop_numbering(const char *text, struct cf_buf *out, struct cf_err *err)
{
	const char *pos = text, *copied = text, *before = text;
	struct cf_mysql_token token;
	int rc = 0;

	cf_buf_clear(out);
	while (rc == 0 && (token = cf_mysql_token_next(&pos)).kind != CF_MYSQL_TOKEN_END) {
		const char *ahead = pos;
		struct cf_mysql_token equals = cf_mysql_token_next(&ahead);

		if (cf_mysql_token_is_word(&token, "AUTO_INCREMENT") &&
		    cf_mysql_token_is_byte(&equals, '=')) {
			cf_mysql_token_next(&ahead);
			rc = append_between(out, copied, before, err);
			copied = pos = ahead;
		}
		before = pos;
	}
	if (rc == 0)
		rc = cf_buf_append_str(out, copied, err);
	return rc == 0 ? append_nul(out, err) : rc;
}

/* Whatever its quotes are. */
static bool is_text(const struct cf_mysql_token *token, const char *text)
{
	size_t quotes = token->kind == CF_MYSQL_TOKEN_NAME || token->kind == CF_MYSQL_TOKEN_STRING;

	return token->len == strlen(text) + 2 * quotes &&
	       strncasecmp(token->text + quotes, text, strlen(text)) == 0;
}

bool cf_mysql_ddl_is_encrypted(const char *create)
{
	struct cf_mysql_token token;

	while ((token = cf_mysql_token_next(&create)).kind != CF_MYSQL_TOKEN_END) {
		const char *ahead = create;
		struct cf_mysql_token equals = cf_mysql_token_next(&ahead),
				      value = cf_mysql_token_next(&ahead);

		if (token.kind != CF_MYSQL_TOKEN_STRING && is_text(&token, "ENCRYPTED") &&
		    cf_mysql_token_is_byte(&equals, '=') && is_text(&value, "YES"))
			return true;
	}
	return false;
}

int cf_mysql_ddl_set_engine(const char *text, const char *from, const char *to, struct cf_buf *out,
			    struct cf_err *err)
{
	const char *pos = text, *copied = text;
	struct cf_mysql_token token;
	int rc = 0;

	cf_buf_clear(out);
	while (rc == 0 && (token = cf_mysql_token_next(&pos)).kind != CF_MYSQL_TOKEN_END) {
		const char *ahead = pos;
		struct cf_mysql_token equals = cf_mysql_token_next(&ahead),
				      engine = cf_mysql_token_next(&ahead);

		if (!cf_mysql_token_is_word(&token, "ENGINE") ||
		    !cf_mysql_token_is_byte(&equals, '=') || !cf_mysql_token_is_word(&engine, from))
			continue;
		rc = append_between(out, copied, engine.text, err);
		if (rc == 0)
			rc = cf_buf_append_str(out, to, err);
		copied = pos = ahead;
	}
	if (rc == 0)
		rc = cf_buf_append_str(out, copied, err);
	return rc == 0 ? append_nul(out, err) : rc;
}

/* `b` or `a`.`b`; db->text is NULL without the first. */
static bool take_name(const char **pos, struct cf_mysql_token *db, struct cf_mysql_token *name)
{
	const char *ahead = *pos, *behind;
	struct cf_mysql_token dot;

	*db = (struct cf_mysql_token){.text = NULL};
	*name = cf_mysql_token_next(&ahead);
	if (name->kind != CF_MYSQL_TOKEN_NAME)
		return false;
	behind = ahead;
	dot = cf_mysql_token_next(&behind);
	if (cf_mysql_token_is_byte(&dot, '.')) {
		*db = *name;
		*name = cf_mysql_token_next(&behind);
		ahead = behind;
	}
	*pos = ahead;
	return name->kind == CF_MYSQL_TOKEN_NAME;
}

static int tell_name(const struct cf_mysql_token *db, const struct cf_mysql_token *name,
		     cf_mysql_name_fn *each, void *user, struct cf_err *err)
{
	struct cf_buf db_text = CF_BUF_INIT, name_text = CF_BUF_INIT;
	int rc = db->text ? cf_mysql_token_unquote(db, &db_text, err) : 0;

	if (rc == 0)
		rc = cf_mysql_token_unquote(name, &name_text, err);
	if (rc == 0)
		rc = each(user, db->text ? (const char *)db_text.data : "",
			  (const char *)name_text.data, err);
	cf_buf_release(&db_text);
	cf_buf_release(&name_text);
	return rc;
}

/* The sequence that is called at *pos, behind nextval or lastval; *pos goes behind its name. */
static bool take_sequence(const struct cf_mysql_token *call, const char **pos,
			  struct cf_mysql_token *db, struct cf_mysql_token *name)
{
	struct cf_mysql_token token;
	const char *ahead = *pos;

	if (!cf_mysql_token_is_word(call, "nextval") && !cf_mysql_token_is_word(call, "lastval"))
		return false;
	token = cf_mysql_token_next(&ahead);
	if (!cf_mysql_token_is_byte(&token, '(') || !take_name(&ahead, db, name))
		return false;
	*pos = ahead;
	return db->text != NULL;
}

/* The table that *pos stands before, behind REFERENCES; *pos goes behind its name. */
static bool take_reference(const struct cf_mysql_token *word, const char **pos,
			   struct cf_mysql_token *db, struct cf_mysql_token *name)
{
	return cf_mysql_token_is_word(word, "REFERENCES") && take_name(pos, db, name);
}

int cf_mysql_ddl_sequences(const char *text, cf_mysql_name_fn *each, void *user, struct cf_err *err)
{
	struct cf_mysql_token token, db, name;
	const char *pos = text;
	int rc = 0;

	while (rc == 0 && (token = cf_mysql_token_next(&pos)).kind != CF_MYSQL_TOKEN_END)
		if (take_sequence(&token, &pos, &db, &name))
			rc = tell_name(&db, &name, each, user, err);
	return rc;
}

struct renaming {
	cf_mysql_new_names_fn *new_names;
	void *user;
	struct cf_buf *out;
	bool is_done;
};

static int append_new_names(void *user, const char *db, const char *name, struct cf_err *err)
{
	struct renaming *renaming = user;
	struct cf_mysql_qualified to;
	int rc;

	renaming->is_done = renaming->new_names(
		renaming->user, (struct cf_mysql_qualified){.db = db, .name = name}, &to);
	if (!renaming->is_done)
		return 0;
	rc = cf_mysql_quote_name(to.db, renaming->out, err);
	if (rc == 0)
		rc = cf_buf_append_str(renaming->out, ".", err);
	return rc == 0 ? cf_mysql_quote_name(to.name, renaming->out, err) : rc;
}

typedef bool take_fn(const struct cf_mysql_token *word, const char **pos, struct cf_mysql_token *db,
		     struct cf_mysql_token *name);

static int set_names(const char *text, take_fn *take, struct renaming *renaming, struct cf_err *err)
{
	const char *pos = text, *copied = text;
	struct cf_mysql_token token, db, name;
	int rc = 0;

	cf_buf_clear(renaming->out);
	while (rc == 0 && (token = cf_mysql_token_next(&pos)).kind != CF_MYSQL_TOKEN_END) {
		const char *from;

		if (!take(&token, &pos, &db, &name))
			continue;
		from = db.text ? db.text : name.text;
		rc = append_between(renaming->out, copied, from, err);
		copied = from;
		if (rc == 0)
			rc = tell_name(&db, &name, append_new_names, renaming, err);
		if (rc == 0 && renaming->is_done)
			copied = pos;
	}
	if (rc == 0)
		rc = cf_buf_append_str(renaming->out, copied, err);
	return rc == 0 ? append_nul(renaming->out, err) : rc;
}

int cf_mysql_ddl_set_sequences(const char *text, cf_mysql_new_names_fn *new_names, void *user,
			       struct cf_buf *out, struct cf_err *err)
{
	struct renaming renaming = {.new_names = new_names, .user = user, .out = out};

	return set_names(text, take_sequence, &renaming, err);
}

int cf_mysql_ddl_set_references(const char *text, cf_mysql_new_names_fn *new_names, void *user,
				struct cf_buf *out, struct cf_err *err)
{
	struct renaming renaming = {.new_names = new_names, .user = user, .out = out};

	return set_names(text, take_reference, &renaming, err);
}

int cf_mysql_ddl_references(const char *text, cf_mysql_name_fn *each, void *user,
			    struct cf_err *err)
{
	struct cf_mysql_token token, db, name;
	const char *pos = text;
	int rc = 0;

	while (rc == 0 && (token = cf_mysql_token_next(&pos)).kind != CF_MYSQL_TOKEN_END)
		if (take_reference(&token, &pos, &db, &name))
			rc = tell_name(&db, &name, each, user, err);
	return rc;
}
