#include "repo/repair.h"

#include "base/err.h"
#include "repo/catalog.h"
#include "repo/object.h"
#include "repo/pack_reader.h"
#include "repo/quarantine.h"
#include "repo/repair_parts.h"
#include "repo/snapshot.h"

#include <stdio.h>
#include <stdlib.h>

/* The order of a repair: find out what is there, save, set aside, and name what is lost. */

struct inventory {
	struct cf_id *snapshots, *segments;
	size_t n_snapshots, n_segments;
};

void cf_repair_say(struct cf_repair *repair, enum cf_repair_kind kind, const char *object, const char *fmt, ...)
{
	char text[CF_ERR_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	repair->fn(repair->user, kind, object, cf_check_bare(object, text));
}

static struct cf_checked_pack *named_pack(struct cf_repair *repair, const char *object)
{
	struct cf_id name;

	return cf_object_is_pack(object, &name) ? cf_check_pack(&repair->check, &name) : NULL;
}

/* The check says of packs that they are damaged, of snapshots and paths in them that they are not whole. */
static void on_finding(void *user, const char *object, const char *problem)
{
	struct cf_repair *repair = user;
	struct cf_checked_pack *pack = named_pack(repair, object);

	if (pack) {
		char **why = &repair->why[pack - repair->check.packs];

		if (!*why)
			*why = strdup(problem);
		repair->fn(repair->user, CF_REPAIR_DAMAGE, object, problem);
		return;
	}
	repair->figures.lost++;
	repair->fn(repair->user, CF_REPAIR_LOST, object, problem);
}

static int take_inventory(struct cf_repair *repair, struct inventory *inventory, struct cf_err *err)
{
	struct cf_repo *repo = repair->repo;
	int rc = cf_object_list(repo, CF_OBJECT_SNAPSHOT, &inventory->snapshots, &inventory->n_snapshots, err);

	if (rc == 0)
		rc = cf_object_list(repo, CF_OBJECT_INDEX, &inventory->segments, &inventory->n_segments, err);
	if (rc == 0)
		rc = cf_check_list_packs(&repair->check, err);
	if (rc == 0)
		rc = cf_check_verified_load(&repair->check, err);
	if (rc == 0 && !(repair->why = calloc(repair->check.n_packs + 1, sizeof(*repair->why))))
		rc = cf_err_nomem(err);
	return rc < 0 ? rc : cf_repair_survey_index(repair, inventory->segments, inventory->n_segments, err);
}

static void say_index(struct cf_repair *repair)
{
	for (size_t i = 0; i < repair->n_segments; i++)
		if (repair->segments[i].is_unreadable && !repair->segments[i].is_superseded)
			cf_repair_say(repair, CF_REPAIR_DAMAGE,
				      cf_object_name(CF_OBJECT_INDEX, &repair->segments[i].id).s, "cannot be read");
	repair->figures.packs_missing = repair->missing.n;
	for (size_t i = 0; repair->missing.slots && i <= repair->missing.mask; i++)
		if (!cf_id_is_zero(&repair->missing.slots[i]))
			cf_repair_say(repair, CF_REPAIR_DAMAGE, cf_pack_name(&repair->missing.slots[i]).s,
				      "is in the index but missing from the store");
}

/* A pack that no segment lists, and that does not open by itself, is damaged. */
static int try_unlisted(struct cf_repair *repair, struct cf_err *err)
{
	struct cf_check *check = &repair->check;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < check->n_packs; i++) {
		struct cf_segment_pack pack = {0};

		if (check->packs[i].is_indexed || check->packs[i].is_quarantined)
			continue;
		rc = cf_pack_read_table(repair->repo, &check->packs[i].name, check->packs[i].size, &pack, err);
		cf_pack_table_release(&pack.table);
		if (rc == CF_ERR_DAMAGED) {
			check->packs[i].is_bad = true;
			cf_err_clear(err);
			rc = 0;
		}
	}
	return rc;
}

/* Which packs are damaged, by reading them; these may not be relied on. */
static int find_damage(struct cf_repair *repair, struct cf_err *err)
{
	const struct cf_check_options reading = {.read_percent = repair->options->read_percent,
						 .read_bytes = repair->options->read_bytes,
						 .reads_bad = true};
	struct cf_check *check = &repair->check;
	int rc = try_unlisted(repair, err);

	if (rc == 0)
		rc = cf_check_packs(check, &reading, err);
	repair->figures.packs_read = check->figures.packs_read;
	for (size_t i = 0; rc == 0 && i < check->n_packs; i++)
		if (check->packs[i].is_bad)
			rc = cf_catalog_note_damaged(repair->repo->catalog, &check->packs[i].name, err);
	return rc;
}

