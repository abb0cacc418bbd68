#include "repo/writer.h"

#include "base/err.h"
#include "repo/catalog.h"
#include "repo/format/snapshot_doc.h"
#include "repo/object.h"
#include "repo/pipeline.h"

#include <stdlib.h>

enum {
	DEFAULT_LEVEL = 1,
	DEFAULT_FRAME_LEN = 1 << 20,
	FRAME_LEN_MIN = 64 << 10,
	FRAME_LEN_MAX = 16 << 20,
	SMALL_FILE_LEN = 256 << 10, /* smaller files share frames */
	PAGE_BLOCK_LEN = 128 << 10,
	REPORT_NS = 200000000,
	HISTORY = 8 /* newest snapshots that a snapshot vouches for */
};

void cf_writer_fail(struct cf_writer *writer, const struct cf_err *err)
{
	pthread_mutex_lock(&writer->error_lock);
	if (!atomic_load(&writer->has_failed))
		writer->error = *err;
	atomic_store(&writer->has_failed, true);
	pthread_mutex_unlock(&writer->error_lock);
}

int cf_writer_check(struct cf_writer *writer, struct cf_err *err)
{
	if (!atomic_load(&writer->has_failed))
		return cf_ctx_check(writer->repo->ctx, err);
	pthread_mutex_lock(&writer->error_lock);
	cf_err_set(err, writer->error.code, "%s", writer->error.text);
	pthread_mutex_unlock(&writer->error_lock);
	return writer->error.code;
}

void cf_writer_report(struct cf_writer *writer)
{
	int64_t now = cf_ctx_now_ns(writer->repo->ctx);
	int_least64_t before = atomic_load(&writer->reported_ns);
	struct cf_progress progress = {.bytes_done = atomic_load(&writer->counters.bytes_total),
				       .bytes_total = writer->expected_bytes,
				       .items_done = atomic_load(&writer->counters.files),
				       .items_total = writer->expected_items,
				       .bytes_stored = cf_packer_stored(writer->packer)};

	/* Producers may be several threads: whoever moves the time on reports. */
	if (now - before < REPORT_NS ||
	    !atomic_compare_exchange_strong(&writer->reported_ns, &before, now))
		return;
	cf_ctx_progress(writer->repo->ctx, "backup.progress", &progress);
}

static struct cf_writer *writer_of(struct cf_sink *sink)
{
	return (struct cf_writer *)sink;
}

static int sink_dir_begin(struct cf_sink *sink, struct cf_dir *parent, const struct cf_entry *entry,
			  unsigned flags, struct cf_dir **dir_out, struct cf_err *err)
{
	struct cf_writer *writer = writer_of(sink);
	int rc = cf_writer_check(writer, err);

	if (rc < 0)
		return rc;
	atomic_fetch_add(&writer->counters.dirs, 1);
	return cf_dir_open(writer, parent, entry, flags, dir_out, err);
}

/* Hand over what small files have left, so that everything begun can complete. */
static void submit_small(struct cf_writer *writer)
{
	struct cf_batch *batch = writer->small;

	writer->small = NULL;
	if (batch && batch->n_chunks)
		cf_batch_submit(batch);
	else if (batch)
		cf_batch_give(batch);
}

static int sink_dir_end(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
			struct cf_err *err)
{
	return cf_dir_end(dir, entry, err);
}

static int sink_node(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		     struct cf_err *err)
{
	struct cf_writer *writer = writer_of(sink);
	const struct cf_content empty = {0};
	struct cf_slot *slot = NULL;
	int rc = cf_writer_check(writer, err);

	if (rc == 0)
		rc = cf_slot_add(dir, entry, &slot, err);
	if (rc < 0)
		return rc;
	atomic_fetch_add(&writer->counters.others, 1);
	return cf_slot_done(dir, slot, &empty, err);
}

static bool same_file(const struct cf_entry *a, const struct cf_entry *b)
{
	return b->type == CF_ENTRY_FILE && a->size == b->size && a->mtime_ns == b->mtime_ns &&
	       a->ctime_ns == b->ctime_ns && a->ino == b->ino && a->ctime_ns != 0;
}

/* 1 when the chunk, and the bases it may need, are in the repository. */
static int has_chunk(struct cf_repo *repo, const struct cf_id *id, struct cf_err *err)
{
	struct cf_location place, base;
	int rc = cf_catalog_find(repo->catalog, id, &place, err);

	for (unsigned i = 0; rc == 1 && i < place.bases.n; i++)
		rc = cf_catalog_find(repo->catalog, &place.bases.ids[i], &base, err);
	return rc;
}

