/* Repair, interrupted at every call: nothing is worse, and the next one finishes. */

#include "tests/unit/repo_fixture.h"

#include "repo/catalog.h"
#include "repo/object.h"
#include "repo/prune.h"
#include "repo/quarantine.h"
#include "repo/repair.h"
#include "repo/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum {
	N_BACKUPS = 3
};

/* Three snapshots; a data pack is damaged, an index segment of another one is missing, and one is damaged. */
struct scene {
	struct fixture f;
	struct cf_snapshot *snapshots[N_BACKUPS];
	bool is_whole[N_BACKUPS]; /* restores in spite of it */
};

static struct cf_repo *open_over(struct scene *s, struct cf_backend *backend)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo = fixture_open_over(&s->f, backend, NULL, &err);

	if (!repo)
		fail_msg("%s", err.text);
	return repo;
}

struct largest {
	char name[80];
	uint64_t size;
};

static int note_largest(void *user, const char *name, uint64_t size)
{
	struct largest *largest = user;

	if (size > largest->size) {
		largest->size = size;
		snprintf(largest->name, sizeof(largest->name), "%s", name);
	}
	return 0;
}

static int restores(struct cf_repo *repo, const struct scene *s, unsigned i)
{
	return fixture_restore_equals(repo, s->snapshots[i], i + 1, NULL) == 1;
}

static void scene_init(struct scene *s)
{
	struct largest pack = {.size = 0};
	struct cf_repo *repo;
	struct cf_id *segments;
	size_t n;

	memset(s, 0, sizeof(*s));
	fixture_init(&s->f, 0);
	repo = fixture_open(&s->f);
	for (unsigned i = 0; i < N_BACKUPS; i++)
		assert_int_equal(fixture_backup(repo, i + 1, &s->snapshots[i], NULL), 0);
	assert_int_equal(s->f.store->ops->list(s->f.store, "packs", note_largest, &pack, NULL), 0);
	assert_int_equal(cf_memory_flip(s->f.store, pack.name, pack.size / 2, 1, NULL), 0);
	assert_int_equal(cf_object_list(repo, CF_OBJECT_INDEX, &segments, &n, NULL), 0);
	assert_true(n >= 3);
	assert_int_equal(s->f.store->ops->remove(s->f.store, cf_object_name(CF_OBJECT_INDEX, &segments[0]).s, NULL), 0);
	assert_int_equal(cf_memory_flip(s->f.store, cf_object_name(CF_OBJECT_INDEX, &segments[1]).s, 100, 1, NULL), 0);
	free(segments);
	cf_repo_close(repo);
	repo = fixture_open(&s->f);
	for (unsigned i = 0; i < N_BACKUPS; i++)
		s->is_whole[i] = restores(repo, s, i);
	cf_repo_close(repo);
}

static void scene_release(struct scene *s)
{
	for (unsigned i = 0; i < N_BACKUPS; i++)
		cf_snapshot_free(s->snapshots[i]);
	fixture_release(&s->f);
}

static void ignore(void *user, enum cf_repair_kind kind, const char *object, const char *text)
{
	if (kind == CF_REPAIR_STEP && user)
		cf_buf_printf(user, NULL, "%s: %s\n", object, text);
}

static int repair(struct cf_repo *repo, bool is_dry_run, struct cf_buf *steps, struct cf_repair_figures *figures,
		  struct cf_err *err)
{
	const struct cf_repair_options options = {
		.is_dry_run = is_dry_run, .read_percent = 100, .host = "h", .user = "u"};

	return cf_repair_run(repo, &options, ignore, steps, figures, err);
}

