#include "drivers/mysql/row_reader.h"

#include "base/ctx.h"
#include "base/err.h"
#include "base/tree.h"
#include "drivers/mysql/manifest.h"

#include <string.h>

enum {
	WINDOW_LEN = 2 << 20 /* read from the tree at once */
};

static unsigned line_feeds_of(const char *name)
{
	unsigned n = 0;

	for (; *name; name++)
		n += *name == '\n';
	return n;
}

static unsigned head_lines_of(const struct cf_mysql_table *table)
{
	unsigned n = 1 + line_feeds_of(table->name);

	for (size_t i = 0; i < table->n_columns; i++)
		n += line_feeds_of(table->columns[i].name);
	return n;
}

bool cf_mysql_row_reader_cuts(const struct cf_mysql_table *table)
{
	return head_lines_of(table) == 1;
}

void cf_mysql_row_reader_init(struct cf_mysql_row_reader *rows, struct cf_tree *tree,
			      const char *path, const struct cf_mysql_table *table, uint64_t from,
			      uint64_t to)
{
	*rows = (struct cf_mysql_row_reader){
		.tree = tree,
		.path = path,
		.name = table->name,
		.limit = to,
		.data_end = table->data_off + table->data_len,
		.n_head_lines = head_lines_of(table),
		.n_left = 1,
		.window_off = from,
	};
	/* Whether a line begins at `from` is told by the byte before it. */
	if (from > table->data_off) {
		rows->window_off--;
		rows->state = CF_MYSQL_READER_IN_OTHER;
	}
}

void cf_mysql_row_reader_release(struct cf_mysql_row_reader *rows)
{
	cf_buf_release(&rows->window);
}

static int take_piece(void *user, struct cf_span data, struct cf_err *err)
{
	struct cf_buf *window = user;

	return cf_buf_append(window, data.data, data.len, err);
}

/* The next window; it stays empty at the data's end. */
static int refill(struct cf_mysql_row_reader *rows, struct cf_err *err)
{
	uint64_t len;
	int rc = rows->ctx ? cf_ctx_check(rows->ctx, err) : 0;

	if (rc < 0)
		return rc;
	rows->window_off += rows->window.len;
	rows->at = 0;
	cf_buf_clear(&rows->window);
	if (rows->window_off >= rows->data_end)
		return 0;
	len = rows->data_end - rows->window_off;
	if (len > WINDOW_LEN)
		len = WINDOW_LEN;
	rc = rows->tree->ops->read(rows->tree, rows->path, rows->window_off, len, take_piece,
				   &rows->window, err);
	if (rc == 0 && rows->window.len != len)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "%s is shorter than its table", rows->path);
	return rc;
}

/* What begins at the line's first byte. */
static int begin_line(struct cf_mysql_row_reader *rows, struct cf_err *err)
{
	rows->n_left = 1;
	switch (rows->window.data[rows->at]) {
	case ',':
	case '(':
		rows->state = CF_MYSQL_READER_IN_ROW;
		rows->n_rows++;
		return 0;
	case 'I':
		rows->n_left = rows->n_head_lines;
		/* fall through */
	case ';':
		rows->state = CF_MYSQL_READER_IN_OTHER;
		return 0;
	default:
		return cf_err_set(err, CF_ERR_DAMAGED, "%s: no row of table %s begins at byte %llu",
				  rows->path, rows->name,
				  (unsigned long long)(rows->window_off + rows->at));
	}
}

/* Bytes of the line in hand that the window holds; the line feed ends it. */
static size_t line_rest(struct cf_mysql_row_reader *rows, size_t most)
{
	const uint8_t *from = rows->window.data + rows->at;
	size_t left = rows->window.len - rows->at;
	const uint8_t *end;

	if (left > most)
		left = most;
	end = memchr(from, '\n', left);
	if (!end)
		return left;
	if (--rows->n_left == 0)
		rows->state = CF_MYSQL_READER_AT_LINE;
	return (size_t)(end - from) + 1;
}

int64_t cf_mysql_row_reader_read(void *user, void *out, size_t len, struct cf_err *err)
{
	struct cf_mysql_row_reader *rows = user;
	size_t done = 0;
	int rc;

	while (done < len) {
		size_t n;

		if (rows->at == rows->window.len) {
			rc = refill(rows, err);
			if (rc < 0)
				return rc;
			if (rows->window.len == 0)
				break;
		}
		if (rows->state == CF_MYSQL_READER_AT_LINE) {
			if (rows->window_off + rows->at >= rows->limit)
				break;
			rc = begin_line(rows, err);
			if (rc < 0)
				return rc;
		}
		if (rows->state == CF_MYSQL_READER_IN_ROW) {
			n = line_rest(rows, len - done);
			memcpy((uint8_t *)out + done, rows->window.data + rows->at, n);
			done += n;
		} else {
			n = line_rest(rows, SIZE_MAX);
		}
		rows->at += n;
	}
	return (int64_t)done;
}
