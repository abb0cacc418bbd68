/*
 * A repository that lives: thirty days of backups of three sources that change, of retention and of prune beside backups, where backups and
 * prunes die at random calls. Every day all that is kept restores equal and nothing is wrong; in the end the space is held against that
 * of a fresh repository with the same snapshots.
 */

#include "tests/suite/seeded_random.h"
#include "tests/unit/repo_fixture.h"

#include "repo/forget.h"
#include "repo/id_set.h"
#include "repo/prune.h"
#include "repo/retain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SECOND_NS INT64_C(1000000000)
#define HOUR_NS	  (3600 * SECOND_NS)
#define DAY_NS	  (24 * HOUR_NS)
#define START_NS  (INT64_C(1800000000) * SECOND_NS)

enum {
	N_DAYS = 30,
	N_SOURCES = 3,
	N_TABLES = 6, /* of a source: files of rows; the last two come and go */
	N_STEADY = 4,
	N_NOTES = 30, /* small files, a third of which are there on a given day */
	N_ROWS = 1500,
	PERCENT_CHANGED = 3, /* rows of a table in a day */
	N_CALLS = 160, /* deaths are at one of so many calls to the store */
	PERCENT_OVER_FRESH_MAX = 10
};

static const struct cf_prune_options prune_options = {
	.host = "h", .user = "u", .max_unused_percent = 5, .grace_ns = 24 * HOUR_NS};

struct years {
	struct fixture f;
	uint64_t random;
	struct cf_id_set committed; /* and not forgotten */
	unsigned deaths, given_up;
};

/* The day each row was last changed, counted from 0. Rows of tables stay in place. */
static uint8_t changed[N_SOURCES][N_TABLES][N_DAYS][N_ROWS];

static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static uint64_t mix4(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	return mix(mix(mix(mix(a) ^ b) ^ c) ^ d);
}

static unsigned draw(struct years *y, unsigned n)
{
	y->random = mix(y->random);
	return (unsigned)(y->random % n);
}

static void make_changes(void)
{
	for (unsigned s = 0; s < N_SOURCES; s++)
		for (unsigned t = 0; t < N_TABLES; t++)
			for (unsigned day = 1; day < N_DAYS; day++)
				for (unsigned row = 0; row < N_ROWS; row++)
					changed[s][t][day][row] =
						mix4(s, t, day, row) % 100 < PERCENT_CHANGED ? day : changed[s][t][day - 1][row];
}

static int push_file(struct cf_sink *sink, struct cf_dir *dir, const char *name, struct cf_span data, struct cf_err *err)
{
	const struct cf_entry entry = {.type = CF_ENTRY_FILE, .name = name, .mode = 0640, .mtime_ns = 1, .size = data.len};
	struct cf_file *file = NULL;
	int rc = sink->ops->file_begin(sink, dir, &entry, NULL, &file, err);

	if (rc < 0 || !file)
		return rc;
	rc = sink->ops->file_write(sink, file, data, err);
	if (rc == 0)
		return sink->ops->file_end(sink, file, NULL, err);
	sink->ops->file_abort(sink, file);
	return rc;
}

static int push_table(unsigned source, unsigned table, unsigned day, struct cf_sink *sink, struct cf_dir *dir,
		      struct cf_err *err)
{
	struct cf_buf rows = CF_BUF_INIT;
	char name[16];
	int rc = 0;

	/* One comes and goes by the week, one is new every few days. */
	if (table >= N_STEADY && mix4(source, table, day / (table == N_STEADY ? 7 : 3), 1) % 2)
		return 0;
	for (unsigned row = 0; rc == 0 && row < N_ROWS; row++) {
		uint64_t fixed = mix4(source, table, row, 2);

		rc = cf_buf_printf(&rows, err, "%08u|%016llx|%016llx|active|2024-05-%02u\n", row, (unsigned long long)fixed,
				   (unsigned long long)mix4(fixed, changed[source][table][day][row], 0, 0), row % 28 + 1);
	}
	snprintf(name, sizeof(name), "table%u", table);
	if (rc == 0)
		rc = push_file(sink, dir, name, cf_buf_span(&rows), err);
	cf_buf_release(&rows);
	return rc;
}

