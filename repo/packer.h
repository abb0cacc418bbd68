#ifndef CF_REPO_PACKER_H
#define CF_REPO_PACKER_H

/*
 * Seals blobs into packs and stores the packs. Any thread.
 *
 * A thread that adds a blob reserves its number in the open pack of its kind, seals outside the lock, and hands it in; whoever hands
 * in the last blob of a full pack shuffles, names and stores it. When put returns, the pack is in the catalog.
 */

#include "repo/codec.h"
#include "repo/format/seal.h"

struct cf_packer;
struct cf_repo;

struct cf_packer_options {
	uint64_t target_len; /* of a pack; 0: 32 MiB */
	bool dry_run;	     /* seal and count, store nothing */
};

int cf_packer_new(struct cf_repo *repo, const struct cf_packer_options *options,
		  struct cf_packer **packer_out, struct cf_err *err);

/* A blob of n_chunks chunks whose ids the caller claimed. parts: its plain text (see repo/codec.h). */
int cf_packer_add(struct cf_packer *packer, enum cf_object_type type, enum cf_codec codec,
		  const struct cf_span *parts, size_t n_parts, const struct cf_table_chunk *chunks,
		  size_t n_chunks, struct cf_err *err);

/* Store what is open. No add may be under way. */
int cf_packer_finish(struct cf_packer *packer, struct cf_err *err);

/* Bytes of all packs and segments stored so far. */
uint64_t cf_packer_stored(const struct cf_packer *packer);

void cf_packer_free(struct cf_packer *packer);

#endif
