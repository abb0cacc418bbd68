#ifndef CF_REPO_CHECK_PARTS_H
#define CF_REPO_CHECK_PARTS_H

/* The inside of the check (repo/check.h), for repo/check*.c only. */

#include "repo/audit.h"
#include "repo/check.h"
#include "repo/handle.h"
#include "repo/id_set.h"
#include "repo/quarantine.h"

struct cf_snapshot;
struct cf_verified;

/* A pack of the store. */
struct cf_checked_pack {
	struct cf_id name;
	uint64_t size;
	bool is_mislisted; /* a segment tells of it what its own table does not; known to repair only */
	bool is_indexed;  /* a segment covers it */
	bool is_reported; /* that none does, though a snapshot needs it */
	bool is_bad;	  /* it was damaged when it was last read */
	bool is_quarantined; /* and that was seen to: what is only in it is lost */
	bool is_quarantine_judged; /* it was read to see whether that is true */
	bool was_read;	  /* in this run */
	bool is_gone;	  /* since it was listed */
	bool is_doubtful; /* bases of its deltas could not be read, and the index was written anew meanwhile */
	bool is_baseless; /* bases of its deltas cannot be read, which was reported */
	int64_t read_ns;  /* when it was last read; 0: never */
	uint32_t draw;	  /* order among equals */
};

/* A snapshot that a record of forgetting names. */
struct cf_check_forgotten {
	struct cf_id id, record;
	bool is_done; /* it is gone, not only about to go */
};

/* A snapshot that was there when the record was made. */
struct cf_check_vouched {
	struct cf_id id, record;
};

struct cf_check_records {
	struct cf_check_forgotten *forgotten; /* by id, each once */
	size_t n_forgotten;
	struct cf_check_vouched *vouched;
	size_t n_vouched;
	struct cf_id *ids; /* the records, sorted */
	size_t n_ids;
};

struct cf_check {
	struct cf_repo *repo;
	cf_check_fn *fn;
	void *user;
	pthread_mutex_t lock; /* fn and figures */
	struct cf_check_figures figures;
	struct cf_checked_pack *packs; /* by name */
	size_t n_packs;
	struct cf_id_set visited; /* lists, directory blocks, single chunks that were looked at */
	struct cf_id_set lost; /* those of them that cannot be read, or what is in them */
	struct cf_id_set lost_packs; /* that something needs and that are not there */
	uint64_t n_lost_chunks; /* counted in the figures, and lost */
	struct cf_id *index_ids; /* the segments when the catalog was made, sorted */
	size_t n_index_ids;
	uint64_t n_gone, n_doubtful; /* packs */
	bool reads_doubtful; /* no other packs than those */
	struct cf_id_set said; /* findings, hashed: each is told once */
	const struct cf_id_set *recovered; /* NULL, or chunks that count as there */
	struct cf_quarantine quarantine;
	struct cf_id_set reported; /* snapshots reported as missing, and damaged records */
	struct cf_check_records records;
	struct cf_audit_anchors anchors; /* audit records that snapshots saw */
	struct cf_verified *verified;
	struct cf_catalog *usual_catalog;
	char *index_path;
};