/* After whatever happened: repair, heal, and everything restores. */
static void finish(struct scene *s)
{
	struct cf_repo *repo = fixture_open(&s->f);
	struct cf_buf steps = CF_BUF_INIT, findings = CF_BUF_INIT;
	struct cf_repair_figures figures;
	struct cf_err err = CF_ERR_INIT;

	for (unsigned i = 0; i < N_BACKUPS; i++)
		assert_true(restores(repo, s, i) == s->is_whole[i]);
	if (repair(repo, false, NULL, &figures, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(repair(repo, false, &steps, &figures, &err), 0);
	assert_int_equal(steps.len, 0);
	for (unsigned i = 0; i < N_BACKUPS; i++)
		assert_true(restores(repo, s, i) == s->is_whole[i]);
	for (unsigned i = 0; i < N_BACKUPS; i++) {
		struct cf_snapshot *again;

		assert_int_equal(fixture_backup(repo, i + 1, &again, NULL), 0);
		cf_snapshot_free(again);
	}
	cf_repo_close(repo);
	repo = fixture_open(&s->f);
	for (unsigned i = 0; i < N_BACKUPS; i++)
		assert_true(restores(repo, s, i));
	if (fixture_check(repo, &findings, &err) != 0)
		fail_msg("%.*s", (int)findings.len, (const char *)findings.data);
	cf_repo_close(repo);
	cf_buf_release(&steps);
	cf_buf_release(&findings);
}

static void what_is_damaged_is_repaired_and_healed(void **state)
{
	struct scene s;

	scene_init(&s);
	assert_false(s.is_whole[0] && s.is_whole[1] && s.is_whole[2]);
	finish(&s);
	scene_release(&s);
}

static int count(void *user, const char *name, uint64_t size)
{
	(*(size_t *)user)++;
	return 0;
}

static void a_dry_run_says_the_same_and_stores_nothing(void **state)
{
	struct cf_buf would = CF_BUF_INIT, did = CF_BUF_INIT;
	struct cf_repair_figures dry, real;
	size_t before = 0, after = 0;
	struct cf_repo *repo;
	struct scene s;

	scene_init(&s);
	repo = fixture_open(&s.f);
	assert_int_equal(s.f.store->ops->list(s.f.store, "", count, &before, NULL), 0);
	assert_int_equal(repair(repo, true, &would, &dry, NULL), 0);
	assert_int_equal(s.f.store->ops->list(s.f.store, "", count, &after, NULL), 0);
	assert_int_equal(before, after);
	assert_int_equal(repair(repo, false, &did, &real, NULL), 0);
	assert_memory_equal(&dry, &real, sizeof(dry));
	assert_true(real.segments_superseded == 1 && real.packs_quarantined == 1 && real.packs_indexed > 0);
	assert_true(real.chunks_saved > 0 && real.chunks_lost > 0 && real.lost > 0);
	cf_repo_close(repo);
	cf_buf_release(&would);
	cf_buf_release(&did);
	scene_release(&s);
}

static bool repair_with_fault(struct scene *s, const struct cf_fault_rule *rule, int *rc_out)
{
	struct cf_repair_figures figures;
	struct cf_err err = CF_ERR_INIT;
	struct cf_backend *fault;
	struct cf_repo *repo;
	bool reached;

	assert_int_equal(cf_fault_new(fixture_share(s->f.store), &fault, NULL), 0);
	repo = open_over(s, fault);
	cf_fault_set(fault, rule);
	*rc_out = repair(repo, false, NULL, &figures, &err);
	if (*rc_out < 0)
		assert_true(err.text[0] && err.code == *rc_out);
	reached = cf_fault_failed(fault) > 0;
	cf_fault_set(fault, NULL);
	cf_repo_close(repo);
	return reached;
}

/* A bad sector in a pack that is whole otherwise: all but the blob around it is saved. */
static void around_what_cannot_be_read_all_is_saved(void **state)
{
	struct largest pack = {.size = 0};
	struct cf_fault_rule rule = {.call = CF_CALL_GET, .nth = 1, .is_repeated = true, .code = CF_ERR_DAMAGED};
	struct cf_repair_figures figures;
	struct cf_snapshot *snapshot;
	struct cf_backend *fault;
	struct cf_repo *repo;
	struct fixture f;

	fixture_init(&f, 0);
	assert_int_equal(cf_fault_new(fixture_share(f.store), &fault, NULL), 0);
	repo = fixture_open_over(&f, fault, NULL, NULL);
	assert_int_equal(fixture_backup(repo, 1, &snapshot, NULL), 0);
	assert_int_equal(f.store->ops->list(f.store, "packs", note_largest, &pack, NULL), 0);
	rule.prefix = pack.name;
	rule.off = pack.size / 2;
	rule.len = 512;
	cf_fault_set(fault, &rule);
	assert_int_equal(repair(repo, false, NULL, &figures, NULL), 0);
	assert_int_equal(figures.packs_quarantined, 1);
	assert_true(figures.chunks_saved > figures.chunks_lost && figures.chunks_lost > 0 && figures.lost > 0);
	cf_snapshot_free(snapshot);
	/* The same data again: nothing needs the bad sector any more. */
	assert_int_equal(fixture_backup(repo, 1, &snapshot, NULL), 0);
	assert_int_equal(fixture_restore_equals(repo, snapshot, 1, NULL), 1);
	assert_int_equal(fixture_check(repo, NULL, NULL), 0);
	cf_snapshot_free(snapshot);
	cf_repo_close(repo);
	fixture_release(&f);
}

/* stride: not every call, where there are many. */
static void each_fault_leaves_nothing_worse(enum cf_call call, enum cf_fault_kind kind, unsigned stride)
{
	bool reached = true;
	unsigned n = 0;
	struct scene s;

	scene_init(&s);
	for (unsigned nth = 1; reached; nth += stride, n++) {
		const struct cf_fault_rule rule = {.call = call, .nth = nth, .kind = kind};
		struct cf_backend *before = s.f.store;
		int rc;

		assert_int_equal(cf_memory_copy(before, &s.f.store, NULL), 0);
		reached = repair_with_fault(&s, &rule, &rc);
		assert_true(reached || rc == 0);
		finish(&s);
		cf_backend_close(s.f.store);
		s.f.store = before;
	}
	assert_true(n > 2);
	scene_release(&s);
}

static void nth_put_failing_leaves_nothing_worse(void **state)
{
	each_fault_leaves_nothing_worse(CF_CALL_PUT, CF_FAULT_FAIL, 1);
}

static void reply_of_nth_put_lost_leaves_nothing_worse(void **state)
{
	each_fault_leaves_nothing_worse(CF_CALL_PUT, CF_FAULT_LOST_REPLY, 1);
}

static void dying_before_nth_call_leaves_nothing_worse(void **state)
{
	each_fault_leaves_nothing_worse(CF_CALL_ANY, CF_FAULT_STOP, 17);
}

static void dying_after_nth_put_leaves_nothing_worse(void **state)
{
	each_fault_leaves_nothing_worse(CF_CALL_PUT, CF_FAULT_STOP_AFTER, 1);
}

static size_t n_objects(struct fixture *f, const char *prefix)
{
	size_t n = 0;

	assert_int_equal(f->store->ops->list(f->store, prefix, count, &n, NULL), 0);
	return n;
}

/* A record that sets the largest pack aside, as repair would. */
static void set_largest_aside(struct fixture *f, struct cf_repo *repo, struct cf_quarantined *item,
			      struct cf_quarantine_record *record)
{
	struct largest pack = {.size = 0};

	assert_int_equal(f->store->ops->list(f->store, "packs", note_largest, &pack, NULL), 0);
	assert_true(cf_object_is_pack(pack.name, &item->id));
	item->why = (char *)(uintptr_t)"test";
	*record = (struct cf_quarantine_record){.host = (char *)(uintptr_t)"h",
						.user = (char *)(uintptr_t)"u",
						.program = (char *)(uintptr_t)"p",
						.packs = item,
						.n_packs = 1};
	assert_int_equal(cf_quarantine_put(repo, record, NULL), 0);
}

/* Writers pass over a pack in quarantine; one that is lifted counts again. */
static void a_quarantined_pack_is_not_relied_on_until_it_is_lifted(void **state)
{
	struct cf_quarantine_record record;
	struct cf_quarantined item;
	struct cf_quarantine quarantine;
	struct cf_snapshot *snapshot;
	struct cf_repo *repo;
	struct fixture f;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	assert_int_equal(fixture_backup(repo, 1, &snapshot, NULL), 0);
	cf_snapshot_free(snapshot);
	set_largest_aside(&f, repo, &item, &record);
	assert_int_equal(fixture_backup(repo, 1, &snapshot, NULL), 0);
	assert_true(snapshot->figures.chunks_new > 0);
	assert_int_equal(fixture_restore_equals(repo, snapshot, 1, NULL), 1);
	cf_snapshot_free(snapshot);
	assert_int_equal(cf_quarantine_load(repo, &quarantine, NULL), 0);
	assert_int_equal(quarantine.packs.n, 1);
	assert_int_equal(cf_quarantine_lift(repo, &quarantine.packs, NULL), 0);
	cf_quarantine_release(&quarantine);
	assert_int_equal(cf_quarantine_load(repo, &quarantine, NULL), 0);
	assert_int_equal(quarantine.packs.n, 0);
	cf_quarantine_release(&quarantine);
	cf_repo_close(repo);
	fixture_release(&f);
}

static int prune_now(struct cf_repo *repo, bool is_dry_run)
{
	const struct cf_prune_options options = {.now = true, .dry_run = is_dry_run, .host = "h", .user = "u"};
	struct cf_prune_figures figures;

	return cf_prune_run(repo, &options, &figures, NULL);
}

static void a_record_of_quarantine_goes_with_the_last_of_its_packs(void **state)
{
	struct cf_quarantine_record record;
	struct cf_quarantined item;
	struct cf_snapshot *first, *second;
	struct cf_repo *repo;
	struct fixture f;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	assert_int_equal(fixture_backup(repo, 1, &first, NULL), 0);
	set_largest_aside(&f, repo, &item, &record);
	/* What the pack holds is only in it: it stays, and so does the record. */
	assert_int_equal(cf_quarantine_drop_gone(repo, NULL), 0);
	assert_int_equal(n_objects(&f, "gc/quarantine"), 1);
	assert_int_equal(fixture_backup(repo, 1, &second, NULL), 0);
	assert_int_equal(prune_now(repo, true), 0);
	assert_int_equal(n_objects(&f, "gc/quarantine"), 1);
	assert_int_equal(prune_now(repo, false), 0);
	assert_int_equal(n_objects(&f, "gc/quarantine"), 0);
	assert_int_equal(fixture_restore_equals(repo, first, 1, NULL), 1);
	assert_int_equal(fixture_restore_equals(repo, second, 1, NULL), 1);
	/* A repair that was held up stores its record only now. */
	assert_int_equal(cf_quarantine_put(repo, &record, NULL), 0);
	assert_int_equal(prune_now(repo, false), 0);
	assert_int_equal(n_objects(&f, "gc/quarantine"), 0);
	/* A snapshot that is set aside is there until it is forgotten. */
	item.id = first->id;
	record.snapshots = &item;
	record.n_snapshots = 1;
	record.n_packs = 0;
	assert_int_equal(cf_quarantine_put(repo, &record, NULL), 0);
	assert_int_equal(cf_quarantine_drop_gone(repo, NULL), 0);
	assert_int_equal(n_objects(&f, "gc/quarantine"), 1);
	assert_int_equal(cf_object_remove(repo, CF_OBJECT_SNAPSHOT, &first->id, NULL), 0);
	assert_int_equal(cf_quarantine_drop_gone(repo, NULL), 0);
	assert_int_equal(n_objects(&f, "gc/quarantine"), 0);
	cf_snapshot_free(first);
	cf_snapshot_free(second);
	cf_repo_close(repo);
	fixture_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_damaged_is_repaired_and_healed),
		cmocka_unit_test(a_dry_run_says_the_same_and_stores_nothing),
		cmocka_unit_test(around_what_cannot_be_read_all_is_saved),
		cmocka_unit_test(nth_put_failing_leaves_nothing_worse),
		cmocka_unit_test(reply_of_nth_put_lost_leaves_nothing_worse),
		cmocka_unit_test(dying_before_nth_call_leaves_nothing_worse),
		cmocka_unit_test(dying_after_nth_put_leaves_nothing_worse),
		cmocka_unit_test(a_quarantined_pack_is_not_relied_on_until_it_is_lifted),
		cmocka_unit_test(a_record_of_quarantine_goes_with_the_last_of_its_packs),
	};

	return cmocka_run_group_tests_name("repo: repair", tests, NULL, NULL);
}
