#include "repo/repair_parts.h"

#include "base/err.h"
#include "repo/catalog.h"
#include "repo/object.h"
#include "repo/pack_reader.h"
#include "repo/segments.h"

#include <stdlib.h>

/* The index segments: which are of use, which packs they leave out, and one that takes the place of those that are not. */

/* 1 when the table in a segment is not that of the pack. One that cannot be read is not known: reading the pack tells. */
static int is_mislisted(struct cf_repair *repair, const struct cf_segment_pack *listed, uint64_t size, struct cf_err *err)
{
	struct cf_buf a = CF_BUF_INIT, b = CF_BUF_INIT;
	struct cf_segment_pack own = {0};
	int rc = cf_pack_read_table(repair->repo, &listed->name, size, &own, err);

	if (rc == CF_ERR_DAMAGED || rc == CF_ERR_NOT_FOUND) {
		cf_err_clear(err);
		return 0;
	}
	if (rc == 0)
		rc = cf_pack_table_encode(&listed->table, &a, err);
	if (rc == 0)
		rc = cf_pack_table_encode(&own.table, &b, err);
	if (rc == 0)
		rc = a.len != b.len || memcmp(a.data, b.data, a.len) != 0 || listed->type != own.type;
	cf_pack_table_release(&own.table);
	cf_buf_release(&a);
	cf_buf_release(&b);
	return rc;
}

static int note_packs(struct cf_repair *repair, size_t i, const struct cf_segment *segment, struct cf_err *err)
{
	bool reads = repair->options->read_percent > 0 || repair->options->read_bytes;
	struct cf_check *check = &repair->check;
	int rc = 0;

	for (size_t k = 0; rc >= 0 && k < segment->n_packs; k++) {
		struct cf_checked_pack *pack = cf_check_pack(check, &segment->packs[k].name);

		if (!pack) {
			repair->segments[i].lists_missing = true;
			rc = cf_id_set_add(&repair->missing, &segment->packs[k].name) < 0 ? cf_err_nomem(err) : 0;
			continue;
		}
		pack->is_indexed = true;
		repair->segment_of[pack - check->packs] = (uint32_t)i + 1;
		/* Whichever of the two is wrong: reading it tells. */
		if (pack->size != segment->packs[k].size)
			pack->is_bad = true;
		rc = reads ? is_mislisted(repair, &segment->packs[k], pack->size, err) : 0;
		pack->is_mislisted |= rc == 1;
		repair->segments[i].has_wrong_tables |= rc == 1;
	}
	return rc < 0 ? rc : 0;
}

static struct cf_repaired_segment *find_segment(struct cf_repair *repair, const struct cf_id *id)
{
	for (size_t i = 0; i < repair->n_segments; i++)
		if (cf_id_equal(&repair->segments[i].id, id))
			return &repair->segments[i];
	return NULL;
}

/* What a segment supersedes does not count, whichever of the two was read first. */
static int read_segment(struct cf_repair *repair, size_t i, struct cf_segment *segment, struct cf_err *err)
{
	struct cf_repaired_segment *s = &repair->segments[i];
	int rc = cf_segment_read(repair->repo, &s->id, segment, err);

	if (rc == CF_ERR_NOT_FOUND) { /* superseded since it was listed */
		cf_err_clear(err);
		s->is_superseded = true;
		return 0;
	}
	if (rc == CF_ERR_DAMAGED || rc == CF_ERR_UNSUPPORTED) {
		s->is_unreadable = true;
		cf_err_clear(err);
		return 0;
	}
	for (size_t k = 0; rc == 0 && k < segment->n_supersedes; k++) {
		struct cf_repaired_segment *old = find_segment(repair, &segment->supersedes[k]);

		if (old)
			old->is_superseded = true;
	}
	return rc;
}

