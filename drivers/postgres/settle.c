#include "drivers/postgres/settle.h"

#include "base/err.h"
#include "drivers/postgres/sql.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	DEPTH_MAX = 32, /* of such casts within each other; deeper ones stay as they are */
	CAST_MAX = 256 << 10
};

/* One cast of an array, as places in the text. */
struct cast {
	bool closed;		  /* in parentheses, as the server writes all but pretty texts */
	const char *first, *last; /* the elements, and the bracket behind them */
	const char *type, *type_end;
	const char *end;
};

static bool is_char(const struct cf_sql_token *token, const char *chars)
{
	return token->kind == CF_SQL_OTHER && strchr(chars, token->text[0]);
}

static bool is_array(const struct cf_sql_token *token)
{
	return token->kind == CF_SQL_WORD && token->len == strlen("ARRAY") &&
	       strncasecmp(token->text, "ARRAY", token->len) == 0;
}

/* From within brackets to behind the one that closes them, whose place is *last_out. */
static bool skip_elements(const char **at, const char **last_out)
{
	const char *begin = *at;
	size_t depth = 1;

	while (depth > 0 && *at - begin < CAST_MAX) {
		struct cf_sql_token token = cf_sql_next(at);

		if (token.kind == CF_SQL_END)
			return false;
		depth += is_char(&token, "([");
		depth -= is_char(&token, ")]");
		*last_out = token.text;
	}
	return depth == 0 && **last_out == ']';
}

/* "::type[]": the type's name may have spaces, a schema and numbers in parentheses. */
static bool read_type(const char **at, struct cast *cast)
{
	struct cf_sql_token token;

	if (strncmp(*at, "::", 2) != 0)
		return false;
	cast->type = *at += 2;
	do {
		cast->type_end = *at;
		token = cf_sql_next(at);
	} while (token.kind == CF_SQL_WORD || token.kind == CF_SQL_QUOTED ||
		 token.kind == CF_SQL_NUMBER || token.kind == CF_SQL_SPACE ||
		 is_char(&token, "(),."));
	if (cast->type == cast->type_end || !is_char(&token, "[") || **at != ']')
		return false;
	++*at;
	return true;
}

static bool read_cast(const char *at, struct cast *cast)
{
	struct cf_sql_token token = cf_sql_next_token(&at);

	cast->closed = is_char(&token, "(");
	if (cast->closed)
		token = cf_sql_next_token(&at);
	if (!is_array(&token))
		return false;
	token = cf_sql_next_token(&at);
	cast->first = at;
	if (!is_char(&token, "[") || !skip_elements(&at, &cast->last))
		return false;
	if (cast->closed && !is_char(&(struct cf_sql_token){CF_SQL_OTHER, at, 1}, ")"))
		return false;
	at += cast->closed;
	if (!read_type(&at, cast))
		return false;
	cast->end = at;
	return true;
}

static int settle(const char *at, const char *end, int depth, struct cf_buf *out,
		  struct cf_err *err);

static int write_element(const struct cast *cast, const char *begin, const char *end, int depth,
			 struct cf_buf *out, struct cf_err *err)
{
	int rc = cast->closed ? cf_buf_append_str(out, "(", err) : 0;

	while (begin < end && *begin == ' ')
		begin++;
	if (rc == 0)
		rc = settle(begin, end, depth, out, err);
	if (rc == 0)
		rc = cf_buf_append_str(out, cast->closed ? ")::" : "::", err);
	return rc < 0 ? rc
		      : cf_buf_append(out, cast->type, (size_t)(cast->type_end - cast->type), err);
}

static int write_cast(const struct cast *cast, int depth, struct cf_buf *out, struct cf_err *err)
{
	const char *at = cast->first, *begin = at;
	size_t open = 0;
	int rc = cf_buf_append_str(out, "ARRAY[", err);

	while (rc == 0 && at < cast->last) {
		struct cf_sql_token token = cf_sql_next(&at);

		open += is_char(&token, "([");
		open -= is_char(&token, ")]");
		if (open > 0 || !is_char(&token, ","))
			continue;
		rc = write_element(cast, begin, token.text, depth, out, err);
		if (rc == 0)
			rc = cf_buf_append_str(out, ", ", err);
		begin = at;
	}
	if (rc == 0)
		rc = write_element(cast, begin, cast->last, depth, out, err);
	return rc < 0 ? rc : cf_buf_append_str(out, "]", err);
}

/* The parenthesis of f(ARRAY[...])::text[] belongs to the function. */
static bool may_begin(const struct cf_sql_token *token, const struct cf_sql_token *before)
{
	return is_array(token) || (is_char(token, "(") && before->kind != CF_SQL_WORD &&
				   before->kind != CF_SQL_QUOTED);
}

