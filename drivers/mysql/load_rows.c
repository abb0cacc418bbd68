/*
 * Rows of a part of a table's file: by LOAD DATA LOCAL, which costs the server about 0.6 of what
 * INSERT does (MariaDB 10.11, InnoDB), else by INSERT. Whatever the server says about a saved value
 * is an error, and what it took is counted. What it says about the value of a generated column,
 * which it makes itself, is not: it was so at the source. Since a warning need not name its column,
 * and only the first warnings are told, the saved values prove that they fit in a table of their
 * own.
 */

#include "base/err.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/ddl.h"
#include "drivers/mysql/load.h"
#include "drivers/mysql/row_reader.h"
#include "drivers/mysql/sql.h"

#include <stdlib.h>
#include <string.h>

enum {
	INSERT_LEN = 512 << 10 /* of one statement, but for a longer row */
};

/* Beside a SET of others, the server takes a 0 in its numbered column for "the next number"
 * (MariaDB 10.11) unless that one is set, too. */
static int find_numbered(const struct cf_mysql_table *table, size_t *index_out, struct cf_err *err)
{
	struct cf_mysql_create_table parsed;
	bool has_hex = false;
	int rc;

	*index_out = SIZE_MAX;
	for (size_t i = 0; i < table->n_columns; i++)
		has_hex |= table->columns[i].is_hex;
	if (!has_hex)
		return 0;
	rc = cf_mysql_create_table_parse(table->create, &parsed, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < table->n_columns; i++)
		if (cf_mysql_create_table_numbers(&parsed, table->columns[i].name))
			*index_out = i;
	cf_mysql_create_table_release(&parsed);
	return 0;
}

/* (`a`,@v1) SET `b`=UNHEX(SUBSTRING(@v1,3)) */
static int append_columns(struct cf_buf *sql, const struct cf_mysql_table *table,
			  struct cf_err *err)
{
	const char *set = " SET ";
	size_t numbered;
	int rc = find_numbered(table, &numbered, err);

	for (size_t i = 0; rc == 0 && i < table->n_columns; i++) {
		rc = cf_buf_append_str(sql, i == 0 ? " (" : ",", err);
		if (rc == 0 && (table->columns[i].is_hex || i == numbered))
			rc = cf_buf_printf(sql, err, "@v%zu", i);
		else if (rc == 0)
			rc = cf_mysql_quote_name(table->columns[i].name, sql, err);
	}
	if (rc == 0)
		rc = cf_buf_append_str(sql, ")", err);
	for (size_t i = 0; rc == 0 && i < table->n_columns; i++) {
		if (!table->columns[i].is_hex && i != numbered)
			continue;
		rc = cf_buf_append_str(sql, set, err);
		if (rc == 0)
			rc = cf_mysql_quote_name(table->columns[i].name, sql, err);
		if (rc == 0)
			rc = i == numbered
				     ? cf_buf_printf(sql, err, "=@v%zu", i)
				     : cf_buf_printf(sql, err, "=UNHEX(SUBSTRING(@v%zu,3))", i);
		set = ",";
	}
	return rc;
}

/* Seen by one session, as long as it proves something. */
static const char proof[] = "coffer saved values";

/* Into the table of this name. Ended by NUL. */
static int load_statement(const struct cf_mysql_load_table *table, const char *name,
			  struct cf_buf *sql, struct cf_err *err)
{
	int rc = cf_buf_append_str(sql, "LOAD DATA LOCAL INFILE 'coffer' INTO TABLE ", err);

	if (rc == 0)
		rc = cf_mysql_quote_name(name, sql, err);
	if (rc == 0)
		rc = cf_buf_append_str(
			sql,
			" CHARACTER SET binary FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY "
			"'\\''"
			" ESCAPED BY '\\\\' LINES STARTING BY '(' TERMINATED BY ')\\n'",
			err);
	if (rc == 0)
		rc = append_columns(sql, table->from, err);
	return rc == 0 ? cf_buf_append(sql, "", 1, err) : rc;
}

/*
 * Values +0, which are of no other column than an enum: each gives a warning, and there is no
 * statement that sets it without one. state: where in a row the bytes before ended.
 */
enum zero_state { ZERO_IN_VALUE, ZERO_AT_VALUE, ZERO_SIGN, ZERO_DIGIT, ZERO_QUOTED, ZERO_ESCAPED };

