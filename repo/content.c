#include "repo/content.h"

#include "base/err.h"
#include "repo/catalog.h"
#include "repo/chunks.h"
#include "repo/format/list.h"
#include "repo/handle.h"

#include <stdlib.h>

/* One list on the way from the root to the current extent. */
struct step {
	struct cf_list_entry *entries;
	size_t n, next;
	uint64_t off; /* of entries[next] in the content */
};

struct cf_content_cursor {
	struct cf_repo *repo;
	struct cf_content content;
	struct step steps[CF_CONTENT_LEVELS]; /* steps[0] is the root list, of level content.level */
	unsigned depth;			      /* lists open */
	bool ended;			      /* level 0: the one extent was given */
};

int cf_content_cursor_new(struct cf_repo *repo, const struct cf_content *content,
			  struct cf_content_cursor **cursor_out, struct cf_err *err)
{
	struct cf_content_cursor *cursor = calloc(1, sizeof(*cursor));

	if (!cursor)
		return cf_err_nomem(err);
	cursor->repo = repo;
	cursor->content = *content;
	cursor->ended = content->size == 0;
	*cursor_out = cursor;
	return 0;
}

static void close_lists(struct cf_content_cursor *cursor)
{
	while (cursor->depth > 0)
		free(cursor->steps[--cursor->depth].entries);
}

void cf_content_cursor_free(struct cf_content_cursor *cursor)
{
	if (!cursor)
		return;
	close_lists(cursor);
	free(cursor);
}

/* Open the list with this id as the next step down. */
static int open_list(struct cf_content_cursor *cursor, const struct cf_id *id, uint64_t off, uint64_t len,
		     struct cf_err *err)
{
	struct step *step = &cursor->steps[cursor->depth];
	struct cf_buf bytes = CF_BUF_INIT;
	unsigned level = cursor->content.level - cursor->depth;
	int rc = cf_chunk_read(cursor->repo, id, &bytes, err);

	*step = (struct step){.off = off};
	if (rc == 0)
		rc = cf_list_decode(cf_buf_span(&bytes), level, len, &step->entries, &step->n, err);
	cf_buf_release(&bytes);
	if (rc == 0)
		cursor->depth++;
	return rc;
}

/* Skip entries that end at or before off. */
static void skip_to(struct step *step, uint64_t off)
{
	while (step->next < step->n && step->off + step->entries[step->next].len <= off) {
		step->off += step->entries[step->next].len;
		step->next++;
	}
}

int cf_content_cursor_seek(struct cf_content_cursor *cursor, uint64_t off, struct cf_err *err)
{
	const struct cf_content *content = &cursor->content;

	if (off >= content->size) {
		cursor->ended = true;
		return 0;
	}
	cursor->ended = false;
	if (content->level == 0)
		return 0;
	/* Keep the lists that hold off; drop the rest. */
	while (cursor->depth > 1) {
		struct step *above = &cursor->steps[cursor->depth - 2];
		struct step *step = &cursor->steps[cursor->depth - 1];
		uint64_t end = above->off, start = end;

		/* above->next is past the open list. */
		start -= above->next ? above->entries[above->next - 1].len : 0;
		if (off >= start && off < end) {
			if (off < step->off)
				*step = (struct step){.entries = step->entries, .n = step->n, .off = start};
			break;
		}
		free(step->entries);
		cursor->depth--;
	}
	if (cursor->depth == 1 && off < cursor->steps[0].off) {
		cursor->steps[0].next = 0;
		cursor->steps[0].off = 0;
	}
	if (cursor->depth == 0) {
		int rc = open_list(cursor, &content->id, 0, content->size, err);

		if (rc < 0)
			return rc;
	}
	for (;;) {
		struct step *step = &cursor->steps[cursor->depth - 1];
		struct cf_list_entry *entry;
		int rc;

		skip_to(step, off);
		if (cursor->depth == content->level)
			return 0;
		entry = &step->entries[step->next];
		rc = open_list(cursor, &entry->id, step->off, entry->len, err);
		if (rc < 0)
			return rc;
		step->off += entry->len;
		step->next++;
	}
}

int cf_content_cursor_next(struct cf_content_cursor *cursor, struct cf_extent *extent_out,
			   struct cf_err *err)
{
	const struct cf_content *content = &cursor->content;

