#include "drivers/postgres/client.h"

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/postgres/handle.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	TICK_MS = 100,	       /* between looks at whether to stop */
	BATCH_LEN = 256 * 1024 /* of rows handed on at once */
};

/* The casts between the opaque type and libpq's are all here. */
static const PGresult *result_of(const struct cf_pg_rows *rows)
{
	return (const PGresult *)rows;
}

/* --- errors --- */

void cf_pg_flatten(const char *text, char *out, size_t size)
{
	size_t len = 0;

	for (; *text && len + 2 < size; text++) {
		bool is_space = *text == '\n' || *text == '\t' || *text == ' ';

		if (is_space && (len == 0 || out[len - 1] == ' '))
			continue;
		/* A line that is indented goes on with the one before. */
		if (*text == '\n' && text[1] && text[1] != '\t')
			out[len++] = ';';
		out[len++] = is_space ? ' ' : *text;
	}
	while (len > 0 && out[len - 1] == ' ')
		len--;
	out[len] = '\0';
}

static int code_of(const char *sqlstate)
{
	static const struct {
		const char *prefix;
		int code;
	} codes[] = {
		{"28", CF_ERR_ACCESS},	       {"42501", CF_ERR_ACCESS},
		{"55P03", CF_ERR_BUSY},	       {"55006", CF_ERR_BUSY},
		{"53100", CF_ERR_FULL},	       {"53200", CF_ERR_FAILED},
		{"42P01", CF_ERR_NOT_FOUND},   {"3D000", CF_ERR_NOT_FOUND},
		{"3F000", CF_ERR_NOT_FOUND},   {"42704", CF_ERR_NOT_FOUND},
		{"42703", CF_ERR_NOT_FOUND},   {"42883", CF_ERR_NOT_FOUND},
		{"42P04", CF_ERR_EXISTS},      {"42P06", CF_ERR_EXISTS},
		{"42P07", CF_ERR_EXISTS},      {"42710", CF_ERR_EXISTS},
		{"42723", CF_ERR_EXISTS},      {"0A000", CF_ERR_UNSUPPORTED},
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strncmp(sqlstate, codes[i].prefix, strlen(codes[i].prefix)) == 0)
			return codes[i].code;
	return CF_ERR_FAILED;
}

static int connection_error(struct cf_pg *pg, struct cf_err *err)
{
	char text[512];

	cf_pg_flatten(PQerrorMessage(pg->conn), text, sizeof(text));
	if (PQstatus(pg->conn) == CONNECTION_BAD)
		return cf_err_set(err, CF_ERR_FAILED, "the connection to the server was lost: %s", text);
	return cf_err_set(err, CF_ERR_FAILED, "%s", text);
}

static int result_error(struct cf_pg *pg, const PGresult *result, struct cf_err *err)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
	const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
	char text[CF_ERR_TEXT_MAX], flat[CF_ERR_TEXT_MAX];

	if (!state)
		return connection_error(pg, err);
	snprintf(pg->sqlstate, sizeof(pg->sqlstate), "%s", state);
	/* Of contexts, only the place in the data says what the caller does not know. */
	if (context && strncmp(context, "COPY ", 5) != 0)
		context = NULL;
	snprintf(text, sizeof(text), "%s%s%s%s%s%s%s%s", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY),
		 detail ? " (" : "", detail ? detail : "", detail ? ")" : "", context ? ", " : "",
		 context ? context : "", hint ? ": " : "", hint ? hint : "");
	cf_pg_flatten(text, flat, sizeof(flat));
	return cf_err_set(err, code_of(state), "%s", flat);
}

const char *cf_pg_sqlstate(const struct cf_pg *pg)
{
	return pg->sqlstate;
}

bool cf_pg_is_untold(const struct cf_pg *pg)
{
	return strcmp(pg->sqlstate, "22P05") == 0 || strcmp(pg->sqlstate, "22021") == 0;
}

/* --- waiting --- */

int cf_pg_check_stop(const struct cf_pg *pg, struct cf_err *err)
{
	if (pg->stop && atomic_load(pg->stop))
		return cf_err_set(err, CF_ERR_CANCELED, "canceled");
	return cf_ctx_check(pg->ctx, err);
}

int cf_pg_wait(struct cf_pg *pg, short events, time_t deadline, struct cf_err *err)
{
	for (;;) {
		struct pollfd poll_fd = {.fd = PQsocket(pg->conn), .events = events};
		struct timespec now;
		int rc = cf_pg_check_stop(pg, err);
		int n;

		if (rc < 0)
			return rc;
		if (poll_fd.fd < 0)
			return connection_error(pg, err);
		n = poll(&poll_fd, 1, TICK_MS);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return cf_err_errno(err, errno, "wait for the server");
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (deadline && now.tv_sec >= deadline)
			return cf_err_set(err, CF_ERR_FAILED, "the server did not answer in time");
	}
}

