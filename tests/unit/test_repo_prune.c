/* Pruning: what goes, what stays, and what is left after every interruption. */

#include "tests/suite/seeded_random.h"
#include "tests/unit/repo_fixture.h"

#include "repo/forget.h"
#include "repo/key_admin.h"
#include "repo/lease.h"
#include "repo/object.h"
#include "repo/prune.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define HOUR_NS (INT64_C(3600) * 1000000000)
#define START_NS (INT64_C(1800000000) * 1000000000)

static const struct cf_prune_options day = {.host = "h", .user = "u", .max_unused_percent = 0, .grace_ns = 24 * HOUR_NS};
static const struct cf_prune_options now = {.host = "h", .user = "u", .max_unused_percent = 0, .now = true};

static struct cf_snapshot *backup(struct cf_repo *repo, unsigned version)
{
	struct cf_snapshot *snapshot = NULL;
	struct cf_err err = CF_ERR_INIT;

	if (fixture_backup(repo, version, &snapshot, &err) < 0)
		fail_msg("%s", err.text);
	return snapshot;
}

static void forget(struct cf_repo *repo, const struct cf_snapshot *snapshot)
{
	const struct cf_forget_options who = {.host = "h", .user = "u"};
	struct cf_forget_figures figures;
	struct cf_err err = CF_ERR_INIT;

	if (cf_forget_run(repo, &snapshot->id, 1, &who, &figures, &err) < 0)
		fail_msg("%s", err.text);
}

static struct cf_prune_figures prune(struct cf_repo *repo, const struct cf_prune_options *options)
{
	struct cf_prune_figures figures;
	struct cf_err err = CF_ERR_INIT;

	if (cf_prune_run(repo, options, &figures, &err) < 0)
		fail_msg("%s", err.text);
	return figures;
}

static void assert_restores(struct cf_repo *repo, const struct cf_snapshot *snapshot, unsigned version)
{
	struct cf_err err = CF_ERR_INIT;
	int rc = fixture_restore_equals(repo, snapshot, version, &err);

	if (rc != 1)
		fail_msg("version %u: %d %s", version, rc, err.text);
}

static void assert_clean(struct cf_repo *repo)
{
	struct cf_buf findings = CF_BUF_INIT;
	int rc = fixture_check(repo, &findings, NULL);

	if (rc < 0)
		fail_msg("%.*s", (int)findings.len, (const char *)findings.data);
	cf_buf_release(&findings);
}

static size_t count_objects(struct cf_repo *repo, enum cf_object_type type)
{
	struct cf_id *ids;
	size_t n;

	assert_int_equal(cf_object_list(repo, type, &ids, &n, NULL), 0);
	free(ids);
	return n;
}

static int add_size(void *user, const char *name, uint64_t size)
{
	(void)name;
	*(uint64_t *)user += size;
	return 0;
}

static uint64_t bytes_in(struct cf_backend *store, const char *prefix)
{
	uint64_t total = 0;

	assert_int_equal(store->ops->list(store, prefix, add_size, &total, NULL), 0);
	return total;
}

/* Versions 1 to 4; 1 and 2 are forgotten. */
struct history {
	struct fixture f;
	struct cf_snapshot *snapshots[4];
};

static void history_init(struct history *h)
{
	struct cf_repo *repo;

	cf_seed_random();
	fixture_init(&h->f, 0);
	cf_memory_set_clock(h->f.store, START_NS);
	repo = fixture_open(&h->f);
	for (unsigned i = 0; i < 4; i++)
		h->snapshots[i] = backup(repo, i + 1);
	forget(repo, h->snapshots[0]);
	forget(repo, h->snapshots[1]);
	cf_repo_close(repo);
}

static void history_release(struct history *h)
{
	for (unsigned i = 0; i < 4; i++)
		cf_snapshot_free(h->snapshots[i]);
	fixture_release(&h->f);
}

/* All that was not forgotten restores, by a handle that knows nothing yet, and nothing is wrong. */
static void assert_whole(struct history *h)
{
	struct cf_repo *repo = fixture_open(&h->f);

	assert_restores(repo, h->snapshots[2], 3);
	assert_restores(repo, h->snapshots[3], 4);
	assert_clean(repo);
	cf_repo_close(repo);
}

