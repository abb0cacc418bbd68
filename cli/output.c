#include "cli/output.h"

#include "base/err.h"
#include "cli/escape.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define NS_PER_S 1000000000

static const char *const size_units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

/* Tenths of the unit that keeps the number below 1024. */
static uint64_t tenths_of(uint64_t bytes, size_t *unit_out)
{
	double tenths = (double)bytes * 10;
	size_t unit = 0;

	/* Rounding up must not give 1024.0 of a unit. */
	while (tenths >= (unit ? 10239.5 : 10240) && unit < 6) {
		tenths /= 1024;
		unit++;
	}
	*unit_out = unit;
	return (uint64_t)(tenths + 0.5);
}

struct cf_text cf_text_size(uint64_t bytes)
{
	struct cf_text text;
	size_t unit;
	uint64_t tenths = tenths_of(bytes, &unit);

	if (unit == 0)
		snprintf(text.s, sizeof(text.s), "%" PRIu64 " B", bytes);
	else
		snprintf(text.s, sizeof(text.s), "%" PRIu64 ".%" PRIu64 " %s", tenths / 10,
			 tenths % 10, size_units[unit]);
	return text;
}

struct cf_text cf_text_rate(uint64_t bytes, uint64_t duration_ns)
{
	struct cf_text text = {"-"};
	size_t unit;
	uint64_t tenths;

	if (duration_ns == 0)
		return text;
	tenths = tenths_of((uint64_t)((double)bytes * NS_PER_S / (double)duration_ns), &unit);
	if (unit == 0 || tenths >= 1000)
		snprintf(text.s, sizeof(text.s), "%" PRIu64 " %s/s", (tenths + 5) / 10,
			 size_units[unit]);
	else
		snprintf(text.s, sizeof(text.s), "%" PRIu64 ".%" PRIu64 " %s/s", tenths / 10,
			 tenths % 10, size_units[unit]);
	return text;
}

struct cf_text cf_text_share(uint64_t part, uint64_t whole)
{
	struct cf_text text = {"-"};

	if (whole > 0)
		snprintf(text.s, sizeof(text.s), "%.1f %%", 100.0 * (double)part / (double)whole);
	return text;
}

struct cf_text cf_text_duration(uint64_t duration_ns)
{
	struct cf_text text;
	uint64_t tenths = (duration_ns + NS_PER_S / 20) / (NS_PER_S / 10);
	uint64_t s = (duration_ns + NS_PER_S / 2) / NS_PER_S;

	if (tenths < 1)
		snprintf(text.s, sizeof(text.s), "%" PRIu64 " ms", duration_ns / 1000000);
	else if (tenths < 600)
		snprintf(text.s, sizeof(text.s), "%" PRIu64 ".%" PRIu64 " s", tenths / 10,
			 tenths % 10);
	else if (s < 3600)
		snprintf(text.s, sizeof(text.s), "%" PRIu64 ":%02" PRIu64 " min", s / 60, s % 60);
	else
		snprintf(text.s, sizeof(text.s), "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64 " h",
			 s / 3600, s / 60 % 60, s % 60);
	return text;
}

struct cf_text cf_text_count(uint64_t n, const char *one, const char *many)
{
	struct cf_text text;

	snprintf(text.s, sizeof(text.s), "%" PRIu64 " %s", n, n == 1 ? one : many);
	return text;
}

/* Whole seconds, rounded towards the past, and what is left. */
static time_t seconds_of(int64_t time_ns, long *ns_out)
{
	int64_t s = time_ns / NS_PER_S, ns = time_ns % NS_PER_S;

	if (ns < 0) {
		ns += NS_PER_S;
		s--;
	}
	*ns_out = (long)ns;
	return (time_t)s;
}

struct cf_text cf_text_time(int64_t time_ns)
{
	struct cf_text text = {"-"};
	struct tm parts;
	long ns;
	time_t s = seconds_of(time_ns, &ns);

	if (localtime_r(&s, &parts))
		strftime(text.s, sizeof(text.s), "%Y-%m-%d %H:%M:%S", &parts);
	return text;
}

