#ifndef CF_REPO_CONTENT_H
#define CF_REPO_CONTENT_H

/*
 * Content: a reference to the bytes of a file or directory, and reading it.
 *
 * Level 0 is one chunk; level 1 a chunk that lists data chunks; level 2 a list of lists, and so on.
 */

#include "base/buf.h"
#include "base/id.h"

struct cf_err;
struct cf_repo;

struct cf_content {
	struct cf_id id; /* zero: a hole of `size` bytes, or nothing when size is 0 */
	uint64_t size;   /* bytes of the content itself */
	uint8_t level;
};

/* One piece of content in order: a data chunk, or a hole (zero id). */
struct cf_extent {
	struct cf_id id;
	uint64_t off; /* in the content */
	uint64_t len;
};

/*
 * Walks the extents of a content from any offset. One thread per cursor.
 */
struct cf_content_cursor;

int cf_content_cursor_new(struct cf_repo *repo, const struct cf_content *content,
			  struct cf_content_cursor **cursor_out, struct cf_err *err);
void cf_content_cursor_free(struct cf_content_cursor *cursor);
/* Next call of next() gives the extent holding byte `off` (or the end). */
int cf_content_cursor_seek(struct cf_content_cursor *cursor, uint64_t off, struct cf_err *err);
/* 1 and *extent_out, 0 at the end, or an error. */
int cf_content_cursor_next(struct cf_content_cursor *cursor, struct cf_extent *extent_out,
			   struct cf_err *err);

/* The plain bytes of up to 64 extents, none a hole, into out (replaced). */
int cf_extents_read(struct cf_repo *repo, const struct cf_extent *extents, size_t n, struct cf_buf *out,
		    struct cf_err *err);

/* The same into a buffer each: what they hold after a failure is not to be used. */
int cf_extents_read_apart(struct cf_repo *repo, const struct cf_extent *extents, size_t n, struct cf_buf *outs,
			  struct cf_err *err);

/* Called with consecutive pieces in order; zeros are handed out for holes. Return non-zero to stop. */
typedef int cf_content_fn(void *user, struct cf_span data, struct cf_err *err);

/* Bytes off .. off+len (cut at the end of the content), decoded and verified, in order, decoding ahead in
 * parallel. What fn returns below 0 is passed up. */
int cf_content_read(struct cf_repo *repo, const struct cf_content *content, uint64_t off, uint64_t len,
		    cf_content_fn *fn, void *user, struct cf_err *err);

#endif
