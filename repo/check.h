#ifndef CF_REPO_CHECK_H
#define CF_REPO_CHECK_H

/*
 * Is everything there, and is it what it was? Always: config, key slots, index segments, snapshots with
 * their history, the log of commands, every directory, that every chunk is indexed in a pack of the right size. When
 * asked: the bytes of packs, every blob decoded and its ids compared.
 *
 * When each pack was read, and whether it was good, is remembered on this host (repo/verified.h). Packs found damaged are
 * read first, then those not read for longest, at random among equals: so partial checks get around to all.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cf_err;
struct cf_id;
struct cf_repo;
struct cf_snapshot;
struct cf_snapshot_list;

struct cf_check_options {
	/* What is read at most; all 0: nothing, and those that are 0 set no limit. One pack is read at least. */
	double read_percent;	 /* of the packs */
	uint64_t read_bytes;	 /* of packs */
	int64_t max_duration_ns; /* of reading packs; those under way then are finished */
	bool reads_bad; /* those that were damaged when they were last read, all of them, whatever the limits */
};

/* The ages, in days, of which cf_check_coverage tells. */
#define CF_CHECK_AGES 5
extern const unsigned cf_check_ages[CF_CHECK_AGES];

/* How much of the packs in the store this host has read, now or before, and found good. */
struct cf_check_coverage {
	uint64_t bytes;	     /* of all packs */
	uint64_t bytes_good; /* of those read and found good */
	uint64_t bytes_within[CF_CHECK_AGES]; /* of those read that lately and found good */
	int64_t oldest_ns;   /* the longest ago that one of them was read; 0: none was */
	uint64_t bad_packs;  /* damaged when they were last read */
};

struct cf_check_figures {
	uint64_t snapshots, segments, packs, packs_read, bytes_read, chunks, unreferenced_packs, audit_records,
		errors;
	uint64_t quarantined_packs; /* damaged, and seen to by a repair: not counted as errors */
	uint64_t orphaned_deltas; /* deltas that no snapshot needs and whose bases are gone: no damage */
	struct cf_check_coverage coverage;
};

/* One finding: object is "packs/..", "snapshots/..", "<snapshot>:path"; called from any thread, one at a time. */
typedef void cf_check_fn(void *user, const char *object, const char *problem);

/* 0 when nothing is wrong, CF_ERR_DAMAGED when there were findings, another code when the check could not be done. */
int cf_check_run(struct cf_repo *repo, const struct cf_check_options *options, cf_check_fn *fn, void *user,
		 struct cf_check_figures *figures_out, struct cf_err *err);

/* How much of the audit log is asked for missing snapshots: each record is an object to read. */
enum cf_check_log {
	CF_CHECK_LOG_ALL = 0,
	CF_CHECK_LOG_LAST,  /* all, but only if nothing else knows of one */
	CF_CHECK_LOG_NEWEST /* its newest records */
};

struct cf_check_missing_options {
	enum cf_check_log log;
	const struct cf_snapshot_list *known; /* need not be read again; NULL: none */
	const struct cf_id *listed; /* the objects as they were listed before that, sorted; NULL: they are listed now */
	size_t n_listed;
};

/*
 * The snapshots that are missing: later ones, records of forgetting, the audit log or this host know of them, and no record says that they
 * were forgotten, up to the end of the call. Sorted; free() it.
 */
int cf_check_missing(struct cf_repo *repo, const struct cf_check_missing_options *options, struct cf_id **ids_out, size_t *n_out,
		     struct cf_err *err);

/*
 * Only what no repair mends (repo/repair.h): key slots that are damaged or were removed and are back, snapshots that are missing or
 * forged, damaged records, gaps in the audit log. 0 also when there are findings.
 */
int cf_check_unmended(struct cf_repo *repo, cf_check_fn *fn, void *user, struct cf_err *err);

/* Of one snapshot only: every directory, and that every chunk is indexed in a pack that is there. */
int cf_check_snapshot(struct cf_repo *repo, const struct cf_snapshot *snapshot, cf_check_fn *fn, void *user,
		      struct cf_check_figures *figures_out, struct cf_err *err);

#endif
