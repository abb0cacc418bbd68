#ifndef CF_DRIVERS_MYSQL_DDL_H
#define CF_DRIVERS_MYSQL_DDL_H

/*
 * Statements as the server's SHOW CREATE writes them, taken apart as far as a restore needs: to
 * give things another name, and to make indexes after the rows. Not for SQL at large: names are
 * expected in backquotes (a definer's also in double quotes), strings in quotes with backslash
 * escapes or doubled quotes. What does not look like that is CF_ERR_DAMAGED, for texts come from a
 * snapshot. Nothing is NUL-terminated but what a function says.
 */

#include "base/buf.h"

#include <stdbool.h>

struct cf_err;

enum cf_mysql_part_kind {
	CF_MYSQL_PART_COLUMN,
	CF_MYSQL_PART_PRIMARY,
	CF_MYSQL_PART_UNIQUE,
	CF_MYSQL_PART_KEY,
	CF_MYSQL_PART_FOREIGN,
	CF_MYSQL_PART_CHECK,
	CF_MYSQL_PART_OTHER /* FULLTEXT and SPATIAL keys, periods, what newer servers bring */
};

/* One line between the parentheses of CREATE TABLE, without its comma. */
struct cf_mysql_part {
	enum cf_mysql_part_kind kind;
	struct cf_span text;
};

/* CREATE TABLE `t` (parts) tail. Spans are of the text given. */
struct cf_mysql_create_table {
	struct cf_mysql_part *parts;
	size_t n_parts;
	struct cf_span tail; /* from the closing parenthesis on */
};

int cf_mysql_create_table_parse(const char *create, struct cf_mysql_create_table *table,
				struct cf_err *err);
void cf_mysql_create_table_release(struct cf_mysql_create_table *table);

/*
 * CREATE TABLE for a table, into create_out. with_defer: secondary indexes that the server makes
 * faster once the rows are there are left out, and foreign keys with them; they go to keys_out and
 * foreign_out as an ALTER TABLE each, which stays empty when there is nothing to add.
 * anonymous_keys: foreign keys without their names, which are unique in a database. The buffers are
 * replaced and ended by NUL.
 */
struct cf_mysql_create_options {
	const char *name;
	bool with_defer, anonymous_keys;
};
int cf_mysql_create_table_write(const struct cf_mysql_create_table *table,
				const struct cf_mysql_create_options *options,
				struct cf_buf *create_out, struct cf_buf *keys_out,
				struct cf_buf *foreign_out, struct cf_err *err);

bool cf_mysql_create_table_has_primary_key(const struct cf_mysql_create_table *table);
/* Whether column is the one that the server numbers. */
bool cf_mysql_create_table_numbers(const struct cf_mysql_create_table *table, const char *column);

/* Whether a column is a TIMESTAMP NOT NULL without a default: a server without
 * explicit_defaults_for_timestamp gives it one. */
bool cf_mysql_create_table_has_bare_timestamp(const struct cf_mysql_create_table *table);

/* The text with another name in place of the first backquoted one after the word ("VIEW"), and of a
 * database before it; NULL: it keeps its name. out is replaced and ended by NUL. */
int cf_mysql_ddl_set_name(const char *text, const char *word, const char *name, struct cf_buf *out,
			  struct cf_err *err);

/* A database's new name, or NULL when it keeps its own. db: without quotes, for the call. */
typedef const char *cf_mysql_new_name_fn(void *user, const char *db);
/* The text with other databases, all at once, wherever a backquoted name before a dot is one. out
 * is replaced and ended by NUL. */
int cf_mysql_ddl_set_databases(const char *text, cf_mysql_new_name_fn *new_name, void *user,
			       struct cf_buf *out, struct cf_err *err);

struct cf_mysql_qualified {
	const char *db, *name;
};
/* False when it keeps its names. from is for the call. */
typedef bool cf_mysql_new_names_fn(void *user, struct cf_mysql_qualified from,
				   struct cf_mysql_qualified *to_out);