static uint64_t count_zeros(enum zero_state *state, const uint8_t *data, size_t len)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len; i++) {
		uint8_t c = data[i];

		if (*state == ZERO_ESCAPED)
			*state = ZERO_QUOTED;
		else if (*state == ZERO_QUOTED)
			*state = c == '\\' ? ZERO_ESCAPED : c == '\'' ? ZERO_IN_VALUE : ZERO_QUOTED;
		else if (c == '\'')
			*state = ZERO_QUOTED;
		else if (c == ',' || c == '(' || c == ')') {
			n += *state == ZERO_DIGIT;
			*state = ZERO_AT_VALUE;
		} else
			*state = *state == ZERO_AT_VALUE && c == '+' ? ZERO_SIGN
				 : *state == ZERO_SIGN && c == '0'   ? ZERO_DIGIT
								     : ZERO_IN_VALUE;
	}
	return n;
}

static bool has_enums(const struct cf_mysql_table *table)
{
	return strcasestr(table->create, " enum(") != NULL;
}

struct counted_rows {
	struct cf_mysql_row_reader *rows;
	bool has_enums;
	enum zero_state state;
	uint64_t n_zeros;
};

static int64_t read_counted(void *user, void *out, size_t len, struct cf_err *err)
{
	struct counted_rows *counted = user;
	int64_t n = cf_mysql_row_reader_read(counted->rows, out, len, err);

	if (n > 0 && counted->has_enums)
		counted->n_zeros += count_zeros(&counted->state, out, (size_t)n);
	return n;
}

static int more_warnings_than(struct cf_mysql *my, uint64_t n_expected, bool *more_out,
			      struct cf_err *err)
{
	char *text = NULL;
	int rc = 0;

	*more_out = cf_mysql_warning_count(my) > 0;
	if (!*more_out || n_expected == 0)
		return 0;
	/* What came with the answer ends at 65535. */
	rc = cf_mysql_value(my, "SELECT @@warning_count", &text, err);
	if (rc == 0)
		*more_out = !text || strtoull(text, NULL, 10) > n_expected;
	free(text);
	return rc;
}

/* The server's words about a row it did not take as it was. */
static int check_warnings(struct cf_mysql *my, uint64_t n_zeros, struct cf_err *err)
{
	struct cf_mysql_result *result;
	struct cf_mysql_row row;
	bool has_more;
	int rc = more_warnings_than(my, n_zeros, &has_more, err);

	if (rc < 0 || !has_more)
		return rc;
	rc = cf_mysql_query(my, "SHOW WARNINGS LIMIT 1", &result, err);
	if (rc < 0)
		return rc;
	rc = cf_mysql_fetch(result, &row, err);
	if (rc >= 0)
		rc = cf_err_set(err, CF_ERR_FAILED,
				"the server does not take the rows as they are: %s",
				rc == 1 && row.values[2] ? row.values[2] : "it gives no reason");
	cf_mysql_result_free(result);
	return rc;
}

static bool has_generated(const struct cf_mysql_table *table)
{
	return table->n_columns > 0 && strcasestr(table->create, " GENERATED ALWAYS AS (");
}

/* A table of the saved columns as they are, and nothing else. */
static int begin_proof(struct cf_mysql *my, const struct cf_mysql_load_table *table,
		       struct cf_err *err)
{
	struct cf_buf sql = CF_BUF_INIT;
	int rc = cf_mysql_sql(&sql, err, "CREATE TEMPORARY TABLE %n AS SELECT ", proof);

	for (size_t i = 0; rc == 0 && i < table->from->n_columns; i++)
		rc = cf_mysql_sql(&sql, err, "%s%n", i ? "," : "", table->from->columns[i].name);
	if (rc == 0)
		rc = cf_mysql_sql(&sql, err, " FROM %n LIMIT 0", table->name);
	if (rc == 0)
		rc = cf_mysql_run(my, (const char *)sql.data, err);
	cf_buf_release(&sql);
	return rc;
}

static int end_proof(struct cf_mysql *my, struct cf_err *err)
{
	return cf_mysql_do(my, err, "DROP TEMPORARY TABLE %n", proof);
}

static bool refuses_local(unsigned number)
{
	return number == CF_MYSQL_NOT_ALLOWED_COMMAND || number == CF_MYSQL_LOCAL_INFILE_DISABLED ||
	       number == CF_MYSQL_LOAD_INFILE_DISABLED;
}

/* Into the table of this name; n_zeros: warnings that mean nothing. */
static int load_file(struct cf_mysql *my, const struct cf_mysql_load_table *table, const char *name,
		     struct cf_mysql_row_reader *rows, uint64_t *n_zeros_out, struct cf_err *err)
{
	struct counted_rows counted = {.rows = rows, .has_enums = has_enums(table->from)};
	struct cf_buf sql = CF_BUF_INIT;
	int rc = load_statement(table, name, &sql, err);

	if (rc == 0)
		rc = cf_mysql_load_local(my, (const char *)sql.data, read_counted, &counted, err);
	*n_zeros_out = counted.n_zeros;
	cf_buf_release(&sql);
	return rc;
}

