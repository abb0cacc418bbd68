#ifndef CF_REPO_FORGET_H
#define CF_REPO_FORGET_H

/*
 * Removing snapshots. Their data stays in the packs.
 *
 * A record names what goes before anything goes, and another one is stored when all of it is gone (docs/format.md, "Records of
 * forgetting"): so the check tells a forgotten snapshot from one that vanished or was put back. No lock is taken: a backup whose parent
 * is forgotten goes on, for it needs only what is in packs.
 */

#include "repo/format/forget_doc.h"

struct cf_repo;
struct cf_snapshot;

struct cf_forget_options {
	const char *host, *user; /* who forgets, for the record; required */
};

struct cf_forget_figures {
	uint64_t snapshots; /* that are gone */
	uint64_t objects;   /* these, and the older versions that they replaced */
};

/*
 * Remove these snapshots for good, oldest first, each with the older versions of it first: whenever this is interrupted, what is left is
 * a list of whole snapshots, and none that had been replaced comes back. Call it again to go on.
 *
 * One that is missing (repo/check.h) is recorded as forgotten, so that nothing misses it any more.
 *
 * CF_ERR_BUSY: one of them is held, or was changed or forgotten since. CF_ERR_DAMAGED: a snapshot that cannot be read may be a newer
 * version of one of them. It can be forgotten itself, alone or with others that cannot be read. CF_ERR_ACCESS, CF_ERR_UNSUPPORTED: the
 * store does not delete. Of all these nothing is removed, but by an ACCESS from the store halfway.
 */
int cf_forget_run(struct cf_repo *repo, const struct cf_id *ids, size_t n, const struct cf_forget_options *options,
		  struct cf_forget_figures *figures_out, struct cf_err *err);

/*
 * Take the hold off a snapshot: a version without it takes its place, and the versions before, which would still hold it, are forgotten.
 * So nobody who may only write lifts a hold. The same errors.
 */
int cf_forget_hold(struct cf_repo *repo, const struct cf_snapshot *snapshot, const struct cf_forget_options *options,
		   struct cf_id *new_id_out, struct cf_err *err);

/* A record by its id. CF_ERR_DAMAGED naming the object. */
int cf_forget_record_load(struct cf_repo *repo, const struct cf_id *id, struct cf_forget_record *record_out,
			  struct cf_err *err);

#endif