	if (cursor->ended)
		return 0;
	if (content->level == 0) {
		*extent_out = (struct cf_extent){.id = content->id, .off = 0, .len = content->size};
		cursor->ended = true;
		return 1;
	}
	if (cursor->depth == 0) {
		int rc = open_list(cursor, &content->id, 0, content->size, err);

		if (rc < 0)
			return rc;
	}
	for (;;) {
		struct step *step = &cursor->steps[cursor->depth - 1];
		struct cf_list_entry *entry = &step->entries[step->next];
		uint64_t off = step->off;

		if (step->next == step->n) {
			if (cursor->depth == 1) {
				cursor->ended = true;
				return 0;
			}
			free(step->entries);
			cursor->depth--;
			continue;
		}
		step->off += entry->len;
		step->next++;
		if (cursor->depth == content->level) {
			*extent_out = (struct cf_extent){.id = entry->id, .off = off, .len = entry->len};
			return 1;
		}
		int rc = open_list(cursor, &entry->id, off, entry->len, err);

		if (rc < 0)
			return rc;
	}
}

enum {
	PIECE_LEN = 2 << 20,
	PIECE_EXTENTS = CF_CHUNKS_AT_ONCE,
	ZEROS_LEN = 1 << 20
};

static void split(const struct cf_extent *extents, size_t n, struct cf_id *ids, uint64_t *lens)
{
	for (size_t i = 0; i < n; i++) {
		ids[i] = extents[i].id;
		lens[i] = extents[i].len;
	}
}

int cf_extents_read(struct cf_repo *repo, const struct cf_extent *extents, size_t n, struct cf_buf *out,
		    struct cf_err *err)
{
	struct cf_id ids[CF_CHUNKS_AT_ONCE];
	uint64_t lens[CF_CHUNKS_AT_ONCE];

	split(extents, n, ids, lens);
	cf_buf_clear(out);
	return cf_chunks_read(repo, ids, lens, n, out, err);
}

int cf_extents_read_apart(struct cf_repo *repo, const struct cf_extent *extents, size_t n, struct cf_buf *outs,
			  struct cf_err *err)
{
	struct cf_id ids[CF_CHUNKS_AT_ONCE];
	uint64_t lens[CF_CHUNKS_AT_ONCE];

	split(extents, n, ids, lens);
	return cf_chunks_read_apart(repo, ids, lens, n, outs, err);
}

/* A run of consecutive extents that one worker decodes. A hole is a piece of its own. */
struct piece {
	struct cf_job job;
	struct cf_repo *repo;
	struct cf_extent extents[PIECE_EXTENTS];
	unsigned n;
	uint64_t len;
	struct cf_buf plain;
	struct cf_err err;
	int rc;
	bool done;
	pthread_mutex_t *lock;
	pthread_cond_t *ready;
};

static void decode_piece(struct cf_job *job, unsigned worker)
{
	struct piece *piece = (struct piece *)job;
	int rc = cf_extents_read(piece->repo, piece->extents, piece->n, &piece->plain, &piece->err);

	(void)worker;
	pthread_mutex_lock(piece->lock);
	piece->rc = rc;
	piece->done = true;
	pthread_cond_broadcast(piece->ready);
	pthread_mutex_unlock(piece->lock);
}

struct content_reader {
	struct cf_repo *repo;
	struct cf_content_cursor *cursor;
	uint64_t off, end; /* wanted */
	struct cf_extent waiting; /* read from the cursor, not in a piece yet */
	bool has_waiting, at_end;
	pthread_mutex_t lock;
	pthread_cond_t ready;
	struct piece *pieces; /* a ring */
	unsigned n_pieces, first, n_used;
};

/* The next run of extents into a piece. 1, 0 at the end, or an error. */
static int fill_piece(struct content_reader *r, struct piece *piece, struct cf_err *err)
{
	piece->n = 0;
	piece->len = 0;
	while (!r->at_end && piece->n < PIECE_EXTENTS && piece->len < PIECE_LEN) {
		if (!r->has_waiting) {
			int rc = cf_content_cursor_next(r->cursor, &r->waiting, err);

			if (rc < 0)
				return rc;
			if (rc == 0 || r->waiting.off >= r->end) {
				r->at_end = true;
				break;
			}
			r->has_waiting = true;
		}
		if (piece->n && cf_id_is_zero(&r->waiting.id))
			break;
		piece->extents[piece->n++] = r->waiting;
		piece->len += r->waiting.len;
		r->has_waiting = false;
		if (cf_id_is_zero(&r->waiting.id))
			break;
	}
	return piece->n > 0;
}

