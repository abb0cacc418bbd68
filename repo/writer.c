#include "repo/writer.h"

#include "base/err.h"
#include "repo/catalog.h"
#include "repo/format/snapshot_doc.h"
#include "repo/object.h"
#include "repo/pack_keys.h"
#include "repo/pipeline.h"
#include "repo/verified.h"

#include <stdlib.h>

enum {
	ZSTD_LEVEL = 1,
	GZIP_LEVEL = 6,
	DEFAULT_FRAME_LEN = 1 << 20,
	FRAME_LEN_MIN = 64 << 10,
	FRAME_LEN_MAX = 16 << 20,
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
				       .bytes_total = atomic_load(&writer->expected_bytes),
				       .items_done = atomic_load(&writer->counters.files),
				       .items_total = atomic_load(&writer->expected_items),
				       .bytes_stored = cf_packer_stored(writer->packer)};

	/* Producers may be several threads: whoever moves the time on reports. */
	if (now - before < REPORT_NS ||
	    !atomic_compare_exchange_strong(&writer->reported_ns, &before, now))
		return;
	cf_ctx_progress(writer->repo->ctx, "backup.progress", &progress);
	if (writer->lease)
		cf_lease_renew(writer->lease);
}

static int sink_dir_begin(struct cf_sink *sink, struct cf_dir *parent, const struct cf_entry *entry,
			  unsigned flags, struct cf_dir **dir_out, struct cf_err *err)
{
	struct cf_writer *writer = cf_writer_of(sink);
	int rc = cf_writer_check(writer, err);

	if (rc < 0)
		return rc;
	atomic_fetch_add(&writer->counters.dirs, 1);
	return cf_dir_open(writer, parent, entry, flags, dir_out, err);
}

static int sink_dir_end(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
			struct cf_err *err)
{
	return cf_dir_end(dir, entry, err);
}

static int sink_node(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		     struct cf_err *err)
{
	struct cf_writer *writer = cf_writer_of(sink);
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

static int sink_link(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry, const char *from,
		     struct cf_err *err)
{
	struct cf_writer *writer = cf_writer_of(sink);
	int rc = cf_writer_check(writer, err);

	if (rc == 0)
		rc = cf_links_join(writer, dir, entry, from, err);
	if (rc == 0)
		atomic_fetch_add(&writer->counters.files, 1);
	return rc;
}

static int sink_fact(struct cf_sink *sink, const char *key, const char *value, struct cf_err *err)
{
	struct cf_writer *writer = cf_writer_of(sink);
	int rc;

	pthread_mutex_lock(&writer->fact_lock);
	rc = cf_snapshot_add_fact(writer->draft, key, value, err);
	pthread_mutex_unlock(&writer->fact_lock);
	return rc;
}

static void sink_expect(struct cf_sink *sink, uint64_t bytes, uint64_t items)
{
	atomic_store(&cf_writer_of(sink)->expected_bytes, bytes);
	atomic_store(&cf_writer_of(sink)->expected_items, items);
}

static const struct cf_sink_ops writer_ops = {
	.dir_begin = sink_dir_begin,
	.dir_end = sink_dir_end,
	.node = sink_node,
	.file_begin = cf_writer_file_begin,
	.file_write = cf_writer_file_write,
	.file_hole = cf_writer_file_hole,
	.file_share = cf_writer_file_share,
	.file_end = cf_writer_file_end,
	.file_abort = cf_writer_file_abort,
	.link = sink_link,
	.fact = sink_fact,
	.expect = sink_expect,
};

struct cf_sink *cf_writer_sink(struct cf_writer *writer)
{
	return &writer->sink;
}

/* Who may only write can store a backup in another's name, with what files look like and not what is in them. Such a one reads from its own
 * packs only, and so takes over from nobody else. */
static bool may_take_over(const struct cf_writer *writer, const struct cf_snapshot *snapshot)
{
	return snapshot->is_authentic || cf_keyring_of(writer->repo->ring)->role == CF_ROLE_WRITE;
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

		if (options->parent ? !cf_id_equal(&s->id, options->parent)
				    : !cf_snapshot_matches(s, &same) || !may_take_over(writer, s))
			continue;
		writer->parent = list.items[i - 1];
		list.items[i - 1] = NULL;
		writer->draft->parent = writer->parent->id;
		atomic_store(&writer->expected_bytes, writer->parent->figures.bytes_total);
		atomic_store(&writer->expected_items, writer->parent->figures.files);
	}
	cf_snapshot_list_release(&list);
	return rc;
}

/* A host that may not read has no parent: its folders and contents stay shut. Only the sizes tell how much is to come. */
static void leave_parent(struct cf_writer *writer)
{
	cf_snapshot_free(writer->parent);
	writer->parent = NULL;
	writer->draft->parent = (struct cf_id){0};
}

static size_t frame_len_of(const struct cf_writer_options *options)
{
	size_t len = options->frame_len ? options->frame_len : DEFAULT_FRAME_LEN;

	return len < FRAME_LEN_MIN ? FRAME_LEN_MIN : len > FRAME_LEN_MAX ? FRAME_LEN_MAX : len;
}

