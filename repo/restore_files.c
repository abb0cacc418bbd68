#include "repo/restore_parts.h"

#include <stdlib.h>

/* Contents and hard links: files are handed to workers in runs of chunks. */

static struct cf_restore_job *take_job(struct cf_restore *run)
{
	struct cf_restore_job *job;

	pthread_mutex_lock(&run->lock);
	while (!run->free_jobs && run->n_jobs >= run->n_jobs_max)
		pthread_cond_wait(&run->changed, &run->lock);
	job = run->free_jobs;
	if (job)
		run->free_jobs = job->next;
	else
		run->n_jobs++;
	pthread_mutex_unlock(&run->lock);
	if (!job) {
		job = calloc(1, sizeof(*job));
		if (!job) {
			pthread_mutex_lock(&run->lock);
			run->n_jobs--;
			pthread_mutex_unlock(&run->lock);
			return NULL;
		}
	}
	job->n = 0;
	return job;
}

static void give_job(struct cf_restore *run, struct cf_restore_job *job)
{
	pthread_mutex_lock(&run->lock);
	job->next = run->free_jobs;
	run->free_jobs = job;
	pthread_cond_broadcast(&run->changed);
	pthread_mutex_unlock(&run->lock);
}

/* A file that failed: a warning when the rest goes on, the end of the restore otherwise. */
static void note_failure(struct cf_restore *run, struct cf_restored_file *file)
{
	bool goes_on = run->options->keep_going && file->rc == CF_ERR_DAMAGED;

	cf_err_wrap(&file->err, "%s", file->path);
	if (goes_on)
		cf_ctx_warn(run->repo->ctx, "file.damaged", file->path, "%s", file->err.text);
	pthread_mutex_lock(&run->lock);
	if (goes_on)
		run->found_damage = true;
	else if (run->rc == 0) {
		run->rc = file->rc;
		run->err = file->err;
	}
	pthread_mutex_unlock(&run->lock);
}

static void end_file(struct cf_restored_file *file)
{
	struct cf_restore *run = file->run;
	struct cf_sink *sink = run->sink;

	if (file->rc == 0)
		file->rc = sink->ops->file_end(sink, file->file, &file->node->entry, &file->err);
	else
		sink->ops->file_abort(sink, file->file);
	if (file->rc < 0)
		note_failure(run, file);
	pthread_mutex_lock(&run->lock);
	if (file->link)
		file->link->is_whole = file->rc == 0;
	file->level->n_files--;
	pthread_cond_broadcast(&run->changed);
	pthread_mutex_unlock(&run->lock);
	free(file->node);
	free(file->path);
	free(file);
}

/* One job, or the walk, is through with the file. The last ends it. */
static void leave_file(struct cf_restored_file *file, int rc, const struct cf_err *err)
{
	bool is_last;

	pthread_mutex_lock(&file->run->lock);
	if (rc < 0 && file->rc == 0) {
		file->rc = rc;
		file->err = *err;
	}
	is_last = --file->n_under_way == 0;
	pthread_mutex_unlock(&file->run->lock);
	if (is_last)
		end_file(file);
}

static void run_job(struct cf_job *cf_job, unsigned worker)
{
	struct cf_restore_job *job = (struct cf_restore_job *)cf_job;
	struct cf_restored_file *file = job->file;
	struct cf_restore *run = file->run;
	struct cf_err err = CF_ERR_INIT;
	int rc = cf_restore_check(run, &err);

	(void)worker;
	if (rc == 0)
		rc = cf_extents_read(run->repo, job->extents, job->n, &job->plain, &err);
	if (rc == 0)
		rc = run->sink->ops->file_write_at(run->sink, file->file, job->extents[0].off,
						   cf_buf_span(&job->plain), &err);
	if (rc == 0) {
		pthread_mutex_lock(&run->lock);
		run->bytes_done += job->plain.len;
		pthread_mutex_unlock(&run->lock);
	}
	give_job(run, job);
	leave_file(file, rc, &err);
}

static void submit_job(struct cf_restore *run, struct cf_restore_job *job)
{
	pthread_mutex_lock(&run->lock);
	job->file->n_under_way++;
	pthread_mutex_unlock(&run->lock);
	job->job.run = run_job;
	cf_pool_submit(run->repo->pool, &job->job);
}