/* All that is to be sent, reading meanwhile: the server may block until we do. */
static int flush(struct cf_pg *pg, struct cf_err *err)
{
	int left;

	while ((left = PQflush(pg->conn)) > 0) {
		int rc = cf_pg_wait(pg, POLLIN | POLLOUT, 0, err);

		if (rc < 0)
			return rc;
		if (!PQconsumeInput(pg->conn))
			return connection_error(pg, err);
	}
	return left < 0 ? connection_error(pg, err) : 0;
}

/* The next result of what was sent; NULL when there is no more. */
static int next_result(struct cf_pg *pg, PGresult **result_out, struct cf_err *err)
{
	while (PQisBusy(pg->conn)) {
		int rc = cf_pg_wait(pg, POLLIN, 0, err);

		if (rc < 0)
			return rc;
		if (!PQconsumeInput(pg->conn))
			return connection_error(pg, err);
	}
	*result_out = PQgetResult(pg->conn);
	return 0;
}

/* --- statements --- */

/* The rest of what was sent: the first error, else the last result. Takes result over. */
static int finish_results(struct cf_pg *pg, PGresult *result, PGresult **last_out, struct cf_err *err)
{
	PGresult *next = NULL;
	int rc;

	for (;;) {
		rc = next_result(pg, &next, err);
		if (rc < 0 || !next)
			break;
		if (result && PQresultStatus(result) == PGRES_FATAL_ERROR) {
			PQclear(next);
			continue;
		}
		PQclear(result);
		result = next;
	}
	if (rc == 0 && !result)
		rc = connection_error(pg, err);
	if (rc == 0 && PQresultStatus(result) == PGRES_FATAL_ERROR)
		rc = result_error(pg, result, err);
	if (rc < 0) {
		PQclear(result);
		return rc;
	}
	*last_out = result;
	return 0;
}

static int send_query(struct cf_pg *pg, const char *sql, struct cf_err *err)
{
	pg->sqlstate[0] = '\0';
	if (!PQsendQuery(pg->conn, sql))
		return connection_error(pg, err);
	return flush(pg, err);
}

int cf_pg_exec(struct cf_pg *pg, const char *sql, struct cf_err *err)
{
	PGresult *result = NULL;
	int rc = send_query(pg, sql, err);

	if (rc == 0)
		rc = finish_results(pg, NULL, &result, err);
	PQclear(result);
	return rc;
}

int cf_pg_execf(struct cf_pg *pg, struct cf_err *err, const char *fmt, ...)
{
	char *sql = NULL;
	va_list args;
	int rc;

	va_start(args, fmt);
	rc = vasprintf(&sql, fmt, args);
	va_end(args);
	if (rc < 0)
		return cf_err_nomem(err);
	rc = cf_pg_exec(pg, sql, err);
	free(sql);
	return rc;
}

static int query(struct cf_pg *pg, const char *sql, const char *const *values, size_t n_values,
		 bool is_binary, struct cf_pg_rows **rows_out, struct cf_err *err)
{
	PGresult *result = NULL;
	int rc;

	pg->sqlstate[0] = '\0';
	if (!PQsendQueryParams(pg->conn, sql, (int)n_values, NULL, values, NULL, NULL, is_binary))
		return connection_error(pg, err);
	rc = flush(pg, err);
	if (rc == 0)
		rc = finish_results(pg, NULL, &result, err);
	if (rc == 0)
		*rows_out = (struct cf_pg_rows *)result;
	return rc;
}

int cf_pg_query(struct cf_pg *pg, const char *sql, const char *const *values, size_t n_values,
		struct cf_pg_rows **rows_out, struct cf_err *err)
{
	return query(pg, sql, values, n_values, false, rows_out, err);
}

int cf_pg_query_binary(struct cf_pg *pg, const char *sql, const char *const *values, size_t n_values,
		       struct cf_pg_rows **rows_out, struct cf_err *err)
{
	return query(pg, sql, values, n_values, true, rows_out, err);
}

int cf_pg_query_text(struct cf_pg *pg, const char *sql, const char *const *values, size_t n_values,
		     char **text_out, struct cf_err *err)
{
	struct cf_pg_rows *rows = NULL;
	int rc = cf_pg_query(pg, sql, values, n_values, &rows, err);

	*text_out = NULL;
	if (rc < 0)
		return rc;
	if (cf_pg_rows_count(rows) == 0)
		rc = cf_err_set(err, CF_ERR_NOT_FOUND, "the server gave no row");
	else if (cf_pg_value(rows, 0, 0) && !(*text_out = strdup(cf_pg_value(rows, 0, 0))))
		rc = cf_err_nomem(err);
	cf_pg_rows_free(rows);
	return rc;
}

