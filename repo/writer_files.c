#include "repo/pipeline.h"

#include "base/err.h"
#include "repo/catalog.h"

#include <assert.h>

/* The sink's calls on files: what is unchanged, cutting bytes into batches, shared content. */

enum {
	SMALL_FILE_LEN = 256 << 10, /* smaller files share frames */
	PAGE_BLOCK_LEN = 128 << 10
};

/* Hand over what small files have left, so that everything begun can complete. */
void cf_writer_submit_small(struct cf_writer *writer)
{
	struct cf_batch *batch = writer->small;

	writer->small = NULL;
	if (batch && batch->n_chunks)
		cf_batch_submit(batch);
	else if (batch)
		cf_batch_give(batch);
}

static bool same_file(const struct cf_entry *a, const struct cf_entry *b)
{
	return b->type == CF_ENTRY_FILE && a->size == b->size && a->mtime_ns == b->mtime_ns &&
	       a->ctime_ns == b->ctime_ns && a->ino == b->ino && a->ctime_ns != 0;
}

/*
 * Take a content of the parent over without its bytes. 1, or 0 when some of it is not in the repository to stay: a parent that lost
 * some is healed by reading the file again. Its lists are made anew, so that they are there to stay as well.
 */
static int take_content(struct cf_writer *writer, const struct cf_content *old, struct cf_content *content_out,
			struct cf_err *err)
{
	struct cf_content_cursor *cursor = NULL;
	struct cf_list_builder list;
	struct cf_location place;
	struct cf_extent extent;
	int found = 1, rc = cf_content_cursor_new(writer->repo, old, &cursor, err);

	cf_list_builder_init(&list, cf_list_store_tree, writer);
	while (rc == 0 && found == 1) {
		rc = cf_content_cursor_next(cursor, &extent, err);
		if (rc == 0)
			break;
		if (rc == 1 && !cf_id_is_zero(&extent.id))
			found = cf_catalog_find_complete(writer->repo->catalog, &extent.id, &place, err);
		if (rc == 1)
			rc = found < 0 ? found : 0;
		if (rc == 0 && found == 1)
			rc = cf_list_builder_add(&list, &extent.id, extent.len, err);
	}
	if (rc == 0 && found == 1)
		rc = cf_list_builder_finish(&list, content_out, err);
	cf_list_builder_release(&list);
	cf_content_cursor_free(cursor);
	if (rc == CF_ERR_DAMAGED || rc == CF_ERR_KEY) {
		cf_err_clear(err);
		return 0;
	}
	return rc < 0 ? rc : found;
}

/* The parent's content of this file, if nothing says that it changed. 1 and *content_out, or 0. */
static int unchanged(struct cf_writer *writer, const struct cf_entry *entry, const struct cf_node *old,
		     struct cf_content *content_out, struct cf_err *err)
{
	if (writer->ignore_times || !old || !same_file(entry, &old->entry))
		return 0;
	return take_content(writer, &old->content, content_out, err);
}

static struct cf_chunker chunker_for(const struct cf_writer *writer, const struct cf_profile *profile)
{
	struct cf_chunker chunker = writer->repo->chunker;

	/* Databases change pages in place: blocks that begin on one keep to themselves what did not change. */
	if (profile && profile->kind == CF_PROFILE_PAGE) {
		chunker.kind = CF_CHUNKER_FIXED;
		chunker.min = chunker.nominal = chunker.max = PAGE_BLOCK_LEN;
	}
	return chunker;
}

static int open_file(struct cf_writer *writer, struct cf_dir *dir, struct cf_slot *slot,
		     const struct cf_profile *profile, const struct cf_node *old, struct cf_file **file_out,
		     struct cf_err *err)
{
	struct cf_file *file = NULL;
	int rc = cf_file_new(writer, dir, slot, &file, err);

	if (rc < 0)
		return rc;
	file->chunker = chunker_for(writer, profile);
	file->is_compressed = profile && profile->is_compressed;
	if (old && old->entry.type == CF_ENTRY_FILE && old->content.size && !writer->no_delta)
		rc = cf_old_content_new(writer->repo, &old->content, &file->old, err);
	if (rc == 0)
		*file_out = file;
	return rc;
}

