#ifndef CF_REPO_CHECK_H
#define CF_REPO_CHECK_H

/*
 * Is everything there, and is it what it was? Always: config, key slots, index segments, snapshots with
 * their history, the log of commands, every directory, that every chunk is indexed in a pack of the right size. With read_percent: the
 * bytes of that share of the packs, every blob decoded and its ids compared.
 */

#include <stdint.h>

struct cf_err;
struct cf_repo;
struct cf_snapshot;

struct cf_check_options {
	double read_percent; /* 0 .. 100: packs whose data is read, chosen at random */
};

struct cf_check_figures {
	uint64_t snapshots, segments, packs, packs_read, bytes_read, chunks, unreferenced_packs, audit_records,
		errors;
};

/* One finding: object is "packs/..", "snapshots/..", "<snapshot>:path"; called from any thread, one at a time. */
typedef void cf_check_fn(void *user, const char *object, const char *problem);

/* 0 when nothing is wrong, CF_ERR_DAMAGED when there were findings, another code when the check could not be done. */
int cf_check_run(struct cf_repo *repo, const struct cf_check_options *options, cf_check_fn *fn, void *user,
		 struct cf_check_figures *figures_out, struct cf_err *err);

/* Of one snapshot only: every directory, and that every chunk is indexed in a pack that is there. */
int cf_check_snapshot(struct cf_repo *repo, const struct cf_snapshot *snapshot, cf_check_fn *fn, void *user,
		      struct cf_check_figures *figures_out, struct cf_err *err);

#endif
