#include "fuse/files.h"

#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
	GROUP_LEN = 2 << 20, /* chunks decoded and verified together */
	GROUP_MAX = 64,
	WINDOW_KEPT = 4 << 20, /* extents behind the reader that stay known: readahead comes in any order */
	NEAR_LEN = 1 << 20,    /* a read this near to the expected place goes forward, too */
	AHEAD_MIN = 1 << 20,
	AHEAD_MAX = 32 << 20,
	QUEUE_MAX = 256,
	LEFT_STREAK = 64,      /* reads in a row after which a reader will hardly turn back */
	LEFT_KEPT = 16 << 20,
	LEFT_STEP = 4 << 20,
	COUNTED_MAX = 65536, /* extents that are looked at for the size on disk */
	ZEROS_LEN = 1 << 20
};

struct cf_files {
	struct cf_repo *repo;
	struct cf_cache *chunks;
	struct cf_pool *pool;
	size_t budget;
	atomic_uint n_readers;
	atomic_uint n_queued; /* groups that are decoded ahead */
	uint8_t *zeros;
};

struct cf_file_reader {
	struct cf_files *files;
	struct cf_content content;
	uint64_t size;
	pthread_mutex_t lock; /* everything below */
	struct cf_content_cursor *cursor;
	struct cf_content_cursor *seeker; /* NULL until somebody looks for holes */
	struct cf_extent *window; /* consecutive extents; the cursor is at their end */
	size_t n, capacity;
	uint64_t window_end;
	uint64_t expected; /* where a reader that goes forward reads next */
	unsigned streak;   /* reads forward in a row */
	uint64_t ahead;	   /* decoding was asked for up to here */
	uint64_t left;	   /* of what was read in a row, what cf_file_reader_left() has not told yet begins here */
};

/* Chunks of one file that somebody claimed, to be loaded together. */
struct group {
	struct cf_job job;
	struct cf_files *files;
	struct cf_extent extents[GROUP_MAX];
	struct cf_cache_entry *entries[GROUP_MAX];
	size_t n;
	uint64_t len;
};

static void free_chunk(void *value)
{
	struct cf_buf *chunk = value;

	cf_buf_release(chunk);
	free(chunk);
}

int cf_files_new(struct cf_repo *repo, size_t budget, unsigned n_threads, struct cf_files **files_out,
		 struct cf_err *err)
{
	struct cf_files *files = calloc(1, sizeof(*files));
	int rc = 0;

	if (!files)
		return cf_err_nomem(err);
	files->repo = repo;
	files->budget = budget;
	files->zeros = calloc(1, ZEROS_LEN);
	if (!files->zeros)
		rc = cf_err_nomem(err);
	if (rc == 0)
		rc = cf_cache_new(budget, free_chunk, &files->chunks, err);
	if (rc == 0)
		rc = cf_pool_new(n_threads, QUEUE_MAX, &files->pool, err);
	if (rc < 0) {
		cf_files_free(files);
		return rc;
	}
	*files_out = files;
	return 0;
}

void cf_files_free(struct cf_files *files)
{
	if (!files)
		return;
	if (files->pool)
		cf_pool_free(files->pool);
	cf_cache_free(files->chunks);
	free(files->zeros);
	free(files);
}

int cf_file_reader_open(struct cf_files *files, const struct cf_content *content,
			struct cf_file_reader **reader_out, struct cf_err *err)
{
	struct cf_file_reader *reader = calloc(1, sizeof(*reader));
	int rc;

	if (!reader)
		return cf_err_nomem(err);
	reader->files = files;
	reader->content = *content;
	reader->size = content->size;
	pthread_mutex_init(&reader->lock, NULL);
	atomic_fetch_add(&files->n_readers, 1);
	rc = cf_content_cursor_new(files->repo, content, &reader->cursor, err);
	if (rc < 0) {
		cf_file_reader_close(reader);
		return rc;
	}
	*reader_out = reader;
	return 0;
}

