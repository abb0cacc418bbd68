#ifndef CF_REPO_RECENT_H
#define CF_REPO_RECENT_H

/*
 * What this run has stored, or is about to store, that no index segment covers yet: in memory, until the catalog publishes it.
 * Not thread-safe: the catalog locks.
 */

#include "repo/index.h"

struct cf_recent;

int cf_recent_new(struct cf_recent **recent_out, struct cf_err *err);
void cf_recent_free(struct cf_recent *recent);

/* 1: the id is here already. 0: it was not, and is now claimed by the caller, who must store it. */
int cf_recent_claim(struct cf_recent *recent, const struct cf_id *id, struct cf_err *err);
/* The copy that is here is of no use: it is forgotten, and the next to claim the id must store it. */
void cf_recent_disown(struct cf_recent *recent, const struct cf_id *id);

/* Those who claimed ids and have stored nothing yet are gone: the next to claim one must store it. */
void cf_recent_disown_claims(struct cf_recent *recent);

/* 1 and its place when it is in a finished pack; 0 when it is unknown or still being stored. */
int cf_recent_find(struct cf_recent *recent, const struct cf_id *id, struct cf_location *location_out);
int cf_recent_find_similar(struct cf_recent *recent, const struct cf_sketch *sketch, struct cf_id *id_out,
			   struct cf_location *location_out);
bool cf_recent_has_pack(const struct cf_recent *recent, const struct cf_id *name);

/* A finished pack; *pack is taken over (left empty) on success. */
int cf_recent_add_pack(struct cf_recent *recent, struct cf_segment_pack *pack, struct cf_err *err);

size_t cf_recent_packs(const struct cf_recent *recent);
size_t cf_recent_chunks(const struct cf_recent *recent);

/* The i-th oldest pack; its table stays where it is until dropped. */
const struct cf_segment_pack *cf_recent_pack(const struct cf_recent *recent, size_t i);

/* Forget the n oldest packs and their chunks: an index segment has them now. */
int cf_recent_drop(struct cf_recent *recent, size_t n, struct cf_err *err);

#endif
