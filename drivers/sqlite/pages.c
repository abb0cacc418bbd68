#include "drivers/sqlite/pages.h"

#include "base/err.h"
#include "drivers/sqlite/header.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_LEN   ((size_t)256 << 10)
#define WAITING_LEN ((size_t)4 << 20)
/* SQLite locks the byte at 1 GiB and never stores data in its page. */
#define LOCK_BYTE ((uint32_t)1 << 30)

static int flush_batch(struct cf_pages *pages)
{
	int rc = 0;

	if (pages->file && pages->batch.len)
		rc = pages->sink->ops->file_write(pages->sink, pages->file,
						  cf_buf_span(&pages->batch), pages->err);
	cf_buf_clear(&pages->batch);
	return rc;
}

/* data NULL: a page of zeros. */
static int emit(struct cf_pages *pages, const uint8_t *data)
{
	int rc = 0;

	if (data)
		rc = cf_buf_append(&pages->batch, data, pages->page_len, pages->err);
	else
		rc = cf_buf_resize(&pages->batch, pages->batch.len + pages->page_len, pages->err);
	if (rc == 0 && pages->batch.len >= BATCH_LEN)
		rc = flush_batch(pages);
	pages->next++;
	return rc;
}

static uint32_t lock_page(const struct cf_pages *pages)
{
	return LOCK_BYTE / pages->page_len + 1;
}

static const uint8_t *slot_data(const struct cf_pages *pages, uint32_t slot)
{
	return pages->waiting_data + (size_t)slot * pages->page_len;
}

/* The slot a page waits in (number 0: a free one), or n_slots. */
static uint32_t find_slot(const struct cf_pages *pages, uint32_t number)
{
	uint32_t slot = 0;

	while (slot < pages->n_slots && pages->waiting[slot] != number)
		slot++;
	return slot;
}

/* Hand on what can go now. */
static int drain(struct cf_pages *pages)
{
	int rc = 0;

	while (rc == 0 && pages->next <= pages->n_pages) {
		uint32_t slot;

		if (pages->next == lock_page(pages)) {
			rc = emit(pages, NULL);
			continue;
		}
		if (!pages->n_waiting)
			break;
		slot = find_slot(pages, pages->next);
		if (slot == pages->n_slots)
			break;
		pages->waiting[slot] = 0;
		pages->n_waiting--;
		rc = emit(pages, slot_data(pages, slot));
	}
	return rc;
}

static int let_wait(struct cf_pages *pages, uint32_t number, const uint8_t *data)
{
	uint32_t slot = find_slot(pages, number);

	if (slot < pages->n_slots) /* written again: the newer counts */
		pages->n_waiting--;
	else
		slot = find_slot(pages, 0);
	if (slot == pages->n_slots)
		return cf_err_set(pages->err, CF_ERR_FAILED,
				  "%s: SQLite gave page %u while page %u is still missing",
				  pages->path, number, pages->next);
	memcpy(pages->waiting_data + (size_t)slot * pages->page_len, data, pages->page_len);
	pages->waiting[slot] = number;
	pages->n_waiting++;
	if (pages->n_waiting > pages->n_waiting_max)
		pages->n_waiting_max = pages->n_waiting;
	return 0;
}

static int check_page1(struct cf_pages *pages, const uint8_t *data)
{
	if (cf_sqlite_header_same_page(pages->page1, data, pages->page_len))
		return 0;
	return cf_err_set(pages->err, CF_ERR_FAILED, "%s: page 1 is not the one read at the start",
			  pages->path);
}

static int put(struct cf_pages *pages, uint32_t number, const uint8_t *data)
{
	int rc;

	if (number == 1)
		return check_page1(pages, data);
	if (number < pages->next || number > pages->n_pages)
		return cf_err_set(pages->err, CF_ERR_FAILED,
				  "%s: SQLite gave page %u, but page %u of %u is next", pages->path,
				  number, pages->next, pages->n_pages);
	if (number > pages->next)
		return let_wait(pages, number, data);
	rc = emit(pages, data);
	return rc < 0 ? rc : drain(pages);
}

int cf_pages_begin(struct cf_pages *pages)
{
	pages->n_slots = (uint32_t)(WAITING_LEN / pages->page_len);
	pages->waiting = calloc(pages->n_slots, sizeof(*pages->waiting));
	pages->waiting_data = malloc(WAITING_LEN);
	pages->next = 1;
	if (!pages->waiting || !pages->waiting_data)
		pages->rc = cf_err_nomem(pages->err);
	else
		pages->rc = emit(pages, pages->page1);
	return pages->rc;
}

int cf_pages_put(struct cf_pages *pages, uint32_t number, const uint8_t *data)
{
	if (pages->rc == 0)
		pages->rc = put(pages, number, data);
	return pages->rc;
}

int cf_pages_finish(struct cf_pages *pages)
{
	if (pages->rc == 0)
		pages->rc = drain(pages);
	if (pages->rc == 0 && pages->next <= pages->n_pages)
		pages->rc =
			cf_err_set(pages->err, CF_ERR_FAILED, "%s: SQLite never gave page %u of %u",
				   pages->path, pages->next, pages->n_pages);
	if (pages->rc == 0)
		pages->rc = flush_batch(pages);
	return pages->rc;
}

void cf_pages_release(struct cf_pages *pages)
{
	cf_buf_release(&pages->batch);
	free(pages->waiting);
	free(pages->waiting_data);
	pages->waiting = NULL;
	pages->waiting_data = NULL;
}
