#include "repo/check.h"

#include "base/err.h"
#include "repo/catalog.h"
#include "repo/check_parts.h"
#include "repo/object.h"
#include "repo/pack_reader.h"
#include "repo/segments.h"
#include "repo/snapshot.h"
#include "repo/tomb.h"
#include "repo/verified.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What is stored apart from packs: index segments, snapshots; and the list of packs they speak of. */

const char *cf_check_bare(const char *object, const char *problem)
{
	size_t len = strlen(object);

	if (strncmp(problem, object, len) != 0)
		return problem;
	if (strncmp(problem + len, ": ", 2) == 0)
		return problem + len + 2;
	return problem[len] == ' ' ? problem + len + 1 : problem;
}

/* What is looked at again is found again. */
static bool was_said(struct cf_check *check, const char *object, const char *problem)
{
	const struct cf_span parts[] = {cf_span_of(object, strlen(object) + 1), cf_span_of(problem, strlen(problem))};
	struct cf_id id;

	return cf_sha256(parts, 2, &id, NULL) == 0 && cf_id_set_add(&check->said, &id) == 0;
}

void cf_check_found(struct cf_check *check, const char *object, const char *fmt, ...)
{
	char problem[CF_ERR_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(problem, sizeof(problem), fmt, args);
	va_end(args);
	pthread_mutex_lock(&check->lock);
	if (!was_said(check, object, problem)) {
		check->figures.errors++;
		check->fn(check->user, object, cf_check_bare(object, problem));
	}
	pthread_mutex_unlock(&check->lock);
}

int cf_check_judge(struct cf_check *check, const char *object, int rc, struct cf_err *err)
{
	if (rc != CF_ERR_DAMAGED && rc != CF_ERR_UNSUPPORTED && rc != CF_ERR_NOT_FOUND)
		return rc;
	cf_check_found(check, object, "%s", err->text);
	cf_err_clear(err);
	return 0;
}

enum {
	SETTLE_MAX = 16
};

static int compare_packs(const void *a, const void *b)
{
	return cf_id_compare(&((const struct cf_checked_pack *)a)->name, &((const struct cf_checked_pack *)b)->name);
}

struct cf_checked_pack *cf_check_pack(struct cf_check *check, const struct cf_id *name)
{
	const struct cf_checked_pack key = {.name = *name};

	return check->n_packs ? bsearch(&key, check->packs, check->n_packs, sizeof(key), compare_packs) : NULL;
}

struct listing {
	struct cf_check *check;
	size_t capacity;
};

static int note_pack(void *user, const struct cf_id *name, uint64_t size, struct cf_err *err)
{
	struct listing *listing = user;
	struct cf_check *check = listing->check;

	if (check->n_packs == listing->capacity) {
		size_t capacity = listing->capacity ? 2 * listing->capacity : 256;
		struct cf_checked_pack *packs = realloc(check->packs, capacity * sizeof(*packs));

		if (!packs)
			return cf_err_nomem(err);
		check->packs = packs;
		listing->capacity = capacity;
	}
	check->packs[check->n_packs++] = (struct cf_checked_pack){.name = *name, .size = size};
	return 0;
}

/* Packs that were set aside, and were not removed since. */
static int mark_quarantined(struct cf_check *check, struct cf_err *err)
{
	int rc;

	cf_quarantine_release(&check->quarantine);
	check->figures.quarantined_packs = 0;
	rc = cf_quarantine_load(check->repo, &check->quarantine, err);
	for (size_t i = 0; rc == 0 && i < check->n_packs; i++) {
		struct cf_checked_pack *pack = &check->packs[i];

		pack->is_quarantined = cf_id_set_has(&check->quarantine.packs, &pack->name);
		check->figures.quarantined_packs += pack->is_quarantined;
	}
	return rc;
}

int cf_check_list_packs(struct cf_check *check, struct cf_err *err)
{
	struct listing listing = {.check = check};
	int rc = cf_object_each_pack(check->repo, note_pack, &listing, err);

	if (check->n_packs)
		qsort(check->packs, check->n_packs, sizeof(*check->packs), compare_packs);
	check->figures.packs = check->n_packs;
	return rc < 0 ? rc : mark_quarantined(check, err);
}

struct segment_check {
	struct cf_check *check;
	struct cf_id_set superseded;
	struct bad_segment {
		struct cf_id id;
		struct cf_err err;
	} *bad; /* nothing is wrong when one of these is superseded */
	size_t n_bad;
};

/* A pack that a segment lists and that is not there is damage only if something needs it: prune may have removed it. */
static int check_segment_packs(struct segment_check *s, const struct cf_segment *segment, struct cf_err *err)
{
	struct cf_check *check = s->check;

	for (size_t i = 0; i < segment->n_supersedes; i++)
		if (cf_id_set_add(&s->superseded, &segment->supersedes[i]) < 0)
			return cf_err_nomem(err);
	for (size_t i = 0; i < segment->n_packs; i++) {
		const struct cf_segment_pack *entry = &segment->packs[i];
		struct cf_checked_pack *pack = cf_check_pack(check, &entry->name);
		struct cf_pack_name name = cf_pack_name(&entry->name);

		if (pack && pack->size != entry->size && !pack->is_quarantined)
			cf_check_found(check, name.s, "has %llu bytes, the index says %llu",
				       (unsigned long long)pack->size, (unsigned long long)entry->size);
		if (pack)
			pack->is_indexed = true;
	}
	return 0;
}

/* Those that neither are superseded nor went meanwhile. */
static int report_bad(struct segment_check *s, struct cf_err *err)
{
	struct cf_backend *store = s->check->repo->backend;

	for (size_t i = 0; i < s->n_bad; i++) {
		struct cf_object_name name = cf_object_name(CF_OBJECT_INDEX, &s->bad[i].id);
		uint64_t size;
		int rc;

		if (cf_id_set_has(&s->superseded, &s->bad[i].id))
			continue;
		rc = store->ops->size(store, name.s, &size, err);
		if (rc == 0 || rc == CF_ERR_DAMAGED)
			cf_check_found(s->check, name.s, "%s", s->bad[i].err.text);
		else if (rc != CF_ERR_NOT_FOUND)
			return rc;
		cf_err_clear(err);
	}
	return 0;
}

static int note_bad(struct segment_check *s, const struct cf_id *id, struct cf_err *err)
{
	struct bad_segment *bad = realloc(s->bad, (s->n_bad + 1) * sizeof(*bad));

	if (!bad)
		return cf_err_nomem(err);
	s->bad = bad;
	s->bad[s->n_bad++] = (struct bad_segment){.id = *id, .err = *err};
	cf_err_clear(err);
	return 0;
}

static int check_segments(struct cf_check *check, const struct cf_id *ids, size_t n, struct cf_err *err)
{
	struct segment_check s = {.check = check};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct cf_segment segment = {0};

		rc = cf_segment_read(check->repo, &ids[i], &segment, err);
		if (rc == 0)
			rc = check_segment_packs(&s, &segment, err);
		if (rc == CF_ERR_NOT_FOUND) { /* superseded since it was listed */
			cf_err_clear(err);
			rc = 0;
		}
		if (rc == CF_ERR_DAMAGED || rc == CF_ERR_UNSUPPORTED)
			rc = note_bad(&s, &ids[i], err);
		cf_segment_release(&segment);
		check->figures.segments++;
		if (rc == 0)
			rc = cf_ctx_check(check->repo->ctx, err);
	}
	if (rc == 0)
		rc = report_bad(&s, err);
	free(s.bad);
	cf_id_set_release(&s.superseded);
	return rc;
}