/* 1 when all of a content is in the repository. A parent that lost some is healed by reading the file again. */
static int has_content(struct cf_repo *repo, const struct cf_content *content, struct cf_err *err)
{
	struct cf_content_cursor *cursor = NULL;
	struct cf_extent extent;
	int found = 1, rc = cf_content_cursor_new(repo, content, &cursor, err);

	while (rc == 0 && found == 1) {
		rc = cf_content_cursor_next(cursor, &extent, err);
		if (rc == 0)
			break;
		if (rc == 1) {
			found = cf_id_is_zero(&extent.id) ? 1 : has_chunk(repo, &extent.id, err);
			rc = found < 0 ? found : 0;
		}
	}
	cf_content_cursor_free(cursor);
	if (rc == CF_ERR_DAMAGED) {
		cf_err_clear(err);
		return 0;
	}
	return rc < 0 ? rc : found;
}

/* The parent's content of this file, if nothing says that it changed. 1 and *content_out, or 0. */
static int unchanged(struct cf_writer *writer, const struct cf_entry *entry, const struct cf_node *old,
		     struct cf_content *content_out, struct cf_err *err)
{
	int rc;

	if (writer->ignore_times || !old || !same_file(entry, &old->entry))
		return 0;
	rc = has_content(writer->repo, &old->content, err);
	if (rc == 1)
		*content_out = old->content;
	return rc;
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
	if (old && old->entry.type == CF_ENTRY_FILE && old->content.size && !writer->no_delta)
		rc = cf_old_content_new(writer->repo, &old->content, &file->old, err);
	if (rc == 0)
		*file_out = file;
	return rc;
}

static int sink_file_begin(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
			   const struct cf_profile *profile, struct cf_file **file_out, struct cf_err *err)
{
	struct cf_writer *writer = writer_of(sink);
	const struct cf_node *old = NULL;
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
	/* What cannot be read of the parent is simply not used. */
	if (dir->old && cf_dir_iter_find(dir->old, entry->name, &old, NULL) != 1)
		old = NULL;
	rc = unchanged(writer, entry, old, &content, err);
	if (rc == 1) {
		atomic_fetch_add(&writer->counters.files_unchanged, 1);
		atomic_fetch_add(&writer->counters.bytes_total, content.size);
		cf_writer_report(writer);
		return cf_slot_done(dir, slot, &content, err);
	}
	return rc < 0 ? rc : open_file(writer, dir, slot, profile, old, file_out, err);
}

