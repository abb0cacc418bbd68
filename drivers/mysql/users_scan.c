#include "drivers/mysql/users_scan.h"

#include "base/buf.h"
#include "base/err.h"
#include "drivers/mysql/ddl_scan.h"

#include <string.h>

struct scan {
	cf_mysql_user_step_fn *each;
	void *user;
	bool is_oracle; /* what SET sql_mode said last */
};

static int foreign(struct cf_err *err)
{
	return cf_err_set(err, CF_ERR_DAMAGED, "has a statement that no backup wrote");
}

static int set_text(struct cf_buf *out, const char *text, size_t len, struct cf_err *err)
{
	int rc;

	cf_buf_clear(out);
	rc = cf_buf_append(out, text, len, err);
	return rc == 0 ? cf_buf_append(out, "", 1, err) : rc;
}

static int tell(struct scan *scan, const struct cf_buf *sql, const struct cf_buf *label,
		bool is_account, struct cf_err *err)
{
	const struct cf_mysql_user_step step = {.sql = (const char *)sql->data,
						.label = (const char *)label->data,
						.is_account = is_account,
						.is_oracle = scan->is_oracle};

	return scan->each(scan->user, &step, err);
}

/* "user `app`@`%`" */
static int label_account(const char *kind, const char *at, struct cf_buf *out, struct cf_err *err)
{
	struct cf_mysql_token token = cf_mysql_token_next(&at);
	const char *from, *end;
	int rc;

	if (cf_mysql_token_is_word(&token, "IF"))
		for (int i = 0; i < 3; i++)
			token = cf_mysql_token_next(&at);
	if (token.kind != CF_MYSQL_TOKEN_NAME && token.kind != CF_MYSQL_TOKEN_STRING)
		return foreign(err);
	from = token.text;
	end = at;
	token = cf_mysql_token_next(&at);
	if (cf_mysql_token_is_byte(&token, '@')) {
		cf_mysql_token_next(&at);
		end = at;
	}
	rc = cf_buf_append_str(out, kind, err);
	if (rc == 0)
		rc = cf_buf_append(out, from, (size_t)(end - from), err);
	return rc == 0 ? cf_buf_append(out, "", 1, err) : rc;
}

static int take_account(struct scan *scan, const char *text, size_t len, const char *at,
			struct cf_err *err)
{
	struct cf_mysql_token token = cf_mysql_token_next(&at);
	const char *kind = cf_mysql_token_is_word(&token, "USER")     ? "user "
			   : cf_mysql_token_is_word(&token, "ROLE")   ? "role "
			   : cf_mysql_token_is_word(&token, "SERVER") ? "server "
								      : NULL;
	struct cf_buf sql = CF_BUF_INIT, label = CF_BUF_INIT;
	int rc = kind ? set_text(&sql, text, len, err) : foreign(err);

	/* Of the copy, which ends where the statement does. */
	if (rc == 0)
		rc = label_account(kind, (const char *)sql.data + (at - text), &label, err);
	if (rc == 0)
		rc = tell(scan, &sql, &label, true, err);
	cf_buf_release(&sql);
	cf_buf_release(&label);
	return rc;
}

int cf_mysql_users_bare_grant(const char *text, size_t len, struct cf_buf *out, struct cf_err *err)
{
	const char *at = text, *end = NULL, *option = "";
	struct cf_mysql_token token;
	int rc;

	do {
		token = cf_mysql_token_next(&at);
		if (!end && (cf_mysql_token_is_word(&token, "IDENTIFIED") ||
			     cf_mysql_token_is_word(&token, "REQUIRE") ||
			     cf_mysql_token_is_word(&token, "WITH")))
			end = token.text;
		if (end && cf_mysql_token_is_word(&token, "GRANT"))
			option = " WITH GRANT OPTION";
		else if (end && cf_mysql_token_is_word(&token, "ADMIN"))
			option = " WITH ADMIN OPTION";
	} while (token.kind != CF_MYSQL_TOKEN_END && token.text < text + len);
	if (end && end < text + len)
		len = (size_t)(end - text);
	while (len > 0 && text[len - 1] == ' ')
		len--;
	rc = cf_buf_append(out, text, len, err);
	if (rc == 0)
		rc = cf_buf_append_str(out, option, err);
	return rc == 0 ? cf_buf_append(out, "", 1, err) : rc;
}