static int settle(const char *at, const char *end, int depth, struct cf_buf *out,
		  struct cf_err *err)
{
	struct cf_sql_token token, before = {.kind = CF_SQL_END};
	int rc = 0;

	while (rc == 0 && at < end && (token = cf_sql_next(&at)).kind != CF_SQL_END) {
		struct cast cast;

		if (depth < DEPTH_MAX && may_begin(&token, &before) &&
		    read_cast(token.text, &cast) && cast.end <= end) {
			rc = write_cast(&cast, depth + 1, out, err);
			at = cast.end;
		} else {
			rc = cf_buf_append(out, token.text, token.len, err);
		}
		before = token;
	}
	return rc;
}

/* Begins with "CREATE POLICY"; moves at behind the "TO" of its roles. Words that are names of
 * objects are quoted. */
static bool find_roles(const char **at)
{
	struct cf_sql_token token = cf_sql_next_token(at);

	if (!cf_sql_is_word(&token, "CREATE"))
		return false;
	token = cf_sql_next_token(at);
	if (!cf_sql_is_word(&token, "POLICY"))
		return false;
	do
		token = cf_sql_next_token(at);
	while (token.kind != CF_SQL_END && !is_char(&token, "(;") && !cf_sql_is_word(&token, "TO"));
	return cf_sql_is_word(&token, "TO");
}

static int in_order(const void *a, const void *b)
{
	const struct cf_sql_token *x = a, *y = b;
	int order = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);

	return order ? order : (x->len > y->len) - (x->len < y->len);
}

static int write_roles(const struct cf_sql_token *roles, size_t n, struct cf_buf *out,
		       struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		rc = cf_buf_append_str(out, i ? ", " : " ", err);
		if (rc == 0)
			rc = cf_buf_append(out, roles[i].text, roles[i].len, err);
	}
	return rc;
}

/* A policy up to its roles, these in an order of their names; *at moves behind them. */
static int settle_roles(const char **at, struct cf_buf *out, struct cf_err *err)
{
	const char *begin = *at, *end = begin, *behind;
	struct cf_sql_token comma, *roles = NULL;
	size_t n = 0;
	int rc;

	if (!find_roles(&end))
		return 0;
	rc = cf_buf_append(out, begin, (size_t)(end - begin), err);
	do {
		struct cf_sql_token *more =
			rc == 0 ? realloc(roles, (n + 1) * sizeof(*roles)) : NULL;

		if (rc == 0 && !more)
			rc = cf_err_nomem(err);
		if (rc < 0)
			break;
		roles = more;
		roles[n++] = cf_sql_next_token(&end);
		behind = end;
		comma = cf_sql_next_token(&behind);
		if (is_char(&comma, ","))
			end = behind;
	} while (is_char(&comma, ","));
	if (rc == 0) {
		qsort(roles, n, sizeof(*roles), in_order);
		rc = write_roles(roles, n, out, err);
	}
	free(roles);
	*at = end;
	return rc;
}

/* A name that needs no quotes, but for those that are keywords. */
static bool is_plain(const struct cf_sql_token *token)
{
	static const char begins[] = "abcdefghijklmnopqrstuvwxyz_";
	static const char goes_on[] = "abcdefghijklmnopqrstuvwxyz_0123456789";

	return token->kind == CF_SQL_QUOTED && token->len > 2 && strchr(begins, token->text[1]) &&
	       strspn(token->text + 1, goes_on) == token->len - 2;
}

/* A text search dictionary; *at moves behind it. */
static int settle_options(const char **at, struct cf_buf *out, struct cf_err *err)
{
	static const char begin[] = "CREATE TEXT SEARCH DICTIONARY ";
	struct cf_sql_token token;
	int rc = 0;

	if (strncmp(*at, begin, strlen(begin)) != 0)
		return 0;
	while (rc == 0 && (token = cf_sql_next(at)).kind != CF_SQL_END) {
		bool plain = is_plain(&token);

		rc = cf_buf_append(out, token.text + plain, token.len - 2 * plain, err);
	}
	return rc;
}

int cf_pg_settle(const char *sql, struct cf_buf *out, struct cf_err *err)
{
	const char *end = sql + strlen(sql);
	int rc;

	cf_buf_clear(out);
	rc = settle_roles(&sql, out, err);
	if (rc == 0)
		rc = settle_options(&sql, out, err);
	if (rc == 0)
		rc = settle(sql, end, 0, out, err);
	return rc < 0 ? rc : cf_buf_append(out, "", 1, err);
}
