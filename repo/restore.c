#include "repo/restore_parts.h"

#include "repo/snapshot.h"

#include <stdlib.h>
#include <unistd.h>

/* The walk over the tree. */

enum {
	REPORT_NS = 200000000
};

const char *cf_restore_path(struct cf_restore *run)
{
	return run->path.len ? (const char *)run->path.data : "/";
}

static int set_path(struct cf_restore *run, const char *name, struct cf_err *err)
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

int cf_restore_check(struct cf_restore *run, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&run->lock);
	rc = run->rc;
	if (rc < 0 && err)
		*err = run->err;
	pthread_mutex_unlock(&run->lock);
	return rc < 0 ? rc : cf_ctx_check(run->repo->ctx, err);
}

void cf_restore_report(struct cf_restore *run)
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

static int push_level(struct cf_restore *run, const struct cf_node *node, struct cf_err *err)
{
	struct cf_restore_level *level = calloc(1, sizeof(*level));
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
	run->n_levels++;
	level->n_inside = 1;
	level->parent = run->level;
	if (level->parent) {
		pthread_mutex_lock(&run->lock);
		level->parent->n_inside++;
		pthread_mutex_unlock(&run->lock);
	}
	run->level = level;
	return 0;
}

void cf_restore_leave_level(struct cf_restore *run, struct cf_restore_level *level)
{
	if (--level->n_inside > 0)
		return;
	level->next = run->left;
	run->left = level;
	pthread_cond_broadcast(&run->changed);
}

/* The walk goes up. What is under way in the directory may take its time. */
static void pop_level(struct cf_restore *run)
{
	struct cf_restore_level *level = run->level;

	cf_dir_iter_free(level->iter);
	level->iter = NULL;
	run->level = level->parent;
	pthread_mutex_lock(&run->lock);
	cf_restore_leave_level(run, level);
	pthread_mutex_unlock(&run->lock);
}

static struct cf_restore_level *take_left(struct cf_restore *run, bool wait)
{
	struct cf_restore_level *level;

	pthread_mutex_lock(&run->lock);
	while (wait && !run->left)
		pthread_cond_wait(&run->changed, &run->lock);
	level = run->left;
	if (level)
		run->left = level->next;
	pthread_mutex_unlock(&run->lock);
	return level;
}

/* End the directories that nothing is inside of; all: wait until each has ended. rc < 0: the restore has failed, give them up. */
static int end_levels(struct cf_restore *run, bool all, int rc, struct cf_err *err)
{
	struct cf_restore_level *level;

	while (run->n_levels > 0 && (level = take_left(run, all))) {
		if (rc == 0)
			rc = cf_restore_check(run, err);
		if (rc == 0 && level->dir)
			rc = run->sink->ops->dir_end(run->sink, level->dir, NULL, err);
		if (level->parent) {
			pthread_mutex_lock(&run->lock);
			cf_restore_leave_level(run, level->parent);
			pthread_mutex_unlock(&run->lock);
		}
		free(level->node);
		free(level);
		run->n_levels--;
	}
	return rc;
}

static int restore_node(struct cf_restore *run, const struct cf_node *node, struct cf_err *err)
{
	int rc = set_path(run, node->entry.name, err);

	if (rc < 0)
		return rc;
	if (node->entry.type == CF_ENTRY_DIR)
		return push_level(run, node, err);
	if (node->entry.type == CF_ENTRY_FILE) {
		if (!run->options->no_content)
			return cf_restore_file(run, node, err);
		run->figures.files++;
		run->figures.bytes += node->content.size;
		return 0;
	}
	run->figures.others++;
	return run->options->no_content ? 0 : cf_restore_other(run, node, err);
}

/* A directory that cannot be read to its end: what came before it is restored. */
static int note_damaged_dir(struct cf_restore *run, struct cf_err *err)
{
	cf_buf_resize(&run->path, run->level->path_len, NULL);
	if (!run->options->keep_going) {
		cf_err_wrap(err, "%s", run->path.len ? (const char *)run->path.data : "/");
		return CF_ERR_DAMAGED;
	}
	cf_ctx_warn(run->repo->ctx, "dir.damaged", cf_restore_path(run), "%s", err->text);
	run->found_damage = true;
	cf_err_clear(err);
	return 0;
}

/* From the node on the level just pushed until that level has ended. */
static int walk(struct cf_restore *run, struct cf_err *err)
{
	int rc = 0;

	while (rc == 0 && run->level) {
		const struct cf_node *node = NULL;
		int more;

		rc = cf_restore_check(run, err);
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
			pop_level(run);
		rc = end_levels(run, false, rc, err);
		cf_restore_report(run);
	}
	while (run->level)
		pop_level(run);
	cf_restore_flush_small(run);
	return end_levels(run, true, rc, err);
}

/* Something that is no directory becomes the only entry of a root without attributes of its own. */
static int restore_single(struct cf_restore *run, const struct cf_node *node, struct cf_err *err)
{
	struct cf_restore_level level = {.n_inside = 1};
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
	cf_restore_drain(run);
	if (rc == 0)
		rc = cf_restore_check(run, err);
	if (rc == 0 && level.dir)
		rc = run->sink->ops->dir_end(run->sink, level.dir, NULL, err);
	run->level = NULL;
	return rc;
}

static void release(struct cf_restore *run)
{
	cf_restore_free_links(run);
	cf_restore_free_jobs(run);
	cf_buf_release(&run->path);
	pthread_mutex_destroy(&run->lock);
	pthread_cond_destroy(&run->changed);
	free(run);
}

int cf_restore_run(struct cf_repo *repo, const struct cf_snapshot *snapshot, const char *path,
		   const struct cf_restore_run_options *options, struct cf_sink *sink,
		   struct cf_restore_figures *figures_out, struct cf_err *err)
{
	struct cf_restore *run = calloc(1, sizeof(*run));
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
							  : snapshot->figures.bytes_restored;
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
