/* New bases for deltas when nothing else needs the old ones. */

#include "tests/suite/seeded_random.h"
#include "tests/unit/repo_fixture.h"

#include "repo/forget.h"
#include "repo/prune.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define HOUR_NS	 (INT64_C(3600) * 1000000000)
#define START_NS (INT64_C(1800000000) * 1000000000)

enum {
	N_DAYS = 6,
	N_TABLES = 3,
	N_ROWS = 1500
};

static const struct cf_prune_options day = {.host = "h", .user = "u", .max_unused_percent = 5, .grace_ns = 24 * HOUR_NS};
static const struct cf_prune_options now = {.host = "h", .user = "u", .max_unused_percent = 5, .now = true};

/* Tables of which 3 % of the rows change every day. Of six days all but the first are kept: its chunks stay as bases. */
struct history {
	struct fixture f;
	struct cf_snapshot *days[N_DAYS];
};

static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static uint64_t value_on(unsigned table, unsigned row, unsigned today)
{
	unsigned changed = 0;

	for (unsigned d = 1; d <= today; d++)
		if (mix(mix(table * 100 + d) + row) % 100 < 3)
			changed = d;
	return mix(mix(table * 1000000 + row) + changed);
}

static int push_table(unsigned table, unsigned today, struct cf_sink *sink, struct cf_dir *dir, struct cf_err *err)
{
	struct cf_entry entry = {.type = CF_ENTRY_FILE, .mode = 0640, .mtime_ns = 1};
	struct cf_file *file = NULL;
	struct cf_buf rows = CF_BUF_INIT;
	char name[16];
	int rc = 0;

	for (unsigned row = 0; rc == 0 && row < N_ROWS; row++)
		rc = cf_buf_printf(&rows, err, "%08u|%016llx|%016llx|active\n", row,
				   (unsigned long long)mix(table * 1000000 + row), (unsigned long long)value_on(table, row, today));
	snprintf(name, sizeof(name), "table%u", table);
	entry.name = name;
	entry.size = rows.len;
	if (rc == 0)
		rc = sink->ops->file_begin(sink, dir, &entry, NULL, &file, err);
	if (rc == 0)
		rc = sink->ops->file_write(sink, file, cf_buf_span(&rows), err);
	if (rc == 0)
		rc = sink->ops->file_end(sink, file, NULL, err);
	cf_buf_release(&rows);
	return rc;
}

static int push(unsigned today, struct cf_sink *sink, struct cf_err *err)
{
	const struct cf_entry root = {.type = CF_ENTRY_DIR, .name = "", .mode = 0755, .mtime_ns = 5};
	struct cf_dir *dir;
	int rc = sink->ops->dir_begin(sink, NULL, &root, 0, &dir, err);

	for (unsigned table = 0; rc == 0 && table < N_TABLES; table++)
		rc = push_table(table, today, sink, dir, err);
	return rc < 0 ? rc : sink->ops->dir_end(sink, dir, NULL, err);
}

static struct cf_snapshot *backup(struct cf_repo *repo, unsigned today)
{
	const struct cf_writer_options options = {.source = "test:", .driver = "test", .host = "h", .user = "u"};
	struct cf_snapshot *snapshot = NULL;
	struct cf_writer *writer = NULL;
	struct cf_err err = CF_ERR_INIT;

	if (cf_writer_open(repo, &options, &writer, &err) < 0 || push(today, cf_writer_sink(writer), &err) < 0 ||
	    cf_writer_commit(writer, &snapshot, &err) < 0)
		fail_msg("%s", err.text);
	cf_writer_close(writer);
	return snapshot;
}

static void history_init(struct history *h)
{
	const struct cf_forget_options who = {.host = "h", .user = "u"};
	struct cf_forget_figures figures;
	struct cf_repo *repo;

	cf_seed_random();
	fixture_init(&h->f, 0);
	cf_memory_set_clock(h->f.store, START_NS);
	repo = fixture_open(&h->f);
	for (unsigned d = 0; d < N_DAYS; d++)
		h->days[d] = backup(repo, d);
	assert_int_equal(cf_forget_run(repo, &h->days[0]->id, 1, &who, &figures, NULL), 0);
	cf_repo_close(repo);
}

static void history_release(struct history *h)
{
	for (unsigned d = 0; d < N_DAYS; d++)
		cf_snapshot_free(h->days[d]);
	fixture_release(&h->f);
}

/* Every day but the first restores, by a handle that knows nothing yet, and nothing is wrong. */
static void assert_whole(struct history *h)
{
	const struct cf_restore_run_options options = {0};
	struct cf_repo *repo = fixture_open(&h->f);
	struct cf_buf findings = CF_BUF_INIT;
	struct cf_err err = CF_ERR_INIT;

	for (unsigned d = 1; d < N_DAYS; d++) {
		struct cf_sink_recorder *want = cf_sink_recorder_new(), *found = cf_sink_recorder_new();
		struct cf_restore_figures figures;

		assert_int_equal(push(d, &want->sink, NULL), 0);
		if (cf_restore_run(repo, h->days[d], "", &options, &found->sink, &figures, &err) < 0)
			fail_msg("day %u: %s", d, err.text);
		assert_true(recorded_equal(want->root, found->root));
		cf_sink_recorder_free(want);
		cf_sink_recorder_free(found);
	}
	if (fixture_check(repo, &findings, NULL) < 0)
		fail_msg("%.*s", (int)findings.len, (const char *)findings.data);
	cf_buf_release(&findings);
	cf_repo_close(repo);
}

