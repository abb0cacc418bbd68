#ifndef CF_FUSE_MOUNT_H
#define CF_FUSE_MOUNT_H

/*
 * Show snapshots as a read-only file system (fuse/views.h tells which folders), until it is unmounted or a
 * signal (INT, TERM, HUP) comes. Damage met while it serves is EIO for whoever reads that part, and a warning
 * ("mount.failed") that names it.
 */

#include "repo/snapshot.h"

#include <stdbool.h>

struct cf_ctx;
struct cf_err;
struct cf_repo;

struct cf_mount_options {
	const struct cf_snapshot_filter *filter; /* which snapshots; NULL: all */
	struct cf_snapshot *snapshot;		 /* NULL, or the one whose root is the mount's root */
	bool allow_other;			 /* other users may read, as far as the stored modes let them */
	size_t cache_len;			 /* bytes of decoded content kept; 0: 128 MiB */
	unsigned n_threads;			 /* that decode ahead; 0: one per processor */
	/* NULL, or called once it is mounted, before the first request is served. */
	void (*mounted)(void *user);
	void *user;
};

/* Whether this user could mount at all. CF_ERR_UNSUPPORTED, and what is missing. */
int cf_mount_available(struct cf_err *err);

/* A folder that is there and empty, and a kernel with FUSE. A dead mount of ours that is in the way is taken off.
 * CF_ERR_NOT_FOUND, CF_ERR_EXISTS, CF_ERR_ACCESS, CF_ERR_UNSUPPORTED. */
int cf_mount_check(const char *folder, struct cf_err *err);

/* 0 after it was unmounted. options->snapshot is taken over. */
int cf_mount_run(struct cf_repo *repo, const char *folder, const struct cf_mount_options *options,
		 const struct cf_ctx *ctx, struct cf_err *err);

/* Take a mount of ours off. CF_ERR_NOT_FOUND: none is there. CF_ERR_BUSY: somebody uses it. */
int cf_mount_end(const char *folder, bool lazy, struct cf_err *err);

#endif