static void choose_codec(struct cf_writer *writer, const struct cf_writer_options *options)
{
	static const struct {
		enum cf_codec codec;
		int level;
	} methods[] = {
		[CF_COMPRESSION_DEFAULT] = {CF_CODEC_ZSTD, ZSTD_LEVEL},
		[CF_COMPRESSION_ZSTD] = {CF_CODEC_ZSTD, ZSTD_LEVEL},
		[CF_COMPRESSION_LZ4] = {CF_CODEC_LZ4, 0},
		[CF_COMPRESSION_GZIP] = {CF_CODEC_DEFLATE, GZIP_LEVEL},
		[CF_COMPRESSION_BZIP2] = {CF_CODEC_BZIP2, 0},
		[CF_COMPRESSION_XZ] = {CF_CODEC_XZ, 0},
		[CF_COMPRESSION_NONE] = {CF_CODEC_RAW, 0},
	};

	writer->codec = methods[options->compression].codec;
	writer->level = options->compression_level ? options->compression_level
						   : methods[options->compression].level;
}

/* From now on prune knows of this run, and this run of what prune is about to remove. */
static int begin_run(struct cf_writer *writer, const struct cf_writer_options *options, struct cf_err *err)
{
	const struct cf_lease_options about = {
		.host = options->host, .user = options->user, .source = options->source};
	struct cf_tombs tombs = {0};
	int rc = cf_lease_begin(writer->repo, &about, &writer->lease, err);

	if (rc == 0)
		rc = cf_tombs_load(writer->repo, &tombs, err);
	if (rc == 0)
		rc = cf_catalog_begin_run(writer->repo->catalog, &tombs, err);
	if (rc == 0)
		rc = cf_lease_note_tombs(writer->lease, &tombs, err);
	cf_tombs_release(&tombs);
	return rc;
}

int cf_writer_open(struct cf_repo *repo, const struct cf_writer_options *options,
		   struct cf_writer **writer_out, struct cf_err *err)
{
	const struct cf_packer_options packing = {.dry_run = options->dry_run};
	struct cf_writer *writer = calloc(1, sizeof(*writer));
	bool may_read;
	int rc;

	if (!writer)
		return cf_err_nomem(err);
	writer->sink.ops = &writer_ops;
	writer->repo = repo;
	choose_codec(writer, options);
	writer->frame_len = frame_len_of(options);
	writer->ignore_times = options->ignore_times;
	writer->dry_run = options->dry_run;
	may_read = cf_keyring_of(repo->ring)->role == CF_ROLE_FULL || repo->pack_keys;
	writer->no_delta = options->no_delta || !may_read;
	writer->begun_ns = cf_ctx_now_ns(repo->ctx);
	pthread_mutex_init(&writer->batch_lock, NULL);
	pthread_mutex_init(&writer->small_lock, NULL);
	pthread_mutex_init(&writer->link_lock, NULL);
	pthread_mutex_init(&writer->error_lock, NULL);
	pthread_mutex_init(&writer->live_lock, NULL);
	pthread_mutex_init(&writer->fact_lock, NULL);
	rc = cf_snapshot_draft(options, writer->begun_ns, &writer->draft, err);
	if (rc == 0)
		rc = cf_packer_new(repo, &packing, &writer->packer, err);
	if (rc == 0)
		rc = find_parent(writer, options, err);
	if (rc == 0 && options->parent)
		rc = cf_repo_require_full(repo, err);
	if (rc == 0 && !may_read)
		leave_parent(writer);
	if (rc == 0)
		rc = options->dry_run ? cf_catalog_sync(repo->catalog, err)
				      : begin_run(writer, options, err);
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
	f->bytes_restored = atomic_load(&c->bytes_restored);
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

	cf_writer_submit_small(writer);
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
		rc = cf_snapshot_note_audit(writer->repo, writer->draft, err);
		if (rc == 0)
			rc = cf_lease_declare(writer->lease, &writer->root, err);
		if (rc == 0)
			rc = cf_snapshot_put(writer->repo, writer->draft, err);
		if (rc == 0)
			cf_verified_stored(writer->repo, &writer->draft->id);
		if (rc == 0)
			rc = cf_catalog_end_run(writer->repo->catalog, err);
		if (rc == 0 && writer->repo->pack_keys)
			cf_pack_keys_sweep(writer->repo->pack_keys);
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
	/* What was not stored is in no pack: the next writer of this repository must not refer to it. */
	if (writer->repo->catalog)
		cf_catalog_drop_claims(writer->repo->catalog);
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
	cf_lease_end(writer->lease);
	cf_snapshot_free(writer->draft);
	cf_snapshot_free(writer->parent);
	pthread_mutex_destroy(&writer->batch_lock);
	pthread_mutex_destroy(&writer->small_lock);
	pthread_mutex_destroy(&writer->link_lock);
	pthread_mutex_destroy(&writer->error_lock);
	pthread_mutex_destroy(&writer->live_lock);
	pthread_mutex_destroy(&writer->fact_lock);
	free(writer->open_dirs);
	free(writer);
}
