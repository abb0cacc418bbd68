#include "repo/restore.h"

#include "base/err.h"
#include "repo/handle.h"
#include "repo/snapshot.h"
#include "repo/tree.h"

#include <stdlib.h>
#include <unistd.h>

/*
 * The caller's thread walks the tree and begins files; workers decode runs of chunks, write them at their place, and end the file with
 * its last run. A directory ends when its files have.
 */

enum {
	RUN_LEN = 2 << 20,
	RUN_EXTENTS = 64,
	LINK_BUCKETS = 4096,
	REPORT_NS = 200000000
};

struct restore_file {
	struct restore *run;
	struct level *level;
	struct cf_node *node;
	char *path; /* for messages */
	struct cf_file *file; /* the sink's */
	struct link *link;    /* NULL, or later names wait for this one */
	unsigned n_under_way; /* jobs, and one while the walk still hands out */
	int rc;
	struct cf_err err;
};

struct restore_job {
	struct cf_job job;
	struct restore_file *file;
	struct cf_extent extents[RUN_EXTENTS];
	unsigned n;
	struct cf_buf plain;
	struct restore_job *next;
};

/* A directory on the way from the root to where the walk is. */
struct level {
	struct cf_node *node;
	struct cf_dir_iter *iter;
	struct cf_dir *dir; /* the sink's */
	size_t path_len;
	unsigned n_files; /* under way */
	struct level *parent;
};

/* The first restored name of a file that has several. */
struct link {
	uint64_t dev, ino;
	char *path;
	bool is_whole;
	struct link *next;
};

struct restore {
	struct cf_repo *repo;
	struct cf_sink *sink;
	const struct cf_restore_run_options *options;
	struct cf_restore_figures figures;
	uint64_t expected_bytes;
	int64_t reported_ns;
	struct level *level;
	struct cf_buf path;
	struct link *links[LINK_BUCKETS];
	bool found_damage;

	pthread_mutex_t lock; /* below, and the counts in files and levels */
	pthread_cond_t changed;
	struct restore_job *free_jobs;
	unsigned n_jobs, n_jobs_max;
	uint64_t bytes_done;
	int rc; /* of the first failure that ends the restore */
	struct cf_err err;
};

static const char *path_text(struct restore *run)
{
	return run->path.len ? (const char *)run->path.data : "/";
}

static int set_path(struct restore *run, const char *name, struct cf_err *err)
{
	int rc;

	cf_buf_resize(&run->path, run->level ? run->level->path_len : 0, NULL);
	if (run->path.len) {
		rc = cf_buf_append(&run->path, "/", 1, err);
		if (rc < 0)
			return rc;
	}
	rc = cf_buf_append(&run->path, name, strlen(name) + 1, err);
	if (rc == 0)
		run->path.len--; /* the NUL stays behind the end */
	return rc;
}

static int check_run(struct restore *run, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&run->lock);
	rc = run->rc;
	if (rc < 0 && err)
		*err = run->err;
	pthread_mutex_unlock(&run->lock);
	return rc < 0 ? rc : cf_ctx_check(run->repo->ctx, err);
}

static void report(struct restore *run)
{
	struct cf_progress progress = {.bytes_total = run->expected_bytes, .items_done = run->figures.files};
	int64_t now = cf_ctx_now_ns(run->repo->ctx);

	if (now - run->reported_ns < REPORT_NS)
		return;
	run->reported_ns = now;
	pthread_mutex_lock(&run->lock);
	progress.bytes_done = run->bytes_done;
	pthread_mutex_unlock(&run->lock);
	cf_ctx_progress(run->repo->ctx, "restore.progress", &progress);
}