/* A snapshot that went while it was looked at. */
static int judge_gone(struct cf_check *check, const struct cf_id *id, struct cf_err *err)
{
	int rc = cf_check_forgotten_since(check, id, err);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	return cf_err_set(err, CF_ERR_DAMAGED, "was removed while it was looked at, and no record says so");
}

static int say_unreadable(const struct cf_id *id, struct cf_err *err)
{
	struct cf_err why = *err;

	return cf_err_set(err, CF_ERR_DAMAGED, "%s: put a good copy back, or give it up with coffer forget %.8s", why.text,
			  cf_id_text(id).s);
}

/* 0 and no snapshot when it was forgotten since it was listed. */
static int load_snapshot(struct cf_check *check, const struct cf_id *id, struct cf_snapshot **snapshot_out,
			 struct cf_err *err)
{
	struct cf_err missing;
	int rc = cf_snapshot_load(check->repo, id, snapshot_out, err);

	if (rc == CF_ERR_DAMAGED) /* set aside by a repair or not: what it needs is not known */
		return say_unreadable(id, err);
	if (rc != CF_ERR_NOT_FOUND)
		return rc;
	missing = *err;
	cf_err_clear(err);
	rc = cf_check_forgotten_since(check, id, err);
	if (rc == 0)
		*err = missing;
	return rc == 0 ? CF_ERR_NOT_FOUND : rc > 0 ? 0 : rc;
}