int cf_mysql_users_grantee(const char *grant, struct cf_buf *out, struct cf_err *err)
{
	const char *pos = grant, *from = NULL, *end;
	struct cf_mysql_token token;
	int rc;

	do {
		end = pos;
		token = cf_mysql_token_next(&pos);
		if (cf_mysql_token_is_word(&token, "TO"))
			from = pos + strspn(pos, " ");
	} while (token.kind != CF_MYSQL_TOKEN_END &&
		 !(from && cf_mysql_token_is_word(&token, "WITH")));
	if (!from || from >= end)
		return foreign(err);
	rc = cf_buf_append(out, from, (size_t)(end - from), err);
	return rc == 0 ? cf_buf_append(out, "", 1, err) : rc;
}

static int take_grant(struct scan *scan, const char *text, size_t len, struct cf_err *err)
{
	struct cf_buf whole = CF_BUF_INIT, sql = CF_BUF_INIT;
	int rc = set_text(&whole, text, len, err);

	if (rc == 0)
		rc = cf_mysql_users_bare_grant((const char *)whole.data, len, &sql, err);
	if (rc == 0)
		rc = tell(scan, &sql, &sql, false, err);
	cf_buf_release(&whole);
	cf_buf_release(&sql);
	return rc;
}

/* Other settings are those of the script's own session. */
static int take_setting(struct scan *scan, const char *text, size_t len, const char *at,
			struct cf_err *err)
{
	static const char oracle[] = "SET sql_mode = 'ORACLE'";
	struct cf_mysql_token token = cf_mysql_token_next(&at);
	struct cf_buf sql = CF_BUF_INIT;
	int rc = 0;

	if (cf_mysql_token_is_word(&token, "DEFAULT")) {
		rc = set_text(&sql, text, len, err);
		if (rc == 0)
			rc = tell(scan, &sql, &sql, false, err);
	} else {
		scan->is_oracle = len == sizeof(oracle) - 1 && !strncmp(text, oracle, len);
	}
	cf_buf_release(&sql);
	return rc;
}

static int take_statement(struct scan *scan, const char *text, size_t len, struct cf_err *err)
{
	const char *at = text;
	struct cf_mysql_token token = cf_mysql_token_next(&at);

	if (cf_mysql_token_is_word(&token, "CREATE"))
		return take_account(scan, text, len, at, err);
	/* What MySQL takes from a right to everything is shown as REVOKE. */
	if (cf_mysql_token_is_word(&token, "GRANT") || cf_mysql_token_is_word(&token, "REVOKE"))
		return take_grant(scan, text, len, err);
	if (cf_mysql_token_is_word(&token, "SET"))
		return take_setting(scan, text, len, at, err);
	return foreign(err);
}

static const char *behind_comments(const char *at)
{
	static const char spaces[] = " \t\r\n\v\f";

	at += strspn(at, spaces);
	while (!strncmp(at, "-- ", 3)) {
		at += strcspn(at, "\n");
		at += strspn(at, spaces);
	}
	return at;
}

int cf_mysql_users_scan(const char *text, cf_mysql_user_step_fn *each, void *user,
			struct cf_err *err)
{
	struct scan scan = {.each = each, .user = user};
	const char *at = behind_comments(text);
	int rc = 0;

	while (rc == 0 && *at) {
		const char *from = at;
		struct cf_mysql_token token;

		do {
			token = cf_mysql_token_next(&at);
		} while (token.kind != CF_MYSQL_TOKEN_END && !cf_mysql_token_is_byte(&token, ';'));
		if (token.kind == CF_MYSQL_TOKEN_END)
			return cf_err_set(err, CF_ERR_DAMAGED, "ends within a statement");
		rc = take_statement(&scan, from, (size_t)(token.text - from), err);
		at = behind_comments(at);
	}
	return rc;
}