void cf_file_reader_close(struct cf_file_reader *reader)
{
	if (!reader)
		return;
	atomic_fetch_sub(&reader->files->n_readers, 1);
	cf_content_cursor_free(reader->cursor);
	cf_content_cursor_free(reader->seeker);
	pthread_mutex_destroy(&reader->lock);
	free(reader->window);
	free(reader);
}

static int add_extent(struct cf_file_reader *reader, const struct cf_extent *extent, struct cf_err *err)
{
	if (reader->n == reader->capacity) {
		size_t capacity = reader->capacity ? 2 * reader->capacity : 64;
		struct cf_extent *window = realloc(reader->window, capacity * sizeof(*window));

		if (!window)
			return cf_err_nomem(err);
		reader->window = window;
		reader->capacity = capacity;
	}
	reader->window[reader->n++] = *extent;
	reader->window_end = extent->off + extent->len;
	return 0;
}

/* The first extent that ends behind off. */
static size_t find_extent(const struct cf_file_reader *reader, uint64_t off)
{
	size_t low = 0, high = reader->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (reader->window[middle].off + reader->window[middle].len <= off)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void drop_old(struct cf_file_reader *reader, uint64_t off)
{
	size_t n = off > WINDOW_KEPT ? find_extent(reader, off - WINDOW_KEPT) : 0;

	if (n == 0 || n < reader->n / 2)
		return;
	memmove(reader->window, reader->window + n, (reader->n - n) * sizeof(*reader->window));
	reader->n -= n;
}

/* Make the window hold the extents of off .. end. */
static int cover(struct cf_file_reader *reader, uint64_t off, uint64_t end, struct cf_err *err)
{
	int rc = 0;

	if (reader->n == 0 || off < reader->window[0].off || off > reader->window_end) {
		reader->n = 0;
		reader->window_end = 0;
		rc = cf_content_cursor_seek(reader->cursor, off, err);
	} else {
		drop_old(reader, off);
	}
	while (rc == 0 && reader->window_end < end) {
		struct cf_extent extent;

		rc = cf_content_cursor_next(reader->cursor, &extent, err);
		if (rc == 0)
			return cf_err_set(err, CF_ERR_DAMAGED, "a file is shorter than its entry says");
		rc = rc < 0 ? rc : add_extent(reader, &extent, err);
	}
	if (rc < 0)
		reader->n = 0;
	return rc;
}

/* Decode and verify the extents into their claimed entries, which then are loaded or all failed. Each chunk has memory of its
 * own, so that one that stays in use keeps none of its neighbours. */
static int load_extents(struct cf_files *files, const struct cf_extent *extents,
			struct cf_cache_entry *const *entries, size_t n, struct cf_err *err)
{
	struct cf_buf plain[GROUP_MAX] = {CF_BUF_INIT}, *chunks[GROUP_MAX] = {NULL};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		chunks[i] = malloc(sizeof(*chunks[i]));
		rc = chunks[i] ? 0 : cf_err_nomem(err);
	}
	if (rc == 0)
		rc = cf_extents_read_apart(files->repo, extents, n, plain, err);
	for (size_t i = 0; i < n; i++) {
		if (rc < 0) {
			cf_buf_release(&plain[i]);
			free(chunks[i]);
			continue;
		}
		*chunks[i] = plain[i];
		cf_cache_fill(files->chunks, entries[i], chunks[i], sizeof(plain[i]) + plain[i].capacity);
	}
	return rc;
}

/* The same, so that of several only those fail that are damaged. */
static void load_group(struct cf_files *files, const struct group *group)
{
	struct cf_err err = CF_ERR_INIT;

	if (load_extents(files, group->extents, group->entries, group->n, &err) == 0)
		return;
	for (size_t i = 0; i < group->n; i++) {
		cf_err_clear(&err);
		if (load_extents(files, &group->extents[i], &group->entries[i], 1, &err) < 0)
			cf_cache_fail(files->chunks, group->entries[i], &err);
	}
}

