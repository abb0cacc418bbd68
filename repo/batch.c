#include "repo/pipeline.h"

#include "base/err.h"
#include "repo/catalog.h"

#include <stdlib.h>

enum {
	PAGE_BLOCK_ROOM = 256 << 10,
	/* Compressed, but hardly: stored raw, which reads faster. */
	WORTH_NUMERATOR = 97,
	WORTH_DENOMINATOR = 100
};

int cf_batch_take(struct cf_writer *writer, struct cf_batch **batch_out, struct cf_err *err)
{
	/* A frame, and behind it room for the longest chunk to be cut. */
	size_t capacity = writer->frame_len + PAGE_BLOCK_ROOM + writer->repo->chunker.max;
	struct cf_batch *batch;

	pthread_mutex_lock(&writer->batch_lock);
	batch = writer->free_batches;
	if (batch)
		writer->free_batches = batch->next_free;
	pthread_mutex_unlock(&writer->batch_lock);
	if (!batch) {
		batch = calloc(1, sizeof(*batch));
		if (!batch)
			return cf_err_nomem(err);
		batch->data = malloc(capacity);
		batch->chunks = malloc(CF_BATCH_CHUNKS_MAX * sizeof(*batch->chunks));
		batch->runs = malloc(CF_BATCH_CHUNKS_MAX * sizeof(*batch->runs));
		batch->capacity = capacity;
		batch->writer = writer;
		if (!batch->data || !batch->chunks || !batch->runs) {
			cf_batch_free(batch);
			return cf_err_nomem(err);
		}
	}
	batch->len = batch->n_chunks = batch->n_runs = 0;
	*batch_out = batch;
	return 0;
}

void cf_batch_give(struct cf_batch *batch)
{
	struct cf_writer *writer = batch->writer;

	pthread_mutex_lock(&writer->batch_lock);
	batch->next_free = writer->free_batches;
	writer->free_batches = batch;
	pthread_mutex_unlock(&writer->batch_lock);
}

void cf_batch_free(struct cf_batch *batch)
{
	if (!batch)
		return;
	free(batch->data);
	free(batch->chunks);
	free(batch->runs);
	free(batch);
}

static struct cf_span chunk_span(const struct cf_batch *batch, const struct cf_batch_chunk *chunk)
{
	return cf_span_of(batch->data + chunk->off, chunk->len);
}

static int compute_ids(struct cf_batch *batch, struct cf_err *err)
{
	size_t n = batch->n_chunks;
	struct cf_span *spans = malloc(n * (sizeof(*spans) + sizeof(struct cf_id)));
	struct cf_id *ids;
	int rc;

	if (!spans)
		return cf_err_nomem(err);
	ids = (struct cf_id *)(spans + n);
	for (size_t i = 0; i < n; i++)
		spans[i] = chunk_span(batch, &batch->chunks[i]);
	rc = cf_hmac_run_many(batch->writer->repo->data_id_hmac, spans, n, ids, err);
	for (size_t i = 0; rc == 0 && i < n; i++)
		batch->chunks[i].id = ids[i];
	free(spans);
	return rc;
}

/* Ids, and which chunks the repository has. */
static int identify(struct cf_batch *batch, struct cf_err *err)
{
	struct cf_writer *writer = batch->writer;
	uint64_t n_known = 0;
	int rc = compute_ids(batch, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < batch->n_chunks; i++) {
		struct cf_batch_chunk *chunk = &batch->chunks[i];

		rc = cf_catalog_claim(writer->repo->catalog, &chunk->id, err);
		if (rc < 0)
			return rc;
		chunk->is_stored = rc == 1;
		n_known += (uint64_t)rc;
		if (rc == 1 && chunk->file->old)
			cf_old_content_sync(chunk->file->old, chunk->file_off, &chunk->id);
	}
	atomic_fetch_add(&writer->counters.chunks_known, n_known);
	return 0;
}

/* One blob of the given chunks, whose plain bytes are `plain`. */
static int store_frame(struct cf_writer *writer, struct cf_coder_slot *slot, struct cf_span plain,
		       const struct cf_table_chunk *chunks, size_t n, bool is_random, struct cf_err *err)
{
	struct cf_span payload = plain;
	enum cf_codec codec = CF_CODEC_RAW;

	if (!is_random && writer->codec != CF_CODEC_RAW) {
		ssize_t len;

		cf_buf_clear(&slot->payload);
		len = cf_codec_encode(&slot->coder, writer->codec, writer->level, plain, &slot->payload, err);
		if (len < 0)
			return (int)len;
		if (len > 0 &&
		    (plain.len < 4096 || (size_t)len < plain.len / WORTH_DENOMINATOR * WORTH_NUMERATOR)) {
			codec = writer->codec;
			payload = cf_buf_span(&slot->payload);
		}
	}
	return cf_blob_store(writer->packer, slot, CF_OBJECT_DATA_PACK, codec, payload, cf_span_of(NULL, 0), plain, chunks, n, err);
}