static bool is_hole(const struct piece *piece)
{
	return cf_id_is_zero(&piece->extents[0].id);
}

static int start_piece(struct content_reader *r, struct cf_err *err)
{
	struct piece *piece = &r->pieces[(r->first + r->n_used) % r->n_pieces];
	int rc = fill_piece(r, piece, err);

	if (rc <= 0)
		return rc;
	piece->job.run = decode_piece;
	piece->repo = r->repo;
	piece->lock = &r->lock;
	piece->ready = &r->ready;
	piece->rc = 0;
	piece->done = is_hole(piece);
	cf_buf_clear(&piece->plain);
	r->n_used++;
	if (!piece->done)
		cf_pool_submit(r->repo->pool, &piece->job);
	return 1;
}

static void wait_piece(struct content_reader *r, struct piece *piece)
{
	pthread_mutex_lock(&r->lock);
	while (!piece->done)
		pthread_cond_wait(&r->ready, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

static int hand_zeros(uint64_t len, cf_content_fn *fn, void *user, struct cf_err *err)
{
	uint8_t *zeros = calloc(1, ZEROS_LEN);
	int rc = zeros ? 0 : cf_err_nomem(err);

	while (rc == 0 && len > 0) {
		size_t n = len < ZEROS_LEN ? (size_t)len : ZEROS_LEN;

		rc = fn(user, cf_span_of(zeros, n), err);
		len -= n;
	}
	free(zeros);
	return rc;
}

/* The wanted part of a decoded piece. */
static int hand_piece(struct content_reader *r, struct piece *piece, cf_content_fn *fn, void *user,
		      struct cf_err *err)
{
	uint64_t start = piece->extents[0].off, end = start + piece->len;
	uint64_t from = r->off > start ? r->off : start, to = r->end < end ? r->end : end;

	if (from >= to)
		return 0;
	if (is_hole(piece))
		return hand_zeros(to - from, fn, user, err);
	return fn(user, cf_span_of(piece->plain.data + (from - start), (size_t)(to - from)), err);
}

static int read_pieces(struct content_reader *r, cf_content_fn *fn, void *user, struct cf_err *err)
{
	int rc = 0, more = 1;

	for (;;) {
		struct piece *piece = &r->pieces[r->first];

		while (rc == 0 && more > 0 && r->n_used < r->n_pieces) {
			more = start_piece(r, err);
			rc = more < 0 ? more : 0;
		}
		if (r->n_used == 0)
			return rc;
		/* After a failure the pieces under way are still waited for. */
		wait_piece(r, piece);
		if (rc == 0 && piece->rc < 0) {
			rc = piece->rc;
			if (err)
				*err = piece->err;
		}
		if (rc == 0)
			rc = cf_ctx_check(r->repo->ctx, err);
		if (rc == 0)
			rc = hand_piece(r, piece, fn, user, err);
		r->first = (r->first + 1) % r->n_pieces;
		r->n_used--;
	}
}

int cf_content_read(struct cf_repo *repo, const struct cf_content *content, uint64_t off, uint64_t len,
		    cf_content_fn *fn, void *user, struct cf_err *err)
{
	struct content_reader r = {.repo = repo, .off = off};
	int rc;

	if (off >= content->size || len == 0)
		return 0;
	r.end = len < content->size - off ? off + len : content->size;
	r.n_pieces = cf_pool_threads(repo->pool) + 2;
	r.pieces = calloc(r.n_pieces, sizeof(*r.pieces));
	if (!r.pieces)
		return cf_err_nomem(err);
	pthread_mutex_init(&r.lock, NULL);
	pthread_cond_init(&r.ready, NULL);
	rc = cf_content_cursor_new(repo, content, &r.cursor, err);
	if (rc == 0)
		rc = cf_content_cursor_seek(r.cursor, off, err);
	if (rc == 0)
		rc = read_pieces(&r, fn, user, err);
	cf_content_cursor_free(r.cursor);
	for (unsigned i = 0; i < r.n_pieces; i++)
		cf_buf_release(&r.pieces[i].plain);
	free(r.pieces);
	pthread_mutex_destroy(&r.lock);
	pthread_cond_destroy(&r.ready);
	return rc;
}