static void add_to_group(struct group *group, const struct cf_extent *extent, struct cf_cache_entry *entry)
{
	group->extents[group->n] = *extent;
	group->entries[group->n++] = entry;
	group->len += extent->len;
}

static bool is_full(const struct group *group)
{
	return group->n == GROUP_MAX || group->len >= GROUP_LEN;
}

static void run_group(struct cf_job *job, unsigned worker)
{
	struct group *group = (struct group *)job;

	(void)worker;
	load_group(group->files, group);
	for (size_t i = 0; i < group->n; i++)
		cf_cache_release(group->files->chunks, group->entries[i]);
	atomic_fetch_sub(&group->files->n_queued, 1);
	free(group);
}

/* Hand the group to the pool; *group becomes NULL. */
static void queue_group(struct group **group)
{
	if (!*group)
		return;
	if ((*group)->n == 0)
		free(*group);
	else {
		(*group)->job.run = run_group;
		atomic_fetch_add(&(*group)->files->n_queued, 1);
		cf_pool_submit((*group)->files->pool, &(*group)->job);
	}
	*group = NULL;
}

/* How far ahead of this reader to decode: further the longer it goes on, less when many share the cache. */
static uint64_t ahead_len(const struct cf_file_reader *reader)
{
	unsigned n = atomic_load(&reader->files->n_readers);
	uint64_t share = reader->files->budget / 2 / (n ? n : 1), len = AHEAD_MAX;

	if (reader->streak < 5)
		len = (uint64_t)AHEAD_MIN << reader->streak;
	return len < share ? len : share;
}

/* Decode what a reader that goes forward will want next. Whatever is wrong there shows when it gets there. */
static void decode_ahead(struct cf_file_reader *reader, uint64_t end)
{
	struct cf_files *files = reader->files;
	uint64_t len = ahead_len(reader), target = end + len < reader->size ? end + len : reader->size;
	struct group *group = NULL;
	size_t i;

	if (reader->ahead < end)
		reader->ahead = end;
	/* In large steps: a step costs a lock and a wake-up. */
	if (target <= reader->ahead || (target < reader->size && target - reader->ahead < len / 2) ||
	    atomic_load(&files->n_queued) > QUEUE_MAX / 2)
		return;
	if (cover(reader, end, target, NULL) < 0)
		return;
	for (i = find_extent(reader, reader->ahead); i < reader->n && reader->window[i].off < target; i++) {
		const struct cf_extent *extent = &reader->window[i];
		struct cf_cache_entry *entry;

		if (cf_id_is_zero(&extent->id) || !(entry = cf_cache_claim(files->chunks, &extent->id)))
			continue;
		if (!group && (group = calloc(1, sizeof(*group))))
			group->files = files;
		if (!group) {
			struct cf_err err = CF_ERR_INIT;

			cf_err_nomem(&err);
			cf_cache_fail(files->chunks, entry, &err);
			cf_cache_release(files->chunks, entry);
			break;
		}
		add_to_group(group, extent, entry);
		if (is_full(group))
			queue_group(&group);
	}
	queue_group(&group);
	reader->ahead = target;
}

static void note_read(struct cf_file_reader *reader, uint64_t off, uint64_t end)
{
	bool forward = off + NEAR_LEN >= reader->expected && off <= reader->expected + NEAR_LEN;

	if (forward) {
		reader->streak++;
		if (end > reader->expected)
			reader->expected = end;
	} else {
		reader->streak = 0;
		reader->expected = end;
		reader->ahead = 0;
		reader->left = off;
	}
	/* The start of a file alone says nothing yet. */
	if (forward && reader->streak > 1)
		decode_ahead(reader, reader->expected);
}

static int grow_read(struct cf_read *read, struct cf_err *err)
{
	size_t capacity = read->capacity ? 2 * read->capacity : 16;
	struct iovec *pieces;
	struct cf_cache_entry **entries;

	if (read->n_pieces < read->capacity)
		return 0;
	pieces = realloc(read->pieces, capacity * sizeof(*pieces));
	if (pieces)
		read->pieces = pieces;
	entries = realloc(read->entries, capacity * sizeof(*entries));
	if (entries)
		read->entries = entries;
	if (!pieces || !entries)
		return cf_err_nomem(err);
	read->capacity = capacity;
	return 0;
}