/* The chunks of a batch that go into one frame, in order. */
struct frame_plan {
	struct cf_table_chunk *chunks;
	size_t n;
	struct cf_buf copy; /* plain bytes, when they do not lie side by side in the batch */
	size_t off, len;
	bool is_contiguous;
};

static int plan_add(struct frame_plan *plan, const struct cf_batch *batch, const struct cf_batch_chunk *chunk,
		    const struct cf_sketch *sketch, struct cf_err *err)
{
	int rc = 0;

	if (plan->n == 0) {
		plan->off = chunk->off;
		plan->is_contiguous = true;
	} else if (plan->is_contiguous && chunk->off != plan->off + plan->len) {
		plan->is_contiguous = false;
		rc = cf_buf_append(&plan->copy, batch->data + plan->off, plan->len, err);
	}
	if (rc == 0 && !plan->is_contiguous)
		rc = cf_buf_append(&plan->copy, batch->data + chunk->off, chunk->len, err);
	plan->len += chunk->len;
	plan->chunks[plan->n++] =
		(struct cf_table_chunk){.id = chunk->id, .raw_len = chunk->len, .sketch = *sketch};
	return rc;
}

static int plan_store(struct cf_batch *batch, struct frame_plan *plan, struct cf_coder_slot *slot,
		      bool is_random, struct cf_err *err)
{
	struct cf_span plain = plan->is_contiguous ? cf_span_of(batch->data + plan->off, plan->len)
						   : cf_buf_span(&plan->copy);

	if (plan->n == 0)
		return 0;
	atomic_fetch_add(&batch->writer->counters.chunks_new, plan->n);
	return store_frame(batch->writer, slot, plain, plan->chunks, plan->n, is_random, err);
}

static int store_new(struct cf_batch *batch, struct cf_coder_slot *slot, struct frame_plan *text,
		     struct frame_plan *random, struct cf_err *err)
{
	struct cf_writer *writer = batch->writer;
	int rc = cf_delta_expect(writer, batch->chunks, batch->n_chunks, err);

	for (size_t i = 0; rc == 0 && i < batch->n_chunks; i++) {
		struct cf_batch_chunk *chunk = &batch->chunks[i];
		struct cf_span plain = chunk_span(batch, chunk);
		struct cf_sketch sketch = {0};

		if (chunk->is_stored)
			continue;
		if (chunk->file->is_compressed || cf_codec_looks_random(&slot->coder, plain)) {
			rc = plan_add(random, batch, chunk, &sketch, err);
			continue;
		}
		rc = cf_delta_store(writer, slot, chunk, plain, &sketch, err);
		if (rc == 0)
			rc = plan_add(text, batch, chunk, &sketch, err);
		else if (rc == 1)
			rc = 0;
	}
	if (rc == 0)
		rc = plan_store(batch, text, slot, false, err);
	if (rc == 0)
		rc = plan_store(batch, random, slot, true, err);
	return rc;
}

static int store_batch(struct cf_batch *batch, struct cf_err *err)
{
	struct frame_plan text = {0}, random = {0};
	struct cf_coder_slot *slot = NULL;
	int rc = identify(batch, err);

	if (rc < 0)
		return rc;
	text.chunks = malloc(2 * batch->n_chunks * sizeof(*text.chunks));
	if (!text.chunks)
		return cf_err_nomem(err);
	random.chunks = text.chunks + batch->n_chunks;
	rc = cf_repo_take_coder(batch->writer->repo, &slot, err);
	if (rc == 0) {
		rc = store_new(batch, slot, &text, &random, err);
		cf_repo_give_coder(batch->writer->repo, slot);
	}
	cf_buf_release(&text.copy);
	cf_buf_release(&random.copy);
	free(text.chunks);
	return rc;
}

static int deliver_runs(struct cf_batch *batch, struct cf_err *err)
{
	struct cf_list_entry *entries = malloc((batch->n_chunks + 1) * sizeof(*entries));
	int rc = entries ? 0 : cf_err_nomem(err);

	for (size_t i = 0; rc == 0 && i < batch->n_runs; i++) {
		const struct cf_batch_run *run = &batch->runs[i];

		for (uint32_t c = 0; c < run->n; c++) {
			const struct cf_batch_chunk *chunk = &batch->chunks[run->first_chunk + c];

			entries[c] = (struct cf_list_entry){.id = chunk->id, .len = chunk->len};
		}
		rc = cf_file_deliver(run->file, run->first_seq, entries, run->n, err);
	}
	free(entries);
	return rc;
}

