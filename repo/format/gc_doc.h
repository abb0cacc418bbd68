#ifndef CF_REPO_FORMAT_GC_DOC_H
#define CF_REPO_FORMAT_GC_DOC_H

/*
 * The JSON documents by which backups and prune keep out of each other's way, inside their seals (docs/format.md, "Leases, intents
 * and tombs"; docs/design.md says how they work together).
 *
 * Decoders: CF_ERR_DAMAGED, CF_ERR_UNSUPPORTED for a newer version. Release what they give.
 */

#include "base/buf.h"
#include "base/id.h"

#include <stdbool.h>

struct cf_err;

#define CF_RUN_ID_LEN 16

/* A program at work in the repository. Number 0 of a run is its fence; others renew it. */
struct cf_lease_doc {
	uint8_t run[CF_RUN_ID_LEN];
	uint32_t number;
	bool is_prune;	 /* else a backup */
	bool is_ended;	 /* the run has ended, and the store did not let it remove its leases */
	int64_t time_ns; /* when this was written, by the run's own clock */
	char *host, *user, *source;
	struct cf_id *seen; /* tombs that the run knows */
	size_t n_seen;
};

int cf_lease_encode(const struct cf_lease_doc *lease, struct cf_buf *out, struct cf_err *err);
int cf_lease_decode(struct cf_span in, struct cf_lease_doc *lease_out, struct cf_err *err);
void cf_lease_doc_release(struct cf_lease_doc *lease);

/* What a backup is about to commit: the root of its tree. */
struct cf_intent_doc {
	uint8_t run[CF_RUN_ID_LEN];
	int64_t time_ns;
	struct cf_id root;
	uint64_t root_size;
	uint8_t root_level;
};

int cf_intent_encode(const struct cf_intent_doc *intent, struct cf_buf *out, struct cf_err *err);
int cf_intent_decode(struct cf_span in, struct cf_intent_doc *intent_out, struct cf_err *err);

/* Packs that are to be removed. */
struct cf_tomb_doc {
	int64_t time_ns;
	char *host, *user, *program;
	struct cf_id *packs; /* ascending */
	size_t n_packs;
};

int cf_tomb_encode(const struct cf_tomb_doc *tomb, struct cf_buf *out, struct cf_err *err);
int cf_tomb_decode(struct cf_span in, struct cf_tomb_doc *tomb_out, struct cf_err *err);
void cf_tomb_doc_release(struct cf_tomb_doc *tomb);

#endif