int cf_writer_file_begin(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
			   const struct cf_profile *profile, struct cf_file **file_out, struct cf_err *err)
{
	struct cf_writer *writer = cf_writer_of(sink);
	struct cf_node found;
	const struct cf_node *old;
	struct cf_content content;
	struct cf_slot *slot = NULL;
	int rc = cf_writer_check(writer, err);

	*file_out = NULL;
	if (rc == 0)
		rc = cf_slot_add(dir, entry, &slot, err);
	if (rc < 0)
		return rc;
	atomic_fetch_add(&writer->counters.files, 1);
	if (entry->nlink > 1 && entry->ino) {
		rc = cf_links_take(writer, dir, slot, err);
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
	old = cf_dir_find_old(dir, entry->name, &found) == 1 ? &found : NULL;
	rc = unchanged(writer, entry, old, &content, err);
	if (rc == 1) {
		atomic_fetch_add(&writer->counters.files_unchanged, 1);
		atomic_fetch_add(&writer->counters.bytes_total, content.size);
		atomic_fetch_add(&writer->counters.bytes_restored, content.size);
		cf_writer_report(writer);
		return cf_slot_done(dir, slot, &content, err);
	}
	return rc < 0 ? rc : open_file(writer, dir, slot, profile, old, file_out, err);
}

/* Enter the bytes at off in the batch as the file's next chunk. */
static void note_chunk(struct cf_batch *batch, struct cf_file *file, size_t off, size_t len)
{
	struct cf_batch_run *run = batch->n_runs ? &batch->runs[batch->n_runs - 1] : NULL;

	if (!run || run->file != file || run->first_seq + run->n != file->n_seq) {
		run = &batch->runs[batch->n_runs++];
		*run = (struct cf_batch_run){.file = file,
					     .first_seq = file->n_seq,
					     .first_chunk = (uint32_t)batch->n_chunks};
	}
	run->n++;
	batch->chunks[batch->n_chunks++] = (struct cf_batch_chunk){
		.off = (uint32_t)off, .len = (uint32_t)len, .file = file, .file_off = file->off};
	file->off += len;
	file->n_seq++;
}

/*
 * Cut what is in the file's batch into chunks and submit it. Unless `all`, what cannot be cut yet, and what is past one frame, moves to
 * a fresh batch.
 */
static int cut_batch(struct cf_file *file, bool all, struct cf_err *err)
{
	struct cf_batch *batch = file->batch, *rest = NULL;
	size_t off = 0;
	int rc;

	while (off < batch->len && batch->n_chunks < CF_BATCH_CHUNKS_MAX) {
		size_t left = batch->len - off, len;

		if (!all && (left < file->chunker.max || off >= file->writer->frame_len))
			break;
		len = cf_chunker_cut(&file->chunker, batch->data + off, left, left < file->chunker.max);
		note_chunk(batch, file, off, len);
		off += len;
	}
	file->batch = NULL;
	if (off < batch->len) {
		rc = cf_batch_take(file->writer, &rest, err);
		if (rc < 0) {
			file->batch = batch;
			return rc;
		}
		rest->len = batch->len - off;
		memcpy(rest->data, batch->data + off, rest->len);
		file->batch = rest;
	}
	batch->len = off;
	if (batch->n_chunks)
		cf_batch_submit(batch);
	else
		cf_batch_give(batch);
	return all && file->batch ? cut_batch(file, all, err) : 0;
}

static void count_bytes(struct cf_file *file, uint64_t len)
{
	struct cf_counters *counters = &file->writer->counters;

	atomic_fetch_add(&counters->bytes_total, len);
	atomic_fetch_add(&counters->bytes_restored, file->sharer ? 2 * len : len);
}

int cf_writer_file_write(struct cf_sink *sink, struct cf_file *file, struct cf_span data,
			   struct cf_err *err)
{
	struct cf_writer *writer = cf_writer_of(sink);
	int rc = cf_writer_check(writer, err);

	assert(!file->is_sharing);
	count_bytes(file, data.len);
	atomic_fetch_add(&writer->counters.bytes_read, data.len);
	while (rc == 0 && data.len > 0) {
		struct cf_batch *batch;
		size_t n;

		if (!file->batch)
			rc = cf_batch_take(writer, &file->batch, err);
		if (rc < 0)
			break;
		batch = file->batch;
		n = batch->capacity - batch->len;
		n = n < data.len ? n : data.len;
		memcpy(batch->data + batch->len, data.data, n);
		batch->len += n;
		data = cf_span_of(data.data + n, data.len - n);
		if (batch->len == batch->capacity)
			rc = cut_batch(file, false, err);
	}
	cf_writer_report(writer);
	return rc;
}

int cf_writer_file_hole(struct cf_sink *sink, struct cf_file *file, uint64_t len, struct cf_err *err)
{
	struct cf_list_entry hole = {.len = len};
	int rc = cf_writer_check(cf_writer_of(sink), err);

	if (rc < 0 || len == 0)
		return rc;
	if (file->batch)
		rc = cut_batch(file, true, err);
	if (rc < 0)
		return rc;
	count_bytes(file, len);
	file->off += len;
	return cf_file_deliver(file, file->n_seq++, &hole, 1, err);
}

/* A small file, or what is around the content that a file shares, goes in one piece into the batch that small files
 * share. 1 when it did. */
static int merge_small(struct cf_file *file, struct cf_err *err)
{
	struct cf_writer *writer = file->writer;
	struct cf_batch *own = file->batch, *shared;
	size_t n_max = own->len / file->chunker.min + 1, base;
	int rc;

	if (own->len > SMALL_FILE_LEN || (file->n_seq > 0 && !file->has_shared))
		return 0;
	pthread_mutex_lock(&writer->small_lock);
	if (writer->small && (writer->small->len + own->len > writer->frame_len ||
			      writer->small->n_chunks + n_max > CF_BATCH_CHUNKS_MAX))
		cf_writer_submit_small(writer);
	rc = writer->small ? 0 : cf_batch_take(writer, &writer->small, err);
	if (rc == 0) {
		shared = writer->small;
		base = shared->len;
		memcpy(shared->data + base, own->data, own->len);
		shared->len += own->len;
		for (size_t off = 0; off < own->len;) {
			size_t left = own->len - off;
			size_t len = cf_chunker_cut(&file->chunker, shared->data + base + off, left,
						    left < file->chunker.max);

			note_chunk(shared, file, base + off, len);
			off += len;
		}
		file->batch = NULL;
		cf_batch_give(own);
	}
	pthread_mutex_unlock(&writer->small_lock);
	return rc < 0 ? rc : 1;
}

/* All that was written so far. */
static int hand_out(struct cf_file *file, struct cf_err *err)
{
	int rc = 0;

	if (file->batch && file->batch->len > 0)
		rc = merge_small(file, err);
	if (rc >= 0 && file->batch)
		rc = cut_batch(file, true, err);
	return rc < 0 ? rc : 0;
}

int cf_writer_file_share(struct cf_sink *sink, struct cf_file *file, struct cf_file *from, struct cf_err *err)
{
	int rc = cf_writer_check(cf_writer_of(sink), err);

	assert(file != from && !file->is_sharing && !file->sharer);
	assert(!from->sharer && !from->has_shared && from->n_seq == 0 && !from->batch);
	/* What comes before gets its numbers, so that those of the shared content are known. */
	if (rc == 0)
		rc = hand_out(file, err);
	if (rc < 0)
		return rc;
	from->sharer = file;
	from->share_seq = file->n_seq;
	file->is_sharing = file->has_shared = true;
	return 0;
}

/* The producer is through with the file, and its sharer goes on behind what it got. */
static int end_file(struct cf_file *file, bool is_dropped, struct cf_err *err)
{
	struct cf_file *sharer = file->sharer;
	int rc;

	if (sharer) {
		sharer->n_seq += file->n_seq;
		sharer->off += file->off;
		sharer->is_sharing = false;
	}
	rc = cf_file_end(file, is_dropped, err);
	if (rc == 0 && sharer && sharer->is_given_up)
		rc = cf_file_end(sharer, true, err);
	return rc;
}

int cf_writer_file_end(struct cf_sink *sink, struct cf_file *file, const struct cf_entry *entry,
			 struct cf_err *err)
{
	int rc = cf_writer_check(cf_writer_of(sink), err);

	if (rc < 0)
		return rc;
	assert(!file->is_sharing);
	if (entry)
		rc = cf_slot_replace(file->dir, file->slot, entry, err);
	/* More results cannot come than were handed out, so the count is set before the last are. */
	if (rc == 0)
		rc = hand_out(file, err);
	return rc < 0 ? rc : end_file(file, false, err);
}

void cf_writer_file_abort(struct cf_sink *sink, struct cf_file *file)
{
	struct cf_writer *writer = cf_writer_of(sink);
	struct cf_err err = CF_ERR_INIT;
	int rc;

	atomic_fetch_sub(&writer->counters.files, 1);
	if (file->batch) {
		cf_batch_give(file->batch);
		file->batch = NULL;
	}
	cf_links_forget(writer, file->slot);
	if (file->is_sharing) { /* it lasts as long as the other file delivers to it */
		file->is_given_up = true;
		return;
	}
	/* What was handed out is still coming back: the file ends, and its entry is then left out. */
	rc = end_file(file, true, &err);
	if (rc < 0)
		cf_writer_fail(writer, &err);
}

