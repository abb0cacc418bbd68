#ifndef CF_DRIVERS_POSTGRES_SQL_H
#define CF_DRIVERS_POSTGRES_SQL_H

/*
 * PostgreSQL's SQL as text: its tokens, and names and literals quoted without a connection. In any
 * encoding that a server can have: none of them uses ASCII bytes within other characters.
 */

#include "base/buf.h"

#include <stdbool.h>

struct cf_err;

enum cf_sql_kind {
	CF_SQL_END,
	CF_SQL_SPACE,  /* and comments */
	CF_SQL_WORD,   /* identifier or keyword without quotes */
	CF_SQL_QUOTED, /* "identifier" */
	CF_SQL_STRING, /* 'text', E'text', B'', X'', N'', U&'' */
	CF_SQL_DOLLAR, /* $tag$text$tag$ */
	CF_SQL_NUMBER,
	CF_SQL_OTHER /* one character */
};

struct cf_sql_token {
	enum cf_sql_kind kind;
	const char *text; /* within the text that is read */
	size_t len;
};

/* The token at *at, which moves behind it. What is not closed reaches to the end.
 * Standard-conforming strings. */
struct cf_sql_token cf_sql_next(const char **at);
/* The same, passing over space. */
struct cf_sql_token cf_sql_next_token(const char **at);

/* Without quotes, in any case. */
bool cf_sql_is_word(const struct cf_sql_token *token, const char *word);

/* An identifier's name, without quotes and folded as the server does: replaces out, ended by a NUL.
 */
int cf_sql_name_of(const struct cf_sql_token *token, struct cf_buf *out, struct cf_err *err);

/* Always quoted. */
int cf_sql_append_name(const char *name, struct cf_buf *out, struct cf_err *err);
/* schema.name, each quoted; schema may be NULL. */
int cf_sql_append_qualified(const char *schema, const char *name, struct cf_buf *out,
			    struct cf_err *err);
int cf_sql_append_literal(const char *text, struct cf_buf *out, struct cf_err *err);

/* Where a statement about a database is run. */
struct cf_sql_database {
	const char *name;
	int version; /* of the server: 150020 for 15.20 */
	bool no_tablespaces;
};

/* pg_dump's statement sql, about the database of that name instead of the one behind each word DATABASE, in the words of a server
 * that may be older than pg_dump. */
int cf_sql_append_for_database(const char *sql, const struct cf_sql_database *database, struct cf_buf *out,
			       struct cf_err *err);

#endif
