#include "repo/restore_parts.h"

#include <stdlib.h>

/* Files of one chunk or none: a batch of them is read at once, and begun, written and ended by one worker. */

static bool has_chunk(const struct cf_node *node)
{
	return !cf_id_is_zero(&node->content.id);
}

bool cf_restore_is_small(const struct cf_restore *run, const struct cf_node *node)
{
	return run->sink->ops->file_write_at && node->content.level == 0 &&
	       (!has_chunk(node) || node->content.size <= CF_RESTORE_RUN_LEN);
}

/* rc: of reading the file's content. */
static void restore_file(struct cf_restored_file *file, struct cf_span content, int rc, const struct cf_err *err)
{
	struct cf_restore *run = file->run;
	const struct cf_sink_ops *ops = run->sink->ops;

	file->rc = rc;
	if (rc < 0) {
		file->err = *err;
		cf_err_wrap(&file->err, "%s", file->path);
	} else {
		file->rc = ops->file_begin(run->sink, file->level->dir, &file->node->entry, NULL, &file->file, &file->err);
	}
	if (file->rc == 0 && file->file && content.len) {
		file->rc = ops->file_write_at(run->sink, file->file, 0, content, &file->err);
		if (file->rc < 0)
			cf_err_wrap(&file->err, "%s", file->path);
	}
	cf_restore_end_file(file);
}

/* Something in the batch is damaged: each file for itself. */
static void restore_one_by_one(struct cf_restore_job *job)
{
	const struct cf_extent *extent = job->extents;

	for (unsigned i = 0; i < job->n_files; i++) {
		struct cf_err err = CF_ERR_INIT;
		int rc = cf_restore_check(job->run, &err);

		cf_buf_clear(&job->plain);
		if (has_chunk(job->files[i]->node)) {
			if (rc == 0)
				rc = cf_extents_read(job->run->repo, extent, 1, &job->plain, &err);
			extent++;
		}
		restore_file(job->files[i], cf_buf_span(&job->plain), rc, &err);
	}
}

static void restore_together(struct cf_restore_job *job, int rc, const struct cf_err *err)
{
	const uint8_t *at = job->plain.data;

	for (unsigned i = 0; i < job->n_files; i++) {
		struct cf_restored_file *file = job->files[i];
		size_t len = rc == 0 && has_chunk(file->node) ? (size_t)file->node->content.size : 0;

		restore_file(file, cf_span_of(at, len), rc, err);
		at += len;
	}
}

static void run_batch(struct cf_job *cf_job, unsigned worker)
{
	struct cf_restore_job *job = (struct cf_restore_job *)cf_job;
	struct cf_restore *run = job->run;
	struct cf_err err = CF_ERR_INIT;
	int rc = cf_restore_check(run, &err);

	(void)worker;
	cf_buf_clear(&job->plain);
	if (rc == 0)
		rc = cf_extents_read(run->repo, job->extents, job->n_extents, &job->plain, &err);
	if (rc == CF_ERR_DAMAGED && job->n_files > 1) {
		restore_one_by_one(job);
	} else {
		pthread_mutex_lock(&run->lock);
		run->bytes_done += job->plain.len;
		pthread_mutex_unlock(&run->lock);
		restore_together(job, rc, &err);
	}
	cf_restore_give_job(run, job);
}

int cf_restore_add_small(struct cf_restore *run, const struct cf_node *node, struct cf_restore_link *link,
			 struct cf_err *err)
{
	uint64_t len = has_chunk(node) ? node->content.size : 0;
	struct cf_restored_file *file;

	if (run->batch && (run->batch->n_files == CF_RESTORE_RUN_EXTENTS || run->batch->len + len > CF_RESTORE_RUN_LEN))
		cf_restore_flush_small(run);
	if (!run->batch && !(run->batch = cf_restore_take_job(run)))
		return cf_err_nomem(err);
	file = cf_restore_new_file(run, node, link);
	if (!file)
		return cf_err_nomem(err);
	run->batch->files[run->batch->n_files++] = file;
	run->batch->len += len;
	if (has_chunk(node))
		run->batch->extents[run->batch->n_extents++] =
			(struct cf_extent){.id = node->content.id, .len = node->content.size};
	return 0;
}

void cf_restore_flush_small(struct cf_restore *run)
{
	struct cf_restore_job *job = run->batch;

	if (!job)
		return;
	run->batch = NULL;
	job->job.run = run_batch;
	cf_pool_submit(run->repo->pool, &job->job);
}
