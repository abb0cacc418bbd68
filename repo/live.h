#ifndef CF_REPO_LIVE_H
#define CF_REPO_LIVE_H

/*
 * What snapshots need: every chunk that is reached from their roots. Trees that were walked are not walked again.
 *
 * Ids of trees are remembered whole. Of data chunks, of which there are many, 8 bytes are: should two ids begin alike, what nobody
 * needs is taken for needed, never the reverse. 11 to 22 bytes a data chunk, 43 to 86 a tree chunk.
 */

#include "repo/content.h"
#include "repo/id_set.h"

struct cf_live {
	struct cf_id_set trees;	      /* walked for roots that are firm */
	struct cf_id_set loose_trees; /* and for others only: something below may have been passed over */
	uint64_t *data; /* open addressing; 0: empty. The lowest bits are flags */
	size_t data_mask, n_data;
	size_t n_unfound; /* data chunks that a snapshot needs and cf_live_note_found has not seen */
};

void cf_live_release(struct cf_live *live);

/*
 * Everything below a snapshot's root. is_firm: it has to be there. Else what cannot be read is passed over, and what is found counts.
 * CF_ERR_DAMAGED when a tree of a firm root cannot be read.
 */
int cf_live_add_root(struct cf_live *live, struct cf_repo *repo, const struct cf_content *root, bool is_firm,
		     struct cf_err *err);

bool cf_live_has(const struct cf_live *live, bool is_tree, const struct cf_id *id);
/* A data chunk that is needed has a copy somewhere. */
void cf_live_note_found(struct cf_live *live, const struct cf_id *id);

#endif
