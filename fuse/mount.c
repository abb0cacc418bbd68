#include "fuse/mount.h"

#include "base/err.h"
#include "fuse/mount_point.h"
#include "fuse/state.h"
#include "repo/repo.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
	CACHE_LEN = 128 << 20,
	DIRS_SHARE = 4, /* of the cache, one part in so many is for directories */
	THREADS_MAX = 16,
	WATCH_NS = 200000000
};

/* What libfuse said last, in this thread: it has no other way to tell why a mount failed. */
static _Thread_local char fuse_message[256];

__attribute__((format(printf, 2, 0))) static void note_message(enum fuse_log_level level,
							       const char *format, va_list args)
{
	if (level > FUSE_LOG_ERR)
		return;
	vsnprintf(fuse_message, sizeof(fuse_message), format, args);
	fuse_message[strcspn(fuse_message, "\n")] = '\0';
}

static int check_empty(const char *folder, struct cf_err *err)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	int rc = 0;

	if (!dir)
		return cf_err_errno(err, errno, "mount point %s", folder);
	while (rc == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			rc = cf_err_set(err, CF_ERR_EXISTS, "mount point %s is not empty", folder);
	closedir(dir);
	return rc;
}

static int check_fuse(struct cf_err *err)
{
	if (access("/dev/fuse", F_OK) != 0)
		return cf_err_set(err, CF_ERR_UNSUPPORTED,
				  "this system has no FUSE (/dev/fuse is missing): load the kernel module fuse, or "
				  "give the container the device");
	return 0;
}

/* The process behind it is gone. stat() may still be answered out of what the kernel knows, but nothing opens. */
static bool is_dead(const char *resolved)
{
	DIR *dir = opendir(resolved);
	bool is_dead = !dir && (errno == ENOTCONN || errno == ECONNABORTED);

	if (dir)
		closedir(dir);
	return is_dead;
}

static int check_not_mounted(const char *resolved, struct cf_err *err)
{
	int rc = 0;

	if (!cf_mount_point_is_ours(resolved))
		return 0;
	/* A dead one is ours to use again. */
	if (is_dead(resolved))
		rc = cf_mount_point_unmount(resolved, true, err);
	else
		rc = cf_err_set(err, CF_ERR_EXISTS, "%s is a mount of coffer already: end it with coffer umount, or choose "
						    "another folder",
				resolved);
	return rc;
}

static bool has_fusermount(void)
{
	return access("/bin/fusermount3", X_OK) == 0 || access("/usr/bin/fusermount3", X_OK) == 0;
}

int cf_mount_available(struct cf_err *err)
{
	int rc = check_fuse(err);

	if (rc == 0 && geteuid() != 0 && !has_fusermount())
		rc = cf_err_set(err, CF_ERR_UNSUPPORTED, "fusermount3 is missing: install the package fuse3");
	return rc;
}

int cf_mount_check(const char *folder, struct cf_err *err)
{
	char *resolved = NULL;
	struct stat st;
	int rc = check_fuse(err);

	if (rc < 0)
		return rc;
	resolved = cf_mount_point_resolve(folder, err);
	if (!resolved)
		return err ? err->code : CF_ERR_FAILED;
	rc = check_not_mounted(resolved, err);
	if (rc == 0 && stat(resolved, &st) != 0)
		rc = cf_err_errno(err, errno, "mount point %s", folder);
	else if (rc == 0 && !S_ISDIR(st.st_mode))
		rc = cf_err_set(err, CF_ERR_FAILED, "mount point %s is not a folder", folder);
	if (rc == 0)
		rc = check_empty(resolved, err);
	free(resolved);
	return rc;
}

static void release_mount(struct cf_mount *mount)
{
	while (mount->handles)
		cf_mount_free_handle(mount, mount->handles);
	cf_inodes_free(mount->inodes);
	cf_shots_free(mount->shots);
	cf_dirs_free(mount->dirs);
	cf_files_free(mount->files);
	pthread_mutex_destroy(&mount->log_lock);
	pthread_mutex_destroy(&mount->handle_lock);
}

/* One snapshot as the root. Takes it over. */
static int set_snapshot_root(struct cf_mount *mount, struct cf_snapshot *snapshot, struct cf_err *err)
{
	struct cf_shot *shot = NULL;
	struct cf_node *root = NULL;
	int rc = cf_shot_new(snapshot, &shot, err);

	if (rc == 0)
		rc = cf_tree_find(mount->repo, shot->snapshot, "", &root, err);
	if (rc == 0)
		rc = cf_inodes_set_root(mount->inodes, shot, root, err);
	free(root);
	cf_shot_release(shot);
	return rc;
}

static int init_mount(struct cf_mount *mount, const struct cf_mount_options *options, struct cf_err *err)
{
	size_t cache_len = options->cache_len ? options->cache_len : CACHE_LEN;
	int rc;

	pthread_mutex_init(&mount->log_lock, NULL);
	pthread_mutex_init(&mount->handle_lock, NULL);
	rc = cf_inodes_new(&mount->inodes, err);
	if (rc == 0)
		rc = cf_dirs_new(mount->repo, cache_len / DIRS_SHARE, &mount->dirs, err);
	if (rc == 0)
		rc = cf_files_new(mount->repo, cache_len - cache_len / DIRS_SHARE, options->n_threads, &mount->files,
				  err);
	if (rc < 0) {
		cf_snapshot_free(options->snapshot);
		return rc;
	}
	if (options->snapshot)
		return set_snapshot_root(mount, options->snapshot, err);
	rc = cf_shots_new(mount->repo, options->filter, &mount->shots, err);
	return rc < 0 ? rc : cf_inodes_set_root(mount->inodes, NULL, NULL, err);
}

