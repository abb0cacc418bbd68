#include "repo/restore_parts.h"

#include <stdlib.h>

/* What is under way: jobs, and files until they end. */

struct cf_restore_job *cf_restore_take_job(struct cf_restore *run)
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
	run->n_jobs_taken++;
	pthread_mutex_unlock(&run->lock);
	if (!job) {
		job = calloc(1, sizeof(*job));
		if (!job) {
			pthread_mutex_lock(&run->lock);
			run->n_jobs--;
			run->n_jobs_taken--;
			pthread_mutex_unlock(&run->lock);
			return NULL;
		}
		job->run = run;
	}
	job->n_files = job->n_extents = 0;
	job->len = 0;
	return job;
}

void cf_restore_give_job(struct cf_restore *run, struct cf_restore_job *job)
{
	pthread_mutex_lock(&run->lock);
	job->next = run->free_jobs;
	run->free_jobs = job;
	run->n_jobs_taken--;
	pthread_cond_broadcast(&run->changed);
	pthread_mutex_unlock(&run->lock);
}

void cf_restore_free_jobs(struct cf_restore *run)
{
	pthread_mutex_lock(&run->lock);
	while (run->n_jobs_taken > 0)
		pthread_cond_wait(&run->changed, &run->lock);
	pthread_mutex_unlock(&run->lock);
	while (run->free_jobs) {
		struct cf_restore_job *job = run->free_jobs;

		run->free_jobs = job->next;
		cf_buf_release(&job->plain);
		free(job);
	}
}

struct cf_restored_file *cf_restore_new_file(struct cf_restore *run, const struct cf_node *node,
					     struct cf_restore_link *link)
{
	struct cf_restored_file *file = calloc(1, sizeof(*file));

	if (!file || !(file->node = cf_node_dup(node)) || !(file->path = strdup(cf_restore_path(run)))) {
		if (file)
			free(file->node);
		free(file);
		return NULL;
	}
	file->run = run;
	file->level = run->level;
	file->link = link;
	file->n_under_way = 1;
	pthread_mutex_lock(&run->lock);
	run->n_files++;
	run->level->n_inside++;
	pthread_mutex_unlock(&run->lock);
	return file;
}

/* A file that failed: a warning when the rest goes on, the end of the restore otherwise. */
static void note_failure(struct cf_restore *run, struct cf_restored_file *file)
{
	bool goes_on = run->options->keep_going && file->rc == CF_ERR_DAMAGED;

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

void cf_restore_end_file(struct cf_restored_file *file)
{
	struct cf_restore *run = file->run;
	struct cf_sink *sink = run->sink;

	if (file->file && file->rc == 0) {
		file->rc = sink->ops->file_end(sink, file->file, &file->node->entry, &file->err);
		if (file->rc < 0)
			cf_err_wrap(&file->err, "%s", file->path);
	} else if (file->file) {
		sink->ops->file_abort(sink, file->file);
	}
	if (file->rc < 0)
		note_failure(run, file);
	pthread_mutex_lock(&run->lock);
	if (file->link)
		file->link->is_whole = file->file && file->rc == 0;
	if (--run->n_files == 0)
		pthread_cond_broadcast(&run->changed);
	cf_restore_leave_level(run, file->level);
	pthread_mutex_unlock(&run->lock);
	free(file->node);
	free(file->path);
	free(file);
}

void cf_restore_drain(struct cf_restore *run)
{
	cf_restore_flush_small(run);
	pthread_mutex_lock(&run->lock);
	while (run->n_files > 0)
		pthread_cond_wait(&run->changed, &run->lock);
	pthread_mutex_unlock(&run->lock);
}
