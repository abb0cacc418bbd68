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
struct cf_tombs;

/* path: the SQLite file, NULL for memory. */
int cf_catalog_new(struct cf_repo *repo, const char *path, struct cf_catalog **catalog_out,
		   struct cf_err *err);
void cf_catalog_free(struct cf_catalog *catalog);

/* No warnings of damaged segments: the caller looks at them itself. */
void cf_catalog_mute(struct cf_catalog *catalog);

/* Snapshots were listed: index segments that came with them may be needed. */
void cf_catalog_refresh(struct cf_catalog *catalog);
/* Forget what the local index has: it is built anew when next asked. */
int cf_catalog_reset(struct cf_catalog *catalog, struct cf_err *err);
/* Synchronise now, if it is due. */
int cf_catalog_sync(struct cf_catalog *catalog, struct cf_err *err);

/* The copy of the highest rank, as cf_index_find(). rank is called under the catalog's lock and must not call it. */
int cf_catalog_find_ranked(struct cf_catalog *catalog, const struct cf_id *id, cf_index_rank_fn *rank, const void *user,
			   struct cf_location *location_out, struct cf_err *err);
/*
 * 1 and its place, or 0. Of several copies one in a pack that will stay, whole before delta. While a backup runs, only what
 * it may rely on: see cf_catalog_survey().
 */
int cf_catalog_find(struct cf_catalog *catalog, const struct cf_id *id, struct cf_location *location_out,
		    struct cf_err *err);
/* The same, but also in a pack that is to be removed and is still there: what only those have prune copies first. */
int cf_catalog_find_readable(struct cf_catalog *catalog, const struct cf_id *id, struct cf_location *location_out,
			     struct cf_err *err);
/* The same for a chunk that may be a delta, together with its bases. */
int cf_catalog_find_complete(struct cf_catalog *catalog, const struct cf_id *id, struct cf_location *location_out,
			     struct cf_err *err);
/* For readers, who need the chunk: looks into packs that no segment covers before it says CF_ERR_DAMAGED, and takes it from wherever
 * it is, a delta with its bases before one that lacks them. as_base: a whole copy if there is any. */
int cf_catalog_require(struct cf_catalog *catalog, const struct cf_id *id, bool as_base, struct cf_location *location_out,
		       struct cf_err *err);
/* No copy that is known could be read: look, once, into packs that no segment covers. */
int cf_catalog_search(struct cf_catalog *catalog, struct cf_err *err);
/* A reader could not read from this pack, or did not find it: other copies come first from now on. 1: and it was not known. */
int cf_catalog_note_missing(struct cf_catalog *catalog, const struct cf_id *pack, struct cf_err *err);
int cf_catalog_find_similar(struct cf_catalog *catalog, const struct cf_sketch *sketch, struct cf_id *id_out,
			    struct cf_location *location_out, struct cf_err *err);

/*
 * For writers. 1: the repository has the chunk, or somebody is storing it. 0: the caller must store it. A tree that the host has
 * to read again next time and cannot (repo/pack_keys.h) is one that the repository lacks.
 */
int cf_catalog_claim(struct cf_catalog *catalog, const struct cf_id *id, struct cf_err *err);
/* A writer ended: what it claimed and did not store is nobody's. */
void cf_catalog_drop_claims(struct cf_catalog *catalog);
/* A pack is durable in the store; takes *pack over on success. */
int cf_catalog_add_pack(struct cf_catalog *catalog, struct cf_segment_pack *pack, struct cf_err *err);

/* Store an index segment for the packs added since the last one, if they are many or when `all`. *stored_out: its bytes. */
int cf_catalog_publish(struct cf_catalog *catalog, bool all, uint64_t *stored_out, struct cf_err *err);

/*
 * Look what may be relied on: chunks in packs that are in the store, in none of the tombs, which were loaded before, and not in
 * quarantine. From now on find and claim pass over others. Packs that are added later count as well.
 */
int cf_catalog_survey(struct cf_catalog *catalog, const struct cf_tombs *tombs, struct cf_err *err);

/* This pack is damaged: it may be relied on no more than one that is to be removed. */
int cf_catalog_note_damaged(struct cf_catalog *catalog, const struct cf_id *pack, struct cf_err *err);
/* Take up the packs that no segment lists. They are in the next segment that is published. condemned_too: who removes packs must know
 * what is in them. */
int cf_catalog_adopt(struct cf_catalog *catalog, bool condemned_too, struct cf_err *err);

/* A backup begins or has ended well. Begin surveys, and after one that did not end well adopts what it left. */
int cf_catalog_begin_run(struct cf_catalog *catalog, const struct cf_tombs *tombs, struct cf_err *err);
int cf_catalog_end_run(struct cf_catalog *catalog, struct cf_err *err);

/* 1 when an index segment lists this pack, else 0. */
int cf_catalog_lists(struct cf_catalog *catalog, const struct cf_id *pack, struct cf_err *err);

/* Every chunk in the local index, under the catalog's lock: fn must not call the catalog. */
int cf_catalog_each(struct cf_catalog *catalog, cf_index_fn *fn, void *user, struct cf_err *err);

#endif