struct cf_text cf_text_rfc3339(int64_t time_ns)
{
	struct cf_text text = {"-"};
	struct tm parts;
	long ns;
	time_t s = seconds_of(time_ns, &ns);
	size_t len;

	if (!gmtime_r(&s, &parts))
		return text;
	len = strftime(text.s, sizeof(text.s), "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(text.s + len, sizeof(text.s) - len, ".%09ldZ", ns);
	return text;
}

void cf_table_init(struct cf_table *table, const char *align)
{
	*table = (struct cf_table){.n_columns = strlen(align), .align = align};
}

int cf_table_add(struct cf_table *table, const char *text, struct cf_err *err)
{
	struct cf_buf cell = CF_BUF_INIT;
	int rc;

	if (table->n_cells == table->capacity) {
		size_t capacity = table->capacity ? 2 * table->capacity : 64;
		char **cells = realloc(table->cells, capacity * sizeof(*cells));

		if (!cells)
			return cf_err_nomem(err);
		table->cells = cells;
		table->capacity = capacity;
	}
	rc = cf_escape_append_cut(&cell, text, CF_ESCAPE_NAME, CF_CELL_COLUMNS, err);
	if (rc == 0)
		rc = cf_buf_append(&cell, "", 1, err);
	if (rc < 0) {
		cf_buf_release(&cell);
		return rc;
	}
	table->cells[table->n_cells++] = (char *)cell.data;
	return 0;
}

static size_t column_width(const struct cf_table *table, size_t column)
{
	size_t width = 0;

	for (size_t i = column; i < table->n_cells; i += table->n_columns) {
		size_t columns = cf_utf8_columns(table->cells[i]);

		if (columns > width)
			width = columns;
	}
	return width;
}

static void print_spaces(FILE *out, size_t n)
{
	fprintf(out, "%*s", (int)n, "");
}

/* A narrow window is better wrapped. */
enum { ROOM_MIN = 60, LAST_MIN = 16 };

void cf_table_fit(struct cf_table *table, int fd)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= ROOM_MIN)
		table->room = size.ws_col;
}

/* The cell is escaped already: only cut. */
static void print_cut(FILE *out, const char *cell, size_t room)
{
	bool is_cut = cf_utf8_columns(cell) > room;

	if (!is_cut || room < 3) {
		fputs(cell, out);
		return;
	}
	for (size_t columns = 0; columns < room - 3; columns++) {
		size_t len = cf_utf8_len(cell, NULL);

		fwrite(cell, 1, len ? len : 1, out);
		cell += len ? len : 1;
	}
	fputs("...", out);
}

/* How much of the table's room is left for its last column. */
static size_t last_room(const struct cf_table *table, const size_t *widths)
{
	size_t used = 0;

	if (!table->room || !widths)
		return SIZE_MAX;
	for (size_t i = 0; i + 1 < table->n_columns; i++)
		used += widths[i] + 2;
	return table->room > used + LAST_MIN ? table->room - used : LAST_MIN;
}

void cf_table_print(const struct cf_table *table, FILE *out)
{
	size_t *widths = calloc(table->n_columns, sizeof(*widths)), owed = 0, room;

	for (size_t i = 0; widths && i < table->n_columns; i++)
		widths[i] = column_width(table, i);
	room = last_room(table, widths);
	for (size_t i = 0; i < table->n_cells; i++) {
		size_t column = i % table->n_columns, columns = cf_utf8_columns(table->cells[i]);
		size_t pad = widths ? widths[column] - columns : 0;
		bool right = table->align[column] == 'r';

		/* Spaces are owed until something follows: a line does not end in them. */
		if (columns > 0) {
			print_spaces(out, owed + (right ? pad : 0));
			print_cut(out, table->cells[i],
				  column + 1 == table->n_columns ? room : SIZE_MAX);
			owed = right ? 2 : pad + 2;
		} else {
			owed += pad + 2;
		}
		if (column + 1 == table->n_columns) {
			fputc('\n', out);
			owed = 0;
		}
	}
	free(widths);
}

void cf_table_release(struct cf_table *table)
{
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	*table = (struct cf_table){0};
}