/* A finding. Any thread. */
void cf_check_found(struct cf_check *check, const char *object, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Without the object's name, with which a message may begin. */
const char *cf_check_bare(const char *object, const char *problem);
/* Damage becomes a finding about the object, and 0; other results are passed through. */
int cf_check_judge(struct cf_check *check, const char *object, int rc, struct cf_err *err);

/* The pack of that name, or NULL. */
struct cf_checked_pack *cf_check_pack(struct cf_check *check, const struct cf_id *name);

/*
 * check_again.c: what looks like damage may be what a prune did meanwhile. It writes the index anew before it removes a pack, so
 * nothing is reported before the index was seen to be the one that the catalog was made of.
 */
/* Remember which segments there are, before the catalog is made of them. */
int cf_check_note_index(struct cf_check *check, struct cf_err *err);
/* 1: there are others now. */
int cf_check_is_outdated(struct cf_check *check, struct cf_err *err);
/* Which of the listed packs are in a segment, as the catalog has them. */
int cf_check_mark_indexed(struct cf_check *check, struct cf_err *err);
/* The catalog as the index is now; what was lost by the old one is to be looked at again. */
int cf_check_renew(struct cf_check *check, struct cf_err *err);

/* check_tree.c: every directory, list and chunk of a snapshot that was not seen before. 1: it is gone, and nothing was reported of it. */
int cf_check_tree(struct cf_check *check, const struct cf_snapshot *snapshot, struct cf_err *err);

/* check_keys.c: the key slots, and which were removed. */
int cf_check_keys(struct cf_check *check, struct cf_err *err);

/* check_history.c: the records of forgetting, read anew. */
int cf_check_records_load(struct cf_check *check, struct cf_err *err);
void cf_check_records_release(struct cf_check_records *records);
/* What a snapshot or the records know of that is neither among the n sorted ids nor forgotten; what is forgotten and there. */
void cf_check_history(struct cf_check *check, const struct cf_snapshot *snapshot, const struct cf_id *ids, size_t n);
/* Whether it replaces what it says, when that is among them. */
int cf_check_version(struct cf_check *check, const struct cf_snapshot *snapshot, const struct cf_id *ids, size_t n,
		     struct cf_err *err);
void cf_check_records(struct cf_check *check, const struct cf_id *ids, size_t n);
/* What earlier runs on this host saw, and is neither there nor forgotten; and what there is now, for later ones. */
int cf_check_seen(struct cf_check *check, const struct cf_id *ids, size_t n, struct cf_err *err);
/* A finding: the snapshot, which is not among the n sorted ids, is missing. Nothing when it was forgotten, or reported before. */
void cf_check_found_missing(struct cf_check *check, const struct cf_id *id, const struct cf_id *ids, size_t n, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* By the records that were loaded. */
bool cf_check_is_forgotten(const struct cf_check *check, const struct cf_id *id);
/* 1 when a snapshot that is gone since it was listed was forgotten, else 0, or an error. */
int cf_check_forgotten_since(struct cf_check *check, const struct cf_id *id, struct cf_err *err);

/* check_audit.c: the log of commands, once all snapshots were looked at. */
int cf_check_audit(struct cf_check *check, const struct cf_id *ids, size_t n, struct cf_err *err);
/* The snapshots that it says were stored, and that are neither among the n sorted ids nor forgotten. */
int cf_check_logged(struct cf_check *check, const struct cf_audit_log *log, const struct cf_id *ids, size_t n, struct cf_err *err);

/* check.c: the packs of the store, and which are in quarantine. */
int cf_check_list_packs(struct cf_check *check, struct cf_err *err);
/* Work with a catalog of its own, built anew, and go back to the usual one. */
int cf_check_swap_catalog(struct cf_check *check, struct cf_err *err);
void cf_check_swap_back(struct cf_check *check);
/* All but figures; locks included. */
void cf_check_release(struct cf_check *check);

/* check_packs.c: the bytes of packs. */
/* One pack: CF_ERR_DAMAGED, CF_ERR_NOT_FOUND when it is gone, or 0. */
int cf_check_read_pack(struct cf_check *check, struct cf_checked_pack *pack, struct cf_err *err);
int cf_check_packs(struct cf_check *check, const struct cf_check_options *options, struct cf_err *err);

/* check_verified.c: what earlier runs know of the listed packs; and at the end what is known now. */
int cf_check_verified_load(struct cf_check *check, struct cf_err *err);
void cf_check_coverage(struct cf_check *check);
/* The packs to read, in order. free() it. */
int cf_check_choose(struct cf_check *check, const struct cf_check_options *options,
		    struct cf_checked_pack ***packs_out, size_t *n_out, struct cf_err *err);

#endif