/* Hand out the content in runs of neighbouring extents; holes are what is never written. */
static int hand_out(struct cf_restore *run, struct cf_restored_file *file, struct cf_err *err)
{
	struct cf_content_cursor *cursor = NULL;
	struct cf_restore_job *job = NULL;
	struct cf_extent e;
	uint64_t len = 0;
	int rc = cf_content_cursor_new(run->repo, &file->node->content, &cursor, err);

	while (rc == 0) {
		rc = cf_content_cursor_next(cursor, &e, err);
		if (job && (rc <= 0 || cf_id_is_zero(&e.id) || job->n == CF_RESTORE_RUN_EXTENTS || len + e.len > CF_RESTORE_RUN_LEN)) {
			submit_job(run, job);
			job = NULL;
		}
		if (rc <= 0)
			break;
		rc = cf_restore_check(run, err);
		cf_restore_report(run);
		if (rc < 0 || cf_id_is_zero(&e.id))
			continue;
		if (!job) {
			job = take_job(run);
			len = 0;
		}
		if (!job) {
			rc = cf_err_nomem(err);
			break;
		}
		job->file = file;
		job->extents[job->n++] = e;
		len += e.len;
	}
	if (job) /* stopped between extents */
		give_job(run, job);
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

void cf_restore_drain(struct cf_restore *run)
{
	pthread_mutex_lock(&run->lock);
	for (struct cf_restore_level *l = run->level; l; l = l->parent)
		while (l->n_files > 0)
			pthread_cond_wait(&run->changed, &run->lock);
	pthread_mutex_unlock(&run->lock);
}

static struct cf_restore_link **link_bucket(struct cf_restore *run, const struct cf_entry *e)
{
	return &run->links[(e->ino * 0x9e3779b97f4a7c15u ^ e->dev) % CF_RESTORE_LINK_BUCKETS];
}

static struct cf_restore_link *find_link(struct cf_restore *run, const struct cf_entry *e)
{
	struct cf_restore_link *l = *link_bucket(run, e);

	while (l && (l->dev != e->dev || l->ino != e->ino))
		l = l->next;
	return l;
}

static struct cf_restore_link *add_link(struct cf_restore *run, const struct cf_entry *e)
{
	struct cf_restore_link *l = calloc(1, sizeof(*l)), **bucket = link_bucket(run, e);

	if (!l || !(l->path = strdup(cf_restore_path(run)))) {
		free(l);
		return NULL;
	}
	l->dev = e->dev;
	l->ino = e->ino;
	l->next = *bucket;
	*bucket = l;
	return l;
}

/* 1: restored as another name of a file that is there. 0: *link_out is to be its first name. */
static int try_link(struct cf_restore *run, const struct cf_node *node, struct cf_restore_link **link_out,
		    struct cf_err *err)
{
	struct cf_restore_link *link = find_link(run, &node->entry);
	int rc;

	if (!link) {
		*link_out = add_link(run, &node->entry);
		return *link_out ? 0 : cf_err_nomem(err);
	}
	cf_restore_drain(run);
	if (!link->is_whole) { /* the first name was damaged: its neighbour may have other content */
		*link_out = NULL;
		return 0;
	}
	rc = run->sink->ops->link(run->sink, run->level->dir, &node->entry, link->path, err);
	return rc < 0 ? rc : 1;
}

static int begin_file(struct cf_restore *run, const struct cf_node *node, struct cf_restored_file **file_out,
		      struct cf_err *err)
{
	struct cf_restored_file *file = calloc(1, sizeof(*file));
	int rc;

	if (!file || !(file->node = cf_node_dup(node)) || !(file->path = strdup(cf_restore_path(run)))) {
		if (file)
			free(file->node);
		free(file);
		return cf_err_nomem(err);
	}
	file->run = run;
	file->level = run->level;
	file->n_under_way = 1;
	rc = run->sink->ops->file_begin(run->sink, run->level->dir, &file->node->entry, NULL, &file->file, err);
	if (rc < 0 || !file->file) {
		free(file->node);
		free(file->path);
		free(file);
		return rc;
	}
	pthread_mutex_lock(&run->lock);
	run->level->n_files++;
	pthread_mutex_unlock(&run->lock);
	*file_out = file;
	return 0;
}

int cf_restore_file(struct cf_restore *run, const struct cf_node *node, struct cf_err *err)
{
	struct cf_restored_file *file = NULL;
	struct cf_restore_link *link = NULL;
	struct cf_err inner = CF_ERR_INIT;
	int rc = 0;

	run->figures.files++;
	run->figures.bytes += node->content.size;
	if (node->entry.nlink > 1 && node->entry.ino) {
		rc = try_link(run, node, &link, err);
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
	rc = begin_file(run, node, &file, err);
	if (rc < 0 || !file)
		return rc;
	file->link = link;
	if (run->sink->ops->file_write_at) {
		rc = hand_out(run, file, &inner);
	} else {
		struct sequential s = {.run = run, .file = file->file};

		rc = cf_content_read(run->repo, &file->node->content, 0, UINT64_MAX, write_next, &s, &inner);
	}
	leave_file(file, rc, &inner);
	/* A failure of the content is the file's affair; only what stops the walk is passed up. */
	return rc == CF_ERR_DAMAGED && run->options->keep_going ? 0 : rc < 0 ? cf_restore_check(run, err) : 0;
}

int cf_restore_other(struct cf_restore *run, const struct cf_node *node, struct cf_err *err)
{
	struct cf_restore_link *link = NULL;
	int rc = 0;

	if (node->entry.nlink > 1 && node->entry.ino)
		rc = try_link(run, node, &link, err);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = run->sink->ops->node(run->sink, run->level->dir, &node->entry, err);
	if (link)
		link->is_whole = rc == 0;
	return rc;
}
