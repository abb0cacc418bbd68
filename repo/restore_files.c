#include "repo/restore_parts.h"

/* Contents: a file is handed to workers in runs of chunks. */

/* `n` jobs, or the walk, are through with the file. The last ends it. */
static void leave_file(struct cf_restored_file *file, unsigned n, int rc, const struct cf_err *err)
{
	bool is_last;

	pthread_mutex_lock(&file->run->lock);
	if (rc < 0 && file->rc == 0) {
		file->rc = rc;
		file->err = *err;
		cf_err_wrap(&file->err, "%s", file->path);
	}
	file->n_under_way -= n;
	is_last = file->n_under_way == 0;
	pthread_mutex_unlock(&file->run->lock);
	if (is_last)
		cf_restore_end_file(file);
}

/* The next run to write, or NULL: then whoever comes later writes for itself. */
static struct cf_restore_job *next_decoded(struct cf_restored_file *file)
{
	struct cf_restore_job *job;

	pthread_mutex_lock(&file->run->lock);
	job = file->decoded;
	if (job)
		file->decoded = job->next;
	else
		file->is_written_to = false;
	pthread_mutex_unlock(&file->run->lock);
	return job;
}

/*
 * Two threads that write to one file only wait for each other inside the kernel, one of them spinning. So one writes what all have
 * decoded meanwhile, and the others go on decoding.
 */
static void write_decoded(struct cf_restored_file *file)
{
	struct cf_restore *run = file->run;
	struct cf_err err = CF_ERR_INIT;
	struct cf_restore_job *job;
	unsigned n = 0;
	int rc = 0;

	while ((job = next_decoded(file))) {
		if (rc == 0)
			rc = run->sink->ops->file_write_at(run->sink, file->file, job->extents[0].off,
							   cf_buf_span(&job->plain), &err);
		pthread_mutex_lock(&run->lock);
		run->bytes_done += job->plain.len;
		pthread_mutex_unlock(&run->lock);
		cf_restore_give_job(run, job);
		n++;
	}
	leave_file(file, n, rc, &err);
}

static void hand_to_writer(struct cf_restored_file *file, struct cf_restore_job *job)
{
	struct cf_restore_job **at = &file->decoded;
	bool has_writer;

	pthread_mutex_lock(&file->run->lock);
	while (*at && (*at)->extents[0].off < job->extents[0].off)
		at = &(*at)->next;
	job->next = *at;
	*at = job;
	has_writer = file->is_written_to;
	file->is_written_to = true;
	pthread_mutex_unlock(&file->run->lock);
	if (!has_writer)
		write_decoded(file);
}

static void run_job(struct cf_job *cf_job, unsigned worker)
{
	struct cf_restore_job *job = (struct cf_restore_job *)cf_job;
	struct cf_restored_file *file = job->files[0];
	struct cf_restore *run = job->run;
	struct cf_err err = CF_ERR_INIT;
	int rc = cf_restore_check(run, &err);

	(void)worker;
	if (rc == 0)
		rc = cf_extents_read(run->repo, job->extents, job->n_extents, &job->plain, &err);
	if (rc == 0) {
		hand_to_writer(file, job);
	} else {
		cf_restore_give_job(run, job);
		leave_file(file, 1, rc, &err);
	}
}

static void submit_job(struct cf_restore_job *job)
{
	pthread_mutex_lock(&job->run->lock);
	job->files[0]->n_under_way++;
	pthread_mutex_unlock(&job->run->lock);
	job->job.run = run_job;
	cf_pool_submit(job->run->repo->pool, &job->job);
}

static bool is_full(const struct cf_restore_job *job, const struct cf_extent *next)
{
	return job->n_extents == CF_RESTORE_RUN_EXTENTS || job->len + next->len > CF_RESTORE_RUN_LEN;
}

/* Hand out the content in runs of neighbouring extents; holes are what is never written. */
static int hand_out(struct cf_restore *run, struct cf_restored_file *file, struct cf_err *err)
{
	struct cf_content_cursor *cursor = NULL;
	struct cf_restore_job *job = NULL;
	struct cf_extent e;
	int rc = cf_content_cursor_new(run->repo, &file->node->content, &cursor, err);

	while (rc == 0) {
		rc = cf_content_cursor_next(cursor, &e, err);
		if (job && (rc <= 0 || cf_id_is_zero(&e.id) || is_full(job, &e))) {
			submit_job(job);
			job = NULL;
		}
		if (rc <= 0)
			break;
		rc = cf_restore_check(run, err);
		cf_restore_report(run);
		if (rc < 0 || cf_id_is_zero(&e.id))
			continue;
		if (!job && !(job = cf_restore_take_job(run))) {
			rc = cf_err_nomem(err);
			break;
		}
		job->files[0] = file;
		job->extents[job->n_extents++] = e;
		job->len += e.len;
	}
	if (job) /* stopped between extents */
		cf_restore_give_job(run, job);
	cf_content_cursor_free(cursor);
	return rc;
}

struct sequential {
	struct cf_restore *run;
	struct cf_file *file;
};

static int write_next(void *user, struct cf_span data, struct cf_err *err)
{
	struct sequential *s = user;

	s->run->bytes_done += data.len;
	cf_restore_report(s->run);
	return s->run->sink->ops->file_write(s->run->sink, s->file, data, err);
}

/* A file that is more than a chunk, or whose sink takes it piece by piece. */
static int restore_large(struct cf_restore *run, const struct cf_node *node, struct cf_restore_link *link, struct cf_err *err)
{
	struct cf_restored_file *file = cf_restore_new_file(run, node, link);
	struct cf_err inner = CF_ERR_INIT;
	int rc;

	if (!file)
		return cf_err_nomem(err);
	file->rc = run->sink->ops->file_begin(run->sink, file->level->dir, &file->node->entry, NULL, &file->file, &file->err);
	if (file->rc < 0 || !file->file) {
		cf_restore_end_file(file);
		return cf_restore_check(run, err);
	}
	if (run->sink->ops->file_write_at) {
		rc = hand_out(run, file, &inner);
	} else {
		struct sequential s = {.run = run, .file = file->file};

		rc = cf_content_read(run->repo, &file->node->content, 0, UINT64_MAX, write_next, &s, &inner);
	}
	leave_file(file, 1, rc, &inner);
	/* A failure of the content is the file's affair; only what stops the walk is passed up. */
	return rc == CF_ERR_DAMAGED && run->options->keep_going ? 0 : rc < 0 ? cf_restore_check(run, err) : 0;
}

int cf_restore_file(struct cf_restore *run, const struct cf_node *node, struct cf_err *err)
{
	struct cf_restore_link *link = NULL;
	int rc = 0;

	run->figures.files++;
	run->figures.bytes += node->content.size;
	if (node->entry.nlink > 1 && node->entry.ino)
		rc = cf_restore_try_link(run, node, &link, err);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	return cf_restore_is_small(run, node) ? cf_restore_add_small(run, node, link, err)
					      : restore_large(run, node, link, err);
}