static int check_count(struct cf_mysql *my, uint64_t n_rows, struct cf_err *err)
{
	uint64_t taken = cf_mysql_affected_rows(my);

	return taken == n_rows ? 0
			       : cf_err_set(err, CF_ERR_FAILED, "the server took %llu of %llu rows",
					    (unsigned long long)taken, (unsigned long long)n_rows);
}

static int prove_file(struct cf_mysql_load *load, struct cf_mysql *my,
		      const struct cf_mysql_load_part *part, const struct cf_ctx *ctx,
		      struct cf_err *err)
{
	struct cf_mysql_row_reader rows;
	uint64_t n_zeros = 0;
	int rc = begin_proof(my, part->table, err);

	cf_mysql_row_reader_init(&rows, load->tree, part->table->path, part->table->from,
				 part->from, part->to);
	rows.ctx = ctx;
	if (rc == 0)
		rc = load_file(my, part->table, proof, &rows, &n_zeros, err);
	if (rc == 0)
		rc = check_warnings(my, n_zeros, err);
	if (rc == 0)
		rc = end_proof(my, err);
	cf_mysql_row_reader_release(&rows);
	return rc;
}

static int load_by_file(struct cf_mysql_load *load, struct cf_mysql *my,
			const struct cf_mysql_load_part *part, const struct cf_ctx *ctx,
			struct cf_mysql_row_reader *rows, struct cf_err *err)
{
	uint64_t n_zeros = 0;
	/* When we are killed the server takes what it got for the whole file. */
	int rc = cf_mysql_run(my, "START TRANSACTION", err);

	if (rc == 0) {
		rc = load_file(my, part->table, part->table->name, rows, &n_zeros, err);
		if (rc < 0 && refuses_local(cf_mysql_errno(my)))
			atomic_store(&load->by_insert, true);
	}
	if (rc == 0)
		rc = check_count(my, rows->n_rows, err);
	if (rc == 0) {
		rc = check_warnings(my, n_zeros, err);
		if (rc == CF_ERR_FAILED && has_generated(part->table->from)) {
			cf_err_clear(err);
			rc = prove_file(load, my, part, ctx, err);
		}
	}
	return rc == 0 ? cf_mysql_run(my, "COMMIT", err) : rc;
}

/* "INSERT INTO `t` (`a`,`b`) VALUES\n" */
static int insert_head(const struct cf_mysql_load_table *table, const char *name,
		       struct cf_buf *sql, struct cf_err *err)
{
	int rc = cf_buf_append_str(sql, "INSERT INTO ", err);

	if (rc == 0)
		rc = cf_mysql_quote_name(name, sql, err);
	if (rc == 0)
		rc = cf_buf_append_str(sql, " (", err);
	for (size_t i = 0; rc == 0 && i < table->from->n_columns; i++) {
		if (i > 0)
			rc = cf_buf_append_str(sql, ",", err);
		if (rc == 0)
			rc = cf_mysql_quote_name(table->from->columns[i].name, sql, err);
	}
	return rc == 0 ? cf_buf_append_str(sql, ") VALUES\n", err) : rc;
}

/* Append to sql the rows of text, which is whole lines: only the first has no comma before it. */
static int append_rows(struct cf_buf *sql, struct cf_span text, struct cf_err *err)
{
	const uint8_t *at = text.data, *end = text.data + text.len;
	bool is_first = true;
	int rc = 0;

	while (rc == 0 && at < end) {
		const uint8_t *behind = memchr(at, '\n', (size_t)(end - at));

		behind = behind ? behind + 1 : end;
		if (is_first && *at == ',')
			at++;
		else if (!is_first && *at != ',')
			rc = cf_buf_append(sql, ",", 1, err);
		if (rc == 0)
			rc = cf_buf_append(sql, at, (size_t)(behind - at), err);
		at = behind;
		is_first = false;
	}
	return rc;
}

/* One statement of whole lines. */
static int insert_into(const struct cf_mysql_load *load, struct cf_mysql *my,
		       const struct cf_mysql_load_table *table, const char *name,
		       struct cf_buf *sql, struct cf_span lines, struct cf_err *err)
{
	int rc;

	cf_buf_clear(sql);
	rc = insert_head(table, name, sql, err);
	if (rc == 0)
		rc = append_rows(sql, lines, err);
	/* The server would only hang up. */
	if (rc == 0 && sql->len >= load->packet_max)
		rc = cf_err_set(
			err, CF_ERR_FAILED,
			"a statement with its rows has %zu bytes, and the server takes %llu: "
			"SET GLOBAL max_allowed_packet, or local_infile = 1",
			sql->len, (unsigned long long)load->packet_max);
	return rc == 0 ? cf_mysql_run_span(my, cf_buf_span(sql), err) : rc;
}