static int push_notes(unsigned source, unsigned day, struct cf_sink *sink, struct cf_dir *dir, struct cf_err *err)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < N_NOTES; i++) {
		char name[16], text[64];

		if (mix4(source, i, (day + i) / 5, 3) % 3)
			continue;
		snprintf(name, sizeof(name), "note%u", i);
		snprintf(text, sizeof(text), "note %u of %u as of %u", i, source, (day + i) / 5);
		rc = push_file(sink, dir, name, cf_span_str(text), err);
	}
	return rc;
}

/* A source as of a day. between: NULL, or called when half of it was pushed. */
static int push(unsigned source, unsigned day, struct cf_sink *sink, void (*between)(struct years *y), struct years *y,
		struct cf_err *err)
{
	const struct cf_entry root = {.type = CF_ENTRY_DIR, .name = "", .mode = 0755, .mtime_ns = 5};
	struct cf_dir *dir;
	int rc = sink->ops->dir_begin(sink, NULL, &root, 0, &dir, err);

	for (unsigned table = 0; rc == 0 && table < N_TABLES; table++) {
		if (table == N_TABLES / 2 && between)
			between(y);
		rc = push_table(source, table, day, sink, dir, err);
	}
	if (rc == 0)
		rc = push_notes(source, day, sink, dir, err);
	return rc < 0 ? rc : sink->ops->dir_end(sink, dir, NULL, err);
}

static void set_clock(struct years *y, int64_t now_ns)
{
	atomic_store(&y->f.now, now_ns);
	cf_memory_set_clock(y->f.store, now_ns);
}

static void pass(struct years *y, int64_t ns)
{
	set_clock(y, atomic_load(&y->f.now) + ns);
}

/* A handle whose host dies at the nth call from now; 0: does not. */
static struct cf_repo *open_mortal(struct years *y, unsigned nth)
{
	const struct cf_fault_rule rule = {.call = CF_CALL_ANY, .nth = nth, .kind = CF_FAULT_STOP};
	struct cf_err err = CF_ERR_INIT;
	struct cf_backend *fault;
	struct cf_repo *repo;

	assert_int_equal(cf_fault_new(fixture_share(y->f.store), &fault, NULL), 0);
	repo = fixture_open_over(&y->f, fault, NULL, &err);
	if (!repo)
		fail_msg("%s", err.text);
	if (nth)
		cf_fault_set(fault, &rule);
	return repo;
}

static void prune(struct years *y)
{
	bool mortal = draw(y, 3) == 0;
	struct cf_repo *repo = open_mortal(y, mortal ? 1 + draw(y, N_CALLS) : 0);
	struct cf_prune_figures figures;
	struct cf_err err = CF_ERR_INIT;
	int rc = cf_prune_run(repo, &prune_options, &figures, &err);

	/* One that died lately is waited for. */
	if (rc < 0 && !mortal && rc != CF_ERR_BUSY)
		fail_msg("prune: %s", err.text);
	y->deaths += rc < 0 && rc != CF_ERR_BUSY;
	cf_repo_close(repo);
}

static void prune_beside(struct years *y)
{
	/* Now and then the backup seems to have died: should anything be due, it is given up. */
	if (draw(y, 8) == 0)
		pass(y, 2 * HOUR_NS);
	prune(y);
}

/* 0, or what came of it. id_out: the snapshot. */
static int try_backup(struct years *y, struct cf_repo *repo, unsigned source, unsigned day, void (*between)(struct years *y),
		      struct cf_id *id_out, struct cf_err *err)
{
	char name[16];
	const struct cf_writer_options options = {.source = name, .driver = "test", .host = "h", .user = "u"};
	struct cf_snapshot *snapshot = NULL;
	struct cf_writer *writer = NULL;
	int rc;

	snprintf(name, sizeof(name), "test:%u", source);
	rc = cf_writer_open(repo, &options, &writer, err);
	if (rc == 0)
		rc = push(source, day, cf_writer_sink(writer), between, y, err);
	if (rc == 0)
		rc = cf_writer_commit(writer, &snapshot, err);
	if (rc == 0)
		*id_out = snapshot->id;
	cf_writer_close(writer);
	cf_snapshot_free(snapshot);
	return rc;
}