static int new_session(struct cf_mount *mount, const struct cf_mount_options *options,
		       struct fuse_session **session_out, struct cf_err *err)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	/* Others may read what the stored modes let them; a mount that only its owner sees needs no such check. */
	const char *others = options->allow_other ? ",allow_other,default_permissions" : "";
	struct fuse_session *session = NULL;
	char settings[192];

	snprintf(settings, sizeof(settings), "ro,fsname=%s,subtype=" CF_MOUNT_SUBTYPE "%s",
		 cf_mount_point_name(cf_repo_id_text(mount->repo)).s, others);
	if (fuse_opt_add_arg(&args, "coffer") == 0 && fuse_opt_add_arg(&args, "-o") == 0 &&
	    fuse_opt_add_arg(&args, settings) == 0)
		session = fuse_session_new(&args, &cf_mount_ops, sizeof(cf_mount_ops), mount);
	fuse_opt_free_args(&args);
	if (!session)
		return cf_err_set(err, CF_ERR_FAILED, "start FUSE: %s", fuse_message);
	*session_out = session;
	return 0;
}

static int mount_failed(const char *folder, const struct cf_mount_options *options, struct cf_err *err)
{
	if (geteuid() != 0 && !has_fusermount())
		return cf_err_set(err, CF_ERR_UNSUPPORTED,
				  "mount %s: fusermount3 is missing: install the package fuse3, or mount as root",
				  folder);
	if (geteuid() != 0 && options->allow_other)
		return cf_err_set(err, CF_ERR_ACCESS,
				  "mount %s: --allow-other needs the line user_allow_other in /etc/fuse.conf", folder);
	return cf_err_set(err, CF_ERR_ACCESS, "mount %s: %s", folder,
			  fuse_message[0] ? fuse_message : "the system does not allow it");
}

/* Ends the session when the context asks to stop: the signal may have gone to any thread. */
struct watch {
	struct cf_mount *mount;
	struct fuse_session *session;
	pthread_t server;
	atomic_bool is_over;
};

static void on_wake(int number)
{
	(void)number;
}

static void *watch_for_stop(void *user)
{
	struct watch *watch = user;
	const struct timespec pause = {.tv_nsec = WATCH_NS};

	while (!atomic_load(&watch->is_over)) {
		if (cf_ctx_check(watch->mount->ctx, NULL) < 0) {
			/* It may wait for a request that is still to be served. */
			cf_behind_stop(watch->mount->behind);
			fuse_session_exit(watch->session);
			/* It waits for its threads, and looks around only when interrupted. */
			pthread_kill(watch->server, SIGUSR1);
		}
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static int serve(struct cf_mount *mount, struct fuse_session *session, struct cf_err *err)
{
	struct watch watch = {.mount = mount, .session = session, .server = pthread_self()};
	struct sigaction wake = {.sa_handler = on_wake}, before;
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	pthread_t watcher;
	int rc;

	if (!config)
		return cf_err_nomem(err);
	fuse_loop_cfg_set_clone_fd(config, 1);
	fuse_loop_cfg_set_max_threads(config, THREADS_MAX);
	fuse_loop_cfg_set_idle_threads(config, THREADS_MAX);
	sigemptyset(&wake.sa_mask);
	sigaction(SIGUSR1, &wake, &before);
	rc = pthread_create(&watcher, NULL, watch_for_stop, &watch);
	if (rc != 0) {
		rc = cf_err_errno(err, rc, "start a thread");
	} else {
		rc = fuse_session_loop_mt(session, config);
		rc = rc < 0 ? cf_err_errno(err, -rc, "serve the mount") : 0;
		atomic_store(&watch.is_over, true);
		pthread_join(watcher, NULL);
	}
	sigaction(SIGUSR1, &before, NULL);
	fuse_loop_cfg_destroy(config);
	return rc;
}

int cf_mount_run(struct cf_repo *repo, const char *folder, const struct cf_mount_options *options,
		 const struct cf_ctx *ctx, struct cf_err *err)
{
	struct cf_mount mount = {.repo = repo, .ctx = ctx};
	struct fuse_session *session = NULL;
	int rc = init_mount(&mount, options, err);

	fuse_set_log_func(note_message);
	fuse_message[0] = '\0';
	if (rc == 0)
		rc = new_session(&mount, options, &session, err);
	if (rc == 0 && fuse_session_mount(session, folder) != 0)
		rc = mount_failed(folder, options, err);
	else if (rc == 0) {
		if (options->mounted)
			options->mounted(options->user);
		rc = cf_behind_new(session, &mount.behind, err);
		if (rc == 0)
			rc = serve(&mount, session, err);
		fuse_session_unmount(session);
	}
	cf_behind_free(mount.behind);
	if (session)
		fuse_session_destroy(session);
	release_mount(&mount);
	return rc;
}

int cf_mount_end(const char *folder, bool lazy, struct cf_err *err)
{
	char *resolved = cf_mount_point_resolve(folder, err);
	int rc;

	if (!resolved)
		return err ? err->code : CF_ERR_FAILED;
	if (!cf_mount_point_is_ours(resolved))
		rc = cf_err_set(err, CF_ERR_NOT_FOUND, "nothing of coffer is mounted on %s", folder);
	else
		rc = cf_mount_point_unmount(resolved, lazy, err);
	free(resolved);
	return rc;
}