/* The text with other sequences, all at once, in each nextval(`db`.`name`). out is replaced and
 * ended by NUL. */
int cf_mysql_ddl_set_sequences(const char *text, cf_mysql_new_names_fn *new_names, void *user,
			       struct cf_buf *out, struct cf_err *err);

/* The same for the table of each REFERENCES; from.db is "" where the text does not say it. */
int cf_mysql_ddl_set_references(const char *text, cf_mysql_new_names_fn *new_names, void *user,
				struct cf_buf *out, struct cf_err *err);

/* Whether the text has db as a name that no dot follows: then `db`.`x` may be a column of a table
 * db. */
bool cf_mysql_ddl_is_ambiguous(const char *text, const char *db);

/* Whether the text has a name before a dot that is not of ASCII alone. */
bool cf_mysql_ddl_qualifies_foreign(const char *text);

/* Whether a text that a person wrote names database db: quoted or not, a dot behind. Comments
 * count. */
bool cf_mysql_ddl_mentions(const char *text, const char *db);
/* Whether it has table as a word. */
bool cf_mysql_ddl_mentions_table(const char *text, const char *table);
/* Whether a view reads the table; is_own: that is of the database that the text does not name. */
bool cf_mysql_ddl_view_reads(const char *text, struct cf_mysql_qualified table, bool is_own);

/* The text without DEFINER=... before the word that says what is made. out is replaced and ended by
 * NUL. */
int cf_mysql_ddl_drop_definer(const char *text, struct cf_buf *out, struct cf_err *err);

/* The text of an event that does not run by itself. out is replaced and ended by NUL. */
int cf_mysql_ddl_disable_event(const char *text, struct cf_buf *out, struct cf_err *err);

/* The text of a routine, a package or an event that was made under NO_BACKSLASH_ESCAPES, for such a
 * session: what a person wrote in it has no escapes, but what the server did, a comment and the
 * type that is returned. out is replaced and ended by NUL. */
int cf_mysql_ddl_plain_strings(const char *text, struct cf_buf *out, struct cf_err *err);

/* CREATE TABLE's text with the options that the server did not know, and wrote as comments, as
 * options again: for a session with IGNORE_BAD_TABLE_OPTIONS. out is replaced and ended by NUL. */
int cf_mysql_ddl_reveal_options(const char *text, struct cf_buf *out, struct cf_err *err);

/* CREATE TABLE's text without DATA DIRECTORY='...' and INDEX DIRECTORY='...', of the table and its
 * partitions. out is replaced and ended by NUL. */
int cf_mysql_ddl_drop_directories(const char *text, struct cf_buf *out, struct cf_err *err);

/* CREATE TABLE's text without AUTO_INCREMENT=..., how far its numbering has got. out is replaced
 * and ended by NUL. */
int cf_mysql_ddl_drop_numbering(const char *text, struct cf_buf *out, struct cf_err *err);
/* A table that the server encrypts, because it says so: `ENCRYPTED`='YES'. */
bool cf_mysql_ddl_is_encrypted(const char *create);

/* CREATE TABLE's text with another engine wherever it has ENGINE=from. out is replaced and ended by
 * NUL. */
int cf_mysql_ddl_set_engine(const char *text, const char *from, const char *to, struct cf_buf *out,
			    struct cf_err *err);

/* A name, and the database before it or "". Without quotes, borrowed for the call. Non-zero stops.
 */
typedef int cf_mysql_name_fn(void *user, const char *db, const char *name, struct cf_err *err);
/* `db`.`s` of each nextval(`db`.`s`). */
int cf_mysql_ddl_sequences(const char *text, cf_mysql_name_fn *each, void *user,
			   struct cf_err *err);
/* The table of each REFERENCES. */
int cf_mysql_ddl_references(const char *text, cf_mysql_name_fn *each, void *user,
			    struct cf_err *err);

#endif