static void run_batch(struct cf_job *job, unsigned worker)
{
	struct cf_batch *batch = (struct cf_batch *)job;
	struct cf_err err = CF_ERR_INIT;
	int rc = cf_writer_check(batch->writer, &err);

	(void)worker;
	if (rc == 0)
		rc = store_batch(batch, &err);
	if (rc == 0)
		rc = deliver_runs(batch, &err);
	if (rc < 0)
		cf_writer_fail(batch->writer, &err);
	cf_batch_give(batch);
}

void cf_batch_submit(struct cf_batch *batch)
{
	batch->job.run = run_batch;
	cf_pool_submit(batch->writer->repo->pool, &batch->job);
}

int cf_file_new(struct cf_writer *writer, struct cf_dir *dir, struct cf_slot *slot, struct cf_file **file_out,
		struct cf_err *err)
{
	struct cf_file *file = calloc(1, sizeof(*file));

	if (!file)
		return cf_err_nomem(err);
	file->writer = writer;
	file->dir = dir;
	file->slot = slot;
	pthread_mutex_init(&file->lock, NULL);
	cf_list_builder_init(&file->list, cf_list_store_tree, writer);
	pthread_mutex_lock(&writer->live_lock);
	file->older = writer->live_files;
	if (file->older)
		file->older->newer = file;
	writer->live_files = file;
	pthread_mutex_unlock(&writer->live_lock);
	*file_out = file;
	return 0;
}

static void free_file(struct cf_file *file)
{
	struct cf_writer *writer = file->writer;

	pthread_mutex_lock(&writer->live_lock);
	*(file->newer ? &file->newer->older : &writer->live_files) = file->older;
	if (file->older)
		file->older->newer = file->newer;
	pthread_mutex_unlock(&writer->live_lock);
	while (file->early) {
		struct cf_early *early = file->early;

		file->early = early->next;
		free(early);
	}
	if (file->batch)
		cf_batch_give(file->batch);
	cf_list_builder_release(&file->list);
	cf_old_content_free(file->old);
	pthread_mutex_destroy(&file->lock);
	free(file);
}

void cf_files_release(struct cf_writer *writer)
{
	while (writer->live_files)
		free_file(writer->live_files);
}

/* Ended, and everything handed out is in its list. Whoever makes this true under the lock finishes the file. */
static bool is_finished(const struct cf_file *file)
{
	return file->has_ended && file->next_seq == file->n_seq;
}

static int finish_file(struct cf_file *file, struct cf_err *err)
{
	struct cf_dir *dir = file->dir;
	struct cf_slot *slot = file->slot;
	bool is_dropped = file->is_dropped;
	struct cf_content content;
	int rc = cf_list_builder_finish(&file->list, &content, err);

	free_file(file);
	return rc < 0 ? rc : cf_slot_done(dir, slot, is_dropped ? NULL : &content, err);
}

int cf_file_end(struct cf_file *file, bool is_dropped, struct cf_err *err)
{
	bool finished;

	pthread_mutex_lock(&file->lock);
	file->is_dropped = is_dropped;
	file->has_ended = true;
	finished = is_finished(file);
	pthread_mutex_unlock(&file->lock);
	return finished ? finish_file(file, err) : 0;
}

static int keep_early(struct cf_file *file, uint64_t seq, const struct cf_list_entry *entries, size_t n,
		      struct cf_err *err)
{
	struct cf_early *early = malloc(sizeof(*early) + n * sizeof(*entries)), **at = &file->early;

	if (!early)
		return cf_err_nomem(err);
	early->seq = seq;
	early->n = n;
	memcpy(early->entries, entries, n * sizeof(*entries));
	while (*at && (*at)->seq < seq)
		at = &(*at)->next;
	early->next = *at;
	*at = early;
	return 0;
}

static int append_entries(struct cf_file *file, const struct cf_list_entry *entries, size_t n,
			  struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = cf_list_builder_add(&file->list, &entries[i].id, entries[i].len, err);
	file->next_seq += n;
	return rc;
}

int cf_file_deliver(struct cf_file *file, uint64_t seq, const struct cf_list_entry *entries, size_t n,
		    struct cf_err *err)
{
	bool finished;
	int rc = 0;

	/* First: with its last result the file is freed. */
	if (file->sharer)
		rc = cf_file_deliver(file->sharer, file->share_seq + seq, entries, n, err);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&file->lock);
	rc = seq == file->next_seq ? append_entries(file, entries, n, err) : keep_early(file, seq, entries, n, err);
	while (rc == 0 && file->early && file->early->seq == file->next_seq) {
		struct cf_early *early = file->early;

		file->early = early->next;
		rc = append_entries(file, early->entries, early->n, err);
		free(early);
	}
	finished = rc == 0 && is_finished(file);
	pthread_mutex_unlock(&file->lock);
	return finished ? finish_file(file, err) : rc;
}
