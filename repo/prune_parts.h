#ifndef CF_REPO_PRUNE_PARTS_H
#define CF_REPO_PRUNE_PARTS_H

/* The inside of prune (repo/prune.h), for repo/prune*.c only. */

#include "base/err.h"
#include "base/le.h"
#include "repo/catalog.h"
#include "repo/handle.h"
#include "repo/lease.h"
#include "repo/live.h"
#include "repo/packer.h"
#include "repo/prune.h"
#include "repo/tomb.h"

/* A pack of the store. */
struct cf_prune_pack {
	struct cf_id name;
	uint64_t size;
	uint64_t needed, unused; /* sealed bytes of its chunks: those that are needed and have their home here, and others */
	uint32_t n_needed;
	enum cf_object_type type;
	bool is_indexed;
	bool is_condemned; /* by a tomb that was there when this was looked at */
	bool is_damaged;   /* set aside by repair, which has copied what could be read, or known to this host as damaged */
	bool is_wanted;	   /* condemned, but the only place of something needed */
	bool is_young;	   /* stored since a backup that runs began */
	bool is_repacked;
	bool is_going;	   /* to be condemned or removed, by the step at work */
	bool is_kept_back; /* it was, see cf_prune_verify() */
	bool is_short;	   /* something needed has its home behind its end */
	bool has_trace;	   /* of a chunk that an earlier run made whole, to be the base of others: the delta it was before */
};

struct cf_prune {
	struct cf_repo *repo;
	const struct cf_prune_options *options;
	struct cf_prune_figures *figures;
	struct cf_prune_figures at_look; /* when the packs were listed */
	struct cf_lease *lease; /* NULL in a dry run */
	int64_t store_now_ns;
	bool may_not_remove; /* the store refused a removal */
	bool knows_none_missing; /* snapshots were all there when they were first listed */

	struct cf_runs runs;
	struct cf_tombs tombs;
	bool *is_ripe; /* of each tomb: its packs may be removed now */

	struct cf_live live;
	struct cf_id_set walked; /* snapshots and intents */
	struct cf_prune_pack *packs; /* by name */
	size_t n_packs, packs_capacity;
	struct cf_id_set bases; /* whole chunks that needed deltas are against */
	uint64_t bytes_in_old_bases; /* that moving their deltas to others would save: waste of another kind */
	struct cf_id_set good_bases; /* chunks that deltas are against and that have a whole copy in a good pack */
	struct cf_verified *verified;
	struct cf_id_set bad; /* packs that this run, or an earlier one or a check on this host, found damaged */
};

/* A run that was not heard of for so long does not hold anything up: it is shut out. It renews its lease every ten minutes. */
#define CF_PRUNE_STALE_NS (INT64_C(3600) * 1000000000)

bool cf_prune_can_remove(const struct cf_prune *p);
/* Since the store took an object, by its own clock. */
int64_t cf_prune_age(const struct cf_prune *p, int64_t stored_ns);

/* 0 instead of what a store said that lets nothing be removed: what is condemned then waits for somebody who may. */
int cf_prune_note_refusal(struct cf_prune *p, int rc, struct cf_err *err);

/* The bytes of waste that may stay. */
uint64_t cf_prune_unused_limit(const struct cf_prune *p);

/* Of a sealed blob the part that one of its chunks takes. */
static inline uint64_t cf_prune_share_of(const struct cf_location *copy)
{
	return copy->frame_len ? (uint64_t)copy->len * copy->raw_len / copy->frame_len : copy->len;
}

/* No snapshot has the base. */
static inline bool cf_prune_is_old_base(const struct cf_prune *p, const struct cf_id *base)
{
	return !cf_live_has(&p->live, false, base);
}

struct cf_prune_pack *cf_prune_find_pack(const struct cf_prune *p, const struct cf_id *name);

/* prune_look.c: walk the snapshots and intents, and plan. Intents are listed, then snapshots, then the index, then packs: what is handed
 * on in between is found in the later list. */
int cf_prune_look(struct cf_prune *p, struct cf_err *err);

/* prune_plan.c: what is needed, and where it is. The snapshots and intents are walked. Again: after more was stored. */
int cf_prune_plan(struct cf_prune *p, struct cf_err *err);

/* For each chunk that is needed, by a snapshot or as base: its copies, of which home is one, or NULL when it has none. Non-zero stops
 * and is returned. */
typedef int cf_prune_home_fn(void *user, const struct cf_id *id, const struct cf_location *home, const struct cf_location *copies,
			     size_t n);
int cf_prune_each_home(struct cf_prune *p, cf_prune_home_fn *fn, void *user, struct cf_err *err);
/* 1 and the home of one chunk, or 0. Any thread. */
int cf_prune_find_home(struct cf_prune *p, const struct cf_id *id, struct cf_location *home_out, struct cf_err *err);

/* prune_rebase.c: give deltas new bases where the old ones serve nothing else. Then the plan is made again. */
int cf_prune_rebase(struct cf_prune *p, struct cf_err *err);

/* prune_frame.c: chunks on their way into a new blob. Starts as {.type = ...}; free with cf_prune_frame_release(). */
struct cf_prune_frame {
	enum cf_object_type type;
	struct cf_buf plain;
	struct cf_table_chunk *chunks;
	size_t n, capacity;
};

/* Add a whole chunk, whose bytes were held against its id. */
int cf_prune_frame_add(struct cf_prune *p, struct cf_packer *packer, struct cf_prune_frame *frame,
		       const struct cf_table_chunk *chunk, struct cf_span plain, struct cf_coder_slot *slot, struct cf_err *err);
/* Store what is in it. */
int cf_prune_frame_store(struct cf_packer *packer, struct cf_prune_frame *frame, struct cf_coder_slot *slot, struct cf_err *err);
void cf_prune_frame_release(struct cf_prune_frame *frame);

/* prune_repack.c: copy what is needed out of packs with waste, and out of condemned ones that are wanted. Marks those. */
int cf_prune_repack(struct cf_prune *p, struct cf_err *err);

/* prune_verify.c: of the packs that are going, those stay of whose chunks a copy that is to stay cannot be read. Warns. */
int cf_prune_verify(struct cf_prune *p, struct cf_err *err);

/* prune_sweep.c: remove the packs of ripe tombs that are not wanted. */
int cf_prune_sweep(struct cf_prune *p, struct cf_err *err);

#endif