int cf_repair_survey_index(struct cf_repair *repair, const struct cf_id *ids, size_t n, struct cf_err *err)
{
	int rc = 0;

	repair->segments = calloc(n + 1, sizeof(*repair->segments));
	repair->segment_of = calloc(repair->check.n_packs + 1, sizeof(*repair->segment_of));
	if (!repair->segments || !repair->segment_of)
		return cf_err_nomem(err);
	repair->n_segments = n;
	for (size_t i = 0; i < n; i++)
		repair->segments[i].id = ids[i];
	/* Twice: which are superseded must be known before their packs are looked at. */
	for (size_t i = 0; rc == 0 && i < 2 * n; i++) {
		struct cf_repaired_segment *s = &repair->segments[i % n];
		struct cf_segment segment = {0};

		if (i >= n && (s->is_superseded || s->is_unreadable))
			continue;
		rc = read_segment(repair, i % n, &segment, err);
		if (rc == 0 && i >= n)
			rc = note_packs(repair, i % n, &segment, err);
		cf_segment_release(&segment);
		if (rc == 0)
			rc = cf_ctx_check(repair->repo->ctx, err);
	}
	return rc;
}

static bool is_useless(const struct cf_repaired_segment *s)
{
	return !s->is_superseded && (s->is_unreadable || s->lists_missing);
}

/* Instead of what a segment says of the pack. */
static int take_own_table(struct cf_repair *repair, struct cf_segment_pack *listed, struct cf_err *err)
{
	const struct cf_checked_pack *pack = cf_check_pack(&repair->check, &listed->name);
	struct cf_segment_pack own = {0};
	int rc;

	if (!pack || !pack->is_mislisted)
		return 0;
	rc = cf_pack_read_table(repair->repo, &listed->name, pack->size, &own, err);
	if (rc < 0)
		return rc;
	cf_pack_table_release(&listed->table);
	*listed = own;
	return 0;
}

/* The packs of one segment that are still there move over. */
static int take_packs(struct cf_repair *repair, const struct cf_id *id, struct cf_segment *into, struct cf_err *err)
{
	struct cf_segment segment = {0};
	struct cf_segment_pack *packs;
	int rc = cf_segment_read(repair->repo, id, &segment, err);

	if (rc == CF_ERR_NOT_FOUND) { /* superseded meanwhile */
		cf_err_clear(err);
		return 0;
	}
	if (rc < 0)
		return rc;
	packs = realloc(into->packs, (into->n_packs + segment.n_packs + 1) * sizeof(*packs));
	if (packs)
		into->packs = packs;
	else
		rc = cf_err_nomem(err);
	for (size_t i = 0; rc == 0 && i < segment.n_packs; i++) {
		if (cf_id_set_has(&repair->missing, &segment.packs[i].name))
			continue;
		into->packs[into->n_packs++] = segment.packs[i];
		segment.packs[i].table = (struct cf_pack_table){0};
		rc = take_own_table(repair, &into->packs[into->n_packs - 1], err);
	}
	cf_segment_release(&segment);
	return rc;
}

static bool is_wrong(const struct cf_repaired_segment *s)
{
	return !s->is_superseded && s->has_wrong_tables;
}

static int make_successor(struct cf_repair *repair, bool (*is_to_go)(const struct cf_repaired_segment *s),
			  struct cf_segment *segment, struct cf_err *err)
{
	int rc = 0;

	segment->supersedes = calloc(repair->n_segments + 1, sizeof(*segment->supersedes));
	if (!segment->supersedes)
		return cf_err_nomem(err);
	for (size_t i = 0; rc == 0 && i < repair->n_segments; i++) {
		const struct cf_repaired_segment *s = &repair->segments[i];

		if (!is_to_go(s))
			continue;
		segment->supersedes[segment->n_supersedes++] = s->id;
		if (!s->is_unreadable)
			rc = take_packs(repair, &s->id, segment, err);
	}
	return rc;
}

static int supersede(struct cf_repair *repair, struct cf_err *err)
{
	struct cf_segment segment = {0};
	struct cf_id id;
	int rc = make_successor(repair, is_useless, &segment, err);

	repair->figures.segments_superseded += segment.n_supersedes;
	if (rc == 0 && segment.n_supersedes && !repair->options->is_dry_run)
		rc = cf_segment_put_verified(repair->repo, &segment, &id, NULL, err);
	for (size_t i = 0; rc == 0 && i < segment.n_supersedes; i++)
		cf_repair_say(repair, CF_REPAIR_STEP, cf_object_name(CF_OBJECT_INDEX, &segment.supersedes[i]).s, "%s",
			      cf_repair_tense(repair, "superseded by a new segment", "would be superseded by a new segment"));
	cf_segment_release(&segment);
	return rc;
}

