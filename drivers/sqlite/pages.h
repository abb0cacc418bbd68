#ifndef CF_DRIVERS_SQLITE_PAGES_H
#define CF_DRIVERS_SQLITE_PAGES_H

/*
 * Puts the pages of one database in order and hands them to a sink's file.
 *
 * SQLite's pager writes the destination of a backup in nearly ascending order, except page 1, which
 * it keeps to the end and alters. So page 1 is given first, as the source has it, and the copy that
 * comes last is only compared. Pages that come early wait in a bounded buffer.
 */

#include "base/stream.h"

struct cf_err;

struct cf_pages {
	struct cf_sink *sink;
	struct cf_file *file; /* NULL: the sink wants no content, pages are counted only */
	const char *path;     /* for messages */
	const uint8_t *page1; /* as the source has it */
	uint32_t page_len;
	uint32_t n_pages;
	uint32_t next;		/* the page number to be handed on next; pages count from 1 */
	uint32_t n_waiting_max; /* the most pages that ever waited, for tests */
	struct cf_buf batch;
	uint32_t *waiting; /* page numbers, 0 for a free slot */
	uint8_t *waiting_data;
	uint32_t n_slots, n_waiting;
	struct cf_err *err;
	int rc; /* the first failure: SQLite only passes on that there was one */
};

/* The caller fills in sink, file, path, page1, page_len, n_pages and err, the rest zero. Writes
 * page 1. */
int cf_pages_begin(struct cf_pages *pages);

/* The page with this number. */
int cf_pages_put(struct cf_pages *pages, uint32_t number, const uint8_t *data);

/* Everything was put: write what is left; a page that never came is an error. */
int cf_pages_finish(struct cf_pages *pages);

void cf_pages_release(struct cf_pages *pages);

#endif
