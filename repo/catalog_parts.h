#ifndef CF_REPO_CATALOG_PARTS_H
#define CF_REPO_CATALOG_PARTS_H

/* The inside of the catalog (repo/catalog.h), for repo/catalog*.c only. Functions with _locked want its lock held. */

#include "repo/catalog.h"

#include "base/err.h"
#include "repo/handle.h"
#include "repo/id_set.h"
#include "repo/recent.h"

struct cf_catalog {
	struct cf_repo *repo;
	pthread_mutex_t lock;	      /* everything below */
	pthread_mutex_t publish_lock; /* one segment at a time; taken before lock */
	struct cf_index *index;
	struct cf_recent *recent;
	bool is_muted;
	bool is_surveyed;
	struct cf_id_set present;   /* packs in the store at the last survey, and those stored by this handle since */
	struct cf_id_set condemned; /* packs that are to be removed, at the last survey */
	struct cf_id_set damaged;   /* packs that are set aside, at the last survey, or were found damaged since */
	struct cf_id_set missing;   /* packs that readers did not find */
	struct cf_id found_bases[2]; /* since the last survey, the latest first: neighbours share them */
	bool synced;
	bool adopted_all; /* packs that no segment covers were listed for a reader, condemned ones too */
	bool searched; /* the index was built anew for a chunk it did not have */
};

/* The local index is a cache: without a place for its file it is made in memory, for this run. Says so, and clears err. */
void cf_catalog_note_memory(struct cf_catalog *catalog, struct cf_err *err);
/* Without role full the tables of packs stay shut but for own ones whose keys were kept. If none were, only index segments tell what is
 * there. */
bool cf_catalog_reads_packs(const struct cf_catalog *catalog);
/* What building the local index anew can help. */
bool cf_catalog_index_failed(int rc);

/* catalog_sync.c: the index as the repository has it, if that is due. */
int cf_catalog_sync_locked(struct cf_catalog *catalog, struct cf_err *err);
/* The local index failed: build it anew, so that the caller can ask again. why: how it failed. */
int cf_catalog_rebuild_locked(struct cf_catalog *catalog, int why, struct cf_err *err);
/* Packs that no segment lists; condemned_too: also those that are to be removed. */
int cf_catalog_adopt_locked(struct cf_catalog *catalog, bool condemned_too, struct cf_err *err);
/* A pack that is in the store and not in the index. */
int cf_catalog_add_pack_locked(struct cf_catalog *catalog, struct cf_segment_pack *pack, struct cf_err *err);

#endif