static int check_snapshots(struct cf_check *check, struct cf_id *ids, size_t n, struct cf_err *err)
{
	int rc = 0;

	cf_id_sort(ids, n);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct cf_snapshot *snapshot = NULL;

		rc = load_snapshot(check, &ids[i], &snapshot, err);
		if (snapshot) {
			cf_check_history(check, snapshot, ids, n);
			rc = cf_check_version(check, snapshot, ids, n, err);
			if (rc == 0)
				rc = cf_audit_anchors_add(&check->anchors, snapshot, err);
			if (rc == 0)
				rc = cf_check_tree(check, snapshot, err);
			if (rc == 1)
				rc = judge_gone(check, &ids[i], err);
		}
		rc = cf_check_judge(check, cf_object_name(CF_OBJECT_SNAPSHOT, &ids[i]).s, rc, err);
		cf_snapshot_free(snapshot);
		check->figures.snapshots++;
		if (rc == 0)
			rc = cf_ctx_check(check->repo->ctx, err);
	}
	return rc;
}

/* The check believes the repository, not the local index: it works with a catalog of its own, built for it. */
int cf_check_swap_catalog(struct cf_check *check, struct cf_err *err)
{
	struct cf_repo *repo = check->repo;
	struct cf_catalog *fresh = NULL;
	struct cf_tombs tombs = {0};
	int rc;

	if (repo->index_path &&
	    asprintf(&check->index_path, "%s.check-%ld", repo->index_path, (long)getpid()) < 0) {
		check->index_path = NULL;
		return cf_err_nomem(err);
	}
	rc = cf_catalog_new(repo, check->index_path, &fresh, err);
	if (rc < 0)
		return rc;
	cf_catalog_mute(fresh);
	check->usual_catalog = repo->catalog;
	repo->catalog = fresh;
	/* Of several copies those count first that are there and will stay. */
	rc = cf_check_note_index(check, err);
	if (rc == 0)
		rc = cf_tombs_load(repo, &tombs, err);
	if (rc == 0)
		rc = cf_catalog_survey(fresh, &tombs, err);
	if (rc == 0)
		rc = cf_check_mark_indexed(check, err);
	cf_tombs_release(&tombs);
	return rc;
}

void cf_check_swap_back(struct cf_check *check)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};

	if (check->usual_catalog) {
		cf_catalog_free(check->repo->catalog);
		check->repo->catalog = check->usual_catalog;
	}
	for (size_t i = 0; check->index_path && i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		char path[4096];

		snprintf(path, sizeof(path), "%s%s", check->index_path, suffixes[i]);
		unlink(path);
	}
	free(check->index_path);
}

/*
 * What was there when the check began. A backup that ends meanwhile stores packs, then a segment, then its snapshot: listed the other
 * way round, whatever a listed object needs is listed too.
 */
struct inventory {
	struct cf_id *snapshots, *segments;
	size_t n_snapshots, n_segments;
};