static void what_is_needed_stays_as_it_is(void **state)
{
	struct cf_prune_figures figures;
	struct cf_snapshot *snapshot;
	struct cf_repo *repo;
	struct fixture f;
	uint64_t before;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	snapshot = backup(repo, 1);
	before = bytes_in(f.store, "");
	figures = prune(repo, &now);
	assert_int_equal(figures.packs_removed, 0);
	assert_int_equal(figures.packs_condemned, 0);
	assert_int_equal(figures.bytes_unused, 0);
	assert_int_equal(bytes_in(f.store, ""), before);
	assert_restores(repo, snapshot, 1);
	assert_clean(repo);
	cf_repo_close(repo);
	cf_snapshot_free(snapshot);
	fixture_release(&f);
}

static void packs_are_condemned_first_and_removed_a_day_later(void **state)
{
	struct cf_prune_figures figures;
	struct cf_repo *repo;
	struct history h;
	uint64_t before;

	history_init(&h);
	before = bytes_in(h.f.store, "packs");
	repo = fixture_open(&h.f);
	figures = prune(repo, &day);
	assert_true(figures.packs_condemned > 0);
	assert_int_equal(figures.packs_removed, 0);
	assert_int_equal(figures.packs_waiting, figures.packs_condemned);
	assert_true(bytes_in(h.f.store, "packs") >= before);
	assert_int_equal(count_objects(repo, CF_OBJECT_TOMB), 1);
	assert_whole(&h);

	/* Too early. */
	cf_memory_set_clock(h.f.store, START_NS + 23 * HOUR_NS);
	figures = prune(repo, &day);
	assert_int_equal(figures.packs_removed, 0);
	assert_int_equal(figures.next_ns, HOUR_NS);
	assert_whole(&h);

	cf_memory_set_clock(h.f.store, START_NS + 24 * HOUR_NS);
	figures = prune(repo, &day);
	assert_true(figures.packs_removed > 0);
	assert_int_equal(figures.packs_waiting, 0);
	assert_true(bytes_in(h.f.store, "packs") < before);
	assert_int_equal(count_objects(repo, CF_OBJECT_TOMB), 0);
	assert_int_equal(count_objects(repo, CF_OBJECT_LEASE), 0);
	assert_restores(repo, h.snapshots[2], 3);
	assert_whole(&h);
	cf_repo_close(repo);
	history_release(&h);
}

static void now_removes_at_once(void **state)
{
	struct cf_prune_figures figures;
	struct cf_repo *repo;
	struct history h;
	uint64_t before;

	history_init(&h);
	before = bytes_in(h.f.store, "packs");
	repo = fixture_open(&h.f);
	figures = prune(repo, &now);
	assert_true(figures.packs_removed > 0);
	assert_int_equal(figures.packs_waiting, 0);
	assert_true(bytes_in(h.f.store, "packs") < before);
	assert_int_equal(count_objects(repo, CF_OBJECT_TOMB), 0);
	figures = prune(repo, &now);
	assert_int_equal(figures.packs_removed + figures.packs_condemned, 0);
	cf_repo_close(repo);
	assert_whole(&h);
	history_release(&h);
}

static void what_nobody_needs_goes_before_anything_is_copied(void **state)
{
	const struct cf_fault_rule full = {
		.call = CF_CALL_PUT, .prefix = "packs/", .nth = 1, .is_repeated = true, .code = CF_ERR_FULL};
	struct cf_prune_figures figures;
	struct cf_err err = CF_ERR_INIT;
	struct cf_backend *fault;
	struct cf_repo *repo;
	struct history h;
	uint64_t before;

	history_init(&h);
	before = bytes_in(h.f.store, "packs");
	assert_int_equal(cf_fault_new(fixture_share(h.f.store), &fault, NULL), 0);
	repo = fixture_open_over(&h.f, fault, NULL, NULL);
	assert_non_null(repo);
	cf_fault_set(fault, &full);
	assert_int_equal(cf_prune_run(repo, &now, &figures, &err), CF_ERR_FULL);
	assert_non_null(strstr(err.text, "--max-repack"));
	assert_true(figures.packs_removed > 0);
	assert_true(bytes_in(h.f.store, "packs") < before);
	assert_whole(&h);
	cf_repo_close(repo);
	history_release(&h);
}

