#ifndef CF_BACKENDS_LOCAL_STORE_H
#define CF_BACKENDS_LOCAL_STORE_H

/* What the parts of the local backend share. Not for others. */

#include "backends/backend.h"

#include <pthread.h>

struct cf_fdcache;

#define CF_LOCAL_TMP ".tmp"
#define CF_LOCAL_FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

struct cf_local {
	struct cf_backend base; /* the URL is the path as the user wrote it */
	int root_fd;
	struct cf_fdcache *fds;
	pthread_mutex_t lock; /* guards the list below */
	char **synced;        /* folders whose own names this handle made durable */
	size_t n_synced;
};

enum cf_local_folder_mode {
	CF_LOCAL_FOLDER_FIND, /* CF_ERR_NOT_FOUND when it is missing or an object is in its place */
	CF_LOCAL_FOLDER_MAKE  /* make what is missing; what is there is durable afterwards */
};

/* Open the folder that the first path_len bytes of path name below the root ("" is the root). */
int cf_local_folder_open(struct cf_local *local, const char *path, size_t path_len,
			 enum cf_local_folder_mode mode, int *fd_out, struct cf_err *err);

/* The length of the folder part of an object's name, and its last component. */
size_t cf_local_folder_len(const char *name);
const char *cf_local_leaf(const char *name);

int cf_local_bad_name(struct cf_local *local, const char *name, struct cf_err *err);

/*
 * local_sector.c: CF_LOCAL_UNREADABLE instead of CF_ERR_FAILED when the system cannot read what is there. It stays among attempts
 * of cf_local_try(), which makes of it CF_ERR_DAMAGED, if this object alone cannot be read, or CF_ERR_FAILED.
 */
#define CF_LOCAL_UNREADABLE (-1000)
int cf_local_errno(struct cf_local *local, int errno_value, const char *verb, const char *name, struct cf_err *err);
typedef int cf_local_attempt_fn(struct cf_local *local, void *args, struct cf_err *err);
int cf_local_try(struct cf_local *local, cf_local_attempt_fn *attempt, void *args, struct cf_err *err);

/* The slots. */
int cf_local_put(struct cf_backend *backend, const char *name, const struct cf_span *parts,
		 size_t n_parts, struct cf_err *err);
int cf_local_list(struct cf_backend *backend, const char *prefix, cf_backend_list_fn *fn, void *user,
		  struct cf_err *err);

/* Remove what crashed writers left in ".tmp" more than a day ago. Best effort. */
void cf_local_remove_leftovers(struct cf_local *local);

#endif