static int add_size(void *user, const char *name, uint64_t size)
{
	(void)name;
	*(uint64_t *)user += size;
	return 0;
}

static uint64_t bytes_in_packs(struct history *h)
{
	uint64_t total = 0;

	assert_int_equal(h->f.store->ops->list(h->f.store, "packs", add_size, &total, NULL), 0);
	return total;
}

static struct cf_prune_figures prune(struct history *h, const struct cf_prune_options *options)
{
	struct cf_repo *repo = fixture_open(&h->f);
	struct cf_prune_figures figures;
	struct cf_err err = CF_ERR_INIT;

	if (cf_prune_run(repo, options, &figures, &err) < 0)
		fail_msg("%s", err.text);
	cf_repo_close(repo);
	return figures;
}

static void old_bases_are_replaced_once(void **state)
{
	struct cf_prune_figures figures;
	struct history h;
	uint64_t before;

	history_init(&h);
	before = bytes_in_packs(&h);
	figures = prune(&h, &now);
	assert_true(figures.chunks_rebased > 0);
	assert_int_equal(figures.packs_waiting, 0);
	print_message("%llu bytes, %llu before\n", (unsigned long long)bytes_in_packs(&h), (unsigned long long)before);
	assert_true(bytes_in_packs(&h) * 100 < before * 95);
	assert_whole(&h);
	figures = prune(&h, &now);
	assert_int_equal(figures.chunks_rebased, 0);
	assert_int_equal(figures.packs_removed + figures.packs_condemned, 0);
	history_release(&h);
}

static void the_next_backup_goes_on_from_the_new_bases(void **state)
{
	struct cf_snapshot *next;
	struct cf_repo *repo;
	struct history h;

	history_init(&h);
	prune(&h, &day);
	/* The old copies are still there. */
	repo = fixture_open(&h.f);
	next = backup(repo, N_DAYS);
	cf_repo_close(repo);
	cf_memory_set_clock(h.f.store, START_NS + 25 * HOUR_NS);
	prune(&h, &day);
	cf_memory_set_clock(h.f.store, START_NS + 50 * HOUR_NS);
	assert_int_equal(prune(&h, &day).chunks_rebased, 0);
	assert_whole(&h);
	cf_snapshot_free(next);
	history_release(&h);
}

static void a_dry_run_foretells(void **state)
{
	struct cf_prune_options dry = now;
	struct cf_prune_figures foretold;
	struct history h;
	uint64_t before;

	history_init(&h);
	dry.dry_run = true;
	before = bytes_in_packs(&h);
	foretold = prune(&h, &dry);
	assert_int_equal(bytes_in_packs(&h), before);
	assert_int_equal(foretold.chunks_rebased, prune(&h, &now).chunks_rebased);
	history_release(&h);
}

static void little_gain_is_left_alone(void **state)
{
	struct cf_prune_options lax = now, capped = now;
	struct history h;

	history_init(&h);
	lax.max_unused_percent = 100;
	assert_int_equal(prune(&h, &lax).chunks_rebased, 0);
	capped.max_repack = 1000;
	assert_true(prune(&h, &capped).bytes_rebased <= 1000);
	assert_whole(&h);
	history_release(&h);
}

/* A prune of a copy of the repository dies at the nth call, and two more follow. True when it got that far. */
static bool interrupt(struct history *h, unsigned nth, uint64_t whole)
{
	const struct cf_fault_rule rule = {.call = CF_CALL_ANY, .nth = nth, .kind = CF_FAULT_STOP};
	struct cf_backend *before = h->f.store, *fault;
	struct cf_prune_figures figures;
	struct cf_repo *repo;
	bool was_cut;

	assert_int_equal(cf_memory_copy(before, &h->f.store, NULL), 0);
	assert_int_equal(cf_fault_new(fixture_share(h->f.store), &fault, NULL), 0);
	repo = fixture_open_over(&h->f, fault, NULL, NULL);
	cf_fault_set(fault, &rule);
	was_cut = cf_prune_run(repo, &now, &figures, NULL) < 0;
	cf_repo_close(repo);
	assert_whole(h);
	prune(h, &now);
	prune(h, &now);
	assert_whole(h);
	if (bytes_in_packs(h) * 10 > whole * 11)
		fail_msg("call %u: %llu bytes are left, not %llu", nth, (unsigned long long)bytes_in_packs(h),
			 (unsigned long long)whole);
	cf_backend_close(h->f.store);
	h->f.store = before;
	return was_cut;
}

/* Whatever call is the last one of a prune, all restores, and the next ones come to the same end. */
static void every_interruption_is_harmless(void **state)
{
	struct history h;
	struct cf_backend *before;
	uint64_t whole;

	history_init(&h);
	before = h.f.store;
	assert_int_equal(cf_memory_copy(before, &h.f.store, NULL), 0);
	prune(&h, &now);
	whole = bytes_in_packs(&h);
	cf_backend_close(h.f.store);
	h.f.store = before;
	for (unsigned nth = 1; interrupt(&h, nth, whole); nth += 2 * FIXTURE_STRIDE)
		;
	history_release(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(old_bases_are_replaced_once),
		cmocka_unit_test(the_next_backup_goes_on_from_the_new_bases),
		cmocka_unit_test(a_dry_run_foretells),
		cmocka_unit_test(little_gain_is_left_alone),
		cmocka_unit_test(every_interruption_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