/* Enter the bytes at off in the batch as the file's next chunk. */
static void note_chunk(struct cf_batch *batch, struct cf_file *file, size_t off, size_t len)
{
	struct cf_batch_run *run = batch->n_runs ? &batch->runs[batch->n_runs - 1] : NULL;

	if (!run || run->file != file) {
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

static int sink_file_write(struct cf_sink *sink, struct cf_file *file, struct cf_span data,
			   struct cf_err *err)
{
	struct cf_writer *writer = writer_of(sink);
	int rc = cf_writer_check(writer, err);

	atomic_fetch_add(&writer->counters.bytes_total, data.len);
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

static int sink_file_hole(struct cf_sink *sink, struct cf_file *file, uint64_t len, struct cf_err *err)
{
	struct cf_list_entry hole = {.len = len};
	int rc = cf_writer_check(writer_of(sink), err);

	if (rc < 0 || len == 0)
		return rc;
	if (file->batch)
		rc = cut_batch(file, true, err);
	if (rc < 0)
		return rc;
	atomic_fetch_add(&file->writer->counters.bytes_total, len);
	file->off += len;
	return cf_file_deliver(file, file->n_seq++, &hole, 1, err);
}

/* A small file goes, in one piece, into the batch that small files share. 1 when it did. */
static int merge_small(struct cf_file *file, struct cf_err *err)
{
	struct cf_writer *writer = file->writer;
	struct cf_batch *own = file->batch, *shared;
	size_t n_max = own->len / file->chunker.min + 1, base;
	int rc;

	if (own->len > SMALL_FILE_LEN || file->n_seq > 0)
		return 0;
	pthread_mutex_lock(&writer->small_lock);
	if (writer->small && (writer->small->len + own->len > writer->frame_len ||
			      writer->small->n_chunks + n_max > CF_BATCH_CHUNKS_MAX))
		submit_small(writer);
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

static int sink_file_end(struct cf_sink *sink, struct cf_file *file, const struct cf_entry *entry,
			 struct cf_err *err)
{
	int rc = cf_writer_check(writer_of(sink), err);

	if (rc < 0)
		return rc;
	if (entry)
		rc = cf_slot_replace(file->slot, entry, err);
	/* More results cannot come than were handed out, so the count is set before the last are. */
	if (rc == 0 && file->batch && file->batch->len > 0)
		rc = merge_small(file, err);
	if (rc == 0 && file->batch)
		rc = cut_batch(file, true, err);
	if (rc < 0)
		return rc;
	return cf_file_end(file, false, err);
}

static void sink_file_abort(struct cf_sink *sink, struct cf_file *file)
{
	struct cf_writer *writer = writer_of(sink);
	struct cf_err err = CF_ERR_INIT;
	int rc;

	atomic_fetch_sub(&writer->counters.files, 1);
	if (file->batch) {
		cf_batch_give(file->batch);
		file->batch = NULL;
	}
	cf_links_forget(writer, file->slot);
	/* What was handed out is still coming back: the file ends, and its entry is then left out. */
	rc = cf_file_end(file, true, &err);
	if (rc < 0)
		cf_writer_fail(writer, &err);
}

static int sink_link(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry, const char *from,
		     struct cf_err *err)
{
	struct cf_writer *writer = writer_of(sink);
	int rc = cf_writer_check(writer, err);

	if (rc == 0)
		rc = cf_links_join(writer, dir, entry, from, err);
	if (rc == 0)
		atomic_fetch_add(&writer->counters.files, 1);
	return rc;
}

static int sink_fact(struct cf_sink *sink, const char *key, const char *value, struct cf_err *err)
{
	return cf_snapshot_add_fact(writer_of(sink)->draft, key, value, err);
}

static void sink_expect(struct cf_sink *sink, uint64_t bytes, uint64_t items)
{
	writer_of(sink)->expected_bytes = bytes;
	writer_of(sink)->expected_items = items;
}

static const struct cf_sink_ops writer_ops = {
	.dir_begin = sink_dir_begin,
	.dir_end = sink_dir_end,
	.node = sink_node,
	.file_begin = sink_file_begin,
	.file_write = sink_file_write,
	.file_hole = sink_file_hole,
	.file_end = sink_file_end,
	.file_abort = sink_file_abort,
	.link = sink_link,
	.fact = sink_fact,
	.expect = sink_expect,
};

struct cf_sink *cf_writer_sink(struct cf_writer *writer)
{
	return &writer->sink;
}

static int find_parent(struct cf_writer *writer, const struct cf_writer_options *options, struct cf_err *err)
{
	const struct cf_snapshot_filter same = {.host = options->host, .source = options->source};
	struct cf_snapshot_list list = {0};
	int rc = cf_snapshots_load(writer->repo, NULL, &list, err);

	if (rc < 0)
		return rc;
	cf_snapshot_list_warn(writer->repo, &list);
	rc = cf_snapshot_note_history(writer->draft, &list, HISTORY, err);
	for (size_t i = list.n; rc == 0 && i > 0 && !writer->parent && !options->no_parent; i--) {
		const struct cf_snapshot *s = list.items[i - 1];

		if (options->parent ? !cf_id_equal(&s->id, options->parent) : !cf_snapshot_matches(s, &same))
			continue;
		writer->parent = list.items[i - 1];
		list.items[i - 1] = NULL;
		writer->draft->parent = writer->parent->id;
		writer->expected_bytes = writer->parent->figures.bytes_total;
		writer->expected_items = writer->parent->figures.files;
	}
	cf_snapshot_list_release(&list);
	return rc;
}

static size_t frame_len_of(const struct cf_writer_options *options)
{
	size_t len = options->frame_len ? options->frame_len : DEFAULT_FRAME_LEN;

	return len < FRAME_LEN_MIN ? FRAME_LEN_MIN : len > FRAME_LEN_MAX ? FRAME_LEN_MAX : len;
}

int cf_writer_open(struct cf_repo *repo, const struct cf_writer_options *options,
		   struct cf_writer **writer_out, struct cf_err *err)
{
	const struct cf_packer_options packing = {.dry_run = options->dry_run};
	struct cf_writer *writer = calloc(1, sizeof(*writer));
	int rc;

	if (!writer)
		return cf_err_nomem(err);
	writer->sink.ops = &writer_ops;
	writer->repo = repo;
	writer->level = options->compression_level ? options->compression_level : DEFAULT_LEVEL;
	writer->frame_len = frame_len_of(options);
	writer->ignore_times = options->ignore_times;
	writer->dry_run = options->dry_run;
	/* A host that may not read has no bases to compare with. */
	writer->no_delta = options->no_delta || cf_keyring_of(repo->ring)->role != CF_ROLE_FULL;
	writer->begun_ns = cf_ctx_now_ns(repo->ctx);
	pthread_mutex_init(&writer->batch_lock, NULL);
	pthread_mutex_init(&writer->small_lock, NULL);
	pthread_mutex_init(&writer->link_lock, NULL);
	pthread_mutex_init(&writer->error_lock, NULL);
	pthread_mutex_init(&writer->live_lock, NULL);
	rc = cf_snapshot_draft(options, writer->begun_ns, &writer->draft, err);
	if (rc == 0)
		rc = cf_packer_new(repo, &packing, &writer->packer, err);
	if (rc == 0)
		rc = find_parent(writer, options, err);
	if (rc == 0)
		rc = options->dry_run ? cf_catalog_sync(repo->catalog, err)
				      : cf_catalog_begin_run(repo->catalog, err);
	if (rc < 0) {
		cf_writer_close(writer);
		return rc;
	}
	*writer_out = writer;
	return 0;
}

static void take_figures(struct cf_writer *writer)
{
	struct cf_figures *f = &writer->draft->figures;
	struct cf_counters *c = &writer->counters;

	f->bytes_total = atomic_load(&c->bytes_total);
	f->bytes_read = atomic_load(&c->bytes_read);
	f->bytes_stored = cf_packer_stored(writer->packer);
	f->chunks_new = atomic_load(&c->chunks_new);
	f->chunks_delta = atomic_load(&c->chunks_delta);
	f->chunks_known = atomic_load(&c->chunks_known);
	f->files = atomic_load(&c->files);
	f->dirs = atomic_load(&c->dirs);
	f->others = atomic_load(&c->others);
	f->files_unchanged = atomic_load(&c->files_unchanged);
	f->duration_ns = (uint64_t)(cf_ctx_now_ns(writer->repo->ctx) - writer->begun_ns);
}

/* Everything pushed is stored, or an error. */
static int drain(struct cf_writer *writer, struct cf_err *err)
{
	int rc;

	submit_small(writer);
	cf_pool_wait(writer->repo->pool);
	rc = cf_writer_check(writer, err);
	if (rc == 0 && !writer->has_root)
		rc = cf_err_set(err, CF_ERR_FAILED, "the source ended before its root directory did");
	return rc < 0 ? rc : cf_packer_finish(writer->packer, err);
}

int cf_writer_commit(struct cf_writer *writer, struct cf_snapshot **snapshot_out, struct cf_err *err)
{
	int rc = drain(writer, err);

	if (rc < 0)
		return rc;
	take_figures(writer);
	writer->draft->root = writer->root;
	if (!writer->dry_run) {
		rc = cf_snapshot_put(writer->repo, writer->draft, err);
		if (rc == 0)
			rc = cf_catalog_end_run(writer->repo->catalog, err);
	}
	if (rc < 0)
		return rc;
	*snapshot_out = writer->draft;
	writer->draft = NULL;
	return 0;
}

void cf_writer_close(struct cf_writer *writer)
{
	if (!writer)
		return;
	/* Workers stop at the next look, and what they still hold is theirs until then. */
	if (writer->draft)
		cf_writer_fail(writer, &(struct cf_err){.code = CF_ERR_CANCELED, .text = "the backup was given up"});
	if (writer->repo->pool)
		cf_pool_wait(writer->repo->pool);
	cf_files_release(writer);
	cf_dirs_release(writer);
	cf_links_release(writer);
	cf_batch_free(writer->small);
	while (writer->free_batches) {
		struct cf_batch *batch = writer->free_batches;

		writer->free_batches = batch->next_free;
		cf_batch_free(batch);
	}
	cf_packer_free(writer->packer);
	cf_snapshot_free(writer->draft);
	cf_snapshot_free(writer->parent);
	pthread_mutex_destroy(&writer->batch_lock);
	pthread_mutex_destroy(&writer->small_lock);
	pthread_mutex_destroy(&writer->link_lock);
	pthread_mutex_destroy(&writer->error_lock);
	pthread_mutex_destroy(&writer->live_lock);
	free(writer->open_dirs);
	free(writer);
}