static void a_dry_run_changes_nothing_and_foretells(void **state)
{
	struct cf_prune_options dry = now;
	struct cf_prune_figures foretold, done;
	struct cf_backend *trace;
	struct cf_repo *repo;
	struct history h;

	history_init(&h);
	assert_int_equal(cf_trace_new(fixture_share(h.f.store), NULL, NULL, &trace, NULL), 0);
	repo = fixture_open_over(&h.f, trace, NULL, NULL);
	dry.dry_run = true;
	foretold = prune(repo, &dry);
	assert_int_equal(cf_trace_counts(trace).of[CF_CALL_PUT].n_calls, 0);
	assert_int_equal(cf_trace_counts(trace).of[CF_CALL_REMOVE].n_calls, 0);
	done = prune(repo, &now);
	assert_int_equal(foretold.packs_condemned, done.packs_condemned);
	assert_int_equal(foretold.bytes_repacked, done.bytes_repacked);
	assert_int_equal(foretold.bytes_unused, done.bytes_unused);
	cf_repo_close(repo);
	history_release(&h);
}

static void a_backup_that_runs_is_waited_for(void **state)
{
	const struct cf_writer_options options = {.source = "test:", .driver = "test", .host = "h", .user = "u"};
	struct cf_repo *writing, *pruning;
	struct cf_prune_figures figures;
	struct cf_snapshot *late = NULL;
	struct cf_writer *writer;
	struct history h;

	history_init(&h);
	cf_memory_set_clock(h.f.store, START_NS + 60 * INT64_C(1000000000));
	writing = fixture_open(&h.f);
	assert_int_equal(cf_writer_open(writing, &options, &writer, NULL), 0);
	pruning = fixture_open(&h.f);
	cf_memory_set_clock(h.f.store, START_NS + 30 * 60 * INT64_C(1000000000));
	{
		struct cf_prune_options brief = day;

		/* The grace is over at once, but the lease is fresh. */
		brief.grace_ns = 1;
		figures = prune(pruning, &brief);
		assert_true(figures.packs_condemned > 0);
		cf_memory_set_clock(h.f.store, START_NS + 31 * 60 * INT64_C(1000000000));
		figures = prune(pruning, &brief);
		assert_int_equal(figures.packs_removed, 0);
		assert_int_equal(figures.runs_waited_for, 1);
		/* It relies on version 2, which is condemned, and may. */
		assert_int_equal(source_push(2, cf_writer_sink(writer), NULL), 0);
		assert_int_equal(cf_writer_commit(writer, &late, NULL), 0);
		cf_writer_close(writer);
		figures = prune(pruning, &brief);
		assert_restores(pruning, late, 2);
		cf_memory_set_clock(h.f.store, START_NS + 50 * 60 * INT64_C(1000000000));
		figures = prune(pruning, &brief);
		assert_true(figures.packs_removed > 0);
		cf_memory_set_clock(h.f.store, START_NS + 100 * 60 * INT64_C(1000000000));
		figures = prune(pruning, &brief);
		assert_int_equal(figures.packs_waiting, 0);
	}
	cf_repo_close(pruning);
	pruning = fixture_open(&h.f);
	assert_restores(pruning, late, 2);
	cf_repo_close(pruning);
	cf_repo_close(writing);
	assert_whole(&h);
	cf_snapshot_free(late);
	history_release(&h);
}

static void a_backup_that_was_shut_out_commits_nothing(void **state)
{
	const struct cf_writer_options options = {.source = "test:", .driver = "test", .host = "h", .user = "u"};
	struct cf_repo *writing, *pruning;
	struct cf_prune_figures figures;
	struct cf_snapshot *late = NULL;
	struct cf_err err = CF_ERR_INIT;
	struct cf_writer *writer;
	struct history h;

	history_init(&h);
	writing = fixture_open(&h.f);
	assert_int_equal(cf_writer_open(writing, &options, &writer, NULL), 0);
	assert_int_equal(source_push(2, cf_writer_sink(writer), NULL), 0);
	pruning = fixture_open(&h.f);
	figures = prune(pruning, &now);
	assert_true(figures.packs_removed > 0);
	assert_int_equal(figures.runs_shut_out, 1);
	assert_int_equal(cf_writer_commit(writer, &late, &err), CF_ERR_BUSY);
	assert_non_null(strstr(err.text, "back up again"));
	cf_writer_close(writer);
	cf_repo_close(writing);
	assert_whole(&h);
	assert_int_equal(count_objects(pruning, CF_OBJECT_SNAPSHOT), 2);
	assert_int_equal(count_objects(pruning, CF_OBJECT_INTENT), 0);
	late = backup(pruning, 2);
	assert_restores(pruning, late, 2);
	assert_clean(pruning);
	cf_repo_close(pruning);
	cf_snapshot_free(late);
	history_release(&h);
}