static void backup(struct years *y, unsigned source, unsigned day)
{
	bool mortal = draw(y, 4) == 0, done = false;

	for (unsigned n = 0; !done && n < 5; n++) {
		struct cf_repo *repo = open_mortal(y, mortal ? 1 + draw(y, N_CALLS) : 0);
		struct cf_err err = CF_ERR_INIT;
		struct cf_id id;
		int rc = try_backup(y, repo, source, day, draw(y, 3) == 0 ? prune_beside : NULL, &id, &err);

		if (rc < 0 && !mortal && rc != CF_ERR_BUSY)
			fail_msg("backup: %s", err.text);
		if (rc == 0)
			assert_int_equal(cf_id_set_add(&y->committed, &id), 1);
		y->given_up += rc == CF_ERR_BUSY;
		y->deaths += rc < 0 && rc != CF_ERR_BUSY;
		done = rc == 0;
		mortal = false;
		cf_repo_close(repo);
		pass(y, 60 * SECOND_NS);
	}
	assert_true(done);
}

static void retain(struct years *y)
{
	const struct cf_forget_options who = {.host = "h", .user = "u"};
	struct cf_repo *repo = fixture_open(&y->f);
	struct cf_snapshot_list list = {0};
	struct cf_retain_rules rules = {0};
	struct cf_retain_plan plan = {0};
	struct cf_forget_figures figures;
	struct cf_id going[N_SOURCES * N_DAYS];
	struct cf_err err = CF_ERR_INIT;
	size_t n = 0;

	assert_int_equal(cf_retain_parse_gfs("d=7,w=3,m=2", &rules, NULL), 0);
	assert_int_equal(cf_snapshots_load(repo, NULL, &list, NULL), 0);
	assert_int_equal(cf_retain_plan(list.items, list.n, CF_GROUP_HOST | CF_GROUP_SOURCE, &rules, cf_ctx_now_ns(&y->f.ctx), &plan,
					NULL),
			 0);
	for (size_t i = 0; i < plan.n; i++)
		if (plan.items[i].reasons == 0)
			going[n++] = plan.items[i].snapshot->id;
	if (n && cf_forget_run(repo, going, n, &who, &figures, &err) < 0)
		fail_msg("forget: %s", err.text);
	cf_retain_plan_release(&plan);
	cf_snapshot_list_release(&list);
	cf_repo_close(repo);
}

/* What a snapshot is of. */
static unsigned source_of(const struct cf_snapshot *snapshot)
{
	return (unsigned)atoi(strchr(snapshot->source, ':') + 1);
}

static unsigned day_of(const struct cf_snapshot *snapshot)
{
	return (unsigned)((snapshot->time_ns - START_NS) / DAY_NS);
}

static void assert_restores(struct cf_repo *repo, const struct cf_snapshot *snapshot)
{
	const struct cf_restore_run_options options = {0};
	struct cf_sink_recorder *want = cf_sink_recorder_new(), *found = cf_sink_recorder_new();
	struct cf_restore_figures figures;
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(push(source_of(snapshot), day_of(snapshot), &want->sink, NULL, NULL, NULL), 0);
	if (cf_restore_run(repo, snapshot, "", &options, &found->sink, &figures, &err) < 0)
		fail_msg("%s of day %u: %s", snapshot->source, day_of(snapshot), err.text);
	assert_true(recorded_equal(want->root, found->root));
	cf_sink_recorder_free(want);
	cf_sink_recorder_free(found);
}

/* By a handle that knows nothing yet. */
static void assert_all_is_well(struct years *y, unsigned day)
{
	struct cf_repo *repo = fixture_open(&y->f);
	struct cf_buf findings = CF_BUF_INIT;
	struct cf_snapshot_list list = {0};

	assert_int_equal(cf_snapshots_load(repo, NULL, &list, NULL), 0);
	for (size_t i = 0; i < list.n; i++)
		assert_restores(repo, list.items[i]);
	if (fixture_check(repo, &findings, NULL) < 0)
		fail_msg("day %u: %.*s", day, (int)findings.len, (const char *)findings.data);
	cf_buf_release(&findings);
	cf_snapshot_list_release(&list);
	cf_repo_close(repo);
}

