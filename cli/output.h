#ifndef CF_CLI_OUTPUT_H
#define CF_CLI_OUTPUT_H

/* Text for people: sizes, times, tables. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct cf_err;

struct cf_text {
	char s[48];
};

struct cf_text cf_text_size(uint64_t bytes); /* "999 B", "1.2 GiB" */
struct cf_text cf_text_rate(uint64_t bytes,
			    uint64_t duration_ns);	     /* "350 MiB/s"; "-" without time */
struct cf_text cf_text_share(uint64_t part, uint64_t whole); /* "0.7 %"; "-" of nothing */
struct cf_text
cf_text_duration(uint64_t duration_ns); /* "12 ms", "0.6 s", "2:05 min", "1:02:05 h" */
struct cf_text cf_text_count(uint64_t n, const char *one,
			     const char *many);	 /* "1 file", "2 files" */
struct cf_text cf_text_time(int64_t time_ns);	 /* local: "2026-11-21 07:00:01" */
struct cf_text cf_text_rfc3339(int64_t time_ns); /* "2026-11-21T06:00:01.000000000Z" */

/* As much as is shown of a name that somebody chose as long as they liked. */
#define CF_CELL_COLUMNS 64

/* Rows of cells, printed in aligned columns two spaces apart; the first row is the heading. */
struct cf_table {
	size_t n_columns;
	const char *align; /* per column 'l' or 'r' */
	char **cells;
	size_t n_cells, capacity;
	size_t room; /* columns of a line, into which the last cell is cut; 0: no end */
};

void cf_table_init(struct cf_table *table, const char *align);
/* The next cell, escaped, and cut to CF_CELL_COLUMNS. */
int cf_table_add(struct cf_table *table, const char *text, struct cf_err *err);
/* When fd is a terminal: let no line be wider than it, down to 60 columns. */
void cf_table_fit(struct cf_table *table, int fd);
void cf_table_print(const struct cf_table *table, FILE *out);
void cf_table_release(struct cf_table *table);

#endif
