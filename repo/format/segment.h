#ifndef CF_REPO_FORMAT_SEGMENT_H
#define CF_REPO_FORMAT_SEGMENT_H

/*
 * An index segment: which packs there are and what is in them (docs/format.md, "Index segment").
 *
 *   u8 version (1), u32 number of superseded segments and their ids, u32 number of packs, then per pack
 *     name, u64 size, u8 type (as in its header), pack table
 */

#include "repo/format/pack_table.h"
#include "repo/format/seal.h"

struct cf_segment_pack {
	struct cf_id name;
	uint64_t size;
	enum cf_object_type type;
	struct cf_pack_table table;
};

struct cf_segment {
	struct cf_id *supersedes;
	size_t n_supersedes;
	struct cf_segment_pack *packs;
	size_t n_packs;
};

int cf_segment_encode(const struct cf_segment *segment, struct cf_buf *out, struct cf_err *err);
/* CF_ERR_DAMAGED. Release the segment. */
int cf_segment_decode(struct cf_span in, struct cf_segment *segment_out, struct cf_err *err);
void cf_segment_release(struct cf_segment *segment);

#endif