static struct restore_job *take_job(struct restore *run)
{
	struct restore_job *job;

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

static void give_job(struct restore *run, struct restore_job *job)
{
	pthread_mutex_lock(&run->lock);
	job->next = run->free_jobs;
	run->free_jobs = job;
	pthread_cond_broadcast(&run->changed);
	pthread_mutex_unlock(&run->lock);
}

/* A file that failed: a warning when the rest goes on, the end of the restore otherwise. */
static void note_failure(struct restore *run, struct restore_file *file)
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

static void end_file(struct restore_file *file)
{
	struct restore *run = file->run;
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
static void leave_file(struct restore_file *file, int rc, const struct cf_err *err)
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
	struct restore_job *job = (struct restore_job *)cf_job;
	struct restore_file *file = job->file;
	struct restore *run = file->run;
	struct cf_err err = CF_ERR_INIT;
	int rc = check_run(run, &err);

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

static void submit_job(struct restore *run, struct restore_job *job)
{
	pthread_mutex_lock(&run->lock);
	job->file->n_under_way++;
	pthread_mutex_unlock(&run->lock);
	job->job.run = run_job;
	cf_pool_submit(run->repo->pool, &job->job);
}

/* Hand out the content in runs of neighbouring extents; holes are what is never written. */
static int hand_out(struct restore *run, struct restore_file *file, struct cf_err *err)
{
	struct cf_content_cursor *cursor = NULL;
	struct restore_job *job = NULL;
	struct cf_extent e;
	uint64_t len = 0;
	int rc = cf_content_cursor_new(run->repo, &file->node->content, &cursor, err);

	while (rc == 0) {
		rc = cf_content_cursor_next(cursor, &e, err);
		if (job && (rc <= 0 || cf_id_is_zero(&e.id) || job->n == RUN_EXTENTS || len + e.len > RUN_LEN)) {
			submit_job(run, job);
			job = NULL;
		}
		if (rc <= 0)
			break;
		rc = check_run(run, err);
		report(run);
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
	struct restore *run;
	struct cf_file *file;
};

static int write_next(void *user, struct cf_span data, struct cf_err *err)
{
	struct sequential *s = user;

	s->run->bytes_done += data.len;
	report(s->run);
	return s->run->sink->ops->file_write(s->run->sink, s->file, data, err);
}

/* Wait until no file is under way. */
static void drain(struct restore *run)
{
	pthread_mutex_lock(&run->lock);
	for (struct level *l = run->level; l; l = l->parent)
		while (l->n_files > 0)
			pthread_cond_wait(&run->changed, &run->lock);
	pthread_mutex_unlock(&run->lock);
}

static struct link **link_bucket(struct restore *run, const struct cf_entry *e)
{
	return &run->links[(e->ino * 0x9e3779b97f4a7c15u ^ e->dev) % LINK_BUCKETS];
}

static struct link *find_link(struct restore *run, const struct cf_entry *e)
{
	struct link *l = *link_bucket(run, e);

	while (l && (l->dev != e->dev || l->ino != e->ino))
		l = l->next;
	return l;
}

static struct link *add_link(struct restore *run, const struct cf_entry *e)
{
	struct link *l = calloc(1, sizeof(*l)), **bucket = link_bucket(run, e);

	if (!l || !(l->path = strdup(path_text(run)))) {
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
static int try_link(struct restore *run, const struct cf_node *node, struct link **link_out,
		    struct cf_err *err)
{
	struct link *link = find_link(run, &node->entry);
	int rc;

	if (!link) {
		*link_out = add_link(run, &node->entry);
		return *link_out ? 0 : cf_err_nomem(err);
	}
	drain(run);
	if (!link->is_whole) { /* the first name was damaged: its neighbour may have other content */
		*link_out = NULL;
		return 0;
	}
	rc = run->sink->ops->link(run->sink, run->level->dir, &node->entry, link->path, err);
	return rc < 0 ? rc : 1;
}

static int begin_file(struct restore *run, const struct cf_node *node, struct restore_file **file_out,
		      struct cf_err *err)
{
	struct restore_file *file = calloc(1, sizeof(*file));
	int rc;

	if (!file || !(file->node = cf_node_dup(node)) || !(file->path = strdup(path_text(run)))) {
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

static int restore_file(struct restore *run, const struct cf_node *node, struct cf_err *err)
{
	struct restore_file *file = NULL;
	struct link *link = NULL;
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
	return rc == CF_ERR_DAMAGED && run->options->keep_going ? 0 : rc < 0 ? check_run(run, err) : 0;
}

static int push_level(struct restore *run, const struct cf_node *node, struct cf_err *err)
{
	struct level *level = calloc(1, sizeof(*level));
	int rc = 0;

	if (!level || !(level->node = cf_node_dup(node))) {
		free(level);
		return cf_err_nomem(err);
	}
	level->path_len = run->path.len;
	rc = cf_dir_iter_new(run->repo, node, &level->iter, err);
	if (rc == 0 && !run->options->no_content)
		rc = run->sink->ops->dir_begin(run->sink, run->level ? run->level->dir : NULL, &level->node->entry,
					       CF_DIR_SORTED, &level->dir, err);
	if (rc < 0) {
		cf_dir_iter_free(level->iter);
		free(level->node);
		free(level);
		return rc;
	}
	run->figures.dirs++;
	level->parent = run->level;
	run->level = level;
	return 0;
}

/* The directory the walk is in has no more entries: wait for its files, then end it. */
static int pop_level(struct restore *run, bool ended, struct cf_err *err)
{
	struct level *level = run->level;
	int rc = 0;

	pthread_mutex_lock(&run->lock);
	while (level->n_files > 0)
		pthread_cond_wait(&run->changed, &run->lock);
	pthread_mutex_unlock(&run->lock);
	if (ended)
		rc = check_run(run, err);
	if (level->dir && ended && rc == 0)
		rc = run->sink->ops->dir_end(run->sink, level->dir, NULL, err);
	run->level = level->parent;
	cf_dir_iter_free(level->iter);
	free(level->node);
	free(level);
	return rc;
}

static int restore_node(struct restore *run, const struct cf_node *node, struct cf_err *err)
{
	int rc = set_path(run, node->entry.name, err);

	if (rc < 0)
		return rc;
	if (node->entry.type == CF_ENTRY_DIR)
		return push_level(run, node, err);
	if (node->entry.type == CF_ENTRY_FILE) {
		if (!run->options->no_content)
			return restore_file(run, node, err);
		run->figures.files++;
		run->figures.bytes += node->content.size;
		return 0;
	}
	run->figures.others++;
	return run->options->no_content ? 0
					: run->sink->ops->node(run->sink, run->level->dir, &node->entry, err);
}

/* A directory that cannot be read to its end: what came before it is restored. */
static int note_damaged_dir(struct restore *run, struct cf_err *err)
{
	cf_buf_resize(&run->path, run->level->path_len, NULL);
	if (!run->options->keep_going) {
		cf_err_wrap(err, "%s", run->path.len ? (const char *)run->path.data : "/");
		return CF_ERR_DAMAGED;
	}
	cf_ctx_warn(run->repo->ctx, "dir.damaged", path_text(run), "%s", err->text);
	run->found_damage = true;
	cf_err_clear(err);
	return 0;
}

/* From the node on the level just pushed until that level has ended. */
static int walk(struct restore *run, struct cf_err *err)
{
	int rc = 0;

	while (rc == 0 && run->level) {
		const struct cf_node *node = NULL;
		int more;

		rc = check_run(run, err);
		if (rc < 0)
			break;
		more = cf_dir_iter_next(run->level->iter, &node, err);
		if (more == CF_ERR_DAMAGED) {
			rc = note_damaged_dir(run, err);
			more = 0;
		}
		if (rc == 0 && more < 0)
			rc = more;
		else if (rc == 0 && more == 1)
			rc = restore_node(run, node, err);
		else if (rc == 0)
			rc = pop_level(run, true, err);
		report(run);
	}
	while (run->level)
		pop_level(run, false, NULL);
	return rc;
}

/* Something that is no directory becomes the only entry of a root without attributes of its own. */
static int restore_single(struct restore *run, const struct cf_node *node, struct cf_err *err)
{
	struct level level = {.node = NULL};
	const struct cf_entry root = {.type = CF_ENTRY_DIR,
				      .name = "",
				      .mode = 0755,
				      .uid = geteuid(),
				      .gid = getegid(),
				      .mtime_ns = cf_ctx_now_ns(run->repo->ctx)};
	int rc = 0;

	run->level = &level;
	if (!run->options->no_content)
		rc = run->sink->ops->dir_begin(run->sink, NULL, &root, 0, &level.dir, err);
	if (rc == 0)
		rc = restore_node(run, node, err);
	drain(run);
	if (rc == 0)
		rc = check_run(run, err);
	if (rc == 0 && level.dir)
		rc = run->sink->ops->dir_end(run->sink, level.dir, NULL, err);
	run->level = NULL;
	return rc;
}

static void release(struct restore *run)
{
	for (size_t i = 0; i < LINK_BUCKETS; i++)
		while (run->links[i]) {
			struct link *l = run->links[i];

			run->links[i] = l->next;
			free(l->path);
			free(l);
		}
	while (run->free_jobs) {
		struct restore_job *job = run->free_jobs;

		run->free_jobs = job->next;
		cf_buf_release(&job->plain);
		free(job);
	}
	cf_buf_release(&run->path);
	pthread_mutex_destroy(&run->lock);
	pthread_cond_destroy(&run->changed);
	free(run);
}

int cf_restore_run(struct cf_repo *repo, const struct cf_snapshot *snapshot, const char *path,
		   const struct cf_restore_run_options *options, struct cf_sink *sink,
		   struct cf_restore_figures *figures_out, struct cf_err *err)
{
	struct restore *run = calloc(1, sizeof(*run));
	struct cf_err local = CF_ERR_INIT, *own = err ? err : &local;
	struct cf_node *node = NULL;
	int rc;

	if (!run)
		return cf_err_nomem(err);
	run->repo = repo;
	run->sink = sink;
	run->options = options;
	run->n_jobs_max = 2 * cf_pool_threads(repo->pool) + 2;
	pthread_mutex_init(&run->lock, NULL);
	pthread_cond_init(&run->changed, NULL);
	rc = cf_tree_find(repo, snapshot, path, &node, own);
	if (rc == 0) {
		bool is_dir = node->entry.type == CF_ENTRY_DIR;

		run->expected_bytes = node->entry.name[0] ? (is_dir ? 0 : node->content.size)
							  : snapshot->figures.bytes_total;
		if (is_dir) {
			struct cf_node root = *node;

			root.entry.name = "";
			rc = push_level(run, &root, own);
			if (rc == 0)
				rc = walk(run, own);
		} else {
			rc = restore_single(run, node, own);
		}
	}
	free(node);
	*figures_out = run->figures;
	if (rc == 0 && run->found_damage)
		rc = cf_err_set(own, CF_ERR_DAMAGED, "some of it is damaged and was left out");
	release(run);
	return rc;
}