/* Packs in quarantine that can be read after all: somebody brought a good copy. */
static int release_good(struct cf_repair *repair, struct cf_err *err)
{
	struct cf_check *check = &repair->check;
	struct cf_id_set good = {0};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < check->n_packs; i++) {
		struct cf_checked_pack *pack = &check->packs[i];

		if (!pack->is_quarantined)
			continue;
		rc = cf_check_read_pack(check, pack, err);
		if (rc == 0) {
			rc = cf_id_set_add(&good, &pack->name) < 0 ? cf_err_nomem(err) : 0;
			pack->is_quarantined = pack->is_bad = false;
			repair->figures.packs_released++;
			cf_repair_say(repair, CF_REPAIR_STEP, cf_pack_name(&pack->name).s, "%s",
				      cf_repair_tense(repair, "is good again and back in use",
						      "is good again and would be back in use"));
		} else if (rc == CF_ERR_DAMAGED || rc == CF_ERR_NOT_FOUND) {
			cf_err_clear(err);
			rc = 0;
		}
	}
	if (rc == 0 && !repair->options->is_dry_run)
		rc = cf_quarantine_lift(repair->repo, &good, err);
	cf_id_set_release(&good);
	return rc;
}

static int set_snapshot_aside(struct cf_repair *repair, const struct cf_id *id, struct cf_quarantine_record *record,
			      struct cf_err *err)
{
	struct cf_object_name name = cf_object_name(CF_OBJECT_SNAPSHOT, id);
	struct cf_quarantined *item = &record->snapshots[record->n_snapshots];

	item->id = *id;
	item->why = strdup(err->text);
	if (!item->why)
		return cf_err_nomem(err);
	record->n_snapshots++;
	cf_repair_say(repair, CF_REPAIR_DAMAGE, name.s, "%s", err->text);
	cf_repair_say(repair, CF_REPAIR_STEP, name.s, "%s", cf_repair_tense(repair, "set aside", "would be set aside"));
	return 0;
}

/* Snapshots that cannot be read, whatever was set aside before. Those that can be are walked later. */
static int find_bad_snapshots(struct cf_repair *repair, const struct inventory *inventory,
			      struct cf_quarantine_record *record, struct cf_err *err)
{
	int rc = 0;

	record->snapshots = calloc(inventory->n_snapshots + 1, sizeof(*record->snapshots));
	if (!record->snapshots)
		return cf_err_nomem(err);
	for (size_t i = 0; rc == 0 && i < inventory->n_snapshots; i++) {
		const struct cf_id *id = &inventory->snapshots[i];
		struct cf_snapshot *snapshot = NULL;

		rc = cf_snapshot_load(repair->repo, id, &snapshot, err);
		cf_snapshot_free(snapshot);
		if (rc == CF_ERR_NOT_FOUND) { /* forgotten since it was listed */
			cf_err_clear(err);
			rc = 0;
		}
		if (rc != CF_ERR_DAMAGED)
			continue;
		rc = cf_id_set_has(&repair->check.quarantine.snapshots, id) ? 0
									     : set_snapshot_aside(repair, id, record, err);
		if (rc < 0)
			break;
		cf_err_clear(err);
		repair->figures.snapshots_lost++;
		cf_repair_say(repair, CF_REPAIR_LOST, cf_object_name(CF_OBJECT_SNAPSHOT, id).s,
			      "put a good copy back, or give it up with coffer forget %.8s", cf_id_text(id).s);
	}
	repair->figures.snapshots_quarantined = record->n_snapshots;
	return rc;
}

static int take_bad_packs(struct cf_repair *repair, struct cf_quarantine_record *record, struct cf_err *err)
{
	struct cf_check *check = &repair->check;

	record->packs = calloc(check->n_packs + 1, sizeof(*record->packs));
	if (!record->packs)
		return cf_err_nomem(err);
	for (size_t i = 0; i < check->n_packs; i++) {
		struct cf_checked_pack *pack = &check->packs[i];
		struct cf_quarantined *q = &record->packs[record->n_packs];

		if (!pack->is_bad || pack->is_quarantined)
			continue;
		record->n_packs++;
		q->id = pack->name;
		q->why = strdup(repair->why[i] ? repair->why[i] : "is damaged");
		if (!q->why)
			return cf_err_nomem(err);
		pack->is_quarantined = true;
	}
	return 0;
}

