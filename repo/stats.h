#ifndef CF_REPO_STATS_H
#define CF_REPO_STATS_H

#include <stdint.h>

struct cf_err;
struct cf_repo;

struct cf_stats {
	uint64_t snapshots;
	uint64_t snapshot_bytes; /* sum of bytes_total: what all the fulls would take as they are */
	uint64_t packs, pack_bytes, index_objects, index_bytes, snapshot_objects_bytes;
	uint64_t stored_bytes;                      /* everything in the store */
	uint64_t chunks, chunk_bytes;               /* distinct chunks and their plain bytes */
	uint64_t delta_chunks, delta_bytes_plain, delta_bytes_stored;
};

int cf_stats_collect(struct cf_repo *repo, struct cf_stats *stats_out, struct cf_err *err);

#endif