static int add_piece(struct cf_read *read, const uint8_t *data, size_t len, struct cf_err *err)
{
	int rc = grow_read(read, err);

	if (rc == 0)
		read->pieces[read->n_pieces++] = (struct iovec){(void *)(uintptr_t)data, len};
	return rc;
}

/* The wanted extents, copied so that the reader's lock need not be held while they are decoded. */
static int take_extents(struct cf_file_reader *reader, uint64_t off, uint64_t end, struct cf_extent **extents_out,
			size_t *n_out, struct cf_err *err)
{
	size_t first, n = 0;
	int rc;

	pthread_mutex_lock(&reader->lock);
	rc = cover(reader, off, end, err);
	if (rc == 0) {
		first = find_extent(reader, off);
		while (first + n < reader->n && reader->window[first + n].off < end)
			n++;
		*extents_out = malloc((n + 1) * sizeof(**extents_out));
		if (*extents_out)
			memcpy(*extents_out, reader->window + first, n * sizeof(**extents_out));
		else
			rc = cf_err_nomem(err);
		*n_out = n;
		note_read(reader, off, end);
	}
	pthread_mutex_unlock(&reader->lock);
	return rc;
}

/* Every chunk in use, loaded by us or by whoever claimed it. A hole's entry is NULL. */
static int acquire_chunks(struct cf_files *files, const struct cf_extent *extents, size_t n, struct cf_read *read,
			  struct cf_err *err)
{
	struct group *mine = calloc(1, sizeof(*mine));
	int rc = mine ? 0 : cf_err_nomem(err);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		bool claimed;
		struct cf_cache_entry *entry;

		if (cf_id_is_zero(&extents[i].id))
			continue;
		entry = cf_cache_get(files->chunks, &extents[i].id, &claimed);
		if (!entry) {
			rc = cf_err_nomem(err);
			break;
		}
		read->entries[read->n_entries++] = entry;
		if (!claimed)
			continue;
		add_to_group(mine, &extents[i], entry);
		if (is_full(mine)) {
			load_group(files, mine);
			mine->n = 0;
			mine->len = 0;
		}
	}
	/* What was claimed is loaded even after a failure: others may wait for it. */
	if (mine && mine->n)
		load_group(files, mine);
	free(mine);
	for (size_t i = 0; rc == 0 && i < read->n_entries; i++)
		rc = cf_cache_wait(files->chunks, read->entries[i], err);
	return rc;
}

static int add_zeros(struct cf_files *files, uint64_t len, struct cf_read *read, struct cf_err *err)
{
	int rc = 0;

	while (rc == 0 && len > 0) {
		size_t n = len < ZEROS_LEN ? (size_t)len : ZEROS_LEN;

		rc = add_piece(read, files->zeros, n, err);
		len -= n;
	}
	return rc;
}

static int add_pieces(struct cf_files *files, const struct cf_extent *extents, size_t n, uint64_t off,
		      uint64_t end, struct cf_read *read, struct cf_err *err)
{
	size_t next = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		uint64_t from = off > extents[i].off ? off : extents[i].off;
		uint64_t to = extents[i].off + extents[i].len;
		const struct cf_buf *chunk;

		to = to < end ? to : end;
		if (cf_id_is_zero(&extents[i].id)) {
			rc = add_zeros(files, to - from, read, err);
			continue;
		}
		chunk = read->entries[next++]->value;
		rc = chunk->len != extents[i].len
			     ? cf_err_set(err, CF_ERR_DAMAGED, "chunk %.16s has another length than listed",
					  cf_id_text(&extents[i].id).s)
			     : add_piece(read, chunk->data + (from - extents[i].off), (size_t)(to - from), err);
	}
	return rc;
}

