#ifndef CF_REPO_REPAIR_H
#define CF_REPO_REPAIR_H

/*
 * Making the best of a damaged repository. Nothing is removed but segments that lie; what is intact is stored again, in this order:
 *
 * 1. index: a segment for packs that no readable segment lists, from their own tables; then one that supersedes segments that
 *    cannot be read or name packs that are gone. When packs are read, segments are held against their tables first;
 * 2. packs: of those found damaged, every blob that is intact goes into new packs;
 * 3. quarantine: a record sets the damaged packs aside (repo/quarantine.h), so that later backups store again what was lost with
 *    them; and the snapshots that cannot be read;
 * 4. what cannot be restored any more is named, file by file. Snapshots stay as they are: the same chunks, backed up again, heal
 *    them.
 *
 * Interrupted anywhere, the repository is no worse, and the next repair goes on.
 */

#include <stdbool.h>
#include <stdint.h>

struct cf_err;
struct cf_repo;

struct cf_repair_options {
	bool is_dry_run; /* say what would be done */
	/* Read is what an earlier check on this host found damaged, or is of a wrong size; and of the rest so much (repo/check.h). */
	double read_percent;
	uint64_t read_bytes;
	const char *host, *user; /* who repairs, for the record; required unless it is a dry run */
};

enum cf_repair_kind {
	CF_REPAIR_DAMAGE, /* what is wrong with an object */
	CF_REPAIR_STEP,	  /* what is done about it, or would be */
	CF_REPAIR_LOST,	  /* "<snapshot>:path" and why it cannot be restored */
	CF_REPAIR_UNMENDED /* an object, and what is wrong with it, which no repair mends */
};

/* From any thread, one at a time. */
typedef void cf_repair_fn(void *user, enum cf_repair_kind kind, const char *object, const char *text);

struct cf_repair_figures {
	uint64_t segments_superseded;
	uint64_t packs_indexed;	    /* that no readable segment listed */
	uint64_t packs_read;	    /* to find damage */
	uint64_t packs_missing;	    /* that the index lists */
	uint64_t packs_quarantined; /* now */
	uint64_t packs_released;    /* that were, and are good again */
	uint64_t chunks_saved;	    /* out of those quarantined now */
	uint64_t chunks_lost;	    /* that were in those, and are nowhere else */
	uint64_t snapshots_quarantined; /* now */
	uint64_t snapshots_lost;	/* that cannot be read: named as lost until they are forgotten */
	uint64_t lost; /* files and folders, of all snapshots, that cannot be restored whole */
	uint64_t unmended; /* other findings of a check: a missing snapshot, a hole in the audit log, a key slot */
};

/* 0 also when something is lost or was not mended: the figures tell. */
int cf_repair_run(struct cf_repo *repo, const struct cf_repair_options *options, cf_repair_fn *fn, void *user,
		  struct cf_repair_figures *figures_out, struct cf_err *err);

#endif
