#ifndef CF_REPO_SEGMENTS_H
#define CF_REPO_SEGMENTS_H

/* Index segments as objects: compressed and sealed. */

#include "repo/format/segment.h"

struct cf_err;
struct cf_repo;

/* CF_ERR_DAMAGED naming the object. Release it. */
int cf_segment_read(struct cf_repo *repo, const struct cf_id *id, struct cf_segment *segment_out, struct cf_err *err);

/* *stored_out: the size of the object. */
int cf_segment_put(struct cf_repo *repo, const struct cf_segment *segment, struct cf_id *id_out, uint64_t *stored_out,
		   struct cf_err *err);
/* The same, and read it back: for segments whose forerunners are removed. */
int cf_segment_put_verified(struct cf_repo *repo, const struct cf_segment *segment, struct cf_id *id_out,
			    uint64_t *stored_out, struct cf_err *err);

#endif