static int take_inventory(struct cf_check *check, struct inventory *inventory, struct cf_err *err)
{
	int rc = cf_object_list(check->repo, CF_OBJECT_SNAPSHOT, &inventory->snapshots, &inventory->n_snapshots,
				err);

	if (rc == 0)
		rc = cf_object_list(check->repo, CF_OBJECT_INDEX, &inventory->segments, &inventory->n_segments,
				    err);
	return rc < 0 ? rc : cf_check_list_packs(check, err);
}

void cf_check_release(struct cf_check *check)
{
	cf_id_set_release(&check->visited);
	cf_id_set_release(&check->lost);
	cf_id_set_release(&check->lost_packs);
	cf_id_set_release(&check->reported);
	cf_id_set_release(&check->said);
	free(check->index_ids);
	cf_check_records_release(&check->records);
	cf_audit_anchors_release(&check->anchors);
	cf_quarantine_release(&check->quarantine);
	cf_verified_close(check->verified);
	free(check->packs);
	pthread_mutex_destroy(&check->lock);
}

/* The outcome, and everything released. */
static int finish(struct cf_check *check, int rc, struct cf_check_figures *figures_out, struct cf_err *err)
{
	*figures_out = check->figures;
	if (rc == 0 && check->figures.errors)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "%llu problem%s found",
				(unsigned long long)check->figures.errors, check->figures.errors == 1 ? "" : "s");
	cf_check_release(check);
	return rc;
}

static void report_lost_packs(struct cf_check *check)
{
	const struct cf_id_set *lost = &check->lost_packs;

	for (size_t i = 0; lost->n && i <= lost->mask; i++)
		if (!cf_id_is_zero(&lost->slots[i]))
			cf_check_found(check, cf_pack_name(&lost->slots[i]).s,
				       "is in the index but missing from the store");
}

/* What was read of packs that are still there. */
static void carry_over(struct cf_check *check, const struct cf_checked_pack *old, size_t n_old)
{
	for (size_t i = 0; i < check->n_packs; i++) {
		struct cf_checked_pack *pack = &check->packs[i];
		const struct cf_checked_pack *was =
			n_old ? bsearch(pack, old, n_old, sizeof(*old), compare_packs) : NULL;

		if (!was)
			continue;
		pack->is_reported = was->is_reported;
		pack->is_bad = was->is_bad;
		pack->was_read = was->was_read;
		pack->is_doubtful = was->is_doubtful;
		pack->is_baseless = was->is_baseless;
		pack->read_ns = was->read_ns;
	}
}

/* The list of packs anew, and everything that is known of snapshots forgotten. */
static int begin_again(struct cf_check *check, struct inventory *inventory, struct cf_err *err)
{
	struct cf_checked_pack *old = check->packs;
	size_t n_old = check->n_packs;
	int rc;

	free(inventory->snapshots);
	free(inventory->segments);
	*inventory = (struct inventory){0};
	cf_id_set_release(&check->visited);
	cf_id_set_release(&check->lost);
	cf_id_set_release(&check->lost_packs);
	check->n_lost_chunks = 0;
	check->figures.snapshots = check->figures.segments = check->figures.chunks = 0;
	check->packs = NULL;
	check->n_packs = 0;
	rc = take_inventory(check, inventory, err);
	if (rc == 0)
		carry_over(check, old, n_old);
	free(old);
	return rc;
}

static void count_unreferenced(struct cf_check *check)
{
	check->figures.unreferenced_packs = 0;
	for (size_t i = 0; i < check->n_packs; i++)
		check->figures.unreferenced_packs += !check->packs[i].is_indexed && !check->packs[i].is_reported;
}