static int prove_lines(const struct cf_mysql_load *load, struct cf_mysql *my,
		       const struct cf_mysql_load_table *table, struct cf_buf *sql,
		       struct cf_span lines, uint64_t n_zeros, struct cf_err *err)
{
	int rc;

	cf_err_clear(err);
	rc = begin_proof(my, table, err);
	if (rc == 0)
		rc = insert_into(load, my, table, proof, sql, lines, err);
	if (rc == 0)
		rc = check_warnings(my, n_zeros, err);
	return rc == 0 ? end_proof(my, err) : rc;
}

/* The bytes behind the last whole line stay in hand. */
static int insert_lines(const struct cf_mysql_load *load, struct cf_mysql *my,
			const struct cf_mysql_load_table *table, struct cf_buf *sql,
			struct cf_buf *lines, size_t len, struct cf_err *err)
{
	enum zero_state state = ZERO_IN_VALUE;
	uint64_t n_zeros = has_enums(table->from) ? count_zeros(&state, lines->data, len) : 0;
	struct cf_span whole = cf_span_of(lines->data, len);
	int rc = insert_into(load, my, table, table->name, sql, whole, err);

	if (rc == 0) {
		rc = check_warnings(my, n_zeros, err);
		if (rc == CF_ERR_FAILED && has_generated(table->from))
			rc = prove_lines(load, my, table, sql, whole, n_zeros, err);
	}
	if (rc == 0) {
		memmove(lines->data, lines->data + len, lines->len - len);
		lines->len -= len;
	}
	return rc;
}

static int insert_all(const struct cf_mysql_load *load, struct cf_mysql *my,
		      const struct cf_mysql_load_table *table, struct cf_mysql_row_reader *rows,
		      struct cf_buf *sql, struct cf_buf *lines, struct cf_err *err)
{
	int64_t n = 1;
	int rc = 0;

	while (rc == 0 && n > 0) {
		const uint8_t *last;

		rc = cf_buf_reserve(lines, INSERT_LEN, err);
		if (rc < 0)
			break;
		n = cf_mysql_row_reader_read(rows, lines->data + lines->len, INSERT_LEN, err);
		if (n < 0)
			return (int)n;
		lines->len += (size_t)n;
		last = lines->len > 0 ? memrchr(lines->data, '\n', lines->len) : NULL;
		if (last)
			rc = insert_lines(load, my, table, sql, lines,
					  (size_t)(last - lines->data) + 1, err);
	}
	return rc;
}

static int load_by_insert(const struct cf_mysql_load *load, struct cf_mysql *my,
			  const struct cf_mysql_load_table *table, struct cf_mysql_row_reader *rows,
			  struct cf_err *err)
{
	struct cf_buf sql = CF_BUF_INIT, lines = CF_BUF_INIT;
	int rc = cf_mysql_run(my, "SET NAMES binary", err);

	if (rc == 0)
		rc = cf_mysql_run(my, "START TRANSACTION", err);
	if (rc == 0)
		rc = insert_all(load, my, table, rows, &sql, &lines, err);
	if (rc == 0)
		rc = cf_mysql_run(my, "COMMIT", err);
	if (rc == 0)
		rc = cf_mysql_run(my, "SET NAMES utf8mb4", err);
	cf_buf_release(&sql);
	cf_buf_release(&lines);
	return rc;
}

int cf_mysql_load_rows(struct cf_mysql_load *load, struct cf_mysql *my,
		       const struct cf_mysql_load_part *part, const struct cf_ctx *ctx,
		       uint64_t *rows_out, struct cf_err *err)
{
	const struct cf_mysql_load_table *table = part->table;
	struct cf_mysql_row_reader rows;
	/* LOAD DATA would take +0 for that value, no row without a value, and no introducer of
	 * MySQL's JSON. */
	bool by_insert = atomic_load(&load->by_insert) || table->from->n_columns == 0 ||
			 strstr(table->from->create, "'+0'") ||
			 strcasestr(table->from->create, "` json");
	int rc = 0;

	cf_mysql_row_reader_init(&rows, load->tree, table->path, table->from, part->from, part->to);
	rows.ctx = ctx;
	if (!by_insert) {
		rc = load_by_file(load, my, part, ctx, &rows, err);
		by_insert = rc < 0 && rows.n_rows == 0 && atomic_load(&load->by_insert);
	}
	if (by_insert) {
		cf_err_clear(err);
		rc = load_by_insert(load, my, table, &rows, err);
	}
	*rows_out = rows.n_rows;
	cf_mysql_row_reader_release(&rows);
	return rc;
}