int cf_file_reader_read(struct cf_file_reader *reader, uint64_t off, size_t len, struct cf_read *read,
			struct cf_err *err)
{
	struct cf_extent *extents = NULL;
	uint64_t end;
	size_t n = 0;
	int rc;

	if (off >= reader->size || len == 0)
		return 0;
	end = len < reader->size - off ? off + len : reader->size;
	rc = take_extents(reader, off, end, &extents, &n, err);
	if (rc == 0) {
		read->entries = calloc(n + 1, sizeof(*read->entries));
		read->pieces = calloc(n + 1, sizeof(*read->pieces));
		read->capacity = n + 1;
		rc = read->entries && read->pieces ? 0 : cf_err_nomem(err);
	}
	if (rc == 0)
		rc = acquire_chunks(reader->files, extents, n, read, err);
	if (rc == 0)
		rc = add_pieces(reader->files, extents, n, off, end, read, err);
	free(extents);
	return rc;
}

void cf_read_release(struct cf_files *files, struct cf_read *read)
{
	for (size_t i = 0; i < read->n_entries; i++)
		cf_cache_release(files->chunks, read->entries[i]);
	free(read->entries);
	free(read->pieces);
	*read = (struct cf_read)CF_READ_INIT;
}

static int seek_extent(struct cf_file_reader *reader, uint64_t off, bool hole, uint64_t *off_out, struct cf_err *err)
{
	struct cf_extent extent;
	int rc = 0;

	if (!reader->seeker)
		rc = cf_content_cursor_new(reader->files->repo, &reader->content, &reader->seeker, err);
	if (rc == 0)
		rc = cf_content_cursor_seek(reader->seeker, off, err);
	while (rc == 0 && (rc = cf_content_cursor_next(reader->seeker, &extent, err)) == 1) {
		if (cf_id_is_zero(&extent.id) == hole) {
			*off_out = extent.off > off ? extent.off : off;
			return 1;
		}
		rc = 0;
	}
	return rc;
}

int cf_file_reader_seek(struct cf_file_reader *reader, uint64_t off, bool hole, uint64_t *off_out, struct cf_err *err)
{
	int rc;

	if (off >= reader->size)
		return 0;
	pthread_mutex_lock(&reader->lock);
	rc = seek_extent(reader, off, hole, off_out, err);
	pthread_mutex_unlock(&reader->lock);
	if (rc != 0 || !hole)
		return rc;
	*off_out = reader->size;
	return 1;
}

int cf_files_data_len(struct cf_files *files, const struct cf_content *content, uint64_t *len_out, struct cf_err *err)
{
	struct cf_content_cursor *cursor = NULL;
	struct cf_extent extent;
	uint64_t end = 0;
	int rc = cf_content_cursor_new(files->repo, content, &cursor, err);

	*len_out = 0;
	for (unsigned n = 0; rc == 0 && n < COUNTED_MAX && (rc = cf_content_cursor_next(cursor, &extent, err)) == 1; n++) {
		*len_out += cf_id_is_zero(&extent.id) ? 0 : extent.len;
		end = extent.off + extent.len;
		rc = 0;
	}
	cf_content_cursor_free(cursor);
	*len_out += content->size - end;
	return rc;
}

bool cf_file_reader_left(struct cf_file_reader *reader, uint64_t *off_out, uint64_t *len_out)
{
	uint64_t off, end;
	bool is_enough;

	pthread_mutex_lock(&reader->lock);
	off = (reader->left + LEFT_STEP - 1) / LEFT_STEP * LEFT_STEP;
	end = reader->expected > LEFT_KEPT ? (reader->expected - LEFT_KEPT) / LEFT_STEP * LEFT_STEP : 0;
	is_enough = reader->streak >= LEFT_STREAK && end > off;
	if (is_enough)
		reader->left = end;
	pthread_mutex_unlock(&reader->lock);
	*off_out = off;
	*len_out = is_enough ? end - off : 0;
	return is_enough;
}