/* All but the bytes of packs. */
static int check_structure(struct cf_check *check, struct inventory *inventory, bool is_again, struct cf_err *err)
{
	int rc = is_again ? begin_again(check, inventory, err) : take_inventory(check, inventory, err);

	if (rc == 0 && !is_again)
		rc = cf_check_verified_load(check, err);
	if (rc == 0)
		rc = check_segments(check, inventory->segments, inventory->n_segments, err);
	if (rc == 0)
		rc = is_again ? cf_check_renew(check, err) : cf_check_swap_catalog(check, err);
	/* Read after snapshots were listed: what is not in that list because it was forgotten is in a record. */
	if (rc == 0)
		rc = cf_check_records_load(check, err);
	if (rc == 0)
		rc = check_snapshots(check, inventory->snapshots, inventory->n_snapshots, err);
	if (rc == 0) {
		report_lost_packs(check);
		count_unreferenced(check);
		cf_check_records(check, inventory->snapshots, inventory->n_snapshots);
	}
	return rc;
}

/* Packs went, or the bases of deltas, while packs were read: what snapshots need is looked for as it is now. */
static int settle(struct cf_check *check, const struct cf_check_options *options, struct inventory *inventory,
		  struct cf_err *err)
{
	int rc = 0;

	check->reads_doubtful = true;
	for (unsigned i = 0; rc == 0 && (check->n_gone || check->n_doubtful); i++) {
		bool is_doubtful = check->n_doubtful > 0;

		if (i == SETTLE_MAX)
			return cf_err_set(err, CF_ERR_BUSY,
					  "packs are removed faster than they can be looked at: check again when prune is done");
		check->n_gone = check->n_doubtful = 0;
		rc = check_structure(check, inventory, true, err);
		if (rc == 0 && is_doubtful)
			rc = cf_check_packs(check, options, err);
	}
	return rc;
}

int cf_check_run(struct cf_repo *repo, const struct cf_check_options *options, cf_check_fn *fn, void *user,
		 struct cf_check_figures *figures_out, struct cf_err *err)
{
	struct cf_check check = {.repo = repo, .fn = fn, .user = user};
	struct cf_err local = CF_ERR_INIT, *own = err ? err : &local;
	struct inventory inventory = {0};
	int rc = cf_repo_require_full(repo, err);

	if (rc < 0)
		return rc;
	pthread_mutex_init(&check.lock, NULL);
	rc = cf_check_keys(&check, own);
	if (rc == 0)
		rc = check_structure(&check, &inventory, false, own);
	if (rc == 0)
		rc = cf_check_audit(&check, inventory.snapshots, inventory.n_snapshots, own);
	if (rc == 0)
		rc = cf_check_seen(&check, inventory.snapshots, inventory.n_snapshots, own);
	if (rc == 0 && (options->read_percent > 0 || options->read_bytes || options->max_duration_ns))
		rc = cf_check_packs(&check, options, own);
	if (rc == 0)
		rc = settle(&check, options, &inventory, own);
	if (rc == 0)
		cf_check_coverage(&check);
	cf_check_swap_back(&check);
	free(inventory.snapshots);
	free(inventory.segments);
	return finish(&check, rc, figures_out, own);
}

int cf_check_snapshot(struct cf_repo *repo, const struct cf_snapshot *snapshot, cf_check_fn *fn, void *user,
		      struct cf_check_figures *figures_out, struct cf_err *err)
{
	struct cf_check check = {.repo = repo, .fn = fn, .user = user};
	struct cf_err local = CF_ERR_INIT, *own = err ? err : &local;
	int rc;

	pthread_mutex_init(&check.lock, NULL);
	rc = cf_check_list_packs(&check, own);
	/* Which segments cover them is not asked here. */
	for (size_t i = 0; i < check.n_packs; i++)
		check.packs[i].is_indexed = true;
	if (rc == 0)
		rc = cf_check_note_index(&check, own);
	cf_catalog_refresh(repo->catalog);
	if (rc == 0)
		rc = cf_check_tree(&check, snapshot, own);
	if (rc == 1)
		rc = cf_err_set(own, CF_ERR_NOT_FOUND, "snapshot %.8s was removed while it was looked at",
				cf_id_text(&snapshot->id).s);
	return finish(&check, rc, figures_out, own);
}