static int compare_items(const void *a, const void *b)
{
	return cf_id_compare(&((const struct cf_quarantined *)a)->id, &((const struct cf_quarantined *)b)->id);
}

/* Only when all that is intact is safe elsewhere. */
static int set_aside(struct cf_repair *repair, const struct inventory *inventory, struct cf_err *err)
{
	const struct cf_repair_options *options = repair->options;
	struct cf_quarantine_record record = {.time_ns = cf_ctx_now_ns(repair->repo->ctx)};
	int rc = find_bad_snapshots(repair, inventory, &record, err);

	if (rc == 0)
		rc = take_bad_packs(repair, &record, err);
	if (rc == 0 && !options->is_dry_run && (record.n_packs || record.n_snapshots)) {
		record.host = strdup(options->host);
		record.user = strdup(options->user);
		record.program = strdup("coffer " CF_VERSION);
		if (record.n_snapshots)
			qsort(record.snapshots, record.n_snapshots, sizeof(*record.snapshots), compare_items);
		rc = record.host && record.user && record.program ? cf_quarantine_put(repair->repo, &record, err)
								  : cf_err_nomem(err);
	}
	cf_quarantine_record_release(&record);
	return rc;
}

/* Everything that cannot be restored, of every snapshot that can be read. */
static int name_lost(struct cf_repair *repair, struct cf_err *err)
{
	struct cf_check *check = &repair->check;
	struct cf_snapshot_list list = {0};
	int rc;

	check->recovered = &repair->recovered;
	for (size_t i = 0; i < check->n_packs; i++)
		check->packs[i].is_indexed = true; /* by now */
	rc = cf_snapshots_load(repair->repo, NULL, &list, err);
	for (size_t i = 0; rc == 0 && i < list.n; i++) {
		rc = cf_check_tree(check, list.items[i], err);
		if (rc >= 0)
			rc = cf_ctx_check(repair->repo->ctx, err);
	}
	cf_snapshot_list_release(&list);
	return rc;
}

static int repair_all(struct cf_repair *repair, struct inventory *inventory, struct cf_err *err)
{
	int rc = take_inventory(repair, inventory, err);

	if (rc == 0)
		rc = cf_repair_tables(repair, err);
	if (rc == 0)
		rc = cf_check_swap_catalog(&repair->check, err);
	if (rc < 0)
		return rc;
	say_index(repair);
	rc = cf_catalog_adopt(repair->repo->catalog, false, err);
	if (rc == 0)
		rc = cf_repair_take_own_tables(repair, err);
	if (rc == 0)
		rc = find_damage(repair, err);
	if (rc == 0)
		rc = release_good(repair, err);
	if (rc == 0)
		rc = cf_repair_index(repair, err);
	if (rc == 0)
		rc = cf_repair_salvage(repair, err);
	if (rc == 0)
		rc = set_aside(repair, inventory, err);
	return rc < 0 ? rc : name_lost(repair, err);
}

static void on_unmended(void *user, const char *object, const char *problem)
{
	struct cf_repair *repair = user;

	repair->figures.unmended++;
	repair->fn(repair->user, CF_REPAIR_UNMENDED, object, problem);
}

int cf_repair_run(struct cf_repo *repo, const struct cf_repair_options *options, cf_repair_fn *fn, void *user,
		  struct cf_repair_figures *figures_out, struct cf_err *err)
{
	struct cf_repair repair = {.repo = repo, .options = options, .fn = fn, .user = user};
	struct cf_err local = CF_ERR_INIT, *own = err ? err : &local;
	struct inventory inventory = {0};
	int rc = cf_repo_require_full(repo, own);

	if (rc < 0)
		return rc;
	repair.check = (struct cf_check){.repo = repo, .fn = on_finding, .user = &repair};
	pthread_mutex_init(&repair.check.lock, NULL);
	rc = repair_all(&repair, &inventory, own);
	cf_check_swap_back(&repair.check);
	if (rc == 0)
		rc = cf_check_unmended(repo, on_unmended, &repair, own);
	*figures_out = repair.figures;
	for (size_t i = 0; repair.why && i < repair.check.n_packs; i++)
		free(repair.why[i]);
	free(repair.why);
	free(repair.segments);
	free(repair.segment_of);
	cf_id_set_release(&repair.missing);
	cf_id_set_release(&repair.recovered);
	free(inventory.snapshots);
	free(inventory.segments);
	cf_check_release(&repair.check);
	return rc;
}