static void nothing_new_relies_on_what_is_condemned(void **state)
{
	struct cf_prune_figures figures;
	struct cf_snapshot *late;
	struct cf_repo *repo;
	struct history h;

	history_init(&h);
	repo = fixture_open(&h.f);
	prune(repo, &day);
	late = backup(repo, 2);
	cf_memory_set_clock(h.f.store, START_NS + 25 * HOUR_NS);
	figures = prune(repo, &day);
	assert_true(figures.packs_removed > 0);
	assert_int_equal(figures.packs_waiting, figures.packs_condemned);
	assert_restores(repo, late, 2);
	cf_repo_close(repo);
	assert_whole(&h);
	cf_snapshot_free(late);
	history_release(&h);
}

static void what_cannot_be_read_stops_it(void **state)
{
	struct cf_prune_figures figures;
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo;
	struct history h;
	uint64_t before;

	history_init(&h);
	assert_int_equal(cf_memory_flip(h.f.store, cf_object_name(CF_OBJECT_SNAPSHOT, &h.snapshots[2]->id).s, 90, 1, NULL),
			 0);
	before = bytes_in(h.f.store, "packs");
	repo = fixture_open(&h.f);
	assert_int_equal(cf_prune_run(repo, &now, &figures, &err), CF_ERR_DAMAGED);
	assert_non_null(strstr(err.text, "nothing is removed"));
	assert_int_equal(bytes_in(h.f.store, "packs"), before);
	cf_repo_close(repo);
	history_release(&h);
}

struct largest {
	char name[CF_BACKEND_NAME_MAX + 1];
	uint64_t size;
};

static int note_largest(void *user, const char *name, uint64_t size)
{
	struct largest *largest = user;

	if (size > largest->size) {
		snprintf(largest->name, sizeof(largest->name), "%s", name);
		largest->size = size;
	}
	return 0;
}

static void a_lost_pack_stops_it(void **state)
{
	struct largest largest = {.size = 0};
	struct cf_prune_figures figures;
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo;
	struct history h;
	uint64_t before;

	history_init(&h);
	assert_int_equal(h.f.store->ops->list(h.f.store, "packs", note_largest, &largest, NULL), 0);
	assert_int_equal(h.f.store->ops->remove(h.f.store, largest.name, NULL), 0);
	before = bytes_in(h.f.store, "packs");
	repo = fixture_open(&h.f);
	assert_int_equal(cf_prune_run(repo, &now, &figures, &err), CF_ERR_DAMAGED);
	assert_non_null(strstr(err.text, "nothing is removed"));
	assert_int_equal(bytes_in(h.f.store, "packs"), before);
	cf_repo_close(repo);
	history_release(&h);
}

