#ifndef CF_FUSE_SHOTS_H
#define CF_FUSE_SHOTS_H

/*
 * The snapshots a mount shows, as they come and go. Any thread.
 */

#include "repo/snapshot.h"

#include <stdatomic.h>
#include <stdbool.h>

struct cf_ctx;
struct cf_err;
struct cf_repo;

/* A snapshot with its name in the mount, shared by who uses it. */
struct cf_shot {
	atomic_uint n_users;
	struct cf_snapshot *snapshot;
	char name[64]; /* "2026-11-23T22-31-07Z-1a2b3c4d": UTC, and the start of the id */
};

void cf_shot_release(struct cf_shot *shot);
struct cf_shot *cf_shot_share(struct cf_shot *shot);

/* One that is not in a list. Takes the snapshot over. */
int cf_shot_new(struct cf_snapshot *snapshot, struct cf_shot **shot_out, struct cf_err *err);

/* A list at one time, oldest first, shared by who uses it. */
struct cf_shot_list {
	atomic_uint n_users;
	struct cf_shot **items;
	size_t n;
};

void cf_shot_list_release(struct cf_shot_list *list);

struct cf_shots;

/* filter is borrowed until cf_shots_free(). */
int cf_shots_new(struct cf_repo *repo, const struct cf_snapshot_filter *filter, struct cf_shots **shots_out,
		 struct cf_err *err);
void cf_shots_free(struct cf_shots *shots);

/* The list, read anew when the last one is older than a few seconds. When that fails the last one serves on. Release it. */
int cf_shots_list(struct cf_shots *shots, struct cf_shot_list **list_out, struct cf_err *err);

#endif