/* What was committed is there until it is forgotten. keeps_all: nothing was forgotten since this was looked at. */
static void assert_committed(struct years *y, bool keeps_all)
{
	struct cf_repo *repo = fixture_open(&y->f);
	struct cf_snapshot_list list = {0};
	size_t n = 0;

	assert_int_equal(cf_snapshots_load(repo, NULL, &list, NULL), 0);
	for (size_t i = 0; i < list.n; i++)
		n += cf_id_set_has(&y->committed, &list.items[i]->id);
	if (keeps_all)
		assert_int_equal(n, y->committed.n);
	cf_id_set_release(&y->committed);
	for (size_t i = 0; i < list.n; i++)
		assert_true(cf_id_set_add(&y->committed, &list.items[i]->id) >= 0);
	cf_snapshot_list_release(&list);
	cf_repo_close(repo);
}

static void live_a_day(struct years *y, unsigned day)
{
	set_clock(y, START_NS + day * DAY_NS);
	for (unsigned source = 0; source < N_SOURCES; source++)
		backup(y, source, day);
	assert_committed(y, true);
	retain(y);
	assert_committed(y, false);
	pass(y, 60 * SECOND_NS);
	prune(y);
	assert_all_is_well(y, day);
}

static int add_size(void *user, const char *name, uint64_t size)
{
	(void)name;
	*(uint64_t *)user += size;
	return 0;
}

static uint64_t bytes_in_packs(struct cf_backend *store)
{
	uint64_t total = 0;

	assert_int_equal(store->ops->list(store, "packs", add_size, &total, NULL), 0);
	return total;
}

/* The same snapshots, oldest first, in a repository that never held others. */
static uint64_t bytes_of_fresh(struct years *y)
{
	struct cf_repo *repo = fixture_open(&y->f);
	struct cf_snapshot_list list = {0};
	struct years fresh = {0};
	uint64_t bytes;

	fixture_init(&fresh.f, 0);
	assert_int_equal(cf_snapshots_load(repo, NULL, &list, NULL), 0);
	for (size_t i = 0; i < list.n; i++) {
		struct cf_repo *into = fixture_open(&fresh.f);
		struct cf_id id;

		set_clock(&fresh, list.items[i]->time_ns);
		assert_int_equal(
			try_backup(&fresh, into, source_of(list.items[i]), day_of(list.items[i]), NULL, &id, NULL), 0);
		cf_repo_close(into);
	}
	bytes = bytes_in_packs(fresh.f.store);
	cf_snapshot_list_release(&list);
	cf_repo_close(repo);
	fixture_release(&fresh.f);
	return bytes;
}

/* Another seed is another month. */
static void a_month_of_deaths_loses_nothing(void **state)
{
	struct years y = {.random = cf_seed_random()};
	uint64_t bytes, fresh;

	make_changes();
	fixture_init(&y.f, 0);
	for (unsigned day = 0; day < N_DAYS; day++)
		live_a_day(&y, day);
	assert_true(y.deaths > 5);
	/* What is condemned goes after the grace; nobody dies any more. */
	for (unsigned i = 1; i <= 3; i++) {
		struct cf_prune_figures figures;
		struct cf_err err = CF_ERR_INIT;
		struct cf_repo *repo;

		set_clock(&y, START_NS + (N_DAYS + 2 * i) * DAY_NS);
		repo = fixture_open(&y.f);
		if (cf_prune_run(repo, &prune_options, &figures, &err) < 0)
			fail_msg("prune: %s", err.text);
		cf_repo_close(repo);
	}
	assert_all_is_well(&y, N_DAYS);
	bytes = bytes_in_packs(y.f.store);
	fresh = bytes_of_fresh(&y);
	print_message("%u deaths, %u given up; %llu bytes in packs, %llu in a fresh repository\n", y.deaths, y.given_up,
		      (unsigned long long)bytes, (unsigned long long)fresh);
	assert_true(bytes * 100 <= fresh * (100 + PERCENT_OVER_FRESH_MAX));
	cf_id_set_release(&y.committed);
	fixture_release(&y.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_month_of_deaths_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