static void a_damaged_tomb_goes_when_nothing_else_works(void **state)
{
	struct cf_id *ids;
	struct cf_repo *repo;
	struct history h;
	size_t n;

	history_init(&h);
	repo = fixture_open(&h.f);
	prune(repo, &day);
	assert_int_equal(cf_object_list(repo, CF_OBJECT_TOMB, &ids, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_int_equal(cf_memory_flip(h.f.store, cf_object_name(CF_OBJECT_TOMB, &ids[0]).s, 80, 1, NULL), 0);
	free(ids);
	cf_memory_set_clock(h.f.store, START_NS + 25 * HOUR_NS);
	prune(repo, &day);
	assert_true(count_objects(repo, CF_OBJECT_TOMB) > 0);
	assert_whole(&h);
	prune(repo, &now);
	assert_int_equal(count_objects(repo, CF_OBJECT_TOMB), 0);
	cf_repo_close(repo);
	assert_whole(&h);
	history_release(&h);
}

static void a_second_prune_is_refused(void **state)
{
	const struct cf_lease_options about = {.host = "other", .user = "root", .source = "", .is_prune = true};
	struct cf_prune_figures figures;
	struct cf_err err = CF_ERR_INIT;
	struct cf_lease *lease;
	struct cf_repo *repo;
	struct history h;

	history_init(&h);
	repo = fixture_open(&h.f);
	assert_int_equal(cf_lease_begin(repo, &about, &lease, NULL), 0);
	assert_int_equal(cf_prune_run(repo, &day, &figures, &err), CF_ERR_BUSY);
	assert_non_null(strstr(err.text, "root on other"));
	cf_lease_end(lease);
	prune(repo, &day);
	cf_repo_close(repo);
	history_release(&h);
}

/* How many packs are sealed to another epoch than the newest. */
static int count_old(void *user, const char *name, uint64_t size)
{
	struct cf_repo *repo = user;
	const struct cf_keyring *ring = cf_keyring_of(repo->ring);
	struct cf_seal_header header;
	struct cf_buf bytes = CF_BUF_INIT;
	int is_old;

	(void)size;
	assert_int_equal(repo->backend->ops->get(repo->backend, name, 0, CF_PACK_HEADER_LEN, &bytes, NULL), 0);
	assert_int_equal(cf_seal_header_decode(cf_buf_span(&bytes), &header, NULL), 0);
	cf_buf_release(&bytes);
	is_old = header.epoch != ring->epochs[ring->n_epochs - 1].number;
	return is_old ? 7 : 0;
}

/* A store that lets nobody remove anything, for a while. */
static struct cf_repo *open_append_only(struct history *h)
{
	struct cf_backend *store = fixture_share(h->f.store);
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo;

	store->caps &= ~(unsigned)CF_BACKEND_CAN_REMOVE;
	repo = fixture_open_over(&h->f, store, NULL, &err);
	assert_non_null(repo);
	return repo;
}

static void runs_that_ended_on_an_append_only_store_hold_nothing_up(void **state)
{
	struct cf_prune_figures figures;
	struct cf_repo *repo;
	struct history h;

	history_init(&h);
	repo = open_append_only(&h);
	cf_snapshot_free(backup(repo, 3));
	figures = prune(repo, &day);
	assert_true(figures.cannot_remove);
	assert_true(figures.packs_condemned > 0);
	cf_repo_close(repo);

	/* No hour needs to pass: each has said that it ended. */
	repo = fixture_open(&h.f);
	assert_true(count_objects(repo, CF_OBJECT_LEASE) > 0);
	assert_int_equal(count_objects(repo, CF_OBJECT_INTENT), 1);
	cf_memory_set_clock(h.f.store, START_NS + 24 * HOUR_NS);
	atomic_store(&h.f.n_warnings, 0);
	figures = prune(repo, &day);
	assert_true(figures.packs_removed > 0);
	assert_int_equal(figures.runs_waited_for + figures.runs_shut_out, 0);
	assert_int_equal(atomic_load(&h.f.n_warnings), 0);
	assert_int_equal(count_objects(repo, CF_OBJECT_LEASE), 0);
	assert_int_equal(count_objects(repo, CF_OBJECT_INTENT), 0);
	assert_int_equal(count_objects(repo, CF_OBJECT_TOMB), 0);
	cf_repo_close(repo);
	assert_whole(&h);
	history_release(&h);
}

static void packs_of_older_epochs_are_encrypted_anew(void **state)
{
	struct cf_prune_options again = day;
	const struct cf_slot_about about = {.host = "h", .user = "u", .comment = ""};
	struct cf_key_rotation rotation;
	struct cf_prune_figures figures;
	struct cf_repo *repo;
	struct history h;

	history_init(&h);
	repo = fixture_open(&h.f);
	assert_int_equal(cf_key_rotate(repo, &h.f.credentials, &about, &rotation, NULL), 0);
	cf_repo_close(repo);
	repo = fixture_open(&h.f);
	assert_int_equal(repo->backend->ops->list(repo->backend, "packs", count_old, repo, NULL), 7);
	again.reencrypt = true;
	figures = prune(repo, &again);
	assert_true(figures.packs_repacked > 0);
	assert_int_equal(figures.packs_left, 0);
	cf_memory_set_clock(h.f.store, START_NS + 25 * HOUR_NS);
	prune(repo, &day);
	assert_int_equal(repo->backend->ops->list(repo->backend, "packs", count_old, repo, NULL), 0);
	figures = prune(repo, &again);
	assert_int_equal(figures.packs_repacked, 0);
	cf_repo_close(repo);
	assert_whole(&h);
	history_release(&h);
}

/* The nth call of a prune fails, or the program dies there. */
static void interrupt_each_call(enum cf_call call, enum cf_fault_kind kind)
{
	struct history h;
	bool reached = true;

	history_init(&h);
	for (unsigned nth = 1; reached && nth < 1000; nth += FIXTURE_STRIDE) {
		const struct cf_fault_rule rule = {.call = call, .nth = nth, .kind = kind};
		struct cf_backend *before = h.f.store, *fault;
		struct cf_prune_figures figures;
		struct cf_err err = CF_ERR_INIT;
		struct cf_repo *repo;
		int rc;

		assert_int_equal(cf_memory_copy(before, &h.f.store, NULL), 0);
		assert_int_equal(cf_fault_new(fixture_share(h.f.store), &fault, NULL), 0);
		repo = fixture_open_over(&h.f, fault, NULL, NULL);
		cf_fault_set(fault, &rule);
		rc = cf_prune_run(repo, &now, &figures, &err);
		if (rc < 0 && !err.text[0])
			fail_msg("call %u failed without a word", nth);
		reached = cf_fault_failed(fault) > 0;
		assert_true(reached || rc == 0);
		cf_fault_set(fault, NULL);
		cf_repo_close(repo);
		assert_whole(&h);
		repo = fixture_open(&h.f);
		prune(repo, &now);
		assert_int_equal(count_objects(repo, CF_OBJECT_TOMB), 0);
		figures = prune(repo, &now);
		assert_int_equal(figures.packs_removed + figures.packs_condemned, 0);
		cf_repo_close(repo);
		assert_whole(&h);
		cf_backend_close(h.f.store);
		h.f.store = before;
	}
	assert_false(reached);
	history_release(&h);
}

static void dying_at_any_call_loses_nothing(void **state)
{
	interrupt_each_call(CF_CALL_ANY, CF_FAULT_STOP);
}

static void any_put_failing_loses_nothing(void **state)
{
	interrupt_each_call(CF_CALL_PUT, CF_FAULT_FAIL);
}

static void a_lost_reply_of_any_put_loses_nothing(void **state)
{
	interrupt_each_call(CF_CALL_PUT, CF_FAULT_LOST_REPLY);
}

static void a_lost_reply_of_any_removal_loses_nothing(void **state)
{
	interrupt_each_call(CF_CALL_REMOVE, CF_FAULT_LOST_REPLY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_needed_stays_as_it_is),
		cmocka_unit_test(packs_are_condemned_first_and_removed_a_day_later),
		cmocka_unit_test(now_removes_at_once),
		cmocka_unit_test(what_nobody_needs_goes_before_anything_is_copied),
		cmocka_unit_test(a_dry_run_changes_nothing_and_foretells),
		cmocka_unit_test(a_backup_that_runs_is_waited_for),
		cmocka_unit_test(a_backup_that_was_shut_out_commits_nothing),
		cmocka_unit_test(nothing_new_relies_on_what_is_condemned),
		cmocka_unit_test(what_cannot_be_read_stops_it),
		cmocka_unit_test(a_lost_pack_stops_it),
		cmocka_unit_test(a_damaged_tomb_goes_when_nothing_else_works),
		cmocka_unit_test(a_second_prune_is_refused),
		cmocka_unit_test(runs_that_ended_on_an_append_only_store_hold_nothing_up),
		cmocka_unit_test(packs_of_older_epochs_are_encrypted_anew),
		cmocka_unit_test(dying_at_any_call_loses_nothing),
		cmocka_unit_test(any_put_failing_loses_nothing),
		cmocka_unit_test(a_lost_reply_of_any_put_loses_nothing),
		cmocka_unit_test(a_lost_reply_of_any_removal_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