int cf_pg_configure(struct cf_pg *pg, const struct cf_pg_setting *settings, size_t n, struct cf_err *err)
{
	struct cf_buf sql = CF_BUF_INIT;
	int rc = cf_buf_append_str(&sql,
				   "SELECT pg_catalog.set_config(s.name, v.value, false) FROM (VALUES ", err);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		rc = cf_buf_append_str(&sql, i ? ", (" : "(", err);
		if (rc == 0)
			rc = cf_pg_append_literal(pg, settings[i].name, &sql, err);
		if (rc == 0)
			rc = cf_buf_append_str(&sql, ", ", err);
		if (rc == 0)
			rc = cf_pg_append_literal(pg, settings[i].value, &sql, err);
		if (rc == 0)
			rc = cf_buf_append_str(&sql, ")", err);
	}
	if (rc == 0)
		rc = cf_buf_append_str(
			&sql,
			") AS v(name, value) JOIN pg_catalog.pg_settings AS s"
			" ON pg_catalog.lower(s.name) = v.name",
			err);
	if (rc == 0)
		rc = cf_buf_append(&sql, "", 1, err);
	if (rc == 0)
		rc = cf_pg_exec(pg, (const char *)sql.data, err);
	cf_buf_release(&sql);
	return rc;
}

/* --- rows --- */

size_t cf_pg_rows_count(const struct cf_pg_rows *rows)
{
	return (size_t)PQntuples(result_of(rows));
}

const char *cf_pg_value(const struct cf_pg_rows *rows, size_t row, size_t column)
{
	if (PQgetisnull(result_of(rows), (int)row, (int)column))
		return NULL;
	return PQgetvalue(result_of(rows), (int)row, (int)column);
}

size_t cf_pg_value_len(const struct cf_pg_rows *rows, size_t row, size_t column)
{
	return (size_t)PQgetlength(result_of(rows), (int)row, (int)column);
}

bool cf_pg_value_bool(const struct cf_pg_rows *rows, size_t row, size_t column)
{
	const char *value = cf_pg_value(rows, row, column);

	return value && value[0] == 't';
}

uint64_t cf_pg_value_number(const struct cf_pg_rows *rows, size_t row, size_t column)
{
	const char *value = cf_pg_value(rows, row, column);

	return value ? strtoull(value, NULL, 10) : 0;
}

void cf_pg_rows_free(struct cf_pg_rows *rows)
{
	PQclear((PGresult *)rows);
}

/* --- COPY --- */

/* Send a COPY and see it begin. What else the server has to say is an error. */
static int begin_copy(struct cf_pg *pg, const char *sql, ExecStatusType wanted, struct cf_err *err)
{
	PGresult *result = NULL, *rest = NULL;
	int rc = send_query(pg, sql, err);

	if (rc == 0)
		rc = next_result(pg, &result, err);
	if (rc < 0 || PQresultStatus(result) == wanted) {
		PQclear(result);
		return rc;
	}
	rc = finish_results(pg, result, &rest, err);
	assert(rc < 0); /* anything that succeeds and is no COPY is a mistake of ours */
	PQclear(rest);
	return rc;
}

static int end_copy(struct cf_pg *pg, uint64_t *rows_out, struct cf_err *err)
{
	PGresult *result = NULL;
	int rc = finish_results(pg, NULL, &result, err);

	if (rc == 0 && rows_out)
		*rows_out = strtoull(PQcmdTuples(result), NULL, 10);
	PQclear(result);
	return rc;
}

struct batch {
	struct cf_buf rows;
	cf_pg_take_fn *take;
	void *user;
	uint64_t n_rows;
};

static int send_batch(struct batch *batch, struct cf_err *err)
{
	int rc = batch->rows.len ? batch->take(batch->user, cf_buf_span(&batch->rows), err) : 0;

	cf_buf_clear(&batch->rows);
	return rc;
}

/* A row that would make the batch longer than it should be goes on its own, uncopied when it is long. */
static int add_row(struct batch *batch, const char *row, size_t len, struct cf_err *err)
{
	int rc = 0;

	batch->n_rows++;
	if (batch->rows.len + len > BATCH_LEN)
		rc = send_batch(batch, err);
	if (rc == 0 && len > BATCH_LEN)
		return batch->take(batch->user, cf_span_of(row, len), err);
	return rc == 0 ? cf_buf_append(&batch->rows, row, len, err) : rc;
}