/* Once what takes its place is there and was read back. */
static int drop_wrong(struct cf_repair *repair, struct cf_repaired_segment *s, struct cf_err *err)
{
	struct cf_backend *store = repair->repo->backend;
	struct cf_object_name name = cf_object_name(CF_OBJECT_INDEX, &s->id);
	bool can_remove = store->ops->remove && (store->caps & CF_BACKEND_CAN_REMOVE);
	int rc = 0;

	cf_repair_say(repair, CF_REPAIR_DAMAGE, name.s, "tells of packs what these do not");
	if (repair->options->is_dry_run) {
		cf_repair_say(repair, CF_REPAIR_STEP, name.s, "would be replaced by what the packs themselves tell");
		return 0;
	}
	s->is_superseded = true;
	if (can_remove)
		rc = cf_object_remove(repair->repo, CF_OBJECT_INDEX, &s->id, err);
	if (rc == 0)
		cf_repair_say(repair, CF_REPAIR_STEP, name.s, "%s",
			      can_remove ? "replaced by what the packs themselves tell"
					 : "a segment with what the packs themselves tell is there; remove this one from the store, "
					   "which does not let coffer delete");
	return rc;
}

int cf_repair_tables(struct cf_repair *repair, struct cf_err *err)
{
	struct cf_segment segment = {0};
	struct cf_id id;
	int rc = make_successor(repair, is_wrong, &segment, err);

	if (rc == 0 && segment.n_supersedes && !repair->options->is_dry_run)
		rc = cf_segment_put_verified(repair->repo, &segment, &id, NULL, err);
	for (size_t i = 0; rc == 0 && i < repair->n_segments; i++)
		if (is_wrong(&repair->segments[i]))
			rc = drop_wrong(repair, &repair->segments[i], err);
	/* What the usual index has of the packs is not asked again, as it has them. */
	if (rc == 0 && segment.n_supersedes && !repair->options->is_dry_run)
		rc = cf_catalog_reset(repair->repo->catalog, err);
	repair->figures.segments_superseded += segment.n_supersedes;
	cf_segment_release(&segment);
	return rc;
}

int cf_repair_take_own_tables(struct cf_repair *repair, struct cf_err *err)
{
	struct cf_check *check = &repair->check;
	int rc = 0;

	for (size_t i = 0; rc == 0 && repair->options->is_dry_run && i < check->n_packs; i++) {
		struct cf_segment_pack pack = {.name = check->packs[i].name};

		if (!check->packs[i].is_mislisted)
			continue;
		rc = take_own_table(repair, &pack, err);
		if (rc == 0)
			rc = cf_catalog_add_pack(repair->repo->catalog, &pack, err);
		cf_pack_table_release(&pack.table);
	}
	return rc;
}

int cf_repair_index(struct cf_repair *repair, struct cf_err *err)
{
	struct cf_check *check = &repair->check;
	uint64_t stored;
	int rc = 0;

	for (size_t i = 0; i < check->n_packs; i++) {
		const struct cf_checked_pack *pack = &check->packs[i];

		if (pack->is_indexed || pack->is_quarantined || pack->is_bad || pack->is_gone)
			continue;
		repair->figures.packs_indexed++;
		cf_repair_say(repair, CF_REPAIR_STEP, cf_pack_name(&pack->name).s, "%s",
			      cf_repair_tense(repair, "listed in a new segment", "would be listed in a new segment"));
	}
	/* First what is in none, then what supersedes others: killed in between, nothing is in less than before. */
	if (!repair->options->is_dry_run)
		rc = cf_catalog_publish(repair->repo->catalog, true, &stored, err);
	return rc < 0 ? rc : supersede(repair, err);
}
