#ifndef CF_REPO_LEASE_H
#define CF_REPO_LEASE_H

/*
 * Leases: that a backup or a prune is at work, so that prune waits for it or shuts it out; no lock.
 *
 * The first object of a run is its fence. Whoever wants to remove what the run may rely on either waits until the run has ended or
 * removes the fence. A backup stores what it is about to commit (its intent) and then looks for its fence; prune removes the fence
 * and then looks for intents. So one of them sees the other, however long either of them takes (docs/design.md, "Removing packs").
 *
 * Where a store does not let objects be removed, leases and intents stay, with a lease that says that the run has ended, until a prune
 * may remove them.
 */

#include "repo/format/gc_doc.h"
#include "repo/tomb.h"

struct cf_content;
struct cf_lease;
struct cf_repo;

struct cf_lease_options {
	const char *host, *user, *source; /* source: "" for a prune */
	bool is_prune;
};

/* Store the fence of a new run. */
int cf_lease_begin(struct cf_repo *repo, const struct cf_lease_options *options, struct cf_lease **lease_out,
		   struct cf_err *err);
/* The run passes over the packs of these tombs from its start: their removal need not wait for it. */
int cf_lease_note_tombs(struct cf_lease *lease, const struct cf_tombs *tombs, struct cf_err *err);
/* Call now and then, from any thread: renews the lease every ten minutes. A failure is tried again, and tells nobody. */
void cf_lease_renew(struct cf_lease *lease);

/*
 * Store what is about to be committed, and look for the fence. 0: commit. CF_ERR_BUSY: a prune has given this run up, and packs
 * that it relies on may be gone.
 */
int cf_lease_declare(struct cf_lease *lease, const struct cf_content *root, struct cf_err *err);

const struct cf_id *cf_lease_fence(const struct cf_lease *lease);

/* The run has ended, one way or the other: remove what it stored here, the fence last, or say so in the store. Frees. NULL is harmless. */
void cf_lease_end(struct cf_lease *lease);

/* A run with all that its objects say. */
struct cf_run {
	uint8_t id[CF_RUN_ID_LEN];
	bool is_prune;
	char *host, *user, *source;
	int64_t begun_ns;   /* its own clock */
	int64_t heard_ns;   /* when its newest object was stored, by the store's clock */
	bool is_ended;	    /* it said so: neither waited for nor shut out */
	bool has_fence;
	struct cf_id fence;
	struct cf_id *objects; /* all of its leases */
	size_t n_objects;
	struct cf_id_set seen;
};

struct cf_runs {
	struct cf_run *items;
	size_t n;
};

/* All there are. A lease that cannot be read is a run of its own that knows no tombs, and a warning. */
int cf_runs_load(struct cf_repo *repo, struct cf_runs *runs_out, struct cf_err *err);
void cf_runs_release(struct cf_runs *runs);
bool cf_lease_is_of(const struct cf_lease *lease, const struct cf_run *run);

/* Remove the fence, then the other leases of a run. */
int cf_run_shut_out(struct cf_repo *repo, const struct cf_run *run, struct cf_err *err);

struct cf_intent {
	struct cf_id id;
	struct cf_intent_doc doc;
};

/* All intents; free() them. One that cannot be read is CF_ERR_DAMAGED. */
int cf_intents_load(struct cf_repo *repo, struct cf_intent **intents_out, size_t *n_out, struct cf_err *err);

#endif
