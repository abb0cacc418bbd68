#ifndef CF_REPO_CATALOG_H
#define CF_REPO_CATALOG_H

/*
 * Which chunks the repository has, and where: the local index (repo/index.h), what this run adds (repo/recent.h), and
 * keeping both true to the repository. Any thread.
 *
 * The local index is synchronised from the index segments when first needed, and again after
 * cf_catalog_refresh(). When its file turns out damaged it is built anew. When a segment is missing or
 * damaged, the tables in the packs themselves serve instead.
 */

#include "repo/index.h"

struct cf_catalog;
struct cf_ctx;
struct cf_repo;

/* path: the SQLite file, NULL for memory. */
int cf_catalog_new(struct cf_repo *repo, const char *path, struct cf_catalog **catalog_out,
		   struct cf_err *err);
void cf_catalog_free(struct cf_catalog *catalog);

/* Snapshots were listed: index segments that came with them may be needed. */
void cf_catalog_refresh(struct cf_catalog *catalog);
/* Synchronise now, if it is due. */
int cf_catalog_sync(struct cf_catalog *catalog, struct cf_err *err);

/* 1 and its place, or 0. */
int cf_catalog_find(struct cf_catalog *catalog, const struct cf_id *id, struct cf_location *location_out,
		    struct cf_err *err);
/* For readers, who need the chunk: looks into packs that no segment covers before it says CF_ERR_DAMAGED. */
int cf_catalog_require(struct cf_catalog *catalog, const struct cf_id *id, struct cf_location *location_out,
		       struct cf_err *err);
int cf_catalog_find_similar(struct cf_catalog *catalog, const struct cf_sketch *sketch, struct cf_id *id_out,
			    struct cf_location *location_out, struct cf_err *err);

/* For writers. 1: the repository has the chunk, or somebody is storing it. 0: the caller must store it. */
int cf_catalog_claim(struct cf_catalog *catalog, const struct cf_id *id, struct cf_err *err);
/* A pack is durable in the store; takes *pack over on success. */
int cf_catalog_add_pack(struct cf_catalog *catalog, struct cf_segment_pack *pack, struct cf_err *err);

/* Store an index segment for the packs added since the last one, if they are many or when `all`. *stored_out: its bytes. */
int cf_catalog_publish(struct cf_catalog *catalog, bool all, uint64_t *stored_out, struct cf_err *err);

/* A backup begins or has ended well. After one that did not, begin adopts what it left. */
int cf_catalog_begin_run(struct cf_catalog *catalog, struct cf_err *err);
int cf_catalog_end_run(struct cf_catalog *catalog, struct cf_err *err);

/* Every chunk in the local index, under the catalog's lock: fn must not call the catalog. */
int cf_catalog_each(struct cf_catalog *catalog, cf_index_fn *fn, void *user, struct cf_err *err);

/* Read and decode one segment. Release it. */
int cf_segment_read(struct cf_repo *repo, const struct cf_id *id, struct cf_segment *segment_out,
		    struct cf_err *err);

#endif
