#ifndef CF_REPO_REPAIR_PARTS_H
#define CF_REPO_REPAIR_PARTS_H

/* The inside of the repair (repo/repair.h), for repo/repair*.c only. */

#include "repo/check_parts.h"
#include "repo/repair.h"

struct cf_segment;

/* A segment that is there. */
struct cf_repaired_segment {
	struct cf_id id;
	bool is_unreadable;
	bool is_superseded; /* by a readable one */
	bool lists_missing; /* names packs that are gone */
	bool has_wrong_tables; /* of packs that say otherwise themselves */
};

struct cf_repair {
	struct cf_repo *repo;
	const struct cf_repair_options *options;
	cf_repair_fn *fn;
	void *user;
	struct cf_check check; /* lists the packs, reads them, and walks the snapshots */
	struct cf_repair_figures figures;
	struct cf_repaired_segment *segments;
	size_t n_segments;
	struct cf_id_set missing; /* packs that segments name and that are gone */
	uint32_t *segment_of; /* of each listed pack: 1 and the segment that lists it; 0: none does */
	char **why; /* of each listed pack: what is wrong with it */
	struct cf_id_set recovered; /* chunks that a dry run finds intact in damaged packs */
};

/* One of two texts: what was done, and what would be. */
static inline const char *cf_repair_tense(const struct cf_repair *repair, const char *done, const char *to_do)
{
	return repair->options->is_dry_run ? to_do : done;
}

void cf_repair_say(struct cf_repair *repair, enum cf_repair_kind kind, const char *object, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* repair_index.c: what segments there are and what they list. */
int cf_repair_survey_index(struct cf_repair *repair, const struct cf_id *ids, size_t n, struct cf_err *err);
/*
 * Segments that tell of packs what these do not are replaced by one with the packs' own tables, and removed: a local index that took them up
 * keeps what they say. Before the catalog is built; in a dry run the catalog is told afterwards, by cf_repair_take_own_tables().
 */
int cf_repair_tables(struct cf_repair *repair, struct cf_err *err);
int cf_repair_take_own_tables(struct cf_repair *repair, struct cf_err *err);
/* The packs in the catalog that no segment lists are published; segments that are of no use are superseded. */
int cf_repair_index(struct cf_repair *repair, struct cf_err *err);

/* repair_packs.c: packs marked as bad, condemned in the catalog. Their intact blobs go into new packs, or into `recovered`. */
int cf_repair_salvage(struct cf_repair *repair, struct cf_err *err);

#endif
