#ifndef CF_REPO_PRUNE_H
#define CF_REPO_PRUNE_H

/*
 * Giving back the space of what no snapshot needs, while backups run and without a lock (docs/design.md, "Removing packs").
 *
 * One run does what is due of four things: it removes packs that an earlier run condemned, once the grace period is over and no
 * backup can still rely on them; it gives deltas new bases when nothing else needs the old ones; it copies what is needed out of packs
 * that are mostly waste; it condemns packs that nobody needs.
 * Killed at any point it leaves a whole repository, and the next run goes on.
 */

#include <stdbool.h>
#include <stdint.h>

struct cf_err;
struct cf_repo;

struct cf_prune_options {
	const char *host, *user;   /* who prunes; required */
	double max_unused_percent; /* of what is needed: waste that may stay; negative: as max_unused says */
	uint64_t max_unused;	   /* bytes */
	uint64_t max_repack;	   /* bytes of packs copied and of deltas stored anew in one run; 0: no limit */
	int64_t grace_ns;	   /* between condemning a pack and removing it, by the store's clock */
	bool reencrypt; /* copy what is needed out of packs of older data epochs, instead of those with waste */
	bool now;     /* nothing else works on the repository: remove at once. A backup that runs all the same fails */
	bool dry_run;
};

struct cf_prune_figures {
	uint64_t snapshots;
	uint64_t packs, bytes;			     /* in the store at first */
	uint64_t bytes_needed, bytes_unused;	     /* sealed bytes of needed chunks, and of others, in packs not condemned */
	uint64_t packs_removed, bytes_removed;	     /* now */
	uint64_t packs_condemned, bytes_condemned;   /* now, those copied from included */
	uint64_t packs_waiting, bytes_waiting;	     /* condemned, and not yet removed */
	uint64_t packs_repacked, bytes_repacked;     /* their needed chunks were copied */
	uint64_t chunks_rebased, bytes_rebased;	     /* deltas that got new bases, and what was stored anew for it, about */
	uint64_t packs_left, bytes_left;	     /* of older data epochs, past max_repack or too young */
	uint64_t bytes_written;			     /* packs and index segments */
	uint64_t packs_young;			     /* not needed, but stored since a backup that runs began */
	uint64_t packs_unknown;			     /* their tables cannot be read, and no index segment lists them */
	uint64_t packs_kept_back;		     /* unneeded, but the copies elsewhere are not what they are to be */
	uint64_t segments_removed;
	uint64_t runs_waited_for, runs_shut_out;
	int64_t next_ns; /* until the first of those that wait can be removed; 0: none waits, or a backup is waited for */
	bool cannot_remove; /* the store does not let anything be removed: nothing was */
};

/*
 * CF_ERR_DAMAGED: a snapshot is damaged or missing, or what some snapshot needs cannot be read, or is nowhere; nothing is removed then. CF_ERR_BUSY: another prune runs.
 * CF_ERR_KEY: the key in use cannot read. A dry run stores and removes nothing, and tells what would be.
 */
int cf_prune_run(struct cf_repo *repo, const struct cf_prune_options *options, struct cf_prune_figures *figures_out,
		 struct cf_err *err);

#endif