/* Rows until the server has no more. */
static int copy_rows(struct cf_pg *pg, struct batch *batch, struct cf_err *err)
{
	for (;;) {
		char *row = NULL;
		int len = PQgetCopyData(pg->conn, &row, 1);
		int rc = 0;

		if (len > 0)
			rc = add_row(batch, row, (size_t)len, err);
		PQfreemem(row);
		if (len == 0) {
			rc = cf_pg_wait(pg, POLLIN, 0, err);
			if (rc == 0 && !PQconsumeInput(pg->conn))
				rc = connection_error(pg, err);
		}
		if (rc < 0)
			return rc;
		if (len == -1)
			return send_batch(batch, err);
		if (len < -1)
			return connection_error(pg, err);
	}
}

int cf_pg_copy_out(struct cf_pg *pg, const char *sql, cf_pg_take_fn *take, void *user,
		   uint64_t *rows_out, struct cf_err *err)
{
	struct batch batch = {.rows = CF_BUF_INIT, .take = take, .user = user};
	uint64_t n_counted = 0;
	int rc = begin_copy(pg, sql, PGRES_COPY_OUT, err);

	if (rc == 0)
		rc = cf_buf_reserve(&batch.rows, BATCH_LEN, err);
	if (rc == 0)
		rc = copy_rows(pg, &batch, err);
	if (rc == 0)
		rc = end_copy(pg, &n_counted, err);
	if (rc == 0 && n_counted != batch.n_rows)
		rc = cf_err_set(err, CF_ERR_FAILED, "the server counts %llu rows, and %llu came",
				(unsigned long long)n_counted, (unsigned long long)batch.n_rows);
	if (rc == 0)
		*rows_out = n_counted;
	cf_buf_release(&batch.rows);
	return rc;
}

int cf_pg_copy_in_begin(struct cf_pg *pg, const char *sql, struct cf_err *err)
{
	int rc = begin_copy(pg, sql, PGRES_COPY_IN, err);

	/* So that a put never waits where it cannot be stopped. */
	if (rc == 0 && PQsetnonblocking(pg->conn, 1) != 0)
		rc = connection_error(pg, err);
	return rc;
}

int cf_pg_copy_in_put(struct cf_pg *pg, struct cf_span data, struct cf_err *err)
{
	while (data.len > 0) {
		size_t len = data.len < BATCH_LEN ? data.len : BATCH_LEN;
		int sent = PQputCopyData(pg->conn, (const char *)data.data, (int)len);
		int rc = sent < 0 ? connection_error(pg, err) : flush(pg, err);

		if (rc < 0)
			return rc;
		if (sent > 0)
			data = cf_span_of(data.data + len, data.len - len);
	}
	return 0;
}

int cf_pg_copy_in_end(struct cf_pg *pg, const char *reason, uint64_t *rows_out, struct cf_err *err)
{
	int sent;
	int rc = 0;

	while (rc == 0 && (sent = PQputCopyEnd(pg->conn, reason)) != 1)
		rc = sent < 0 ? connection_error(pg, err) : flush(pg, err);
	if (rc == 0)
		rc = flush(pg, err);
	if (rc == 0)
		rc = end_copy(pg, rows_out, err);
	PQsetnonblocking(pg->conn, 0);
	if (reason && rc < 0 && strcmp(pg->sqlstate, "57014") == 0) {
		cf_err_clear(err);
		rc = 0;
	}
	return rc;
}

/* --- quoting --- */

static int append_quoted(struct cf_pg *pg, char *quoted, struct cf_buf *out, struct cf_err *err)
{
	int rc = quoted ? cf_buf_append_str(out, quoted, err) : connection_error(pg, err);

	PQfreemem(quoted);
	return rc;
}

int cf_pg_append_identifier(struct cf_pg *pg, const char *name, struct cf_buf *out, struct cf_err *err)
{
	return append_quoted(pg, PQescapeIdentifier(pg->conn, name, strlen(name)), out, err);
}

int cf_pg_append_qualified(struct cf_pg *pg, const char *schema, const char *name, struct cf_buf *out,
			   struct cf_err *err)
{
	int rc = cf_pg_append_identifier(pg, schema, out, err);

	if (rc == 0)
		rc = cf_buf_append_str(out, ".", err);
	return rc == 0 ? cf_pg_append_identifier(pg, name, out, err) : rc;
}

int cf_pg_append_literal(struct cf_pg *pg, const char *text, struct cf_buf *out, struct cf_err *err)
{
	return append_quoted(pg, PQescapeLiteral(pg->conn, text, strlen(text)), out, err);
}
